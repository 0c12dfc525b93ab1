using System.Net.Sockets;
using Bgp.Daemon.Config;
using Bgp.Daemon.Runtime;
using Bgp.Protocol;

namespace Bgp.Daemon.Peers;

/// <summary>All peers, configured and dynamic, and the listeners that their connections come in on.</summary>
internal sealed partial class PeerManager : IPeerOwner, IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, PeerSession> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<IpAddr, List<PeerSession>> _byAddress = [];
    private readonly List<DynamicRange> _dynamic = [];
    private readonly HashSet<Cidr> _rangeKeys = [];
    private readonly Queue<ushort> _freeIndexes = new();
    private ushort _nextIndex = 1;
    private bool _stopping;

    private readonly LogLimit _refusals;

    internal PeerManager(DaemonContext context)
    {
        Context = context;
        _refusals = new LogLimit(context.Time, 10, TimeSpan.FromSeconds(10));
    }

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

    /// <summary>The peer of that name.</summary>
    internal PeerSession? Find(string name)
    {
        lock (_gate)
        {
            return _byName.GetValueOrDefault(name);
        }
    }

    /// <summary>The peer of that name, else those with that address.</summary>
    internal PeerSession[] FindAll(string nameOrAddress)
    {
        lock (_gate)
        {
            if (_byName.TryGetValue(nameOrAddress, out PeerSession? session))
            {
                return [session];
            }

            return IpAddr.TryParse(nameOrAddress, out IpAddr address) && _byAddress.TryGetValue(address, out List<PeerSession>? list) ? [.. list] : [];
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
        Context.Scheduler.Queue(() => RemoveDynamic(session));
    }

    /// <summary>
    /// Makes the sessions equal to the settings: new ones start, missing ones end, and changed ones are changed in place, or where that cannot be end and
    /// begin anew (see <see cref="PeerChange"/>). Nobody else is touched.
    /// </summary>
    internal void Apply(IReadOnlyList<PeerSettings> peers, IReadOnlyList<(DynamicPeerConfig Config, PeerSettings Template)> dynamic, bool start)
    {
        List<PeerSession> started = [];
        List<PeerSession> ended = [];
        List<(PeerSession Session, PeerSettings Settings, PeerChange Change)> changed = [];
        lock (_gate)
        {
            HashSet<string> wanted = [.. peers.Select(static peer => peer.Name)];
            ReplaceRanges(dynamic, ended, changed);
            foreach (PeerSession session in _byName.Values.ToArray())
            {
                if (!wanted.Contains(session.Settings.Name) && !session.IsDynamic)
                {
                    Forget(session);
                    ended.Add(session);
                }
            }

            foreach (PeerSettings settings in peers)
            {
                if (!_byName.TryGetValue(settings.Name, out PeerSession? known))
                {
                    started.Add(Add(settings));
                }
                else if (known.Settings.Address != settings.Address || known.Settings.Interface != settings.Interface)
                {
                    // Another neighbour under the same name.
                    Forget(known);
                    ended.Add(known);
                    started.Add(Add(settings));
                }
                else
                {
                    Compare(known, settings, changed);
                }
            }
        }

        foreach (PeerSession session in ended)
        {
            session.Remove(NotificationMessage.Cease(CeaseSubcode.PeerDeconfigured), "removed from the configuration");
        }

        // The listeners first: whoever calls again after a change must meet its new password.
        SetKeys();
        ReloadWork work = new();
        foreach ((PeerSession session, PeerSettings settings, PeerChange change) in changed)
        {
            if (change.Impact == ChangeImpact.Reset)
            {
                session.Reset(settings);
            }
            else
            {
                session.Update(settings, change, work);
            }
        }

        SetKeys();
        work.CarryOut(Context);
        if (start)
        {
            started.ForEach(static session => session.Start());
        }
    }

    /// <summary>What a change costs a peer, its present neighbour considered.</summary>
    internal PeerChange Judge(string name, PeerChange change)
    {
        lock (_gate)
        {
            return _byName.TryGetValue(name, out PeerSession? session) ? session.Judge(change) : change;
        }
    }

    private static void Compare(PeerSession session, PeerSettings settings, List<(PeerSession Session, PeerSettings Settings, PeerChange Change)> changed)
    {
        if (PeerChange.Between(session.Settings, settings) is { } change)
        {
            changed.Add((session, settings, session.Judge(change)));
        }
    }

    /// <summary>Starts every peer that is not disabled.</summary>
    internal void Start()
    {
        foreach (PeerSession session in All)
        {
            session.Start();
        }
    }

    /// <summary>Ends all sessions as <see cref="Stop"/> does. Returns when all connections are closed, or after <paramref name="patience"/>.</summary>
    /// <remarks>
    /// A process that ends sooner takes with it what is queued behind a neighbour's full window, and unread input makes the kernel send RST after the
    /// NOTIFICATION, which some systems then throw away unread.
    /// </remarks>
    internal async Task StopAsync(NotificationError error, string reason, TimeSpan patience)
    {
        try
        {
            await Task.WhenAll(Stop(error, reason).Select(static connection => connection.Closed)).WaitAsync(patience, Context.Time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // Neighbours that do not read, or do not close: their hold timers will tell them.
        }
    }

    /// <summary>Ends all sessions: with Cease, or (no error) as a graceful restart would.</summary>
    /// <returns>The connections, some of which take a moment to close.</returns>
    internal IReadOnlyList<BgpConnection> Stop(NotificationError error, string reason)
    {
        lock (_gate)
        {
            _stopping = true;
        }

        _identifying.Cancel();
        CloseListeners();
        List<BgpConnection> ending = [];
        foreach (PeerSession session in All)
        {
            ending.AddRange(session.Stop(error, reason));
        }

        return ending;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _identifying.Cancel();
        CloseListeners();
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
    /// The ranges of a new configuration. Sessions stay where an address is in a range, whatever that is called now, and follow its settings as any peer does; the
    /// others end, as do those of a group of another name, since their own name says it.
    /// </summary>
    private void ReplaceRanges(
        IReadOnlyList<(DynamicPeerConfig Config, PeerSettings Template)> ranges,
        List<PeerSession> ended,
        List<(PeerSession Session, PeerSettings Settings, PeerChange Change)> changed)
    {
        PeerSession[] sessions = [.. _dynamic.SelectMany(static range => range.Sessions)];
        _dynamic.Clear();
        _dynamic.AddRange(ranges.Select(static item => new DynamicRange(item.Config, item.Template)));
        foreach (PeerSession session in sessions)
        {
            DynamicRange? range = _dynamic.Find(item => Contains(item.Config.Range, session.Settings.Address));
            PeerSettings? settings = range?.SettingsFor(session.Settings.Address);
            if (settings is not null && settings.Name == session.Settings.Name)
            {
                range!.Sessions.Add(session);
                Compare(session, settings, changed);
                continue;
            }

            Forget(session);
            ended.Add(session);
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

        session.Remove(default, "gone");
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
