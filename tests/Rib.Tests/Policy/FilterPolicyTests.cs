using Bgp.Protocol;
using static Rib.Tests.Policy.PolicyTestData;

namespace Rib.Tests.Policy;

[TestFixture]
public sealed class FilterPolicyTests
{
    private static readonly PoolDefinition Pods = new() { Name = "pods", Prefix = Cidr.Parse("10.244.0.0/16") };

    private static FilterPolicy<TPrefix> One<TPrefix>(FilterMatch match, PolicyEdit? edit = null)
        where TPrefix : unmanaged, IPrefix<TPrefix> =>
        Chain<TPrefix>([new FilterDefinition { Name = "f", Rules = [new FilterRule(match, edit, FilterAction.Accept)] }]);

    private static FilterPolicy<TPrefix> Chain<TPrefix>(FilterDefinition[] filters, PolicyDirection direction = PolicyDirection.Import)
        where TPrefix : unmanaged, IPrefix<TPrefix> =>
        new([.. filters.Select(f => f.Name)], direction, true, new PolicyScope { Pools = [Pods], Filters = filters.ToDictionary(f => f.Name) });

    private static bool Holds(FilterMatch match, string prefix, PathAttributes? attributes = null, RibPeer? peer = null) =>
        One<Ipv4Prefix>(match).Evaluate(Ipv4Prefix.Parse(prefix), attributes ?? PolicyTestData.Bgp(), new PolicyContext(peer ?? Ebgp, peer ?? Ebgp)).Accept;

    private static PathAttributes WithPath(params uint[] asns) => PolicyTestData.Bgp(edit: (ref PathAttributesBuilder b) =>
    {
        foreach (uint asn in asns.Reverse())
        {
            b.PrependAs(asn);
        }
    });

    // What an update group need not ask about, though the guard keeps it from accepting all there is: the guard is about this host's routes.
    [TestCase("all", true, true, true)]
    [TestCase("calico-import", true, true, true)]
    [TestCase(null, true, false, true)]
    [TestCase("calico-export", true, false, false)]
    [TestCase("none", false, false, false)]
    public void Learned_routes_may_go_unseen(string? chain, bool guard, bool all, bool allButDefault)
    {
        FilterPolicy<Ipv4Prefix> policy = new(chain is null ? null : [chain], PolicyDirection.Export, false, new PolicyScope { RouteReflector = true, Guard = guard });
        Assert.That(policy.AcceptsAll, Is.EqualTo(all && !guard));
        Assert.That(policy.AcceptsAllLearned, Is.EqualTo(all));
        Assert.That(policy.AcceptsLearned(Ipv4Prefix.Parse("10.244.0.0/26")), Is.EqualTo(allButDefault));
        Assert.That(policy.AcceptsLearned(Ipv4Prefix.Parse("0.0.0.0/0")), Is.EqualTo(all));
    }

    [TestCase("10.244.0.0/16", true)]
    [TestCase("10.244.3.0/26", true)]
    [TestCase("10.0.0.0/8", false)]
    [TestCase("10.245.0.0/24", false)]
    public void Prefix_is_equal_or_inside(string prefix, bool expected)
    {
        Assert.That(Holds(new FilterMatch { Prefix = [Cidr.Parse("10.244.0.0/16")] }, prefix), Is.EqualTo(expected));
        Assert.That(Holds(new FilterMatch { NotPrefix = [Cidr.Parse("10.244.0.0/16")] }, prefix), Is.EqualTo(!expected));
        Assert.That(Holds(new FilterMatch { Pool = ["pods"] }, prefix), Is.EqualTo(expected));
    }

    [TestCase("10.244.0.0/16", true)]
    [TestCase("10.244.3.0/26", false)]
    public void Exact_prefix_is_equal_alone(string prefix, bool expected)
    {
        Assert.That(Holds(new FilterMatch { PrefixExact = [Cidr.Parse("10.244.0.0/16")] }, prefix), Is.EqualTo(expected));
        Assert.That(Holds(new FilterMatch { NotPrefixExact = [Cidr.Parse("10.244.0.0/16")] }, prefix), Is.EqualTo(!expected));
    }

    [TestCase(25, false)]
    [TestCase(26, true)]
    [TestCase(28, true)]
    [TestCase(29, false)]
    public void Prefix_length_range_includes_both_ends(int length, bool expected) =>
        Assert.That(Holds(new FilterMatch { Prefix = [Cidr.Parse("10.244.0.0/16")], PrefixLength = (26, 28) }, $"10.244.0.0/{length}"), Is.EqualTo(expected));

