using Bgp.Daemon.Bfd;
using Bgp.Protocol;

namespace Bgp.Daemon.Tests.Bfd;

/// <summary>Tables that send to each other in virtual time: which session a packet is for, who is told what, and what strangers can do.</summary>
[TestFixture]
public sealed class BfdTableTests
{
    private const long Second = 1_000_000;
    private static readonly IpAddr s_here = IpAddr.Parse("10.0.0.1");
    private static readonly IpAddr s_there = IpAddr.Parse("10.0.0.2");
    private static readonly BfdParameters s_fast = new(300_000, 300_000, 3);

    private static BfdTarget Target(IpAddr remote, bool multihop = false, string @interface = "") =>
        new() { Remote = remote, Multihop = multihop, MinTtl = multihop ? 1 : 255, Parameters = s_fast, Interface = @interface };

    [TestCase(false)]
    [TestCase(true)]
    public void Two_tables_come_up_and_notice_silence_within_the_detection_time(bool multihop)
    {
        Net net = new();
        BfdPeer here = net.Add(s_here, Target(s_there, multihop));
        BfdPeer there = net.Add(s_there, Target(s_here, multihop));
        net.Run(5 * Second);
        Assert.That((here.Status.State, there.Status.State, here.Status.RemoteState), Is.EqualTo((BfdState.Up, BfdState.Up, BfdState.Up)));
        Assert.That((here.Status.TransmitInterval, here.Status.DetectionTime), Is.EqualTo((300_000L, 900_000L)));
        long sent = here.Sent;
        net.Run(60 * Second);
        Assert.That(here.Sent - sent, Is.InRange(200, 267), "75 to 100 % of 300 ms");
        net.Silent.Add(s_there);
        long cut = net.Now;
        net.Run(Second);
        (long at, BfdChange change) = net.Changes.Last(item => item.Peer == here).Seen;
        Assert.That((change.From, change.To, change.Diagnostic, change.IsLoss), Is.EqualTo((BfdState.Up, BfdState.Down, BfdDiagnostic.DetectionTimeExpired, true)));
        Assert.That(at - cut, Is.InRange(600_000, 902_000));
    }

    [Test]
    public void A_session_that_is_let_go_is_no_loss_for_the_neighbour()
    {
        Net net = new();
        BfdPeer here = net.Add(s_here, Target(s_there));
        BfdPeer there = net.Add(s_there, Target(s_here));
        net.Run(5 * Second);
        net.Tables[s_here].Remove(here, net.Now);
        net.Run(20 * Second);
        BfdChange[] changes = [.. net.Changes.Where(item => item.Peer == there).Select(static item => item.Seen.Change)];
        Assert.That(changes.Any(static change => change.IsLoss), Is.False);
        Assert.That((there.Status.State, there.Status.RemoteState), Is.EqualTo((BfdState.Down, BfdState.AdminDown)));
        Assert.That(net.Tables[s_here].Count, Is.Zero);
        Assert.That(net.Tables[s_here].Wheel.Count, Is.Zero);
        Assert.That(net.Released, Does.Contain(here));
        Assert.That(net.Changes.Last(item => item.Peer == here).Seen.Change.To, Is.EqualTo(BfdState.Up), "the owner that let go is not called");
    }

    [Test]
    public void The_end_of_the_process_is_no_loss_for_the_neighbour()
    {
        Net net = new();
        net.Add(s_here, Target(s_there));
        BfdPeer there = net.Add(s_there, Target(s_here));
        net.Run(5 * Second);
        net.Tables[s_here].SayGoodbye(net.Now);
        net.Run(1);
        net.Silent.Add(s_here);
        net.Run(10 * Second);
        Assert.That(net.Changes.Where(item => item.Peer == there).Any(static item => item.Seen.Change.IsLoss), Is.False);
    }

    [Test]
    public void A_session_that_replaces_one_that_is_leaving_comes_up()
    {
        Net net = new();
        BfdPeer here = net.Add(s_here, Target(s_there));
        BfdPeer there = net.Add(s_there, Target(s_here));
        net.Run(5 * Second);
        net.Tables[s_here].Remove(here, net.Now);
        BfdPeer again = net.Add(s_here, Target(s_there));
        net.Run(5 * Second);
        Assert.That((again.Status.State, there.Status.State), Is.EqualTo((BfdState.Up, BfdState.Up)));
        Assert.That(net.Tables[s_here].Count, Is.EqualTo(1));
        Assert.That(net.Changes.Where(item => item.Peer == there).Any(static item => item.Seen.Change.IsLoss), Is.False);
    }

