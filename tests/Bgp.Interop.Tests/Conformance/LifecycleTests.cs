using System.Diagnostics;
using System.Net.Sockets;

namespace Bgp.Interop.Tests.Conformance;

/// <summary>What takes more than one message: segmentation, collisions, silence, timers, ends of sessions, strangers.</summary>
[TestFixture]
[NonParallelizable]
public sealed class LifecycleTests
{
    private const string V4 = "203.0.113.0/24";
    private const string V6 = "2001:db8:113::/48";

    private static readonly byte[] s_gracefulRestart = Octets.Capability(64, 0, 30, 0, 1, 1, 0x80, 0, 2, 1, 0x80);
    private static readonly byte[] s_notificationBit = Octets.Capability(64, 0x40, 30, 0, 1, 1, 0x80, 0, 2, 1, 0x80);

    [TearDown]
    public void CheckUp() => Dut.CheckUp();

    [Test]
    public void The_OPEN_of_the_daemon_is_complete_and_the_same_for_all()
    {
        List<string> identifiers = [];
        foreach (Identity who in (Identity[])[Dut.Opening, Dut.OpeningInternal, Dut.OpeningWide])
        {
            using Speaker speaker = Speaker.Connect(who);
            byte[] body = speaker.WaitForMessage(static message => message.Type == Octets.Open)!.Body;
            Assert.Multiple(() =>
            {
                Assert.That(body[0], Is.EqualTo(4), "version");
                Assert.That(Octets.ReadU16(body.AsSpan(1)), Is.EqualTo(Dut.Asn), "AS");
                Assert.That(Octets.ReadU16(body.AsSpan(3)), Is.EqualTo(90), "hold time");
                Assert.That(body[9], Is.EqualTo(body.Length - 10), "length of the optional parameters");
                Assert.That(body[10], Is.EqualTo(2), "Capabilities");
                Assert.That(body[11], Is.EqualTo(body.Length - 12));
            });
            Dictionary<byte, List<string>> capabilities = [];
            for (int at = 12; at < body.Length; at += 2 + body[at + 1])
            {
                (capabilities.TryGetValue(body[at], out List<string>? known) ? known : capabilities[body[at]] = []).Add(Convert.ToHexString(body.AsSpan(at + 2, body[at + 1])));
            }

            Assert.Multiple(() =>
            {
                Assert.That(capabilities[1], Is.EquivalentTo(new[] { "00010001", "00020001" }), "RFC 4760 section 8");
                Assert.That(capabilities[65], Is.EqualTo(new[] { "0000FC00" }), "RFC 6793 section 3");
                Assert.That(capabilities[2], Is.EqualTo(new[] { "" }), "RFC 2918 section 2");
                Assert.That(capabilities[70], Is.EqualTo(new[] { "" }), "RFC 7313 section 3.1");
                Assert.That(capabilities[6], Is.EqualTo(new[] { "" }), "RFC 8654 section 3");
                Assert.That(capabilities[64], Has.Count.EqualTo(1), "RFC 4724 section 3");
            });
            identifiers.Add(Convert.ToHexString(body.AsSpan(5, 4)));
        }

        Assert.That(identifiers, Is.All.EqualTo("0AFF0001"));
    }

    [Test]
    public void An_OPEN_may_be_cut_at_any_octet()
    {
        byte[] open = Dut.Opening.OpenMessage();
        for (int cut = 1; cut < open.Length; cut++)
        {
            using Speaker speaker = SessionTests.Reach(Dut.Opening, Stage.OpenSent);
            speaker.Send(open[..cut]);
            speaker.Send(open[cut..]);
            Assert.That(speaker.WaitForMessage(static message => message.Type is Octets.Keepalive or Octets.Notification)?.Type, Is.EqualTo(Octets.Keepalive), $"cut after {cut} octets: {speaker.Messages()}");
            speaker.Send(Octets.NotificationMessage(6, 2));
            Assert.That(speaker.WaitForClose());
        }
    }

