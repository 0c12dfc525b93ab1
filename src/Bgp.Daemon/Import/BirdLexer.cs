using System.Globalization;
using Bgp.Daemon.Config;
using Bgp.Protocol;

namespace Bgp.Daemon.Import;

/// <summary>Kinds of words in a BIRD configuration.</summary>
internal enum BirdTokenKind : byte
{
    /// <summary>The end of the file.</summary>
    End,

    /// <summary>A keyword, attribute or name.</summary>
    Word,

    /// <summary>A name in single quotes: never a keyword.</summary>
    Symbol,

    /// <summary>A text in double quotes.</summary>
    Text,

    /// <summary>A number.</summary>
    Number,

    /// <summary>An address.</summary>
    Address,

    /// <summary>An operator or bracket.</summary>
    Sign,
}

/// <summary>Where something stands.</summary>
internal readonly record struct BirdPlace(string File, int Line, int Column);

/// <summary>A word with its place.</summary>
internal readonly record struct BirdToken(BirdTokenKind Kind, string Text, BirdPlace Place)
{
    internal bool Is(string text) => (Kind is BirdTokenKind.Word or BirdTokenKind.Sign) && Text == text;

    internal string Shown => Kind switch
    {
        BirdTokenKind.End => "end of file",
        BirdTokenKind.Text => $"\"{Text}\"",
        _ => $"'{Text}'",
    };
}

/// <summary>Something that is not understood, at a place. The parser goes on after the statement.</summary>
internal sealed class BirdSyntaxException(BirdPlace place, string message) : Exception(message)
{
    internal BirdPlace Place { get; } = place;
}

/// <summary>Cuts a file into words. Never fails: what it does not know is a sign of one character, and the parser says so at its place.</summary>
internal static class BirdLexer
{
    private static readonly string[] s_signs = ["!~", "!=", "<=", ">=", "&&", "||", "[=", "=]", ".."];

    internal static List<BirdToken> Cut(string file, string text, IssueSink sink)
    {
        List<BirdToken> tokens = [];
        int line = 1;
        int lineStart = 0;
        int i = 0;
        while (i < text.Length)
        {
            char c = text[i];
            if (c == '\n')
            {
                line++;
                lineStart = ++i;
                continue;
            }

            if (char.IsWhiteSpace(c))
            {
                i++;
                continue;
            }

            BirdPlace place = new(file, line, i - lineStart + 1);
            if (c == '#')
            {
                i = Until(text, i, '\n');
                continue;
            }

            if (c == '/' && i + 1 < text.Length && text[i + 1] == '*')
            {
                int end = text.IndexOf("*/", i + 2, StringComparison.Ordinal);
                if (end < 0)
                {
                    sink.Add(file, place.Line, place.Column, true, "a comment that does not end");
                    break;
                }

                for (; i < end + 2; i++)
                {
                    if (text[i] == '\n')
                    {
                        line++;
                        lineStart = i + 1;
                    }
                }

                continue;
            }

            if (c is '"' or '\'')
            {
                int end = text.IndexOf(c, i + 1);
                int newline = Until(text, i, '\n');
                if (end < 0 || end > newline)
                {
                    sink.Add(file, place.Line, place.Column, true, $"a {(c == '"' ? "text" : "name")} that does not end");
                    i = newline;
                    continue;
                }

                tokens.Add(new BirdToken(c == '"' ? BirdTokenKind.Text : BirdTokenKind.Symbol, text[(i + 1)..end], place));
                i = end + 1;
                continue;
            }

            tokens.Add(Next(text, ref i, place));
        }

        tokens.Add(new BirdToken(BirdTokenKind.End, "", new BirdPlace(file, line, Math.Max(1, text.Length - lineStart + 1))));
        return tokens;
    }

    private static BirdToken Next(string text, ref int i, BirdPlace place)
    {
        int start = i;

        // An address is the longest run of its characters that is one; `a.b` of an attribute and `1,2` of a pair are not.
        int end = i;
        while (end < text.Length && (char.IsAsciiHexDigit(text[end]) || text[end] is ':' or '.'))
        {
            end++;
        }

        if (end > i && (end >= text.Length || !(char.IsAsciiLetterOrDigit(text[end]) || text[end] == '_'))
            && text.AsSpan(i, end - i) is var run && (run.Count('.') == 3 || run.Count(':') >= 2) && IpAddr.TryParse(run.ToString(), out _))
        {
            i = end;
            return new BirdToken(BirdTokenKind.Address, text[start..end], place);
        }

        char c = text[i];
        if (char.IsAsciiDigit(c))
        {
            while (i < text.Length && char.IsAsciiDigit(text[i]))
            {
                i++;
            }

            return new BirdToken(BirdTokenKind.Number, text[start..i], place);
        }

        if (char.IsAsciiLetter(c) || c == '_')
        {
            while (i < text.Length && (char.IsAsciiLetterOrDigit(text[i]) || text[i] == '_'))
            {
                i++;
            }

            return new BirdToken(BirdTokenKind.Word, text[start..i], place);
        }

        foreach (string sign in s_signs)
        {
            if (string.CompareOrdinal(text, i, sign, 0, sign.Length) == 0)
            {
                i += sign.Length;
                return new BirdToken(BirdTokenKind.Sign, sign, place);
            }
        }

        i++;
        return new BirdToken(BirdTokenKind.Sign, c.ToString(CultureInfo.InvariantCulture), place);
    }

    private static int Until(string text, int from, char c)
    {
        int found = text.IndexOf(c, from);
        return found < 0 ? text.Length : found;
    }
}
