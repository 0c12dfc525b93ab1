using Bgp.Protocol;
using Rib.Tests.Policy;

namespace Rib.Tests.Kernel;

[TestFixture]
public sealed class FibPolicyTests
{
    private const int Eth0 = 2;
    private const int Tunl0 = 7;

    private readonly AttributeTable _attributes = new();

    private static NexthopTable Nexthops()
    {
        NexthopTable table = new();
        table.ApplyRoute(
            new KernelRoute<Ipv4Prefix>(Ipv4Prefix.Parse("10.0.0.0/24"), KernelRouteType.Unicast, 2, 253, 0, 0, false, default, new FibNextHops([new FibNextHop(default, Eth0, false)])),
            true, []);
        table.ApplyRoute(
            new KernelRoute<Ipv4Prefix>(Ipv4Prefix.Parse("10.0.0.0/8"), KernelRouteType.Unicast, 3, 0, 0, 0, false, default, new FibNextHops([Hop("10.0.0.254")])),
            true, []);
        table.ApplyRoute(
            new KernelRoute<Ipv6Prefix>(Ipv6Prefix.Parse("fd00::/64"), KernelRouteType.Unicast, 2, 253, 0, 0, false, default, new FibNextHops([new FibNextHop(default, Eth0, false)])),
            true, []);
        return table;
    }

    private static FibNextHop Hop(string gateway, int link = Eth0) => new(IpAddr.Parse(gateway), link, link == Tunl0);

    private Path Bgp(string nextHop, uint? localPref = null, uint kernelMetric = 0) => new()
    {
        Attr = _attributes.Intern(PolicyTestData.Octets(
            nextHop,
            kernelMetric == 0 ? null : new LocalRouteInfo(RouteSource.Bgp, 0, kernelMetric, "", default),
            (ref PathAttributesBuilder b) =>
            {
                if (localPref is uint value)
                {
                    b.SetLocalPref(value);
                }
            })),
    };

    private Path Local(RouteSource source) =>
        new() { Attr = _attributes.Intern(PolicyTestData.Octets(local: new LocalRouteInfo(source, 3, 0, "eth0", default))) };

    private static PoolDefinition Pool(TunnelMode mode, TunnelWhen when) =>
        new() { Name = "pods", Prefix = Cidr.Parse("10.244.0.0/16"), Tunnel = mode, When = when };

    private (FibRoute? Route, string Reason) Ask(FibOptions options, string prefix, params Path[] paths)
    {
        FibPolicy<Ipv4Prefix> policy = new(options);
        policy.SetInterface("tunl0", Tunl0);
        bool desired = policy.TryDesired(Ipv4Prefix.Parse(prefix), paths, _attributes, Nexthops(), out FibRoute route, out string reason);
        return (desired ? route : null, reason);
    }

    private static FibRoute Unicast(uint metric, params FibNextHop[] hops) => new(KernelRouteType.Unicast, metric, new FibNextHops(hops));

    // near: a next hop in the node's subnet; far: outside.
    [Test]
    public void An_IPv6_next_hop_of_an_IPv4_route_never_goes_into_an_IPIP_tunnel()
    {
        FibOptions options = new() { Pools = [Pool(TunnelMode.Ipip, TunnelWhen.Always)] };
        Assert.That(Ask(options, "10.244.1.0/26", Bgp("fd00::2")).Route, Is.EqualTo(Unicast(0, Hop("fd00::2"))));
        Assert.That(Ask(options, "10.244.1.0/26", Bgp("10.0.0.2")).Route, Is.EqualTo(Unicast(0, Hop("10.0.0.2", Tunl0))));
    }

