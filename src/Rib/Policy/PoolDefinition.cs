namespace Rib;

/// <summary>Encapsulation of a pool's routes.</summary>
public enum TunnelMode : byte
{
    /// <summary>None: the resolved next hop.</summary>
    None,

    /// <summary>IP in IP (IPv4 alone).</summary>
    Ipip,

    /// <summary>VXLAN: another program's routes, never installed by us.</summary>
    Vxlan,
}

/// <summary>When a pool's tunnel is used.</summary>
public enum TunnelWhen : byte
{
    /// <summary>For every next hop.</summary>
    Always,

    /// <summary>For next hops outside the node's subnet.</summary>
    CrossSubnet,
}

/// <summary>What a pool's addresses are for.</summary>
public enum PoolUse : byte
{
    /// <summary>Workloads.</summary>
    Workload,

    /// <summary>Service addresses: advertised, never installed.</summary>
    Service,
}

/// <summary>A range of addresses with the rules for its routes.</summary>
public sealed record PoolDefinition
{
    /// <summary>Name, unique.</summary>
    public required string Name { get; init; }

    /// <summary>The range.</summary>
    public required Cidr Prefix { get; init; }

    /// <summary>Encapsulation.</summary>
    public TunnelMode Tunnel { get; init; }

    /// <summary>When it is used.</summary>
    public TunnelWhen When { get; init; }

    /// <summary>Tunnel interface.</summary>
    public string Device { get; init; } = "tunl0";

    /// <summary>Whether <c>calico-export</c> lets its routes out.</summary>
    public bool Export { get; init; } = true;

    /// <summary>Whether its routes are written to the kernel.</summary>
    public bool InstallKernel { get; init; } = true;

    /// <summary>What its addresses are for.</summary>
    public PoolUse Use { get; init; }
}

/// <summary>How an originated prefix stands in the kernel.</summary>
public enum OriginateKind : byte
{
    /// <summary>A blackhole route.</summary>
    Blackhole,

    /// <summary>An unreachable route.</summary>
    Unreachable,

    /// <summary>Not at all.</summary>
    None,
}

/// <summary>A prefix that this node originates.</summary>
/// <param name="Prefix">The prefix.</param>
/// <param name="Kind">How it stands in the kernel.</param>
public readonly record struct OriginatedPrefix(Cidr Prefix, OriginateKind Kind);
