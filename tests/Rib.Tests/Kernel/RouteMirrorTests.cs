using Bgp.Protocol;

namespace Rib.Tests.Kernel;

/// <summary>The copy of the kernel's table, against a list that does what Linux does.</summary>
[TestFixture]
public sealed class RouteMirrorTests
{
    private const byte Own = 12;
    private const byte Other = 3;

    [Test]
    public void An_interface_takes_the_routes_of_others_with_it_and_leaves_what_needs_a_look()
    {
        RouteMirror<Ipv4Prefix> mirror = new(Own);
        List<MirrorChange<Ipv4Prefix>> changes = [];
        KernelRoute<Ipv4Prefix> pod = Route("10.1.0.1/32", Other, 0, Hop(7));
        KernelRoute<Ipv4Prefix> elsewhere = Route("10.1.0.2/32", Other, 0, Hop(8));
        KernelRoute<Ipv4Prefix> many = Route("10.1.0.3/32", Other, 0, Hop(7, "10.9.0.1"), Hop(8, "10.9.0.2"));
        KernelRoute<Ipv4Prefix> own = Route("10.1.0.4/32", Own, 0, Hop(7, "10.9.0.1"));
        KernelRoute<Ipv4Prefix> host = Route("10.1.0.5/32", Other, 0, Hop(7)) with { Scope = 254 };
        KernelRoute<Ipv4Prefix> byObject = Route("10.1.0.6/32", Other, 0, Hop(7)) with { NextHopId = 4 };
        foreach (KernelRoute<Ipv4Prefix> route in new[] { pod, elsewhere, many, own, host, byObject })
        {
            mirror.Apply(RouteReport.Added, route, changes);
        }

        changes.Clear();
        mirror.RemoveThrough(7, changes);
        Assert.That(changes, Is.EqualTo(new[] { new MirrorChange<Ipv4Prefix>(pod, false) }));
        Assert.That(All(mirror), Is.EquivalentTo(new[] { elsewhere, many, own, host, byObject }));
        Assert.That(mirror.CountThrough(7), Is.EqualTo(4));
        changes.Clear();
        mirror.RemoveThrough(7, changes);
        mirror.RemoveThrough(99, changes);
        Assert.That(changes, Is.Empty);
    }

    [Test]
    public void IPv6_routes_are_reported_one_by_one_and_stay_until_then()
    {
        RouteMirror<Ipv6Prefix> mirror = new(Own);
        List<MirrorChange<Ipv6Prefix>> changes = [];
        KernelRoute<Ipv6Prefix> pod = new(Ipv6Prefix.Parse("fd00::1/128"), KernelRouteType.Unicast, Other, 0, 1024, 0, false, default, new FibNextHops([Hop(7)]));
        mirror.Apply(RouteReport.Added, pod, changes);
        changes.Clear();
        mirror.RemoveThrough(7, changes);
        Assert.That(changes, Is.Empty);
        Assert.That(mirror.Count, Is.EqualTo(1));
    }

