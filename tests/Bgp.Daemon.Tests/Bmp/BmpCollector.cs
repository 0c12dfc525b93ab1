using System.Buffers.Binary;
using System.Text;
using Bgp.Protocol;

namespace Bgp.Daemon.Tests.Bmp;

/// <summary>One of the RIBs that a collector keeps.</summary>
/// <param name="Type">Peer type of the per-peer header.</param>
/// <param name="Address">The peer's address; none for a Loc-RIB.</param>
/// <param name="PostPolicy">The L flag.</param>
internal readonly record struct CollectedRib(BmpPeerType Type, IpAddr Address, bool PostPolicy);

/// <summary>A peer as its Peer Up told it.</summary>
internal sealed record CollectedPeer(uint Asn, uint RouterId, IpAddr Local, int LocalPort, int RemotePort, byte[] Sent, byte[] Received, NegotiatedSession Negotiated, string? Table);

/// <summary>
/// A BMP station: builds its picture of every RIB from the octets of a connection alone, and throws on whatever RFC 7854 does not allow, so that a test which feeds
/// it is also one of the messages' form and order. Shares no code with what writes them.
/// </summary>
internal sealed class BmpCollector
{
    private readonly List<byte> _rest = [];

    /// <summary>Type of each message so far, in order.</summary>
    internal List<BmpMessageType> Messages { get; } = [];

    internal Dictionary<(BmpPeerType Type, IpAddr Address), CollectedPeer> Peers { get; } = [];

    internal Dictionary<CollectedRib, Dictionary<(string Prefix, uint PathId), string>> Ribs { get; } = [];

    internal List<(CollectedRib Rib, AfiSafi Family)> EndsOfRib { get; } = [];

    internal List<(IpAddr Address, BmpPeerDownReason Reason, byte[] Data)> Downs { get; } = [];

    internal Dictionary<(BmpPeerType Type, IpAddr Address), List<(ushort Type, byte[] Value)>> Statistics { get; } = [];

    internal Dictionary<ushort, string> Initiation { get; } = [];

    internal ushort? Termination { get; private set; }

    /// <summary>Routes announced and withdrawn so far, over all RIBs.</summary>
    internal long Announced { get; private set; }

    internal long Withdrawn { get; private set; }

    /// <summary>Withdrawals of what was not there.</summary>
    internal long Needless { get; private set; }

    internal long Octets { get; private set; }

    internal Dictionary<(string Prefix, uint PathId), string> Rib(BmpPeerType type, IpAddr address, bool postPolicy = false) =>
        Ribs.GetValueOrDefault(new CollectedRib(type, address, postPolicy)) ?? [];

    /// <summary>A set of attributes as it is compared: code and value of each in order of code, the next hop wherever it stood.</summary>
    internal static string Text(ReadOnlySpan<byte> canonical)
    {
        SortedDictionary<byte, string> attributes = [];
        AttributeReader reader = new(canonical);
        while (reader.Next(out _, out byte code, out int offset, out int length) == AttributeStep.Attribute)
        {
            if (code != (byte)AttributeCode.Local)
            {
                attributes[code] = Convert.ToHexString(canonical.Slice(offset, length));
            }
        }

        return Text(attributes);
    }

    /// <summary>The same with the next hop of an IPv4 route of the router's own.</summary>
    internal static string WithUnspecifiedNextHop(string text)
    {
        SortedDictionary<byte, string> attributes = new(text.Split(' ').Select(static item => item.Split(':')).ToDictionary(static item => byte.Parse(item[0], System.Globalization.CultureInfo.InvariantCulture), static item => item[1]));
        attributes[(byte)AttributeCode.NextHop] = "00000000";
        return Text(attributes);
    }

    internal void Feed(ReadOnlySpan<byte> octets)
    {
        Octets += octets.Length;
        _rest.AddRange(octets);
        int used = 0;
        ReadOnlySpan<byte> all = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_rest);
        while (all.Length - used >= 6)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(all[(used + 1)..]);
            Check(all[used] == 3 && length is >= 6 and <= 70_000, $"common header {Convert.ToHexString(all.Slice(used, 6))}");
            if (all.Length - used < length)
            {
                break;
            }

