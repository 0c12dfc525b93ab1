using Bgp.Daemon.Kernel;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tests.Simulation;

/// <summary>A node's routing table, which outlives the speaker on it, and the speaker's door to it.</summary>
/// <remarks>
/// What <see cref="KernelSync"/> does with netlink is done here with a dictionary, around the same mirror and the same comparison: dump and adopt at the
/// start, learn, write what is wanted, prune. So a restart is tested with the code that decides what stays.
/// </remarks>
internal sealed class SimKernel(SimWorld world, IpAddr address)
{
    private const byte OwnProtocol = 12;
    private const byte BootProtocol = 3;
    private const int Interface = 2;
    private const string InterfaceName = "eth0";

    private readonly Dictionary<(Ipv4Prefix Prefix, byte Protocol), KernelRoute<Ipv4Prefix>> _table = [];
    private FamilySync<Ipv4Prefix>? _sync;
    private KernelFeed? _feed;
    private SimOwner? _owner;

    /// <summary>Destinations that had a route of ours and have none now, since somebody began to watch.</summary>
    internal List<Ipv4Prefix> Gaps { get; } = [];

    /// <summary>Routes of ours that the latest start found.</summary>
    internal int Adopted { get; private set; }

    /// <summary>Our routes: destination to gateway.</summary>
    internal SortedDictionary<string, string> Own()
    {
        SortedDictionary<string, string> own = new(StringComparer.Ordinal);
        foreach (KernelRoute<Ipv4Prefix> route in _table.Values)
        {
            if (route.Protocol == OwnProtocol)
            {
                own[route.Prefix.ToString()] = route.NextHops.Hops.Length == 0 ? route.Type.ToString() : route.NextHops.Hops[0].Gateway.ToString();
            }
        }

        return own;
    }

    internal bool HasOwn(Ipv4Prefix prefix) => _table.ContainsKey((prefix, OwnProtocol));

    internal bool HasLocal(Ipv4Prefix prefix) => _table.ContainsKey((prefix, BootProtocol));

    /// <summary>The speaker starts: it is told what there is.</summary>
    internal void Attach(SimOwner owner, KernelFeed feed)
    {
        (_owner, _feed, _sync) = (owner, feed, new FamilySync<Ipv4Prefix>(OwnProtocol));
        KernelRoute<Ipv4Prefix> subnet = new(
            Ipv4Prefix.Create(address, 24), KernelRouteType.Unicast, 2, 253, 0, 0, false, address, new FibNextHops([new FibNextHop(default, Interface, false)]));
        _table[(subnet.Prefix, subnet.Protocol)] = subnet;
        _sync.BeginScan();
        foreach (KernelRoute<Ipv4Prefix> route in _table.Values)
        {
            _sync.Seen(route);
        }

        _sync.EndScan(0, sweep: true);
        Adopted = _sync.Mirror.OwnCount;
        feed.LinkChanged(Interface, InterfaceName, true);
        feed.AddressesChanged([], [new InterfaceAddress(address, 24, Interface, InterfaceName)]);
        Publish();
        feed.InitialDumpComplete();
    }

    /// <summary>The speaker is gone.</summary>
    internal void Detach() => (_owner, _feed, _sync) = (null, null, null);

    /// <summary>What the tables want, as <see cref="KernelSync.SetDesired(ReadOnlySpan{ValueTuple{Ipv4Prefix, FibRoute?}})"/>.</summary>
    internal void SetDesired(SimOwner caller, ReadOnlySpan<(Ipv4Prefix Prefix, FibRoute? Route)> changes)
    {
        if (!ReferenceEquals(caller, _owner) || _sync is not { } sync)
        {
            return;
        }

        foreach ((Ipv4Prefix prefix, FibRoute? route) in changes)
        {
            if (route is { } wanted)
            {
                sync.Diff.SetDesired(prefix, wanted);
            }
            else
            {
                sync.Diff.RemoveDesired(prefix);
            }
        }

        if (world.Chance(70))
        {
            Install();
        }
        else
        {
            world.Ready(caller, Install);
        }
    }

    /// <summary>What nobody wants goes.</summary>
    internal void Prune()
    {
        _sync!.Diff.Prune();
        Install();
    }

    /// <summary>The agent adds or removes a workload's route.</summary>
    internal void SetLocal(Ipv4Prefix prefix, bool present)
    {
        KernelRoute<Ipv4Prefix> route = new(
            prefix, KernelRouteType.Unicast, BootProtocol, 253, 0, 0, false, default, new FibNextHops([new FibNextHop(default, Interface, false)]));
        if (present == _table.ContainsKey((prefix, BootProtocol)))
        {
            return;
        }

        if (present)
        {
            _table.Add((prefix, BootProtocol), route);
        }
        else
        {
            _table.Remove((prefix, BootProtocol));
        }

        if (_owner is { } owner)
        {
            world.Ready(owner, () =>
            {
                if (_sync is { } sync)
                {
                    sync.Apply(present ? RouteReport.Added : RouteReport.Deleted, route);
                    Publish();
                    Install();
                }
            });
        }
    }

    private void Publish()
    {
        foreach (MirrorChange<Ipv4Prefix> change in _sync!.Unpublished)
        {
            if (change.Added)
            {
                _feed!.RouteAdded(change.Route);
            }
            else
            {
                _feed!.RouteRemoved(change.Route);
            }
        }

        _sync.Unpublished.Clear();
        _feed!.BatchComplete();
    }

    private void Install()
    {
        if (_sync is not { } sync)
        {
            return;
        }

        int count;
        while ((count = sync.Diff.TakeOps(sync.Ops)) > 0)
        {
            for (int i = 0; i < count; i++)
            {
                FibOp<Ipv4Prefix> op = sync.Ops[i];
                sync.Diff.Complete(op, Write(op));
            }
        }
    }

    /// <summary>One request, answered as Linux would: 0 or errno.</summary>
    private int Write(in FibOp<Ipv4Prefix> op)
    {
        const int noSuchRoute = 3;
        const int exists = 17;
        const int noEntry = 2;
        (Ipv4Prefix, byte) key = (op.Prefix, OwnProtocol);
        switch (op.Kind)
        {
            case FibOpKind.Delete:
                if (!_table.Remove(key))
                {
                    return noSuchRoute;
                }

                Gaps.Add(op.Prefix);
                return 0;
            case FibOpKind.Add when _table.ContainsKey(key) || _table.ContainsKey((op.Prefix, BootProtocol)):
                return exists;
            case FibOpKind.Replace when !_table.ContainsKey(key):
                return noEntry;
            default:
                FibNextHops hops = op.Route.NextHops ?? FibNextHops.None;
                _table[key] = new KernelRoute<Ipv4Prefix>(op.Prefix, op.Route.Type, OwnProtocol, 0, op.Route.Metric, 0, false, default, hops);
                return 0;
        }
    }
}
