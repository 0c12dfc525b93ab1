using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bgp.Daemon.Kernel.Netlink;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Kernel;

/// <summary>The mirror, the comparison and what waits to be published, for one family. Guarded by <see cref="KernelSync"/>'s lock.</summary>
internal sealed class FamilySync<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private readonly List<MirrorChange<TPrefix>> _changes = [];
    private readonly FibOp<TPrefix>[] _ops = new FibOp<TPrefix>[KernelInstaller.BatchLimit];
    private readonly int[] _results = new int[KernelInstaller.BatchLimit];
    private int _attempts;

    internal FamilySync(byte protocol, NexthopObjects? objects = null)
    {
        Mirror = new RouteMirror<TPrefix>(protocol, objects);
        Diff = new FibDiff<TPrefix>(Mirror, objects);
    }

    internal RouteMirror<TPrefix> Mirror { get; }

    internal FibDiff<TPrefix> Diff { get; }

    /// <summary>Changes of others' routes, not yet published.</summary>
    internal List<MirrorChange<TPrefix>> Unpublished { get; set; } = [];

    /// <summary>The list that <see cref="Unpublished"/> is swapped with.</summary>
    internal List<MirrorChange<TPrefix>> Spare { get; set; } = [];

    internal Span<FibOp<TPrefix>> Ops => _ops;

    internal Span<int> Results => _results;

    /// <summary>A notification; true when another writer's route appeared, which may make a refused route possible.</summary>
    internal bool Apply(RouteReport report, in KernelRoute<TPrefix> route)
    {
        Mirror.Apply(report, route, _changes);
        return Settle();
    }

    /// <summary>Begins a scan, or begins it anew after a dump that was interrupted; what that one has shown stays until <see cref="EndScan"/>.</summary>
    internal void BeginScan()
    {
        _attempts++;
        Mirror.BeginScan();
    }

    internal void Seen(in KernelRoute<TPrefix> route) => Mirror.Seen(route, _changes);

    /// <summary>An interface has gone or is down, and routes with it that the kernel does not report.</summary>
    internal void RemoveThrough(int networkInterface)
    {
        Mirror.RemoveThrough(networkInterface, _changes);
        _ = Settle();
    }

    /// <summary>Gives back the room of a burst.</summary>
    internal void Trim()
    {
        Mirror.Trim();
        Diff.Trim();
    }

    /// <summary>Ends a scan (or gives up on it, without a sweep).</summary>
    internal bool EndScan(int through, bool sweep)
    {
        if (sweep)
        {
            Mirror.EndScan(through, _changes);
        }

        if (_attempts > 1)
        {
            LeaveOutWhatPassed();
        }

        _attempts = 0;

        // Removals first: a reader that keys routes by less than all fields must not remove what it was just given.
        int removed = 0;
        for (int i = 0; i < _changes.Count; i++)
        {
            if (!_changes[i].Added)
            {
                (_changes[i], _changes[removed]) = (_changes[removed], _changes[i]);
                removed++;
            }
        }

        return Settle();
    }

    // An interrupted dump may have shown a route that was gone when the next one came by, or the other way round. That is no change; with the removals in front it
    // would be one, and of the wrong kind: the reader would have a route that is nowhere else, and nothing would ever take it back.
    private void LeaveOutWhatPassed()
    {
        Dictionary<KernelRoute<TPrefix>, int> balances = [];
        foreach (MirrorChange<TPrefix> change in _changes)
        {
            if (!change.Added)
            {
                balances[change.Route] = 0;
            }
        }

        foreach (MirrorChange<TPrefix> change in _changes)
        {
            ref int balance = ref CollectionsMarshal.GetValueRefOrNullRef(balances, change.Route);
            if (!Unsafe.IsNullRef(ref balance))
            {
                balance += change.Added ? 1 : -1;
            }
        }

        _changes.RemoveAll(change =>
        {
            ref int balance = ref CollectionsMarshal.GetValueRefOrNullRef(balances, change.Route);
            if (Unsafe.IsNullRef(ref balance))
            {
                return false;
            }

            if (balance == (change.Added ? 1 : -1))
            {
                balance = 0;
                return false;
            }

            // What is wanted may have been compared with what the mirror had in between.
            Diff.KernelChanged(change.Route.Prefix);
            return true;
        });
    }

    private bool Settle()
    {
        bool appeared = false;
        foreach (MirrorChange<TPrefix> change in _changes)
        {
            Diff.KernelChanged(change.Route.Prefix);
            if (!Mirror.IsOwn(change.Route))
            {
                Unpublished.Add(change);
                appeared |= change.Added;
            }
        }

        _changes.Clear();
        Slack.Trim(_changes);
        return appeared;
    }
}
