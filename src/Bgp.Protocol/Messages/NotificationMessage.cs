using System.Globalization;
using System.Text;

namespace Bgp.Protocol;

/// <summary>NOTIFICATION (RFC 4271 section 4.5), shutdown communication (RFC 9003), Hard Reset encapsulation (RFC 8538 section 3.1).</summary>
public static class NotificationMessage
{
    /// <summary>The most octets of UTF-8 that a shutdown communication holds (RFC 9003 section 2).</summary>
    public const int MaxShutdownText = 255;

    /// <summary>
    /// Parses a body. Never an error: nothing may be answered to a NOTIFICATION (RFC 4271 section 6.4). One that is too short comes out as
    /// code 0, which is no error code: the session ends all the same.
    /// </summary>
    public static NotificationError Parse(ReadOnlySpan<byte> body) =>
        body.Length < 2 ? default : NotificationError.WithData(body[0], body[1], body[2..]);

    /// <summary>Writes the whole message and returns its length; 0 when <paramref name="into"/> is too small.</summary>
    public static int Write(in NotificationError error, Span<byte> into)
    {
        WireWriter writer = new(into[..Math.Min(into.Length, BgpConstants.MaxMessageLength)]);
        writer.BeginMessage(MessageType.Notification);
        writer.WriteByte(error.Code);
        writer.WriteByte(error.Subcode);
        writer.WriteBytes(error.Data.Span);
        return writer.EndMessage();
    }

    /// <summary>
    /// A Cease with a text for the operator on the other side (RFC 9003): cut at 255 octets on a character boundary. The text is only carried
    /// with Administrative Shutdown and Administrative Reset; other subcodes get no data.
    /// </summary>
    public static NotificationError Cease(byte subcode, string? text = null)
    {
        if (string.IsNullOrEmpty(text) || subcode is not (CeaseSubcode.AdministrativeShutdown or CeaseSubcode.AdministrativeReset))
        {
            return new NotificationError(ErrorCode.Cease, subcode);
        }

        byte[] data = new byte[1 + MaxShutdownText];
        int length = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (length + rune.Utf8SequenceLength > MaxShutdownText)
            {
                break;
            }

            length += rune.EncodeToUtf8(data.AsSpan(1 + length));
        }

