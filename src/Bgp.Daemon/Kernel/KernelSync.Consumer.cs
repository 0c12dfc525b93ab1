using Bgp.Daemon.Kernel.Netlink;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Kernel;

/// <content>The consumer: reads notifications, scans, publishes.</content>
public sealed partial class KernelSync
{
    private const int DatagramsPerTurn = 2048;
    private const int ScanAttempts = 8;
    private const int DumpTimeoutMilliseconds = 10_000;
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_scanPause = TimeSpan.FromSeconds(1);

    private readonly byte[] _datagram = new byte[64 * 1024];
    private readonly byte[] _dumpDatagram = new byte[256 * 1024];
    private readonly HopsCache _hops = new();
    private readonly HashSet<int> _suspectLinks = [];
    private readonly List<InterfaceAddress> _removedAddresses = [];
    private readonly List<InterfaceAddress> _addedAddresses = [];
    private bool _suspectAll;
    private ITimer? _audit;
    private ITimer? _retry;
    private bool _resyncWanted;
    private bool _resyncUrgent;
    private bool _retryWanted;
    private long _lastRetry;
    private long _lastScan;
    private uint _dumpSequence = 1;
    private long _notifications;
    private long _ownEchoes;
    private long _malformed;
    private long _overruns;
    private long _resyncs;
    private long _verifications;

    private void Consume()
    {
        Scan(links: true, v4: true, v6: true, through: 0);
        lock (_gate)
        {
            AdoptedObjects = _objects.OwnCount;
            Adopted = (_options.OwnsV4 ? _v4.Mirror.OwnCount : 0) + (_options.OwnsV6 ? _v6.Mirror.OwnCount : 0);
        }

        Publish();
        _events.InitialDumpComplete();
        bool more = true;
        while (!_stop)
        {
            if (!more)
            {
                WaitForInput();
            }

            bool resync;
            lock (_gate)
            {
                more = DrainMonitor(DatagramsPerTurn, out _);
                resync = _resyncWanted && !more && Due(ref _lastScan, s_scanPause, _resyncUrgent);
            }

            if (resync)
            {
                lock (_gate)
                {
                    _resyncWanted = false;
                    _resyncUrgent = false;
                    _scanning = true;
                    _resyncs++;
                }

                Scan(links: true, v4: true, v6: true, through: 0);
            }
            else if (!more)
            {
                VerifySuspects();
            }

            Publish();
            ReplayIfWanted();
            lock (_gate)
            {
                RetryRefused();
                Install();
                SayRefused();
                if (!more)
                {
                    Trim();
                }
            }
        }
    }

    private unsafe void WaitForInput()
    {
        Native.PollFd* fds = stackalloc Native.PollFd[2];
        fds[0] = new Native.PollFd { Fd = _monitor!.Handle.Fd, Events = 1 };
        fds[1] = new Native.PollFd { Fd = _wake!.Handle.Fd, Events = 1 };
        _ = Native.Poll(fds, 2, -1);
        if ((fds[1].Returned & 1) != 0)
        {
            _wake.Drain();
        }
    }

    // Whether enough time has passed since the last occasion; if not, the retry timer wakes the consumer when it has.
    private bool Due(ref long last, TimeSpan pause, bool atOnce)
    {
        TimeSpan since = last == 0 ? TimeSpan.MaxValue : _time.GetElapsedTime(last);
        if (!atOnce && since < pause)
        {
            _retry!.Change(pause - since, Timeout.InfiniteTimeSpan);
            return false;
        }

        last = _time.GetTimestamp();
        return true;
    }

    private void RetryRefused()
    {
        int failed = _v4.Diff.FailedCount + _v6.Diff.FailedCount + _objects.BrokenCount;
        if (_retryWanted && failed == 0)
        {
            _retryWanted = false;
        }

        if (_retryWanted && Due(ref _lastRetry, s_pause, failed <= InlineLimit))
        {
            _retryWanted = false;
            _objects.Retry();
            _v4.Diff.Retry();
            _v6.Diff.Retry();
        }
    }

