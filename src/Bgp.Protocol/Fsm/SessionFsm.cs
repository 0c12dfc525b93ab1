using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Bgp.Protocol;

/// <summary>States of RFC 4271 section 8.2.2.</summary>
public enum SessionState : byte
{
    /// <summary>Refuses everything.</summary>
    Idle,

    /// <summary>Waits for its own connect to finish.</summary>
    Connect,

    /// <summary>Waits to connect again, or for the neighbour to connect.</summary>
    Active,

    /// <summary>Has sent OPEN.</summary>
    OpenSent,

    /// <summary>Has a valid OPEN and waits for KEEPALIVE.</summary>
    OpenConfirm,

    /// <summary>Exchanges routes.</summary>
    Established,
}

/// <summary>Events of RFC 4271 section 8.1, by what happened; the numbers there are in the comments.</summary>
public enum SessionEventKind : byte
{
    /// <summary>1, 3: start, by hand or by the idle hold timer.</summary>
    Start,

    /// <summary>2: stop; <see cref="SessionEvent.Error"/> is the NOTIFICATION to end with, or none for silence.</summary>
    Stop,

    /// <summary>9.</summary>
    ConnectRetryExpired,

    /// <summary>10.</summary>
    HoldExpired,

    /// <summary>11.</summary>
    KeepaliveExpired,

    /// <summary>RFC 9687.</summary>
    SendHoldExpired,

    /// <summary>16, 17: our connect succeeded, or the neighbour's was accepted.</summary>
    TcpConnected,

    /// <summary>18.</summary>
    TcpFailed,

    /// <summary>19: a valid OPEN; <see cref="SessionEvent.HoldTime"/> is the negotiated one.</summary>
    OpenReceived,

    /// <summary>21, 22: <see cref="SessionEvent.Error"/> says what was wrong with a header or an OPEN.</summary>
    MessageError,

    /// <summary>23: lost a collision.</summary>
    CollisionDump,

    /// <summary>24, 25.</summary>
    NotificationReceived,

    /// <summary>26.</summary>
    KeepaliveReceived,

    /// <summary>27, and ROUTE-REFRESH: legal when established only.</summary>
    UpdateReceived,

    /// <summary>28: <see cref="SessionEvent.Error"/> says which.</summary>
    UpdateError,
}

/// <summary>One event.</summary>
public readonly record struct SessionEvent(SessionEventKind Kind)
{
    /// <summary>The NOTIFICATION to send, where the kind asks for one.</summary>
    public NotificationError Error { get; init; }

    /// <summary>Negotiated hold time in seconds, with <see cref="SessionEventKind.OpenReceived"/>.</summary>
    public int HoldTime { get; init; }

    /// <summary>Type of the message, where the kind stands for several.</summary>
    public MessageType Message { get; init; } = Kind switch
    {
        SessionEventKind.OpenReceived => MessageType.Open,
        SessionEventKind.KeepaliveReceived => MessageType.KeepAlive,
        SessionEventKind.UpdateReceived => MessageType.Update,
        _ => MessageType.None,
    };
}

/// <summary>Timers of one connection. The shell adds jitter (RFC 4271 section 10) where it is due.</summary>
public enum SessionTimer : byte
{
    /// <summary>Until the next connect.</summary>
    ConnectRetry,

    /// <summary>Until the neighbour counts as dead.</summary>
    Hold,

    /// <summary>Until our next KEEPALIVE.</summary>
    Keepalive,

    /// <summary>Until a neighbour that does not read counts as dead (RFC 9687).</summary>
    SendHold,
}

/// <summary>What the shell is to do.</summary>
public enum SessionActionKind : byte
{
    /// <summary>Open a TCP connection.</summary>
    Connect,

    /// <summary>Close the TCP connection, or abandon the connect under way. After a NOTIFICATION: once that is out.</summary>
    CloseTcp,

    /// <summary>Send OPEN.</summary>
    SendOpen,

    /// <summary>Send KEEPALIVE.</summary>
    SendKeepalive,

    /// <summary>Send <see cref="SessionAction.Notification"/>.</summary>
    SendNotification,

    /// <summary>(Re)start <see cref="SessionAction.Timer"/> with <see cref="SessionAction.Seconds"/>.</summary>
    StartTimer,

    /// <summary>Stop <see cref="SessionAction.Timer"/>.</summary>
    StopTimer,