        data[0] = (byte)length;
        return new NotificationError(ErrorCode.Cease, subcode, data.AsMemory(0, 1 + length));
    }

    /// <summary>Wraps another NOTIFICATION so that the receiver keeps no routes (RFC 8538 section 3.1).</summary>
    public static NotificationError HardReset(in NotificationError inner)
    {
        byte[] data = new byte[Math.Min(2 + inner.Data.Length, NotificationError.MaxData)];
        data[0] = inner.Code;
        data[1] = inner.Subcode;
        inner.Data.Span[..(data.Length - 2)].CopyTo(data.AsSpan(2));
        return new NotificationError(ErrorCode.Cease, CeaseSubcode.HardReset, data);
    }

    /// <summary>Whether this is a Hard Reset, and what it wraps (none when it wraps nothing).</summary>
    public static bool IsHardReset(in NotificationError error, out NotificationError inner)
    {
        bool hard = error.Code == ErrorCode.Cease && error.Subcode == CeaseSubcode.HardReset;
        inner = hard ? Parse(error.Data.Span) : default;
        return hard;
    }

    /// <summary>
    /// The shutdown communication, safe to print: control characters, line ends, bidirectional controls and octets that are not UTF-8 come out as
    /// <c>?</c>. Null when there is none or its length octet is wrong.
    /// </summary>
    public static string? ShutdownText(in NotificationError error)
    {
        ReadOnlySpan<byte> data = error.Data.Span;
        if (error.Code != ErrorCode.Cease || error.Subcode is not (CeaseSubcode.AdministrativeShutdown or CeaseSubcode.AdministrativeReset)
            || data.IsEmpty || data[0] == 0 || data.Length != 1 + data[0])
        {
            return null;
        }

        StringBuilder text = new();
        for (data = data[1..]; !data.IsEmpty;)
        {
            bool valid = Rune.DecodeFromUtf8(data, out Rune rune, out int used) == System.Buffers.OperationStatus.Done;
            data = data[used..];
            bool printable = valid && Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format
                or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned);
            text.Append(printable ? rune.ToString() : "?");
        }

        return text.ToString();
    }

    /// <summary>Code, subcode and, where there is one, the shutdown text: for logs and <c>lastError</c>.</summary>
    public static string Text(in NotificationError error)
    {
        if (IsHardReset(error, out NotificationError inner) && inner.IsError)
        {
            // One level only: a Hard Reset inside a Hard Reset is named, not opened.
            return $"Cease/Hard Reset ({Line(inner)})";
        }

        return Line(error);
    }

    private static string Line(in NotificationError error)
    {
        string what = Describe(error.Code, error.Subcode);
        return ShutdownText(error) is { } text ? $"{what}: \"{text}\"" : what;
    }

    /// <summary>Name of a code and subcode, as in <c>Cease/Administrative Shutdown</c>; unknown ones in numbers.</summary>
    public static string Describe(byte code, byte subcode) => code switch
    {
        ErrorCode.MessageHeader => Join("Message Header Error", subcode, subcode switch
        {
            HeaderSubcode.NotSynchronized => "Connection Not Synchronized",
            HeaderSubcode.BadLength => "Bad Message Length",
            HeaderSubcode.BadType => "Bad Message Type",
            _ => null,
        }),
        ErrorCode.OpenMessage => Join("OPEN Message Error", subcode, subcode switch
        {
            OpenSubcode.UnsupportedVersion => "Unsupported Version Number",
            OpenSubcode.BadPeerAs => "Bad Peer AS",
            OpenSubcode.BadIdentifier => "Bad BGP Identifier",
            OpenSubcode.UnsupportedParameter => "Unsupported Optional Parameter",
            OpenSubcode.UnacceptableHoldTime => "Unacceptable Hold Time",
            OpenSubcode.UnsupportedCapability => "Unsupported Capability",
            OpenSubcode.RoleMismatch => "Role Mismatch",
            _ => null,
        }),
        ErrorCode.UpdateMessage => Join("UPDATE Message Error", subcode, subcode switch
        {
            UpdateSubcode.MalformedAttributeList => "Malformed Attribute List",
            UpdateSubcode.UnrecognizedWellKnown => "Unrecognized Well-known Attribute",
            UpdateSubcode.MissingWellKnown => "Missing Well-known Attribute",
            UpdateSubcode.AttributeFlags => "Attribute Flags Error",
            UpdateSubcode.AttributeLength => "Attribute Length Error",
            UpdateSubcode.InvalidOrigin => "Invalid ORIGIN Attribute",
            UpdateSubcode.InvalidNextHop => "Invalid NEXT_HOP Attribute",
            UpdateSubcode.OptionalAttribute => "Optional Attribute Error",
            UpdateSubcode.InvalidNetwork => "Invalid Network Field",
            UpdateSubcode.MalformedAsPath => "Malformed AS_PATH",
            _ => null,
        }),
        ErrorCode.HoldTimerExpired => Join("Hold Timer Expired", subcode, null),
        ErrorCode.FiniteStateMachine => Join("Finite State Machine Error", subcode, subcode switch
        {
            FsmSubcode.UnexpectedInOpenSent => "Unexpected Message in OpenSent",
            FsmSubcode.UnexpectedInOpenConfirm => "Unexpected Message in OpenConfirm",
            FsmSubcode.UnexpectedInEstablished => "Unexpected Message in Established",
            _ => null,
        }),
        ErrorCode.Cease => Join("Cease", subcode, subcode switch
        {
            CeaseSubcode.MaxPrefixes => "Maximum Number of Prefixes Reached",
            CeaseSubcode.AdministrativeShutdown => "Administrative Shutdown",
            CeaseSubcode.PeerDeconfigured => "Peer De-configured",
            CeaseSubcode.AdministrativeReset => "Administrative Reset",
            CeaseSubcode.ConnectionRejected => "Connection Rejected",
            CeaseSubcode.OtherConfigurationChange => "Other Configuration Change",
            CeaseSubcode.CollisionResolution => "Connection Collision Resolution",
            CeaseSubcode.OutOfResources => "Out of Resources",
            CeaseSubcode.HardReset => "Hard Reset",
            CeaseSubcode.BfdDown => "BFD Down",
            _ => null,
        }),
        ErrorCode.RouteRefreshMessage => Join("ROUTE-REFRESH Message Error", subcode, subcode == RouteRefreshSubcode.InvalidLength ? "Invalid Message Length" : null),
        ErrorCode.SendHoldTimerExpired => Join("Send Hold Timer Expired", subcode, null),
        _ => string.Create(CultureInfo.InvariantCulture, $"Error {code}/{subcode}"),
    };

    private static string Join(string code, byte subcode, string? name) =>
        name is not null ? $"{code}/{name}" : subcode == 0 ? code : string.Create(CultureInfo.InvariantCulture, $"{code}/{subcode}");
}

/// <summary>KEEPALIVE (RFC 4271 section 4.4): a header and nothing else.</summary>
public static class KeepAliveMessage
{
    /// <summary>The 19 octets.</summary>
    public static ReadOnlySpan<byte> Octets =>
    [
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 19, (byte)MessageType.KeepAlive,
    ];

    /// <summary>Copies the message and returns its length.</summary>
    public static int Write(Span<byte> into)
    {
        Octets.CopyTo(into);
        return Octets.Length;
    }
}
