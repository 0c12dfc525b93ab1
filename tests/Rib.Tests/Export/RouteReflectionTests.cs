using Bgp.Protocol;

namespace Rib.Tests.Export;

/// <summary>RFC 4456 section 6, cell by cell, and what section 8 adds.</summary>
[TestFixture]
public sealed class RouteReflectionTests
{
    [TestCase(PeerKind.Local, PeerKind.Ebgp, true, false)]
    [TestCase(PeerKind.Local, PeerKind.Ibgp, true, false)]
    [TestCase(PeerKind.Local, PeerKind.IbgpClient, true, false)]
    [TestCase(PeerKind.Ebgp, PeerKind.Ebgp, true, false)]
    [TestCase(PeerKind.Ebgp, PeerKind.Ibgp, true, false)]
    [TestCase(PeerKind.Ebgp, PeerKind.IbgpClient, true, false)]
    [TestCase(PeerKind.Ibgp, PeerKind.Ebgp, true, false)]
    [TestCase(PeerKind.Ibgp, PeerKind.Ibgp, false, true)]
    [TestCase(PeerKind.Ibgp, PeerKind.IbgpClient, true, true)]
    [TestCase(PeerKind.IbgpClient, PeerKind.Ebgp, true, false)]
    [TestCase(PeerKind.IbgpClient, PeerKind.Ibgp, true, true)]
    [TestCase(PeerKind.IbgpClient, PeerKind.IbgpClient, true, true)]
    [TestCase(PeerKind.Ebgp, PeerKind.Local, false, false)]
    [TestCase(PeerKind.Local, PeerKind.Local, false, false)]
    public void Who_may_hear_what(PeerKind from, PeerKind to, bool may, bool reflection)
    {
        Assert.That(RouteReflection.MayAdvertise(from, to), Is.EqualTo(may));
        Assert.That(RouteReflection.IsReflection(from, to), Is.EqualTo(reflection));
    }

    [TestCase(PeerKind.IbgpClient, 7u, PeerKind.IbgpClient, 7u, TestName = "A_clients_route_carries_its_own_cluster_to_a_client_of_another")]
    [TestCase(PeerKind.IbgpClient, 7u, PeerKind.Ibgp, 7u, TestName = "A_clients_route_carries_its_own_cluster_to_a_non_client")]
    [TestCase(PeerKind.Ibgp, 5u, PeerKind.IbgpClient, 9u, TestName = "A_non_clients_route_carries_the_cluster_it_goes_into")]
    public void The_cluster_of_a_reflected_route(PeerKind from, uint cluster, PeerKind to, uint expected)
    {
        AttributeTable attributes = new();
        RibShard<Ipv4Prefix> shard = new(attributes, new Everywhere(), new RibOptions());
        shard.SetPeer(new RibPeer { Index = 1, Name = "source", Kind = from, RouterId = 0x0A000001, ClusterId = cluster });
        RibPeer target = new() { Index = 2, Name = "target", Kind = to };
        UpdateGroup<Ipv4Prefix> group = new(
            new UpdateGroupKey { Family = AfiSafi.Ipv4Unicast, Kind = to, LocalAsn = 64512, Policy = "", ClusterId = 9 }, shard, attributes, new TestPolicy(0));
        shard.Reach([Ipv4Prefix.Parse("10.0.0.0/8")], [], 1, attributes.Intern(new RouteSpec { NextHop = 0xC0000201, Clusters = [3] }.Stored()), PathFlags.None);
        Assert.That(shard.TryFind(Ipv4Prefix.Parse("10.0.0.0/8"), out uint index));
        Assert.That(group.Explain(index, 0, target, out _, out PathAttributes? exported, out _), Is.EqualTo(ExportReason.Advertised));
        Assert.That(exported!.ClusterListTexts(), Is.EqualTo(new[] { IpAddr.V4(expected).ToString(), "0.0.0.3" }));
        Assert.That(exported.OriginatorId, Is.EqualTo(0x0A000001));
        Assert.That(exported.NextHop, Is.EqualTo(IpAddr.V4(0xC0000201)));
    }

    private sealed class Everywhere : INextHopResolver
    {
        public NextHopState Resolve(in IpAddr nextHop) => new(true, 10);
    }
}
