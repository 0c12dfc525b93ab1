using Bgp.Daemon.Bmp;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Microsoft.Extensions.Logging;
using Rib;

namespace Bgp.Daemon.Peers;

/// <summary>What a session reports to its owner, never while the session's lock is held by somebody who waits for the owner.</summary>
internal interface IPeerOwner
{
    /// <summary>Tables, clock, log and what the daemon knows of its own restart.</summary>
    DaemonContext Context { get; }

    /// <summary>The state that users see has changed.</summary>
    void StateChanged(PeerSession session);

    /// <summary>A dynamic peer has been without a connection for so long that it may be forgotten.</summary>
    void Lingered(PeerSession session);
}

/// <summary>An OPEN with its octets as on the wire, which monitoring passes on (RFC 7854 section 4.10).</summary>
internal sealed record WireOpen(OpenMessage Message, byte[] Octets);

/// <summary>
/// One configured peer: carries out what <see cref="PeerFsm"/> decides, and joins its session to the tables.
/// </summary>
/// <remarks>
/// Events come from the reader, from timers, from connects and from commands; each is one step under the lock, and events that a step itself causes wait
/// in a queue until it is done. Nothing waits for a table while it holds the lock: tables are posted to, never entered, from here.
/// </remarks>
internal sealed partial class PeerSession : IConnectionEvents, IRibSession, IDisposable
{
    private static readonly TimeSpan s_comeBack = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_linger = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan s_confirmTime = TimeSpan.FromSeconds(10);
    private static readonly byte[] s_manualStop = [BmpMessage.EventManualStop >> 8, (byte)BmpMessage.EventManualStop];

    private readonly Lock _gate = new();
    private readonly Queue<Action> _events = new();
    private readonly IPeerOwner _owner;
    private readonly DaemonContext _context;
    private readonly SessionTimers _timers;
    private readonly List<PeerAction> _actions = [];
    private readonly BgpConnection?[] _connections = new BgpConnection?[2];
    private readonly WireOpen?[] _opensSent = new WireOpen?[2];
    private readonly WireOpen?[] _opensReceived = new WireOpen?[2];
    private readonly LogLimit _updateErrors;
    private PeerFsm _fsm;
    private CancellationTokenSource? _connecting;
    private bool _stepping;
    private bool _disposed;
    private string _downReason = "";
    private Loss _loss;
    private BmpPeerEnd? _end;
    private SessionState _reported;
    private string _connectFailure = "";
    private int _attempts;

    /// <summary>The session was ended here in order to begin anew: the next attempt but one comes soon.</summary>
    private bool _comesBack;
    private EstablishedSession? _established;

    internal PeerSession(PeerSettings settings, ushort index, IPeerOwner owner)
    {
        (Settings, Index, _owner, _context) = (settings, index, owner, owner.Context);
        _timers = new SessionTimers(_context.Time, slot => Enter(() => TimerExpired(slot)));
        _updateErrors = new LogLimit(_context.Time, 1, TimeSpan.FromSeconds(1));
        _fsm = NewFsm();
        StateSince = _context.Time.GetUtcNow();
    }

    internal PeerSettings Settings { get; private set; }

    /// <summary>The peer's index in every table.</summary>
    internal ushort Index { get; }

    /// <summary>The established session, or null.</summary>
    internal EstablishedSession? Established
    {
        get => Volatile.Read(ref _established);
        private set => Volatile.Write(ref _established, value);
    }

    internal SessionState State => _fsm.State;

    internal bool IsAdminDown { get; private set; }

    /// <summary>It was not configured by name, but called from a range of addresses.</summary>
    internal bool IsDynamic { get; set; }

    /// <summary>
    /// Whether a dynamic peer is only remembered: it is not connected, does not rest, and none of its routes are kept for it. What it did before is remembered
    /// for a while so that calling again does not wash off a punishment, and so that an operator can see why it went.
    /// </summary>
    internal bool IsSpent => (State is SessionState.Active || Settings.Unusable is not null) && StaleState is null;