    [Test]
    public void Every_interface_has_the_same_link_local_prefix_and_its_own_route_to_it()
    {
        const int links = 20_000;
        RouteMirror<Ipv6Prefix> mirror = new(Own);
        NexthopTable table = new(Own);
        List<MirrorChange<Ipv6Prefix>> changes = [];
        List<IpAddr> changed = [];
        IpAddr neighbour = IpAddr.Parse("fe80::9").WithScope(links / 2);
        Assert.That(table.Resolve(neighbour).Resolved, Is.False);
        for (int link = 1; link <= links; link++)
        {
            mirror.Apply(RouteReport.Added, LinkLocal(link), changes);
            mirror.Apply(RouteReport.Added, LinkLocal(link), changes);
            table.ApplyRoute(LinkLocal(link), true, changed);
        }

        // One by somebody else, who may write what he likes.
        KernelRoute<Ipv6Prefix> other = LinkLocal(5) with { Protocol = Other, Metric = 7 };
        mirror.Apply(RouteReport.Added, other, changes);
        Assert.That((mirror.Count, changes.Count, table.RouteCount), Is.EqualTo((links + 1, links + 1, links)));
        Assert.That(changed, Is.EqualTo(new[] { neighbour }));
        Assert.That(table.TryGetHops(neighbour, out FibNextHops hops), Is.True);
        Assert.That(hops.Hops.ToArray(), Is.EqualTo(new[] { new FibNextHop(IpAddr.Parse("fe80::9"), links / 2, false) }));
        changes.Clear();
        changed.Clear();
        for (int link = 1; link <= links; link += 2)
        {
            mirror.Apply(RouteReport.Deleted, LinkLocal(link), changes);
            table.ApplyRoute(LinkLocal(link), false, changed);
        }

        Assert.That((mirror.Count, changes.Count, changed.Count), Is.EqualTo(((links / 2) + 1, links / 2, 0)));
        mirror.BeginScan();
        for (int link = 2; link <= 40; link++)
        {
            mirror.Seen(LinkLocal(link), changes);
        }

        mirror.Seen(other, changes);
        mirror.EndScan(0, changes);
        mirror.Trim();
        List<KernelRoute<Ipv6Prefix>> left = [];
        mirror.CopyTo(left);
        Assert.That(left, Is.EquivalentTo(Enumerable.Range(2, 39).Select(LinkLocal).Append(other)));
        table.ApplyRoute(LinkLocal(links / 2), false, changed);
        Assert.That(changed, Is.EqualTo(new[] { neighbour }));
        for (int link = 2; link <= 40; link++)
        {
            mirror.Apply(RouteReport.Deleted, LinkLocal(link), changes);
        }

        Assert.That(mirror.Count, Is.EqualTo(1));

        static KernelRoute<Ipv6Prefix> LinkLocal(int link) =>
            new(Ipv6Prefix.Parse("fe80::/64"), KernelRouteType.Unicast, 2, 0, 256, 0, false, default, new FibNextHops([Hop(link)]));
    }

