using Bgp.Daemon.Kernel.Netlink;
using Bgp.Protocol;
using Rib;

namespace Bgp.Fuzz;

/// <summary>A datagram of rtnetlink: links, addresses, next hop objects, and routes of both families; what is read can be written as a request that is read back the same.</summary>
internal sealed class NetlinkTarget : IFuzzTarget
{
    private readonly HopsCache _hops = new();
    private readonly byte[] _buffer = new byte[32 * 1024];

    public IReadOnlyList<byte[]> Seeds { get; } = FuzzTargets.HexLines("""
        34000000 1800 0000 01000000 00000000 02180000 FE03FD01 00000000 08000F00FE000000 08000100C6336400 08000400 05000000
        3C000000 1800 0000 01000000 00000000 02180000 FE030001 00000000 08000F00FE000000 08000100C6336400 08000500 0A000001 08000400 05000000
        54000000 1800 0000 01000000 00000000 02180000 FE500001 00000000 08000100C6336400 08000600 64000000 2C000900 10000000 05000000 08000500 0A000001 1C000400 06000000 14001200 0A00 20010DB8000900000000000000000001 0000
        50000000 1800 0000 01000000 00000000 0A400000 FE030001 00000000 14000100 20010DB8000100000000000000000000 14000500 FE800000000000000000000000000001 08000400 05000000
        28000000 1900 0000 01000000 00000000 02200000 FE030006 00000000 08000100C6336401
        30000000 1000 0000 01000000 00000000 00000100 05000000 4310 0100 00000000 0A000300 6574683000 0000
        38000000 1400 0000 01000000 00000000 02180080 05000000 08000100 0A000001 08000200 0A000001 0A000300 6574683000 0000
        14000000 0300 0200 01000000 00000000 00000000
        24000000 0200 0000 01000000 00000000 FEFFFFFF 20000000 1800 0504 01000000 00000000
        30000000 6800 0000 01000000 00000000 02FD0C00 04000000 08000100 0000FE50 08000500 05000000 08000600 0A000001
        3C000000 6800 0000 01000000 00000000 0AFD0C00 00000000 08000100 0100FE50 08000500 05000000 14000600 FE800000000000000000000000000001
        3C000000 6800 0000 01000000 00000000 00000C00 00000000 08000100 0200FE50 06000300 00000000 14000200 0000FE50 00000000 0100FE50 FF000000
        24000000 6900 0000 01000000 00000000 02FD0300 00000000 08000100 07000000 04000400
        34000000 1800 0000 01000000 00000000 02180000 FE0C0001 00000000 08000F00FE000000 08000100C6336400 08001E00 0000FE50
        """);

    public IReadOnlyList<byte[]> Words { get; } = FuzzTargets.HexLines("""
        08000F00FE000000
        08000100C6336400
        08000500 0A000001
        08000400 05000000
        10000900 10000000 05000000
        08001E00 0000FE50
        0C000200 0000FE50 00000000
        14000100 20010DB8000100000000000000000000
        """);

    public void Run(ReadOnlySpan<byte> input)
    {
        NetlinkReader reader = new(input);
        int messages = 0;
        while (reader.TryRead(out NetlinkMessage message))
        {
            FuzzException.Unless(++messages <= input.Length / 16, "more messages than fit");
            _ = message.Error;
            if (LinkCodec.TryReadLink(message.Body, out int index, out string name, out bool up, out bool carrier))
            {
                FuzzException.Unless(index > 0 && name.Length <= 15 && (up || !carrier), "link");
            }

            if (LinkCodec.TryReadAddress(message.Body, out index, out IpAddr address, out _, out int length))
            {
                FuzzException.Unless(index > 0 && !address.IsNone && length <= 8 * address.ByteLength, "address");
            }

            Nexthop(message.Body);
            Route<Ipv4Prefix>(message.Body);
            Route<Ipv6Prefix>(message.Body);
        }
    }

