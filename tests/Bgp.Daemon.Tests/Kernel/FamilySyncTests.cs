using Bgp.Daemon.Kernel;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tests.Kernel;

/// <summary>What is published of a scan.</summary>
[TestFixture]
public sealed class FamilySyncTests
{
    private const byte Ours = 12;
    private const byte Static = 4;

    private readonly KernelRoute<Ipv4Prefix> _near = Route("10.0.0.1");
    private readonly KernelRoute<Ipv4Prefix> _far = Route("10.0.0.2");
    private FamilySync<Ipv4Prefix> _family = null!;

    [SetUp]
    public void Begin() => _family = new FamilySync<Ipv4Prefix>(Ours);

    [Test]
    public void A_route_that_only_an_interrupted_dump_has_shown_is_not_published()
    {
        _family.BeginScan();
        _family.Seen(_near);
        _family.BeginScan();
        _family.EndScan(0, sweep: true);
        Assert.That(_family.Unpublished, Is.Empty);
        Assert.That(_family.Mirror.Count, Is.Zero);
    }

    [Test]
    public void Of_two_routes_that_took_each_others_place_between_two_dumps_the_later_is_published()
    {
        _family.BeginScan();
        _family.Seen(_near);
        _family.BeginScan();
        _family.Seen(_far);
        _family.EndScan(0, sweep: true);
        Assert.That(_family.Unpublished, Is.EqualTo(new[] { new MirrorChange<Ipv4Prefix>(_far, true) }));
    }

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(3)]
    public void A_removal_is_published_once_and_before_what_took_its_place(int dumps)
    {
        _family.Apply(RouteReport.Added, _near);
        _family.Unpublished.Clear();
        for (int i = 0; i < dumps; i++)
        {
            _family.BeginScan();
            _family.Seen(_far);
        }

        _family.EndScan(0, sweep: true);
        Assert.That(_family.Unpublished, Is.EqualTo(new[] { new MirrorChange<Ipv4Prefix>(_near, false), new MirrorChange<Ipv4Prefix>(_far, true) }));
    }

    [Test]
    public void A_scan_without_an_end_takes_nothing_back_and_the_next_one_does()
    {
        _family.BeginScan();
        _family.Seen(_near);
        _family.BeginScan();
        _family.EndScan(0, sweep: false);
        Assert.That(_family.Unpublished, Is.EqualTo(new[] { new MirrorChange<Ipv4Prefix>(_near, true) }));
        _family.Unpublished.Clear();
        _family.BeginScan();
        _family.EndScan(0, sweep: true);
        Assert.That(_family.Unpublished, Is.EqualTo(new[] { new MirrorChange<Ipv4Prefix>(_near, false) }));
    }

    private static KernelRoute<Ipv4Prefix> Route(string gateway) => new(
        Ipv4Prefix.Create(IpAddr.Parse("10.250.0.2"), 32), KernelRouteType.Unicast, Static, 0, 0, 0, false, default, new FibNextHops([new FibNextHop(IpAddr.Parse(gateway), 2, false)]), 7);
}
