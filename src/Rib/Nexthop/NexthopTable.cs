using System.Runtime.InteropServices;
using Bgp.Protocol;

namespace Rib;

/// <summary>How this host's kernel reaches the next hops of BGP paths (RFC 4271 section 9.1.2.1: the Routing Table resolves NEXT_HOP).</summary>
/// <remarks>
/// Resolution is the longest match over every unicast route of the watched table, default routes included, but never over routes of our own
/// protocol: a BGP route must not resolve through a BGP route that it supports itself. Of the routes to one prefix the lowest metric counts, then the
/// one known longest. A gateway of a kernel route is taken as reachable on that route's interface, because the kernel has checked it (hosts
/// on a cloud network have /32 addresses and an on-link gateway). Only a gateway without an interface is looked up again, at most
/// <see cref="MaxDepth"/> times.
/// <para>A link-local next hop is resolved on the interface that it names (<see cref="IpAddr.Scope"/>) and by no other route than that interface's. Next hops of either
/// family can be resolved in one table, because IPv4 routes may have IPv6 ones (RFC 8950).</para>
/// <para>An answer is a function of the longest matches of the addresses that were looked up, and of the own addresses. So each looked-up address is watched in
/// a trie of host prefixes: a changed route touches exactly the answers that watch an address inside its prefix, and only those that really differ
/// are reported. Cost of a change: the watched addresses inside the prefix, not all of them.</para>
/// <para>Owned by one loop; nothing here is thread safe.</para>
/// </remarks>
public sealed class NexthopTable : INextHopResolver
{
    /// <summary>How many gateways in a row are looked up; then the next hop is unresolved. Also what ends a loop.</summary>
    public const int MaxDepth = 8;

    private readonly byte _ownProtocol;
    private readonly FamilyRoutes<Ipv4Prefix> _v4 = new();
    private readonly FamilyRoutes<Ipv6Prefix> _v6 = new();
    private readonly Dictionary<IpAddr, Tracked> _tracked = [];
    private readonly List<Tracked> _affected = [];
    private readonly List<FibNextHop> _hops = [];
    private readonly HashSet<IpAddr> _own = [];

    /// <summary>Creates a table without routes.</summary>
    /// <param name="ownProtocol">rtm_protocol of our routes, which never resolve anything.</param>
    public NexthopTable(byte ownProtocol = 12) => _ownProtocol = ownProtocol;

    /// <summary>Next hops that are tracked at present.</summary>
    public int TrackedCount => _tracked.Count;

    /// <summary>Kernel routes that take part in resolution, of both families.</summary>
    public int RouteCount => _v4.RouteCount + _v6.RouteCount;

    /// <inheritdoc/>
    public NextHopState Resolve(in IpAddr nextHop) => Track(nextHop).State;

    /// <summary>
    /// How packets for a next hop leave this host. For a directly connected one the gateway is the next hop itself. The object is
    /// shared until the answer changes. The address becomes tracked.
    /// </summary>
    public bool TryGetHops(in IpAddr nextHop, out FibNextHops hops)
    {
        Tracked tracked = Track(nextHop);
        hops = tracked.Hops;
        return tracked.State.Resolved;
    }

    /// <summary>A kernel route appeared or went. A route that is changed in place is a removal and an addition.</summary>
    /// <param name="route">The route; a removal must be equal in every field to what was added, else nothing happens.</param>
    /// <param name="added">Whether it appeared.</param>
    /// <param name="changed">Tracked next hops whose state or hops are different now are added to it.</param>
    public void ApplyRoute<TPrefix>(in KernelRoute<TPrefix> route, bool added, ICollection<IpAddr> changed)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        ArgumentNullException.ThrowIfNull(changed);
        if (route.Protocol == _ownProtocol || route.Cloned || route.Tos != 0 || !TakesPart(route.Type))
        {
            return;
        }

        FamilyRoutes<TPrefix> family = Family<TPrefix>();
        if (!(added ? family.Add(route) : family.Remove(route)))
        {
            return;
        }

