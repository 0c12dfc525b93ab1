using System.Buffers.Binary;

namespace Bgp.Protocol;

/// <summary>Turns canonical attribute sets into the octets that go out on a session.</summary>
/// <remarks>
/// For a neighbour with 4-octet AS numbers the canonical form is the wire form, so the block is one copy (two around NEXT_HOP for multiprotocol
/// families). Only for an old neighbour is AS_PATH rewritten, with AS_TRANS and, only if some AS number needs it, AS4_PATH (RFC 6793 section 4.2.2).
/// Nothing here ever shortens or wraps a length: what does not fit is refused, and the caller withdraws the route instead.
/// </remarks>
public static class UpdateEncoder
{
    /// <summary>
    /// Writes the attributes as they go on the wire, without MP_REACH_NLRI and the internal attribute. Returns the octets written, or -1 when they do not fit into
    /// <paramref name="into"/> or one of them cannot be expressed.
    /// </summary>
    /// <param name="canonical">A canonical set; strip it for external neighbours first (<see cref="PathAttributesBuilder.StripForEbgp"/>).</param>
    /// <param name="as4"><see cref="NegotiatedSession.As4"/>.</param>
    /// <param name="withNextHop">True for IPv4 prefixes in the NLRI field; false where MP_REACH_NLRI carries the next hop.</param>
    /// <param name="into">Where to write.</param>
    public static int WriteAttributes(ReadOnlySpan<byte> canonical, bool as4, bool withNextHop, Span<byte> into)
    {
        WireWriter writer = new(into);
        AttributeReader reader = new(canonical);
        ReadOnlySpan<byte> wideAggregator = default;
        ReadOnlySpan<byte> widePath = default;
        bool as4Done = as4;
        while (true)
        {
            int start = reader.Position;
            if (reader.Next(out byte flags, out byte code, out int offset, out int length) != AttributeStep.Attribute)
            {
                break;
            }

            ReadOnlySpan<byte> value = canonical.Slice(offset, length);
            if (!as4Done && code > (byte)AttributeCode.As4Aggregator)
            {
                WriteAs4(ref writer, widePath, wideAggregator);
                as4Done = true;
            }

            switch ((AttributeCode)code)
            {
                case AttributeCode.Local:
                case AttributeCode.NextHop when !withNextHop:
                    break;
                case AttributeCode.NextHop when length != 4:
                    // An IPv6 next hop cannot be said in NEXT_HOP: those prefixes need MP_REACH_NLRI (RFC 8950).
                    return -1;
                case AttributeCode.AsPath when !as4:
                    widePath = WriteNarrowPath(ref writer, value) ? value : default;
                    break;
                case AttributeCode.Aggregator when !as4 && length == 8:
                    wideAggregator = WriteNarrowAggregator(ref writer, flags, value) ? value : default;
                    break;
                default:
                    writer.WriteBytes(canonical[start..reader.Position]);
                    break;
            }
        }

        if (!as4Done)
        {
            WriteAs4(ref writer, widePath, wideAggregator);
        }

        return writer.Failed ? -1 : writer.Position;
    }

    /// <summary>Writes an End-of-RIB marker (RFC 4724 section 2) as a whole message and returns its length; 0 when it does not fit.</summary>
    public static int WriteEndOfRib(AfiSafi family, Span<byte> into)
    {
        WireWriter writer = new(into);
        writer.BeginMessage(MessageType.Update);
        writer.WriteUInt16(0);
        if (family == AfiSafi.Ipv4Unicast)
        {
            writer.WriteUInt16(0);
        }
        else
        {
            writer.WriteUInt16(6);
            writer.WriteByte((byte)AttributeFlags.Optional);
            writer.WriteByte((byte)AttributeCode.MpUnreachNlri);
            writer.WriteByte(3);
            writer.WriteUInt16(family.Afi());
            writer.WriteByte(family.Safi());
        }

        return writer.EndMessage();
    }

    private static void WriteHeader(ref WireWriter writer, byte flags, byte code, int length)
    {
        const byte kept = (byte)(AttributeFlags.Optional | AttributeFlags.Transitive | AttributeFlags.Partial);
        bool extended = length > byte.MaxValue;
        writer.WriteByte((byte)((flags & kept) | (extended ? (byte)AttributeFlags.ExtendedLength : 0)));
        writer.WriteByte(code);
        if (extended)
        {
            int at = writer.ReserveUInt16();
            writer.PatchUInt16(at, length);
        }
        else
        {
            writer.WriteByte((byte)length);
        }
    }

