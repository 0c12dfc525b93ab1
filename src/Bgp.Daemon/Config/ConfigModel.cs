using Bgp.Protocol;

namespace Bgp.Daemon.Config;

/// <summary>How a peer's next hop is written on export.</summary>
public enum NextHopRule : byte
{
    /// <summary>Own routes: our address; reflected routes: unchanged; to eBGP: our address.</summary>
    Auto,

    /// <summary>Always our address.</summary>
    Self,

    /// <summary>Never changed for routes learned from BGP.</summary>
    Unchanged,
}

/// <summary>How packets between pods of two nodes travel.</summary>
public enum TunnelMode : byte
{
    /// <summary>Routed.</summary>
    None,

    /// <summary>IP in IP; ignored for IPv6.</summary>
    Ipip,

    /// <summary>VXLAN: somebody else's routes, never installed by us.</summary>
    Vxlan,
}

/// <summary>What <c>originate[].kind</c> puts into the kernel.</summary>
public enum OriginateKind : byte
{
    /// <summary>A blackhole route.</summary>
    Blackhole,

    /// <summary>An unreachable route.</summary>
    Unreachable,

    /// <summary>Nothing: announced only.</summary>
    None,
}

/// <summary>Meaning of <c>kernel.metric</c>.</summary>
public enum KernelMetricMode : byte
{
    /// <summary>Routes are installed without a metric.</summary>
    None,

    /// <summary>All routes get the same one.</summary>
    Fixed,

    /// <summary>metric = 2^31-1-LOCAL_PREF.</summary>
    LocalPref,
}

/// <summary>End of a filter or rule.</summary>
public enum FilterVerdict : byte
{
    /// <summary>The route is taken and the chain ends.</summary>
    Accept,

    /// <summary>The route is dropped and the chain ends.</summary>
    Reject,

    /// <summary>The next filter of the chain decides.</summary>
    Next,
}

/// <summary>The whole configuration, resolved: defaults applied, groups inherited, mesh expanded. Immutable; equality is by content.</summary>
public sealed record ConfigModel
{
    /// <summary>This node.</summary>
    public required NodeConfig Node { get; init; }

    /// <summary>Where sessions are accepted.</summary>
    public ListenConfig Listen { get; init; } = new();

    /// <summary>Address pools.</summary>
    public ConfigList<PoolConfig> Pools { get; init; } = [];

    /// <summary>Own prefixes.</summary>
    public ConfigList<OriginateConfig> Originate { get; init; } = [];

    /// <summary>The kernel's routing table.</summary>
    public KernelConfig Kernel { get; init; } = new();

    /// <summary>All peers with an address: <c>peers[]</c> in order, then the mesh. Names are unique, and so is what address, interface and port make together.</summary>
    public ConfigList<PeerConfig> Peers { get; init; } = [];

    /// <summary>Ranges that peers may come from.</summary>
    public ConfigList<DynamicPeerConfig> DynamicPeers { get; init; } = [];

    /// <summary><c>routeReflector.clusterId</c> in host order; null where the node is no reflector.</summary>
    public uint? ClusterId { get; init; }

    /// <summary>User filters.</summary>
    public ConfigList<FilterConfig> Filters { get; init; } = [];

    /// <summary>BIRD-compatible sockets.</summary>
    public ConfigList<BirdCompatConfig> BirdCompat { get; init; } = [];

    /// <summary>Logging.</summary>
    public LogConfig Log { get; init; } = new();

    /// <summary>The HTTP endpoint.</summary>
    public MetricsConfig Metrics { get; init; } = new();

    /// <summary>BMP stations.</summary>
    public ConfigList<BmpConfig> Bmp { get; init; } = [];

    /// <summary>Whether the files are watched and reloaded on their own.</summary>
    public bool Watch { get; init; }

    /// <summary>Include patterns as written.</summary>
    public ConfigList<string> Include { get; init; } = [];

    /// <summary>Every file that was read, the main one first.</summary>
    public ConfigList<string> Files { get; init; } = [];

    /// <summary>12 hexadecimal digits that are the same for equal content (secrets' values and file names aside).</summary>
    public string Hash => ConfigHash.Of(this);
}

/// <summary>The node.</summary>
public sealed record NodeConfig
{
    /// <summary>Name.</summary>
    public string Name { get; init; } = "";

    /// <summary>Own AS number.</summary>
    public uint Asn { get; init; }

