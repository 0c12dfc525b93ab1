using Bgp.Daemon.Peers;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;
using RibPath = Rib.Path;

namespace Bgp.Daemon.Tests.Simulation;

/// <summary>Compares what the speakers know with what they should.</summary>
internal sealed class SimCheck(IReadOnlyList<SimNode> nodes)
{
    private readonly NaiveNetwork _naive = new(nodes);

    /// <summary>With ADD-PATH two paths may differ in nothing that decides; then only which attributes are chosen is open, not from whom.</summary>
    internal bool SelectionMayTie { get; init; }

    /// <summary>What is wrong, or null when every node is where the model says.</summary>
    internal string? Difference()
    {
        foreach (SimNode node in nodes)
        {
            if (node.Life is null)
            {
                return node.Name + " is down";
            }

            foreach (SimPeer peer in node.Peers)
            {
                if (node.Life.SessionTo(peer.Node) is var session && session.State != SessionState.Established)
                {
                    return $"{node.Name} to {SimNode.PeerName(peer.Node)}: {session.State}, {session.LastError}";
                }
            }
        }

        HashSet<Ipv4Prefix> prefixes = [.. nodes.SelectMany(static node => node.Originated)];
        foreach (SimNode node in nodes)
        {
            RibShard<Ipv4Prefix> shard = node.Life!.V4.Shard;
            for (uint index = 1; index < shard.IndexLimit; index++)
            {
                if (shard.IsInUse(index) && !shard.AllPaths(index).IsEmpty)
                {
                    prefixes.Add(shard.PrefixAt(index));
                }
            }
        }

        foreach (Ipv4Prefix prefix in prefixes)
        {
            IReadOnlyList<NaivePath>[] expected = _naive.Solve(prefix);
            foreach (SimNode node in nodes)
            {
                if (Compare(node, prefix, expected[node.Number]) is { } difference)
                {
                    return difference;
                }
            }
        }

        return nodes.Select(SentIsReceived).FirstOrDefault(static difference => difference is not null)
            ?? nodes.Select(static node => node.Life!.Station.Difference()).FirstOrDefault(static difference => difference is not null);
    }

    /// <summary>Whether a node's kernel has exactly the routes that its table selected; null when it does.</summary>
    internal static string? KernelDifference(SimNode node)
    {
        if (node.Kernel is not { } kernel || node.Life is not { } life)
        {
            return null;
        }

        SortedDictionary<string, string> wanted = new(StringComparer.Ordinal);
        RibShard<Ipv4Prefix> shard = life.V4.Shard;
        for (uint index = 1; index < shard.IndexLimit; index++)
        {
            ReadOnlySpan<RibPath> selected = shard.IsInUse(index) ? shard.Select(index, 1, out _) : default;
            if (!selected.IsEmpty && life.Context.Attributes.Get(selected[0].Attr) is { Source: RouteSource.Bgp } attributes)
            {
                wanted.Add(shard.PrefixAt(index).ToString(), attributes.NextHop.ToString());
            }
        }

        string should = string.Join(", ", wanted.Select(static item => $"{item.Key} via {item.Value}"));
        string does = string.Join(", ", kernel.Own().Select(static item => $"{item.Key} via {item.Value}"));
        return should == does ? null : $"{node.Name}: the kernel has {does}; it should have {should}";
    }

    /// <summary>What is left in the tables of a node that has neither routes of its own nor sessions; null when nothing is.</summary>
    internal static string? Leftover(SimNode node)
    {
        SimLife life = node.Life!;
        int groups = life.V4.Groups.Count + life.V6.Groups.Count;
        return life.V4.Shard.TotalPaths != 0 ? $"{node.Name}: {life.V4.Shard.TotalPaths} paths are left"
            : groups != 0 ? $"{node.Name}: {groups} update groups are left"
            : life.Context.Attributes.Count != 0 ? $"{node.Name}: {life.Context.Attributes.Count} attribute sets are still referenced"
            : null;
    }

    /// <summary>Paths of a prefix as texts, in the order of the table.</summary>
    private static List<string> PathsOf(SimLife life, Ipv4Prefix prefix)
    {
        RibShard<Ipv4Prefix> shard = life.V4.Shard;
        List<string> texts = [];
        if (shard.TryFind(prefix, out uint index))
        {
            foreach (RibPath path in shard.AllPaths(index))
            {
                texts.Add(Text(life, path.Attr, path.Peer));
            }
        }

        return texts;
    }

