using System.Runtime.CompilerServices;

namespace Rib;

/// <content>
/// What prefixes are announced as without ADD-PATH: the best path of each. Prefixes are taken by the <see cref="Step"/>, since what they need lies in several
/// tables: what one step reads of the next table is asked for before, and what changes in counts is added up. Routes of one set come together, so
/// the exported set, its references and the target are nearly always those of the prefix before.
/// </content>
public sealed partial class UpdateGroup<TPrefix>
{
    private const int Step = 128;

    private readonly uint[] _indexes = new uint[Step];
    private readonly BestPath<TPrefix>[] _best = new BestPath<TPrefix>[Step];
    private readonly uint[] _toPin = new uint[Step];
    private readonly uint[] _toUnpin = new uint[Step];
    private int _pins;
    private int _unpins;

    // References that entries took on one set and gave up on one, not yet counted. The transform holds what it gave out last, so that is early enough.
    private uint _taken;
    private int _takenCount;
    private uint _dropped;
    private int _droppedCount;

    /// <summary>Computes what prefixes are announced as, stores it, and, where <paramref name="encode"/>, packs what the changes mean to whom.</summary>
    private void Compute(ReadOnlySpan<uint> indexes, bool encode)
    {
        if (Key.AddPathLimit > 0)
        {
            foreach (uint index in indexes)
            {
                ComputePaths(index, encode);
            }

            return;
        }

        _adjRibOut.Prefetch(indexes);
        _rib.SelectBest(indexes, _best);
        try
        {
            ComputeBest(indexes, _best.AsSpan(0, indexes.Length), encode);
        }
        finally
        {
            // Ids in it may be others' by the next step.
            _transform.ClearAhead();
            SettleTaken();
            SettleDropped();
            _rib.Pin(_toPin.AsSpan(0, _pins));
            _rib.Unpin(_toUnpin.AsSpan(0, _unpins));
            (_pins, _unpins) = (0, 0);
        }
    }

    private void ComputeBest(ReadOnlySpan<uint> indexes, ReadOnlySpan<BestPath<TPrefix>> best, bool encode)
    {
        LookAhead(indexes, best);
        int end;
        for (int start = 0; start < indexes.Length; start = end)
        {
            ref readonly BestPath<TPrefix> first = ref best[start];
            uint exported = first.Attr == 0 ? 0 : ExportOf(first);
            end = start + 1;
            bool all = true;
            if (first.Attr == 0 || _transform.Repeats(first.Attr, first.Peer, _policy, out all))
            {
                while (end < indexes.Length && best[end].Attr == first.Attr && best[end].Peer == first.Peer && (all || _policy.AcceptsLearned(best[end].Prefix)))
                {
                    end++;
                }
            }

            if (exported == 0)
            {
                Retract(indexes[start..end], best[start..end], encode);
            }
            else
            {
                Announce(indexes[start..end], best[start..end], new AdjRibOutEntry(exported, first.Peer, 0), encode);
            }
        }
    }

    /// <summary>Begins what the step will need and is slow to come.</summary>
    private void LookAhead(ReadOnlySpan<uint> indexes, ReadOnlySpan<BestPath<TPrefix>> best)
    {
        uint last = 0;
        uint lastOld = 0;
        bool room = true;
        for (int i = 0; i < indexes.Length; i++)
        {
            uint attribute = best[i].Attr;
            if (attribute == 0)
            {
                uint old = _adjRibOut.Get(indexes[i], 0).Attr;
                if (old != lastOld && old != 0)
                {
                    _attributes.PrefetchRelease(old);
                }

                lastOld = old;
            }
            else if (attribute != last && room)
            {
                room = _transform.Ahead(best[i].Prefix, attribute, best[i].Peer, _policy);
                last = attribute;
            }
        }
    }

    /// <summary>Prefixes whose best path is of the same set and peer.</summary>
    private void Announce(ReadOnlySpan<uint> indexes, ReadOnlySpan<BestPath<TPrefix>> best, AdjRibOutEntry now, bool encode)
    {
        // While a walk is on, whom a prefix is for depends on the prefix.
        bool alike = encode && _walks.Count == 0;
        int first = alike || !encode ? AnnounceNew(indexes, best, now, alike) : 0;
        int added = first;
        int taken = first;
        for (int i = first; i < indexes.Length; i++)
        {
            uint index = indexes[i];
            ref AdjRibOutEntry place = ref _adjRibOut.Place(index);
            AdjRibOutEntry old = place;
            if (old == now)
            {
                continue;
            }

            if (alike && (old.IsNone || old.Source == now.Source))
            {
                _packer.Add(best[i].Prefix, 1, now.Attr, AllBut(now.Source, 0));
            }
            else if (encode)
            {
                Pack(best[i].Prefix, index, 0, old, now);
            }

            // The prefix index must not be reused before a withdrawal is packed, nor the attribute id.
            place = now;
            taken++;
            if (old.IsNone)
            {
                added++;
                _toPin[_pins++] = index;
                continue;
            }

            Drop(old.Attr);
            if (old.Source != now.Source)
            {
                _adjRibOut.Counted(old.Source, -1);
                added++;
            }
        }

        _adjRibOut.Counted(now.Source, added);
        Take(now.Attr, taken);
    }

