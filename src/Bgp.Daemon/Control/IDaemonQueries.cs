namespace Bgp.Daemon.Control;

/// <summary>What a peer is told to do.</summary>
public enum PeerAction
{
    /// <summary>Down until enabled (Cease, Administrative Shutdown).</summary>
    Disable,

    /// <summary>Up again.</summary>
    Enable,

    /// <summary>Cease, Administrative Reset, then up.</summary>
    Restart,

    /// <summary>ROUTE-REFRESH to the peer.</summary>
    RefreshIn,

    /// <summary>All routes again to the peer.</summary>
    RefreshOut,

    /// <summary>Both.</summary>
    Refresh,
}

/// <summary>Who asks for a change, for the log.</summary>
public sealed record Caller(uint Uid, int Pid, string? Reason);

/// <summary>
/// What the control socket may ask of the daemon. Called on the control server's own threads, many at once. Answers come from snapshots
/// that the RIB publishes: none of the Get methods may wait for a long turn of the RIB, and a stream takes its rows in bounded pieces.
/// Peers are given by name: the server asks <see cref="FindPeers"/> for it first, so that unknown and ambiguous ones never get to the other methods.
/// </summary>
public interface IDaemonQueries
{
    /// <summary>Configured names and those of dynamic peers.</summary>
    IReadOnlyCollection<string> PeerNames { get; }

    /// <summary>The name of the peer that has this name, else of those that have this address.</summary>
    IReadOnlyList<string> FindPeers(string nameOrAddress);

    /// <summary>The daemon.</summary>
    StatusDto GetStatus();

    /// <summary>All peers in the order of the configuration.</summary>
    IReadOnlyList<PeerDto> GetPeers();

    /// <summary>One peer, or null.</summary>
    PeerDetailDto? GetPeer(string name);

    /// <summary>Carries out an action and says what happened.</summary>
    Task<CommandDto> PeerCommandAsync(string name, PeerAction action, Caller caller, CancellationToken cancel);

    /// <summary>Routes in numeric order of prefix, IPv4 first. The consumer is slow at will: no lock is held between two rows.</summary>
    IAsyncEnumerable<RouteDto> GetRoutesAsync(RouteQuery query, CancellationToken cancel);

    /// <summary>Number of routes that <see cref="GetRoutesAsync"/> would give.</summary>
    Task<long> CountRoutesAsync(RouteQuery query, CancellationToken cancel);

    /// <summary>Why. <paramref name="to"/> is a peer's name or null.</summary>
    Task<ExplainDto> ExplainAsync(string prefix, string? to, CancellationToken cancel);

    /// <summary>Wanted against kernel; only the differences with <paramref name="diff"/>.</summary>
    IAsyncEnumerable<FibDto> GetFibAsync(bool diff, CancellationToken cancel);

    /// <summary>Reads the configuration again and (unless dry) applies it. <paramref name="confirm"/>: rolled back unless confirmed in time.</summary>
    Task<ReloadDto> ReloadAsync(bool dryRun, bool wait, TimeSpan? confirm, Caller caller, CancellationToken cancel);

    /// <summary>Keeps an unconfirmed configuration.</summary>
    Task<CommandDto> ConfirmAsync(Caller caller, CancellationToken cancel);

    /// <summary>Back to the configuration before the last reload.</summary>
    Task<CommandDto> RollbackAsync(Caller caller, CancellationToken cancel);

    /// <summary>What a reload of <paramref name="file"/> (null: the daemon's own) would do.</summary>
    Task<ReloadDto> DiffAsync(string? file, CancellationToken cancel);

    /// <summary>Starts the end of the process and returns.</summary>
    Task<CommandDto> ShutdownAsync(bool hard, Caller caller, CancellationToken cancel);

    /// <summary>Memory by part.</summary>
    MemoryDto GetMemory();

    /// <summary>All routes as MRT records (RFC 6396): first the peer table, then some prefixes at a time.</summary>
    IAsyncEnumerable<MrtDto> GetMrtAsync(CancellationToken cancel);

    /// <summary>Completes true when the peer (null: all enabled peers) is established, false at the timeout.</summary>
    Task<bool> WaitPeersEstablishedAsync(string? peer, TimeSpan timeout, CancellationToken cancel);

    /// <summary>Events from now on. With <paramref name="log"/> the log's lines. A slow consumer loses events, the daemon never waits.</summary>
    IAsyncEnumerable<EventDto> EventsAsync(bool log, CancellationToken cancel);
}
