using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Bgp.Daemon.Config;
using Bgp.Daemon.Control;
using Bgp.Protocol;

namespace Bgp.Daemon.Cli;

public sealed partial class CliApp
{
    private void AddRouteVerbs()
    {
        Argument<string?> prefix = new("PREFIX") { Description = "A prefix, or an address (longest match)", Arity = ArgumentArity.ZeroOrOne };
        Option<bool> longer = new("--longer") { Description = "Also everything inside PREFIX" };
        Option<string?> from = new("--from") { Description = "Accepted from this peer", HelpName = "PEER" };
        Option<string?> received = new("--received") { Description = "All that this peer sent, rejected routes too", HelpName = "PEER" };
        Option<string?> to = new("--to") { Description = "As advertised to this peer", HelpName = "PEER" };
        Option<bool> filtered = new("--filtered") { Description = "Only what import filters rejected" };
        Option<bool> best = new("--best") { Description = "Only the selected paths" };
        Option<string?> family = new("--family") { Description = "4 or 6", HelpName = "4|6" };
        Option<bool> count = new("--count") { Description = "Only how many" };
        family.CompletionSources.Add("4", "6");
        foreach (Option<string?> option in (ReadOnlySpan<Option<string?>>)[from, received, to])
        {
            option.CompletionSources.Add(PeerNames);
        }

        Verb("routes", "Routes", prefix, longer, from, received, to, filtered, best, family, count).SetAction(parsed =>
        {
            if (parsed.GetValue(family) is { } f && f is not ("4" or "6"))
            {
                return _output.Fail(ExitCode.Usage, $"--family: '{f}' is not 4 or 6");
            }

            return Routes(parsed, new RouteQuery
            {
                Prefix = parsed.GetValue(prefix),
                Longer = parsed.GetValue(longer),
                From = parsed.GetValue(from),
                Received = parsed.GetValue(received),
                To = parsed.GetValue(to),
                Filtered = parsed.GetValue(filtered),
                Best = parsed.GetValue(best),
                Family = parsed.GetValue(family) is { } n ? n[0] - '0' : 0,
            }, parsed.GetValue(count));
        });

        Argument<string> what = new("PREFIX") { Description = "A prefix, or an address (longest match)" };
        Option<string?> toPeer = new("--to") { Description = "Why it is advertised to this peer, or not", HelpName = "PEER" };
        toPeer.CompletionSources.Add(PeerNames);
        Verb("explain", "Why a path is best, exported (or not) and in the kernel (or not)", what, toPeer).SetAction(parsed =>
            Explain(parsed, parsed.GetValue(what)!, parsed.GetValue(toPeer)));

        Option<bool> diff = new("--diff") { Description = "Only where wanted and kernel differ" };
        Verb("fib", "Wanted kernel routes against the kernel's", diff).SetAction(parsed =>
        {
            IEnumerable<string> items = Ask(parsed, new RequestDto { Verb = "fib", Flag = parsed.GetValue(diff) });
            if (!_output.IsTable)
            {
                _output.Items(items);
                return ExitCode.Ok;
            }

            TablePrinter table = new(_output, "PREFIX", "STATE", "WANTED", "KERNEL", "LAST ERROR");
            foreach (string json in items)
            {
                FibDto f = JsonSerializer.Deserialize(json, ControlJson.Default.FibDto)!;
                table.Row(f.Prefix, f.State, f.Wanted, f.Kernel, f.LastError);
            }

            table.Write();
            return ExitCode.Ok;
        });
    }

    private bool CheckPrefix(string? text)
    {
        if (text is null || Cidr.TryParse(text, out _))
        {
            return true;
        }

        bool hostBits = ConfigText.TryAddressLength(text, out IpAddr a, out int length) && length > 0;
        string hint = hostBits ? $" (host bits are set); did you mean '{(a.IsV4 ? Ipv4Prefix.Create(a, length).ToString() : Ipv6Prefix.Create(a, length).ToString())}'?" : "";
        _output.Fail(ExitCode.Usage, $"'{text}' is not a prefix or an address{hint}");
        return false;
    }

