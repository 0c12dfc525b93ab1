using System.Text;

namespace Bgp.Daemon.Control.Bird;

/// <summary>The words of a command line: bare, <c>'quoted symbols'</c> and <c>"patterns"</c>.</summary>
internal static class BirdWords
{
    /// <summary>Splits a line; null where a quote is not closed.</summary>
    internal static List<string>? Split(ReadOnlySpan<byte> line)
    {
        string text = Encoding.UTF8.GetString(line).Trim();
        List<string> words = [];
        int at = 0;
        while (at < text.Length)
        {
            char c = text[at];
            if (char.IsWhiteSpace(c) || c == ';')
            {
                at++;
            }
            else if (c is '\'' or '"')
            {
                int end = text.IndexOf(c, at + 1);
                if (end < 0)
                {
                    return null;
                }

                // The quotes stay with a pattern: "Mesh*" is one, Mesh* is not.
                words.Add(c == '"' ? text[at..(end + 1)] : text[(at + 1)..end]);
                at = end + 1;
            }
            else if (c is '[' or ']' or '=' or '~')
            {
                words.Add(c.ToString());
                at++;
            }
            else
            {
                int start = at;
                while (at < text.Length && !char.IsWhiteSpace(text[at]) && text[at] is not (';' or '\'' or '"' or '[' or ']' or '=' or '~'))
                {
                    at++;
                }

                words.Add(text[start..at]);
            }
        }

        return words;
    }

    /// <summary>Whether a word is a pattern, and what is in it.</summary>
    internal static bool IsPattern(string word, out string pattern)
    {
        bool quoted = word.Length >= 2 && word[0] == '"' && word[^1] == '"';
        pattern = quoted ? word[1..^1] : word;
        return quoted;
    }
}