            Message((BmpMessageType)all[used + 5], all.Slice(used + 6, length - 6));
            used += length;
        }

        _rest.RemoveRange(0, used);
    }

    private static void Check(bool holds, string what)
    {
        if (!holds)
        {
            throw new InvalidDataException(what);
        }
    }

    private static string Text(SortedDictionary<byte, string> attributes) => string.Join(' ', attributes.Select(static item => $"{item.Key}:{item.Value}"));

    private void Message(BmpMessageType type, ReadOnlySpan<byte> body)
    {
        Check(Termination is null, "a message after Termination");
        Check(Messages.Count > 0 == (type != BmpMessageType.Initiation), "Initiation is the first message, once");
        Messages.Add(type);
        if (type is BmpMessageType.Initiation or BmpMessageType.Termination)
        {
            foreach ((ushort code, byte[] value) in Tlvs(body))
            {
                if (type == BmpMessageType.Initiation)
                {
                    Initiation[code] = Encoding.UTF8.GetString(value);
                }
                else if (code == 1)
                {
                    Termination = BinaryPrimitives.ReadUInt16BigEndian(value);
                }
            }

            return;
        }

        BmpPeerType peerType = (BmpPeerType)body[0];
        byte flags = body[1];
        Check(peerType is BmpPeerType.GlobalInstance or BmpPeerType.LocRib, $"peer type {peerType}");
        Check(body.Slice(2, 8).IndexOfAnyExcept((byte)0) < 0, "distinguisher");
        Check((flags & ~0xC0) == 0, $"flags {flags:X2}");
        bool v6 = (flags & 0x80) != 0;
        Check(v6 || body.Slice(10, 12).IndexOfAnyExcept((byte)0) < 0, "an IPv4 address stands in the last four octets");
        IpAddr address = peerType == BmpPeerType.LocRib ? default : IpAddr.FromBytes(v6 ? body.Slice(10, 16) : body.Slice(22, 4));
        if (peerType == BmpPeerType.LocRib)
        {
            Check(flags == 0 && body.Slice(10, 16).IndexOfAnyExcept((byte)0) < 0, "the Loc-RIB has no flags and no address");
        }

        uint asn = BinaryPrimitives.ReadUInt32BigEndian(body[26..]);
        uint routerId = BinaryPrimitives.ReadUInt32BigEndian(body[30..]);
        Check(BinaryPrimitives.ReadUInt32BigEndian(body[38..]) < 1_000_000, "microseconds");
        bool postPolicy = (flags & 0x40) != 0;
        ReadOnlySpan<byte> rest = body[42..];
        if (type == BmpMessageType.PeerUp)
        {
            Check(!postPolicy, "a Peer Up is about both");
            PeerUp(peerType, address, asn, routerId, rest);
            return;
        }

        Check(Peers.TryGetValue((peerType, address), out CollectedPeer? peer), $"{type} of {address}, which is not up");
        Check(peer!.Asn == asn && peer.RouterId == routerId, "the header is that of the Peer Up");
        switch (type)
        {
            case BmpMessageType.RouteMonitoring:
                Update(new CollectedRib(peerType, address, postPolicy), peer, rest);
                break;
            case BmpMessageType.PeerDown:
                Downs.Add((address, (BmpPeerDownReason)rest[0], rest[1..].ToArray()));
                Peers.Remove((peerType, address));
                foreach (CollectedRib rib in Ribs.Keys.Where(rib => rib.Type == peerType && rib.Address == address).ToArray())
                {
                    // RFC 7854 section 4.9: implicitly, all its routes are withdrawn.
                    Ribs.Remove(rib);
                }

                break;
            case BmpMessageType.StatisticsReport:
                uint count = BinaryPrimitives.ReadUInt32BigEndian(rest);
                List<(ushort, byte[])> statistics = Tlvs(rest[4..]);
                Check(statistics.Count == count, "as many statistics as said");
                Statistics[(peerType, address)] = statistics;
                break;
            default:
                Check(false, $"message type {type}");
                break;
        }
    }

    private static List<(ushort Type, byte[] Value)> Tlvs(ReadOnlySpan<byte> rest)
    {
        List<(ushort, byte[])> items = [];
        while (!rest.IsEmpty)
        {
            ushort type = BinaryPrimitives.ReadUInt16BigEndian(rest);
            int length = BinaryPrimitives.ReadUInt16BigEndian(rest[2..]);
            items.Add((type, rest.Slice(4, length).ToArray()));
            rest = rest[(4 + length)..];
        }

        return items;
    }

    private void PeerUp(BmpPeerType type, IpAddr address, uint asn, uint routerId, ReadOnlySpan<byte> rest)
    {
        Check(!Peers.ContainsKey((type, address)), $"{address} is up already");
        IpAddr local = rest[..12].IndexOfAnyExcept((byte)0) < 0 ? IpAddr.FromBytes(rest.Slice(12, 4)) : IpAddr.FromBytes(rest[..16]);
        int localPort = BinaryPrimitives.ReadUInt16BigEndian(rest[16..]);
        int remotePort = BinaryPrimitives.ReadUInt16BigEndian(rest[18..]);
        rest = rest[20..];
        byte[] sent = Open(ref rest, out OpenMessage ours);
        byte[] received = Open(ref rest, out OpenMessage theirs);
        string? table = null;
        foreach ((ushort code, byte[] value) in Tlvs(rest))
        {
            Check(code == 3 && type == BmpPeerType.LocRib, "information of a Peer Up");
            table = Encoding.UTF8.GetString(value);
        }

        Check(theirs.EffectiveAsn == asn && theirs.RouterId == routerId, "the header says what the received OPEN says");
        Peers[(type, address)] = new CollectedPeer(asn, routerId, local, localPort, remotePort, sent, received, NegotiatedSession.Negotiate(ours, theirs, new LocalSessionSettings()), table);
    }

    private static byte[] Open(ref ReadOnlySpan<byte> rest, out OpenMessage message)
    {
        Check(rest[..16].IndexOfAnyExcept((byte)0xFF) < 0 && rest[18] == (byte)MessageType.Open, "an OPEN with its header");
        int length = BinaryPrimitives.ReadUInt16BigEndian(rest[16..]);
        byte[] whole = rest[..length].ToArray();
        Check(!OpenMessage.TryParse(rest[19..length], out message).IsError, "an OPEN");
        rest = rest[length..];
        return whole;
    }

    private void Update(CollectedRib rib, CollectedPeer peer, ReadOnlySpan<byte> update)
    {
        Check(update[..16].IndexOfAnyExcept((byte)0xFF) < 0 && update[18] == (byte)MessageType.Update, "an UPDATE with its header");
        Check(BinaryPrimitives.ReadUInt16BigEndian(update[16..]) == update.Length, "one UPDATE and nothing behind it");
        ReadOnlySpan<byte> body = update[19..];
        int withdrawnLength = BinaryPrimitives.ReadUInt16BigEndian(body);
        ReadOnlySpan<byte> withdrawn = body.Slice(2, withdrawnLength);
        int attributesLength = BinaryPrimitives.ReadUInt16BigEndian(body[(2 + withdrawnLength)..]);
        ReadOnlySpan<byte> attributes = body.Slice(4 + withdrawnLength, attributesLength);
        ReadOnlySpan<byte> nlri = body[(4 + withdrawnLength + attributesLength)..];
        if (body.Length == 4)
        {
            EndsOfRib.Add((rib, AfiSafi.Ipv4Unicast));
            return;
        }

        SortedDictionary<byte, string> values = [];
        AfiSafi family = AfiSafi.Ipv4Unicast;
        ReadOnlySpan<byte> reach = nlri;
        ReadOnlySpan<byte> unreach = withdrawn;
        AttributeReader reader = new(attributes);
        AttributeStep step;
        while ((step = reader.Next(out _, out byte code, out int offset, out int length)) == AttributeStep.Attribute)
        {
            ReadOnlySpan<byte> value = attributes.Slice(offset, length);
            if (code == (byte)AttributeCode.MpReachNlri)
            {
                family = AfiSafiExtensions.Join(BinaryPrimitives.ReadUInt16BigEndian(value), value[2]);
                values[(byte)AttributeCode.NextHop] = Convert.ToHexString(value.Slice(4, value[3]));
                Check(nlri.IsEmpty, "prefixes in one place");
                reach = value[(5 + value[3])..];
            }
            else if (code == (byte)AttributeCode.MpUnreachNlri)
            {
                family = AfiSafiExtensions.Join(BinaryPrimitives.ReadUInt16BigEndian(value), value[2]);
                Check(withdrawn.IsEmpty && reach.IsEmpty, "withdrawals stand alone");
                unreach = value[3..];
                if (unreach.IsEmpty)
                {
                    EndsOfRib.Add((rib, family));
                    return;
                }
            }
            else
            {
                Check(values.TryAdd(code, Convert.ToHexString(value)), $"attribute {code} twice");
            }
        }

        Check(step == AttributeStep.End, "attributes fill their field");
        bool addPath = rib.Type == BmpPeerType.GlobalInstance && peer.Negotiated.AddPathReceive(family);
        Dictionary<(string, uint), string> routes = Ribs.TryGetValue(rib, out Dictionary<(string, uint), string>? known) ? known : Ribs[rib] = [];
        foreach ((string, uint) key in Prefixes(family, unreach, addPath))
        {
            Withdrawn++;
            Needless += routes.Remove(key) ? 0 : 1;
        }

        string text = Text(values);
        foreach ((string, uint) key in Prefixes(family, reach, addPath))
        {
            Announced++;
            routes[key] = text;
        }
    }

    private static List<(string Prefix, uint PathId)> Prefixes(AfiSafi family, ReadOnlySpan<byte> field, bool addPath)
    {
        List<(string, uint)> prefixes = [];
        while (!field.IsEmpty)
        {
            uint pathId = 0;
            if (addPath)
            {
                pathId = BinaryPrimitives.ReadUInt32BigEndian(field);
                field = field[4..];
            }

            int length = field[0];
            int octets = (length + 7) / 8;
            byte[] address = new byte[family == AfiSafi.Ipv4Unicast ? 4 : 16];
            field.Slice(1, octets).CopyTo(address);
            field = field[(1 + octets)..];
            prefixes.Add(($"{IpAddr.FromBytes(address)}/{length}", pathId));
        }

        return prefixes;
    }
}
