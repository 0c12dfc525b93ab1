namespace Bgp.Protocol.Tests.Fsm;

/// <summary>Collisions, restarts and rests: what concerns both connections of a peer.</summary>
[TestFixture]
public sealed class PeerFsmTests
{
    private const uint LowId = 0x0A000001;
    private const uint HighId = 0x0A000002;

    private readonly List<PeerAction> _actions = [];

    [TestCase(LowId, HighId, ConnectionSide.Incoming)]
    [TestCase(HighId, LowId, ConnectionSide.Outgoing)]
    public void The_connection_opened_by_the_higher_identifier_stays(uint ours, uint theirs, ConnectionSide stays)
    {
        foreach (ConnectionSide first in (ConnectionSide[])[ConnectionSide.Outgoing, ConnectionSide.Incoming])
        {
            PeerFsm peer = TwoInOpenSent(ours);
            ConnectionSide second = first == ConnectionSide.Outgoing ? ConnectionSide.Incoming : ConnectionSide.Outgoing;
            peer.Open(first, theirs, 64512, 90, gracefulRestart: true, _actions);
            _actions.Clear();
            peer.Open(second, theirs, 64512, 90, gracefulRestart: true, _actions);
            Assert.That(peer.StateOf(stays), Is.EqualTo(SessionState.OpenConfirm), $"first OPEN on {first}");
            ConnectionSide loser = stays == ConnectionSide.Outgoing ? ConnectionSide.Incoming : ConnectionSide.Outgoing;
            Assert.That(peer.StateOf(loser), Is.EqualTo(SessionState.Idle));
            Assert.That(Notifications(), Is.EqualTo(new[] { (loser, ErrorCode.Cease, CeaseSubcode.CollisionResolution) }));
        }
    }

    [TestCase(64512u, 64513u, ConnectionSide.Incoming)]
    [TestCase(64513u, 64512u, ConnectionSide.Outgoing)]
    public void Equal_identifiers_are_decided_by_the_AS_number(uint ours, uint theirs, ConnectionSide stays)
    {
        PeerFsm peer = TwoInOpenSent(LowId, ours);
        peer.Open(ConnectionSide.Outgoing, LowId, theirs, 90, false, _actions);
        peer.Open(ConnectionSide.Incoming, LowId, theirs, 90, false, _actions);
        Assert.That(peer.StateOf(stays), Is.EqualTo(SessionState.OpenConfirm));
    }

