using System.Net.Sockets;

namespace Bgp.Daemon.Control;

/// <summary>Limits of a unix socket that clients talk to.</summary>
public record UnixServerOptions
{
    /// <summary>Path of the socket.</summary>
    public required string Path { get; init; }

    /// <summary>Mode of the socket. The default lets everybody connect and be told by name what is missing; who may do what is decided by the kernel's credentials.</summary>
    public int Mode { get; init; } = 0b110_110_110;

    /// <summary>Group of the socket; empty: the daemon's own.</summary>
    public string Group { get; init; } = "";

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

/// <summary>Who is on the other end, as the kernel says.</summary>
/// <param name="Access">What it may do.</param>
/// <param name="Uid">Its user.</param>
/// <param name="Pid">Its process when it connected.</param>
public readonly record struct UnixClient(AccessLevel Access, uint Uid, int Pid);

/// <summary>
/// A unix stream socket whose clients send lines and get answers.
/// </summary>
/// <remarks>
/// Each client has a thread of its own with a blocking socket: an answer waits for no pool that the rest of the daemon may have filled, and a client that
/// does not read costs its own thread for <see cref="UnixServerOptions.Timeout"/> and nothing else.
/// </remarks>
public abstract class UnixServer : IDisposable
{
    private readonly UnixServerOptions _options;
    private readonly Socket _listener;
    private readonly Lock _lock = new();

    // Clients by the number of their latest act (connecting, or a line); clocks are too coarse to tell two of them apart.
    private readonly Dictionary<Socket, long> _clients = [];
    private readonly HashSet<Socket> _idle = [];
    private readonly CancellationTokenSource _stop = new();
    private long _acts;

    /// <summary>Binds. Throws <see cref="IOException"/> when the path cannot be bound, or another daemon answers there.</summary>
    protected UnixServer(UnixServerOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _listener = Bind(options);
    }

    /// <summary>What one client too many is told.</summary>
    protected abstract ReadOnlyMemory<byte> Busy { get; }

    /// <summary>Talks with one client, on its thread; socket errors end it.</summary>
    protected abstract void Talk(Socket socket, in UnixClient client, CancellationToken stop);

    /// <summary>Starts to answer; the constructor of the class that is complete calls it last.</summary>
    protected void Start() => new Thread(AcceptLoop, 256 << 10) { IsBackground = true, Name = "control" }.Start();

    private static Socket Bind(UnixServerOptions options)
    {
        string path = options.Path;
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

#pragma warning disable CA1416 // Linux only, like all of this daemon.
            File.SetUnixFileMode(path, (UnixFileMode)(options.Mode & 0b111_111_111));
#pragma warning restore CA1416
            SetGroup(options);
            listener.Listen(128);
            return listener;
        }
        catch (Exception e) when (e is SocketException or UnauthorizedAccessException or ArgumentException)
        {
            listener.Dispose();
            throw new IOException($"cannot bind the control socket {path}: {e.Message}", e);
        }
    }

    private static void SetGroup(UnixServerOptions options)
    {
        if (options.Group.Length == 0)
        {
            return;
        }

        if (PeerCredentials.GroupId(options.Group) is not { } group)
        {
            options.Log?.Invoke($"{options.Path}: there is no group '{options.Group}'; the socket keeps the daemon's own");
        }
        else if (Native.Chown(options.Path, uint.MaxValue, group) != 0)
        {
            options.Log?.Invoke($"{options.Path}: cannot give the socket to group '{options.Group}': {System.Runtime.InteropServices.Marshal.GetLastPInvokeErrorMessage()}");
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
                room = (_clients.Count < _options.MaxClients || MakeRoom()) && _clients.TryAdd(client, ++_acts);
            }

            if (!room)
            {
                try
                {
                    client.Blocking = false;
                    client.Send(Busy.Span);
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

    /// <summary>Says that a client has nothing under way, or has again. One that is silent for long gives way to a new one when all places are taken.</summary>
    protected void SetIdle(Socket client, bool isIdle)
    {
        lock (_lock)
        {
            if (!_clients.ContainsKey(client))
            {
                return;
            }

            if (isIdle)
            {
                _idle.Add(client);
            }
            else
            {
                _idle.Remove(client);
                _clients[client] = ++_acts;
            }
        }
    }

    // Lock held.
    private bool MakeRoom()
    {
        if (_idle.Count == 0)
        {
            return false;
        }

        Socket longest = _idle.MinBy(client => _clients[client])!;
        _idle.Remove(longest);
        _clients.Remove(longest);
        longest.Dispose();
        return true;
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

            Talk(client, new UnixClient(access, uid, pid), _stop.Token);
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
                _idle.Remove(client);
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

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes all connections and removes the socket.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing)
        {
            return;
        }

        _stop.Cancel();
        _listener.Dispose();
        lock (_lock)
        {
            foreach (Socket client in _clients.Keys)
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

/// <summary>What Tmds.LibC lacks.</summary>
internal static partial class Native
{
    /// <summary>chown(2); an id of all ones stays as it is.</summary>
    [System.Runtime.InteropServices.LibraryImport("libc", EntryPoint = "chown", SetLastError = true, StringMarshalling = System.Runtime.InteropServices.StringMarshalling.Utf8)]
    internal static partial int Chown(string path, uint owner, uint group);
}
