using Bgp.Protocol;

namespace Rib;

/// <summary>How one prefix stands in the kernel.</summary>
public enum FibState : byte
{
    /// <summary>In the kernel as desired.</summary>
    Installed,

    /// <summary>Desired, and its request is queued or under way.</summary>
    Pending,

    /// <summary>Desired, but another writer's route holds {prefix, tos, metric}: left alone until it goes.</summary>
    Alien,

    /// <summary>Desired, but the kernel refused it: <see cref="FibListing{TPrefix}.Error"/>. Retried when links, addresses or routes change.</summary>
    Failed,

    /// <summary>Ours in the kernel, desired by nobody: adopted at the start and not pruned yet.</summary>
    Stale,
}

/// <summary>One line of the comparison between desired and kernel.</summary>
/// <param name="Prefix">Destination.</param>
/// <param name="State">How it stands.</param>
/// <param name="Desired">What the RIB wants, or null.</param>
/// <param name="Installed">Our route in the kernel, or null.</param>
/// <param name="AlienProtocol">rtm_protocol of the route in the way, else 0.</param>
/// <param name="Error">errno of the last refusal, else 0.</param>
public readonly record struct FibListing<TPrefix>(TPrefix Prefix, FibState State, FibRoute? Desired, FibRoute? Installed, byte AlienProtocol, int Error)
    where TPrefix : unmanaged, IPrefix<TPrefix>;
