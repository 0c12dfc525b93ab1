using System.Buffers;
using System.Buffers.Binary;

namespace Bgp.Protocol;

/// <summary>Cuts a byte stream into messages (RFC 4271 sections 4.1 and 6.1).</summary>
/// <remarks>
/// A header is judged the moment its 19 octets are there: a bad marker, length or type ends the session without waiting for a body that may
/// never come. The limit of RFC 8654 is never applied to OPEN, and KEEPALIVE has exactly one length. ROUTE-REFRESH shorter than its
/// fields passes here, because what is answered depends on the session (RFC 7313 section 5): see <see cref="RouteRefreshMessage"/>.
/// </remarks>
public static class MessageFramer
{
    /// <summary>
    /// Takes the next whole message off <paramref name="buffer"/>. False without an error: more octets are needed. False with an error:
    /// the session must end with that NOTIFICATION. The buffer moves only when true is returned.
    /// </summary>
    /// <param name="buffer">Received octets, in any segmentation.</param>
    /// <param name="maxLength"><see cref="NegotiatedSession.MaxMessageLength"/>; 4096 until the session is established.</param>
    /// <param name="type">Type of the message.</param>
    /// <param name="body">What follows the header, in place.</param>
    /// <param name="error">Header error, or none.</param>
    public static bool TryReadMessage(
        ref ReadOnlySequence<byte> buffer, int maxLength, out MessageType type, out ReadOnlySequence<byte> body, out NotificationError error)
    {
        type = MessageType.None;
        body = default;
        error = default;
        ReadOnlySpan<byte> first = buffer.FirstSpan;
        Span<byte> copy = stackalloc byte[BgpConstants.HeaderLength];
        scoped ReadOnlySpan<byte> header;
        if (first.Length >= BgpConstants.HeaderLength)
        {
            header = first[..BgpConstants.HeaderLength];
        }
        else if (buffer.Length >= BgpConstants.HeaderLength)
        {
            buffer.Slice(0, BgpConstants.HeaderLength).CopyTo(copy);
            header = copy;
        }
        else
        {
            return false;
        }

        error = CheckHeader(header, maxLength, out int length);
        if (error.IsError || buffer.Length < length)
        {
            return false;
        }

        type = (MessageType)header[18];
        body = buffer.Slice(BgpConstants.HeaderLength, length - BgpConstants.HeaderLength);
        buffer = buffer.Slice(length);
        return true;
    }

    /// <summary>
    /// The same for octets that lie in one piece, and without error: false says that the other form has to look, be it because octets are missing.
    /// Nearly every message of a neighbour in full flow lies so.
    /// </summary>
    public static bool TryReadMessage(ref ReadOnlySpan<byte> buffer, int maxLength, out MessageType type, out ReadOnlySpan<byte> body)
    {
        type = MessageType.None;
        body = default;
        if (buffer.Length < BgpConstants.HeaderLength || CheckHeader(buffer[..BgpConstants.HeaderLength], maxLength, out int length).IsError || buffer.Length < length)
        {
            return false;
        }

        type = (MessageType)buffer[18];
        body = buffer[BgpConstants.HeaderLength..length];
        buffer = buffer[length..];
        return true;
    }

    /// <summary>Judges 19 octets of header; <paramref name="length"/> is the length of the whole message.</summary>
    public static NotificationError CheckHeader(ReadOnlySpan<byte> header, int maxLength, out int length)
    {
        length = BinaryPrimitives.ReadUInt16BigEndian(header[16..]);
        if ((BinaryPrimitives.ReadUInt64BigEndian(header) & BinaryPrimitives.ReadUInt64BigEndian(header[8..])) != ulong.MaxValue)
        {
            return new NotificationError(ErrorCode.MessageHeader, HeaderSubcode.NotSynchronized);
        }

        byte type = header[18];
        bool bad = length < BgpConstants.HeaderLength || length > maxLength || type switch
        {
            (byte)MessageType.Open => length is < BgpConstants.MinOpenLength or > BgpConstants.MaxMessageLength,
            (byte)MessageType.Update => length < BgpConstants.MinUpdateLength,
            (byte)MessageType.Notification => length < BgpConstants.MinNotificationLength,
            (byte)MessageType.KeepAlive => length != BgpConstants.HeaderLength,
            _ => false,
        };
        if (bad)
        {
            // RFC 4271 section 6.1: the data field is the erroneous Length field.
            return NotificationError.WithData(ErrorCode.MessageHeader, HeaderSubcode.BadLength, header.Slice(16, 2));
        }

        return type is >= (byte)MessageType.Open and <= (byte)MessageType.RouteRefresh
            ? default
            : NotificationError.WithData(ErrorCode.MessageHeader, HeaderSubcode.BadType, header.Slice(18, 1));
    }
}
