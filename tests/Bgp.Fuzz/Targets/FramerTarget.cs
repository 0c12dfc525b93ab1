using System.Buffers;
using Bgp.Protocol;

namespace Bgp.Fuzz;

/// <summary>Any stream of octets (the first octet says how it is cut and which limit holds): the same messages in one piece and in many, no octet lost, no wrong header accepted.</summary>
internal sealed class FramerTarget : IFuzzTarget
{
    private static readonly byte[] s_header = FuzzTargets.Hex("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF");
    private readonly List<(MessageType Type, int Length)> _whole = [];

    public IReadOnlyList<byte[]> Seeds { get; } =
    [
        [1, .. s_header, 0, 19, 4],
        [7, .. s_header, 0, 19, 4, .. s_header, 0, 23, 2, 0, 0, 0, 0, .. s_header, 0, 23, 5, 0, 1, 0, 1],
        [0x85, .. s_header, 0, 29, 1, 4, 0xFC, 0, 0, 90, 10, 0, 0, 1, 0, .. s_header, 0, 19, 4, .. s_header, 0, 21, 3, 6, 2],
        [3, .. s_header, 0x10, 0, 2, .. new byte[4077], .. s_header, 0, 19, 4],
        [0x83, .. s_header, 0x10, 1, 2, .. new byte[4078]],
    ];

    public IReadOnlyList<byte[]> Words { get; } = [s_header, [.. s_header, 0, 19, 4], [.. s_header, 0, 23, 2, 0, 0, 0, 0]];

    public void Run(ReadOnlySpan<byte> input)
    {
        int step = input.IsEmpty ? 1 : 1 + (input[0] & 0x3F);
        int limit = !input.IsEmpty && input[0] >= 0x80 ? 65535 : 4096;
        byte[] stream = input.IsEmpty ? [] : input[1..].ToArray();

        // A waiting message is looked at again with every piece: long streams in single octets would be all that there is time for.
        step = Math.Max(step, stream.Length / 60);
        _whole.Clear();
        ReadOnlySequence<byte> buffer = new(stream);
        NotificationError whole = Read(ref buffer, limit, _whole);
        long consumed = stream.Length - buffer.Length;
        FuzzException.Unless(consumed == _whole.Sum(static message => (long)message.Length), "octets lost between messages");

        // The same in pieces: what is left over waits for the next piece, as in a connection.
        List<(MessageType Type, int Length)> parts = [];
        NotificationError error = default;
        int start = 0;
        for (int end = Math.Min(step, stream.Length); !error.IsError; end = Math.Min(end + step, stream.Length))
        {
            ReadOnlySequence<byte> piece = Pieces(stream, start, end, step);
            error = Read(ref piece, limit, parts);
            start = end - (int)piece.Length;
            if (end == stream.Length)
            {
                break;
            }
        }

        FuzzException.Unless(error == whole, $"in pieces of {step}: {error} instead of {whole}");
        FuzzException.Unless(parts.SequenceEqual(_whole), $"other messages in pieces of {step}");
        if (whole.IsError)
        {
            FuzzException.Unless(whole.Code == ErrorCode.MessageHeader && whole.Subcode is >= 1 and <= 3 && whole.Data.Length <= 2, "a header error that is none");
        }
        else
        {
            FuzzException.Unless(buffer.Length < 19 || buffer.Length < ((stream[(int)consumed + 16] << 8) | stream[(int)consumed + 17]), "a whole message was left");
        }
    }

    private static NotificationError Read(ref ReadOnlySequence<byte> buffer, int limit, List<(MessageType Type, int Length)> into)
    {
        while (true)
        {
            long before = buffer.Length;
            if (!MessageFramer.TryReadMessage(ref buffer, limit, out MessageType type, out ReadOnlySequence<byte> body, out NotificationError error))
            {
                FuzzException.Unless(buffer.Length == before, "consumed without a message");
                return error;
            }

            int length = (int)(before - buffer.Length);
            FuzzException.Unless(length == 19 + body.Length && length <= limit, "a message of another length");
            int least = type switch { MessageType.Open => 29, MessageType.Update => 23, MessageType.Notification => 21, _ => 19 };
            FuzzException.Unless(length >= least && (type != MessageType.KeepAlive || length == 19) && (type != MessageType.Open || length <= 4096), "a length that the type forbids");
            into.Add((type, length));
        }
    }

    private static ReadOnlySequence<byte> Pieces(byte[] stream, int start, int end, int step)
    {
        Segment first = new(stream.AsMemory(start, Math.Min(step, end - start)), 0);
        Segment last = first;
        for (int at = start + first.Memory.Length; at < end; at += step)
        {
            last = last.Append(stream.AsMemory(at, Math.Min(step, end - at)));
        }

        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        internal Segment(ReadOnlyMemory<byte> memory, long index) => (Memory, RunningIndex) = (memory, index);

        internal Segment Append(ReadOnlyMemory<byte> memory)
        {
            Segment next = new(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
