using System.Runtime.CompilerServices;
using Bgp.Daemon.Control;

namespace Bgp.Daemon.Tests.Control;

/// <summary>A daemon with two peers and as many routes as a test wants.</summary>
internal sealed class FakeQueries : IDaemonQueries
{
    internal int RouteCount { get; set; } = 2;

    internal List<string> Commands { get; } = [];

    /// <summary>BFD of the first peer.</summary>
    internal BfdDto? Bfd { get; set; }

    internal TaskCompletionSource<bool> Established { get; } = new();

    internal TaskCompletionSource StreamEnded { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public IReadOnlyCollection<string> PeerNames { get; } = ["rr1", "tor1"];

    public IReadOnlyList<string> FindPeers(string nameOrAddress) => nameOrAddress switch
    {
        "10.0.0.250" => ["rr1"],
        "10.0.0.252" => [.. PeerNames.Take(2)],
        _ => [.. PeerNames.Where(name => name == nameOrAddress)],
    };

    public StatusDto GetStatus() => new() { Name = "node-a", Version = "0.1.0", RouterId = "10.0.0.1", Asn = 64512, UptimeSeconds = 3700, PeersEstablished = 1, PeersTotal = 2, Prefixes = 3, Paths = 4, ConfigHash = "abc", Kernel = "synced" };

    public IReadOnlyList<PeerDto> GetPeers() =>
    [
        new PeerDto { Name = "rr1", Address = "10.0.0.250", Asn = 64512, State = "established", UptimeSeconds = 273_600, Families = new Dictionary<string, FamilyCountsDto> { ["ipv4"] = new(4, 4, 3) }, Bfd = Bfd },
        new PeerDto { Name = "tor1", Address = "2001:db8:1234:5678:9abc:def0:1234:5678", Asn = 65001, State = "active", UptimeSeconds = 9, LastError = "connect: no route to host\e[31m" },
    ];

    public PeerDetailDto? GetPeer(string name) => new() { Name = name, Address = "10.0.0.250", Asn = 64512, LocalAsn = 64512, Ibgp = true, State = "established", UptimeSeconds = 60, Md5 = true };

    public Task<CommandDto> PeerCommandAsync(string name, PeerAction action, Caller caller, CancellationToken cancel)
    {
        Commands.Add($"{name} {action} {caller.Reason}");
        return Task.FromResult(action == PeerAction.Enable ? new CommandDto(false, "already enabled", 1) : new CommandDto(true, $"{name}: {action}"));
    }

    public async IAsyncEnumerable<RouteDto> GetRoutesAsync(RouteQuery query, [EnumeratorCancellation] CancellationToken cancel)
    {
        await Task.Yield();
        try
        {
            for (int i = 0; i < RouteCount; i++)
            {
                cancel.ThrowIfCancellationRequested();
                yield return new RouteDto { Prefix = $"10.244.{i}.0/26", NextHop = "10.0.0.2", From = "rr1", Best = true, Installed = i == 0, Origin = "igp", LocalPref = 100, AsPath = "65001 {1 2}", Source = "bgp", Communities = ["65001:100"] };
            }
        }
        finally
        {
            StreamEnded.TrySetResult();
        }
    }

    public Task<long> CountRoutesAsync(RouteQuery query, CancellationToken cancel) => Task.FromResult((long)RouteCount);

    public Task<ExplainDto> ExplainAsync(string prefix, string? to, CancellationToken cancel) =>
        Task.FromResult(new ExplainDto(prefix, prefix != "9.9.9.0/24", [], [new ExplainStepDto("best", "rr1", "best", "higher LOCAL_PREF")]));

    public async IAsyncEnumerable<FibDto> GetFibAsync(bool diff, [EnumeratorCancellation] CancellationToken cancel)
    {
        await Task.Yield();
        yield return new FibDto("10.244.0.0/26", "failed", "via 10.0.0.2", null, "ENETUNREACH");
    }

    public Task<ReloadDto> ReloadAsync(bool dryRun, bool wait, TimeSpan? confirm, Caller caller, CancellationToken cancel) =>
        Task.FromResult(new ReloadDto { Accepted = !dryRun, Errors = dryRun ? ["f:1:1: error: x"] : [], Changes = [new ChangeDto("peer", "rr1", "reset", "port")], ConfirmWithinSeconds = confirm?.TotalSeconds });

    public Task<CommandDto> ConfirmAsync(Caller caller, CancellationToken cancel) => Task.FromResult(new CommandDto(true, "confirmed"));

    public Task<CommandDto> RollbackAsync(Caller caller, CancellationToken cancel) => Task.FromResult(new CommandDto(false, "nothing to roll back to"));

    public Task<ReloadDto> DiffAsync(string? file, CancellationToken cancel) => Task.FromResult(new ReloadDto { Accepted = true });

    public Task<CommandDto> ShutdownAsync(bool hard, Caller caller, CancellationToken cancel) => Task.FromResult(new CommandDto(true, hard ? "hard" : "soft"));

    public MemoryDto GetMemory() => new(new Dictionary<string, long> { ["rib"] = 1024 }, new Dictionary<string, long> { ["rib"] = 2 });

    public async IAsyncEnumerable<MrtDto> GetMrtAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        await Task.Yield();
        yield return new MrtDto([1, 2]);
        yield return new MrtDto([3]);
    }

    public async Task<bool> WaitPeersEstablishedAsync(string? peer, TimeSpan timeout, CancellationToken cancel)
    {
        await using CancellationTokenRegistration registration = cancel.Register(() => Established.TrySetCanceled(cancel));
        return timeout > TimeSpan.FromSeconds(1) && await Established.Task;
    }

    public async IAsyncEnumerable<EventDto> EventsAsync(bool log, [EnumeratorCancellation] CancellationToken cancel)
    {
        await Task.Yield();
        yield return new EventDto(DateTimeOffset.UnixEpoch, 0, "peerUp", "rr1", "established");
    }
}

/// <summary>A server on a socket of its own.</summary>
internal sealed class ServerFixture : IDisposable
{
    internal string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"pipit-{Guid.NewGuid():N}.sock");

    internal FakeQueries Queries { get; } = new();

    internal List<string> Log { get; } = [];

    internal ControlServer Server { get; }

    internal ServerFixture(TimeSpan? timeout = null, int maxClients = 64) =>
        Server = new ControlServer(new ControlServerOptions { Path = Path, Timeout = timeout ?? TimeSpan.FromSeconds(10), MaxClients = maxClients, Log = Log.Add }, Queries);

    public void Dispose() => Server.Dispose();
}
