using System.Runtime.InteropServices;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Kernel.Netlink;

/// <summary>What a route message carries beside the route.</summary>
/// <param name="Table">RTA_TABLE, or rtm_table.</param>
/// <param name="Learnable">False where the destination has a source or an incoming interface: not a plain route.</param>
internal readonly record struct RouteEnvelope(uint Table, bool Learnable);

/// <summary>One distinct object per set of next hops: 100,000 routes over a hundred interfaces need a hundred of them.</summary>
internal sealed class HopsCache
{
    private const int Limit = 65536;
    private readonly FibNextHop[] _scratch = new FibNextHop[RouteCodec.MaxHops];
    private readonly Dictionary<FibNextHop, FibNextHops> _single = [];
    private readonly Dictionary<FibNextHops, FibNextHops> _multiple = [];

    /// <summary>Where a decoder collects hops; one decoder at a time.</summary>
    internal Span<FibNextHop> Scratch => _scratch;

    internal FibNextHops Get(ReadOnlySpan<FibNextHop> hops)
    {
        if (hops.IsEmpty)
        {
            return FibNextHops.None;
        }

        if (_single.Count + _multiple.Count > Limit)
        {
            Clear();
        }

        if (hops.Length == 1)
        {
            ref FibNextHops? slot = ref CollectionsMarshal.GetValueRefOrAddDefault(_single, hops[0], out _);
            return slot ??= new FibNextHops(hops);
        }

        FibNextHops made = new(hops);
        if (_multiple.TryGetValue(made, out FibNextHops? known))
        {
            return known;
        }

        _multiple.Add(made, made);
        return made;
    }

    /// <summary>Forgets the sets of routes that have gone, when most have.</summary>
    internal void Trim(int routes)
    {
        if (Slack.IsLarge(routes, _single.Count + _multiple.Count))
        {
            Clear();
        }
    }

    // The sets in use are kept alive by their routes; this only costs sharing.
    private void Clear()
    {
        _single.Clear();
        _multiple.Clear();
        Slack.Trim(_single);
        Slack.Trim(_multiple);
    }
}

/// <summary>RTM_*ROUTE in both directions.</summary>
internal static class RouteCodec
{
    /// <summary>More next hops than this are not read: the rest is cut, as the kernel's own limit is far below.</summary>
    internal const int MaxHops = 256;

    /// <summary>Room that one route request may need: header, rtmsg, attributes, and 40 octets per next hop.</summary>
    internal static int RequestLength(int hops) => 128 + (40 * Math.Max(hops, 1));

    /// <summary>The address family of a body; 0 when it is too short.</summary>
    internal static byte FamilyOf(ReadOnlySpan<byte> body) => body.IsEmpty ? (byte)0 : body[0];

    /// <summary>Decodes the body of RTM_NEWROUTE or RTM_DELROUTE; false when it is no route of the family or does not parse. A route that refers to a next hop
    /// object has the object's next hops, but none where the kernel reports the id alone (net.ipv4.nexthop_compat_mode 0).</summary>
    internal static bool TryRead<TPrefix>(ReadOnlySpan<byte> body, HopsCache hops, out KernelRoute<TPrefix> route, out RouteEnvelope envelope)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        route = default;
        envelope = default;
        int octets = TPrefix.MaxLength / 8;
        byte family = Rt.Family(octets == 4);
        if (body.Length < Rt.RtmsgLength || body[0] != family || body[1] > TPrefix.MaxLength)
        {
            return false;
        }

