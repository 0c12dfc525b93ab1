using Bgp.Protocol;

namespace Rib;

/// <summary>What kind of neighbour a peer is, from the view of route reflection and export rules (RFC 4456 section 6).</summary>
public enum PeerKind : byte
{
    /// <summary>This host: the kernel and the configuration.</summary>
    Local,

    /// <summary>External: another autonomous system.</summary>
    Ebgp,

    /// <summary>Internal, not our route reflection client.</summary>
    Ibgp,

    /// <summary>Internal and our route reflection client.</summary>
    IbgpClient,
}

/// <summary>
/// What the tables need to know of a neighbour while a session with it is (or recently was) up. Immutable; a new session makes a new one.
/// </summary>
public sealed class RibPeer
{
    /// <summary>Peer index of this host's own routes.</summary>
    public const ushort Local = 0;

    /// <summary>Dense index, the value in <see cref="Path.Peer"/>; stable while the peer is configured.</summary>
    public required ushort Index { get; init; }

    /// <summary>Configured name, for messages.</summary>
    public required string Name { get; init; }

    /// <summary>Kind of neighbour.</summary>
    public required PeerKind Kind { get; init; }

    /// <summary>The neighbour's autonomous system.</summary>
    public uint Asn { get; init; }

    /// <summary>Our autonomous system on this session (local-as).</summary>
    public uint LocalAsn { get; init; }

    /// <summary>BGP Identifier from the neighbour's OPEN, host order.</summary>
    public uint RouterId { get; init; }

    /// <summary>The cluster that a client belongs to (RFC 4456 section 7), host order; 0 for none of its own.</summary>
    public uint ClusterId { get; init; }

    /// <summary>The neighbour's transport address: the last tie-break, RFC 4271 section 9.1.2.2 (g).</summary>
    public IpAddr Address { get; init; }

    /// <summary>Our address on this session: what "next hop self" means here.</summary>
    public IpAddr LocalAddress { get; init; }

    /// <summary>Whether this is an internal neighbour, client or not.</summary>
    public bool IsIbgp => Kind is PeerKind.Ibgp or PeerKind.IbgpClient;
}
