using System.Diagnostics;
using System.Globalization;
using Bgp.Load.Peers;
using Bgp.Load.Scenarios;

namespace Bgp.Load;

/// <summary>A phase was not finished; the ones after it make no sense.</summary>
internal sealed class PhaseFailedException(string message) : Exception(message);

/// <summary>One run: a daemon started afresh, a scenario driven against it, its rows.</summary>
internal sealed class Bench : IDisposable
{
    private readonly Lab _lab = new();
    private readonly Scenario _scenario;
    private readonly List<Row> _rows = [];
    private Process? _perf;

    internal Bench(Settings settings, Scenario scenario, Peer peer)
    {
        Settings = settings;
        _scenario = scenario;
        Peer = peer;
    }

    internal Settings Settings { get; }

    internal Peer Peer { get; }

    internal Lab Lab => _lab;

    internal Fleet Fleet { get; private set; } = null!;

    internal Meter Meter { get; private set; } = null!;

    internal IReadOnlyList<Row> Rows => _rows;

    /// <summary>When the phase that begins now must be over, in ticks.</summary>
    internal long Deadline => Stopwatch.GetTimestamp() + Settings.Limit * Stopwatch.Frequency;

    internal void Run()
    {
        try
        {
            if (_scenario.OwnLab)
            {
                _scenario.Drive(this);
                return;
            }

            Topology topology = _scenario.Topology(Settings.Quick);
            StartDut(topology);
            Native.EnterNamespace(_lab.Load);
            Fleet = new Fleet(Ip.Parse(Lab.DutAddress), 179);
            foreach (Neighbor neighbor in topology.Neighbors)
            {
                Fleet.Add(neighbor.Asn);
            }

            _scenario.Drive(this);
        }
        catch (Exception error) when (error is PhaseFailedException or InvalidOperationException or IOException)
        {
            Console.Error.WriteLine($"{_scenario.Name} {Peer.Name}: {error.Message}\n{_lab.Logs()}");
            foreach (string row in _scenario.Rows.Where(id => _rows.TrueForAll(row => row.Id != id)))
            {
                _rows.Add(new Row { Id = row, Peer = Peer.Name, Note = error.Message });
            }
        }
    }

    /// <summary>Brings up all sessions, few at a time: a small listen backlog is the herd scenario's subject, not the others'.</summary>
    internal void EstablishAll()
    {
        bool up = Fleet.Establish(Fleet.Speakers, 4, Deadline);
        if (!up)
        {
            throw new PhaseFailedException($"sessions: {Fleet.Established} of {Fleet.Speakers.Count} up in {Settings.Limit} s; {Fleet.Failure ?? Fleet.Speakers.FirstOrDefault(static s => s.Lost is not null)?.Lost}");
        }

        Settle();
    }

    /// <summary>Runs one phase against the clock and adds its row; throws when it did not get there.</summary>
    /// <param name="progress">How many of how many, for what the row says after the limit.</param>
    /// <param name="verify">Says what is wrong with the result, or null.</param>
    /// <param name="optional">The phases after it make sense without it.</param>
    internal void Timed(
        string row, Action begin, Func<bool> done, Func<(long Have, long Want)> progress, Func<string?>? verify = null, bool optional = false)
    {
        Usage before = Meter.Read();
        double own = Meter.OwnCpu();
        double machine = Meter.MachineCpu();
        long deadline = Deadline;
        long start = Stopwatch.GetTimestamp();
        begin();
        bool reached = Fleet.Run(done, deadline);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        own = Meter.OwnCpu() - own;
        double others = Math.Max(0, Meter.MachineCpu() - machine - own - (Meter.Read().Cpu - before.Cpu));
        Settle();
        string? wrong = null;
        if (!reached)
        {
            (long have, long want) = progress();
            wrong = Fleet.Failure ?? $"not in {Settings.Limit} s ({have.ToString(CultureInfo.InvariantCulture)} of {want.ToString(CultureInfo.InvariantCulture)})";
        }

        wrong ??= verify?.Invoke();
        Usage after = Meter.Read();
        Add(new Row { Id = row, Peer = Peer.Name, Seconds = wrong is null ? seconds : null, LoadCpu = own, OtherCpu = Math.Round(others, 2), Note = wrong }, before, after);
        if (wrong is not null && !(optional && Fleet.Failure is null))
        {
            throw new PhaseFailedException(wrong);
        }
    }

    /// <summary>Adds a row with the daemon's usage between two readings.</summary>
    internal void Add(Row row, Usage before, Usage after) => _rows.Add(row with
    {
        Cpu = Math.Round(after.Cpu - before.Cpu, 2),
        PeakMb = Math.Round(after.PeakKb * 1024 / 1e6, 1),
        SettledMb = Math.Round(after.ResidentKb * 1024 / 1e6, 1),
    });

    /// <summary>Serves the sockets until the daemon has used no CPU for a fifth of a second, three seconds at most.</summary>
    internal void Settle()
    {
        long end = Stopwatch.GetTimestamp() + 3 * Stopwatch.Frequency;
        double last = -1;
        while (Stopwatch.GetTimestamp() < end)
        {
            long pause = Stopwatch.GetTimestamp() + Stopwatch.Frequency / 5;
            while (Stopwatch.GetTimestamp() < pause)
            {
                Fleet.Poll(50);
            }

            double cpu = Meter.Read().Cpu;
            if (cpu - last < 0.01)
            {
                return;
            }

            last = cpu;
        }
    }

    /// <summary>For a scenario with its own lab: measures what was started there, and serves this descriptor.</summary>
    internal void Attach(int fd, Action readable)
    {
        Meter = new Meter(_lab.Processes);
        StartPerf();
        Fleet = new Fleet(0, 0);
        Fleet.Watch(fd, readable);
    }

    public void Dispose()
    {
        if (_perf is not null)
        {
            _ = Native.Kill(_perf.Id, 2);
            _perf.WaitForExit(30_000);
            _perf.Dispose();
        }

        _lab.Dispose();
    }

    /// <summary>Starts the daemon in the lab's namespace and waits until it listens.</summary>
    private void StartDut(Topology topology)
    {
        _lab.Wire(topology.Neighbors.Count);
        Peer.Start(_lab, topology);
        Peer.WaitListening(_lab.Processes[^1], 179, 30);
        Meter = new Meter(_lab.Processes);
        StartPerf();
    }

    private void StartPerf()
    {
        if (Settings.Perf is not null)
        {
            ProcessStartInfo start = new("perf", ["record", "-q", "-g", "-o", Settings.Perf, "-p", string.Join(',', Meter.Pids())]) { RedirectStandardError = true };
            _perf = Process.Start(start)!;
        }
    }
}
