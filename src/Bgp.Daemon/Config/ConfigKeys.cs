namespace Bgp.Daemon.Config;

internal enum ValueKind : byte
{
    Text,
    Name,
    Number,
    Bool,
    Duration,
    Asn,
    Ip,
    AddressLength,
    Prefix,
    RouterId,
    NodeRouterId,
    Community,
    LargeCommunity,
    Word,
    LengthRange,
    MetricRange,
    AddPathSend,
    Table,
    Metric,
    NextHop,
    Prepend,
    Endpoint,
    Regex,
    Secret,
    Map,
    List,
    Names,
}

/// <summary>One key of the configuration: the only place where its name, form and default are written.</summary>
internal sealed record ConfigKey(string Name, ValueKind Kind, string Default = "")
{
    internal ConfigKey[] Keys { get; init; } = [];

    /// <summary>Form of the items of a list, or of the values of a map by name.</summary>
    internal ConfigKey? Item { get; init; }

    internal string[] Words { get; init; } = [];

    internal long Min { get; init; }

    internal long Max { get; init; } = uint.MaxValue;

    internal bool Required { get; init; }

    /// <summary>A list of scalars that may be written as one scalar.</summary>
    internal bool OneOrMany { get; init; }

    /// <summary>Also takes <c>{ env: VAR }</c>.</summary>
    internal bool FromEnvironment { get; init; }

    /// <summary>Also takes <c>{ ipv4: VALUE, ipv6: VALUE }</c>.</summary>
    internal bool PerFamily { get; init; }

    /// <summary>The map form of a key that may differ by family.</summary>
    internal ConfigKey ByFamily => new(Name, ValueKind.Map) { Keys = [this with { Name = "ipv4", PerFamily = false }, this with { Name = "ipv6", PerFamily = false }] };

    internal ConfigKey? Find(string name) => Array.Find(Keys, k => k.Name == name);
}

/// <summary>
/// The table of all keys. Structure check, schema and reference documentation are made from it; the resolver reads what it admits.
/// </summary>
internal static class ConfigKeys
{
    private static ConfigKey T(string name, string def = "") => new(name, ValueKind.Text, def);

    private static ConfigKey Id(string name, string def = "") => new(name, ValueKind.Name, def);

    private static ConfigKey N(string name, string def, long min, long max) => new(name, ValueKind.Number, def) { Min = min, Max = max };

    private static ConfigKey B(string name, string def) => new(name, ValueKind.Bool, def);

    private static ConfigKey D(string name, string def) => new(name, ValueKind.Duration, def);

    private static ConfigKey W(string name, string def, params string[] words) => new(name, ValueKind.Word, def) { Words = words };

    private static ConfigKey M(string name, params ConfigKey[] keys) => new(name, ValueKind.Map) { Keys = keys };

    private static ConfigKey L(string name, ConfigKey item, string def = "[]") => new(name, ValueKind.List, def) { Item = item };

    private static ConfigKey S(string name, ConfigKey item, string def = "[]") => new(name, ValueKind.List, def) { Item = item, OneOrMany = true };

    private static ConfigKey V(string name, ValueKind kind, string def = "") => new(name, kind, def);

    private static ConfigKey Must(ConfigKey key) => key with { Required = true };

    private static ConfigKey Env(ConfigKey key) => key with { FromEnvironment = true };

    private static ConfigKey[] PeerSettings(ConfigKey[] first) =>
    [
        .. first,
        N("port", "179", 1, 65535), V("asn", ValueKind.Asn), V("localAsn", ValueKind.Asn, "node.asn"), T("description"), B("passive", "false"),
        V("sourceAddress", ValueKind.Ip), N("multihop", "iBGP 64, eBGP 1", 1, 255), N("ttlSecurity", "off", 1, 254),
        W("nextHop", "auto", "auto", "self", "unchanged"), B("routeReflectorClient", "false"), V("clusterId", ValueKind.RouterId, "routeReflector.clusterId"),
        N("allowLocalAs", "0", 0, 10), B("enforceFirstAs", "true"), V("reachableBy", ValueKind.Ip),
        M("timers", D("hold", "90s"), D("keepalive", "hold/3"), D("connectRetry", "5s"), D("idleHold", "5s")),
        M("gracefulRestart", B("enabled", "true"), D("restartTime", "120s"), D("longLived", "off")),
        M("families", Family("ipv4"), Family("ipv6")),
        M("auth", V("md5", ValueKind.Secret)), S("import", T("filter"), "iBGP [all], eBGP nothing"), S("export", T("filter"), "iBGP [calico-export] or, on a reflector, [all]; eBGP nothing"),
        M("bfd", D("interval", "300ms"), N("multiplier", "3", 1, 255)), B("disabled", "false"),
    ];

    private static ConfigKey Family(string name) => M(name,
        M("addPath", V("send", ValueKind.AddPathSend, "off; on a reflector 16"), B("receive", "false; on a reflector true")),
        M("maxPrefixes", Must(N("count", "no limit", 1, int.MaxValue)), W("action", "warn", "warn", "restart")));

    /// <summary>Most AS numbers that a rule prepends.</summary>
    internal const int MaxPrepend = 16;

    /// <summary>The list form of a rule's <c>prepend</c>.</summary>
    internal static readonly ConfigKey PrependList = L("prepend", V("asn", ValueKind.Asn));

    /// <summary>Keys an included file may have.</summary>
    internal static readonly string[] Includable = ["version", "pools", "originate", "mesh", "peers", "peerGroups", "dynamicPeers", "filters"];

