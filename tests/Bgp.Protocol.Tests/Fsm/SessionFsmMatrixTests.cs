using System.Globalization;
using System.Text;

namespace Bgp.Protocol.Tests.Fsm;

/// <summary>
/// The complete matrix of RFC 4271 section 8.2.2: every state with every event, for the connection that we open. The table is the specification; a pair that is
/// not in it, or that behaves otherwise, fails.
/// </summary>
[TestFixture]
public sealed class SessionFsmMatrixTests
{
    private const string Matrix = """
        Idle Start: Connect; start ConnectRetry 5, connect
        Idle Stop: Idle;
        Idle ConnectRetryExpired: Idle;
        Idle HoldExpired: Idle;
        Idle KeepaliveExpired: Idle;
        Idle SendHoldExpired: Idle;
        Idle TcpConnected: Idle; close
        Idle TcpFailed: Idle;
        Idle OpenReceived: Idle;
        Idle MessageError: Idle;
        Idle CollisionDump: Idle;
        Idle NotificationReceived: Idle;
        Idle KeepaliveReceived: Idle;
        Idle UpdateReceived: Idle;
        Idle UpdateError: Idle;
        Connect Start: Connect;
        Connect Stop: Idle; stop ConnectRetry, close
        Connect ConnectRetryExpired: Connect; close, start ConnectRetry 5, connect
        Connect HoldExpired: Connect;
        Connect KeepaliveExpired: Connect;
        Connect SendHoldExpired: Connect;
        Connect TcpConnected: OpenSent; stop ConnectRetry, open, start Hold 240
        Connect TcpFailed: Active; start ConnectRetry 5
        Connect OpenReceived: Connect;
        Connect MessageError: Connect;
        Connect CollisionDump: Idle; stop ConnectRetry, close
        Connect NotificationReceived: Connect;
        Connect KeepaliveReceived: Connect;
        Connect UpdateReceived: Connect;
        Connect UpdateError: Connect;
        Active Start: Active;
        Active Stop: Idle; stop ConnectRetry
        Active ConnectRetryExpired: Connect; start ConnectRetry 5, connect
        Active HoldExpired: Active;
        Active KeepaliveExpired: Active;
        Active SendHoldExpired: Active;
        Active TcpConnected: OpenSent; stop ConnectRetry, open, start Hold 240
        Active TcpFailed: Active;
        Active OpenReceived: Active;
        Active MessageError: Active;
        Active CollisionDump: Idle; stop ConnectRetry
        Active NotificationReceived: Active;
        Active KeepaliveReceived: Active;
        Active UpdateReceived: Active;
        Active UpdateError: Active;
        OpenSent Start: OpenSent;
        OpenSent Stop: Idle; stop Hold, stop Keepalive, stop SendHold, notify 3/1, close
        OpenSent ConnectRetryExpired: OpenSent;
        OpenSent HoldExpired: Idle; stop Hold, stop Keepalive, stop SendHold, notify 4/0, close
        OpenSent KeepaliveExpired: OpenSent;
        OpenSent SendHoldExpired: OpenSent;
        OpenSent TcpConnected: OpenSent;
        OpenSent TcpFailed: Active; stop Hold, close, start ConnectRetry 5
        OpenSent OpenReceived: OpenConfirm; keepalive, start Keepalive 30, start Hold 90
        OpenSent MessageError: Idle; stop Hold, stop Keepalive, stop SendHold, notify 3/1, close
        OpenSent CollisionDump: Idle; stop Hold, stop Keepalive, stop SendHold, notify 6/7, close
        OpenSent NotificationReceived: Idle; stop Hold, stop Keepalive, stop SendHold, close
        OpenSent KeepaliveReceived: Idle; stop Hold, stop Keepalive, stop SendHold, notify 5/1 04, close
        OpenSent UpdateReceived: Idle; stop Hold, stop Keepalive, stop SendHold, notify 5/1 02, close
        OpenSent UpdateError: Idle; stop Hold, stop Keepalive, stop SendHold, notify 3/1, close
        OpenConfirm Start: OpenConfirm;
        OpenConfirm Stop: Idle; stop Hold, stop Keepalive, stop SendHold, notify 3/1, close
        OpenConfirm ConnectRetryExpired: OpenConfirm;
        OpenConfirm HoldExpired: Idle; stop Hold, stop Keepalive, stop SendHold, notify 4/0, close
        OpenConfirm KeepaliveExpired: OpenConfirm; keepalive, start Keepalive 30
        OpenConfirm SendHoldExpired: OpenConfirm;
        OpenConfirm TcpConnected: OpenConfirm;
        OpenConfirm TcpFailed: Idle; stop Hold, stop Keepalive, stop SendHold, close
        OpenConfirm OpenReceived: Idle; stop Hold, stop Keepalive, stop SendHold, notify 5/2 01, close
        OpenConfirm MessageError: Idle; stop Hold, stop Keepalive, stop SendHold, notify 3/1, close
        OpenConfirm CollisionDump: Idle; stop Hold, stop Keepalive, stop SendHold, notify 6/7, close
        OpenConfirm NotificationReceived: Idle; stop Hold, stop Keepalive, stop SendHold, close
        OpenConfirm KeepaliveReceived: Established; start Hold 90, start SendHold 480, up
        OpenConfirm UpdateReceived: Idle; stop Hold, stop Keepalive, stop SendHold, notify 5/2 02, close
        OpenConfirm UpdateError: Idle; stop Hold, stop Keepalive, stop SendHold, notify 3/1, close
        Established Start: Established;
        Established Stop: Idle; stop Hold, stop Keepalive, stop SendHold, notify 3/1, close, down
        Established ConnectRetryExpired: Established;
        Established HoldExpired: Idle; stop Hold, stop Keepalive, stop SendHold, notify 4/0, close, down
        Established KeepaliveExpired: Established; keepalive, start Keepalive 30
        Established SendHoldExpired: Idle; stop Hold, stop Keepalive, stop SendHold, notify 8/0, close, down
        Established TcpConnected: Established;
        Established TcpFailed: Idle; stop Hold, stop Keepalive, stop SendHold, close, down
        Established OpenReceived: Idle; stop Hold, stop Keepalive, stop SendHold, notify 5/3 01, close, down
        Established MessageError: Idle; stop Hold, stop Keepalive, stop SendHold, notify 3/1, close, down
        Established CollisionDump: Idle; stop Hold, stop Keepalive, stop SendHold, notify 6/7, close, down
        Established NotificationReceived: Idle; stop Hold, stop Keepalive, stop SendHold, close, down
        Established KeepaliveReceived: Established; start Hold 90
        Established UpdateReceived: Established; start Hold 90
        Established UpdateError: Idle; stop Hold, stop Keepalive, stop SendHold, notify 3/1, close, down
        """;