    [Test]
    public void A_session_arrives_octet_by_octet()
    {
        using Speaker speaker = SessionTests.Reach(Dut.Opening, Stage.OpenSent);
        foreach (byte octet in Octets.Join(Dut.Opening.OpenMessage(), Octets.KeepaliveMessage, RouteSet.For(Dut.Opening).Announce(V4), Octets.KeepaliveMessage))
        {
            speaker.Send([octet]);
        }

        Dut.AwaitEverywhere(speaker, static view => view.Find(V4) is not null, "the route");
        End(speaker);
    }

    [Test]
    public void An_UPDATE_may_be_cut_at_any_octet_and_joined_with_others()
    {
        Speaker speaker = Dut.Of(Dut.External);
        byte[] Message(int number) => RouteSet.For(Dut.External).Set(8, Octets.Attr(0xC0, 8, Octets.U32(0xFDE80000u + (uint)number))).Announce(V4);
        int length = Message(0).Length;
        for (int cut = 1; cut < length; cut++)
        {
            // Two whole ones in front: the cut one begins somewhere inside a segment.
            byte[] stream = Octets.Join(Octets.KeepaliveMessage, Message(0), Message(cut));
            int at = stream.Length - length + cut;
            speaker.Send(stream[..at]);
            speaker.Send(stream[at..]);
            string expected = $"FDE8{cut:X4}";
            Dut.AwaitEverywhere(speaker, view => view.Find(V4)?[8] == expected, $"the UPDATE cut after {cut} octets");
        }

        speaker.Send(RouteSet.For(Dut.External).Withdraw(V4));
        Dut.AwaitEverywhere(speaker, static view => view.Find(V4) is null, "the withdrawal");
    }

    [Test]
    public void A_second_connection_is_refused_and_the_session_stays()
    {
        using Speaker first = SessionTests.Reach(Dut.Opening, Stage.Established);
        for (int i = 0; i < 20; i++)
        {
            using Speaker second = Speaker.Connect(Dut.Opening);
            Assert.That(second.WaitForMessage(static _ => true)?.Text, Is.EqualTo("NOTIFICATION 6/7 "), "RFC 4486 section 4");
            Assert.That(second.WaitForClose());
        }

        Dut.Settle(first);
        End(first);
    }

    [TestCase(false)]
    [TestCase(true)]
    public void A_neighbour_that_restarted_takes_the_place_of_its_session(bool notificationBit)
    {
        Identity who = Dut.Restarting with { More = notificationBit ? s_notificationBit : s_gracefulRestart };
        using Speaker first = SessionTests.Reach(who, Stage.Established);
        first.Send(RouteSet.For(who).Announce(V4));
        Dut.AwaitEverywhere(first, static view => view.Find(V4) is not null, "the route");
        using Speaker second = SessionTests.Reach(who, Stage.OpenSent);
        Dut.Settle(first);
        second.Send(who.OpenMessage());
        Assert.That(first.WaitForClose(), "the old session ends with the new OPEN");
        Assert.That(first.Count(Octets.Notification), Is.Zero, "RFC 4724 section 5");
        second.Send(Octets.KeepaliveMessage, RouteSet.For(who).Announce(V4), Octets.Update([], [], []), Octets.Update([], Octets.MpUnreach(2, 1, []), []));
        Dut.Settle(second);
        Assert.That(Dut.AsClient.Find(V4), Is.Not.Null, "kept over the restart");
        second.Send(Octets.NotificationMessage(6, 9, 6, 2));
        Lab(static () => Dut.AsClient.Find(V4) is null, "the route goes with the session's end for good");
    }

