using System.Globalization;
using System.Net.Sockets;

namespace Bgp.Daemon.Control.Bird;

/// <summary>One client of a BIRD-compatible socket: takes its command lines in turn.</summary>
internal sealed partial class BirdConnection
{
    private readonly Socket _socket;
    private readonly BirdServerOptions _options;
    private readonly IDaemonQueries _queries;
    private readonly UnixClient _client;
    private readonly CancellationToken _stop;
    private readonly BirdReply _reply;
    private bool _restricted;

    internal BirdConnection(Socket socket, BirdServerOptions options, IDaemonQueries queries, in UnixClient client, CancellationToken stop)
    {
        (_socket, _options, _queries, _client, _stop) = (socket, options, queries, client, stop);
        _reply = new BirdReply(socket);
    }

    private bool IsOld => _options.Dialect == 1;

    /// <summary>Serves the client until it goes. <paramref name="idle"/> hears when it waits between two commands: people leave birdc open.</summary>
    internal void Run(Action<bool> idle)
    {
        _reply.Greet($"BIRD {_options.BirdVersion} ready.");
        LineReader reader = new(_socket, 1024, _options.Timeout, idle);
        while (true)
        {
            LineOutcome outcome = reader.Next(out ReadOnlySpan<byte> line);
            if (outcome == LineOutcome.Gone)
            {
                return;
            }

            if (outcome == LineOutcome.TooLong)
            {
                _reply.End(9000, "Command too long");
                _reply.Flush();
                return;
            }

            List<string>? words = BirdWords.Split(line);
            if (words is null)
            {
                _reply.End(9001, "syntax error, unterminated string");
            }
            else if (words.Count > 0)
            {
                Command(words);
            }

            _reply.Flush();
        }
    }

    private void Command(List<string> words)
    {
        switch (words[0])
        {
            case "show" when words.Count > 1:
                Show(words);
                break;
            case "restrict" when words.Count == 1:
                _restricted = true;
                _reply.End(16, "Access restricted");
                break;
            case "echo":
                // Nothing is ever sent unasked.
                _reply.End(0, "");
                break;
            case "configure":
                Configure(words);
                break;
            case "enable" or "disable" or "restart" or "reload" when words.Count > 1:
                Act(words);
                break;
            case "debug" or "mrtdump" when words.Count > 1:
                _reply.End(MayChange() ? 0 : 8007, MayChange() ? "" : "Access denied");
                break;
            case "down" when words.Count == 1 && MayChange():
                _ = Await(_queries.ShutdownAsync(hard: false, Caller("down"), _stop));
                _reply.End(7, "Shutdown requested");
                break;
            case "down" when words.Count == 1:
                _reply.End(8007, "Access denied");
                break;
            default:
                Unexpected(words[0]);
                break;
        }
    }

    private void Show(List<string> words)
    {
        switch (words[1])
        {
            case "status" when words.Count == 2:
                Status();
                break;
            case "protocols":
                Protocols(words[2..]);
                break;
            case "route":
                Routes(words[2..]);
                break;
            case "memory" when words.Count == 2:
                Memory();
                break;
            case "bfd" when words.Count >= 3 && words[2] == "sessions":
                BfdSessions();
                break;
            case "symbols":
                Symbols();
                break;
            default:
                Unexpected(words[1]);
                break;
        }
    }

    private void Unexpected(string word) => _reply.End(9001, IsOld ? "syntax error" : $"syntax error, unexpected {word}");

