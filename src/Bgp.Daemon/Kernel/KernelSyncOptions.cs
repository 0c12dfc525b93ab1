namespace Bgp.Daemon.Kernel;

/// <summary>How <see cref="KernelSync"/> works.</summary>
public sealed record KernelSyncOptions
{
    /// <summary>The routing table that is watched and written; 254 is main.</summary>
    public uint Table { get; init; } = 254;

    /// <summary>rtm_protocol of our routes; 12 is what BIRD writes and what Calico's agent leaves alone.</summary>
    public byte Protocol { get; init; } = 12;

    /// <summary>Whether IPv4 routes of our protocol are ours; when false another process owns them and nothing is adopted or removed.</summary>
    public bool OwnsV4 { get; init; } = true;

    /// <summary>The same for IPv6.</summary>
    public bool OwnsV6 { get; init; } = true;

    /// <summary>Receive buffer of the socket that hears notifications, bytes. An overrun costs a full dump.</summary>
    public int ReceiveBufferBytes { get; init; } = 8 << 20;

    /// <summary>How often the tables are compared with a full dump although nothing seems to be missing.</summary>
    public TimeSpan AuditInterval { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Whether desired routes are written. When false only learning works.</summary>
    public bool Install { get; init; } = true;

    /// <summary>Whether routes are written by the id of a next hop object, which they share, where the kernel has them.</summary>
    public bool NexthopObjects { get; init; }

    /// <summary>Called on a thread of the kernel side with one line for the log; must not block.</summary>
    public Action<string>? Log { get; init; }
}

/// <summary>Counters since the start. All of both families.</summary>
public readonly record struct KernelSyncStatistics(
    long Requests, long RequestErrors, long Batches, long Notifications, long OwnEchoes, long Malformed, long Overruns, long Resyncs, long Verifications,
    int Links, int Addresses, int RoutesV4, int RoutesV6, int OwnV4, int OwnV6, int DesiredV4, int DesiredV6, int PendingV4, int PendingV6, int FailedV4, int FailedV6,
    int NexthopObjects, int OwnNexthopObjects, string? LastError);
