namespace Bgp.Protocol;

/// <summary>BMP message types (RFC 7854 section 4.1).</summary>
public enum BmpMessageType : byte
{
    /// <summary>Routes of one RIB of one peer, as an UPDATE.</summary>
    RouteMonitoring = 0,

    /// <summary>Counters and gauges of a peer.</summary>
    StatisticsReport = 1,

    /// <summary>A session ended; all its routes are gone.</summary>
    PeerDown = 2,

    /// <summary>A session came up.</summary>
    PeerUp = 3,

    /// <summary>Who the router is: the first message.</summary>
    Initiation = 4,

    /// <summary>Why the router closes the connection: the last message.</summary>
    Termination = 5,

    /// <summary>Verbatim copies of messages; never sent by this speaker.</summary>
    RouteMirroring = 6,
}

/// <summary>What a per-peer header is about (RFC 7854 section 4.2, RFC 9069 section 4.1).</summary>
public enum BmpPeerType : byte
{
    /// <summary>A neighbour of the global instance.</summary>
    GlobalInstance = 0,

    /// <summary>A neighbour inside a VRF.</summary>
    RdInstance = 1,

    /// <summary>A neighbour of a local instance.</summary>
    LocalInstance = 2,

    /// <summary>The router's own Loc-RIB.</summary>
    LocRib = 3,
}

/// <summary>Flags of the per-peer header (RFC 7854 section 4.2, RFC 8671 section 4, RFC 9069 section 4.2).</summary>
[Flags]
public enum BmpPeerFlags : byte
{
    /// <summary>IPv4, before policy, 4-octet AS numbers, Adj-RIB-In.</summary>
    None = 0,

    /// <summary>V: the peer's address is IPv6.</summary>
    Ipv6 = 0x80,

    /// <summary>L: the routes are those after import policy.</summary>
    PostPolicy = 0x40,

    /// <summary>A: AS_PATH has 2-octet AS numbers. Never set by this speaker, which always writes four octets.</summary>
    LegacyAsPath = 0x20,

    /// <summary>O: the routes are those of the Adj-RIB-Out (RFC 8671).</summary>
    AdjRibOut = 0x10,
}

/// <summary>Why a peer is down (RFC 7854 section 4.9, RFC 9069 section 5.3).</summary>
public enum BmpPeerDownReason : byte
{
    /// <summary>This router ended the session; its NOTIFICATION follows.</summary>
    LocalNotification = 1,

    /// <summary>This router ended the session without a NOTIFICATION; the FSM event follows in two octets.</summary>
    LocalNoNotification = 2,

    /// <summary>The neighbour ended the session; its NOTIFICATION follows.</summary>
    RemoteNotification = 3,

    /// <summary>The connection ended without a NOTIFICATION of either side.</summary>
    RemoteNoNotification = 4,

    /// <summary>The peer is no longer configured, or no longer monitored.</summary>
    Deconfigured = 5,

    /// <summary>The Loc-RIB is no longer monitored; information TLVs follow.</summary>
    LocalSystemClosed = 6,
}

/// <summary>Why a connection to a station is closed (RFC 7854 section 4.5, type 1).</summary>
public enum BmpTerminationReason : ushort
{
    /// <summary>The router goes down, or the station's settings change.</summary>
    AdministrativelyClosed = 0,

    /// <summary>No reason given.</summary>
    Unspecified = 1,

    /// <summary>Memory or the like is short.</summary>
    OutOfResources = 2,

    /// <summary>There is another connection already.</summary>
    RedundantConnection = 3,

    /// <summary>The station is no longer configured; it should not expect the router again.</summary>
    PermanentlyClosed = 4,
}

/// <summary>What a number of a Statistics Report counts (RFC 7854 section 4.8, RFC 9069 section 5.6).</summary>
public enum BmpStatisticType : ushort
{
    /// <summary>Prefixes that import policy rejected, counter.</summary>
    RejectedPrefixes = 0,

    /// <summary>Updates dropped because of a loop in CLUSTER_LIST, counter.</summary>
    ClusterListLoops = 3,

    /// <summary>Updates dropped because of a loop in AS_PATH, counter.</summary>
    AsPathLoops = 4,

    /// <summary>Updates dropped because of our own ORIGINATOR_ID, counter.</summary>
    OriginatorIdLoops = 5,

    /// <summary>Routes in the Adj-RIB-In, 64-bit gauge.</summary>
    AdjRibIn = 7,

    /// <summary>Routes in the Loc-RIB, 64-bit gauge.</summary>
    LocRib = 8,

    /// <summary>Routes of one family in the Adj-RIB-In, 64-bit gauge.</summary>
    FamilyAdjRibIn = 9,

    /// <summary>Routes of one family in the Loc-RIB, 64-bit gauge.</summary>
    FamilyLocRib = 10,

    /// <summary>Updates treated as withdrawals (RFC 7606), counter.</summary>
    TreatedAsWithdraw = 11,
}

/// <summary>One number of a Statistics Report.</summary>
/// <param name="Type">What it counts: counters have 32 bits on the wire and wrap, gauges 64.</param>
/// <param name="Value">The number.</param>
/// <param name="Family">The family, where the type is per family.</param>
public readonly record struct BmpStatistic(BmpStatisticType Type, ulong Value, AfiSafi Family = AfiSafi.None);

/// <summary>The per-peer header (RFC 7854 section 4.2) without its time.</summary>
/// <remarks>
/// The distinguisher is always zero: there are no VRFs. <see cref="Address"/> is none for a Loc-RIB, whose address is zero on the wire and has no family
/// (RFC 9069 section 5.1).
/// </remarks>
/// <param name="Type">What the header is about.</param>
/// <param name="Flags">All flags but V, which follows from the address.</param>
/// <param name="Address">The neighbour's address.</param>
/// <param name="Asn">The neighbour's AS number; of a Loc-RIB our own.</param>
/// <param name="RouterId">The neighbour's BGP Identifier, host order; of a Loc-RIB our own.</param>
public readonly record struct BmpPeer(BmpPeerType Type, BmpPeerFlags Flags, IpAddr Address, uint Asn, uint RouterId)
{
    /// <summary>The same peer's routes after import policy.</summary>
    public BmpPeer PostPolicy => this with { Flags = Flags | BmpPeerFlags.PostPolicy };
}