    /// <summary>What the operator said when shutting the peer down, or null.</summary>
    internal string? AdminReason { get; private set; }

    /// <summary>What ended the latest session or attempt; empty when nothing did.</summary>
    internal string LastError { get; private set; } = "";

    internal DateTimeOffset StateSince { get; private set; }

    /// <summary>Whether a connection was made once, in either direction: the neighbour is there, though it may not want a session yet.</summary>
    internal bool HasAnswered { get; private set; }

    /// <summary>
    /// The BGP Identifier of the neighbour in the latest session, or on a connection that we opened, which went to its very port; host order, 0 before the first.
    /// </summary>
    internal uint KnownRouterId { get; private set; }

    /// <summary>Whether there is a connection with the neighbour, whatever has been said on it.</summary>
    internal bool IsConnected => State >= SessionState.OpenSent;

    /// <summary>Whether an attempt of ours to connect has come to nothing since the latest session.</summary>
    internal bool HasFailedToConnect => _attempts > 1 || (_attempts == 1 && _connecting is null && !IsConnected);

    /// <summary>The state before the present one, for those who are told of the change.</summary>
    internal SessionState StateBefore { get; private set; }

    internal long EstablishedCount { get; private set; }

    /// <summary>Latest endings, oldest first.</summary>
    internal Queue<(DateTimeOffset Time, string Reason)> History { get; } = new();

    internal UpdateCounters Counters { get; } = new();

    /// <summary>Whether the neighbour has shown that it has the session too, or has had the time to.</summary>
    private bool IsConfirmed => Established is not { } session || session.HasHeard || _context.Time.GetUtcNow() - StateSince > s_confirmTime;

    private PeerFsm NewFsm() => new(Settings.Times, Settings.Passive, Settings.RouterId, Settings.LocalAsn);

    /// <summary>Starts, unless it is disabled or unusable.</summary>
    internal void Start() => Enter(() =>
    {
        IsAdminDown = Settings.Disabled;
        if (Settings.Unusable is { } reason)
        {
            LastError = reason;
            Log.PeerUnusable(_context.Log, Settings.Name, reason);
        }
        else if (!IsAdminDown)
        {
            _fsm.Start(_actions);
        }
    });

    /// <summary>Ends the session and stays down until <see cref="Enable"/>.</summary>
    internal void Disable(string? reason) => Enter(() =>
    {
        IsAdminDown = true;
        AdminReason = reason;
        (_downReason, _loss) = (reason is null ? "disabled" : $"disabled: {reason}", Loss.Final);
        _fsm.Stop(ForGood(NotificationMessage.Cease(CeaseSubcode.AdministrativeShutdown, reason)), _actions);
        ForgetStale();
    });

    /// <summary>Ends a <see cref="Disable"/>.</summary>
    internal void Enable() => Enter(() =>
    {
        if (Settings.Unusable is null)
        {
            (IsAdminDown, AdminReason) = (false, null);
            _fsm.Start(_actions);
        }
    });

    /// <summary>Ends the session and starts anew.</summary>
    internal void Restart(string? reason) => Enter(() =>
    {
        (_downReason, _loss) = (reason is null ? "restarted" : $"restarted: {reason}", Loss.Notified);
        _comesBack = Established is not null;
        _fsm.Stop(NotificationMessage.Cease(CeaseSubcode.AdministrativeReset, reason), _actions);
        if (!IsAdminDown && Settings.Unusable is null)
        {
            _fsm.Start(_actions);
        }
    });

    /// <summary>The peer is gone from the configuration, or the daemon ends. Without <paramref name="error"/> the connection just closes: a graceful restart to the neighbour.</summary>
    /// <returns>Its connections: each closes when the neighbour has had the last message, or does not want it.</returns>
    internal IReadOnlyList<BgpConnection> Stop(NotificationError error, string reason)
    {
        List<BgpConnection> ending = [];
        Enter(() =>
        {
            ending.AddRange(_connections.OfType<BgpConnection>());
            StopStep(error, reason);
        });
        return ending;
    }