    /// <summary>RFC 4271 section 6.8: until a second connection has brought a valid OPEN there is no collision, and the first is none of its business.</summary>
    [TestCase(false, TestName = "A second connection that says wrong things does not cost the first one that is opening")]
    [TestCase(true, TestName = "A second connection that says wrong things does not cost the session that it would replace")]
    public void A_second_connection_that_says_wrong_things_does_not_cost_the_first(bool established)
    {
        Identity who = established ? Dut.Restarting with { More = s_gracefulRestart } : Dut.OpeningInternal;
        (string Name, byte[] Sent)[] wrong =
        [
            ("nothing", []),
            ("half a header", Octets.Header(100, Octets.Open)[..10]),
            ("a wrong marker", Octets.Zeros(19)),
            ("an unknown type", Octets.Header(19, 9)),
            ("another AS", OpenCases.Raw(who, [0], asn: 65000)),
            ("another version", OpenCases.Raw(who, [0], version: 3)),
            ("our identifier", OpenCases.Raw(who, [0], id: Dut.RouterId)),
            ("identifier 0", OpenCases.Raw(who, [0], id: 0)),
            ("hold time 1", OpenCases.Raw(who, [0], hold: 1)),
            ("a parameter that overruns", OpenCases.Raw(who, [2, 2, 9])),
            ("KEEPALIVE", Octets.KeepaliveMessage),
            ("UPDATE", RouteSet.For(who).Announce(V4)),
            ("NOTIFICATION", Octets.NotificationMessage(6, 2)),
            ("Hard Reset", Octets.NotificationMessage(6, 9, 6, 2)),
        ];
        using Speaker first = SessionTests.Reach(who, established ? Stage.Established : Stage.OpenConfirm);
        if (established)
        {
            // What comes before the first route or End-of-RIB counts as a collision, not as a restart.
            Dut.Settle(first);
        }

        foreach ((string name, byte[] sent) in wrong)
        {
            foreach (bool abort in (bool[])[false, true])
            {
                Speaker second = Speaker.Connect(who);
                Assert.That(second.WaitForMessage(static _ => true)?.Type, Is.EqualTo(Octets.Open), name);
                second.Send(sent);
                if (sent.Length > 18)
                {
                    Assert.That(second.WaitForClose(), name);
                }

                if (abort)
                {
                    second.Abort();
                }

                second.Dispose();
            }
        }

        first.Send(Octets.KeepaliveMessage);
        Dut.Settle(first);
        Assert.That(first.Count(Octets.Notification), Is.Zero);
        End(first);
    }

    /// <summary>RFC 4271 section 6.8 with RFC 6286 section 2.3, in both orders of the OPENs.</summary>
    [TestCase(false, true)]
    [TestCase(false, false)]
    [TestCase(true, true)]
    [TestCase(true, false)]
    public void Of_two_connections_that_of_the_higher_identifier_stays(bool oursIsHigher, bool oursFirst)
    {
        Identity who = Dut.Dialled with { RouterId = oursIsHigher ? 0x0B000001u : 0x0A4D0030u };
        using Socket listener = Listen();
        using Speaker theirs = Speaker.Accept(who, listener);
        Assert.That(theirs.WaitForMessage(static message => message.Type == Octets.Open), Is.Not.Null, theirs.Messages());
        using Speaker ours = SessionTests.Reach(who, Stage.OpenSent);
        (Speaker first, Speaker second) = oursFirst ? (ours, theirs) : (theirs, ours);
        Open(first, who);
        second.Send(who.OpenMessage());
        (Speaker winner, Speaker loser) = oursIsHigher ? (ours, theirs) : (theirs, ours);
        AssertOneStays(winner, loser);
    }

