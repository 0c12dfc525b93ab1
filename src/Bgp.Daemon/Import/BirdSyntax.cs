using Bgp.Daemon.Config;

namespace Bgp.Daemon.Import;

/// <summary>An expression of the filter language.</summary>
/// <param name="Place">Where it begins.</param>
internal abstract record BirdExpression(BirdPlace Place);

/// <summary>A number.</summary>
internal sealed record NumberExpression(BirdPlace Place, long Value) : BirdExpression(Place);

/// <summary>A text.</summary>
internal sealed record TextExpression(BirdPlace Place, string Value) : BirdExpression(Place);

/// <summary>An attribute, constant or argument.</summary>
internal sealed record NameExpression(BirdPlace Place, string Name) : BirdExpression(Place);

/// <summary>An address (<see cref="HasLength"/> false) or a prefix.</summary>
internal sealed record NetExpression(BirdPlace Place, Cidr Net, bool HasLength) : BirdExpression(Place);

/// <summary>A pair or triple: a community.</summary>
internal sealed record TupleExpression(BirdPlace Place, ConfigList<uint> Values) : BirdExpression(Place);

/// <summary>A set in brackets.</summary>
internal sealed record SetExpression(BirdPlace Place, ConfigList<BirdSetItem> Items) : BirdExpression(Place);

/// <summary>A path mask: AS numbers from the beginning, then anything.</summary>
internal sealed record PathMaskExpression(BirdPlace Place, ConfigList<uint> Head) : BirdExpression(Place);

/// <summary><c>defined(attribute)</c>.</summary>
internal sealed record DefinedExpression(BirdPlace Place, string Name) : BirdExpression(Place);

/// <summary><c>!</c>.</summary>
internal sealed record NotExpression(BirdPlace Place, BirdExpression Inner) : BirdExpression(Place);

/// <summary>Two operands.</summary>
internal sealed record BinaryExpression(BirdPlace Place, string Operator, BirdExpression Left, BirdExpression Right) : BirdExpression(Place);

/// <summary>An element of a set: a prefix with lengths from and to, or a name.</summary>
internal sealed record BirdSetItem(Cidr Net, int Min, int Max, string Name);

/// <summary>A statement of the filter language.</summary>
/// <param name="Place">Where it begins.</param>
internal abstract record BirdStatement(BirdPlace Place);

/// <summary><c>accept</c> or <c>reject</c>.</summary>
internal sealed record VerdictStatement(BirdPlace Place, bool Accept) : BirdStatement(Place);

/// <summary><c>if … then … else …</c>.</summary>
internal sealed record IfStatement(BirdPlace Place, BirdExpression Condition, ConfigList<BirdStatement> Then, ConfigList<BirdStatement> Else) : BirdStatement(Place);

/// <summary><c>attribute = expression;</c>.</summary>
internal sealed record SetStatement(BirdPlace Place, string Name, BirdExpression Value) : BirdStatement(Place);

/// <summary><c>attribute.method(expression);</c>.</summary>
internal sealed record MethodStatement(BirdPlace Place, string Name, string Method, BirdExpression Argument) : BirdStatement(Place);

/// <summary><c>function(arguments);</c>.</summary>
internal sealed record CallStatement(BirdPlace Place, string Name, ConfigList<BirdExpression> Arguments) : BirdStatement(Place);

/// <summary>A function: names of its boolean arguments, and its body.</summary>
internal sealed record BirdFunction(BirdPlace Place, string Name, ConfigList<string> Arguments, ConfigList<BirdStatement> Body);

/// <summary>An option of a protocol: its words up to the semicolon, and for an inline filter its statements.</summary>
internal sealed record BirdOption(BirdPlace Place, List<BirdToken> Words, ConfigList<BirdStatement>? Filter)
{
    internal bool Begins(params ReadOnlySpan<string> words)
    {
        if (Words.Count < words.Length)
        {
            return false;
        }

        for (int i = 0; i < words.Length; i++)
        {
            if (Words[i].Text != words[i])
            {
                return false;
            }
        }

        return true;
    }

    internal string Shown => string.Join(' ', Words.Select(static word => word.Kind == BirdTokenKind.Text ? $"\"{word.Text}\"" : word.Text));
}

/// <summary>A protocol or template.</summary>
internal sealed record BirdProtocolBlock(BirdPlace Place, bool IsTemplate, string Type, string Name, BirdToken? From, List<BirdOption> Options);

/// <summary>One daemon's configuration: a main file with what it includes.</summary>
internal sealed class BirdFile
{
    internal required string Path { get; init; }

    internal List<BirdOption> Globals { get; } = [];

    internal List<BirdProtocolBlock> Protocols { get; } = [];

    internal Dictionary<string, BirdFunction> Functions { get; } = new(StringComparer.Ordinal);

    internal Dictionary<string, BirdFunction> Filters { get; } = new(StringComparer.Ordinal);

    /// <summary>Every file that was read, full paths.</summary>
    internal List<string> Files { get; } = [];
}
