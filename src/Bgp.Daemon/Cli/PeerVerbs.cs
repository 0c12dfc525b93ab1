using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Bgp.Daemon.Config;
using Bgp.Daemon.Control;

namespace Bgp.Daemon.Cli;

public sealed partial class CliApp
{
    private static readonly string[] PeerActions = ["disable", "enable", "restart", "refresh"];

    private void AddPeerVerbs()
    {
        Option<bool> watch = new("--watch", "-w") { Description = "Keep showing; on a terminal in place" };
        Option<bool> down = new("--down") { Description = "Only peers that are not established" };
        Option<string?> group = new("--group") { Description = "Only this group", HelpName = "GROUP" };
        Verb("peers", "All peers, one line each", watch, down, group).SetAction(parsed =>
            parsed.GetValue(watch) ? WatchPeers(parsed, parsed.GetValue(down), parsed.GetValue(group)) : Peers(parsed, parsed.GetValue(down), parsed.GetValue(group)));

        Argument<string> name = new("NAME") { Description = "Name of the peer" };
        name.CompletionSources.Add(PeerNames);
        Argument<string[]> words = new("ACTION") { Description = "disable, enable, restart, refresh [in|out]; none shows the peer", Arity = ArgumentArity.ZeroOrMore };
        words.CompletionSources.Add(PeerActions);
        Option<string?> reason = new("--reason") { Description = "For the log and, with disable and restart, for the peer (RFC 9003)", HelpName = "TEXT" };
        Verb("peer", "One peer in detail, or an action on it", name, words, reason).SetAction(parsed =>
            Peer(parsed, parsed.GetValue(name)!, parsed.GetValue(words) ?? [], parsed.GetValue(reason)));
    }

    private IEnumerable<(string Json, PeerDto Peer)> AskPeers(ParseResult parsed, bool down, string? group)
    {
        foreach (string json in Ask(parsed, new RequestDto { Verb = "peers" }))
        {
            PeerDto peer = JsonSerializer.Deserialize(json, ControlJson.Default.PeerDto)!;
            if ((!down || peer.State != "established") && (group is null || peer.Group == group))
            {
                yield return (json, peer);
            }
        }
    }

    private int Peers(ParseResult parsed, bool down, string? group)
    {
        IEnumerable<(string Json, PeerDto Peer)> peers = AskPeers(parsed, down, group);
        if (_output.IsTable)
        {
            PeerTable(peers.Select(p => p.Peer));
        }
        else
        {
            _output.Items(peers.Select(p => p.Json));
        }

        return ExitCode.Ok;
    }

    private void PeerTable(IEnumerable<PeerDto> peers)
    {
        string[] titles = ["PEER", "ADDRESS", "AS", "STATE", "UPTIME", "V4 RX/ACC/TX", "V6 RX/ACC/TX", "LAST ERROR"];
        TablePrinter table = new(_output, _output.IsWide ? [.. titles, "GROUP", "BIRD NAME", "DESCRIPTION"] : titles) { StateColumn = 3 };
        foreach (PeerDto p in peers)
        {
            table.Row(
                p.Name, p.Address, p.Asn.ToString(CultureInfo.InvariantCulture), StateText(p.State), CliOutput.Age(p.UptimeSeconds), Counts(p, "ipv4"), Counts(p, "ipv6"),
                p.LastError, p.Group, p.BirdName, p.Description);
        }

        table.Write();
    }

    private static string StateText(string state) => state switch
    {
        "adminDown" => "Down(admin)",
        "openSent" => "OpenSent",
        "openConfirm" => "OpenConfirm",
        { Length: > 0 } => char.ToUpperInvariant(state[0]) + state[1..],
        _ => "-",
    };

    private static string Counts(PeerDto peer, string family) => peer.State == "established" && peer.Families.TryGetValue(family, out FamilyCountsDto? c)
        ? string.Create(CultureInfo.InvariantCulture, $"{c.Received}/{c.Accepted}/{c.Advertised}")
        : "-";

    private int WatchPeers(ParseResult parsed, bool down, string? group)
    {
        Dictionary<string, string> before = [];
        while (true)
        {
            List<(string Json, PeerDto Peer)> peers = [.. AskPeers(parsed, down, group)];
            if (_output.IsTerminal && _output.IsTable)
            {
                _output.Out.Write("\e[H\e[2J");
                PeerTable(peers.Select(p => p.Peer));
            }
            else
            {
                // One line per change: the clock alone is none.
                List<(string Json, PeerDto Peer)> changed = [.. peers.Where(p =>
                {
                    string key = Key(p.Peer);
                    bool same = before.TryGetValue(p.Peer.Name, out string? old) && old == key;
                    before[p.Peer.Name] = key;
                    return !same;
                })];
                if (changed.Count > 0 && _output.IsTable)
                {
                    PeerTable(changed.Select(p => p.Peer));
                    _output.NoHeaders = true;
                }
                else
                {
                    foreach ((string json, _) in changed)
                    {
                        _output.Out.WriteLine(json);
                    }
                }
            }

            _output.Out.Flush();
            Thread.Sleep(1000);
        }
    }

    private static string Key(PeerDto p) => $"{p.State} {Counts(p, "ipv4")} {Counts(p, "ipv6")} {p.LastError}";

