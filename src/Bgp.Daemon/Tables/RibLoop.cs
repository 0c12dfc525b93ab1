using Bgp.Daemon.Bmp;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Protocol;
using Microsoft.Extensions.Logging;
using Rib;

namespace Bgp.Daemon.Tables;

/// <summary>What a table tells a session. Called on the table's loop: must not block and must not enter the table.</summary>
internal interface IRibSession
{
    /// <summary>More prefixes than allowed were received (RFC 4486 section 4, subcode 1).</summary>
    void MaxPrefixesExceeded(AfiSafi family, int limit, int count, bool tearDown);

    /// <summary>The neighbour read too slowly, and too much was withdrawn meanwhile to make it up.</summary>
    void Lagging(AfiSafi family);
}

/// <summary>One session's place in a table.</summary>
internal sealed class RibSession<TPrefix>(RibPeer peer, long id, IRibSession owner)
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    internal RibPeer Peer => peer;

    internal long Id => id;

    internal IRibSession Owner => owner;

    internal UpdateGroup<TPrefix>? Group { get; set; }

    internal GroupMember? Member { get; set; }

    /// <summary>RFC 7313 was negotiated.</summary>
    internal bool EnhancedRefresh { get; init; }

    internal int MaxPrefixes { get; set; }

    internal bool MaxPrefixesTearsDown { get; set; }

    internal bool MaxPrefixesReported { get; set; }

    internal bool EndOfRibReceived { get; set; }

    internal bool RefreshUnderWay { get; set; }

    /// <summary>The table's epoch of the peer when the session came up.</summary>
    internal long Epoch { get; set; }
}

/// <summary>What one session is sent from now on.</summary>
/// <param name="Peer">Index of the peer.</param>
/// <param name="Session">The session; one that is over is left out.</param>
/// <param name="Key">The update group that it belongs to.</param>
/// <param name="Export">Export policy of a group that does not exist yet.</param>
internal sealed record GroupMove<TPrefix>(ushort Peer, long Session, UpdateGroupKey Key, IRoutePolicy<TPrefix> Export)
    where TPrefix : unmanaged, IPrefix<TPrefix>;