    /// <summary>The same where the neighbour opened both: there is one in OpenConfirm when an OPEN arrives on another, whichever was opened first.</summary>
    [TestCase(false, 0)]
    [TestCase(true, 0)]
    [TestCase(false, 1)]
    [TestCase(true, 1)]
    [TestCase(false, 2)]
    [TestCase(true, 2)]
    public void Of_two_connections_of_the_neighbour_the_existing_one_gives_way_to_a_higher_identifier(bool oursIsHigher, int order)
    {
        Identity who = Dut.OpeningInternal with { RouterId = oursIsHigher ? 0x0A4D0029u : 0x0B000001u };
        using Speaker one = SessionTests.Reach(who, order == 0 ? Stage.OpenConfirm : Stage.OpenSent);
        using Speaker two = SessionTests.Reach(who, Stage.OpenSent);
        (Speaker existing, Speaker created) = order == 2 ? (two, one) : (one, two);
        if (order > 0)
        {
            Open(existing, who);
        }

        created.Send(who.OpenMessage());
        (Speaker winner, Speaker loser) = oursIsHigher ? (existing, created) : (created, existing);
        AssertOneStays(winner, loser);
    }

    private static void Open(Speaker speaker, Identity who)
    {
        speaker.Send(who.OpenMessage());
        Assert.That(speaker.WaitForMessage(static message => message.Type == Octets.Keepalive), Is.Not.Null, speaker.Messages());
    }

    /// <summary>Both OPENs are there: one connection gets Connection Collision Resolution, and the other becomes a session.</summary>
    private static void AssertOneStays(Speaker winner, Speaker loser)
    {
        Assert.That(loser.WaitForNotification()?.Text, Is.EqualTo("NOTIFICATION 6/7 "), $"loser {loser.Messages()}, winner {winner.Messages()}\n{Dut.Tail()}");
        Assert.That(loser.WaitForClose());
        Assert.That(winner.WaitForMessage(static message => message.Type == Octets.Keepalive), Is.Not.Null, winner.Messages());
        winner.Send(Octets.KeepaliveMessage);
        Dut.Settle(winner);
        End(winner);
    }

    [TestCase(0x0A4D0029u)]
    [TestCase(0x0B000001u)]
    public void A_second_connection_without_an_OPEN_ends_when_the_first_becomes_a_session(uint id)
    {
        Identity who = Dut.OpeningInternal with { RouterId = id };
        using Speaker first = SessionTests.Reach(who, Stage.OpenConfirm);
        using Speaker second = SessionTests.Reach(who, Stage.OpenSent);
        first.Send(Octets.KeepaliveMessage);
        Assert.That(second.WaitForNotification()?.Text, Is.EqualTo("NOTIFICATION 6/7 "), $"{second.Messages()}\n{Dut.Tail()}");
        Assert.That(second.WaitForClose());
        Dut.Settle(first);
        End(first);
    }

    [Test]
    public void A_connection_that_the_daemon_opened_is_judged_alike()
    {
        using Socket listener = Listen();
        using Speaker speaker = Speaker.Accept(Dut.Dialled, listener);
        Assert.That(speaker.WaitForMessage(static message => message.Type == Octets.Open), Is.Not.Null);
        speaker.Send(OpenCases.Raw(Dut.Dialled, [0], hold: 2));
        Assert.That(speaker.WaitForNotification()?.Text, Does.StartWith("NOTIFICATION 2/6"));
        Assert.That(speaker.WaitForClose());
        using Speaker next = Speaker.Accept(Dut.Dialled, listener);
        Assert.That(next.WaitForMessage(static message => message.Type == Octets.Open), Is.Not.Null, "it dials again");
        next.Send(Dut.Dialled.OpenMessage(), Octets.KeepaliveMessage);
        Dut.Settle(next);
        End(next);
    }

