using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Peers;

/// <summary>One family of a peer, resolved.</summary>
internal sealed record FamilySettings
{
    internal required AfiSafi Family { get; init; }

    /// <summary>ADD-PATH directions to announce (RFC 7911).</summary>
    internal AddPathMode AddPath { get; init; }

    /// <summary>Paths per prefix to send where the neighbour takes several.</summary>
    internal int AddPathLimit { get; init; }

    /// <summary>Prefixes accepted; 0 for no limit.</summary>
    internal int MaxPrefixes { get; init; }

    /// <summary>Whether more than that ends the session (Cease, subcode 1) or is only logged.</summary>
    internal bool MaxPrefixesTearsDown { get; init; }
}

/// <summary>BFD on a peer, resolved.</summary>
/// <param name="Parameters">Intervals in microseconds, and the multiplier.</param>
/// <param name="Multihop">RFC 5883 rather than RFC 5881.</param>
/// <param name="MinTtl">Least time to live of packets taken.</param>
internal sealed record BfdSettings(BfdParameters Parameters, bool Multihop, int MinTtl);

/// <summary>Everything that a session needs to know, resolved from the configuration. Compared by value: an unchanged peer is not touched by a reload.</summary>
internal sealed record PeerSettings
{
    internal required string Name { get; init; }

    internal required IpAddr Address { get; init; }

    internal int Port { get; init; } = BgpConstants.Port;

    /// <summary>Interface of a link-local neighbour.</summary>
    internal string Interface { get; init; } = "";

    /// <summary>AS number expected; 0 takes any (a dynamic peer without one).</summary>
    internal uint Asn { get; init; }

    internal required uint LocalAsn { get; init; }

    internal required uint RouterId { get; init; }

    internal bool Passive { get; init; }

    internal IpAddr SourceAddress { get; init; }

    /// <summary>Time to live of packets sent.</summary>
    internal int Ttl { get; init; }

    /// <summary>Least time to live of packets taken (RFC 5082); 0 for any.</summary>
    internal int MinTtl { get; init; }

    /// <summary>TCP MD5 key, or empty.</summary>
    internal string Md5 { get; init; } = "";

    /// <summary>BFD, or null.</summary>
    internal BfdSettings? Bfd { get; init; }

    internal int HoldTime { get; init; } = 90;

    internal SessionTimes Times { get; init; } = new();

    internal bool GracefulRestart { get; init; } = true;

    internal int RestartTime { get; init; } = 120;

    /// <summary>Seconds for which a neighbour may keep our routes as long-lived stale, and we at most its (RFC 9494); 0 for off.</summary>
    internal int LongLived { get; init; }

    internal bool IsClient { get; init; }

    internal uint ClusterId { get; init; }

    internal NextHopMode NextHop { get; init; }

    internal int AllowLocalAs { get; init; }

    internal bool EnforceFirstAs { get; init; } = true;

    /// <summary>The node's own addresses, for next hops of the family that the session's transport is not.</summary>
    internal IpAddr NodeIpv4 { get; init; }

    internal IpAddr NodeIpv6 { get; init; }

    /// <summary>See <see cref="UpdateGroupKey.NormalMetric"/>: of the IPv4 routes.</summary>
    internal uint NormalMetricV4 { get; init; }

    /// <summary>Of the IPv6 routes.</summary>
    internal uint NormalMetricV6 { get; init; }

    internal bool Disabled { get; init; }

    /// <summary>Why the peer cannot be started (an unreadable secret), or null.</summary>
    internal string? Unusable { get; init; }

    internal string Description { get; init; } = "";

    internal string BirdName { get; init; } = "";

    internal string Group { get; init; } = "";

    internal required EquatableList<FamilySettings> Families { get; init; }

    /// <summary>Compiled filters; equal when their content is (see <see cref="PolicySet"/>).</summary>
    internal required PolicySet Policies { get; init; }

    internal bool IsIbgp => Asn == LocalAsn;

    internal PeerKind Kind => !IsIbgp ? PeerKind.Ebgp : IsClient ? PeerKind.IbgpClient : PeerKind.Ibgp;
}

/// <summary>The four compiled chains of a peer.</summary>
internal sealed record PolicySet(
    IRoutePolicy<Ipv4Prefix> ImportV4, IRoutePolicy<Ipv4Prefix> ExportV4, IRoutePolicy<Ipv6Prefix> ImportV6, IRoutePolicy<Ipv6Prefix> ExportV6)
{
    internal string ImportKey => ImportV4.ContentKey + "|" + ImportV6.ContentKey;

    internal string ExportKey => ExportV4.ContentKey + "|" + ExportV6.ContentKey;

    /// <summary>Whether routes are stored otherwise than they came.</summary>
    internal bool ImportChangesRoutes => ImportV4.ChangesRoutes || ImportV6.ChangesRoutes;

    /// <inheritdoc/>
    public bool Equals(PolicySet? other) => other is not null && ImportKey == other.ImportKey && ExportKey == other.ExportKey;

    /// <inheritdoc/>
    public override int GetHashCode() => StringComparer.Ordinal.GetHashCode(ImportKey + ExportKey);
}

/// <summary>An immutable list with value equality, for records.</summary>
internal sealed class EquatableList<T>(IEnumerable<T> items) : List<T>(items), IEquatable<EquatableList<T>>
    where T : IEquatable<T>
{
    public bool Equals(EquatableList<T>? other) => other is not null && this.SequenceEqual(other);

    public override bool Equals(object? obj) => Equals(obj as EquatableList<T>);

    public override int GetHashCode() => Count;
}