    [TestCase(TunnelMode.Ipip, TunnelWhen.Always, "10.0.0.2", "10.0.0.2", Tunl0)]
    [TestCase(TunnelMode.Ipip, TunnelWhen.Always, "10.0.1.2", "10.0.1.2", Tunl0)]
    [TestCase(TunnelMode.Ipip, TunnelWhen.CrossSubnet, "10.0.0.2", "10.0.0.2", Eth0)]
    [TestCase(TunnelMode.Ipip, TunnelWhen.CrossSubnet, "10.0.1.2", "10.0.1.2", Tunl0)]
    [TestCase(TunnelMode.None, TunnelWhen.Always, "10.0.0.2", "10.0.0.2", Eth0)]
    [TestCase(TunnelMode.None, TunnelWhen.Always, "10.0.1.2", "10.0.0.254", Eth0)]
    [TestCase(TunnelMode.None, TunnelWhen.CrossSubnet, "10.0.1.2", "10.0.0.254", Eth0)]
    [TestCase(TunnelMode.Vxlan, TunnelWhen.Always, "10.0.1.2", null, 0)]
    [TestCase(TunnelMode.Vxlan, TunnelWhen.CrossSubnet, "10.0.0.2", null, 0)]
    public void Pool_and_subnet_decide_the_tunnel(TunnelMode mode, TunnelWhen when, string nextHop, string? gateway, int link)
    {
        FibOptions options = new() { Pools = [Pool(mode, when)], NodeSubnet = Cidr.Parse("10.0.0.0/24") };
        FibRoute? expected = gateway is null ? null : Unicast(0, Hop(gateway, link));
        Assert.That(Ask(options, "10.244.3.0/26", Bgp(nextHop)).Route, Is.EqualTo(expected));
        Assert.That(Ask(options, "192.0.2.0/24", Bgp(nextHop)).Route, Is.EqualTo(Unicast(0, Hop(nextHop == "10.0.0.2" ? nextHop : "10.0.0.254"))));
    }

    [TestCase("10.244.3.0/26", Tunl0)]
    [TestCase("10.244.0.0/16", Tunl0)]
    [TestCase("10.244.7.9/32", Eth0)]
    public void Of_pools_inside_each_other_the_narrower_one_decides(string prefix, int link)
    {
        FibOptions options = new()
        {
            Pools = [Pool(TunnelMode.None, TunnelWhen.Always) with { Name = "inner", Prefix = Cidr.Parse("10.244.7.0/24") }, Pool(TunnelMode.Ipip, TunnelWhen.Always)],
        };
        Assert.That(Ask(options, prefix, Bgp("10.0.0.2")).Route, Is.EqualTo(Unicast(0, Hop("10.0.0.2", link))));
    }

    [Test]
    public void Cross_subnet_without_a_known_subnet_is_direct() =>
        Assert.That(
            Ask(new FibOptions { Pools = [Pool(TunnelMode.Ipip, TunnelWhen.CrossSubnet)] }, "10.244.3.0/26", Bgp("10.0.1.2")).Route,
            Is.EqualTo(Unicast(0, Hop("10.0.0.254"))));

    [Test]
    public void What_is_never_installed_has_a_reason()
    {
        PoolDefinition pool = Pool(TunnelMode.None, TunnelWhen.Always);
        (FibRoute? Route, string Reason)[] answers =
        [
            Ask(new FibOptions(), "10.244.3.0/26"),
            Ask(new FibOptions { Pools = [pool with { InstallKernel = false }] }, "10.244.3.0/26", Bgp("10.0.0.2")),
            Ask(new FibOptions { Pools = [pool with { Use = PoolUse.Service }] }, "10.244.3.0/26", Bgp("10.0.0.2")),
            Ask(new FibOptions { ExcludeNextHops = [Cidr.Parse("10.0.0.2")] }, "10.244.3.0/26", Bgp("10.0.0.2"), Bgp("10.0.0.3")),
            Ask(new FibOptions(), "0.0.0.0/0", Bgp("10.0.0.2")),
            Ask(new FibOptions(), "10.244.3.0/26", Bgp("192.0.2.9")),
            Ask(new FibOptions(), "10.244.3.0/26", Local(RouteSource.Kernel)),
            Ask(new FibOptions { Pools = [Pool(TunnelMode.Ipip, TunnelWhen.Always) with { Device = "tunl9" }] }, "10.244.3.0/26", Bgp("10.0.0.2")),
            Ask(new FibOptions { Originate = [new(Cidr.Parse("10.244.3.0/26"), OriginateKind.None)] }, "10.244.3.0/26", Local(RouteSource.Originate)),
        ];
        Assert.That(answers.Select(a => a.Route), Is.All.Null);
        Assert.That(answers.Select(a => a.Reason), Is.Unique);
    }

    [TestCase(OriginateKind.Blackhole, KernelRouteType.Blackhole)]
    [TestCase(OriginateKind.Unreachable, KernelRouteType.Unreachable)]
    public void Originated_prefix_is_installed_without_metric(OriginateKind kind, KernelRouteType type) =>
        Assert.That(
            Ask(
                new FibOptions { Originate = [new(Cidr.Parse("10.244.3.0/26"), kind)], MetricMode = KernelMetricMode.Fixed, Metric = 9 },
                "10.244.3.0/26", Local(RouteSource.Originate)).Route,
            Is.EqualTo(new FibRoute(type, 0, FibNextHops.None)));

