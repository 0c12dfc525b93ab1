using Bgp.Protocol;

namespace Rib.Tests.Kernel;

/// <summary>Next hop objects over a kernel that is a pair of dictionaries and does what Linux does: drops routes with their object, and says nothing of it.</summary>
[TestFixture]
public sealed class NexthopObjectsTests
{
    private const byte Own = 12;
    private const byte Other = 3;
    private const int NetDown = 100;
    private const int NoMemory = 12;

    [Test]
    public void One_object_per_next_hop_and_one_group_per_set_in_the_order_that_the_kernel_needs()
    {
        World world = new(1);
        FibNextHop a = Hop("10.0.0.1", 2);
        FibNextHop b = Hop("10.0.0.2", 3);
        world.V4.Want("10.1.0.0/24", a);
        world.V4.Want("10.2.0.0/24", a, b);
        world.V4.Want("10.3.0.0/24", a, b);
        world.V4.Want("10.4.0.0/24", b);
        world.Settle();
        Assert.That(world.Log, Is.EqualTo(new[]
        {
            "Create 10.0.0.1%2", "Create 10.0.0.2%3", "Create 10.0.0.1%2 10.0.0.2%3",
            "Add 10.1.0.0/24", "Add 10.2.0.0/24", "Add 10.3.0.0/24", "Add 10.4.0.0/24",
        }));
        world.Log.Clear();
        world.V4.Want("10.2.0.0/24");
        world.V4.Want("10.1.0.0/24");
        world.Settle();
        Assert.That(world.Log, Is.EqualTo(new[] { "Delete 10.2.0.0/24", "Delete 10.1.0.0/24" }), "the group still has both");
        world.Log.Clear();
        world.V4.Want("10.3.0.0/24");
        world.Settle();
        Assert.That(world.Log, Is.EqualTo(new[] { "Delete 10.3.0.0/24", "Delete 10.0.0.1%2 10.0.0.2%3", "Delete 10.0.0.1%2" }));
    }

    [Test]
    public void A_link_of_a_group_that_returns_is_put_back_into_it()
    {
        World world = new(1);
        world.V4.Want("10.2.0.0/24", Hop("10.0.0.1", 2), Hop("10.0.0.2", 3));
        world.Settle();
        world.LinkDown(3);
        world.Settle();
        Assert.That(world.V4.Diff.List(onlyDifferences: true, 10).Single().State, Is.EqualTo(FibState.Failed), "it forwards, but not as wanted");
        world.Log.Clear();
        world.LinkUp(3);
        world.Settle();
        Assert.That(world.Log, Is.EqualTo(new[] { "Create 10.0.0.2%3", "Replace 10.0.0.1%2 10.0.0.2%3" }));
        Assert.That(world.V4.Diff.List(onlyDifferences: true, 10), Is.Empty);
    }

    [Test]
    public void A_kernel_without_objects_gets_plain_routes()
    {
        World world = new(1) { Supported = false };
        world.V4.Want("10.2.0.0/24", Hop("10.0.0.1", 2), Hop("10.0.0.2", 3));
        world.Settle();
        Assert.That(world.V4.Routes.Values.Single().NextHopId, Is.Zero);
        Assert.That(world.Shell.Supported, Is.False);
        world.V4.Want("10.3.0.0/24", Hop("10.0.0.1", 2));
        world.Log.Clear();
        world.Settle();
        Assert.That(world.Log, Is.EqualTo(new[] { "Add 10.3.0.0/24" }), "asked once");
    }

    [Test]
    public void A_next_hop_without_an_interface_is_written_plain()
    {
        World world = new(1);
        world.V4.Want("10.2.0.0/24", Hop("10.0.0.1", 0));
        world.Settle();
        Assert.That(world.V4.Routes.Values.Single().NextHopId, Is.Zero);
        Assert.That(world.Objects, Is.Empty);
    }

