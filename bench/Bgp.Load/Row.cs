using System.Text.Json.Serialization;

namespace Bgp.Load;

/// <summary>One measured phase of one daemon. A null figure was not reached; <see cref="Note"/> says why.</summary>
internal sealed record Row
{
    /// <summary>Which line of the table.</summary>
    public required string Id { get; init; }

    public required string Peer { get; init; }

    /// <summary>Wall time, seconds.</summary>
    public double? Seconds { get; init; }

    /// <summary>Median and 99th percentile of single latencies, microseconds.</summary>
    public double? P50 { get; init; }

    public double? P99 { get; init; }

    public int? Samples { get; init; }

    /// <summary>Routes a second that the receiver was sent meanwhile, where that is the daemon's own pace.</summary>
    public double? Rate { get; init; }

    /// <summary>User and system seconds of the daemon's processes, from the phase's start until it was idle again.</summary>
    public double? Cpu { get; init; }

    /// <summary>Highest resident memory since the daemon's start, and what was left when it was idle; MB of 10^6.</summary>
    public double? PeakMb { get; init; }

    public double? SettledMb { get; init; }

    /// <summary>CPU seconds of the load generator during the phase: near the wall time means that it was the limit.</summary>
    public double? LoadCpu { get; init; }

    /// <summary>CPU seconds that all other processes of the machine used while the clock ran: the more, the less the wall time means.</summary>
    public double? OtherCpu { get; init; }

    public string? Note { get; init; }
}

/// <summary>The rows of one process, from it to the one that started it.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, WriteIndented = true)]
[JsonSerializable(typeof(List<Row>))]
internal sealed partial class RowJson : JsonSerializerContext;