    private void Status()
    {
        StatusDto status = _queries.GetStatus();
        _reply.Line(1000, $"BIRD {_options.BirdVersion}");
        _reply.Line(1011, $"Router ID is {status.RouterId}");
        if (!IsOld)
        {
            _reply.Line(1011, $"Hostname is {status.Name}");
        }

        _reply.Line(1011, $"Current server time is {Long(_options.Time.GetUtcNow())}");
        _reply.Line(1011, $"Last reboot on {Long(status.StartedAt ?? default)}");
        _reply.Line(1011, $"Last reconfiguration on {Long(status.ConfigLoadedAt ?? default)}");
        if (status.GracefulRestart is { Recovering: true } restart)
        {
            _reply.Line(24, "Graceful restart recovery in progress");
            _reply.Line(24, string.Create(CultureInfo.InvariantCulture, $"  Waiting for {restart.WaitingForPeers} {(IsOld ? "protocols" : "channels")} to recover"));
            _reply.Line(24, string.Create(CultureInfo.InvariantCulture, $"  Wait timer is {restart.RemainingSeconds ?? 0:F0}/{Math.Max(restart.RemainingSeconds ?? 0, 240):F0}"));
        }

        _reply.End(13, "Daemon is up and running");
    }

    private void Memory()
    {
        MemoryDto memory = _queries.GetMemory();
        _reply.Line(1018, "Pipit memory usage");
        foreach ((string name, long bytes) in memory.Bytes)
        {
            _reply.Line(1018, string.Create(CultureInfo.InvariantCulture, $"{name + ":",-17} {bytes,10} B"));
        }

        _reply.End(0, "");
    }

    private void Symbols()
    {
        foreach (BirdProtocol protocol in AllProtocols())
        {
            _reply.Line(1010, $"{protocol.Name,-8}\tprotocol");
        }

        _reply.End(0, "");
    }

    private void Configure(List<string> words)
    {
        if (!MayChange() && !(words.Count > 1 && words[1] is "check" or "status"))
        {
            _reply.End(8007, "Access denied");
            return;
        }

        string how = words.Count > 1 ? words[1] : "";
        switch (how)
        {
            case "" or "soft":
                Reload(dryRun: false, null);
                break;
            case "check":
                Reload(dryRun: true, null);
                break;
            case "timeout":
                int seconds = words.Count > 2 && int.TryParse(words[2], NumberStyles.None, CultureInfo.InvariantCulture, out int given) && given is > 0 and < 86400 ? given : 300;
                Reload(dryRun: false, TimeSpan.FromSeconds(seconds));
                break;
            case "confirm":
                _reply.End(Await(_queries.ConfirmAsync(Caller("configure confirm"), _stop)).Ok ? 18 : 19, "Reconfiguration confirmed");
                break;
            case "undo":
                _reply.Line(21, "Undo requested");
                CommandDto undone = Await(_queries.RollbackAsync(Caller("configure undo"), _stop));
                _reply.End(undone.Ok ? 3 : 19, undone.Ok ? "Reconfigured" : "Nothing to do");
                break;
            case "status":
                double? rest = _queries.GetStatus().ConfirmRemainingSeconds;
                _reply.Line(3, "Daemon is up and running");
                _reply.End(rest is null ? 0 : 22, rest is null ? "" : string.Create(CultureInfo.InvariantCulture, $"Configuration unconfirmed, undo in {rest:F0} s"));
                break;
            default:
                Unexpected(how);
                break;
        }
    }

    private void Reload(bool dryRun, TimeSpan? confirm)
    {
        _reply.Line(2, $"Reading configuration from {_options.ConfigPath}");
        ReloadDto outcome = Await(_queries.ReloadAsync(dryRun, wait: true, confirm, Caller(dryRun ? "configure check" : "configure"), _stop));
        if (!outcome.Accepted)
        {
            _reply.End(8002, string.Join("; ", outcome.Errors));
            return;
        }

        if (confirm is { } within)
        {
            _reply.Line(22, string.Create(CultureInfo.InvariantCulture, $"Undo scheduled in {within.TotalSeconds:F0} s"));
        }

        _reply.End(dryRun ? 20 : 3, dryRun ? "Configuration OK" : "Reconfigured");
    }

