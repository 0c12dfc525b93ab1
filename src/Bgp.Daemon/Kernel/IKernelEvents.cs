using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Kernel;

/// <summary>An address of this host.</summary>
/// <param name="Address">The address itself, never the peer's.</param>
/// <param name="PrefixLength">Length of the connected prefix, 0-128; that of the peer on a point-to-point link.</param>
/// <param name="Interface">Index of the interface that has it.</param>
/// <param name="InterfaceName">Its name; empty while the link has not been reported.</param>
/// <param name="Peer">The other end on a point-to-point link, else none.</param>
public readonly record struct InterfaceAddress(IpAddr Address, int PrefixLength, int Interface, string InterfaceName, IpAddr Peer = default)
{
    /// <summary>An address that lies in the connected prefix: the address, or the peer's on a point-to-point link.</summary>
    public IpAddr Network => Peer.IsNone ? Address : Peer;
}

/// <summary>
/// What the kernel side tells the RIB side. All calls come from the one kernel thread, in order, without any lock held: an implementation
/// may work inline and may call back into <see cref="KernelSync"/>, and must not block.
/// </summary>
public interface IKernelEvents
{
    /// <summary>A route of the watched table that is not ours appeared. A changed route is a removal and an addition in the same batch.</summary>
    void RouteAdded(in KernelRoute<Ipv4Prefix> route);

    /// <summary>A route that was reported is gone; equal in every field to what was added.</summary>
    void RouteRemoved(in KernelRoute<Ipv4Prefix> route);

    /// <inheritdoc cref="RouteAdded(in KernelRoute{Ipv4Prefix})"/>
    void RouteAdded(in KernelRoute<Ipv6Prefix> route);

    /// <inheritdoc cref="RouteRemoved(in KernelRoute{Ipv4Prefix})"/>
    void RouteRemoved(in KernelRoute<Ipv6Prefix> route);

    /// <summary>Addresses of the host that went and that came; one whose interface was renamed did both. In a replay all come, known or not.</summary>
    void AddressesChanged(IReadOnlyList<InterfaceAddress> removed, IReadOnlyList<InterfaceAddress> added);

    /// <summary>A link appeared, was renamed, or went up or down (IFF_UP and, where reported, IFF_RUNNING).</summary>
    void LinkChanged(int index, string name, bool up);

    /// <summary>A link is gone.</summary>
    void LinkRemoved(int index, string name);

    /// <summary>The end of a batch: what was read from the kernel in one go has been reported.</summary>
    void BatchComplete();

    /// <summary>Links, addresses and routes of both families have been reported once, completely. Called once, after its batch.</summary>
    void InitialDumpComplete();
}
