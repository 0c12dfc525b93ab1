using Bgp.Protocol;

namespace Rib;

/// <content>What a neighbour's losses and refreshes leave: which paths are from before, and what becomes of them.</content>
public sealed partial class RibShard<TPrefix>
{
    /// <summary>Paths of an earlier session of a peer that this one has not confirmed.</summary>
    public int StaleCount(ushort peer) => peer < _peers.Length ? _peers[peer].Stale : 0;

    /// <summary>Whether a path is from before its peer's latest epoch.</summary>
    public bool IsStale(in Path path) => (byte)(path.Flags >> EpochShift) != (byte)_peers[path.Peer].Epoch;

    /// <summary>A peer's present epoch: what <see cref="IsSince"/> takes later.</summary>
    public long EpochOf(ushort peer) => StateOf(peer).Epoch;

    /// <summary>
    /// Whether a path was stored, or confirmed, since its peer had that epoch: what a session has sent is what came since its first one, stale for a route refresh
    /// or not.
    /// </summary>
    public bool IsSince(in Path path, long epoch)
    {
        long present = _peers[path.Peer].Epoch;
        return present - (byte)(present - (path.Flags >> EpochShift)) >= epoch;
    }

    /// <summary>Told of each path that <see cref="SweepStale"/> removes, before it is gone; null where nobody asks.</summary>
    public IStaleObserver<TPrefix>? StaleObserver { get; set; }

    /// <summary>Everything that the peer has sent so far is stale from now on. Returns how many prefixes were looked at, which is 0 but in the case below.</summary>
    /// <remarks>
    /// The epochs of a peer's paths must not lie 256 apart. They do not where what is stale is confirmed or swept: then all paths have the present epoch, however many there were
    /// before. Where it is not, because a neighbour begins refresh after refresh and ends none, or comes back again and again and sends nothing, a pass begins when the oldest path
    /// may be 128 epochs old, and what was not confirmed in the latter 64 of them goes, though its time is not over (RFC 7313 section 4 allows that, RFC 4724 section 4.2 asks for it
    /// at the second loss). Each further epoch pays for a part of the pass, so that no neighbour can have a table stand still for a whole one.
    /// </remarks>
    public int BumpEpoch(ushort peer)
    {
        ref PeerState state = ref StateOf(peer);
        if (state.Stale == 0)
        {
            (state.Oldest, state.Pass) = (state.Epoch, 0);
        }

        state.Epoch++;
        state.Stale = state.Paths;
        return state.Epoch - state.Oldest > MaxAge / 2 ? RemoveOldest(peer, state) : 0;
    }

    /// <summary>The next part of the pass that removes a peer's paths of its 64 oldest epochs: it is through in 32 parts where the table does not grow.</summary>
    private int RemoveOldest(ushort peer, PeerState state)
    {
        const int epochs = (MaxAge + 1) / 4;
        int budget = state.Epoch - state.Oldest >= MaxAge ? int.MaxValue : (int)(_index.Limit / (epochs / 2)) + 1;
        uint cursor = Math.Max(state.Pass, 1);
        uint from = cursor;
        bool through = SweepStale(peer, ref cursor, budget, state.Oldest + epochs);
        ref PeerState after = ref _peers[peer];
        (after.Oldest, after.Pass) = through ? (state.Oldest + epochs, 0) : (state.Oldest, cursor);
        return (int)(cursor - from);
    }

    /// <summary>
    /// Removes a peer's paths from before the epoch <paramref name="since"/> among the next <paramref name="budget"/> prefixes from <paramref name="cursor"/>; true
    /// when none is left.
    /// </summary>
    /// <remarks>The epoch is the one of when the sweep was asked for: while it is under way a refresh or a loss may make all paths stale, which is not what it was asked to
    /// remove. Behind the cursor no path gets older than that, so one pass is enough.</remarks>
    public bool SweepStale(ushort peer, ref uint cursor, int budget, long since)
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
    public bool MarkLongLived(ushort peer, ref uint cursor, int budget, long since)
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
}
