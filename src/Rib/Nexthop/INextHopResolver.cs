using Bgp.Protocol;

namespace Rib;

/// <summary>How a BGP next hop stands at the moment.</summary>
/// <param name="Resolved">A route of this host reaches it, and it is not one of this host's own addresses.</param>
/// <param name="Metric">The IGP metric of that route (RFC 4271 section 9.1.2.2 (e)); 0 when directly connected.</param>
public readonly record struct NextHopState(bool Resolved, uint Metric);

/// <summary>Answers whether and at what cost a next hop is reachable.</summary>
public interface INextHopResolver
{
    /// <summary>Current state. The address becomes tracked: later changes of its state are reported by the implementation.</summary>
    NextHopState Resolve(in IpAddr nextHop);
}

/// <summary>For a speaker without a kernel: every next hop is reachable at equal cost, save those that are this host's own.</summary>
public sealed class AlwaysResolved(Func<IpAddr, bool> isOwn) : INextHopResolver
{
    /// <inheritdoc/>
    public NextHopState Resolve(in IpAddr nextHop) => new(!isOwn(nextHop), 0);
}
