using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Bgp.Protocol;

/// <summary>
/// An IPv4 or IPv6 address, or none, as a 24-byte value. <see cref="IPAddress"/> is a class, and routes must not be made of objects.
/// </summary>
public readonly struct IpAddr : IEquatable<IpAddr>, IComparable<IpAddr>
{
    /// <summary>The first 8 octets of an IPv6 address in host order; 0 for IPv4.</summary>
    public ulong Hi { get; }

    /// <summary>The last 8 octets of an IPv6 address, or the IPv4 address, in host order.</summary>
    public ulong Lo { get; }

    /// <summary>4, 6, or 0 for no address.</summary>
    public byte Version { get; }

    private IpAddr(ulong hi, ulong lo, byte version) => (Hi, Lo, Version) = (hi, lo, version);

    /// <summary>The IPv4 address with this value in host order: 10.0.0.1 is 0x0A000001.</summary>
    public static IpAddr V4(uint value) => new(0, value, 4);

    /// <summary>The IPv6 address with these halves in host order.</summary>
    public static IpAddr V6(ulong hi, ulong lo) => new(hi, lo, 6);

    /// <summary>Reads 4 or 16 octets in network order; any other length gives no address.</summary>
    public static IpAddr FromBytes(ReadOnlySpan<byte> bytes) => bytes.Length switch
    {
        4 => V4(BinaryPrimitives.ReadUInt32BigEndian(bytes)),
        16 => V6(BinaryPrimitives.ReadUInt64BigEndian(bytes), BinaryPrimitives.ReadUInt64BigEndian(bytes[8..])),
        _ => default,
    };

    /// <summary>Whether there is no address.</summary>
    public bool IsNone => Version == 0;

    /// <summary>Whether this is an IPv4 address.</summary>
    public bool IsV4 => Version == 4;

    /// <summary>Whether this is an IPv6 address.</summary>
    public bool IsV6 => Version == 6;

    /// <summary>Whether all bits are zero (0.0.0.0 or ::).</summary>
    public bool IsUnspecified => Version != 0 && Hi == 0 && Lo == 0;

    /// <summary>fe80::/10 (RFC 4291 section 2.5.6). IPv4 link-local addresses are ordinary here.</summary>
    public bool IsLinkLocal => Version == 6 && (Hi >> 54) == (0xFE80UL << 48 >> 54);

    /// <summary>
    /// Index of the interface that a link-local address is meant on; 0 where it does not say. It stands in bits 32 to 63 of the address, which are zero on
    /// every wire (RFC 4291 section 2.5.6), so that a link-local next hop is one value like any other. Such an address never leaves this host.
    /// </summary>
    public int Scope => IsLinkLocal ? (int)(uint)Hi : 0;

    /// <summary>The link-local address on an interface; any other address as it is.</summary>
    public IpAddr WithScope(int index) => IsLinkLocal ? new IpAddr((Hi & ~0xFFFFFFFFUL) | (uint)index, Lo, 6) : this;

    /// <summary>224.0.0.0/4 or ff00::/8.</summary>
    public bool IsMulticast => Version == 4 ? (Lo >> 28) == 0xE : Version == 6 && (Hi >> 56) == 0xFF;

    /// <summary>127.0.0.0/8 or ::1.</summary>
    public bool IsLoopback => Version == 4 ? (Lo >> 24) == 127 : Version == 6 && Hi == 0 && Lo == 1;

    /// <summary>Octets on the wire: 4, 16, or 0.</summary>
    public int ByteLength => Version switch { 4 => 4, 6 => 16, _ => 0 };

    /// <summary>The IPv4 value in host order. Only meaningful when <see cref="IsV4"/>.</summary>
    public uint V4Value => (uint)Lo;

    /// <summary>Writes <see cref="ByteLength"/> octets in network order and returns how many.</summary>
    public int Write(Span<byte> into)
    {
        if (Version == 4)
        {
            BinaryPrimitives.WriteUInt32BigEndian(into, (uint)Lo);
            return 4;
        }

        if (Version == 6)
        {
            BinaryPrimitives.WriteUInt64BigEndian(into, Hi);
            BinaryPrimitives.WriteUInt64BigEndian(into[8..], Lo);
            return 16;
        }

        return 0;
    }

    /// <summary>Parses dotted or colon notation. No other form (octal, shortened, with zone) is accepted.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out IpAddr address)
    {
        address = default;
        if (text is null || text.Contains('%', StringComparison.Ordinal) || text.Contains('[', StringComparison.Ordinal))
        {
            return false;
        }

        if (!IPAddress.TryParse(text, out IPAddress? parsed))
        {
            return false;
        }

        if (parsed.AddressFamily == AddressFamily.InterNetwork && parsed.ToString() != text)
        {
            return false;
        }

        address = From(parsed);
        return true;
    }

    /// <summary>Parses, or throws <see cref="FormatException"/>: for constants and tests.</summary>
    public static IpAddr Parse(string text) =>
        TryParse(text, out IpAddr address) ? address : throw new FormatException($"'{text}' is not an IP address");

    /// <summary>From the framework's type. An IPv4-mapped IPv6 address becomes IPv4.</summary>
    public static IpAddr From(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (address.IsIPv4MappedToIPv6)
        {
            address = address.MapToIPv4();
        }

        Span<byte> bytes = stackalloc byte[16];
        return address.TryWriteBytes(bytes, out int written) ? FromBytes(bytes[..written]) : default;
    }

    /// <summary>To the framework's type; throws <see cref="InvalidOperationException"/> when there is no address.</summary>
    public IPAddress ToIPAddress()
    {
        Span<byte> bytes = stackalloc byte[16];
        int length = Write(bytes);
        return length == 0 ? throw new InvalidOperationException("no address") : new IPAddress(bytes[..length]);
    }

    /// <inheritdoc/>
    public bool Equals(IpAddr other) => Lo == other.Lo && Hi == other.Hi && Version == other.Version;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is IpAddr other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => (int)Mix.Hash(Hi, Lo, Version);

    /// <summary>IPv4 before IPv6, then numerically.</summary>
    public int CompareTo(IpAddr other)
    {
        int byVersion = Version.CompareTo(other.Version);
        if (byVersion != 0)
        {
            return byVersion;
        }

        int byHi = Hi.CompareTo(other.Hi);
        return byHi != 0 ? byHi : Lo.CompareTo(other.Lo);
    }

    /// <inheritdoc/>
    public override string ToString() => Version switch
    {
        4 => string.Create(CultureInfo.InvariantCulture, $"{(byte)(Lo >> 24)}.{(byte)(Lo >> 16)}.{(byte)(Lo >> 8)}.{(byte)Lo}"),
        6 when Scope != 0 => string.Create(CultureInfo.InvariantCulture, $"{WithScope(0).ToIPAddress()}%{Scope}"),
        6 => ToIPAddress().ToString(),
        _ => "-",
    };

    /// <summary>Equality.</summary>
    public static bool operator ==(IpAddr left, IpAddr right) => left.Equals(right);

    /// <summary>Inequality.</summary>
    public static bool operator !=(IpAddr left, IpAddr right) => !left.Equals(right);

    /// <summary>Order.</summary>
    public static bool operator <(IpAddr left, IpAddr right) => left.CompareTo(right) < 0;

    /// <summary>Order.</summary>
    public static bool operator >(IpAddr left, IpAddr right) => left.CompareTo(right) > 0;

    /// <summary>Order.</summary>
    public static bool operator <=(IpAddr left, IpAddr right) => left.CompareTo(right) <= 0;

    /// <summary>Order.</summary>
    public static bool operator >=(IpAddr left, IpAddr right) => left.CompareTo(right) >= 0;
}
