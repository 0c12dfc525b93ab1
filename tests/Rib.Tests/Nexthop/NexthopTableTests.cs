using Bgp.Protocol;
using CsCheck;

namespace Rib.Tests.Nexthop;

[TestFixture]
public sealed class NexthopTableTests
{
    private static KernelRoute<Ipv4Prefix> Route(string prefix, params FibNextHop[] hops) => Route(prefix, 0, 3, hops);

    private static KernelRoute<Ipv4Prefix> Route(string prefix, uint metric, byte protocol, params FibNextHop[] hops) =>
        new(Ipv4Prefix.Parse(prefix), KernelRouteType.Unicast, protocol, 0, metric, 0, false, default, new FibNextHops(hops));

    private static FibNextHop Via(string gateway, int link, bool onLink = false) => new(IpAddr.Parse(gateway), link, onLink);

    private static FibNextHop Link(int link) => new(default, link, false);

    private static readonly IpAddr Peer = IpAddr.Parse("10.0.0.2");

    [Test]
    public void Connected_next_hop_is_its_own_gateway_at_metric_0()
    {
        NexthopTable table = new();
        table.ApplyRoute(Route("10.0.0.0/24", 100, 2, Link(2)), true, []);
        Assert.That(table.Resolve(Peer), Is.EqualTo(new NextHopState(true, 0)));
        Assert.That(table.TryGetHops(Peer, out FibNextHops hops), Is.True);
        Assert.That(hops, Is.EqualTo(new FibNextHops([Via("10.0.0.2", 2)])));
    }

    [Test]
    public void A_link_local_next_hop_is_resolved_on_its_own_interface_alone()
    {
        NexthopTable table = new();
        List<IpAddr> changed = [];
        IpAddr plain = IpAddr.Parse("fe80::2");
        IpAddr here = plain.WithScope(2);
        IpAddr there = plain.WithScope(3);
        Assert.That((here.Scope, here.WithScope(0), plain.Scope), Is.EqualTo((2, plain, 0)));
        Assert.That(table.Resolve(here).Resolved || table.Resolve(there).Resolved || table.Resolve(plain).Resolved, Is.False);
        KernelRoute<Ipv6Prefix> route = new(Ipv6Prefix.Parse("fe80::/64"), KernelRouteType.Unicast, 2, 0, 256, 0, false, default, new FibNextHops([Link(2)]));
        table.ApplyRoute(route, true, changed);
        Assert.That(changed, Is.EqualTo(new[] { here }));
        Assert.That(table.TryGetHops(here, out FibNextHops hops), Is.True);
        Assert.That(hops, Is.EqualTo(new FibNextHops([Via("fe80::2", 2)])));
        Assert.That((table.Resolve(there).Resolved, table.Resolve(plain).Resolved), Is.EqualTo((false, false)));
        changed.Clear();
        table.ApplyRoute(route, false, changed);
        Assert.That(changed, Is.EqualTo(new[] { here }));
    }

    [Test]
    public void A_static_host_route_through_a_gateway_wins_and_follows_the_gateway()
    {
        NexthopTable table = new();
        List<IpAddr> changed = [];
        table.ApplyRoute(Route("0.0.0.0/0", 50, 3, Via("10.0.0.254", 2)), true, changed);
        table.ApplyRoute(Route("10.0.0.2/32", 0, 4, Via("192.0.2.1", 0)), true, changed);
        Assert.That(table.TryGetHops(Peer, out FibNextHops hops), Is.True);
        Assert.That(hops, Is.EqualTo(new FibNextHops([Via("10.0.0.254", 2)])), "the gateway itself goes by the default route");
        table.ApplyRoute(Route("192.0.2.0/24", Link(3)), true, changed);
        Assert.That(changed, Does.Contain(Peer));
        Assert.That(table.TryGetHops(Peer, out hops), Is.True);
        Assert.That(hops, Is.EqualTo(new FibNextHops([Via("192.0.2.1", 3)])));
    }

