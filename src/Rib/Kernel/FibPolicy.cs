using System.Runtime.InteropServices;
using Bgp.Protocol;

namespace Rib;

/// <summary>Where the metric of installed routes comes from.</summary>
public enum KernelMetricMode : byte
{
    /// <summary>None is written.</summary>
    None,

    /// <summary>A number.</summary>
    Fixed,

    /// <summary>2^31 - 1 - LOCAL_PREF.</summary>
    LocalPref,
}

/// <summary>What decides how selected paths stand in the kernel.</summary>
public sealed record FibOptions
{
    /// <summary>Pools: tunnels and what is never installed.</summary>
    public IReadOnlyList<PoolDefinition> Pools { get; init; } = [];

    /// <summary>What this node originates.</summary>
    public IReadOnlyList<OriginatedPrefix> Originate { get; init; } = [];

    /// <summary>The node's subnet of this family; null when unknown: then a crossSubnet pool is direct.</summary>
    public Cidr? NodeSubnet { get; init; }

    /// <summary>Next hops through which nothing is installed.</summary>
    public IReadOnlyList<Cidr> ExcludeNextHops { get; init; } = [];

    /// <summary>Whether default routes are installed.</summary>
    public bool InstallDefault { get; init; }

    /// <summary>Whether equal paths are merged.</summary>
    public bool Ecmp { get; init; } = true;

    /// <summary>The most next hops of one route.</summary>
    public int MaxPaths { get; init; } = 16;

    /// <summary>Where the metric comes from.</summary>
    public KernelMetricMode MetricMode { get; init; }

    /// <summary>The metric with <see cref="KernelMetricMode.Fixed"/>.</summary>
    public uint Metric { get; init; }
}

