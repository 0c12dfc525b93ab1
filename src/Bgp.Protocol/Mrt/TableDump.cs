using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Bgp.Protocol;

/// <summary>A neighbour as a table dump names it (RFC 6396 section 4.3.1).</summary>
/// <param name="RouterId">BGP Identifier, host order.</param>
/// <param name="Address">Its address; none is written as 0.0.0.0.</param>
/// <param name="Asn">Its AS number.</param>
public readonly record struct DumpPeer(uint RouterId, IpAddr Address, uint Asn);

/// <summary>One path of a prefix in a table dump (RFC 6396 section 4.3.4).</summary>
/// <param name="Peer">Index into the peer table.</param>
/// <param name="PathId">ADD-PATH identifier, written only in the record type that has one (RFC 8050 section 4).</param>
/// <param name="Attributes">The attribute set.</param>
public readonly record struct DumpPath(ushort Peer, uint PathId, PathAttributes Attributes);

/// <summary>Writes MRT records of type TABLE_DUMP_V2 (RFC 6396 section 4.3), which other tools read.</summary>
/// <remarks>
/// MP_REACH_NLRI is abbreviated to its next hop as section 4.3.4 asks. AS numbers have four octets always. A dump is a peer table, then one record
/// per prefix in any order.
/// </remarks>
public static class TableDump
{
    private const ushort TypeTableDumpV2 = 13;
    private const ushort PeerIndexTable = 1;
    private const int HeaderLength = 12;

    /// <summary>Length of an attribute block at most: its length field has two octets.</summary>
    private const int MaxAttributes = ushort.MaxValue;

    /// <summary>The first record: who collected, and the neighbours that paths refer to by index. At most 65535 are written.</summary>
    /// <param name="into">Where to.</param>
    /// <param name="unixSeconds">Time of the dump.</param>
    /// <param name="collector">Our BGP Identifier.</param>
    /// <param name="view">Name of the view; cut at 255 octets.</param>
    /// <param name="peers">The neighbours.</param>
    public static void WritePeers(IBufferWriter<byte> into, uint unixSeconds, uint collector, string view, IReadOnlyList<DumpPeer> peers)
    {
        ArgumentNullException.ThrowIfNull(into);
        ArgumentNullException.ThrowIfNull(view);
        ArgumentNullException.ThrowIfNull(peers);
        byte[] name = Encoding.UTF8.GetBytes(view);
        int nameLength = Math.Min(name.Length, 255);
        int count = Math.Min(peers.Count, ushort.MaxValue);
        byte[] body = new byte[8 + nameLength + (count * 25)];
        WireWriter writer = new(body);
        writer.WriteUInt32(collector);
        writer.WriteUInt16((ushort)nameLength);
        writer.WriteBytes(name.AsSpan(0, nameLength));
        writer.WriteUInt16((ushort)count);
        Span<byte> address = stackalloc byte[16];
        for (int i = 0; i < count; i++)
        {
            // Bit 0: the address is IPv6; bit 1: the AS number has four octets.
            DumpPeer peer = peers[i];
            writer.WriteByte((byte)(2 | (peer.Address.IsV6 ? 1 : 0)));
            writer.WriteUInt32(peer.RouterId);
            address.Clear();
            int length = peer.Address.IsNone ? 4 : peer.Address.Write(address);
            writer.WriteBytes(address[..length]);
            writer.WriteUInt32(peer.Asn);
        }

        Record(into, unixSeconds, PeerIndexTable, writer.Written);
    }

    /// <summary>
    /// One prefix with its paths. Paths whose attributes cannot be written are left out; returns how many were written, and writes nothing for none.
    /// </summary>
    /// <param name="into">Where to.</param>
    /// <param name="unixSeconds">Time of the dump; the paths' own times are not kept, so it stands for them too.</param>
    /// <param name="sequence">Running number of the record.</param>
    /// <param name="prefix">The prefix.</param>
    /// <param name="paths">Its paths.</param>
    public static int WritePrefix<TPrefix>(IBufferWriter<byte> into, uint unixSeconds, uint sequence, in TPrefix prefix, ReadOnlySpan<DumpPath> paths)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        ArgumentNullException.ThrowIfNull(into);
        bool addPath = false;
        foreach (DumpPath path in paths)
        {
            addPath |= path.PathId != 0;
        }