    [Test]
    public void Strangers_and_silent_connections_delay_nobody()
    {
        List<Socket> silent = [];
        for (int i = 1; i <= 100; i++)
        {
            silent.Add(Speaker.Dial($"127.0.3.{i}"));
        }

        for (int i = 0; i < 50; i++)
        {
            silent.Add(Speaker.Dial(Dut.OpeningInternal.Address));
        }

        Stopwatch watch = Stopwatch.StartNew();
        foreach (Identity who in (Identity[])[Dut.Opening, Dut.OpeningInternal])
        {
            using Speaker speaker = SessionTests.Reach(who, Stage.Established);
            Dut.Settle(speaker);
            End(speaker);
        }

        Assert.That(watch.Elapsed.TotalSeconds, Is.LessThan(5));
        byte[] buffer = new byte[64];
        foreach (Socket socket in silent.Take(100))
        {
            socket.ReceiveTimeout = 5000;
            int count = socket.Receive(buffer);
            Assert.That(Convert.ToHexString(buffer.AsSpan(0, count)), Is.EqualTo(Convert.ToHexString(Octets.NotificationMessage(6, 5))), "a stranger gets Connection Rejected");
            Assert.That(socket.Receive(buffer), Is.Zero, "and the end");
        }

        silent.ForEach(static socket => socket.Dispose());
    }

    [Test]
    public void Connections_from_unknown_addresses_are_rejected_whatever_they_say()
    {
        for (int i = 0; i < 20; i++)
        {
            using Speaker speaker = Speaker.Connect(Dut.Unknown);
            speaker.Send(i % 2 == 0 ? Dut.Unknown.OpenMessage() : Octets.Repeat([0x55], 5000));
            Assert.That(speaker.WaitForClose());
            Assert.That(speaker.Count(Octets.Open), Is.Zero, "no OPEN for a stranger");
        }
    }

    /// <summary>RFC 5082 section 3: from one hop away packets arrive with 255, and no others count.</summary>
    [Test]
    public void Packets_from_farther_away_are_not_heard()
    {
        using (Speaker far = Speaker.Connect(Dut.Guarded, ttl: 254))
        {
            Assert.That(far.WaitForMessage(static message => message.Type == Octets.Open), Is.Not.Null, far.Messages());
            far.Send(Dut.Guarded.OpenMessage());
            Assert.That(far.WaitForMessage(static message => message.Type != Octets.Open, 700), Is.Null, "no answer to what was not heard");
        }

        using Speaker near = Speaker.Connect(Dut.Guarded, ttl: 255);
        near.Send(Dut.Guarded.OpenMessage());
        Assert.That(near.WaitForMessage(static message => message.Type == Octets.Keepalive), Is.Not.Null, near.Messages());
        near.Send(Octets.KeepaliveMessage);
        Dut.Settle(near);
        End(near);
    }

    [Test]
    public void A_disabled_neighbour_is_told_so()
    {
        using Speaker speaker = Speaker.Connect(Dut.Disabled);
        Assert.That(speaker.WaitForMessage(static _ => true)?.Text, Is.EqualTo("NOTIFICATION 6/2 "));
        Assert.That(speaker.WaitForClose());
    }

    [Test]
    public void Silence_ends_a_session_after_its_hold_time_and_not_one_without()
    {
        Identity forever = Dut.Opening with { Hold = 0 };
        using Speaker endless = SessionTests.Reach(forever, Stage.Established);
        using Speaker speaker = SessionTests.Reach(Dut.Short, Stage.Established);
        speaker.Send(RouteSet.For(Dut.Short).Announce(V4));
        Dut.AwaitEverywhere(speaker, static view => view.Find(V4) is not null, "the route");

        // UPDATEs alone keep the session, also beyond the hold time: one for every KEEPALIVE of the daemon, which come a third of the hold time apart.
        Stopwatch watch = Stopwatch.StartNew();
        int beats = speaker.Count(Octets.Keepalive);
        for (int i = 1; i <= 6; i++)
        {
            int wanted = beats + i;
            Assert.That(speaker.WaitForCount(Octets.Keepalive, wanted, 2500), $"KEEPALIVE {i}: {speaker.Messages()}");
            speaker.Send(RouteSet.For(Dut.Short).Announce(V4));
        }

        Assert.That(watch.Elapsed.TotalSeconds, Is.InRange(3.2, 9), "six KEEPALIVEs at hold time 3");
        watch.Restart();
        Assert.That(speaker.WaitForNotification(8000)?.Text, Is.EqualTo("NOTIFICATION 4/0 "));
        Assert.That(watch.Elapsed.TotalSeconds, Is.InRange(2.4, 6), "the hold timer");
        Lab(static () => Dut.AsClient.Find(V4) is null && Dut.FromOutside.Find(V4) is null, "the routes of the dead neighbour go");
        Assert.That(endless.Count(Octets.Keepalive), Is.EqualTo(1), "hold time 0: the one that answers the OPEN, and no more");
        Dut.Settle(endless);
        End(endless);
    }