    private void StopStep(in NotificationError error, string reason)
    {
        (_downReason, _loss) = (reason, Loss.Final);
        bool silent = !error.IsError && Established?.Negotiated.PeerGracefulRestart is not null;
        if (silent)
        {
            _end ??= new BmpPeerEnd(BmpPeerDownReason.LocalNoNotification, s_manualStop);
        }

        _fsm.Stop(silent ? default : ForGood(error.IsError ? error : NotificationMessage.Cease(CeaseSubcode.AdministrativeShutdown)), _actions);
        _timers.Stop((int)PeerTimer.IdleHold);
    }

    /// <summary>It is no peer any more: ends it, and nothing is kept of it, its stale routes neither, which nobody would take away later.</summary>
    internal void Remove(NotificationError error, string reason)
    {
        Enter(() => _end = new BmpPeerEnd(BmpPeerDownReason.Deconfigured, default));
        Stop(error, reason);
        Enter(ForgetStale);
        Dispose();
    }

    /// <summary>A neighbour that agreed on the N bit keeps our routes over any NOTIFICATION but a Hard Reset (RFC 8538 section 3.1): ending for good must be one.</summary>
    private NotificationError ForGood(in NotificationError error) =>
        Established is { } session && session.Negotiated.GracefulNotification ? NotificationMessage.HardReset(error) : error;

    /// <summary>Asks the neighbour to send everything again (RFC 2918). False where it cannot.</summary>
    internal bool RequestRefresh()
    {
        bool sent = false;
        Enter(() =>
        {
            if (Established is { } session && session.Negotiated.RouteRefresh)
            {
                foreach (InboundFamily family in session.Connection.Inbound)
                {
                    session.Connection.Writer.Send(RefreshMessage(family.Family));
                }

                sent = true;
            }
        });
        return sent;
    }

    /// <summary>Sends everything again.</summary>
    internal void RefreshOut() => Enter(() => Established?.RefreshOut());

    /// <summary>The neighbour opened a connection: takes it or refuses it.</summary>
    internal void Incoming(ITransport transport) => Enter(() =>
    {
        IncomingVerdict verdict = Settings.Unusable is not null || _disposed ? IncomingVerdict.RefuseAdminDown : _fsm.Accept(_actions, IsConfirmed);
        byte subcode;
        switch (verdict)
        {
            case IncomingVerdict.Accept:
                CarryOutUntilOpen(transport);
                return;
            case IncomingVerdict.RefuseAdminDown:
                subcode = CeaseSubcode.AdministrativeShutdown;
                break;
            case IncomingVerdict.RefuseRejected:
                subcode = CeaseSubcode.ConnectionRejected;
                break;
            default:
                subcode = CeaseSubcode.CollisionResolution;
                break;
        }

        Refusal.Send(transport, subcode);
    });


    /// <inheritdoc/>
    public void Dispose() => Enter(() =>
    {
        _disposed = true;
        _timers.Dispose();
        _connecting?.Cancel();
        _connections[0]?.Close("removed");
        _connections[1]?.Close("removed");
    });

    void IRibSession.MaxPrefixesExceeded(AfiSafi family, int limit, int count, bool tearDown)
    {
        Log.MaxPrefixes(_context.Log, Settings.Name, count, family.Name(), limit);
        if (!tearDown)
        {
            return;
        }

        // RFC 4486 section 4: AFI, SAFI, and the limit.
        byte[] data = [(byte)(family.Afi() >> 8), (byte)family.Afi(), family.Safi(), (byte)(limit >> 24), (byte)(limit >> 16), (byte)(limit >> 8), (byte)limit];
        EnterLater(() =>
        {
            (_downReason, _loss) = ($"more than {limit} {family.Name()} prefixes", Loss.Final);
            _fsm.Reset(new NotificationError(ErrorCode.Cease, CeaseSubcode.MaxPrefixes, data), punish: true, _actions);
        });
    }

