using Bgp.Protocol;

namespace Rib;

/// <summary>How the next hop of an exported route is chosen.</summary>
public enum NextHopMode : byte
{
    /// <summary>This host's routes: our address. Learned over BGP: unchanged to internal peers, our address to external ones (RFC 4271 section 5.1.3).</summary>
    Auto,

    /// <summary>Always our address, on reflected routes too.</summary>
    Self,

    /// <summary>Never changed on routes learned over BGP.</summary>
    Unchanged,
}

/// <summary>
/// Everything about a session that decides which bytes it is sent. Sessions with equal keys share one <see cref="UpdateGroup{TPrefix}"/>: one
/// Adj-RIB-Out, one encoding, one log.
/// </summary>
/// <remarks>
/// Our own address is part of the key, which splits a full mesh over several local addresses but makes next-hop-self bytes shareable without
/// patching. The neighbour's AS number is not: the receiver detects its own AS in the path (RFC 4271 section 9.1.2).
/// </remarks>
public sealed record UpdateGroupKey
{
    /// <summary>The family whose routes are exported.</summary>
    public required AfiSafi Family { get; init; }

    /// <summary><see cref="PeerKind.Ebgp"/>, <see cref="PeerKind.Ibgp"/> or <see cref="PeerKind.IbgpClient"/>.</summary>
    public required PeerKind Kind { get; init; }

    /// <summary>Our AS number on the session (local-as).</summary>
    public required uint LocalAsn { get; init; }

    /// <summary><see cref="IRoutePolicy{TPrefix}.ContentKey"/> of the export policy.</summary>
    public required string Policy { get; init; }

    /// <summary>Our CLUSTER_ID for routes of non-clients that are reflected (RFC 4456 section 7), host order; a client's routes carry its own cluster's.</summary>
    public uint ClusterId { get; init; }

    /// <summary>4-octet AS numbers negotiated (RFC 6793).</summary>
    public bool As4 { get; init; } = true;

    /// <summary>4096, or 65535 with extended messages (RFC 8654).</summary>
    public int MaxMessageLength { get; init; } = 4096;

    /// <summary>IPv6 next hops for IPv4 routes negotiated (RFC 8950).</summary>
    public bool ExtendedNextHop { get; init; }

    /// <summary>How many paths per prefix are sent with ADD-PATH identifiers (RFC 7911); 0 is one path without an identifier.</summary>
    public int AddPathLimit { get; init; }

    /// <summary>How next hops are chosen.</summary>
    public NextHopMode NextHopMode { get; init; }

    /// <summary>What "our address" is in this family (see <see cref="ResolveSelf"/>); none: routes that would need it are not sent.</summary>
    public IpAddr Self { get; init; }

    /// <summary>Our link-local address to send beside <see cref="Self"/> (RFC 2545 section 3), on a directly connected IPv6 session; none omits it.</summary>
    public IpAddr SelfLinkLocal { get; init; }

    /// <summary>
    /// With <c>kernel.metric: localPref</c> routes of this host leave with LOCAL_PREF = 2^31-1-metric: the metric of one that has none
    /// (<c>kernel.normalMetric</c>). 0 otherwise.
    /// </summary>
    public uint NormalMetric { get; init; }

    /// <summary>Whether the neighbours sent the Long-Lived Graceful Restart capability: only they are sent stale routes as any other (RFC 9494 section 4.3).</summary>
    public bool LongLived { get; init; }

    /// <summary>Whether the neighbours are internal.</summary>
    public bool IsIbgp => Kind is PeerKind.Ibgp or PeerKind.IbgpClient;

    /// <summary>
    /// The address that "next hop self" means: the session's own local address where that is of the family and global, else the node's
    /// configured address of the family, else, for IPv4 routes with <paramref name="extendedNextHop"/>, the session's IPv6 address, else none. On a session between
    /// link-local addresses: the node's IPv6 address or, where it has none, the link-local one, which <see cref="SelfLinkLocal"/> then accompanies; IPv4 routes too have that one
    /// where the neighbour takes it, because an IPv4 address of the node need not be known on the link.
    /// </summary>
    /// <param name="family">The routes' family.</param>
    /// <param name="sessionLocal">Our address on the connection.</param>
    /// <param name="nodeAddress">The node's address of the family, or none.</param>
    /// <param name="nodeIpv6">The node's IPv6 address, or none.</param>
    /// <param name="extendedNextHop">Whether IPv4 routes may have IPv6 next hops.</param>
    public static IpAddr ResolveSelf(AfiSafi family, IpAddr sessionLocal, IpAddr nodeAddress, IpAddr nodeIpv6, bool extendedNextHop)
    {
        bool v6 = family.Afi() == 2;
        if (sessionLocal.IsLinkLocal && (v6 || extendedNextHop))
        {
            return nodeIpv6.IsV6 ? nodeIpv6 : sessionLocal;
        }

        if (!sessionLocal.IsNone && sessionLocal.IsV6 == v6 && !sessionLocal.IsLinkLocal)
        {
            return sessionLocal;
        }

        if (!nodeAddress.IsNone && nodeAddress.IsV6 == v6)
        {
            return nodeAddress;
        }

        return !v6 && extendedNextHop && sessionLocal.IsV6 ? sessionLocal : default;
    }
}
