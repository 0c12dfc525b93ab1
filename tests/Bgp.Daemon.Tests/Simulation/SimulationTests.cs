using System.Diagnostics;
using System.Globalization;

namespace Bgp.Daemon.Tests.Simulation;

/// <summary>Whole speakers in one process, under a seeded scheduler, a virtual clock and a simulated network.</summary>
/// <remarks>
/// <c>PIPIT_SIM=Mesh:17</c> runs one seed and prints what happened in it. <c>PIPIT_LONG=1</c> runs fifty times as many.
/// </remarks>
public sealed class SimulationTests
{
    private const int SeedsPerKind = 200;
    private const int MaxReported = 3;

    private static int Seeds => Environment.GetEnvironmentVariable("PIPIT_LONG") is "1" ? SeedsPerKind * 50 : SeedsPerKind;

    [Test]
    public void EverySeedSettlesWhereTheModelSays([Values] ScenarioKind kind)
    {
        if (Environment.GetEnvironmentVariable("PIPIT_SIM") is { Length: > 0 } only)
        {
            Replay(kind, only);
            return;
        }

        int next = 0;
        List<string> failures = [];
        Lock gate = new();
        Stopwatch watch = Stopwatch.StartNew();
        long steps = 0;
        OnThreads(() =>
        {
            while (Interlocked.Increment(ref next) is var seed && seed <= Seeds && failures.Count < MaxReported)
            {
                Scenario scenario = new(kind, seed, trace: false);
                string? failure = Failure(scenario);
                Interlocked.Add(ref steps, scenario.World.Steps);
                if (failure is not null)
                {
                    lock (gate)
                    {
                        failures.Add($"{failure}\nReplay: PIPIT_SIM={kind}:{seed} dotnet test tests/Bgp.Daemon.Tests --filter {nameof(EverySeedSettlesWhereTheModelSays)}");
                    }
                }
            }
        });
        TestContext.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{kind}: {Seeds} seeds, {steps} steps in {watch.Elapsed.TotalSeconds:F1} s"));
        Assert.That(failures, Is.Empty, string.Join("\n\n", failures));
    }

    [Test]
    public void TheSameSeedIsTheSameRun([Values] ScenarioKind kind)
    {
        List<(ulong Hash, long Steps, long Now)> runs = [];
        for (int run = 0; run < 2; run++)
        {
            OnThread(() =>
            {
                // Tracing must not change anything either, or a replay would show another run.
                Scenario scenario = new(kind, 4711, trace: run == 1);
                scenario.Run();
                runs.Add((scenario.World.Hash, scenario.World.Steps, scenario.World.Now));
            });
        }

        Assert.That(runs[1], Is.EqualTo(runs[0]));
    }

    [Test]
    public void AnotherSeedIsAnotherRun()
    {
        List<ulong> runs = [];
        OnThread(() =>
        {
            for (int seed = 1; seed <= 2; seed++)
            {
                Scenario scenario = new(ScenarioKind.Mesh, seed, trace: false);
                scenario.Run();
                runs.Add(scenario.World.Hash);
            }
        });
        Assert.That(runs[1], Is.Not.EqualTo(runs[0]));
    }

    [Test]
    public void WhatRunsOnAnotherThreadFailsTheRun()
    {
        SimWorld world = new(1, trace: false);
        SimScheduler scheduler = new(world, new SimOwner("n0"));
        Exception? seen = null;
        OnThread(() => seen = Assert.Catch<SimulationFailure>(() => ((global::Bgp.Daemon.Runtime.IWorkScheduler)scheduler).Queue(static () => { })));
        Assert.That(seen!.Message, Does.Contain("outside of the simulation"));
    }

    private static void Replay(ScenarioKind kind, string only)
    {
        string[] parts = only.Split(':');
        if (!Enum.TryParse(parts[0], out ScenarioKind wanted) || parts.Length != 2)
        {
            Assert.Fail($"PIPIT_SIM={only}: not a kind and a seed");
        }

        if (wanted != kind)
        {
            return;
        }

        string? failure = null;
        OnThread(() =>
        {
            Scenario scenario = new(kind, int.Parse(parts[1], CultureInfo.InvariantCulture), trace: true);
            failure = Failure(scenario);
            foreach (string line in scenario.World.Trace)
            {
                TestContext.Out.WriteLine(line);
            }

            TestContext.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"hash {scenario.World.Hash:x16}, {scenario.World.Steps} steps"));
        });
        Assert.That(failure, Is.Null);
    }

    private static string? Failure(Scenario scenario)
    {
        try
        {
            scenario.Run();
            return null;
        }
        catch (SimulationFailure failure)
        {
            return failure.Message;
        }
        catch (Exception exception)
        {
            // A bug in the program or in the simulation: the seed is as welcome.
            return exception.ToString();
        }
    }

    /// <summary>On a thread of its own, without anything that a test runner hangs on its threads.</summary>
    internal static void OnThread(Action action)
    {
        Exception? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                action();
            }
            catch (Exception exception)
            {
                failure = exception;
            }
        });
        thread.Start();
        thread.Join();
        if (failure is not null)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        }
    }

    private static void OnThreads(Action action)
    {
        List<Thread> threads = [.. Enumerable.Range(0, Math.Clamp(Environment.ProcessorCount, 1, 8)).Select(_ => new Thread(() => action()))];
        threads.ForEach(static thread => thread.Start());
        threads.ForEach(static thread => thread.Join());
    }
}
