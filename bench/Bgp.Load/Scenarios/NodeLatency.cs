using System.Diagnostics;
using Bgp.Load.Peers;

namespace Bgp.Load.Scenarios;

/// <summary>
/// Two nodes with the same daemon: how long a route that is written into the kernel of one takes into the kernel of the other, made and removed one at a time.
/// The clock starts before the netlink request is sent and stops when the other kernel's notification is read.
/// </summary>
internal sealed class NodeLatency : Scenario
{
    private const int Count = 1000;
    private const int StartLimit = 60;
    private static readonly PrefixSpace s_pods = new(0x0AF40000, 16, 32, 32);

    internal override string Name => "node-latency";

    internal override IReadOnlyList<string> Rows => ["node-add", "node-del"];

    internal override bool OwnLab => true;

    internal override bool Suits(Peer peer) => peer is INodePeer;

    internal override void Drive(Bench bench)
    {
        Lab lab = bench.Lab;
        string a = lab.Namespace("a");
        string b = lab.Namespace("b");
        Lab.Batch(a, $"""
            link add eth0 type veth peer name eth0 netns {b}
            addr add 10.98.0.1/24 dev eth0
            link set eth0 up
            link add cali0 type veth peer name pod0
            link set cali0 up
            link set pod0 up
            """);
        Lab.Batch(b, """
            addr add 10.98.0.2/24 dev eth0
            link set eth0 up
            """);
        INodePeer peer = (INodePeer)bench.Peer;
        lab.Start(a, a, peer.NodeCommand(lab, a, "10.98.0.1", "10.98.0.2"));
        lab.Start(b, b, peer.NodeCommand(lab, b, "10.98.0.2", "10.98.0.1"));

        Native.EnterNamespace(a);
        int device = Native.InterfaceIndex("cali0");
        using Netlink writer = new(listen: false);
        Native.EnterNamespace(b);
        using Netlink monitor = new(listen: true);
        Tally tally = new(s_pods);
        bench.Attach(monitor.Fd, () => monitor.Drain(tally));

        // The session is up when the first route arrives.
        Prefix first = Pod(Count);
        writer.Change(true, first, device);
        if (!bench.Fleet.Run(() => tally.Holds(Count), Stopwatch.GetTimestamp() + StartLimit * Stopwatch.Frequency))
        {
            throw new PhaseFailedException($"no route came through in {StartLimit} s");
        }

        bench.Settle();
        Measure(bench, "node-add", true, writer, device, tally);
        Measure(bench, "node-del", false, writer, device, tally);
    }

    private static Prefix Pod(int number) => new(0x0AF40000 + (uint)number, 32);

    private static void Measure(Bench bench, string row, bool add, Netlink writer, int device, Tally tally)
    {
        long[] samples = new long[Count];
        Dice dice = new(7);
        Usage before = bench.Meter.Read();
        double own = Meter.OwnCpu();
        long deadline = bench.Deadline;
        int taken = 0;
        for (; taken < Count; taken++)
        {
            int number = taken;
            long pause = Stopwatch.GetTimestamp() + (500 + dice.Below(1000)) * Stopwatch.Frequency / 1_000_000;
            bench.Fleet.Run(() => Stopwatch.GetTimestamp() >= pause, deadline, 1);
            long start = Stopwatch.GetTimestamp();
            writer.Change(add, Pod(number), device);
            if (!bench.Fleet.Run(() => tally.Holds(number) == add, deadline))
            {
                break;
            }

            samples[taken] = Stopwatch.GetTimestamp() - start;
        }

        own = Meter.OwnCpu() - own;
        bench.Settle();
        string? note = taken == Count ? null : $"not in {bench.Settings.Limit} s ({taken} of {Count})";
        Span<long> sorted = samples.AsSpan(0, taken);
        sorted.Sort();
        bench.Add(
            new Row { Id = row, Peer = bench.Peer.Name, P50 = Probe.Percentile(sorted, 50), P99 = Probe.Percentile(sorted, 99), Samples = taken, LoadCpu = own, Note = note },
            before, bench.Meter.Read());
        if (note is not null)
        {
            throw new PhaseFailedException(note);
        }
    }
}
