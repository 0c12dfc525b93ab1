using System.Globalization;
using Bgp.Daemon.Config;
using Bgp.Protocol;

namespace Bgp.Daemon.Import;

/// <summary>What one of BIRD's files (IPv4 or IPv6) says, put together from its protocols.</summary>
internal sealed class BirdNodeFacts
{
    internal required BirdFile File { get; init; }

    /// <summary>4 or 6.</summary>
    internal int Family { get; set; }

    internal string RouterId { get; set; } = "";

    internal string ListenAddress { get; set; } = "";

    internal string ListenPort { get; set; } = "";

    internal List<string> ExcludedInterfaces { get; } = [];

    internal bool Learn { get; set; }

    internal bool Persist { get; set; }

    internal int MaxPaths { get; set; } = 1;

    internal bool HasKernel { get; set; }

    internal bool DebugAll { get; set; }

    internal BirdRules? KernelFilter { get; set; }

    /// <summary>Calico's normal route priority, of which its filters speak; 0 where they do not.</summary>
    internal uint NormalMetric { get; set; }

    internal List<(Cidr Prefix, BirdPlace Place)> Blackholes { get; } = [];

    internal List<(Cidr Prefix, IpAddr Gateway, BirdPlace Place)> Gateways { get; } = [];

    internal List<BirdPeer> Peers { get; } = [];
}

/// <summary>A BGP protocol with its template's options applied.</summary>
internal sealed class BirdPeer
{
    internal required string Name { get; init; }

    internal required BirdPlace Place { get; init; }

    internal uint LocalAsn { get; set; }

    internal IpAddr Address { get; set; }

    internal uint Asn { get; set; }

    internal int Port { get; set; } = 179;

    internal string Description { get; set; } = "";

    internal IpAddr Source { get; set; }

    internal bool TtlSecurity { get; set; }

    /// <summary>0: not said.</summary>
    internal int Multihop { get; set; }

    internal bool Passive { get; set; }

    internal bool GracefulRestart { get; set; }

    internal int RestartTime { get; set; } = 120;

    internal int Hold { get; set; } = 240;

    internal int Keepalive { get; set; }

    internal int ConnectRetry { get; set; } = 120;

    internal int ErrorWait { get; set; } = 60;

    internal bool AddPathReceive { get; set; }

    internal bool AddPathSend { get; set; }

    internal bool Client { get; set; }

    internal string ClusterId { get; set; } = "";

    internal string? Password { get; set; }

    internal string NextHop { get; set; } = "auto";

    internal int AllowLocalAs { get; set; }

    internal bool Disabled { get; set; }

    internal BirdOption? Import { get; set; }

    internal BirdOption? Export { get; set; }

    internal IReadOnlyList<BirdRule> ImportRules { get; set; } = [];

    internal IReadOnlyList<BirdRule> ExportRules { get; set; } = [];

    internal bool IsIbgp => Asn == LocalAsn;
}

/// <summary>From BIRD's words to this daemon's: reads the protocols, translates the filters, and has <see cref="BirdYaml"/> write the result.</summary>
internal sealed partial class BirdTranslator(BirdImportOptions options, IssueSink sink, Dictionary<string, string> passwords)
{
    internal string Translate(IReadOnlyList<BirdFile> roots)
    {
        List<BirdNodeFacts> all = [];
        foreach (BirdFile root in roots)
        {
            BirdNodeFacts facts = new() { File = root };
            all.Add(facts);
            Globals(facts);
            foreach (BirdProtocolBlock block in root.Protocols.Where(static block => !block.IsTemplate))
            {
                Try(() => Protocol(facts, block));
            }

            facts.Family = FamilyOf(facts);
            facts.NormalMetric = facts.KernelFilter?.NormalMetric ?? 0;
            foreach (BirdPeer peer in facts.Peers)
            {
                Try(() => Filters(facts, peer));
            }
        }

        if (all.Count > 2 || (all.Count == 2 && all[0].Family == all[1].Family))
        {
            Error(new BirdPlace(all[^1].File.Path, 1, 1), "one IPv4 and one IPv6 configuration can be imported together, not two of a family");
        }

        return sink.HasErrors ? "" : new BirdYaml(options, sink, passwords, all).Write();
    }

