using Bgp.Load.Peers;

namespace Bgp.Load.Scenarios;

/// <summary>A piece of work that every daemon gets alike, and the rows that come of it.</summary>
internal abstract class Scenario
{
    /// <summary>AS of the daemon and of its internal neighbours.</summary>
    protected const uint DutAsn = 64512;

    internal abstract string Name { get; }

    /// <summary>Rows in order; a failed phase leaves the rest with its reason.</summary>
    internal abstract IReadOnlyList<string> Rows { get; }

    /// <summary>Only for daemons that write the kernel's table.</summary>
    internal virtual bool NeedsKernel => false;

    /// <summary>Makes its own namespaces and processes.</summary>
    internal virtual bool OwnLab => false;

    /// <summary>Whether this daemon takes part.</summary>
    internal virtual bool Suits(Peer peer) => !NeedsKernel || peer.HasKernel;

    internal virtual Topology Topology(bool quick) => throw new NotSupportedException();

    internal abstract void Drive(Bench bench);

    internal static IReadOnlyList<Scenario> All { get; } =
    [
        new Ingest(),
        new MultiPeer(),
        new RrInternet(),
        new RrCalico(500, 10, churn: true),
        new RrCalico(1000, 10, churn: false),
        new RrCalico(5000, 20, churn: false),
        new Latency(),
        new LatencyAll(),
        new Kernel100k(nexthopObjects: false),
        new Kernel100k(nexthopObjects: true),
        new MeshNode(),
        new NodeLatency(),
        new Herd(500),
        new Herd(1000),
    ];

    protected static Neighbor[] Clients(int count) =>
        [.. Enumerable.Range(0, count).Select(static i => new Neighbor(Fleet.AddressOf(i), DutAsn))];
}
