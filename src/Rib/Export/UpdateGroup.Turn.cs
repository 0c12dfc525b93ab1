using Bgp.Protocol;

namespace Rib;

public sealed partial class UpdateGroup<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>The most paths per prefix with ADD-PATH.</summary>
    public const int MaxPaths = 64;

    // Whom the runs of this turn concern: everyone, everyone but one, or only those marked one by one.
    private bool _wakeAll;
    private int _wakeAllExcept = -1;

    private void ProcessDirty(int budget)
    {
        bool encode = false;
        foreach (GroupMember member in _members)
        {
            encode |= member.IsReading;
        }

        while (budget > 0)
        {
            int count = _dirty.Take(_indexes.AsSpan(0, Math.Min(Step, budget)));
            if (count == 0)
            {
                break;
            }

            Compute(_indexes.AsSpan(0, count), encode);
            budget -= count;
        }

        if (!_packer.IsEmpty)
        {
            _packer.Flush(_log);
            _log.Publish();
            WakeMembers();
        }
    }

    /// <summary>
    /// What a prefix is announced as with ADD-PATH (RFC 7911): the best paths, each in a slot whose number is its path identifier. A path keeps its slot as long as it is
    /// among the best, so that a change of one is not a change of the others.
    /// </summary>
    private void ComputePaths(uint index, bool encode)
    {
        int stride = _adjRibOut.Stride;
        Span<AdjRibOutEntry> now = stackalloc AdjRibOutEntry[MaxPaths];
        Span<AdjRibOutEntry> wanted = stackalloc AdjRibOutEntry[MaxPaths];
        now = now[..stride];
        now.Clear();
        int count = 0;
        Span<Path> selected = stackalloc Path[MaxPaths];
        ReadOnlySpan<Path> paths = _rib.Select(index, stride, out _);
        paths = paths[..Math.Min(stride, paths.Length)];
        paths.CopyTo(selected);
        for (int i = 0; i < paths.Length; i++)
        {
            Path path = selected[i];
            TPrefix prefix = _rib.PrefixAt(index);
            if (!_transform.TryRepeat(prefix, path.Attr, path.Peer, _policy, out uint exported))
            {
                exported = _transform.Export(prefix, path.Attr, path.Peer, _target!, _policy, out _, out _);
            }

            if (exported != 0)
            {
                // Held, since the next call of the transform may give it up.
                _attributes.AddRef(exported);
                wanted[count++] = new AdjRibOutEntry(exported, path.Peer, (ushort)_rib.PathIdOf(index, path));
            }
        }

        Assign(index, wanted[..count], now);
        for (int slot = 0; slot < stride; slot++)
        {
            AdjRibOutEntry old = _adjRibOut.Get(index, slot);
            if (now[slot] == old)
            {
                continue;
            }

            if (encode && (now[slot].Attr != old.Attr || now[slot].Source != old.Source))
            {
                Pack(_rib.PrefixAt(index), index, slot, old, now[slot]);
            }

            Store(index, slot, old, now[slot]);
        }

        foreach (ref readonly AdjRibOutEntry entry in wanted[..count])
        {
            _attributes.Release(entry.Attr);
        }
    }

    /// <summary>Puts paths into the slots they had, the rest into free ones, of those first the ones that hold nothing now.</summary>
    private void Assign(uint index, Span<AdjRibOutEntry> wanted, Span<AdjRibOutEntry> now)
    {
        ulong placed = 0;
        for (int i = 0; i < wanted.Length; i++)
        {
            for (int slot = 0; slot < now.Length; slot++)
            {
                AdjRibOutEntry old = SlotBefore(index, slot);
                if (now[slot].IsNone && !old.IsNone && old.Source == wanted[i].Source && old.PathTag == wanted[i].PathTag)
                {
                    now[slot] = wanted[i];
                    placed |= 1UL << i;
                    break;
                }
            }
        }

        for (int pass = 0; pass < 2; pass++)
        {
            for (int i = 0; i < wanted.Length; i++)
            {
                for (int slot = 0; slot < now.Length && (placed & (1UL << i)) == 0; slot++)
                {
                    if (now[slot].IsNone && (pass == 1 || SlotBefore(index, slot).IsNone))
                    {
                        now[slot] = wanted[i];
                        placed |= 1UL << i;
                    }
                }
            }
        }
    }

    /// <summary>What a slot held: in the Adj-RIB-Out, or where that is being filled, at those for whom it is.</summary>
    private AdjRibOutEntry SlotBefore(uint index, int slot)
    {
        AdjRibOutEntry entry = _adjRibOut.Get(index, slot);
        return entry.IsNone && _held is { } held && slot < held.Stride ? held.Get(index, slot) : entry;
    }

    /// <summary>The table of the remarks.</summary>
    private void Pack(in TPrefix prefix, uint index, int slot, AdjRibOutEntry old, AdjRibOutEntry now)
    {
        uint pathId = (uint)slot + 1;
        byte skip = SkipMask(index);
        if (now.IsNone)
        {
            _packer.Add(prefix, pathId, 0, MayHoldAnother(old.Source, index) ? Everyone(skip) : AllBut(old.Source, skip));
            return;
        }

        if (old.IsNone || old.Source == now.Source)
        {
            _packer.Add(prefix, pathId, now.Attr, AllBut(now.Source, skip));
            return;
        }

        if (old.Attr != now.Attr)
        {
            _packer.Add(prefix, pathId, now.Attr, AllBut(now.Source, skip));
        }
        else if (TryOnly(old.Source, skip, out LogTarget target))
        {
            _packer.Add(prefix, pathId, now.Attr, target);
        }

        if (TryOnly(now.Source, skip, out LogTarget only))
        {
            _packer.Add(prefix, pathId, 0, only);
        }
    }

    private void Store(uint index, int slot, AdjRibOutEntry old, AdjRibOutEntry now)
    {
        // The entry's prefix index must not be reused before the withdrawal is packed, nor its attribute id.
        if (!now.IsNone)
        {
            _attributes.AddRef(now.Attr);
            if (old.IsNone)
            {
                _rib.Pin(index);
            }
        }

        _adjRibOut.Set(index, slot, now);
        if (!old.IsNone)
        {
            _attributes.Release(old.Attr);
            if (now.IsNone)
            {
                if (_withdrawals.IsRecording)
                {
                    _withdrawals.Add(_rib.PrefixAt(index), (uint)slot + 1);
                }

                _rib.Unpin(index);
            }
        }
    }

    /// <summary>Bits of the first-sync walks that have yet to reach an index.</summary>
    private byte SkipMask(uint index) => _walks.Count == 0 ? (byte)0 : SkipMaskOfWalks(index);

    private byte SkipMaskOfWalks(uint index)
    {
        byte mask = 0;
        foreach (ExportWalk walk in _walks)
        {
            if (index >= walk.Next && !walk.Done)
            {
                mask |= walk.SkipBit;
            }
        }

        return mask;
    }

    private LogTarget AllBut(ushort source, byte skip)
    {
        if (MemberOf(source) is null)
        {
            return Everyone(skip);
        }

        _wakeAll |= _wakeAllExcept >= 0 && _wakeAllExcept != source;
        _wakeAllExcept = source;
        return new LogTarget(LogTargetKind.AllExcept, skip, source);
    }

    private LogTarget Everyone(byte skip)
    {
        _wakeAll = true;
        return new LogTarget(LogTargetKind.All, skip, 0);
    }

    private bool TryOnly(ushort source, byte skip, out LogTarget target)
    {
        target = new LogTarget(LogTargetKind.Only, skip, source);
        if (MemberOf(source) is not GroupMember member)
        {
            return false;
        }

        member.WakeOnPublish = true;
        return true;
    }

    private void WakeMembers()
    {
        // After the store of the tail and before the idle flags are read; the readers do the same the other way round.
        Interlocked.MemoryBarrier();
        long tail = _log.PublishedTail;
        foreach (GroupMember member in _members)
        {
            // A member that nothing concerns is woken all the same once it is a segment behind, or its place would hold the log.
            bool wake = _wakeAll
                || member.WakeOnPublish
                || (_wakeAllExcept >= 0 && _wakeAllExcept != member.Peer.Index)
                || tail - member.Position > LogSegment.Size;
            member.WakeOnPublish = false;
            if (wake && member.IsReading && member.Walk is null)
            {
                member.Wake();
            }
        }

        _wakeAll = false;
        _wakeAllExcept = -1;
    }

    private void ScheduleEndOfRibs()
    {
        if (_endOfRibDue == 0)
        {
            return;
        }

        foreach (GroupMember member in _members)
        {
            if (!member.EndOfRibDue || member.HoldsEndOfRib || _dirty.Taken < member.EndOfRibTicket || member.IsOut || member.Walk is { Done: false })
            {
                continue;
            }

            member.EndOfRibDue = false;
            _endOfRibDue--;
            member.ScheduleEndOfRib(_log.PublishedTail);
            Interlocked.MemoryBarrier();
            member.Wake();
        }
    }
}