    void IRibSession.Lagging(AfiSafi family) => EnterLater(() =>
    {
        if (Established is { } session)
        {
            (_downReason, _loss) = ("reads too slowly", Loss.Final);
            StepConnection(session.Connection, new SessionEvent(SessionEventKind.Stop) { Error = NotificationMessage.Cease(CeaseSubcode.OutOfResources) });
        }
    });

    /// <summary>One step, on this thread; a step caused by a step waits for it.</summary>
    private void Enter(Action action)
    {
        lock (_gate)
        {
            _events.Enqueue(action);
            if (_stepping)
            {
                return;
            }

            _stepping = true;
            try
            {
                while (_events.TryDequeue(out Action? next))
                {
                    next();
                    CarryOut();
                }
            }
            finally
            {
                _stepping = false;
            }
        }
    }

    /// <summary>For callers that a step could be waiting behind: a table's loop.</summary>
    private void EnterLater(Action action) => _context.Scheduler.Queue(() => Enter(action));

    private void StepConnection(BgpConnection connection, in SessionEvent e)
    {
        if (SideOf(connection) is { } side)
        {
            _fsm.Step(side, e, _actions);
        }
    }

    private ConnectionSide? SideOf(BgpConnection connection) =>
        ReferenceEquals(_connections[0], connection) ? ConnectionSide.Outgoing : ReferenceEquals(_connections[1], connection) ? ConnectionSide.Incoming : null;

    private void TimerExpired(int slot)
    {
        if (_disposed || !_timers.TakeExpired(slot))
        {
            return;
        }

        if (slot == (int)PeerTimer.IdleHold)
        {
            _fsm.IdleHoldExpired(_actions);
            return;
        }

        if (slot == (int)PeerTimer.Restart)
        {
            RestartExpired();
            return;
        }

        if (slot is (int)PeerTimer.LongLivedIpv4 or (int)PeerTimer.LongLivedIpv6)
        {
            LongLivedExpired(slot - (int)PeerTimer.LongLivedIpv4);
            return;
        }

        if (slot == (int)PeerTimer.Linger)
        {
            if (IsSpent)
            {
                _owner.Lingered(this);
            }

            // Again where it is not spent yet, and where it called while it was being removed.
            _timers.Start((int)PeerTimer.Linger, s_linger);
            return;
        }

        ConnectionSide side = (ConnectionSide)(slot / 4);
        SessionTimer timer = (SessionTimer)(slot % 4);
        BgpConnection? connection = _connections[(int)side];
        switch (timer)
        {
            case SessionTimer.ConnectRetry:
                _fsm.Step(side, new SessionEvent(SessionEventKind.ConnectRetryExpired), _actions);
                break;
            case SessionTimer.Keepalive:
                _fsm.Step(side, new SessionEvent(SessionEventKind.KeepaliveExpired), _actions);
                break;
            case SessionTimer.Hold when connection is not null && !HoldIsOver(connection, slot):
                break;
            case SessionTimer.Hold:
                SetDownReason("hold timer expired", Loss.Notified);
                _fsm.Step(side, new SessionEvent(SessionEventKind.HoldExpired), _actions);
                break;
            case SessionTimer.SendHold when connection is not null && !SendHoldIsOver(connection, side, slot):
                break;
            case SessionTimer.SendHold:
                SetDownReason("send hold timer expired", Loss.Notified);
                _fsm.Step(side, new SessionEvent(SessionEventKind.SendHoldExpired), _actions);
                break;
        }
    }

    /// <summary>The timer is not restarted for every message; here the time of the last one is looked at. Unread input is a sign of life too.</summary>
    private bool HoldIsOver(BgpConnection connection, int slot)
    {
        SessionFsm? machine = _fsm.Machine((ConnectionSide)(slot / 4));
        if (machine is null || machine.HoldTime == 0 || machine.State < SessionState.OpenConfirm)
        {
            return true;
        }

        TimeSpan silent = _context.Time.GetElapsedTime(connection.LastReceived);
        TimeSpan left = TimeSpan.FromSeconds(machine.HoldTime) - silent;
        if (left <= TimeSpan.Zero && !connection.HasUnreadInput)
        {
            return true;
        }

        _timers.Start(slot, left > TimeSpan.Zero ? left : TimeSpan.FromSeconds(1));
        return false;
    }

