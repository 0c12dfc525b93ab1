using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Bgp.Daemon.Config;
using Bgp.Daemon.Control;
using Bgp.Daemon.Kernel;
using Bgp.Daemon.Metrics;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Microsoft.Extensions.Logging;
using Rib;

namespace Bgp.Daemon;

/// <summary>
/// The daemon: tables, kernel, sessions, control socket, put together from one configuration.
/// </summary>
/// <remarks>
/// Order of a start: tables; originated prefixes; the kernel's first dump; only then listeners and sessions. So the first End-of-RIB that a neighbour
/// hears is true: everything that this host knows has been sent before it (RFC 4724 section 4.1), and the OPEN knows whether own routes survived.
/// </remarks>
internal sealed partial class BgpDaemon : IDisposable
{
    /// <summary>How long neighbours have to take our last message and to close, as long as a BMP station has; those that read do so within a round trip.</summary>
    private static readonly TimeSpan s_stopPatience = TimeSpan.FromSeconds(1);

    private readonly string _configPath;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly StderrLoggerProvider? _logger;
    private readonly SystemdNotifier _systemd;
    private readonly TaskCompletionSource _kernelReady = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _reload = new();
    private readonly NexthopTable _nexthopsV4;
    private readonly NexthopTable _nexthopsV6;
    private readonly DaemonContext _context;
    private readonly PeerManager _peers;
    private readonly KernelSync? _kernel;
    private readonly KernelFeed? _feed;
    private readonly DateTimeOffset _startedAt;
    private ConfigModel _model;
    private ConfigMapping _mapping;
    private DateTimeOffset _loadedAt;
    private ControlServer? _control;
    private ITimer? _watchdog;
    private ITimer? _housekeeping;
    private QuietCollector? _collector;
    private volatile bool _hasPeers;
    private bool _stopped;

    // Without a kernel: replaced as a whole by a reload, read by the tables.
    private volatile HashSet<IpAddr> _ownAddresses;

    internal BgpDaemon(string configPath, ConfigModel model, TimeProvider time, ILogger log, StderrLoggerProvider? logger)
    {
        (_configPath, _model, _time, _log, _logger) = (configPath, model, time, log, logger);
        _systemd = new SystemdNotifier(Environment.GetEnvironmentVariable("NOTIFY_SOCKET"));
        _startedAt = _loadedAt = time.GetUtcNow();
        _mapping = new ConfigMapping(model);
        AttributeTable attributes = new();
        bool kernel = model.Kernel.Enabled;
        _nexthopsV4 = new NexthopTable(model.Kernel.Protocol);
        _nexthopsV6 = new NexthopTable(model.Kernel.Protocol);
        _ownAddresses = [model.Node.Ipv4, model.Node.Ipv6];
        AlwaysResolved always = new(address => _ownAddresses.Contains(address));
        RibLoop<Ipv4Prefix> v4 = new(attributes, kernel ? _nexthopsV4 : always, TableOptions(model, v6: false), PoolScheduler.Instance, log);
        RibLoop<Ipv6Prefix> v6 = new(attributes, kernel ? _nexthopsV6 : always, TableOptions(model, v6: true), PoolScheduler.Instance, log);
        _context = new DaemonContext
        {
            Time = time,
            Log = log,
            Attributes = attributes,
            V4 = v4,
            V6 = v6,
            Bfd = new Bfd.BfdService(log, DaemonContext.InterfaceIndex),
            Bmp = new Bmp.BmpService(v4, v6, time, log),
            RestartingUntil = _startedAt + RestartTime(model),
            ClusterIds = ClusterIds(model),
        };
        _peers = new PeerManager(_context) { OnStateChanged = StateChanged };
        if (kernel)
        {
            _feed = new KernelFeed(v4, v6, _nexthopsV4, _nexthopsV6) { AddressesResolve = model.Kernel.Table != KernelConfig.MainTable, Learning = _mapping.Learning(), OnReady = () => _kernelReady.TrySetResult() };
            _kernel = new KernelSync(
                new KernelSyncOptions
                {
                    Table = model.Kernel.Table,
                    Protocol = model.Kernel.Protocol,
                    OwnsV4 = model.Kernel.Families.Contains("ipv4"),
                    OwnsV6 = model.Kernel.Families.Contains("ipv6"),
                    Log = text => Log.KernelWarning(_log, text),
                    NexthopObjects = model.Kernel.NexthopObjects,
                    ReceiveBufferBytes = ReceiveBuffer(),
                },
                _feed,
                time);
            KernelSync sync = _kernel;
            FibOptions fib = _mapping.Fib(ConfigMapping.NodeSubnet(model, []));
            v4.Forwarding = new ForwardingTable<Ipv4Prefix>(new FibPolicy<Ipv4Prefix>(fib), _nexthopsV4, attributes, MaxPaths(model), changes => sync.SetDesired(changes));
            v6.Forwarding = new ForwardingTable<Ipv6Prefix>(new FibPolicy<Ipv6Prefix>(fib), _nexthopsV6, attributes, MaxPaths(model), changes => sync.SetDesired(changes));
            _feed.OnAddress = AddressChanged;
            _feed.OnLink = name =>
            {
                if (_mapping.Pools.Any(pool => pool.Device == name))
                {
                    LookForProblems();
                }
            };
        }
        else
        {
            _kernelReady.SetResult();
        }

        v4.OnEndOfRib = _ => PeerSettled();
        v6.OnEndOfRib = _ => PeerSettled();
    }

