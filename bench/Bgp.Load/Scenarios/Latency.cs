using System.Diagnostics;
using Bgp.Load.Peers;

namespace Bgp.Load.Scenarios;

/// <summary>
/// How long one new route takes from a client's send to another client's receipt, through a reflector: while nothing else happens, beside 50,000 routes a
/// second of another client, and while that client changes 100,000 routes as fast as they are taken.
/// </summary>
internal sealed class Latency : Scenario
{
    private const int Background = 50_000;
    private const int Churned = 100_000;
    private const int PerMessage = 10;

    internal override string Name => "latency";

    internal override IReadOnlyList<string> Rows => ["latency-idle", "latency-50k", "latency-churn-100k"];

    internal override Topology Topology(bool quick) => new(DutAsn, true, false, Clients(3));

    internal override void Drive(Bench bench)
    {
        Speaker prober = bench.Fleet.Speakers[0];
        Speaker receiver = bench.Fleet.Speakers[1];
        Speaker other = bench.Fleet.Speakers[2];
        Tally tally = receiver.Tally = new Tally(PrefixSpace.Blocks);
        UpdateStream[] paced = [Stream(Background, 1), Stream(Background, 2)];
        UpdateStream[] whole = [Stream(Churned, 3), Stream(Churned, 4)];
        bench.EstablishAll();

        Probe probe = new(bench, prober, [receiver]);
        probe.Measure("latency-idle", Churned, null);

        // Whole messages that are due since the last turn: 5 a millisecond.
        long start = Stopwatch.GetTimestamp();
        long sent = 0;
        probe.Measure("latency-50k", Churned + Probe.Count, now =>
        {
            long due = (long)((now - start) / (double)Stopwatch.Frequency * Background / PerMessage);
            int inStream = Background / PerMessage;
            while (sent < due)
            {
                int at = (int)(sent % inStream);
                int messages = (int)Math.Min(due - sent, inStream - at);
                UpdateStream stream = paced[sent / inStream % 2];
                int size = stream.Length / inStream;
                other.Send(stream, at * size, messages * size);
                sent += messages;
            }
        });

        int flaps = 0;
        long target = 0;
        probe.Measure("latency-churn-100k", Churned + 2 * Probe.Count, now =>
        {
            if (tally.Announced >= target)
            {
                other.Send(whole[flaps++ % 2]);
                target = tally.Announced + Churned;
            }
        }, tally);
    }

    private static UpdateStream Stream(int count, uint med) => CalicoBlocks.Announce(Fleet.AddressOf(2), 0, count, PerMessage, med);
}

/// <summary>The same to all of 499 clients: the clock stops when the last of them has the route.</summary>
internal sealed class LatencyAll : Scenario
{
    private const int Clients500 = 500;

    internal override string Name => "latency-all";

    internal override IReadOnlyList<string> Rows => ["latency-all-499"];

    internal override Topology Topology(bool quick) => new(DutAsn, true, false, Clients(Clients500));

    internal override void Drive(Bench bench)
    {
        Speaker[] receivers = [.. bench.Fleet.Speakers.Skip(1)];
        foreach (Speaker receiver in receivers)
        {
            receiver.Tally = new Tally(PrefixSpace.Blocks);
        }

        bench.EstablishAll();
        new Probe(bench, bench.Fleet.Speakers[0], receivers).Measure("latency-all-499", 0, null);
    }
}

/// <summary>Announces one new block after the other and waits for each at all receivers.</summary>
internal sealed class Probe(Bench bench, Speaker sender, Speaker[] receivers)
{
    /// <summary>Samples of one measurement; fewer where they take longer than thirty seconds.</summary>
    internal const int Count = 1000;
    private const int Enough = 50;
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    /// <param name="first">Blocks from here on are new to everyone.</param>
    /// <param name="background">Called in every turn of the loop with the time in ticks.</param>
    /// <param name="paced">What the receiver hears, where the row shall say how much that was.</param>
    internal void Measure(string row, int first, Action<long>? background, Tally? paced = null)
    {
        UpdateStream stream = CalicoBlocks.Announce(sender.Address, first, Count, 1);
        int size = stream.Length / Count;
        long[] samples = new long[Count];
        int taken = 0;
        int waitingFor = -1;
        long sentAt = 0;
        long nextAt = Stopwatch.GetTimestamp();
        Dice dice = new(7);
        Usage before = bench.Meter.Read();
        double own = Meter.OwnCpu();
        long heard = paced?.Announced ?? 0;
        long begin = nextAt;
        long end = Math.Min(bench.Deadline, nextAt + (long)(s_limit.TotalSeconds * Stopwatch.Frequency));
        bench.Fleet.Run(
            () =>
            {
                long now = Stopwatch.GetTimestamp();
                if (waitingFor >= 0 && Held(ref waitingFor, first + taken))
                {
                    samples[taken++] = now - sentAt;
                    waitingFor = -1;

                    // Half a millisecond to one and a half: never in step with a daemon's timer.
                    nextAt = now + (500 + dice.Below(1000)) * Stopwatch.Frequency / 1_000_000;
                }

                background?.Invoke(now);
                if (waitingFor < 0 && taken < Count && now >= nextAt)
                {
                    waitingFor = 0;
                    sentAt = Stopwatch.GetTimestamp();
                    sender.Send(stream, taken * size, size);
                }

                return taken == Count;
            },
            end, 1);
        double? rate = paced is null ? null : Math.Round((paced.Announced - heard) / Stopwatch.GetElapsedTime(begin).TotalSeconds);
        own = Meter.OwnCpu() - own;
        bench.Settle();
        string? note = taken >= Enough ? null : bench.Fleet.Failure ?? $"only {taken} of {Count} routes in {s_limit.TotalSeconds:0} s";
        Span<long> sorted = samples.AsSpan(0, taken);
        sorted.Sort();
        bench.Add(
            new Row { Id = row, Peer = bench.Peer.Name, P50 = Percentile(sorted, 50), P99 = Percentile(sorted, 99), Samples = taken, Rate = rate, LoadCpu = own, Note = note },
            before, bench.Meter.Read());
        if (note is not null)
        {
            throw new PhaseFailedException(note);
        }
    }

    /// <summary>A percentile of sorted ticks in microseconds.</summary>
    internal static double? Percentile(ReadOnlySpan<long> sorted, int percent) =>
        sorted.Length == 0 ? null : Math.Round(sorted[Math.Min(sorted.Length - 1, sorted.Length * percent / 100)] * 1e6 / Stopwatch.Frequency, 1);

    private bool Held(ref int reached, int number)
    {
        while (reached < receivers.Length && receivers[reached].Tally!.Holds(number))
        {
            reached++;
        }

        return reached == receivers.Length;
    }
}
