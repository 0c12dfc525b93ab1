using System.Globalization;
using System.Runtime.CompilerServices;
using Bgp.Daemon.Bfd;
using Bgp.Daemon.Control;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;
using PeerAction = Bgp.Daemon.Control.PeerAction;

namespace Bgp.Daemon;

/// <summary>Answers of the daemon to the CLI. Whatever concerns a table is asked of its loop, a slice at a time.</summary>
internal sealed partial class DaemonQueries(BgpDaemon daemon) : IDaemonQueries
{
    private static readonly TimeSpan s_never = Timeout.InfiniteTimeSpan;

    /// <inheritdoc/>
    public IReadOnlyCollection<string> PeerNames => [.. daemon.Peers.All.Select(static session => session.Settings.Name)];

    /// <inheritdoc/>
    public IReadOnlyList<string> FindPeers(string nameOrAddress) => [.. daemon.Peers.FindAll(nameOrAddress).Select(static session => session.Settings.Name)];

    private DateTimeOffset Now => daemon.Time.GetUtcNow();

    /// <inheritdoc/>
    public StatusDto GetStatus()
    {
        PeerSession[] peers = daemon.Peers.All;
        DaemonContext context = daemon.Context;
        Kernel.KernelSyncStatistics kernel = daemon.Kernel?.Statistics ?? default;
        return new StatusDto
        {
            Name = daemon.Model.Node.Name,
            Version = Cli.CliApp.Version,
            RouterId = IpAddr.V4(daemon.Model.Node.RouterId).ToString(),
            Asn = daemon.Model.Node.Asn,
            UptimeSeconds = Seconds(daemon.StartedAt),
            PeersEstablished = peers.Count(static peer => peer.State == SessionState.Established),
            PeersTotal = peers.Length,
            Prefixes = context.V4.Shard.PrefixCount + context.V6.Shard.PrefixCount,
            Paths = context.V4.Shard.TotalPaths + context.V6.Shard.TotalPaths,
            ConfigHash = daemon.Model.Hash,
            GracefulRestart = daemon.Recovery,
            StartedAt = daemon.StartedAt,
            ConfigLoadedAt = daemon.LoadedAt,
            ConfigLoadedSeconds = Seconds(daemon.LoadedAt),
            ConfigErrors = daemon.RefusedBecause,
            ConfirmRemainingSeconds = daemon.ConfirmBy is { } by ? Math.Max(0, (by - Now).TotalSeconds) : null,
            Kernel = daemon.Kernel is null ? "disabled"
                : string.Create(CultureInfo.InvariantCulture, $"{kernel.OwnV4 + kernel.OwnV6} own routes, {kernel.PendingV4 + kernel.PendingV6} pending, {kernel.FailedV4 + kernel.FailedV6} failed"),
            KernelError = kernel.LastError ?? daemon.KernelProblem,
            NotListening = string.Join("; ", new[] { daemon.Peers.NotListening, daemon.HttpProblem }.OfType<string>()) is { Length: > 0 } closed ? closed : null,
            Bmp = [.. context.Bmp!.Stations.Select(Bmp)],
        };
    }

    private BmpDto Bmp(Bmp.BmpStation station) => new()
    {
        Name = station.Config.Name,
        Address = station.Config.Address.ToString(),
        Port = station.Config.Port,
        Policy = [.. Config.BmpPolicyWords.Words(station.Config.Policies)],
        State = station.IsSynced ? "up" : station.IsUp ? "syncing" : "down",
        StateSeconds = Seconds(station.Since),
        Connections = station.Connections,
        Drops = station.Drops,
        MessagesSent = station.MessagesSent,
        BytesSent = station.BytesSent,
        QueuedBytes = station.Link?.Queued ?? 0,
        LastError = Empty(station.LastError),
    };