    private void Error(BirdPlace place, string text) => sink.Add(place.File, place.Line, place.Column, true, text);

    private void Try(Action action)
    {
        try
        {
            action();
        }
        catch (BirdSyntaxException e)
        {
            Error(e.Place, e.Message);
        }
    }

    /// <summary>A file's family is that of its neighbours and prefixes; one that has none is told by its name, as BIRD's programs are.</summary>
    private static int FamilyOf(BirdNodeFacts facts)
    {
        foreach (bool v4 in facts.Peers.Select(static peer => peer.Address.IsV4).Concat(facts.Blackholes.Select(static item => item.Prefix.IsV4)))
        {
            return v4 ? 4 : 6;
        }

        return Path.GetFileName(facts.File.Path).Contains("bird6", StringComparison.Ordinal) ? 6 : 4;
    }

    private void Globals(BirdNodeFacts facts)
    {
        foreach (BirdOption option in facts.File.Globals)
        {
            if (option.Begins("router", "id") && option.Words.Count == 3 && IpAddr.TryParse(option.Words[2].Text, out IpAddr id) && id.IsV4)
            {
                facts.RouterId = id.ToString();
            }
            else if (option.Begins("listen", "bgp"))
            {
                for (int i = 2; i + 1 < option.Words.Count; i += 2)
                {
                    if (option.Words[i].Is("address") && option.Words[i + 1].Kind == BirdTokenKind.Address)
                    {
                        facts.ListenAddress = option.Words[i + 1].Text;
                    }
                    else if (option.Words[i].Is("port") && option.Words[i + 1].Kind == BirdTokenKind.Number)
                    {
                        facts.ListenPort = option.Words[i + 1].Text;
                    }
                    else
                    {
                        Error(option.Words[i].Place, $"'{option.Shown}' is not understood");
                    }
                }
            }
            else if (option.Begins("debug", "protocols"))
            {
                facts.DebugAll |= option.Begins("debug", "protocols", "all");
            }
            else if (!option.Begins("log") && !option.Begins("timeformat") && !option.Begins("graceful", "restart", "wait"))
            {
                Error(option.Place, $"'{option.Shown}' is not understood");
            }
        }
    }

    /// <summary>The options of a protocol after those of its templates, outermost first.</summary>
    private List<BirdOption> Options(BirdFile file, BirdProtocolBlock block)
    {
        List<BirdOption> options = [.. block.Options];
        BirdProtocolBlock at = block;
        for (int depth = 0; at.From is { } from; depth++)
        {
            BirdProtocolBlock? template = file.Protocols.Find(other => other.IsTemplate && other.Name == from.Text && other.Type == block.Type);
            if (template is null || depth > 16)
            {
                Error(from.Place, $"there is no template {block.Type} '{from.Text}'");
                break;
            }

            options.InsertRange(0, template.Options);
            at = template;
        }

        return options;
    }

    private void Protocol(BirdNodeFacts facts, BirdProtocolBlock block)
    {
        List<BirdOption> options = Options(facts.File, block);
        switch (block.Type)
        {
            case "kernel":
                facts.HasKernel = true;
                Each(options, option => Kernel(facts, option));
                if (!options.Exists(static option => option.Begins("export")))
                {
                    throw new BirdSyntaxException(block.Place, "a kernel protocol without 'export' installs nothing in BIRD; that is not understood");
                }

                break;
            case "device":
                Each(options, option => IsHarmless(facts, option));
                break;
            case "direct":
                Each(options, option => Direct(facts, option));
                break;
            case "static":
                Each(options, option => Static(facts, option));
                break;
            case "bgp":
                BirdPeer peer = new() { Name = block.Name, Place = block.Place };
                Each(options, option => Bgp(facts, peer, option));
                Complete(peer);
                facts.Peers.Add(peer);
                break;
            default:
                throw new BirdSyntaxException(block.Place, $"protocol {block.Type} is not understood");
        }
    }

