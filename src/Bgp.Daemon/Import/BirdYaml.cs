using System.Globalization;
using System.Text;
using Bgp.Daemon.Config;
using Bgp.Protocol;

namespace Bgp.Daemon.Import;

/// <summary>Writes what the files say as YAML of this daemon.</summary>
/// <remarks>
/// Calico's export rules become filters rule by rule rather than the built-in <c>calico-export</c>, which is stricter in places (a block of another
/// node does not pass it towards eBGP): an imported node must announce exactly what BIRD did. For the same reason <c>kernel.learn.guard</c> is only left on
/// where the rules say all that it says.
/// </remarks>
internal sealed class BirdYaml(BirdImportOptions options, IssueSink sink, Dictionary<string, string> passwords, List<BirdNodeFacts> all)
{
    private static readonly string[] s_guarded = ["*.cali", "*.calico", "tunl0", "bpf*.cali"];

    private readonly StringBuilder _out = new();
    private readonly Dictionary<string, string> _filters = new(StringComparer.Ordinal);
    private readonly StringBuilder _filterText = new();

    internal string Write()
    {
        BirdNodeFacts first = all[0];
        Same("router id", static facts => facts.RouterId, first.File.Path);
        Same("listen port", static facts => facts.ListenPort, first.File.Path);
        uint asn = LocalAsn();
        Dictionary<Cidr, Pool> pools = Pools(out Cidr? subnet, out List<Cidr> excludedHops);
        Line(0, "version: 1");
        Node(asn, subnet);
        Listen();
        WritePools(pools);
        Originate();
        Kernel(excludedHops);
        if (all.Exists(static facts => facts.DebugAll))
        {
            Line(0, "log: { level: debug }");
        }

        if (options.Metrics is { } metrics)
        {
            Line(0, $"metrics: {{ listen: {Quote(metrics)} }}");
        }

        Sockets();
        Peers(asn);
        if (_filterText.Length > 0)
        {
            Line(0, "filters:");
            _out.Append(_filterText);
        }

        return sink.HasErrors ? "" : _out.ToString();
    }

    private void Same(string what, Func<BirdNodeFacts, string> of, string path)
    {
        if (all.Select(of).Distinct().Count() > 1)
        {
            sink.Add(path, 1, 1, true, $"the IPv4 and the IPv6 file differ in {what}");
        }
    }

    private void Error(BirdPlace place, string text) => sink.Add(place.File, place.Line, place.Column, true, text);

    private uint LocalAsn()
    {
        // The template's number is the node's; a peer with another one has it as an override.
        foreach (BirdNodeFacts facts in all)
        {
            foreach (BirdOption option in facts.File.Protocols.Where(static block => block.IsTemplate && block.Type == "bgp").SelectMany(static block => block.Options))
            {
                if (option.Begins("local", "as") && option.Words.Count == 3 && uint.TryParse(option.Words[2].Text, out uint asn))
                {
                    return asn;
                }
            }
        }

        return all.SelectMany(static facts => facts.Peers).FirstOrDefault()?.LocalAsn ?? 64512;
    }

    private void Node(uint asn, Cidr? subnet)
    {
        IpAddr v4 = Own(4);
        IpAddr v6 = Own(6);
        string routerId = all.Select(static facts => facts.RouterId).FirstOrDefault(static id => id.Length > 0) ?? "";
        if (v4.IsNone && IpAddr.TryParse(routerId, out IpAddr id) && all.Exists(static facts => facts.Family == 4) && (subnet is null || subnet.Value.Contains(id)))
        {
            v4 = id;
        }

        if (subnet is { } local && (v4.IsNone || !local.Contains(v4)))
        {
            sink.Add(all[0].File.Path, 1, 1, true, $"the node's own address in {local}, by which tunnels are chosen, is named nowhere");
        }

        Line(0, "node:");
        Line(1, $"name: {Quote(options.NodeName)}");
        Line(1, Text($"asn: {asn}"));
        if (!v4.IsNone)
        {
            Line(1, subnet is { } net ? Text($"ipv4: {v4}/{net.Length}") : $"ipv4: {v4}");
        }

        if (!v6.IsNone)
        {
            Line(1, $"ipv6: {Quote(v6.ToString())}");
        }

        if (routerId.Length > 0)
        {
            Line(1, $"routerId: {routerId}");
        }
        else
        {
            sink.Add(all[0].File.Path, 1, 1, true, "there is no 'router id'");
        }
    }