    /// <summary>RFC 4271 section 4.2: the hold time runs between messages, not between octets.</summary>
    [Test]
    public void Octets_that_make_no_message_do_not_keep_a_session()
    {
        using Speaker speaker = SessionTests.Reach(Dut.Short, Stage.Established);
        speaker.Send(Octets.Header(4096, Octets.UpdateType));
        Stopwatch watch = Stopwatch.StartNew();
        Received? notification = null;
        for (int i = 0; i < 100 && (notification = speaker.WaitForNotification(100)) is null; i++)
        {
            speaker.Send(Octets.Zeros(1));
        }

        Assert.That(notification?.Text, Is.EqualTo("NOTIFICATION 4/0 "), () => $"{speaker.Messages()}\n{Dut.Tail()}");
        Assert.That(watch.Elapsed.TotalSeconds, Is.InRange(2.5, 6));
        Assert.That(speaker.WaitForClose());
    }

    [TestCase("FIN")]
    [TestCase("RST")]
    [TestCase("Cease")]
    [TestCase("bad header")]
    [TestCase("FIN inside a message")]
    public void The_routes_of_a_session_go_with_it(string how)
    {
        using Speaker speaker = SessionTests.Reach(Dut.Opening, Stage.Established);
        speaker.Send(RouteSet.For(Dut.Opening).Announce(V4), RouteSet.For(Dut.Opening).Announce(V6));
        Dut.AwaitEverywhere(speaker, static view => view.Find(V4) is not null && view.Find(V6) is not null, "the routes");
        Stopwatch watch = Stopwatch.StartNew();
        switch (how)
        {
            case "FIN":
                speaker.Finish();
                break;
            case "RST":
                speaker.Abort();
                break;
            case "Cease":
                speaker.Send(Octets.NotificationMessage(6, 4));
                break;
            case "bad header":
                speaker.Send(Octets.Zeros(19));
                break;
            default:
                speaker.Send(RouteSet.For(Dut.Opening).Announce(V4)[..30]);
                speaker.Finish();
                break;
        }

        Lab(static () => Dut.AsClient.Find(V4) is null && Dut.AsClient.Find(V6) is null && Dut.FromOutside.Find(V4) is null, "both routes go");
        Assert.That(watch.Elapsed.TotalSeconds, Is.LessThan(2.5), "promptly");
    }

    [Test]
    public void More_prefixes_than_allowed_end_the_session_and_the_neighbour_waits()
    {
        Identity who = Dut.Limited with { Ipv6 = false };
        using Speaker speaker = SessionTests.Reach(who, Stage.Established);
        RouteSet set = RouteSet.For(who);
        speaker.Send(set.Announce("203.0.113.0/26"), set.Announce("203.0.113.64/26"));
        Lab(static () => Dut.AsClient.Find("203.0.113.64/26") is not null, "two are allowed");
        speaker.Send(set.Announce("203.0.113.64/26"), set.Announce("203.0.113.128/26"));
        Assert.That(speaker.WaitForNotification()?.Text, Is.EqualTo("NOTIFICATION 6/1 00010100000002"), "RFC 4486 section 4");
        using Speaker early = Speaker.Connect(who);
        Assert.That(early.WaitForMessage(static _ => true)?.Text, Is.EqualTo("NOTIFICATION 6/5 "), "not at once again");
        Lab(static () => Dut.AsClient.Find("203.0.113.0/26") is null && Dut.AsClient.Find("203.0.113.64/26") is null, "all of them go");
        using Speaker later = SessionTests.Reach(who, Stage.Established);
        Dut.Settle(later);
        End(later);
    }