    [Test]
    public void Gateway_on_a_host_with_a_host_address_is_taken_as_on_link()
    {
        NexthopTable table = new();
        table.ApplyRoute(Route("10.0.0.1/32", Link(2)), true, []);
        table.ApplyRoute(Route("0.0.0.0/0", 50, 3, Via("10.0.0.1", 2, true)), true, []);
        Assert.That(table.Resolve(IpAddr.Parse("10.0.9.9")), Is.EqualTo(new NextHopState(true, 50)));
        Assert.That(table.TryGetHops(IpAddr.Parse("10.0.9.9"), out FibNextHops hops), Is.True);
        Assert.That(hops, Is.EqualTo(new FibNextHops([Via("10.0.0.1", 2, true)])));
    }

    [Test]
    public void Gateway_without_an_interface_is_looked_up_again_and_a_loop_ends_unresolved()
    {
        NexthopTable table = new();
        List<IpAddr> changed = [];
        table.ApplyRoute(Route("10.0.0.0/24", 7, 3, Via("192.0.2.1", 0)), true, changed);
        Assert.That(table.Resolve(Peer).Resolved, Is.False);
        table.ApplyRoute(Route("192.0.2.0/24", Link(3)), true, changed);
        Assert.That(changed, Is.EqualTo(new[] { Peer }));
        Assert.That(table.Resolve(Peer), Is.EqualTo(new NextHopState(true, 7)));
        Assert.That(table.TryGetHops(Peer, out FibNextHops hops), Is.True);
        Assert.That(hops, Is.EqualTo(new FibNextHops([Via("192.0.2.1", 3)])));
        table.ApplyRoute(Route("192.0.2.0/25", Via("10.0.0.9", 0)), true, changed);
        Assert.That(table.Resolve(Peer).Resolved, Is.False);
    }

    [Test]
    public void Several_hops_blackholes_own_addresses_and_own_routes()
    {
        NexthopTable table = new();
        List<IpAddr> changed = [];
        table.ApplyRoute(Route("10.0.0.0/24", Via("192.0.2.1", 2), Via("192.0.2.2", 3)), true, changed);
        Assert.That(table.TryGetHops(Peer, out FibNextHops hops), Is.True);
        Assert.That(hops.Hops.Length, Is.EqualTo(2));
        KernelRoute<Ipv4Prefix> blackhole = Route("10.0.0.2/32") with { Type = KernelRouteType.Blackhole };
        table.ApplyRoute(blackhole, true, changed);
        Assert.That(table.Resolve(Peer).Resolved, Is.False);
        table.ApplyRoute(blackhole, false, changed);
        Assert.That(table.Resolve(Peer).Resolved, Is.True);
        table.SetOwnAddress(Peer, true, changed);
        Assert.That(table.Resolve(Peer).Resolved, Is.False);
        table.SetOwnAddress(Peer, false, changed);
        Assert.That(changed, Is.EqualTo(new[] { Peer, Peer, Peer, Peer }));
        table.ApplyRoute(Route("10.0.0.2/32", 0, 12, Link(9)), true, changed);
        Assert.That(changed, Has.Count.EqualTo(4));
    }

    [Test]
    public void Lowest_metric_wins_and_an_ipv6_route_without_one_has_1024()
    {
        NexthopTable table = new();
        Ipv6Prefix prefix = Ipv6Prefix.Parse("fd00::/64");
        FibNextHop via = new(IpAddr.Parse("fe80::1"), 2, false);
        FibNextHop other = new(IpAddr.Parse("fe80::2"), 3, false);
        table.ApplyRoute(new KernelRoute<Ipv6Prefix>(prefix, KernelRouteType.Unicast, 9, 0, 0, 0, false, default, new FibNextHops([via])), true, []);
        Assert.That(table.Resolve(IpAddr.Parse("fd00::2")), Is.EqualTo(new NextHopState(true, 1024)));
        List<IpAddr> changed = [];
        table.ApplyRoute(new KernelRoute<Ipv6Prefix>(prefix, KernelRouteType.Unicast, 9, 0, 512, 0, false, default, new FibNextHops([other])), true, changed);
        Assert.That(table.Resolve(IpAddr.Parse("fd00::2")), Is.EqualTo(new NextHopState(true, 512)));
        Assert.That(changed, Is.EqualTo(new[] { IpAddr.Parse("fd00::2") }));
    }