    private IpAddr Own(int family) => all.Where(facts => facts.Family == family).SelectMany(static facts => facts.Peers)
        .Select(static peer => peer.Source).FirstOrDefault(static source => !source.IsNone);

    private void Listen()
    {
        List<string> addresses = [.. all.Select(static facts => facts.ListenAddress.Length > 0 ? facts.ListenAddress : facts.Family == 6 ? "::" : "0.0.0.0")];
        Line(0, $"listen: {{ address: [{string.Join(", ", addresses.Select(Quote))}]{(all[0].ListenPort.Length > 0 ? $", port: {all[0].ListenPort}" : "")} }}");
    }

    private sealed record Pool(Cidr Cidr)
    {
        internal bool InKernelFilter { get; set; }

        internal bool Rejected { get; set; }

        internal string Tunnel { get; set; } = "";

        internal bool CrossSubnet { get; set; }

        internal bool Exported { get; set; }

        internal bool NotExported { get; set; }
    }

    /// <summary>Pools are what the kernel's filter and the export filters name.</summary>
    private Dictionary<Cidr, Pool> Pools(out Cidr? subnet, out List<Cidr> excludedHops)
    {
        Dictionary<Cidr, Pool> pools = [];
        subnet = null;
        excludedHops = [];
        Pool At(Cidr cidr) => pools.TryGetValue(cidr, out Pool? known) ? known : pools[cidr] = new Pool(cidr);

        foreach (BirdNodeFacts facts in all)
        {
            bool accepted = false;
            foreach (BirdRule rule in facts.KernelFilter?.All ?? [])
            {
                bool after = accepted;
                accepted |= rule.Accept;
                switch (rule.Condition.Terms)
                {
                    case [] when rule.Accept:
                        break;
                    case [{ Kind: BirdTermKind.Inside } inside]:
                        Pool pool = At(inside.Net);
                        (pool.InKernelFilter, pool.Rejected) = (true, !rule.Accept);
                        pool.Tunnel = rule.Edits.Tunnel ?? "";
                        break;
                    case [{ Kind: BirdTermKind.NextHop } hop] when !rule.Accept && !after:
                        excludedHops.Add(hop.Net);
                        break;
                    case [{ Kind: BirdTermKind.Inside } inside, { Kind: BirdTermKind.FromBgp }, { Kind: BirdTermKind.NextHop } hop]
                        when rule.Accept && rule.Edits.Tunnel is "" && (subnet is null || subnet == hop.Net):
                        At(inside.Net).CrossSubnet = true;
                        subnet = hop.Net;
                        break;
                    default:
                        Error(rule.Place, "this rule of the kernel's export filter is not understood");
                        break;
                }
            }

            // Interface addresses inside exported pools are announced (a tunnel's own address), so Calico's export rules tell which pools those are; a
            // BGPFilter's rules name any prefix.
            HashSet<BirdPlace> calico = [];
            if (facts.File.Functions.TryGetValue("calico_export_to_bgp_peers", out BirdFunction? export))
            {
                Verdicts(export.Body, calico);
            }

            foreach (BirdRule rule in facts.Peers.SelectMany(static peer => peer.ExportRules))
            {
                if (calico.Contains(rule.Place) && rule.Condition.Terms is [{ Kind: BirdTermKind.Inside } inside] && !facts.Blackholes.Exists(item => item.Prefix.Contains(inside.Net)))
                {
                    Pool pool = At(inside.Net);
                    (pool.Exported, pool.NotExported) = (pool.Exported || rule.Accept, pool.NotExported || !rule.Accept);
                }
            }
        }

        // The longest match decides here and the first one there, which comes to the same: what stands behind a wider one never decides, and is no rule any more.
        foreach (Pool inner in pools.Values)
        {
            if (pools.Values.Where(outer => outer.Cidr != inner.Cidr && outer.Cidr.Contains(inner.Cidr)).MaxBy(static outer => outer.Cidr.Length) is { } outer
                && (!inner.InKernelFilter || (inner.Rejected, inner.Tunnel, inner.CrossSubnet) == (outer.Rejected, outer.Tunnel, outer.CrossSubnet)))
            {
                pools.Remove(inner.Cidr);
            }
        }

        return pools;
    }

