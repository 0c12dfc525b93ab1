using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Bgp.Daemon.Config;

/// <summary>One error or warning with its place. Lines and columns count from 1.</summary>
public sealed record ConfigIssue(string File, int Line, int Column, bool IsError, string Text)
{
    /// <summary><c>FILE:LINE:COL: error: TEXT</c>, one line whatever the input held.</summary>
    public override string ToString()
    {
        string line = $"{File}:{Line}:{Column}: {(IsError ? "error" : "warning")}: {Text}";
        return string.Create(line.Length, line, static (span, text) =>
        {
            for (int i = 0; i < span.Length; i++)
            {
                span[i] = char.IsControl(text[i]) ? '?' : text[i];
            }
        });
    }
}

internal enum NodeKind : byte
{
    Null,
    Scalar,
    List,
    Map,
}

/// <summary>A node of the document with its place.</summary>
internal sealed class Node(NodeKind kind, string file, int line, int column)
{
    internal NodeKind Kind { get; } = kind;

    internal string File { get; } = file;

    internal int Line { get; } = line;

    internal int Column { get; } = column;

    internal string Value { get; init; } = "";

    internal List<Node> Items { get; } = [];

    internal List<(Node Key, Node Value)> Pairs { get; } = [];

    /// <summary>Nodes below, aliases counted at every use: what a walk costs.</summary>
    internal long Weight { get; set; } = 1;

    internal bool Closed { get; set; }

    internal Node? this[string key]
    {
        get
        {
            foreach ((Node k, Node v) in Pairs)
            {
                if (k.Value == key)
                {
                    return v;
                }
            }

            return null;
        }
    }

    internal string KindName => Kind switch { NodeKind.Map => "a map", NodeKind.List => "a list", NodeKind.Null => "nothing", _ => Value.Length <= 80 ? $"'{Value}'" : $"'{Value[..64]}...' ({Value.Length} characters)" };
}

/// <summary>Collects issues; stops taking them after a thousand.</summary>
internal sealed class IssueSink
{
    internal List<ConfigIssue> Issues { get; } = [];

    internal bool HasErrors { get; private set; }

    internal void Error(Node at, string text) => Add(at.File, at.Line, at.Column, true, text);

    internal void Warning(Node at, string text) => Add(at.File, at.Line, at.Column, false, text);

    internal void Add(string file, int line, int column, bool isError, string text)
    {
        HasErrors |= isError;
        if (Issues.Count < 1000)
        {
            Issues.Add(new ConfigIssue(file, line, column, isError, text));
        }
    }
}

/// <summary>
/// Reads YAML into <see cref="Node"/>s from the parser's events.
/// </summary>
/// <remarks>
/// YamlStream stops at the first duplicate key and its deserializer at the first error; events have neither opinion. Nothing here recurses, so
/// that depth costs memory and not stack. An alias shares its target, and the weight of a node counts shared nodes at each use: ten lines of
/// nested aliases cannot become a billion visits.
/// </remarks>
internal static class YamlTree
{
    internal const int MaxBytes = 16 << 20;
    internal const int MaxDepth = 32;
    internal const int MaxWeight = 1_000_000;

    /// <summary>The root, or null after an error that leaves no tree.</summary>
    internal static Node? Parse(string file, string text, IssueSink sink)
    {
        if (text.Length > MaxBytes)
        {
            sink.Add(file, 1, 1, true, $"the file is larger than {MaxBytes >> 20} MiB");
            return null;
        }

        try
        {
            return Build(file, text, sink);
        }
        catch (YamlException e)
        {
            string message = e.Message;
            int paren = message.IndexOf("): ", StringComparison.Ordinal);
            string reason = (e.InnerException?.Message ?? (paren > 0 ? message[(paren + 3)..] : message)).TrimEnd('.');

            (int line, int column) = ((int)e.Start.Line, (int)e.Start.Column);
            if (reason.Contains("invalid tab", StringComparison.Ordinal))
            {
                // The parser says where the map began that the tab is in.
                (line, column) = FirstTab(text) ?? (line, column);
                reason = "a line is indented with a tab; YAML takes spaces only";
            }

            sink.Add(file, Math.Max(1, line), Math.Max(1, column), true, "not valid YAML: " + reason);
            return null;
        }
#pragma warning disable CA1031 // A YAML parser's bug must not be ours: whatever it throws is a bad file.
        catch (Exception e) when (e is not OutOfMemoryException)
#pragma warning restore CA1031
        {
            sink.Add(file, 1, 1, true, "not valid YAML: " + e.Message);
            return null;
        }
    }

