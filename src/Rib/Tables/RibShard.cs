using System.Runtime.CompilerServices;
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
/// resumable sweep removes what is stale, at once or when the neighbour had its chance to confirm (RFC 4724). Staleness does not change the rank.</para>
/// <para>Single writer: every member is called on the loop that owns the table. The per-peer counts may be read from elsewhere.</para>
/// <para>Cost: 24 bytes a prefix (IPv4) and about 11 in the index, 16 a path; nothing on the heap per route.</para>
/// </remarks>
public sealed partial class RibShard<TPrefix> : ILocRib<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private const int EpochShift = 8;
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
        internal byte Epoch;
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

    /// <summary>Paths of an earlier session of a peer that this one has not confirmed.</summary>
    public int StaleCount(ushort peer) => peer < _peers.Length ? _peers[peer].Stale : 0;

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
            Flags = (ushort)((byte)(flags | info.Flags) | (state.Epoch << EpochShift)),
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

    /// <summary>Whether a path is from before its peer's latest epoch.</summary>
    public bool IsStale(in Path path) => (byte)(path.Flags >> EpochShift) != _peers[path.Peer].Epoch;

    /// <summary>A peer's present epoch: what <see cref="IsSince"/> takes later.</summary>
    public byte EpochOf(ushort peer) => StateOf(peer).Epoch;

    /// <summary>
    /// Whether a path was stored, or confirmed, since its peer had that epoch: what a session has sent is what came since its first one, stale for a route refresh
    /// or not. Right while fewer than 256 epochs lie between.
    /// </summary>
    public bool IsSince(in Path path, byte epoch) => (byte)((path.Flags >> EpochShift) - epoch) <= (byte)(_peers[path.Peer].Epoch - epoch);

    /// <summary>Told of each path that <see cref="SweepStale"/> removes, before it is gone; null where nobody asks.</summary>
    public IStaleObserver<TPrefix>? StaleObserver { get; set; }

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

    /// <summary>Everything that the peer has sent so far is stale from now on.</summary>
    public void BumpEpoch(ushort peer)
    {
        ref PeerState state = ref StateOf(peer);
        state.Epoch++;
        state.Stale = state.Paths;
    }

    /// <summary>
    /// Removes a peer's paths from before the epoch <paramref name="since"/> among the next <paramref name="budget"/> prefixes from <paramref name="cursor"/>; true
    /// when none is left.
    /// </summary>
    /// <remarks>The epoch is the one of when the sweep was asked for: while it is under way a refresh or a loss may make all paths stale, which is not what it was asked to
    /// remove. Behind the cursor no path gets older than that, so one pass is enough.</remarks>
    public bool SweepStale(ushort peer, ref uint cursor, int budget, byte since)
    {
        ref PeerState state = ref StateOf(peer);
        cursor = Math.Max(cursor, 1);
        for (; budget > 0 && cursor < _index.Limit && state.Stale > 0; cursor++, budget--)
        {
            ref PrefixEntry<TPrefix> entry = ref _index[cursor];
            if ((entry.Flags & EntryFlags.InUse) == 0)
            {
                continue;
            }

            for (int i = entry.Count - 1; i >= 0; i--)
            {
                Path path = _blocks.Span(entry.Block, entry.Count)[i];
                if (path.Peer == peer && !IsSince(path, since))
                {
                    StaleObserver?.StaleRemoved(entry.Prefix, PathIdAt(cursor, i), path);
                    RemoveAt(cursor, ref entry, i);

                    // It moved paths about.
                    i = entry.Count;
                }
            }
        }

        return state.Stale == 0 || cursor >= _index.Limit;
    }

    /// <summary>
    /// Makes a peer's paths from before an epoch, among the next <paramref name="budget"/> prefixes, long-lived stale: marked with LLGR_STALE and least preferred, or gone where
    /// they say NO_LLGR (RFC 9494 section 4.2). True when the table is through.
    /// </summary>
    public bool MarkLongLived(ushort peer, ref uint cursor, int budget, byte since)
    {
        cursor = Math.Max(cursor, 1);
        for (; budget > 0 && cursor < _index.Limit; cursor++, budget--)
        {
            ref PrefixEntry<TPrefix> entry = ref _index[cursor];
            for (int i = entry.Count - 1; (entry.Flags & EntryFlags.InUse) != 0 && i >= 0; i--)
            {
                Path old = _blocks.Span(entry.Block, entry.Count)[i];
                if (old.Peer != peer || IsSince(old, since))
                {
                    continue;
                }

                PathAttributes attributes = _attributes.Get(old.Attr);
                if (attributes.HasCommunity(Community.NoLongLived))
                {
                    RemoveAt(cursor, ref entry, i);
                }
                else if (!attributes.HasCommunity(Community.LongLivedStale))
                {
                    Mark(cursor, ref entry, i, old, attributes);
                }
                else
                {
                    continue;
                }

                // Either moved paths about.
                i = entry.Count;
            }
        }

        return cursor >= _index.Limit;
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsEligible(in Path path) => (path.Flags & (ushort)(PathFlags.Filtered | PathFlags.Unresolved)) == 0;

    private ref PeerState StateOf(ushort peer)
    {
        if (peer >= _peers.Length)
        {
            Array.Resize(ref _peers, Math.Max(peer + 1, _peers.Length * 2));
        }

        return ref _peers[peer];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Find(in PrefixEntry<TPrefix> entry, ushort peer, uint pathId)
    {
        if (entry.Count == 1 && pathId == 0)
        {
            ref Path only = ref _blocks.At(entry.Block);
            return only.Peer == peer && (only.Flags & (ushort)PathFlags.HasPathId) == 0 ? 0 : -1;
        }

        return entry.Count == 0 ? -1 : FindAmong(entry, peer, pathId);
    }

    private int FindAmong(in PrefixEntry<TPrefix> entry, ushort peer, uint pathId)
    {
        ReadOnlySpan<Path> paths = _blocks.Span(entry.Block, entry.Count);
        for (int i = 0; i < paths.Length; i++)
        {
            if (paths[i].Peer == peer
                && ((paths[i].Flags & (ushort)PathFlags.HasPathId) == 0 ? pathId == 0 : _blocks.PathId(entry.Block + (uint)i) == pathId))
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>Stores a path; whether it holds one more reference to its attribute set, which the caller takes.</summary>
    private bool Store(uint index, ref PrefixEntry<TPrefix> entry, in Path path, uint pathId, ref PeerState state)
    {
        int at = Find(entry, path.Peer, pathId);
        if (at >= 0)
        {
            Path old = _blocks.Span(entry.Block, entry.Count)[at];
            if (old.Attr == path.Attr && old.Rank == path.Rank && old.Flags == path.Flags)
            {
                return false;
            }

            if ((old.Flags ^ path.Flags) >> EpochShift != 0)
            {
                state.Stale--;
            }

            if (old.Attr == path.Attr && old.Rank == path.Rank && (byte)old.Flags == (byte)path.Flags)
            {
                // Confirmed by a new session: nothing that anyone sees changes.
                _blocks.Span(entry.Block, entry.Count)[at].Flags = path.Flags;
                return false;
            }

            state.Filtered += (path.Flags & (ushort)PathFlags.Filtered) - (old.Flags & (ushort)PathFlags.Filtered);
            Replace(index, ref entry, at, old, path);
            if (old.Attr == path.Attr)
            {
                return false;
            }

            _attributes.Release(old.Attr);
            return true;
        }

        if (entry.Count == 1 << PathBlocks.MaxClass)
        {
            // More paths to one prefix than any network has: the newcomer is not stored, and so not selected.
            return false;
        }

        Counted(ref state, path, 1);
        Append(index, ref entry, path, pathId);
        return true;
    }

    private void Counted(ref PeerState state, in Path path, int added)
    {
        state.Paths += added;
        state.Filtered += (path.Flags & (ushort)PathFlags.Filtered) * added;
        TotalPaths += added;
    }

    private void Mark(uint index, ref PrefixEntry<TPrefix> entry, int at, in Path old, PathAttributes attributes)
    {
        int room = attributes.Canonical.Length + PathAttributesBuilder.Headroom;
        Span<byte> buffer = room <= 8192 ? stackalloc byte[room] : new byte[room];
        PathAttributesBuilder builder = new(attributes.Canonical, buffer);
        builder.AddCommunity(Community.LongLivedStale);
        if (builder.Failed)
        {
            // No room for the mark: it could not be told from a fresh one.
            RemoveAt(index, ref entry, at);
            return;
        }

        uint marked = _attributes.Intern(builder.Build());
        RankInfo info = Rank(marked);
        Path path = old;
        path.Attr = marked;
        path.Rank = info.Rank;
        path.Flags = (ushort)((old.Flags & ~(int)(PathFlags.Unresolved | PathFlags.HasMed)) | (int)info.Flags);
        Replace(index, ref entry, at, old, path);
        _attributes.Release(old.Attr);
    }

    private void Append(uint index, ref PrefixEntry<TPrefix> entry, in Path path, uint pathId)
    {
        if (entry.Count == 0)
        {
            AddFirst(index, ref entry, path, pathId);
            return;
        }

        if (entry.Count == 1 << entry.Class)
        {
            Enlarge(ref entry);
        }

        Path oldHead = _blocks.At(entry.Block);
        bool hadBest = IsEligible(oldHead);
        int at = entry.Count++;
        _blocks.Span(entry.Block, entry.Count)[at] = path;
        _blocks.SetPathId(entry.Block + (uint)at, pathId);
        if ((path.Flags & (ushort)PathFlags.HasMed) != 0)
        {
            entry.Flags |= EntryFlags.AnyMed;
        }

        if (!IsEligible(path))
        {
            return;
        }

        if (!hadBest)
        {
            Swap(ref entry, 0, at);
            MarkDirty(index, ref entry);
            return;
        }

        if ((entry.Flags & EntryFlags.AnyMed) != 0)
        {
            Elect(ref entry);
            NoteChange(index, ref entry, oldHead, path);
            return;
        }

        if (path.Rank > oldHead.Rank || (path.Rank == oldHead.Rank && IsBetter(ref entry, at, 0)))
        {
            Swap(ref entry, 0, at);
            MarkDirty(index, ref entry);
        }
        else if (MattersBesideBest(oldHead, path))
        {
            MarkDirty(index, ref entry);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void AddFirst(uint index, ref PrefixEntry<TPrefix> entry, in Path path, uint pathId)
    {
        uint block = _blocks.AllocateOne();
        _blocks.At(block) = path;
        _blocks.SetPathId(block, pathId);
        (entry.Block, entry.Class, entry.Count) = (block, 0, 1);
        if ((path.Flags & (ushort)PathFlags.HasMed) != 0)
        {
            entry.Flags |= EntryFlags.AnyMed;
        }

        if (IsEligible(path))
        {
            MarkDirty(index, ref entry);
        }
    }

    private void Replace(uint index, ref PrefixEntry<TPrefix> entry, int at, in Path old, in Path path)
    {
        Span<Path> paths = _blocks.Span(entry.Block, entry.Count);
        Path oldHead = paths[0];
        paths[at] = path;
        if ((path.Flags & (ushort)PathFlags.HasMed) != 0)
        {
            entry.Flags |= EntryFlags.AnyMed;
        }

        if (entry.Count > 1)
        {
            Elect(ref entry);
        }

        if (at == 0 || IsEligible(path) || IsEligible(old))
        {
            Path head = _blocks.Span(entry.Block, 1)[0];
            bool same = IsSame(head, oldHead) && !(at == 0 && !IsSame(old, path));
            if (!same ? IsEligible(head) || IsEligible(oldHead) : MattersBesideBest(oldHead, path) || MattersBesideBest(oldHead, old))
            {
                MarkDirty(index, ref entry);
            }
        }
    }

    private void RemoveAt(uint index, ref PrefixEntry<TPrefix> entry, int at) =>
        _attributes.Release(entry.Count == 1 ? RemoveOnly(index, ref entry) : RemoveOneOf(index, ref entry, at));

    private void Uncount(in Path removed)
    {
        ref PeerState state = ref _peers[removed.Peer];
        state.Paths--;
        state.Filtered -= removed.Flags & (ushort)PathFlags.Filtered;
        if ((byte)(removed.Flags >> EpochShift) != state.Epoch)
        {
            state.Stale--;
        }

        TotalPaths--;
    }

    /// <summary>Removes the only path of a prefix; returns its attribute set, on which the caller gives up the path's reference.</summary>
    private uint RemoveOnly(uint index, ref PrefixEntry<TPrefix> entry)
    {
        Path removed = _blocks.At(entry.Block);
        Uncount(removed);
        _blocks.SetPathId(entry.Block, 0);
        _blocks.Free(entry.Block, entry.Class);
        entry.Count = 0;
        entry.Block = 0;
        entry.Flags &= ~EntryFlags.AnyMed;
        if (IsEligible(removed))
        {
            MarkDirty(index, ref entry);
        }
        else if (entry.Pins == 0 && (entry.Flags & EntryFlags.Dirty) == 0)
        {
            Leave(index, ref entry);
        }

        return removed.Attr;
    }

    /// <summary>The same for one path of several.</summary>
    private uint RemoveOneOf(uint index, ref PrefixEntry<TPrefix> entry, int at)
    {
        Span<Path> paths = _blocks.Span(entry.Block, entry.Count);
        Path removed = paths[at];
        Uncount(removed);
        Path head = paths[0];
        int last = entry.Count - 1;
        paths[at] = paths[last];
        _blocks.SetPathId(entry.Block + (uint)at, _blocks.PathId(entry.Block + (uint)last));
        entry.Count--;
        if (IsEligible(removed))
        {
            bool anyMed = (entry.Flags & EntryFlags.AnyMed) != 0;
            if (at == 0 || anyMed)
            {
                Elect(ref entry);
                NoteChange(index, ref entry, head, removed);
            }
            else if (MattersBesideBest(head, removed))
            {
                MarkDirty(index, ref entry);
            }
        }
        else if (at == 0)
        {
            Elect(ref entry);
        }

        return removed.Attr;
    }

    private void NoteChange(uint index, ref PrefixEntry<TPrefix> entry, in Path oldHead, in Path changed)
    {
        Path head = _blocks.Span(entry.Block, 1)[0];
        if (!IsSame(head, oldHead) || MattersBesideBest(oldHead, changed))
        {
            MarkDirty(index, ref entry);
        }
    }

    /// <summary>Whether a change of a path that is not the best is a change of what consumers see.</summary>
    private bool MattersBesideBest(in Path best, in Path changed) =>
        IsEligible(changed) && (_options.AllPaths || (_options.Multipath && changed.Rank == best.Rank));

    private static bool IsSame(in Path a, in Path b) => a.Attr == b.Attr && a.Peer == b.Peer && a.Rank == b.Rank && (byte)a.Flags == (byte)b.Flags;

    private void Enlarge(ref PrefixEntry<TPrefix> entry)
    {
        uint block = _blocks.Allocate(entry.Class + 1);
        _blocks.Span(entry.Block, entry.Count).CopyTo(_blocks.Span(block, entry.Count));
        for (uint i = 0; i < entry.Count; i++)
        {
            _blocks.SetPathId(block + i, _blocks.PathId(entry.Block + i));
        }

        _blocks.Free(entry.Block, entry.Class);
        entry.Block = block;
        entry.Class++;
    }

    private void Swap(ref PrefixEntry<TPrefix> entry, int a, int b)
    {
        if (a == b)
        {
            return;
        }

        Span<Path> paths = _blocks.Span(entry.Block, entry.Count);
        (paths[a], paths[b]) = (paths[b], paths[a]);
        uint idA = _blocks.PathId(entry.Block + (uint)a);
        _blocks.SetPathId(entry.Block + (uint)a, _blocks.PathId(entry.Block + (uint)b));
        _blocks.SetPathId(entry.Block + (uint)b, idA);
    }
}

/// <summary>Told of what a table's sweeps remove.</summary>
public interface IStaleObserver<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>A stale path is about to be removed.</summary>
    /// <param name="prefix">Its prefix.</param>
    /// <param name="pathId">Its ADD-PATH identifier, 0 for none.</param>
    /// <param name="path">The path.</param>
    void StaleRemoved(in TPrefix prefix, uint pathId, in Path path);
}
