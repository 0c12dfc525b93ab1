using System.Buffers.Binary;
using System.Text;

namespace Bgp.Protocol;

/// <summary>Writes the messages of the BGP Monitoring Protocol, version 3 (RFC 7854, with RFC 9069 for the Loc-RIB).</summary>
/// <remarks>
/// Each method writes one whole message and returns its length, 0 when it does not fit. BMP is spoken in one direction: a station is never listened to, so
/// nothing here reads. Times are microseconds since 1970 (UTC), 0 for "not known" (RFC 7854 section 4.2).
/// </remarks>
public static class BmpMessage
{
    /// <summary>Version in every common header.</summary>
    public const byte Version = 3;

    /// <summary>The port that stations listen on by custom; none is assigned.</summary>
    public const int DefaultPort = 11019;

    /// <summary>Octets of the common header: version, length, type.</summary>
    public const int CommonHeaderLength = 6;

    /// <summary>Octets of the per-peer header.</summary>
    public const int PeerHeaderLength = 42;

    /// <summary>Octets before the UPDATE of a Route Monitoring message.</summary>
    public const int RouteMonitoringHeaderLength = CommonHeaderLength + PeerHeaderLength;

    /// <summary>FSM event 2 of RFC 4271 section 8.1.2, ManualStop: what a Peer Down of reason 2 says when this router just closed.</summary>
    public const ushort EventManualStop = 2;

    /// <summary>Name of the default table in a Loc-RIB's Peer Up and Peer Down (RFC 9069 section 5.2.1).</summary>
    public const string GlobalTable = "global";

    private const ushort InformationSysDescr = 1;
    private const ushort InformationSysName = 2;
    private const ushort InformationTableName = 3;
    private const ushort TerminationString = 0;
    private const ushort TerminationReason = 1;

    /// <summary>Initiation (RFC 7854 section 4.3): the first message of a connection.</summary>
    public static int WriteInitiation(Span<byte> into, string sysName, string sysDescr)
    {
        WireWriter writer = new(into);
        CommonHeader(ref writer, BmpMessageType.Initiation);
        Text(ref writer, InformationSysDescr, sysDescr);
        Text(ref writer, InformationSysName, sysName);
        return End(writer, into);
    }

    /// <summary>Termination (RFC 7854 section 4.5): the last message of a connection.</summary>
    public static int WriteTermination(Span<byte> into, BmpTerminationReason reason, string text)
    {
        WireWriter writer = new(into);
        CommonHeader(ref writer, BmpMessageType.Termination);
        writer.WriteUInt16(TerminationReason);
        writer.WriteUInt16(2);
        writer.WriteUInt16((ushort)reason);
        if (!string.IsNullOrEmpty(text))
        {
            Text(ref writer, TerminationString, text);
        }

        return End(writer, into);
    }

    /// <summary>Peer Up (RFC 7854 section 4.10).</summary>
    /// <param name="into">Where to.</param>
    /// <param name="peer">The neighbour.</param>
    /// <param name="time">When the session came up.</param>
    /// <param name="local">Our address on the session.</param>
    /// <param name="localPort">Our port.</param>
    /// <param name="remotePort">The neighbour's port.</param>
    /// <param name="sent">Our OPEN as it went over the wire, header included.</param>
    /// <param name="received">The neighbour's OPEN as it came over the wire, header included.</param>
    public static int WritePeerUp(
        Span<byte> into, in BmpPeer peer, ulong time, IpAddr local, int localPort, int remotePort, ReadOnlySpan<byte> sent, ReadOnlySpan<byte> received)
    {
        WireWriter writer = new(into);
        CommonHeader(ref writer, BmpMessageType.PeerUp);
        PeerHeader(ref writer, peer, time);
        Address(ref writer, local);
        writer.WriteUInt16((ushort)localPort);
        writer.WriteUInt16((ushort)remotePort);
        writer.WriteBytes(sent);
        writer.WriteBytes(received);
        if (peer.Type == BmpPeerType.LocRib)
        {
            Text(ref writer, InformationTableName, GlobalTable);
        }

        return End(writer, into);
    }

    /// <summary>
    /// Peer Down (RFC 7854 section 4.9). <paramref name="data"/> is what the reason asks for: a NOTIFICATION as on the wire, an FSM event in two octets, or
    /// nothing. The Loc-RIB's, whose reason is 6, gets its table's name (RFC 9069 section 5.3).
    /// </summary>
    public static int WritePeerDown(Span<byte> into, in BmpPeer peer, ulong time, BmpPeerDownReason reason, ReadOnlySpan<byte> data)
    {
        WireWriter writer = new(into);
        CommonHeader(ref writer, BmpMessageType.PeerDown);
        PeerHeader(ref writer, peer, time);
        writer.WriteByte((byte)reason);
        writer.WriteBytes(data);
        if (reason == BmpPeerDownReason.LocalSystemClosed)
        {
            Text(ref writer, InformationTableName, GlobalTable);
        }

        return End(writer, into);
    }

