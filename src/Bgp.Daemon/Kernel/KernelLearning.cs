using System.IO.Enumeration;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Kernel;

/// <summary>Which kernel routes enter the RIB, from the configuration.</summary>
public sealed record KernelLearningOptions
{
    /// <summary>False: nothing enters.</summary>
    public bool Enabled { get; init; } = true;

    /// <summary>rtm_protocol of our own routes.</summary>
    public byte OwnProtocol { get; init; } = 12;

    /// <summary>Globs (<c>*</c>, <c>?</c>) of outgoing interfaces that are learned from; empty: from all.</summary>
    public IReadOnlyList<string> Interfaces { get; init; } = [];

    /// <summary>Globs of outgoing interfaces that are not learned from.</summary>
    public IReadOnlyList<string> ExcludeInterfaces { get; init; } = [];

    /// <summary>rtm_protocol values that are not learned.</summary>
    public IReadOnlyList<int> ExcludeProtocols { get; init; } = [];

    /// <summary>Globs of interfaces whose addresses do not count as routes.</summary>
    public IReadOnlyList<string> DirectExcludeInterfaces { get; init; } = ["cali*", "kube-ipvs*"];

    /// <summary>Pools whose routes are exported; addresses of this host inside them count as kernel routes.</summary>
    public IReadOnlyList<(IpAddr Address, int Length)> ExportedPools { get; init; } = [];
}

/// <summary>What is learned from the kernel: two pure functions.</summary>
public static class KernelLearning
{
    private const byte ProtocolUnspecified = 0;
    private const byte ProtocolRedirect = 1;
    private const byte ProtocolKernel = 2;

    /// <summary>Whether a route enters the RIB. <paramref name="nameOf"/> gives an interface's name, empty when unknown.</summary>
    public static bool IsLearnable<TPrefix>(in KernelRoute<TPrefix> route, KernelLearningOptions options, Func<int, string> nameOf)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(nameOf);
        IpAddr network = route.Prefix.Address;
        bool kind = route.Type is KernelRouteType.Unicast or KernelRouteType.Blackhole or KernelRouteType.Unreachable or KernelRouteType.Prohibit;
        if (!options.Enabled || !kind || route.Cloned || route.Tos != 0 || network.IsLinkLocal || network.IsMulticast)
        {
            return false;
        }

        if (route.Protocol is ProtocolUnspecified or ProtocolRedirect or ProtocolKernel || route.Protocol == options.OwnProtocol)
        {
            return false;
        }

        foreach (int excluded in options.ExcludeProtocols)
        {
            if (excluded == route.Protocol)
            {
                return false;
            }
        }

        // A route without an interface (blackhole) has no name to be excluded by, and is not from a listed interface.
        ReadOnlySpan<FibNextHop> hops = route.NextHops.Hops;
        if (hops.IsEmpty)
        {
            return options.Interfaces.Count == 0;
        }

        foreach (FibNextHop hop in hops)
        {
            string name = hop.Interface == 0 ? "" : nameOf(hop.Interface);
            if (MatchesAny(options.ExcludeInterfaces, name) || (options.Interfaces.Count > 0 && !MatchesAny(options.Interfaces, name)))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether an address of this host counts as a kernel route (a host prefix): inside an exported pool, not on an excluded interface.</summary>
    public static bool IsLearnable(in InterfaceAddress address, KernelLearningOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        IpAddr own = address.Address;
        if (!options.Enabled || own.IsLinkLocal || own.IsMulticast || own.IsLoopback || MatchesAny(options.DirectExcludeInterfaces, address.InterfaceName))
        {
            return false;
        }

        foreach ((IpAddr pool, int length) in options.ExportedPools)
        {
            if (Contains(pool, length, own))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Whether <paramref name="name"/> fits one of the globs.</summary>
    public static bool MatchesAny(IReadOnlyList<string> globs, string name)
    {
        ArgumentNullException.ThrowIfNull(globs);
        for (int i = 0; i < globs.Count; i++)
        {
            if (FileSystemName.MatchesSimpleExpression(globs[i], name, ignoreCase: false))
            {
                return true;
            }
        }

        return false;
    }

    private static bool Contains(IpAddr pool, int length, IpAddr address) =>
        pool.Version == address.Version
        && (pool.IsV4
            ? new Ipv4Prefix(pool.V4Value, length).Contains(new Ipv4Prefix(address.V4Value, 32))
            : new Ipv6Prefix(pool.Hi, pool.Lo, length).Contains(new Ipv6Prefix(address.Hi, address.Lo, 128)));
}
