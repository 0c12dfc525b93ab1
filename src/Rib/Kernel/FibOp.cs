using Bgp.Protocol;

namespace Rib;

/// <summary>What is asked of the kernel.</summary>
public enum FibOpKind : byte
{
    /// <summary>RTM_NEWROUTE with CREATE and EXCL: fails when anything holds {prefix, tos, metric}.</summary>
    Add,

    /// <summary>RTM_NEWROUTE with REPLACE and without CREATE: there is exactly one route under the key, and it is ours.</summary>
    Replace,

    /// <summary>RTM_DELROUTE of our route, by prefix, protocol, metric and type.</summary>
    Delete,
}

/// <summary>One request.</summary>
/// <param name="Kind">What is asked.</param>
/// <param name="Prefix">Destination.</param>
/// <param name="Route">The route to write, or the one to delete.</param>
/// <param name="NextHopId">The next hop object to write instead of the route's next hops; 0 for none.</param>
public readonly record struct FibOp<TPrefix>(FibOpKind Kind, TPrefix Prefix, FibRoute Route, uint NextHopId = 0)
    where TPrefix : unmanaged, IPrefix<TPrefix>;
