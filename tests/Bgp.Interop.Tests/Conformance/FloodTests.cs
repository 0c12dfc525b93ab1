using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;

namespace Bgp.Interop.Tests.Conformance;

/// <summary>
/// One neighbour sends as much as it can of one thing. While it does, another neighbour's route must get from one session to the next; afterwards the daemon has not grown, and the
/// flooding neighbour, where all it sent was legal, still has its session.
/// </summary>
[TestFixture]
[NonParallelizable]
public sealed class FloodTests
{
    private static readonly Identity s_flooder = Dut.OpeningInternal with { More = Octets.Join(Octets.Capability(6), Octets.Capability(2), Octets.Capability(70)) };
    private static readonly RouteSet s_set = RouteSet.For(s_flooder);

    /// <summary>Ten times as much when there is time.</summary>
    private static readonly int s_factor = Environment.GetEnvironmentVariable("PIPIT_LONG") is { Length: > 0 } ? 10 : 1;

    /// <summary>Name, what is sent again and again (by number), and half of how often.</summary>
    private static readonly (string Name, Func<int, byte[]> Make, int Count)[] s_floods =
    [
        ("KEEPALIVE", static _ => Octets.KeepaliveMessage, 100_000),
        ("End-of-RIB", static i => i % 2 == 0 ? Octets.Update([], [], []) : Octets.Update([], Octets.MpUnreach(2, 1, []), []), 60_000),
        ("ROUTE-REFRESH", static i => Octets.Message(Octets.RouteRefresh, [0, (byte)(1 + (i % 2)), 0, 1]), 20_000),
        ("marks of a refresh", static i => Octets.Message(Octets.RouteRefresh, [0, 1, (byte)(1 + (i % 2)), 1]), 40_000),
        ("ROUTE-REFRESH of families that nobody knows", static i => Octets.Message(Octets.RouteRefresh, [(byte)(i >> 8), (byte)i, 0, 99]), 60_000),
        ("withdrawals of what is not there", static i => Octets.Update([32, 10, (byte)(i >> 16), (byte)(i >> 8), (byte)i], [], []), 60_000),
        ("one route, up and down", static i => i % 2 == 0 ? s_set.Announce("203.0.113.0/24") : s_set.Withdraw("203.0.113.0/24"), 20_000),
        ("one route with other attributes each time", static i => Octets.Update([], Octets.Join(s_set.Attributes, Octets.Attr(0xC0, 8, Octets.U32((uint)(0xFDE90000 + i)))), Octets.Prefix("203.0.113.0/24")), 20_000),
        ("malformed ORIGIN (withdraw)", static _ => Octets.Update([], Octets.Attr(0x40, 1, [9]), Octets.Prefix("203.0.113.0/24")), 40_000),
        ("2,000 attributes in each UPDATE", static i => Octets.Update([], Octets.Join(s_set.Attributes, Octets.Join([.. Enumerable.Range(0, 2000).Select(n => Octets.Attr(0xC0, (byte)(41 + ((n + i) % 80)), [(byte)n]))])), Octets.Prefix("203.0.113.0/24")), 300),
        ("an attribute of 64 KB", static i => Octets.Update([], Octets.Join(s_set.Attributes, Octets.Attr(0xD0, 99, Octets.U32((uint)i), Octets.Zeros(65_000))), Octets.Prefix("203.0.113.0/24")), 150),
        ("64 KB of LARGE COMMUNITIES, all but alike", static i => Octets.Update([], Octets.Join(s_set.Attributes, Octets.Attr(0xD0, 32, [.. Enumerable.Range(0, 5400).SelectMany(n => Octets.Join(Octets.U32((uint)i), Octets.U32(0), Octets.U32((uint)n)))])), Octets.Prefix("203.0.113.0/24")), 20),
        ("an AS_PATH of 64 KB", static i => Octets.Update([], Octets.Join(Octets.Attr(0x40, 1, [0]), Octets.Attr(0x50, 2, Octets.Repeat([2, 1, 0, 0, 0xFE, (byte)(1 + (i % 200))], 10_800)), Octets.Attr(0x40, 3, [10, 9, 0, 1]), Octets.Attr(0x40, 5, Octets.U32(100))), Octets.Prefix("203.0.113.0/24")), 150),
    ];

    public static IEnumerable<TestCaseData> Floods => s_floods.Select(static (item, index) => new TestCaseData(index).SetArgDisplayNames(item.Name));

    [TearDown]
    public void CheckUp() => Dut.CheckUp();

