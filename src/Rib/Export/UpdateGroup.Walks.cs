using Bgp.Protocol;

namespace Rib;

/// <summary>Walks over the Adj-RIB-Out, and the members that left the log because they could not keep up.</summary>
public sealed partial class UpdateGroup<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private readonly List<GroupMember> _detached = [];
    private readonly Withdrawals<TPrefix> _withdrawals;
    private int _nextWalk;

    /// <summary>Members that read too slowly for the log at present.</summary>
    public int Detached => _detached.Count;

    /// <summary>Walks under way, or encoded and still being read.</summary>
    public int Walks => _walks.Count;

    /// <summary>Walks begun since the group exists: one serves all who wait for one at the time.</summary>
    public long WalksStarted { get; private set; }

    /// <summary>Withdrawals remembered for detached members.</summary>
    public int RememberedWithdrawals => _withdrawals.Count;

    /// <summary>Detaches who is too far behind the fastest, and, when all logs together hold too much, who holds most.</summary>
    private void DetachSlow()
    {
        if (_log.RetainedBytes > _limits.Behind)
        {
            DetachBehind(_limits.Behind);
            _log.Trim(_detached);
        }

        foreach (ExportWalk walk in _walks)
        {
            if (walk.Log.RetainedBytes > _limits.Behind)
            {
                DetachInWalk(walk, Fastest(walk) - _limits.Behind);
            }
        }

        // Whoever is alone in a walk is its fastest reader: what it leaves unread counts too when memory is short.
        for (long bound = _limits.Behind / 2; bound >= LogSegment.Size / 2 && IsOverMemory(); bound /= 2)
        {
            DetachBehind(bound);
            foreach (ExportWalk walk in _walks)
            {
                DetachInWalk(walk, walk.Log.Tail - bound);
            }

            Trim();
        }

        if (_withdrawals.Count > _limits.Withdrawals)
        {
            ReportLagging();
        }
    }

    private void DetachBehind(long bound)
    {
        long fastest = 0;
        foreach (GroupMember member in _members)
        {
            fastest = member.IsReading ? Math.Max(fastest, member.Position) : fastest;
        }

        foreach (GroupMember member in _members)
        {
            if (member.IsReading && fastest - member.Position > bound)
            {
                Detach(member);
            }
        }
    }

    private long Fastest(ExportWalk walk)
    {
        long fastest = 0;
        foreach (GroupMember member in _members)
        {
            fastest = ReferenceEquals(member.Walk, walk) ? Math.Max(fastest, member.WalkPosition) : fastest;
        }

        return fastest;
    }

    private void DetachInWalk(ExportWalk walk, long least)
    {
        foreach (GroupMember member in _members)
        {
            if (member.IsReading && ReferenceEquals(member.Walk, walk) && member.WalkPosition < least)
            {
                Detach(member);
            }
        }
    }

    private void Detach(GroupMember member)
    {
        ResyncWalk<TPrefix>? resync = member.Walk as ResyncWalk<TPrefix>;
        bool transfer = member.Walk is { IsTransfer: true };
        long position = member.Position;
        member.Detach();
        member.WalksAlone = resync is not null;
        _detached.Add(member);
        if (transfer && !member.ResyncHasMarks)
        {
            // What it holds of its old group, and has not been told of, is nowhere written down any more.
            member.ReportedLagging = true;
            Lagging?.Invoke(member);
        }
        else if (!member.ResyncHasMarks)
        {
            _withdrawals.RecordSince(_log, position);
            if (resync?.Gone is { } gone)
            {
                // It may not have heard of these yet.
                _withdrawals.Add(gone);
            }
        }
    }

    /// <summary>A member is detached no longer, or gone.</summary>
    private void ForgetDetached(GroupMember member)
    {
        if (!_detached.Remove(member))
        {
            return;
        }

        if (_withdrawals.IsRecording && _detached.TrueForAll(static other => other.ResyncHasMarks))
        {
            _withdrawals.Clear();
        }
    }

    private void ReportLagging()
    {
        foreach (GroupMember member in _detached)
        {
            if (!member.ResyncHasMarks && !member.ReportedLagging)
            {
                member.ReportedLagging = true;
                Lagging?.Invoke(member);
            }
        }
    }

    private int FreeSlot()
    {
        int used = 0;
        foreach (ExportWalk walk in _walks)
        {
            if (!walk.Done && walk.Slot != ExportWalk.NoSlot)
            {
                used |= 1 << walk.Slot;
            }
        }

        for (int slot = 0; slot < ExportWalk.MaxSlots; slot++)
        {
            if ((used & (1 << slot)) == 0)
            {
                return slot;
            }
        }

        return -1;
    }

    private bool MayRepeat()
    {
        int running = 0;
        foreach (ExportWalk walk in _walks)
        {
            running += walk.Slot == ExportWalk.NoSlot && !walk.Done ? 1 : 0;
        }

        return running < _limits.Walks;
    }

    private bool HasUnfinishedWalk() => _walks.Exists(static walk => !walk.Done);

    private bool WalkCanGoOn()
    {
        // Not Exists: a lambda that needs this group would be an object per turn.
        foreach (ExportWalk walk in _walks)
        {
            if (!walk.Done && WalkHasRoom(walk))
            {
                return true;
            }
        }

        return false;
    }

    private static bool WantsRefreshNow(GroupMember member) => member is { WantsRefresh: true, IsReading: true, Walk: null, EndOfRibSent: true };

    private bool RefreshCanStart() => _members.Exists(static member => WantsRefreshNow(member)) && MayRepeat();

    private bool ResyncCanStart() => _detached.Exists(static member => member.IsDrained) && MayRepeat();

    private bool WalkHasRoom(ExportWalk walk)
    {
        // Readers that stand still must not make others wait for their turn to walk: then memory is the only bound.
        bool crowded = walk.Slot == ExportWalk.NoSlot
            ? !MayRepeat() && (_wantRefresh > 0 || _detached.Count > 0)
            : _waiting > 0 && FreeSlot() < 0;
        if (crowded)
        {
            return true;
        }

        long tail = walk.Log.Tail;
        foreach (GroupMember member in _members)
        {
            if (ReferenceEquals(member.Walk, walk) && tail - member.WalkPosition < _limits.Window)
            {
                return true;
            }
        }

        return false;
    }

    private void StartWalks()
    {
        if (_waiting > 0 && FreeSlot() is int slot and >= 0)
        {
            ExportWalk walk = Begin(new ExportWalk(slot, new UpdateLog(_pool)));
            foreach (GroupMember member in _members)
            {
                if (member.IsWaitingForWalk)
                {
                    member.IsWaitingForWalk = false;
                    member.EndOfRibDue = true;
                    _endOfRibDue++;
                    member.Start(walk, enhanced: false);
                }
            }

            _waiting = 0;
        }

        if (_wantRefresh > 0 && RefreshCanStart())
        {
            ExportWalk walk = Begin(new ExportWalk(ExportWalk.NoSlot, new UpdateLog(_pool)));
            foreach (GroupMember member in _members)
            {
                if (WantsRefreshNow(member))
                {
                    member.WantsRefresh = false;
                    _wantRefresh--;
                    member.Start(walk, member.WantsEnhanced);
                }
            }
        }

        if (_detached.Count > 0)
        {
            StartResyncs();
        }
    }

    /// <summary>Starts walks for the members that have drained: those that take marks together, the others together, and each that failed before by itself.</summary>
    private void StartResyncs()
    {
        ResyncWalk<TPrefix>? withMarks = null;
        ResyncWalk<TPrefix>? without = null;
        for (int i = _detached.Count - 1; i >= 0 && MayRepeat(); i--)
        {
            GroupMember member = _detached[i];
            if (!member.IsDrained)
            {
                continue;
            }

            ResyncWalk<TPrefix>? shared = member.ResyncHasMarks ? withMarks : without;
            ResyncWalk<TPrefix> walk = member.WalksAlone || shared is null
                ? new ResyncWalk<TPrefix>(new UpdateLog(_pool), member.ResyncHasMarks ? null : _withdrawals.ToArray())
                : shared;
            if (!member.TryResume(walk))
            {
                if (walk != shared)
                {
                    walk.Log.Close();
                }

                continue;
            }

            if (walk != shared)
            {
                Begin(walk);
            }

            if (!member.WalksAlone)
            {
                (withMarks, without) = member.ResyncHasMarks ? (walk, without) : (withMarks, walk);
            }

            ForgetDetached(member);
            if (member.WantsRefresh && (member.ResyncHasMarks || !member.WantsEnhanced))
            {
                // This is it.
                member.WantsRefresh = false;
                _wantRefresh--;
            }
        }
    }

    private TWalk Begin<TWalk>(TWalk walk)
        where TWalk : ExportWalk
    {
        _walks.Add(walk);
        WalksStarted++;
        return walk;
    }

    /// <summary>Up to <paramref name="budget"/> prefixes of walks, which take turns to be first.</summary>
    private void ProcessWalks(int budget)
    {
        int count = _walks.Count;
        for (int i = 0; i < count && budget > 0; i++)
        {
            ExportWalk walk = _walks[(_nextWalk + i) % count];
            if (!walk.Done && WalkHasRoom(walk))
            {
                budget -= ProcessWalk(walk, budget);
            }
        }

        _nextWalk = count == 0 ? 0 : (_nextWalk + 1) % count;
    }

    /// <summary>Encodes the next slice of a walk, after computing what nobody has computed yet. Returns how many prefixes it looked at.</summary>
    private int ProcessWalk(ExportWalk walk, int budget)
    {
        uint start = walk.Next;
        bool first = walk.Log.Tail == 0;
        int done = walk is ResyncWalk<TPrefix> resync ? PackGone(resync, budget) : 0;
        if (done < budget)
        {
            PackSlice(walk, budget - done);
        }

        if (!_packer.IsEmpty || walk.Done || first)
        {
            walk.Log.AppendControl(LogRecordKind.Barrier, _log.PublishedTail);
            _packer.Flush(walk.Log);
        }

        if (walk.Done)
        {
            walk.Log.AppendControl(LogRecordKind.End, 0);
            Forget(walk);
        }

        _wakeAll = false;
        _wakeAllExcept = -1;

        if (walk.Log.Publish())
        {
            Interlocked.MemoryBarrier();
            foreach (GroupMember member in _members)
            {
                if (ReferenceEquals(member.Walk, walk))
                {
                    member.Wake();
                }
            }
        }

        return walk.Done ? done + 1 : done + (int)(walk.Next - start);
    }

    private void PackSlice(ExportWalk walk, int budget)
    {
        bool withdrawOwn = walk is ResyncWalk<TPrefix> { Gone: not null };
        uint limit = _rib.IndexLimit;
        uint end = (uint)Math.Min(limit, (ulong)walk.Next + (uint)budget);
        int stride = _adjRibOut.Stride;
        _held = walk.Held;
        ComputeUnfilled(walk.Next, end);
        for (uint index = walk.Next; index < end; index++)
        {
            if (walk.Held is { } held)
            {
                PackDifference(index, held);
                continue;
            }

            for (int slot = 0; slot < stride; slot++)
            {
                AdjRibOutEntry entry = _adjRibOut.Get(index, slot);
                if (entry.IsNone)
                {
                    continue;
                }

                _packer.Add(_rib.PrefixAt(index), (uint)slot + 1, entry.Attr, AllBut(entry.Source, 0));
                if (withdrawOwn && MemberOf(entry.Source) is { } source && ReferenceEquals(source.Walk, walk))
                {
                    _packer.Add(_rib.PrefixAt(index), (uint)slot + 1, 0, LogTarget.Only(entry.Source));
                }
            }
        }

        _held = null;
        walk.Next = end;
        _filled = Math.Max(_filled, end);
        if (end >= limit)
        {
            // From here on every change is reported as dirty, also of indexes that do not exist yet.
            walk.Done = true;
            walk.Next = uint.MaxValue;
            _filled = uint.MaxValue;
        }
    }

    /// <summary>
    /// Whether a member whose own route stands at an index may still hold another's that stood there before: it came back from being detached, and the
    /// walk that will tell it so has not come there yet.
    /// </summary>
    private bool MayHoldAnother(ushort source, uint index) => MemberOf(source)?.Walk is ResyncWalk<TPrefix> { Gone: not null } walk && index >= walk.Next;

    private int PackGone(ResyncWalk<TPrefix> walk, int budget)
    {
        if (walk.Gone is not { } gone)
        {
            return 0;
        }

        int start = walk.NextGone;
        int end = Math.Min(gone.Length, start + budget);
        for (int i = start; i < end; i++)
        {
            // With ADD-PATH off, slot 0 is packed with path identifier 1, which is then not written.
            Withdrawals<TPrefix>.Item item = gone[i];
            int slot = item.PathId == 0 ? 0 : (int)item.PathId - 1;
            if (!_rib.TryFind(item.Prefix, out uint index) || _adjRibOut.Get(index, slot).IsNone)
            {
                _packer.Add(item.Prefix, item.PathId, 0, LogTarget.All);
            }
        }

        walk.NextGone = end;
        return end - start;
    }
}