    /// <summary>The session is established.</summary>
    SessionUp,

    /// <summary>The session was established and is no longer.</summary>
    SessionDown,
}

/// <summary>One action.</summary>
public readonly record struct SessionAction(SessionActionKind Kind)
{
    /// <summary>With the timer actions.</summary>
    public SessionTimer Timer { get; init; }

    /// <summary>With <see cref="SessionActionKind.StartTimer"/>.</summary>
    public int Seconds { get; init; }

    /// <summary>With <see cref="SessionActionKind.SendNotification"/>.</summary>
    public NotificationError Notification { get; init; }
}

/// <summary>Up to eight actions of one step, in order, without a heap object.</summary>
[SuppressMessage("Performance", "CA1815", Justification = "Never compared")]
public struct ActionBuffer
{
    /// <summary>More than any step emits; the matrix test would show a step that needs more.</summary>
    public const int Capacity = 8;

    private Slots _slots;

    /// <summary>How many were added.</summary>
    public int Count { get; private set; }

    /// <summary>One of them.</summary>
    public readonly SessionAction this[int index] => _slots[index];

    /// <summary>Adds one.</summary>
    public void Add(in SessionAction action) => _slots[Count++] = action;

    [InlineArray(Capacity)]
    private struct Slots
    {
        private SessionAction _first;
    }
}

/// <summary>Timer values of one peer, in seconds.</summary>
public sealed record SessionTimes
{
    /// <summary>RFC 4271 section 10 suggests 120; nodes that restart want to be back sooner.</summary>
    public int ConnectRetry { get; init; } = 5;

    /// <summary>Between a failure and the next start.</summary>
    public int IdleHold { get; init; } = 5;

    /// <summary>What <see cref="IdleHold"/> doubles up to.</summary>
    public int MaxIdleHold { get; init; } = 30;

    /// <summary>While waiting for the neighbour's OPEN: RFC 4271 section 8.2.2 suggests 4 minutes.</summary>
    public int OpenHold { get; init; } = 240;

    /// <summary>KEEPALIVE interval; 0 is a third of the negotiated hold time.</summary>
    public int Keepalive { get; init; }
}

/// <summary>
/// The finite state machine of one connection (RFC 4271 section 8.2.2): a pure function of state and event.
/// </summary>
/// <remarks>
/// One object for the connection that we open (it starts in Idle and goes through Connect and Active) and one for each that the neighbour opened (it
/// starts in Active, and its first event is TcpConnected). What concerns both together, collisions and restarts, is <see cref="PeerFsm"/>.
/// Deviations from the RFC: no DelayOpen, no damping counter (idle hold is in <see cref="PeerFsm"/>); RFC 6608's subcodes for unexpected messages; RFC 9687's
/// send hold timer; a late event of a timer that is not running in a state is ignored, because the shell's timers race with messages.
/// </remarks>
public sealed class SessionFsm(SessionTimes times, bool passive, bool incoming)
{
    private int _holdTime;

    /// <summary>Current state.</summary>
    public SessionState State { get; private set; } = incoming ? SessionState.Active : SessionState.Idle;

    /// <summary>Whether the neighbour opened the connection.</summary>
    public bool IsIncoming => incoming;

    /// <summary>Negotiated hold time in seconds; 0 for none. From OpenConfirm on.</summary>
    public int HoldTime => _holdTime;

    /// <summary>Seconds between our KEEPALIVEs; 0 for none.</summary>
    public int KeepaliveTime => KeepaliveOf(_holdTime, times);

    /// <summary>Seconds between KEEPALIVEs with a hold time: as configured, at most a third of it; 0 for none.</summary>
    public static int KeepaliveOf(int holdTime, SessionTimes times) =>
        holdTime == 0 ? 0 : times.Keepalive == 0 ? Math.Max(1, holdTime / 3) : Math.Min(times.Keepalive, Math.Max(1, holdTime / 3));

    /// <summary>RFC 9687 section 3: at least 8 minutes, and more than the hold time.</summary>
    public int SendHoldTime => _holdTime == 0 ? 0 : Math.Max(8 * 60, 2 * _holdTime);

    /// <summary>Other settings from the next event on.</summary>
    internal void Configure(SessionTimes newTimes, bool isPassive) => (times, passive) = (newTimes, isPassive);

    /// <summary>Forces the state, for the test of the complete matrix.</summary>
    internal void SetState(SessionState state, int holdTime) => (State, _holdTime) = (state, holdTime);