    [Test]
    public void New_intervals_reach_the_neighbour_without_a_flap()
    {
        Net net = new();
        BfdPeer here = net.Add(s_here, Target(s_there));
        BfdPeer there = net.Add(s_there, Target(s_here));
        net.Run(5 * Second);
        net.Tables[s_here].Configure(here, here.Target with { Parameters = new BfdParameters(1_000_000, 1_000_000, 4) }, net.Now);
        net.Run(10 * Second);
        Assert.That((here.Status.TransmitInterval, here.Status.DetectionTime), Is.EqualTo((1_000_000L, 3_000_000L)));
        Assert.That((there.Status.TransmitInterval, there.Status.DetectionTime), Is.EqualTo((1_000_000L, 4_000_000L)));
        net.Tables[s_here].Configure(here, here.Target with { Parameters = new BfdParameters(100_000, 100_000, 3) }, net.Now);
        net.Run(10 * Second);
        Assert.That((here.Status.TransmitInterval, there.Status.DetectionTime), Is.EqualTo((300_000L, 900_000L)));
        Assert.That((here.Status.Losses, there.Status.Losses), Is.EqualTo((0L, 0L)));
    }

    [Test]
    public void A_late_thread_that_reads_first_gives_nobody_up()
    {
        Net net = new();
        BfdPeer here = net.Add(s_here, Target(s_there));
        BfdPeer there = net.Add(s_there, Target(s_here));
        net.Run(5 * Second);

        // Our side stands still for longer than two packets take, while the neighbour's pile up.
        net.Frozen.Add(s_here);
        net.Run(550_000);
        net.Frozen.Remove(s_here);
        net.Run(5 * Second);
        Assert.That((here.Status.Losses, there.Status.Losses), Is.EqualTo((0L, 0L)));
    }

    [Test]
    public void While_packets_wait_to_be_read_nobody_is_given_up()
    {
        Net net = new();
        BfdPeer here = net.Add(s_here, Target(s_there));
        net.Add(s_there, Target(s_here));
        net.Run(5 * Second);
        BfdTable table = net.Tables[s_here];
        table.Advance(net.Now + (2 * Second), allRead: false);
        Assert.That(here.Status.State, Is.EqualTo(BfdState.Up));
        table.Advance(net.Now + (2 * Second) + 2000);
        Assert.That(here.Status.State, Is.EqualTo(BfdState.Down));
    }

    [Test]
    public void Packets_of_strangers_are_counted_and_change_nothing()
    {
        Net net = new();
        BfdPeer here = net.Add(s_here, Target(s_there));
        BfdPeer far = net.Add(s_here, Target(IpAddr.Parse("10.9.9.9"), multihop: true) with { MinTtl = 250 });
        net.Add(s_there, Target(s_here));
        net.Run(5 * Second);
        BfdTable table = net.Tables[s_here];
        BfdPacket down = new() { State = BfdState.Down, Multiplier = 3, MyDiscriminator = 7, YourDiscriminator = here.Status.LocalDiscriminator, DesiredMinTx = 1, RequiredMinRx = 1 };
        BfdPacket admin = down with { State = BfdState.AdminDown, YourDiscriminator = 0 };
        IpAddr stranger = IpAddr.Parse("10.0.0.66");
        (BfdPacket Packet, BfdArrival Arrival, BfdVerdict Verdict)[] cases =
        [
            (down, new BfdArrival(s_there, 1, 254, false), BfdVerdict.TimeToLive),
            (down, new BfdArrival(stranger, 1, 255, false), BfdVerdict.NoSession),
            (down, new BfdArrival(s_there, 1, 255, true), BfdVerdict.NoSession),
            (down with { YourDiscriminator = here.Status.LocalDiscriminator ^ 1 }, new BfdArrival(s_there, 1, 255, false), BfdVerdict.NoSession),
            (admin, new BfdArrival(stranger, 1, 255, false), BfdVerdict.NoSession),
            (admin, new BfdArrival(IpAddr.Parse("10.9.9.9"), 1, 249, true), BfdVerdict.TimeToLive),
            (down with { Multiplier = 0 }, new BfdArrival(s_there, 1, 255, false), BfdVerdict.Multiplier),
            (down with { MyDiscriminator = 0 }, new BfdArrival(s_there, 1, 255, false), BfdVerdict.Discriminator),
        ];
        foreach ((BfdPacket packet, BfdArrival arrival, BfdVerdict verdict) in cases)
        {
            byte[] octets = new byte[BfdPacket.Length];
            packet.Write(octets);
            long before = table.Ignored(verdict);
            Assert.That(table.Receive(octets, arrival, net.Now), Is.EqualTo(verdict), $"{packet} {arrival}");
            Assert.That(table.Ignored(verdict), Is.EqualTo(before + 1));
        }

        Random random = new(1);
        for (int i = 0; i < 100_000; i++)
        {
            byte[] octets = new byte[random.Next(60)];
            random.NextBytes(octets);
            if (octets.Length > 3 && random.Next(2) == 0)
            {
                (octets[0], octets[3]) = (0x20, 24);
            }

            BfdArrival arrival = random.Next(3) switch { 0 => new BfdArrival(stranger, 1, 255, false), 1 => new BfdArrival(s_there, 1, 64, false), _ => new BfdArrival(s_there, 1, 255, true) };
            Assert.That(table.Receive(octets, arrival, net.Now), Is.Not.EqualTo(BfdVerdict.Accepted));
        }

        Assert.That((here.Status.State, here.Status.Losses), Is.EqualTo((BfdState.Up, 0L)));
        Assert.That((far.Status.State, table.Count), Is.EqualTo((BfdState.Down, 2)));
    }