    /// <summary>
    /// The first ones under which nothing was announced, as in a table that fills up: how many. Three short loops, one for each place that is written to, take
    /// a quarter of the instructions of the one above, where everything may happen to a prefix.
    /// </summary>
    private int AnnounceNew(ReadOnlySpan<uint> indexes, ReadOnlySpan<BestPath<TPrefix>> best, AdjRibOutEntry now, bool pack)
    {
        int count = 0;
        foreach (uint index in indexes)
        {
            ref AdjRibOutEntry place = ref _adjRibOut.Place(index);
            if (!place.IsNone)
            {
                break;
            }

            place = now;
            count++;
        }

        if (count > 0)
        {
            indexes[..count].CopyTo(_toPin.AsSpan(_pins));
            _pins += count;
            if (pack)
            {
                _packer.AddAll(best[..count], now.Attr, AllBut(now.Source, 0));
            }
        }

        return count;
    }

    /// <summary>Prefixes of which nothing is announced any more.</summary>
    private void Retract(ReadOnlySpan<uint> indexes, ReadOnlySpan<BestPath<TPrefix>> best, bool encode)
    {
        int end;
        for (int start = 0; start < indexes.Length; start = end)
        {
            end = start + 1;
            AdjRibOutEntry first = _adjRibOut.Get(indexes[start], 0);
            if (first.IsNone)
            {
                continue;
            }

            while (end < indexes.Length && _adjRibOut.Get(indexes[end], 0) is { IsNone: false } next && next.Source == first.Source)
            {
                end++;
            }

            RetractFrom(first.Source, indexes[start..end], best[start..end], encode);
        }
    }

    /// <summary>Prefixes whose announced route was of one peer.</summary>
    private void RetractFrom(ushort source, ReadOnlySpan<uint> indexes, ReadOnlySpan<BestPath<TPrefix>> best, bool encode)
    {
        if (encode && _walks.Count == 0)
        {
            _packer.AddAll(best, 0, AllBut(source, 0));
        }
        else if (encode)
        {
            for (int i = 0; i < indexes.Length; i++)
            {
                Pack(best[i].Prefix, indexes[i], 0, _adjRibOut.Get(indexes[i], 0), default);
            }
        }

        foreach (uint index in indexes)
        {
            ref AdjRibOutEntry place = ref _adjRibOut.Place(index);
            Drop(place.Attr);
            place = default;
        }

        _adjRibOut.Counted(source, -indexes.Length);
        indexes.CopyTo(_toUnpin.AsSpan(_unpins));
        _unpins += indexes.Length;
        if (_withdrawals.IsRecording)
        {
            foreach (ref readonly BestPath<TPrefix> path in best)
            {
                _withdrawals.Add(path.Prefix, 1);
            }
        }
    }

    /// <summary>Computes a part of the table that no walk has reached before.</summary>
    private void ComputeUnfilled(uint from, uint end)
    {
        from = Math.Max(from, _filled);
        while (from < end)
        {
            int count = (int)Math.Min(Step, end - from);
            for (int i = 0; i < count; i++)
            {
                _indexes[i] = from + (uint)i;
            }

            Compute(_indexes.AsSpan(0, count), encode: false);
            from += (uint)count;
        }
    }

    private uint ExportOf(in BestPath<TPrefix> path)
    {
        if (_transform.TryRepeat(path.Prefix, path.Attr, path.Peer, _policy, out uint exported))
        {
            return exported;
        }

        // The transform may give up the set that the entries before hold uncounted.
        SettleTaken();
        return _transform.Export(path.Prefix, path.Attr, path.Peer, _target!, _policy, out _, out _);
    }

    private void Take(uint attribute, int count)
    {
        if (attribute != _taken)
        {
            SettleTaken();
            _taken = attribute;
        }

        _takenCount += count;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Drop(uint attribute)
    {
        if (attribute != _dropped)
        {
            SettleDropped();
            _dropped = attribute;
        }

        _droppedCount++;
    }

    private void SettleTaken()
    {
        if (_takenCount > 0)
        {
            _attributes.AddRef(_taken, _takenCount);
            _takenCount = 0;
        }
    }

    private void SettleDropped()
    {
        if (_droppedCount > 0)
        {
            _attributes.Release(_dropped, _droppedCount);
            _droppedCount = 0;
        }
    }
}
