using Bgp.Daemon.Config;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon;

/// <summary>Peers that are reached through a gateway (<c>reachableBy</c>).</summary>
/// <remarks>
/// BIRD's <c>route PEER/32 via GATEWAY</c>: the connection itself must go that way, and so must packets for routes whose next hop is the peer. So it is two things here: a
/// kernel route of ours for the peer's address, which follows how the gateway is reached, and a static route in next hop resolution, which does not look at our own
/// kernel routes. Nothing is learned or announced from it.
/// </remarks>
internal sealed partial class BgpDaemon
{
    private const byte StaticProtocol = 4;

    private void ReachPeers(IReadOnlyList<PeerConfig> before, IReadOnlyList<PeerConfig> after)
    {
        if (_kernel is null)
        {
            return;
        }

        Dictionary<IpAddr, IpAddr> old = Gateways(before);
        Dictionary<IpAddr, IpAddr> now = Gateways(after);
        if (old.Count == now.Count && old.All(pair => now.TryGetValue(pair.Key, out IpAddr gateway) && gateway == pair.Value))
        {
            return;
        }

        _context.V4.Post(loop =>
        {
            Resolve(loop, _nexthopsV4, Routes(old, V4), Routes(now, V4));
            Resolve(loop, _nexthopsV4, Routes(old, V6), Routes(now, V6));
            loop.Forwarding?.SetGateways(Routes(now, V4), loop.Shard);
        });
        _context.V6.Post(loop =>
        {
            Resolve(loop, _nexthopsV6, Routes(old, V6), Routes(now, V6));
            loop.Forwarding?.SetGateways(Routes(now, V6), loop.Shard);
        });

        static Ipv4Prefix? V4(IpAddr address) => address.IsV4 ? Ipv4Prefix.Create(address, 32) : null;
        static Ipv6Prefix? V6(IpAddr address) => address.IsV6 ? Ipv6Prefix.Create(address, 128) : null;
    }

    private static Dictionary<IpAddr, IpAddr> Gateways(IReadOnlyList<PeerConfig> peers)
    {
        Dictionary<IpAddr, IpAddr> gateways = [];
        foreach (PeerConfig peer in peers)
        {
            if (!peer.ReachableBy.IsNone)
            {
                gateways[peer.Address] = peer.ReachableBy;
            }
        }

        return gateways;
    }

    private static Dictionary<TPrefix, IpAddr> Routes<TPrefix>(Dictionary<IpAddr, IpAddr> gateways, Func<IpAddr, TPrefix?> prefix)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        Dictionary<TPrefix, IpAddr> routes = [];
        foreach ((IpAddr peer, IpAddr gateway) in gateways)
        {
            if (prefix(peer) is { } host)
            {
                routes[host] = gateway;
            }
        }

        return routes;
    }

    private static void Resolve<TTable, TPrefix>(RibLoop<TTable> loop, NexthopTable nexthops, Dictionary<TPrefix, IpAddr> old, Dictionary<TPrefix, IpAddr> now)
        where TTable : unmanaged, IPrefix<TTable>
        where TPrefix : unmanaged, IPrefix<TPrefix> => KernelFeed.Changed(loop, nexthops, changed =>
    {
        foreach ((TPrefix host, IpAddr gateway) in old)
        {
            nexthops.ApplyRoute(Static(host, gateway), added: false, changed);
        }

        foreach ((TPrefix host, IpAddr gateway) in now)
        {
            nexthops.ApplyRoute(Static(host, gateway), added: true, changed);
        }
    });

    private static KernelRoute<TPrefix> Static<TPrefix>(TPrefix host, IpAddr gateway)
        where TPrefix : unmanaged, IPrefix<TPrefix> =>
        new(host, KernelRouteType.Unicast, StaticProtocol, 0, 0, 0, false, default, new FibNextHops([new FibNextHop(gateway, 0, false)]));
}