    private static (int Line, int Column)? FirstTab(string text)
    {
        int number = 1;
        foreach (ReadOnlySpan<char> line in text.AsSpan().EnumerateLines())
        {
            int indent = line.IndexOfAnyExcept(' ');
            if (indent >= 0 && line[indent] == '\t')
            {
                return (number, indent + 1);
            }

            number++;
        }

        return null;
    }

    private static Node? Build(string file, string text, IssueSink sink)
    {
        Parser parser = new(new StringReader(text));
        Stack<(Node Node, Node? Key)> open = new();
        Dictionary<string, Node> anchors = new(StringComparer.Ordinal);
        Node? root = null;
        int documents = 0;
        long total = 0;
        while (parser.MoveNext())
        {
            ParsingEvent e = parser.Current!;
            int line = (int)e.Start.Line;
            int column = (int)e.Start.Column;
            Node? done = null;
            switch (e)
            {
                case DocumentStart when ++documents > 1:
                    sink.Add(file, line, column, true, "more than one YAML document");
                    return root;
                case Scalar scalar:
                    bool isNull = scalar.Style == ScalarStyle.Plain && scalar.Value is "" or "~" or "null";
                    done = new Node(isNull ? NodeKind.Null : NodeKind.Scalar, file, line, column) { Value = scalar.Value, Closed = true };
                    break;
                case AnchorAlias alias:
                    if (!anchors.TryGetValue(alias.Value.Value, out done) || !done.Closed)
                    {
                        sink.Add(file, line, column, true, $"alias '*{alias.Value.Value}' has no anchor before it");
                        done = new Node(NodeKind.Null, file, line, column) { Closed = true };
                    }

                    break;
                case MappingStart or SequenceStart:
                    if (open.Count >= MaxDepth)
                    {
                        sink.Add(file, line, column, true, $"nested deeper than {MaxDepth} levels");
                        return root;
                    }

                    Node started = new(e is MappingStart ? NodeKind.Map : NodeKind.List, file, line, column);
                    open.Push((started, null));
                    root ??= started;
                    if (((NodeEvent)e).Anchor is { IsEmpty: false } name)
                    {
                        anchors[name.Value] = started;
                    }

                    continue;
                case MappingEnd or SequenceEnd:
                    done = open.Pop().Node;
                    done.Closed = true;
                    break;
            }

            if (done is null)
            {
                continue;
            }

            if (e is Scalar { Anchor.IsEmpty: false } anchored)
            {
                anchors[anchored.Anchor.Value] = done;
            }

            total += done.Kind is NodeKind.Scalar or NodeKind.Null || e is AnchorAlias ? done.Weight : 0;
            if (total > MaxWeight)
            {
                sink.Add(file, line, column, true, $"more than {MaxWeight} values");
                return root;
            }

            root ??= done;
            if (open.Count > 0)
            {
                Attach(open, done, sink);
            }
        }

        return root;
    }

    private static void Attach(Stack<(Node Node, Node? Key)> open, Node done, IssueSink sink)
    {
        (Node parent, Node? key) = open.Pop();
        if (parent.Kind == NodeKind.List)
        {
            parent.Items.Add(done);
            parent.Weight += done.Weight;
        }
        else if (key is null)
        {
            if (done.Kind != NodeKind.Scalar)
            {
                sink.Error(done, $"a key must be a word, not {done.KindName}");
            }

            key = done;
            open.Push((parent, key));
            return;
        }
        else
        {
            parent.Pairs.Add((key, done));
            parent.Weight += done.Weight + 1;
        }

        open.Push((parent, null));
    }
}
