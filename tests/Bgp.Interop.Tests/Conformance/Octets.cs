using System.Buffers.Binary;
using System.Net;

namespace Bgp.Interop.Tests.Conformance;

/// <summary>Octets of messages, right or wrong. Nothing here uses the daemon's own codec: what it gets wrong must not be believed on both sides.</summary>
internal static class Octets
{
    internal const byte Open = 1;
    internal const byte UpdateType = 2;
    internal const byte Notification = 3;
    internal const byte Keepalive = 4;
    internal const byte RouteRefresh = 5;

    internal static byte[] None => [];

    internal static byte[] Hex(string text) => Convert.FromHexString(text.Replace(" ", "", StringComparison.Ordinal));

    internal static byte[] Join(params byte[][] parts) => [.. parts.SelectMany(static part => part)];

    internal static byte[] U16(int value) => [(byte)(value >> 8), (byte)value];

    internal static byte[] U32(uint value) => [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value];

    internal static byte[] Zeros(int count) => new byte[count];

    internal static byte[] Repeat(byte[] part, int count) => [.. Enumerable.Repeat(part, count).SelectMany(static item => item)];

    /// <summary>A header with any length and type, right or wrong.</summary>
    internal static byte[] Header(int length, byte type) => Join(Repeat([0xFF], 16), U16(length), [type]);

    internal static byte[] Message(byte type, params byte[][] body)
    {
        byte[] octets = Join(body);
        return Join(Header(19 + octets.Length, type), octets);
    }

    internal static byte[] KeepaliveMessage => Message(Keepalive);

    internal static byte[] NotificationMessage(byte code, byte subcode, params byte[] data) => Message(Notification, [code, subcode], data);

    internal static byte[] Update(byte[] withdrawn, byte[] attributes, byte[] nlri) =>
        Message(UpdateType, U16(withdrawn.Length), withdrawn, U16(attributes.Length), attributes, nlri);

    /// <summary>An attribute whose length octets are right; two of them when it is long or the flags say so.</summary>
    internal static byte[] Attr(byte flags, byte code, params byte[][] value)
    {
        byte[] octets = Join(value);
        return octets.Length > 255 || (flags & 0x10) != 0
            ? Join([(byte)(flags | 0x10), code], U16(octets.Length), octets)
            : Join([flags, code, (byte)octets.Length], octets);
    }

    /// <summary>NLRI of one prefix, IPv4 or IPv6.</summary>
    internal static byte[] Prefix(string cidr)
    {
        string[] parts = cidr.Split('/');
        int bits = int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture);
        return [(byte)bits, .. IPAddress.Parse(parts[0]).GetAddressBytes()[..((bits + 7) / 8)]];
    }

    internal static byte[] Address(string text) => IPAddress.Parse(text).GetAddressBytes();

    /// <summary>One AS_PATH segment.</summary>
    internal static byte[] Segment(byte type, bool as4, params uint[] asns) =>
        [type, (byte)asns.Length, .. asns.SelectMany(asn => as4 ? U32(asn) : U16((int)Math.Min(asn, 65535)))];

    internal static byte[] MpReach(int afi, byte safi, byte[] nextHop, byte[] nlri, byte flags = 0x80) =>
        Attr(flags, 14, U16(afi), [safi, (byte)nextHop.Length], nextHop, [0], nlri);

    internal static byte[] MpUnreach(int afi, byte safi, byte[] nlri, byte flags = 0x80) => Attr(flags, 15, U16(afi), [safi], nlri);

    internal static byte[] Capability(byte code, params byte[] value) => [code, (byte)value.Length, .. value];

    internal static byte[] Parameter(byte type, params byte[] value) => [type, (byte)value.Length, .. value];

    internal static byte[] OpenMessage(byte version, int asn, int hold, uint id, byte[] parameters) =>
        Message(Open, [version], U16(asn), U16(hold), U32(id), [(byte)parameters.Length], parameters);

    internal static ushort ReadU16(ReadOnlySpan<byte> octets) => BinaryPrimitives.ReadUInt16BigEndian(octets);

    internal static uint ReadU32(ReadOnlySpan<byte> octets) => BinaryPrimitives.ReadUInt32BigEndian(octets);
}
