using System.Diagnostics;
using System.Globalization;

namespace Bgp.Fuzz;

/// <summary>How a run ended.</summary>
/// <param name="Cases">Inputs tried.</param>
/// <param name="Elapsed">Wall clock.</param>
/// <param name="Failure">What was found, or null; with the file that replays it.</param>
public sealed record FuzzResult(long Cases, TimeSpan Elapsed, string? Failure);

/// <summary>Feeds a target on all processors until the cases or the time are used up, or something is found.</summary>
public static class FuzzRun
{
    /// <summary>Runs.</summary>
    /// <param name="name">A name of <see cref="FuzzTargets.All"/>.</param>
    /// <param name="seed">Decides all inputs.</param>
    /// <param name="cases">How many at most.</param>
    /// <param name="time">How long at most.</param>
    public static FuzzResult Run(string name, ulong seed, long cases, TimeSpan time)
    {
        int workers = Environment.ProcessorCount;
        string? failure = null;
        long total = 0;
        Stopwatch watch = Stopwatch.StartNew();
        Thread[] threads = [.. Enumerable.Range(0, workers).Select(worker => new Thread(() =>
        {
            IFuzzTarget target = FuzzTargets.All[name]();
            Mutator mutator = new(target.Seeds, target.Words, seed);
            long done = 0;
            for (long number = worker; number < cases; number += workers)
            {
                ReadOnlySpan<byte> input = mutator.Make((ulong)number);
                try
                {
                    target.Run(input);
                }
                catch (Exception exception)
                {
                    Interlocked.CompareExchange(ref failure, Save(name, seed, number, input, exception), null);
                    break;
                }

                done++;
                if ((done & 255) == 0 && (watch.Elapsed > time || Volatile.Read(ref failure) is not null))
                {
                    break;
                }
            }

            Interlocked.Add(ref total, done);
        }, 16 << 20))];
        Array.ForEach(threads, static thread => thread.Start());
        Array.ForEach(threads, static thread => thread.Join());
        return new FuzzResult(total, watch.Elapsed, failure);
    }

    /// <summary>Runs the input of a file in hexadecimal once.</summary>
    public static void Replay(string name, string file) => FuzzTargets.All[name]().Run(FuzzTargets.Hex(File.ReadAllText(file)));

    private static string Save(string name, ulong seed, long number, ReadOnlySpan<byte> input, Exception exception)
    {
        string file = Path.Combine(Path.GetTempPath(), string.Create(CultureInfo.InvariantCulture, $"pipit-fuzz-{name}-{seed}-{number}.hex"));
        string hex = Convert.ToHexStringLower(input);
        File.WriteAllText(file, hex + "\n");
        return $"case {number.ToString(CultureInfo.InvariantCulture)} of seed {seed.ToString(CultureInfo.InvariantCulture)}: {exception}\n{hex}\nreplay: dotnet run --project tests/Bgp.Fuzz -c Release -- replay {name} {file}";
    }
}