    [Test]
    public void A_link_local_neighbour_is_known_by_its_interface()
    {
        Net net = new();
        IpAddr address = IpAddr.Parse("fe80::2");
        BfdPeer first = net.Add(s_here, Target(address, @interface: "eth1"));
        BfdPeer second = net.Add(s_here, Target(address, @interface: "eth2"));
        byte[] octets = new byte[BfdPacket.Length];
        new BfdPacket { State = BfdState.Down, Multiplier = 3, MyDiscriminator = 7, DesiredMinTx = 1_000_000, RequiredMinRx = 1_000_000 }.Write(octets);
        Assert.That(net.Tables[s_here].Receive(octets, new BfdArrival(address, 2, 255, false), 0), Is.EqualTo(BfdVerdict.Accepted));
        Assert.That((first.Status.State, second.Status.State), Is.EqualTo((BfdState.Down, BfdState.Init)));
        Assert.That(net.Tables[s_here].Receive(octets, new BfdArrival(address, 3, 255, false), 0), Is.EqualTo(BfdVerdict.NoSession));
    }

    [Test]
    public void More_sessions_than_there_are_room_for_are_refused_with_a_reason()
    {
        Net net = new();
        BfdPeer last = null!;
        for (int i = 0; i <= BfdTable.MaxSessions; i++)
        {
            last = net.Add(s_here, Target(IpAddr.V4(0x0B000000 + (uint)i)));
        }

        Assert.That(net.Tables[s_here].Count, Is.EqualTo(BfdTable.MaxSessions));
        Assert.That(last.Status.Problem, Does.Contain("4096"));
        net.Tables[s_here].Configure(last, last.Target with { Parameters = new BfdParameters(1, 1, 1) }, 0);
        net.Tables[s_here].Remove(last, 0);
    }

    [Test]
    public void A_received_packet_allocates_nothing()
    {
        Net net = new();
        BfdPeer here = net.Add(s_here, Target(s_there));
        BfdPeer there = net.Add(s_there, Target(s_here));
        net.Run(5 * Second);
        byte[] octets = new byte[BfdPacket.Length];
        new BfdPacket
        {
            State = BfdState.Up,
            Multiplier = 3,
            MyDiscriminator = there.Status.LocalDiscriminator,
            YourDiscriminator = here.Status.LocalDiscriminator,
            DesiredMinTx = 300_000,
            RequiredMinRx = 300_000,
        }.Write(octets);
        BfdTable table = net.Tables[s_here];
        BfdArrival arrival = new(s_there, 1, 255, false);
        long now = net.Now;
        table.Receive(octets, arrival, now);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            table.Receive(octets, arrival, now += 1000);
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    /// <summary>Tables by address, and the wire between them.</summary>
    private sealed class Net
    {
        private readonly Queue<(IpAddr From, IpAddr To, bool Multihop, byte[] Octets)> _wire = new();

        internal Dictionary<IpAddr, BfdTable> Tables { get; } = [];

        internal List<(BfdPeer Peer, (long At, BfdChange Change) Seen)> Changes { get; } = [];

        internal List<BfdPeer> Released { get; } = [];

        /// <summary>Nothing that these send arrives.</summary>
        internal HashSet<IpAddr> Silent { get; } = [];

        /// <summary>These neither read nor send.</summary>
        internal HashSet<IpAddr> Frozen { get; } = [];

        internal long Now { get; private set; } = 1_000_000_000;

        internal BfdPeer Add(IpAddr at, BfdTarget target)
        {
            if (!Tables.TryGetValue(at, out BfdTable? table))
            {
                Tables[at] = table = new BfdTable(new Wire(this, at), new Random(at.GetHashCode()));
            }

            BfdPeer peer = new("p", target, (peer, change) => Changes.Add((peer, (Now, change))));
            table.Add(peer, Now);
            return peer;
        }

        internal void Run(long time)
        {
            for (long until = Now + time; Now < until; Now += 1000)
            {
                for (int i = _wire.Count; i > 0; i--)
                {
                    (IpAddr From, IpAddr To, bool Multihop, byte[] Octets) item = _wire.Dequeue();
                    if (Frozen.Contains(item.To))
                    {
                        _wire.Enqueue(item);
                    }
                    else if (!Silent.Contains(item.From) && Tables.TryGetValue(item.To, out BfdTable? table))
                    {
                        table.Receive(item.Octets, new BfdArrival(item.From, 1, 255, item.Multihop), Now);
                    }
                }

                foreach ((IpAddr at, BfdTable table) in Tables)
                {
                    if (!Frozen.Contains(at))
                    {
                        table.Advance(Now);
                    }
                }
            }
        }

        private sealed class Wire(Net net, IpAddr at) : IBfdWire
        {
            public bool Send(BfdPeer peer, ReadOnlySpan<byte> octets)
            {
                net._wire.Enqueue((at, peer.Target.Remote, peer.Target.Multihop, octets.ToArray()));
                return true;
            }

            public void Release(BfdPeer peer) => net.Released.Add(peer);

            public int InterfaceIndex(string name) => name == "eth1" ? 1 : 2;
        }
    }
}