    [Test]
    public void Objects_of_others_and_those_in_use_elsewhere_are_not_touched()
    {
        World world = new(1);
        uint first = NexthopObjects.FirstId(254);
        world.Objects[first] = new KernelNexthop(first, Other, true, Hop("10.0.0.9", 2), true, false, []);
        world.Objects[first + 1] = new KernelNexthop(first + 1, Own, true, Hop("10.0.0.8", 2), true, false, []);
        world.Objects[7] = new KernelNexthop(7, Own, true, Hop("10.0.0.7", 2), true, false, []);
        world.Restart();
        world.V4.Want("10.2.0.0/24", Hop("10.0.0.9", 2));
        world.V4.Want("10.3.0.0/24", Hop("10.0.0.8", 2));
        world.Settle();
        Assert.That(world.V4.Routes[P("10.2.0.0/24")].NextHopId, Is.EqualTo(first + 2), "the content is another's object");
        Assert.That(world.V4.Routes[P("10.3.0.0/24")].NextHopId, Is.EqualTo(first + 1), "adopted");

        // Somebody else's route refers to ours now: it must not go with ours.
        world.V4.AddAlien("10.9.0.0/24", first + 1);
        world.V4.Want("10.2.0.0/24");
        world.V4.Want("10.3.0.0/24");
        world.Settle();
        Assert.That(world.Objects.Keys.Order(), Is.EqualTo(new uint[] { 7, first, first + 1 }));
        world.V4.RemoveAlien("10.9.0.0/24");
        world.Settle();
        Assert.That(world.Objects.Keys.Order(), Is.EqualTo(new uint[] { 7, first }));
    }

    [Test]
    public void What_an_earlier_life_left_goes_with_the_prune_and_not_before()
    {
        World world = new(1);
        uint first = NexthopObjects.FirstId(254);
        world.Objects[first] = new KernelNexthop(first, Own, true, Hop("10.0.0.1", 2), true, false, []);
        world.Objects[first + 1] = new KernelNexthop(first + 1, Own, true, Hop("10.0.0.1", 2), true, false, []);
        world.Objects[first + 2] = new KernelNexthop(first + 2, Own, false, default, true, false, [new NexthopMember(first, 1), new NexthopMember(first + 1, 2)]);
        world.Restart();
        world.Settle();
        Assert.That(world.Objects, Has.Count.EqualTo(3));
        world.Prune();
        world.Settle();
        Assert.That(world.Objects, Is.Empty);
        Assert.That(world.Shell.OwnCount, Is.Zero);
    }

    [Test]
    public void A_route_by_an_id_stays_one_route_when_the_objects_next_hops_become_known_or_change()
    {
        RouteMirror<Ipv4Prefix> mirror = new(Own);
        List<MirrorChange<Ipv4Prefix>> changes = [];
        KernelRoute<Ipv4Prefix> unknown = new(P("10.1.0.0/24"), KernelRouteType.Unicast, Other, 0, 0, 0, false, default, FibNextHops.None, 7);
        KernelRoute<Ipv4Prefix> known = unknown with { NextHops = new FibNextHops([Hop("10.0.0.1", 2)]) };
        mirror.Apply(RouteReport.Added, unknown, changes);
        mirror.Apply(RouteReport.Added, known, changes);
        mirror.BeginScan();
        mirror.Seen(unknown, changes);
        mirror.EndScan(0, changes);
        mirror.Apply(RouteReport.Deleted, known, changes);
        Assert.That(mirror.Count, Is.Zero);
        Assert.That(changes.Select(static change => (change.Added, change.Route.NextHops.Hops.Length)), Is.EqualTo(new[]
        {
            (true, 0), (false, 0), (true, 1), (false, 1), (true, 0), (false, 0),
        }), "who keys routes by less is told of the removal first, each time");
    }

    [Test]
    public void Routes_go_with_an_object_that_was_not_known_any_more_when_its_end_was_reported()
    {
        // Reported in this order: object, route, the object's end, with which the route goes without a word. A scan between the first and the second report finds neither.
        NexthopObjects objects = new(Own, 254, true);
        RouteMirror<Ipv4Prefix> mirror = new(Own, objects);
        objects.Apply(new KernelNexthop(7, Other, true, Hop("10.0.0.1", 2), true, false, []));
        objects.BeginScan();
        objects.EndScan();
        mirror.Apply(RouteReport.Added, new KernelRoute<Ipv4Prefix>(P("10.1.0.0/24"), KernelRouteType.Unicast, Other, 0, 0, 0, false, default, new FibNextHops([Hop("10.0.0.1", 2)]), 7), []);
        Assert.That(objects.Remove(7), Is.True, "the mirror has to be compared with the kernel");
        Assert.That(objects.Remove(8), Is.False);
    }