    private void Nexthop(ReadOnlySpan<byte> body)
    {
        if (!NexthopCodec.TryRead(body, out KernelNexthop found))
        {
            return;
        }

        FuzzException.Unless(found.Id != 0 && found.Group.Length <= NexthopCodec.MaxMembers, "object");
        foreach (NexthopMember member in found.Group)
        {
            FuzzException.Unless(member.Weight is >= 1 and <= 256, "weight of a member");
        }

        if (!found.Plain)
        {
            return;
        }

        NetlinkWriter writer = new(_buffer);
        NexthopCodec.Write(ref writer, new NexthopOp(NexthopOpKind.Create, found), 1);
        FuzzException.Unless(writer.Length <= NexthopCodec.RequestLength(found.Group.Length), "longer than announced");
        NetlinkReader reader = new(writer.Written);
        FuzzException.Unless(reader.TryRead(out NetlinkMessage message) && !reader.Truncated, "what was written is no message");
        FuzzException.Unless(NexthopCodec.TryRead(message.Body, out KernelNexthop again) && again.Id == found.Id && again.Protocol == found.Protocol, "what was written is no object");
        FuzzException.Unless(again.Same(found) || (found.Blackhole && again.Blackhole), "another object");
    }

    private void Route<TPrefix>(ReadOnlySpan<byte> body)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        if (!RouteCodec.TryRead(body, _hops, out KernelRoute<TPrefix> route, out _))
        {
            return;
        }

        FuzzException.Unless(route.Prefix.Length <= TPrefix.MaxLength && route.Prefix.Equals(TPrefix.Create(route.Prefix.Address, route.Prefix.Length)), "bits beyond the prefix length");
        ReadOnlySpan<FibNextHop> hops = route.NextHops.Hops;
        FuzzException.Unless(hops.Length <= RouteCodec.MaxHops, "too many next hops");
        foreach (FibNextHop hop in hops)
        {
            FuzzException.Unless(hop.Weight is >= 1 and <= 256, "weight");
            if ((hop.Gateway.IsNone && hop.Interface == 0) || hop.Gateway.IsUnspecified)
            {
                // Nothing that this program would write.
                return;
            }
        }

        if (route.Type is not (KernelRouteType.Unicast or KernelRouteType.Blackhole or KernelRouteType.Unreachable) || (route.Type == KernelRouteType.Unicast && hops.IsEmpty))
        {
            return;
        }

        if (route.NextHopId != 0)
        {
            NetlinkWriter byId = new(_buffer);
            RouteCodec.Write(ref byId, new FibOp<TPrefix>(FibOpKind.Replace, route.Prefix, new FibRoute(route.Type, route.Metric, route.NextHops), route.NextHopId), 1, 254, 80);
            FuzzException.Unless(RouteCodec.TryRead(byId.Written[Rt.NlmsgHeader..], _hops, out KernelRoute<TPrefix> same, out _) && same.NextHopId == route.NextHopId, "another object");
            FuzzException.Unless(same.NextHops.Hops.IsEmpty, "next hops beside an object");
        }

        NetlinkWriter writer = new(_buffer);
        RouteCodec.Write(ref writer, new FibOp<TPrefix>(FibOpKind.Add, route.Prefix, new FibRoute(route.Type, route.Metric, route.NextHops)), 1, 254, 80);
        FuzzException.Unless(writer.Length <= RouteCodec.RequestLength(hops.Length), "longer than announced");
        NetlinkReader reader = new(writer.Written);
        FuzzException.Unless(reader.TryRead(out NetlinkMessage message) && !reader.Truncated, "what was written is no message");
        FuzzException.Unless(RouteCodec.TryRead(message.Body, _hops, out KernelRoute<TPrefix> again, out RouteEnvelope envelope), "what was written is no route");
        FuzzException.Unless(again.Prefix.Equals(route.Prefix) && again.Metric == route.Metric && again.Type == route.Type && envelope.Table == 254 && again.Protocol == 80, "another route");
        FuzzException.Unless(again.NextHops.Hops.Length == hops.Length, "other next hops");
        if (hops.Length == 1)
        {
            FuzzException.Unless(again.NextHops.Hops[0] == hops[0] with { Weight = 1 }, "another next hop");
        }
    }
}
