using System.Text.Json;
using System.Text.Json.Serialization;

namespace Bgp.Daemon.Control;

/// <summary>Prefix counts of one family with one peer.</summary>
public sealed record FamilyCountsDto(long Received, long Accepted, long Advertised);

/// <summary>One peer in a list. <c>state</c>: idle, connect, active, openSent, openConfirm, established, adminDown.</summary>
public record PeerDto
{
    [JsonPropertyOrder(-1)]
    public required string Name { get; init; }
    [JsonPropertyOrder(-1)]
    public required string Address { get; init; }
    [JsonPropertyOrder(-1)]
    public uint Asn { get; init; }
    [JsonPropertyOrder(-1)]
    public required string State { get; init; }

    /// <summary>Seconds in the present state since the session came up or went down.</summary>
    [JsonPropertyOrder(-1)]
    public double UptimeSeconds { get; init; }

    /// <summary>By <c>ipv4</c>, <c>ipv6</c>.</summary>
    [JsonPropertyOrder(-1)]
    public IReadOnlyDictionary<string, FamilyCountsDto> Families { get; init; } = new Dictionary<string, FamilyCountsDto>();
    [JsonPropertyOrder(-1)]
    public string? LastError { get; init; }
    [JsonPropertyOrder(-1)]
    public string? Group { get; init; }
    [JsonPropertyOrder(-1)]
    public string? Description { get; init; }
    [JsonPropertyOrder(-1)]
    public string? BirdName { get; init; }

    /// <summary>Null where the peer is configured without.</summary>
    [JsonPropertyOrder(-1)]
    public BfdDto? Bfd { get; init; }
}

/// <summary>BFD of a peer. <c>state</c>: down, init, up, adminDown; of the neighbour as last heard. Intervals are 0 where nothing is sent or expected.</summary>
public sealed record BfdDto
{
    public required string State { get; init; }
    public required string RemoteState { get; init; }

    /// <summary>Seconds in the present state.</summary>
    public double StateSeconds { get; init; }

    /// <summary>Why it went down the last time, by our account; null where it did not.</summary>
    public string? Diagnostic { get; init; }
    public string? RemoteDiagnostic { get; init; }
    public bool Multihop { get; init; }
    public double TransmitIntervalMs { get; init; }
    public double DetectionTimeMs { get; init; }
    public int Multiplier { get; init; }
    public uint LocalDiscriminator { get; init; }
    public uint RemoteDiscriminator { get; init; }
    public long PacketsSent { get; init; }
    public long PacketsReceived { get; init; }
    public long SendErrors { get; init; }

    /// <summary>How often it went from up to down.</summary>
    public long Losses { get; init; }

    /// <summary>Why it cannot work, or null.</summary>
    public string? Problem { get; init; }
}

/// <summary>A past end of a session.</summary>
public sealed record PeerResetDto(DateTimeOffset At, double AtSeconds, string Reason);

/// <summary>Everything about one peer.</summary>
public sealed record PeerDetailDto : PeerDto
{
    public uint LocalAsn { get; init; }
    public string? LocalAddress { get; init; }
    public string? RouterId { get; init; }
    public bool Ibgp { get; init; }
    public bool Passive { get; init; }
    public bool RouteReflectorClient { get; init; }
    public double HoldSeconds { get; init; }
    public double KeepaliveSeconds { get; init; }
    public bool Md5 { get; init; }
    public DateTimeOffset? Since { get; init; }
    public double? SinceSeconds { get; init; }
    public IReadOnlyList<string> CapabilitiesSent { get; init; } = [];
    public IReadOnlyList<string> CapabilitiesReceived { get; init; } = [];
    public IReadOnlyList<string> CapabilitiesNegotiated { get; init; } = [];

    /// <summary>What is kept of an earlier session's routes: <c>restarting</c> (RFC 4724), <c>longLived</c> (RFC 9494), or null for nothing.</summary>
    public string? Stale { get; init; }

