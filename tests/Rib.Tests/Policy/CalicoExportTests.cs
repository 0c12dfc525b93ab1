using Bgp.Protocol;
using static Rib.Tests.Policy.PolicyTestData;

namespace Rib.Tests.Policy;

[TestFixture]
public sealed class CalicoExportTests
{
    private static readonly PolicyScope Scope = new()
    {
        Pools =
        [
            new PoolDefinition { Name = "pods", Prefix = Cidr.Parse("10.244.0.0/16") },
            new PoolDefinition { Name = "private", Prefix = Cidr.Parse("10.245.0.0/16"), Export = false },
        ],
        Originate =
        [
            new OriginatedPrefix(Cidr.Parse("10.244.1.0/26"), OriginateKind.Blackhole),
            new OriginatedPrefix(Cidr.Parse("10.245.1.0/26"), OriginateKind.Blackhole),
            new OriginatedPrefix(Cidr.Parse("203.0.113.0/24"), OriginateKind.Blackhole),
        ],
    };

    private static PathAttributes Route(string kind) => kind switch
    {
        "originate" => Originated(),
        "ibgp" or "ebgp" => PolicyTestData.Bgp(),
        "cali" => FromKernel(),
        "elevated 1" => FromKernel(metric: 1),
        "elevated 1023" => FromKernel(metric: 1023),
        "normal 1024" => FromKernel(metric: 1024),
        "vxlan.calico" => FromKernel("vxlan.calico", 80),
        "bpfin.cali" => FromKernel("bpfin.cali", 80),
        "wireguard.cali" => FromKernel("wireguard.cali", 80),
        "tunl0" => FromKernel("tunl0", 80),
        "agent gateway" => FromKernel("eth0", 80, gateway: "10.0.0.3"),
        "other gateway" => FromKernel("eth0", 4, gateway: "10.0.0.3"),
        "agent no gateway" => FromKernel("eth0", 80),
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };

    private static RibPeer SourceOf(string kind) => kind switch { "ibgp" => Ibgp, "ebgp" => Ebgp, _ => Self };

    // The default route, a pool that stays, guards, own blocks, exported pools, the rest; in the order of the rules.
    [TestCase("0.0.0.0/0", "cali", false)]
    [TestCase("0.0.0.0/0", "ebgp", false)]
    [TestCase("10.245.0.0/16", "cali", false)]
    [TestCase("10.245.1.0/26", "originate", false)]
    [TestCase("10.245.1.7/32", "elevated 1", false)]
    [TestCase("10.244.9.0/26", "vxlan.calico", false)]
    [TestCase("10.244.9.0/26", "bpfin.cali", false)]
    [TestCase("10.244.9.0/26", "wireguard.cali", false)]
    [TestCase("10.244.9.0/26", "tunl0", false)]
    [TestCase("10.244.1.0/26", "tunl0", false)]
    [TestCase("10.244.9.0/26", "agent gateway", false)]
    [TestCase("10.244.9.0/26", "other gateway", true)]
    [TestCase("10.244.9.0/26", "agent no gateway", true)]
    [TestCase("10.244.1.0/26", "originate", true)]
    [TestCase("203.0.113.0/24", "originate", true)]
    [TestCase("10.244.1.5/32", "cali", false)]
    [TestCase("10.244.1.5/32", "elevated 1", true)]
    [TestCase("10.244.1.5/32", "elevated 1023", true)]
    [TestCase("10.244.1.5/32", "normal 1024", false)]
    [TestCase("10.244.1.5/32", "ebgp", false)]
    [TestCase("203.0.113.9/32", "cali", false)]
    [TestCase("10.244.9.5/32", "cali", true)]
    [TestCase("10.244.0.0/16", "cali", true)]
    [TestCase("10.244.9.0/26", "ebgp", true)]
    [TestCase("10.244.9.0/26", "ibgp", false)]
    [TestCase("10.0.0.0/8", "cali", false)]
    [TestCase("10.0.0.0/24", "cali", false)]
    [TestCase("192.0.2.0/24", "ebgp", false)]
    public void Calico_export_decides_by_its_table(string prefix, string kind, bool expected)
    {
        foreach (RibPeer target in new[] { Ibgp, Ebgp })
        {
            FilterPolicy<Ipv4Prefix> policy = new(["calico-export"], PolicyDirection.Export, target == Ebgp, Scope with { Guard = false });
            PolicyResult result = policy.Evaluate(Ipv4Prefix.Parse(prefix), Route(kind), new PolicyContext(SourceOf(kind), target));
            Assert.That(result.Accept, Is.EqualTo(expected), $"{target.Kind}: {result.Rule}");
        }
    }

    [TestCase(4999u, true)]
    [TestCase(5000u, false)]
    [TestCase(0u, false)]
    public void A_route_inside_an_own_block_is_elevated_below_the_normal_metric_of_its_family(uint metric, bool expected)
    {
        PolicyScope scope = Scope with { NormalMetricV4 = 5000, NormalMetricV6 = 80 };
        FilterPolicy<Ipv4Prefix> policy = new(["calico-export"], PolicyDirection.Export, false, scope);
        Assert.That(policy.Evaluate(Ipv4Prefix.Parse("10.244.1.5/32"), FromKernel(metric: metric), new PolicyContext(Self, Ibgp)).Accept, Is.EqualTo(expected));
        Assert.That(policy.ContentKey, Is.Not.EqualTo(new FilterPolicy<Ipv4Prefix>(["calico-export"], PolicyDirection.Export, false, Scope).ContentKey));
        Assert.That(
            new FilterPolicy<Ipv4Prefix>(["calico-export"], PolicyDirection.Export, false, Scope with { NormalMetricV6 = 80 }).ContentKey,
            Is.EqualTo(new FilterPolicy<Ipv4Prefix>(["calico-export"], PolicyDirection.Export, false, Scope).ContentKey), "the other family's number is no content of this one");
    }

