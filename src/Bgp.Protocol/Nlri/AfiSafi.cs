namespace Bgp.Protocol;

/// <summary>An address family and sub-family as one value: AFI in the high 16 bits, SAFI in the low 8 (RFC 4760 section 3).</summary>
public enum AfiSafi : uint
{
    /// <summary>No family.</summary>
    None = 0,

    /// <summary>AFI 1, SAFI 1.</summary>
    Ipv4Unicast = (1 << 16) | 1,

    /// <summary>AFI 2, SAFI 1.</summary>
    Ipv6Unicast = (2 << 16) | 1,
}

/// <summary>Conversions between <see cref="AfiSafi"/> and the two wire numbers.</summary>
public static class AfiSafiExtensions
{
    /// <summary>Joins the two wire numbers. Families that this speaker does not know are legal values.</summary>
    public static AfiSafi Join(ushort afi, byte safi) => (AfiSafi)(((uint)afi << 16) | safi);

    /// <summary>The 16-bit Address Family Identifier.</summary>
    public static ushort Afi(this AfiSafi family) => (ushort)((uint)family >> 16);

    /// <summary>The 8-bit Subsequent Address Family Identifier.</summary>
    public static byte Safi(this AfiSafi family) => (byte)family;

    /// <summary>The key the configuration and the JSON output use: <c>ipv4</c>, <c>ipv6</c>, or <c>afi/safi</c> in numbers.</summary>
    public static string Name(this AfiSafi family) => family switch
    {
        AfiSafi.Ipv4Unicast => "ipv4",
        AfiSafi.Ipv6Unicast => "ipv6",
        _ => $"{family.Afi()}/{family.Safi()}",
    };
}