    private static void Verdicts(ConfigList<BirdStatement> statements, HashSet<BirdPlace> into)
    {
        foreach (BirdStatement statement in statements)
        {
            if (statement is VerdictStatement verdict)
            {
                into.Add(verdict.Place);
            }
            else if (statement is IfStatement branch)
            {
                Verdicts(branch.Then, into);
                Verdicts(branch.Else, into);
            }
        }
    }

    private void WritePools(Dictionary<Cidr, Pool> pools)
    {
        if (pools.Count == 0)
        {
            return;
        }

        Line(0, "pools:");
        foreach (Pool pool in pools.Values)
        {
            string cidr = pool.Cidr.ToString();
            int block = Math.Max(pool.Cidr.Length, pool.Cidr.IsV4 ? 26 : 122);
            string tunnel = pool.Tunnel.Length == 0 ? "" : $", tunnel: {{ mode: ipip, when: {(pool.CrossSubnet ? "crossSubnet" : "always")}, device: {Quote(pool.Tunnel)} }}";
            string export = pool.NotExported && !pool.Exported ? ", export: false" : "";
            Line(1, Text($"- {{ name: {Quote("pool-" + cidr.Replace('.', '-').Replace(':', '-').Replace('/', '-'))}, cidr: {Quote(cidr)}, blockSize: {block}{tunnel}{export}{(pool.Rejected ? ", installKernel: false" : "")} }}"));
        }
    }

    /// <summary>BIRD's static blackholes go through the kernel's filter too: a service range that it rejects stands in no kernel.</summary>
    private void Originate()
    {
        List<string> lines = [];
        foreach (BirdNodeFacts facts in all)
        {
            foreach ((Cidr prefix, BirdPlace place) in facts.Blackholes)
            {
                bool installed = facts.HasKernel && Verdict(facts, prefix);
                lines.Add($"- {{ prefix: {Quote(prefix.ToString())}, kind: {(installed ? "blackhole" : "none")} }}");
            }

            foreach ((Cidr prefix, IpAddr gateway, BirdPlace place) in facts.Gateways)
            {
                if (prefix.Length != prefix.Address.ByteLength * 8 || !facts.Peers.Exists(peer => peer.Address == prefix.Address))
                {
                    Error(place, $"a static route via {gateway} is understood for a neighbour's address only");
                }
            }
        }

        if (lines.Count > 0)
        {
            Line(0, "originate:");
            lines.ForEach(line => Line(1, line));
        }
    }

    private static bool Verdict(BirdNodeFacts facts, Cidr prefix)
    {
        foreach (BirdRule rule in facts.KernelFilter?.All ?? [])
        {
            if (rule.Condition.Terms.All(term => term.Kind is BirdTermKind.Inside && term.Net.Contains(prefix)))
            {
                return rule.Accept;
            }
        }

        return facts.KernelFilter is null;
    }

