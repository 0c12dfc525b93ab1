using System.Globalization;
using Bgp.Protocol;

namespace Rib;

/// <summary>A prefix of either family, as the configuration holds it; host bits are zero.</summary>
/// <param name="Address">Network address.</param>
/// <param name="Length">Prefix length in bits.</param>
public readonly record struct Cidr(IpAddr Address, int Length)
{
    /// <summary>Parses <c>address/length</c>, or an address alone as a host prefix; host bits set are an error.</summary>
    public static bool TryParse(string? text, out Cidr cidr)
    {
        if (Ipv4Prefix.TryParse(text, out Ipv4Prefix v4))
        {
            cidr = From(v4);
            return true;
        }

        if (Ipv6Prefix.TryParse(text, out Ipv6Prefix v6))
        {
            cidr = From(v6);
            return true;
        }

        cidr = default;
        return false;
    }

    /// <summary>Parses, or throws <see cref="FormatException"/>: for constants and tests.</summary>
    public static Cidr Parse(string text) => TryParse(text, out Cidr cidr) ? cidr : throw new FormatException($"'{text}' is not a prefix");

    /// <summary>From a prefix of a family.</summary>
    public static Cidr From<TPrefix>(in TPrefix prefix)
        where TPrefix : unmanaged, IPrefix<TPrefix> => new(prefix.Address, prefix.Length);

    /// <summary>As a prefix of one family; false when it is of the other.</summary>
    public bool TryGet<TPrefix>(out TPrefix prefix)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        bool ofFamily = Address.ByteLength * 8 == TPrefix.MaxLength;
        prefix = ofFamily ? TPrefix.Create(Address, Length) : default;
        return ofFamily;
    }

    /// <summary>Whether an address of the same family lies inside; false for one of the other.</summary>
    public bool Contains(in IpAddr address) =>
        address.Version == Address.Version
        && (address.IsV4
            ? new Ipv4Prefix(Address.V4Value, Length).Contains(new Ipv4Prefix(address.V4Value, 32))
            : address.IsV6 && new Ipv6Prefix(Address.Hi, Address.Lo, Length).Contains(new Ipv6Prefix(address.Hi, address.Lo, 128)));

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Address}/{Length}");
}