        ushort subtype = TPrefix.Family == AfiSafi.Ipv4Unicast ? (ushort)(addPath ? 8 : 2) : (ushort)(addPath ? 10 : 4);
        byte[] rented = ArrayPool<byte>.Shared.Rent(MaxAttributes + 1);
        try
        {
            ArrayBufferWriter<byte> body = new(256);
            WireWriter head = new(body.GetSpan(4 + 17 + 2));
            head.WriteUInt32(sequence);
            Span<byte> nlri = stackalloc byte[17];
            head.WriteBytes(nlri[..prefix.Write(nlri)]);
            int countAt = head.ReserveUInt16();
            body.Advance(head.Position);
            ushort count = 0;
            foreach (DumpPath path in paths)
            {
                int length = Attributes(path.Attributes, TPrefix.Family, rented.AsSpan(0, MaxAttributes));
                if (length < 0)
                {
                    continue;
                }

                WireWriter entry = new(body.GetSpan(12 + length));
                entry.WriteUInt16(path.Peer);
                entry.WriteUInt32(unixSeconds);
                if (addPath)
                {
                    entry.WriteUInt32(path.PathId);
                }

                entry.WriteUInt16((ushort)length);
                entry.WriteBytes(rented.AsSpan(0, length));
                body.Advance(entry.Position);
                count++;
            }

            if (count > 0)
            {
                byte[] whole = body.WrittenSpan.ToArray();
                BinaryPrimitives.WriteUInt16BigEndian(whole.AsSpan(countAt), count);
                Record(into, unixSeconds, subtype, whole);
            }

            return count;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private static int Attributes(PathAttributes attributes, AfiSafi family, Span<byte> into)
    {
        scoped ReadOnlySpan<byte> nextHop = attributes.Has(AttributeCode.NextHop) ? attributes.NextHopOctets : default;
        bool inAttribute = family == AfiSafi.Ipv4Unicast && nextHop.Length == 4;
        int length = UpdateEncoder.WriteAttributes(attributes.Canonical, as4: true, withNextHop: inAttribute, into);
        if (length < 0 || inAttribute || nextHop.IsEmpty)
        {
            return length;
        }

        // A link-local next hop names its interface inside this host only.
        Span<byte> plain = stackalloc byte[16];
        if (nextHop.Length == 16 && IpAddr.FromBytes(nextHop) is { Scope: not 0 } scoped)
        {
            scoped.WithScope(0).Write(plain);
            nextHop = plain;
        }

        WireWriter writer = new(into[length..]);
        writer.WriteByte((byte)AttributeFlags.Optional);
        writer.WriteByte((byte)AttributeCode.MpReachNlri);
        writer.WriteByte((byte)(nextHop.Length + 1));
        writer.WriteByte((byte)nextHop.Length);
        writer.WriteBytes(nextHop);
        return writer.Failed ? -1 : length + writer.Position;
    }

    private static void Record(IBufferWriter<byte> into, uint unixSeconds, ushort subtype, ReadOnlySpan<byte> body)
    {
        Span<byte> whole = into.GetSpan(HeaderLength + body.Length);
        BinaryPrimitives.WriteUInt32BigEndian(whole, unixSeconds);
        BinaryPrimitives.WriteUInt16BigEndian(whole[4..], TypeTableDumpV2);
        BinaryPrimitives.WriteUInt16BigEndian(whole[6..], subtype);
        BinaryPrimitives.WriteUInt32BigEndian(whole[8..], (uint)body.Length);
        body.CopyTo(whole[HeaderLength..]);
        into.Advance(HeaderLength + body.Length);
    }
}