        uint rtFlags = MemoryMarshal.Read<uint>(body[8..]);
        IpAddr destination = octets == 4 ? IpAddr.V4(0) : IpAddr.V6(0, 0);
        IpAddr preferred = default;
        IpAddr gateway = default;
        int oif = 0;
        uint metric = 0;
        uint table = body[4];
        uint nextHopId = 0;
        bool plain = body[2] == 0;
        Span<FibNextHop> found = hops.Scratch;
        int count = 0;
        AttributeReader attributes = new(body[Rt.RtmsgLength..]);
        while (attributes.TryRead(out int type, out ReadOnlySpan<byte> value))
        {
            switch (type)
            {
                case Rt.RtaDst:
                    if (value.Length != octets)
                    {
                        return false;
                    }

                    destination = IpAddr.FromBytes(value);
                    break;
                case Rt.RtaIif:
                    plain = false;
                    break;
                case Rt.RtaGateway:
                    gateway = IpAddr.FromBytes(value);
                    break;
                case Rt.RtaVia:
                    gateway = ReadVia(value);
                    break;
                case Rt.RtaPrefSrc:
                    preferred = IpAddr.FromBytes(value);
                    break;
                case Rt.RtaOif when value.Length == 4:
                    oif = MemoryMarshal.Read<int>(value);
                    break;
                case Rt.RtaPriority when value.Length == 4:
                    metric = MemoryMarshal.Read<uint>(value);
                    break;
                case Rt.RtaTable when value.Length == 4:
                    table = MemoryMarshal.Read<uint>(value);
                    break;
                case Rt.RtaNhId when value.Length == 4:
                    nextHopId = MemoryMarshal.Read<uint>(value);
                    break;
                case Rt.RtaMultipath:
                    count = ReadMultipath(value, found);
                    break;
            }
        }

        KernelRouteType kind = (KernelRouteType)body[7];
        if (kind != KernelRouteType.Unicast && kind != KernelRouteType.Local)
        {
            // An IPv6 blackhole is reported with dev lo; that is how the kernel stores it, not a next hop.
            count = 0;
        }
        else if (count == 0 && (oif != 0 || !gateway.IsNone))
        {
            if (gateway.IsUnspecified)
            {
                gateway = default;
            }

            found[0] = new FibNextHop(gateway, oif, ((byte)rtFlags & Rt.HopOnLink) != 0);
            count = 1;
        }

