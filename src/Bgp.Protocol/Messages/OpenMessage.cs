namespace Bgp.Protocol;

/// <summary>OPEN (RFC 4271 section 4.2), with extended optional parameters (RFC 9072).</summary>
public sealed class OpenMessage
{
    private const byte CapabilitiesParameter = 2;
    private const byte ExtendedLengthParameter = 255;

    /// <summary>Always 4 in a message that was accepted.</summary>
    public byte Version { get; init; } = BgpConstants.Version;

    /// <summary>My Autonomous System: the AS number, or 23456 where it does not fit (RFC 6793 section 4.1).</summary>
    public required ushort Asn2 { get; init; }

    /// <summary>Seconds; 0 or at least 3.</summary>
    public required ushort HoldTime { get; init; }

    /// <summary>BGP Identifier in host order; any value but 0 (RFC 6286).</summary>
    public required uint RouterId { get; init; }

    /// <summary>What the sender can do.</summary>
    public Capabilities Capabilities { get; init; } = Capabilities.None;

    /// <summary>The sender's AS number: from the 4-octet-AS capability when there is one.</summary>
    public uint EffectiveAsn => Capabilities.As4 ?? Asn2;

    /// <summary>An OPEN of this speaker. The 4-octet-AS capability is added to <paramref name="capabilities"/> by the caller.</summary>
    public static OpenMessage Create(uint asn, ushort holdTime, uint routerId, Capabilities capabilities) => new()
    {
        Asn2 = asn > ushort.MaxValue ? BgpConstants.AsTrans : (ushort)asn,
        HoldTime = holdTime,
        RouterId = routerId,
        Capabilities = capabilities,
    };

    /// <summary>
    /// Parses the body of an OPEN and checks all that can be checked without knowing the session (RFC 4271 section 6.2).
    /// <paramref name="message"/> is only set when there is no error.
    /// </summary>
    public static NotificationError TryParse(ReadOnlySpan<byte> body, out OpenMessage message)
    {
        message = null!;
        WireReader reader = new(body);
        if (!reader.TryReadByte(out byte version))
        {
            return Error(OpenSubcode.Unspecific);
        }

        if (version != BgpConstants.Version)
        {
            // The data is the highest supported version, in two octets.
            return NotificationError.WithData(ErrorCode.OpenMessage, OpenSubcode.UnsupportedVersion, [0, BgpConstants.Version]);
        }

        if (!reader.TryReadUInt16(out ushort asn) || !reader.TryReadUInt16(out ushort holdTime) || !reader.TryReadUInt32(out uint routerId)
            || !reader.TryReadByte(out byte parametersLength))
        {
            return Error(OpenSubcode.Unspecific);
        }

        if (asn == 0)
        {
            // RFC 7607 section 2.
            return Error(OpenSubcode.BadPeerAs);
        }

        if (holdTime is 1 or 2)
        {
            return Error(OpenSubcode.UnacceptableHoldTime);
        }

        if (routerId == 0)
        {
            return Error(OpenSubcode.BadIdentifier);
        }

        Capabilities.Collector collector = new();
        NotificationError error = ReadParameters(parametersLength, reader.Rest, collector);
        if (error.IsError)
        {
            return error;
        }

        Capabilities capabilities = collector.Build();

        // RFC 6793 section 4.1: the field repeats the number or holds AS_TRANS. RFC 7607 forbids 0 here too.
        if (capabilities.As4 is { } as4 && (as4 == 0 || (as4 != asn && asn != BgpConstants.AsTrans)))
        {
            return Error(OpenSubcode.BadPeerAs);
        }

        // AS_TRANS stands for a number that does not fit; a speaker that has no other to offer has none at all (RFC 6793 section 9).
        if ((capabilities.As4 ?? asn) == BgpConstants.AsTrans)
        {
            return Error(OpenSubcode.BadPeerAs);
        }

        message = new OpenMessage { Version = version, Asn2 = asn, HoldTime = holdTime, RouterId = routerId, Capabilities = capabilities };
        return default;
    }

    private static NotificationError ReadParameters(byte length, ReadOnlySpan<byte> octets, Capabilities.Collector collector)
    {
        // RFC 9072 section 2: the first parameter's type 255 announces the extended form; the one-octet length, never 0 then, means nothing.
        bool extended = length != 0 && !octets.IsEmpty && octets[0] == ExtendedLengthParameter;
        WireReader reader = new(octets);
        int expected = length;
        if (extended)
        {
            if (!reader.TryReadByte(out _) || !reader.TryReadUInt16(out ushort extendedLength))
            {
                return Error(OpenSubcode.Unspecific);
            }

            expected = extendedLength;
        }

        if (reader.Remaining != expected)
        {
            return Error(OpenSubcode.Unspecific);
        }

        while (!reader.IsEmpty)
        {
            int parameterLength;
            if (!reader.TryReadByte(out byte type))
            {
                return Error(OpenSubcode.Unspecific);
            }

            if (extended)
            {
                if (!reader.TryReadUInt16(out ushort wide))
                {
                    return Error(OpenSubcode.Unspecific);
                }

                parameterLength = wide;
            }
            else
            {
                if (!reader.TryReadByte(out byte narrow))
                {
                    return Error(OpenSubcode.Unspecific);
                }

                parameterLength = narrow;
            }

            if (!reader.TryReadBytes(parameterLength, out ReadOnlySpan<byte> value))
            {
                return Error(OpenSubcode.Unspecific);
            }

            if (type != CapabilitiesParameter)
            {
                return Error(OpenSubcode.UnsupportedParameter);
            }

            if (!collector.TryAdd(value))
            {
                return Error(OpenSubcode.Unspecific);
            }
        }

        return default;
    }

    private static NotificationError Error(byte subcode) => new(ErrorCode.OpenMessage, subcode);

    /// <summary>
    /// Writes the whole message with its header and returns its length; 0 when <paramref name="into"/> is too small. The extended form of
    /// RFC 9072 is used only when the parameters take more than 255 octets.
    /// </summary>
    public int Write(Span<byte> into)
    {
        Span<byte> scratch = stackalloc byte[2048];
        WireWriter capabilities = new(scratch);
        Capabilities.Write(ref capabilities);
        if (capabilities.Failed)
        {
            return 0;
        }

        ReadOnlySpan<byte> octets = capabilities.Written;
        WireWriter writer = new(into[..Math.Min(into.Length, BgpConstants.MaxMessageLength)]);
        writer.BeginMessage(MessageType.Open);
        writer.WriteByte(Version);
        writer.WriteUInt16(Asn2);
        writer.WriteUInt16(HoldTime);
        writer.WriteUInt32(RouterId);
        if (octets.IsEmpty)
        {
            writer.WriteByte(0);
        }
        else if (octets.Length <= byte.MaxValue - 2)
        {
            writer.WriteByte((byte)(octets.Length + 2));
            writer.WriteByte(CapabilitiesParameter);
            writer.WriteByte((byte)octets.Length);
            writer.WriteBytes(octets);
        }
        else
        {
            writer.WriteByte(255);
            writer.WriteByte(ExtendedLengthParameter);
            writer.WriteUInt16((ushort)(octets.Length + 3));
            writer.WriteByte(CapabilitiesParameter);
            writer.WriteUInt16((ushort)octets.Length);
            writer.WriteBytes(octets);
        }

        return writer.EndMessage();
    }
}
