using System.Runtime.InteropServices;

namespace Rib;

/// <summary>
/// One path to one prefix: 16 bytes, kept in contiguous per-prefix blocks. A million prefixes with four paths each are 64 MB of these
/// and not one object.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct Path
{
    /// <summary>The inline part of the decision, larger is better (see RankKey).</summary>
    public ulong Rank;

    /// <summary>AttributeId of the attributes after import policy; 0 is no attribute set.</summary>
    public uint Attr;

    /// <summary>Index of the peer that sent it; <see cref="RibPeer.Local"/> for this host's own.</summary>
    public ushort Peer;

    /// <summary><see cref="PathFlags"/> in the low byte, the low 8 bits of its epoch in the high byte (see <see cref="RibShard{TPrefix}.BumpEpoch"/>).</summary>
    public ushort Flags;
}

/// <summary>Low byte of <see cref="Path.Flags"/>.</summary>
[Flags]
public enum PathFlags : byte
{
    /// <summary>Nothing special.</summary>
    None = 0,

    /// <summary>Rejected by import policy: kept to be shown, never selected.</summary>
    Filtered = 1,

    /// <summary>Next hop not resolvable, or our own address: never selected (RFC 4271 section 9.1.2.1).</summary>
    Unresolved = 2,

    /// <summary>Carries an ADD-PATH identifier in the side page (RFC 7911).</summary>
    HasPathId = 4,

    /// <summary>Carries a MULTI_EXIT_DISC other than 0.</summary>
    HasMed = 8,
}
