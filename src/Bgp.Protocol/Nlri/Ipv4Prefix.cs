using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace Bgp.Protocol;

/// <summary>An IPv4 prefix in 8 bytes: address in bits 8-39, length in bits 0-7, so that one integer compare is equality and order.</summary>
public readonly struct Ipv4Prefix : IPrefix<Ipv4Prefix>
{
    private readonly ulong _key;

    private Ipv4Prefix(ulong key) => _key = key;

    /// <summary>From a value in host order; host bits are cleared. <paramref name="length"/> is 0-32.</summary>
    public Ipv4Prefix(uint address, int length) => _key = ((ulong)(address & Mask(length)) << 8) | (uint)length;

    /// <inheritdoc/>
    public static AfiSafi Family => AfiSafi.Ipv4Unicast;

    /// <inheritdoc/>
    public static int MaxLength => 32;

    /// <summary>address &lt;&lt; 8 | length.</summary>
    public ulong Key => _key;

    /// <summary>The network address in host order.</summary>
    public uint Value => (uint)(_key >> 8);

    /// <inheritdoc/>
    public IpAddr Address => IpAddr.V4(Value);

    /// <inheritdoc/>
    public int Length => (byte)_key;

    /// <inheritdoc/>
    public int WireLength => 1 + ((Length + 7) >> 3);

    /// <inheritdoc/>
    public ulong Hash
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Mix.Hash(_key);
    }

    private static uint Mask(int length) => length == 0 ? 0 : uint.MaxValue << (32 - length);

    /// <inheritdoc/>
    public static Ipv4Prefix Create(IpAddr address, int length) => new(address.V4Value, length);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead(ref ReadOnlySpan<byte> source, out Ipv4Prefix prefix)
    {
        if (source.Length < 5)
        {
            return TryReadShort(ref source, out prefix);
        }

        int length = source[0];
        if (length > 32)
        {
            prefix = default;
            return false;
        }

        // In 64 bits, where a shift by 32 is one.
        uint address = BinaryPrimitives.ReadUInt32BigEndian(source[1..]);
        ulong mask = 0xFFFFFFFF00000000 >> length;
        prefix = new Ipv4Prefix(((ulong)(address & (uint)mask) << 8) | (uint)length);
        source = source[(1 + ((length + 7) >> 3))..];
        return true;
    }

    /// <summary>The same near the end of a field.</summary>
    private static bool TryReadShort(ref ReadOnlySpan<byte> source, out Ipv4Prefix prefix)
    {
        prefix = default;
        if (source.IsEmpty)
        {
            return false;
        }

        int length = source[0];
        int octets = (length + 7) >> 3;
        if (length > 32 || source.Length <= octets)
        {
            return false;
        }

        uint address = 0;
        for (int i = 0; i < octets; i++)
        {
            address |= (uint)source[1 + i] << (24 - (8 * i));
        }

        prefix = new Ipv4Prefix(address, length);
        source = source[(1 + octets)..];
        return true;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Write(Span<byte> into)
    {
        if (into.Length < 5)
        {
            return WriteShort(into);
        }

        into[0] = (byte)_key;
        BinaryPrimitives.WriteUInt32BigEndian(into[1..], Value);
        return WireLength;
    }

    private int WriteShort(Span<byte> into)
    {
        into[0] = (byte)_key;
        int octets = WireLength - 1;
        for (int i = 0; i < octets; i++)
        {
            into[1 + i] = (byte)(Value >> (24 - (8 * i)));
        }

        return 1 + octets;
    }

    /// <inheritdoc/>
    public static bool TryParse(string? text, out Ipv4Prefix prefix)
    {
        prefix = default;
        if (!PrefixText.TrySplit(text, 32, out IpAddr address, out int length) || !address.IsV4)
        {
            return false;
        }

        prefix = new Ipv4Prefix(address.V4Value, length);
        return prefix.Value == address.V4Value;
    }

    /// <summary>Parses, or throws <see cref="FormatException"/>: for constants and tests.</summary>
    public static Ipv4Prefix Parse(string text) =>
        TryParse(text, out Ipv4Prefix prefix) ? prefix : throw new FormatException($"'{text}' is not an IPv4 prefix");

    /// <inheritdoc/>
    public bool Contains(Ipv4Prefix other) => other.Length >= Length && (other.Value & Mask(Length)) == Value;

    /// <inheritdoc/>
    public int Bit(int index) => (int)(Value >> (31 - index)) & 1;

    /// <inheritdoc/>
    public bool Equals(Ipv4Prefix other) => _key == other._key;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Ipv4Prefix other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => (int)Hash;

    /// <inheritdoc/>
    public int CompareTo(Ipv4Prefix other) => _key.CompareTo(other._key);

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Address}/{Length}");

    /// <summary>Equality.</summary>
    public static bool operator ==(Ipv4Prefix left, Ipv4Prefix right) => left._key == right._key;

    /// <summary>Inequality.</summary>
    public static bool operator !=(Ipv4Prefix left, Ipv4Prefix right) => left._key != right._key;

    /// <summary>Order.</summary>
    public static bool operator <(Ipv4Prefix left, Ipv4Prefix right) => left._key < right._key;

    /// <summary>Order.</summary>
    public static bool operator >(Ipv4Prefix left, Ipv4Prefix right) => left._key > right._key;

    /// <summary>Order.</summary>
    public static bool operator <=(Ipv4Prefix left, Ipv4Prefix right) => left._key <= right._key;

    /// <summary>Order.</summary>
    public static bool operator >=(Ipv4Prefix left, Ipv4Prefix right) => left._key >= right._key;
}
