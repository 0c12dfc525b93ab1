using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Bgp.Daemon.Control;

/// <summary>Limits of the control socket.</summary>
public sealed record ControlServerOptions
{
    /// <summary>Path of the socket.</summary>
    public required string Path { get; init; }

    /// <summary>Clients at a time; one more is told so and closed.</summary>
    public int MaxClients { get; init; } = 64;

    /// <summary>Longest request, octets.</summary>
    public int MaxLine { get; init; } = 64 << 10;

    /// <summary>How long a client may keep us waiting, for its request or to take its answer.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Takes one line for the log. Every change is one, with uid and reason.</summary>
    public Action<string>? Log { get; init; }

    /// <summary>Group whose members may look.</summary>
    public string ReadGroup { get; init; } = "pipit";

    /// <summary>Group whose members may change.</summary>
    public string AdminGroup { get; init; } = "pipit-admin";
}

/// <summary>
/// The control socket: JSON lines over a unix stream socket.
/// </summary>
/// <remarks>
/// A request is one line. The answer is <c>{"ok":true}</c>, one line per item, <c>{"end":true}</c>; or <c>{"ok":false,"code":N,"error":"…"}</c>
/// with the exit code for the CLI. Each client has a thread of its own with a blocking socket: an answer waits for no pool that the rest of
/// the daemon may have filled, and a client that does not read costs its own thread for <see cref="ControlServerOptions.Timeout"/> and nothing else.
/// </remarks>
public sealed class ControlServer : IDisposable
{
    private readonly ControlServerOptions _options;
    private readonly IDaemonQueries _queries;
    private readonly Socket _listener;
    private readonly Lock _lock = new();
    private readonly HashSet<Socket> _clients = [];
    private readonly CancellationTokenSource _stop = new();

    /// <summary>Binds and starts to answer. Throws <see cref="IOException"/> when the path cannot be bound, or another daemon answers there.</summary>
    public ControlServer(ControlServerOptions options, IDaemonQueries queries)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _queries = queries;
        _listener = Bind(options.Path);
        new Thread(AcceptLoop, 256 << 10) { IsBackground = true, Name = "control" }.Start();
    }

    private static Socket Bind(string path)
    {
        Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            if (File.Exists(path))
            {
                using Socket probe = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                bool alive = true;
                try
                {
                    probe.Connect(new UnixDomainSocketEndPoint(path));
                }
                catch (SocketException)
                {
                    alive = false;
                }

                if (alive)
                {
                    throw new IOException($"{path}: another daemon answers on this control socket");
                }

                File.Delete(path);
            }

            if (Path.GetDirectoryName(path) is { Length: > 0 } directory)
            {
                Directory.CreateDirectory(directory);
            }

            listener.Bind(new UnixDomainSocketEndPoint(path));

            // Everybody may connect and be told by name what is missing; who may do what is decided by the kernel's credentials.
#pragma warning disable CA1416 // Linux only, like all of this daemon.
            File.SetUnixFileMode(path, (UnixFileMode)0b110_110_110);
#pragma warning restore CA1416
            listener.Listen(128);
            return listener;
        }
        catch (Exception e) when (e is SocketException or UnauthorizedAccessException or ArgumentException)
        {
            listener.Dispose();
            throw new IOException($"cannot bind the control socket {path}: {e.Message}", e);
        }
    }

    private void AcceptLoop()
    {
        while (!_stop.IsCancellationRequested)
        {
            Socket client;
            try
            {
                client = _listener.Accept();
            }
            catch (SocketException) when (!_stop.IsCancellationRequested)
            {
                // Out of descriptors, or a client that left already.
                _stop.Token.WaitHandle.WaitOne(100);
                continue;
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }

            bool room;
            lock (_lock)
            {
                room = _clients.Count < _options.MaxClients && _clients.Add(client);
            }

            if (!room)
            {
                try
                {
                    client.Blocking = false;
                    client.Send("{\"ok\":false,\"code\":3,\"error\":\"too many clients on the control socket\"}\n"u8);
                }
                catch (SocketException)
                {
                    // It did not want to know.
                }

                client.Dispose();
                continue;
            }

            new Thread(() => Serve(client), 512 << 10) { IsBackground = true, Name = "control-client" }.Start();
        }
    }

    private void Serve(Socket client)
    {
        try
        {
            client.SendTimeout = (int)_options.Timeout.TotalMilliseconds;
            client.ReceiveTimeout = (int)_options.Timeout.TotalMilliseconds;
            AccessLevel access = AccessLevel.None;
            uint uid = uint.MaxValue;
            int pid = 0;
            if (PeerCredentials.TryGet(client, out pid, out uid, out HashSet<uint> groups))
            {
                access = PeerCredentials.Judge(
                    uid, groups, PeerCredentials.OwnUid(), PeerCredentials.GroupId(_options.AdminGroup), PeerCredentials.GroupId(_options.ReadGroup));
            }

            ControlConnection connection = new(client, _options, _queries, access, uid, pid, _stop.Token);
            connection.Run();
        }
        catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException or OperationCanceledException)
        {
            // The client is gone or stuck; nobody else notices.
        }
#pragma warning disable CA1031 // One client's request must not end the process.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _options.Log?.Invoke($"control: {e}");
        }
        finally
        {
            lock (_lock)
            {
                _clients.Remove(client);
            }

            client.Dispose();
        }
    }

    /// <summary>Clients at the moment.</summary>
    public int ClientCount
    {
        get
        {
            lock (_lock)
            {
                return _clients.Count;
            }
        }
    }

    /// <summary>Closes all connections and removes the socket.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        _listener.Dispose();
        lock (_lock)
        {
            foreach (Socket client in _clients)
            {
                client.Dispose();
            }
        }

        try
        {
            File.Delete(_options.Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Left behind: the next start replaces it.
        }
    }
}
