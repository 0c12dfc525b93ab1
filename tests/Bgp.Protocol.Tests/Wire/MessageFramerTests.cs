using System.Buffers;
using CsCheck;

namespace Bgp.Protocol.Tests.Wire;

/// <summary>RFC 4271 sections 4.1 and 6.1: messages come out the same however the stream is cut.</summary>
[TestFixture]
public sealed class MessageFramerTests
{
    private static readonly byte[][] s_messages =
    [
        Vectors.Message(MessageType.KeepAlive, []),
        Vectors.Message(MessageType.Update, Vectors.Update("", "", "")),
        Vectors.Message(MessageType.Open, Vectors.Hex("04 FC00 005A 0A000001 00")),
        Vectors.Message(MessageType.Notification, Vectors.Hex("06 02 03 616263")),
        Vectors.Message(MessageType.RouteRefresh, Vectors.Hex("0001 00 01")),
        Vectors.Message(MessageType.Update, Vectors.Update("", "", new string('0', 2 * 4000))),
    ];

    private static readonly Gen<byte[][]> s_streams = Gen.OneOf(s_messages).Array[1, 6];

    [Test]
    public void Any_segmentation_gives_the_same_messages() => Gen.Select(s_streams, Gen.Int[0, 9000].Array[0, 40]).Sample((messages, cuts) =>
    {
        byte[] stream = [.. messages.SelectMany(static message => message)];
        return Frame(Vectors.Cut(stream, cuts)).SequenceEqual(messages.Select(static message => Vectors.Hex(message)));
    }, iter: 3000);

    [Test]
    public void Octets_in_one_piece_give_whole_messages_alone_and_keep_the_rest() => Gen.Select(s_streams, Gen.Int[0, 9000], Gen.Int[0, 60]).Sample((messages, length, damaged) =>
    {
        byte[] stream = [.. messages.SelectMany(static message => message)];
        stream[Math.Min(damaged * 7, stream.Length - 1)] ^= damaged > 40 ? (byte)0x80 : (byte)0;
        length = Math.Min(length, stream.Length);
        ReadOnlySequence<byte> sequence = new(stream, 0, length);
        ReadOnlySpan<byte> rest = stream.AsSpan(0, length);
        while (MessageFramer.TryReadMessage(ref sequence, 4096, out MessageType type, out ReadOnlySequence<byte> body, out _))
        {
            if (!MessageFramer.TryReadMessage(ref rest, 4096, out MessageType again, out ReadOnlySpan<byte> same) || again != type || !same.SequenceEqual(body.FirstSpan))
            {
                return false;
            }
        }

        return !MessageFramer.TryReadMessage(ref rest, 4096, out _, out _) && rest.Length == sequence.Length;
    }, iter: 3000);

    [Test]
    public void Every_prefix_of_a_message_asks_for_more_and_consumes_nothing()
    {
        foreach (byte[] message in s_messages)
        {
            for (int length = 0; length < message.Length; length++)
            {
                ReadOnlySequence<byte> buffer = new(message, 0, length);
                Assert.That(MessageFramer.TryReadMessage(ref buffer, 4096, out _, out _, out NotificationError error), Is.False);
                Assert.That(error.IsError, Is.False);
                Assert.That(buffer.Length, Is.EqualTo(length));
            }
        }
    }

    [Test]
    public void A_wrong_header_is_found_with_its_19th_octet_in_any_segmentation()
    {
        byte[] header = Vectors.Hex("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF 0012 04");
        for (int cut = 1; cut < 19; cut++)
        {
            ReadOnlySequence<byte> buffer = Vectors.Cut(header, cut);
            Assert.That(MessageFramer.TryReadMessage(ref buffer, 4096, out _, out _, out NotificationError error), Is.False);
            Assert.That(error, Is.EqualTo(NotificationError.WithData(ErrorCode.MessageHeader, HeaderSubcode.BadLength, [0, 18])));
            ReadOnlySequence<byte> shorter = new(header, 0, 18);
            Assert.That(MessageFramer.TryReadMessage(ref shorter, 4096, out _, out _, out error), Is.False);
            Assert.That(error.IsError, Is.False, "18 octets");
        }
    }

    /// <summary>Type, least and greatest length without RFC 8654, greatest with it.</summary>
    [TestCase(MessageType.Open, 29, 4096, 4096)]
    [TestCase(MessageType.Update, 23, 4096, 65535)]
    [TestCase(MessageType.Notification, 21, 4096, 65535)]
    [TestCase(MessageType.KeepAlive, 19, 19, 19)]
    [TestCase(MessageType.RouteRefresh, 19, 4096, 65535)]
    public void Each_type_has_its_bounds(MessageType type, int least, int greatest, int greatestExtended)
    {
        foreach ((int max, int bound) in ((int, int)[])[(4096, greatest), (65535, greatestExtended)])
        {
            for (int length = 0; length <= 65535; length += length is < 40 or (> 4090 and < 4100) or > 65530 ? 1 : 977)
            {
                byte[] header = [.. Enumerable.Repeat((byte)0xFF, 16), (byte)(length >> 8), (byte)length, (byte)type];
                NotificationError error = MessageFramer.CheckHeader(header, max, out int seen);
                Assert.That(seen, Is.EqualTo(length));
                Assert.That(error.IsError, Is.EqualTo(length < least || length > bound), $"{type} of {length} with limit {max}");
                Assert.That(error.IsError, Is.EqualTo(error == NotificationError.WithData(1, 2, [(byte)(length >> 8), (byte)length])));
            }
        }
    }

    [Test]
    public void Every_type_but_five_is_unknown()
    {
        for (int type = 0; type < 256; type++)
        {
            byte[] header = [.. Enumerable.Repeat((byte)0xFF, 16), 0, (byte)(type == 1 ? 29 : type == 4 ? 19 : 23), (byte)type];
            NotificationError expected = type is >= 1 and <= 5 ? default : NotificationError.WithData(1, 3, [(byte)type]);
            Assert.That(MessageFramer.CheckHeader(header, 4096, out _), Is.EqualTo(expected));
        }
    }

    private static List<string> Frame(ReadOnlySequence<byte> buffer)
    {
        List<string> found = [];
        while (MessageFramer.TryReadMessage(ref buffer, 4096, out MessageType type, out ReadOnlySequence<byte> body, out _))
        {
            found.Add(Vectors.Hex(Vectors.Message(type, body.ToArray())));
        }

        Assert.That(buffer.IsEmpty);
        return found;
    }
}
