using System.Net.Sockets;
using System.Text;

namespace Bgp.Daemon.Control.Bird;

/// <summary>
/// Reply lines as BIRD's clients expect them: <c>NNNN-text</c> while more follows, a space in the code's place where it is that of the line before,
/// <c>NNNN text</c> for the last one.
/// </summary>
internal sealed class BirdReply(Socket socket)
{
    /// <summary>Clients read into buffers of their own sizes; BIRD itself never sends more at a time, nor a part of a line.</summary>
    private const int SendLimit = 4096;

    private readonly MemoryStream _out = new();
    private int _code = -1;

    /// <summary>A line that others follow.</summary>
    internal void Line(int code, string text)
    {
        Append(code == _code ? " " + Clean(text) : $"{code:D4}-{Clean(text)}");
        _code = code;
    }

    /// <summary>The last line.</summary>
    internal void End(int code, string text)
    {
        Append($"{code:D4} {Clean(text)}");
        _code = -1;
    }

    /// <summary>The greeting, in one piece of its own: some clients take it with one read.</summary>
    internal void Greet(string text)
    {
        End(1, text);
        Flush();
    }

    internal void Flush()
    {
        ReadOnlySpan<byte> rest = _out.GetBuffer().AsSpan(0, (int)_out.Length);
        while (!rest.IsEmpty)
        {
            rest = rest[socket.Send(rest)..];
        }

        _out.SetLength(0);
    }

    private void Append(string line)
    {
        byte[] octets = Encoding.UTF8.GetBytes(line + "\n");
        if (_out.Length + octets.Length > SendLimit)
        {
            Flush();
        }

        _out.Write(octets);
    }

    /// <summary>What neighbours sent must not forge lines.</summary>
    private static string Clean(string text) => text.AsSpan().ContainsAnyInRange('\0', '\x08') || text.AsSpan().ContainsAnyInRange('\n', '\x1f')
        ? string.Concat(text.Select(static c => char.IsControl(c) && c != '\t' ? '?' : c))
        : text;
}
