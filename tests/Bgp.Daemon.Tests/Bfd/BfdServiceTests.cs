using Bgp.Daemon.Bfd;
using Bgp.Protocol;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bgp.Daemon.Tests.Bfd;

/// <summary>Who has a session.</summary>
[TestFixture]
public sealed class BfdServiceTests
{
    private static BfdTarget Target(string remote, uint interval = 300_000, bool multihop = true) =>
        new() { Remote = IpAddr.Parse(remote), Multihop = multihop, MinTtl = 1, Parameters = new BfdParameters(interval, interval, 3) };

    [Test]
    public void Two_peers_on_one_address_share_a_session_until_both_have_let_go_of_it()
    {
        using BfdService service = new(NullLogger.Instance, static _ => 0);
        static void First(BfdPeer peer, BfdChange change) => _ = change;
        static void Second(BfdPeer peer, BfdChange change) => _ = peer;
        BfdPeer shared = service.Attach("a", Target("192.0.2.1"), First);
        Assert.That(service.Attach("b", Target("192.0.2.1", interval: 50_000), Second), Is.SameAs(shared), "parameters do not tell sessions apart");
        Assert.That(service.Attach("c", Target("192.0.2.2"), First), Is.Not.SameAs(shared));
        Assert.That(service.Attach("d", Target("192.0.2.1", multihop: false), First), Is.Not.SameAs(shared));
        service.Detach(shared, First);
        Assert.That(service.Attach("a", Target("192.0.2.1"), First), Is.SameAs(shared));
        service.Detach(shared, First);
        service.Detach(shared, Second);
        Assert.That(service.Attach("a", Target("192.0.2.1"), First), Is.Not.SameAs(shared));
    }
}
