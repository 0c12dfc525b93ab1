namespace Bgp.Protocol;

/// <summary>Message Subtype of a ROUTE-REFRESH (RFC 7313 section 3.2).</summary>
public enum RouteRefreshSubtype : byte
{
    /// <summary>Request to send everything again (RFC 2918).</summary>
    Request = 0,

    /// <summary>Beginning of Route Refresh.</summary>
    BeginOfRefresh = 1,

    /// <summary>End of Route Refresh.</summary>
    EndOfRefresh = 2,
}

/// <summary>ROUTE-REFRESH (RFC 2918 section 3, RFC 7313).</summary>
/// <param name="Family">AFI and SAFI; may be one that was not negotiated, which the receiver ignores.</param>
/// <param name="Subtype">Subtype; values over 2 are ignored by the receiver.</param>
public readonly record struct RouteRefreshMessage(AfiSafi Family, RouteRefreshSubtype Subtype)
{
    /// <summary>
    /// Parses the body. With enhanced refresh negotiated a length other than 4 is 7/1 with the whole message as data (RFC 7313 section 5),
    /// without it 1/2; an unknown subtype is never an error. Without enhanced refresh the subtype octet is reserved and read as 0.
    /// </summary>
    /// <param name="body">Octets after the header.</param>
    /// <param name="enhanced"><see cref="NegotiatedSession.EnhancedRefresh"/>.</param>
    /// <param name="message">Only set when there is no error.</param>
    public static NotificationError TryParse(ReadOnlySpan<byte> body, bool enhanced, out RouteRefreshMessage message)
    {
        message = default;
        WireReader reader = new(body);
        if (!reader.TryReadUInt16(out ushort afi) || !reader.TryReadByte(out byte subtype) || !reader.TryReadByte(out byte safi))
        {
            return LengthError(body, enhanced);
        }

        subtype = enhanced ? subtype : (byte)0;
        if (!reader.IsEmpty && subtype <= (byte)RouteRefreshSubtype.EndOfRefresh)
        {
            return LengthError(body, enhanced);
        }

        message = new RouteRefreshMessage(AfiSafiExtensions.Join(afi, safi), (RouteRefreshSubtype)subtype);
        return default;
    }

    private static NotificationError LengthError(ReadOnlySpan<byte> body, bool enhanced)
    {
        int length = BgpConstants.HeaderLength + body.Length;
        if (!enhanced)
        {
            return NotificationError.WithData(ErrorCode.MessageHeader, HeaderSubcode.BadLength, [(byte)(length >> 8), (byte)length]);
        }

        byte[] whole = new byte[Math.Min(length, NotificationError.MaxData)];
        WireWriter writer = new(whole);
        writer.BeginMessage(MessageType.RouteRefresh);
        writer.WriteBytes(body[..(whole.Length - BgpConstants.HeaderLength)]);
        writer.PatchUInt16(BgpConstants.MarkerLength, length);
        return new NotificationError(ErrorCode.RouteRefreshMessage, RouteRefreshSubcode.InvalidLength, whole);
    }

    /// <summary>Writes the whole message and returns its length, 23; 0 when <paramref name="into"/> is too small.</summary>
    public int Write(Span<byte> into)
    {
        WireWriter writer = new(into);
        writer.BeginMessage(MessageType.RouteRefresh);
        writer.WriteUInt16(Family.Afi());
        writer.WriteByte((byte)Subtype);
        writer.WriteByte(Family.Safi());
        return writer.EndMessage();
    }
}