/// <summary>The kernel route that the selection of a prefix asks for.</summary>
/// <remarks>
/// A prefix in an ipip pool leaves through the tunnel to the BGP next hop itself, taken as on-link, because that is the node which has the workload; every
/// other prefix leaves as the kernel already reaches the next hop. Each of several equal paths is a hop, tunnelled ones too. The best path decides
/// whether there is a route at all: where it must not be installed, a second-best path in the kernel would contradict what is announced.
/// <para>Hops are shared objects: those of one direct next hop come from <see cref="NexthopTable"/>, the others from a bounded set kept here.</para>
/// </remarks>
public sealed class FibPolicy<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private const int SharedLimit = 8192;
    private const uint MetricBase = int.MaxValue;

    private readonly FibOptions _options;
    private readonly PrefixTrie<TPrefix, PoolDefinition> _pools = new();
    private readonly Dictionary<TPrefix, OriginateKind> _originate = [];
    private readonly Dictionary<string, int> _devices = new(StringComparer.Ordinal);
    private readonly Dictionary<FibNextHops, FibNextHops> _shared = [];
    private readonly Dictionary<FibNextHop, FibNextHops> _single = [];
    private readonly List<FibNextHop> _hops = [];

    /// <summary>Creates the policy of one family; no interface is known yet.</summary>
    public FibPolicy(FibOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        foreach (PoolDefinition pool in options.Pools)
        {
            if (pool.Prefix.TryGet(out TPrefix prefix))
            {
                _pools.Set(prefix, pool);
                if (UsesTunnel(pool))
                {
                    _devices[pool.Device] = 0;
                }
            }
        }

        foreach (OriginatedPrefix originated in options.Originate)
        {
            if (originated.Prefix.TryGet(out TPrefix prefix))
            {
                _originate[prefix] = originated.Kind;
            }
        }
    }

    /// <summary>
    /// Says what index an interface has; 0 when it is gone. True when a pool's tunnel uses it and the index is another one now: then the
    /// pool's prefixes must be asked for again.
    /// </summary>
    public bool SetInterface(string name, int index)
    {
        if (!_devices.TryGetValue(name, out int known) || known == index)
        {
            return false;
        }

        _devices[name] = index;
        return true;
    }

    /// <summary>The route that a prefix should have.</summary>
    /// <param name="prefix">The prefix.</param>
    /// <param name="multipath">The equal best paths, best first; empty when there is none.</param>
    /// <param name="attributes">Where the paths' attribute sets are.</param>
    /// <param name="nexthops">How next hops are reached.</param>
    /// <param name="route">The route.</param>
    /// <param name="reason">A constant: why there is none, or how it came about.</param>
    public bool TryDesired(
        in TPrefix prefix, ReadOnlySpan<Path> multipath, AttributeTable attributes, NexthopTable nexthops, out FibRoute route, out string reason)
    {
        ArgumentNullException.ThrowIfNull(attributes);
        ArgumentNullException.ThrowIfNull(nexthops);
        route = default;
        if (multipath.IsEmpty)
        {
            reason = "no eligible path";
            return false;
        }

        PathAttributes best = attributes.Get(multipath[0].Attr);
        switch (best.Source)
        {
            case RouteSource.Originate:
                return TryOriginated(prefix, out route, out reason);
            case RouteSource.Kernel:
                reason = "the best path is the kernel's own route";
                return false;
            default:
                break;
        }

        if (prefix.Length == 0 && !_options.InstallDefault)
        {
            reason = "a default route, and kernel.installDefault is false";
            return false;
        }

        _pools.TryMatch(prefix, out _, out PoolDefinition? pool);
        if (pool is not null && NeverInstalled(pool) is string never)
        {
            reason = never;
            return false;
        }

        _hops.Clear();
        int limit = Math.Max(1, _options.MaxPaths);
        int paths = _options.Ecmp ? Math.Min(limit, multipath.Length) : 1;
        string how = "";
        FibNextHops whole = FibNextHops.None;
        for (int i = 0; i < paths; i++)
        {
            PathAttributes path = i == 0 ? best : attributes.Get(multipath[i].Attr);
            if (path.Source != RouteSource.Bgp)
            {
                continue;
            }

            bool usable = TryAddHops(path.NextHop, pool, nexthops, limit, out FibNextHops hops, out string text);
            if (i == 0)
            {
                how = text;
                whole = hops;
                if (!usable)
                {
                    reason = text;
                    return false;
                }
            }
        }

        reason = how;
        route = new FibRoute(KernelRouteType.Unicast, MetricOf(best), Share(whole));
        return true;
    }

    private static string? NeverInstalled(PoolDefinition pool) =>
        pool.Tunnel == TunnelMode.Vxlan ? "in a vxlan pool, whose routes another program writes"
        : !pool.InstallKernel ? "in a pool with installKernel: false"
        : pool.Use == PoolUse.Service ? "in a service pool"
        : null;

    private static bool UsesTunnel(PoolDefinition pool) => pool.Tunnel == TunnelMode.Ipip && TPrefix.Family == AfiSafi.Ipv4Unicast;

    private bool TryOriginated(in TPrefix prefix, out FibRoute route, out string reason)
    {
        route = default;
        if (!_originate.TryGetValue(prefix, out OriginateKind kind) || kind == OriginateKind.None)
        {
            reason = "originated with kind: none";
            return false;
        }

        bool blackhole = kind == OriginateKind.Blackhole;
        reason = blackhole ? "originated: blackhole" : "originated: unreachable";
        route = new FibRoute(blackhole ? KernelRouteType.Blackhole : KernelRouteType.Unreachable, 0, FibNextHops.None);
        return true;
    }

    /// <summary>Adds the hops of one path; <paramref name="hops"/> are just those, where there is a shared object for them.</summary>
    private bool TryAddHops(in IpAddr nextHop, PoolDefinition? pool, NexthopTable nexthops, int limit, out FibNextHops hops, out string text)
    {
        hops = FibNextHops.None;
        for (int i = 0; i < _options.ExcludeNextHops.Count; i++)
        {
            if (_options.ExcludeNextHops[i].Contains(nextHop))
            {
                text = "the next hop is in kernel.excludeNextHops";
                return false;
            }
        }

        if (!nexthops.TryGetHops(nextHop, out FibNextHops resolved))
        {
            text = "the next hop is unresolved";
            return false;
        }

        // An IPv6 next hop of an IPv4 route (RFC 8950) cannot be the other end of an IPIP tunnel.
        bool tunnelled = pool is not null && UsesTunnel(pool) && nextHop.IsV4
            && (pool.When == TunnelWhen.Always || (_options.NodeSubnet is Cidr subnet && !subnet.Contains(nextHop)));
        if (!tunnelled)
        {
            hops = resolved;
            foreach (FibNextHop hop in resolved.Hops)
            {
                AddHop(hop, limit);
            }

            text = "through the resolved next hop";
            return true;
        }

        int device = _devices[pool!.Device];
        if (device == 0)
        {
            text = "the pool's tunnel device does not exist";
            return false;
        }

        FibNextHop tunnel = new(nextHop, device, OnLink: true);
        if (!_single.TryGetValue(tunnel, out FibNextHops? single))
        {
            if (_single.Count >= SharedLimit)
            {
                _single.Clear();
            }

            single = new FibNextHops([tunnel]);
            _single.Add(tunnel, single);
        }

        hops = single;
        AddHop(tunnel, limit);
        text = "through the pool's tunnel";
        return true;
    }

    private void AddHop(in FibNextHop hop, int limit)
    {
        if (_hops.Count < limit && !_hops.Contains(hop))
        {
            _hops.Add(hop);
        }
    }

    /// <summary>One object per set; <paramref name="first"/> where the collected hops are just those.</summary>
    private FibNextHops Share(FibNextHops first)
    {
        if (first.Hops.Length == _hops.Count)
        {
            return first;
        }

        FibNextHops all = new(CollectionsMarshal.AsSpan(_hops));
        if (_shared.TryGetValue(all, out FibNextHops? known))
        {
            return known;
        }

        if (_shared.Count >= SharedLimit)
        {
            _shared.Clear();
        }

        _shared.Add(all, all);
        return all;
    }

    private uint MetricOf(PathAttributes best)
    {
        // A filter's kernelMetric is kept with the path as its internal attribute.
        if (best.Local is { Metric: > 0 } set)
        {
            return set.Metric;
        }

        return _options.MetricMode switch
        {
            KernelMetricMode.Fixed => _options.Metric,

            // 0 would mean none (1024 for IPv6): the best that can be written is 1.
            KernelMetricMode.LocalPref => MetricBase - Math.Min(best.LocalPref ?? RankKey.DefaultLocalPref, MetricBase - 1),
            _ => 0,
        };
    }
}