    private void Act(List<string> words)
    {
        bool direction = words[0] == "reload" && words[1] is "in" or "out";
        string? named = words.Count > (direction ? 2 : 1) ? words[direction ? 2 : 1] : null;
        if (named is null)
        {
            Unexpected("end of line");
            return;
        }

        if (!MayChange())
        {
            _reply.End(8007, "Access denied");
            return;
        }

        bool all = named == "all";
        List<BirdProtocol> found = all ? AllProtocols() : Matching(named, out bool known) is { } list && known ? list : [];
        if (found.Count == 0)
        {
            NoSuchProtocol(named);
            return;
        }

        string? reason = words.Count > (direction ? 3 : 2) && BirdWords.IsPattern(words[^1], out string text) ? text : null;
        foreach (BirdProtocol protocol in found)
        {
            if (protocol.Peer is not { } peer)
            {
                // Device, direct, kernel and static are always there; asked for by name, that is an answer.
                _reply.Line(words[0] == "reload" ? 8006 : 8, words[0] == "reload" ? $"{protocol.Name}: reload failed" : $"{protocol.Name}: cannot be changed");
                continue;
            }

            bool down = peer.State == "adminDown";
            (int code, string said) = words[0] switch
            {
                "disable" when down => (8, "already disabled"),
                "disable" => Do(peer, PeerAction.Disable, 9, "disabled", reason),
                "enable" when !down => (10, "already enabled"),
                "enable" => Do(peer, PeerAction.Enable, 11, "enabled", reason),
                "restart" when down => (8, "already disabled"),
                "restart" => Do(peer, PeerAction.Restart, 12, "restarted", reason),
                _ when down => (8, "already disabled"),
                _ => Do(peer, direction ? words[1] == "in" ? PeerAction.RefreshIn : PeerAction.RefreshOut : PeerAction.Refresh, 15, "reloading", reason),
            };
            _reply.Line(code, $"{protocol.Name}: {said}");
        }

        _reply.End(0, "");
    }

    private (int Code, string Text) Do(PeerDto peer, PeerAction action, int code, string said, string? reason)
    {
        CommandDto outcome = Await(_queries.PeerCommandAsync(peer.Name, action, Caller($"{action switch { PeerAction.RefreshIn => "reload in", PeerAction.RefreshOut => "reload out", PeerAction.Refresh => "reload", _ => action.ToString().ToLowerInvariant() }} {peer.Name}", reason), _stop));
        return outcome.Ok ? (code, said) : (8006, outcome.Message);
    }

    private Caller Caller(string command, string? reason = null)
    {
        _options.Log?.Invoke($"{_options.Path}: {command} by uid {_client.Uid} pid {_client.Pid}: {reason ?? "no reason given"}");
        return new Caller(_client.Uid, _client.Pid, reason);
    }

    private bool MayChange() => !_restricted && !_options.ReadOnly && _client.Access == AccessLevel.Admin;

    private T Await<T>(Task<T> task)
    {
        using CancellationTokenSource cancel = CancellationTokenSource.CreateLinkedTokenSource(_stop);
        return ClientWait.For(_socket, task, IsThere, cancel);
    }

    /// <summary>A client that closed its sending side may still read, and nothing may be sent unasked to find out: only a reset counts as gone.</summary>
    private bool IsThere() => !_socket.Poll(0, SelectMode.SelectError);

    /// <summary>A time in full, in the daemon's time zone, as BIRD writes it.</summary>
    private string Long(DateTimeOffset time) => Local(time).ToString(IsOld ? "yyyy-MM-dd HH:mm:ss" : "yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture);

    /// <summary>A time in one column: 1.6 shows the time of day for what is recent and the date for the rest; for 2 the full form is what exporters can read.</summary>
    private string Short(DateTimeOffset time) => !IsOld ? Local(time).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture)
        : Local(time).ToString(_options.Time.GetUtcNow() - time < TimeSpan.FromHours(20) ? "HH:mm:ss" : "yyyy-MM-dd", CultureInfo.InvariantCulture);

    private DateTimeOffset Local(DateTimeOffset time) => TimeZoneInfo.ConvertTime(time, _options.Time.LocalTimeZone);
}
