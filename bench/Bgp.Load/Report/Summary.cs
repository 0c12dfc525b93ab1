using System.Globalization;
using System.Text;
using Bgp.Load.Peers;
using Bgp.Load.Scenarios;

namespace Bgp.Load.Report;

/// <summary>The tables: time with its ratio to Pipit's, CPU, memory. In Markdown, so that they can be put into a document as they are.</summary>
internal sealed class Summary(Results results, IReadOnlyList<string> rows, IReadOnlyList<(string Name, string Title)> peers)
{
    private const string Reference = "pipit";

    internal static Summary Of(Results results, IEnumerable<Scenario> scenarios, IReadOnlyList<Peer> peers) => new(
        results,
        [.. scenarios.SelectMany(static s => s.Rows)],
        [.. peers.OrderBy(static p => p.Name is Reference ? 0 : p.Name is "null" ? 2 : 1).Select(static p => (p.Name, p.Title))]);

    /// <summary>A run in a word: its time, its latencies, or why there is none.</summary>
    internal static string Figure(Row row) => Figure(row.Note, row.Seconds, row.P50, row.P99);

    internal string Tables()
    {
        StringBuilder text = new();
        text.AppendLine(CultureInfo.InvariantCulture, $"{results.Machine}, {results.Kernel}, {results.Date}. Medians; in brackets the ratio to Pipit's figure.\n");
        Table(text, "time", static (cell, own) => Figure(cell.Note, cell.Seconds, cell.P50, cell.P99) + Pace(cell.Rate) + Ratio(cell.Value, cell.Peer == Reference ? null : own?.Value));
        Table(text, "CPU of the daemon, s", static (cell, own) => Number(cell.Cpu, "0.00") + Ratio(cell.Cpu, cell.Peer == Reference ? null : own?.Cpu));
        Table(text, "memory, MB: peak, settled", static (cell, own) => $"{Number(cell.PeakMb, "0")}, {Number(cell.SettledMb, "0")}{Ratio(cell.PeakMb, cell.Peer == Reference ? null : own?.PeakMb)}");
        text.AppendLine(Quality());
        return text.ToString();
    }

    internal static string Seconds(double seconds) => seconds.ToString(seconds < 0.1 ? "0.000 s" : seconds < 10 ? "0.00 s" : "0.0 s", CultureInfo.InvariantCulture);

    internal static string Micro(double value) => value < 1000
        ? value.ToString("0 µs", CultureInfo.InvariantCulture)
        : (value / 1000).ToString(value < 10_000 ? "0.0 ms" : "0 ms", CultureInfo.InvariantCulture);

    private static string Figure(string? note, double? seconds, double? p50, double? p99) => (note, seconds, p50, p99) switch
    {
        (not null, _, _, _) => note,
        (_, _, double low, double high) => $"{Micro(low)} / {Micro(high)}",
        (_, double time, _, _) => Seconds(time),
        _ => "-",
    };

    private static string Pace(double? rate) =>
        rate is double routes ? string.Create(CultureInfo.InvariantCulture, $" at {routes / 1e6:0.0}M routes/s") : "";

    private static string Ratio(double? value, double? reference) =>
        value is double v && reference is double r and > 0 ? (v / r).ToString(v / r < 10 ? " (0.0×)" : " (0×)", CultureInfo.InvariantCulture) : "";

    private static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "-";

    private void Table(StringBuilder text, string title, Func<Cell, Cell?, string> cell)
    {
        text.AppendLine(CultureInfo.InvariantCulture, $"| {title} | {string.Join(" | ", peers.Select(Heading))} |");
        text.AppendLine(CultureInfo.InvariantCulture, $"| --- | {string.Join(" | ", peers.Select(static _ => "---"))} |");
        foreach (string row in rows)
        {
            Cell? own = results.Find(row, Reference);
            IEnumerable<string> cells = peers.Select(peer => results.Find(row, peer.Name) is { } found ? cell(found, own) : "–");
            text.AppendLine(CultureInfo.InvariantCulture, $"| {Titles.Of(row)} | {string.Join(" | ", cells)} |");
        }

        text.AppendLine();
    }

    private string Heading((string Name, string Title) peer)
    {
        string? version = results.Cells.Find(cell => cell.Peer == peer.Name)?.Version;
        return version is null or "-" ? peer.Title : $"{peer.Title} {version}";
    }

    /// <summary>How much of the machine belonged to nobody here: figures of a busy machine are worth less.</summary>
    private string Quality()
    {
        Cell[] timed = [.. results.Cells.Where(static cell => cell.OtherCpu is not null && cell.Seconds is > 0)];
        double share = timed.Length == 0 ? 0 : timed.Sum(static cell => cell.OtherCpu!.Value) / timed.Sum(static cell => cell.Seconds!.Value * Environment.ProcessorCount);
        return string.Create(CultureInfo.InvariantCulture, $"While the clock ran, processes that are no part of the measurement used {100 * share:0} % of the machine.");
    }
}