    /// <summary>Statistics Report (RFC 7854 section 4.8).</summary>
    public static int WriteStatistics(Span<byte> into, in BmpPeer peer, ulong time, ReadOnlySpan<BmpStatistic> statistics)
    {
        WireWriter writer = new(into);
        CommonHeader(ref writer, BmpMessageType.StatisticsReport);
        PeerHeader(ref writer, peer, time);
        writer.WriteUInt32((uint)statistics.Length);
        foreach (BmpStatistic statistic in statistics)
        {
            writer.WriteUInt16((ushort)statistic.Type);
            switch (statistic.Type)
            {
                case BmpStatisticType.AdjRibIn or BmpStatisticType.LocRib:
                    writer.WriteUInt16(8);
                    break;
                case BmpStatisticType.FamilyAdjRibIn or BmpStatisticType.FamilyLocRib:
                    writer.WriteUInt16(11);
                    writer.WriteUInt16(statistic.Family.Afi());
                    writer.WriteByte(statistic.Family.Safi());
                    break;
                default:
                    // A counter of 32 bits that wraps.
                    writer.WriteUInt16(4);
                    writer.WriteUInt32((uint)statistic.Value);
                    continue;
            }

            writer.WriteUInt32((uint)(statistic.Value >> 32));
            writer.WriteUInt32((uint)statistic.Value);
        }

        return End(writer, into);
    }

    /// <summary>
    /// The headers of a Route Monitoring message (RFC 7854 section 4.6) whose UPDATE has <paramref name="updateLength"/> octets and stands behind them.
    /// Returns <see cref="RouteMonitoringHeaderLength"/>.
    /// </summary>
    internal static int WriteRouteMonitoringHeader(Span<byte> into, in BmpPeer peer, ulong time, int updateLength)
    {
        WireWriter writer = new(into[..RouteMonitoringHeaderLength]);
        CommonHeader(ref writer, BmpMessageType.RouteMonitoring);
        PeerHeader(ref writer, peer, time);
        BinaryPrimitives.WriteUInt32BigEndian(into[1..], (uint)(RouteMonitoringHeaderLength + updateLength));
        return RouteMonitoringHeaderLength;
    }

    private static void CommonHeader(ref WireWriter writer, BmpMessageType type)
    {
        writer.WriteByte(Version);
        writer.WriteUInt32(0);
        writer.WriteByte((byte)type);
    }

    private static int End(in WireWriter writer, Span<byte> into)
    {
        if (writer.Failed)
        {
            return 0;
        }

        BinaryPrimitives.WriteUInt32BigEndian(into[1..], (uint)writer.Position);
        return writer.Position;
    }

    private static void PeerHeader(ref WireWriter writer, in BmpPeer peer, ulong time)
    {
        writer.WriteByte((byte)peer.Type);
        writer.WriteByte((byte)(peer.Flags | (peer.Address.IsV6 ? BmpPeerFlags.Ipv6 : BmpPeerFlags.None)));

        // Distinguisher: there is one instance.
        writer.WriteUInt32(0);
        writer.WriteUInt32(0);
        Address(ref writer, peer.Address);
        writer.WriteUInt32(peer.Asn);
        writer.WriteUInt32(peer.RouterId);
        writer.WriteUInt32((uint)(time / 1_000_000));
        writer.WriteUInt32((uint)(time % 1_000_000));
    }

    /// <summary>Sixteen octets: an IPv4 address stands in the last four (RFC 7854 section 4.2), none is zero. The interface of a link-local one stays here.</summary>
    private static void Address(ref WireWriter writer, IpAddr address)
    {
        Span<byte> octets = stackalloc byte[16];
        octets.Clear();
        address.WithScope(0).Write(octets[(address.IsV4 ? 12 : 0)..]);
        writer.WriteBytes(octets);
    }

    /// <summary>An information TLV (RFC 7854 section 4.4) of UTF-8, cut between characters where its length would not fit.</summary>
    private static void Text(ref WireWriter writer, ushort type, string text)
    {
        byte[] octets = Encoding.UTF8.GetBytes(text);
        int length = Math.Min(octets.Length, ushort.MaxValue);
        while (length < octets.Length && length > 0 && (octets[length] & 0xC0) == 0x80)
        {
            length--;
        }

        writer.WriteUInt16(type);
        writer.WriteUInt16((ushort)length);
        writer.WriteBytes(octets.AsSpan(0, length));
    }
}