    /// <inheritdoc/>
    public IReadOnlyList<PeerDto> GetPeers()
    {
        PeerSession[] peers = daemon.Peers.All;
        Dictionary<ushort, FamilyCountsDto> v4 = Counts(daemon.Context.V4, peers);
        Dictionary<ushort, FamilyCountsDto> v6 = Counts(daemon.Context.V6, peers);
        return [.. peers.Select(peer => new PeerDto
        {
            Name = peer.Settings.Name,
            Address = peer.Settings.Address.ToString(),
            Asn = Asn(peer),
            State = StateName(peer),
            UptimeSeconds = Seconds(peer.StateSince),
            Families = Families(peer, v4, v6),
            LastError = Empty(peer.LastError),
            Group = Empty(peer.Settings.Group),
            Description = Empty(peer.Settings.Description),
            BirdName = Empty(peer.Settings.BirdName),
            Bfd = Bfd(peer),
        })];
    }

    /// <inheritdoc/>
    public PeerDetailDto? GetPeer(string name)
    {
        if (daemon.Peers.Find(name) is not { } peer)
        {
            return null;
        }

        PeerSession[] one = [peer];
        PeerSettings settings = peer.Settings;
        EstablishedSession? session = peer.Established;
        NegotiatedSession? negotiated = session?.Negotiated;
        Config.PeerConfig? config = peer.IsDynamic
            ? daemon.Model.DynamicPeers.FirstOrDefault(item => item.Template.Group == settings.Group)?.Template
            : daemon.Model.Peers.FirstOrDefault(item => item.Name == settings.Name);
        return new PeerDetailDto
        {
            Name = settings.Name,
            Address = settings.Address.ToString(),
            Asn = Asn(peer),
            State = StateName(peer),
            UptimeSeconds = Seconds(peer.StateSince),
            Families = Families(peer, Counts(daemon.Context.V4, one), Counts(daemon.Context.V6, one)),
            LastError = Empty(peer.LastError),
            Group = Empty(settings.Group),
            Description = Empty(settings.Description),
            BirdName = Empty(settings.BirdName),
            Bfd = Bfd(peer),
            LocalAsn = settings.LocalAsn,
            LocalAddress = session is null ? settings.SourceAddress.IsNone ? null : settings.SourceAddress.ToString() : session.Peer.LocalAddress.ToString(),
            RouterId = negotiated is null ? null : IpAddr.V4(negotiated.PeerRouterId).ToString(),
            Ibgp = settings.IsIbgp,
            Passive = settings.Passive,
            RouteReflectorClient = settings.IsClient,
            HoldSeconds = negotiated?.HoldTime ?? settings.HoldTime,
            KeepaliveSeconds = SessionFsm.KeepaliveOf(negotiated?.HoldTime ?? settings.HoldTime, settings.Times),
            Md5 = settings.Md5.Length > 0,
            Since = peer.StateSince,
            SinceSeconds = Seconds(peer.StateSince),
            CapabilitiesSent = Words(negotiated?.Local.Capabilities),
            CapabilitiesReceived = Words(negotiated?.Remote.Capabilities),
            CapabilitiesNegotiated = Words(negotiated),
            Stale = peer.StaleState,
            StaleSeconds = peer.StaleSeconds(),
            Counters = new Dictionary<string, long>(StringComparer.Ordinal)
            {
                ["updatesReceived"] = peer.Counters.Updates,
                ["treatedAsWithdraw"] = peer.Counters.Withdrawn,
                ["attributesDiscarded"] = peer.Counters.Discarded,
                ["loops"] = peer.Counters.Loops,
                ["established"] = peer.EstablishedCount,
                ["octetsSent"] = (session?.MemberOf(AfiSafi.Ipv4Unicast)?.OctetsSent ?? 0) + (session?.MemberOf(AfiSafi.Ipv6Unicast)?.OctetsSent ?? 0),
                ["detached"] = (session?.MemberOf(AfiSafi.Ipv4Unicast)?.Detachments ?? 0) + (session?.MemberOf(AfiSafi.Ipv6Unicast)?.Detachments ?? 0),
                ["updatesSent"] = (session?.MemberOf(AfiSafi.Ipv4Unicast)?.MessagesSent ?? 0) + (session?.MemberOf(AfiSafi.Ipv6Unicast)?.MessagesSent ?? 0),
            },
            Import = config is null ? [] : [.. config.Import],
            Export = config is null ? [] : [.. config.Export],
            Resets = [.. peer.History.ToArray().Select(item => new PeerResetDto(item.Time, Seconds(item.Time), item.Reason))],
        };
    }

