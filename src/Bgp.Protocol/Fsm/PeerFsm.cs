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
/// connection opened by the speaker with the higher identifier stays (equal identifiers: the higher AS number). While a session is established a
/// new connection is refused, unless graceful restart was negotiated: then it is taken up to its OPEN, which proves that the neighbour restarted
/// (RFC 4724 section 5), and the old session ends without a NOTIFICATION. After a failure the peer rests for the idle hold time, which doubles up to a
/// bound; a neighbour that calls during the rest is welcome, unless the rest is a punishment. Punishments double too, however far the sessions between them
/// came: a neighbour that announces too much every time is not taken up every few seconds.
/// </remarks>
public sealed class PeerFsm
{
    private readonly SessionTimes _times;
    private readonly bool _passive;
    private readonly uint _localId;
    private readonly uint _localAsn;
    private SessionFsm _outgoing;
    private SessionFsm? _incoming;
    private bool _started;
    private bool _punished;
    private bool _gracefulRestart;
    private bool _calledWhileEstablished;
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
        SessionEvent stop = new(SessionEventKind.Stop) { Error = error };
        Drive(ConnectionSide.Outgoing, stop, actions);
        Drive(ConnectionSide.Incoming, stop, actions);
    }

    /// <summary>Ends what is open with <paramref name="error"/>, then rests. With <paramref name="punish"/> the neighbour may not call meanwhile.</summary>
    public void Reset(in NotificationError error, bool punish, List<PeerAction> actions)
    {
        SessionEvent stop = new(SessionEventKind.Stop) { Error = error };
        _punished = punish;
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
    public IncomingVerdict Accept(List<PeerAction> actions)
    {
        if (!_started)
        {
            return IncomingVerdict.RefuseAdminDown;
        }

        if (_punished)
        {
            return IncomingVerdict.RefuseRejected;
        }

        if (State == SessionState.Established && !_gracefulRestart)
        {
            return IncomingVerdict.RefuseCollision;
        }

        bool established = State == SessionState.Established;
        if (_incoming is { State: SessionState.OpenConfirm })
        {
            return IncomingVerdict.RefuseCollision;
        }

        if (_incoming is { State: SessionState.Established })
        {
            // The restarted neighbour's new connection needs a machine of its own; the old session's continues as "outgoing" until the OPEN.
            if (_outgoing.State > SessionState.Active)
            {
                return IncomingVerdict.RefuseCollision;
            }

            Drive(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.Stop), actions);
            actions.Add(new PeerAction(ConnectionSide.Incoming, new SessionAction(SwapSides)));
            (_outgoing, _incoming) = (_incoming, null);
        }
        else if (_incoming is { State: SessionState.OpenSent })
        {
            // The neighbour gave the first one up, or it would not dial again.
            Drive(ConnectionSide.Incoming, new SessionEvent(SessionEventKind.TcpFailed), actions);
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
            ConnectionSide other = side == ConnectionSide.Outgoing ? ConnectionSide.Incoming : ConnectionSide.Outgoing;
            SessionState otherState = StateOf(other);
            if (otherState == SessionState.Established)
            {
                // A connection from before the session is a collision that the session has won; only a later one says that the neighbour restarted.
                if (!_gracefulRestart || side != ConnectionSide.Incoming || !_calledWhileEstablished)
                {
                    Drive(side, new SessionEvent(SessionEventKind.CollisionDump), actions);
                    return;
                }

                Drive(other, new SessionEvent(SessionEventKind.TcpFailed), actions, replaced: true);
            }
            else if (otherState == SessionState.OpenConfirm)
            {
                bool weWin = _localId != peerId ? _localId > peerId : _localAsn > peerAsn;
                ConnectionSide loser = weWin ? ConnectionSide.Incoming : ConnectionSide.Outgoing;
                Drive(loser, new SessionEvent(SessionEventKind.CollisionDump), actions, replaced: true);
                if (loser == side)
                {
                    return;
                }
            }

            _gracefulRestart = gracefulRestart;
        }

        Drive(side, new SessionEvent(SessionEventKind.OpenReceived) { HoldTime = holdTime }, actions);
    }

    /// <summary>Any other event of a connection.</summary>
    public void Step(ConnectionSide side, in SessionEvent e, List<PeerAction> actions) => Drive(side, e, actions);

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
            ConnectionSide other = side == ConnectionSide.Outgoing ? ConnectionSide.Incoming : ConnectionSide.Outgoing;
            Drive(other, new SessionEvent(SessionEventKind.CollisionDump), actions, replaced: true);
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

        if (machine.State != SessionState.Idle || before < SessionState.OpenSent)
        {
            return;
        }

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
}
