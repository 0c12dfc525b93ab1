namespace Rib;

/// <summary>The steps of the decision process in order; the one at which two paths differ is the reason that users are told.</summary>
public enum DecisionStep : byte
{
    /// <summary>The two are equal.</summary>
    None,

    /// <summary>One cannot be used: filtered, or its next hop does not resolve.</summary>
    Eligible,

    /// <summary>Preference between sources: configured, BGP, kernel.</summary>
    Source,

    /// <summary>Not long-lived stale (RFC 9494 section 4.3).</summary>
    LongLivedStale,

    /// <summary>Lower metric, among kernel routes.</summary>
    KernelMetric,

    /// <summary>Higher LOCAL_PREF (RFC 4271 section 9.1.1).</summary>
    LocalPref,

    /// <summary>Shorter AS_PATH (section 9.1.2.2 a).</summary>
    AsPathLength,

    /// <summary>Lower ORIGIN (b).</summary>
    Origin,

    /// <summary>Lower MULTI_EXIT_DISC from the same neighbouring AS (c).</summary>
    Med,

    /// <summary>External before internal (d).</summary>
    External,

    /// <summary>Nearer next hop (e).</summary>
    IgpMetric,

    /// <summary>Lower BGP Identifier, or ORIGINATOR_ID of a reflected path (f; RFC 4456 section 9).</summary>
    RouterId,

    /// <summary>Shorter CLUSTER_LIST (RFC 4456 section 9).</summary>
    ClusterList,

    /// <summary>Lower address of the neighbour (g).</summary>
    PeerAddress,

    /// <summary>Lower path identifier, so that the order is total.</summary>
    PathId,
}

/// <summary>Words for <see cref="DecisionStep"/>.</summary>
public static class DecisionStepText
{
    /// <summary>Why the better path is better.</summary>
    public static string Describe(this DecisionStep step) => step switch
    {
        DecisionStep.Eligible => "the other is not eligible",
        DecisionStep.Source => "preferred source",
        DecisionStep.LongLivedStale => "not long-lived stale",
        DecisionStep.KernelMetric => "lower kernel metric",
        DecisionStep.LocalPref => "higher LOCAL_PREF",
        DecisionStep.AsPathLength => "shorter AS path",
        DecisionStep.Origin => "lower origin",
        DecisionStep.Med => "lower MED",
        DecisionStep.External => "external over internal",
        DecisionStep.IgpMetric => "nearer next hop",
        DecisionStep.RouterId => "lower router id",
        DecisionStep.ClusterList => "shorter cluster list",
        DecisionStep.PeerAddress => "lower peer address",
        DecisionStep.PathId => "lower path id",
        _ => "the same",
    };
}