    /// <summary>Until they go or become long-lived stale; null where no time runs.</summary>
    public double? StaleSeconds { get; init; }

    /// <summary>Named counters: messages and updates in and out, treat-as-withdraw and so on.</summary>
    public IReadOnlyDictionary<string, long> Counters { get; init; } = new Dictionary<string, long>();
    public IReadOnlyList<string> Import { get; init; } = [];
    public IReadOnlyList<string> Export { get; init; } = [];
    public IReadOnlyList<PeerResetDto> Resets { get; init; } = [];
}

/// <summary>One path.</summary>
public sealed record RouteDto
{
    public required string Prefix { get; init; }
    public string? NextHop { get; init; }
    public string? From { get; init; }
    public bool Best { get; init; }
    public bool Installed { get; init; }
    public string? Origin { get; init; }
    public string AsPath { get; init; } = "";
    public uint? LocalPref { get; init; }
    public uint? Med { get; init; }
    public IReadOnlyList<string> Communities { get; init; } = [];
    public IReadOnlyList<string> LargeCommunities { get; init; } = [];
    public string? OriginatorId { get; init; }
    public IReadOnlyList<string> ClusterList { get; init; } = [];
    public uint? PathId { get; init; }

    /// <summary>kernel, originate or bgp.</summary>
    public required string Source { get; init; }
    public string? RejectedBy { get; init; }

    /// <summary>Interface that it leaves through: the kernel route's own, or what the next hop resolves to.</summary>
    public string? Device { get; init; }

    /// <summary>blackhole, unreachable or prohibit, of a kernel route that discards; null for one that forwards.</summary>
    public string? Type { get; init; }

    /// <summary>Gateway that the next hop resolves to; null where it is on the link itself, or there is no kernel.</summary>
    public string? Gateway { get; init; }
}

/// <summary>Which routes. Null and false: no condition.</summary>
public sealed record RouteQuery
{
    /// <summary>A prefix (exact), or an address (longest match).</summary>
    public string? Prefix { get; init; }

    /// <summary>Also everything inside <see cref="Prefix"/>.</summary>
    public bool Longer { get; init; }

    /// <summary>Accepted from this peer.</summary>
    public string? From { get; init; }

    /// <summary>Everything received from this peer, rejected routes too.</summary>
    public string? Received { get; init; }

    /// <summary>As advertised to this peer.</summary>
    public string? To { get; init; }

    /// <summary>With <see cref="To"/>: the paths in the table that are behind what was sent, as BIRD's <c>show route export</c> has them.</summary>
    [JsonIgnore]
    public bool AsStored { get; init; }

    /// <summary>Only what import filters rejected.</summary>
    public bool Filtered { get; init; }
    public bool Best { get; init; }

    /// <summary>4, 6, or 0 for both.</summary>
    public int Family { get; init; }
}

/// <summary>Restart state.</summary>
public sealed record GracefulRestartDto(bool Recovering, int WaitingForPeers, double? RemainingSeconds)
{
    /// <summary>Whether selection and exports wait, too, and not only the removal of old kernel routes.</summary>
    public bool ExportsHeld { get; init; }

    /// <summary>Who is waited for.</summary>
    public IReadOnlyList<WaitingPeerDto> WaitingFor { get; init; } = [];
}

/// <summary>A peer that a restart waits for. <c>reason</c>: connection, session, End-of-RIB.</summary>
public sealed record WaitingPeerDto(string Name, string Reason);

/// <summary>The daemon.</summary>
public sealed record StatusDto
{
    public required string Name { get; init; }
    public required string Version { get; init; }
    public required string RouterId { get; init; }
    public uint Asn { get; init; }
    public double UptimeSeconds { get; init; }
    public int PeersEstablished { get; init; }
    public int PeersTotal { get; init; }
    public long Prefixes { get; init; }
    public long Paths { get; init; }
    public required string ConfigHash { get; init; }
    public GracefulRestartDto? GracefulRestart { get; init; }
    public DateTimeOffset? StartedAt { get; init; }
    public DateTimeOffset? ConfigLoadedAt { get; init; }
    public double? ConfigLoadedSeconds { get; init; }