    /// <summary>Takes one event; <paramref name="actions"/> are to be carried out in order.</summary>
    public void Step(in SessionEvent e, ref ActionBuffer actions)
    {
        switch (State)
        {
            case SessionState.Idle:
                StepIdle(e, ref actions);
                break;
            case SessionState.Connect:
                StepConnect(e, ref actions);
                break;
            case SessionState.Active:
                StepActive(e, ref actions);
                break;
            case SessionState.OpenSent:
                StepOpenSent(e, ref actions);
                break;
            case SessionState.OpenConfirm:
                StepOpenConfirm(e, ref actions);
                break;
            case SessionState.Established:
                StepEstablished(e, ref actions);
                break;
        }
    }

    private void StepIdle(in SessionEvent e, ref ActionBuffer actions)
    {
        switch (e.Kind)
        {
            case SessionEventKind.Start when passive:
                State = SessionState.Active;
                break;
            case SessionEventKind.Start:
                Dial(ref actions);
                break;
            case SessionEventKind.TcpConnected:
                // A connect that finished after the stop.
                actions.Add(new(SessionActionKind.CloseTcp));
                break;
        }
    }

    private void StepConnect(in SessionEvent e, ref ActionBuffer actions)
    {
        switch (e.Kind)
        {
            case SessionEventKind.TcpConnected:
                Open(ref actions);
                break;
            case SessionEventKind.TcpFailed:
                Start(SessionTimer.ConnectRetry, times.ConnectRetry, ref actions);
                State = SessionState.Active;
                break;
            case SessionEventKind.ConnectRetryExpired:
                actions.Add(new(SessionActionKind.CloseTcp));
                Dial(ref actions);
                break;
            case SessionEventKind.Stop or SessionEventKind.CollisionDump:
                Stop(SessionTimer.ConnectRetry, ref actions);
                actions.Add(new(SessionActionKind.CloseTcp));
                State = SessionState.Idle;
                break;
        }
    }

    private void StepActive(in SessionEvent e, ref ActionBuffer actions)
    {
        switch (e.Kind)
        {
            case SessionEventKind.ConnectRetryExpired when !passive && !incoming:
                Dial(ref actions);
                break;
            case SessionEventKind.TcpConnected:
                Open(ref actions);
                break;
            case SessionEventKind.Stop or SessionEventKind.CollisionDump or SessionEventKind.TcpFailed when incoming:
                actions.Add(new(SessionActionKind.CloseTcp));
                State = SessionState.Idle;
                break;
            case SessionEventKind.Stop or SessionEventKind.CollisionDump:
                Stop(SessionTimer.ConnectRetry, ref actions);
                State = SessionState.Idle;
                break;
        }
    }

    private void StepOpenSent(in SessionEvent e, ref ActionBuffer actions)
    {
        switch (e.Kind)
        {
            case SessionEventKind.OpenReceived:
                _holdTime = e.HoldTime;
                actions.Add(new(SessionActionKind.SendKeepalive));
                if (_holdTime == 0)
                {
                    Stop(SessionTimer.Hold, ref actions);
                }
                else
                {
                    Start(SessionTimer.Keepalive, KeepaliveTime, ref actions);
                    Start(SessionTimer.Hold, _holdTime, ref actions);
                }

                State = SessionState.OpenConfirm;
                break;
            case SessionEventKind.TcpFailed when !incoming:
                // RFC 4271 section 8.2.2, event 18: no blame, try again.
                Stop(SessionTimer.Hold, ref actions);
                actions.Add(new(SessionActionKind.CloseTcp));
                Start(SessionTimer.ConnectRetry, times.ConnectRetry, ref actions);
                State = SessionState.Active;
                break;
            default:
                EndOpen(e, FsmSubcode.UnexpectedInOpenSent, ref actions);
                break;
        }
    }

    private void StepOpenConfirm(in SessionEvent e, ref ActionBuffer actions)
    {
        switch (e.Kind)
        {
            case SessionEventKind.KeepaliveReceived:
                if (_holdTime != 0)
                {
                    Start(SessionTimer.Hold, _holdTime, ref actions);
                    Start(SessionTimer.SendHold, SendHoldTime, ref actions);
                }

                State = SessionState.Established;
                actions.Add(new(SessionActionKind.SessionUp));
                break;
            case SessionEventKind.KeepaliveExpired:
                Beat(ref actions);
                break;
            case SessionEventKind.OpenReceived:
                Fail(Unexpected(e, FsmSubcode.UnexpectedInOpenConfirm), ref actions);
                break;
            default:
                EndOpen(e, FsmSubcode.UnexpectedInOpenConfirm, ref actions);
                break;
        }
    }