    [Test]
    public void Rule_about_prefixes_of_the_other_family_does_not_match()
    {
        Ipv6Prefix prefix = Ipv6Prefix.Parse("fd00::/64");
        PolicyContext context = new(Ebgp, Ebgp);
        foreach (FilterMatch match in new FilterMatch[]
        {
            new() { Prefix = [Cidr.Parse("0.0.0.0/0")] }, new() { NotPrefix = [Cidr.Parse("10.0.0.0/8")] }, new() { Pool = ["pods"] },
        })
        {
            Assert.That(One<Ipv6Prefix>(match).Evaluate(prefix, PolicyTestData.Bgp("fd00::2"), context).Accept, Is.False);
        }

        Assert.That(One<Ipv6Prefix>(new FilterMatch { Prefix = [Cidr.Parse("fd00::/8")] }).Evaluate(prefix, PolicyTestData.Bgp("fd00::2"), context).Accept, Is.True);
    }

    [Test]
    public void Source_kernel_protocol_and_interface_look_at_the_local_route()
    {
        PathAttributes kernel = FromKernel("cali42", 3);
        Assert.That(Holds(new FilterMatch { Source = [RouteSource.Kernel] }, "10.0.0.0/8", kernel), Is.True);
        Assert.That(Holds(new FilterMatch { Source = [RouteSource.Bgp, RouteSource.Originate] }, "10.0.0.0/8", kernel), Is.False);
        Assert.That(Holds(new FilterMatch { Source = [RouteSource.Originate] }, "10.0.0.0/8", Originated()), Is.True);
        Assert.That(Holds(new FilterMatch { KernelProtocol = [3] }, "10.0.0.0/8", kernel), Is.True);
        Assert.That(Holds(new FilterMatch { KernelProtocol = [4] }, "10.0.0.0/8", kernel), Is.False);
        Assert.That(Holds(new FilterMatch { KernelProtocol = [0] }, "10.0.0.0/8"), Is.False);
        Assert.That(Holds(new FilterMatch { Interface = ["cali*"] }, "10.0.0.0/8", kernel), Is.True);
        Assert.That(Holds(new FilterMatch { Interface = ["cali?"] }, "10.0.0.0/8", kernel), Is.False);
        Assert.That(Holds(new FilterMatch { Interface = ["*"] }, "10.0.0.0/8"), Is.False);
    }

    [Test]
    public void Communities_match_any_of_the_list()
    {
        PathAttributes route = PolicyTestData.Bgp(edit: (ref PathAttributesBuilder b) =>
        {
            b.AddCommunity(Community.Of(65000, 7));
            b.AddLargeCommunity(65000, 1, 2);
        });
        Assert.That(Holds(new FilterMatch { Community = [1, Community.Of(65000, 7)] }, "10.0.0.0/8", route), Is.True);
        Assert.That(Holds(new FilterMatch { Community = [1] }, "10.0.0.0/8", route), Is.False);
        Assert.That(Holds(new FilterMatch { LargeCommunity = [new LargeCommunity(65000, 1, 2)] }, "10.0.0.0/8", route), Is.True);
        Assert.That(Holds(new FilterMatch { LargeCommunity = [new LargeCommunity(65000, 1, 3)] }, "10.0.0.0/8", route), Is.False);
    }

    [TestCase("^65001 ", true)]
    [TestCase("^65001$", false)]
    [TestCase(" 4200000000$", true)]
    [TestCase("^6500 ", false)]
    public void As_path_expression_sees_numbers_with_spaces(string pattern, bool expected) =>
        Assert.That(Holds(new FilterMatch { AsPath = pattern }, "10.0.0.0/8", WithPath(65001, 65002, 4200000000)), Is.EqualTo(expected));

    [Test]
    public void As_path_expression_sees_a_path_longer_than_its_buffer()
    {
        uint[] asns = [.. Enumerable.Range(0, 700).Select(i => 4200000000u + (uint)i)];
        Assert.That(Holds(new FilterMatch { AsPath = " 4200000699$" }, "10.0.0.0/8", WithPath(asns)), Is.True);
        Assert.That(Holds(new FilterMatch { AsPath = "^$" }, "10.0.0.0/8", WithPath()), Is.True);
    }

    [Test]
    public void As_path_prefix_is_the_beginning_of_the_sequence()
    {
        PathAttributes route = WithPath(65001, 65002);
        Assert.That(Holds(new FilterMatch { AsPathPrefix = [65001] }, "10.0.0.0/8", route), Is.True);
        Assert.That(Holds(new FilterMatch { AsPathPrefix = [65001, 65002] }, "10.0.0.0/8", route), Is.True);
        Assert.That(Holds(new FilterMatch { AsPathPrefix = [65002] }, "10.0.0.0/8", route), Is.False);
        Assert.That(Holds(new FilterMatch { AsPathPrefix = [65001, 65002, 65003] }, "10.0.0.0/8", route), Is.False);
    }