    private void Each(List<BirdOption> options, Func<BirdOption, bool> understands)
    {
        foreach (BirdOption option in options)
        {
            Try(() =>
            {
                if (!understands(option))
                {
                    throw new BirdSyntaxException(option.Place, $"'{option.Shown}' is not understood here");
                }
            });
        }
    }

    /// <summary>What changes nothing that this daemon does: it needs no scans, and its log is its own.</summary>
    private static bool IsHarmless(BirdNodeFacts facts, BirdOption option)
    {
        if (option.Begins("debug"))
        {
            facts.DebugAll |= option.Begins("debug", "all");
            return true;
        }

        return option.Begins("scan", "time") && option.Words is [_, _, { Kind: BirdTokenKind.Number }];
    }

    private bool Kernel(BirdNodeFacts facts, BirdOption option)
    {
        if (IsHarmless(facts, option) || option.Shown is "import all" or "graceful restart")
        {
            return true;
        }

        switch (option.Shown)
        {
            case "learn" or "learn on":
                return facts.Learn = true;
            case "persist" or "persist on":
                return facts.Persist = true;
            case "merge paths on" or "merge paths yes":
                facts.MaxPaths = 16;
                return true;
            case "merge paths off":
                facts.MaxPaths = 1;
                return true;
            default:
                break;
        }

        if (option.Begins("merge", "paths", "on", "limit") && option.Words is [_, _, _, _, { Kind: BirdTokenKind.Number } limit])
        {
            facts.MaxPaths = Math.Clamp(Number(limit), 1, 256);
            return true;
        }

        if (option.Begins("export"))
        {
            facts.KernelFilter = BirdRules.Translate(facts.File, Body(facts.File, option), new BirdFilterUse(IsImport: false, IsKernel: true, IsExternal: false, 0), option.Place);
            return true;
        }

        return false;
    }

    private static bool Direct(BirdNodeFacts facts, BirdOption option)
    {
        if (IsHarmless(facts, option))
        {
            return true;
        }

        if (!option.Begins("interface"))
        {
            return false;
        }

        bool all = false;
        for (int i = 1; i < option.Words.Count; i++)
        {
            if (option.Words[i].Is("-") && i + 1 < option.Words.Count && option.Words[i + 1].Kind == BirdTokenKind.Text && !all)
            {
                facts.ExcludedInterfaces.Add(option.Words[++i].Text);
            }
            else if (option.Words[i] is { Kind: BirdTokenKind.Text, Text: "*" })
            {
                all = true;
            }
            else if (!option.Words[i].Is(","))
            {
                throw new BirdSyntaxException(option.Words[i].Place, $"{option.Words[i].Shown}: only excluded interfaces followed by \"*\" are understood");
            }
        }

        return all;
    }

    private static bool Static(BirdNodeFacts facts, BirdOption option)
    {
        if (IsHarmless(facts, option) || option.Shown == "check link")
        {
            return true;
        }

        if (!option.Begins("route") || option.Words.Count < 4)
        {
            return false;
        }

        string text = string.Concat(option.Words.Skip(1).TakeWhile(static word => word.Kind is BirdTokenKind.Address or BirdTokenKind.Number || word.Is("/")).Select(static word => word.Text));
        if (!Cidr.TryParse(text, out Cidr prefix))
        {
            throw new BirdSyntaxException(option.Words[1].Place, $"'{text}' is not a prefix");
        }

        BirdToken what = option.Words[^1];
        if (what.Is("blackhole"))
        {
            facts.Blackholes.Add((prefix, option.Place));
            return true;
        }

        if (option.Words[^2].Is("via") && IpAddr.TryParse(what.Text, out IpAddr gateway))
        {
            facts.Gateways.Add((prefix, gateway, option.Place));
            return true;
        }

        return false;
    }

