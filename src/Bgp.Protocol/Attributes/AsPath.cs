using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Bgp.Protocol;

/// <summary>Path segment types (RFC 4271 section 4.3, RFC 5065 section 3).</summary>
public static class AsSegment
{
    /// <summary>AS_SET: unordered.</summary>
    public const byte Set = 1;

    /// <summary>AS_SEQUENCE: ordered.</summary>
    public const byte Sequence = 2;

    /// <summary>AS_CONFED_SEQUENCE.</summary>
    public const byte ConfedSequence = 3;

    /// <summary>AS_CONFED_SET.</summary>
    public const byte ConfedSet = 4;

    /// <summary>The most AS numbers of one segment.</summary>
    public const int MaxCount = 255;
}

/// <summary>Walks the segments of an AS_PATH value. It stops at the first segment that does not fit, so that it is safe on anything.</summary>
public ref struct AsPathReader(ReadOnlySpan<byte> value, bool as4 = true)
{
    private readonly int _asnLength = as4 ? 4 : 2;
    private ReadOnlySpan<byte> _rest = value;

    /// <summary>Octets that were not read: not empty after the last segment means malformed.</summary>
    public readonly ReadOnlySpan<byte> Rest => _rest;

    /// <summary>Next segment: its type and its AS numbers as octets.</summary>
    public bool TryNext(out byte type, out ReadOnlySpan<byte> asns)
    {
        type = 0;
        asns = default;
        if (_rest.Length < 2)
        {
            return false;
        }

        int length = _rest[1] * _asnLength;
        if (_rest.Length - 2 < length)
        {
            return false;
        }

        type = _rest[0];
        asns = _rest.Slice(2, length);
        _rest = _rest[(2 + length)..];
        return true;
    }
}

/// <summary>What can be asked of an AS_PATH value with 4-octet AS numbers.</summary>
public static class AsPath
{
    /// <summary>Length as the decision process counts it: an AS_SET is 1 (RFC 4271 section 9.1.2.2 (a)), confederation segments 0 (RFC 5065 section 5.3).</summary>
    public static int Length(ReadOnlySpan<byte> value, bool as4 = true)
    {
        AsPathReader reader = new(value, as4);
        int length = 0;
        while (reader.TryNext(out byte type, out ReadOnlySpan<byte> asns))
        {
            length += type switch
            {
                AsSegment.Sequence => asns.Length / (as4 ? 4 : 2),
                AsSegment.Set => 1,
                _ => 0,
            };
        }

        return length;
    }

    /// <summary>First AS number when the path begins with a sequence, else 0: the neighbour AS.</summary>
    public static uint FirstAs(ReadOnlySpan<byte> value) =>
        value.Length >= 6 && value[0] == AsSegment.Sequence && value[1] != 0 ? BinaryPrimitives.ReadUInt32BigEndian(value[2..]) : 0;

    /// <summary>Last AS number when the path ends with a sequence, else 0: the origin AS (RFC 6811 section 2).</summary>
    public static uint OriginAs(ReadOnlySpan<byte> value)
    {
        AsPathReader reader = new(value);
        uint origin = 0;
        while (reader.TryNext(out byte type, out ReadOnlySpan<byte> asns))
        {
            origin = type == AsSegment.Sequence && asns.Length >= 4 ? BinaryPrimitives.ReadUInt32BigEndian(asns[^4..]) : 0;
        }

        return origin;
    }

    /// <summary>How often an AS number occurs.</summary>
    public static int Count(ReadOnlySpan<byte> value, uint asn)
    {
        AsPathReader reader = new(value);
        int count = 0;
        while (reader.TryNext(out _, out ReadOnlySpan<byte> asns))
        {
            for (; asns.Length >= 4; asns = asns[4..])
            {
                count += BinaryPrimitives.ReadUInt32BigEndian(asns) == asn ? 1 : 0;
            }
        }

        return count;
    }

    /// <summary>The path in words: <c>65001 65002 {65003 65004}</c>; confederation segments in parentheses and brackets.</summary>
    public static string Text(ReadOnlySpan<byte> value)
    {
        StringBuilder text = new();
        AsPathReader reader = new(value);
        while (reader.TryNext(out byte type, out ReadOnlySpan<byte> asns))
        {
            (string open, string close) = type switch
            {
                AsSegment.Set => ("{", "}"),
                AsSegment.ConfedSequence => ("(", ")"),
                AsSegment.ConfedSet => ("[", "]"),
                _ => ("", ""),
            };
            text.Append(text.Length > 0 ? " " : "").Append(open);
            for (int i = 0; i + 4 <= asns.Length; i += 4)
            {
                text.Append(i > 0 ? " " : "").Append(CultureInfo.InvariantCulture, $"{BinaryPrimitives.ReadUInt32BigEndian(asns[i..])}");
            }

            text.Append(close);
        }

        return text.ToString();
    }
}