    private bool SendHoldIsOver(BgpConnection connection, ConnectionSide side, int slot)
    {
        int seconds = _fsm.Machine(side)!.SendHoldTime;
        long since = connection.Writer.BlockedSince;
        TimeSpan left = since == 0 ? TimeSpan.FromSeconds(seconds) : TimeSpan.FromSeconds(seconds) - _context.Time.GetElapsedTime(since);
        if (left <= TimeSpan.Zero)
        {
            return true;
        }

        _timers.Start(slot, left);
        return false;
    }

    private void SetDownReason(string reason, Loss loss)
    {
        if (_downReason.Length == 0)
        {
            (_downReason, _loss) = (reason, loss);
        }
    }

    private void CarryOut()
    {
        for (int i = 0; i < _actions.Count; i++)
        {
            CarryOut(_actions[i]);
        }

        _actions.Clear();
        if (_fsm.NeedsIdleHold && !_timers.IsRunning((int)PeerTimer.IdleHold) && !_disposed)
        {
            _timers.Start((int)PeerTimer.IdleHold, Jitter(_fsm.IdleHold));
        }

        FollowBfd();
        if (_downReason.Length > 0 && _fsm.State <= SessionState.Active)
        {
            Ended(_downReason);
        }

        if (_fsm.State != _reported)
        {
            SessionState before = _reported;
            _reported = _fsm.State;
            if (IsDynamic && !_disposed)
            {
                if (_reported == SessionState.Established)
                {
                    _timers.Stop((int)PeerTimer.Linger);
                }
                else if (!_timers.IsRunning((int)PeerTimer.Linger))
                {
                    _timers.Start((int)PeerTimer.Linger, s_linger);
                }
            }

            StateSince = _context.Time.GetUtcNow();
            HasAnswered |= _reported >= SessionState.OpenSent;
            StateBefore = before;
            _connectFailure = _reported == SessionState.Established ? "" : _connectFailure;
            _comesBack &= _reported != SessionState.Established;
            Log.PeerState(_context.Log, Settings.Name, before.ToString(), _reported.ToString());
            _owner.StateChanged(this);
        }
    }

    private void Ended(string reason)
    {
        LastError = reason;
        if (History.Count == 10)
        {
            History.Dequeue();
        }

        History.Enqueue((_context.Time.GetUtcNow(), reason));
        _downReason = "";
        Log.PeerDown(_context.Log, Settings.Name, reason);
    }