    internal static readonly ConfigKey Root = M("",
        Must(N("version", "1", 1, 1)),
        S("include", T("pattern")),
        B("watch", "false"),
        Must(M("node", Must(Env(Id("name"))), Must(V("asn", ValueKind.Asn)), Env(V("ipv4", ValueKind.AddressLength)), Env(V("ipv6", ValueKind.AddressLength)),
            V("routerId", ValueKind.NodeRouterId, "ipv4"))),
        M("listen", S("address", V("address", ValueKind.Ip), "[0.0.0.0, \"::\"]"), N("port", "179", 1, 65535), N("backlog", "4096", 1, 65535)),
        L("pools", M("pool", Must(Id("name")), Must(V("cidr", ValueKind.Prefix)), N("blockSize", "26 (IPv4), 122 (IPv6)", 1, 128),
            M("tunnel", W("mode", "none", "none", "ipip", "vxlan"), W("when", "always", "always", "crossSubnet"), T("device", "tunl0")),
            B("export", "true"), B("installKernel", "true"), W("use", "workload", "workload", "service"))),
        L("originate", M("prefix", Must(V("prefix", ValueKind.Prefix)), W("kind", "blackhole", "blackhole", "unreachable", "none"),
            S("communities", V("community", ValueKind.Community)))),
        M("kernel", B("enabled", "true"), S("families", W("family", "", "ipv4", "ipv6"), "[ipv4, ipv6]"), V("table", ValueKind.Table, "main"), N("protocol", "12", 1, 255), V("metric", ValueKind.Metric, "none"), N("normalMetric", "1024", 1, int.MaxValue) with { PerFamily = true }, B("ecmp", "true"),
            N("maxPaths", "16", 1, 256), B("persist", "true"), D("staleTime", "30s"), B("installDefault", "false"),
            S("excludeNextHops", V("prefix", ValueKind.Prefix)), B("nexthopObjects", "false"),
            M("learn", B("enabled", "true"), S("interfaces", T("glob")), S("excludeInterfaces", T("glob")), S("excludeProtocols", N("protocol", "", 0, 255)), B("guard", "true")),
            M("direct", S("excludeInterfaces", T("glob"), "[cali*, kube-ipvs*]"))),
        M("mesh", T("group"), L("nodes", M("node", Must(Id("name")), V("ipv4", ValueKind.Ip), V("ipv6", ValueKind.Ip), V("asn", ValueKind.Asn, "the group's")))),
        L("peers", M("peer", PeerSettings([Must(Id("name")), Must(V("address", ValueKind.Ip)), T("interface"), T("group"), Id("birdName", "name")]))),
        new ConfigKey("peerGroups", ValueKind.Names) { Item = M("group", PeerSettings([])) },
        L("dynamicPeers", M("range", Must(V("range", ValueKind.Prefix)), Must(T("group")), N("limit", "100", 1, 65000))),
        M("routeReflector", V("clusterId", ValueKind.RouterId, "node.routerId")),
        new ConfigKey("filters", ValueKind.Names) { Item = M("filter", L("rules", M("rule", Match(), Set(), Must(W("action", "", "accept", "reject")))), W("default", "next", "accept", "reject", "next")) },
        L("birdCompat", M("socket", Must(T("path")), W("dialect", "bird2", "bird1", "bird2"), W("family", "both", "ipv4", "ipv6"), T("mode", "0660"), T("group"), B("readOnly", "false"))),
        M("log", W("level", "info", "trace", "debug", "info", "warning", "error"), W("format", "text", "text", "json")),
        M("metrics", V("listen", ValueKind.Endpoint, "127.0.0.1:9179")),
        L("bmp", M("station", Id("name", "address"), Must(V("address", ValueKind.Ip)), N("port", "11019", 1, 65535),
            S("policy", W("policy", "", [.. BmpPolicyWords.All]), "pre"), D("statsInterval", "60s"), D("connectRetry", "30s"))));

    private static ConfigKey Match() => M("match",
        S("prefix", V("prefix", ValueKind.Prefix)), S("prefixExact", V("prefix", ValueKind.Prefix)), S("notPrefix", V("prefix", ValueKind.Prefix)),
        S("notPrefixExact", V("prefix", ValueKind.Prefix)), V("prefixLength", ValueKind.LengthRange), V("kernelMetric", ValueKind.MetricRange), S("pool", T("pool")),
        S("source", W("source", "", "kernel", "originate", "bgp")), S("kernelProtocol", N("protocol", "", 0, 255)), S("interface", T("glob")),
        S("community", V("community", ValueKind.Community)), S("largeCommunity", V("community", ValueKind.LargeCommunity)), V("asPath", ValueKind.Regex),
        S("asPathPrefix", V("asn", ValueKind.Asn)), N("localPref", "", 0, uint.MaxValue), S("nextHop", V("prefix", ValueKind.Prefix)), W("peerType", "", "ibgp", "ebgp"));

    private static ConfigKey Set() => M("set",
        N("localPref", "", 0, uint.MaxValue), N("med", "", 0, uint.MaxValue), S("addCommunities", V("community", ValueKind.Community)),
        S("removeCommunities", V("community", ValueKind.Community)), S("addLargeCommunities", V("community", ValueKind.LargeCommunity)),
        V("prepend", ValueKind.Prepend, "0"), V("nextHop", ValueKind.NextHop), N("kernelMetric", "", 0, int.MaxValue), N("preference", "", 1, 255));
}