    [Test]
    public void The_ids_of_the_tables_do_not_overlap()
    {
        Assert.That(NexthopObjects.FirstId(254), Is.EqualTo(0x50FE_0000));
        HashSet<uint> firsts = [.. Enumerable.Range(1, 4096).Select(static table => NexthopObjects.FirstId((uint)table))];
        Assert.That(firsts, Has.Count.EqualTo(4096));
        Assert.That(firsts.Max() + NexthopObjects.RangeLength, Is.LessThanOrEqualTo(0x6000_0000));
    }

    [Test]
    public void Whatever_happens_routes_and_objects_end_as_wanted_and_no_object_goes_before_its_routes()
    {
        int seeds = Environment.GetEnvironmentVariable("PIPIT_LONG") is { Length: > 0 } ? 50_000 : 300;
        for (int seed = 1; seed <= seeds; seed++)
        {
            World world = new(seed) { Small = true };
            try
            {
                for (int round = 0; round < 6; round++)
                {
                    for (int step = 0; step < 25; step++)
                    {
                        world.Step();
                    }

                    world.Mend();
                    world.Check();
                }
            }
            catch (Exception exception)
            {
                Assert.Fail($"seed {seed}: {exception.Message}\n{string.Join('\n', world.Log.TakeLast(30))}\n{exception.StackTrace}");
            }
        }
    }

    private static Ipv4Prefix P(string text) => Ipv4Prefix.Parse(text);

    private static FibNextHop Hop(string gateway, int link, int weight = 1) => new(gateway.Length == 0 ? default : IpAddr.Parse(gateway), link, false, weight);

    private static string Text(KernelNexthop item, Dictionary<uint, KernelNexthop> objects) => item.Group.Length > 0
        ? string.Join(' ', item.Group.Select(member => objects.TryGetValue(member.Id, out KernelNexthop? part) ? $"{part.Hop.Gateway}%{part.Hop.Interface}" : "?"))
        : $"{item.Hop.Gateway}%{item.Hop.Interface}";

    /// <summary>One family's kernel table and what compares with it.</summary>
    private sealed class Table<TPrefix>(World world, Func<string, TPrefix> parse)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        private readonly List<MirrorChange<TPrefix>> _changes = [];
        private readonly FibOp<TPrefix>[] _ops = new FibOp<TPrefix>[4];

        internal Dictionary<TPrefix, KernelRoute<TPrefix>> Routes { get; } = [];

        internal Dictionary<TPrefix, FibRoute> Wanted { get; } = [];

        internal RouteMirror<TPrefix> Mirror { get; private set; } = null!;

        internal FibDiff<TPrefix> Diff { get; private set; } = null!;

        internal void Attach()
        {
            Mirror = new RouteMirror<TPrefix>(Own, world.Shell);
            Diff = new FibDiff<TPrefix>(Mirror, world.Shell);
        }

        internal void Want(string prefix, params FibNextHop[] hops)
        {
            TPrefix parsed = parse(prefix);
            if (hops.Length == 0)
            {
                Wanted.Remove(parsed);
                Diff.RemoveDesired(parsed);
            }
            else
            {
                Wanted[parsed] = new FibRoute(KernelRouteType.Unicast, 0, new FibNextHops(hops));
                Diff.SetDesired(parsed, Wanted[parsed]);
            }
        }

        internal void WantAgain()
        {
            foreach ((TPrefix prefix, FibRoute route) in Wanted)
            {
                Diff.SetDesired(prefix, route);
            }
        }

        internal void AddAlien(string prefix, uint id)
        {
            TPrefix parsed = parse(prefix);
            if (Routes.ContainsKey(parsed) || !world.Objects.ContainsKey(id))
            {
                return;
            }

            Routes[parsed] = new KernelRoute<TPrefix>(parsed, KernelRouteType.Unicast, Other, 0, RouteMirror<TPrefix>.KernelMetric(0), 0, false, default, world.HopsOf(id), id);
            Tell(RouteReport.Added, Routes[parsed]);
        }