/// <summary>
/// One family's table with everything that must happen in its order: routes in, decision, update groups, wanted kernel routes.
/// </summary>
/// <remarks>
/// The loop is the only thread that touches <see cref="Shard"/>, the groups and the next hops. Work arrives in one queue, in order per sender, the senders
/// in turn (<see cref="WorkQueue{T}"/>), bounded by the senders' credits (<see cref="InboundFamily{TPrefix}"/>); questions from the CLI arrive in a second queue that is served first each turn, so that
/// they are answered within a turn (about a millisecond) whatever load the first holds. A turn applies up to <see cref="TurnPrefixes"/> prefixes, then
/// carries every change to the groups and the kernel. There is no settle timer: what arrives during a turn is the next batch.
/// </remarks>
internal sealed class RibLoop<TPrefix> : SerialLoop
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>Prefixes applied in one turn before their changes go on.</summary>
    private const int TurnPrefixes = 4096;

    private const int SweepBudget = 1024;

    private readonly Lock _gate = new();
    private readonly WorkQueue<RibWork<TPrefix>> _work = new();
    private readonly Queue<RibWork<TPrefix>> _questions = new();
    private readonly Stack<RouteBatch<TPrefix>> _free = new();
    private readonly ILogger _log;
    private readonly Dictionary<UpdateGroupKey, UpdateGroup<TPrefix>> _groups = [];
    private readonly List<(ushort Peer, uint Cursor, long Since)> _sweeps = [];
    private readonly List<(ushort Peer, uint Cursor, long Since)> _marks = [];
    private readonly List<GroupMove<TPrefix>> _moves = [];
    private readonly List<(TaskCompletionSource Done, bool Moves)> _settling = [];
    private readonly SegmentPool _segments = new();
    private readonly uint[] _dirty = new uint[1024];
    private RibSession<TPrefix>?[] _sessions = new RibSession<TPrefix>?[16];
    private ForwardingTable<TPrefix>? _forwarding;
    private ImportWalk<TPrefix>? _importWalk;
    private BmpTable<TPrefix>? _monitor;
    private int _looked;

    internal RibLoop(AttributeTable attributes, INextHopResolver resolver, RibOptions options, IWorkScheduler scheduler, ILogger log)
        : base(scheduler)
    {
        Attributes = attributes;
        Shard = new RibShard<TPrefix>(attributes, resolver, options);
        _log = log;
        FanOut = new FanOut(scheduler, Fault);
    }

    /// <summary>The table.</summary>
    internal RibShard<TPrefix> Shard { get; }

    /// <summary>All attribute sets of the process.</summary>
    internal AttributeTable Attributes { get; }

    /// <summary>The writers that a turn wakes.</summary>
    internal FanOut FanOut { get; }

    /// <summary>Called on the loop when a peer has sent End-of-RIB, or can send none any more.</summary>
    internal Action<ushort>? OnEndOfRib { get; set; }

    /// <summary>What an update group made from now on holds for slow readers.</summary>
    internal GroupLimits GroupLimits { get; init; } = new();

    /// <summary>Update groups, for memory accounting and explain.</summary>
    internal IReadOnlyCollection<UpdateGroup<TPrefix>> Groups => _groups.Values;

    /// <summary>The consumer that wants kernel routes, where there is a kernel.</summary>
    internal ForwardingTable<TPrefix>? Forwarding
    {
        get => _forwarding;
        set => _forwarding = value;
    }

    /// <summary>What follows the table for BMP stations; null where there is none, which is all that they cost then.</summary>
    internal BmpTable<TPrefix>? Monitor
    {
        get => _monitor;
        set => Volatile.Write(ref _monitor, value);
    }

    /// <summary>Whether somebody wants to know of attribute sets as they came where import policy changed them. For readers.</summary>
    internal bool KeepsReceived => Volatile.Read(ref _monitor) is { KeepsReceived: true };

    /// <summary>
    /// Adds work behind all that its sender has added. With <paramref name="inline"/> an idle loop runs it at once on this thread; without, the caller goes on with its own and the loop
    /// works beside it.
    /// </summary>
    internal void Post(RibWork<TPrefix> work, bool inline = true)
    {
        lock (_gate)
        {
            _work.Enqueue(work, work.Sender);
        }

        Signal(inline);
    }

    /// <summary>Adds work in order with a peer's (index) or, by default, with all that is added before and after it.</summary>
    internal void Post(Action<RibLoop<TPrefix>> action, int sender = WorkQueue<RibWork<TPrefix>>.Everyone) => Post(new RibAction<TPrefix>(action, sender));

    /// <summary>The same without running it here: for callers that hold a lock.</summary>
    internal void PostLater(Action<RibLoop<TPrefix>> action, int sender = WorkQueue<RibWork<TPrefix>>.Everyone) => Post(new RibAction<TPrefix>(action, sender), inline: false);

    /// <summary>Asks a question: served before queued work, never on the caller's thread, so that a client's thread cannot be made to run the table.</summary>
    internal Task<TResult> AskAsync<TResult>(Func<RibLoop<TPrefix>, TResult> question)
    {
        TaskCompletionSource<TResult> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        RibAction<TPrefix> work = new(loop =>
        {
            try
            {
                answer.SetResult(question(loop));
            }
            catch (Exception exception)
            {
                // The asker gets the error; the table is not the place where it ends.
                answer.SetException(exception);
            }
        }, RibPeer.Local);
        lock (_gate)
        {
            _questions.Enqueue(work);
        }

        Signal(inline: false);
        return answer.Task;
    }

    internal RouteBatch<TPrefix> RentBatch(InboundFamily<TPrefix> owner, ushort peer, long session)
    {
        RouteBatch<TPrefix>? batch;
        lock (_free)
        {
            _free.TryPop(out batch);
        }

        batch ??= new RouteBatch<TPrefix>();
        (batch.Owner, batch.Peer, batch.Session) = (owner, peer, session);
        return batch;
    }

    internal void ReturnBatch(RouteBatch<TPrefix> batch)
    {
        lock (_free)
        {
            if (_free.Count < 256)
            {
                _free.Push(batch);
            }
        }
    }

    internal bool IsCurrent(ushort peer, long session) =>
        peer < _sessions.Length && _sessions[peer] is { } current && current.Id == session;

    internal RibSession<TPrefix>? SessionOf(ushort peer) => peer < _sessions.Length ? _sessions[peer] : null;

    /// <summary>A session came up. Its first walk starts; <paramref name="onData"/> is called when there is something to send.</summary>
    internal GroupMember SessionUp(RibSession<TPrefix> session, UpdateGroupKey key, IRoutePolicy<TPrefix> export, bool keepStale, Action onData)
    {
        ushort index = session.Peer.Index;
        if (index >= _sessions.Length)
        {
            Array.Resize(ref _sessions, Math.Max(index + 1, _sessions.Length * 2));
        }

        if (_sessions[index] is { } old)
        {
            LeaveGroup(old);
        }

        // Whatever an earlier session left is stale now; without the neighbour's word that it kept its state, it goes at once.
        Shard.BumpEpoch(index);
        if (!keepStale)
        {
            Sweep(index);
        }

        _monitor?.SessionOver(index);
        session.Epoch = Shard.EpochOf(index);
        _sessions[index] = session;
        Shard.SetPeer(session.Peer);
        UpdateGroup<TPrefix> group = GroupOf(key, export);
        session.Group = group;
        session.Member = group.Join(session.Peer, onData, holdEndOfRib: false, session.EnhancedRefresh);
        return session.Member;
    }

    private UpdateGroup<TPrefix> GroupOf(UpdateGroupKey key, IRoutePolicy<TPrefix> export)
    {
        if (!_groups.TryGetValue(key, out UpdateGroup<TPrefix>? group))
        {
            group = new UpdateGroup<TPrefix>(key, Shard, Attributes, export, () => Signal(inline: false), _segments, GroupLimits)
            {
                Lagging = member => SessionOf(member.Peer.Index)?.Owner.Lagging(TPrefix.Family),
            };
            _groups.Add(key, group);
        }

        return group;
    }

    /// <summary>Sessions that are sent something else from now on: each is sent what differs, and others nothing.</summary>
    internal void ChangeExport(IReadOnlyList<GroupMove<TPrefix>> moves)
    {
        foreach (GroupMove<TPrefix> move in moves)
        {
            _moves.RemoveAll(old => old.Peer == move.Peer);
            _moves.Add(move);
        }
    }

    /// <summary>Other bounds of what is taken from a peer.</summary>
    internal void ChangeLimit(ushort peer, long session, int maxPrefixes, bool tearsDown)
    {
        if (IsCurrent(peer, session) && _sessions[peer] is { } current && (current.MaxPrefixes != maxPrefixes || current.MaxPrefixesTearsDown != tearsDown))
        {
            (current.MaxPrefixes, current.MaxPrefixesTearsDown, current.MaxPrefixesReported) = (maxPrefixes, tearsDown, false);
            CheckMaxPrefixes(peer);
        }
    }

    /// <summary>Moves whoever can be moved; a session in the middle of something stays where it is until it is through.</summary>
    private void RunMoves()
    {
        if (_moves.Count == 0)
        {
            return;
        }

        List<GroupMove<TPrefix>> due = [.. _moves];
        _moves.Clear();
        foreach (IGrouping<(UpdateGroup<TPrefix> From, UpdateGroupKey To), GroupMove<TPrefix>> together in due
            .Where(move => IsCurrent(move.Peer, move.Session) && _sessions[move.Peer] is { Group: { } group } && group.Key != move.Key)
            .GroupBy(move => (_sessions[move.Peer]!.Group!, move.Key)))
        {
            UpdateGroup<TPrefix> from = together.Key.From;
            UpdateGroup<TPrefix> to = GroupOf(together.Key.To, together.First().Export);
            List<GroupMember> members = [.. together.Select(move => _sessions[move.Peer]!.Member!)];
            to.TakeOver(from, members);
            foreach (GroupMove<TPrefix> move in together)
            {
                RibSession<TPrefix> session = _sessions[move.Peer]!;
                if (members.Contains(session.Member!))
                {
                    _moves.Add(move);
                }
                else
                {
                    session.Group = to;
                }
            }

            CloseIfEmpty(from);
            CloseIfEmpty(to);
        }
    }

    private void CloseIfEmpty(UpdateGroup<TPrefix> group)
    {
        if (group.Members.Count == 0)
        {
            group.Close();
            _groups.Remove(group.Key);
        }
    }

    /// <summary>Sends everything to a peer again: one walk (RFC 2918; bracketed by markers with RFC 7313).</summary>
    internal void RefreshOut(ushort peer, long session, bool enhanced)
    {
        if (IsCurrent(peer, session) && _sessions[peer] is { Group: { } group, Member: { } member })
        {
            group.Refresh(member, enhanced);
        }
    }

    /// <summary>A session is gone. With <paramref name="retain"/> its routes stay, stale, until <see cref="SweepNow"/> (RFC 4724 section 4.2).</summary>
    /// <remarks>With <paramref name="dropStale"/> what was stale before, because an earlier session was lost too, goes first.</remarks>
    internal void SessionDown(ushort peer, long session, bool retain, bool dropStale)
    {
        if (!IsCurrent(peer, session))
        {
            return;
        }

        LeaveGroup(_sessions[peer]!);
        _sessions[peer] = null;
        _monitor?.SessionOver(peer);
        if (dropStale)
        {
            // All in one go, and rare: after the next line nothing tells the two apart.
            uint cursor = 0;
            Shard.SweepStale(peer, ref cursor, int.MaxValue, Shard.EpochOf(peer));
        }

        Shard.BumpEpoch(peer);
        if (!retain)
        {
            Sweep(peer);
        }

        OnEndOfRib?.Invoke(peer);
    }

    /// <summary>The time for a neighbour to come back, or to confirm its old routes, is over.</summary>
    internal void SweepNow(ushort peer)
    {
        Sweep(peer);
        OnEndOfRib?.Invoke(peer);
    }

    /// <summary>What is stale of a peer is long-lived stale from now on (RFC 9494 section 4.2).</summary>
    internal void MarkLongLived(ushort peer) => _marks.Add((peer, 0, Shard.EpochOf(peer)));

    /// <summary>
    /// Keeps selection, exports and kernel routes back (RFC 4724 section 4.1): routes are taken and ranked, changes collect once per prefix, and
    /// whoever joins waits. Ends for good with false.
    /// </summary>
    internal bool Deferred { get; set; }

    internal void EndOfRib(ushort peer, long session)
    {
        if (!IsCurrent(peer, session))
        {
            return;
        }

        _sessions[peer]!.EndOfRibReceived = true;
        _monitor?.EndOfRib(peer, session);
        Sweep(peer);
        OnEndOfRib?.Invoke(peer);
    }

    internal void RefreshMark(ushort peer, long session, bool begin)
    {
        if (!IsCurrent(peer, session))
        {
            return;
        }

        RibSession<TPrefix> current = _sessions[peer]!;
        if (begin)
        {
            // As fast as a neighbour can send these, a turn is to end after as much work as with routes.
            _looked += Shard.BumpEpoch(peer);
        }
        else if (current.RefreshUnderWay)
        {
            Sweep(peer);
        }

        current.RefreshUnderWay = begin;
    }

    internal void CheckMaxPrefixes(ushort peer)
    {
        RibSession<TPrefix> session = _sessions[peer]!;
        if (session.MaxPrefixes == 0 || session.MaxPrefixesReported)
        {
            return;
        }

        int count = Shard.PathCount(peer);
        if (count > session.MaxPrefixes)
        {
            session.MaxPrefixesReported = true;
            session.Owner.MaxPrefixesExceeded(TPrefix.Family, session.MaxPrefixes, count, session.MaxPrefixesTearsDown);
        }
    }

    /// <inheritdoc/>
    protected override bool Turn()
    {
        RibWork<TPrefix>? work;
        while (true)
        {
            lock (_gate)
            {
                if (!_questions.TryDequeue(out work))
                {
                    break;
                }
            }

            work.Execute(this);
        }

        bool more = false;
        int done = 0;
        while (done < TurnPrefixes && _importWalk is null)
        {
            lock (_gate)
            {
                if (!_work.TryDequeue(out work))
                {
                    break;
                }
            }

            done += work.Execute(this) + _looked;
            _looked = 0;
        }

        more |= done >= TurnPrefixes;
        more |= WalkImport();
        more |= RunSweeps();
        more |= Shard.RerankStep(SweepBudget);
        more |= Propagate();
        if (_monitor is { } monitor)
        {
            // Behind what BGP does with the turn, and a bounded piece of it.
            more |= monitor.Turn();
        }

        FanOut.Flush(busy: more);
        if (!more && _settling.Count > 0)
        {
            _settling.RemoveAll(waiter => (!waiter.Moves || _moves.Count == 0) && waiter.Done.TrySetResult());
        }

        return more;
    }

    /// <summary>Completes when everything that was posted before is in force: applied, decided, and encoded for every neighbour that reads.</summary>
    internal Task SettleAsync() => SettleAsync(moves: true);

    /// <summary>Completes when everything that was posted before is applied and decided, and wanted of the kernel.</summary>
    internal Task FlushedAsync() => SettleAsync(moves: false);

    private Task SettleAsync(bool moves)
    {
        TaskCompletionSource settled = new(TaskCreationOptions.RunContinuationsAsynchronously);
        PostLater(loop => loop._settling.Add((settled, moves)));
        return settled.Task;
    }

    /// <inheritdoc/>
    protected override void Fault(Exception exception) => Log.LoopFault(_log, TPrefix.Family.Name(), exception);

    /// <summary>Judges the stored routes of some peers by other policies. What was posted before is applied first, what is posted later waits.</summary>
    internal void ChangeImport(IReadOnlyList<ImportChange<TPrefix>> changes)
    {
        ImportWalk<TPrefix> walk = new(this);
        foreach (ImportChange<TPrefix> change in changes)
        {
            if (IsCurrent(change.Peer.Index, change.Session))
            {
                walk.Add(change);
            }
        }

        _importWalk = walk;
    }

    private bool WalkImport()
    {
        if (_importWalk is { } walk && walk.Step(TurnPrefixes))
        {
            return true;
        }

        if (_importWalk is null)
        {
            return false;
        }

        // What waited meanwhile goes on with the next turn.
        _importWalk = null;
        return true;
    }

    private bool Propagate()
    {
        if (Deferred)
        {
            return false;
        }

        int drained;
        while ((drained = Shard.DrainChanges(_dirty)) > 0)
        {
            ReadOnlySpan<uint> changed = _dirty.AsSpan(0, drained);
            foreach (UpdateGroup<TPrefix> group in _groups.Values)
            {
                group.MarkDirty(changed);
            }

            _forwarding?.Changed(Shard, changed);
            _monitor?.SelectionChanged(changed);
        }

        RunMoves();
        bool more = false;
        foreach (UpdateGroup<TPrefix> group in _groups.Values)
        {
            more |= group.Turn(TurnPrefixes);
        }

        _forwarding?.Flush();
        return more;
    }

    private void Sweep(ushort peer)
    {
        for (int i = 0; i < _sweeps.Count; i++)
        {
            if (_sweeps[i].Peer == peer)
            {
                _sweeps[i] = (peer, 0, Shard.EpochOf(peer));
                return;
            }
        }

        _sweeps.Add((peer, 0, Shard.EpochOf(peer)));
    }

    private bool RunSweeps()
    {
        for (int i = _sweeps.Count - 1; i >= 0; i--)
        {
            (ushort peer, uint cursor, long since) = _sweeps[i];
            if (Shard.SweepStale(peer, ref cursor, SweepBudget, since))
            {
                _sweeps.RemoveAt(i);
            }
            else
            {
                _sweeps[i] = (peer, cursor, since);
            }
        }

        for (int i = _marks.Count - 1; i >= 0; i--)
        {
            (ushort peer, uint cursor, long since) = _marks[i];
            if (Shard.MarkLongLived(peer, ref cursor, SweepBudget, since))
            {
                _marks.RemoveAt(i);
            }
            else
            {
                _marks[i] = (peer, cursor, since);
            }
        }

        return _sweeps.Count > 0 || _marks.Count > 0;
    }

    private void LeaveGroup(RibSession<TPrefix> session)
    {
        if (session.Group is not { } group || session.Member is not { } member)
        {
            return;
        }

        group.Leave(member);
        (session.Group, session.Member) = (null, null);
        CloseIfEmpty(group);
    }
}