    /// <summary>Reads a configuration file: YAML, or BIRD's where the daemon was started as one.</summary>
    internal Func<string, ConfigResult> Load { get; init; } = ConfigReader.Load;

    /// <summary>What the CLI asks; see <see cref="DaemonQueries"/>.</summary>
    internal IDaemonQueries? Queries { get; private set; }

    /// <summary>Completes when the daemon should end: true for a hard end (Cease, own kernel routes removed).</summary>
    internal TaskCompletionSource<bool> ShutdownRequested { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal DaemonContext Context => _context;

    internal PeerManager Peers => _peers;

    /// <summary>Whether <see cref="Peers"/> are those of the configuration: questions are answered before, while the kernel's routes are read.</summary>
    internal bool HasPeers => _hasPeers;

    internal KernelSync? Kernel => _kernel;

    internal ConfigModel Model => _model;

    internal DateTimeOffset StartedAt => _startedAt;

    internal DateTimeOffset LoadedAt => _loadedAt;

    internal TimeProvider Time => _time;

    internal ILogger Logger => _log;

    internal StderrLoggerProvider? LogProvider => _logger;

    /// <summary>Starts everything; returns when sessions may come up.</summary>
    internal async Task StartAsync(string socketPath, CancellationToken cancel)
    {
        Log.Starting(_log, Cli.CliApp.Version, IpAddr.V4(_model.Node.RouterId).ToString(), _model.Node.Asn, _configPath);
        RibPeer local = Local(_model);
        _context.V4.Post(loop => loop.Shard.SetPeer(local));
        _context.V6.Post(loop => loop.Shard.SetPeer(local));
        Originate([], _model.Originate);
        ReachPeers([], _model.Peers);
        Queries = new DaemonQueries(this);
        _control = new ControlServer(new ControlServerOptions { Path = socketPath, Log = text => Log.ConfigWarning(_log, text) }, Queries);
        ApplyBirdSockets(_model);
        OpenHttp();
        if (_kernel is not null)
        {
            _kernel.Start();

            // Bounded: a kernel that does not answer must not keep the sessions down.
            await Task.WhenAny(_kernelReady.Task, Task.Delay(TimeSpan.FromSeconds(10), _time, cancel)).ConfigureAwait(false);
            _context.ForwardingPreserved = _kernel.Adopted > 0;
            Log.KernelReady(_log, _kernel.Statistics.RoutesV4 + _kernel.Statistics.RoutesV6, _kernel.Adopted);
            LookForProblems();
        }
        else
        {
            _context.ForwardingPreserved = true;
        }

        // Before the first session, so that they are told of everything as it came.
        ApplyStations();
        BeginRecovery();
        _peers.Apply(PeerSettings(_mapping, _model), DynamicSettings(_mapping, _model), start: false);
        _hasPeers = true;
        StateVersion.Bump();

        // Sessions first: a neighbour that calls in between would be refused as shut down, and some then wait two minutes before they call again.
        _peers.Start();
        if (!_peers.Listen(_model.Listen.Addresses, _model.Listen.Port, _model.Listen.Backlog, out string refused))
        {
            throw new InvalidOperationException($"cannot listen on {refused}");
        }

        Watch();
        if (_model.Watch && !_model.Equals(Load(_configPath).Model))
        {
            // Written after it was read, and before anybody watched.
            Reload(null, dryRun: false, confirm: null);
        }

        _systemd.Ready();
        if (SystemdNotifier.WatchdogInterval is { } interval)
        {
            _watchdog = _time.CreateTimer(_ => Watchdog(), null, interval, interval);
        }

        _collector = new QuietCollector(_time);
        _housekeeping = _time.CreateTimer(_ => TrimNextHops(), null, TimeSpan.FromMinutes(10), TimeSpan.FromMinutes(10));
    }

    /// <summary>Ends everything. Soft: as a graceful restart would. Hard: Cease, and own kernel routes go.</summary>
    internal async Task StopAsync(bool hard)
    {
        if (_stopped)
        {
            return;
        }

        _stopped = true;
        _systemd.Stopping();
        _watch?.Dispose();

        // Routes that do not stay cannot be promised to neighbours either: then every end is for good.
        hard |= !_model.Kernel.Persist && _kernel is not null;
        if (hard)
        {
            Log.StoppingHard(_log);
        }
        else
        {
            Log.StoppingGracefully(_log);
        }

        _control?.Dispose();
        CloseBirdSockets();
        CloseHttp();
        if (hard)
        {
            Task closed = _peers.StopAsync(NotificationMessage.Cease(CeaseSubcode.AdministrativeShutdown), "daemon shut down", s_stopPatience);
            _kernel?.RemoveAllOwn();
            await Task.WhenAll(_context.Bmp!.StopAsync(), closed).ConfigureAwait(false);
            _context.Bfd?.Dispose();
        }
        else
        {
            // Before the sessions close, so that no neighbour takes the end of our BFD packets for a lost path.
            _context.Bfd?.Dispose();

            // Detach the kernel first: the tables empty while sessions close, and forwarding must not.
            _kernel?.Dispose();
            Task closed = _peers.StopAsync(default, "daemon stopped", s_stopPatience);
            await Task.WhenAll(_context.Bmp!.StopAsync(), closed).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _watchdog?.Dispose();
        _housekeeping?.Dispose();
        _collector?.Dispose();
        _recoveryTimer?.Dispose();
        _watch?.Dispose();
        _control?.Dispose();
        CloseBirdSockets();
        CloseHttp();
        _peers.Dispose();
        _context.Bmp?.Dispose();
        _context.Bfd?.Dispose();
        _kernel?.Dispose();
        _systemd.Dispose();
    }

    internal static List<PeerSettings> PeerSettings(ConfigMapping mapping, ConfigModel model) => [.. model.Peers.Select(mapping.Peer)];

    internal static List<(DynamicPeerConfig Config, PeerSettings Template)> DynamicSettings(ConfigMapping mapping, ConfigModel model) =>
        [.. model.DynamicPeers.Select(item => (item, mapping.Peer(item.Template)))];

    /// <summary>Every cluster id in use: as a reflector's own, a group's or a peer's.</summary>
    private static uint[] ClusterIds(ConfigModel model) =>
        [.. model.Peers.Concat(model.DynamicPeers.Select(static item => item.Template)).Select(static peer => peer.ClusterId).Distinct()];

    private static RibPeer Local(ConfigModel model) =>
        new() { Index = RibPeer.Local, Name = "local", Kind = PeerKind.Local, RouterId = model.Node.RouterId, LocalAsn = model.Node.Asn };

    private static RibOptions TableOptions(ConfigModel model, bool v6) => new()
    {
        Multipath = model.Kernel.Enabled && model.Kernel.Ecmp,
        AllPaths = AnyAddPathSend(model),
        ElevatedAbove = RankKey.ElevatedAbove(ConfigMapping.NormalMetric(model, v6)),
    };

    /// <summary>The stations of the running model.</summary>
    private void ApplyStations() => _context.Bmp!.Apply(new Bmp.BmpSelf(_model.Node.Name, _model.Node.Asn, _model.Node.RouterId), _model.Bmp);

    private static int MaxPaths(ConfigModel model) => model.Kernel.Ecmp ? Math.Max(1, model.Kernel.MaxPaths) : 1;

    private static bool AnyAddPathSend(ConfigModel model) =>
        model.Peers.Concat(model.DynamicPeers.Select(static item => item.Template)).Any(static peer => peer.Families.Any(static family => family.AddPathSend > 0));

    private static TimeSpan RestartTime(ConfigModel model) =>
        model.Peers.Count == 0 ? TimeSpan.FromSeconds(120) : model.Peers.Max(static peer => peer.RestartTime);

    /// <summary>Octets of the netlink receive buffer; a test makes it tiny to force an overrun.</summary>
    private static int ReceiveBuffer() =>
        int.TryParse(Environment.GetEnvironmentVariable("PIPIT_NETLINK_RCVBUF"), NumberStyles.None, CultureInfo.InvariantCulture, out int octets) ? octets : 8 << 20;

    /// <summary>Enters and removes what the configuration originates.</summary>
    private void Originate(IReadOnlyList<OriginateConfig> before, IReadOnlyList<OriginateConfig> after)
    {
        foreach (OriginateConfig gone in before.Where(item => !after.Any(other => other.Prefix == item.Prefix)))
        {
            if (gone.Prefix.Address.IsV4)
            {
                _context.V4.Post(loop => loop.Shard.Unreach([Ipv4Prefix.Create(gone.Prefix.Address, gone.Prefix.Length)], [KernelFeed.OriginatedPathId], RibPeer.Local));
            }
            else
            {
                _context.V6.Post(loop => loop.Shard.Unreach([Ipv6Prefix.Create(gone.Prefix.Address, gone.Prefix.Length)], [KernelFeed.OriginatedPathId], RibPeer.Local));
            }
        }

        foreach (OriginateConfig item in after.Where(item => !before.Contains(item)))
        {
            if (item.Prefix.Address.IsV4)
            {
                _context.V4.Post(loop => Enter(loop, Ipv4Prefix.Create(item.Prefix.Address, item.Prefix.Length), item));
            }
            else
            {
                _context.V6.Post(loop => Enter(loop, Ipv6Prefix.Create(item.Prefix.Address, item.Prefix.Length), item));
            }
        }

        static void Enter<TPrefix>(RibLoop<TPrefix> loop, TPrefix prefix, OriginateConfig item)
            where TPrefix : unmanaged, IPrefix<TPrefix>
        {
            uint id = AttributeEditing.Local(loop.Attributes, new LocalRouteInfo(RouteSource.Originate, 0, 0, "", default), item.Communities, []);
            loop.Shard.Reach([prefix], [KernelFeed.OriginatedPathId], RibPeer.Local, id, PathFlags.None);
            loop.Attributes.Release(id);
        }
    }

    private void AddressChanged(IpAddr address)
    {
        if (_model.Node.Ipv4Length != 0 || _mapping.Pools.Count == 0 || address != _model.Node.Ipv4)
        {
            return;
        }

        // The node's subnet follows the interface that holds its address, and with it which next hops need the tunnel.
        FibOptions fib = _mapping.Fib(ConfigMapping.NodeSubnet(_model, _feed!.Addresses));
        int paths = MaxPaths(_model);
        _context.V4.Post(loop => ReplacePolicy(loop, fib, paths));
        LookForProblems();
    }

    private void ReplacePolicy<TPrefix>(RibLoop<TPrefix> loop, FibOptions fib, int maxPaths)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        if (loop.Forwarding is { } forwarding)
        {
            FibPolicy<TPrefix> policy = new(fib);
            foreach (PoolDefinition pool in _mapping.Pools)
            {
                policy.SetInterface(pool.Device, DaemonContext.InterfaceIndex(pool.Device));
            }

            forwarding.Policy = policy;
            forwarding.MaxPaths = maxPaths;
            forwarding.Reevaluate(loop.Shard);
        }
    }

    private void StateChanged(PeerSession session)
    {
        if (session.State == SessionState.Established)
        {
            FirstSessionUp();
        }

        PeerSettled();

        StateVersion.Bump();
        (string type, string message) = session.State == SessionState.Established ? ("peer-up", "established")
            : session.StateBefore == SessionState.Established ? ("peer-down", session.LastError)
            : ("peer-state", DaemonQueries.StateName(session));
        Events.Publish(_time.GetUtcNow(), type, session.Settings.Name, message);
    }

    private void Watchdog()
    {
        // Only tables that turn keep the watchdog quiet.
        _ = BeatAsync();
    }

    private async Task BeatAsync()
    {
        await Task.WhenAll(_context.V4.AskAsync(static _ => 0), _context.V6.AskAsync(static _ => 0)).ConfigureAwait(false);
        _systemd.Watchdog();
    }

    /// <summary>Forgets next hops that no path has any more: a neighbour could invent them without end.</summary>
    private void TrimNextHops()
    {
        if (_kernel is null)
        {
            return;
        }

        _context.V4.PostLater(loop =>
        {
            _nexthopsV4.Trim(loop.Shard.NextHopsInUse());
            loop.Forwarding?.TrackGateways();
        });
        _context.V6.PostLater(loop =>
        {
            _nexthopsV6.Trim(loop.Shard.NextHopsInUse());
            loop.Forwarding?.TrackGateways();
        });
    }
}
