using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Kernel;

/// <content>Everything that is known, once more, for a listener that looks at it differently now.</content>
public sealed partial class KernelSync
{
    private volatile bool _replayWanted;

    /// <summary>Reports every address and route again, on the consumer's thread, in order with what changes meanwhile.</summary>
    public void Replay()
    {
        _replayWanted = true;
        Wake();
    }

    // Consumer thread, lock not held.
    private void ReplayIfWanted()
    {
        if (!_replayWanted)
        {
            return;
        }

        _replayWanted = false;
        InterfaceAddress[] addresses;
        lock (_gate)
        {
            addresses = _links.Addresses();
        }

        _events.AddressesChanged([], addresses);
        foreach (KernelRoute<Ipv4Prefix> route in RoutesV4())
        {
            _events.RouteAdded(route);
        }

        foreach (KernelRoute<Ipv6Prefix> route in RoutesV6())
        {
            _events.RouteAdded(route);
        }

        _events.BatchComplete();
    }
}