    [Test]
    public void Trimmed_next_hops_are_forgotten()
    {
        NexthopTable table = new();
        table.Resolve(Peer);
        table.Resolve(IpAddr.Parse("10.0.0.3"));
        table.Trim(new HashSet<IpAddr> { Peer });
        Assert.That(table.TrackedCount, Is.EqualTo(1));
        List<IpAddr> changed = [];
        table.ApplyRoute(Route("10.0.0.0/24", Link(2)), true, changed);
        Assert.That(changed, Is.EqualTo(new[] { Peer }));
    }

    private static readonly uint[] Bases = [0x0A000000, 0x0A000001, 0x0A000080, 0x0A010000, 0xC0000200, 0xC0000201];

    private static readonly int[] Lengths = [0, 8, 16, 24, 25, 31, 32];

    private static readonly Gen<Ipv4Prefix> GenPrefix =
        Gen.Select(Gen.Int[0, 5].Select(i => Bases[i]), Gen.Int[0, 6].Select(i => Lengths[i]), (address, length) => new Ipv4Prefix(address, length));

    private static readonly Gen<KernelRoute<Ipv4Prefix>> GenRoute = Gen.Select(
        GenPrefix, Gen.Int[0, 4].Select(i => i == 0 ? KernelRouteType.Unreachable : KernelRouteType.Unicast), Gen.UInt[0, 3],
        Gen.Int[0, 5].Select(i => Bases[i]), Gen.Int[0, 2], Gen.Bool,
        (prefix, type, metric, gateway, link, direct) => new KernelRoute<Ipv4Prefix>(prefix, type, 3, 0, metric, 0, false, default,
            new FibNextHops([direct && link > 0 ? Link(link) : new FibNextHop(IpAddr.V4(gateway), link, false)])));

    // The answer from a plain list: no trie, no watchers.
    private static (NextHopState, FibNextHops) Naive(List<KernelRoute<Ipv4Prefix>> routes, IpAddr address, int depth = 0)
    {
        KernelRoute<Ipv4Prefix>? best = null;
        foreach (KernelRoute<Ipv4Prefix> route in routes)
        {
            if (route.Prefix.Contains(new Ipv4Prefix(address.V4Value, 32))
                && (best is null || route.Prefix.Length > best.Value.Prefix.Length
                    || (route.Prefix.Length == best.Value.Prefix.Length && route.Metric < best.Value.Metric)))
            {
                best = route;
            }
        }

        if (depth == NexthopTable.MaxDepth || best is not { Type: KernelRouteType.Unicast } found)
        {
            return (default, FibNextHops.None);
        }

        FibNextHop hop = found.NextHops.Hops[0];
        if (hop.Interface == 0)
        {
            (NextHopState state, FibNextHops hops) = Naive(routes, hop.Gateway, depth + 1);
            return state.Resolved ? (new NextHopState(true, found.Metric), hops) : (default, FibNextHops.None);
        }

        return hop.Gateway.IsNone
            ? (new NextHopState(true, 0), new FibNextHops([hop with { Gateway = address }]))
            : (new NextHopState(true, found.Metric), found.NextHops);
    }

    [Test]
    public void Answers_and_reported_changes_equal_those_of_a_plain_list() =>
        Gen.Select(GenRoute, Gen.Bool).Array[1, 60].Sample(steps =>
        {
            NexthopTable table = new();
            List<KernelRoute<Ipv4Prefix>> routes = [];
            Dictionary<IpAddr, (NextHopState, FibNextHops)> known = [];
            foreach (uint address in Bases)
            {
                IpAddr nextHop = IpAddr.V4(address);
                known[nextHop] = (table.Resolve(nextHop), FibNextHops.None);
            }

            foreach ((KernelRoute<Ipv4Prefix> drawn, bool remove) in steps)
            {
                KernelRoute<Ipv4Prefix> route = remove && routes.Count > 0 ? routes[(int)(drawn.Prefix.Hash % (ulong)routes.Count)] : drawn;
                bool add = !remove || routes.Count == 0;
                if (add && !routes.Contains(route))
                {
                    routes.Add(route);
                }
                else if (!add)
                {
                    routes.Remove(route);
                }

                List<IpAddr> changed = [];
                table.ApplyRoute(route, add, changed);
                foreach (IpAddr nextHop in known.Keys)
                {
                    (NextHopState State, FibNextHops Hops) expected = Naive(routes, nextHop);
                    table.TryGetHops(nextHop, out FibNextHops hops);
                    Assert.That((table.Resolve(nextHop), hops), Is.EqualTo((expected.State, expected.Hops)));
                    Assert.That(changed.Contains(nextHop), Is.EqualTo(!expected.Equals(known[nextHop])), nextHop.ToString());
                    known[nextHop] = expected;
                }
            }
        }, iter: 500, threads: 1);

