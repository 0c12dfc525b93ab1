using System.Globalization;

namespace Bgp.Fuzz.Tests;

/// <summary>
/// Every fuzz target for a bounded time with a fixed seed; with PIPIT_LONG set, more than a thousand million inputs with a new one. PIPIT_FUZZ_SEED sets the seed.
/// </summary>
[TestFixture]
[NonParallelizable]
public sealed class FuzzTests
{
    private static readonly bool s_long = Environment.GetEnvironmentVariable("PIPIT_LONG") is { Length: > 0 };

    private static readonly ulong s_seed = Environment.GetEnvironmentVariable("PIPIT_FUZZ_SEED") is { Length: > 0 } set
        ? ulong.Parse(set, CultureInfo.InvariantCulture)
        : s_long ? (ulong)DateTimeOffset.UtcNow.ToUnixTimeSeconds() : 1;

    /// <summary>Target, seconds, cases of the long run.</summary>
    [TestCase("update", 14, 420_000_000)]
    [TestCase("open", 6, 260_000_000)]
    [TestCase("framer", 5, 60_000_000)]
    [TestCase("netlink", 5, 120_000_000)]
    [TestCase("notification", 3, 80_000_000)]
    [TestCase("refresh", 1, 60_000_000)]
    [TestCase("control", 3, 20_000_000)]
    [TestCase("config", 4, 2_000_000)]
    public void Changed_inputs_break_nothing(string target, int seconds, long longCases)
    {
        FuzzResult result = FuzzRun.Run(target, s_seed, s_long ? longCases : long.MaxValue, s_long ? TimeSpan.FromHours(6) : TimeSpan.FromSeconds(seconds));
        TestContext.Progress.WriteLine(string.Create(CultureInfo.InvariantCulture, $"fuzz {target}: seed {s_seed}, {result.Cases} cases in {result.Elapsed.TotalSeconds:0.0} s"));
        Assert.That(result.Failure, Is.Null);
        Assert.That(result.Cases, Is.GreaterThan(0));
    }

    [TestCaseSource(nameof(Targets))]
    public void Every_seed_is_sound(string target)
    {
        IFuzzTarget made = FuzzTargets.All[target]();
        Assert.That(made.Seeds, Is.Not.Empty);
        foreach (byte[] seed in made.Seeds)
        {
            Assert.DoesNotThrow(() => made.Run(seed), Convert.ToHexString(seed));
        }
    }

    [TestCaseSource(nameof(Targets))]
    public void A_case_is_the_same_whatever_ran_before(string target)
    {
        IFuzzTarget made = FuzzTargets.All[target]();
        Mutator one = new(made.Seeds, made.Words, 7);
        Mutator two = new(made.Seeds, made.Words, 7);
        for (ulong number = 0; number < 200; number++)
        {
            one.Make(number);
        }

        HashSet<string> seen = [];
        for (ulong number = 0; number < 200; number++)
        {
            string made2 = Convert.ToHexString(two.Make(number));
            Assert.That(Convert.ToHexString(one.Make(number)), Is.EqualTo(made2));
            seen.Add(made2);
        }

        Assert.That(seen, Has.Count.GreaterThan(100), "and others are other");
    }

    [Test]
    public void Changed_UPDATEs_reach_every_action()
    {
        UpdateTarget target = new();
        foreach (byte[] seed in target.Seeds)
        {
            target.Run(seed);
        }

        Assert.That(target.Actions[Protocol.UpdateAction.None], Is.GreaterThan(target.Seeds.Count / 2), "most seeds stand");
        Mutator mutator = new(target.Seeds, target.Words, 1);
        for (ulong number = 0; number < 20_000; number++)
        {
            target.Run(mutator.Make(number));
        }

        Assert.That(target.Actions.Values, Is.All.GreaterThan(500), string.Join(' ', target.Actions));
    }

    [Test]
    public void A_fault_is_reported_with_what_replays_it()
    {
        FuzzException fault = Assert.Throws<FuzzException>(static () => FuzzException.Unless(false, "the promise"))!;
        Assert.That(fault.Message, Is.EqualTo("the promise"));
        string file = Path.Combine(Path.GetTempPath(), $"pipit-replay-{Environment.ProcessId}.hex");
        File.WriteAllText(file, "04 FDF2 005A 0A000001 00\n");
        Assert.DoesNotThrow(() => FuzzRun.Replay("open", file));
        File.Delete(file);
    }

    public static IEnumerable<string> Targets => FuzzTargets.All.Keys;
}
