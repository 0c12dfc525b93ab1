using Bgp.Daemon.Kernel.Netlink;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Kernel;

/// <content>Next hop objects: made before the routes that refer to them, deleted after the last of those.</content>
public sealed partial class KernelSync
{
    private readonly NexthopOp[] _objectOps = new NexthopOp[KernelInstaller.BatchLimit];
    private readonly int[] _objectResults = new int[KernelInstaller.BatchLimit];
    private bool _saidUnsupported;

    /// <summary>Whether routes are written with next hop objects: those that are there already are rewritten, each in place.</summary>
    public void SetNexthopObjects(bool enabled)
    {
        lock (_gate)
        {
            if (_objects.Enabled == enabled)
            {
                return;
            }

            _objects.Enabled = enabled;
            _v4.Diff.Review();
            _v6.Diff.Review();
            SayUnsupported();
            Install();
        }
    }

    private void NoNexthopObjects()
    {
        _objects.MarkUnsupported();
        SayUnsupported();
    }

    private void SayUnsupported()
    {
        if (_objects is { Enabled: true, Supported: false } && !_saidUnsupported)
        {
            _saidUnsupported = true;
            _options.Log?.Invoke("kernel.nexthopObjects: this kernel has no next hop objects (Linux 5.3 has); every route is written with its own next hops");
        }
    }

    // Lock held.
    private void HandleNexthop(in NetlinkMessage message, bool dump)
    {
        if (!NexthopCodec.TryRead(message.Body, out KernelNexthop found))
        {
            _malformed++;
        }
        else if (dump)
        {
            _objects.Seen(found);
        }
        else if (message.Type == Rt.DelNexthop ? _objects.Remove(found.Id) | _installBusy : _objects.Apply(found))
        {
            // IPv4 routes go with their object without a word, and where nexthop_compat_mode is 0 those that have other next hops now are not
            // reported either. A batch under way may add routes to the mirror that are already gone.
            _suspectAll = true;
        }
    }

    // Lock held. What the kernel did not say about a route's next hops.
    private KernelRoute<TPrefix> WithHops<TPrefix>(in KernelRoute<TPrefix> route)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        if (!route.NextHops.Hops.IsEmpty || route.Type is not (KernelRouteType.Unicast or KernelRouteType.Local))
        {
            return route;
        }

        if (_objects.HopsOf(route.NextHopId) is { } hops)
        {
            return route with { NextHops = hops };
        }

        // Made between the dump of objects and that of routes.
        _resyncWanted = true;
        return route;
    }

    private bool ScanNexthops()
    {
        bool complete = false;
        for (int attempt = 0; attempt < ScanAttempts && !complete && !_stop; attempt++)
        {
            lock (_gate)
            {
                if (!_objects.Supported)
                {
                    return true;
                }

                _objects.BeginScan();
            }

            complete = Dump(Rt.GetNexthop, 0, 0);
        }

        lock (_gate)
        {
            if (complete)
            {
                _objects.EndScan();
            }
        }

        return complete;
    }

    // Lock held. Makes what routes wait for, and mends what others damaged; a handful of requests for any number of routes.
    private void MakeObjects()
    {
        int count;
        while (_objects.QueuedCount > 0 && (count = _objects.TakeOps(_objectOps)) > 0)
        {
            Write(count);
        }

        SayUnsupported();
    }

    // Lock held, nothing under way.
    private void Write(int count)
    {
        if (!_installer!.Execute(_objectOps.AsSpan(0, count), _objectResults))
        {
            _resyncWanted = true;
            Wake();
        }

        for (int i = 0; i < count; i++)
        {
            int error = _objectResults[i];
            if (error != 0)
            {
                _requestErrors++;
                _lastError = $"next hop {_objectOps[i].Kind} {_objectOps[i].Object.Id}: {Errno.Name(error)}";
            }

            _objects.Complete(_objectOps[i], error);
        }

        _requests += count;
        _objectOps.AsSpan(0, count).Clear();
    }

    // Lock held. Gives the requests their objects; returns how many are left to be sent.
    private int GiveObjects<TPrefix>(FamilySync<TPrefix> family, int count)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        MakeObjects();
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            ref FibOp<TPrefix> op = ref family.Ops[i];
            if (family.Diff.SetObject(ref op, out int error))
            {
                family.Ops[kept++] = op;
            }
            else
            {
                family.Diff.Complete(op, error);
            }
        }

        return kept;
    }

    // Lock held. A route was refused as if its object were not there: it may have gone with its link just now, which nobody is told.
    private void AskForObject(uint id)
    {
        if (!_installer!.HasNexthop(id))
        {
            _objects.Remove(id);
            _suspectAll = true;
            _retryWanted = true;
            Wake();
        }
    }

    // Lock held. Deletes objects of ours that nothing refers to. Only when the mirror can be trusted, since their routes, if any, would go with them.
    private void ReleaseObjects()
    {
        if (!_objects.HasIdle || !_options.Install || _installer is null || _stop || _scanning || _installBusy)
        {
            return;
        }

        if (DrainMonitor(DatagramsPerTurn, out bool any) || any)
        {
            Wake();
        }

        while (_objects.HasIdle && !_scanning && !_installBusy && !_resyncWanted && !_suspectAll && _suspectLinks.Count == 0
            && _v4.Diff.PendingCount + _v6.Diff.PendingCount + _objects.QueuedCount == 0)
        {
            int count = _objects.TakeIdle(_objectOps);
            if (count > 0)
            {
                Write(count);
            }
        }
    }
}