    /// <summary>Why the last reload was refused, so that an older configuration runs; empty where it was not.</summary>
    public IReadOnlyList<string> ConfigErrors { get; init; } = [];

    /// <summary>Seconds until an unconfirmed reload is rolled back; null when none waits.</summary>
    public double? ConfirmRemainingSeconds { get; init; }

    /// <summary>disabled, or how many routes are ours, pending and failed: text for people. Numbers: <c>/metrics</c>.</summary>
    public string? Kernel { get; init; }
    public string? KernelError { get; init; }

    /// <summary>Addresses (BGP, metrics) that are configured and cannot be listened on, each with the reason; null where all can.</summary>
    public string? NotListening { get; init; }

    /// <summary>BMP stations; empty where none is configured.</summary>
    public IReadOnlyList<BmpDto> Bmp { get; init; } = [];
}

/// <summary>A BMP station. <c>state</c>: down, syncing (the first dump runs), up.</summary>
public sealed record BmpDto
{
    public required string Name { get; init; }
    public required string Address { get; init; }
    public int Port { get; init; }

    /// <summary>pre, post, locRib.</summary>
    public IReadOnlyList<string> Policy { get; init; } = [];
    public required string State { get; init; }

    /// <summary>Since it was connected or lost.</summary>
    public double StateSeconds { get; init; }
    public long Connections { get; init; }

    /// <summary>Connections given up because the station read too slowly or not at all.</summary>
    public long Drops { get; init; }
    public long MessagesSent { get; init; }
    public long BytesSent { get; init; }
    public long QueuedBytes { get; init; }
    public string? LastError { get; init; }
}

/// <summary>One step of an explanation.</summary>
/// <param name="Topic">import, best, export, kernel.</param>
/// <param name="Subject">The path, kernel route or peer it is about.</param>
/// <param name="Verdict">The outcome in a word or two.</param>
/// <param name="Reason">Why.</param>
public sealed record ExplainStepDto(string Topic, string Subject, string Verdict, string Reason);

/// <summary>Why a prefix stands as it does.</summary>
public sealed record ExplainDto(string Prefix, bool Found, IReadOnlyList<RouteDto> Paths, IReadOnlyList<ExplainStepDto> Steps);

/// <summary>A wanted or installed kernel route. <c>state</c>: installed, pending, alien, failed, stale.</summary>
public sealed record FibDto(string Prefix, string State, string? Wanted, string? Kernel, string? LastError);

/// <summary>What one change does to one thing. <c>impact</c>: none, refresh, timers, reset, add, remove, change.</summary>
public sealed record ChangeDto(string Kind, string Name, string Impact, string Detail);

/// <summary>Outcome of reload, diff, confirm, rollback.</summary>
public sealed record ReloadDto
{
    /// <summary>False: refused whole, the running configuration stays.</summary>
    public bool Accepted { get; init; }
    public IReadOnlyList<string> Errors { get; init; } = [];
    public IReadOnlyList<string> Warnings { get; init; } = [];
    public IReadOnlyList<ChangeDto> Changes { get; init; } = [];
    public string? ConfigHash { get; init; }
    public double? ConfirmWithinSeconds { get; init; }
}

/// <summary>Outcome of a command. <c>code</c> is an exit code of the CLI.</summary>
public sealed record CommandDto(bool Ok, string Message, int Code = 0);

