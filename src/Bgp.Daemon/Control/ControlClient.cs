using System.Globalization;
using System.Net.Sockets;
using System.Text.Json;

namespace Bgp.Daemon.Control;

/// <summary>An answer that is no: the exit code and the text for stderr.</summary>
public sealed class ControlException(int code, string message) : Exception(message)
{
    /// <summary>Exit code of the CLI.</summary>
    public int Code { get; } = code;
}

/// <summary>The client side of the control socket. Blocking: the CLI has nothing else to do.</summary>
public sealed class ControlClient : IDisposable
{
    /// <summary>Where the daemon listens unless told otherwise.</summary>
    public const string DefaultPath = "/run/pipit/control.sock";

    /// <summary>Silence after which a daemon counts as one that is stopped or hangs: it answers in milliseconds, whatever else it does.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly Socket _socket;
    private readonly StreamReader _reader;
    private readonly TimeSpan _patience;

    /// <summary>Connects. Throws <see cref="ControlException"/> with code 3 (nobody there) or 4 (not allowed).</summary>
    public ControlClient(string path)
        : this(path, Patience)
    {
    }

    internal ControlClient(string path, TimeSpan patience)
    {
        _patience = patience;
        _socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { SendTimeout = Milliseconds(patience) };
        try
        {
            _socket.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e)
        {
            _socket.Dispose();
            throw e.SocketErrorCode == SocketError.AccessDenied
                ? new ControlException(4, $"permission denied on {path}")
                : new ControlException(3, $"cannot reach the daemon on {path}: {(File.Exists(path) ? "nobody answers" : "no socket there")}; is 'pipit run' running?");
        }
        catch (ArgumentException)
        {
            _socket.Dispose();
            throw new ControlException(2, $"'{path}' is not a path of a socket (at most 107 octets)");
        }

        _reader = new StreamReader(new NetworkStream(_socket, ownsSocket: false));
    }

    /// <summary>
    /// Sends a request and gives the items as they come, as JSON lines. Throws <see cref="ControlException"/>: what the daemon says, 3 where it closes, 5 where nothing comes any more.
    /// </summary>
    public IEnumerable<string> Ask(RequestDto request)
    {
        string? line;
        _socket.ReceiveTimeout = request.Verb switch
        {
            // What happens next may be hours away.
            "events" => Timeout.Infinite,

            // The daemon waits for neighbours that do not read for as long as our patience.
            "reload" when request.Wait => Milliseconds(_patience * 2),
            "wait" => Milliseconds(_patience + TimeSpan.FromSeconds(Math.Clamp(request.Seconds ?? 30, 0, 86400))),
            _ => Milliseconds(_patience),
        };
        try
        {
            byte[] octets = JsonSerializer.SerializeToUtf8Bytes(request, ControlJson.Default.RequestDto);
            _socket.Send([.. octets, (byte)'\n']);
        }
        catch (SocketException)
        {
            // It may have told us why it closed.
        }

        bool begun = false;
        while (true)
        {
            try
            {
                line = _reader.ReadLine();
            }
            catch (IOException e) when (IsSilence(e))
            {
                throw new ControlException(5, string.Create(CultureInfo.InvariantCulture, $"the daemon is there, but has said nothing for {_socket.ReceiveTimeout / 1000.0:0.###} s: it is stopped, or hangs"));
            }
            catch (IOException e)
            {
                throw new ControlException(3, $"the daemon closed the connection: {e.Message}");
            }

            if (line is null)
            {
                throw new ControlException(3, "the daemon closed the connection before the answer was complete");
            }

            if (line.Length == 0)
            {
                continue;
            }

            if (!begun || line == "{\"end\":true}")
            {
                ReplyDto? reply = JsonSerializer.Deserialize(line, ControlJson.Default.ReplyDto);
                if (reply is { Ok: false })
                {
                    throw new ControlException(reply.Code ?? 1, reply.Error ?? "refused");
                }

                if (begun)
                {
                    yield break;
                }

                begun = true;
                continue;
            }

            yield return line;
        }
    }

    /// <summary>Whether reading ended because nothing came in the time that the socket was given.</summary>
    internal static bool IsSilence(IOException e) => e.InnerException is SocketException { SocketErrorCode: SocketError.TimedOut or SocketError.WouldBlock };

    private static int Milliseconds(TimeSpan time) => (int)Math.Min(time.TotalMilliseconds, int.MaxValue);

    /// <inheritdoc/>
    public void Dispose()
    {
        _reader.Dispose();
        _socket.Dispose();
    }
}