        bool cloned = (rtFlags & Rt.RouteCloned) != 0;
        route = new KernelRoute<TPrefix>(
            TPrefix.Create(destination, body[1]), kind, body[5], body[6], metric, body[3], cloned, preferred, hops.Get(found[..count]), nextHopId);
        envelope = new RouteEnvelope(table, plain);
        return true;
    }

    private static IpAddr ReadVia(ReadOnlySpan<byte> value) => value.Length > 2 ? IpAddr.FromBytes(value[2..]) : default;

    private static int ReadMultipath(ReadOnlySpan<byte> value, Span<FibNextHop> into)
    {
        int count = 0;
        while (value.Length >= 8 && count < into.Length)
        {
            int length = MemoryMarshal.Read<ushort>(value);
            if (length < 8 || length > value.Length)
            {
                break;
            }

            IpAddr gateway = default;
            AttributeReader inner = new(value[8..length]);
            while (inner.TryRead(out int type, out ReadOnlySpan<byte> octets))
            {
                gateway = type switch
                {
                    Rt.RtaGateway => IpAddr.FromBytes(octets),
                    Rt.RtaVia => ReadVia(octets),
                    _ => gateway,
                };
            }

            into[count++] = new FibNextHop(gateway, MemoryMarshal.Read<int>(value[4..]), (value[2] & Rt.HopOnLink) != 0, value[3] + 1);
            value = value[Math.Min(Rt.Align(length), value.Length)..];
        }

        return count;
    }

    /// <summary>Writes one request. The caller has checked that <see cref="RequestLength"/> octets are free.</summary>
    internal static void Write<TPrefix>(ref NetlinkWriter writer, in FibOp<TPrefix> op, uint sequence, uint table, byte protocol)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        bool v4 = TPrefix.MaxLength == 32;
        FibRoute route = op.Route;
        (ushort type, ushort flags) = op.Kind switch
        {
            FibOpKind.Add => (Rt.NewRoute, Rt.RequestCreate),
            FibOpKind.Replace => (Rt.NewRoute, Rt.RequestReplace),
            _ => (Rt.DelRoute, Rt.FlagRequest),
        };
        Span<byte> body = writer.Begin(type, flags, sequence, Rt.RtmsgLength);
        ReadOnlySpan<FibNextHop> hops = route.NextHops is null ? default : route.NextHops.Hops;
        body[0] = Rt.Family(v4);
        body[1] = (byte)op.Prefix.Length;
        body[4] = table < 256 ? (byte)table : (byte)0;
        body[5] = protocol;
        body[7] = (byte)route.Type;
        if (op.Kind == FibOpKind.Delete)
        {
            // RT_SCOPE_NOWHERE matches any scope. Next hops stay out: {prefix, metric, protocol, type} already says which.
            body[6] = Rt.ScopeNowhere;
        }
        else
        {
            body[6] = v4 && hops.Length > 0 && hops[0].Gateway.IsNone ? Rt.ScopeLink : Rt.ScopeUniverse;
            if (hops.Length == 1 && hops[0].OnLink && op.NextHopId == 0)
            {
                body[8] = Rt.HopOnLink;
            }
        }

        writer.Attribute(Rt.RtaDst, op.Prefix.Address);
        writer.Attribute(Rt.RtaTable, table);
        if (route.Metric != 0)
        {
            writer.Attribute(Rt.RtaPriority, route.Metric);
        }

        if (op.Kind != FibOpKind.Delete && op.NextHopId != 0)
        {
            writer.Attribute(Rt.RtaNhId, op.NextHopId);
        }
        else if (op.Kind != FibOpKind.Delete && hops.Length == 1)
        {
            if (!hops[0].Gateway.IsNone)
            {
                WriteGateway(ref writer, hops[0].Gateway, v4);
            }

            if (hops[0].Interface != 0)
            {
                writer.Attribute(Rt.RtaOif, (uint)hops[0].Interface);
            }
        }
        else if (op.Kind != FibOpKind.Delete && hops.Length > 1)
        {
            int nested = writer.BeginNested(Rt.RtaMultipath);
            foreach (FibNextHop hop in hops)
            {
                int at = writer.Length;
                Span<byte> header = writer.Raw(8);
                header[2] = hop.OnLink ? Rt.HopOnLink : (byte)0;
                header[3] = Rt.WeightOctet(hop.Weight);
                MemoryMarshal.Write(header[4..], hop.Interface);
                if (!hop.Gateway.IsNone)
                {
                    WriteGateway(ref writer, hop.Gateway, v4);
                }

                MemoryMarshal.Write(header, (ushort)(writer.Length - at));
            }

            writer.EndNested(nested);
        }

        writer.End();
    }

    private static void WriteGateway(ref NetlinkWriter writer, IpAddr gateway, bool v4)
    {
        if (gateway.IsV4 == v4)
        {
            writer.Attribute(Rt.RtaGateway, gateway);
            return;
        }

        // RFC 8950: an IPv4 route through an IPv6 next hop.
        Span<byte> via = writer.Attribute(Rt.RtaVia, 2 + gateway.ByteLength);
        MemoryMarshal.Write(via, (ushort)Rt.Family(gateway.IsV4));
        gateway.Write(via[2..]);
    }

    /// <summary>A dump request for the routes of one table, through one interface when <paramref name="oif"/> is not 0.
    /// With NETLINK_GET_STRICT_CHK the kernel filters; without it, it sends everything and the reader does.</summary>
    internal static void WriteDump(ref NetlinkWriter writer, byte family, uint table, int oif, uint sequence)
    {
        Span<byte> body = writer.Begin(Rt.GetRoute, Rt.FlagRequest | Rt.FlagDump, sequence, Rt.RtmsgLength);
        body[0] = family;
        writer.Attribute(Rt.RtaTable, table);
        if (oif != 0)
        {
            writer.Attribute(Rt.RtaOif, (uint)oif);
        }

        writer.End();
    }
}
