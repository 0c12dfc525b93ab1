using Bgp.Daemon.Kernel.Netlink;
using Bgp.Daemon.Runtime;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Kernel;

/// <summary>The daemon's one door to the kernel's routing table: learns from it and keeps in it what the RIB wants.</summary>
/// <remarks>
/// Three sockets. <i>monitor</i> hears notifications, <i>dump</i> asks for full or filtered dumps, <i>request</i> writes. Two threads: the consumer polls
/// monitor, keeps the mirror, and publishes; the installer writes batches larger than <see cref="InlineLimit"/>. One lock guards mirror and
/// comparison; it is never held during a call to <see cref="IKernelEvents"/>, nor while a large batch is inside the kernel.
/// <para>The mirror may only be trusted for REPLACE when all notifications are read, so every batch of requests first drains monitor. A scan
/// excludes requests: a dump that was read before a write of ours and applied after it would undo it in the mirror.</para>
/// <para>IPv4 routes vanish without a notification when a link goes down or an address is removed. Other writers' routes with one hop through a link that goes
/// are taken out of the mirror with it; ours, and those that an address or one of several hops may have taken with it, are verified by a dump. The
/// reports come <i>before</i> the routes go, so a dump at once could still see them: the verification first makes a request that needs the same kernel lock
/// (RTNL) and so comes after.</para>
/// </remarks>
public sealed partial class KernelSync : IDisposable
{
    /// <summary>Requests that are made on the thread that asks; more go to the installer's thread.</summary>
    public const int InlineLimit = 64;

    private readonly KernelSyncOptions _options;
    private readonly IKernelEvents _events;
    private readonly TimeProvider _time;
    private readonly object _gate = new();
    private readonly FamilySync<Ipv4Prefix> _v4;
    private readonly FamilySync<Ipv6Prefix> _v6;
    private readonly HostLinks _links = new();
    private readonly NexthopObjects _objects;
    private NetlinkSocket? _monitor;
    private NetlinkSocket? _dump;
    private KernelInstaller? _installer;
    private EventFd? _wake;
    private Thread? _consumer;
    private Thread? _writer;
    private bool _installBusy;
    private bool _scanning = true;
    private volatile bool _stop;
    private long _requests;
    private long _requestErrors;

    // Of reading, until a dump succeeds; of writing, told for as long as a route is missing.
    private string? _lastError;
    private string? _writeError;
    private object? _writeErrorPrefix;
    private readonly LogLimit _refusals;
    private bool _refusalSaid;