/// <summary>Memory of an update group: sessions that are sent the same octets.</summary>
/// <param name="Kind">ebgp, ibgp or ibgpClient.</param>
/// <param name="Advertised">Routes announced by the group as a whole.</param>
/// <param name="TableBytes">Adj-RIB-Out and what is remembered to compute it.</param>
/// <param name="LogBytes">Encoded messages that some member has yet to read.</param>
/// <param name="Detached">Members that read too slowly at present.</param>
/// <param name="Walks">Walks under way.</param>
public sealed record GroupMemoryDto(string Family, string Kind, int Members, int PathsPerPrefix, long Advertised, long TableBytes, long LogBytes, int Detached, int Walks);

/// <summary>Memory that a peer is the cause of.</summary>
/// <param name="PathBytes">Its paths in the tables, without the attribute sets, which others may share.</param>
/// <param name="PendingBytes">What it has yet to read of its groups' logs; shared with other members that are behind too.</param>
/// <param name="BufferBytes">Buffers of its connection.</param>
public sealed record PeerMemoryDto(string Name, long Paths, long PathBytes, long PendingBytes, long BufferBytes);

/// <summary>Memory in octets by part. <c>perUnit</c>: octets for each prefix, path, attribute set.</summary>
public sealed record MemoryDto(IReadOnlyDictionary<string, long> Bytes, IReadOnlyDictionary<string, long> Counts)
{
    public IReadOnlyDictionary<string, double> PerUnit { get; init; } = new Dictionary<string, double>();
    public IReadOnlyList<GroupMemoryDto> Groups { get; init; } = [];
    public IReadOnlyList<PeerMemoryDto> Peers { get; init; } = [];
}

/// <summary>Something that happened. <c>type</c>: peer-up, peer-down, peer-state, config; log in the log.</summary>
public sealed record EventDto(DateTimeOffset At, double AtSeconds, string Type, string? Peer, string Message, string? Level = null);

/// <summary>Whole MRT records, in base64 on the wire.</summary>
public sealed record MrtDto(byte[] Records);

/// <summary>Number of routes.</summary>
public sealed record CountDto(long Count);

/// <summary>A request line.</summary>
public sealed record RequestDto
{
    public required string Verb { get; init; }
    public string? Peer { get; init; }
    public string? Action { get; init; }
    public string? Reason { get; init; }
    public string? Prefix { get; init; }
    public string? To { get; init; }
    public RouteQuery? Routes { get; init; }
    public bool Flag { get; init; }
    public bool Wait { get; init; }
    public double? Seconds { get; init; }

    /// <summary>Text of a configuration file on the client's side (diff FILE): its absolute path.</summary>
    public string? File { get; init; }
}

/// <summary>First and last line of an answer: <c>{"ok":true}</c>, then one item per line, then <c>{"end":true}</c>; or ok false with a code.</summary>
public sealed record ReplyDto
{
    public bool? Ok { get; init; }
    public bool? End { get; init; }
    public int? Code { get; init; }
    public string? Error { get; init; }
}

/// <summary>Source-generated JSON of everything on the control socket and in <c>-o json</c>.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DictionaryKeyPolicy = JsonKnownNamingPolicy.CamelCase, MaxDepth = 16)]
[JsonSerializable(typeof(PeerDto))]
[JsonSerializable(typeof(PeerDetailDto))]
[JsonSerializable(typeof(RouteDto))]
[JsonSerializable(typeof(StatusDto))]
[JsonSerializable(typeof(ExplainDto))]
[JsonSerializable(typeof(FibDto))]
[JsonSerializable(typeof(ReloadDto))]
[JsonSerializable(typeof(CommandDto))]
[JsonSerializable(typeof(MemoryDto))]
[JsonSerializable(typeof(EventDto))]
[JsonSerializable(typeof(CountDto))]
[JsonSerializable(typeof(MrtDto))]
[JsonSerializable(typeof(RequestDto))]
[JsonSerializable(typeof(ReplyDto))]
[JsonSerializable(typeof(JsonElement))]
public sealed partial class ControlJson : JsonSerializerContext;
