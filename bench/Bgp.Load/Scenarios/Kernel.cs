using Bgp.Load.Peers;

namespace Bgp.Load.Scenarios;

/// <summary>
/// Routes of internal peers end in the kernel's main table. The kernel's own notifications stop the clock; a listing of the whole table afterwards says whether
/// exactly the expected routes are there.
/// </summary>
internal abstract class KernelScenario : Scenario
{
    internal override bool NeedsKernel => true;

    protected static void Measure(Bench bench, string row, PrefixSpace space, IReadOnlyCollection<Prefix> prefixes, Action<IReadOnlyList<Speaker>> begin)
    {
        Native.EnterNamespace(bench.Lab.Dut);
        using Netlink monitor = new(listen: true);
        using Netlink lister = new(listen: false);
        Native.EnterNamespace(bench.Lab.Load);
        Tally tally = new(space);
        bench.Fleet.Watch(monitor.Fd, () => monitor.Drain(tally));
        bench.EstablishAll();
        ulong[] expected = PrefixBits.Of(space, prefixes);
        int count = prefixes.Count;
        bench.Timed(
            row, () => begin(bench.Fleet.Speakers), () => tally.Count == count, () => (tally.Count, count),
            () =>
            {
                Tally listed = new(space);
                lister.List(listed);
                int differences = listed.Differences(expected);
                return differences == 0 && !monitor.Overrun ? null : $"the kernel's table differs in {differences} routes{(monitor.Overrun ? "; notifications were lost" : "")}";
            });
    }
}

/// <summary>One internal peer, 100,000 internet routes. The null figure writes the same routes over one netlink socket, 256 in a datagram, with no daemon.
/// With next hop objects every route refers to the one object for the peer; of the daemons here Pipit can be told to do that.</summary>
internal sealed class Kernel100k(bool nexthopObjects) : KernelScenario
{
    private const uint ObjectId = 1;

    internal override string Name => nexthopObjects ? "kernel-100k-nh" : "kernel-100k";

    internal override IReadOnlyList<string> Rows => [Name];

    internal override bool Suits(Peer peer) => nexthopObjects ? peer is PipitPeer or NullPeer : peer.HasKernel || peer is NullPeer;

    internal override Topology Topology(bool quick) => new(DutAsn, false, true, [new(Fleet.AddressOf(0), DutAsn, SendOnly: true)], nexthopObjects);

    internal override void Drive(Bench bench)
    {
        InternetTable table = new(bench.Settings.Quick ? 10_000 : 100_000, seed: 4);
        UpdateStream announce = table.Announcements(DutAsn, Fleet.AddressOf(0), ebgp: false);
        Prefix[] prefixes = [.. table.All];
        Native.EnterNamespace(bench.Lab.Dut);
        using Netlink writer = new(listen: false);
        int device = Native.InterfaceIndex("dut0");
        Native.EnterNamespace(bench.Lab.Load);
        Measure(bench, Name, PrefixSpace.Internet, prefixes, speakers =>
        {
            if (bench.Peer is NullPeer)
            {
                if (nexthopObjects)
                {
                    writer.AddNexthop(ObjectId, Fleet.AddressOf(0), device);
                }

                writer.AddAll(prefixes, Fleet.AddressOf(0), nexthopObjects ? ObjectId : 0);
            }
            else
            {
                speakers[0].Send(announce);
            }
        });
    }
}

/// <summary>A node in a full mesh: 300 internal peers announce ten /26 blocks each, at once; 3,000 routes in the kernel.</summary>
internal sealed class MeshNode : KernelScenario
{
    private const int Nodes = 300;
    private const int Each = 10;

    internal override string Name => "mesh-node";

    internal override IReadOnlyList<string> Rows => [Name];

    internal override Topology Topology(bool quick) => new(DutAsn, false, true, Clients(Nodes));

    internal override void Drive(Bench bench)
    {
        UpdateStream[] streams = [.. Enumerable.Range(0, Nodes).Select(static i => CalicoBlocks.Announce(Fleet.AddressOf(i), i * Each, Each))];
        Measure(bench, Name, PrefixSpace.Blocks, CalicoBlocks.Range(0, Nodes * Each), speakers =>
        {
            for (int i = 0; i < Nodes; i++)
            {
                speakers[i].Send(streams[i]);
            }
        });
    }
}
