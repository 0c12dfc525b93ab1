using System.Globalization;
using Bgp.Protocol;

namespace Bgp.Daemon.Control.Bird;

/// <summary><c>show route</c>.</summary>
internal sealed partial class BirdConnection
{
    private sealed record RouteRequest
    {
        internal RouteQuery Query { get; set; } = new();
        internal bool Details { get; set; }
        internal bool Count { get; set; }
        internal bool Primary { get; set; }
        internal string? Protocol { get; set; }
        internal string? FromAddress { get; set; }

        /// <summary>Longest match for an address, exact for a prefix: both end with "not found" where there is nothing.</summary>
        internal bool One { get; set; }
    }

    private void Routes(List<string> words)
    {
        if (ParseRoute(words) is not { } request)
        {
            return;
        }

        using CancellationTokenSource cancel = CancellationTokenSource.CreateLinkedTokenSource(_stop);
        Dictionary<string, string> birdNames = _queries.GetPeers().ToDictionary(static peer => peer.Name, static peer => peer.BirdName ?? peer.Name, StringComparer.Ordinal);
        Dictionary<string, PeerDto> peers = _queries.GetPeers().ToDictionary(static peer => peer.Name, StringComparer.Ordinal);
        DateTimeOffset started = _queries.GetStatus().StartedAt ?? default;
        DateTimeOffset now = _options.Time.GetUtcNow();
        int family = 0;
        long routes = 0;
        long networks = 0;
        (long Routes, long Networks) table = default;
        int tables = 0;
        string last = "";
        ClientWait.ForEach(
            _socket,
            _queries.GetRoutesAsync(request.Query, cancel.Token),
            _reply.Flush,
            route =>
            {
                if (!Wanted(request, route, peers))
                {
                    return;
                }

                int of = route.Prefix.Contains(':', StringComparison.Ordinal) ? 6 : 4;
                if (of != family)
                {
                    CountTable(request, ref table, family, ref tables);
                    if (!IsOld && !request.Count)
                    {
                        if (family != 0)
                        {
                            _reply.Line(1007, "");
                        }

                        _reply.Line(1007, $"Table master{of}:");
                    }

                    (family, last) = (of, "");
                }

                bool same = route.Prefix == last;
                last = route.Prefix;
                routes++;
                networks += same ? 0 : 1;
                table = (table.Routes + 1, table.Networks + (same ? 0 : 1));
                if (!request.Count)
                {
                    string name = route.From is { } from && birdNames.TryGetValue(from, out string? bird) ? bird : route.Source switch { "kernel" => "kernel1", "originate" => "static1", _ => "direct1" };
                    DateTimeOffset since = route.From is { } peer && peers.TryGetValue(peer, out PeerDto? known) ? now - TimeSpan.FromSeconds(known.UptimeSeconds) : started;
                    Row(route, same ? "" : route.Prefix, name, since, route.From is { } key && peers.TryGetValue(key, out PeerDto? sender) ? sender.Address : null);
                    if (request.Details)
                    {
                        Attributes(route);
                    }
                }
            },
            IsThere,
            cancel);
        if (request.Count)
        {
            CountTable(request, ref table, family, ref tables);
            _reply.End(14, IsOld
                ? string.Create(CultureInfo.InvariantCulture, $"{routes} of {routes} routes for {networks} networks")
                : string.Create(CultureInfo.InvariantCulture, $"Total: {routes} of {routes} routes for {networks} networks in {tables} tables"));
        }
        else if (routes == 0 && request.One)
        {
            _reply.End(8001, IsOld ? "Network not in table" : "Network not found");
        }
        else
        {
            _reply.End(0, "");
        }
    }

    private void CountTable(RouteRequest request, ref (long Routes, long Networks) table, int family, ref int tables)
    {
        if (family == 0)
        {
            return;
        }

        tables++;
        if (request.Count && !IsOld)
        {
            _reply.Line(1007, string.Create(CultureInfo.InvariantCulture, $"{table.Routes} of {table.Routes} routes for {table.Networks} networks in table master{family}"));
        }

        table = default;
    }

