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

    /// <summary>What decides on the routes; replaced by a reload.</summary>
    internal FibPolicy<TPrefix> Policy { get; set; } = policy;

    /// <summary>How next hops are reached.</summary>
    internal NexthopTable Nexthops => nexthops;

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

    /// <summary>The route a prefix should have now, with the reason in words.</summary>
    internal FibRoute? Desired(RibShard<TPrefix> shard, uint index, out string reason)
    {
        ReadOnlySpan<Rib.Path> selected = shard.Select(index, maxPaths, out int multipath);
        return Policy.TryDesired(shard.PrefixAt(index), selected[..multipath], attributes, nexthops, out FibRoute route, out reason) ? route : null;
    }

    /// <summary>Hands over what was gathered in one turn.</summary>
    internal void Flush()
    {
        if (_changes.Count > 0)
        {
            want(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_changes));
            _changes.Clear();
        }
    }
}