        internal void RemoveAlien(string prefix)
        {
            TPrefix parsed = parse(prefix);
            if (Routes.TryGetValue(parsed, out KernelRoute<TPrefix> route) && route.Protocol == Other)
            {
                Routes.Remove(parsed);
                Tell(RouteReport.Deleted, route);
            }
        }

        internal void Scan()
        {
            Mirror.BeginScan();
            foreach (KernelRoute<TPrefix> route in Routes.Values)
            {
                // As the kernel would print it now.
                Mirror.Seen(route.NextHopId == 0 ? route : route with { NextHops = world.HopsOf(route.NextHopId) }, _changes);
            }

            Mirror.EndScan(0, _changes);
            Settle();
        }

        internal bool Install(bool faults)
        {
            int count = Diff.TakeOps(_ops.AsSpan(0, world.Small ? world.Random.Next(1, 5) : 4));
            world.MakeObjects(faults);
            for (int i = 0; i < count; i++)
            {
                FibOp<TPrefix> op = _ops[i];
                if (!Diff.SetObject(ref op, out int error))
                {
                    Diff.Complete(op, error);
                    continue;
                }

                error = faults && world.Random.Next(12) == 0 ? NoMemory : Write(op);
                if (error == 22 && !world.Objects.ContainsKey(op.NextHopId))
                {
                    world.Shell.Remove(op.NextHopId);
                    world.ScanWanted = true;
                }

                Diff.Complete(op, error);
            }

            return count > 0;
        }

        internal void Lose(Func<KernelRoute<TPrefix>, bool> lost)
        {
            foreach (KernelRoute<TPrefix> route in Routes.Values.Where(lost).ToArray())
            {
                Routes.Remove(route.Prefix);
            }
        }

        internal void Check(bool objects)
        {
            Dictionary<TPrefix, KernelRoute<TPrefix>> own = Routes.Where(static route => route.Value.Protocol == Own).ToDictionary();
            foreach ((TPrefix prefix, FibRoute wanted) in Wanted)
            {
                if (Routes.TryGetValue(prefix, out KernelRoute<TPrefix> blocking) && blocking.Protocol == Other)
                {
                    continue;
                }

                Assert.That(own.ContainsKey(prefix), Is.True, $"{prefix} is missing");
                KernelRoute<TPrefix> route = own[prefix];
                FibNextHops hops = route.NextHopId == 0 ? route.NextHops : world.HopsOf(route.NextHopId);
                Assert.That(RouteMirror<TPrefix>.Matches(wanted.NextHops, hops), Is.True, $"{prefix} goes elsewhere");
                Assert.That(route.NextHopId != 0, Is.EqualTo(objects), $"{prefix} by an object");
                own.Remove(prefix);
            }

            Assert.That(own, Is.Empty, "not wanted");
            Assert.That(Diff.List(onlyDifferences: true, 100).Where(static line => line.State != FibState.Alien), Is.Empty);
        }

        private void Tell(RouteReport report, KernelRoute<TPrefix> route)
        {
            if (world.Random.Next(6) == 0)
            {
                world.ScanWanted = true;
                return;
            }

            Mirror.Apply(report, route, _changes);
            Settle();
        }

        private void Settle()
        {
            foreach (MirrorChange<TPrefix> change in _changes)
            {
                Diff.KernelChanged(change.Route.Prefix);
            }

            _changes.Clear();
        }

