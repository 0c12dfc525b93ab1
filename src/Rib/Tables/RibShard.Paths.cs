using System.Runtime.CompilerServices;

namespace Rib;

/// <content>One prefix's paths: storing, replacing and removing one, and what that means for the selection.</content>
public sealed partial class RibShard<TPrefix>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsEligible(in Path path) => (path.Flags & (ushort)(PathFlags.Filtered | PathFlags.Unresolved)) == 0;

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
        if ((byte)(removed.Flags >> EpochShift) != (byte)state.Epoch)
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