    [TestCaseSource(nameof(Floods))]
    public void A_flood_costs_nobody_else_anything(int index)
    {
        (string name, Func<int, byte[]> make, int count) = s_floods[index];
        using Speaker flooder = SessionTests.Reach(s_flooder, Stage.Established);
        byte[] chunk = Octets.Join([.. Enumerable.Range(0, count / 20).Select(make)]);
        long before = Dut.ResidentKilobytes();
        bool done = false;
        Thread sender = new(() =>
        {
            for (int i = 0; i < 40 * s_factor; i++)
            {
                flooder.Send(chunk);
            }

            Volatile.Write(ref done, true);
        });
        sender.Start();
        double worst = 0;
        int rounds = 0;
        for (; rounds == 0 || !Volatile.Read(ref done); rounds++)
        {
            worst = Math.Max(worst, Carry().TotalSeconds);
        }

        sender.Join();
        Dut.Settle(flooder);
        flooder.Send(s_set.Withdraw("203.0.113.0/24"));
        Dut.AwaitEverywhere(flooder, static view => view.Find("203.0.113.0/24") is null, "the end of the flood");
        long growth = Dut.ResidentKilobytes() - before;
        TestContext.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}: {(long)chunk.Length * 40 * s_factor >> 10} KB, worst {worst * 1000:0} ms of {rounds} rounds, growth {growth} KB"));
        Assert.That(worst, Is.LessThan(2), "seconds for a route of another neighbour");
        Assert.That(growth, Is.LessThan(48 * 1024), "kilobytes that the daemon has grown");
        End(flooder);
    }

    /// <summary>
    /// Prefixes that the hash which Pipit had until it was keyed puts on one slot: 2e9 steps for the loop that serves everybody. Any other hash without a key would do the same for whoever
    /// computes it (<c>MixTests</c>).
    /// </summary>
    [Test]
    public void Prefixes_chosen_for_one_slot_of_the_table_cost_nobody_else_anything()
    {
        using Speaker flooder = SessionTests.Reach(s_flooder, Stage.Established);
        byte[][] messages = [.. OneSlot.Prefixes(60_000).Chunk(400).Select(static chunk => Octets.Update([], Octets.Join(Octets.MpReach(2, 1, Octets.Address(RouteSet.NextHop6), Octets.Join(chunk)), s_set.Attributes), []))];
        Task sender = Task.Run(() =>
        {
            flooder.Send(messages);
            Dut.Settle(flooder);
        });
        double worst = 0;
        do
        {
            worst = Math.Max(worst, Carry().TotalSeconds);
        }
        while (!sender.IsCompleted);

        sender.GetAwaiter().GetResult();
        TestContext.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"worst {worst * 1000:0} ms"));
        Assert.That(worst, Is.LessThan(2), "seconds for a route of another neighbour");
        End(flooder);
    }

    /// <summary>It asks for the table again and again and does not read: what is due to it must not pile up.</summary>
    [Test]
    public void Who_asks_for_everything_and_reads_nothing_costs_no_memory()
    {
        Speaker other = Dut.Of(Dut.External2);
        RouteSet set = RouteSet.For(Dut.External2);
        byte[] nlri = [.. Enumerable.Range(0, 700).SelectMany(static i => (byte[])[32, 172, 20, (byte)(i >> 8), (byte)i])];
        other.Send(Octets.Update([], set.Attributes, nlri));
        Dut.Settle(other);
        using Socket deaf = Speaker.Dial(s_flooder.Address);
        deaf.ReceiveBufferSize = 4096;
        deaf.NoDelay = true;
        deaf.Send(Octets.Join(s_flooder.OpenMessage(), Octets.KeepaliveMessage));
        byte[] chunk = Octets.Repeat(Octets.Message(Octets.RouteRefresh, [0, 1, 0, 1]), 1000);
        long before = Dut.ResidentKilobytes();
        deaf.SendTimeout = 500;
        try
        {
            for (int i = 0; i < 50; i++)
            {
                deaf.Send(chunk);
            }
        }
        catch (SocketException exception) when (exception.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock)
        {
            // It has stopped reading: also a way not to pile up.
            TestContext.Out.WriteLine("the daemon waits for this neighbour");
        }

        double worst = Enumerable.Range(0, 20).Max(static _ => Carry().TotalSeconds);
        long growth = Dut.ResidentKilobytes() - before;
        TestContext.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"worst {worst * 1000:0} ms, growth {growth} KB"));
        deaf.Dispose();
        other.Send(Octets.Update(nlri, [], []));
        Dut.Settle(other);
        Assert.That(worst, Is.LessThan(2), "seconds for a route of another neighbour");
        Assert.That(growth, Is.LessThan(24 * 1024), "kilobytes that the daemon has grown");
    }

    /// <summary>Distinct attribute sets are kept while their routes are, and no longer.</summary>
    [Test]
    public void Attribute_sets_go_with_their_routes()
    {
        int count = 10_000 * s_factor;
        long[] after = new long[3];
        for (int round = 0; round < after.Length; round++)
        {
            using Speaker sender = SessionTests.Reach(s_flooder, Stage.Established);
            byte[][] routes = [.. Enumerable.Range(0, count).Select(i => Octets.Update([], Octets.Join(s_set.Attributes, Octets.Attr(0xC0, 8, Octets.Hex("FFFFFF02")), Octets.Attr(0xC0, 32, Octets.U32(7), Octets.U32((uint)i), Octets.U32((uint)round))), [32, 172, 24, (byte)(i >> 8), (byte)i]))];
            sender.Send(routes);
            Dut.Settle(sender);
            End(sender);
            Carry();
            after[round] = Dut.ResidentKilobytes();
        }

        TestContext.Out.WriteLine(string.Join(", ", after) + " KB");
        Assert.That(after[2] - after[0], Is.LessThan(32 * 1024), "kilobytes that two more rounds have left");
    }

    /// <summary>Connections at the rate of the machine: half of them say nothing, half of them an OPEN that is refused.</summary>
    [Test]
    public void A_neighbour_that_connects_without_end_costs_nobody_else_anything()
    {
        long before = Dut.ResidentKilobytes();
        double worst = 0;
        for (int round = 0; round < 10 * s_factor; round++)
        {
            for (int i = 0; i < 50; i++)
            {
                using Socket socket = Speaker.Dial(Dut.Opening.Address);
                if (i % 2 == 0)
                {
                    try
                    {
                        socket.Send(i % 4 == 0 ? OpenCases.Raw(Dut.Opening, [0], asn: 1) : Octets.Header(65535, Octets.UpdateType));
                    }
                    catch (SocketException)
                    {
                        // Refused already.
                        continue;
                    }
                }

                if (i % 3 == 0)
                {
                    socket.LingerState = new LingerOption(true, 0);
                }
            }

            worst = Math.Max(worst, Carry().TotalSeconds);
        }

        long growth = Dut.ResidentKilobytes() - before;
        TestContext.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"worst {worst * 1000:0} ms, growth {growth} KB"));
        using Speaker speaker = SessionTests.Reach(Dut.Opening, Stage.Established);
        End(speaker);
        Assert.That(worst, Is.LessThan(2), "seconds for a route of another neighbour");
        Assert.That(growth, Is.LessThan(48 * 1024), "kilobytes that the daemon has grown");
    }

    /// <summary>Connections that the daemon ends by its own decision, and that the neighbour neither reads from nor closes.</summary>
    [Test]
    public void Who_never_closes_keeps_no_descriptor_of_ours()
    {
        Identity who = Dut.OpeningInternal with { RouterId = 0x0B000001 };
        int before = Dut.Descriptors();
        List<Socket> open = [];
        try
        {
            for (int i = 0; i < 40; i++)
            {
                // Each gives way to the next one (RFC 4271 section 6.8).
                Socket socket = Speaker.Dial(who.Address);
                open.Add(socket);
                socket.Send(who.OpenMessage());
                socket.ReceiveTimeout = 5000;
                byte[] buffer = new byte[4096];

                // Its OPEN and its KEEPALIVE: then it has judged ours.
                for (int count = 0; count < 19 || count < Octets.ReadU16(buffer.AsSpan(16)) + 19;)
                {
                    int more = socket.Receive(buffer, count, buffer.Length - count, SocketFlags.None);
                    Assert.That(more, Is.GreaterThan(0), Dut.Tail);
                    count += more;
                }
            }

            Assert.That(Dut.Descriptors() - before, Is.GreaterThan(20), "or this would prove nothing");
            Rig.Lab.Eventually(() => Dut.Descriptors() - before < 10, "the daemon closes", 15, Dut.Tail);
        }
        finally
        {
            open.ForEach(static socket => socket.Dispose());
        }

        Carry();
    }

    /// <summary>How long a route of another neighbour takes to an observer and away again.</summary>
    private static TimeSpan Carry()
    {
        const string canary = "192.0.2.128/25";
        Speaker other = Dut.Of(Dut.External2);
        RouteSet set = RouteSet.For(Dut.External2);
        Stopwatch watch = Stopwatch.StartNew();
        other.Send(set.Announce(canary));
        Assert.That(Dut.AsClient.WaitFor(static view => view.Find(canary) is not null), () => $"the other neighbour's route does not come\n{Dut.Tail()}");
        other.Send(set.Withdraw(canary));
        Assert.That(Dut.AsClient.WaitFor(static view => view.Find(canary) is null), () => $"the other neighbour's route does not go\n{Dut.Tail()}");
        return watch.Elapsed;
    }

    private static void End(Speaker speaker)
    {
        speaker.Send(Octets.NotificationMessage(6, 2));
        Assert.That(speaker.WaitForClose(), speaker.Messages());
        Assert.That(speaker.Count(Octets.Notification), Is.Zero, speaker.Messages());
    }
}
