using System.Globalization;
using System.Text;
using Bgp.Protocol;

namespace Rib;

/// <summary>Which way routes go through a chain.</summary>
public enum PolicyDirection : byte
{
    /// <summary>From a neighbour into the table.</summary>
    Import,

    /// <summary>From the table to neighbours.</summary>
    Export,
}

/// <summary>A chain of filters, compiled for one family.</summary>
/// <remarks>
/// Filters run in list order; the first accept or reject ends; after the last one: reject. Without a list an external neighbour gets and gives nothing
/// (RFC 8212); an internal one gives everything and gets what <c>calico-export</c> lets out, from a route reflector also everything learned over BGP.
/// A default route leaves only through a listed filter: never through those defaults, nor through <c>calico-export</c>.
/// <para>Evaluation allocates nothing and changes nothing, so one policy may serve any number of readers. Texts and edits are made when the chain
/// is compiled: an edit is the same object for every route its rule accepts.</para>
/// </remarks>
public sealed class FilterPolicy<TPrefix> : IRoutePolicy<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>Names that the configuration cannot give to its own filters.</summary>
    public static IReadOnlyList<string> BuiltIn { get; } = ["all", "none", "calico-export", "calico-import"];

    private readonly Step[] _steps;
    private readonly StepKind _learned;
    private readonly bool _guard;
    private readonly string _end;

    private enum StepKind : byte
    {
        All,
        None,
        CalicoExport,
        CalicoImport,
        Reflected,
        Filter,
    }

    private readonly record struct Rule(CompiledMatch<TPrefix> Match, bool Accept, PolicyEdit? Edit, string Text);

    private sealed record Step(StepKind Kind, CalicoRules<TPrefix>? Calico, Rule[] Rules, FilterAction Default, string DefaultText);

    /// <summary>Compiles a chain.</summary>
    /// <param name="chain">Names of filters and built-ins; null where the configuration lists none.</param>
    /// <param name="direction">Import or export.</param>
    /// <param name="ebgp">Whether the neighbour is external: decides what a missing list means.</param>
    /// <param name="scope">What the names refer to.</param>
    /// <exception cref="ArgumentException">A filter or pool that is not in the scope, or an AS_PATH expression that does not compile.</exception>
    public FilterPolicy(IReadOnlyList<string>? chain, PolicyDirection direction, bool ebgp, PolicyScope scope)
    {
        ArgumentNullException.ThrowIfNull(scope);
        bool export = direction == PolicyDirection.Export;
        List<Step> steps = [];
        StringBuilder key = new();
        key.Append(export ? "export" : "import");
        if (chain is null && ebgp)
        {
            _end = export ? "no export filter on an eBGP session (RFC 8212)" : "no import filter on an eBGP session (RFC 8212)";
        }
        else
        {
            _end = export ? "end of the export chain" : "end of the import chain";
        }

        if (chain is null && !ebgp)
        {
            if (!export)
            {
                AddStep("all", scope, steps, key);
            }
            else
            {
                if (scope.RouteReflector)
                {
                    steps.Add(new Step(StepKind.Reflected, null, [], FilterAction.Next, ""));
                    key.Append(";reflected");
                }

                AddStep("calico-export", scope, steps, key);
            }
        }

        foreach (string name in chain ?? [])
        {
            AddStep(name, scope, steps, key);
        }

        _steps = [.. steps];
        _learned = steps.Count > 0 ? steps[0].Kind : StepKind.None;
        _guard = export && scope.Guard;
        key.Append(CultureInfo.InvariantCulture, $";guard={_guard};end={_end}");
        ContentKey = key.ToString();
    }

    /// <inheritdoc/>
    public string ContentKey { get; }

    /// <inheritdoc/>
    public bool AcceptsAll => !_guard && _steps is [{ Kind: StepKind.All or StepKind.CalicoImport }, ..];

    /// <inheritdoc/>
    /// <remarks>The guard is about routes of this host alone.</remarks>
    public bool AcceptsLearned(in TPrefix prefix) => _learned switch
    {
        StepKind.All or StepKind.CalicoImport => true,
        StepKind.Reflected => prefix.Length > 0,
        _ => false,
    };

    /// <inheritdoc/>
    public bool AcceptsAllLearned => _learned is StepKind.All or StepKind.CalicoImport;

    /// <inheritdoc/>
    public bool ChangesRoutes => Array.Exists(_steps, static step => Array.Exists(step.Rules, static rule => rule.Edit is not null));

    /// <inheritdoc/>
    public PolicyResult Evaluate(in TPrefix prefix, PathAttributes attributes, in PolicyContext context)
    {
        ArgumentNullException.ThrowIfNull(attributes);
        if (_guard && context.Target.IsIbgp && CalicoRules<TPrefix>.Guard(attributes) is string guarded)
        {
            return new PolicyResult(false, null, guarded);
        }

        foreach (Step step in _steps)
        {
            switch (step.Kind)
            {
                case StepKind.All:
                    return new PolicyResult(true, null, "all");
                case StepKind.None:
                    return new PolicyResult(false, null, "none");
                case StepKind.CalicoImport:
                    return new PolicyResult(true, null, "calico-import");
                case StepKind.Reflected:
                    if (attributes.Source == RouteSource.Bgp && prefix.Length > 0)
                    {
                        return new PolicyResult(true, null, "route reflector: learned over BGP");
                    }

                    break;
                case StepKind.CalicoExport:
                    return prefix.Length == 0
                        ? new PolicyResult(false, null, "calico-export: a default route leaves only through an explicit filter")
                        : step.Calico!.Evaluate(prefix, attributes, context);
                default:
                    foreach (Rule rule in step.Rules)
                    {
                        if (rule.Match.Holds(prefix, attributes, context))
                        {
                            return new PolicyResult(rule.Accept, rule.Edit, rule.Text);
                        }
                    }

                    if (step.Default != FilterAction.Next)
                    {
                        return new PolicyResult(step.Default == FilterAction.Accept, null, step.DefaultText);
                    }

                    break;
            }
        }

        return new PolicyResult(false, null, _end);
    }

    private static void AddStep(string name, PolicyScope scope, List<Step> steps, StringBuilder key)
    {
        switch (name)
        {
            case "all":
                key.Append(";all");
                steps.Add(new Step(StepKind.All, null, [], FilterAction.Next, ""));
                return;
            case "none":
                key.Append(";none");
                steps.Add(new Step(StepKind.None, null, [], FilterAction.Next, ""));
                return;
            case "calico-import":
                key.Append(";calico-import");
                steps.Add(new Step(StepKind.CalicoImport, null, [], FilterAction.Next, ""));
                return;
            case "calico-export":
                key.Append(";calico-export");
                PolicyContent.AppendScope<TPrefix>(key, scope);
                steps.Add(new Step(StepKind.CalicoExport, new CalicoRules<TPrefix>(scope), [], FilterAction.Next, ""));
                return;
            default:
                break;
        }

        if (!scope.Filters.TryGetValue(name, out FilterDefinition? filter))
        {
            throw new ArgumentException($"there is no filter '{name}'", nameof(name));
        }

        Rule[] rules = new Rule[filter.Rules.Count];
        for (int i = 0; i < rules.Length; i++)
        {
            FilterRule rule = filter.Rules[i];
            bool accept = rule.Action == FilterAction.Accept;
            rules[i] = new Rule(
                new CompiledMatch<TPrefix>(rule.Match, scope),
                accept,
                accept ? rule.Set : null,
                string.Create(CultureInfo.InvariantCulture, $"filter {name} rule {i + 1}: {(accept ? "accept" : "reject")}"));
        }

        PolicyContent.AppendFilter<TPrefix>(key, filter, scope);
        steps.Add(new Step(
            StepKind.Filter, null, rules, filter.Default, $"filter {name}: default {(filter.Default == FilterAction.Accept ? "accept" : "reject")}"));
    }
}
