using Bgp.Protocol;

namespace Rib;

/// <summary>
/// The read view of one family's table that its consumers (update groups, the kernel) work from. Only valid on the loop that owns the table.
/// </summary>
public interface ILocRib<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>One more than the highest prefix index in use: what a walk runs to.</summary>
    uint IndexLimit { get; }

    /// <summary>The prefix at an index that is in use.</summary>
    TPrefix PrefixAt(uint index);

    /// <summary>Exact match.</summary>
    bool TryFind(in TPrefix prefix, out uint index);

    /// <summary>
    /// The eligible paths of a prefix, best first; empty when there is none (also for an index not in use). The first
    /// <paramref name="multipath"/> of them are equal for ECMP (the best included; 0 when there is no path). Paths after those are in
    /// order of preference only as far as <c>maxPaths</c> asks. The span is valid until the next call on the table.
    /// </summary>
    ReadOnlySpan<Path> Select(uint index, int maxPaths, out int multipath);

    /// <summary>The best path of each prefix, in order: what <see cref="Select"/> says for one. <paramref name="into"/> is at least as long.</summary>
    void SelectBest(ReadOnlySpan<uint> indexes, Span<BestPath<TPrefix>> into);

    /// <summary>All paths of a prefix, eligible or not, in no order.</summary>
    ReadOnlySpan<Path> AllPaths(uint index);

    /// <summary>ADD-PATH identifier of a path that <see cref="Select"/> or <see cref="AllPaths"/> returned; 0 for none.</summary>
    uint PathIdOf(uint index, in Path path);

    /// <summary>The peer, or null when that index was never set.</summary>
    RibPeer? PeerAt(ushort peer);

    /// <summary>Keeps the prefix index from being reused while a consumer still holds state under it; balanced by <see cref="Unpin"/>.</summary>
    void Pin(uint index);

    /// <summary>The same for several.</summary>
    void Pin(ReadOnlySpan<uint> indexes);

    /// <summary>Ends a <see cref="Pin"/>.</summary>
    void Unpin(uint index);

    /// <summary>The same for several.</summary>
    void Unpin(ReadOnlySpan<uint> indexes);
}

/// <summary>A prefix and its best path, as far as an export asks.</summary>
public struct BestPath<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>The prefix; unspecified for an index that is not in use.</summary>
    public TPrefix Prefix;

    /// <summary>Attribute set of the best path; 0 when no path is eligible.</summary>
    public uint Attr;

    /// <summary>Peer of the best path.</summary>
    public ushort Peer;
}
