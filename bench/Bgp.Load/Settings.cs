using System.Globalization;

namespace Bgp.Load;

/// <summary>What the command line asked for.</summary>
internal sealed class Settings
{
    /// <summary>Path of Pipit's binary.</summary>
    internal string Pipit { get; private set; } = "out/pipit";

    internal int Rounds { get; private set; } = 3;

    /// <summary>Smaller tables and fewer clients: shows that everything works, its figures mean little.</summary>
    internal bool Quick { get; private set; }

    /// <summary>Seconds after which a phase is given up.</summary>
    internal int Limit { get; private set; } = 100;

    internal static IReadOnlyList<string> AllPeers { get; } = ["null", "pipit", "bird", "frr", "openbgpd", "gobgp"];

    internal IReadOnlyList<string> Peers { get; private set; } = AllPeers;

    /// <summary>Names of scenarios; empty: all.</summary>
    internal IReadOnlyList<string> Scenarios { get; private set; } = [];

    /// <summary>Where `perf record -g` writes, or null.</summary>
    internal string? Perf { get; private set; }

    /// <summary>Folder for the results as JSON, and the chart.</summary>
    internal string? Results { get; private set; }

    internal string? Chart { get; private set; }

    internal static Settings Parse(ReadOnlySpan<string> words)
    {
        Settings settings = new();
        List<string> scenarios = [];
        for (int i = 0; i < words.Length; i++)
        {
            string word = words[i];
            if (!word.StartsWith("--", StringComparison.Ordinal))
            {
                scenarios.Add(word);
                continue;
            }

            if (word == "--quick")
            {
                settings.Quick = true;
                continue;
            }

            string value = i + 1 < words.Length ? words[++i] : throw new ArgumentException($"{word} needs a value");
            switch (word)
            {
                case "--pipit":
                    settings.Pipit = value;
                    break;
                case "--rounds":
                    settings.Rounds = Number(value);
                    break;
                case "--limit":
                    settings.Limit = Number(value);
                    break;
                case "--peers" or "--only":
                    settings.Peers = value.Split(',', StringSplitOptions.RemoveEmptyEntries);
                    break;
                case "--perf":
                    settings.Perf = value;
                    break;
                case "--results":
                    settings.Results = value;
                    break;
                case "--chart":
                    settings.Chart = value;
                    break;
                default:
                    throw new ArgumentException($"unknown option {word}");
            }
        }

        settings.Scenarios = scenarios;
        return settings;
    }

    /// <summary>The words for one run of one scenario in a process of its own.</summary>
    internal string[] Once(string scenario, string peer)
    {
        List<string> words = ["once", scenario, "--only", peer, "--pipit", Pipit, "--limit", Limit.ToString(CultureInfo.InvariantCulture)];
        if (Quick)
        {
            words.Add("--quick");
        }

        if (Perf is not null)
        {
            words.AddRange(["--perf", Perf]);
        }

        return [.. words];
    }

    private static int Number(string value) =>
        int.TryParse(value, CultureInfo.InvariantCulture, out int number) && number > 0 ? number : throw new ArgumentException($"not a number: {value}");
}