    [Test]
    public void Local_pref_next_hop_and_peer_type_match()
    {
        PathAttributes route = PolicyTestData.Bgp(edit: (ref PathAttributesBuilder b) => b.SetLocalPref(200));
        Assert.That(Holds(new FilterMatch { LocalPref = 200 }, "10.0.0.0/8", route), Is.True);
        Assert.That(Holds(new FilterMatch { LocalPref = 100 }, "10.0.0.0/8", route), Is.False);
        Assert.That(Holds(new FilterMatch { LocalPref = 100 }, "10.0.0.0/8"), Is.True);
        Assert.That(Holds(new FilterMatch { LocalPref = 100 }, "10.0.0.0/8", FromKernel()), Is.False);
        Assert.That(Holds(new FilterMatch { NextHop = [Cidr.Parse("10.0.0.0/24")] }, "10.0.0.0/8"), Is.True);
        Assert.That(Holds(new FilterMatch { NextHop = [Cidr.Parse("10.0.1.0/24"), Cidr.Parse("fd00::/8")] }, "10.0.0.0/8"), Is.False);
        Assert.That(Holds(new FilterMatch { PeerType = FilterPeerType.Ebgp }, "10.0.0.0/8", peer: Ebgp), Is.True);
        Assert.That(Holds(new FilterMatch { PeerType = FilterPeerType.Ibgp }, "10.0.0.0/8", peer: Ebgp), Is.False);
        Assert.That(Holds(new FilterMatch { PeerType = FilterPeerType.Ibgp }, "10.0.0.0/8", peer: Client), Is.True);
    }

    [Test]
    public void All_conditions_hold_together()
    {
        FilterMatch match = new() { Prefix = [Cidr.Parse("10.0.0.0/8")], Source = [RouteSource.Kernel] };
        Assert.That(Holds(match, "10.1.0.0/16", FromKernel()), Is.True);
        Assert.That(Holds(match, "10.1.0.0/16"), Is.False);
        Assert.That(Holds(match, "11.1.0.0/16", FromKernel()), Is.False);
    }

    [Test]
    public void First_decision_of_a_chain_ends_it()
    {
        FilterMatch ten = new() { Prefix = [Cidr.Parse("10.0.0.0/8")] };
        FilterMatch eleven = new() { Prefix = [Cidr.Parse("11.0.0.0/8")] };
        PolicyEdit edit = new() { Med = 5 };
        FilterPolicy<Ipv4Prefix> policy = Chain<Ipv4Prefix>(
        [
            new FilterDefinition { Name = "a", Rules = [new FilterRule(ten, null, FilterAction.Reject)] },
            new FilterDefinition { Name = "b", Rules = [new FilterRule(ten, null, FilterAction.Accept), new FilterRule(eleven, edit, FilterAction.Accept)], Default = FilterAction.Reject },
            new FilterDefinition { Name = "c", Default = FilterAction.Accept },
        ]);
        PolicyContext context = new(Ebgp, Ebgp);
        PathAttributes route = PolicyTestData.Bgp();
        Assert.That(policy.Evaluate(Ipv4Prefix.Parse("10.1.0.0/16"), route, context), Is.EqualTo(new PolicyResult(false, null, "filter a rule 1: reject")));
        Assert.That(policy.Evaluate(Ipv4Prefix.Parse("11.1.0.0/16"), route, context), Is.EqualTo(new PolicyResult(true, edit, "filter b rule 2: accept")));
        Assert.That(policy.Evaluate(Ipv4Prefix.Parse("12.1.0.0/16"), route, context), Is.EqualTo(new PolicyResult(false, null, "filter b: default reject")));
    }

    [Test]
    public void End_of_a_chain_rejects_and_a_default_route_leaves_through_an_explicit_filter()
    {
        FilterDefinition filter = new() { Name = "f", Rules = [new FilterRule(new FilterMatch { PrefixExact = [Cidr.Parse("0.0.0.0/0")] }, null, FilterAction.Accept)] };
        FilterPolicy<Ipv4Prefix> policy = Chain<Ipv4Prefix>([filter], PolicyDirection.Export);
        PolicyContext context = new(Ebgp, Ebgp);
        Assert.That(policy.Evaluate(Ipv4Prefix.Parse("0.0.0.0/0"), PolicyTestData.Bgp(), context).Accept, Is.True);
        Assert.That(policy.Evaluate(Ipv4Prefix.Parse("10.0.0.0/8"), PolicyTestData.Bgp(), context).Accept, Is.False);
    }