    [Test]
    public void A_collision_that_began_before_the_session_does_not_end_it()
    {
        // Both sides dialled; one connection is established before the other's OPEN is read, with graceful restart negotiated.
        PeerFsm peer = TwoInOpenSent(HighId);
        peer.Open(ConnectionSide.Outgoing, LowId, 64512, 90, gracefulRestart: true, _actions);
        peer.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.KeepaliveReceived), _actions);
        peer.Open(ConnectionSide.Incoming, LowId, 64512, 90, gracefulRestart: true, _actions);
        Assert.That(peer.State, Is.EqualTo(SessionState.Established));
        Assert.That(peer.StateOf(ConnectionSide.Incoming), Is.EqualTo(SessionState.Idle));
        Assert.That(_actions.Exists(static item => item.Action.Kind == SessionActionKind.SessionDown), Is.False);
    }

    [Test]
    public void Each_punishment_is_twice_as_long_however_far_the_session_came()
    {
        PeerFsm peer = EstablishedPeer(gracefulRestart: false);
        List<int> rests = [];
        for (int time = 0; time < 5; time++)
        {
            peer.Reset(new NotificationError(ErrorCode.Cease, CeaseSubcode.MaxPrefixes), punish: true, _actions);
            rests.Add(peer.IdleHold);
            Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.RefuseRejected));
            peer.IdleHoldExpired(_actions);
            Establish(peer);
        }

        Assert.That(rests, Is.EqualTo(new[] { 5, 10, 20, 30, 30 }));
        peer.Step(ConnectionSide.Incoming, new SessionEvent(SessionEventKind.TcpFailed), _actions);
        peer.IdleHoldExpired(_actions);
        Establish(peer);
        peer.Reset(new NotificationError(ErrorCode.Cease, CeaseSubcode.MaxPrefixes), punish: true, _actions);
        Assert.That(peer.IdleHold, Is.EqualTo(5), "a session that ended for another reason makes it good");

        void Establish(PeerFsm fsm)
        {
            Assert.That(fsm.Accept(_actions), Is.EqualTo(IncomingVerdict.Accept));
            fsm.Open(ConnectionSide.Incoming, HighId, 64512, 90, gracefulRestart: false, _actions);
            fsm.Step(ConnectionSide.Incoming, new SessionEvent(SessionEventKind.KeepaliveReceived), _actions);
            Assert.That(fsm.State, Is.EqualTo(SessionState.Established));
        }
    }

    [Test]
    public void A_connection_that_will_lose_does_not_become_a_session_while_the_other_may_win()
    {
        PeerFsm peer = LoserWaits();
        peer.Open(ConnectionSide.Incoming, HighId, 64512, 90, gracefulRestart: true, _actions);
        Assert.That(peer.StateOf(ConnectionSide.Outgoing), Is.EqualTo(SessionState.Idle));
        peer.Step(ConnectionSide.Incoming, new SessionEvent(SessionEventKind.KeepaliveReceived), _actions);
        Assert.That(peer.StateOf(ConnectionSide.Incoming), Is.EqualTo(SessionState.Established));
        Assert.That(_actions.Exists(static item => item.Action.Kind == SessionActionKind.SessionDown), Is.False);
    }

    [Test]
    public void A_connection_that_waits_for_the_other_is_established_when_that_one_ends()
    {
        PeerFsm peer = LoserWaits();
        peer.Step(ConnectionSide.Incoming, new SessionEvent(SessionEventKind.NotificationReceived), _actions);
        Assert.That(peer.StateOf(ConnectionSide.Outgoing), Is.EqualTo(SessionState.Established));
    }

    [TestCase(true)]
    [TestCase(false)]
    public void A_connection_that_waits_is_established_by_the_neighbours_next_message(bool keepalive)
    {
        PeerFsm peer = LoserWaits();
        if (keepalive)
        {
            peer.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.KeepaliveReceived), _actions);
        }
        else
        {
            Assert.That(peer.Confirmed(ConnectionSide.Outgoing, _actions));
        }

        Assert.That(peer.StateOf(ConnectionSide.Outgoing), Is.EqualTo(SessionState.Established));
        Assert.That(Notifications(), Is.EqualTo(new[] { (ConnectionSide.Incoming, ErrorCode.Cease, CeaseSubcode.CollisionResolution) }));
    }

    [Test]
    public void A_peer_that_is_stopped_while_a_connection_waits_reports_no_session()
    {
        PeerFsm peer = LoserWaits();
        peer.Stop(default, _actions);
        Assert.That(_actions.Exists(static item => item.Action.Kind == SessionActionKind.SessionUp), Is.False);
        Assert.That(peer.State, Is.EqualTo(SessionState.Idle));
    }

    [Test]
    public void A_connection_opened_before_the_neighbour_had_the_session_is_no_restart()
    {
        PeerFsm peer = EstablishedPeer(gracefulRestart: true);
        Assert.That(peer.Accept(_actions, confirmed: false), Is.EqualTo(IncomingVerdict.RefuseCollision));
        Assert.That(peer.State, Is.EqualTo(SessionState.Established));
    }

    [Test]
    public void A_second_connection_is_refused_while_established_without_graceful_restart()
    {
        PeerFsm peer = EstablishedPeer(gracefulRestart: false);
        Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.RefuseCollision));
        Assert.That(peer.State, Is.EqualTo(SessionState.Established));
    }

    [Test]
    public void A_neighbour_that_restarted_replaces_its_session_with_its_OPEN_and_not_before()
    {
        PeerFsm peer = EstablishedPeer(gracefulRestart: true);
        Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.Accept));
        Assert.That(peer.StateOf(ConnectionSide.Outgoing), Is.EqualTo(SessionState.Established));
        _actions.Clear();
        peer.Open(ConnectionSide.Incoming, HighId, 64512, 90, gracefulRestart: true, _actions);
        Assert.That(peer.StateOf(ConnectionSide.Outgoing), Is.EqualTo(SessionState.Idle));
        Assert.That(peer.StateOf(ConnectionSide.Incoming), Is.EqualTo(SessionState.OpenConfirm));
        Assert.That(_actions.Exists(static item => item is { Side: ConnectionSide.Outgoing, Action.Kind: SessionActionKind.SessionDown }));
        Assert.That(Notifications(), Is.Empty, "RFC 4724 section 5: the old session ends without a NOTIFICATION");
    }

    [Test]
    public void Another_speaker_at_the_neighbours_address_does_not_take_its_session_over()
    {
        PeerFsm peer = EstablishedPeer(gracefulRestart: true);
        Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.Accept));
        _actions.Clear();
        peer.Open(ConnectionSide.Incoming, HighId + 1, 64512, 90, gracefulRestart: true, _actions);
        Assert.That((peer.StateOf(ConnectionSide.Outgoing), peer.StateOf(ConnectionSide.Incoming)), Is.EqualTo((SessionState.Established, SessionState.Idle)));

        // The neighbour itself is still known by its identifier.
        Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.Accept));
        peer.Open(ConnectionSide.Incoming, HighId, 64512, 90, gracefulRestart: true, _actions);
        Assert.That(peer.StateOf(ConnectionSide.Incoming), Is.EqualTo(SessionState.OpenConfirm));
    }

    [Test]
    public void An_established_incoming_session_can_be_replaced_by_another_incoming_one()
    {
        PeerFsm peer = new(new SessionTimes(), passive: true, LowId, 64512);
        peer.Start(_actions);
        Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.Accept));
        peer.Open(ConnectionSide.Incoming, HighId, 64512, 90, gracefulRestart: true, _actions);
        peer.Step(ConnectionSide.Incoming, new SessionEvent(SessionEventKind.KeepaliveReceived), _actions);
        _actions.Clear();
        Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.Accept));
        Assert.That(_actions.Exists(static item => item.Action.Kind == PeerFsm.SwapSides));
        peer.Open(ConnectionSide.Incoming, HighId, 64512, 90, gracefulRestart: true, _actions);
        peer.Step(ConnectionSide.Incoming, new SessionEvent(SessionEventKind.KeepaliveReceived), _actions);
        Assert.That(peer.StateOf(ConnectionSide.Incoming), Is.EqualTo(SessionState.Established));
        Assert.That(peer.StateOf(ConnectionSide.Outgoing), Is.EqualTo(SessionState.Idle));
    }

    /// <summary>RFC 4271 section 6.8: the local system closes the connection that already exists where its identifier is the lower one, else the newly created one.</summary>
    [TestCase(LowId, HighId, ConnectionSide.Outgoing)]
    [TestCase(HighId, LowId, ConnectionSide.Incoming)]
    public void Of_two_connections_that_the_neighbour_opened_the_rule_decides_too(uint ours, uint theirs, ConnectionSide loser)
    {
        PeerFsm peer = new(new SessionTimes(), passive: false, ours, 64512);
        peer.Start(_actions);
        Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.Accept));
        peer.Open(ConnectionSide.Incoming, theirs, 64512, 90, gracefulRestart: false, _actions);
        Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.Accept));
        Assert.That(peer.StateOf(ConnectionSide.Outgoing), Is.EqualTo(SessionState.OpenConfirm), "the existing one goes on, on the other side");
        _actions.Clear();
        peer.Open(ConnectionSide.Incoming, theirs, 64512, 90, gracefulRestart: false, _actions);
        Assert.That(Notifications(), Is.EqualTo(new[] { (loser, ErrorCode.Cease, CeaseSubcode.CollisionResolution) }));
        ConnectionSide winner = loser == ConnectionSide.Outgoing ? ConnectionSide.Incoming : ConnectionSide.Outgoing;
        peer.Step(winner, new SessionEvent(SessionEventKind.KeepaliveReceived), _actions);
        Assert.That(peer.StateOf(winner), Is.EqualTo(SessionState.Established));
        Assert.That(peer.NeedsIdleHold, Is.False);
    }

    [Test]
    public void The_first_of_two_connections_that_the_neighbour_opened_does_not_wait_for_the_second()
    {
        PeerFsm peer = new(new SessionTimes(), passive: false, LowId, 64512);
        peer.Start(_actions);
        peer.Accept(_actions);
        peer.Open(ConnectionSide.Incoming, HighId, 64512, 90, gracefulRestart: false, _actions);
        peer.Accept(_actions);
        _actions.Clear();
        peer.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.KeepaliveReceived), _actions);
        Assert.That(peer.StateOf(ConnectionSide.Outgoing), Is.EqualTo(SessionState.Established));
        Assert.That(Notifications(), Is.EqualTo(new[] { (ConnectionSide.Incoming, ErrorCode.Cease, CeaseSubcode.CollisionResolution) }));
    }

    [Test]
    public void A_stopped_peer_refuses_connections()
    {
        PeerFsm peer = new(new SessionTimes(), passive: false, LowId, 64512);
        Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.RefuseAdminDown));
    }

    [Test]
    public void A_punished_neighbour_may_not_call_until_the_rest_is_over()
    {
        PeerFsm peer = EstablishedPeer(gracefulRestart: true);
        peer.Reset(new NotificationError(ErrorCode.Cease, CeaseSubcode.MaxPrefixes), punish: true, _actions);
        Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.RefuseRejected));
        Assert.That(peer.NeedsIdleHold);
        peer.IdleHoldExpired(_actions);
        Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.Accept));
    }

    [Test]
    public void The_rest_doubles_with_each_failure_up_to_the_bound_and_a_session_resets_it()
    {
        PeerFsm peer = new(new SessionTimes(), passive: false, LowId, 64512);
        peer.Start(_actions);
        List<int> rests = [];
        for (int i = 0; i < 5; i++)
        {
            peer.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.TcpConnected), _actions);
            peer.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.NotificationReceived), _actions);
            rests.Add(peer.IdleHold);
            peer.IdleHoldExpired(_actions);
        }

        Assert.That(rests, Is.EqualTo(new[] { 10, 20, 30, 30, 30 }));
        peer.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.TcpConnected), _actions);
        peer.Open(ConnectionSide.Outgoing, HighId, 64512, 90, false, _actions);
        peer.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.KeepaliveReceived), _actions);
        Assert.That(peer.IdleHold, Is.EqualTo(5));
    }

    [Test]
    public void No_sequence_of_events_gives_two_sessions_or_sends_on_a_closed_connection()
    {
        SessionEventKind[] kinds = Enum.GetValues<SessionEventKind>();
        for (int seed = 0; seed < 2000; seed++)
        {
            Random random = new(seed);
            PeerFsm peer = new(new SessionTimes(), passive: seed % 3 == 0, seed % 2 == 0 ? LowId : HighId, 64512);
            bool[] open = [false, false];
            _actions.Clear();
            peer.Start(_actions);
            for (int step = 0; step < 60; step++)
            {
                ConnectionSide side = (ConnectionSide)random.Next(2);
                int choice = random.Next(10);
                if (choice == 0)
                {
                    peer.Accept(_actions);
                }
                else if (choice < 3)
                {
                    peer.Open(side, seed % 2 == 0 ? HighId : LowId, 64512, 90, random.Next(2) == 0, _actions);
                }
                else if (choice == 3)
                {
                    peer.IdleHoldExpired(_actions);
                }
                else
                {
                    peer.Step(side, new SessionEvent(kinds[random.Next(kinds.Length)]) { Error = new NotificationError(6, 4), HoldTime = 90 }, _actions);
                }

                Check(open, $"seed {seed} step {step}");
                Assert.That(
                    peer.StateOf(ConnectionSide.Outgoing) == SessionState.Established && peer.StateOf(ConnectionSide.Incoming) == SessionState.Established,
                    Is.False,
                    $"seed {seed} step {step}: two sessions");
                Assert.That(peer.State == SessionState.Idle && peer.IsStarted ? peer.NeedsIdleHold : true, $"seed {seed} step {step}: nothing would start it again");
            }
        }
    }

    private void Check(bool[] open, string where)
    {
        foreach (PeerAction item in _actions)
        {
            int side = (int)item.Side;
            switch (item.Action.Kind)
            {
                case SessionActionKind.SendOpen:
                    open[side] = true;
                    break;
                case SessionActionKind.SendKeepalive or SessionActionKind.SendNotification or SessionActionKind.SessionUp:
                    Assert.That(open[side], $"{where}: {item.Action.Kind} on a closed {item.Side} connection");
                    break;
                case SessionActionKind.CloseTcp:
                    open[side] = false;
                    break;
                case PeerFsm.SwapSides:
                    (open[0], open[1]) = (open[1], false);
                    break;
            }
        }

        _actions.Clear();
    }

    private List<(ConnectionSide Side, byte Code, byte Subcode)> Notifications() =>
        [.. _actions.Where(static item => item.Action.Kind == SessionActionKind.SendNotification)
            .Select(static item => (item.Side, item.Action.Notification.Code, item.Action.Notification.Subcode))];

    private PeerFsm TwoInOpenSent(uint id, uint asn = 64512)
    {
        PeerFsm peer = new(new SessionTimes(), passive: false, id, asn);
        peer.Start(_actions);
        peer.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.TcpConnected), _actions);
        Assert.That(peer.Accept(_actions), Is.EqualTo(IncomingVerdict.Accept));
        _actions.Clear();
        return peer;
    }

    private PeerFsm LoserWaits()
    {
        PeerFsm peer = TwoInOpenSent(LowId);
        peer.Open(ConnectionSide.Outgoing, HighId, 64512, 90, gracefulRestart: true, _actions);
        peer.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.KeepaliveReceived), _actions);
        Assert.That(peer.StateOf(ConnectionSide.Outgoing), Is.EqualTo(SessionState.OpenConfirm));
        _actions.Clear();
        return peer;
    }

    private PeerFsm EstablishedPeer(bool gracefulRestart)
    {
        PeerFsm peer = new(new SessionTimes(), passive: false, LowId, 64512);
        peer.Start(_actions);
        peer.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.TcpConnected), _actions);
        peer.Open(ConnectionSide.Outgoing, HighId, 64512, 90, gracefulRestart, _actions);
        peer.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.KeepaliveReceived), _actions);
        _actions.Clear();
        return peer;
    }

    [SetUp]
    public void Clear() => _actions.Clear();
}