        _affected.Clear();
        CollectWatchers<TPrefix> collect = new(_affected);
        family.Watchers.VisitInside(route.Prefix, ref collect);
        foreach (Tracked tracked in CollectionsMarshal.AsSpan(_affected))
        {
            tracked.Marked = false;
            Refresh(tracked, changed);
        }
    }

    /// <summary>An address is this host's own, and so unresolved as a next hop, or is not any more.</summary>
    public void SetOwnAddress(in IpAddr address, bool own, ICollection<IpAddr> changed)
    {
        ArgumentNullException.ThrowIfNull(changed);
        if (own ? _own.Add(address) : _own.Remove(address))
        {
            if (_tracked.TryGetValue(address, out Tracked? tracked))
            {
                Refresh(tracked, changed);
            }

            Slack.Trim(_own);
        }
    }

    /// <summary>Whether an address is one of this host's own.</summary>
    public bool IsOwn(in IpAddr address) => _own.Contains(address);

    /// <summary>
    /// Forgets tracked next hops that <paramref name="inUse"/> does not name, so that a neighbour which invents next hops cannot fill memory.
    /// Forgetting one that is in use loses later changes of it, until it is resolved again.
    /// </summary>
    public void Trim(IReadOnlySet<IpAddr> inUse)
    {
        ArgumentNullException.ThrowIfNull(inUse);
        List<IpAddr> unused = [];
        foreach (IpAddr address in _tracked.Keys)
        {
            if (!inUse.Contains(address))
            {
                unused.Add(address);
            }
        }

        foreach (IpAddr address in unused)
        {
            _tracked.Remove(address, out Tracked? tracked);
            Unwatch(tracked!);
        }
    }

    /// <summary>The best kernel route that covers an address, as <c>fib</c> and <c>explain</c> show it.</summary>
    public bool TryMatch<TPrefix>(in TPrefix prefix, out KernelRoute<TPrefix> route)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        if (Family<TPrefix>().Routes.TryMatch(prefix, out _, out List<KernelRoute<TPrefix>>? routes))
        {
            route = Best(routes);
            return true;
        }

        route = default;
        return false;
    }

    private static bool TakesPart(KernelRouteType type) =>
        type is KernelRouteType.Unicast or KernelRouteType.Blackhole or KernelRouteType.Unreachable or KernelRouteType.Prohibit;

    private FamilyRoutes<TPrefix> Family<TPrefix>()
        where TPrefix : unmanaged, IPrefix<TPrefix> =>
        TPrefix.Family == AfiSafi.Ipv4Unicast ? (FamilyRoutes<TPrefix>)(object)_v4 : (FamilyRoutes<TPrefix>)(object)_v6;

    private Tracked Track(in IpAddr nextHop)
    {
        if (!_tracked.TryGetValue(nextHop, out Tracked? tracked))
        {
            tracked = new Tracked(nextHop);
            _tracked.Add(nextHop, tracked);
            Evaluate(tracked);
        }

        return tracked;
    }

    private void Refresh(Tracked tracked, ICollection<IpAddr> changed)
    {
        NextHopState state = tracked.State;
        FibNextHops hops = tracked.Hops;
        Unwatch(tracked);
        Evaluate(tracked);
        if (tracked.State != state || !tracked.Hops.Equals(hops))
        {
            changed.Add(tracked.Address);
        }
        else
        {
            tracked.Hops = hops;
        }
    }

    private void Evaluate(Tracked tracked)
    {
        tracked.State = default;
        tracked.Hops = FibNextHops.None;
        IpAddr address = tracked.Address;
        if (address.IsNone || address.IsUnspecified || address.IsMulticast || address.IsLoopback)
        {
            return;
        }

        _hops.Clear();
        uint metric = 0;
        bool found = address.IsV4 ? Lookup(_v4, tracked, address, 0, ref metric)
            : address.IsLinkLocal ? LookupLinkLocal(tracked, address)
            : Lookup(_v6, tracked, address, 0, ref metric);
        if (found && !_own.Contains(address))
        {
            tracked.State = new NextHopState(true, metric);
            tracked.Hops = new FibNextHops(CollectionsMarshal.AsSpan(_hops));
        }
    }

    private bool Lookup<TPrefix>(FamilyRoutes<TPrefix> family, Tracked tracked, IpAddr address, int depth, ref uint metric)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        TPrefix host = TPrefix.Create(address, TPrefix.MaxLength);
        if (!tracked.Watched.Contains(address))
        {
            tracked.Watched.Add(address);
            family.Watch(host, tracked);
        }

        if (!family.Routes.TryMatch(host, out _, out List<KernelRoute<TPrefix>>? routes))
        {
            return false;
        }

        KernelRoute<TPrefix> route = Best(routes);
        if (route.Type != KernelRouteType.Unicast)
        {
            return false;
        }

        bool usable = false;
        bool direct = false;
        foreach (FibNextHop hop in route.NextHops.Hops)
        {
            if (hop.Interface != 0)
            {
                direct |= hop.Gateway.IsNone;
                AddHop(hop.Gateway.IsNone ? hop with { Gateway = address } : hop);
                usable = true;
            }
            else if (!hop.Gateway.IsNone && depth + 1 < MaxDepth)
            {
                uint ignored = 0;
                usable |= hop.Gateway.IsV4
                    ? Lookup(_v4, tracked, hop.Gateway, depth + 1, ref ignored)
                    : Lookup(_v6, tracked, hop.Gateway, depth + 1, ref ignored);
            }
        }

        metric = direct ? 0 : EffectiveMetric(route);
        return usable;
    }

    private bool LookupLinkLocal(Tracked tracked, IpAddr address)
    {
        int device = address.Scope;
        IpAddr plain = address.WithScope(0);
        Ipv6Prefix host = Ipv6Prefix.Create(plain, 128);
        tracked.Watched.Add(plain);
        _v6.Watch(host, tracked);
        if (device == 0)
        {
            return false;
        }

        return (_v6.LinkLocal.TryGetValue(device, out List<KernelRoute<Ipv6Prefix>>? own) && AddLinkLocal(own, host, device))
            || (_v6.Routes.TryMatch(host, out _, out List<KernelRoute<Ipv6Prefix>>? routes) && AddLinkLocal(routes, host, device));
    }

    private bool AddLinkLocal(List<KernelRoute<Ipv6Prefix>> routes, in Ipv6Prefix host, int device)
    {
        foreach (KernelRoute<Ipv6Prefix> route in routes)
        {
            foreach (FibNextHop hop in route.NextHops.Hops)
            {
                if (hop.Interface == device && hop.Gateway.IsNone && route.Type == KernelRouteType.Unicast && route.Prefix.Contains(host))
                {
                    AddHop(hop with { Gateway = host.Address });
                    return true;
                }
            }
        }

        return false;
    }

    private void AddHop(in FibNextHop hop)
    {
        foreach (FibNextHop known in CollectionsMarshal.AsSpan(_hops))
        {
            if (known.Gateway == hop.Gateway && known.Interface == hop.Interface)
            {
                return;
            }
        }

        _hops.Add(hop);
    }

    private void Unwatch(Tracked tracked)
    {
        foreach (IpAddr address in tracked.Watched)
        {
            if (address.IsV4)
            {
                _v4.Unwatch(Ipv4Prefix.Create(address, 32), tracked);
            }
            else
            {
                _v6.Unwatch(Ipv6Prefix.Create(address, 128), tracked);
            }
        }

        tracked.Watched.Clear();
    }

    private static KernelRoute<TPrefix> Best<TPrefix>(List<KernelRoute<TPrefix>> routes)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        KernelRoute<TPrefix> best = routes[0];
        for (int i = 1; i < routes.Count; i++)
        {
            if (EffectiveMetric(routes[i]) < EffectiveMetric(best))
            {
                best = routes[i];
            }
        }

        return best;
    }

    // The kernel writes 1024 (IP6_RT_PRIO_USER) where an IPv6 route was added without a metric.
    private static uint EffectiveMetric<TPrefix>(in KernelRoute<TPrefix> route)
        where TPrefix : unmanaged, IPrefix<TPrefix> =>
        route.Metric == 0 && TPrefix.Family == AfiSafi.Ipv6Unicast ? 1024 : route.Metric;

    private sealed class Tracked(IpAddr address)
    {
        internal IpAddr Address { get; } = address;

        internal NextHopState State { get; set; }

        internal FibNextHops Hops { get; set; } = FibNextHops.None;

        internal List<IpAddr> Watched { get; } = new(1);

        internal bool Marked { get; set; }
    }

    private readonly struct CollectWatchers<TPrefix>(List<Tracked> into) : PrefixTrie<TPrefix, List<Tracked>>.IVisitor
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        public void Visit(in TPrefix prefix, List<Tracked> value)
        {
            foreach (Tracked tracked in value)
            {
                if (!tracked.Marked)
                {
                    tracked.Marked = true;
                    into.Add(tracked);
                }
            }
        }
    }

    private sealed class FamilyRoutes<TPrefix>
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        internal PrefixTrie<TPrefix, List<KernelRoute<TPrefix>>> Routes { get; } = new();

        internal PrefixTrie<TPrefix, List<Tracked>> Watchers { get; } = new();

        // By interface: every one has the same prefix.
        internal Dictionary<int, List<KernelRoute<TPrefix>>> LinkLocal { get; } = [];

        internal int RouteCount { get; private set; }

        internal bool Add(in KernelRoute<TPrefix> route)
        {
            if (IsLinkLocal(route))
            {
                ref List<KernelRoute<TPrefix>>? own = ref CollectionsMarshal.GetValueRefOrAddDefault(LinkLocal, route.NextHops.Hops[0].Interface, out _);
                own ??= new List<KernelRoute<TPrefix>>(1);
                return AddTo(own, route);
            }

            if (!Routes.TryGet(route.Prefix, out List<KernelRoute<TPrefix>>? routes))
            {
                routes = new List<KernelRoute<TPrefix>>(1);
                Routes.Set(route.Prefix, routes);
            }

            return AddTo(routes, route);
        }

        internal bool Remove(in KernelRoute<TPrefix> route)
        {
            if (IsLinkLocal(route))
            {
                int device = route.NextHops.Hops[0].Interface;
                if (!LinkLocal.TryGetValue(device, out List<KernelRoute<TPrefix>>? own) || !own.Remove(route))
                {
                    return false;
                }

                RouteCount--;
                if (own.Count == 0)
                {
                    LinkLocal.Remove(device);
                    Slack.Trim(LinkLocal);
                }

                return true;
            }

            if (!Routes.TryGet(route.Prefix, out List<KernelRoute<TPrefix>>? routes) || !routes.Remove(route))
            {
                return false;
            }

            RouteCount--;
            if (routes.Count == 0)
            {
                Routes.Remove(route.Prefix);
            }

            return true;
        }

        private static bool IsLinkLocal(in KernelRoute<TPrefix> route) => TPrefix.MaxLength == 128 && route.IsLinkLocal;

        private bool AddTo(List<KernelRoute<TPrefix>> routes, in KernelRoute<TPrefix> route)
        {
            if (routes.Contains(route))
            {
                return false;
            }

            routes.Add(route);
            RouteCount++;
            return true;
        }

        internal void Watch(in TPrefix host, Tracked tracked)
        {
            if (!Watchers.TryGet(host, out List<Tracked>? watchers))
            {
                watchers = new List<Tracked>(1);
                Watchers.Set(host, watchers);
            }

            watchers.Add(tracked);
        }

        internal void Unwatch(in TPrefix host, Tracked tracked)
        {
            if (Watchers.TryGet(host, out List<Tracked>? watchers) && watchers.Remove(tracked) && watchers.Count == 0)
            {
                Watchers.Remove(host);
            }
        }
    }
}
