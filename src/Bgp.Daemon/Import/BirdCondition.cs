using Bgp.Daemon.Config;

namespace Bgp.Daemon.Import;

/// <summary>What one term of a condition is about.</summary>
internal enum BirdTermKind : byte
{
    /// <summary>Inside a prefix, with a length between two bounds.</summary>
    Inside,

    /// <summary>Equal to a prefix.</summary>
    Exact,

    /// <summary>Not inside a prefix.</summary>
    NotInside,

    /// <summary>Not equal to a prefix.</summary>
    NotExact,

    /// <summary>A length between two bounds.</summary>
    Length,

    /// <summary>Learned over BGP.</summary>
    FromBgp,

    /// <summary>Has an interface at all.</summary>
    HasInterface,

    /// <summary>The interface's name.</summary>
    Interface,

    /// <summary>A standard community.</summary>
    Community,

    /// <summary>A large community.</summary>
    LargeCommunity,

    /// <summary>The path begins with.</summary>
    PathHead,

    /// <summary>LOCAL_PREF is a number.</summary>
    LocalPref,

    /// <summary>The metric as a kernel route is between two bounds.</summary>
    Metric,

    /// <summary>The next hop is inside a prefix.</summary>
    NextHop,
}

/// <summary>One term.</summary>
internal sealed record BirdTerm(BirdTermKind Kind)
{
    internal Cidr Net { get; init; }

    internal long Min { get; init; }

    internal long Max { get; init; }

    internal string Text { get; init; } = "";

    internal ConfigList<uint> Numbers { get; init; } = [];
}

/// <summary>
/// Terms that hold together, and prefixes that the route is known not to be in (an earlier branch took those): enough to leave out what cannot happen.
/// </summary>
internal sealed class BirdCondition
{
    internal static BirdCondition Always { get; } = new([], []);

    private readonly ConfigList<Cidr> _excluded;

    private BirdCondition(ConfigList<BirdTerm> terms, ConfigList<Cidr> excluded) => (Terms, _excluded) = (terms, excluded);

    internal ConfigList<BirdTerm> Terms { get; }

    /// <summary>The smallest prefix that the route must be inside, or none.</summary>
    private Cidr Within => Terms.Where(static term => term.Kind is BirdTermKind.Inside or BirdTermKind.Exact).Select(static term => term.Net).DefaultIfEmpty().MaxBy(static net => net.Address.IsNone ? -1 : net.Length);

    private Cidr Equal => Terms.FirstOrDefault(static term => term.Kind == BirdTermKind.Exact)?.Net ?? default;

    /// <summary>With all of these too; null where that cannot be.</summary>
    internal BirdCondition? And(IEnumerable<BirdTerm> terms)
    {
        BirdCondition all = this;
        foreach (BirdTerm term in terms)
        {
            switch (all.Judge(term))
            {
                case false:
                    return null;
                case null:
                    // A wider prefix says nothing beside a narrower one.
                    List<BirdTerm> kept = [.. all.Terms.Where(old => !(old.Kind == BirdTermKind.Inside && term.Kind is BirdTermKind.Inside or BirdTermKind.Exact && old.Net.Contains(term.Net)))];
                    kept.Add(term);
                    all = new BirdCondition([.. kept], all._excluded);
                    break;
                default:
                    break;
            }
        }

        return all;
    }

    /// <summary>Notes that a condition of one term did not hold.</summary>
    internal BirdCondition Except(IReadOnlyList<BirdTerm> terms) =>
        terms is [{ Kind: BirdTermKind.Inside } only] ? new BirdCondition(Terms, [.. _excluded, only.Net]) : this;

    /// <summary>True where it holds already, false where it cannot hold, null where it says something new.</summary>
    private bool? Judge(BirdTerm term)
    {
        Cidr within = Within;
        Cidr equal = Equal;
        switch (term.Kind)
        {
            case BirdTermKind.Inside:
                if (_excluded.Any(net => net.Contains(term.Net)))
                {
                    return false;
                }

                return within.Address.IsNone ? null : term.Net.Contains(within) ? true : !equal.Address.IsNone || !within.Contains(term.Net) ? false : null;
            case BirdTermKind.Exact:
                if (_excluded.Any(net => net.Contains(term.Net)))
                {
                    return false;
                }

                return !equal.Address.IsNone ? equal == term.Net : within.Address.IsNone || within.Contains(term.Net) ? null : false;
            case BirdTermKind.NotInside:
                return within.Address.IsNone ? _excluded.Any(net => net.Contains(term.Net) && term.Net.Contains(net)) ? true : null
                    : term.Net.Contains(within) ? false : within.Contains(term.Net) && equal.Address.IsNone ? null : true;
            case BirdTermKind.NotExact:
                return !equal.Address.IsNone ? equal != term.Net : within.Address.IsNone || within.Contains(term.Net) ? null : true;
            default:
                return Terms.Contains(term) ? true : null;
        }
    }
}
