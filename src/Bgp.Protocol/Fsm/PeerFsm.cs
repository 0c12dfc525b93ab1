namespace Bgp.Protocol;

/// <summary>Which of a peer's two possible connections.</summary>
public enum ConnectionSide : byte
{
    /// <summary>The one we open.</summary>
    Outgoing,

    /// <summary>The one the neighbour opens.</summary>
    Incoming,
}

/// <summary>What to do with a connection that the neighbour just opened.</summary>
public enum IncomingVerdict : byte
{
    /// <summary>Take it: the actions send our OPEN.</summary>
    Accept,

    /// <summary>The peer is shut down here: Cease, Administrative Shutdown.</summary>
    RefuseAdminDown,

    /// <summary>A session or a better connection exists: Cease, Connection Collision Resolution.</summary>
    RefuseCollision,

    /// <summary>The peer is being punished (maximum prefixes): Cease, Connection Rejected.</summary>
    RefuseRejected,
}

/// <summary>One thing for the shell to do, and for which connection.</summary>
public readonly record struct PeerAction(ConnectionSide Side, SessionAction Action);

/// <summary>
/// One configured peer: the connection that we open and the one the neighbour opens, of which at most one becomes a session.
/// </summary>
/// <remarks>
/// Collisions (RFC 4271 section 6.8 with RFC 6286 section 2.3): when a valid OPEN arrives on one connection while the other is in OpenConfirm, the
/// connection opened by the speaker with the higher identifier stays (equal identifiers: the higher AS number); the neighbour may as well have opened both. That rule alone loses both connections when each
/// side has decided before it hears of the other's decision: one establishes the connection that it opened and drops the other, while the neighbour drops
/// the first one in favour of the second. So a connection that is going to lose does not become a session while the other one may still win: its
/// KEEPALIVE waits until that one has its OPEN (and wins) or ends, or until the neighbour sends more than a KEEPALIVE, and so has decided. While a session is established a
/// new connection is refused, unless graceful restart was negotiated: then it is taken up to its OPEN, which proves that the neighbour restarted
/// (RFC 4724 section 5), and the old session ends without a NOTIFICATION. After a failure the peer rests for the idle hold time, which doubles up to a
/// bound; a neighbour that calls during the rest is welcome, unless the rest is a punishment. Punishments double too, however far the sessions between them
/// came: a neighbour that announces too much every time is not taken up every few seconds.
/// </remarks>
public sealed class PeerFsm
{
    private SessionTimes _times;
    private bool _passive;
    private readonly uint _localId;
    private readonly uint _localAsn;
    private SessionFsm _outgoing;
    private SessionFsm? _incoming;
    private bool _started;
    private bool _punished;
    private bool _gracefulRestart;
    private bool _calledWhileEstablished;
    private ConnectionSide? _waiting;
    private uint _peerId;
    private uint _peerAsn;
    private int _idleHold;
    private int _offences;

    /// <summary>A peer that has not been started.</summary>
    /// <param name="times">Its timers.</param>
    /// <param name="passive">Never opens a connection.</param>
    /// <param name="localId">Our BGP Identifier, host order.</param>
    /// <param name="localAsn">Our AS number towards this peer.</param>
    public PeerFsm(SessionTimes times, bool passive, uint localId, uint localAsn)
    {
        ArgumentNullException.ThrowIfNull(times);
        (_times, _passive, _localId, _localAsn) = (times, passive, localId, localAsn);
        _outgoing = new SessionFsm(times, passive, incoming: false);
        _idleHold = times.IdleHold;
    }

    /// <summary>Whether it was started and not stopped.</summary>
    public bool IsStarted => _started;

    /// <summary>The state to show: that of the connection that is furthest.</summary>
    public SessionState State
    {
        get
        {
            SessionState incoming = _incoming?.State ?? SessionState.Idle;
            return incoming > _outgoing.State && incoming > SessionState.Active ? incoming : _outgoing.State;
        }
    }

    /// <summary>State of one connection; Idle where there is none.</summary>
    public SessionState StateOf(ConnectionSide side) => Machine(side)?.State ?? SessionState.Idle;

    /// <summary>Seconds to rest after the latest failure; the shell starts its idle hold timer with it when <see cref="NeedsIdleHold"/> says so.</summary>
    public int IdleHold => _idleHold;

    /// <summary>Whether nothing is under way and a start must follow: the shell keeps one idle hold timer, and calls <see cref="IdleHoldExpired"/>.</summary>
    public bool NeedsIdleHold => _started && _outgoing.State == SessionState.Idle && !HasLiveConnection(ConnectionSide.Incoming);

    /// <summary>Negotiated timers of one connection.</summary>
    public SessionFsm? Machine(ConnectionSide side) => side == ConnectionSide.Outgoing ? _outgoing : _incoming;

    /// <summary>Other timers from now on, and whether connections are opened. What is running or rests goes on as it is.</summary>
    public void Configure(SessionTimes times, bool passive)
    {
        ArgumentNullException.ThrowIfNull(times);
        if (_times.IdleHold != times.IdleHold)
        {
            _idleHold = times.IdleHold;
        }

        (_times, _passive) = (times, passive);
        _outgoing.Configure(times, passive);
        _incoming?.Configure(times, isPassive: true);
    }

