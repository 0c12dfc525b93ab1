using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tables;

/// <summary>Takes wanted kernel routes; null is "no route".</summary>
internal delegate void WantRoutes<TPrefix>(ReadOnlySpan<(TPrefix Prefix, FibRoute? Route)> changes)
    where TPrefix : unmanaged, IPrefix<TPrefix>;

/// <summary>The table's consumer that wants kernel routes: the selection of each changed prefix becomes the route that it should have.</summary>
internal sealed class ForwardingTable<TPrefix>(FibPolicy<TPrefix> policy, NexthopTable nexthops, AttributeTable attributes, int maxPaths, WantRoutes<TPrefix> want)
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private readonly List<(TPrefix Prefix, FibRoute? Route)> _changes = [];
    private readonly Dictionary<TPrefix, IpAddr> _gateways = [];

    /// <summary>What decides on the routes; replaced by a reload.</summary>
    internal FibPolicy<TPrefix> Policy { get; set; } = policy;

    /// <summary>How next hops are reached.</summary>
    internal NexthopTable Nexthops => nexthops;

    /// <summary>Next hops of a route at most.</summary>
    internal int MaxPaths { get; set; } = maxPaths;

    internal void Changed(RibShard<TPrefix> shard, ReadOnlySpan<uint> indexes)
    {
        foreach (uint index in indexes)
        {
            _changes.Add((shard.PrefixAt(index), Desired(shard, index, out _)));
        }
    }

    /// <summary>Every prefix again: pools or a tunnel's interface changed.</summary>
    internal void Reevaluate(RibShard<TPrefix> shard)
    {
        for (uint index = 1; index < shard.IndexLimit; index++)
        {
            if (shard.IsInUse(index))
            {
                _changes.Add((shard.PrefixAt(index), Desired(shard, index, out _)));
            }
        }
    }

    /// <summary>Host prefixes that are reached through a gateway whatever BGP says: replaces those of before.</summary>
    internal void SetGateways(IReadOnlyDictionary<TPrefix, IpAddr> gateways, RibShard<TPrefix> shard)
    {
        TPrefix[] gone = [.. _gateways.Keys.Where(prefix => !gateways.ContainsKey(prefix))];
        foreach (TPrefix prefix in gone)
        {
            _gateways.Remove(prefix);
            _changes.Add((prefix, shard.TryFind(prefix, out uint index) ? Desired(shard, index, out _) : null));
        }

        foreach ((TPrefix prefix, IpAddr gateway) in gateways)
        {
            _gateways[prefix] = gateway;
            _changes.Add((prefix, Through(gateway)));
        }
    }

    /// <summary>These next hops are reached in another way, or not any more.</summary>
    internal void GatewaysChanged(List<IpAddr> changed)
    {
        foreach ((TPrefix prefix, IpAddr gateway) in _gateways)
        {
            if (changed.Contains(gateway))
            {
                _changes.Add((prefix, Through(gateway)));
            }
        }
    }

    /// <summary>Asks for every gateway, so that its changes are reported from now on.</summary>
    internal void TrackGateways()
    {
        foreach (IpAddr gateway in _gateways.Values)
        {
            _ = nexthops.TryGetHops(gateway, out _);
        }
    }

    private FibRoute? Through(IpAddr gateway) => nexthops.TryGetHops(gateway, out FibNextHops hops) ? new FibRoute(KernelRouteType.Unicast, 0, hops) : null;

    /// <summary>The route a prefix should have now, with the reason in words.</summary>
    internal FibRoute? Desired(RibShard<TPrefix> shard, uint index, out string reason)
    {
        if (_gateways.Count > 0 && _gateways.TryGetValue(shard.PrefixAt(index), out IpAddr gateway))
        {
            reason = "a peer's reachableBy";
            return Through(gateway);
        }

        ReadOnlySpan<Rib.Path> selected = shard.Select(index, MaxPaths, out int multipath);
        return Policy.TryDesired(shard.PrefixAt(index), selected[..multipath], attributes, nexthops, out FibRoute route, out reason) ? route : null;
    }

    /// <summary>Hands over what was gathered in one turn.</summary>
    internal void Flush()
    {
        if (_changes.Count > 0)
        {
            want(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_changes));
            _changes.Clear();
            Slack.Trim(_changes);
        }
    }
}
