using System.Net.Sockets;

namespace Bgp.Daemon.Control.Bird;

/// <summary>What a BIRD-compatible socket is like.</summary>
public sealed record BirdServerOptions : UnixServerOptions
{
    /// <summary>1: the text of BIRD 1.6, which Calico's programs read; 2: that of BIRD 2.</summary>
    public int Dialect { get; init; } = 2;

    /// <summary>4 or 6: the socket is about one family, as that of one of Calico's two BIRDs is; 0: both.</summary>
    public int Family { get; init; }

    /// <summary>Whether it only answers questions.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Our version.</summary>
    public required string Version { get; init; }

    /// <summary>Name of the configuration file, for answers.</summary>
    public string ConfigPath { get; init; } = "";

    /// <summary>For the times in answers.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>As BIRD names its version: Calico wants <c>v</c> first, birdwatcher a digit.</summary>
    internal string BirdVersion => Dialect == 1 ? $"v0.3.3+birdv1.6.8+pipit-{Version}" : $"2.0.12+pipit-{Version}";
}

/// <summary>
/// A control socket that speaks as BIRD's does, for programs that were written for BIRD: calicoctl, calico-node's probes, bird_exporter, looking glasses, birdc.
/// </summary>
/// <remarks>
/// Who may connect is decided by the socket's mode and group, as with BIRD; who may change something also by the kernel's credentials, as on Pipit's own
/// socket. The answers come from the same queries as those of Pipit's own command line.
/// </remarks>
public sealed class BirdServer : UnixServer
{
    private static readonly byte[] s_busy = "8000 Too many clients\n"u8.ToArray();
    private readonly BirdServerOptions _options;
    private readonly IDaemonQueries _queries;

    /// <summary>Binds and starts to answer. Throws <see cref="IOException"/> when the path cannot be bound, or another daemon answers there.</summary>
    public BirdServer(BirdServerOptions options, IDaemonQueries queries)
        : base(options)
    {
        (_options, _queries) = (options, queries);
        Start();
    }

    /// <inheritdoc/>
    protected override ReadOnlyMemory<byte> Busy => s_busy;

    /// <inheritdoc/>
    protected override void Talk(Socket socket, in UnixClient client, CancellationToken stop) => new BirdConnection(socket, _options, _queries, client, stop).Run(idle => SetIdle(socket, idle));
}
