using System.Runtime.InteropServices;
using Bgp.Protocol;

namespace Rib;

/// <summary>
/// Desired routes against the mirror of the kernel's table: which request to send next.
/// </summary>
/// <remarks>
/// Each prefix with something to do is queued once; taking it compares what is desired with what the mirror holds at that moment and
/// yields one request. Its answer updates the mirror and queues the prefix again, so that desires which change while a request is under
/// way coalesce, and a change of metric becomes "add the new one", then "delete the old one", without a gap.
/// The kernel ignores the protocol when it replaces a route and would destroy another writer's. So a first
/// write is CREATE|EXCL, and REPLACE is used only when exactly one route holds {prefix, tos 0, metric} and it is ours. Routes of ours that were there
/// before (adopted) are kept until <see cref="Prune"/>, or until the prefix has been desired and no longer is.
/// Bounded by the number of prefixes that are desired, ours in the kernel, or being removed.
/// </remarks>
public sealed class FibDiff<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private const int NoEntry = 2;
    private const int NoSuchRoute = 3;
    private const int Exists = 17;
    private const int NoBuffers = 105;

    private struct Entry
    {
        public FibRoute Desired;
        public int Error;
        public bool Wanted;
        public bool Queued;
        public bool InFlight;
        public bool Again;
        public bool Alien;
    }

    private readonly RouteMirror<TPrefix> _mirror;
    private readonly NexthopObjects? _objects;
    private readonly Dictionary<TPrefix, Entry> _entries = [];
    private readonly Queue<TPrefix> _queue = new();
    private readonly HashSet<TPrefix> _troubled = [];
    private readonly List<MirrorChange<TPrefix>> _scratch = [];
    private int _inFlight;

    /// <summary>Over a mirror that the caller keeps up to date (and tells of changes: <see cref="KernelChanged"/>). With <paramref name="objects"/> routes
    /// may be written by the id of a next hop object: see <see cref="SetObject"/>.</summary>
    public FibDiff(RouteMirror<TPrefix> mirror, NexthopObjects? objects = null) => (_mirror, _objects) = (mirror, objects);

    private static bool IsV4 => TPrefix.MaxLength == 32;

    /// <summary>Desired routes.</summary>
    public int DesiredCount { get; private set; }

    /// <summary>Prefixes queued or under way.</summary>
    public int PendingCount => _queue.Count + _inFlight;

    /// <summary>Prefixes queued.</summary>
    public int QueuedCount => _queue.Count;

    /// <summary>Prefixes that the kernel refused or that another writer's route blocks.</summary>
    public int FailedCount => _troubled.Count;

    /// <summary>EEXIST although the mirror holds nothing under the key: the mirror is wrong there and should be scanned.</summary>
    public int Surprises { get; private set; }

    /// <summary>The prefix shall have this route.</summary>
    public void SetDesired(TPrefix prefix, in FibRoute route)
    {
        ref Entry entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_entries, prefix, out _);
        if (entry.Wanted && entry.Desired == route)
        {
            return;
        }

        DesiredCount += entry.Wanted ? 0 : 1;
        entry.Wanted = true;
        entry.Desired = route;
        Enqueue(prefix, ref entry);
    }

    /// <summary>The prefix shall have none of our routes. Unknown prefixes are ignored: an adopted route waits for <see cref="Prune"/>.</summary>
    public void RemoveDesired(TPrefix prefix)
    {
        ref Entry entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, prefix);
        if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref entry) || !entry.Wanted)
        {
            return;
        }

        DesiredCount--;
        entry.Wanted = false;
        entry.Desired = default;
        Enqueue(prefix, ref entry);
    }

    /// <summary>Gives back the room of a burst.</summary>
    public void Trim()
    {
        Slack.Trim(_entries);
        Slack.Trim(_troubled);
        if (Slack.IsLarge(_queue.Count, _queue.Capacity))
        {
            _queue.TrimExcess(Slack.Fitting(_queue.Count));
        }
    }

    /// <summary>The mirror changed under the prefix.</summary>
    public void KernelChanged(TPrefix prefix)
    {
        ref Entry entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, prefix);
        if (!System.Runtime.CompilerServices.Unsafe.IsNullRef(ref entry))
        {
            Enqueue(prefix, ref entry);
        }
    }

    /// <summary>Takes up to <paramref name="into"/>'s length requests; the caller answers each with <see cref="Complete"/>. Prefixes that need nothing
    /// are passed over, at most <paramref name="budget"/> prefixes in all.</summary>
    public int TakeOps(Span<FibOp<TPrefix>> into, int budget = int.MaxValue)
    {
        int count = 0;
        while (count < into.Length && budget-- > 0 && _queue.TryDequeue(out TPrefix prefix))
        {
            ref Entry entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, prefix);
            if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref entry))
            {
                continue;
            }

            entry.Queued = false;
            if (entry.InFlight)
            {
                continue;
            }

            if (TryNext(prefix, ref entry, out FibOp<TPrefix> op))
            {
                entry.InFlight = true;
                entry.Again = false;
                _inFlight++;
                into[count++] = op;
            }
            else if (!entry.Wanted)
            {
                _troubled.Remove(prefix);
                _entries.Remove(prefix);
            }
        }

        return count;
    }

    /// <summary>Gives a request that was taken the id of the object for its next hops, once what <see cref="NexthopObjects.TakeOps"/> gave has been answered.
    /// False when there is none, with errno: then the request must not be sent, and is completed with that.</summary>
    public bool SetObject(ref FibOp<TPrefix> op, out int error)
    {
        error = 0;
        if (op.Kind == FibOpKind.Delete || op.Route.Type != KernelRouteType.Unicast || _objects is null)
        {
            return true;
        }

        NexthopUse use = _objects.Look(IsV4, op.Route.NextHops, out uint id);
        if (use == NexthopUse.Missing)
        {
            _objects.IsIntact(IsV4, op.Route.NextHops, out error);
            error = error is 0 or NoEntry or NoSuchRoute ? NoBuffers : error;
            return false;
        }

        op = op with { NextHopId = use == NexthopUse.Ready ? id : 0 };
        return true;
    }

    /// <summary>Looks at every prefix again: routes shall be written with objects now, or no longer.</summary>
    public void Review()
    {
        foreach (TPrefix prefix in _entries.Keys.ToArray())
        {
            KernelChanged(prefix);
        }
    }

    /// <summary>The kernel's answer to a request: 0 or errno.</summary>
    public void Complete(in FibOp<TPrefix> op, int error)
    {
        ref Entry entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, op.Prefix);
        if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref entry) || !entry.InFlight)
        {
            return;
        }

        entry.InFlight = false;
        _inFlight--;
        bool absent = error is NoSuchRoute or NoEntry;
        if (error == 0)
        {
            if (_mirror.ApplyOwn(op, _scratch) && !entry.Again)
            {
                // As desired, and nothing else to look at under the prefix: the common end of a first write needs no second turn.
                entry.Error = 0;
                _troubled.Remove(op.Prefix);
                return;
            }
        }
        else if (absent && op.Kind == FibOpKind.Delete)
        {
            _mirror.RemoveOwn(op.Prefix, RouteMirror<TPrefix>.KernelMetric(op.Route.Metric), op.Route.Type);
        }
        else if (absent && op.Kind == FibOpKind.Replace)
        {
            _mirror.RemoveOwn(
                op.Prefix, RouteMirror<TPrefix>.KernelMetric(op.Route.Metric),
                _mirror.Look(op.Prefix, RouteMirror<TPrefix>.KernelMetric(op.Route.Metric)).OwnRoute.Type);
        }
        else
        {
            entry.Error = error;
            _troubled.Add(op.Prefix);
            if (error == Exists && _mirror.Look(op.Prefix, RouteMirror<TPrefix>.KernelMetric(op.Route.Metric)) is { Own: 0, Alien: 0 })
            {
                Surprises++;
            }

            // Asked again only when something changed: while it was under way, or later (Retry, KernelChanged).
            if (!entry.Again)
            {
                return;
            }
        }

        Enqueue(op.Prefix, ref entry);
    }

    /// <summary>Queues again what the kernel refused: links, addresses or routes have changed.</summary>
    public void Retry()
    {
        foreach (TPrefix prefix in _troubled)
        {
            ref Entry entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, prefix);
            if (!System.Runtime.CompilerServices.Unsafe.IsNullRef(ref entry) && !entry.Alien)
            {
                Enqueue(prefix, ref entry);
            }
        }
    }

    /// <summary>Queues the removal of our routes that nobody wants; returns how many prefixes.</summary>
    public int Prune()
    {
        List<TPrefix> own = [];
        _mirror.CollectOwn(own);
        int pruned = 0;
        foreach (TPrefix prefix in own)
        {
            ref Entry entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_entries, prefix, out bool known);
            if (!known || !entry.Wanted)
            {
                pruned++;
            }

            Enqueue(prefix, ref entry);
        }

        return pruned;
    }

    /// <summary>Nothing is desired any more, and everything of ours shall go.</summary>
    public void RemoveAll()
    {
        foreach (TPrefix prefix in _entries.Keys.ToArray())
        {
            RemoveDesired(prefix);
        }

        Prune();
    }

    /// <summary>What is desired for a prefix.</summary>
    public bool TryGetDesired(TPrefix prefix, out FibRoute route)
    {
        bool found = _entries.TryGetValue(prefix, out Entry entry) && entry.Wanted;
        route = entry.Desired;
        return found;
    }

    /// <summary>Lists how prefixes stand, desired ones first, then stale ones; at most <paramref name="limit"/>. With <paramref name="only"/> just those of them that
    /// are desired, at a cost that does not depend on how many there are.</summary>
    public List<FibListing<TPrefix>> List(bool onlyDifferences, int limit, IReadOnlyList<TPrefix>? only = null)
    {
        List<FibListing<TPrefix>> lines = [];
        foreach ((TPrefix prefix, Entry entry) in only is null ? _entries : only.Where(_entries.ContainsKey).Select(prefix => KeyValuePair.Create(prefix, _entries[prefix])))
        {
            if (lines.Count >= limit)
            {
                return lines;
            }

            if (!entry.Wanted)
            {
                continue;
            }

            MirrorKey key = _mirror.Look(prefix, RouteMirror<TPrefix>.KernelMetric(entry.Desired.Metric));
            FibRoute? installed = key.Own > 0 ? key.OwnRoute : null;
            bool same = key.Own > 0 && Same(entry.Desired, key);
            int error = entry.Error;
            if (same && key.OwnNextHopId != 0)
            {
                same = _objects!.IsIntact(IsV4, entry.Desired.NextHops, out error);
            }

            FibState state = same ? FibState.Installed
                : entry.Alien && key.Alien > 0 ? FibState.Alien
                : error != 0 && !entry.InFlight ? FibState.Failed
                : FibState.Pending;
            if (state != FibState.Installed || !onlyDifferences)
            {
                lines.Add(new FibListing<TPrefix>(prefix, state, entry.Desired, installed, state == FibState.Alien ? key.AlienProtocol : (byte)0, same ? 0 : error));
            }
        }

        if (only is not null)
        {
            return lines;
        }

        List<TPrefix> own = [];
        _mirror.CollectOwn(own);
        foreach (TPrefix prefix in own)
        {
            if (lines.Count >= limit)
            {
                break;
            }

            uint? wanted = _entries.TryGetValue(prefix, out Entry entry) && entry.Wanted ? RouteMirror<TPrefix>.KernelMetric(entry.Desired.Metric) : null;
            if (_mirror.TryFindOwn(prefix, wanted, out FibRoute stale))
            {
                lines.Add(new FibListing<TPrefix>(prefix, FibState.Stale, null, stale, 0, entry.Error));
            }
        }

        return lines;
    }

    // The one request that brings the prefix closer to what is desired; false when there is none (or none that may be sent).
    private bool TryNext(TPrefix prefix, ref Entry entry, out FibOp<TPrefix> op)
    {
        op = default;
        if (!entry.Wanted)
        {
            return TryDelete(prefix, null, out op);
        }

        uint metric = RouteMirror<TPrefix>.KernelMetric(entry.Desired.Metric);
        MirrorKey key = _mirror.Look(prefix, metric);
        bool alien = false;
        if (key.Own > 0 && Same(entry.Desired, key))
        {
            entry.Error = 0;
            entry.Alien = false;
            _troubled.Remove(prefix);
            return TryDelete(prefix, metric, out op);
        }

        if (key.Alien > 0)
        {
            alien = true;
        }
        else if (key.Own == 0)
        {
            op = new FibOp<TPrefix>(FibOpKind.Add, prefix, entry.Desired);
        }
        else if (key.Own == 1)
        {
            op = new FibOp<TPrefix>(FibOpKind.Replace, prefix, entry.Desired);
        }
        else
        {
            // Several of ours under one key: somebody appended with our number. REPLACE would hit one of them, so go down to one first.
            op = new FibOp<TPrefix>(FibOpKind.Delete, prefix, key.OwnRoute);
        }

        entry.Alien = alien;
        if (!alien && op.Kind != FibOpKind.Delete && entry.Desired.Type == KernelRouteType.Unicast && _objects?.Look(IsV4, entry.Desired.NextHops, out _) == NexthopUse.Missing)
        {
            _objects.Want(IsV4, entry.Desired.NextHops);
        }

        if (alien)
        {
            entry.Error = Exists;
            _troubled.Add(prefix);
        }

        return !alien;
    }

    private bool TryDelete(TPrefix prefix, uint? except, out FibOp<TPrefix> op)
    {
        bool found = _mirror.TryFindOwn(prefix, except, out FibRoute route);
        op = found ? new FibOp<TPrefix>(FibOpKind.Delete, prefix, route) : default;
        return found;
    }

    // A route with an object is as good as the object: which hops were reported with it tells how that was then, and it is mended for all its routes at once.
    private bool Same(in FibRoute desired, in MirrorKey key)
    {
        if (desired.Type != key.OwnRoute.Type)
        {
            return false;
        }

        if (desired.Type != KernelRouteType.Unicast)
        {
            return key.OwnNextHopId == 0;
        }

        uint id = 0;
        NexthopUse use = _objects is null ? NexthopUse.Plain : _objects.Look(IsV4, desired.NextHops, out id);
        return use == NexthopUse.Plain
            ? key.OwnNextHopId == 0 && RouteMirror<TPrefix>.Matches(desired.NextHops, key.OwnRoute.NextHops)
            : use == NexthopUse.Ready && key.OwnNextHopId == id;
    }

    private void Enqueue(TPrefix prefix, ref Entry entry)
    {
        // In flight: the answer queues it again, and what is desired then counts.
        if (entry.InFlight)
        {
            entry.Again = true;
        }
        else if (!entry.Queued)
        {
            entry.Queued = true;
            _queue.Enqueue(prefix);
        }
    }
}
