using System.Globalization;
using System.Text.RegularExpressions;
using Bgp.Protocol;

namespace Bgp.Daemon.Config;

/// <summary>Compares a tree with the table of keys: unknown and duplicate keys, missing ones, wrong forms. Reports all of them.</summary>
internal static class StructureCheck
{
    private const int MaxText = 1024;

    internal static void Check(Node node, ConfigKey key, string path, IssueSink sink)
    {
        switch (key.Kind)
        {
            case ValueKind.Map:
                CheckMap(node, key, path, sink);
                return;
            case ValueKind.Names when node.Kind is NodeKind.Map or NodeKind.Null:
                HashSet<string> names = new(StringComparer.Ordinal);
                foreach ((Node name, Node value) in node.Pairs)
                {
                    if (!names.Add(name.Value))
                    {
                        sink.Error(name, $"duplicate key '{name.Value}' in {path}");
                    }

                    Check(value, key.Item!, $"{path}.{name.Value}", sink);
                }

                return;
            case ValueKind.List when node.Kind is NodeKind.List or NodeKind.Null:
                for (int i = 0; i < node.Items.Count; i++)
                {
                    Check(node.Items[i], key.Item!, $"{path}[{i}]", sink);
                }

                return;
            case ValueKind.List when key.OneOrMany && node.Kind == NodeKind.Scalar:
                Check(node, key.Item!, path, sink);
                return;
            case ValueKind.List:
                sink.Error(node, $"{path}: expected a list, found {node.KindName}");
                return;
            case ValueKind.Names:
                sink.Error(node, $"{path}: expected a map, found {node.KindName}");
                return;
            case ValueKind.Secret:
                CheckSecret(node, path, sink);
                return;
            case ValueKind.Prepend when node.Kind == NodeKind.List:
                if (node.Items.Count is 0 or > ConfigKeys.MaxPrepend)
                {
                    sink.Error(node, $"{path}: {node.Items.Count} AS numbers; a list has 1-{ConfigKeys.MaxPrepend}");
                }

                Check(node, ConfigKeys.PrependList, path, sink);
                return;
        }

        if (key.FromEnvironment && node.Kind == NodeKind.Map)
        {
            CheckMap(node, new ConfigKey(key.Name, ValueKind.Map) { Keys = [new ConfigKey("env", ValueKind.Text) { Required = true }] }, path, sink);
        }
        else if (key.PerFamily && node.Kind == NodeKind.Map)
        {
            CheckMap(node, key.ByFamily, path, sink);
        }
        else if (node.Kind == NodeKind.Null)
        {
            sink.Error(node, $"{path}: has no value; expected {Expected(key)}");
        }
        else if (node.Kind != NodeKind.Scalar)
        {
            sink.Error(node, $"{path}: expected {Expected(key)}, found {node.KindName}");
        }
        else if (!IsValid(key, node.Value))
        {
            string hint = key.Kind switch
            {
                ValueKind.Text when node.Value.Length > MaxText => "",
                ValueKind.Word => ConfigText.Suggest(node.Value, key.Words),
                ValueKind.Metric => ConfigText.Suggest(node.Value, ["none", "localPref"]),
                ValueKind.Table => ConfigText.Suggest(node.Value, ["main"]),
                ValueKind.Ip when ConfigText.TryAddressLength(node.Value, out IpAddr address, out _) => $"; did you mean '{address}'?",
                ValueKind.Ip when node.Value.Contains('%', StringComparison.Ordinal) => "; the interface of a link-local address is given with 'interface'",
                ValueKind.Bool => node.Value.ToUpperInvariant() switch
                {
                    "YES" or "ON" or "TRUE" or "1" or "Y" => "; did you mean 'true'?",
                    "NO" or "OFF" or "FALSE" or "0" or "N" => "; did you mean 'false'?",
                    _ => ConfigText.Suggest(node.Value, ["true", "false"]),
                },
                ValueKind.Duration when long.TryParse(node.Value, NumberStyles.None, CultureInfo.InvariantCulture, out _) => $"; did you mean '{node.Value}s'?",
                ValueKind.Prefix => PrefixHint(node.Value),
                _ => "",
            };
            sink.Error(node, $"{path}: {node.KindName} is not {Expected(key)}{hint}");
        }
    }

    private static void CheckMap(Node node, ConfigKey key, string path, IssueSink sink)
    {
        string place = path.Length == 0 ? "the file" : path;
        if (node.Kind is not (NodeKind.Map or NodeKind.Null))
        {
            sink.Error(node, $"{place}: expected a map, found {node.KindName}");
            return;
        }

        HashSet<string> seen = new(StringComparer.Ordinal);
        foreach ((Node name, Node value) in node.Pairs)
        {
            ConfigKey? child = key.Find(name.Value);
            if (child is null)
            {
                string why = name.Value == "<<" ? "; merge keys are not supported, common settings go into 'peerGroups'"
                    : path.Length == 0 && ConfigKeys.Root.Find(name.Value) is not null ? "; it is understood in the main file only"
                    : ConfigText.Suggest(name.Value, key.Keys.Where(k => node[k.Name] is null).Select(k => k.Name));
                sink.Error(name, $"unknown key {name.KindName} in {place}{why}");
                continue;
            }

            if (!seen.Add(name.Value))
            {
                sink.Error(name, $"duplicate key '{name.Value}' in {place}");
            }

            Check(value, child, path.Length == 0 ? name.Value : $"{path}.{name.Value}", sink);
        }

        foreach (ConfigKey required in key.Keys)
        {
            if (required.Required && !seen.Contains(required.Name))
            {
                sink.Error(node, $"{place}: '{required.Name}' is missing");
            }
        }
    }

