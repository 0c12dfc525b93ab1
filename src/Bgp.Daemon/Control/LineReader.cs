using System.Diagnostics;
using System.Net.Sockets;

namespace Bgp.Daemon.Control;

/// <summary>What came of waiting for a line.</summary>
internal enum LineOutcome
{
    /// <summary>A line.</summary>
    Line,

    /// <summary>The client is gone, or took too long.</summary>
    Gone,

    /// <summary>The line is longer than allowed.</summary>
    TooLong,
}

/// <summary>Cuts a client's octets into lines, bounded in length and time.</summary>
internal sealed class LineReader(Socket socket, int maxLine, TimeSpan timeout, Action<bool>? idle = null)
{
    private byte[] _buffer = new byte[4096];
    private int _used;
    private int _taken;

    /// <summary>Waits for the next line, without its newline; valid until the next call.</summary>
    internal LineOutcome Next(out ReadOnlySpan<byte> line)
    {
        line = default;
        _buffer.AsSpan(_taken, _used - _taken).CopyTo(_buffer);
        (_used, _taken) = (_used - _taken, 0);
        long started = Stopwatch.GetTimestamp();
        while (true)
        {
            int newline = _buffer.AsSpan(0, _used).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                line = _buffer.AsSpan(0, newline);
                _taken = newline + 1;
                return LineOutcome.Line;
            }

            if (_used >= maxLine)
            {
                return LineOutcome.TooLong;
            }

            if (_used == _buffer.Length)
            {
                Array.Resize(ref _buffer, Math.Min(_buffer.Length * 2, maxLine));
            }

            // The time is for the whole line: a client that sends one octet a second is a stuck client.
            if (Stopwatch.GetElapsedTime(started) > timeout)
            {
                return LineOutcome.Gone;
            }

            int got;
            if (_used == 0 && idle is not null)
            {
                // Between two lines such a client may wait as long as there is room for it.
                idle(true);
                socket.ReceiveTimeout = 0;
                got = socket.Receive(_buffer, 0, _buffer.Length, SocketFlags.None);
                socket.ReceiveTimeout = (int)timeout.TotalMilliseconds;
                idle(false);
                started = Stopwatch.GetTimestamp();
            }
            else
            {
                got = socket.Receive(_buffer, _used, _buffer.Length - _used, SocketFlags.None);
            }

            if (got == 0)
            {
                return LineOutcome.Gone;
            }

            _used += got;
        }
    }
}
