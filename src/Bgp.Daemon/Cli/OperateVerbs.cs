using System.CommandLine;
using System.CommandLine.Completions;
using System.Globalization;
using System.Text.Json;
using Bgp.Daemon.Control;

namespace Bgp.Daemon.Cli;

public sealed partial class CliApp
{
    /// <summary>Version of this program.</summary>
    public static string Version { get; } = typeof(CliApp).Assembly.GetName().Version?.ToString(3) ?? "0";

    private void AddOperateVerbs()
    {
        Verb("status", "The daemon").SetAction(Status);
        Verb("version", "Version of this program").SetAction(_ =>
        {
            _output.Single(_output.IsTable ? $"pipit {Version}" : $"{{\"name\":\"pipit\",\"version\":\"{Version}\"}}");
            return ExitCode.Ok;
        });

        Option<string?> peer = new("--peer") { Description = "Only this peer", HelpName = "PEER" };
        Option<string> timeout = new("--timeout") { Description = "How long", DefaultValueFactory = _ => "30s", HelpName = "30s" };
        peer.CompletionSources.Add(PeerNames);
        Command wait = Verb("wait", "Waits for a condition");
        Verb(wait, "peers-established", "Until all peers that are enabled are established", peer, timeout).SetAction(parsed =>
            TryDuration(parsed.GetValue(timeout), "--timeout", out TimeSpan limit, out int code)
                ? Command(parsed, new RequestDto { Verb = "wait", Peer = parsed.GetValue(peer), Seconds = limit.TotalSeconds })
                : code);

        Option<bool> hard = new("--hard") { Description = "Cease to all peers, and remove our kernel routes" };
        Option<string?> reason = new("--reason") { Description = "For the log", HelpName = "TEXT" };
        Verb("shutdown", "Ends the daemon; as a graceful restart would, unless --hard", hard, reason).SetAction(parsed =>
            Command(parsed, new RequestDto { Verb = "shutdown", Flag = parsed.GetValue(hard), Reason = parsed.GetValue(reason) }));

        Verb("memory", "Memory by part").SetAction(parsed =>
        {
            string json = AskOne(parsed, new RequestDto { Verb = "memory" });
            if (!_output.IsTable)
            {
                _output.Single(json);
                return ExitCode.Ok;
            }

            MemoryDto memory = JsonSerializer.Deserialize(json, ControlJson.Default.MemoryDto)!;
            TablePrinter table = new(_output, "WHAT", "BYTES", "COUNT");
            foreach (string name in memory.Bytes.Keys.Union(memory.Counts.Keys))
            {
                table.Row(
                    CliOutput.Title(name), memory.Bytes.TryGetValue(name, out long b) ? b.ToString(CultureInfo.InvariantCulture) : null,
                    memory.Counts.TryGetValue(name, out long c) ? c.ToString(CultureInfo.InvariantCulture) : null);
            }

            foreach ((string name, double octets) in memory.PerUnit)
            {
                table.Row(name == "tablePerPrefix" ? "table per prefix" : "per " + CliOutput.Title(name).ToLowerInvariant(), octets.ToString(CultureInfo.InvariantCulture), null);
            }

            table.Write();
            TablePrinter groups = new(_output, "GROUP", "FAMILY", "MEMBERS", "PATHS/PREFIX", "ADVERTISED", "TABLE", "LOG", "DETACHED", "WALKS");
            foreach (GroupMemoryDto group in memory.Groups)
            {
                groups.Row([group.Kind, group.Family, .. new[] { group.Members, group.PathsPerPrefix, group.Advertised, group.TableBytes, group.LogBytes, group.Detached, group.Walks }.Select(static value => value.ToString(CultureInfo.InvariantCulture))]);
            }

            groups.Write();
            TablePrinter peers = new(_output, "PEER", "PATHS", "BYTES", "PENDING", "BUFFERS");
            foreach (PeerMemoryDto peer in memory.Peers)
            {
                peers.Row([peer.Name, .. new[] { peer.Paths, peer.PathBytes, peer.PendingBytes, peer.BufferBytes }.Select(static value => value.ToString(CultureInfo.InvariantCulture))]);
            }

            peers.Write();
            return ExitCode.Ok;
        });

        Option<bool> follow = new("--follow", "-f") { Description = "As they happen" };
        Verb("events", "What happens, as it happens", follow).SetAction(parsed => Events(parsed, false));
        Option<bool> followLog = new("--follow", "-f") { Description = "As it is written" };
        Verb("log", "The daemon's log, as it is written", followLog).SetAction(parsed => Events(parsed, true));

        Argument<string> shell = new("SHELL") { Description = "bash, zsh or fish" };
        shell.CompletionSources.Add("bash", "zsh", "fish");
        Argument<string> line = new("LINE");
        Verb("__complete", "For the completion scripts", line).Hidden = true;
        _root.Subcommands[^1].SetAction(parsed => Complete(parsed.GetValue(line)!));
        Verb("completion", "Completion for a shell: source <(pipit completion bash)", shell).SetAction(parsed => Completion(parsed.GetValue(shell)!));
    }