    /// <summary>Starts the peer.</summary>
    public void Start(List<PeerAction> actions)
    {
        _started = true;
        _punished = false;
        _idleHold = _times.IdleHold;
        _offences = 0;
        Drive(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.Start), actions);
    }

    /// <summary>Stops the peer: both connections end, with <paramref name="error"/> as the last word where one is open.</summary>
    public void Stop(in NotificationError error, List<PeerAction> actions)
    {
        _started = false;
        _waiting = null;
        SessionEvent stop = new(SessionEventKind.Stop) { Error = error };
        Drive(ConnectionSide.Outgoing, stop, actions);
        Drive(ConnectionSide.Incoming, stop, actions);
    }

    /// <summary>Ends what is open with <paramref name="error"/>, then rests. With <paramref name="punish"/> the neighbour may not call meanwhile.</summary>
    public void Reset(in NotificationError error, bool punish, List<PeerAction> actions)
    {
        SessionEvent stop = new(SessionEventKind.Stop) { Error = error };
        _punished = punish;
        _waiting = null;
        Drive(ConnectionSide.Incoming, stop, actions);
        Drive(ConnectionSide.Outgoing, stop, actions);
        if (punish)
        {
            _idleHold = Math.Min(_times.IdleHold << Math.Min(_offences++, 8), _times.MaxIdleHold);
        }
    }

    /// <summary>The rest is over.</summary>
    public void IdleHoldExpired(List<PeerAction> actions)
    {
        _punished = false;
        if (NeedsIdleHold)
        {
            Drive(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.Start), actions);
        }
    }

    /// <summary>The neighbour opened a connection. With <see cref="IncomingVerdict.Accept"/> the actions belong to the new connection, after the
    /// shell has let go of an earlier incoming one (for which the actions come first).</summary>
    /// <param name="actions">What to do.</param>
    /// <param name="confirmed">
    /// Whether the session, where there is one, is known to be the neighbour's too: something has arrived on it that is sent within a session only. Before that a new
    /// connection is one that the neighbour opened before it knew of the session, and no sign of a restart.
    /// </param>
    public IncomingVerdict Accept(List<PeerAction> actions, bool confirmed = true)
    {
        if (!_started)
        {
            return IncomingVerdict.RefuseAdminDown;
        }

        if (_punished)
        {
            return IncomingVerdict.RefuseRejected;
        }

        if (State == SessionState.Established && !(_gracefulRestart && confirmed))
        {
            return IncomingVerdict.RefuseCollision;
        }

        bool established = State == SessionState.Established;
        bool outgoingIsFree = _outgoing.State is SessionState.Idle or SessionState.Active || (_outgoing.State == SessionState.Connect && _incoming is { State: > SessionState.OpenSent });
        if (_incoming is { State: >= SessionState.OpenSent } && outgoingIsFree)
        {
            // Only an OPEN on the new connection shows a collision, or a restart of the neighbour: it needs a machine of its own, and the old one continues as "outgoing".
            Drive(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.Stop), actions);
            actions.Add(new PeerAction(ConnectionSide.Incoming, new SessionAction(SwapSides)));
            (_outgoing, _incoming) = (_incoming, null);
        }
        else if (_incoming is { State: SessionState.OpenConfirm or SessionState.Established })
        {
            return IncomingVerdict.RefuseCollision;
        }
        else if (_incoming is { State: SessionState.OpenSent })
        {
            // There are two already. The neighbour gave this one up, or it would not dial again. What waited for that one waits for this one.
            ConnectionSide? waiting = _waiting;
            _waiting = null;
            Drive(ConnectionSide.Incoming, new SessionEvent(SessionEventKind.TcpFailed), actions);
            _waiting = waiting;
        }

        _calledWhileEstablished = established;
        _incoming = new SessionFsm(_times, passive: true, incoming: true);
        Drive(ConnectionSide.Incoming, new SessionEvent(SessionEventKind.TcpConnected), actions);
        return IncomingVerdict.Accept;
    }

    /// <summary>Emitted by <see cref="Accept"/> alone: the shell's incoming connection becomes its outgoing one, timers included.</summary>
    public const SessionActionKind SwapSides = (SessionActionKind)255;

    /// <summary>A valid OPEN arrived on a connection.</summary>
    /// <param name="peerId">The neighbour's BGP Identifier, host order.</param>
    /// <param name="peerAsn">Its AS number.</param>
    /// <param name="holdTime">The negotiated hold time.</param>
    /// <param name="gracefulRestart">Whether both sides announced graceful restart.</param>
    public void Open(ConnectionSide side, uint peerId, uint peerAsn, int holdTime, bool gracefulRestart, List<PeerAction> actions)
    {
        SessionFsm? machine = Machine(side);
        if (machine is { State: SessionState.OpenSent })
        {
            ConnectionSide other = Other(side);
            SessionState otherState = StateOf(other);
            if (otherState == SessionState.Established)
            {
                // A connection from before the session is a collision that the session has won; only a later one says that the neighbour restarted, and one
                // with another identifier is another daemon of the neighbour's host: it must not take the session over.
                if (!_gracefulRestart || side != ConnectionSide.Incoming || !_calledWhileEstablished || peerId != _peerId)
                {
                    Drive(side, new SessionEvent(SessionEventKind.CollisionDump), actions);
                    return;
                }

                Drive(other, new SessionEvent(SessionEventKind.TcpFailed), actions, replaced: true);
            }

            (uint, uint) known = (_peerId, _peerAsn);
            (_peerId, _peerAsn) = (peerId, peerAsn);
            if (otherState == SessionState.OpenConfirm)
            {
                // Where the neighbour opened both, RFC 4271 section 6.8 asks which of them exists and which is new: the one with this OPEN is.
                bool isHigher = Loser == ConnectionSide.Incoming;
                ConnectionSide loser = !_outgoing.IsIncoming ? Loser : isHigher ? side : other;
                Drive(loser, new SessionEvent(SessionEventKind.CollisionDump), actions, replaced: true);
                if (loser == side)
                {
                    (_peerId, _peerAsn) = known;
                    return;
                }
            }

            _gracefulRestart = gracefulRestart;
        }

        Drive(side, new SessionEvent(SessionEventKind.OpenReceived) { HoldTime = holdTime }, actions);
    }

    /// <summary>Any other event of a connection.</summary>
    public void Step(ConnectionSide side, in SessionEvent e, List<PeerAction> actions)
    {
        if (e.Kind == SessionEventKind.KeepaliveReceived)
        {
            if (_waiting == side)
            {
                GoOn(side, actions);
            }
            else if (MustWait(side))
            {
                _waiting = side;
                return;
            }
        }

        Drive(side, e, actions);
    }

    /// <summary>
    /// Something arrived on a connection that only a neighbour with a session sends. True when that is what the connection was waiting for: it is established now, and the
    /// message is to be read as the session's.
    /// </summary>
    public bool Confirmed(ConnectionSide side, List<PeerAction> actions)
    {
        if (_waiting != side)
        {
            return false;
        }

        GoOn(side, actions);
        return true;
    }

    private ConnectionSide Loser => (_localId != _peerId ? _localId > _peerId : _localAsn > _peerAsn) ? ConnectionSide.Incoming : ConnectionSide.Outgoing;

    private static ConnectionSide Other(ConnectionSide side) => side == ConnectionSide.Outgoing ? ConnectionSide.Incoming : ConnectionSide.Outgoing;

    // Of two connections that the neighbour opened it can expect no more than the rule: a KEEPALIVE on the first one is the end of the second.
    private bool MustWait(ConnectionSide side) => !_outgoing.IsIncoming && side == Loser && StateOf(side) == SessionState.OpenConfirm && StateOf(Other(side)) == SessionState.OpenSent;

    private void GoOn(ConnectionSide side, List<PeerAction> actions)
    {
        _waiting = null;
        Drive(side, new SessionEvent(SessionEventKind.KeepaliveReceived), actions);
    }

    private bool HasLiveConnection(ConnectionSide side) => StateOf(side) >= SessionState.OpenSent;

    private void Drive(ConnectionSide side, in SessionEvent e, List<PeerAction> actions, bool replaced = false)
    {
        SessionFsm? machine = Machine(side);
        if (machine is null)
        {
            return;
        }

        SessionState before = machine.State;
        ActionBuffer buffer = default;
        machine.Step(e, ref buffer);
        for (int i = 0; i < buffer.Count; i++)
        {
            actions.Add(new PeerAction(side, buffer[i]));
        }

        if (machine.State == SessionState.Established && before != SessionState.Established)
        {
            _idleHold = _times.IdleHold;
            Drive(Other(side), new SessionEvent(SessionEventKind.CollisionDump), actions, replaced: true);
        }
        else if (machine.State == SessionState.Idle && before >= SessionState.OpenSent && !replaced)
        {
            if (before != SessionState.Established)
            {
                _idleHold = Math.Min(_idleHold * 2, _times.MaxIdleHold);
            }
            else if (!_punished)
            {
                _offences = 0;
            }
        }

        if (machine.State == SessionState.Idle && before >= SessionState.OpenSent)
        {
            if (ReferenceEquals(_incoming, machine))
            {
                _incoming = null;
            }
            else if (ReferenceEquals(_outgoing, machine))
            {
                // It may be one that the neighbour opened (see Accept); the next one is ours.
                _outgoing = new SessionFsm(_times, _passive, incoming: false);
            }
        }

        if (_waiting is { } waiting)
        {
            if (StateOf(waiting) != SessionState.OpenConfirm)
            {
                _waiting = null;
            }
            else if (waiting != side && before == SessionState.OpenSent && machine.State < SessionState.OpenSent)
            {
                GoOn(waiting, actions);
            }
        }
    }
}