    private int Peer(ParseResult parsed, string name, string[] words, string? reason)
    {
        if (words.Length == 0)
        {
            string json = AskOne(parsed, new RequestDto { Verb = "peer", Peer = name });
            if (!_output.IsTable)
            {
                _output.Single(json);
                return ExitCode.Ok;
            }

            PeerDetail(JsonSerializer.Deserialize(json, ControlJson.Default.PeerDetailDto)!);
            return ExitCode.Ok;
        }

        if (Array.IndexOf(PeerActions, words[0]) < 0)
        {
            return _output.Fail(ExitCode.Usage, $"unknown action '{words[0]}'{ConfigText.Suggest(words[0], PeerActions)} (one of {string.Join(", ", PeerActions)})");
        }

        string action = words[0];
        if (words.Length > 1)
        {
            if (action != "refresh" || words.Length > 2 || words[1] is not ("in" or "out"))
            {
                string wrong = words.Length > 2 ? words[2] : words[1];
                return _output.Fail(ExitCode.Usage, $"unknown word '{wrong}' after '{action}'{(action == "refresh" ? ConfigText.Suggest(wrong, ["in", "out"]) : "")}");
            }

            action += words[1];
        }

        return Command(parsed, new RequestDto { Verb = "peerCommand", Peer = name, Action = action, Reason = reason });
    }

    /// <summary>A command that answers with a message.</summary>
    private int Command(ParseResult parsed, RequestDto request)
    {
        string json = AskOne(parsed, request);
        if (_output.IsTable)
        {
            _output.Out.WriteLine(CliOutput.Clean(JsonSerializer.Deserialize(json, ControlJson.Default.CommandDto)!.Message));
        }
        else
        {
            _output.Single(json);
        }

        return ExitCode.Ok;
    }

    private void PeerDetail(PeerDetailDto p)
    {
        Field("Peer", p.Name + (p.Description is { Length: > 0 } d ? $" ({d})" : ""));
        Field("State", $"{StateText(p.State)} for {CliOutput.Age(p.UptimeSeconds)}");
        Field("Address", $"{p.Address}, local {p.LocalAddress ?? "-"}");
        Field("AS", $"{p.Asn} ({(p.Ibgp ? "internal" : "external")}), local {p.LocalAsn}");
        Field("Router ID", p.RouterId);
        Field("Group", p.Group);
        Field("Mode", string.Join(", ", new[] { p.Passive ? "passive" : "active", p.RouteReflectorClient ? "route reflector client" : "", p.Md5 ? "TCP MD5" : "" }.Where(t => t.Length > 0)));
        Field("Timers", string.Create(CultureInfo.InvariantCulture, $"hold {p.HoldSeconds} s, keepalive {p.KeepaliveSeconds} s"));
        if (p.Bfd is { } bfd)
        {
            Field("BFD", string.Create(CultureInfo.InvariantCulture,
                $"{StateText(bfd.State)} for {CliOutput.Age(bfd.StateSeconds)}, neighbour {StateText(bfd.RemoteState)}, {(bfd.Multihop ? "multihop" : "single hop")}{(bfd.Problem is null ? "" : ": " + bfd.Problem)}"));
            Field("BFD timers", string.Create(CultureInfo.InvariantCulture, $"every {bfd.TransmitIntervalMs} ms x {bfd.Multiplier}, detection {bfd.DetectionTimeMs} ms"));
            Field("BFD packets", string.Create(CultureInfo.InvariantCulture, $"sent {bfd.PacketsSent}, received {bfd.PacketsReceived}, not sent {bfd.SendErrors}, losses {bfd.Losses}"));
            Field("BFD diagnostic", bfd.Diagnostic is null && bfd.RemoteDiagnostic is null ? null : $"{bfd.Diagnostic ?? "-"}, neighbour {bfd.RemoteDiagnostic ?? "-"}");
        }

        if (p.Stale is { } stale)
        {
            string until = p.StaleSeconds is { } left ? $", {CliOutput.Age(left)} left" : "";
            Field("Kept routes", (stale == "longLived" ? "long-lived stale" : "stale, the neighbour restarts") + until);
        }

        Field("Import", p.Import.Count > 0 ? string.Join(", ", p.Import) : "nothing");
        Field("Export", p.Export.Count > 0 ? string.Join(", ", p.Export) : "nothing");
        Field("Sent caps", string.Join(", ", p.CapabilitiesSent));
        Field("Their caps", string.Join(", ", p.CapabilitiesReceived));
        Field("In use", string.Join(", ", p.CapabilitiesNegotiated));
        foreach ((string family, FamilyCountsDto c) in p.Families)
        {
            Field(family, string.Create(CultureInfo.InvariantCulture, $"received {c.Received}, accepted {c.Accepted}, advertised {c.Advertised}"));
        }

        foreach ((string counter, long value) in p.Counters)
        {
            Field(CliOutput.Title(counter), value.ToString(CultureInfo.InvariantCulture));
        }

        Field("Last error", p.LastError);
        foreach (PeerResetDto reset in p.Resets)
        {
            Field("Reset", $"{reset.At:yyyy-MM-ddTHH:mm:ssZ} {reset.Reason}");
        }
    }

    private void Field(string name, string? value)
    {
        if (!string.IsNullOrEmpty(value))
        {
            _output.Out.WriteLine($"{name + ":",-24} {CliOutput.Clean(value)}");
        }
    }
}