    /// <summary>IPv4 address, or none.</summary>
    public IpAddr Ipv4 { get; init; }

    /// <summary>Length of the node's IPv4 subnet; 0 where it was not given (then the interface that holds the address tells).</summary>
    public int Ipv4Length { get; init; }

    /// <summary>IPv6 address, or none.</summary>
    public IpAddr Ipv6 { get; init; }

    /// <summary>Length of the node's IPv6 subnet; 0 where it was not given.</summary>
    public int Ipv6Length { get; init; }

    /// <summary>BGP Identifier, host order.</summary>
    public uint RouterId { get; init; }
}

/// <summary>Listening sockets.</summary>
public sealed record ListenConfig
{
    /// <summary>Addresses; by default both unspecified ones.</summary>
    public ConfigList<IpAddr> Addresses { get; init; } = [IpAddr.V4(0), IpAddr.V6(0, 0)];

    /// <summary>TCP port.</summary>
    public int Port { get; init; } = 179;

    /// <summary>Length of the queue of connections not yet accepted.</summary>
    public int Backlog { get; init; } = 4096;
}

/// <summary>An address pool.</summary>
public sealed record PoolConfig
{
    /// <summary>Name.</summary>
    public required string Name { get; init; }

    /// <summary>Range.</summary>
    public required Cidr Cidr { get; init; }

    /// <summary>Length of the blocks that nodes take.</summary>
    public int BlockSize { get; init; }

    /// <summary>Encapsulation.</summary>
    public TunnelMode TunnelMode { get; init; }

    /// <summary>Only where the next hop is outside the node's subnet.</summary>
    public bool CrossSubnet { get; init; }

    /// <summary>Tunnel device.</summary>
    public string TunnelDevice { get; init; } = "tunl0";

    /// <summary>Whether calico-export lets it out.</summary>
    public bool Export { get; init; } = true;

    /// <summary>Whether routes inside go to the kernel.</summary>
    public bool InstallKernel { get; init; } = true;

    /// <summary>Service addresses (never installed) rather than pods.</summary>
    public bool IsService { get; init; }
}

/// <summary>A prefix this node originates.</summary>
public sealed record OriginateConfig
{
    /// <summary>Prefix.</summary>
    public required Cidr Prefix { get; init; }

    /// <summary>What stands in the kernel.</summary>
    public OriginateKind Kind { get; init; }

    /// <summary>Standard communities.</summary>
    public ConfigList<uint> Communities { get; init; } = [];
}

/// <summary>The kernel side.</summary>
public sealed record KernelConfig
{
    /// <summary>When false, netlink is never opened.</summary>
    public bool Enabled { get; init; } = true;

    /// <summary>Families whose routes of our protocol are ours; those of the other belong to another process.</summary>
    public ConfigList<string> Families { get; init; } = ["ipv4", "ipv6"];

    /// <summary>RT_TABLE_MAIN.</summary>
    internal const uint MainTable = 254;

    /// <summary>Routing table.</summary>
    public uint Table { get; init; } = MainTable;

    /// <summary>rtm_protocol.</summary>
    public byte Protocol { get; init; } = 12;

    /// <summary>Which metric routes get.</summary>
    public KernelMetricMode MetricMode { get; init; }

    /// <summary>The metric of <see cref="KernelMetricMode.Fixed"/>.</summary>
    public uint Metric { get; init; }

    /// <summary>What an IPv4 route without metric counts as; less is elevated.</summary>
    public uint NormalMetricV4 { get; init; } = global::Rib.PolicyScope.DefaultNormalMetric;

    /// <summary>The same of IPv6.</summary>
    public uint NormalMetricV6 { get; init; } = global::Rib.PolicyScope.DefaultNormalMetric;

    /// <summary>Merge equal paths.</summary>
    public bool Ecmp { get; init; } = true;

    /// <summary>Next hops per route at most.</summary>
    public int MaxPaths { get; init; } = 16;

    /// <summary>Whether routes stay when the daemon ends.</summary>
    public bool Persist { get; init; } = true;

