using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Bgp.Protocol;

/// <summary>How a walk over path attributes ended or goes on.</summary>
public enum AttributeStep : byte
{
    /// <summary>An attribute was read.</summary>
    Attribute,

    /// <summary>All octets were read.</summary>
    End,

    /// <summary>The declared length runs past the enclosing field, or too few octets are left for a header (RFC 7606 section 4).</summary>
    Overrun,
}

/// <summary>
/// Walks path attributes: flags, code, one or two octets of length, value (RFC 4271 section 4.3), from a position where one begins. Never throws.
/// </summary>
public ref struct AttributeReader(ReadOnlySpan<byte> attributes, int position = 0)
{
    private readonly ReadOnlySpan<byte> _all = attributes;
    private int _position = position;

    /// <summary>Offset of the next attribute, or of the one that overruns.</summary>
    public readonly int Position => _position;

    /// <summary>Reads the next attribute. On <see cref="AttributeStep.Overrun"/> flags and code are set if their octets are there.</summary>
    /// <param name="flags">The flag octet as received.</param>
    /// <param name="code">The type code.</param>
    /// <param name="valueOffset">Where the value begins.</param>
    /// <param name="length">Octets of the value.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public AttributeStep Next(out byte flags, out byte code, out int valueOffset, out int length)
    {
        // Nearly every attribute: a whole header with a short length, and the value is there.
        ReadOnlySpan<byte> rest = _all[_position..];
        if (rest.Length >= 3 && (rest[0] & (byte)AttributeFlags.ExtendedLength) == 0 && rest[2] <= rest.Length - 3)
        {
            flags = rest[0];
            code = rest[1];
            length = rest[2];
            valueOffset = _position + 3;
            _position = valueOffset + length;
            return AttributeStep.Attribute;
        }

        return NextOther(out flags, out code, out valueOffset, out length);
    }

    private AttributeStep NextOther(out byte flags, out byte code, out int valueOffset, out int length)
    {
        ReadOnlySpan<byte> rest = _all[_position..];
        flags = 0;
        code = 0;
        valueOffset = 0;
        length = 0;
        if (rest.IsEmpty)
        {
            return AttributeStep.End;
        }

        flags = rest[0];
        code = rest.Length > 1 ? rest[1] : (byte)0;
        bool extended = (flags & (byte)AttributeFlags.ExtendedLength) != 0;
        int header = extended ? 4 : 3;
        if (rest.Length < header)
        {
            return AttributeStep.Overrun;
        }

        length = extended ? BinaryPrimitives.ReadUInt16BigEndian(rest[2..]) : rest[2];
        if (length > rest.Length - header)
        {
            return AttributeStep.Overrun;
        }

        valueOffset = _position + header;
        _position = valueOffset + length;
        return AttributeStep.Attribute;
    }

    /// <summary>Octets that an attribute with a value of this length takes: header and value.</summary>
    public static int WireLength(int valueLength) => (valueLength > byte.MaxValue ? 4 : 3) + valueLength;
}