    private void Kernel(List<Cidr> excludedHops)
    {
        List<BirdNodeFacts> with = [.. all.Where(static facts => facts.HasKernel)];
        if (with.Count == 0)
        {
            Line(0, "kernel: { enabled: false }");
            return;
        }

        BirdNodeFacts first = with[0];
        if (with.Exists(facts => facts.Learn != first.Learn || facts.Persist != first.Persist || facts.MaxPaths != first.MaxPaths || (facts.KernelFilter?.MetricIsLocalPref ?? false) != (first.KernelFilter?.MetricIsLocalPref ?? false)) || with.Count != all.Count)
        {
            sink.Add(first.File.Path, 1, 1, true, "the kernel protocols of the IPv4 and the IPv6 file differ; there is one here");
        }

        Line(0, "kernel:");
        if (all.Count == 1)
        {
            Line(1, $"families: [{(all[0].Family == 6 ? "ipv6" : "ipv4")}]");
        }

        Line(1, $"metric: {(first.KernelFilter is { MetricIsLocalPref: true } ? "localPref" : "none")}");
        Line(1, NormalMetric());
        Line(1, Text($"ecmp: {(first.MaxPaths > 1 ? "true" : "false")}"));
        Line(1, Text($"maxPaths: {first.MaxPaths}"));
        Line(1, $"persist: {(first.Persist ? "true" : "false")}");
        Line(1, "installDefault: true");
        if (excludedHops.Count > 0)
        {
            Line(1, $"excludeNextHops: [{string.Join(", ", excludedHops.Select(static hop => Quote(hop.ToString())))}]");
        }

        Line(1, $"learn: {{ enabled: {(first.Learn ? "true" : "false")}, guard: {(RulesGuard() ? "true" : "false")} }}");
        List<string> interfaces = [.. all.SelectMany(static facts => facts.ExcludedInterfaces).Distinct()];
        Line(1, $"direct: {{ excludeInterfaces: [{string.Join(", ", interfaces.Select(Quote))}] }}");
    }

    /// <summary>The key where a family's number is not the default.</summary>
    private string NormalMetric()
    {
        List<BirdNodeFacts> told = [.. all.Where(static facts => facts.NormalMetric > 0)];
        return told.TrueForAll(static facts => facts.NormalMetric == global::Rib.PolicyScope.DefaultNormalMetric) ? ""
            : $"normalMetric: {{ {string.Join(", ", told.Select(static facts => Text($"ipv{facts.Family}: {facts.NormalMetric}")))} }}";
    }

    /// <summary>Whether every internal neighbour's filter begins by rejecting what the guard would: then leaving it on changes nothing.</summary>
    private bool RulesGuard() => all.SelectMany(static facts => facts.Peers).Where(static peer => peer.IsIbgp).All(static peer =>
        s_guarded.All(glob => peer.ExportRules.TakeWhile(static rule => !rule.Accept).Any(rule => rule.Condition.Terms.Any(term => term.Kind == BirdTermKind.Interface && term.Text == glob))));

    private void Sockets()
    {
        if (options.Sockets.Count == 0)
        {
            return;
        }

        Line(0, "birdCompat:");
        foreach ((string path, int family) in options.Sockets)
        {
            Line(1, $"- {{ path: {Quote(path)}, dialect: bird1, family: {(family == 6 ? "ipv6" : "ipv4")}{(options.SocketGroup.Length > 0 ? $", group: {Quote(options.SocketGroup)}" : "")} }}");
        }
    }

    private void Peers(uint asn)
    {
        Dictionary<(IpAddr, int), BirdPeer> addresses = [];
        foreach (BirdPeer peer in all.SelectMany(static facts => facts.Peers))
        {
            if (addresses.Count == 0)
            {
                Line(0, "peers:");
            }

            if (!addresses.TryAdd((peer.Address, peer.Port), peer))
            {
                Error(peer.Place, $"{peer.Name} has the address {peer.Address} and the port {peer.Port} of {addresses[(peer.Address, peer.Port)].Name}: only different ports can be told apart");
                continue;
            }

            if (addresses.Values.FirstOrDefault(other => other.Address == peer.Address && other.Password != peer.Password) is { } keyed)
            {
                Error(peer.Place, $"{peer.Name} has another password than {keyed.Name} with the same address, by which TCP knows passwords");
                continue;
            }

            Peer(peer, asn);
        }
    }

