using Bgp.Daemon.Kernel.Netlink;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tests.Kernel;

/// <summary>Octets of linux/nexthop.h, as iproute2 sends and Linux 6 reports them.</summary>
[TestFixture]
public sealed class NexthopCodecTests
{
    private static byte[] Octets(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal).Replace("\n", "", StringComparison.Ordinal));

    private static string Written(NexthopOpKind kind, KernelNexthop wanted)
    {
        byte[] buffer = new byte[4096];
        NetlinkWriter writer = new(buffer);
        NexthopCodec.Write(ref writer, new NexthopOp(kind, wanted), 7);
        Assert.That(writer.Length, Is.LessThanOrEqualTo(NexthopCodec.RequestLength(wanted.Group.Length)));
        Assert.That(BitConverter.ToUInt32(buffer), Is.EqualTo(writer.Length));
        return Convert.ToHexString(writer.Written[4..]);
    }

    private static KernelNexthop? Read(string body) => NexthopCodec.TryRead(Octets(body), out KernelNexthop found) ? found : null;

    private static FibNextHop Hop(string gateway, int link, bool onLink = false) => new(gateway.Length == 0 ? default : IpAddr.Parse(gateway), link, onLink);

    private static string Hex(string text) => Convert.ToHexString(Octets(text));

    [Test]
    public void Requests_are_what_iproute2_sends()
    {
        Assert.That(
            Written(NexthopOpKind.Create, new KernelNexthop(0x50FE0000, 12, true, Hop("10.0.0.1", 5), true, false, [])),
            Is.EqualTo(Hex("6800 0106 07000000 00000000 02000C00 00000000 08000100 0000FE50 08000500 05000000 08000600 0A000001")));
        Assert.That(
            Written(NexthopOpKind.Replace, new KernelNexthop(1, 12, true, Hop("10.0.0.1", 5, onLink: true), true, false, [])),
            Is.EqualTo(Hex("6800 0101 07000000 00000000 02000C00 04000000 08000100 01000000 08000500 05000000 08000600 0A000001")), "tunl0, RTNH_F_ONLINK");
        Assert.That(
            Written(NexthopOpKind.Create, new KernelNexthop(1, 12, false, Hop("fd00::1", 5), true, false, [])),
            Is.EqualTo(Hex("6800 0106 07000000 00000000 0A000C00 00000000 08000100 01000000 08000500 05000000 14000600 FD000000000000000000000000000001")));
        Assert.That(
            Written(NexthopOpKind.Create, new KernelNexthop(1, 12, true, Hop("", 5), true, false, [])),
            Is.EqualTo(Hex("6800 0106 07000000 00000000 02000C00 00000000 08000100 01000000 08000500 05000000")), "direct");
        Assert.That(
            Written(NexthopOpKind.Create, new KernelNexthop(1, 12, true, default, true, true, [])),
            Is.EqualTo(Hex("6800 0106 07000000 00000000 02000C00 00000000 08000100 01000000 04000400")), "blackhole");
        Assert.That(
            Written(NexthopOpKind.Create, new KernelNexthop(9, 12, false, default, true, false, [new NexthopMember(7, 1), new NexthopMember(8, 256)])),
            Is.EqualTo(Hex("6800 0106 07000000 00000000 00000C00 00000000 08000100 09000000 14000200 07000000 00000000 08000000 FF000000")));
        Assert.That(
            Written(NexthopOpKind.Delete, new KernelNexthop(9, 12, true, Hop("10.0.0.1", 5), true, false, [])),
            Is.EqualTo(Hex("6900 0100 07000000 00000000 00000000 00000000 08000100 09000000")));
    }

    [Test]
    public void Reports_are_read()
    {
        KernelNexthop single = Read("02FD0C00 04000000 08000100 0000FE50 08000500 05000000 08000600 0A000001")!;
        Assert.That((single.Id, single.Protocol, single.IsV4, single.Hop, single.Plain, single.Blackhole), Is.EqualTo((0x50FE0000u, 12, true, Hop("10.0.0.1", 5, onLink: true), true, false)));
        KernelNexthop group = Read("00000C00 00000000 08000100 09000000 06000300 0000 0000 14000200 07000000 00000000 08000000 FF000000")!;
        Assert.That((group.Id, group.Plain, group.Hop), Is.EqualTo((9u, true, default(FibNextHop))));
        Assert.That(group.Group, Is.EqualTo(new[] { new NexthopMember(7, 1), new NexthopMember(8, 256) }));
        Assert.That(Read("02000300 00000000 08000100 01000000 04000400")!.Blackhole);
        Assert.That(Read("0AFD0300 00000000 08000100 01000000 08000500 05000000 14000600 FD000000000000000000000000000001")!.Hop, Is.EqualTo(Hop("fd00::1", 5)));
    }

    [TestCase("02FD0300 00000000 08000100 01000000 08000500 05000000 06000700 0100 0000", TestName = "{m}(encapsulation)")]
    [TestCase("07000300 00000000 08000100 01000000 04000B00 08000600 0A000001", TestName = "{m}(fdb)")]
    [TestCase("00000300 00000000 08000100 01000000 06000300 0100 0000 0C000200 07000000 00000000", TestName = "{m}(resilient group)")]
    public void An_object_with_more_than_a_next_hop_is_never_taken_for_one_of_ours(string body) => Assert.That(Read(body)!.Plain, Is.False);

    [TestCase("")]
    [TestCase("02000300 000000")]
    [TestCase("02000300 00000000 08000500 05000000", TestName = "{m}(no id)")]
    [TestCase("02000300 00000000 08000100 00000000", TestName = "{m}(id 0)")]
    [TestCase("02000300 00000000 06000100 0100 0000", TestName = "{m}(short id)")]
    [TestCase("02000300 00000000 FF000100 01000000", TestName = "{m}(long attribute)")]
    public void What_does_not_parse_is_no_object(string body) => Assert.That(Read(body), Is.Null);

    [Test]
    public void A_route_by_an_id_carries_neither_gateway_nor_interface()
    {
        byte[] buffer = new byte[256];
        NetlinkWriter writer = new(buffer);
        FibRoute route = new(KernelRouteType.Unicast, 0, new FibNextHops([Hop("10.0.0.1", 5, onLink: true)]));
        RouteCodec.Write(ref writer, new FibOp<Ipv4Prefix>(FibOpKind.Add, Ipv4Prefix.Parse("10.1.0.0/24"), route, 0x50FE0000), 7, 254, 12);
        Assert.That(
            Convert.ToHexString(writer.Written[4..]),
            Is.EqualTo(Hex("1800 0106 07000000 00000000 02180000 FE0C0001 00000000 08000100 0A010000 08000F00 FE000000 08001E00 0000FE50")));

        // And back, as a kernel reports it whose nexthop_compat_mode is 0.
        Assert.That(RouteCodec.TryRead(writer.Written[16..], new HopsCache(), out KernelRoute<Ipv4Prefix> read, out _));
        Assert.That((read.NextHopId, read.NextHops.Hops.Length), Is.EqualTo((0x50FE0000u, 0)));
    }

    [Test]
    public void All_objects_are_asked_for_with_a_dump_and_one_by_its_id()
    {
        byte[] buffer = new byte[64];
        NetlinkWriter writer = new(buffer);
        NexthopCodec.WriteGet(ref writer, 0, 7);
        Assert.That(Convert.ToHexString(writer.Written), Is.EqualTo(Hex("18000000 6A00 0103 07000000 00000000 00000000 00000000")));
        writer = new NetlinkWriter(buffer);
        NexthopCodec.WriteGet(ref writer, 9, 7);
        Assert.That(Convert.ToHexString(writer.Written), Is.EqualTo(Hex("20000000 6A00 0100 07000000 00000000 00000000 00000000 08000100 09000000")));
    }

    [Test]
    public void A_links_carrier_is_read_apart_from_its_state()
    {
        static (bool Up, bool Carrier) Link(string flags)
        {
            Assert.That(LinkCodec.TryReadLink(Octets("00000100 05000000" + flags + "00000000 0A000300 6574683000 0000"), out _, out _, out bool up, out bool carrier));
            return (up, carrier);
        }

        Assert.That(Link("43100100"), Is.EqualTo((true, true)));
        Assert.That(Link("03100000"), Is.EqualTo((true, false)), "NO-CARRIER");
        Assert.That(Link("02100000"), Is.EqualTo((false, false)));
    }
}