    private static void CheckSecret(Node node, string path, IssueSink sink)
    {
        if (node.Kind == NodeKind.Scalar)
        {
            // Never echoed: it may well be the secret itself.
            sink.Error(node, $"{path}: secrets are given by reference: {{ file: PATH }} or {{ env: NAME }}");
            return;
        }

        CheckMap(node, new ConfigKey("md5", ValueKind.Map) { Keys = [new ConfigKey("file", ValueKind.Text), new ConfigKey("env", ValueKind.Text)] }, path, sink);
        if (node.Kind == NodeKind.Map && (node["file"] is null) == (node["env"] is null))
        {
            sink.Error(node, $"{path}: give exactly one of 'file' and 'env'");
        }
    }

    private static string PrefixHint(string text)
    {
        if (ConfigText.TryAddressLength(text, out IpAddr address, out int length) && length > 0)
        {
            Cidr fixedUp = address.IsV4
                ? new Cidr(Ipv4Prefix.Create(address, length).Address, length)
                : new Cidr(Ipv6Prefix.Create(address, length).Address, length);
            return $" (host bits are set); did you mean '{fixedUp}'?";
        }

        return "";
    }

    internal static bool IsValid(ConfigKey key, string text) => key.Kind switch
    {
        ValueKind.Text => text.Length is > 0 and <= MaxText && !text.Any(char.IsControl),
        ValueKind.Name => IsName(text),
        ValueKind.Number => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long n) && n >= key.Min && n <= key.Max,
        ValueKind.Bool => text is "true" or "false",
        ValueKind.Duration => ConfigText.TryDuration(text, out _),
        ValueKind.Asn => ConfigText.TryAsn(text, out _),
        ValueKind.Ip => IpAddr.TryParse(text, out _),
        ValueKind.AddressLength => ConfigText.TryAddressLength(text, out IpAddr a, out _) && !a.IsUnspecified && !a.IsMulticast,
        ValueKind.Prefix => Cidr.TryParse(text, out _),
        ValueKind.RouterId => ConfigText.TryRouterId(text, out _),
        ValueKind.NodeRouterId => text == "hash" || ConfigText.TryRouterId(text, out _),
        ValueKind.Community => Community.TryParse(text, out _),
        ValueKind.LargeCommunity => LargeCommunity.TryParse(text, out _),
        ValueKind.Word => Array.IndexOf(key.Words, text) >= 0,
        ValueKind.LengthRange => ConfigText.TryRange(text, 128, out _, out _),
        ValueKind.MetricRange => ConfigText.TryRange(text, int.MaxValue, out _, out _),
        ValueKind.AddPathSend => text is "true" or "false" || (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int s) && s is >= 0 and <= 256),
        ValueKind.Table => text == "main" || (uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint t) && t is > 0 and not 255),
        ValueKind.Metric => text is "none" or "localPref" || (uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint m) && m > 0),
        ValueKind.Prepend => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int p) && p is >= 0 and <= ConfigKeys.MaxPrepend,
        ValueKind.NextHop => text == "self" || IpAddr.TryParse(text, out _),
        ValueKind.Endpoint => text == "off" || System.Net.IPEndPoint.TryParse(text, out System.Net.IPEndPoint? end) && end.Port > 0,
        ValueKind.Regex => IsRegex(text),
        _ => false,
    };

    /// <summary>What can be typed as one word of a command line and stand in one column of a table.</summary>
    private static bool IsName(string text) => text.Length is > 0 and <= 128 && text[0] != '-' && !text.Any(static c => char.IsControl(c) || char.IsWhiteSpace(c));

    private static bool IsRegex(string text)
    {
        try
        {
            // Without backtracking: no pattern may take more than linear time on a path.
            _ = new Regex(text, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
            return text.Length <= 1024;
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            return false;
        }
    }

    private static string Expected(ConfigKey key) => key.Kind switch
    {
        ValueKind.Text => $"a text (1-{MaxText} characters, none of them control characters)",
        ValueKind.Name => "a name (1-128 characters without spaces and control characters, not beginning with '-')",
        ValueKind.Number when key.Min == key.Max => $"supported; this program understands {key.Min}",
        ValueKind.Number => $"a number from {key.Min} to {key.Max}",
        ValueKind.Bool => "true or false",
        ValueKind.Duration => "a duration (90s, 300ms, 5m)",
        ValueKind.Asn => "an AS number (1-4294967295 or 1.10)",
        ValueKind.Ip => "an IP address",
        ValueKind.AddressLength => "an address or address/length",
        ValueKind.Prefix => "a prefix (address/length)",
        ValueKind.RouterId => "an identifier (0.0.0.10 or a number, not 0)",
        ValueKind.NodeRouterId => "a router id (0.0.0.10 or a number, not 0) or 'hash'",
        ValueKind.Community => "a community (65001:100 or a well-known name such as no-export)",
        ValueKind.LargeCommunity => "a large community (65001:1:2)",
        ValueKind.Word => $"one of {string.Join(", ", key.Words)}",
        ValueKind.LengthRange => "a prefix length (N or N-M)",
        ValueKind.MetricRange => "a metric (N or N-M)",
        ValueKind.AddPathSend => "true, false or a number of paths (0-256)",
        ValueKind.Table => "a routing table ('main' or its number)",
        ValueKind.Metric => "a metric ('none', 'localPref' or a number)",
        ValueKind.Prepend => $"how often our AS number is prepended (0-{ConfigKeys.MaxPrepend}), or a list of AS numbers",
        ValueKind.NextHop => "an IP address or 'self'",
        ValueKind.Endpoint => "an endpoint (127.0.0.1:9179, [::1]:9179) or 'off'",
        ValueKind.Regex => "a regular expression",
        _ => "a value",
    };
}