    [Test]
    public void Evaluation_allocates_nothing()
    {
        FilterMatch match = new() { Prefix = [Cidr.Parse("10.0.0.0/8")], Source = [RouteSource.Bgp], Community = [9], Interface = ["x*"] };
        FilterMatch other = new() { AsPath = "^65001 ", AsPathPrefix = [65001], NextHop = [Cidr.Parse("10.0.0.0/8")] };
        FilterPolicy<Ipv4Prefix> policy = Chain<Ipv4Prefix>(
            [new FilterDefinition { Name = "f", Rules = [new FilterRule(match, null, FilterAction.Accept), new FilterRule(other, null, FilterAction.Accept)] }]);
        PathAttributes route = WithPath(65001, 65002);
        PolicyContext context = new(Ebgp, Ebgp);
        Ipv4Prefix prefix = Ipv4Prefix.Parse("10.1.0.0/16");
        bool accepted = true;
        for (int i = 0; i < 2000; i++)
        {
            accepted &= policy.Evaluate(prefix, route, context).Accept;
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            accepted &= policy.Evaluate(prefix, route, context).Accept;
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.That(accepted, Is.True);
        Assert.That(allocated, Is.LessThan(1000));
    }

    [TestCase("(?=65001)")]
    [TestCase("(")]
    public void Expression_that_cannot_run_in_linear_time_or_is_broken_is_refused(string pattern)
    {
        Assert.That(AsPathPattern.TryParse(pattern, out _, out string error), Is.False);
        Assert.That(error, Is.Not.Empty);
    }

    private static string KeyOf(FilterMatch match, PolicyEdit? edit = null, FilterAction action = FilterAction.Accept, FilterAction otherwise = FilterAction.Next) =>
        Chain<Ipv4Prefix>([new FilterDefinition { Name = "f", Rules = [new FilterRule(match, edit, action)], Default = otherwise }]).ContentKey;

    [Test]
    public void Content_keys_are_equal_exactly_for_equal_contents()
    {
        Cidr a = Cidr.Parse("10.0.0.0/8");
        Cidr b = Cidr.Parse("11.0.0.0/8");
        Assert.That(KeyOf(new FilterMatch { Prefix = [a, b] }), Is.EqualTo(KeyOf(new FilterMatch { Prefix = [b, a] })));
        string[] keys =
        [
            KeyOf(new FilterMatch()), KeyOf(new FilterMatch(), null, FilterAction.Reject), KeyOf(new FilterMatch(), null, FilterAction.Accept, FilterAction.Reject),
            KeyOf(new FilterMatch { Prefix = [a] }), KeyOf(new FilterMatch { PrefixExact = [a] }), KeyOf(new FilterMatch { NotPrefix = [a] }),
            KeyOf(new FilterMatch { NotPrefixExact = [a] }), KeyOf(new FilterMatch { NextHop = [a] }), KeyOf(new FilterMatch { PrefixLength = (1, 2) }),
            KeyOf(new FilterMatch { Pool = ["pods"] }), KeyOf(new FilterMatch { Source = [RouteSource.Bgp] }), KeyOf(new FilterMatch { KernelProtocol = [3] }),
            KeyOf(new FilterMatch { Interface = ["a*"] }), KeyOf(new FilterMatch { Community = [5] }), KeyOf(new FilterMatch { LargeCommunity = [new LargeCommunity(1, 2, 3)] }),
            KeyOf(new FilterMatch { AsPath = "1" }), KeyOf(new FilterMatch { AsPathPrefix = [1, 2] }), KeyOf(new FilterMatch { AsPathPrefix = [2, 1] }),
            KeyOf(new FilterMatch { LocalPref = 1 }), KeyOf(new FilterMatch { PeerType = FilterPeerType.Ibgp }),
            KeyOf(new FilterMatch(), new PolicyEdit { LocalPref = 1 }), KeyOf(new FilterMatch(), new PolicyEdit { Med = 1 }),
            KeyOf(new FilterMatch(), new PolicyEdit { AddCommunities = [1] }), KeyOf(new FilterMatch(), new PolicyEdit { RemoveCommunities = [1] }),
            KeyOf(new FilterMatch(), new PolicyEdit { AddLargeCommunities = [(1, 2, 3)] }), KeyOf(new FilterMatch(), new PolicyEdit { Prepend = 1 }),
            KeyOf(new FilterMatch(), new PolicyEdit { PrependAsns = [1, 2] }), KeyOf(new FilterMatch(), new PolicyEdit { PrependAsns = [2, 1] }),
            KeyOf(new FilterMatch(), new PolicyEdit { NextHop = IpAddr.Parse("10.0.0.1") }), KeyOf(new FilterMatch(), new PolicyEdit { KernelMetric = 1 }),
            KeyOf(new FilterMatch(), new PolicyEdit { Preference = 1 }), KeyOf(new FilterMatch(), new PolicyEdit { NextHopSelf = true }),
        ];
        Assert.That(keys, Is.Unique);
    }
}
