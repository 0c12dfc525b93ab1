using Bgp.Protocol;

namespace Rib;

/// <summary>What a rule does with a route that it matches, or a filter with one that no rule matched.</summary>
public enum FilterAction : byte
{
    /// <summary>On to the next filter; only as a filter's default.</summary>
    Next,

    /// <summary>The route goes on.</summary>
    Accept,

    /// <summary>The route stays.</summary>
    Reject,
}

/// <summary>Which neighbours a rule is for.</summary>
public enum FilterPeerType : byte
{
    /// <summary>All.</summary>
    Any,

    /// <summary>Internal ones.</summary>
    Ibgp,

    /// <summary>External ones.</summary>
    Ebgp,
}

/// <summary>
/// The conditions of a rule: all hold together; one that is null or empty holds always; a list holds when one of its entries does (a negated
/// list when none does). A rule that names prefixes or pools, none of them of the route's family, does not match.
/// </summary>
public sealed record FilterMatch
{
    /// <summary>Equal or inside.</summary>
    public IReadOnlyList<Cidr> Prefix { get; init; } = [];

    /// <summary>Equal.</summary>
    public IReadOnlyList<Cidr> PrefixExact { get; init; } = [];

    /// <summary>Neither equal nor inside.</summary>
    public IReadOnlyList<Cidr> NotPrefix { get; init; } = [];

    /// <summary>Not equal.</summary>
    public IReadOnlyList<Cidr> NotPrefixExact { get; init; } = [];

    /// <summary>Shortest and longest prefix length, both included.</summary>
    public (int Min, int Max)? PrefixLength { get; init; }

    /// <summary>
    /// The metric that the route has or would have as a kernel route, both bounds included: a kernel route's own (<see cref="PolicyScope.NormalMetricOf"/>
    /// where it has none), that for an originated one, 2^31-1-LOCAL_PREF for one learned over BGP.
    /// </summary>
    public (uint Min, uint Max)? KernelMetric { get; init; }

    /// <summary>Equal to or inside the pool of that name.</summary>
    public IReadOnlyList<string> Pool { get; init; } = [];

    /// <summary>Where the route came from.</summary>
    public IReadOnlyList<RouteSource> Source { get; init; } = [];

    /// <summary>rtm_protocol of a kernel-learned route.</summary>
    public IReadOnlyList<byte> KernelProtocol { get; init; } = [];

    /// <summary>Outgoing interface of a kernel-learned route; <c>*</c> and <c>?</c> as in a shell.</summary>
    public IReadOnlyList<string> Interface { get; init; } = [];

    /// <summary>Has the standard community.</summary>
    public IReadOnlyList<uint> Community { get; init; } = [];

    /// <summary>Has the large community.</summary>
    public IReadOnlyList<LargeCommunity> LargeCommunity { get; init; } = [];

    /// <summary>Regular expression over the AS numbers separated by spaces; see <see cref="AsPathPattern"/>.</summary>
    public string? AsPath { get; init; }

    /// <summary>The AS_PATH begins with these.</summary>
    public IReadOnlyList<uint> AsPathPrefix { get; init; } = [];

    /// <summary>LOCAL_PREF of a BGP-learned route, 100 where it carries none.</summary>
    public uint? LocalPref { get; init; }

    /// <summary>The next hop is inside.</summary>
    public IReadOnlyList<Cidr> NextHop { get; init; } = [];

    /// <summary>The kind of the neighbour that the chain belongs to.</summary>
    public FilterPeerType PeerType { get; init; }
}

/// <summary>One rule.</summary>
/// <param name="Match">Conditions.</param>
/// <param name="Set">What changes on a route that the rule accepts; null for nothing.</param>
/// <param name="Action">Accept or reject.</param>
public sealed record FilterRule(FilterMatch Match, PolicyEdit? Set, FilterAction Action);

/// <summary>A named filter. Compared by reference; <see cref="FilterPolicy{TPrefix}.ContentKey"/> compares contents.</summary>
public sealed record FilterDefinition
{
    /// <summary>Name.</summary>
    public required string Name { get; init; }

    /// <summary>Rules; the first that matches decides.</summary>
    public IReadOnlyList<FilterRule> Rules { get; init; } = [];

    /// <summary>What happens when none matches.</summary>
    public FilterAction Default { get; init; } = FilterAction.Next;
}

/// <summary>What filters may refer to.</summary>
public sealed record PolicyScope
{
    /// <summary>The filters of the configuration by name.</summary>
    public IReadOnlyDictionary<string, FilterDefinition> Filters { get; init; } = new Dictionary<string, FilterDefinition>();

    /// <summary>The pools.</summary>
    public IReadOnlyList<PoolDefinition> Pools { get; init; } = [];

    /// <summary>The prefixes that this node originates.</summary>
    public IReadOnlyList<OriginatedPrefix> Originate { get; init; } = [];

    /// <summary><c>kernel.learn.guard</c>: the agent's remote routes never reach an internal neighbour, whatever the filters say.</summary>
    public bool Guard { get; init; } = true;

    /// <summary>Whether <c>routeReflector</c> is configured.</summary>
    public bool RouteReflector { get; init; }

    /// <summary><c>kernel.normalMetric</c> of IPv4: what a route without metric counts as; a kernel route with less is elevated.</summary>
    public uint NormalMetricV4 { get; init; } = DefaultNormalMetric;

    /// <summary>The same of IPv6.</summary>
    public uint NormalMetricV6 { get; init; } = DefaultNormalMetric;

    /// <summary>What Calico's agent writes for a workload that is not being moved.</summary>
    public const uint DefaultNormalMetric = 1024;

    /// <summary>The normal metric of a family.</summary>
    public uint NormalMetricOf(AfiSafi family) => family == AfiSafi.Ipv6Unicast ? NormalMetricV6 : NormalMetricV4;
}
