using System.Buffers.Binary;

namespace Bgp.Protocol;

/// <content>AS_PATH and AGGREGATOR with their 2-octet forms (RFC 6793).</content>
public sealed partial class PathAttributesParser
{
    private void CheckAsPath(ReadOnlySpan<byte> value, in UpdateView view, NegotiatedSession session, AttributeRules rules)
    {
        // RFC 5065 section 5: confederation segments from outside a confederation are malformed, and this speaker is in none.
        string? fault = CheckSegments(value, session.As4, allowConfederation: false, out bool hasSet);
        if (fault is not null)
        {
            Note(UpdateAction.TreatAsWithdraw, AttributeCode.AsPath, UpdateSubcode.MalformedAsPath, fault);
            return;
        }

        if (!view.HasReachableNlri)
        {
            return;
        }

        if (hasSet && rules.RejectAsSets)
        {
            Note(UpdateAction.TreatAsWithdraw, AttributeCode.AsPath, UpdateSubcode.MalformedAsPath, "AS_SET in AS_PATH");
        }

        if (!session.As4)
        {
            Widen(value);
        }

        if (!session.IsIbgp && rules.EnforceFirstAs)
        {
            uint first = AsPath.FirstAs(session.As4 ? value : _path.AsSpan(0, _pathLength));
            uint expected = !session.As4 && session.PeerAsn > ushort.MaxValue ? BgpConstants.AsTrans : session.PeerAsn;
            if (first != expected)
            {
                Note(UpdateAction.TreatAsWithdraw, AttributeCode.AsPath, UpdateSubcode.MalformedAsPath, "first AS of AS_PATH is not the neighbour's");
            }
        }
    }

    /// <summary>What is wrong with the segments (RFC 7606 section 7.2, RFC 7607), or null.</summary>
    private static string? CheckSegments(ReadOnlySpan<byte> value, bool as4, bool allowConfederation, out bool hasSet)
    {
        hasSet = false;
        AsPathReader reader = new(value, as4);
        while (reader.TryNext(out byte type, out ReadOnlySpan<byte> asns))
        {
            switch (type)
            {
                case AsSegment.Set:
                    hasSet = true;
                    break;
                case AsSegment.Sequence:
                    break;
                case AsSegment.ConfedSequence or AsSegment.ConfedSet when allowConfederation:
                    break;
                case AsSegment.ConfedSequence or AsSegment.ConfedSet:
                    return "confederation segment in AS_PATH";
                default:
                    return "unknown segment type in AS_PATH";
            }

            if (asns.IsEmpty)
            {
                return "empty segment in AS_PATH";
            }

            if (as4)
            {
                for (; !asns.IsEmpty; asns = asns[4..])
                {
                    if (BinaryPrimitives.ReadUInt32BigEndian(asns) == 0)
                    {
                        return "AS 0 in AS_PATH";
                    }
                }
            }
            else
            {
                for (; !asns.IsEmpty; asns = asns[2..])
                {
                    if (BinaryPrimitives.ReadUInt16BigEndian(asns) == 0)
                    {
                        return "AS 0 in AS_PATH";
                    }
                }
            }
        }

        return reader.Rest.IsEmpty ? null : "segment overruns AS_PATH";
    }

    /// <summary>Writes a path of 2-octet AS numbers with 4 octets each into <see cref="_path"/>.</summary>
    private void Widen(ReadOnlySpan<byte> value)
    {
        Reserve(ref _path, 2 * value.Length);
        _pathLength = 0;
        AsPathReader reader = new(value, as4: false);
        while (reader.TryNext(out byte type, out ReadOnlySpan<byte> asns))
        {
            _path[_pathLength] = type;
            _path[_pathLength + 1] = (byte)(asns.Length / 2);
            _pathLength += 2;
            for (; !asns.IsEmpty; asns = asns[2..])
            {
                BinaryPrimitives.WriteUInt32BigEndian(_path.AsSpan(_pathLength), BinaryPrimitives.ReadUInt16BigEndian(asns));
                _pathLength += 4;
            }
        }
    }

