namespace Bgp.Protocol;

/// <summary>Where a route came from.</summary>
public enum RouteSource : byte
{
    /// <summary>Learned over BGP.</summary>
    Bgp = 0,

    /// <summary>Learned from the kernel's routing table.</summary>
    Kernel = 1,

    /// <summary>Configured under <c>originate</c>.</summary>
    Originate = 2,
}

/// <summary>What a route that was not learned over BGP, or was changed by an import filter, carries beside its BGP attributes. It never leaves this host.</summary>
/// <param name="Source">Where it came from.</param>
/// <param name="KernelProtocol">rtm_protocol of a kernel route, else 0.</param>
/// <param name="Metric">RTA_PRIORITY; 0 where the route carries none. Of a route learned over BGP: the metric to be installed with.</param>
/// <param name="Interface">Name of the outgoing interface, at most 15 characters; empty for none.</param>
/// <param name="Gateway">The kernel route's gateway, or none.</param>
/// <param name="KernelType">rtm_type of a kernel route (linux/rtnetlink.h): 1 unicast, 6 blackhole, 7 unreachable, 8 prohibit.</param>
/// <param name="Preference">Rank among sources that a filter gave it; 0: that of its source.</param>
public readonly record struct LocalRouteInfo(RouteSource Source, byte KernelProtocol, uint Metric, string Interface, IpAddr Gateway, byte KernelType = 1, byte Preference = 0);