    private void Peer(BirdPeer peer, uint asn)
    {
        Line(1, $"- name: {Quote(peer.Name)}");
        Line(2, $"address: {Quote(peer.Address.ToString())}");
        Line(2, Text($"asn: {peer.Asn}"));
        Line(2, peer.LocalAsn != asn ? Text($"localAsn: {peer.LocalAsn}") : "");
        Line(2, peer.Port != 179 ? Text($"port: {peer.Port}") : "");
        Line(2, peer.Description.Length > 0 ? $"description: {Quote(peer.Description)}" : "");
        Line(2, peer.Passive ? "passive: true" : "");
        Line(2, peer.Source.IsNone ? "" : $"sourceAddress: {Quote(peer.Source.ToString())}");
        Line(2, peer.TtlSecurity ? Text($"ttlSecurity: {peer.Multihop}") : peer.Multihop > 0 ? Text($"multihop: {peer.Multihop}") : "");
        Line(2, peer.NextHop != "auto" ? $"nextHop: {peer.NextHop}" : "");
        Line(2, peer.Client ? "routeReflectorClient: true" : "");
        Line(2, peer.ClusterId.Length > 0 ? $"clusterId: {peer.ClusterId}" : "");
        Line(2, peer.AllowLocalAs > 0 ? Text($"allowLocalAs: {peer.AllowLocalAs}") : "");
        Line(2, "enforceFirstAs: false");
        IpAddr gateway = all.SelectMany(static facts => facts.Gateways).FirstOrDefault(item => item.Prefix.Address == peer.Address).Gateway;
        Line(2, gateway.IsNone ? "" : $"reachableBy: {Quote(gateway.ToString())}");
        int keepalive = peer.Keepalive > 0 ? peer.Keepalive : peer.Hold / 3;
        Line(2, Text($"timers: {{ hold: {peer.Hold}s, keepalive: {keepalive}s, connectRetry: {peer.ConnectRetry}s, idleHold: {peer.ErrorWait}s }}"));
        Line(2, Text($"gracefulRestart: {{ enabled: true, restartTime: {peer.RestartTime}s }}"));
        string addPath = $"{{ send: {(peer.AddPathSend ? "256" : "false")}, receive: {(peer.AddPathReceive ? "true" : "false")} }}";
        Line(2, $"families: {{ {(peer.Address.IsV6 ? "ipv6" : "ipv4")}: {{ addPath: {addPath} }} }}");
        if (peer.Password is { } password)
        {
            passwords[peer.Name] = password;
            Line(2, $"auth: {{ md5: {{ file: {Quote(Path.Combine(options.SecretsFolder, peer.Name + ".md5"))} }} }}");
        }

        Line(2, $"import: [{Filter("import", peer.Name, peer.ImportRules)}]");
        Line(2, $"export: [{Filter("export", peer.Name, peer.ExportRules)}]");
    }

    /// <summary>The filter of these rules; peers with equal rules share one, named after the first.</summary>
    private string Filter(string direction, string peer, IReadOnlyList<BirdRule> rules)
    {
        if (rules is [{ Condition.Terms.Count: 0 } only] && only.Edits == new BirdEdits())
        {
            return only.Accept ? "all" : "none";
        }

        StringBuilder body = new();
        string end = "reject";
        foreach (BirdRule rule in rules)
        {
            if (rule.Condition.Terms.Count == 0 && rule.Edits == new BirdEdits())
            {
                end = rule.Accept ? "accept" : "reject";
                break;
            }

            string match = Match(rule);
            string set = Set(rule.Edits);
            body.Append("      - { ").Append(match).Append(match.Length > 0 ? ", " : "").Append(set).Append(set.Length > 0 ? ", " : "")
                .Append("action: ").Append(rule.Accept ? "accept" : "reject").Append(" }\n");
        }

        string text = (body.Length > 0 ? $"    rules:\n{body}" : "") + $"    default: {end}\n";
        if (!_filters.TryGetValue(direction + text, out string? name))
        {
            name = $"{direction}-{peer}";
            _filters.Add(direction + text, name);
            _filterText.Append("  ").Append(Quote(name)).Append(":\n").Append(text);
        }

        return Quote(name);
    }