    [Test]
    public void A_command_says_why_to_the_neighbour()
    {
        using (Speaker speaker = SessionTests.Reach(Dut.Opening, Stage.Established))
        {
            Assert.That(Dut.Cli("peer", Dut.Opening.Name, "restart", "--reason", "new key").Code, Is.Zero);
            Assert.That(speaker.WaitForNotification()?.Text, Is.EqualTo("NOTIFICATION 6/4 07" + Convert.ToHexString("new key"u8)));
        }

        // 3 octets each: 85 of them are 255.
        string text = new('€', 100);
        using (Speaker speaker = SessionTests.Reach(Dut.Opening, Stage.Established))
        {
            Assert.That(Dut.Cli("peer", Dut.Opening.Name, "disable", "--reason", "x" + text).Code, Is.Zero);
            Received? cease = speaker.WaitForNotification();
            Assert.That(cease?.Text, Does.StartWith("NOTIFICATION 6/2 FD78E282AC"), "RFC 9003: 1 + 84 x 3 octets, cut between characters");
            Assert.That(cease!.Body, Has.Length.EqualTo(2 + 1 + 253));
            using Speaker refused = Speaker.Connect(Dut.Opening);
            Assert.That(refused.WaitForMessage(static _ => true)?.Text, Does.StartWith("NOTIFICATION 6/2"));
            Assert.That(Dut.Cli("peer", Dut.Opening.Name, "enable").Code, Is.Zero);
        }

        Identity who = Dut.Restarting with { More = s_notificationBit };
        using (Speaker speaker = SessionTests.Reach(who, Stage.Established))
        {
            Assert.That(Dut.Cli("peer", who.Name, "disable").Code, Is.Zero);
            Assert.That(speaker.WaitForNotification()?.Text, Is.EqualTo("NOTIFICATION 6/9 0602"), "RFC 8538 section 3.1: a Hard Reset around it");
            Assert.That(Dut.Cli("peer", who.Name, "enable").Code, Is.Zero);
        }
    }

    [Test]
    public void A_neighbours_words_reach_the_log_without_control_characters()
    {
        using Speaker speaker = SessionTests.Reach(Dut.Opening, Stage.Established);
        speaker.Send(Octets.NotificationMessage(6, 2, [15, .. "evil"u8, 0x1B, (byte)'[', (byte)'2', (byte)'J', 0x0A, .. "forged"u8]));
        Assert.That(speaker.WaitForClose());
        Lab(static () => Dut.Log.Contains("evil?[2J?forged", StringComparison.Ordinal), "the text is logged");
        Assert.That(Dut.Log, Does.Not.Contain("\u001b"));
    }

