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
    private readonly List<(DynamicPeerConfig Config, PeerSettings Template, int Count)> _dynamic = [];
    private readonly HashSet<string> _dynamicNames = new(StringComparer.Ordinal);
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
        if (session.State == SessionState.Idle && IsDynamic(session))
        {
            // A dynamic peer exists while it is connected. Off this thread: the session's lock is held here.
            Context.Scheduler.Queue(() => RemoveDynamic(session));
        }
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
            foreach (PeerSession session in _byName.Values.ToArray())
            {
                if (!wanted.Contains(session.Settings.Name) && !_dynamicNames.Contains(session.Settings.Name))
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

            _dynamic.Clear();
            _dynamic.AddRange(dynamic.Select(static item => (item.Config, item.Template, 0)));
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

    private bool IsDynamic(PeerSession session)
    {
        lock (_gate)
        {
            return _dynamicNames.Contains(session.Settings.Name);
        }
    }

    private void RemoveDynamic(PeerSession session)
    {
        lock (_gate)
        {
            if (session.State != SessionState.Idle || !_dynamicNames.Remove(session.Settings.Name))
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
                if (settings.Address.IsV6 == listener.IsV6 && !_dynamicNames.Contains(settings.Name))
                {
                    TrySetKey(listener, settings.Address, -1, settings.Md5, settings.Name);
                }
            }

            foreach ((DynamicPeerConfig config, PeerSettings template, _) in _dynamic)
            {
                if (config.Range.Address.IsV6 == listener.IsV6 && template.Md5.Length > 0)
                {
                    TrySetKey(listener, config.Range.Address, config.Range.Length, template.Md5, template.Name);
                }
            }
        }
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

    /// <summary>A neighbour, known or not, has opened a connection.</summary>
    internal void Accept(ITransport transport, IpAddr remote)
    {
        PeerSession? session = null;
        lock (_gate)
        {
            if (!_stopping)
            {
                session = _byAddress.TryGetValue(remote, out List<PeerSession>? list) ? Choose(list, transport) : AddDynamic(remote);
            }
        }

        if (session is null)
        {
            Log.UnknownPeer(Context.Log, remote.ToString());
            Refusal.Send(transport, CeaseSubcode.ConnectionRejected);
            return;
        }

        session.Incoming(transport);
    }

    /// <summary>Several peers with one address differ in the address of ours that they talk to; link-local ones are known by their interface.</summary>
    private static PeerSession? Choose(List<PeerSession> list, ITransport transport)
    {
        if (list[0].Settings.Address.IsLinkLocal)
        {
            int scope = transport.RemoteScope;
            return list.Find(session => DaemonContext.InterfaceIndex(session.Settings.Interface) == scope);
        }

        if (list.Count > 1)
        {
            IpAddr address = transport.LocalAddress;
            return list.Find(session => session.Settings.SourceAddress == address) ?? list[0];
        }

        return list[0];
    }

    private PeerSession? AddDynamic(IpAddr remote)
    {
        foreach ((DynamicPeerConfig config, PeerSettings template, _) in _dynamic)
        {
            int inUse = _dynamicNames.Count;
            if (inUse >= config.Limit || !Contains(config.Range, remote))
            {
                continue;
            }

            string name = $"{template.Group}-{remote}";
            PeerSession session = Add(template with { Name = name, Address = remote, Passive = true, BirdName = "Dynamic_" + remote.ToString().Replace('.', '_').Replace(':', '_') });
            _dynamicNames.Add(name);
            session.Start();
            return session;
        }

        return null;
    }

    private static bool Contains(Cidr range, IpAddr address) => address.IsV4
        ? range.Address.IsV4 && Ipv4Prefix.Create(range.Address, range.Length).Contains(Ipv4Prefix.Create(address, 32))
        : range.Address.IsV6 && Ipv6Prefix.Create(range.Address, range.Length).Contains(Ipv6Prefix.Create(address, 128));
}

/// <summary>What a reload did to a peer.</summary>
internal readonly record struct ChangedPeer(string Name, string Impact, string Detail);
