using System.Collections;
using System.Globalization;
using System.Text;
using Bgp.Protocol;

namespace Bgp.Daemon.Config;

/// <summary>Which keys of a section differ, with what they were and are: <c>maxPaths 16 to 4, learn.excludeProtocols [] to [80]</c>. Those of peers are in <see cref="Peers.PeerChange"/>.</summary>
internal static class ConfigDetail
{
    /// <summary>Two sections of one kind; empty where they are equal, or of a kind with nothing to tell apart.</summary>
    internal static string Between(object old, object now) => (old, now) switch
    {
        (NodeConfig a, NodeConfig b) => Join(
            Key("name", a.Name, b.Name), Key("asn", a.Asn, b.Asn), Key("ipv4", With(a.Ipv4, a.Ipv4Length), With(b.Ipv4, b.Ipv4Length)),
            Key("ipv6", With(a.Ipv6, a.Ipv6Length), With(b.Ipv6, b.Ipv6Length)), Key("routerId", IpAddr.V4(a.RouterId), IpAddr.V4(b.RouterId))),
        (ListenConfig a, ListenConfig b) => Join(Key("address", a.Addresses, b.Addresses), Key("port", a.Port, b.Port), Key("backlog", a.Backlog, b.Backlog)),
        (KernelConfig a, KernelConfig b) => Join(
            Key("enabled", a.Enabled, b.Enabled), Key("families", a.Families, b.Families), Key("table", a.Table, b.Table), Key("protocol", a.Protocol, b.Protocol),
            Key("metric", Metric(a), Metric(b)), Key("normalMetric.ipv4", a.NormalMetricV4, b.NormalMetricV4), Key("normalMetric.ipv6", a.NormalMetricV6, b.NormalMetricV6),
            Key("ecmp", a.Ecmp, b.Ecmp), Key("maxPaths", a.MaxPaths, b.MaxPaths), Key("persist", a.Persist, b.Persist), Key("staleTime", a.StaleTime, b.StaleTime),
            Key("installDefault", a.InstallDefault, b.InstallDefault), Key("excludeNextHops", a.ExcludeNextHops, b.ExcludeNextHops),
            Key("nexthopObjects", a.NexthopObjects, b.NexthopObjects), Key("learn.enabled", a.LearnEnabled, b.LearnEnabled),
            Key("learn.interfaces", a.LearnInterfaces, b.LearnInterfaces), Key("learn.excludeInterfaces", a.LearnExcludeInterfaces, b.LearnExcludeInterfaces),
            Key("learn.excludeProtocols", a.LearnExcludeProtocols, b.LearnExcludeProtocols), Key("learn.guard", a.Guard, b.Guard),
            Key("direct.excludeInterfaces", a.DirectExcludeInterfaces, b.DirectExcludeInterfaces)),
        (PoolConfig a, PoolConfig b) => Join(
            Key("cidr", a.Cidr, b.Cidr), Key("blockSize", a.BlockSize, b.BlockSize), Key("tunnel.mode", a.TunnelMode, b.TunnelMode),
            Key("tunnel.when", a.CrossSubnet ? "crossSubnet" : "always", b.CrossSubnet ? "crossSubnet" : "always"), Key("tunnel.device", a.TunnelDevice, b.TunnelDevice),
            Key("export", a.Export, b.Export), Key("installKernel", a.InstallKernel, b.InstallKernel), Key("use", a.IsService ? "service" : "workload", b.IsService ? "service" : "workload")),
        (OriginateConfig a, OriginateConfig b) => Join(Key("kind", a.Kind, b.Kind), Key("communities", Communities(a), Communities(b))),
        (BmpConfig a, BmpConfig b) => Join(
            Key("address", a.Address, b.Address), Key("port", a.Port, b.Port), Key("policy", string.Join(", ", BmpPolicyWords.Words(a.Policies)), string.Join(", ", BmpPolicyWords.Words(b.Policies))),
            Key("statsInterval", a.StatsInterval, b.StatsInterval), Key("connectRetry", a.ConnectRetry, b.ConnectRetry)),
        (LogConfig a, LogConfig b) => Join(Key("level", a.Level, b.Level), Key("format", a.Json ? "json" : "text", b.Json ? "json" : "text")),
        (MetricsConfig a, MetricsConfig b) => Join(Key("listen", a.Listen, b.Listen)),
        (bool a, bool b) => Join(Key("", a, b)),
        (uint a, uint b) => Join(Key("clusterId", a == 0 ? default : IpAddr.V4(a), b == 0 ? default : IpAddr.V4(b))),
        _ => "",
    };

    private static string Join(params ReadOnlySpan<string?> keys)
    {
        StringBuilder text = new();
        foreach (string? key in keys)
        {
            if (key is not null)
            {
                text.Append(text.Length > 0 ? ", " : "").Append(key);
            }
        }

        return text.ToString();
    }

    private static string? Key<T>(string key, T old, T now)
        where T : notnull => old.Equals(now) ? null : $"{key} {Text(old)} to {Text(now)}".TrimStart();

    private static string Text(object value) => value switch
    {
        bool flag => flag ? "true" : "false",
        TimeSpan time => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.###}s"),
        string { Length: 0 } => "none",
        IpAddr { IsNone: true } => "none",
        Enum word => char.ToLowerInvariant(word.ToString()[0]) + word.ToString()[1..],
        string or IEnumerable => value.ToString()!,
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString()!,
    };

    private static string With(in IpAddr address, int length) =>
        address.IsNone ? "" : length == 0 ? address.ToString() : string.Create(CultureInfo.InvariantCulture, $"{address}/{length}");

    private static string Metric(KernelConfig kernel) => kernel.MetricMode switch
    {
        KernelMetricMode.Fixed => kernel.Metric.ToString(CultureInfo.InvariantCulture),
        KernelMetricMode.LocalPref => "localPref",
        _ => "none",
    };

    private static string Communities(OriginateConfig originate) => $"[{string.Join(", ", originate.Communities.Select(static community => Community.Text(community)))}]";
}
