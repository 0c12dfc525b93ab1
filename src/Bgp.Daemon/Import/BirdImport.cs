using Bgp.Daemon.Config;

namespace Bgp.Daemon.Import;

/// <summary>Outcome of an import.</summary>
/// <param name="Yaml">The configuration in this daemon's own language, or null where there is any error.</param>
/// <param name="Issues">Errors and warnings by place.</param>
/// <param name="Passwords">The peers' TCP MD5 keys by peer: they never stand in the text.</param>
/// <param name="Files">Every file that was read.</param>
internal sealed record BirdImportResult(string? Yaml, IReadOnlyList<ConfigIssue> Issues, IReadOnlyDictionary<string, string> Passwords, IReadOnlyList<string> Files);

/// <summary>What BIRD takes from its command line and environment, and the importer therefore from its caller.</summary>
internal sealed record BirdImportOptions
{
    /// <summary>The node's name.</summary>
    internal string NodeName { get; init; } = Environment.MachineName;

    /// <summary>Folder that <c>auth.md5</c> refers to, for the text on stdout.</summary>
    internal string SecretsFolder { get; init; } = "secrets";

    /// <summary>BIRD-compatible sockets: path and family.</summary>
    internal IReadOnlyList<(string Path, int Family)> Sockets { get; init; } = [];

    /// <summary>Group of those sockets, or empty.</summary>
    internal string SocketGroup { get; init; } = "";

    /// <summary>The HTTP endpoint; null for the default.</summary>
    internal string? Metrics { get; init; }
}

/// <summary>Reads configurations of BIRD 1.6 of the shape that Calico renders, and writes one of this daemon that means the same.</summary>
internal static class BirdImport
{
    internal static BirdImportResult Run(IReadOnlyList<string> paths, BirdImportOptions options)
    {
        IssueSink sink = new();
        List<BirdFile> loaded = [.. paths.Select(path => BirdParser.Load(path, sink))];

        // A file that another one of the list includes is part of that one.
        List<BirdFile> roots = [.. loaded.Where((file, i) => file.Files.Count == 0 || !loaded.Where((other, j) => j != i && other.Files.Count > file.Files.Count || (j < i && other.Files.Count == file.Files.Count))
            .Any(other => other.Files.Contains(file.Files[0])))];
        string? yaml = null;
        Dictionary<string, string> passwords = new(StringComparer.Ordinal);
        if (!sink.HasErrors)
        {
            BirdTranslator translator = new(options, sink, passwords);
            yaml = translator.Translate(roots);
        }

        List<ConfigIssue> issues = [.. sink.Issues.Distinct().OrderBy(static issue => issue.File, StringComparer.Ordinal).ThenBy(static issue => issue.Line).ThenBy(static issue => issue.Column)];
        return new BirdImportResult(sink.HasErrors ? null : yaml, issues, passwords, [.. loaded.SelectMany(static file => file.Files).Distinct()]);
    }

    /// <summary>Imports and resolves: what a daemon that is started as <c>bird</c> runs.</summary>
    internal static ConfigResult Load(IReadOnlyList<string> paths, BirdImportOptions options)
    {
        BirdImportResult imported = Run(paths, options);
        if (imported.Yaml is null)
        {
            return new ConfigResult(null, imported.Issues);
        }

        ConfigResult resolved = ConfigReader.Parse(imported.Yaml, paths[0] + " (imported)");
        if (resolved.Model is not { } model)
        {
            return new ConfigResult(null, [.. imported.Issues, .. resolved.Issues]);
        }

        // The keys come from BIRD's file itself; the text only has references to files that nobody wrote.
        model = model with
        {
            Peers = [.. model.Peers.Select(peer => imported.Passwords.TryGetValue(peer.Name, out string? key) ? peer with { Md5 = Secret.FromText($"password of {peer.Name}", key) } : peer)],
            Files = [.. imported.Files],
        };
        return new ConfigResult(model, [.. imported.Issues, .. resolved.Issues.Where(static issue => !issue.Text.Contains("cannot read secret", StringComparison.Ordinal))]);
    }
}
