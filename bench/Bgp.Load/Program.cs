using System.Text.Json;
using Bgp.Load.Peers;
using Bgp.Load.Scenarios;

[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]

namespace Bgp.Load;

/// <summary>
/// bgp-load run …: rounds over daemons and scenarios; once SCENARIO --only PEER: one run, rows as JSON on stdout; relay: the null device under test.
/// </summary>
internal static class Program
{
    private static int Main(string[] words)
    {
        try
        {
            return words switch
            {
                ["run", .. var rest] => RunAll(Settings.Parse(rest)),
                ["once", .. var rest] => Once(Settings.Parse(rest)),
                ["binary", .. var rest] => BinaryFigures.Run(Settings.Parse(rest)),
                ["relay", .. var rest] => ServeRelay(rest),
                _ => Usage(),
            };
        }
        catch (ArgumentException error)
        {
            Console.Error.WriteLine(error.Message);
            return 2;
        }
    }

    private static int Usage()
    {
        Console.Error.WriteLine("usage: bgp-load run|once|binary [SCENARIO...] [--peers LIST] [--pipit PATH] [--rounds N] [--quick] [--limit SECONDS] [--perf FILE] [--results FOLDER] [--chart FILE]");
        return 2;
    }

    private static int RunAll(Settings settings)
    {
        foreach (string name in settings.Scenarios)
        {
            Find(name);
        }

        IReadOnlyList<Scenario> scenarios = [.. Scenario.All.Where(s => settings.Scenarios.Count == 0 || settings.Scenarios.Contains(s.Name))];
        Peer[] peers = [.. settings.Peers.Select(name => Peer.Of(name, settings))];
        return new Rounds(settings, scenarios, peers).Run();
    }

    private static int Once(Settings settings)
    {
        if (settings.Scenarios is not [string name] || settings.Peers is not [string peer])
        {
            throw new ArgumentException("once needs one scenario and --only PEER");
        }

        using Bench bench = new(settings, Find(name), Peer.Of(peer, settings));
        bench.Run();
        Console.Out.WriteLine(JsonSerializer.Serialize([.. bench.Rows], RowJson.Default.ListRow));
        return 0;
    }

    private static Scenario Find(string name) =>
        Scenario.All.FirstOrDefault(s => s.Name == name)
        ?? throw new ArgumentException($"no such scenario: {name}; there are {string.Join(", ", Scenario.All.Select(static s => s.Name))}");

    private static int ServeRelay(string[] words)
    {
        if (words is not ["--asn", string asn, "--send-only", string senders])
        {
            return Usage();
        }

        Relay.Serve(
            uint.Parse(asn, System.Globalization.CultureInfo.InvariantCulture), Ip.Parse(Lab.DutAddress), 179,
            [.. senders.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(Ip.Parse)]);
        return 0;
    }
}
