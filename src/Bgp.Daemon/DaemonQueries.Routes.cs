using System.Globalization;
using System.Runtime.CompilerServices;
using Bgp.Daemon.Control;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;
using RibPath = Rib.Path;

namespace Bgp.Daemon;

/// <summary>Questions about routes.</summary>
internal sealed partial class DaemonQueries
{
    private const int Slice = 256;

    /// <inheritdoc/>
    public async IAsyncEnumerable<RouteDto> GetRoutesAsync(RouteQuery query, [EnumeratorCancellation] CancellationToken cancel)
    {
        if (query.Family != 6)
        {
            await foreach (RouteDto route in RoutesAsync(daemon.Context.V4, query, InstalledV4, cancel).ConfigureAwait(false))
            {
                yield return route;
            }
        }

        if (query.Family != 4)
        {
            await foreach (RouteDto route in RoutesAsync(daemon.Context.V6, query, InstalledV6, cancel).ConfigureAwait(false))
            {
                yield return route;
            }
        }
    }

    /// <inheritdoc/>
    public async Task<long> CountRoutesAsync(RouteQuery query, CancellationToken cancel)
    {
        long count = query.Family == 6 ? 0 : await CountAsync(daemon.Context.V4, query, cancel).ConfigureAwait(false);
        return query.Family == 4 ? count : count + await CountAsync(daemon.Context.V6, query, cancel).ConfigureAwait(false);
    }

    /// <summary>Counts without describing: a row is a few dozen objects, and its number is none.</summary>
    private async Task<long> CountAsync<TPrefix>(RibLoop<TPrefix> loop, RouteQuery query, CancellationToken cancel)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        List<TPrefix> prefixes = await PrefixesAsync(loop, query, cancel).ConfigureAwait(false);
        long count = 0;
        const int Many = Slice * 8;
        for (int start = 0; start < prefixes.Count; start += Many)
        {
            List<TPrefix> slice = prefixes.GetRange(start, Math.Min(Many, prefixes.Count - start));
            count += await loop.AskAsync(table => slice.Sum(prefix => (long)Rows(table, prefix, query, [], null))).WaitAsync(cancel).ConfigureAwait(false);
        }