    /// <summary>The statements of an inline filter, of a named one, or of <c>all</c> and <c>none</c>.</summary>
    private static ConfigList<BirdStatement> Body(BirdFile file, BirdOption option)
    {
        if (option.Filter is { } inline)
        {
            return inline;
        }

        if (option.Words is [_, { Text: "all" or "none" } word])
        {
            return [new VerdictStatement(option.Place, word.Text == "all")];
        }

        return option.Words is [_, { Text: "filter" }, var name] && file.Filters.TryGetValue(name.Text, out BirdFunction? filter)
            ? filter.Body
            : throw new BirdSyntaxException(option.Place, $"'{option.Shown}' is not understood, or names a filter that is not there");
    }

    private static void Filters(BirdNodeFacts facts, BirdPeer peer)
    {
        BirdRules import = Rules(peer.Import, isImport: true);
        BirdRules export = Rules(peer.Export, isImport: false);

        // Metric and LOCAL_PREF stand for each other everywhere or nowhere: one kernel, one meaning.
        bool kernel = facts.KernelFilter?.MetricIsLocalPref ?? false;
        if (facts.HasKernel && peer.Export is not null && export.MetricIsLocalPref != kernel)
        {
            throw new BirdSyntaxException(peer.Export.Place, $"{peer.Name}: the export filter {(kernel ? "does not translate" : "translates")} metrics to LOCAL_PREF, the kernel's filter {(kernel ? "does" : "does not")}");
        }

        foreach ((BirdRules rules, BirdOption? option) in new[] { (import, peer.Import), (export, peer.Export) })
        {
            if (rules.NormalMetric == 0 || option is null)
            {
                continue;
            }

            facts.NormalMetric = facts.NormalMetric == 0 ? rules.NormalMetric : facts.NormalMetric;
            if (rules.NormalMetric != facts.NormalMetric)
            {
                throw new BirdSyntaxException(option.Place, $"{peer.Name}: the normal route priority is {rules.NormalMetric} here and {facts.NormalMetric} elsewhere");
            }
        }

        (peer.ImportRules, peer.ExportRules) = ([.. import.All.Select(rule => Ranked(facts, peer, rule))], export.All);

        // BIRD's defaults: everything comes in, nothing goes out.
        BirdRules Rules(BirdOption? option, bool isImport) => BirdRules.Translate(
            facts.File, option is null ? [new VerdictStatement(peer.Place, isImport)] : Body(facts.File, option), new BirdFilterUse(isImport, IsKernel: false, !peer.IsIbgp, peer.LocalAsn), option?.Place ?? peer.Place);
    }

    /// <summary>
    /// A route that is accepted before the translation is reached keeps BIRD's preference of 100, however good its LOCAL_PREF; that of an external neighbour is the rule's own or
    /// none.
    /// </summary>
    private static BirdRule Ranked(BirdNodeFacts facts, BirdPeer peer, BirdRule rule)
    {
        uint most = global::Rib.RankKey.ElevatedAbove(facts.NormalMetric);
        bool mayBeElevated = rule.Edits.LocalPref is { } set ? set > most
            : peer.IsIbgp && facts.NormalMetric > 0 && !rule.Condition.Terms.Any(term => term.Kind == BirdTermKind.LocalPref && term.Max <= most);
        return rule with { Edits = rule.Edits with { Elevates = false, Preference = rule.Accept && mayBeElevated && !rule.Edits.Elevates ? 100 : null } };
    }

    private static int Number(BirdToken token) =>
        int.TryParse(token.Text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : throw new BirdSyntaxException(token.Place, $"{token.Shown} is not a number here");
}