    private int Routes(ParseResult parsed, RouteQuery query, bool count)
    {
        if (!CheckPrefix(query.Prefix))
        {
            return ExitCode.Usage;
        }

        if (count)
        {
            string json = AskOne(parsed, new RequestDto { Verb = "routeCount", Routes = query });
            if (_output.IsTable)
            {
                _output.Out.WriteLine(JsonSerializer.Deserialize(json, ControlJson.Default.CountDto)!.Count);
            }
            else
            {
                _output.Single(json);
            }

            return ExitCode.Ok;
        }

        bool any = false;
        IEnumerable<string> items = Ask(parsed, new RequestDto { Verb = "routes", Routes = query }).Select(i =>
        {
            any = true;
            return i;
        });
        if (_output.IsTable)
        {
            RouteTable(items.Select(i => JsonSerializer.Deserialize(i, ControlJson.Default.RouteDto)!));
        }
        else
        {
            _output.Items(items);
        }

        if (!any && (query.To ?? query.Received ?? query.From) is { } name
            && JsonSerializer.Deserialize(AskOne(parsed, new RequestDto { Verb = "peer", Peer = name }), ControlJson.Default.PeerDetailDto) is { State: not "established" } peer)
        {
            // An empty list of a session that is down says nothing about filters.
            _output.Fail(ExitCode.Ok, $"{peer.Name} is not established ({StateText(peer.State)}{(peer.LastError is null ? "" : ": " + peer.LastError)})");
        }

        return !any && query.Prefix is not null ? _output.Fail(ExitCode.Negative, $"no route {query.Prefix}{Rejected(parsed, query)}") : ExitCode.Ok;
    }

    /// <summary>A hint where the answer is no only because an import filter said so.</summary>
    private string Rejected(ParseResult parsed, RouteQuery query)
    {
        if (query.Filtered || query.To is not null)
        {
            return "";
        }

        long count = JsonSerializer.Deserialize(AskOne(parsed, new RequestDto { Verb = "routeCount", Routes = query with { Filtered = true } }), ControlJson.Default.CountDto)!.Count;
        return count == 0 ? "" : $"; {count} rejected on import (--filtered shows {(count == 1 ? "it" : "them")})";
    }

    private void RouteTable(IEnumerable<RouteDto> routes)
    {
        string[] titles = ["", "PREFIX", "NEXTHOP", "DEV", "FROM", "LP", "MED", "AS-PATH", "ORIGIN"];
        TablePrinter table = new(_output, _output.IsWide ? [.. titles, "COMMUNITIES", "LARGE", "ORIGINATOR", "PATH-ID", "SOURCE", "REJECTED BY"] : [.. titles, "REJECTED BY"]);
        foreach (RouteDto r in routes)
        {
            string flags = (r.Best ? "*" : "") + (r.Installed ? ">" : "");
            string?[] cells =
            [
                flags.Length > 0 ? flags : " ", r.Prefix, r.NextHop, r.Device ?? r.Type, r.From ?? $"({r.Source})", r.LocalPref?.ToString(CultureInfo.InvariantCulture), r.Med?.ToString(CultureInfo.InvariantCulture),
                r.AsPath, r.Origin,
            ];
            table.Row(_output.IsWide
                ? [.. cells, string.Join(',', r.Communities), string.Join(',', r.LargeCommunities), r.OriginatorId, r.PathId?.ToString(CultureInfo.InvariantCulture), r.Source, r.RejectedBy]
                : [.. cells, r.RejectedBy]);
        }

        table.Write();
    }

    private int Explain(ParseResult parsed, string prefix, string? to)
    {
        if (!CheckPrefix(prefix))
        {
            return ExitCode.Usage;
        }

        string json = AskOne(parsed, new RequestDto { Verb = "explain", Prefix = prefix, To = to });
        ExplainDto explain = JsonSerializer.Deserialize(json, ControlJson.Default.ExplainDto)!;
        if (!_output.IsTable)
        {
            _output.Single(json);
        }
        else if (explain.Found)
        {
            _output.Out.WriteLine(explain.Prefix);
            RouteTable(explain.Paths);
            TablePrinter table = new(_output, "ABOUT", "SUBJECT", "VERDICT", "REASON");
            foreach (ExplainStepDto step in explain.Steps)
            {
                table.Row(step.Topic, step.Subject, step.Verdict, step.Reason);
            }

            table.Write();
        }

        return explain.Found ? ExitCode.Ok : _output.Fail(ExitCode.Negative, $"no route {prefix}");
    }
}
