using Bgp.Protocol;

namespace Rib;

/// <summary>
/// One family's Adj-RIBs-In and Loc-RIB in one structure: all paths to each prefix, the best first.
/// </summary>
/// <remarks>
/// A prefix has a dense index and a block of 16-byte paths. Filtered and unresolved paths are kept, flagged, and never selected. The path at
/// the head of the block is the best eligible one; a change touches the rest of the block only when the head got worse, or when a MED is about
/// (then the whole set decides, so that the order of arrival does not matter).
/// <para>Invariants: the sum of a peer's paths equals its received prefixes; each stored path holds one reference to its attribute set; the head is the best
/// eligible path or none is eligible; a prefix whose selection changed is in the dirty queue once.</para>
/// <para>Sessions are told apart by an epoch in the path's flags: a path is stale when its epoch is not its peer's. Losing a session is one increment; a
/// resumable sweep removes what is stale, at once or when the neighbour had its chance to confirm (RFC 4724). Staleness does not change the rank. A path has the
/// low 8 bits of its epoch and its peer the whole of it, and no path gets 256 epochs old: see <see cref="BumpEpoch"/>.</para>
/// <para>Single writer: every member is called on the loop that owns the table. The per-peer counts may be read from elsewhere.</para>
/// <para>Cost: 24 bytes a prefix (IPv4) and about 11 in the index, 16 a path; nothing on the heap per route.</para>
/// </remarks>
public sealed partial class RibShard<TPrefix> : ILocRib<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private const int EpochShift = 8;

    /// <summary>Epochs that a path may be old at most: its eight bits say no more.</summary>
    private const int MaxAge = 255;
    private const int KnownNextHops = 256;

    private readonly AttributeTable _attributes;
    private readonly INextHopResolver _resolver;
    private RibOptions _options;
    private readonly PrefixIndex<TPrefix> _index = new();
    private readonly PathBlocks _blocks = new();
    private readonly IndexQueue _dirty = new();
    private readonly List<uint> _leaving = [];
    private PeerState[] _peers = new PeerState[16];
    private Path[] _scratch = new Path[64];
    private readonly KnownNextHop[] _nextHops = new KnownNextHop[KnownNextHops];
    private int _resolution = 1;

    private struct PeerState
    {
        internal RibPeer? Peer;

        /// <summary>Counts losses of sessions and beginnings of refreshes.</summary>
        internal long Epoch;

        /// <summary>No path has an earlier epoch.</summary>
        internal long Oldest;

        /// <summary>How far the pass has come that removes what is too old; 0 where none is under way.</summary>
        internal uint Pass;
        internal int Paths;
        internal int Filtered;
        internal int Stale;
    }

    /// <summary>How a next hop resolves, remembered as long as none changes: most routes share few.</summary>
    private struct KnownNextHop
    {
        internal IpAddr Address;
        internal NextHopState State;
        internal int Resolution;
    }

    /// <summary>What an attribute set means for ranking at present.</summary>
    private readonly ref struct RankInfo
    {
        internal ulong Rank { get; init; }

        internal NextHopState NextHop { get; init; }

        internal AttributeSummary Attributes { get; init; }

        internal PathFlags Flags => (NextHop.Resolved ? PathFlags.None : PathFlags.Unresolved) | (Attributes.Med is > 0 ? PathFlags.HasMed : PathFlags.None);
    }

    /// <summary>An empty table.</summary>
    public RibShard(AttributeTable attributes, INextHopResolver resolver, RibOptions options)
    {
        ArgumentNullException.ThrowIfNull(attributes);
        ArgumentNullException.ThrowIfNull(resolver);
        ArgumentNullException.ThrowIfNull(options);
        (_attributes, _resolver, _options) = (attributes, resolver, options);
    }

    /// <summary>Prefixes with at least one path, or still held by a consumer.</summary>
    public int PrefixCount => _index.Count;

    /// <summary>Paths stored, of all peers.</summary>
    public int TotalPaths { get; private set; }

    /// <summary>Octets held by index and paths.</summary>
    public long Bytes => _index.Bytes + _blocks.Bytes;

    /// <inheritdoc/>
    public uint IndexLimit => _index.Limit;

    /// <summary>Whether <see cref="DrainChanges"/> would return something.</summary>
    public bool HasChanges => _dirty.Count > 0;

    /// <summary>Makes a peer known, or replaces what is known of it (a new session).</summary>
    public void SetPeer(RibPeer peer)
    {
        ArgumentNullException.ThrowIfNull(peer);
        StateOf(peer.Index).Peer = peer;
    }

    /// <summary>Paths stored from a peer, filtered ones included.</summary>
    public int PathCount(ushort peer) => peer < _peers.Length ? _peers[peer].Paths : 0;

    /// <summary>Paths stored from a peer that import policy accepted.</summary>
    public int AcceptedCount(ushort peer) => peer < _peers.Length ? _peers[peer].Paths - _peers[peer].Filtered : 0;

    /// <summary>
    /// Asks the processor for what <see cref="Reach"/> and <see cref="Unreach"/> of these prefixes will touch, one step of the chain per
    /// call: the slot (<paramref name="step"/> 0), the entry that it names (1), the entry's paths (2), and, for withdrawals only, the place of a path's attribute
    /// set in its table (3). A caller with many prefixes runs the steps over them a window
    /// apart, so that each miss overlaps with the work on the prefixes before.
    /// </summary>
    public void Prefetch(ReadOnlySpan<TPrefix> prefixes, int step)
    {
        switch (step)
        {
            case 0:
                _index.Prefetch(prefixes);
                break;
            case 1:
                _index.PrefetchEntries(prefixes);
                break;
            case 2:
                foreach (ref readonly TPrefix prefix in prefixes)
                {
                    uint block = _index.BlockOf(prefix);
                    if (block != 0)
                    {
                        _blocks.Prefetch(block);
                    }
                }

                break;
            default:
                PrefetchSets(prefixes);
                break;
        }
    }

    private void PrefetchSets(ReadOnlySpan<TPrefix> prefixes)
    {
        uint last = 0;
        foreach (ref readonly TPrefix prefix in prefixes)
        {
            uint block = _index.BlockOf(prefix);
            uint attribute = block == 0 ? 0 : _blocks.At(block).Attr;
            if (attribute != last && attribute != 0)
            {
                _attributes.PrefetchRelease(attribute);
            }

            last = attribute;
        }
    }

    /// <summary>Stores or replaces one path per prefix. <paramref name="pathIds"/> is empty or as long as <paramref name="prefixes"/>.</summary>
    public void Reach(ReadOnlySpan<TPrefix> prefixes, ReadOnlySpan<uint> pathIds, ushort peer, uint attrId, PathFlags flags)
    {
        if (Enter(prefixes, pathIds, peer, attrId, flags) is int taken and > 0)
        {
            _attributes.AddRef(attrId, taken);
        }
    }

    /// <summary>The same for a caller that gives its reference to the set away: that becomes one path's, and is often all that is to be counted.</summary>
    public void ReachOwned(ReadOnlySpan<TPrefix> prefixes, ReadOnlySpan<uint> pathIds, ushort peer, uint attrId, PathFlags flags)
    {
        int taken = Enter(prefixes, pathIds, peer, attrId, flags);
        if (taken > 1)
        {
            _attributes.AddRef(attrId, taken - 1);
        }
        else if (taken == 0)
        {
            _attributes.Release(attrId);
        }
    }

    /// <summary>Enters paths; the references that they hold on the set, which are not counted yet: the caller's own keeps it until they are.</summary>
    private int Enter(ReadOnlySpan<TPrefix> prefixes, ReadOnlySpan<uint> pathIds, ushort peer, uint attrId, PathFlags flags)
    {
        RankInfo info = Rank(attrId);
        ref PeerState state = ref StateOf(peer);
        Path path = new()
        {
            Rank = info.Rank,
            Attr = attrId,
            Peer = peer,
            Flags = (ushort)((byte)(flags | info.Flags) | ((byte)state.Epoch << EpochShift)),
        };
        return pathIds.IsEmpty ? EnterPlain(prefixes, path, ref state) : EnterWithIds(prefixes, pathIds, path, ref state);
    }

    /// <summary>Of a neighbour without ADD-PATH; references that paths took to the set.</summary>
    private int EnterPlain(ReadOnlySpan<TPrefix> prefixes, in Path given, ref PeerState state)
    {
        // A copy that nothing else refers to stays in registers.
        Path path = given;
        int taken = 0;
        int added = 0;
        foreach (ref readonly TPrefix prefix in prefixes)
        {
            ref PrefixEntry<TPrefix> entry = ref _index.FindOrAdd(prefix, out uint index);
            if (entry.Count == 0)
            {
                AddFirst(index, ref entry, path, 0);
                added++;
            }
            else if (Store(index, ref entry, given, 0, ref state))
            {
                taken++;
            }
        }

        Counted(ref state, path, added);
        return taken + added;
    }

    private int EnterWithIds(ReadOnlySpan<TPrefix> prefixes, ReadOnlySpan<uint> pathIds, in Path path, ref PeerState state)
    {
        Path withId = path;
        withId.Flags |= (ushort)PathFlags.HasPathId;
        int taken = 0;
        for (int i = 0; i < prefixes.Length; i++)
        {
            ref PrefixEntry<TPrefix> entry = ref _index.FindOrAdd(prefixes[i], out uint index);
            taken += Store(index, ref entry, pathIds[i] == 0 ? path : withId, pathIds[i], ref state) ? 1 : 0;
        }

        return taken;
    }

    /// <summary>Removes the peer's path to each prefix; unknown ones are no error.</summary>
    public void Unreach(ReadOnlySpan<TPrefix> prefixes, ReadOnlySpan<uint> pathIds, ushort peer)
    {
        // References that removed paths held on one set: neighbours in a withdrawal often came together.
        uint released = 0;
        int count = 0;
        for (int i = 0; i < prefixes.Length; i++)
        {
            if (!_index.TryFind(prefixes[i], out uint index))
            {
                continue;
            }

            ref PrefixEntry<TPrefix> entry = ref _index[index];
            int at = Find(entry, peer, pathIds.IsEmpty ? 0 : pathIds[i]);
            if (at < 0)
            {
                continue;
            }

            uint attribute = entry.Count == 1 ? RemoveOnly(index, ref entry) : RemoveOneOf(index, ref entry, at);
            if (attribute != released && count > 0)
            {
                _attributes.Release(released, count);
                count = 0;
            }

            released = attribute;
            count++;
        }

        if (count > 0)
        {
            _attributes.Release(released, count);
        }
    }

    /// <summary>A peer's path to a prefix; false where there is none.</summary>
    public bool TryGetPath(uint index, ushort peer, uint pathId, out Path path)
    {
        path = default;
        if (!IsInUse(index))
        {
            return false;
        }

        ref PrefixEntry<TPrefix> entry = ref _index[index];
        int at = Find(entry, peer, pathId);
        if (at < 0)
        {
            return false;
        }

        path = _blocks.Span(entry.Block, entry.Count)[at];
        return true;
    }

    /// <inheritdoc/>
    public TPrefix PrefixAt(uint index) => _index[index].Prefix;

    /// <inheritdoc/>
    public bool TryFind(in TPrefix prefix, out uint index) => _index.TryFind(prefix, out index);

    /// <summary>Whether an index is in use: walks skip those that are not.</summary>
    public bool IsInUse(uint index) => index < _index.Limit && index != 0 && (_index[index].Flags & EntryFlags.InUse) != 0;

    /// <inheritdoc/>
    public ReadOnlySpan<Path> AllPaths(uint index)
    {
        if (!IsInUse(index))
        {
            return default;
        }

        ref PrefixEntry<TPrefix> entry = ref _index[index];
        return entry.Count == 0 ? default : _blocks.Span(entry.Block, entry.Count);
    }

    /// <inheritdoc/>
    public uint PathIdOf(uint index, in Path path)
    {
        if ((path.Flags & (ushort)PathFlags.HasPathId) == 0)
        {
            return 0;
        }

        ref PrefixEntry<TPrefix> entry = ref _index[index];
        ReadOnlySpan<Path> paths = _blocks.Span(entry.Block, entry.Count);
        for (int i = 0; i < paths.Length; i++)
        {
            // A peer's paths to one prefix differ in the identifier; equal attributes and flags leave no way, and no need, to tell which.
            if (paths[i].Peer == path.Peer && paths[i].Attr == path.Attr && paths[i].Flags == path.Flags)
            {
                return _blocks.PathId(entry.Block + (uint)i);
            }
        }

        return 0;
    }

    /// <summary>The ADD-PATH identifier of the path at a place in <see cref="AllPaths"/>.</summary>
    public uint PathIdAt(uint index, int place) =>
        (AllPaths(index)[place].Flags & (ushort)PathFlags.HasPathId) == 0 ? 0 : _blocks.PathId(_index[index].Block + (uint)place);

    /// <inheritdoc/>
    public RibPeer? PeerAt(ushort peer) => peer < _peers.Length ? _peers[peer].Peer : null;

    private ref PeerState StateOf(ushort peer)
    {
        if (peer >= _peers.Length)
        {
            Array.Resize(ref _peers, Math.Max(peer + 1, _peers.Length * 2));
        }

        return ref _peers[peer];
    }
}
