namespace Bgp.Protocol;

/// <summary>What the configuration demands of received attributes, beside what the session says (<see cref="NegotiatedSession.IsIbgp"/>).</summary>
public sealed record AttributeRules
{
    /// <summary>Require that the first AS of a route from an external neighbour is the neighbour's (RFC 4271 section 6.3).</summary>
    public bool EnforceFirstAs { get; init; } = true;

    /// <summary>How often our own AS may occur in AS_PATH before the route counts as a loop.</summary>
    public int AllowLocalAs { get; init; }

    /// <summary>This router's AS number where it differs from the session's (local-as); 0 for no other.</summary>
    public uint OwnAsn { get; init; }

    /// <summary>Our identifier, for ORIGINATOR_ID loops; 0 turns the check off.</summary>
    public uint RouterId { get; init; }

    /// <summary>Our cluster id, for CLUSTER_LIST loops; 0 turns the check off.</summary>
    public uint ClusterId { get; init; }

    /// <summary>The cluster ids that this router uses towards others: a route that went out in one cluster must not come in from another.</summary>
    public IReadOnlyList<uint> OtherClusterIds { get; init; } = [];

    /// <summary>Treat routes with an AS_SET as withdrawn (RFC 9774). Off: this speaker accepts them as RFC 4271 does.</summary>
    public bool RejectAsSets { get; init; }
}
