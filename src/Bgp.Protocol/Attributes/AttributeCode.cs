namespace Bgp.Protocol;

/// <summary>Type codes of path attributes that this speaker understands. Any other octet is a legal value of an unknown attribute.</summary>
public enum AttributeCode : byte
{
    /// <summary>Internal: <see cref="LocalRouteInfo"/>. The octet 0 is reserved on the wire and never sent.</summary>
    Local = 0,

    /// <summary>ORIGIN (RFC 4271 section 5.1.1).</summary>
    Origin = 1,

    /// <summary>AS_PATH (RFC 4271 section 5.1.2).</summary>
    AsPath = 2,

    /// <summary>NEXT_HOP (RFC 4271 section 5.1.3).</summary>
    NextHop = 3,

    /// <summary>MULTI_EXIT_DISC (RFC 4271 section 5.1.4).</summary>
    MultiExitDisc = 4,

    /// <summary>LOCAL_PREF (RFC 4271 section 5.1.5).</summary>
    LocalPref = 5,

    /// <summary>ATOMIC_AGGREGATE (RFC 4271 section 5.1.6).</summary>
    AtomicAggregate = 6,

    /// <summary>AGGREGATOR (RFC 4271 section 5.1.7).</summary>
    Aggregator = 7,

    /// <summary>COMMUNITIES (RFC 1997).</summary>
    Communities = 8,

    /// <summary>ORIGINATOR_ID (RFC 4456 section 8).</summary>
    OriginatorId = 9,

    /// <summary>CLUSTER_LIST (RFC 4456 section 8).</summary>
    ClusterList = 10,

    /// <summary>MP_REACH_NLRI (RFC 4760 section 3).</summary>
    MpReachNlri = 14,

    /// <summary>MP_UNREACH_NLRI (RFC 4760 section 4).</summary>
    MpUnreachNlri = 15,

    /// <summary>EXTENDED COMMUNITIES (RFC 4360).</summary>
    ExtendedCommunities = 16,

    /// <summary>AS4_PATH (RFC 6793 section 3).</summary>
    As4Path = 17,

    /// <summary>AS4_AGGREGATOR (RFC 6793 section 3).</summary>
    As4Aggregator = 18,

    /// <summary>LARGE COMMUNITIES (RFC 8092).</summary>
    LargeCommunities = 32,
}

/// <summary>Flag octet of a path attribute (RFC 4271 section 4.3). The low four bits are ignored on receipt.</summary>
[Flags]
public enum AttributeFlags : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>The value's length takes two octets.</summary>
    ExtendedLength = 0x10,

    /// <summary>A speaker on the way did not know the attribute.</summary>
    Partial = 0x20,

    /// <summary>Passed on by those who do not know it; always set for well-known attributes.</summary>
    Transitive = 0x40,

    /// <summary>Not well-known.</summary>
    Optional = 0x80,
}
