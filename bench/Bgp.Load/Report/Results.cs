using System.Text.Json;
using System.Text.Json.Serialization;

namespace Bgp.Load.Report;

/// <summary>Medians of one daemon in one row.</summary>
internal sealed record Cell
{
    public required string Row { get; init; }

    public required string Peer { get; init; }

    public required string Version { get; init; }

    public required string Date { get; init; }

    public required int Runs { get; init; }

    public double? Seconds { get; init; }

    public double? P50 { get; init; }

    public double? P99 { get; init; }

    public double? Rate { get; init; }

    public double? Cpu { get; init; }

    public double? PeakMb { get; init; }

    public double? SettledMb { get; init; }

    public double? LoadCpu { get; init; }

    public double? OtherCpu { get; init; }

    public string? Note { get; init; }

    /// <summary>The figure that ratios are made of: seconds, or microseconds of the median.</summary>
    [JsonIgnore]
    public double? Value => Note is null ? P50 ?? Seconds : null;

    /// <summary>Medians of the runs that reached their end; where most did not, the reason of the first.</summary>
    internal static Cell Of(IReadOnlyList<Row> runs, string version, string date)
    {
        Row[] good = [.. runs.Where(static row => row.Note is null)];
        Row[] used = 2 * good.Length > runs.Count ? good : [.. runs.Where(static row => row.Note is not null)];
        return new Cell
        {
            Row = runs[0].Id,
            Peer = runs[0].Peer,
            Version = version,
            Date = date,
            Runs = runs.Count,
            Seconds = Median(used, static row => row.Seconds),
            P50 = Median(used, static row => row.P50),
            P99 = Median(used, static row => row.P99),
            Rate = Median(used, static row => row.Rate),
            Cpu = Median(used, static row => row.Cpu),
            PeakMb = Median(used, static row => row.PeakMb),
            SettledMb = Median(used, static row => row.SettledMb),
            LoadCpu = Median(used, static row => row.LoadCpu),
            OtherCpu = Median(used, static row => row.OtherCpu),
            Note = used[0].Note,
        };
    }

    private static double? Median(Row[] rows, Func<Row, double?> figure)
    {
        double[] values = [.. rows.Select(figure).OfType<double>().Order()];
        return values.Length == 0 ? null : Math.Round((values[(values.Length - 1) / 2] + values[values.Length / 2]) / 2, 4);
    }
}

/// <summary>The machine and all cells; what bench/results/latest.json holds.</summary>
internal sealed record Results
{
    public required string Machine { get; init; }

    public required string Kernel { get; init; }

    public required string Date { get; init; }

    public required List<Cell> Cells { get; init; }

    internal Cell? Find(string row, string peer) => Cells.Find(cell => cell.Row == row && cell.Peer == peer);

    internal static Results? Read(string path) =>
        File.Exists(path) ? JsonSerializer.Deserialize(File.ReadAllText(path), ResultsJson.Default.Results) : null;

    internal void Write(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, JsonSerializer.Serialize(this, ResultsJson.Default.Results) + "\n");
    }

    /// <summary>These cells, and those of an earlier run that were not measured again.</summary>
    internal Results Over(Results? earlier) => earlier is null
        ? this
        : this with { Cells = [.. Cells, .. earlier.Cells.Where(old => Find(old.Row, old.Peer) is null)] };

    /// <summary>Processor, number of cores, memory.</summary>
    internal static string DescribeMachine()
    {
        string cpu = File.ReadLines("/proc/cpuinfo").FirstOrDefault(static line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(": ")[1] ?? "unknown processor";
        long memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 30;
        return $"{Environment.ProcessorCount} × {cpu}, {memory} GiB";
    }

    internal static string DescribeKernel() => $"Linux {File.ReadAllText("/proc/sys/kernel/osrelease").Trim()}";
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, WriteIndented = true)]
[JsonSerializable(typeof(Results))]
internal sealed partial class ResultsJson : JsonSerializerContext;