    private int Status(ParseResult parsed)
    {
        string json = AskOne(parsed, new RequestDto { Verb = "status" });
        if (!_output.IsTable)
        {
            _output.Single(json);
            return ExitCode.Ok;
        }

        StatusDto s = JsonSerializer.Deserialize(json, ControlJson.Default.StatusDto)!;
        Field("Node", s.Name);
        Field("Version", s.Version);
        Field("Router ID", s.RouterId);
        Field("AS", s.Asn.ToString(CultureInfo.InvariantCulture));
        Field("Uptime", CliOutput.Age(s.UptimeSeconds));
        Field("Peers", string.Create(CultureInfo.InvariantCulture, $"{s.PeersEstablished} of {s.PeersTotal} established"));
        Field("Routes", string.Create(CultureInfo.InvariantCulture, $"{s.Prefixes} prefixes, {s.Paths} paths"));
        Field("Configuration", s.ConfigHash + (s.ConfigLoadedSeconds is { } loaded ? $", loaded {CliOutput.Age(loaded)} ago" : ""));
        if (s.ConfigErrors.Count > 0)
        {
            string more = s.ConfigErrors.Count > 1 ? string.Create(CultureInfo.InvariantCulture, $" (and {s.ConfigErrors.Count - 1} more)") : "";
            Field("Last reload", $"refused, the configuration before it runs: {CliOutput.Clean(s.ConfigErrors[0])}{more}");
        }

        Field("Waiting for confirm", s.ConfirmRemainingSeconds is { } rest ? $"rolled back in {CliOutput.Age(rest)}" : null);
        Field("Graceful restart", s.GracefulRestart is { Recovering: true } gr ? string.Create(
            CultureInfo.InvariantCulture,
            $"recovering, {(gr.ExportsHeld ? "exports held" : "old kernel routes kept")} for {CliOutput.Age(gr.RemainingSeconds ?? 0)} at most; waits for {string.Join(", ", gr.WaitingFor.Take(8).Select(static p => $"{CliOutput.Clean(p.Name)} ({p.Reason})"))}{(gr.WaitingForPeers > 8 ? ", ..." : "")}") : "no restart under way");
        Field("Kernel", s.Kernel + (s.KernelError is { } e ? $": {e}" : ""));
        Field("Not listening on", s.NotListening is { } closed ? CliOutput.Clean(closed) : null);
        foreach (BmpDto station in s.Bmp)
        {
            string behind = station.QueuedBytes > 0 ? $", {station.QueuedBytes} octets queued" : "";
            string drops = station.Drops > 0 ? $", given up {station.Drops} times" : "";
            string error = station.LastError is { } last ? $": {CliOutput.Clean(last)}" : "";
            Field("BMP " + CliOutput.Clean(station.Name), string.Create(
                CultureInfo.InvariantCulture, $"{station.State} for {CliOutput.Age(station.StateSeconds)} ({string.Join(", ", station.Policy)}), {station.MessagesSent} messages sent{behind}{drops}{error}"));
        }

        return ExitCode.Ok;
    }

    private int Events(ParseResult parsed, bool log)
    {
        foreach (string json in Ask(parsed, new RequestDto { Verb = "events", Flag = log }))
        {
            if (_output.IsTable)
            {
                EventDto e = JsonSerializer.Deserialize(json, ControlJson.Default.EventDto)!;
                _output.Out.WriteLine(CliOutput.Clean($"{e.At.UtcDateTime:yyyy-MM-ddTHH:mm:ss.fffZ} {e.Level ?? e.Type} {(e.Peer is null ? "" : e.Peer + ": ")}{e.Message}"));
            }
            else
            {
                _output.Out.WriteLine(json);
            }

            _output.Out.Flush();
        }

        return ExitCode.Ok;
    }

    /// <summary>What may come next on a line that ends where the cursor is; its first word is this program.</summary>
    private int Complete(string line)
    {
        int space = line.IndexOf(' ', StringComparison.Ordinal);
        string words = space < 0 ? "" : line[(space + 1)..];
        foreach (CompletionItem item in _root.Parse(words).GetCompletions(words.Length))
        {
            _output.Out.WriteLine(CliOutput.Clean(item.Label));
        }

        return ExitCode.Ok;
    }

    /// <summary>Names of peers for a shell's completion: those of the daemon that answers, if one does.</summary>
    private IEnumerable<CompletionItem> PeerNames(CompletionContext context)
    {
        try
        {
            return [.. AskPeers(context.ParseResult, false, null).Select(static item => new CompletionItem(item.Peer.Name))];
        }
        catch (ControlException)
        {
            return [];
        }
    }

    private int Completion(string shell)
    {
        // The program itself knows verbs, options and, where a daemon answers, the peers: the scripts only ask it.
        string? script = shell switch
        {
            "bash" => """
                _pipit() {
                    local line="pipit ${COMP_WORDS[*]:1:COMP_CWORD}"
                    COMPREPLY=($(compgen -W "$("$1" __complete "$line" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
                }
                complete -o default -F _pipit pipit

                """,
            "zsh" => """
                #compdef pipit
                _pipit() {
                    local line="pipit ${(j: :)words[2,CURRENT]}"
                    local -a found=(${(f)"$(pipit __complete "$line" 2>/dev/null)"})
                    compadd -a found || _files
                }
                [ "${funcstack[1]}" = _pipit ] && _pipit "$@" || compdef _pipit pipit

                """,
            "fish" => """
                complete -c pipit -a '(pipit __complete (commandline -cp | string collect) 2>/dev/null)'

                """,
            _ => null,
        };
        if (script is null)
        {
            return _output.Fail(ExitCode.Usage, $"unknown shell '{shell}'{Config.ConfigText.Suggest(shell, ["bash", "zsh", "fish"])} (one of bash, zsh, fish)");
        }

        _output.Out.Write(script);
        return ExitCode.Ok;
    }
}
