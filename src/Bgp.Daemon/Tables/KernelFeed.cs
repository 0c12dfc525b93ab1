using System.Runtime.InteropServices;
using Bgp.Daemon.Kernel;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tables;

/// <summary>
/// Turns what the kernel reports into work for the tables: every route serves next hop resolution; what may be learned becomes a path of this host.
/// </summary>
/// <remarks>
/// Called on the kernel's thread, in batches; each batch is one piece of work per family. A kernel route is a path of peer 0 whose path id is its metric, so
/// that several routes to one destination stay apart, as they do in the kernel.
/// </remarks>
internal sealed class KernelFeed(RibLoop<Ipv4Prefix> v4, RibLoop<Ipv6Prefix> v6, NexthopTable nexthopsV4, NexthopTable nexthopsV6) : IKernelEvents
{
    /// <summary>Path id of a prefix from the configuration.</summary>
    internal const uint OriginatedPathId = uint.MaxValue;

    private const uint DirectPathId = uint.MaxValue - 1;
    private const byte ProtocolKernel = 2;
    private const byte ScopeLink = 253;

    private readonly Dictionary<int, string> _names = [];
    private readonly Pending<Ipv4Prefix> _v4 = new();
    private readonly Pending<Ipv6Prefix> _v6 = new();
    private readonly HashSet<InterfaceAddress> _direct = [];

    // Read by others under its own lock. One address may be on many interfaces: link-local ones of an agent's are.
    private readonly HashSet<InterfaceAddress> _addresses = [];
    private readonly Dictionary<IpAddr, int> _own = [];
    private KernelLearningOptions _learning = new();

    /// <summary>Called once, after everything of the first dump has been posted.</summary>
    internal Action? OnReady { get; set; }

    /// <summary>Called with an address of the host that came or went, on the kernel's thread.</summary>
    internal Action<IpAddr>? OnAddress { get; set; }

    /// <summary>Called after an interface came, changed or went, with its name, on the kernel's thread.</summary>
    internal Action<string>? OnLink { get; set; }

    /// <summary>
    /// Whether the subnets of the host's addresses resolve next hops. For tables other than main: the kernel writes its routes to connected subnets into main alone, so without this no
    /// neighbour on a link could be a next hop.
    /// </summary>
    internal bool AddressesResolve { get; init; }

    /// <summary>The addresses of this host.</summary>
    internal IReadOnlyList<InterfaceAddress> Addresses
    {
        get
        {
            lock (_addresses)
            {
                return [.. _addresses];
            }
        }
    }

    /// <summary>What may be learned. Set before the kernel starts.</summary>
    internal KernelLearningOptions Learning
    {
        get => _learning;
        set => _learning = value;
    }