    // Lock held. Reads notifications without waiting; true when there may be more. Any thread that is about to write calls this.
    private bool DrainMonitor(int limit, out bool any)
    {
        any = false;
        for (int i = 0; i < limit; i++)
        {
            int length = _monitor!.Receive(_datagram, wait: false);
            if (length == 0)
            {
                return false;
            }

            any = true;
            if (length < 0)
            {
                _overruns++;
                _resyncWanted = true;
                _resyncUrgent = true;
                _lastError = $"receive: {Errno.Name(-length)}";
                if (length != -Errno.Nobufs)
                {
                    return false;
                }

                continue;
            }

            NetlinkReader reader = new(_datagram.AsSpan(0, length));
            while (reader.TryRead(out NetlinkMessage message))
            {
                _notifications++;
                if (message.PortId == _installer!.PortId)
                {
                    _ownEchoes++;
                }
                else
                {
                    Handle(message, dump: false);
                }
            }

            _malformed += reader.Truncated ? 1 : 0;
        }

        return true;
    }

    private void Handle(in NetlinkMessage message, bool dump)
    {
        switch (message.Type)
        {
            case Rt.NewRoute or Rt.DelRoute when RouteCodec.FamilyOf(message.Body) == Rt.AfInet:
                HandleRoute(_v4, message, dump);
                break;
            case Rt.NewRoute or Rt.DelRoute when RouteCodec.FamilyOf(message.Body) == Rt.AfInet6:
                HandleRoute(_v6, message, dump);
                break;
            case Rt.NewLink or Rt.DelLink:
                HandleLink(message, dump);
                break;
            case Rt.NewAddr or Rt.DelAddr:
                HandleAddress(message);
                break;
            case Rt.NewNexthop or Rt.DelNexthop:
                HandleNexthop(message, dump);
                break;
        }
    }

    private void HandleRoute<TPrefix>(FamilySync<TPrefix> family, in NetlinkMessage message, bool dump)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        if (!RouteCodec.TryRead(message.Body, _hops, out KernelRoute<TPrefix> route, out RouteEnvelope envelope))
        {
            _malformed++;
            return;
        }

        if (envelope.Table != _options.Table || route.Cloned || !envelope.Learnable)
        {
            return;
        }

        if (route.NextHopId != 0)
        {
            route = WithHops(route);
        }

        if (dump)
        {
            family.Seen(route);
            return;
        }