    /// <summary>RFC 4724 section 4.2 and RFC 8538 section 4: what ends a session decides whether its routes are kept for the neighbour's return.</summary>
    /// <remarks>
    /// RFC 8538 section 4 has both sides follow the rules of the receiving speaker where they have the N bit: who gets a NOTIFICATION and who sends it, whatever its code, save
    /// Cease/Hard Reset (section 3). So a bad header, which is answered with a NOTIFICATION of ours, keeps the routes.
    /// </remarks>
    [TestCase(false, "RST", true)]
    [TestCase(false, "FIN", true)]
    [TestCase(false, "NOTIFICATION", false)]
    [TestCase(true, "RST", true)]
    [TestCase(true, "NOTIFICATION", true)]
    [TestCase(true, "Hard Reset", false)]
    [TestCase(true, "bad header", true)]
    public void Routes_are_kept_for_a_neighbour_that_restarts(bool notificationBit, string how, bool kept)
    {
        Identity who = Dut.Restarting with { More = notificationBit ? s_notificationBit : s_gracefulRestart };
        using Speaker speaker = SessionTests.Reach(who, Stage.Established);
        speaker.Send(RouteSet.For(who).Announce(V4), RouteSet.For(who).Announce(V6), RouteSet.For(who).Announce("203.0.114.0/24"));
        Dut.Settle(speaker);
        switch (how)
        {
            case "FIN":
                speaker.Finish();
                break;
            case "RST":
                speaker.Abort();
                break;
            case "NOTIFICATION":
                speaker.Send(Octets.NotificationMessage(6, 4));
                break;
            case "Hard Reset":
                speaker.Send(Octets.NotificationMessage(6, 9, 6, 4));
                break;
            default:
                speaker.Send(Octets.Zeros(19));
                break;
        }

        speaker.WaitForClose();
        if (!kept)
        {
            Lab(static () => Dut.AsClient.Find(V4) is null && Dut.AsClient.Find(V6) is null, "the routes go");
            return;
        }

        // Another neighbour's route passes through the same table: what was to happen has happened.
        Dut.Settle(Dut.Of(Dut.External));
        Assert.That(Dut.AsClient.Find(V4) is not null && Dut.AsClient.Find(V6) is not null, "kept while the neighbour restarts");
        using Speaker again = SessionTests.Reach(who, Stage.Established);
        again.Send(RouteSet.For(who).Announce(V4), Octets.Update([], [], []));
        Lab(static () => Dut.AsClient.Find("203.0.114.0/24") is null, "what was not announced again goes with the End-of-RIB");
        Assert.That(Dut.AsClient.Find(V4), Is.Not.Null);
        Assert.That(Dut.AsClient.Find(V6), Is.Not.Null, "the other family waits for its own End-of-RIB");
        again.Send(Octets.Update([], Octets.MpUnreach(2, 1, []), []));
        Lab(static () => Dut.AsClient.Find(V6) is null, "until it comes");
        again.Send(Octets.NotificationMessage(6, 9, 6, 2));
        Lab(static () => Dut.AsClient.Find(V4) is null, "and the rest with a Hard Reset");
    }

    [TestCase("", TestName = "Kept routes go when the neighbour comes back without graceful restart")]
    [TestCase("4006001E00010180", TestName = "Kept routes of a family go when the neighbour comes back without it in the capability")]
    [TestCase("400A001E0001018000020100", TestName = "Kept routes of a family go when the neighbour comes back without its F bit")]
    public void Kept_routes_go_with_a_family_that_does_not_come_back(string capability)
    {
        Identity who = Dut.Restarting with { More = s_gracefulRestart };
        using Speaker speaker = SessionTests.Reach(who, Stage.Established);
        speaker.Send(RouteSet.For(who).Announce(V6));
        Dut.Settle(speaker);
        speaker.Abort();
        using Speaker again = SessionTests.Reach(who with { More = Octets.Hex(capability) }, Stage.Established);
        Lab(static () => Dut.AsClient.Find(V6) is null, "RFC 4724 section 4.2");
        again.Send(Octets.NotificationMessage(6, 2));
        again.WaitForClose();
    }

    private static Socket Listen()
    {
        Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 20_000 };
        listener.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        listener.Bind(Dut.DialledEndPoint);
        listener.Listen(4);
        return listener;
    }

    private static void End(Speaker speaker)
    {
        speaker.Send(Octets.NotificationMessage(6, 2));
        Assert.That(speaker.WaitForClose(), speaker.Messages());
        Lab(static () => Dut.AsClient.Find(V4) is null, "the route goes with the session");
    }

    private static void Lab(Func<bool> condition, string what) => Rig.Lab.Eventually(condition, what, 10, Dut.Tail);
}
