using System.Buffers.Binary;
using System.Globalization;

namespace Bgp.Protocol;

/// <summary>Standard communities (RFC 1997) as host-order words.</summary>
public static class Community
{
    /// <summary>NO_EXPORT: not beyond the AS or confederation.</summary>
    public const uint NoExport = 0xFFFFFF01;

    /// <summary>NO_ADVERTISE: to nobody.</summary>
    public const uint NoAdvertise = 0xFFFFFF02;

    /// <summary>NO_EXPORT_SUBCONFED: to no external neighbour at all.</summary>
    public const uint NoExportSubconfed = 0xFFFFFF03;

    /// <summary>LLGR_STALE (RFC 9494 section 4.5).</summary>
    public const uint LongLivedStale = 0xFFFF0006;

    /// <summary>NO_LLGR (RFC 9494 section 4.5).</summary>
    public const uint NoLongLived = 0xFFFF0007;

    /// <summary>GRACEFUL_SHUTDOWN (RFC 8326).</summary>
    public const uint GracefulShutdown = 0xFFFF0000;

    /// <summary>BLACKHOLE (RFC 7999).</summary>
    public const uint Blackhole = 0xFFFF029A;

    /// <summary>Whether it is of the range of well-known ones, 0xFFFF0000-0xFFFFFFFF (RFC 1997).</summary>
    public static bool IsWellKnown(uint community) => community >> 16 == ushort.MaxValue;

    /// <summary>Joins <c>asn:value</c>.</summary>
    public static uint Of(ushort asn, ushort value) => ((uint)asn << 16) | value;

    /// <summary>As <c>65001:100</c>.</summary>
    public static string Text(uint community) => string.Create(CultureInfo.InvariantCulture, $"{community >> 16}:{community & 0xFFFF}");

    /// <summary>Parses <c>65001:100</c> or a well-known name such as <c>no-export</c>.</summary>
    public static bool TryParse(string? text, out uint community)
    {
        community = text switch
        {
            "no-export" => NoExport,
            "no-advertise" => NoAdvertise,
            "no-export-subconfed" => NoExportSubconfed,
            "llgr-stale" => LongLivedStale,
            "no-llgr" => NoLongLived,
            "graceful-shutdown" => GracefulShutdown,
            "blackhole" => Blackhole,
            _ => 0,
        };
        if (community != 0)
        {
            return true;
        }

        string[]? parts = text?.Split(':');
        if (parts is not { Length: 2 }
            || !ushort.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out ushort asn)
            || !ushort.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out ushort value))
        {
            return false;
        }

        community = Of(asn, value);
        return true;
    }
}

/// <summary>A large community (RFC 8092).</summary>
/// <param name="Global">Global Administrator.</param>
/// <param name="Data1">Local Data Part 1.</param>
/// <param name="Data2">Local Data Part 2.</param>
public readonly record struct LargeCommunity(uint Global, uint Data1, uint Data2)
{
    /// <summary>Octets on the wire.</summary>
    public const int WireLength = 12;

    /// <summary>Reads 12 octets.</summary>
    public static LargeCommunity Read(ReadOnlySpan<byte> octets) => new(
        BinaryPrimitives.ReadUInt32BigEndian(octets), BinaryPrimitives.ReadUInt32BigEndian(octets[4..]), BinaryPrimitives.ReadUInt32BigEndian(octets[8..]));

    /// <summary>Writes 12 octets.</summary>
    public void Write(Span<byte> into)
    {
        BinaryPrimitives.WriteUInt32BigEndian(into, Global);
        BinaryPrimitives.WriteUInt32BigEndian(into[4..], Data1);
        BinaryPrimitives.WriteUInt32BigEndian(into[8..], Data2);
    }

    /// <summary>Parses <c>65001:1:2</c>.</summary>
    public static bool TryParse(string? text, out LargeCommunity community)
    {
        community = default;
        string[]? parts = text?.Split(':');
        if (parts is not { Length: 3 }
            || !uint.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out uint global)
            || !uint.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out uint data1)
            || !uint.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out uint data2))
        {
            return false;
        }

        community = new LargeCommunity(global, data1, data2);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Global}:{Data1}:{Data2}");
}

/// <summary>Extended communities (RFC 4360) as host-order 64-bit words.</summary>
public static class ExtendedCommunity
{
    /// <summary>Octets on the wire.</summary>
    public const int WireLength = 8;

    /// <summary>Whether it may cross an AS border (RFC 4360 section 2: bit T of the type octet is 0).</summary>
    public static bool IsTransitive(byte type) => (type & 0x40) == 0;

    /// <summary>Route targets and origins as <c>rt:65001:100</c>, anything else as <c>generic:0x….:0x….</c>.</summary>
    public static string Text(ulong community)
    {
        int type = (int)(community >> 56) & 0xBF;
        int subtype = (int)(community >> 48) & 0xFF;
        string? kind = ((community >> 56) & 0x40) != 0 ? null : subtype switch { 2 => "rt", 3 => "ro", _ => null };
        return (kind, type) switch
        {
            (not null, 0) => string.Create(CultureInfo.InvariantCulture, $"{kind}:{(ushort)(community >> 32)}:{(uint)community}"),
            (not null, 1) => string.Create(CultureInfo.InvariantCulture, $"{kind}:{IpAddr.V4((uint)(community >> 16))}:{(ushort)community}"),
            (not null, 2) => string.Create(CultureInfo.InvariantCulture, $"{kind}:{(uint)(community >> 16)}:{(ushort)community}"),
            _ => string.Create(CultureInfo.InvariantCulture, $"generic:0x{(uint)(community >> 32):x8}:0x{(uint)community:x8}"),
        };
    }
}
