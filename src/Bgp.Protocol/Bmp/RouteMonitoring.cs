using System.Buffers;

namespace Bgp.Protocol;

/// <summary>Writes routes of a table as Route Monitoring messages (RFC 7854 section 4.6): each holds one UPDATE, made anew from a canonical attribute set.</summary>
/// <remarks>
/// AS numbers have four octets whatever the neighbour speaks, so AS4_PATH and AS4_AGGREGATOR never appear and the A flag is never set (RFC 7854 section 4.2
/// leaves that choice). A message is 4096 octets at most, unless a set of attributes alone is longer. A route of this host has no next hop: it is written as the
/// unspecified address of its family.
/// </remarks>
public static class RouteMonitoring
{
    private const int MaxUpdate = BgpConstants.MaxExtendedMessageLength;

    /// <summary>Announces prefixes that share an attribute set, in as many messages as it takes; how many that were.</summary>
    /// <param name="into">Where to; it grows by at most a message at a time.</param>
    /// <param name="peer">Whose routes.</param>
    /// <param name="time">When they were taken, 0 for not known.</param>
    /// <param name="canonical">The attribute set.</param>
    /// <param name="prefixes">The prefixes.</param>
    /// <param name="pathIds">Their ADD-PATH identifiers, as many; not looked at without <paramref name="addPath"/>.</param>
    /// <param name="addPath">Whether NLRI of the session carry identifiers (RFC 7911): what its OPENs say.</param>
    /// <remarks>What cannot be said in any message is withdrawn instead, so that a station does not keep what the table has replaced.</remarks>
    public static int Reach<TPrefix>(
        IBufferWriter<byte> into, in BmpPeer peer, ulong time, ReadOnlySpan<byte> canonical, ReadOnlySpan<TPrefix> prefixes, ReadOnlySpan<uint> pathIds, bool addPath)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        ArgumentNullException.ThrowIfNull(into);
        byte[] scratch = ArrayPool<byte>.Shared.Rent(canonical.Length + 16);
        try
        {
            Span<byte> nextHop = stackalloc byte[32];
            int attributes = Attributes<TPrefix>(canonical, scratch, nextHop, out int nextHopLength);
            if (attributes < 0)
            {
                return Unreach(into, peer, time, prefixes, pathIds, addPath);
            }

            int messages = 0;
            int limit = BgpConstants.MaxMessageLength;
            while (!prefixes.IsEmpty)
            {
                Span<byte> message = into.GetSpan(BmpMessage.RouteMonitoringHeaderLength + limit);
                UpdateWriter writer = UpdateWriter.Reach(
                    message[BmpMessage.RouteMonitoringHeaderLength..], limit, TPrefix.Family, scratch.AsSpan(0, attributes), nextHop[..nextHopLength], addPath);
                int length = Fill(ref writer, ref prefixes, ref pathIds, addPath);
                if (length > 0)
                {
                    into.Advance(BmpMessage.WriteRouteMonitoringHeader(message, peer, time, length) + length);
                    messages++;
                }
                else if (limit == MaxUpdate)
                {
                    return messages + Unreach(into, peer, time, prefixes, pathIds, addPath);
                }
                else
                {
                    limit = MaxUpdate;
                }
            }

            return messages;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(scratch);
        }
    }

    /// <summary>Withdraws prefixes, in as many messages as it takes; how many that were. The parameters are those of <see cref="Reach"/>.</summary>
    public static int Unreach<TPrefix>(
        IBufferWriter<byte> into, in BmpPeer peer, ulong time, ReadOnlySpan<TPrefix> prefixes, ReadOnlySpan<uint> pathIds, bool addPath)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        ArgumentNullException.ThrowIfNull(into);
        int messages = 0;
        while (!prefixes.IsEmpty)
        {
            Span<byte> message = into.GetSpan(BmpMessage.RouteMonitoringHeaderLength + BgpConstants.MaxMessageLength);
            UpdateWriter writer = UpdateWriter.Unreach(message[BmpMessage.RouteMonitoringHeaderLength..], BgpConstants.MaxMessageLength, TPrefix.Family, addPath);
            int length = Fill(ref writer, ref prefixes, ref pathIds, addPath);
            into.Advance(BmpMessage.WriteRouteMonitoringHeader(message, peer, time, length) + length);
            messages++;
        }

        return messages;
    }

    /// <summary>End-of-RIB: a family's initial dump is complete (RFC 7854 section 5).</summary>
    public static void EndOfRib(IBufferWriter<byte> into, in BmpPeer peer, ulong time, AfiSafi family)
    {
        ArgumentNullException.ThrowIfNull(into);
        const int room = 64;
        Span<byte> message = into.GetSpan(BmpMessage.RouteMonitoringHeaderLength + room);
        int length = UpdateEncoder.WriteEndOfRib(family, message[BmpMessage.RouteMonitoringHeaderLength..]);
        into.Advance(BmpMessage.WriteRouteMonitoringHeader(message, peer, time, length) + length);
    }

    /// <summary>Adds prefixes until the message is full, and takes them off the list; the message's length, 0 where not even one fits.</summary>
    private static int Fill<TPrefix>(ref UpdateWriter writer, ref ReadOnlySpan<TPrefix> prefixes, ref ReadOnlySpan<uint> pathIds, bool addPath)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        int count = 0;
        while (count < prefixes.Length && writer.TryAdd(prefixes[count], addPath ? pathIds[count] : 0))
        {
            count++;
        }

        prefixes = prefixes[count..];
        pathIds = addPath ? pathIds[count..] : pathIds;
        return writer.Finish();
    }

    /// <summary>The attributes as they stand beside the prefixes; their octets, or -1 for what cannot be said. A next hop that belongs into MP_REACH_NLRI goes to <paramref name="nextHop"/>.</summary>
    private static int Attributes<TPrefix>(ReadOnlySpan<byte> canonical, Span<byte> into, Span<byte> nextHop, out int nextHopLength)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        bool v4 = TPrefix.Family == AfiSafi.Ipv4Unicast;
        ReadOnlySpan<byte> own = new AttributeSummary(canonical).NextHopOctets(canonical);
        bool inAttribute = v4 && own.Length == 4;
        nextHopLength = 0;
        int length = UpdateEncoder.WriteAttributes(canonical, as4: true, withNextHop: inAttribute, into);
        if (length < 0 || inAttribute)
        {
            return length;
        }

        if (own.IsEmpty && v4)
        {
            WireWriter writer = new(into[length..]);
            writer.WriteByte((byte)AttributeFlags.Transitive);
            writer.WriteByte((byte)AttributeCode.NextHop);
            writer.WriteByte(4);
            writer.WriteUInt32(0);
            return writer.Failed ? -1 : length + writer.Position;
        }

        nextHopLength = own.IsEmpty ? 16 : own.Length;
        nextHop[..nextHopLength].Clear();
        own.CopyTo(nextHop);
        for (int at = 0; at + 16 <= nextHopLength; at += 16)
        {
            // A link-local next hop names its interface inside this host only.
            IpAddr.FromBytes(nextHop.Slice(at, 16)).WithScope(0).Write(nextHop[at..]);
        }

        return length;
    }
}