    private string Match(BirdRule rule)
    {
        Dictionary<string, List<string>> keys = [];
        void Add(string key, string value)
        {
            if (!keys.TryGetValue(key, out List<string>? values))
            {
                keys.Add(key, values = []);
            }

            values.Add(value);
        }

        bool named = rule.Condition.Terms.Any(static term => term.Kind == BirdTermKind.Interface);
        foreach (BirdTerm term in rule.Condition.Terms)
        {
            switch (term.Kind)
            {
                case BirdTermKind.Inside:
                    Add("prefix", Quote(term.Net.ToString()));
                    break;
                case BirdTermKind.Exact:
                    Add("prefixExact", Quote(term.Net.ToString()));
                    break;
                case BirdTermKind.NotInside:
                    Add("notPrefix", Quote(term.Net.ToString()));
                    break;
                case BirdTermKind.NotExact:
                    Add("notPrefixExact", Quote(term.Net.ToString()));
                    break;
                case BirdTermKind.Length:
                    Add("prefixLength", Text($"{term.Min}-{term.Max}"));
                    break;
                case BirdTermKind.FromBgp:
                    Add("source", "bgp");
                    break;
                case BirdTermKind.HasInterface when named:
                    break;
                case BirdTermKind.Interface:
                    Add("interface", Quote(term.Text));
                    break;
                case BirdTermKind.Community:
                    Add("community", Quote(term.Text));
                    break;
                case BirdTermKind.LargeCommunity:
                    Add("largeCommunity", Quote(term.Text));
                    break;
                case BirdTermKind.PathHead:
                    Add("asPathPrefix", string.Join(", ", term.Numbers));
                    break;
                case BirdTermKind.LocalPref:
                    Add("localPref", Text($"{term.Min}"));
                    break;
                case BirdTermKind.Metric:
                    Add("kernelMetric", term.Min == term.Max ? Text($"{term.Min}") : Text($"{term.Min}-{term.Max}"));
                    break;
                case BirdTermKind.NextHop:
                    Add("nextHop", Quote(term.Net.ToString()));
                    break;
                default:
                    Error(rule.Place, "'defined(ifname)' alone is not understood");
                    break;
            }
        }

        // Several values of one key are alternatives here, but terms hold together: only the negated ones say the same both ways.
        foreach ((string key, List<string> values) in keys)
        {
            if (values.Count > 1 && key is not ("notPrefix" or "notPrefixExact"))
            {
                Error(rule.Place, $"two conditions on {key} that hold together are not understood");
            }
        }

        return keys.Count == 0 ? "" : $"match: {{ {string.Join(", ", keys.Select(static item => $"{item.Key}: {(item.Key is "prefixLength" or "localPref" or "kernelMetric" ? item.Value[0] : $"[{string.Join(", ", item.Value)}]")}"))} }}";
    }

    private static string Set(BirdEdits edits)
    {
        List<string> parts = [];
        if (edits.LocalPref is { } localPref)
        {
            parts.Add(Text($"localPref: {localPref}"));
        }

        if (edits.Communities.Count > 0)
        {
            parts.Add($"addCommunities: [{string.Join(", ", edits.Communities.Select(Quote))}]");
        }

        if (edits.LargeCommunities.Count > 0)
        {
            parts.Add($"addLargeCommunities: [{string.Join(", ", edits.LargeCommunities.Select(Quote))}]");
        }

        if (edits.Prepend.Count > 0)
        {
            // A list, also of our own number: a count of it is for external neighbours alone, but the code prepends towards all.
            parts.Add($"prepend: [{string.Join(", ", edits.Prepend)}]");
        }

        if (edits.Preference is { } preference)
        {
            parts.Add(Text($"preference: {preference}"));
        }

        return parts.Count == 0 ? "" : $"set: {{ {string.Join(", ", parts)} }}";
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    /// <summary>Every text in double quotes: nothing is left for a reader of YAML to guess.</summary>
    private static string Quote(string text)
    {
        StringBuilder quoted = new("\"");
        foreach (char c in text)
        {
            quoted.Append(c is '"' or '\\' ? "\\" + c : char.IsControl(c) ? $"\\x{(int)c:x2}" : c.ToString());
        }

        return quoted.Append('"').ToString();
    }

    private void Line(int indent, string text)
    {
        if (text.Length > 0)
        {
            _out.Append(' ', indent * 2).Append(text).Append('\n');
        }
    }
}