    [Test]
    public void Equal_paths_are_merged_up_to_the_limit_through_the_tunnel_too()
    {
        FibOptions options = new() { Pools = [Pool(TunnelMode.Ipip, TunnelWhen.CrossSubnet)], NodeSubnet = Cidr.Parse("10.0.0.0/24"), InstallDefault = true };
        Path[] paths = [Bgp("10.0.1.2"), Bgp("10.0.0.3"), Bgp("10.0.2.2")];
        Assert.That(Ask(options, "10.244.3.0/26", paths).Route, Is.EqualTo(Unicast(0, Hop("10.0.1.2", Tunl0), Hop("10.0.0.3"), Hop("10.0.2.2", Tunl0))));
        Assert.That(Ask(options with { MaxPaths = 2 }, "10.244.3.0/26", paths).Route, Is.EqualTo(Unicast(0, Hop("10.0.1.2", Tunl0), Hop("10.0.0.3"))));
        Assert.That(Ask(options with { Ecmp = false }, "10.244.3.0/26", paths).Route, Is.EqualTo(Unicast(0, Hop("10.0.1.2", Tunl0))));
        Assert.That(Ask(options with { ExcludeNextHops = [Cidr.Parse("10.0.0.3")] }, "10.244.3.0/26", paths).Route, Is.EqualTo(Unicast(0, Hop("10.0.1.2", Tunl0), Hop("10.0.2.2", Tunl0))));
        Assert.That(Ask(options, "0.0.0.0/0", paths).Route, Is.EqualTo(Unicast(0, Hop("10.0.0.254"), Hop("10.0.0.3"))));
    }

    [Test]
    public void Metric_is_none_a_number_from_local_pref_or_the_filters()
    {
        FibOptions fixedMetric = new() { MetricMode = KernelMetricMode.Fixed, Metric = 32 };
        FibOptions localPref = new() { MetricMode = KernelMetricMode.LocalPref };
        Assert.That(Ask(new FibOptions(), "10.244.3.0/26", Bgp("10.0.0.2")).Route?.Metric, Is.Zero);
        Assert.That(Ask(fixedMetric, "10.244.3.0/26", Bgp("10.0.0.2")).Route?.Metric, Is.EqualTo(32));
        Assert.That(Ask(localPref, "10.244.3.0/26", Bgp("10.0.0.2")).Route?.Metric, Is.EqualTo(2147483547));
        Assert.That(Ask(localPref, "10.244.3.0/26", Bgp("10.0.0.2", 2147482623)).Route?.Metric, Is.EqualTo(1024));
        Assert.That(Ask(localPref, "10.244.3.0/26", Bgp("10.0.0.2", uint.MaxValue)).Route?.Metric, Is.EqualTo(1));
        Assert.That(Ask(localPref, "10.244.3.0/26", Bgp("10.0.0.2", kernelMetric: 77)).Route?.Metric, Is.EqualTo(77));
    }

    [Test]
    public void Ipv6_ignores_ipip()
    {
        FibPolicy<Ipv6Prefix> policy = new(new FibOptions
        {
            Pools = [new PoolDefinition { Name = "v6", Prefix = Cidr.Parse("fd10::/64"), Tunnel = TunnelMode.Ipip }],
        });
        Assert.That(policy.TryDesired(Ipv6Prefix.Parse("fd10::100/122"), [Bgp("fd00::2")], _attributes, Nexthops(), out FibRoute route, out _), Is.True);
        Assert.That(route, Is.EqualTo(Unicast(0, Hop("fd00::2"))));
    }

    [Test]
    public void Only_a_pools_tunnel_device_asks_for_another_look()
    {
        FibPolicy<Ipv4Prefix> policy = new(new FibOptions { Pools = [Pool(TunnelMode.Ipip, TunnelWhen.Always)] });
        Assert.That(policy.SetInterface("eth0", 2), Is.False);
        Assert.That(policy.SetInterface("tunl0", 7), Is.True);
        Assert.That(policy.SetInterface("tunl0", 7), Is.False);
        Assert.That(policy.SetInterface("tunl0", 0), Is.True);
    }
}