    /// <summary>Writes AS_PATH with 2-octet AS numbers; true when AS_TRANS had to stand in.</summary>
    private static bool WriteNarrowPath(ref WireWriter writer, ReadOnlySpan<byte> value)
    {
        int length = 0;
        AsPathReader measure = new(value);
        while (measure.TryNext(out _, out ReadOnlySpan<byte> asns))
        {
            length += 2 + (asns.Length / 2);
        }

        WriteHeader(ref writer, (byte)AttributeFlags.Transitive, (byte)AttributeCode.AsPath, length);
        bool stoodIn = false;
        AsPathReader reader = new(value);
        while (reader.TryNext(out byte type, out ReadOnlySpan<byte> asns))
        {
            writer.WriteByte(type);
            writer.WriteByte((byte)(asns.Length / 4));
            for (; !asns.IsEmpty; asns = asns[4..])
            {
                uint asn = BinaryPrimitives.ReadUInt32BigEndian(asns);
                stoodIn |= asn > ushort.MaxValue;
                writer.WriteUInt16(asn > ushort.MaxValue ? BgpConstants.AsTrans : (ushort)asn);
            }
        }

        return stoodIn;
    }

    private static bool WriteNarrowAggregator(ref WireWriter writer, byte flags, ReadOnlySpan<byte> value)
    {
        uint asn = BinaryPrimitives.ReadUInt32BigEndian(value);
        WriteHeader(ref writer, flags, (byte)AttributeCode.Aggregator, 6);
        writer.WriteUInt16(asn > ushort.MaxValue ? BgpConstants.AsTrans : (ushort)asn);
        writer.WriteBytes(value[4..]);
        return asn > ushort.MaxValue;
    }

    private static void WriteAs4(ref WireWriter writer, ReadOnlySpan<byte> path, ReadOnlySpan<byte> aggregator)
    {
        const byte flags = (byte)(AttributeFlags.Optional | AttributeFlags.Transitive);
        if (!path.IsEmpty)
        {
            WriteHeader(ref writer, flags, (byte)AttributeCode.As4Path, path.Length);
            writer.WriteBytes(path);
        }

        if (!aggregator.IsEmpty)
        {
            WriteHeader(ref writer, flags, (byte)AttributeCode.As4Aggregator, aggregator.Length);
            writer.WriteBytes(aggregator);
        }
    }
}