        private int Write(in FibOp<TPrefix> op)
        {
            bool held = Routes.TryGetValue(op.Prefix, out KernelRoute<TPrefix> old);
            world.Log.Add($"{op.Kind} {op.Prefix}");
            if (op.Kind == FibOpKind.Delete)
            {
                if (!held || old.Protocol != Own)
                {
                    return 3;
                }

                Routes.Remove(op.Prefix);
                return 0;
            }

            if (op.NextHopId != 0 && !world.Objects.ContainsKey(op.NextHopId))
            {
                return 22;
            }

            if (op.NextHopId == 0 && op.Route.NextHops.Hops.ToArray().Any(hop => world.Down.Contains(hop.Interface)))
            {
                return NetDown;
            }

            if (held != (op.Kind == FibOpKind.Replace))
            {
                return held ? 17 : 2;
            }

            Assert.That(!held || old.Protocol == Own, Is.True, "another's route is replaced");
            FibNextHops hops = op.NextHopId == 0 ? op.Route.NextHops : world.HopsOf(op.NextHopId);

            // A group without the members that cannot be made now is better than none.
            bool part = hops.Hops.ToArray().All(op.Route.NextHops.Hops.ToArray().Contains);
            Assert.That(part || RouteMirror<TPrefix>.Matches(op.Route.NextHops, hops) || world.Damaged, Is.True, $"{op.Prefix} is written by the id of something else");
            Routes[op.Prefix] = new KernelRoute<TPrefix>(
                op.Prefix, KernelRouteType.Unicast, Own, 0, RouteMirror<TPrefix>.KernelMetric(0), 0, false, default, hops, op.NextHopId);
            return 0;
        }
    }

    /// <summary>The kernel and what <c>KernelSync</c> does around the comparison.</summary>
    private sealed class World
    {
        private static readonly FibNextHop[] s_v4 = [Hop("10.0.0.1", 2), Hop("10.0.0.2", 2), Hop("10.0.1.1", 3), Hop("fd00::1", 2), Hop("", 3), Hop("10.0.2.1", 4, 3)];
        private static readonly FibNextHop[] s_v6 = [Hop("fd00::1", 2), Hop("fd00:1::1", 3), Hop("", 3), Hop("fd00:2::1", 4)];
        private readonly NexthopOp[] _ops = new NexthopOp[3];

        internal World(int seed)
        {
            Random = new Random(seed);
            V4 = new Table<Ipv4Prefix>(this, Ipv4Prefix.Parse);
            V6 = new Table<Ipv6Prefix>(this, Ipv6Prefix.Parse);
            Shell = null!;
            Restart();
        }

        internal Random Random { get; }

        internal NexthopObjects Shell { get; private set; }

        internal Table<Ipv4Prefix> V4 { get; }

        internal Table<Ipv6Prefix> V6 { get; }

        internal Dictionary<uint, KernelNexthop> Objects { get; } = [];

        internal HashSet<int> Down { get; } = [];

        internal List<string> Log { get; } = [];

        internal bool ScanWanted { get; set; }

        internal bool Supported { get; init; } = true;

        /// <summary>Batches of odd sizes.</summary>
        internal bool Small { get; init; }

        /// <summary>Somebody changed one of our objects, and it has not been mended yet.</summary>
        internal bool Damaged { get; private set; }

        private bool Enabled { get; set; } = true;

        internal void Restart()
        {
            Shell = new NexthopObjects(Own, 254, Enabled);
            V4.Attach();
            V6.Attach();
            Scan();
            V4.WantAgain();
            V6.WantAgain();
        }

        internal void Prune()
        {
            V4.Diff.Prune();
            V6.Diff.Prune();
            Shell.Prune();
        }

        internal FibNextHops HopsOf(uint id)
        {
            KernelNexthop item = Objects[id];
            return new FibNextHops(item.Group.Length == 0 ? [item.Hop] : [.. item.Group.Select(member => Objects[member.Id].Hop with { Weight = member.Weight })]);
        }

        internal void LinkDown(int link)
        {
            Down.Add(link);
            foreach (uint id in Objects.Values.Where(item => item.Group.Length == 0 && item.Hop.Interface == link).Select(static item => item.Id).ToArray())
            {
                Vanish(id);
            }

            V4.Lose(route => route.NextHopId == 0 && route.NextHops.Hops.ToArray().Any(hop => hop.Interface == link));
            V6.Lose(route => route.NextHopId == 0 && route.NextHops.Hops.ToArray().Any(hop => hop.Interface == link));
            ScanWanted = true;
        }

        internal void LinkUp(int link)
        {
            Down.Remove(link);
            Retry();
        }

        internal void MakeObjects(bool faults)
        {
            int count;
            while (Shell.QueuedCount > 0 && (count = Shell.TakeOps(_ops)) > 0)
            {
                for (int i = 0; i < count; i++)
                {
                    Shell.Complete(_ops[i], faults && Random.Next(12) == 0 ? NoMemory : Write(_ops[i]));
                }
            }
        }

        internal void Settle(bool faults = false)
        {
            for (int round = 0; ; round++)
            {
                Assert.That(round, Is.LessThan(500), "it does not settle");
                if (ScanWanted)
                {
                    ScanWanted = false;
                    Scan();
                    Retry();
                }

                bool more = V4.Install(faults) | V6.Install(faults);
                if (!more && !ScanWanted && V4.Diff.PendingCount + V6.Diff.PendingCount + Shell.QueuedCount == 0)
                {
                    Release();
                    if (!ScanWanted && V4.Diff.PendingCount + V6.Diff.PendingCount + Shell.QueuedCount == 0)
                    {
                        return;
                    }
                }
            }
        }

        internal void Step()
        {
            string v4 = $"10.{Random.Next(8)}.0.0/16";
            string v6 = $"fd01:{Random.Next(4)}::/32";
            KernelNexthop[] all = [.. Objects.Values];
            switch (Random.Next(16))
            {
                case < 5:
                    V4.Want(v4, Some(s_v4));
                    break;
                case < 7:
                    V6.Want(v6, Some(s_v6));
                    break;
                case 7:
                    V4.Want(v4);
                    break;
                case 8:
                    V6.Want(v6);
                    break;
                case 9:
                    Settle(faults: true);
                    break;
                case 10:
                    LinkDown(Random.Next(2, 5));
                    break;
                case 11 when Down.Count > 0:
                    LinkUp(Down.First());
                    break;
                case 12:
                    uint id = NexthopObjects.FirstId(254) + (uint)Random.Next(20);
                    if (!Objects.ContainsKey(id))
                    {
                        Objects[id] = new KernelNexthop(id, Other, true, Hop("10.0.0.77", 9), true, false, []);
                        Tell(() => Shell.Apply(Objects[id]));
                    }

                    break;
                case 13 when all.Length > 0:
                    KernelNexthop victim = all[Random.Next(all.Length)];
                    if (Random.Next(2) == 0)
                    {
                        Vanish(victim.Id);
                        Tell(() => Shell.Remove(victim.Id));
                    }
                    else if (victim.Group.Length == 0 && victim.Protocol == Own)
                    {
                        Damaged = true;
                        Objects[victim.Id] = victim with { Hop = Hop("10.0.0.66", 9), IsV4 = true };
                        Tell(() => Shell.Apply(Objects[victim.Id]));
                    }

                    break;
                case 14 when all.Length > 0:
                    V4.AddAlien($"10.{Random.Next(8, 10)}.0.0/16", all[Random.Next(all.Length)].Id);
                    V4.RemoveAlien($"10.{Random.Next(8, 10)}.0.0/16");
                    break;
                case 15 when Random.Next(4) == 0:
                    if (Random.Next(2) == 0)
                    {
                        Enabled = !Enabled;
                        Shell.Enabled = Enabled;
                        V4.Diff.Review();
                        V6.Diff.Review();
                    }
                    else
                    {
                        Restart();
                        ScanWanted = false;
                    }

                    break;
            }
        }

        /// <summary>All is well again and nothing else happens.</summary>
        internal void Mend()
        {
            Down.Clear();
            ScanWanted = true;
            Settle();
            Prune();
            Retry();
            Settle();
            Damaged = false;
        }

        internal void Check()
        {
            V4.Check(Enabled);
            V6.Check(Enabled);
            HashSet<uint> used = [.. V4.Routes.Values.Select(static route => route.NextHopId), .. V6.Routes.Values.Select(static route => route.NextHopId)];
            foreach (KernelNexthop group in Objects.Values)
            {
                used.UnionWith(group.Group.Select(static member => member.Id));
            }

            KernelNexthop[] own = [.. Objects.Values.Where(static item => item.Protocol == Own)];
            Assert.That(own.Where(item => !used.Contains(item.Id)).Select(item => Text(item, Objects)), Is.Empty, "nobody refers to it");
            Assert.That(Shell.OwnCount, Is.EqualTo(own.Length), "objects that are known");
            Assert.That(Shell.BrokenCount, Is.Zero);
            string[] texts =
            [
                .. own.Where(item => !AlienUses(item.Id))
                    .Select(item => $"{item.IsV4} {Text(item, Objects)} {string.Join(',', item.Group.Select(static member => member.ToString()).Order(StringComparer.Ordinal))}"),
            ];
            Assert.That(texts, Is.Unique, "two of the same");
        }

        private bool AlienUses(uint id) => V4.Routes.Values.Any(route => route.Protocol == Other && route.NextHopId == id);

        private FibNextHop[] Some(FibNextHop[] from)
        {
            FibNextHop[] some = [.. from.Where(_ => Random.Next(from.Length) < 2).Take(3)];
            return some.Length == 0 ? [from[0]] : some;
        }

        private void Tell(Func<bool> tell)
        {
            if (Random.Next(4) == 0)
            {
                ScanWanted = true;
            }
            else if (tell())
            {
                ScanWanted = true;
            }
        }

        private void Scan()
        {
            Shell.BeginScan();
            foreach (KernelNexthop item in Objects.Values)
            {
                Shell.Seen(item);
            }

            Shell.EndScan();
            V4.Scan();
            V6.Scan();
        }

        private void Retry()
        {
            Shell.Retry();
            V4.Diff.Retry();
            V6.Diff.Retry();
        }

        private void Release()
        {
            while (Shell.HasIdle && Shell.QueuedCount == 0 && !ScanWanted)
            {
                int count = Shell.TakeIdle(_ops);
                for (int i = 0; i < count; i++)
                {
                    Shell.Complete(_ops[i], Write(_ops[i]));
                }
            }
        }

        // An object, its routes and its places in groups, gone without a word.
        private void Vanish(uint id)
        {
            if (!Objects.Remove(id))
            {
                return;
            }

            V4.Lose(route => route.NextHopId == id);
            V6.Lose(route => route.NextHopId == id);
            foreach (KernelNexthop group in Objects.Values.Where(item => item.Group.Any(member => member.Id == id)).ToArray())
            {
                Objects[group.Id] = group with { Group = [.. group.Group.Where(member => member.Id != id)] };
                if (Objects[group.Id].Group.Length == 0)
                {
                    Vanish(group.Id);
                }
            }
        }

        private int Write(in NexthopOp op)
        {
            KernelNexthop item = op.Object;
            if (!Supported)
            {
                return 95;
            }

            switch (op.Kind)
            {
                case NexthopOpKind.Delete:
                    Log.Add($"Delete {Text(item, Objects)}");
                    if (!Objects.TryGetValue(item.Id, out KernelNexthop? held))
                    {
                        return 2;
                    }

                    Assert.That(held.Protocol, Is.EqualTo(Own), "another's object is deleted");
                    Assert.That(V4.Routes.Values.Any(route => route.NextHopId == item.Id) || V6.Routes.Values.Any(route => route.NextHopId == item.Id), Is.False, "routes go with it");
                    Assert.That(Objects.Values.Any(group => group.Group.Any(member => member.Id == item.Id)), Is.False, "a group still has it");
                    Objects.Remove(item.Id);
                    return 0;
                case NexthopOpKind.Create when Objects.ContainsKey(item.Id):
                    return 17;
                case NexthopOpKind.Replace when !Objects.ContainsKey(item.Id):
                    return 2;
                default:
                    if (item.Group.Any(member => !Objects.ContainsKey(member.Id)))
                    {
                        return 22;
                    }

                    if (Down.Contains(item.Hop.Interface))
                    {
                        return NetDown;
                    }

                    Assert.That(!Objects.TryGetValue(item.Id, out KernelNexthop? old) || old.Protocol == Own, Is.True, "another's object is replaced");
                    Log.Add($"{op.Kind} {Text(item, Objects)}");
                    Objects[item.Id] = item;
                    return 0;
            }
        }
    }
}