    [Test]
    public void A_route_without_metric_matches_the_normal_metric_of_its_family()
    {
        FilterRule rule = new(new FilterMatch { KernelMetric = (80, 80) }, null, FilterAction.Accept);
        PolicyScope scope = Scope with { NormalMetricV4 = 5000, NormalMetricV6 = 80, Filters = new Dictionary<string, FilterDefinition> { ["f"] = new() { Name = "f", Rules = [rule] } } };
        PolicyContext context = new(Self, Ibgp);
        Assert.That(new FilterPolicy<Ipv6Prefix>(["f"], PolicyDirection.Export, false, scope).Evaluate(Ipv6Prefix.Parse("fd00::/64"), Originated(), context).Accept, Is.True);
        Assert.That(new FilterPolicy<Ipv4Prefix>(["f"], PolicyDirection.Export, false, scope).Evaluate(Ipv4Prefix.Parse("10.244.1.0/26"), Originated(), context).Accept, Is.False);
        Assert.That(
            new FilterPolicy<Ipv6Prefix>(["f"], PolicyDirection.Export, false, scope).ContentKey,
            Is.Not.EqualTo(new FilterPolicy<Ipv6Prefix>(["f"], PolicyDirection.Export, false, scope with { NormalMetricV6 = 81 }).ContentKey));
    }

    [TestCase("vxlan.calico", true, false)]
    [TestCase("tunl0", true, false)]
    [TestCase("agent gateway", true, false)]
    [TestCase("vxlan.calico", false, true)]
    [TestCase("agent gateway", false, true)]
    [TestCase("cali", true, true)]
    [TestCase("ibgp", true, true)]
    public void Guard_comes_before_explicit_filters_to_internal_neighbours_alone(string kind, bool guard, bool expected)
    {
        PolicyScope scope = Scope with { Guard = guard };
        PathAttributes route = Route(kind);
        Ipv4Prefix prefix = Ipv4Prefix.Parse("10.244.9.0/26");
        FilterPolicy<Ipv4Prefix> toIbgp = new(["all"], PolicyDirection.Export, false, scope);
        FilterPolicy<Ipv4Prefix> toEbgp = new(["all"], PolicyDirection.Export, true, scope);
        Assert.That(toIbgp.Evaluate(prefix, route, new PolicyContext(SourceOf(kind), Ibgp)).Accept, Is.EqualTo(expected));
        Assert.That(toEbgp.Evaluate(prefix, route, new PolicyContext(SourceOf(kind), Ebgp)).Accept, Is.True);
    }

    [TestCase(PolicyDirection.Import, true, false, "192.0.2.0/24", "ebgp", false)]
    [TestCase(PolicyDirection.Export, true, false, "10.244.1.0/26", "originate", false)]
    [TestCase(PolicyDirection.Import, false, false, "192.0.2.0/24", "ibgp", true)]
    [TestCase(PolicyDirection.Export, false, false, "192.0.2.0/24", "ebgp", false)]
    [TestCase(PolicyDirection.Export, false, false, "10.244.1.0/26", "originate", true)]
    [TestCase(PolicyDirection.Export, false, true, "192.0.2.0/24", "ibgp", true)]
    [TestCase(PolicyDirection.Export, false, true, "192.0.2.0/24", "cali", false)]
    [TestCase(PolicyDirection.Export, false, true, "0.0.0.0/0", "ibgp", false)]
    public void Missing_list_means_the_default_of_the_session(PolicyDirection direction, bool ebgp, bool reflector, string prefix, string kind, bool expected)
    {
        FilterPolicy<Ipv4Prefix> policy = new(null, direction, ebgp, Scope with { RouteReflector = reflector });
        PolicyContext context = new(SourceOf(kind), ebgp ? Ebgp : Client);
        Assert.That(policy.Evaluate(Ipv4Prefix.Parse(prefix), Route(kind), context).Accept, Is.EqualTo(expected));
    }

    [Test]
    public void Empty_list_rejects_everything()
    {
        FilterPolicy<Ipv4Prefix> policy = new([], PolicyDirection.Import, false, Scope);
        Assert.That(policy.Evaluate(Ipv4Prefix.Parse("10.244.9.0/26"), Route("ibgp"), new PolicyContext(Ibgp, Ibgp)).Accept, Is.False);
    }

    [Test]
    public void Rule_texts_are_one_object_per_rule()
    {
        FilterPolicy<Ipv4Prefix> policy = new(["calico-export"], PolicyDirection.Export, false, Scope);
        PolicyContext context = new(Self, Ibgp);
        string first = policy.Evaluate(Ipv4Prefix.Parse("10.244.1.5/32"), Route("cali"), context).Rule;
        string second = policy.Evaluate(Ipv4Prefix.Parse("10.244.1.6/32"), Route("cali"), context).Rule;
        Assert.That(first, Is.EqualTo("calico-export: inside own block 10.244.1.0/26, metric not elevated"));
        Assert.That(second, Is.SameAs(first));
    }
}
