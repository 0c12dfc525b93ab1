using Bgp.Protocol;

namespace Rib;

/// <summary>What a decision needs to know of one path.</summary>
/// <param name="Rank">See <see cref="RankKey"/>.</param>
/// <param name="Attributes">What the decision asks of the path's attributes.</param>
/// <param name="Peer">Who sent it; null only where the peer was never set.</param>
/// <param name="IgpMetric">Cost of the next hop.</param>
/// <param name="PathId">ADD-PATH identifier, or 0.</param>
public readonly record struct Candidate(ulong Rank, AttributeSummary Attributes, RibPeer? Peer, uint IgpMetric, uint PathId);

/// <summary>
/// The decision process of RFC 4271 section 9.1.2.2 with RFC 4456 section 9, for pairs that <see cref="RankKey"/> leaves equal.
/// </summary>
/// <remarks>
/// MED (step c) is not an order over all paths: it removes those that lose against one of the same neighbouring AS, and whether two paths compare on it
/// depends on what else is there. So it is not part of <see cref="CompareTies"/>; the table removes the losers of a set first (see RibShard), which makes
/// the outcome independent of the order of arrival. The RFC's step f compares BGP Identifiers before the CLUSTER_LIST length.
/// </remarks>
public static class DecisionProcess
{
    /// <summary>Whether, ranks being equal, <paramref name="b"/> is removed by <paramref name="a"/> in step c.</summary>
    public static bool MedRemoves(in Candidate a, in Candidate b) =>
        a.Rank == b.Rank
        && a.Attributes.Source == RouteSource.Bgp && b.Attributes.Source == RouteSource.Bgp
        && a.Attributes.NeighborAs == b.Attributes.NeighborAs
        && (a.Attributes.Med ?? 0) < (b.Attributes.Med ?? 0);

    /// <summary>Compares the rank and then the steps after MED. Positive: <paramref name="a"/> is better; 0 only for a path and itself.</summary>
    public static int CompareTies(in Candidate a, in Candidate b, out DecisionStep step)
    {
        if (a.Rank != b.Rank)
        {
            step = RankKey.FirstDifference(a.Rank, b.Rank);
            return a.Rank > b.Rank ? 1 : -1;
        }

        int sign = IsExternal(a).CompareTo(IsExternal(b));
        if (sign != 0)
        {
            step = DecisionStep.External;
            return sign;
        }

        sign = b.IgpMetric.CompareTo(a.IgpMetric);
        if (sign != 0)
        {
            step = DecisionStep.IgpMetric;
            return sign;
        }

        sign = RouterId(b).CompareTo(RouterId(a));
        if (sign != 0)
        {
            step = DecisionStep.RouterId;
            return sign;
        }

        sign = b.Attributes.ClusterListLength.CompareTo(a.Attributes.ClusterListLength);
        if (sign != 0)
        {
            step = DecisionStep.ClusterList;
            return sign;
        }

        IpAddr addressA = a.Peer?.Address ?? default;
        IpAddr addressB = b.Peer?.Address ?? default;
        sign = addressB.CompareTo(addressA);
        if (sign != 0)
        {
            step = DecisionStep.PeerAddress;
            return sign;
        }

        sign = b.PathId.CompareTo(a.PathId);
        if (sign == 0)
        {
            // Two sessions to one address (two ports): the table's own number makes the order total.
            sign = (b.Peer?.Index ?? 0).CompareTo(a.Peer?.Index ?? 0);
        }

        step = sign == 0 ? DecisionStep.None : DecisionStep.PathId;
        return sign;
    }

    /// <summary>Whether two paths may carry traffic side by side (contract: equal in preference, LOCAL_PREF, path length, origin, MED, iBGP/eBGP and IGP metric).</summary>
    public static bool AreMultipath(in Candidate a, in Candidate b) =>
        a.Rank == b.Rank
        && (a.Attributes.Med ?? 0) == (b.Attributes.Med ?? 0)
        && IsExternal(a) == IsExternal(b)
        && a.IgpMetric == b.IgpMetric
        && a.Attributes.Source == RouteSource.Bgp;

    private static bool IsExternal(in Candidate path) => path.Peer?.Kind == PeerKind.Ebgp;

    private static uint RouterId(in Candidate path) =>
        path.Attributes.OriginatorId != 0 ? path.Attributes.OriginatorId : path.Peer?.RouterId ?? 0;
}
