using Bgp.Protocol;

namespace Rib;

/// <summary>rtm_type values that occur here (linux/rtnetlink.h).</summary>
public enum KernelRouteType : byte
{
    /// <summary>RTN_UNICAST.</summary>
    Unicast = 1,

    /// <summary>RTN_LOCAL: an address of this host.</summary>
    Local = 2,

    /// <summary>RTN_BLACKHOLE.</summary>
    Blackhole = 6,

    /// <summary>RTN_UNREACHABLE.</summary>
    Unreachable = 7,

    /// <summary>RTN_PROHIBIT.</summary>
    Prohibit = 8,
}

/// <summary>One next hop of a kernel route.</summary>
/// <param name="Gateway">RTA_GATEWAY (or RTA_VIA), or none for a directly connected route.</param>
/// <param name="Interface">RTA_OIF; 0 for none.</param>
/// <param name="OnLink">RTNH_F_ONLINK: the gateway is taken as reachable on the interface whatever its address.</param>
/// <param name="Weight">1-256.</param>
public readonly record struct FibNextHop(IpAddr Gateway, int Interface, bool OnLink, int Weight = 1);

/// <summary>
/// The next hops of a route, sorted, immutable; compared by content. One object per distinct set, shared by all its routes.
/// </summary>
public sealed class FibNextHops : IEquatable<FibNextHops>
{
    private readonly FibNextHop[] _hops;
    private readonly int _hash;

    /// <summary>No next hop: blackhole and its kin.</summary>
    public static FibNextHops None { get; } = new([]);

    /// <summary>Sorts and takes a copy.</summary>
    public FibNextHops(ReadOnlySpan<FibNextHop> hops)
    {
        _hops = hops.ToArray();
        Array.Sort(_hops, static (a, b) =>
        {
            int byGateway = a.Gateway.CompareTo(b.Gateway);
            return byGateway != 0 ? byGateway : a.Interface.CompareTo(b.Interface);
        });

        ulong hash = (ulong)_hops.Length;
        foreach (FibNextHop hop in _hops)
        {
            hash = Mix.Hash(hash ^ hop.Gateway.Hi, hop.Gateway.Lo ^ ((ulong)(uint)hop.Interface << 32) ^ ((ulong)hop.Weight << 8) ^ (hop.OnLink ? 1UL : 0));
        }

        _hash = (int)hash;
    }

    /// <summary>The hops, by gateway then interface.</summary>
    public ReadOnlySpan<FibNextHop> Hops => _hops;

    /// <inheritdoc/>
    public bool Equals(FibNextHops? other) => other is not null && _hash == other._hash && _hops.AsSpan().SequenceEqual(other._hops);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as FibNextHops);

    /// <inheritdoc/>
    public override int GetHashCode() => _hash;
}

/// <summary>A route that Pipit wants in the kernel.</summary>
/// <param name="Type">Unicast, blackhole or unreachable.</param>
/// <param name="Metric">RTA_PRIORITY; 0 writes none (the kernel then uses 0 for IPv4 and 1024 for IPv6).</param>
/// <param name="NextHops">Empty for blackhole and unreachable.</param>
public readonly record struct FibRoute(KernelRouteType Type, uint Metric, FibNextHops NextHops);

/// <summary>A route as the kernel reports it, in the one table that is watched.</summary>
/// <param name="Prefix">Destination.</param>
/// <param name="Type">rtm_type.</param>
/// <param name="Protocol">rtm_protocol: who wrote it (2 kernel, 3 boot, 12 bird, 80 Calico's agent).</param>
/// <param name="Scope">rtm_scope: 0 universe, 253 link, 254 host.</param>
/// <param name="Metric">RTA_PRIORITY as reported; 0 for none.</param>
/// <param name="Tos">rtm_tos.</param>
/// <param name="Cloned">RTM_F_CLONED or a cache entry.</param>
/// <param name="PrefSrc">RTA_PREFSRC, or none.</param>
/// <param name="NextHops">Next hops; those of the object where it refers to one.</param>
/// <param name="NextHopId">RTA_NH_ID: the next hop object that it refers to; 0 for none.</param>
public readonly record struct KernelRoute<TPrefix>(
    TPrefix Prefix, KernelRouteType Type, byte Protocol, byte Scope, uint Metric, byte Tos, bool Cloned, IpAddr PrefSrc, FibNextHops NextHops, uint NextHopId = 0)
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private const byte ProtocolKernel = 2;

    /// <summary>The kernel's own route to the link-local addresses of one interface. Each interface has the same prefix, so such routes are told apart by it.</summary>
    public bool IsLinkLocal => Protocol == ProtocolKernel && Prefix.Address.IsLinkLocal && NextHops.Hops.Length == 1 && NextHops.Hops[0].Gateway.IsNone;
}
