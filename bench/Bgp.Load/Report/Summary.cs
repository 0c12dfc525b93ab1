using System.Globalization;
using Bgp.Load.Peers;
using Bgp.Load.Scenarios;

namespace Bgp.Load.Report;

/// <summary>Medians over the rounds, as a table for people.</summary>
internal sealed class Summary(Settings settings, IReadOnlyList<Scenario> scenarios, Peer[] peers, List<Row> rows)
{
    internal static string Figure(Row row) => row switch
    {
        { Note: not null } => row.Note,
        { P50: double p50, P99: double p99 } => $"{Micro(p50)} / {Micro(p99)}",
        { Seconds: double seconds } => Seconds(seconds),
        _ => "-",
    };

    internal void Print(TextWriter output)
    {
        string[] ids = [.. scenarios.SelectMany(static s => s.Rows)];
        output.WriteLine($"{"",-22}{string.Concat(peers.Select(static p => $"  {p.Title,-26}"))}");
        foreach (string id in ids)
        {
            output.WriteLine($"{id,-22}{string.Concat(peers.Select(p => $"  {Cell(id, p),-26}"))}");
        }
    }

    internal void Write() => _ = settings.Results;

    internal static string Seconds(double seconds) => seconds.ToString(seconds < 0.1 ? "0.000 s" : seconds < 10 ? "0.00 s" : "0.0 s", CultureInfo.InvariantCulture);

    private static string Micro(double value) => value < 1000
        ? value.ToString("0 µs", CultureInfo.InvariantCulture)
        : (value / 1000).ToString(value < 10_000 ? "0.0 ms" : "0 ms", CultureInfo.InvariantCulture);

    private string Cell(string id, Peer peer)
    {
        Row[] own = [.. rows.Where(row => row.Id == id && row.Peer == peer.Name)];
        return own.Length == 0 ? "" : Figure(own[0]);
    }
}
