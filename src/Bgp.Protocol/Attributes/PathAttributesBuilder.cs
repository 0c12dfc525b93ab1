using System.Buffers.Binary;

namespace Bgp.Protocol;

/// <summary>Copies a canonical attribute set into a caller's buffer and edits it there. The result is canonical again.</summary>
/// <remarks>
/// Sets are short (60 octets is usual), so every edit finds its place by a walk and moves the tail: no list of edits, no second buffer, no
/// allocation. An edit that does not fit the buffer, or would make a value longer than 65535 octets, sets <see cref="Failed"/>: the set stays
/// well formed but the edit is missing, and the caller must not use it.
/// </remarks>
public ref struct PathAttributesBuilder
{
    /// <summary>Room that no sequence of a few edits of an ordinary set exceeds; add the source's length.</summary>
    public const int Headroom = 2048;

    private readonly Span<byte> _buffer;
    private int _length;
    private bool _failed;

    /// <summary>Starts from a canonical set. <paramref name="buffer"/> should have <see cref="Headroom"/> more than the source.</summary>
    public PathAttributesBuilder(ReadOnlySpan<byte> source, Span<byte> buffer)
    {
        _buffer = buffer;
        if (source.Length > buffer.Length)
        {
            _failed = true;
            return;
        }

        source.CopyTo(buffer);
        _length = source.Length;
    }

    /// <summary>A new set with the mandatory attributes: ORIGIN, an empty AS_PATH, and NEXT_HOP unless it is none.</summary>
    public static PathAttributesBuilder Originate(Span<byte> buffer, Origin origin, IpAddr nextHop)
    {
        PathAttributesBuilder builder = new([], buffer);
        builder.SetOrigin(origin);
        builder.SetAsPath([]);
        if (!nextHop.IsNone)
        {
            builder.SetNextHop(nextHop);
        }

        return builder;
    }

    /// <summary>Whether an edit did not fit.</summary>
    public readonly bool Failed => _failed;

    /// <summary>The canonical octets, in the caller's buffer; empty when an edit did not fit.</summary>
    public readonly ReadOnlySpan<byte> Build() => _failed ? default : _buffer[.._length];

    /// <summary>Whether the attribute is there.</summary>
    public readonly bool Has(AttributeCode code) => PathAttributes.Find(_buffer[.._length], (byte)code, out _, out _);

    /// <summary>Value of an attribute; empty when absent. Valid until the next edit.</summary>
    public readonly ReadOnlySpan<byte> ValueOf(AttributeCode code) =>
        PathAttributes.Find(_buffer[.._length], (byte)code, out int offset, out int length) ? _buffer.Slice(offset, length) : default;

    /// <summary>Sets ORIGIN.</summary>
    public void SetOrigin(Origin origin) => Set(AttributeCode.Origin, [(byte)origin]);

    /// <summary>Sets AS_PATH to segments with 4-octet AS numbers.</summary>
    public void SetAsPath(ReadOnlySpan<byte> segments) => Set(AttributeCode.AsPath, segments);

    /// <summary>Sets the next hop. A link-local address counts only beside an IPv6 one (RFC 2545 section 3).</summary>
    public void SetNextHop(IpAddr nextHop, IpAddr linkLocal = default)
    {
        Span<byte> octets = stackalloc byte[32];
        int length = nextHop.Write(octets);
        if (nextHop.IsV6 && linkLocal.IsV6)
        {
            length += linkLocal.Write(octets[length..]);
        }

        Set(AttributeCode.NextHop, octets[..length]);
    }

    /// <summary>Sets LOCAL_PREF.</summary>
    public void SetLocalPref(uint value) => SetUInt32(AttributeCode.LocalPref, value);

    /// <summary>Removes LOCAL_PREF.</summary>
    public void RemoveLocalPref() => Remove(AttributeCode.LocalPref);

    /// <summary>Sets MULTI_EXIT_DISC.</summary>
    public void SetMed(uint value) => SetUInt32(AttributeCode.MultiExitDisc, value);

    /// <summary>Removes MULTI_EXIT_DISC.</summary>
    public void RemoveMed() => Remove(AttributeCode.MultiExitDisc);

    /// <summary>Sets ORIGINATOR_ID, host order.</summary>
    public void SetOriginatorId(uint routerId) => SetUInt32(AttributeCode.OriginatorId, routerId);

    /// <summary>Sets ORIGINATOR_ID only where there is none (RFC 4456 section 8: never changed).</summary>
    public void SetOriginatorIdIfAbsent(uint routerId)
    {
        if (!Has(AttributeCode.OriginatorId))
        {
            SetOriginatorId(routerId);
        }
    }

    /// <summary>Puts a cluster id in front of CLUSTER_LIST (RFC 4456 section 8).</summary>
    public void PrependClusterId(uint clusterId)
    {
        Span<byte> octets = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(octets, clusterId);
        Insert(AttributeCode.ClusterList, 0, octets);
    }

    /// <summary>
    /// Puts an AS number in front of AS_PATH <paramref name="count"/> times as part of an AS_SEQUENCE; opens a new segment where the first one is of
    /// another type or has 255 AS numbers already (RFC 4271 section 5.1.2).
    /// </summary>
    public void PrependAs(uint asn, int count = 1)
    {
        Span<byte> run = stackalloc byte[2 + (4 * AsSegment.MaxCount)];
        while (count > 0 && !_failed)
        {
            ReadOnlySpan<byte> path = ValueOf(AttributeCode.AsPath);
            int room = path.Length >= 2 && path[0] == AsSegment.Sequence ? AsSegment.MaxCount - path[1] : 0;
            int now = Math.Min(count, room > 0 ? room : AsSegment.MaxCount);
            for (int i = 0; i < now; i++)
            {
                BinaryPrimitives.WriteUInt32BigEndian(run[(2 + (4 * i))..], asn);
            }

            if (room > 0)
            {
                Insert(AttributeCode.AsPath, 2, run.Slice(2, 4 * now));
                if (!_failed && PathAttributes.Find(_buffer[.._length], (byte)AttributeCode.AsPath, out int offset, out _))
                {
                    _buffer[offset + 1] += (byte)now;
                }
            }
            else
            {
                run[0] = AsSegment.Sequence;
                run[1] = (byte)now;
                Insert(AttributeCode.AsPath, 0, run[..(2 + (4 * now))]);
            }

            count -= now;
        }
    }

    /// <summary>Puts AS numbers in front of AS_PATH, so that it begins with them in this order.</summary>
    public void PrependAs(IReadOnlyList<uint> asns)
    {
        for (int i = asns.Count - 1; i >= 0; i--)
        {
            PrependAs(asns[i]);
        }
    }

    /// <summary>Adds a standard community at the end; nothing when it is there already.</summary>
    public void AddCommunity(uint community)
    {
        ReadOnlySpan<byte> value = ValueOf(AttributeCode.Communities);
        if (PathAttributes.IndexOfCommunity(value, community) >= 0)
        {
            return;
        }

        Span<byte> octets = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(octets, community);
        Insert(AttributeCode.Communities, value.Length, octets);
    }

    /// <summary>Removes a standard community wherever it occurs; the attribute goes with the last one.</summary>
    public void RemoveCommunity(uint community)
    {
        for (int index; (index = PathAttributes.IndexOfCommunity(ValueOf(AttributeCode.Communities), community)) >= 0;)
        {
            Cut(AttributeCode.Communities, 4 * index, 4);
        }
    }

    /// <summary>Adds a large community at the end; nothing when it is there already.</summary>
    public void AddLargeCommunity(LargeCommunity community)
    {
        ReadOnlySpan<byte> value = ValueOf(AttributeCode.LargeCommunities);
        if (IndexOfLarge(value, community) >= 0)
        {
            return;
        }

        Span<byte> octets = stackalloc byte[LargeCommunity.WireLength];
        community.Write(octets);
        Insert(AttributeCode.LargeCommunities, value.Length, octets);
    }

    /// <summary>Adds a large community at the end; nothing when it is there already.</summary>
    public void AddLargeCommunity(uint global, uint data1, uint data2) => AddLargeCommunity(new LargeCommunity(global, data1, data2));

    /// <summary>Removes a large community wherever it occurs.</summary>
    public void RemoveLargeCommunity(LargeCommunity community)
    {
        for (int at; (at = IndexOfLarge(ValueOf(AttributeCode.LargeCommunities), community)) >= 0;)
        {
            Cut(AttributeCode.LargeCommunities, at, LargeCommunity.WireLength);
        }
    }

    /// <summary>Sets the internal attribute.</summary>
    public void SetLocal(in LocalRouteInfo info)
    {
        Span<byte> octets = stackalloc byte[LocalRouteInfoCodec.MaxLength];
        Set(AttributeCode.Local, octets[..LocalRouteInfoCodec.Write(info, octets)]);
    }

    /// <summary>Removes the internal attribute: before anything leaves this host.</summary>
    public void StripLocal() => Remove(AttributeCode.Local);

    /// <summary>
    /// Removes what must not cross an AS border: LOCAL_PREF (RFC 4271 section 5.1.5), ORIGINATOR_ID and CLUSTER_LIST (RFC 4456 section 8), every other
    /// non-transitive attribute that this speaker does not know, non-transitive extended communities (RFC 4360 section 6), and the internal attribute.
    /// MULTI_EXIT_DISC stays: whether it may go on depends on whose it is (RFC 4271 section 5.1.4).
    /// </summary>
    public void StripForEbgp()
    {
        StripLocal();
        int position = 0;
        while (position < _length)
        {
            AttributeReader reader = new(_buffer[position.._length]);
            if (reader.Next(out byte flags, out byte code, out _, out _) != AttributeStep.Attribute)
            {
                break;
            }

            int end = position + reader.Position;
            AttributeDescriptor? known = AttributeDescriptor.Find(code);
            bool internalOnly = known is not null ? known.InternalOnly : (flags & (byte)AttributeFlags.Transitive) == 0;
            if (internalOnly)
            {
                _buffer[end.._length].CopyTo(_buffer[position..]);
                _length -= end - position;
            }
            else
            {
                position = end;
            }
        }

        for (int i = 0; i < ValueOf(AttributeCode.ExtendedCommunities).Length;)
        {
            if (ExtendedCommunity.IsTransitive(ValueOf(AttributeCode.ExtendedCommunities)[i]))
            {
                i += ExtendedCommunity.WireLength;
            }
            else
            {
                Cut(AttributeCode.ExtendedCommunities, i, ExtendedCommunity.WireLength);
            }
        }
    }

    /// <summary>Removes an attribute; nothing when it is absent.</summary>
    public void Remove(AttributeCode code)
    {
        if (Locate(code, out int start, out int end))
        {
            _buffer[end.._length].CopyTo(_buffer[start..]);
            _length -= end - start;
        }
    }

    /// <summary>Sets an attribute that this speaker knows to a value in canonical form.</summary>
    public void Set(AttributeCode code, scoped ReadOnlySpan<byte> value)
    {
        AttributeFlags flags = AttributeDescriptor.Find((byte)code)?.Flags ?? AttributeFlags.None;
        Replace(code, (byte)flags, value);
    }

    private void SetUInt32(AttributeCode code, uint value)
    {
        Span<byte> octets = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(octets, value);
        Set(code, octets);
    }

    /// <summary>Start and end of an attribute, or of the gap where it belongs.</summary>
    private readonly bool Locate(AttributeCode code, out int start, out int end)
    {
        AttributeReader reader = new(_buffer[.._length]);
        start = 0;
        end = 0;
        while (reader.Next(out _, out byte at, out _, out _) == AttributeStep.Attribute)
        {
            if (at >= (byte)code)
            {
                end = at == (byte)code ? reader.Position : start;
                return at == (byte)code;
            }

            start = reader.Position;
        }

        end = start;
        return false;
    }

    private void Replace(AttributeCode code, byte flags, scoped ReadOnlySpan<byte> value)
    {
        Locate(code, out int start, out int end);
        int size = AttributeReader.WireLength(value.Length);
        if (value.Length > ushort.MaxValue || _length - (end - start) + size > _buffer.Length)
        {
            _failed = true;
            return;
        }

        _buffer[end.._length].CopyTo(_buffer[(start + size)..]);
        _length += size - (end - start);
        WriteHeader(start, flags, (byte)code, value.Length);
        value.CopyTo(_buffer[(start + size - value.Length)..]);
    }

    private readonly void WriteHeader(int at, byte flags, byte code, int length)
    {
        bool extended = length > byte.MaxValue;
        _buffer[at] = (byte)((flags & 0xE0) | (extended ? (byte)AttributeFlags.ExtendedLength : 0));
        _buffer[at + 1] = code;
        if (extended)
        {
            BinaryPrimitives.WriteUInt16BigEndian(_buffer[(at + 2)..], (ushort)length);
        }
        else
        {
            _buffer[at + 2] = (byte)length;
        }
    }

    /// <summary>Inserts octets into the value of an attribute, which is made when it is absent.</summary>
    private void Insert(AttributeCode code, int valueOffset, scoped ReadOnlySpan<byte> octets)
    {
        if (!Locate(code, out int start, out int end))
        {
            Set(code, octets);
            return;
        }

        int oldHeader = (_buffer[start] & (byte)AttributeFlags.ExtendedLength) != 0 ? 4 : 3;
        int oldLength = end - start - oldHeader;
        int length = oldLength + octets.Length;
        int header = length > byte.MaxValue ? 4 : 3;
        int grow = octets.Length + header - oldHeader;
        if (length > ushort.MaxValue || _length + grow > _buffer.Length)
        {
            _failed = true;
            return;
        }

        // Back to front: everything after the point of insertion, then what is before it if the header grew.
        int point = start + oldHeader + valueOffset;
        _buffer[point.._length].CopyTo(_buffer[(point + grow)..]);
        _buffer.Slice(start + oldHeader, valueOffset).CopyTo(_buffer[(start + header)..]);
        octets.CopyTo(_buffer[(start + header + valueOffset)..]);
        _length += grow;
        WriteHeader(start, _buffer[start], (byte)code, length);
    }

    /// <summary>Takes octets out of the value of an attribute; an attribute that becomes empty is removed.</summary>
    private void Cut(AttributeCode code, int valueOffset, int count)
    {
        if (!Locate(code, out int start, out int end))
        {
            return;
        }

        int oldHeader = (_buffer[start] & (byte)AttributeFlags.ExtendedLength) != 0 ? 4 : 3;
        int length = end - start - oldHeader - count;
        if (length <= 0)
        {
            Remove(code);
            return;
        }

        int header = length > byte.MaxValue ? 4 : 3;
        int point = start + oldHeader + valueOffset;
        int target = start + header + valueOffset;
        _buffer.Slice(start + oldHeader, valueOffset).CopyTo(_buffer[(start + header)..]);
        _buffer[(point + count).._length].CopyTo(_buffer[target..]);
        _length -= count + oldHeader - header;
        WriteHeader(start, _buffer[start], (byte)code, length);
    }

    private static int IndexOfLarge(ReadOnlySpan<byte> value, LargeCommunity community)
    {
        for (int i = 0; i + LargeCommunity.WireLength <= value.Length; i += LargeCommunity.WireLength)
        {
            if (LargeCommunity.Read(value[i..]) == community)
            {
                return i;
            }
        }

        return -1;
    }
}
