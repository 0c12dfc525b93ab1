using System.Globalization;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tests.Simulation;

/// <summary>One path as the naive model sees it.</summary>
/// <param name="From">Number of the neighbour that sent it; -1 for this node's own.</param>
/// <param name="Source">Where it began, seen from here.</param>
internal sealed record NaivePath(
    int From, RouteSource Source, IpAddr NextHop, IReadOnlyList<uint> AsPath, uint? LocalPref, uint OriginatorId, IReadOnlyList<uint> ClusterList)
{
    /// <summary>Everything that must agree, as text.</summary>
    public override string ToString() => Source == RouteSource.Bgp
        ? Text(SimNode.PeerName(From), NextHop, string.Join(' ', AsPath), LocalPref, OriginatorId, ClusterList.Select(static id => IpAddr.V4(id).ToString()))
        : Source.ToString();

    internal static string Text(string from, IpAddr nextHop, string asPath, uint? localPref, uint originator, IEnumerable<string> clusters) => string.Create(
        CultureInfo.InvariantCulture, $"from {from} via {nextHop} as [{asPath}] pref {localPref} originator {IpAddr.V4(originator)} clusters [{string.Join(' ', clusters)}]");
}

/// <summary>
/// What the nodes of a network must come to know: the rules of RFC 4271 and RFC 4456 applied to everybody at once, again and again, until nothing changes.
/// </summary>
/// <remarks>Written for being obviously right: lists, no state but the last round, no sessions, no timing. It shares no code with the program but its types.</remarks>
internal sealed class NaiveNetwork(IReadOnlyList<SimNode> nodes)
{
    private const int MaxRounds = 100;

    private readonly Dictionary<string, List<NaivePath>[]> _solved = new(StringComparer.Ordinal);
    private List<NaivePath>[] _paths = [];

    /// <summary>Every path that a node has for a prefix, best first. It depends on who has it of its own, and on nothing else.</summary>
    internal IReadOnlyList<NaivePath>[] Solve(Ipv4Prefix prefix)
    {
        string owners = string.Join(' ', nodes.SelectMany(node => Own(node, prefix).Select(path => $"{node.Number}{path.Source}")));
        if (!_solved.TryGetValue(owners, out List<NaivePath>[]? solution))
        {
            _solved[owners] = solution = Settle(prefix);
        }

        return solution;
    }

    private List<NaivePath>[] Settle(Ipv4Prefix prefix)
    {
        _paths = [.. nodes.Select(node => Sorted(node, [.. Own(node, prefix)]))];
        for (int round = 0; round < MaxRounds; round++)
        {
            List<NaivePath>[] next = [.. nodes.Select(node => Sorted(node, [.. Own(node, prefix), .. Received(node)]))];
            bool same = next.Zip(_paths).All(static pair => pair.First.Select(static path => path.ToString()).SequenceEqual(pair.Second.Select(static path => path.ToString())));
            _paths = next;
            if (same)
            {
                return _paths;
            }
        }

        throw new SimulationFailure($"the model itself does not settle for {prefix}");
    }

    /// <summary>Whether a node drops what it hears as its own echo: its AS in the path, itself as originator, its cluster in the list.</summary>
    internal static bool IsLoop(SimNode node, IReadOnlyList<uint> asPath, uint originator, IReadOnlyList<uint> clusters) =>
        asPath.Contains(node.Asn) || originator == node.RouterId || clusters.Contains(node.ClusterId);

    private static IEnumerable<NaivePath> Own(SimNode node, Ipv4Prefix prefix)
    {
        if (node.Originated.Contains(prefix))
        {
            yield return new NaivePath(-1, RouteSource.Originate, default, [], null, 0, []);
        }

        if (node.Kernel?.HasLocal(prefix) == true)
        {
            yield return new NaivePath(-1, RouteSource.Kernel, default, [], null, 0, []);
        }
    }

    private IEnumerable<NaivePath> Received(SimNode node)
    {
        foreach (SimPeer peer in node.Peers)
        {
            SimNode other = nodes[peer.Node];
            SimPeer back = other.PeerTo(node.Number)!;
            bool several = back.AddPath.HasFlag(AddPathMode.Send) && peer.AddPath.HasFlag(AddPathMode.Receive);
            foreach (NaivePath path in _paths[other.Number].Where(path => IsEligible(other, path)).Take(several ? Math.Max(1, back.AddPathLimit) : 1))
            {
                if (path.From != node.Number && Export(other, back, node, path) is { } sent && !IsLoop(node, sent.AsPath, sent.OriginatorId, sent.ClusterList))
                {
                    yield return sent with { From = other.Number, Source = RouteSource.Bgp };
                }
            }
        }
    }

    private NaivePath? Export(SimNode from, SimPeer peer, SimNode to, NaivePath path)
    {
        bool own = path.From < 0;
        SimNode? source = own ? null : nodes[path.From];
        bool fromInternal = source is not null && source.Asn == from.Asn;
        if (to.Asn != from.Asn)
        {
            return path with { NextHop = from.Address, AsPath = [from.Asn, .. path.AsPath], LocalPref = null, OriginatorId = 0, ClusterList = [] };
        }

        bool fromClient = source is not null && from.PeerTo(source.Number)!.IsClient;
        if (fromInternal && !fromClient && !peer.IsClient)
        {
            return null;
        }

        return path with
        {
            NextHop = own ? from.Address : path.NextHop,
            LocalPref = path.LocalPref ?? 100,
            OriginatorId = !fromInternal ? 0 : path.OriginatorId != 0 ? path.OriginatorId : source!.RouterId,
            ClusterList = !fromInternal ? [] : [from.ClusterId, .. path.ClusterList],
        };
    }

    private static bool IsEligible(SimNode node, NaivePath path) => path.Source != RouteSource.Bgp || path.NextHop != node.Address;

    private List<NaivePath> Sorted(SimNode node, List<NaivePath> paths)
    {
        paths.Sort((a, b) => -Compare(node, a, b));
        return paths;
    }

    private int Compare(SimNode node, NaivePath a, NaivePath b)
    {
        int eligible = IsEligible(node, a).CompareTo(IsEligible(node, b));
        if (eligible != 0)
        {
            return eligible;
        }

        int sign = Preference(a.Source).CompareTo(Preference(b.Source));
        sign = sign != 0 ? sign : (a.LocalPref ?? 100).CompareTo(b.LocalPref ?? 100);
        sign = sign != 0 ? sign : b.AsPath.Count.CompareTo(a.AsPath.Count);
        sign = sign != 0 ? sign : IsExternal(node, a).CompareTo(IsExternal(node, b));
        sign = sign != 0 ? sign : Identifier(b).CompareTo(Identifier(a));
        sign = sign != 0 ? sign : b.ClusterList.Count.CompareTo(a.ClusterList.Count);
        sign = sign != 0 ? sign : b.From.CompareTo(a.From);
        return sign != 0 ? sign : string.CompareOrdinal(b.ToString(), a.ToString());
    }

    private static int Preference(RouteSource source) => source switch { RouteSource.Originate => 2, RouteSource.Bgp => 1, _ => 0 };

    private bool IsExternal(SimNode node, NaivePath path) => path.From >= 0 && nodes[path.From].Asn != node.Asn;

    private uint Identifier(NaivePath path) => path.OriginatorId != 0 ? path.OriginatorId : path.From < 0 ? 0 : nodes[path.From].RouterId;
}
