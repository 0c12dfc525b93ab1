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

    internal int MaxPrefixes { get; init; }

    internal bool MaxPrefixesTearsDown { get; init; }

    internal bool MaxPrefixesReported { get; set; }

    internal bool EndOfRibReceived { get; set; }

    internal bool RefreshUnderWay { get; set; }
}

/// <summary>
/// One family's table with everything that must happen in its order: routes in, decision, update groups, wanted kernel routes.
/// </summary>
/// <remarks>
/// The loop is the only thread that touches <see cref="Shard"/>, the groups and the next hops. Work arrives in one queue, in order per sender, bounded by the
/// senders' credits (<see cref="InboundFamily{TPrefix}"/>); questions from the CLI arrive in a second queue that is served first each turn, so that
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
    private readonly Queue<RibWork<TPrefix>> _work = new();
    private readonly Queue<RibWork<TPrefix>> _questions = new();
    private readonly Stack<RouteBatch<TPrefix>> _free = new();
    private readonly ILogger _log;
    private readonly Dictionary<UpdateGroupKey, UpdateGroup<TPrefix>> _groups = [];
    private readonly List<(ushort Peer, uint Cursor)> _sweeps = [];
    private readonly SegmentPool _segments = new();
    private readonly uint[] _dirty = new uint[1024];
    private RibSession<TPrefix>?[] _sessions = new RibSession<TPrefix>?[16];
    private ForwardingTable<TPrefix>? _forwarding;

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

    /// <summary>Update groups, for memory accounting and explain.</summary>
    internal IReadOnlyCollection<UpdateGroup<TPrefix>> Groups => _groups.Values;

    /// <summary>The consumer that wants kernel routes, where there is a kernel.</summary>
    internal ForwardingTable<TPrefix>? Forwarding
    {
        get => _forwarding;
        set => _forwarding = value;
    }

    /// <summary>
    /// Adds work in order. With <paramref name="inline"/> an idle loop runs it at once on this thread; without, the caller goes on with its own and the loop
    /// works beside it.
    /// </summary>
    internal void Post(RibWork<TPrefix> work, bool inline = true)
    {
        lock (_gate)
        {
            _work.Enqueue(work);
        }

        Signal(inline);
    }

    /// <summary>Adds work in order.</summary>
    internal void Post(Action<RibLoop<TPrefix>> action) => Post(new RibAction<TPrefix>(action));

    /// <summary>Adds work in order without running it here: for callers that hold a lock.</summary>
    internal void PostLater(Action<RibLoop<TPrefix>> action)
    {
        lock (_gate)
        {
            _work.Enqueue(new RibAction<TPrefix>(action));
        }

        Signal(inline: false);
    }

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
        });
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

        _sessions[index] = session;
        Shard.SetPeer(session.Peer);
        if (!_groups.TryGetValue(key, out UpdateGroup<TPrefix>? group))
        {
            group = new UpdateGroup<TPrefix>(key, Shard, Attributes, export, () => Signal(inline: false), _segments)
            {
                Lagging = member => SessionOf(member.Peer.Index)?.Owner.Lagging(TPrefix.Family),
            };
            _groups.Add(key, group);
        }

        session.Group = group;
        session.Member = group.Join(session.Peer, onData, holdEndOfRib: false, session.EnhancedRefresh);
        return session.Member;
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
    internal void SessionDown(ushort peer, long session, bool retain)
    {
        if (!IsCurrent(peer, session))
        {
            return;
        }

        LeaveGroup(_sessions[peer]!);
        _sessions[peer] = null;
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

    internal void EndOfRib(ushort peer, long session)
    {
        if (!IsCurrent(peer, session))
        {
            return;
        }

        _sessions[peer]!.EndOfRibReceived = true;
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
            Shard.BumpEpoch(peer);
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
        while (done < TurnPrefixes)
        {
            lock (_gate)
            {
                if (!_work.TryDequeue(out work))
                {
                    break;
                }
            }

            done += work.Execute(this);
        }

        more |= done >= TurnPrefixes;
        more |= RunSweeps();
        more |= Shard.RerankStep(SweepBudget);
        more |= Propagate();
        FanOut.Flush();
        return more;
    }

    /// <inheritdoc/>
    protected override void Fault(Exception exception) => Log.LoopFault(_log, TPrefix.Family.Name(), exception);

    private bool Propagate()
    {
        int drained;
        while ((drained = Shard.DrainChanges(_dirty)) > 0)
        {
            ReadOnlySpan<uint> changed = _dirty.AsSpan(0, drained);
            foreach (UpdateGroup<TPrefix> group in _groups.Values)
            {
                foreach (uint index in changed)
                {
                    group.MarkDirty(index);
                }
            }

            _forwarding?.Changed(Shard, changed);
        }

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
                _sweeps[i] = (peer, 0);
                return;
            }
        }

        _sweeps.Add((peer, 0));
    }

    private bool RunSweeps()
    {
        for (int i = _sweeps.Count - 1; i >= 0; i--)
        {
            (ushort peer, uint cursor) = _sweeps[i];
            if (Shard.SweepStale(peer, ref cursor, SweepBudget))
            {
                _sweeps.RemoveAt(i);
            }
            else
            {
                _sweeps[i] = (peer, cursor);
            }
        }

        return _sweeps.Count > 0;
    }

    private void LeaveGroup(RibSession<TPrefix> session)
    {
        if (session.Group is not { } group || session.Member is not { } member)
        {
            return;
        }

        group.Leave(member);
        (session.Group, session.Member) = (null, null);
        if (group.Members.Count == 0)
        {
            group.Close();
            _groups.Remove(group.Key);
        }
    }
}