        RouteReport report = message.Type == Rt.DelRoute ? RouteReport.Deleted
            : (message.Flags & Rt.FlagReplace) != 0 ? RouteReport.Replaced
            : (message.Flags & Rt.FlagAppend) != 0 ? RouteReport.Appended
            : RouteReport.Added;
        _retryWanted |= family.Apply(report, route);
    }

    private void HandleLink(in NetlinkMessage message, bool dump)
    {
        if (!LinkCodec.TryReadLink(message.Body, out int index, out string name, out bool up, out bool carrier))
        {
            return;
        }

        if (message.Type == Rt.DelLink)
        {
            _links.Remove(index);
            Gone(index);
        }
        else
        {
            _retryWanted |= _links.Set(index, name, up, carrier);

            // Also where nothing has changed: a scan may have been ahead of this report, and of that of a route which went with the link.
            if (!dump && !up)
            {
                Gone(index);
            }
            else if (!dump && !carrier && (_installBusy || _objects.CountThrough(index) > 0))
            {
                Suspect(index);
            }
        }
    }

    private void HandleAddress(in NetlinkMessage message)
    {
        if (!LinkCodec.TryReadAddress(message.Body, out int index, out IpAddr address, out IpAddr peer, out int length))
        {
            _malformed++;
            return;
        }

        if (message.Type == Rt.NewAddr)
        {
            _retryWanted |= _links.SetAddress(index, address, length, peer);
            return;
        }

        _retryWanted |= _links.RemoveAddress(index, address, length, peer);
        if (address.IsV4)
        {
            // Routes with the address as preferred source go, and with the last address every route of the link.
            _suspectAll |= _installBusy || _v4.Mirror.CountFrom(address) > 0;
            Suspect(index);
        }
    }

    // The link does not carry routes any more. What is known to be gone with it is not looked for: a dump for each of ten thousand links that go would cost
    // as much as there are routes each time.
    private void Gone(int index)
    {
        _v4.RemoveThrough(index);
        Suspect(index);
    }

    // IPv4 routes through the link may be gone without a word. A batch under way may add one to the mirror that is already gone.
    private void Suspect(int index)
    {
        bool objects = _objects.CountThrough(index) > 0;
        if (_installBusy || objects || _v4.Mirror.CountThrough(index) > 0)
        {
            _suspectLinks.Add(index);
        }

        // Routes of a group do not go with one of its links, but are others then: all have to be seen.
        _suspectAll |= objects;
    }

    private void VerifySuspects()
    {
        int through;
        bool objects;
        lock (_gate)
        {
            if (_suspectLinks.Count == 0 && !_suspectAll)
            {
                return;
            }

            through = 0;
            if (!_suspectAll && _suspectLinks.Count == 1)
            {
                foreach (int index in _suspectLinks)
                {
                    through = index;
                }
            }

            objects = _suspectAll && _objects.Count > 0;
            _suspectLinks.Clear();
            _suspectAll = false;
            _verifications++;
        }

        // IPv6 routes go with a word, save those of objects where nexthop_compat_mode is 0.
        Scan(links: false, v4: true, v6: objects, through, objects);
    }

    // Consumer thread, lock not held.
    private void Scan(bool links, bool v4, bool v6, int through, bool objects = true)
    {
        lock (_gate)
        {
            _scanning = true;
            while (_installBusy)
            {
                Monitor.Wait(_gate);
            }

            // Reports that are older than the dump are applied before it: less to undo afterwards.
            DrainMonitor(DatagramsPerTurn, out _);
        }

        if (v4)
        {
            PassRtnl();
        }

        bool complete = true;
        if (links)
        {
            complete &= ScanLinks();
        }

        if (objects)
        {
            complete &= ScanNexthops();
        }

        if (v4)
        {
            complete &= ScanRoutes(_v4, Rt.AfInet, through);
        }

        if (v6)
        {
            complete &= ScanRoutes(_v6, Rt.AfInet6, 0);
        }

        lock (_gate)
        {
            _scanning = false;
            _retryWanted = true;
            if (!complete)
            {
                _resyncWanted = true;
                _retry!.Change(s_pause, Timeout.InfiniteTimeSpan);
            }

            Monitor.PulseAll(_gate);
        }
    }

    private bool ScanLinks()
    {
        bool complete = true;
        lock (_gate)
        {
            _links.BeginScan();
        }

        complete &= Dump(Rt.GetLink, 0, 0);
        bool addresses = Dump(Rt.GetAddr, 0, 0);
        lock (_gate)
        {
            if (complete)
            {
                List<int> removed = [];
                _links.EndLinkScan(removed);
            }

            if (addresses)
            {
                _links.EndAddressScan();
            }
        }

        return complete && addresses;
    }

    private bool ScanRoutes<TPrefix>(FamilySync<TPrefix> family, byte addressFamily, int through)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        bool complete = false;
        for (int attempt = 0; attempt < ScanAttempts && !complete && !_stop; attempt++)
        {
            lock (_gate)
            {
                family.BeginScan();
            }

            complete = Dump(Rt.GetRoute, addressFamily, through);
        }

        lock (_gate)
        {
            _retryWanted |= family.EndScan(through, sweep: complete);
        }

        return complete;
    }

    // One dump; false when it was interrupted (NLM_F_DUMP_INTR), failed, or did not end.
    private unsafe bool Dump(ushort type, byte family, int through)
    {
        Span<byte> request = stackalloc byte[128];
        NetlinkWriter writer = new(request);
        uint sequence = ++_dumpSequence;
        if (type == Rt.GetRoute)
        {
            RouteCodec.WriteDump(ref writer, family, _options.Table, through, sequence);
        }
        else if (type == Rt.GetNexthop)
        {
            NexthopCodec.WriteGet(ref writer, 0, sequence);
        }
        else
        {
            LinkCodec.WriteDump(ref writer, type, sequence);
        }

        int error = _dump!.Send(writer.Written);
        bool interrupted = false;
        while (error == 0 && !_stop)
        {
            int length = ReceiveDump();
            if (length < 0)
            {
                error = -length;
                break;
            }

            lock (_gate)
            {
                NetlinkReader reader = new(_dumpDatagram.AsSpan(0, length));
                while (reader.TryRead(out NetlinkMessage message))
                {
                    if (message.Sequence != sequence)
                    {
                        continue;
                    }

                    interrupted |= (message.Flags & Rt.FlagDumpInterrupted) != 0;
                    if (message.Type is Rt.NlmsgDone or Rt.NlmsgError)
                    {
                        // ENOENT: the table does not exist yet; ENODEV: the link that was asked for is gone. Both are empty answers.
                        int end = message.Error;
                        bool empty = end is 0 or Errno.Noent or Errno.Nodev;
                        if (type == Rt.GetNexthop && end is Errno.Opnotsupp or Errno.Inval)
                        {
                            NoNexthopObjects();
                            empty = true;
                        }

                        _lastError = empty ? null : $"dump {type}: {Errno.Name(end)}";
                        return !interrupted && empty;
                    }

                    Handle(message, dump: true);
                }

                _malformed += reader.Truncated ? 1 : 0;
            }
        }

        lock (_gate)
        {
            _lastError = $"dump {type}: {Errno.Name(error)}";
        }

        return false;
    }

    private unsafe int ReceiveDump()
    {
        while (!_stop)
        {
            int length = _dump!.Receive(_dumpDatagram, wait: false);
            if (length != 0)
            {
                return length;
            }

            Native.PollFd fd = new() { Fd = _dump.Handle.Fd, Events = 1 };
            if (Native.Poll(&fd, 1, DumpTimeoutMilliseconds) == 0)
            {
                return -Errno.Again;
            }
        }

        return -Errno.Intr;
    }

    // Deletes a route from a table that does not exist: the kernel takes RTNL to find that out, so what held it before has finished.
    private void PassRtnl()
    {
        Span<byte> request = stackalloc byte[64];
        NetlinkWriter writer = new(request);
        uint sequence = ++_dumpSequence;
        Span<byte> body = writer.Begin(Rt.DelRoute, Rt.FlagRequest | Rt.FlagAck, sequence, Rt.RtmsgLength);
        body[0] = Rt.AfInet;
        body[1] = 32;
        body[6] = Rt.ScopeNowhere;
        writer.Attribute(Rt.RtaDst, 0x010000E0u);
        writer.Attribute(Rt.RtaTable, 0xFFFF_FFF0);
        writer.End();
        if (_dump!.Send(writer.Written) == 0)
        {
            _ = ReceiveDump();
        }
    }

    // Consumer thread, lock not held while the events are called.
    private void Publish()
    {
        List<HostLinks.LinkChange> links;
        List<MirrorChange<Ipv4Prefix>> v4;
        List<MirrorChange<Ipv6Prefix>> v6;
        bool addresses;
        lock (_gate)
        {
            (links, _links.Unpublished, _links.Spare) = (_links.Unpublished, _links.Spare, _links.Unpublished);
            (v4, _v4.Unpublished, _v4.Spare) = (_v4.Unpublished, _v4.Spare, _v4.Unpublished);
            (v6, _v6.Unpublished, _v6.Spare) = (_v6.Unpublished, _v6.Spare, _v6.Unpublished);
            addresses = _links.TakeAddressChanges(_removedAddresses, _addedAddresses);
        }

        if (links.Count + v4.Count + v6.Count == 0 && !addresses)
        {
            return;
        }

        foreach (HostLinks.LinkChange link in links)
        {
            if (link.Removed)
            {
                _events.LinkRemoved(link.Index, link.Name);
            }
            else
            {
                _events.LinkChanged(link.Index, link.Name, link.Up);
            }
        }

        if (addresses)
        {
            _events.AddressesChanged(_removedAddresses, _addedAddresses);
        }

        foreach (MirrorChange<Ipv4Prefix> change in v4)
        {
            if (change.Added)
            {
                _events.RouteAdded(change.Route);
            }
            else
            {
                _events.RouteRemoved(change.Route);
            }
        }

        foreach (MirrorChange<Ipv6Prefix> change in v6)
        {
            if (change.Added)
            {
                _events.RouteAdded(change.Route);
            }
            else
            {
                _events.RouteRemoved(change.Route);
            }
        }

        _removedAddresses.Clear();
        _addedAddresses.Clear();
        links.Clear();
        v4.Clear();
        v6.Clear();
        Slack.Trim(_removedAddresses);
        Slack.Trim(_addedAddresses);
        Slack.Trim(links);
        Slack.Trim(v4);
        Slack.Trim(v6);
        _events.BatchComplete();
    }

    // Lock held.
    private void Trim()
    {
        _links.Trim();
        _v4.Trim();
        _v6.Trim();
        _hops.Trim(_v4.Mirror.Count + _v6.Mirror.Count);
    }
}