        return count;
    }

    /// <inheritdoc/>
    public async Task<ExplainDto> ExplainAsync(string prefix, string? to, CancellationToken cancel)
    {
        PeerSession? target = to is null ? null : daemon.Peers.Find(to);
        bool isAddress = !prefix.Contains('/', StringComparison.Ordinal);
        if (Ipv4Prefix.TryParse(prefix, out Ipv4Prefix v4))
        {
            return await daemon.Context.V4.AskAsync(loop => Explain(loop, isAddress ? LongestMatch(loop, v4) : v4, target, to, InstalledV4, p => NotInstalled(daemon.Kernel?.ListV4(true, 1, [p])))).WaitAsync(cancel).ConfigureAwait(false);
        }

        return Ipv6Prefix.TryParse(prefix, out Ipv6Prefix v6)
            ? await daemon.Context.V6.AskAsync(loop => Explain(loop, isAddress ? LongestMatch(loop, v6) : v6, target, to, InstalledV6, p => NotInstalled(daemon.Kernel?.ListV6(true, 1, [p])))).WaitAsync(cancel).ConfigureAwait(false)
            : new ExplainDto(prefix, false, [], []);
    }

    internal static string Text(FibRoute route)
    {
        List<string> words = [];
        if (route.Type != KernelRouteType.Unicast)
        {
            words.Add(route.Type.ToString().ToLowerInvariant());
        }

        foreach (FibNextHop hop in route.NextHops.Hops)
        {
            words.Add((hop.Gateway.IsNone ? "" : $"via {hop.Gateway} ") + $"dev {InterfaceName(hop.Interface)}" + (hop.OnLink ? " onlink" : ""));
        }

        string text = string.Join(" | ", words);
        return route.Metric == 0 ? text : string.Create(CultureInfo.InvariantCulture, $"{text} metric {route.Metric}");
    }

    private static string InterfaceName(int index)
    {
        // One system call: a node may have forty thousand interfaces, and this is asked per next hop.
        Span<byte> name = stackalloc byte[16];
        return NativeNames.IfIndexToName((uint)index, ref System.Runtime.InteropServices.MemoryMarshal.GetReference(name)) == 0
            ? "if" + index.ToString(CultureInfo.InvariantCulture)
            : System.Text.Encoding.UTF8.GetString(name[..name.IndexOf((byte)0)]);
    }

    private static FibDto Fib<TPrefix>(in FibListing<TPrefix> item)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        string? error = item.State switch
        {
            FibState.Alien => string.Create(CultureInfo.InvariantCulture, $"a route of protocol {item.AlienProtocol} has the same key; left alone until it goes"),
            FibState.Failed => new System.ComponentModel.Win32Exception(item.Error).Message,
            FibState.Stale => "from before the start, not confirmed yet",
            _ => null,
        };
        return new FibDto(item.Prefix.ToString()!, item.State.ToString().ToLowerInvariant(), item.Desired is { } wanted ? Text(wanted) : null, item.Installed is { } installed ? Text(installed) : null, error);
    }

    /// <summary>What keeps a route that is wanted out of the kernel.</summary>
    private string NotInstalled<TPrefix>(IReadOnlyList<FibListing<TPrefix>>? found)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        FibDto? row = found is [FibListing<TPrefix> item] ? Fib(item) : null;
        return row?.LastError is { } error ? $"{row.State}: {error}"
            : row is null && daemon.Recovery is { ExportsHeld: true } ? "waits for the neighbours after the restart (pipit status says for whom)"
            : "not written yet";
    }

    /// <summary>Selected routes from neighbours that become no kernel route, with the reason.</summary>
    private static async IAsyncEnumerable<FibDto> UnresolvedAsync<TPrefix>(RibLoop<TPrefix> loop, [EnumeratorCancellation] CancellationToken cancel)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        uint cursor = 1;
        while (true)
        {
            uint from = cursor;
            (List<FibDto> rows, uint next) = await loop.AskAsync(table =>
            {
                List<FibDto> found = [];
                uint index = from;
                for (; index < table.Shard.IndexLimit && index < from + (Slice * 4); index++)
                {
                    ReadOnlySpan<RibPath> all = table.Shard.AllPaths(index);
                    if (all.IsEmpty || table.Forwarding is not { } forwarding)
                    {
                        continue;
                    }

                    bool bgp = false;
                    foreach (RibPath path in all)
                    {
                        bgp |= path.Peer != RibPeer.Local && (path.Flags & (int)PathFlags.Filtered) == 0;
                    }

                    ReadOnlySpan<RibPath> selected = table.Shard.Select(index, 1, out _);
                    if (bgp && (selected.IsEmpty || selected[0].Peer != RibPeer.Local) && forwarding.Desired(table.Shard, index, out string reason) is null)
                    {
                        found.Add(new FibDto(table.Shard.PrefixAt(index).ToString()!, "notWanted", null, null, selected.IsEmpty ? "no path's next hop resolves" : reason));
                    }
                }

                return (found, index);
            }).WaitAsync(cancel).ConfigureAwait(false);
            foreach (FibDto row in rows)
            {
                yield return row;
            }

            if (next == cursor)
            {
                yield break;
            }

            cursor = next;
        }
    }

    /// <summary>Which of these are in the kernel: asked for a slice at a time, so that one route costs one look and a dump never holds the kernel's thread up.</summary>
    private HashSet<Ipv4Prefix> InstalledV4(List<Ipv4Prefix> prefixes) => daemon.Kernel is { } kernel
        ? [.. kernel.ListV4(false, only: prefixes).Where(static item => item.State == FibState.Installed).Select(static item => item.Prefix)] : [];

    private HashSet<Ipv6Prefix> InstalledV6(List<Ipv6Prefix> prefixes) => daemon.Kernel is { } kernel
        ? [.. kernel.ListV6(false, only: prefixes).Where(static item => item.State == FibState.Installed).Select(static item => item.Prefix)] : [];

    private async IAsyncEnumerable<RouteDto> RoutesAsync<TPrefix>(RibLoop<TPrefix> loop, RouteQuery query, Func<List<TPrefix>, HashSet<TPrefix>> installedOf, [EnumeratorCancellation] CancellationToken cancel)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        List<TPrefix> prefixes = await PrefixesAsync(loop, query, cancel).ConfigureAwait(false);
        for (int start = 0; start < prefixes.Count; start += Slice)
        {
            List<TPrefix> slice = prefixes.GetRange(start, Math.Min(Slice, prefixes.Count - start));
            HashSet<TPrefix> installed = installedOf(slice);
            List<RouteDto> rows = await loop.AskAsync(table =>
            {
                List<RouteDto> found = [];
                foreach (TPrefix prefix in slice)
                {
                    Rows(table, prefix, query, installed, found);
                }

                return found;
            }).WaitAsync(cancel).ConfigureAwait(false);
            foreach (RouteDto row in rows)
            {
                yield return row;
            }
        }
    }

    /// <summary>The prefixes that a query is about, in order; gathered in slices so that the table's loop is never held up for long.</summary>
    private static async Task<List<TPrefix>> PrefixesAsync<TPrefix>(RibLoop<TPrefix> loop, RouteQuery query, CancellationToken cancel)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        TPrefix within = default;
        bool isAddress = query.Prefix is not null && !query.Prefix.Contains('/', StringComparison.Ordinal);
        if (query.Prefix is not null && !TPrefix.TryParse(query.Prefix, out within))
        {
            return [];
        }

        if (query.Prefix is not null && !query.Longer)
        {
            return await loop.AskAsync(table =>
            {
                // An address asks for what covers it best, a prefix for itself.
                TPrefix found = isAddress ? LongestMatch(table, within) : within;
                return table.Shard.TryFind(found, out uint index) && !table.Shard.AllPaths(index).IsEmpty ? [found] : new List<TPrefix>();
            }).WaitAsync(cancel).ConfigureAwait(false);
        }

        List<TPrefix> all = [];
        uint cursor = 1;
        while (true)
        {
            uint from = cursor;
            uint next = await loop.AskAsync(table =>
            {
                uint index = from;
                for (; index < table.Shard.IndexLimit && index < from + 8192; index++)
                {
                    if (!table.Shard.AllPaths(index).IsEmpty && (query.Prefix is null || within.Contains(table.Shard.PrefixAt(index))))
                    {
                        all.Add(table.Shard.PrefixAt(index));
                    }
                }

                return index;
            }).WaitAsync(cancel).ConfigureAwait(false);
            if (next == cursor)
            {
                break;
            }

            cursor = next;
        }

        all.Sort();
        return all;
    }

    /// <summary>How many rows a prefix has in the answer, and the rows themselves where there is a list for them.</summary>
    private int Rows<TPrefix>(RibLoop<TPrefix> loop, TPrefix prefix, RouteQuery query, HashSet<TPrefix> installed, List<RouteDto>? into)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        if (!loop.Shard.TryFind(prefix, out uint index))
        {
            return 0;
        }

        if (query.To is not null)
        {
            List<RouteDto> sent = into ?? [];
            int before = sent.Count;
            Exported(loop, index, query.To, query.AsStored, installed, sent);
            return sent.Count - before;
        }

        int count = 0;

        RibPath[] selected = loop.Shard.Select(index, int.MaxValue, out int multipath).ToArray();
        List<RibPath> paths = [.. selected];
        foreach (RibPath path in loop.Shard.AllPaths(index))
        {
            if ((path.Flags & (int)(PathFlags.Filtered | PathFlags.Unresolved)) != 0)
            {
                paths.Add(path);
            }
        }

        ushort? from = (query.From ?? query.Received) is { } name ? daemon.Peers.Find(name)?.Index ?? ushort.MaxValue : null;
        for (int i = 0; i < paths.Count; i++)
        {
            RibPath path = paths[i];
            bool filtered = (path.Flags & (int)PathFlags.Filtered) != 0;
            if ((from is { } wanted && path.Peer != wanted)
                || (query.Best && i != 0)
                || (query.Best && selected.Length == 0)
                || (query.Filtered ? !filtered : filtered && query.Received is null))
            {
                continue;
            }

            count++;
            if (into is null)
            {
                continue;
            }

            bool isInstalled = i < multipath && installed.Contains(prefix) && loop.Attributes.Describe(path.Attr).Source != RouteSource.Kernel;
            into.Add(Row(loop, index, prefix, path, i == 0 && selected.Length > 0, isInstalled, filtered));
        }

        return count;
    }

    private RouteDto Row<TPrefix>(RibLoop<TPrefix> loop, uint index, TPrefix prefix, in RibPath path, bool best, bool installed, bool filtered)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        PathAttributes attributes = loop.Attributes.Describe(path.Attr);
        RibPeer? peer = loop.Shard.PeerAt(path.Peer);
        string? rejected = (path.Flags & (int)PathFlags.Unresolved) != 0 ? "next hop does not resolve" : null;
        if (filtered && peer is not null && daemon.Peers.Find(peer.Name) is { } session)
        {
            object policy = typeof(TPrefix) == typeof(Ipv4Prefix) ? session.Settings.Policies.ImportV4 : session.Settings.Policies.ImportV6;
            rejected = ((IRoutePolicy<TPrefix>)policy).Evaluate(prefix, attributes, new PolicyContext(peer, peer)).Rule;
        }

        uint pathId = loop.Shard.PathIdOf(index, path);
        RouteDto row = Describe(prefix.ToString()!, attributes, path.Peer == RibPeer.Local ? null : peer?.Name);
        if (attributes.Source == RouteSource.Bgp && loop.Forwarding is { } forwarding && forwarding.Nexthops.TryGetHops(attributes.NextHop, out FibNextHops hops) && hops.Hops.Length > 0)
        {
            FibNextHop hop = hops.Hops[0];
            row = row with { Device = InterfaceName(hop.Interface), Gateway = hop.Gateway.IsNone ? null : hop.Gateway.ToString() };
        }

        return row with
        {
            Best = best,
            Installed = installed,
            PathId = path.Peer == RibPeer.Local || pathId == 0 ? null : pathId,
            RejectedBy = rejected,
        };
    }

    private static string SourceName(PathAttributes attributes) => attributes.Source switch { RouteSource.Kernel => "kernel", RouteSource.Originate => "originate", _ => "bgp" };

    private static RouteDto Describe(string prefix, PathAttributes attributes, string? from)
    {
        LocalRouteInfo? local = attributes.Local;
        IpAddr nextHop = attributes.Source == RouteSource.Bgp ? attributes.NextHop : local?.Gateway ?? default;
        return new RouteDto
        {
            Prefix = prefix,
            NextHop = nextHop.IsNone || nextHop.IsUnspecified ? null : nextHop.Scope == 0 ? nextHop.ToString() : $"{nextHop.WithScope(0)}%{InterfaceName(nextHop.Scope)}",
            From = from,
            Origin = attributes.Origin switch { Origin.Igp => "igp", Origin.Egp => "egp", _ => "incomplete" },
            AsPath = attributes.AsPathText(),
            LocalPref = attributes.LocalPref,
            Med = attributes.Med,
            Communities = attributes.CommunityTexts(),
            LargeCommunities = attributes.LargeCommunityTexts(),
            OriginatorId = attributes.OriginatorId == 0 ? null : IpAddr.V4(attributes.OriginatorId).ToString(),
            ClusterList = attributes.ClusterListTexts(),
            Source = SourceName(attributes),
            Device = local is { Interface.Length: > 0 } info ? info.Interface : null,
            Type = (KernelRouteType?)local?.KernelType switch
            {
                KernelRouteType.Blackhole => "blackhole",
                KernelRouteType.Unreachable => "unreachable",
                KernelRouteType.Prohibit => "prohibit",
                _ => null,
            },
        };
    }

    private void Exported<TPrefix>(RibLoop<TPrefix> loop, uint index, string to, bool asStored, HashSet<TPrefix> installed, List<RouteDto> into)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        if (daemon.Peers.Find(to) is not { } target || loop.SessionOf(target.Index) is not { Group: { } group } session)
        {
            return;
        }

        List<RibPath> selected = [.. loop.Shard.Select(index, int.MaxValue, out int multipath)];
        ushort best = selected.Count == 0 ? ushort.MaxValue : selected[0].Peer;
        TPrefix prefix = loop.Shard.PrefixAt(index);
        bool marked = false;
        for (int slot = 0; slot < group.PathsPerPrefix; slot++)
        {
            if (!group.TryGetAdvertised(index, slot, out AdjRibOutEntry entry) || entry.Source == target.Index)
            {
                continue;
            }

            bool isBest = !marked && entry.Source == best;
            marked |= isBest;
            int origin = selected.FindIndex(path => path.Peer == entry.Source);
            if (asStored && origin >= 0)
            {
                bool isInstalled = origin < multipath && installed.Contains(prefix) && entry.Source != RibPeer.Local;
                into.Add(Row(loop, index, prefix, selected[origin], isBest, isInstalled, filtered: false));
                continue;
            }

            PathAttributes attributes = loop.Attributes.Describe(entry.Attr);
            RouteDto row = Describe(prefix.ToString()!, attributes, entry.Source == RibPeer.Local ? null : loop.Shard.PeerAt(entry.Source)?.Name);
            if (origin >= 0)
            {
                // What was sent has no source of its own: it is that of the path behind it.
                row = row with { Source = SourceName(loop.Attributes.Describe(selected[origin].Attr)) };
            }

            into.Add(row with { Best = isBest, PathId = group.Key.AddPathLimit > 0 ? (uint)slot + 1 : null });
        }
    }

    /// <summary>What becomes of each path that the peer's group looks at.</summary>
    private static void ExplainExport<TPrefix>(RibLoop<TPrefix> loop, UpdateGroup<TPrefix> group, uint index, RibPeer to, List<ExplainStepDto> steps)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        for (int nth = 0; nth < group.PathsPerPrefix; nth++)
        {
            ExportReason reason = group.Explain(index, nth, to, out RibPath path, out PathAttributes? exported, out string rule);
            if (reason == ExportReason.NoRoute && nth > 0)
            {
                return;
            }

            RibPeer? from = loop.Shard.PeerAt(path.Peer);
            string why = ExportText(reason, from, to, group.Key, exported);
            steps.Add(new ExplainStepDto(
                "export", to.Name, reason == ExportReason.Advertised ? "exported" : "not exported", rule.Length > 0 && reason != ExportReason.SplitHorizon ? $"{why}; filter: {rule}" : why));
        }
    }

    private static string ExportText(ExportReason reason, RibPeer? from, RibPeer to, UpdateGroupKey key, PathAttributes? exported)
    {
        string source = from?.Name ?? "?";
        switch (reason)
        {
            case ExportReason.Advertised when from is not null && exported is not null && RouteReflection.IsReflection(from.Kind, key.Kind):
                return $"reflected from {Role(from)} {source} to {Role(to)} {to.Name}: ORIGINATOR_ID {IpAddr.V4(exported.OriginatorId)}, CLUSTER_LIST {string.Join(' ', exported.ClusterListTexts())}, next hop {exported.NextHop}";
            case ExportReason.Advertised:
                return $"from {(from is { Kind: PeerKind.Local } ? "this host" : source)}: next hop {exported?.NextHop}";
            case ExportReason.NoRoute:
                return "no path is eligible";
            case ExportReason.SplitHorizon:
                return "it came from that very peer";
            case ExportReason.NotReflected:
                return $"it came from {source}, and neither {source} nor {to.Name} is a client (RFC 4456 section 6)";
            case ExportReason.NoAdvertise:
                return $"{source} sent it with NO_ADVERTISE (RFC 1997)";
            case ExportReason.NoExport:
                return $"{source} sent it with NO_EXPORT, and {to.Name} is external (RFC 1997)";
            case ExportReason.NoNextHop:
                return "no address of this host can be its next hop on this session";
            case ExportReason.TooLarge:
                return "its attributes leave no room for a prefix in a message";
            default:
                return "the export filters reject it";
        }
    }

    private static string Role(RibPeer peer) => peer.Kind == PeerKind.IbgpClient ? "client" : "non-client";

    /// <summary>The prefix that has paths and covers the address best, or what was asked for.</summary>
    private static TPrefix LongestMatch<TPrefix>(RibLoop<TPrefix> loop, TPrefix asked)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        for (int length = asked.Length; length >= 0; length--)
        {
            TPrefix candidate = TPrefix.Create(asked.Address, length);
            if (loop.Shard.TryFind(candidate, out uint index) && !loop.Shard.AllPaths(index).IsEmpty)
            {
                return candidate;
            }
        }

        return asked;
    }

    private ExplainDto Explain<TPrefix>(RibLoop<TPrefix> loop, TPrefix prefix, PeerSession? target, string? to, Func<List<TPrefix>, HashSet<TPrefix>> installedOf, Func<TPrefix, string> whyNot)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        string text = prefix.ToString()!;
        if (!loop.Shard.TryFind(prefix, out uint index) || loop.Shard.AllPaths(index).IsEmpty)
        {
            return new ExplainDto(text, false, [], []);
        }

        HashSet<TPrefix> installed = installedOf([prefix]);
        List<RouteDto> rows = [];
        Rows(loop, prefix, new RouteQuery(), installed, rows);
        List<RouteDto> filtered = [];
        Rows(loop, prefix, new RouteQuery { Filtered = true }, installed, filtered);
        rows.AddRange(filtered);
        List<ExplainStepDto> steps = [];
        foreach (RouteDto row in rows.Where(static row => row.RejectedBy is not null))
        {
            steps.Add(new ExplainStepDto("import", row.From ?? "this host", filtered.Contains(row) ? "rejected" : "not eligible", row.RejectedBy!));
        }

        RibPath[] selected = loop.Shard.Select(index, int.MaxValue, out int multipath).ToArray();
        for (int i = 0; i < selected.Length; i++)
        {
            string from = selected[i].Peer == RibPeer.Local ? "this host" : loop.Shard.PeerAt(selected[i].Peer)?.Name ?? "?";
            if (i == 0)
            {
                steps.Add(new ExplainStepDto("best", from, "best", selected.Length == 1 ? "the only eligible path" : "see the others"));
            }
            else
            {
                loop.Shard.Compare(index, selected[0], selected[i], out DecisionStep step);
                steps.Add(new ExplainStepDto("best", from, i < multipath ? "equal for ECMP" : "not best", $"the best has: {step.Describe()}"));
            }
        }

        if (loop.Forwarding is { } forwarding)
        {
            FibRoute? wanted = forwarding.Desired(loop.Shard, index, out string reason);
            string verdict = wanted is null ? "not wanted" : installed.Contains(prefix) ? "installed" : "wanted, not installed";
            reason = verdict == "wanted, not installed" ? $"{reason}; {whyNot(prefix)}" : reason;
            steps.Add(new ExplainStepDto("kernel", wanted is { } route ? Text(route) : "-", verdict, reason));
        }

        if (to is not null)
        {
            if (target is null || loop.SessionOf(target.Index) is not { Group: { } group } session)
            {
                steps.Add(new ExplainStepDto("export", to, "not exported", target is null ? "no such peer" : "no established session of this family"));
            }
            else
            {
                ExplainExport(loop, group, index, session.Peer, steps);
            }
        }

        return new ExplainDto(text, true, rows, steps);
    }
}

/// <summary>What Tmds.LibC lacks.</summary>
internal static partial class NativeNames
{
    /// <summary>if_indextoname(3): writes at most 16 octets with the final NUL; 0 where there is no such interface.</summary>
    [System.Runtime.InteropServices.LibraryImport("libc", EntryPoint = "if_indextoname")]
    internal static partial nint IfIndexToName(uint index, ref byte name);

    /// <summary>if_nametoindex(3): 0 where there is no such interface.</summary>
    [System.Runtime.InteropServices.LibraryImport("libc", EntryPoint = "if_nametoindex", StringMarshalling = System.Runtime.InteropServices.StringMarshalling.Utf8)]
    internal static partial uint IfNameToIndex(string name);
}