    private bool Wanted(RouteRequest request, RouteDto route, Dictionary<string, PeerDto> peers) =>
        (!request.Primary || route.Best)
        && (request.Protocol is null || (request.Protocol == "kernel1" && route.Source == "kernel") || (request.Protocol == "static1" && route.Source == "originate"))
        && (request.FromAddress is null || (route.From is { } from && peers.TryGetValue(from, out PeerDto? peer) && peer.Address == request.FromAddress))
        && (_options.Family == 0 || route.Prefix.Contains(':', StringComparison.Ordinal) == (_options.Family == 6));

    /// <summary>The words after <c>show route</c> in any order; null after an error was answered.</summary>
    private RouteRequest? ParseRoute(List<string> words)
    {
        RouteRequest request = new() { Query = new RouteQuery { Family = _options.Family } };
        for (int i = 0; i < words.Count; i++)
        {
            string word = words[i];
            string? next = i + 1 < words.Count ? words[i + 1] : null;
            switch (word)
            {
                case "all":
                    request.Details = true;
                    break;
                case "primary":
                    request.Primary = true;
                    break;
                case "count":
                    request.Count = true;
                    break;
                case "filtered":
                    request.Query = request.Query with { Filtered = true };
                    break;
                case "stats":
                    request.Count = true;
                    break;
                case "for" when next is not null:
                    request.Query = request.Query with { Prefix = next.Split('/')[0] };
                    request.One = true;
                    i++;
                    break;
                case "in" when next is not null:
                    request.Query = request.Query with { Prefix = next, Longer = true };
                    i++;
                    break;
                case "table" when next is "master" or "master4" or "master6" or "all":
                    request.Query = next is "master4" or "master6" ? request.Query with { Family = next[^1] - '0' } : request.Query;
                    i++;
                    break;
                case "protocol" or "export" or "preexport" or "noexport" when next is not null:
                    if (!ParseProtocol(request, word, next))
                    {
                        return null;
                    }

                    i++;
                    break;
                case "where":
                    if (!ParseWhere(request, words[(i + 1)..]))
                    {
                        Unexpected("where");
                        return null;
                    }

                    return request;
                default:
                    if (!Ipv4Prefix.TryParse(word, out _) && !Ipv6Prefix.TryParse(word, out _))
                    {
                        Unexpected(word);
                        return null;
                    }

                    request.Query = request.Query with { Prefix = word.Contains('/', StringComparison.Ordinal) ? word : word + (word.Contains(':', StringComparison.Ordinal) ? "/128" : "/32") };
                    request.One = true;
                    break;
            }
        }

        return request;
    }

    private bool ParseProtocol(RouteRequest request, string word, string name)
    {
        List<BirdProtocol> found = Matching(name, out bool known);
        if (!known || found.Count != 1)
        {
            NoSuchProtocol(name);
            return false;
        }

        if (found[0].Peer is not { } peer)
        {
            request.Protocol = found[0].Name;
            return true;
        }

        switch (word)
        {
            case "protocol":
                request.Query = request.Query with { From = peer.Name };
                return true;
            case "export" or "preexport":
                request.Query = request.Query with { To = peer.Name, AsStored = true };
                return true;
            default:
                _reply.End(9001, "'noexport' is not answered here; use: pipit explain PREFIX --to PEER");
                return false;
        }
    }

    /// <summary>The conditions that looking glasses send: <c>net.type = NET_IP4</c>, <c>from = IP</c>, <c>net ~ [ P ]</c>.</summary>
    private static bool ParseWhere(RouteRequest request, List<string> words)
    {
        switch (words)
        {
            case ["net.type", "=", "NET_IP4" or "NET_IP6"]:
                request.Query = request.Query with { Family = words[2][^1] - '0' };
                return true;
            case ["from", "=", _] when IpAddr.TryParse(words[2], out IpAddr from):
                request.FromAddress = from.ToString();
                return true;
            case ["net", "~", "[", _, "]"] when words[3].TrimEnd('+') is { } prefix && (Ipv4Prefix.TryParse(prefix, out _) || Ipv6Prefix.TryParse(prefix, out _)):
                request.Query = request.Query with { Prefix = prefix, Longer = words[3].EndsWith('+') };
                return true;
            default:
                return false;
        }
    }