    private sealed class Pending<TPrefix>
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        internal List<(KernelRoute<TPrefix> Route, bool Added, bool Learn, string Interface)> Items { get; set; } = [];
    }

    /// <inheritdoc/>
    public void RouteAdded(in KernelRoute<Ipv4Prefix> route) => Add(_v4, route, true);

    /// <inheritdoc/>
    public void RouteRemoved(in KernelRoute<Ipv4Prefix> route) => Add(_v4, route, false);

    /// <inheritdoc/>
    public void RouteAdded(in KernelRoute<Ipv6Prefix> route) => Add(_v6, route, true);

    /// <inheritdoc/>
    public void RouteRemoved(in KernelRoute<Ipv6Prefix> route) => Add(_v6, route, false);

    /// <inheritdoc/>
    public void AddressesChanged(IReadOnlyList<InterfaceAddress> removed, IReadOnlyList<InterfaceAddress> added)
    {
        // What comes is counted first: an address that only changes its interface's name stays our own throughout.
        List<(IpAddr Address, bool Own)> own = [];
        List<(InterfaceAddress Address, bool Added)> subnets = [];
        lock (_addresses)
        {
            foreach (InterfaceAddress address in added)
            {
                if (!_addresses.Add(address))
                {
                    continue;
                }

                subnets.Add((address, true));
                if (++CollectionsMarshal.GetValueRefOrAddDefault(_own, address.Address, out _) == 1)
                {
                    own.Add((address.Address, true));
                }
            }

            foreach (InterfaceAddress address in removed)
            {
                if (!_addresses.Remove(address))
                {
                    continue;
                }

                subnets.Add((address, false));
                if (--CollectionsMarshal.GetValueRefOrAddDefault(_own, address.Address, out _) == 0)
                {
                    _own.Remove(address.Address);
                    own.Add((address.Address, false));
                }
            }

            Slack.Trim(_addresses);
            Slack.Trim(_own);
        }

        if (own.Count > 0)
        {
            v4.Post(loop => Changed(loop, nexthopsV4, changed => SetOwn(nexthopsV4, own, changed)), RibPeer.Local);
            v6.Post(loop => Changed(loop, nexthopsV6, changed => SetOwn(nexthopsV6, own, changed)), RibPeer.Local);
        }

        if (AddressesResolve && subnets.Count > 0)
        {
            // IPv4 routes may have IPv6 next hops (RFC 8950).
            v4.Post(loop => Changed(loop, nexthopsV4, changed => Connect(nexthopsV4, subnets, v6Alone: false, changed)), RibPeer.Local);
            v6.Post(loop => Changed(loop, nexthopsV6, changed => Connect(nexthopsV6, subnets, v6Alone: true, changed)), RibPeer.Local);
        }

        foreach (InterfaceAddress address in removed)
        {
            NotDirect(address);
        }

        foreach (InterfaceAddress address in added)
        {
            if (!KernelLearning.IsLearnable(address, _learning))
            {
                NotDirect(address);
            }
            else if (_direct.Add(address))
            {
                Direct(address, true);
            }
        }

        // Also where it has just another length.
        foreach (InterfaceAddress address in removed)
        {
            OnAddress?.Invoke(address.Address);
        }

        foreach (InterfaceAddress address in added)
        {
            OnAddress?.Invoke(address.Address);
        }

        static void SetOwn(NexthopTable nexthops, List<(IpAddr Address, bool Own)> own, List<IpAddr> changed)
        {
            foreach ((IpAddr address, bool isOwn) in own)
            {
                nexthops.SetOwnAddress(address, isOwn, changed);
            }
        }
    }

    // The routes that the kernel has for these addresses in main. Their addresses keep those of one subnet apart.
    private static void Connect(NexthopTable nexthops, List<(InterfaceAddress Address, bool Added)> subnets, bool v6Alone, List<IpAddr> changed)
    {
        foreach ((InterfaceAddress address, bool added) in subnets)
        {
            IpAddr network = address.Network;
            if (network.IsLoopback)
            {
                continue;
            }

            FibNextHops hops = new([new FibNextHop(default, address.Interface, OnLink: false)]);
            if (network.IsV6)
            {
                nexthops.ApplyRoute(new KernelRoute<Ipv6Prefix>(Ipv6Prefix.Create(network, address.PrefixLength), KernelRouteType.Unicast, ProtocolKernel, 0, 0, 0, false, address.Address, hops), added, changed);
            }
            else if (!v6Alone)
            {
                nexthops.ApplyRoute(new KernelRoute<Ipv4Prefix>(Ipv4Prefix.Create(network, address.PrefixLength), KernelRouteType.Unicast, ProtocolKernel, ScopeLink, 0, 0, false, address.Address, hops), added, changed);
            }
        }
    }

    // Another interface may have the same prefix: its path is the same one.
    private void NotDirect(in InterfaceAddress address)
    {
        if (!_direct.Remove(address))
        {
            return;
        }

        foreach (InterfaceAddress other in _direct)
        {
            if (other.Network == address.Network && other.PrefixLength == address.PrefixLength)
            {
                Direct(other, true);
                return;
            }
        }

        Direct(address, false);
    }

    /// <inheritdoc/>
    public void LinkChanged(int index, string name, bool up)
    {
        _names[index] = name;
        v4.Post(loop => Tunnel(loop, name, index), RibPeer.Local);
        OnLink?.Invoke(name);
    }

    /// <inheritdoc/>
    public void LinkRemoved(int index, string name)
    {
        _names.Remove(index);
        Slack.Trim(_names);
        v4.Post(loop => Tunnel(loop, name, 0), RibPeer.Local);
        OnLink?.Invoke(name);
    }

    /// <inheritdoc/>
    public void BatchComplete()
    {
        Flush(v4, nexthopsV4, _v4);
        List<(KernelRoute<Ipv6Prefix> Route, bool Added, bool Learn, string Interface)> routes = _v6.Items;
        Flush(v6, nexthopsV6, _v6);
        if (routes.Count > 0)
        {
            // IPv4 routes may have IPv6 next hops (RFC 8950).
            v4.Post(loop => Changed(loop, nexthopsV4, changed => Apply(nexthopsV4, routes, changed)), RibPeer.Local);
        }
    }

    private static void Apply<TPrefix>(NexthopTable nexthops, List<(KernelRoute<TPrefix> Route, bool Added, bool Learn, string Interface)> routes, List<IpAddr> changed)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        foreach ((KernelRoute<TPrefix> route, bool added, _, _) in routes)
        {
            nexthops.ApplyRoute(route, added, changed);
        }
    }

    /// <inheritdoc/>
    public void InitialDumpComplete()
    {
        BatchComplete();
        OnReady?.Invoke();
    }

    private static void Tunnel<TPrefix>(RibLoop<TPrefix> loop, string name, int index)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        if (loop.Forwarding is { } forwarding && forwarding.Policy.SetInterface(name, index))
        {
            forwarding.Reevaluate(loop.Shard);
        }
    }

    internal static void Changed<TPrefix>(RibLoop<TPrefix> loop, NexthopTable nexthops, Action<List<IpAddr>> change)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        List<IpAddr> changed = [];
        change(changed);
        if (changed.Count > 0)
        {
            loop.Shard.NextHopsChanged(CollectionsMarshal.AsSpan(changed));
            loop.Forwarding?.GatewaysChanged(changed);
        }
    }

    private void Add<TPrefix>(Pending<TPrefix> pending, in KernelRoute<TPrefix> route, bool added)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        bool learn = added && KernelLearning.IsLearnable(route, _learning, NameOf);
        ReadOnlySpan<FibNextHop> hops = route.NextHops.Hops;
        pending.Items.Add((route, added, learn, learn && hops.Length > 0 ? NameOf(hops[0].Interface) : ""));
    }

    private string NameOf(int index) => _names.TryGetValue(index, out string? name) ? name : "";

    private static void Flush<TPrefix>(RibLoop<TPrefix> loop, NexthopTable nexthops, Pending<TPrefix> pending)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        if (pending.Items.Count == 0)
        {
            return;
        }

        List<(KernelRoute<TPrefix> Route, bool Added, bool Learn, string Interface)> items = pending.Items;
        pending.Items = [];
        loop.Post(table =>
        {
            Changed(table, nexthops, changed => Apply(nexthops, items, changed));
            foreach ((KernelRoute<TPrefix> route, bool added, bool learn, string name) in items)
            {
                if (learn)
                {
                    ReadOnlySpan<FibNextHop> hops = route.NextHops.Hops;
                    IpAddr gateway = hops.Length > 0 ? hops[0].Gateway : default;
                    Reach(table, route.Prefix, route.Metric, new LocalRouteInfo(RouteSource.Kernel, route.Protocol, route.Metric, name, gateway, (byte)route.Type));
                }
                else if (!added || table.Shard.PathCount(RibPeer.Local) > 0)
                {
                    // Also for a route that replaced a learned one and may not be learned itself.
                    table.Shard.Unreach([route.Prefix], [route.Metric], RibPeer.Local);
                }
            }
        }, RibPeer.Local);
    }

    private void Direct(in InterfaceAddress address, bool added)
    {
        LocalRouteInfo info = new(RouteSource.Kernel, ProtocolKernel, 0, address.InterfaceName, default);
        int length = address.PrefixLength;
        IpAddr network = address.Network;
        if (network.IsV4)
        {
            v4.Post(loop => Set(loop, Ipv4Prefix.Create(network, length), added, info), RibPeer.Local);
        }
        else
        {
            v6.Post(loop => Set(loop, Ipv6Prefix.Create(network, length), added, info), RibPeer.Local);
        }

        static void Set<TPrefix>(RibLoop<TPrefix> loop, TPrefix prefix, bool added, LocalRouteInfo info)
            where TPrefix : unmanaged, IPrefix<TPrefix>
        {
            if (added)
            {
                Reach(loop, prefix, DirectPathId, info);
            }
            else
            {
                loop.Shard.Unreach([prefix], [DirectPathId], RibPeer.Local);
            }
        }
    }

    private static void Reach<TPrefix>(RibLoop<TPrefix> loop, TPrefix prefix, uint pathId, in LocalRouteInfo info)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        uint id = AttributeEditing.Local(loop.Attributes, info, [], []);
        loop.Shard.Reach([prefix], [pathId], RibPeer.Local, id, PathFlags.None);
        loop.Attributes.Release(id);
    }
}