    /// <summary>When adopted routes that no peer confirmed go.</summary>
    public TimeSpan StaleTime { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Whether a default route may be installed.</summary>
    public bool InstallDefault { get; init; }

    /// <summary>Routes with these next hops are not installed.</summary>
    public ConfigList<Cidr> ExcludeNextHops { get; init; } = [];

    /// <summary>Routes are written by the id of a next hop object, which they share.</summary>
    public bool NexthopObjects { get; init; }

    /// <summary>Whether the kernel's routes enter the table.</summary>
    public bool LearnEnabled { get; init; } = true;

    /// <summary>Globs; where not empty, only routes through these are learned.</summary>
    public ConfigList<string> LearnInterfaces { get; init; } = [];

    /// <summary>Globs of interfaces whose routes are not learned.</summary>
    public ConfigList<string> LearnExcludeInterfaces { get; init; } = [];

    /// <summary>rtm_protocol values that are not learned.</summary>
    public ConfigList<byte> LearnExcludeProtocols { get; init; } = [];

    /// <summary>Whether remote routes are kept from iBGP even by explicit filters.</summary>
    public bool Guard { get; init; } = true;

    /// <summary>Globs of interfaces whose addresses do not count as routes.</summary>
    public ConfigList<string> DirectExcludeInterfaces { get; init; } = ["cali*", "kube-ipvs*"];
}

/// <summary>One family of a peer.</summary>
public sealed record FamilyConfig
{
    /// <summary>Family.</summary>
    public required AfiSafi Family { get; init; }

    /// <summary>Announce that several paths per prefix are taken (RFC 7911).</summary>
    public bool AddPathReceive { get; init; }

    /// <summary>Paths per prefix to send where the peer takes several; 0 off.</summary>
    public int AddPathSend { get; init; }

    /// <summary>Most prefixes; 0 for no limit.</summary>
    public int MaxPrefixes { get; init; }

    /// <summary>More prefixes than that end the session (Cease, subcode 1) rather than warn.</summary>
    public bool MaxPrefixesTearsDown { get; init; }
}

/// <summary>BFD on a peer.</summary>
/// <param name="Interval">Between packets.</param>
/// <param name="Multiplier">Lost packets until down.</param>
public sealed record BfdConfig(TimeSpan Interval, int Multiplier);

/// <summary>A peer, fully resolved.</summary>
public sealed record PeerConfig
{
    /// <summary>Unique name.</summary>
    public required string Name { get; init; }

    /// <summary>Name on BIRD-compatible sockets.</summary>
    public string BirdName { get; init; } = "";

    /// <summary>Group it inherits from, or empty.</summary>
    public string Group { get; init; } = "";

    /// <summary>Free text.</summary>
    public string Description { get; init; } = "";

    /// <summary>Whether <c>mesh</c> made it.</summary>
    public bool IsMesh { get; init; }

    /// <summary>Transport address; none only for the template of a dynamic range.</summary>
    public IpAddr Address { get; init; }

    /// <summary>Interface of a link-local address, or empty.</summary>
    public string Interface { get; init; } = "";

    /// <summary>TCP port.</summary>
    public int Port { get; init; } = 179;

    /// <summary>AS number; 0 (dynamic peers only) takes any.</summary>
    public uint Asn { get; init; }

    /// <summary>Our AS number on this session.</summary>
    public uint LocalAsn { get; init; }

    /// <summary>Never connects.</summary>
    public bool Passive { get; init; }

    /// <summary>Own address to connect from, or none.</summary>
    public IpAddr SourceAddress { get; init; }

    /// <summary>Time to live of our packets: 64 for iBGP, 1 for eBGP, unless configured. With <see cref="TtlSecurity"/>, 255 is sent.</summary>
    public int Multihop { get; init; }

    /// <summary>GTSM: how many hops away the peer may be (RFC 5082); 0 off.</summary>
    public int TtlSecurity { get; init; }

    /// <summary>Next hop on export.</summary>
    public NextHopRule NextHop { get; init; }

    /// <summary>RFC 4456 client.</summary>
    public bool RouteReflectorClient { get; init; }

    /// <summary>Cluster id, host order: the peer's, the reflector's, or the router id.</summary>
    public uint ClusterId { get; init; }

    /// <summary>How often our AS number may stand in a received AS_PATH.</summary>
    public int AllowLocalAs { get; init; }

    /// <summary>The first AS of an eBGP path must be the peer's.</summary>
    public bool EnforceFirstAs { get; init; } = true;

    /// <summary>Gateway through which the peer is reached, or none.</summary>
    public IpAddr ReachableBy { get; init; }

    /// <summary>Hold time; 0 for none.</summary>
    public TimeSpan Hold { get; init; } = TimeSpan.FromSeconds(90);