    /// <summary>AS_PATH with 4-octet AS numbers, AS4_PATH merged in where the neighbour sends 2 (RFC 6793 section 4.2.3).</summary>
    private ReadOnlySpan<byte> Path(ReadOnlySpan<byte> attributes, NegotiatedSession session)
    {
        if (session.As4)
        {
            return Value(attributes, AttributeCode.AsPath);
        }

        if (!_useMerged)
        {
            // Once per UPDATE: from here on _path holds the answer.
            _useMerged = true;
            ReadOnlySpan<byte> as4Path = Value(attributes, AttributeCode.As4Path);
            if (!as4Path.IsEmpty && !As4Ignored(attributes))
            {
                Merge(as4Path);
            }
        }

        return _path.AsSpan(0, _pathLength);
    }

    /// <summary>RFC 6793 section 4.2.3: an AGGREGATOR that does not hold AS_TRANS was written after the AS4 attributes, which are stale.</summary>
    private bool As4Ignored(ReadOnlySpan<byte> attributes)
    {
        ReadOnlySpan<byte> aggregator = Value(attributes, AttributeCode.Aggregator);
        return !aggregator.IsEmpty && Seen((int)AttributeCode.As4Aggregator)
            && BinaryPrimitives.ReadUInt16BigEndian(aggregator) != BgpConstants.AsTrans;
    }

    private void Merge(ReadOnlySpan<byte> as4Path)
    {
        ReadOnlySpan<byte> path = _path.AsSpan(0, _pathLength);
        int lead = AsPath.Length(path) - AsPath.Length(as4Path);
        if (lead < 0)
        {
            return;
        }

        Reserve(ref _merged, path.Length + as4Path.Length + 2);
        int length = 0;
        _lastSegment = -1;
        AsPathReader leading = new(path);
        while (lead > 0 && leading.TryNext(out byte type, out ReadOnlySpan<byte> asns))
        {
            if (type == AsSegment.Sequence)
            {
                int take = Math.Min(lead, asns.Length / 4);
                length = Append(length, type, asns[..(4 * take)]);
                lead -= take;
            }
            else
            {
                length = Append(length, type, asns);
                lead--;
            }
        }

        AsPathReader trailing = new(as4Path);
        while (trailing.TryNext(out byte type, out ReadOnlySpan<byte> asns))
        {
            // RFC 6793 section 6: confederation segments must not be in AS4_PATH and are left out.
            if (type is AsSegment.Sequence or AsSegment.Set)
            {
                length = Append(length, type, asns);
            }
        }

        (_path, _merged) = (_merged, _path);
        _pathLength = length;
    }

    /// <summary>Appends a segment to <see cref="_merged"/>; two sequences that fit into one become one, as they were before they were split.</summary>
    private int Append(int length, byte type, ReadOnlySpan<byte> asns)
    {
        int last = _lastSegment;
        if (type == AsSegment.Sequence && last >= 0 && _merged[last] == AsSegment.Sequence && _merged[last + 1] + (asns.Length / 4) <= AsSegment.MaxCount)
        {
            _merged[last + 1] += (byte)(asns.Length / 4);
        }
        else
        {
            _lastSegment = length;
            _merged[length] = type;
            _merged[length + 1] = (byte)(asns.Length / 4);
            length += 2;
        }

        asns.CopyTo(_merged.AsSpan(length));
        return length + asns.Length;
    }

    /// <summary>AGGREGATOR with a 4-octet AS number.</summary>
    private ReadOnlySpan<byte> Aggregator(ReadOnlySpan<byte> attributes, NegotiatedSession session)
    {
        ReadOnlySpan<byte> value = Value(attributes, AttributeCode.Aggregator);
        if (session.As4)
        {
            return value;
        }

        ReadOnlySpan<byte> wide = Value(attributes, AttributeCode.As4Aggregator);
        if (!wide.IsEmpty && !As4Ignored(attributes))
        {
            return wide;
        }

        _aggregator[0] = 0;
        _aggregator[1] = 0;
        value.CopyTo(_aggregator.AsSpan(2));
        return _aggregator;
    }

    private static void Reserve(ref byte[] buffer, int size)
    {
        if (buffer.Length < size)
        {
            buffer = new byte[Math.Max(size, Math.Max(256, 2 * buffer.Length))];
        }
    }
}
