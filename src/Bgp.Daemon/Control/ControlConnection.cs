using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Bgp.Daemon.Config;

namespace Bgp.Daemon.Control;

/// <summary>One client: reads request lines, answers them in turn.</summary>
internal sealed class ControlConnection(
    Socket socket, ControlServerOptions options, IDaemonQueries queries, AccessLevel access, uint uid, int pid, CancellationToken stop)
{
    private const int FlushAt = 32 << 10;
    private static readonly ControlJson Json = ControlJson.Default;
    private readonly MemoryStream _out = new();

    internal void Run()
    {
        LineReader reader = new(socket, options.MaxLine, options.Timeout);
        while (true)
        {
            LineOutcome outcome = reader.Next(out ReadOnlySpan<byte> line);
            if (outcome == LineOutcome.Gone)
            {
                return;
            }

            if (outcome == LineOutcome.TooLong)
            {
                Fail(2, $"request longer than {options.MaxLine} octets");
                Flush();
                return;
            }

            Answer(line);
            Flush();
        }
    }

    /// <summary>Whether a configuration may wait so many seconds to be confirmed.</summary>
    internal static bool MayConfirmWithin(double seconds) => seconds is > 0 and < 86400;

    /// <summary>A request line without its end; null when it is none.</summary>
    internal static RequestDto? ParseRequest(ReadOnlySpan<byte> line)
    {
        try
        {
            return JsonSerializer.Deserialize(line, Json.RequestDto);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private void Answer(ReadOnlySpan<byte> line)
    {
        RequestDto? request = ParseRequest(line);
        if (request is null)
        {
            Fail(2, "the request is not a JSON object with 'verb'");
            return;
        }

        bool mutates = request.Verb is "peerCommand" or "reload" or "confirm" or "rollback" or "shutdown" && !(request.Verb == "reload" && request.Flag);
        if (access == AccessLevel.None || (mutates && access != AccessLevel.Admin))
        {
            Fail(4, mutates
                ? $"permission denied: '{Command(request)}' needs root, the daemon's user or group {options.AdminGroup}"
                : $"permission denied: needs root, the daemon's user or group {options.ReadGroup}");
            return;
        }

        if (mutates)
        {
            options.Log?.Invoke($"control: {Command(request)} by uid {uid} pid {pid}: {request.Reason ?? "no reason given"}");
        }

        using CancellationTokenSource cancel = CancellationTokenSource.CreateLinkedTokenSource(stop);
        try
        {
            Dispatch(request, cancel);
        }
        finally
        {
            cancel.Cancel();
        }
    }

    /// <summary>A change as it is typed: <c>peer tor1 refresh in</c>.</summary>
    private static string Command(RequestDto r)
    {
        string action = r.Action?.ToLowerInvariant() switch { "refreshin" => "refresh in", "refreshout" => "refresh out", { } word => word, null => "" };
        string words = r.Verb == "peerCommand" ? $"peer {r.Peer} {action}" : r.Verb;
        return words + (r.Verb == "shutdown" && r.Flag ? " --hard" : "") + (r.Verb == "reload" && r.Seconds is { } seconds ? $" --confirm {seconds}s" : "");
    }

    private string? Name(string? nameOrAddress) => nameOrAddress is null ? null : queries.FindPeers(nameOrAddress) is [var name, ..] ? name : null;

    private void Dispatch(RequestDto r, CancellationTokenSource cancel)
    {
        foreach (string? peer in (ReadOnlySpan<string?>)[r.Peer, r.To, r.Routes?.From, r.Routes?.Received, r.Routes?.To])
        {
            if (peer is null)
            {
                continue;
            }

            IReadOnlyList<string> found = queries.FindPeers(peer);
            if (found.Count != 1)
            {
                Fail(1, found.Count == 0 ? $"no peer '{peer}'{ConfigText.Suggest(peer, queries.PeerNames)}" : $"{peer} is the address of {found.Count} peers; give a name: {string.Join(", ", found)}");
                return;
            }
        }

        r = r with
        {
            Peer = Name(r.Peer),
            To = Name(r.To),
            Routes = r.Routes is null ? null : r.Routes with { From = Name(r.Routes.From), Received = Name(r.Routes.Received), To = Name(r.Routes.To) },
        };
        Caller caller = new(uid, pid, r.Reason);
        switch (r.Verb)
        {
            case "status":
                One(queries.GetStatus(), Json.StatusDto);
                break;
            case "peers":
                Begin();
                foreach (PeerDto peer in queries.GetPeers())
                {
                    Item(peer, Json.PeerDto);
                }

                End();
                break;
            case "peer" when r.Peer is not null && queries.GetPeer(r.Peer) is { } peer:
                One(peer, Json.PeerDetailDto);
                break;
            case "peerCommand" when r.Peer is not null && Enum.TryParse(r.Action, true, out PeerAction action):
                Command(Await(queries.PeerCommandAsync(r.Peer, action, caller, cancel.Token), cancel));
                break;
            case "routes":
                Stream(queries.GetRoutesAsync(r.Routes ?? new RouteQuery(), cancel.Token), Json.RouteDto, cancel);
                break;
            case "routeCount":
                One(new CountDto(Await(queries.CountRoutesAsync(r.Routes ?? new RouteQuery(), cancel.Token), cancel)), Json.CountDto);
                break;
            case "explain" when r.Prefix is not null:
                One(Await(queries.ExplainAsync(r.Prefix, r.To, cancel.Token), cancel), Json.ExplainDto);
                break;
            case "fib":
                Stream(queries.GetFibAsync(r.Flag, cancel.Token), Json.FibDto, cancel);
                break;
            case "reload":
                // Never taken as a reload that nobody has to confirm.
                if (r.Seconds is { } within && !MayConfirmWithin(within))
                {
                    Fail(2, $"a reload cannot be confirmed within {within} s: more than 0 and less than a day");
                    break;
                }

                TimeSpan? confirm = r.Seconds is { } s ? TimeSpan.FromSeconds(s) : null;
                One(Await(queries.ReloadAsync(r.Flag, r.Wait, confirm, caller, cancel.Token), cancel), Json.ReloadDto);
                break;
            case "confirm":
                Command(Await(queries.ConfirmAsync(caller, cancel.Token), cancel));
                break;
            case "rollback":
                Command(Await(queries.RollbackAsync(caller, cancel.Token), cancel));
                break;
            case "diff":
                One(Await(queries.DiffAsync(r.File, cancel.Token), cancel), Json.ReloadDto);
                break;
            case "shutdown":
                Command(Await(queries.ShutdownAsync(r.Flag, caller, cancel.Token), cancel));
                break;
            case "memory":
                One(queries.GetMemory(), Json.MemoryDto);
                break;
            case "mrt":
                Stream(queries.GetMrtAsync(cancel.Token), Json.MrtDto, cancel);
                break;
            case "wait":
                if (r.Peer is not null && queries.GetPeer(r.Peer) is { State: "adminDown" })
                {
                    Fail(1, $"{r.Peer} is disabled");
                    break;
                }

                TimeSpan timeout = TimeSpan.FromSeconds(Math.Clamp(r.Seconds ?? 30, 0, 86400));
                bool established = Await(queries.WaitPeersEstablishedAsync(r.Peer, timeout, cancel.Token), cancel);
                Command(established ? new CommandDto(true, "established") : new CommandDto(false, "timeout: " + Missing(r.Peer), 5));
                break;
            case "events":
                Stream(queries.EventsAsync(r.Flag, cancel.Token), Json.EventDto, cancel);
                break;
            default:
                Fail(2, $"verb '{r.Verb}' is not understood, or misses an argument");
                break;
        }
    }

    /// <summary>Who is not established, and why: the first few by name.</summary>
    private string Missing(string? only)
    {
        List<PeerDto> down = [.. queries.GetPeers().Where(peer => only is null ? peer.State is not ("established" or "adminDown") : peer.Name == only)];
        IEnumerable<string> texts = down.Take(5).Select(static peer => $"{peer.Name} ({peer.State}{(peer.LastError is null ? "" : ": " + peer.LastError)})");
        return $"not established: {string.Join(", ", texts)}{(down.Count > 5 ? $" and {down.Count - 5} more" : "")}";
    }

    private void Command(CommandDto outcome)
    {
        if (outcome.Ok)
        {
            One(outcome, Json.CommandDto);
        }
        else
        {
            Fail(outcome.Code == 0 ? 1 : outcome.Code, outcome.Message);
        }
    }

    private T Await<T>(Task<T> task, CancellationTokenSource cancel) => ClientWait.For(socket, task, StillListens, cancel);

    private bool StillListens()
    {
        try
        {
            // POLLHUP shows as readable with nothing to read, as a half-closed client does; only writing tells them apart, and a newline is no item.
            return socket.Poll(0, SelectMode.SelectWrite) && socket.Send("\n"u8) == 1;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private void Stream<T>(IAsyncEnumerable<T> items, JsonTypeInfo<T> type, CancellationTokenSource cancel)
    {
        Begin();
        ClientWait.ForEach(socket, items, Flush, item => Item(item, type), StillListens, cancel);
        End();
    }

    private void Begin() => _out.Write("{\"ok\":true}\n"u8);

    private void End() => _out.Write("{\"end\":true}\n"u8);

    private void One<T>(T value, JsonTypeInfo<T> type)
    {
        Begin();
        Item(value, type);
        End();
    }

    private void Item<T>(T value, JsonTypeInfo<T> type)
    {
        JsonSerializer.Serialize(_out, value, type);
        _out.WriteByte((byte)'\n');
        if (_out.Length >= FlushAt)
        {
            Flush();
        }
    }

    private void Fail(int code, string error)
    {
        JsonSerializer.Serialize(_out, new ReplyDto { Ok = false, Code = code, Error = error }, Json.ReplyDto);
        _out.WriteByte((byte)'\n');
    }

    private void Flush()
    {
        ReadOnlySpan<byte> rest = _out.GetBuffer().AsSpan(0, (int)_out.Length);
        while (!rest.IsEmpty)
        {
            rest = rest[socket.Send(rest)..];
        }

        _out.SetLength(0);
    }
}
