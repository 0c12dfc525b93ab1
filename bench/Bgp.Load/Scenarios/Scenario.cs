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

    /// <summary>Whether this daemon takes part when nobody named the scenario.</summary>
    internal virtual bool Suits(Peer peer) => !NeedsKernel || peer.HasKernel;

    internal virtual Topology Topology(bool quick) => throw new NotSupportedException();

    internal abstract void Drive(Bench bench);

    internal static IReadOnlyList<Scenario> All { get; } =
    [
        new Ingest(),
    ];

    protected static Neighbor[] Clients(int count) =>
        [.. Enumerable.Range(0, count).Select(static i => new Neighbor(Fleet.AddressOf(i), DutAsn))];

    /// <summary>Says what is wrong with what a receiver holds, or null.</summary>
    protected static string? Verify(Speaker speaker, ReadOnlySpan<ulong> expected, ReadOnlySpan<int> own)
    {
        int differences = speaker.Tally!.Differences(expected, own);
        return differences == 0 && speaker.Tally.Unexpected == 0
            ? null
            : $"{Ip.Text(speaker.Address)} holds the wrong set: {differences} prefixes differ, {speaker.Tally.Unexpected} outside";
    }
}
