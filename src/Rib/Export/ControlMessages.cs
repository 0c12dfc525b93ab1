using Bgp.Protocol;

namespace Rib;

/// <summary>The messages of a family that never change: End-of-RIB and the two marks around an enhanced refresh.</summary>
internal sealed class ControlMessages
{
    private static readonly ControlMessages Ipv4 = new(AfiSafi.Ipv4Unicast);
    private static readonly ControlMessages Ipv6 = new(AfiSafi.Ipv6Unicast);

    private ControlMessages(AfiSafi family)
    {
        byte afi = (byte)family.Afi();
        byte safi = family.Safi();

        // RFC 4724 section 2: IPv4 unicast has an UPDATE without anything, other families one with an empty MP_UNREACH_NLRI.
        EndOfRib = family == AfiSafi.Ipv4Unicast
            ? Message(2, [0, 0, 0, 0])
            : Message(2, [0, 0, 0, 6, 0x80, 15, 3, 0, afi, safi]);

        // RFC 7313 section 3.2: ROUTE-REFRESH with subtype 1 (beginning) and 2 (end).
        BeginRefresh = Message(5, [0, afi, 1, safi]);
        EndRefresh = Message(5, [0, afi, 2, safi]);
    }

    internal byte[] EndOfRib { get; }

    internal byte[] BeginRefresh { get; }

    internal byte[] EndRefresh { get; }

    internal static ControlMessages Of(AfiSafi family) => family == AfiSafi.Ipv4Unicast ? Ipv4 : Ipv6;

    private static byte[] Message(byte type, ReadOnlySpan<byte> body)
    {
        byte[] message = new byte[19 + body.Length];
        message.AsSpan(0, 16).Fill(0xFF);
        message[17] = (byte)message.Length;
        message[18] = type;
        body.CopyTo(message.AsSpan(19));
        return message;
    }
}