    /// <inheritdoc/>
    public Task<CommandDto> PeerCommandAsync(string name, PeerAction action, Caller caller, CancellationToken cancel)
    {
        if (daemon.Peers.Find(name) is not { } peer)
        {
            return Task.FromResult(new CommandDto(false, $"no peer '{name}'", 1));
        }

        // What cannot be done is said, and what is so already is not done again.
        if (action != PeerAction.Disable && peer.Settings.Unusable is { } unusable)
        {
            return Task.FromResult(new CommandDto(false, $"{name} stays down: {unusable}", 1));
        }

        string message;
        switch (action)
        {
            case PeerAction.Disable when peer.IsAdminDown:
                message = "already disabled";
                break;
            case PeerAction.Enable when !peer.IsAdminDown:
                message = "already enabled";
                break;
            case PeerAction.Restart when peer.IsAdminDown:
                return Task.FromResult(new CommandDto(false, $"{name} is disabled", 1));
            case PeerAction.Disable:
                peer.Disable(caller.Reason);
                message = "disabled";
                break;
            case PeerAction.Enable:
                peer.Enable();
                message = "enabled";
                break;
            case PeerAction.Restart:
                peer.Restart(caller.Reason);
                message = "restarted";
                break;
            default:
                if (peer.Established is null)
                {
                    return Task.FromResult(new CommandDto(false, $"{name} is not established", 1));
                }

                if (action is PeerAction.RefreshOut or PeerAction.Refresh)
                {
                    peer.RefreshOut();
                }

                if (action is PeerAction.RefreshIn or PeerAction.Refresh && !peer.RequestRefresh())
                {
                    return Task.FromResult(new CommandDto(false, $"{name} did not announce route refresh", 1));
                }

                message = "refresh requested";
                break;
        }

        return Task.FromResult(new CommandDto(true, $"{name}: {message}"));
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<FibDto> GetFibAsync(bool diff, [EnumeratorCancellation] CancellationToken cancel)
    {
        if (daemon.Kernel is not { } kernel)
        {
            yield break;
        }

        await Task.CompletedTask.ConfigureAwait(false);
        foreach (FibDto item in kernel.ListV4(diff).OrderBy(static item => item.Prefix).Select(static item => Fib(item)))
        {
            yield return item;
        }

        foreach (FibDto item in kernel.ListV6(diff).OrderBy(static item => item.Prefix).Select(static item => Fib(item)))
        {
            yield return item;
        }

        if (!diff)
        {
            yield break;
        }

        await foreach (FibDto item in UnresolvedAsync(daemon.Context.V4, cancel).ConfigureAwait(false))
        {
            yield return item;
        }

        await foreach (FibDto item in UnresolvedAsync(daemon.Context.V6, cancel).ConfigureAwait(false))
        {
            yield return item;
        }
    }

    /// <inheritdoc/>
    public async Task<ReloadDto> ReloadAsync(bool dryRun, bool wait, TimeSpan? confirm, Caller caller, CancellationToken cancel)
    {
        ReloadDto result = daemon.Reload(null, dryRun, confirm);
        if (wait && result.Accepted && !dryRun && !await daemon.InForceAsync(cancel).ConfigureAwait(false))
        {
            result = result with { Warnings = [.. result.Warnings, "applied, but some neighbours have not read yet what they were sent before"] };
        }

        return result;
    }

    /// <inheritdoc/>
    public Task<CommandDto> ConfirmAsync(Caller caller, CancellationToken cancel)
    {
        return Task.FromResult(daemon.Confirm() ? new CommandDto(true, "confirmed") : new CommandDto(false, "nothing waits to be confirmed", 1));
    }

    /// <inheritdoc/>
    public Task<CommandDto> RollbackAsync(Caller caller, CancellationToken cancel)
    {
        return Task.FromResult(daemon.Rollback() ? new CommandDto(true, "rolled back") : new CommandDto(false, "there is no configuration to go back to", 1));
    }

    /// <inheritdoc/>
    public Task<ReloadDto> DiffAsync(string? file, CancellationToken cancel) => Task.FromResult(daemon.Reload(file, dryRun: true, confirm: null));

    /// <inheritdoc/>
    public Task<CommandDto> ShutdownAsync(bool hard, Caller caller, CancellationToken cancel)
    {
        daemon.ShutdownRequested.TrySetResult(hard);
        return Task.FromResult(new CommandDto(true, hard ? "shutting down: sessions get Cease, own kernel routes are removed" : "shutting down: kernel routes stay"));
    }

    /// <inheritdoc/>
    public async Task<bool> WaitPeersEstablishedAsync(string? peer, TimeSpan timeout, CancellationToken cancel)
    {
        using CancellationTokenSource limit = new(timeout, daemon.Time);
        using CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancel);
        while (true)
        {
            Task next = daemon.StateVersion.Next;
            PeerSession[] wanted = [.. daemon.Peers.All.Where(session => peer is null ? !session.IsAdminDown && !session.IsDynamic : session.Settings.Name == peer)];
            if (daemon.HasPeers && (wanted.Length > 0 || peer is null) && Array.TrueForAll(wanted, static session => session.State == SessionState.Established))
            {
                return true;
            }

            try
            {
                await next.WaitAsync(s_never, daemon.Time, both.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                return false;
            }
        }
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<EventDto> EventsAsync(bool log, CancellationToken cancel) => log ? daemon.LogEvents.WatchAsync(cancel) : daemon.Events.WatchAsync(cancel);

    internal static string StateName(PeerSession peer) => peer.IsAdminDown ? "adminDown" : peer.State switch
    {
        SessionState.OpenSent => "openSent",
        SessionState.OpenConfirm => "openConfirm",
        SessionState.Established => "established",
        SessionState.Connect => "connect",
        SessionState.Active => "active",
        _ => "idle",
    };

    private static BfdDto? Bfd(PeerSession peer)
    {
        if (peer.Settings.Bfd is not { } settings)
        {
            return null;
        }

        if (peer.Bfd is not { } session)
        {
            // Held down with the peer.
            return new BfdDto { State = "adminDown", RemoteState = "down", Multihop = settings.Multihop, Multiplier = settings.Parameters.Multiplier };
        }

        BfdStatus status = session.Status;
        return new BfdDto
        {
            State = Name(status.State),
            RemoteState = Name(status.RemoteState),
            StateSeconds = Math.Round((BfdService.Now - status.Since) / 1e6, 3),
            Diagnostic = Reason(status.Diagnostic),
            RemoteDiagnostic = Reason(status.RemoteDiagnostic),
            Multihop = settings.Multihop,
            TransmitIntervalMs = status.TransmitInterval / 1e3,
            DetectionTimeMs = status.DetectionTime / 1e3,
            Multiplier = settings.Parameters.Multiplier,
            LocalDiscriminator = status.LocalDiscriminator,
            RemoteDiscriminator = status.RemoteDiscriminator,
            PacketsSent = session.Sent,
            PacketsReceived = session.Received,
            SendErrors = session.SendErrors,
            Losses = status.Losses,
            Problem = status.Problem,
        };

        static string Name(BfdState state) => state switch { BfdState.AdminDown => "adminDown", BfdState.Down => "down", BfdState.Init => "init", _ => "up" };

        static string? Reason(BfdDiagnostic diagnostic) => diagnostic switch
        {
            BfdDiagnostic.None => null,
            BfdDiagnostic.DetectionTimeExpired => "detectionTimeExpired",
            BfdDiagnostic.EchoFailed => "echoFailed",
            BfdDiagnostic.NeighborSignaledDown => "neighborSignaledDown",
            BfdDiagnostic.ForwardingPlaneReset => "forwardingPlaneReset",
            BfdDiagnostic.PathDown => "pathDown",
            BfdDiagnostic.ConcatenatedPathDown => "concatenatedPathDown",
            BfdDiagnostic.AdministrativelyDown => "administrativelyDown",
            BfdDiagnostic.ReverseConcatenatedPathDown => "reverseConcatenatedPathDown",
            _ => string.Create(CultureInfo.InvariantCulture, $"{(byte)diagnostic}"),
        };
    }

    private static string? Empty(string text) => text.Length == 0 ? null : text;

    private static uint Asn(PeerSession peer) => peer.Settings.Asn != 0 ? peer.Settings.Asn : peer.Established?.Peer.Asn ?? 0;

    private static TResult Ask<TPrefix, TResult>(RibLoop<TPrefix> loop, Func<RibLoop<TPrefix>, TResult> question)
        where TPrefix : unmanaged, IPrefix<TPrefix> => loop.AskAsync(question).GetAwaiter().GetResult();

    private static Dictionary<ushort, FamilyCountsDto> Counts<TPrefix>(RibLoop<TPrefix> loop, PeerSession[] peers)
        where TPrefix : unmanaged, IPrefix<TPrefix> => Ask(loop, table =>
        {
            Dictionary<ushort, FamilyCountsDto> counts = [];
            foreach (PeerSession peer in peers)
            {
                RibSession<TPrefix>? session = table.SessionOf(peer.Index);
                long advertised = session is { Group: { } group, Member: { } member } ? group.AdvertisedTo(member) : 0;
                counts[peer.Index] = new FamilyCountsDto(table.Shard.PathCount(peer.Index), table.Shard.AcceptedCount(peer.Index), advertised);
            }

            return counts;
        });

    private static Dictionary<string, FamilyCountsDto> Families(PeerSession peer, Dictionary<ushort, FamilyCountsDto> v4, Dictionary<ushort, FamilyCountsDto> v6)
    {
        Dictionary<string, FamilyCountsDto> families = new(StringComparer.Ordinal);
        foreach (FamilySettings family in peer.Settings.Families)
        {
            families[family.Family.Name()] = (family.Family == AfiSafi.Ipv4Unicast ? v4 : v6)[peer.Index];
        }

        return families;
    }

    private static List<string> Words(Capabilities? capabilities)
    {
        List<string> words = [];
        if (capabilities is null)
        {
            return words;
        }

        words.AddRange(capabilities.Families.Select(static family => family.Name()));
        Add(words, capabilities.As4 is not null, "as4");
        Add(words, capabilities.RouteRefresh, "route-refresh");
        Add(words, capabilities.EnhancedRefresh, "enhanced-refresh");
        Add(words, capabilities.ExtendedMessages, "extended-messages");
        Add(words, capabilities.ExtendedNextHop, "extended-next-hop");
        Add(words, capabilities.AddPath.Count > 0, "add-path");
        if (capabilities.GracefulRestart is { } restart)
        {
            words.Add(string.Create(CultureInfo.InvariantCulture, $"graceful-restart({restart.RestartTime}s{(restart.RestartState ? ", restarting" : "")})"));
        }

        Add(words, capabilities.LongLived.Count > 0, "long-lived-graceful-restart");
        return words;
    }

    private static List<string> Words(NegotiatedSession? session)
    {
        List<string> words = [];
        if (session is null)
        {
            return words;
        }

        foreach (AfiSafi family in (ReadOnlySpan<AfiSafi>)[AfiSafi.Ipv4Unicast, AfiSafi.Ipv6Unicast])
        {
            Add(words, session.HasFamily(family), family.Name());
            Add(words, session.AddPathReceive(family), $"add-path-receive({family.Name()})");
            Add(words, session.AddPathSend(family), $"add-path-send({family.Name()})");
        }

        Add(words, session.As4, "as4");
        Add(words, session.RouteRefresh, "route-refresh");
        Add(words, session.EnhancedRefresh, "enhanced-refresh");
        Add(words, session.ExtendedMessages, "extended-messages");
        Add(words, session.ExtendedNextHop, "extended-next-hop");
        Add(words, session.PeerGracefulRestart is not null, "graceful-restart");
        return words;
    }

    private static void Add(List<string> words, bool present, string word)
    {
        if (present)
        {
            words.Add(word);
        }
    }

    private double Seconds(DateTimeOffset since) => Math.Round((Now - since).TotalSeconds, 3);
}