    private readonly struct Collect(List<(Ipv4Prefix, int)> into) : PrefixTrie<Ipv4Prefix, int>.IVisitor
    {
        public void Visit(in Ipv4Prefix prefix, int value) => into.Add((prefix, value));
    }

    [Test]
    public void Trie_answers_as_a_plain_dictionary() =>
        Gen.Select(GenPrefix, Gen.Int[0, 2]).Array[1, 80].Sample(steps =>
        {
            PrefixTrie<Ipv4Prefix, int> trie = new();
            Dictionary<Ipv4Prefix, int> model = [];
            int stamp = 0;
            foreach ((Ipv4Prefix prefix, int operation) in steps)
            {
                if (operation == 0)
                {
                    Assert.That(trie.Remove(prefix), Is.EqualTo(model.Remove(prefix)));
                }
                else
                {
                    trie.Set(prefix, ++stamp);
                    model[prefix] = stamp;
                }

                Assert.That(trie.Count, Is.EqualTo(model.Count));
                foreach ((Ipv4Prefix probe, _) in steps)
                {
                    Assert.That(trie.TryGet(probe, out int value), Is.EqualTo(model.TryGetValue(probe, out int expected)));
                    Assert.That(value, Is.EqualTo(expected));
                    KeyValuePair<Ipv4Prefix, int>[] covering = [.. model.Where(e => e.Key.Contains(probe)).OrderByDescending(e => e.Key.Length)];
                    Assert.That(trie.TryMatch(probe, out Ipv4Prefix match, out value), Is.EqualTo(covering.Length > 0));
                    Assert.That((match, value), Is.EqualTo(covering.Length > 0 ? (covering[0].Key, covering[0].Value) : default));
                    List<(Ipv4Prefix, int)> inside = [];
                    Collect collect = new(inside);
                    trie.VisitInside(probe, ref collect);
                    Assert.That(inside, Is.EquivalentTo(model.Where(e => probe.Contains(e.Key)).Select(e => (e.Key, e.Value))));
                }
            }
        }, iter: 200, threads: 1);

    [Test]
    public void A_trie_that_was_large_is_right_when_it_has_become_small()
    {
        PrefixTrie<Ipv4Prefix, uint> trie = new();
        for (uint i = 0; i < 40_000; i++)
        {
            trie.Set(new Ipv4Prefix(0x0A000000u + (i * 7), 32), i);
        }

        for (uint i = 0; i < 40_000; i++)
        {
            if (i % 1_000 != 3)
            {
                Assert.That(trie.Remove(new Ipv4Prefix(0x0A000000u + (i * 7), 32)), Is.True);
            }
        }

        Assert.That(trie.Count, Is.EqualTo(40));
        for (uint i = 0; i < 40_000; i++)
        {
            Assert.That(trie.TryGet(new Ipv4Prefix(0x0A000000u + (i * 7), 32), out uint value), Is.EqualTo(i % 1_000 == 3));
            Assert.That(value, Is.EqualTo(i % 1_000 == 3 ? i : 0));
        }

        trie.Set(Ipv4Prefix.Parse("10.0.0.0/8"), 1);
        Assert.That(trie.TryMatch(IpAddr.Parse("10.200.0.1"), out Ipv4Prefix match, out _), Is.True);
        Assert.That(match.ToString(), Is.EqualTo("10.0.0.0/8"));
    }
}
