using System.Text;

namespace Bgp.Daemon.Config;

/// <summary>Outcome of reading a configuration.</summary>
/// <param name="Model">The model, or null where there is any error.</param>
/// <param name="Issues">Errors and warnings by place.</param>
public sealed record ConfigResult(ConfigModel? Model, IReadOnlyList<ConfigIssue> Issues)
{
    /// <summary>Only the errors.</summary>
    public IEnumerable<ConfigIssue> Errors => Issues.Where(i => i.IsError);

    /// <summary>Only the warnings.</summary>
    public IEnumerable<ConfigIssue> Warnings => Issues.Where(i => !i.IsError);
}

/// <summary>Reads a configuration file with its includes into a model. Never throws for any content of any file; reports all errors in one run.</summary>
public static class ConfigReader
{
    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Reads a file.</summary>
    public static ConfigResult Load(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        IssueSink sink = new();
        return TryReadText(path, path, sink, out string text) ? Parse(text, path, sink) : Result(null, sink);
    }

    /// <summary>Reads a text; <paramref name="path"/> names it in messages and anchors relative paths.</summary>
    public static ConfigResult Parse(string text, string path) => Parse(text, path, new IssueSink());

    private static ConfigResult Parse(string text, string path, IssueSink sink)
    {
        Node? root = YamlTree.Parse(path, text, sink);
        if (root is null)
        {
            if (!sink.HasErrors)
            {
                sink.Add(path, 1, 1, true, "the file is empty");
            }

            return Result(null, sink);
        }

        StructureCheck.Check(root, ConfigKeys.Root, "", sink);
        List<string> files = [path];
        Include(root, path, files, sink);
        ConfigModel model = new ConfigResolver(sink, DirectoryOf(path)).Resolve(root) with { Files = [.. files] };
        return Result(model, sink);
    }

    private static ConfigResult Result(ConfigModel? model, IssueSink sink)
    {
        List<ConfigIssue> issues = [.. sink.Issues.Distinct().OrderBy(i => i.File, StringComparer.Ordinal).ThenBy(i => i.Line).ThenBy(i => i.Column)];
        return new ConfigResult(sink.HasErrors ? null : model, issues);
    }

    private static string DirectoryOf(string path)
    {
        try
        {
            return Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/";
        }
        catch (ArgumentException)
        {
            return "/";
        }
    }

    private static bool TryReadText(string path, string named, IssueSink sink, out string text)
    {
        text = "";
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read);
            using StreamReader reader = new(stream, s_utf8);
            char[] buffer = new char[YamlTree.MaxBytes + 1];
            text = new string(buffer, 0, reader.ReadBlock(buffer, 0, buffer.Length));
            return true;
        }
        catch (DecoderFallbackException)
        {
            // Replacing what cannot be read would be a guess, and a peer could end up with a name that nobody can type.
            (int line, int column) = NotUtf8(path);
            sink.Add(named, line, column, true, "cannot read: the file is not UTF-8");
            return false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            string why = Directory.Exists(path) ? "it is a directory" : e is FileNotFoundException or DirectoryNotFoundException ? "no such file" : e is UnauthorizedAccessException ? "permission denied" : e.Message;
            sink.Add(named, 1, 1, true, $"cannot read: {why}");
            return false;
        }
    }

    /// <summary>Place of the first octets that are no UTF-8; lines and columns count from 1.</summary>
    private static (int Line, int Column) NotUtf8(string path)
    {
        try
        {
            int number = 1;
            foreach (string line in File.ReadLines(path, Encoding.UTF8))
            {
                int at = line.IndexOf('\uFFFD', StringComparison.Ordinal);
                if (at >= 0)
                {
                    return (number, at + 1);
                }

                number++;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }

        return (1, 1);
    }

    private static void Include(Node root, string path, List<string> files, IssueSink sink)
    {
        if (root.Kind != NodeKind.Map || root["include"] is not { } include)
        {
            return;
        }

        string directory = DirectoryOf(path);
        foreach (Node pattern in include.Kind == NodeKind.List ? include.Items : [include])
        {
            if (pattern.Kind != NodeKind.Scalar)
            {
                continue;
            }

            foreach (string file in Expand(pattern, directory, sink))
            {
                if (files.Contains(file) || Path.GetFullPath(file) == Path.GetFullPath(path))
                {
                    if (file == Path.Combine(directory, pattern.Value) && !files.Skip(1).Contains(file))
                    {
                        sink.Error(pattern, $"include '{pattern.Value}': the file includes itself");
                    }

                    continue;
                }

                if (files.Count > 1000)
                {
                    sink.Error(pattern, "more than 1000 included files");
                    return;
                }

                files.Add(file);
                if (TryReadText(file, file, sink, out string text) && YamlTree.Parse(file, text, sink) is { } tree)
                {
                    Merge(root, tree, sink);
                }
            }
        }
    }

    private static IEnumerable<string> Expand(Node pattern, string directory, IssueSink sink)
    {
        try
        {
            string full = Path.Combine(directory, pattern.Value);
            string folder = Path.GetDirectoryName(full) ?? "/";
            string name = Path.GetFileName(full);
            if (folder.Contains('*', StringComparison.Ordinal) || name.Length == 0)
            {
                sink.Error(pattern, $"include '{pattern.Value}': '*' is understood in the file's name only");
                return [];
            }

            if (!name.Contains('*', StringComparison.Ordinal) && !name.Contains('?', StringComparison.Ordinal))
            {
                return [full];
            }

            if (!Directory.Exists(folder))
            {
                return [];
            }

            return Directory.GetFiles(folder, name).Order(StringComparer.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            sink.Error(pattern, $"include '{pattern.Value}': {e.Message}");
            return [];
        }
    }

    private static void Merge(Node root, Node tree, IssueSink sink)
    {
        // `version` is the one key that the main file must have and an included one need not.
        ConfigKey key = ConfigKeys.Root with
        {
            Keys = [.. ConfigKeys.Root.Keys.Where(k => ConfigKeys.Includable.Contains(k.Name)).Select(k => k with { Required = false })],
        };
        if (tree.Kind == NodeKind.Null)
        {
            return;
        }

        StructureCheck.Check(tree, key, "", sink);
        foreach ((Node name, Node value) in tree.Pairs)
        {
            Node? mine = root[name.Value];
            if (name.Value == "version" || key.Find(name.Value) is null)
            {
                continue;
            }

            if (mine is null || mine.Kind == NodeKind.Null)
            {
                root.Pairs.Insert(0, (name, value));
            }
            else if (name.Value == "mesh" || mine.Kind != value.Kind)
            {
                sink.Error(name, $"'{name.Value}' is already given at {mine.File}:{mine.Line}:{mine.Column}");
            }
            else
            {
                mine.Items.AddRange(value.Items);
                foreach ((Node k, Node v) in value.Pairs)
                {
                    if (mine[k.Value] is not null)
                    {
                        sink.Error(k, $"duplicate key '{k.Value}' in {name.Value}");
                    }
                    else
                    {
                        mine.Pairs.Add((k, v));
                    }
                }
            }
        }
    }
}