    /// <summary>Keepalive interval at most; hold/3 by default.</summary>
    public TimeSpan Keepalive { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Between connection attempts, before jitter of 25 %.</summary>
    public TimeSpan ConnectRetry { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>First pause after an error; doubles up to 30 s.</summary>
    public TimeSpan IdleHold { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Graceful restart, both roles (RFC 4724).</summary>
    public bool GracefulRestart { get; init; } = true;

    /// <summary>Restart time announced.</summary>
    public TimeSpan RestartTime { get; init; } = TimeSpan.FromSeconds(120);

    /// <summary>Long-lived stale time (RFC 9494); zero off.</summary>
    public TimeSpan LongLived { get; init; }

    /// <summary>Families in the order ipv4, ipv6.</summary>
    public ConfigList<FamilyConfig> Families { get; init; } = [];

    /// <summary>TCP MD5 key, or null.</summary>
    public Secret? Md5 { get; init; }

    /// <summary>Names of import filters in order; empty rejects everything.</summary>
    public ConfigList<string> Import { get; init; } = [];

    /// <summary>Names of export filters in order; empty rejects everything.</summary>
    public ConfigList<string> Export { get; init; } = [];

    /// <summary>Whether <see cref="Export"/> was written by the user (the guard of kernel.learn applies to it too).</summary>
    public bool ExplicitExport { get; init; }

    /// <summary>BFD, or null.</summary>
    public BfdConfig? Bfd { get; init; }

    /// <summary>Administratively down.</summary>
    public bool Disabled { get; init; }

    /// <summary>Internal peer.</summary>
    public bool IsIbgp => Asn == LocalAsn;
}

/// <summary>A range that unnamed peers may connect from.</summary>
public sealed record DynamicPeerConfig
{
    /// <summary>Source addresses.</summary>
    public required Cidr Range { get; init; }

    /// <summary>Sessions at most.</summary>
    public int Limit { get; init; } = 100;

    /// <summary>Settings of every such peer; its name is the group's or the range's text, its address none.</summary>
    public required PeerConfig Template { get; init; }
}

/// <summary>A filter.</summary>
/// <param name="Name">Name.</param>
/// <param name="Rules">In order.</param>
/// <param name="Default">When no rule decided.</param>
public sealed record FilterConfig(string Name, ConfigList<FilterRuleConfig> Rules, FilterVerdict Default);

/// <summary>A rule.</summary>
/// <param name="Match">Conditions, all of which hold together.</param>
/// <param name="Set">Changes.</param>
/// <param name="Action">Accept, reject, or (none written) next.</param>
public sealed record FilterRuleConfig(FilterMatchConfig Match, FilterSetConfig Set, FilterVerdict Action);

/// <summary>Conditions; null and empty ones are not there. Lists: any of them.</summary>
public sealed record FilterMatchConfig
{
    /// <summary>Equal or inside.</summary>
    public ConfigList<Cidr> Prefix { get; init; } = [];

    /// <summary>Equal.</summary>
    public ConfigList<Cidr> PrefixExact { get; init; } = [];

    /// <summary>Neither equal nor inside.</summary>
    public ConfigList<Cidr> NotPrefix { get; init; } = [];

    /// <summary>Not equal.</summary>
    public ConfigList<Cidr> NotPrefixExact { get; init; } = [];

    /// <summary>Lengths from.</summary>
    public int? MinLength { get; init; }

    /// <summary>Lengths to.</summary>
    public int? MaxLength { get; init; }

    /// <summary>Metrics from.</summary>
    public int? MinMetric { get; init; }

    /// <summary>Metrics to.</summary>
    public int? MaxMetric { get; init; }

    /// <summary>Inside these pools.</summary>
    public ConfigList<string> Pool { get; init; } = [];

    /// <summary>kernel, originate, bgp.</summary>
    public ConfigList<string> Source { get; init; } = [];

    /// <summary>rtm_protocol of kernel-learned routes.</summary>
    public ConfigList<byte> KernelProtocol { get; init; } = [];

    /// <summary>Globs on the kernel route's interface.</summary>
    public ConfigList<string> Interface { get; init; } = [];

    /// <summary>Has any of these standard communities.</summary>
    public ConfigList<uint> Community { get; init; } = [];

    /// <summary>Has any of these large communities.</summary>
    public ConfigList<LargeCommunity> LargeCommunity { get; init; } = [];

    /// <summary>Regular expression over the AS path as text.</summary>
    public string? AsPath { get; init; }

    /// <summary>First AS numbers of the path.</summary>
    public ConfigList<uint> AsPathPrefix { get; init; } = [];

    /// <summary>LOCAL_PREF.</summary>
    public uint? LocalPref { get; init; }

    /// <summary>Next hop inside these.</summary>
    public ConfigList<Cidr> NextHop { get; init; } = [];

    /// <summary>ibgp or ebgp.</summary>
    public string? PeerType { get; init; }
}

/// <summary>Changes; null and empty ones are not there.</summary>
public sealed record FilterSetConfig
{
    /// <summary>LOCAL_PREF.</summary>
    public uint? LocalPref { get; init; }

    /// <summary>MED.</summary>
    public uint? Med { get; init; }

    /// <summary>Added.</summary>
    public ConfigList<uint> AddCommunities { get; init; } = [];

    /// <summary>Removed.</summary>
    public ConfigList<uint> RemoveCommunities { get; init; } = [];

    /// <summary>Added.</summary>
    public ConfigList<LargeCommunity> AddLargeCommunities { get; init; } = [];

    /// <summary>How many more times our AS.</summary>
    public int Prepend { get; init; }

    /// <summary>AS numbers put in front, the first one foremost.</summary>
    public ConfigList<uint> PrependAsns { get; init; } = [];

    /// <summary>New next hop; none leaves it. <see cref="NextHopSelf"/> is the word <c>self</c>.</summary>
    public IpAddr NextHop { get; init; }

    /// <summary>The session's own address as next hop.</summary>
    public bool NextHopSelf { get; init; }

    /// <summary>Metric in the kernel.</summary>
    public uint? KernelMetric { get; init; }

    /// <summary>Rank among sources.</summary>
    public byte? Preference { get; init; }
}

/// <summary>A BIRD-compatible socket.</summary>
/// <param name="Path">Path of the socket.</param>
/// <param name="Dialect">1 or 2.</param>
/// <param name="Family">4, 6, or 0 for both.</param>
/// <param name="Mode">Permission bits.</param>
/// <param name="Group">Group that owns it, or empty.</param>
/// <param name="ReadOnly">No commands that change anything.</param>
public sealed record BirdCompatConfig(string Path, int Dialect, int Family, int Mode, string Group, bool ReadOnly);

/// <summary>Logging.</summary>
/// <param name="Level">trace, debug, info, warning, error.</param>
/// <param name="Json">One JSON object per line.</param>
public sealed record LogConfig(string Level = "info", bool Json = false);

/// <summary>HTTP endpoint.</summary>
/// <param name="Listen">host:port, or empty for none.</param>
public sealed record MetricsConfig(string Listen = "127.0.0.1:9179");

/// <summary>Which routes a BMP station is told of.</summary>
[Flags]
public enum BmpPolicies : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>What neighbours sent, before import policy (RFC 7854 section 5).</summary>
    Pre = 1,

    /// <summary>What import policy left of it.</summary>
    Post = 2,

    /// <summary>What was selected (RFC 9069).</summary>
    LocRib = 4,
}

/// <summary>The words of <see cref="BmpPolicies"/>.</summary>
public static class BmpPolicyWords
{
    /// <summary>As the configuration has them.</summary>
    public static IReadOnlyList<string> All { get; } = ["pre", "post", "locRib"];

    /// <summary>What is set, in words.</summary>
    public static IEnumerable<string> Words(this BmpPolicies policies) => All.Where(word => policies.HasFlag(Parse(word)));

    /// <summary>One word; none for any other.</summary>
    public static BmpPolicies Parse(string word) => word switch { "pre" => BmpPolicies.Pre, "post" => BmpPolicies.Post, "locRib" => BmpPolicies.LocRib, _ => BmpPolicies.None };
}

/// <summary>A BMP station (RFC 7854).</summary>
/// <param name="Name">Name.</param>
/// <param name="Address">Address.</param>
/// <param name="Port">TCP port.</param>
/// <param name="Policies">What it is told.</param>
/// <param name="StatsInterval">Time between two Statistics Reports; 0 for none.</param>
/// <param name="ConnectRetry">First pause after a connection that failed; it doubles.</param>
public sealed record BmpConfig(string Name, IpAddr Address, int Port, BmpPolicies Policies, TimeSpan StatsInterval, TimeSpan ConnectRetry);