    [Test]
    public void Whatever_is_reported_the_mirror_holds_what_the_kernel_does([Range(1, 40)] int seed)
    {
        Random random = new(seed);
        RouteMirror<Ipv4Prefix> mirror = new(Own);
        List<MirrorChange<Ipv4Prefix>> changes = [];
        List<KernelRoute<Ipv4Prefix>> kernel = [];
        HashSet<KernelRoute<Ipv4Prefix>> told = [];
        bool large = seed % 2 == 1;
        int prefixes = large ? 4_000 : 12;
        for (int step = 0; step < 8_000; step++)
        {
            // A large one is filled past what is kept, and emptied but for a few.
            int dice = !large ? random.Next(100) : step % 3_900 is 3_850 or 3_851 ? step % 3_900 - 3_850 + 97 : random.Next(87);
            if (dice < (large ? 85 : 55))
            {
                Add(Random());
            }
            else if (dice < 90 && kernel.Count > 0)
            {
                KernelRoute<Ipv4Prefix> gone = kernel[random.Next(kernel.Count)];
                kernel.Remove(gone);
                mirror.Apply(RouteReport.Deleted, gone, changes);
            }
            else if (dice < 96)
            {
                // The kernel drops what has no other hop, and says so of the link alone; of ours a scan has to find out.
                int link = random.Next(2, 12);
                kernel.RemoveAll(route => route.NextHops.Hops.Length == 1 && route.NextHops.Hops[0].Interface == link && route.Scope < 254);
                mirror.RemoveThrough(link, changes);
                foreach (KernelRoute<Ipv4Prefix> own in All(mirror).Where(route => route.Protocol == Own && !kernel.Contains(route)))
                {
                    Assert.That(mirror.RemoveOwn(own.Prefix, own.Metric, own.Type), Is.True);
                }
            }
            else if (dice == 96)
            {
                Scan();
            }
            else if (dice == 97 && (large || step % 5 == 0))
            {
                kernel.RemoveAll(route => route.Metric < 2 || route.NextHops.Hops[0].Interface > 3);
                for (int link = 2; link < 12; link++)
                {
                    mirror.RemoveThrough(link, changes);
                }

                Scan();
            }
            else
            {
                mirror.Trim();
            }

            if (step % (prefixes / 4) == 0)
            {
                Check();
            }
        }

        Check();

        KernelRoute<Ipv4Prefix> Random()
        {
            FibNextHop[] hops = [Hop(random.Next(2, 12)), .. random.Next(6) == 0 ? [Hop(random.Next(12, 14), "10.9.0.1")] : Array.Empty<FibNextHop>()];
            Ipv4Prefix prefix = new(0x0A000000u + ((uint)random.Next(prefixes) << 4), 28);
            return Route(prefix.ToString(), random.Next(5) == 0 ? Own : Other, (uint)random.Next(3), hops) with
            {
                Scope = (byte)(random.Next(8) == 0 ? 254 : 253),
                PrefSrc = random.Next(4) == 0 ? IpAddr.V4(0x0A0000FF) : default,
            };
        }

        // NLM_F_EXCL for the one writer that uses it, NLM_F_CREATE for the others: Linux files a route under {prefix, tos, metric} once.
        void Add(in KernelRoute<Ipv4Prefix> route)
        {
            KernelRoute<Ipv4Prefix> added = route;
            if (!kernel.Exists(held => held.Prefix == added.Prefix && held.Metric == added.Metric))
            {
                kernel.Add(added);
                mirror.Apply(RouteReport.Added, added, changes);
            }
        }

        void Scan()
        {
            mirror.BeginScan();
            foreach (KernelRoute<Ipv4Prefix> route in kernel)
            {
                mirror.Seen(route, changes);
            }

            mirror.EndScan(0, changes);
        }

        void Check()
        {
            Assert.That(kernel.ToHashSet().SetEquals(All(mirror)), Is.True, "the same routes");
            Assert.That(mirror.Count, Is.EqualTo(kernel.Count));
            Assert.That(mirror.OwnCount, Is.EqualTo(kernel.Count(static route => route.Protocol == Own)));
            for (int link = 2; link < 14; link++)
            {
                Assert.That(mirror.CountThrough(link), Is.EqualTo(kernel.Sum(route => route.NextHops.Hops.ToArray().Count(hop => hop.Interface == link))));
            }

            Assert.That(mirror.CountFrom(IpAddr.V4(0x0A0000FF)), Is.EqualTo(kernel.Count(static route => !route.PrefSrc.IsNone)));

            // What was said of others' routes adds up to them.
            foreach (MirrorChange<Ipv4Prefix> change in changes.Where(static change => change.Route.Protocol != Own))
            {
                if (change.Added)
                {
                    Assert.That(told.Add(change.Route), Is.True);
                }
                else
                {
                    Assert.That(told.Remove(change.Route), Is.True);
                }
            }

            changes.Clear();
            Assert.That(told.SetEquals(kernel.Where(static route => route.Protocol != Own)), Is.True, "what was told adds up to them");
        }
    }

    private static List<KernelRoute<Ipv4Prefix>> All(RouteMirror<Ipv4Prefix> mirror)
    {
        List<KernelRoute<Ipv4Prefix>> all = [];
        mirror.CopyTo(all);
        return all;
    }

    private static KernelRoute<Ipv4Prefix> Route(string prefix, byte protocol, uint metric, params FibNextHop[] hops) =>
        new(Ipv4Prefix.Parse(prefix), KernelRouteType.Unicast, protocol, 253, metric, 0, false, default, new FibNextHops(hops));

    private static FibNextHop Hop(int link, string gateway = "") => new(gateway.Length == 0 ? default : IpAddr.Parse(gateway), link, false);
}