    private static readonly NotificationError s_given = new(ErrorCode.UpdateMessage, UpdateSubcode.MalformedAttributeList);

    private static Dictionary<string, string> Table { get; } = Matrix
        .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
        .ToDictionary(static line => line[..line.IndexOf(':', StringComparison.Ordinal)].Trim(), static line => line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim(), StringComparer.Ordinal);

    public static IEnumerable<TestCaseData> Pairs =>
        from state in Enum.GetValues<SessionState>()
        from kind in Enum.GetValues<SessionEventKind>()
        select new TestCaseData(state, kind).SetArgDisplayNames(state.ToString(), kind.ToString());

    [TestCaseSource(nameof(Pairs))]
    public void Every_state_answers_every_event_as_the_table_says(SessionState state, SessionEventKind kind)
    {
        string key = $"{state} {kind}";
        Assert.That(Table, Does.ContainKey(key), "a pair that the table does not list");
        Assert.That(Step(state, kind), Is.EqualTo(Table[key]), key);
    }

    [Test]
    public void The_table_lists_each_pair_once_and_nothing_else() =>
        Assert.That(Table, Has.Count.EqualTo(Enum.GetValues<SessionState>().Length * Enum.GetValues<SessionEventKind>().Length));

    [Test]
    public void A_hold_time_of_zero_arms_neither_timer()
    {
        SessionFsm machine = new(new SessionTimes(), passive: false, incoming: false);
        machine.SetState(SessionState.OpenSent, 0);
        string actions = Render(machine, new SessionEvent(SessionEventKind.OpenReceived) { HoldTime = 0 });
        Assert.That(actions, Is.EqualTo("OpenConfirm; keepalive, stop Hold"));
        Assert.That(Render(machine, new SessionEvent(SessionEventKind.KeepaliveReceived)), Is.EqualTo("Established; up"));
    }

    [TestCase(SessionState.OpenSent, FsmSubcode.UnexpectedInOpenSent)]
    [TestCase(SessionState.OpenConfirm, FsmSubcode.UnexpectedInOpenConfirm)]
    public void A_ROUTE_REFRESH_out_of_place_is_named_in_the_NOTIFICATION(SessionState state, byte subcode)
    {
        SessionFsm machine = new(new SessionTimes(), passive: false, incoming: false);
        machine.SetState(state, 90);
        Assert.That(
            Render(machine, new SessionEvent(SessionEventKind.UpdateReceived) { Message = MessageType.RouteRefresh }),
            Does.Contain($"notify 5/{subcode} 05"));
    }

    [Test]
    public void A_passive_peer_never_dials()
    {
        SessionFsm machine = new(new SessionTimes(), passive: true, incoming: false);
        Assert.That(Render(machine, new SessionEvent(SessionEventKind.Start)), Is.EqualTo("Active;"));
        Assert.That(Render(machine, new SessionEvent(SessionEventKind.ConnectRetryExpired)), Is.EqualTo("Active;"));
    }

    internal static string Render(SessionFsm machine, in SessionEvent e)
    {
        ActionBuffer actions = default;
        machine.Step(e, ref actions);
        StringBuilder text = new();
        text.Append(machine.State).Append(';');
        for (int i = 0; i < actions.Count; i++)
        {
            text.Append(i == 0 ? " " : ", ").Append(Word(actions[i]));
        }

        return text.ToString();
    }

    private static string Step(SessionState state, SessionEventKind kind)
    {
        SessionFsm machine = new(new SessionTimes(), passive: false, incoming: false);
        machine.SetState(state, 90);
        return Render(machine, new SessionEvent(kind) { Error = s_given, HoldTime = 90 });
    }

    private static string Word(in SessionAction action) => action.Kind switch
    {
        SessionActionKind.Connect => "connect",
        SessionActionKind.CloseTcp => "close",
        SessionActionKind.SendOpen => "open",
        SessionActionKind.SendKeepalive => "keepalive",
        SessionActionKind.SendNotification => string.Create(CultureInfo.InvariantCulture, $"notify {action.Notification.Code}/{action.Notification.Subcode} {Convert.ToHexString(action.Notification.Data.Span)}").TrimEnd(),
        SessionActionKind.StartTimer => string.Create(CultureInfo.InvariantCulture, $"start {action.Timer} {action.Seconds}"),
        SessionActionKind.StopTimer => $"stop {action.Timer}",
        SessionActionKind.SessionUp => "up",
        SessionActionKind.SessionDown => "down",
        _ => action.Kind.ToString(),
    };
}
