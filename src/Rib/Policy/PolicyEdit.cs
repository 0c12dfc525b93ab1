using Bgp.Protocol;

namespace Rib;

/// <summary>
/// What a filter rule changes on the routes it accepts. Immutable and compared by reference: (attribute set, edit) is the key under which
/// the edited set is remembered, so a table of a million prefixes with ten sets edits ten times.
/// </summary>
public sealed class PolicyEdit
{
    /// <summary>New LOCAL_PREF.</summary>
    public uint? LocalPref { get; init; }

    /// <summary>New MULTI_EXIT_DISC.</summary>
    public uint? Med { get; init; }

    /// <summary>Standard communities to add.</summary>
    public IReadOnlyList<uint> AddCommunities { get; init; } = [];

    /// <summary>Standard communities to remove.</summary>
    public IReadOnlyList<uint> RemoveCommunities { get; init; } = [];

    /// <summary>Large communities to add.</summary>
    public IReadOnlyList<(uint Global, uint Data1, uint Data2)> AddLargeCommunities { get; init; } = [];

    /// <summary>How many more times our AS number is prepended, towards external neighbours.</summary>
    public int Prepend { get; init; }

    /// <summary>
    /// AS numbers put in front of the path, in the order in which they then stand: on import and towards any neighbour. Towards an external one they come
    /// before our own.
    /// </summary>
    public IReadOnlyList<uint> PrependAsns { get; init; } = [];

    /// <summary>New next hop; none leaves it.</summary>
    public IpAddr NextHop { get; init; }

    /// <summary>On export our address on the session is the next hop.</summary>
    public bool NextHopSelf { get; init; }

    /// <summary>Metric of the kernel route that installing this path makes.</summary>
    public uint? KernelMetric { get; init; }

    /// <summary>Rank among sources (own prefixes 200, BGP 100 and where elevated 200, kernel 10) of a route that is imported; null leaves it to LOCAL_PREF.</summary>
    public byte? Preference { get; init; }

    /// <summary>Octets that a set may grow by when this is applied: an AS number may need a segment of its own, and be written twice for a neighbour without RFC 6793.</summary>
    public int Room => (4 * AddCommunities.Count) + (12 * AddLargeCommunities.Count) + (8 * (Math.Max(0, Prepend) + PrependAsns.Count));
}

/// <summary>The answer of a policy for one route.</summary>
/// <param name="Accept">Whether the route goes on.</param>
/// <param name="Edit">What changes; null for nothing.</param>
/// <param name="Rule">Which rule decided, for <c>explain</c> and <c>rejectedBy</c>: a constant per rule, never built per route.</param>
public readonly record struct PolicyResult(bool Accept, PolicyEdit? Edit, string Rule);

/// <summary>What a policy may know of a route beside its prefix and attributes.</summary>
/// <param name="Source">The peer that sent the route (<see cref="PeerKind.Local"/> for own routes).</param>
/// <param name="Target">The peer (or any member of the group of peers) it would go to, or on import the same as the source.</param>
public readonly record struct PolicyContext(RibPeer Source, RibPeer Target);

/// <summary>A compiled chain of filters. Pure: same route, same answer.</summary>
public interface IRoutePolicy<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>Decides one route.</summary>
    PolicyResult Evaluate(in TPrefix prefix, PathAttributes attributes, in PolicyContext context);

    /// <summary>A text equal exactly for policies with the same content, in order and sets: part of the update group key.</summary>
    string ContentKey { get; }

    /// <summary>Whether every route is accepted unchanged, so that asking can be left out.</summary>
    bool AcceptsAll => false;

    /// <summary>
    /// Whether a route learned over BGP for this prefix is accepted unchanged whatever its attributes and its source, so that asking, and looking at the
    /// attributes, can be left out.
    /// </summary>
    bool AcceptsLearned(in TPrefix prefix) => AcceptsAll;

    /// <summary>Whether <see cref="AcceptsLearned"/> holds for every prefix.</summary>
    bool AcceptsAllLearned => AcceptsAll;

    /// <summary>Whether an accepted route may differ from what came in: then what is stored does not tell any more what another policy would say of it.</summary>
    bool ChangesRoutes => true;
}
