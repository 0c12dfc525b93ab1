using System.Runtime.InteropServices;
using Bgp.Load.Peers;

namespace Bgp.Load.Scenarios;

/// <summary>
/// Ten external senders announce the same 200,000 prefixes with different paths, at once; one receiver must end with the shortest path for each. Then
/// one sender, the best for a tenth of them, is lost.
/// </summary>
internal sealed class MultiPeer : Scenario
{
    private const int Senders = 10;
    private const uint FirstAsn = 65001;

    internal override string Name => "multi-peer";

    internal override IReadOnlyList<string> Rows => ["multi-peer-ingest", "peer-down"];


    internal override Topology Topology(bool quick) => new(DutAsn, false, false,
        [.. Enumerable.Range(0, Senders).Select(static i => new Neighbor(Fleet.AddressOf(i), FirstAsn + (uint)i, SendOnly: true)), new(Fleet.AddressOf(Senders), FirstAsn + Senders)]);

    internal override unsafe void Drive(Bench bench)
    {
        InternetTable table = new(bench.Settings.Quick ? 20_000 : 200_000, seed: 2);
        UpdateStream[] streams = [.. Enumerable.Range(0, Senders).Select(i => table.Announcements(FirstAsn + (uint)i, Fleet.AddressOf(i), i, Senders))];
        bool relay = bench.Peer is NullPeer;
        byte[] expected = table.ShortestPaths(Senders, static _ => true, added: 1);
        Tally tally = bench.Fleet.Speakers[Senders].Tally = new Tally(PrefixSpace.Internet, pathLengths: !relay);
        int count = table.Prefixes.Length;
        if (!relay)
        {
            tally.ExpectLengths(Pin(expected));
        }

        bench.EstablishAll();
        bench.Timed(
            "multi-peer-ingest",
            () =>
            {
                for (int i = 0; i < Senders; i++)
                {
                    bench.Fleet.Speakers[i].Send(streams[i]);
                }
            },
            () => tally.Count == count && (!relay || tally.Announced == (long)count * Senders),
            () => (tally.Count, count),
            () => tally.Unexpected == 0 ? null : $"{tally.Unexpected} unexpected prefixes");
        if (relay)
        {
            return;
        }

        byte* after = Pin(table.ShortestPaths(Senders, static i => i != 0, added: 1));
        bench.Timed(
            "peer-down",
            () =>
            {
                tally.ExpectLengths(after);
                bench.Fleet.CloseOf(bench.Fleet.Speakers[0]);
            },
            () => tally.Count == count,
            () => (tally.Count, count));
    }

    private static unsafe byte* Pin(byte[] values)
    {
        byte* memory = (byte*)NativeMemory.Alloc((nuint)values.Length);
        values.CopyTo(new Span<byte>(memory, values.Length));
        return memory;
    }
}