    private void Row(RouteDto route, string prefix, string name, DateTimeOffset since, string? sender)
    {
        // As BIRD has them: originated 200, kernel 10, BGP 100.
        int preference = route.Source switch { "originate" => 200, "kernel" => 10, _ => 100 };
        string from = sender is not null && sender != (route.Gateway ?? route.NextHop) ? $" from {sender}" : "";
        string mark = route.Best ? " *" : "";
        string last = route.Source == "bgp" ? $" [{Origin(route)}]" : "";
        bool unreachable = route.Source == "bgp" && route.RejectedBy is not null && route.Device is null;
        string? gateway = route.Source == "bgp" ? route.Gateway ?? (route.Device is null ? null : route.NextHop) : route.NextHop;
        string? discards = route.Type == "prohibit" ? "prohibited" : route.Type;
        if (IsOld)
        {
            string via = route.Source == "originate" ? "blackhole"
                : discards is not null ? discards
                : gateway is not null && route.Device is not null ? $"via {gateway} on {route.Device}"
                : route.Device is not null ? $"dev {route.Device}"
                : "unreachable";
            string metric = route.Source == "bgp" ? via == "unreachable" || unreachable ? "/-" : "/0" : "";
            _reply.Line(1007, $"{prefix,-18} {via} [{name} {Short(since)}{from}]{mark} ({preference}{metric}){last}");
            return;
        }

        string kind = route.Source == "originate" ? "blackhole" : discards ?? (unreachable || route.Device is null ? "unreachable" : "unicast");
        _reply.Line(1007, $"{prefix,-20} {kind} [{name} {Short(since)}{from}]{mark} ({preference}){last}");
        if (kind == "unicast")
        {
            _reply.Line(1007, gateway is not null ? $"\tvia {gateway} on {route.Device}" : $"\tdev {route.Device}");
        }
    }

    /// <summary>The AS that the route comes from, and how: <c>AS65001i</c>, or just <c>i</c>.</summary>
    private static string Origin(RouteDto route)
    {
        string origin = route.Origin switch { "igp" => "i", "egp" => "e", _ => "?" };
        int space = route.AsPath.LastIndexOf(' ');
        string last = route.AsPath[(space + 1)..];
        return last.Length > 0 && char.IsAsciiDigit(last[0]) && last[^1] != '}' ? $"AS{last}{origin}" : origin;
    }

    private void Attributes(RouteDto route)
    {
        string type = route.Source switch { "originate" => "static", "kernel" => "inherit", _ => "BGP" };
        _reply.Line(1008, IsOld ? $"\tType: {type} unicast univ" : $"\tType: {type} univ");
        if (route.Source != "bgp")
        {
            return;
        }

        _reply.Line(1012, $"\tBGP.origin: {route.Origin switch { "igp" => "IGP", "egp" => "EGP", _ => "Incomplete" }}");
        _reply.Line(1012, $"\tBGP.as_path: {route.AsPath}");
        _reply.Line(1012, $"\tBGP.next_hop: {route.NextHop}");
        if (route.Med is { } med)
        {
            _reply.Line(1012, string.Create(CultureInfo.InvariantCulture, $"\tBGP.med: {med}"));
        }

        _reply.Line(1012, string.Create(CultureInfo.InvariantCulture, $"\tBGP.local_pref: {route.LocalPref ?? 100}"));
        if (route.Communities.Count > 0)
        {
            _reply.Line(1012, $"\tBGP.community: {string.Join(' ', route.Communities.Select(static text => $"({BirdCommunity(text)})"))}");
        }

        if (route.OriginatorId is { } originator)
        {
            _reply.Line(1012, $"\tBGP.originator_id: {originator}");
        }

        if (route.ClusterList.Count > 0)
        {
            _reply.Line(1012, $"\tBGP.cluster_list: {string.Join(' ', route.ClusterList)}");
        }

        if (route.LargeCommunities.Count > 0)
        {
            _reply.Line(1012, $"\tBGP.large_community: {string.Join(' ', route.LargeCommunities.Select(static text => $"({text.Replace(":", ", ", StringComparison.Ordinal)})"))}");
        }
    }

    /// <summary>Numbers as BIRD writes them, well-known names included.</summary>
    private static string BirdCommunity(string text) => Community.TryParse(text, out uint value)
        ? string.Create(CultureInfo.InvariantCulture, $"{value >> 16},{value & 0xFFFF}")
        : text.Replace(':', ',');
}
