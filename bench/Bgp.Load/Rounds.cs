using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Bgp.Load.Peers;
using Bgp.Load.Report;
using Bgp.Load.Scenarios;

namespace Bgp.Load;

/// <summary>
/// Rounds A-B-A-B over the daemons, each run in a process of its own; medians. A daemon that takes long is not asked again: its first figure stands.
/// </summary>
internal sealed class Rounds(Settings settings, IReadOnlyList<Scenario> scenarios, Peer[] peers)
{
    /// <summary>Seconds that a scenario may take for it to be run again in the next round.</summary>
    private const double RepeatLimit = 30;

    private readonly List<Row> _rows = [];
    private readonly HashSet<(string Scenario, string Peer)> _slow = [];

    internal int Run()
    {
        Dictionary<string, string> versions = peers.ToDictionary(static peer => peer.Name, static peer => peer.Version());
        for (int round = 0; round < settings.Rounds; round++)
        {
            foreach (Scenario scenario in scenarios)
            {
                foreach (Peer peer in peers.Where(scenario.Suits))
                {
                    if (!_slow.Contains((scenario.Name, peer.Name)))
                    {
                        RunOnce(round, scenario, peer);
                    }
                }
            }
        }

        string date = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
        Results results = new()
        {
            Machine = Results.DescribeMachine(),
            Kernel = Results.DescribeKernel(),
            Date = date,
            Cells = [.. _rows.GroupBy(static row => (row.Id, row.Peer)).Select(group => Cell.Of([.. group], versions[group.Key.Peer], date))],
        };
        if (settings.Results is not null)
        {
            string file = Path.Combine(settings.Results, "latest.json");
            results = results.Over(Results.Read(file));
            results.Write(file);
            File.WriteAllText(Path.Combine(settings.Results, "latest.md"), Summary.Of(results, Scenario.All, AllPeers()).Tables());
        }

        if (settings.Chart is not null)
        {
            File.WriteAllText(settings.Chart, Chart.Draw(results, [.. Scenario.All.SelectMany(static s => s.Rows)]));
        }

        Console.Out.Write(Summary.Of(results, scenarios, peers).Tables());
        return _rows.Exists(static row => row.Peer == "pipit" && row.Note is not null) ? 1 : 0;
    }

    private Peer[] AllPeers() => [.. Settings.AllPeers.Select(name => Peer.Of(name, settings))];

    private void RunOnce(int round, Scenario scenario, Peer peer)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!, settings.Once(scenario.Name, peer.Name)) { RedirectStandardOutput = true };
        long began = Stopwatch.GetTimestamp();
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        List<Row> rows = process.ExitCode == 0
            ? JsonSerializer.Deserialize(output, RowJson.Default.ListRow)!
            : [.. scenario.Rows.Select(id => new Row { Id = id, Peer = peer.Name, Note = $"the generator ended with {process.ExitCode}" })];
        _rows.AddRange(rows);
        if (seconds > RepeatLimit)
        {
            _slow.Add((scenario.Name, peer.Name));
        }

        foreach (Row row in rows)
        {
            Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"round {round + 1} {row.Id,-22} {row.Peer,-9} {Summary.Figure(row),-22} cpu {row.Cpu:0.00} s, peak {row.PeakMb:0} MB, settled {row.SettledMb:0} MB, generator {row.LoadCpu:0.00} s"));
        }
    }
}