    private void CarryOut(in PeerAction item)
    {
        int side = (int)item.Side;
        SessionAction action = item.Action;
        BgpConnection? connection = _connections[side];
        if (_context.Log.IsEnabled(LogLevel.Trace))
        {
            bool timer = action.Kind is SessionActionKind.StartTimer or SessionActionKind.StopTimer;
            Log.PeerAction(_context.Log, Settings.Name, item.Side, action.Kind, timer ? action.Timer.ToString() : action.Notification.ToString());
        }

        switch (action.Kind)
        {
            case SessionActionKind.Connect:
                _connecting?.Cancel();
                _connecting = new CancellationTokenSource();
                _attempts++;
                CancellationToken cancel = _connecting.Token;

                // Off the lock: creating and connecting a socket are system calls.
                _context.Scheduler.Queue(() => _ = ConnectAsync(cancel));
                break;
            case SessionActionKind.CloseTcp:
                _opensSent[side] = _opensReceived[side] = null;
                if (item.Side == ConnectionSide.Outgoing)
                {
                    _connecting?.Cancel();
                    _connecting = null;
                }

                if (connection is not null)
                {
                    _connections[side] = null;
                    if (connection.Ended)
                    {
                        // A NOTIFICATION is on its way; the writer closes behind it, and the reader sees the end.
                        break;
                    }

                    connection.Close("closed");
                }

                break;
            case SessionActionKind.SendOpen when connection is not null:
                OpenMessage open = _context.BuildOpen(Settings, firstSession: EstablishedCount == 0);
                byte[] octets = Encode(open);
                _opensSent[side] = new WireOpen(open, octets);
                connection.Writer.Send(octets);
                break;
            case SessionActionKind.SendKeepalive:
                connection?.Writer.Send(s_keepalive, keepalive: true);
                break;
            case SessionActionKind.SendNotification when connection is not null:
                if (action.Notification is { Code: ErrorCode.Cease, Subcode: CeaseSubcode.CollisionResolution })
                {
                    // The other connection lives: nothing went down.
                    connection.End(Encode(action.Notification));
                    break;
                }

                SetDownReason("sent " + NotificationMessage.Text(action.Notification), IsFinal(action.Notification) ? Loss.Final : Loss.Notified);
                byte[] notification = Encode(ForNeighbour(connection, action.Notification));
                if (Established?.Connection == connection)
                {
                    _end ??= new BmpPeerEnd(BmpPeerDownReason.LocalNotification, notification);
                }

                connection.End(notification);
                break;
            case SessionActionKind.StartTimer:
                bool jitter = action.Timer is SessionTimer.Keepalive or SessionTimer.ConnectRetry;
                TimeSpan time = jitter ? Jitter(action.Seconds, action.Timer == SessionTimer.Keepalive) : TimeSpan.FromSeconds(action.Seconds);
                if (_comesBack && action.Timer == SessionTimer.ConnectRetry && _fsm.State == SessionState.Active)
                {
                    // The neighbour had not yet read that the old session is over, and turned the new one away (BIRD does): that must not cost a whole connectRetry.
                    _comesBack = false;
                    time = time < s_comeBack ? time : s_comeBack;
                }

                _timers.Start(SessionTimers.Slot(item.Side, action.Timer), time);
                break;
            case SessionActionKind.StopTimer:
                _timers.Stop(SessionTimers.Slot(item.Side, action.Timer));
                break;
            case SessionActionKind.SessionUp when connection is not null:
                SessionUp(item.Side, connection);
                break;
            case SessionActionKind.SessionDown:
                SessionDown();
                break;
            case PeerFsm.SwapSides:
                SwapSides();
                break;
        }
    }

    /// <summary>
    /// With RFC 8538 a plain NOTIFICATION starts a graceful restart on the other side. Where our routes must go at once (shut down, removed, too many
    /// prefixes, out of resources) it has to be a Hard Reset, which carries the reason inside (section 3.1).
    /// </summary>
    private NotificationError ForNeighbour(BgpConnection connection, in NotificationError error)
    {
        return !NotificationMessage.IsHardReset(error, out _) && IsFinal(error) && Established is { Negotiated.GracefulNotification: true } session && session.Connection == connection ? NotificationMessage.HardReset(error) : error;
    }

    private static bool IsFinal(in NotificationError error) => error is
    {
        Code: ErrorCode.Cease,
        Subcode: CeaseSubcode.MaxPrefixes or CeaseSubcode.AdministrativeShutdown or CeaseSubcode.PeerDeconfigured or CeaseSubcode.OutOfResources or CeaseSubcode.HardReset,
    };

    /// <summary>RFC 4271 section 10: a keepalive at 75 to 100 % of its interval; a retry at 75 to 125 %.</summary>
    private TimeSpan Jitter(int seconds, bool onlyEarlier = false) =>
        TimeSpan.FromSeconds(seconds * (0.75 + (_context.Random.NextDouble() * (onlyEarlier ? 0.25 : 0.5))));

    private void SwapSides()
    {
        _connections[0]?.Close("replaced");
        (_connections[0], _connections[1]) = (_connections[1], null);
        (_opensSent[0], _opensSent[1]) = (_opensSent[1], null);
        (_opensReceived[0], _opensReceived[1]) = (_opensReceived[1], null);
        _timers.SwapSides();
    }
}