    private void StepEstablished(in SessionEvent e, ref ActionBuffer actions)
    {
        switch (e.Kind)
        {
            case SessionEventKind.KeepaliveReceived or SessionEventKind.UpdateReceived:
                if (_holdTime != 0)
                {
                    Start(SessionTimer.Hold, _holdTime, ref actions);
                }

                break;
            case SessionEventKind.KeepaliveExpired:
                Beat(ref actions);
                break;
            case SessionEventKind.SendHoldExpired:
                Fail(new NotificationError(ErrorCode.SendHoldTimerExpired, 0), ref actions);
                break;
            case SessionEventKind.OpenReceived:
                Fail(Unexpected(e, FsmSubcode.UnexpectedInEstablished), ref actions);
                break;
            default:
                EndOpen(e, FsmSubcode.UnexpectedInEstablished, ref actions);
                break;
        }
    }

    /// <summary>What ends a connection in the same way in the three states that have one.</summary>
    private void EndOpen(in SessionEvent e, byte unexpected, ref ActionBuffer actions)
    {
        switch (e.Kind)
        {
            case SessionEventKind.Stop:
                Fail(e.Error, ref actions);
                break;
            case SessionEventKind.HoldExpired:
                Fail(new NotificationError(ErrorCode.HoldTimerExpired, 0), ref actions);
                break;
            case SessionEventKind.MessageError or SessionEventKind.UpdateError:
                Fail(e.Error, ref actions);
                break;
            case SessionEventKind.CollisionDump:
                Fail(new NotificationError(ErrorCode.Cease, CeaseSubcode.CollisionResolution), ref actions);
                break;
            case SessionEventKind.KeepaliveReceived or SessionEventKind.UpdateReceived:
                Fail(Unexpected(e, unexpected), ref actions);
                break;
            case SessionEventKind.NotificationReceived or SessionEventKind.TcpFailed:
                // RFC 4271 section 6.4: a NOTIFICATION is never answered.
                Fail(NotificationError.None, ref actions);
                break;
        }
    }

    /// <summary>RFC 6608 section 4: the data field is the type of the message that was not expected.</summary>
    private static NotificationError Unexpected(in SessionEvent e, byte subcode) =>
        NotificationError.WithData(ErrorCode.FiniteStateMachine, subcode, [(byte)e.Message]);

    private void Dial(ref ActionBuffer actions)
    {
        Start(SessionTimer.ConnectRetry, times.ConnectRetry, ref actions);
        actions.Add(new(SessionActionKind.Connect));
        State = SessionState.Connect;
    }

    private void Open(ref ActionBuffer actions)
    {
        Stop(SessionTimer.ConnectRetry, ref actions);
        actions.Add(new(SessionActionKind.SendOpen));
        Start(SessionTimer.Hold, times.OpenHold, ref actions);
        State = SessionState.OpenSent;
    }

    private void Beat(ref ActionBuffer actions)
    {
        if (_holdTime != 0)
        {
            actions.Add(new(SessionActionKind.SendKeepalive));
            Start(SessionTimer.Keepalive, KeepaliveTime, ref actions);
        }
    }

    private void Fail(in NotificationError error, ref ActionBuffer actions)
    {
        Stop(SessionTimer.Hold, ref actions);
        Stop(SessionTimer.Keepalive, ref actions);
        Stop(SessionTimer.SendHold, ref actions);
        if (error.IsError)
        {
            actions.Add(new(SessionActionKind.SendNotification) { Notification = error });
        }

        actions.Add(new(SessionActionKind.CloseTcp));
        if (State == SessionState.Established)
        {
            actions.Add(new(SessionActionKind.SessionDown));
        }

        State = SessionState.Idle;
    }

    private static void Start(SessionTimer timer, int seconds, ref ActionBuffer actions) =>
        actions.Add(new(SessionActionKind.StartTimer) { Timer = timer, Seconds = seconds });

    private static void Stop(SessionTimer timer, ref ActionBuffer actions) =>
        actions.Add(new(SessionActionKind.StopTimer) { Timer = timer });
}