    /// <summary>Opens nothing yet.</summary>
    public KernelSync(KernelSyncOptions options, IKernelEvents events, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_options, _events, _time) = (options, events, time);
        _refusals = new LogLimit(time, 5, TimeSpan.FromSeconds(30));
        _objects = new NexthopObjects(options.Protocol, options.Table, options.NexthopObjects);
        _v4 = new FamilySync<Ipv4Prefix>(options.Protocol, _objects);
        _v6 = new FamilySync<Ipv6Prefix>(options.Protocol, _objects);
    }

    /// <summary>Routes of ours that the first dump found.</summary>
    public int Adopted { get; private set; }

    /// <summary>Next hop objects of ours that the first dump found.</summary>
    public int AdoptedObjects { get; private set; }

    /// <summary>Counters.</summary>
    public KernelSyncStatistics Statistics
    {
        get
        {
            lock (_gate)
            {
                return new KernelSyncStatistics(
                    _requests, _requestErrors, _installer?.Batches ?? 0, _notifications, _ownEchoes, _malformed, _overruns, _resyncs, _verifications,
                    _links.LinkCount, _links.AddressCount, _v4.Mirror.Count, _v6.Mirror.Count, _v4.Mirror.OwnCount, _v6.Mirror.OwnCount,
                    _v4.Diff.DesiredCount, _v6.Diff.DesiredCount, _v4.Diff.PendingCount, _v6.Diff.PendingCount, _v4.Diff.FailedCount, _v6.Diff.FailedCount,
                    _objects.Count, _objects.OwnCount,
                    (_v4.Diff.FailedCount + _v6.Diff.FailedCount + _v4.Diff.PendingCount + _v6.Diff.PendingCount > 0 ? _writeError : null) ?? _lastError);
            }
        }
    }

    /// <summary>Whether no scan and no request is under way or due.</summary>
    internal bool IsIdle
    {
        get
        {
            lock (_gate)
            {
                return !_scanning && !_installBusy && !_resyncWanted && _v4.Diff.PendingCount + _v6.Diff.PendingCount + _objects.QueuedCount == 0;
            }
        }
    }

    /// <summary>Opens the sockets in the calling thread's network namespace and starts the threads. Throws <see cref="NetlinkException"/>.</summary>
    public void Start()
    {
        _installer = new KernelInstaller(_options.Table, _options.Protocol);
        _monitor = new NetlinkSocket(
            _options.ReceiveBufferBytes, [Rt.RtGroupLink, Rt.RtGroupIpv4Ifaddr, Rt.RtGroupIpv6Ifaddr, Rt.RtGroupIpv4Route, Rt.RtGroupIpv6Route]);
        _monitor.IgnoreEchoesOf(_installer.PortId);
        if (!_monitor.TryJoin(Rt.RtGroupNexthop))
        {
            NoNexthopObjects();
        }

        _dump = new NetlinkSocket(1 << 20, []);
        _wake = new EventFd();
        _audit = _time.CreateTimer(_ => RequestResync(), null, _options.AuditInterval, _options.AuditInterval);
        _retry = _time.CreateTimer(_ => Wake(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _consumer = new Thread(Consume) { IsBackground = true, Name = "kernel" };
        _writer = new Thread(WriteLargeBatches) { IsBackground = true, Name = "kernel-write" };
        _consumer.Start();
        _writer.Start();
    }

    /// <summary>Wanted IPv4 routes, null for no longer wanted. Thread-safe; a small batch is in the kernel on return, when nothing else is under way.</summary>
    public void SetDesired(ReadOnlySpan<(Ipv4Prefix Prefix, FibRoute? Route)> changes) => SetDesired(_v4, changes);

    /// <inheritdoc cref="SetDesired(ReadOnlySpan{ValueTuple{Ipv4Prefix, FibRoute?}})"/>
    public void SetDesired(ReadOnlySpan<(Ipv6Prefix Prefix, FibRoute? Route)> changes) => SetDesired(_v6, changes);

    /// <summary>Removes routes of our protocol that nobody wants; returns of how many prefixes.</summary>
    public int Prune()
    {
        lock (_gate)
        {
            int pruned = (_options.OwnsV4 ? _v4.Diff.Prune() : 0) + (_options.OwnsV6 ? _v6.Diff.Prune() : 0);
            _objects.Prune();
            Install();
            return pruned;
        }
    }

    /// <summary>Removes every route of ours, wanted or not, and forgets what is desired. Returns when the kernel has done it.</summary>
    public void RemoveAllOwn()
    {
        lock (_gate)
        {
            if (_options.OwnsV4)
            {
                _v4.Diff.RemoveAll();
            }

            if (_options.OwnsV6)
            {
                _v6.Diff.RemoveAll();
            }

            _objects.Prune();
            while (_installer is not null && (_v4.Diff.QueuedCount + _v6.Diff.QueuedCount > 0 || _installBusy))
            {
                if (_installBusy || _scanning)
                {
                    Monitor.Wait(_gate, 100);
                    if (_stop)
                    {
                        return;
                    }
                }
                else
                {
                    WriteBatch(_v4, KernelInstaller.BatchLimit, release: false);
                    WriteBatch(_v6, KernelInstaller.BatchLimit, release: false);
                }
            }

            ReleaseObjects();
        }
    }

    /// <summary>How IPv4 prefixes stand: those that differ, or all (or those of <paramref name="only"/>), at most <paramref name="limit"/>.</summary>
    public IReadOnlyList<FibListing<Ipv4Prefix>> ListV4(bool onlyDifferences, int limit = int.MaxValue, IReadOnlyList<Ipv4Prefix>? only = null)
    {
        lock (_gate)
        {
            return _v4.Diff.List(onlyDifferences, limit, only);
        }
    }

    /// <summary>How IPv6 prefixes stand: those that differ, or all (or those of <paramref name="only"/>), at most <paramref name="limit"/>.</summary>
    public IReadOnlyList<FibListing<Ipv6Prefix>> ListV6(bool onlyDifferences, int limit = int.MaxValue, IReadOnlyList<Ipv6Prefix>? only = null)
    {
        lock (_gate)
        {
            return _v6.Diff.List(onlyDifferences, limit, only);
        }
    }

    /// <summary>A copy of the mirrored IPv4 routes, ours included.</summary>
    public IReadOnlyList<KernelRoute<Ipv4Prefix>> RoutesV4()
    {
        List<KernelRoute<Ipv4Prefix>> routes = [];
        lock (_gate)
        {
            _v4.Mirror.CopyTo(routes);
        }

        return routes;
    }

    /// <summary>A copy of the mirrored IPv6 routes, ours included.</summary>
    public IReadOnlyList<KernelRoute<Ipv6Prefix>> RoutesV6()
    {
        List<KernelRoute<Ipv6Prefix>> routes = [];
        lock (_gate)
        {
            _v6.Mirror.CopyTo(routes);
        }

        return routes;
    }

    /// <summary>Asks for a full scan now, as the audit does.</summary>
    public void RequestResync()
    {
        lock (_gate)
        {
            _resyncWanted = true;
            _resyncUrgent = true;
        }

        Wake();
    }

    /// <summary>Ends the threads and closes the sockets. Routes stay in the kernel.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _stop = true;
            Monitor.PulseAll(_gate);
        }

        _audit?.Dispose();
        _retry?.Dispose();
        Wake();
        _writer?.Join();
        if (_consumer != Thread.CurrentThread)
        {
            _consumer?.Join();
        }

        _installer?.Dispose();
        _monitor?.Dispose();
        _dump?.Dispose();
        _wake?.Dispose();
    }

    private void Wake()
    {
        try
        {
            _wake?.Signal();
        }
        catch (ObjectDisposedException)
        {
            // A timer that fired during Dispose.
        }
    }

    private void SetDesired<TPrefix>(FamilySync<TPrefix> family, ReadOnlySpan<(TPrefix Prefix, FibRoute? Route)> changes)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        lock (_gate)
        {
            foreach ((TPrefix prefix, FibRoute? route) in changes)
            {
                if (route is { } wanted)
                {
                    family.Diff.SetDesired(prefix, wanted);
                }
                else
                {
                    family.Diff.RemoveDesired(prefix);
                }
            }

            Install();
            SayRefused();
        }
    }

    // Lock held. Routes that the kernel refuses are missing on this node while all else looks well.
    private void SayRefused()
    {
        int failed = _v4.Diff.FailedCount + _v6.Diff.FailedCount;
        if (failed == 0 ? _refusalSaid : !_refusalSaid && _refusals.IsDue(out _))
        {
            _refusalSaid = failed > 0;
            _options.Log?.Invoke(failed == 0
                ? "no route is refused any more"
                : $"routes are refused ({failed} at present, see fib --diff): {_writeError ?? _lastError}; they are tried again when links, addresses or routes change");
        }
    }

    // Lock held. A few requests are made here and now; many are left to the installer's thread.
    private void Install()
    {
        if (!_options.Install || _installer is null || _stop)
        {
            // After Dispose the tables still empty themselves into this.
            return;
        }

        // A change of metric takes two rounds (add, delete); more only when something interferes, and then the installer goes on.
        for (int round = 0; round < 3; round++)
        {
            int queued = _v4.Diff.QueuedCount + _v6.Diff.QueuedCount;
            if (_scanning || _installBusy)
            {
                return;
            }

            if (queued == 0)
            {
                MakeObjects();
                ReleaseObjects();
                return;
            }

            if (queued > InlineLimit)
            {
                break;
            }

            WriteBatch(_v4, InlineLimit, release: false);
            WriteBatch(_v6, InlineLimit, release: false);
        }

        Monitor.PulseAll(_gate);
    }

    private void WriteLargeBatches()
    {
        lock (_gate)
        {
            while (!_stop)
            {
                if (!_options.Install || _scanning || _installBusy || _v4.Diff.QueuedCount + _v6.Diff.QueuedCount == 0)
                {
                    ReleaseObjects();
                    Monitor.Wait(_gate);
                    continue;
                }

                WriteBatch(_v4, KernelInstaller.BatchLimit, release: true);
                if (!_scanning)
                {
                    WriteBatch(_v6, KernelInstaller.BatchLimit, release: true);
                }

                SayRefused();
            }
        }
    }

    // Lock held on entry and return; with release it is free while the kernel works.
    private void WriteBatch<TPrefix>(FamilySync<TPrefix> family, int limit, bool release)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        if (family.Diff.QueuedCount == 0)
        {
            return;
        }

        if (DrainMonitor(1024, out bool any) || any)
        {
            // What was read here is published by the consumer.
            Wake();
        }

        int count = family.Diff.TakeOps(family.Ops[..limit], 4096);
        if (_objects.Enabled)
        {
            count = GiveObjects(family, count);
        }

        if (count == 0)
        {
            return;
        }

        bool answered;
        if (release)
        {
            _installBusy = true;
            Monitor.Exit(_gate);
            answered = _installer!.Execute(family.Ops[..count], family.Results[..count]);
            Monitor.Enter(_gate);
            _installBusy = false;
            Monitor.PulseAll(_gate);
        }
        else
        {
            answered = _installer!.Execute(family.Ops[..count], family.Results[..count]);
        }

        int surprises = family.Diff.Surprises;
        uint asked = 0;
        for (int i = 0; i < count; i++)
        {
            int error = family.Results[i];
            if (error == Errno.Inval && family.Ops[i].NextHopId is not 0 and uint id && id != asked)
            {
                asked = id;
                AskForObject(id);
            }

            if (error != 0)
            {
                _requestErrors++;
                (_writeError, _writeErrorPrefix) = ($"{family.Ops[i].Kind} {family.Ops[i].Prefix}: {Errno.Name(error)}", family.Ops[i].Prefix);
            }
            else if (_writeErrorPrefix is TPrefix mended && mended.Equals(family.Ops[i].Prefix))
            {
                (_writeError, _writeErrorPrefix) = (null, null);
            }

            family.Diff.Complete(family.Ops[i], error);
        }

        _requests += count;
        if (!answered || family.Diff.Surprises != surprises)
        {
            _resyncWanted = true;
            Wake();
        }
    }
}
