using System.Net.Sockets;
using Bgp.Daemon.Config;
using Bgp.Daemon.Runtime;
using Bgp.Protocol;

namespace Bgp.Daemon.Peers;

/// <summary>All peers, configured and dynamic, and the listeners that their connections come in on.</summary>
internal sealed class PeerManager : IPeerOwner, IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, PeerSession> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<IpAddr, List<PeerSession>> _byAddress = [];
    private readonly List<DynamicRange> _dynamic = [];
    private readonly HashSet<Cidr> _rangeKeys = [];
    private readonly List<BgpListener> _listeners = [];
    private readonly Queue<ushort> _freeIndexes = new();
    private ushort _nextIndex = 1;
    private bool _stopping;

    internal PeerManager(DaemonContext context) => Context = context;

    /// <inheritdoc/>
    public DaemonContext Context { get; }

    /// <summary>Called when a peer's state changed, from any thread.</summary>
    internal Action<PeerSession>? OnStateChanged { get; set; }

    internal PeerSession[] All
    {
        get
        {
            lock (_gate)
            {
                return [.. _byName.Values];
            }
        }
    }

    internal PeerSession? Find(string nameOrAddress)
    {
        lock (_gate)
        {
            if (_byName.TryGetValue(nameOrAddress, out PeerSession? session))
            {
                return session;
            }

            return IpAddr.TryParse(nameOrAddress, out IpAddr address) && _byAddress.TryGetValue(address, out List<PeerSession>? list) ? list[0] : null;
        }
    }

    /// <inheritdoc/>
    public void StateChanged(PeerSession session)
    {
        OnStateChanged?.Invoke(session);
    }

    /// <inheritdoc/>
    public void Lingered(PeerSession session)
    {
        // Off this thread: the session's lock is held here.
        ThreadPool.UnsafeQueueUserWorkItem(_ => RemoveDynamic(session), null);
    }

    /// <summary>Makes the sessions equal to the settings: new ones start, missing ones end, changed ones restart. Returns what happened, one line each.</summary>
    internal List<ChangedPeer> Apply(IReadOnlyList<PeerSettings> peers, IReadOnlyList<(DynamicPeerConfig Config, PeerSettings Template)> dynamic, bool start)
    {
        List<ChangedPeer> changes = [];
        List<PeerSession> started = [];
        List<(PeerSession Session, byte Subcode)> ended = [];
        lock (_gate)
        {
            HashSet<string> wanted = [.. peers.Select(static peer => peer.Name)];
            ReplaceRanges(dynamic, ended, changes);
            foreach (PeerSession session in _byName.Values.ToArray())
            {
                if (!wanted.Contains(session.Settings.Name) && !session.IsDynamic)
                {
                    Forget(session);
                    ended.Add((session, CeaseSubcode.PeerDeconfigured));
                    changes.Add(new ChangedPeer(session.Settings.Name, "remove", "removed from the configuration"));
                }
            }

            foreach (PeerSettings settings in peers)
            {
                if (_byName.TryGetValue(settings.Name, out PeerSession? known))
                {
                    if (known.Settings == settings)
                    {
                        continue;
                    }

                    bool cosmetic = known.Settings with { Description = settings.Description, BirdName = settings.BirdName, Group = settings.Group, Bfd = settings.Bfd } == settings;
                    if (cosmetic)
                    {
                        changes.Add(known.Settings.Bfd == settings.Bfd ? new ChangedPeer(settings.Name, "none", "names only") : new ChangedPeer(settings.Name, "timers", "bfd"));
                        known.Update(settings);
                        continue;
                    }

                    Forget(known);
                    ended.Add((known, CeaseSubcode.OtherConfigurationChange));
                    changes.Add(new ChangedPeer(settings.Name, "reset", "settings changed"));
                }
                else
                {
                    changes.Add(new ChangedPeer(settings.Name, "add", "new"));
                }

                started.Add(Add(settings));
            }
        }

        foreach ((PeerSession session, byte subcode) in ended)
        {
            session.Stop(NotificationMessage.Cease(subcode), subcode == CeaseSubcode.PeerDeconfigured ? "removed from the configuration" : "configuration changed");
            session.Dispose();
        }

        SetKeys();
        if (start)
        {
            started.ForEach(static session => session.Start());
        }

        return changes;
    }

    /// <summary>Starts every peer that is not disabled.</summary>
    internal void Start()
    {
        foreach (PeerSession session in All)
        {
            session.Start();
        }
    }

    /// <summary>Binds the listeners; an address that cannot be bound is reported and left out. True when at least one could.</summary>
    internal bool Listen(IEnumerable<IpAddr> addresses, int port)
    {
        foreach (IpAddr address in addresses)
        {
            try
            {
                BgpListener listener = new(address, port, Accept, Context.Time, Context.Log);
                _listeners.Add(listener);
            }
            catch (SocketException exception)
            {
                Log.CannotListen(Context.Log, SocketOptions.EndPoint(address, port).ToString(), exception.SocketErrorCode.ToString());
            }
        }

        SetKeys();
        _listeners.ForEach(static listener => listener.Start());
        return _listeners.Count > 0;
    }

    /// <summary>Ends all sessions: with Cease, or (no error) as a graceful restart would.</summary>
    internal void Stop(NotificationError error, string reason)
    {
        lock (_gate)
        {
            _stopping = true;
        }

        _listeners.ForEach(static listener => listener.Dispose());
        foreach (PeerSession session in All)
        {
            session.Stop(error, reason);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _listeners.ForEach(static listener => listener.Dispose());
        foreach (PeerSession session in All)
        {
            session.Dispose();
        }
    }

    private PeerSession Add(PeerSettings settings)
    {
        ushort index = _freeIndexes.Count > 64 ? _freeIndexes.Dequeue() : _nextIndex++;
        PeerSession session = new(settings, index, this);
        _byName[settings.Name] = session;
        if (!_byAddress.TryGetValue(settings.Address, out List<PeerSession>? list))
        {
            _byAddress[settings.Address] = list = [];
        }

        list.Add(session);
        return session;
    }

    private void Forget(PeerSession session)
    {
        _byName.Remove(session.Settings.Name);
        if (_byAddress.TryGetValue(session.Settings.Address, out List<PeerSession>? list))
        {
            list.Remove(session);
            if (list.Count == 0)
            {
                _byAddress.Remove(session.Settings.Address);
            }
        }

        // Not at once: the tables may still be sweeping what the index stood for.
        _freeIndexes.Enqueue(session.Index);
    }

    /// <summary>
    /// The ranges of a new configuration. Sessions that the same settings would make again stay, whatever their range is called now; the others end.
    /// </summary>
    private void ReplaceRanges(
        IReadOnlyList<(DynamicPeerConfig Config, PeerSettings Template)> ranges, List<(PeerSession Session, byte Subcode)> ended, List<ChangedPeer> changes)
    {
        PeerSession[] sessions = [.. _dynamic.SelectMany(static range => range.Sessions)];
        _dynamic.Clear();
        _dynamic.AddRange(ranges.Select(static item => new DynamicRange(item.Config, item.Template)));
        foreach (PeerSession session in sessions)
        {
            DynamicRange? range = _dynamic.Find(item => Contains(item.Config.Range, session.Settings.Address));
            if (range is not null && range.SettingsFor(session.Settings.Address) == session.Settings)
            {
                range.Sessions.Add(session);
                continue;
            }

            Forget(session);
            byte subcode = range is null ? CeaseSubcode.PeerDeconfigured : CeaseSubcode.OtherConfigurationChange;
            ended.Add((session, subcode));
            changes.Add(new ChangedPeer(session.Settings.Name, range is null ? "remove" : "reset", range is null ? "its range was removed" : "its range's settings changed"));
        }
    }

    /// <summary>A dynamic peer that has not been connected for a while is forgotten, unless it called in this very moment.</summary>
    private void RemoveDynamic(PeerSession session)
    {
        lock (_gate)
        {
            if (!session.IsSpent || !_dynamic.Exists(range => range.Sessions.Remove(session)))
            {
                return;
            }

            Forget(session);
        }

        session.Stop(default, "gone");
        session.Dispose();
    }

    private void SetKeys()
    {
        foreach (BgpListener listener in _listeners)
        {
            foreach (PeerSession session in All)
            {
                PeerSettings settings = session.Settings;
                if (settings.Address.IsV6 == listener.IsV6 && !session.IsDynamic)
                {
                    TrySetKey(listener, settings.Address, -1, settings.Md5, settings.Name);
                }
            }

            foreach (Cidr range in _rangeKeys.Where(range => range.Address.IsV6 == listener.IsV6 && !_dynamic.Exists(item => item.HasKey && item.Config.Range == range)))
            {
                TrySetKey(listener, range.Address, range.Length, "", range.ToString());
            }

            foreach (DynamicRange item in _dynamic.Where(item => item.HasKey && item.Config.Range.Address.IsV6 == listener.IsV6))
            {
                TrySetKey(listener, item.Config.Range.Address, item.Config.Range.Length, item.Template.Md5, item.Template.Name);
            }
        }

        _rangeKeys.Clear();
        _rangeKeys.UnionWith(_dynamic.Where(static item => item.HasKey).Select(static item => item.Config.Range));
    }

    private void TrySetKey(BgpListener listener, IpAddr address, int prefixLength, string key, string name)
    {
        try
        {
            listener.SetMd5(address, prefixLength, key);
        }
        catch (SocketException) when (key.Length == 0)
        {
            // There was no key to remove.
            return;
        }
        catch (SocketException exception)
        {
            Log.PeerUnusable(Context.Log, name, $"the listener refuses its password: {exception.SocketErrorCode}");
        }
    }

    private void Accept(Socket socket, IpAddr remote)
    {
        PeerSession? session = null;
        PeerSession? evicted = null;
        DynamicRange? full = null;
        lock (_gate)
        {
            if (!_stopping)
            {
                session = _byAddress.TryGetValue(remote, out List<PeerSession>? list) ? Choose(list, socket) : AddDynamic(remote, out evicted, out full);
            }
        }

        evicted?.Stop(default, "gone");
        evicted?.Dispose();
        if (session is null)
        {
            if (full is not null)
            {
                Log.RangeFull(Context.Log, remote.ToString(), full.Config.Range.ToString(), full.Config.Limit);
            }
            else
            {
                Log.UnknownPeer(Context.Log, remote.ToString());
            }

            Refusal.Send(socket, full is null ? CeaseSubcode.ConnectionRejected : CeaseSubcode.OutOfResources);
            return;
        }

        session.Incoming(socket);
    }

    /// <summary>Several peers with one address differ in the address of ours that they talk to.</summary>
    private static PeerSession Choose(List<PeerSession> list, Socket socket)
    {
        if (list.Count > 1 && socket.LocalEndPoint is System.Net.IPEndPoint local)
        {
            IpAddr address = IpAddr.From(local.Address);
            return list.Find(session => session.Settings.SourceAddress == address) ?? list[0];
        }

        return list[0];
    }

    /// <summary>
    /// A session for an address inside a range. Where the range is full, one that is only remembered makes room; otherwise <paramref name="full"/> says which.
    /// </summary>
    private PeerSession? AddDynamic(IpAddr remote, out PeerSession? evicted, out DynamicRange? full)
    {
        (evicted, full) = (null, null);
        foreach (DynamicRange range in _dynamic)
        {
            if (!Contains(range.Config.Range, remote))
            {
                continue;
            }

            if (range.Sessions.Count >= range.Config.Limit)
            {
                evicted = range.Sessions.Find(static session => session.IsSpent);
                if (evicted is null)
                {
                    full = range;
                    continue;
                }

                range.Sessions.Remove(evicted);
                Forget(evicted);
            }

            PeerSession session = Add(range.SettingsFor(remote));
            session.IsDynamic = true;
            range.Sessions.Add(session);
            session.Start();
            full = null;
            return session;
        }

        return null;
    }

    private static bool Contains(Cidr range, IpAddr address) => address.IsV4
        ? range.Address.IsV4 && Ipv4Prefix.Create(range.Address, range.Length).Contains(Ipv4Prefix.Create(address, 32))
        : range.Address.IsV6 && Ipv6Prefix.Create(range.Address, range.Length).Contains(Ipv6Prefix.Create(address, 128));
}

/// <summary>A range of addresses whose neighbours may call, and those that did.</summary>
internal sealed record DynamicRange(DynamicPeerConfig Config, PeerSettings Template)
{
    internal List<PeerSession> Sessions { get; } = [];

    internal bool HasKey => Template.Md5.Length > 0;

    internal PeerSettings SettingsFor(IpAddr address) => Template with
    {
        Name = $"{Template.Group}-{address}",
        Address = address,
        Passive = true,
        BirdName = "Dynamic_" + address.ToString().Replace('.', '_').Replace(':', '_'),
    };
}

/// <summary>What a reload did to a peer.</summary>
internal readonly record struct ChangedPeer(string Name, string Impact, string Detail);
