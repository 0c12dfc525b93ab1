using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.RegularExpressions;
using Bgp.Protocol;

namespace Rib;

/// <summary>A regular expression over an AS_PATH in words: AS numbers separated by spaces, <c>{1 2}</c> for a set.</summary>
/// <remarks>
/// Matching takes time linear in the path (<see cref="RegexOptions.NonBacktracking"/>): the path is a stranger's input, and no pattern may make a long
/// one slow. So look-around and back-references are not available. The words are written into a buffer on the stack, not into a string.
/// </remarks>
public sealed class AsPathPattern
{
    private const int StackCharacters = 1024;

    private readonly Regex _regex;

    private AsPathPattern(string text, Regex regex)
    {
        Text = text;
        _regex = regex;
    }

    /// <summary>The pattern.</summary>
    public string Text { get; }

    /// <summary>Compiles a pattern; <paramref name="error"/> says why it is none.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out AsPathPattern? pattern, out string error)
    {
        pattern = null;
        error = "";
        try
        {
            pattern = new AsPathPattern(text, new Regex(text, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant));
            return true;
        }
        catch (ArgumentException exception)
        {
            error = exception.Message;
        }
        catch (NotSupportedException)
        {
            error = "look-around, back-references and atomic groups are not supported";
        }

        return false;
    }

    /// <summary>Whether the value of an AS_PATH matches. Empty paths are the empty text.</summary>
    public bool IsMatch(ReadOnlySpan<byte> asPath)
    {
        Span<char> words = stackalloc char[StackCharacters];
        return TryWrite(asPath, words, out int length) ? _regex.IsMatch(words[..length]) : _regex.IsMatch(AsPath.Text(asPath));
    }

    private static bool TryWrite(ReadOnlySpan<byte> asPath, Span<char> into, out int length)
    {
        length = 0;

        // At most 11 characters per 4 octets, and 3 per segment, which has 6 octets.
        if (asPath.Length * 4 > into.Length)
        {
            return false;
        }

        AsPathReader reader = new(asPath);
        while (reader.TryNext(out byte type, out ReadOnlySpan<byte> asns))
        {
            (char open, char close) = type switch
            {
                AsSegment.Set => ('{', '}'),
                AsSegment.ConfedSequence => ('(', ')'),
                AsSegment.ConfedSet => ('[', ']'),
                _ => ('\0', '\0'),
            };
            if (length > 0)
            {
                into[length++] = ' ';
            }

            if (open != '\0')
            {
                into[length++] = open;
            }

            for (int i = 0; i + 4 <= asns.Length; i += 4)
            {
                if (i > 0)
                {
                    into[length++] = ' ';
                }

                if (!BinaryPrimitives.ReadUInt32BigEndian(asns[i..]).TryFormat(into[length..], out int written, default, CultureInfo.InvariantCulture))
                {
                    return false;
                }

                length += written;
            }

            if (close != '\0')
            {
                into[length++] = close;
            }
        }

        return true;
    }
}