    private static string Text(SimLife life, uint attr, ushort peer)
    {
        PathAttributes attributes = life.Context.Attributes.Get(attr);
        return attributes.Source != RouteSource.Bgp ? attributes.Source.ToString() : Text(attributes, life.V4.Shard.PeerAt(peer)?.Name ?? "nobody");
    }

    private static string Text(PathAttributes attributes, string from) =>
        NaivePath.Text(from, attributes.NextHop, attributes.AsPathText(), attributes.LocalPref, attributes.OriginatorId, attributes.ClusterListTexts());

    private string? Compare(SimNode node, Ipv4Prefix prefix, IReadOnlyList<NaivePath> expected)
    {
        SimLife life = node.Life!;
        List<string> has = PathsOf(life, prefix);
        List<string> should = [.. expected.Select(static path => path.ToString())];
        if (!has.Order(StringComparer.Ordinal).SequenceEqual(should.Order(StringComparer.Ordinal)))
        {
            return $"{node.Name} {prefix}: has {string.Join("; ", has)}; should have {string.Join("; ", should)}";
        }

        string best = "nothing";
        if (life.V4.Shard.TryFind(prefix, out uint index) && life.V4.Shard.Select(index, 1, out _) is { IsEmpty: false } selected)
        {
            best = Text(life, selected[0].Attr, selected[0].Peer);
        }

        NaivePath? model = expected.FirstOrDefault(path => path.Source != RouteSource.Bgp || path.NextHop != node.Address);
        string right = model?.ToString() ?? "nothing";
        if (SelectionMayTie && model is { Source: RouteSource.Bgp })
        {
            return best.Split(" clusters")[0] == right.Split(" clusters")[0] ? null : $"{node.Name} {prefix}: selected {best}; should select {right}";
        }

        return best == right ? null : $"{node.Name} {prefix}: selected {best}; should select {right}";
    }

    /// <summary>What the Adj-RIB-Out says a neighbour was sent is what the neighbour has, less what it drops as its own echo.</summary>
    private string? SentIsReceived(SimNode node)
    {
        SimLife life = node.Life!;
        foreach (SimPeer peer in node.Peers)
        {
            SimNode other = nodes[peer.Node];
            PeerSession session = life.SessionTo(peer.Node);
            UpdateGroup<Ipv4Prefix> group = life.V4.SessionOf(session.Index)!.Group!;
            List<string> sent = [];
            for (uint index = 1; index < life.V4.Shard.IndexLimit; index++)
            {
                for (int slot = 0; slot < Math.Max(1, group.Key.AddPathLimit); slot++)
                {
                    if (life.V4.Shard.IsInUse(index) && group.TryGetAdvertised(index, slot, out AdjRibOutEntry entry) && entry.Source != session.Index)
                    {
                        PathAttributes attributes = life.Context.Attributes.Get(entry.Attr);
                        List<uint> asPath = [.. attributes.AsPathText().Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(static text => uint.Parse(text, System.Globalization.CultureInfo.InvariantCulture))];
                        List<uint> clusters = [.. attributes.ClusterListTexts().Select(static text => IpAddr.TryParse(text, out IpAddr id) ? id.V4Value : 0)];
                        if (!NaiveNetwork.IsLoop(other, asPath, attributes.OriginatorId, clusters))
                        {
                            sent.Add($"{life.V4.Shard.PrefixAt(index)} {Text(attributes, node.Name)}");
                        }
                    }
                }
            }

            List<string> received = [];
            SimLife there = other.Life!;
            ushort from = there.SessionTo(node.Number).Index;
            for (uint index = 1; index < there.V4.Shard.IndexLimit; index++)
            {
                foreach (RibPath path in there.V4.Shard.IsInUse(index) ? there.V4.Shard.AllPaths(index) : default)
                {
                    if (path.Peer == from)
                    {
                        received.Add($"{there.V4.Shard.PrefixAt(index)} {Text(there, path.Attr, path.Peer)}");
                    }
                }
            }

            if (!sent.Order(StringComparer.Ordinal).SequenceEqual(received.Order(StringComparer.Ordinal)))
            {
                return $"{node.Name} to {other.Name}: sent {string.Join("; ", sent)}; received {string.Join("; ", received)}";
            }
        }

        return null;
    }
}
