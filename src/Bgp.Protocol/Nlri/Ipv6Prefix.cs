using System.Buffers.Binary;
using System.Globalization;

namespace Bgp.Protocol;

/// <summary>An IPv6 prefix in 24 bytes.</summary>
public readonly struct Ipv6Prefix : IPrefix<Ipv6Prefix>
{
    private readonly ulong _hi;
    private readonly ulong _lo;
    private readonly byte _length;

    /// <summary>From two halves in host order; host bits are cleared. <paramref name="length"/> is 0-128.</summary>
    public Ipv6Prefix(ulong hi, ulong lo, int length)
    {
        _hi = hi & MaskHi(length);
        _lo = lo & MaskLo(length);
        _length = (byte)length;
    }

    /// <inheritdoc/>
    public static AfiSafi Family => AfiSafi.Ipv6Unicast;

    /// <inheritdoc/>
    public static int MaxLength => 128;

    /// <summary>The first 64 bits.</summary>
    public ulong Hi => _hi;

    /// <summary>The last 64 bits.</summary>
    public ulong Lo => _lo;

    /// <inheritdoc/>
    public IpAddr Address => IpAddr.V6(_hi, _lo);

    /// <inheritdoc/>
    public int Length => _length;

    /// <inheritdoc/>
    public int WireLength => 1 + ((_length + 7) >> 3);

    /// <inheritdoc/>
    public ulong Hash => Mix.Hash(_hi, _lo, _length);

    private static ulong MaskHi(int length) => length == 0 ? 0 : length >= 64 ? ulong.MaxValue : ulong.MaxValue << (64 - length);

    private static ulong MaskLo(int length) => length <= 64 ? 0 : ulong.MaxValue << (128 - length);

    /// <inheritdoc/>
    public static Ipv6Prefix Create(IpAddr address, int length) => new(address.Hi, address.Lo, length);

    /// <inheritdoc/>
    public static bool TryRead(ref ReadOnlySpan<byte> source, out Ipv6Prefix prefix)
    {
        prefix = default;
        if (source.IsEmpty)
        {
            return false;
        }

        int length = source[0];
        int octets = (length + 7) >> 3;
        if (length > 128 || source.Length <= octets)
        {
            return false;
        }

        ulong hi = 0;
        ulong lo = 0;
        for (int i = 0; i < octets; i++)
        {
            if (i < 8)
            {
                hi |= (ulong)source[1 + i] << (56 - (8 * i));
            }
            else
            {
                lo |= (ulong)source[1 + i] << (120 - (8 * i));
            }
        }

        prefix = new Ipv6Prefix(hi, lo, length);
        source = source[(1 + octets)..];
        return true;
    }

    /// <inheritdoc/>
    public int Write(Span<byte> into)
    {
        into[0] = _length;
        int octets = (_length + 7) >> 3;
        if (into.Length >= 17)
        {
            BinaryPrimitives.WriteUInt64BigEndian(into[1..], _hi);
            BinaryPrimitives.WriteUInt64BigEndian(into[9..], _lo);
            return 1 + octets;
        }

        for (int i = 0; i < octets; i++)
        {
            into[1 + i] = i < 8 ? (byte)(_hi >> (56 - (8 * i))) : (byte)(_lo >> (120 - (8 * i)));
        }

        return 1 + octets;
    }

    /// <inheritdoc/>
    public static bool TryParse(string? text, out Ipv6Prefix prefix)
    {
        prefix = default;
        if (!PrefixText.TrySplit(text, 128, out IpAddr address, out int length) || !address.IsV6)
        {
            return false;
        }

        prefix = new Ipv6Prefix(address.Hi, address.Lo, length);
        return prefix.Address == address;
    }

    /// <summary>Parses, or throws <see cref="FormatException"/>: for constants and tests.</summary>
    public static Ipv6Prefix Parse(string text) =>
        TryParse(text, out Ipv6Prefix prefix) ? prefix : throw new FormatException($"'{text}' is not an IPv6 prefix");

    /// <inheritdoc/>
    public bool Contains(Ipv6Prefix other) =>
        other._length >= _length && (other._hi & MaskHi(_length)) == _hi && (other._lo & MaskLo(_length)) == _lo;

    /// <inheritdoc/>
    public int Bit(int index) => (int)(index < 64 ? _hi >> (63 - index) : _lo >> (127 - index)) & 1;

    /// <inheritdoc/>
    public bool Equals(Ipv6Prefix other) => _hi == other._hi && _lo == other._lo && _length == other._length;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Ipv6Prefix other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => (int)Hash;

    /// <inheritdoc/>
    public int CompareTo(Ipv6Prefix other)
    {
        int byHi = _hi.CompareTo(other._hi);
        if (byHi != 0)
        {
            return byHi;
        }

        int byLo = _lo.CompareTo(other._lo);
        return byLo != 0 ? byLo : _length.CompareTo(other._length);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Address}/{_length}");

    /// <summary>Equality.</summary>
    public static bool operator ==(Ipv6Prefix left, Ipv6Prefix right) => left.Equals(right);

    /// <summary>Inequality.</summary>
    public static bool operator !=(Ipv6Prefix left, Ipv6Prefix right) => !left.Equals(right);

    /// <summary>Order.</summary>
    public static bool operator <(Ipv6Prefix left, Ipv6Prefix right) => left.CompareTo(right) < 0;

    /// <summary>Order.</summary>
    public static bool operator >(Ipv6Prefix left, Ipv6Prefix right) => left.CompareTo(right) > 0;

    /// <summary>Order.</summary>
    public static bool operator <=(Ipv6Prefix left, Ipv6Prefix right) => left.CompareTo(right) <= 0;

    /// <summary>Order.</summary>
    public static bool operator >=(Ipv6Prefix left, Ipv6Prefix right) => left.CompareTo(right) >= 0;
}
