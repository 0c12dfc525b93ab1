using System.Runtime.InteropServices;
using Bgp.Protocol;

namespace Rib;

/// <summary>How a reported route relates to what its key held before (nlmsg_flags of the notification).</summary>
public enum RouteReport : byte
{
    /// <summary>New, in front of its equals.</summary>
    Added,

    /// <summary>New, behind its equals (NLM_F_APPEND).</summary>
    Appended,

    /// <summary>Took the place of the first route under {prefix, tos, metric} (NLM_F_REPLACE); the kernel reports no deletion then.</summary>
    Replaced,

    /// <summary>Gone.</summary>
    Deleted,
}

/// <summary>One difference that a report or a scan made in the mirror.</summary>
public readonly record struct MirrorChange<TPrefix>(KernelRoute<TPrefix> Route, bool Added)
    where TPrefix : unmanaged, IPrefix<TPrefix>;

/// <summary>What the kernel holds under one {prefix, tos 0, metric}.</summary>
public readonly record struct MirrorKey(int Own, int Alien, byte AlienProtocol, FibRoute OwnRoute, uint OwnNextHopId);

/// <summary>
/// A copy of one routing table of the kernel.
/// </summary>
/// <remarks>
/// The copy follows notifications, and a scan (a dump that visits every route) repairs whatever notifications did not tell: routes that are
/// seen get the scan's number, and the end of the scan removes what has an older one. So a scan yields exact differences, and an audit
/// that finds nothing costs its readers nothing. Routes live in one array, chained per prefix in the kernel's order, because REPLACE hits the
/// first under a key. IPv6 has at most one multipath route per {prefix, metric}: appending a hop reports the whole set again, and
/// deleting one hop reports that hop alone.
/// <para>Every IPv6 interface has a route fe80::/64 of the kernel's own: those have a chain per interface, not one for all.</para>
/// <para>IPv4 routes go with their interface, and nothing reports it. Those of other writers that have one hop are also chained per interface, so that
/// an interface takes its own with it, whatever else there is (<see cref="RemoveThrough"/>).</para>
/// </remarks>
public sealed class RouteMirror<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private const uint DefaultIpv6Metric = 1024;
    private const byte ScopeHost = 254;

    private struct Node
    {
        public KernelRoute<TPrefix> Route;
        public int Next;
        public int NextThrough;
        public int PreviousThrough;
        public uint Scan;
        public bool Used;
    }

    // Routes with a hop through an interface, and the first of those that go with it.
    private struct Through
    {
        public int Count;
        public int First;
    }

    private readonly byte _ownProtocol;
    private readonly NexthopObjects? _objects;
    private readonly Dictionary<TPrefix, int> _heads = [];
    private readonly Dictionary<(int Interface, TPrefix Prefix), int> _linkLocal = [];
    private readonly Dictionary<int, Through> _perInterface = [];
    private readonly Dictionary<IpAddr, int> _perSource = [];
    private Node[] _nodes = new Node[64];
    private int _used;
    private int _free = -1;
    private uint _scan = 1;

    /// <summary>Empty; <paramref name="ownProtocol"/> is the rtm_protocol of our routes, <paramref name="objects"/> hears of routes that refer to objects.</summary>
    public RouteMirror(byte ownProtocol, NexthopObjects? objects = null) => (_ownProtocol, _objects) = (ownProtocol, objects);

    /// <summary>Routes, ours included.</summary>
    public int Count { get; private set; }

    /// <summary>Routes of ours.</summary>
    public int OwnCount { get; private set; }

    /// <summary>The metric under which the kernel files a route that is written with <paramref name="metric"/>.</summary>
    public static uint KernelMetric(uint metric) => TPrefix.MaxLength == 128 && metric == 0 ? DefaultIpv6Metric : metric;

    /// <summary>Whether a route is ours to change.</summary>
    public bool IsOwn(in KernelRoute<TPrefix> route) => route.Protocol == _ownProtocol && route.Tos == 0 && !route.Cloned;

    /// <summary>Routes with a hop through the interface.</summary>
    public int CountThrough(int networkInterface) => _perInterface.GetValueOrDefault(networkInterface).Count;

    /// <summary>Routes with this preferred source.</summary>
    public int CountFrom(IpAddr source) => _perSource.GetValueOrDefault(source);

    /// <summary>What is under {prefix, tos 0, metric}; <paramref name="metric"/> as the kernel files it.</summary>
    public MirrorKey Look(TPrefix prefix, uint metric)
    {
        int own = 0;
        int alien = 0;
        byte alienProtocol = 0;
        FibRoute ownRoute = default;
        uint ownObject = 0;
        for (int at = Head(prefix); at >= 0; at = _nodes[at].Next)
        {
            ref KernelRoute<TPrefix> route = ref _nodes[at].Route;
            if (route.Tos != 0 || route.Metric != metric)
            {
                continue;
            }

            if (!IsOwn(route))
            {
                alien++;
                alienProtocol = route.Protocol;
            }
            else if (own++ == 0)
            {
                ownRoute = new FibRoute(route.Type, route.Metric, route.NextHops);
                ownObject = route.NextHopId;
            }
        }

        return new MirrorKey(own, alien, alienProtocol, ownRoute, ownObject);
    }

    /// <summary>A route of ours under the prefix whose metric is not <paramref name="except"/>; null except takes any.</summary>
    public bool TryFindOwn(TPrefix prefix, uint? except, out FibRoute route)
    {
        for (int at = Head(prefix); at >= 0; at = _nodes[at].Next)
        {
            ref KernelRoute<TPrefix> found = ref _nodes[at].Route;
            if (IsOwn(found) && found.Metric != except)
            {
                route = new FibRoute(found.Type, found.Metric, found.NextHops);
                return true;
            }
        }

        route = default;
        return false;
    }

    /// <summary>Visits the prefixes that hold a route of ours, in no order; a prefix may come twice.</summary>
    public void CollectOwn(ICollection<TPrefix> into)
    {
        ArgumentNullException.ThrowIfNull(into);
        for (int i = 0; i < _used; i++)
        {
            if (_nodes[i].Used && IsOwn(_nodes[i].Route))
            {
                into.Add(_nodes[i].Route.Prefix);
            }
        }
    }

    /// <summary>Copies all routes, in no order.</summary>
    public void CopyTo(ICollection<KernelRoute<TPrefix>> into)
    {
        ArgumentNullException.ThrowIfNull(into);
        for (int i = 0; i < _used; i++)
        {
            if (_nodes[i].Used)
            {
                into.Add(_nodes[i].Route);
            }
        }
    }

    /// <summary>Applies one notification; what it changed is appended to <paramref name="changes"/>.</summary>
    public void Apply(RouteReport report, in KernelRoute<TPrefix> route, List<MirrorChange<TPrefix>> changes)
    {
        ArgumentNullException.ThrowIfNull(changes);
        if (report == RouteReport.Deleted)
        {
            Delete(route, changes);
        }
        else
        {
            Put(report, route, changes);
        }
    }

    // True when the route is the only one under its prefix.
    private bool Put(RouteReport report, in KernelRoute<TPrefix> route, List<MirrorChange<TPrefix>> changes)
    {
        bool replaces = report == RouteReport.Replaced;
        int previous = -1;
        for (int at = Head(route); at >= 0; previous = at, at = _nodes[at].Next)
        {
            ref Node node = ref _nodes[at];
            if (!SameKey(node.Route, route))
            {
                continue;
            }

            if (node.Route == route)
            {
                node.Scan = _scan;
                return previous < 0 && node.Next < 0;
            }

            if (replaces || IsSameMultipath(node.Route, route) || IsSameObject(node.Route, route))
            {
                Change(at, route, changes);
                return previous < 0 && node.Next < 0;
            }
        }

        Insert(route, report == RouteReport.Added ? -1 : previous);
        changes.Add(new MirrorChange<TPrefix>(route, true));
        return previous < 0;
    }

    /// <summary>A write of ours was acknowledged: the mirror need not wait for the echo (which is dropped unread). True when what was written is now the only
    /// route under the prefix.</summary>
    public bool ApplyOwn(in FibOp<TPrefix> op, List<MirrorChange<TPrefix>> scratch)
    {
        ArgumentNullException.ThrowIfNull(scratch);
        FibRoute written = op.Route;
        uint metric = KernelMetric(written.Metric);
        if (op.Kind == FibOpKind.Delete)
        {
            RemoveOwn(op.Prefix, metric, written.Type);
            return false;
        }

        FibNextHops hops = written.NextHops ?? FibNextHops.None;
        byte scope = TPrefix.MaxLength == 32 && !hops.Hops.IsEmpty && hops.Hops[0].Gateway.IsNone ? (byte)253 : (byte)0;
        KernelRoute<TPrefix> route = new(op.Prefix, written.Type, _ownProtocol, scope, metric, 0, false, default, hops, op.NextHopId);
        int before = scratch.Count;
        bool alone = Put(op.Kind == FibOpKind.Replace ? RouteReport.Replaced : RouteReport.Added, route, scratch);
        scratch.RemoveRange(before, scratch.Count - before);
        return alone;
    }

    /// <summary>Forgets our first route under the key.</summary>
    public bool RemoveOwn(TPrefix prefix, uint metric, KernelRouteType type)
    {
        int previous = -1;
        for (int at = Head(prefix); at >= 0; previous = at, at = _nodes[at].Next)
        {
            KernelRoute<TPrefix> route = _nodes[at].Route;
            if (IsOwn(route) && route.Metric == metric && route.Type == type)
            {
                Unlink(at, previous);
                return true;
            }
        }

        return false;
    }

    /// <summary>Begins a scan: every route that is reported or written from now on counts as seen.</summary>
    public void BeginScan() => _scan++;

    /// <summary>A route of a dump.</summary>
    public void Seen(in KernelRoute<TPrefix> route, List<MirrorChange<TPrefix>> changes)
    {
        ArgumentNullException.ThrowIfNull(changes);
        int last = -1;
        for (int at = Head(route); at >= 0; last = at, at = _nodes[at].Next)
        {
            if (_nodes[at].Route == route)
            {
                _nodes[at].Scan = _scan;
                return;
            }

            if (IsSameObject(_nodes[at].Route, route))
            {
                Change(at, route, changes);
                return;
            }
        }

        Insert(route, last);
        changes.Add(new MirrorChange<TPrefix>(route, true));
    }

    /// <summary>Ends a scan: what was not seen is gone. With <paramref name="through"/> other than 0 only routes with a hop through that
    /// interface, since the dump was filtered by it.</summary>
    public void EndScan(int through, List<MirrorChange<TPrefix>> changes)
    {
        ArgumentNullException.ThrowIfNull(changes);
        for (int i = 0; i < _used; i++)
        {
            ref Node node = ref _nodes[i];
            if (!node.Used || node.Scan == _scan || (through != 0 && !GoesThrough(node.Route, through)))
            {
                continue;
            }

            Drop(i, changes);
        }
    }

    /// <summary>An interface was reported as gone or down: IPv4 routes of other writers whose one hop is through it went with it, as the kernel does not report
    /// (fib_sync_down_dev). What <see cref="CountThrough"/> still has then (ours, those with more hops, those of objects) has to be looked for by a scan.</summary>
    /// <remarks>Exact although it looks at nothing: interfaces and routes are reported in one order, so a route that was written since comes again after this.</remarks>
    public void RemoveThrough(int networkInterface, List<MirrorChange<TPrefix>> changes)
    {
        ArgumentNullException.ThrowIfNull(changes);
        while (_perInterface.TryGetValue(networkInterface, out Through through) && through.First >= 0)
        {
            Drop(through.First, changes);
        }
    }

    /// <summary>Gives back the room of a burst. Not while the mirror is being walked.</summary>
    public void Trim()
    {
        Slack.Trim(_heads);
        Slack.Trim(_linkLocal);
        Slack.Trim(_perInterface);
        Slack.Trim(_perSource);
        if (!Slack.IsLarge(Count, _nodes.Length))
        {
            return;
        }

        Node[] old = _nodes;
        _nodes = new Node[Slack.Fitting(Count)];
        (_used, _free) = (0, -1);
        foreach (int interfaceIndex in _perInterface.Keys)
        {
            CollectionsMarshal.GetValueRefOrNullRef(_perInterface, interfaceIndex).First = -1;
        }

        Move(_heads, old);
        Move(_linkLocal, old);
    }

    private void Move<TKey>(Dictionary<TKey, int> heads, Node[] old)
        where TKey : notnull
    {
        foreach (TKey key in heads.Keys)
        {
            ref int head = ref CollectionsMarshal.GetValueRefOrNullRef(heads, key);
            int previous = -1;
            for (int from = head; from >= 0; from = old[from].Next)
            {
                int at = _used++;
                _nodes[at] = old[from];
                _nodes[at].Next = -1;
                if (GoesWithInterface(_nodes[at].Route))
                {
                    Chain(at, ref CollectionsMarshal.GetValueRefOrNullRef(_perInterface, _nodes[at].Route.NextHops.Hops[0].Interface).First, 1);
                }

                if (previous < 0)
                {
                    head = at;
                }
                else
                {
                    _nodes[previous].Next = at;
                }

                previous = at;
            }
        }
    }

    private void Drop(int at, List<MirrorChange<TPrefix>> changes)
    {
        KernelRoute<TPrefix> gone = _nodes[at].Route;
        int previous = -1;
        for (int before = Head(gone); before != at; before = _nodes[before].Next)
        {
            previous = before;
        }

        Unlink(at, previous);
        changes.Add(new MirrorChange<TPrefix>(gone, false));
    }

    private static bool GoesThrough(in KernelRoute<TPrefix> route, int networkInterface)
    {
        foreach (FibNextHop hop in route.NextHops.Hops)
        {
            if (hop.Interface == networkInterface)
            {
                return true;
            }
        }

        return false;
    }

    private static bool SameKey(in KernelRoute<TPrefix> a, in KernelRoute<TPrefix> b) => a.Metric == b.Metric && a.Tos == b.Tos;

    // IPv6 siblings are one route to this mirror, as they are in a dump. Routes without a gateway never join.
    private static bool IsSameMultipath(in KernelRoute<TPrefix> held, in KernelRoute<TPrefix> reported)
    {
        if (TPrefix.MaxLength != 128 || held.Protocol != reported.Protocol || (held.NextHopId | reported.NextHopId) != 0)
        {
            return false;
        }

        ReadOnlySpan<FibNextHop> before = held.NextHops.Hops;
        ReadOnlySpan<FibNextHop> after = reported.NextHops.Hops;
        return !before.IsEmpty && after.Length > before.Length && !before[0].Gateway.IsNone && !after[0].Gateway.IsNone;
    }

    // A route by the id of an object is the same one whatever the object's next hops are, or were known to be.
    private static bool IsSameObject(in KernelRoute<TPrefix> held, in KernelRoute<TPrefix> reported) =>
        reported.NextHopId != 0 && held.NextHopId == reported.NextHopId && held with { NextHops = reported.NextHops } == reported;

    private void Change(int at, in KernelRoute<TPrefix> route, List<MirrorChange<TPrefix>> changes)
    {
        ref Node node = ref _nodes[at];
        KernelRoute<TPrefix> old = node.Route;
        Uncount(at);
        node.Route = route;
        node.Scan = _scan;
        Tally(at);
        changes.Add(new MirrorChange<TPrefix>(old, false));
        changes.Add(new MirrorChange<TPrefix>(route, true));
    }

    private void Delete(in KernelRoute<TPrefix> route, List<MirrorChange<TPrefix>> changes)
    {
        int previous = -1;
        int similar = -1;
        int similarPrevious = -1;
        for (int at = Head(route); at >= 0; previous = at, at = _nodes[at].Next)
        {
            ref Node node = ref _nodes[at];
            if (node.Route == route)
            {
                Unlink(at, previous);
                changes.Add(new MirrorChange<TPrefix>(route, false));
                return;
            }

            if (similar < 0 && SameKey(node.Route, route) && node.Route.Protocol == route.Protocol && node.Route.Type == route.Type)
            {
                (similar, similarPrevious) = (at, previous);
            }
        }

        if (similar < 0)
        {
            return;
        }

        KernelRoute<TPrefix> old = _nodes[similar].Route;
        if ((old.NextHopId | route.NextHopId) == 0 && Without(old.NextHops, route.NextHops) is { } rest)
        {
            Uncount(similar);
            _nodes[similar].Route = old with { NextHops = rest };
            Tally(similar);
            changes.Add(new MirrorChange<TPrefix>(old, false));
            changes.Add(new MirrorChange<TPrefix>(_nodes[similar].Route, true));
            return;
        }

        // Ours may be filed as it was written (no interface given); an alien that differs in a hop is another route, save that
        // what an object's routes go through may have been unknown, or have changed, in between.
        if (IsOwn(old) || Matches(old.NextHops, route.NextHops) || (old.NextHopId != 0 && old.NextHopId == route.NextHopId))
        {
            Unlink(similar, similarPrevious);
            changes.Add(new MirrorChange<TPrefix>(old, false));
        }
    }

    // What is left of an IPv6 multipath route when some of its hops are deleted; null when that is not the case.
    private static FibNextHops? Without(FibNextHops all, FibNextHops gone)
    {
        if (TPrefix.MaxLength != 128 || all.Hops.Length <= gone.Hops.Length || gone.Hops.IsEmpty)
        {
            return null;
        }

        List<FibNextHop> rest = [];
        foreach (FibNextHop hop in all.Hops)
        {
            bool removed = false;
            foreach (FibNextHop other in gone.Hops)
            {
                removed |= other.Gateway == hop.Gateway && other.Interface == hop.Interface;
            }

            if (!removed)
            {
                rest.Add(hop);
            }
        }

        return rest.Count == all.Hops.Length - gone.Hops.Length ? new FibNextHops(CollectionsMarshal.AsSpan(rest)) : null;
    }

    /// <summary>Whether hops that were written and hops that are reported are the same: an interface that was left to the kernel fits any.</summary>
    public static bool Matches(FibNextHops? written, FibNextHops? reported)
    {
        written ??= FibNextHops.None;
        reported ??= FibNextHops.None;
        if (written.Equals(reported))
        {
            return true;
        }

        ReadOnlySpan<FibNextHop> a = written.Hops;
        ReadOnlySpan<FibNextHop> b = reported.Hops;
        if (a.Length != b.Length)
        {
            return false;
        }

        for (int i = 0; i < a.Length; i++)
        {
            bool weights = a.Length == 1 || a[i].Weight == b[i].Weight;
            bool interfaces = a[i].Interface == b[i].Interface || a[i].Interface == 0 || b[i].Interface == 0;
            if (!weights || !interfaces || a[i].Gateway != b[i].Gateway || a[i].OnLink != b[i].OnLink)
            {
                return false;
            }
        }

        return true;
    }

    private int Head(TPrefix prefix) => _heads.TryGetValue(prefix, out int head) ? head : -1;

    private int Head(in KernelRoute<TPrefix> route) =>
        IsLinkLocal(route) ? _linkLocal.TryGetValue((route.NextHops.Hops[0].Interface, route.Prefix), out int head) ? head : -1 : Head(route.Prefix);

    // The kernel's own alone: others' may have several hops, which are reported one by one.
    private static bool IsLinkLocal(in KernelRoute<TPrefix> route) => TPrefix.MaxLength == 128 && route.IsLinkLocal;

    private void Insert(in KernelRoute<TPrefix> route, int after)
    {
        int at = _free;
        if (at >= 0)
        {
            _free = _nodes[at].Next;
        }
        else
        {
            if (_used == _nodes.Length)
            {
                Array.Resize(ref _nodes, _nodes.Length * 2);
            }

            at = _used++;
        }

        ref Node node = ref _nodes[at];
        node.Route = route;
        node.Scan = _scan;
        node.Used = true;
        if (after >= 0)
        {
            node.Next = _nodes[after].Next;
            _nodes[after].Next = at;
        }
        else
        {
            bool present;
            ref int head = ref IsLinkLocal(route)
                ? ref CollectionsMarshal.GetValueRefOrAddDefault(_linkLocal, (route.NextHops.Hops[0].Interface, route.Prefix), out present)
                : ref CollectionsMarshal.GetValueRefOrAddDefault(_heads, route.Prefix, out present);
            node.Next = present ? head : -1;
            head = at;
        }

        Count++;
        Tally(at);
    }

    private void Unlink(int at, int previous)
    {
        ref Node node = ref _nodes[at];
        Uncount(at);
        if (previous >= 0)
        {
            _nodes[previous].Next = node.Next;
        }
        else if (IsLinkLocal(node.Route))
        {
            SetHead(_linkLocal, (node.Route.NextHops.Hops[0].Interface, node.Route.Prefix), node.Next);
        }
        else
        {
            SetHead(_heads, node.Route.Prefix, node.Next);
        }

        node = default;
        node.Next = _free;
        _free = at;
        Count--;
    }

    private static void SetHead<TKey>(Dictionary<TKey, int> heads, TKey key, int head)
        where TKey : notnull
    {
        if (head >= 0)
        {
            heads[key] = head;
        }
        else
        {
            heads.Remove(key);
        }
    }

    private void Tally(int at) => Count1(at, 1);

    private void Uncount(int at) => Count1(at, -1);

    private void Count1(int at, int sign)
    {
        ref KernelRoute<TPrefix> route = ref _nodes[at].Route;
        OwnCount += IsOwn(route) ? sign : 0;
        if (route.NextHopId != 0)
        {
            _objects?.CountRoute(route.NextHopId, sign);
        }

        foreach (FibNextHop hop in route.NextHops.Hops)
        {
            ref Through through = ref CollectionsMarshal.GetValueRefOrAddDefault(_perInterface, hop.Interface, out bool known);
            through.First = known ? through.First : -1;
            through.Count += sign;
            if (GoesWithInterface(route))
            {
                Chain(at, ref through.First, sign);
            }

            if (through.Count == 0)
            {
                _perInterface.Remove(hop.Interface);
            }
        }

        if (!route.PrefSrc.IsNone)
        {
            Add(_perSource, route.PrefSrc, sign);
        }
    }

    private void Chain(int at, ref int first, int sign)
    {
        ref Node node = ref _nodes[at];
        if (sign > 0)
        {
            (node.PreviousThrough, node.NextThrough) = (-1, first);
            if (first >= 0)
            {
                _nodes[first].PreviousThrough = at;
            }

            first = at;
            return;
        }

        if (node.NextThrough >= 0)
        {
            _nodes[node.NextThrough].PreviousThrough = node.PreviousThrough;
        }

        if (node.PreviousThrough >= 0)
        {
            _nodes[node.PreviousThrough].NextThrough = node.NextThrough;
        }
        else
        {
            first = node.NextThrough;
        }
    }

    // Scope host is left out: the kernel keeps such a route when the interface is only set down. Ours are left out because the mirror has them before the
    // notifications that are older: a report of an interface may be from before the route was written.
    private bool GoesWithInterface(in KernelRoute<TPrefix> route) =>
        TPrefix.MaxLength == 32 && route.Type == KernelRouteType.Unicast && route.Scope < ScopeHost && route.NextHopId == 0 && route.NextHops.Hops.Length == 1 && !IsOwn(route);

    private static void Add<TKey>(Dictionary<TKey, int> counts, TKey key, int sign)
        where TKey : notnull
    {
        ref int count = ref CollectionsMarshal.GetValueRefOrAddDefault(counts, key, out _);
        count += sign;
        if (count == 0)
        {
            counts.Remove(key);
        }
    }
}
