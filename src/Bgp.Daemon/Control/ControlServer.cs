using System.Net.Sockets;

namespace Bgp.Daemon.Control;

/// <summary>Limits of the control socket.</summary>
public sealed record ControlServerOptions : UnixServerOptions;

/// <summary>
/// The control socket: JSON lines over a unix stream socket.
/// </summary>
/// <remarks>
/// A request is one line. The answer is <c>{"ok":true}</c>, one line per item, <c>{"end":true}</c>; or <c>{"ok":false,"code":N,"error":"…"}</c>
/// with the exit code for the CLI.
/// </remarks>
public sealed class ControlServer : UnixServer
{
    private static readonly byte[] s_busy = "{\"ok\":false,\"code\":3,\"error\":\"too many clients on the control socket\"}\n"u8.ToArray();
    private readonly ControlServerOptions _options;
    private readonly IDaemonQueries _queries;

    /// <summary>Binds and starts to answer. Throws <see cref="IOException"/> when the path cannot be bound, or another daemon answers there.</summary>
    public ControlServer(ControlServerOptions options, IDaemonQueries queries)
        : base(options)
    {
        (_options, _queries) = (options, queries);
        Start();
    }

    /// <inheritdoc/>
    protected override ReadOnlyMemory<byte> Busy => s_busy;

    /// <inheritdoc/>
    protected override void Talk(Socket socket, in UnixClient client, CancellationToken stop) =>
        new ControlConnection(socket, _options, _queries, client.Access, client.Uid, client.Pid, stop).Run();
}