/// <summary>Writes one UPDATE prefix by prefix into a buffer; it cannot become longer than the session allows.</summary>
/// <remarks>
/// Announcements and withdrawals never share a message, and multiprotocol prefixes stand in the first attribute (RFC 7606 section 5.1). For those the
/// other attributes come after the prefixes, so room for them is kept back from the start.
/// </remarks>
public ref struct UpdateWriter
{
    private readonly ReadOnlySpan<byte> _tail;
    private readonly bool _addPath;
    private readonly int _attributesLengthAt;
    private readonly int _nlriLengthAt;
    private readonly int _limit;
    private readonly int _nlriAt;
    private readonly Span<byte> _buffer;
    private int _position;
    private bool _failed;

    private UpdateWriter(Span<byte> buffer, int limit, ReadOnlySpan<byte> tail, bool addPath, int attributesLengthAt, int nlriLengthAt, scoped in WireWriter head)
    {
        _buffer = buffer;
        _limit = limit;
        _tail = tail;
        _addPath = addPath;
        _attributesLengthAt = attributesLengthAt;
        _nlriLengthAt = nlriLengthAt;
        _position = _nlriAt = head.Position;
        _failed = head.Failed;
    }

    /// <summary>Prefixes that <see cref="TryAdd"/> has written so far.</summary>
    public int Count { get; private set; }

    /// <summary>Starts an UPDATE that announces prefixes.</summary>
    /// <param name="buffer">Where to write; at least <paramref name="maxLength"/> octets to use all of it.</param>
    /// <param name="maxLength"><see cref="NegotiatedSession.MaxMessageLength"/>.</param>
    /// <param name="family">Family of the prefixes.</param>
    /// <param name="attributes">From <see cref="UpdateEncoder.WriteAttributes"/>: with NEXT_HOP exactly when <paramref name="mpNextHop"/> is empty.</param>
    /// <param name="mpNextHop">4, 16 or 32 octets for MP_REACH_NLRI; empty puts IPv4 prefixes into the NLRI field.</param>
    /// <param name="addPath"><see cref="NegotiatedSession.AddPathSend"/>.</param>
    public static UpdateWriter Reach(
        Span<byte> buffer, int maxLength, AfiSafi family, ReadOnlySpan<byte> attributes, scoped ReadOnlySpan<byte> mpNextHop, bool addPath)
    {
        int limit = Math.Min(buffer.Length, maxLength);
        WireWriter head = new(buffer[..limit]);
        head.BeginMessage(MessageType.Update);
        head.WriteUInt16(0);
        int attributesLengthAt = head.ReserveUInt16();
        if (mpNextHop.IsEmpty)
        {
            head.WriteBytes(attributes);
            head.PatchUInt16(attributesLengthAt, attributes.Length);
            return new UpdateWriter(buffer, limit, default, addPath, 0, 0, head);
        }

        head.WriteByte((byte)(AttributeFlags.Optional | AttributeFlags.ExtendedLength));
        head.WriteByte((byte)AttributeCode.MpReachNlri);
        int nlriLengthAt = head.ReserveUInt16();
        head.WriteUInt16(family.Afi());
        head.WriteByte(family.Safi());
        head.WriteByte((byte)mpNextHop.Length);
        head.WriteBytes(mpNextHop);
        head.WriteByte(0);
        return new UpdateWriter(buffer, limit, attributes, addPath, attributesLengthAt, nlriLengthAt, head);
    }

    /// <summary>Starts an UPDATE that withdraws prefixes.</summary>
    public static UpdateWriter Unreach(Span<byte> buffer, int maxLength, AfiSafi family, bool addPath)
    {
        int limit = Math.Min(buffer.Length, maxLength);
        WireWriter head = new(buffer[..limit]);
        head.BeginMessage(MessageType.Update);
        int withdrawnLengthAt = head.ReserveUInt16();
        if (family == AfiSafi.Ipv4Unicast)
        {
            // What follows the prefixes is an empty Total Path Attribute Length.
            return new UpdateWriter(buffer, limit, EmptyLength, addPath, 0, withdrawnLengthAt, head);
        }

        int attributesLengthAt = head.ReserveUInt16();
        head.WriteByte((byte)(AttributeFlags.Optional | AttributeFlags.ExtendedLength));
        head.WriteByte((byte)AttributeCode.MpUnreachNlri);
        int nlriLengthAt = head.ReserveUInt16();
        head.WriteUInt16(family.Afi());
        head.WriteByte(family.Safi());
        return new UpdateWriter(buffer, limit, default, addPath, attributesLengthAt, nlriLengthAt, head);
    }

    private static ReadOnlySpan<byte> EmptyLength => [0, 0];

    /// <summary>
    /// Adds a prefix. False when it does not fit: finish this message and start another; if <see cref="Count"/> is 0, these attributes do not fit any
    /// message with this prefix, which must then be withdrawn instead.
    /// </summary>
    public bool TryAdd<TPrefix>(in TPrefix prefix, uint pathId = 0)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        int size = prefix.WireLength + (_addPath ? 4 : 0);
        if (_failed || _limit - _tail.Length - _position < size)
        {
            return false;
        }

        if (_addPath)
        {
            BinaryPrimitives.WriteUInt32BigEndian(_buffer[_position..], pathId);
            _position += 4;
        }

        _position += prefix.Write(_buffer[_position..]);
        Count++;
        return true;
    }

    /// <summary>
    /// Adds prefixes that are encoded already, with their path identifiers where the session has them, as many as fit whole. Returns their octets: when
    /// that is less than all, this message is full.
    /// </summary>
    public int AddEncoded(ReadOnlySpan<byte> nlri)
    {
        int room = _limit - _tail.Length - _position;
        if (_failed || room <= 0)
        {
            return 0;
        }

        if (nlri.Length > room)
        {
            nlri = nlri[..WholePrefixes(nlri, room)];
        }

        nlri.CopyTo(_buffer[_position..]);
        _position += nlri.Length;
        return nlri.Length;
    }

    private readonly int WholePrefixes(ReadOnlySpan<byte> nlri, int room)
    {
        int identifier = _addPath ? 4 : 0;
        int end = 0;
        while (true)
        {
            int next = end + identifier;
            next += 1 + ((nlri[next] + 7) >> 3);
            if (next > room)
            {
                return end;
            }

            end = next;
        }
    }

    /// <summary>Fills in the lengths and returns the octets of the message; 0 when no prefix was added.</summary>
    public int Finish()
    {
        if (_failed || _position == _nlriAt)
        {
            return 0;
        }

        if (_nlriLengthAt != 0)
        {
            BinaryPrimitives.WriteUInt16BigEndian(_buffer[_nlriLengthAt..], (ushort)(_position - _nlriLengthAt - 2));
        }

        _tail.CopyTo(_buffer[_position..]);
        _position += _tail.Length;
        if (_attributesLengthAt != 0)
        {
            BinaryPrimitives.WriteUInt16BigEndian(_buffer[_attributesLengthAt..], (ushort)(_position - _attributesLengthAt - 2));
        }

        BinaryPrimitives.WriteUInt16BigEndian(_buffer[BgpConstants.MarkerLength..], (ushort)_position);
        return _position;
    }
}
