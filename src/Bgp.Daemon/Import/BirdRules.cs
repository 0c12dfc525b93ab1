using System.Globalization;
using System.Text;
using Bgp.Daemon.Config;

namespace Bgp.Daemon.Import;

/// <summary>What a rule changes.</summary>
internal sealed record BirdEdits
{
    internal ConfigList<string> Communities { get; init; } = [];

    internal ConfigList<string> LargeCommunities { get; init; } = [];

    internal uint? LocalPref { get; init; }

    /// <summary>AS numbers in front of the path; the last one that the code prepended stands first.</summary>
    internal ConfigList<uint> Prepend { get; init; } = [];

    /// <summary>On import: the code has been through Calico's translation, and what is elevated has preference 200.</summary>
    internal bool Elevates { get; init; }

    /// <summary>Rank among sources, where it is not what LOCAL_PREF makes it.</summary>
    internal int? Preference { get; init; }

    /// <summary>Calico's krt_tunnel: a device, "" for none, null where it was not set.</summary>
    internal string? Tunnel { get; init; }
}

/// <summary>One rule: who matches is accepted or rejected.</summary>
internal sealed record BirdRule(BirdCondition Condition, BirdEdits Edits, bool Accept, BirdPlace Place);

/// <summary>What a filter is translated for.</summary>
/// <param name="IsImport">From the neighbour rather than to it.</param>
/// <param name="IsKernel">The kernel's export filter.</param>
/// <param name="IsExternal">The neighbour is in another AS.</param>
/// <param name="LocalAsn">Our AS number on the session.</param>
internal sealed record BirdFilterUse(bool IsImport, bool IsKernel, bool IsExternal, uint LocalAsn);

/// <summary>Translates filter code into rules of which the first that matches decides.</summary>
/// <remarks>
/// The code is run symbolically. A branch that ends in a verdict becomes rules under its condition, and what follows needs no negation of it, because rules
/// are asked in order. A branch that only changes something is followed by all that comes after it, once with and once without the change: prefixes are
/// nested or apart, and what cannot happen is left out, so that this stays small (<see cref="MaxRules"/> is for the rest). Functions are inlined with
/// their boolean arguments as constants. Calico's translation between metric and LOCAL_PREF is recognised as a whole (<see cref="BirdIdiom"/>): it
/// says nothing about single routes, and is <c>kernel.metric: localPref</c> here.
/// </remarks>
internal sealed class BirdRules
{
    internal const int MaxRules = 20_000;
    private const int MaxCalls = 32;

    /// <summary>Statements run in one translation: calls may multiply.</summary>
    private const int MaxSteps = 2_000_000;
    private const long MetricBase = int.MaxValue;

    /// <summary>Stands after a branch whose falling through leaves no trace.</summary>
    private static readonly CallStatement s_fallsThrough = new(default, "", []);

    private readonly BirdFile _file;
    private readonly BirdFilterUse _use;
    private readonly List<BirdRule> _rules = [];
    private readonly Dictionary<string, bool> _pure = new(StringComparer.Ordinal);
    private int _steps;

    private BirdRules(BirdFile file, BirdFilterUse use) => (_file, _use) = (file, use);

    /// <summary>Whether the code translates between metric and LOCAL_PREF.</summary>
    internal bool MetricIsLocalPref => NormalMetric > 0;

    /// <summary>What a route without metric counts as in that translation; 0 where there is none.</summary>
    internal uint NormalMetric { get; private set; }

    internal IReadOnlyList<BirdRule> All => _rules;

    /// <summary>Throws <see cref="BirdSyntaxException"/> for what cannot be said in rules.</summary>
    internal static BirdRules Translate(BirdFile file, ConfigList<BirdStatement> body, BirdFilterUse use, BirdPlace place)
    {
        BirdRules rules = new(file, use);
        rules.Run(new Rest(body, 0, [], 0, null), BirdCondition.Always, new BirdEdits(), place);
        return rules;
    }

    /// <summary>What is still to be run: statements from an index on, the constants in sight, then the caller's rest.</summary>
    private sealed record Rest(ConfigList<BirdStatement> Statements, int Index, Dictionary<string, bool> Arguments, int Depth, Rest? Caller);

    private void Run(Rest? rest, BirdCondition condition, BirdEdits edits, BirdPlace place)
    {
        while (true)
        {
            while (rest is not null && rest.Index >= rest.Statements.Count)
            {
                rest = rest.Caller;
            }

            if (rest is null)
            {
                // A filter that ends without a verdict rejects.
                Emit(condition, edits, accept: false, place);
                return;
            }

            BirdStatement statement = rest.Statements[rest.Index];
            place = statement.Place;
            if (++_steps > MaxSteps)
            {
                throw new BirdSyntaxException(place, "the filter is too long to be translated");
            }

            Rest after = rest with { Index = rest.Index + 1 };
            switch (statement)
            {
                case VerdictStatement verdict:
                    Emit(condition, edits, verdict.Accept, place);
                    return;
                case CallStatement call when ReferenceEquals(call, s_fallsThrough):
                    return;
                case CallStatement call:
                    rest = Enter(call, rest, after);
                    continue;
                case MethodStatement method:
                    edits = Apply(method, edits);
                    rest = after;
                    continue;
                case SetStatement set:
                    edits = Apply(set, edits);
                    rest = after;
                    continue;
                case IfStatement branch when BirdIdiom.Recognise(branch, _use, out uint normalMetric):
                    if (NormalMetric > 0 && NormalMetric != normalMetric)
                    {
                        throw new BirdSyntaxException(place, $"the normal route priority is {normalMetric} here and {NormalMetric} before");
                    }

                    NormalMetric = normalMetric;
                    edits = _use.IsImport ? edits with { Elevates = true } : edits;
                    rest = after;
                    continue;
                case IfStatement branch:
                    rest = Branch(branch, rest, after, ref condition, edits);
                    continue;
                default:
                    throw new BirdSyntaxException(place, "not understood in a filter");
            }
        }
    }

    /// <summary>Emits the rules of a branch; what remains to be run without it.</summary>
    private Rest Branch(IfStatement branch, Rest rest, Rest after, ref BirdCondition condition, BirdEdits edits)
    {
        List<List<BirdTerm>> cases = Terms(branch.Condition, rest.Arguments, negated: false);
        Rest otherwise = branch.Else.Count > 0 ? new Rest(branch.Else, 0, rest.Arguments, rest.Depth, after) : after;
        foreach (List<BirdTerm> terms in cases)
        {
            if (condition.And(terms) is not { } narrowed)
            {
                continue;
            }

            bool always = ReferenceEquals(narrowed, condition);
            if (always)
            {
                return new Rest(branch.Then, 0, rest.Arguments, rest.Depth, after);
            }

            // Code that changes nothing leaves no trace where it falls through: its verdicts are enough.
            bool pure = IsPure(branch.Then);
            Run(new Rest(branch.Then, 0, rest.Arguments, rest.Depth, pure && branch.Else.Count == 0 ? new Rest([s_fallsThrough], 0, [], 0, null) : after), narrowed, edits, branch.Place);
        }

        if (cases is [var single])
        {
            condition = condition.Except(single);
        }

        return otherwise;
    }

    private bool IsPure(ConfigList<BirdStatement> statements) => statements.All(statement => statement switch
    {
        VerdictStatement => true,
        IfStatement branch => IsPure(branch.Then) && IsPure(branch.Else),
        CallStatement call => IsPure(call.Name),
        _ => false,
    });

    private bool IsPure(string name)
    {
        if (!_pure.TryGetValue(name, out bool pure) && _file.Functions.TryGetValue(name, out BirdFunction? function))
        {
            // While it is being looked at it counts as one that changes something: a function that calls itself is refused later.
            _pure[name] = false;
            _pure[name] = pure = IsPure(function.Body);
        }

        return pure;
    }

    private Rest? Enter(CallStatement call, Rest rest, Rest after)
    {
        if (!_file.Functions.TryGetValue(call.Name, out BirdFunction? function))
        {
            throw new BirdSyntaxException(call.Place, $"there is no function '{call.Name}'");
        }

        if (rest.Depth >= MaxCalls)
        {
            throw new BirdSyntaxException(call.Place, $"'{call.Name}' is called too deeply");
        }

        if (call.Arguments.Count != function.Arguments.Count)
        {
            throw new BirdSyntaxException(call.Place, $"'{call.Name}' takes {function.Arguments.Count} arguments");
        }

        Dictionary<string, bool> arguments = new(StringComparer.Ordinal);
        for (int i = 0; i < function.Arguments.Count; i++)
        {
            arguments[function.Arguments[i]] = Constant(call.Arguments[i], rest.Arguments)
                ?? throw new BirdSyntaxException(call.Arguments[i].Place, "only true and false are understood as arguments");
        }

        return new Rest(function.Body, 0, arguments, rest.Depth + 1, after);
    }

    private void Emit(BirdCondition condition, BirdEdits edits, bool accept, BirdPlace place)
    {
        if (_rules.Count >= MaxRules)
        {
            throw new BirdSyntaxException(place, $"the filter needs more than {MaxRules} rules");
        }

        _rules.Add(new BirdRule(condition, accept ? edits : new BirdEdits(), accept, place));
    }

    private BirdEdits Apply(MethodStatement method, BirdEdits edits)
    {
        switch (method.Name, method.Method, method.Argument)
        {
            case ("bgp_community", "add", TupleExpression { Values.Count: 2 } pair) when pair.Values.All(static value => value <= 65535):
                return edits with { Communities = [.. edits.Communities.Append(Text(pair)).Distinct()] };
            case ("bgp_large_community", "add", TupleExpression { Values.Count: 3 } triple):
                return edits with { LargeCommunities = [.. edits.LargeCommunities.Append(Text(triple)).Distinct()] };
            case ("bgp_path", "prepend", NumberExpression { Value: > 0 } number) when edits.Prepend.Count < ConfigKeys.MaxPrepend && !_use.IsKernel:
                return edits with { Prepend = [(uint)number.Value, .. edits.Prepend] };
            case ("bgp_path", "prepend", NumberExpression) when edits.Prepend.Count >= ConfigKeys.MaxPrepend:
                throw new BirdSyntaxException(method.Place, $"at most {ConfigKeys.MaxPrepend} AS numbers can be prepended to one path");
            default:
                throw new BirdSyntaxException(method.Place, $"{method.Name}.{method.Method} with this argument is not understood");
        }
    }

    private BirdEdits Apply(SetStatement set, BirdEdits edits)
    {
        if (set is { Name: "bgp_local_pref", Value: NumberExpression { Value: <= uint.MaxValue } number } && !_use.IsKernel)
        {
            return edits with { LocalPref = (uint)number.Value };
        }

        if (set is { Name: "krt_tunnel", Value: TextExpression text } && _use.IsKernel)
        {
            return edits with { Tunnel = text.Value };
        }

        throw new BirdSyntaxException(set.Place, $"setting {set.Name} here is not understood");
    }

    private static string Text(TupleExpression tuple) => string.Join(':', tuple.Values);

    private static bool? Constant(BirdExpression expression, Dictionary<string, bool> arguments) => expression switch
    {
        NameExpression { Name: "true" } => true,
        NameExpression { Name: "false" } => false,
        NameExpression name => arguments.TryGetValue(name.Name, out bool value) ? value : null,
        NotExpression not => !Constant(not.Inner, arguments),
        BinaryExpression { Operator: "=" } equal when Constant(equal.Left, arguments) is { } left && Constant(equal.Right, arguments) is { } right => left == right,
        _ => null,
    };

    /// <summary>A condition as alternatives of terms that hold together. None: never. One without terms: always.</summary>
    private List<List<BirdTerm>> Terms(BirdExpression expression, Dictionary<string, bool> arguments, bool negated)
    {
        if (Constant(expression, arguments) is { } constant)
        {
            return constant != negated ? [[]] : [];
        }

        switch (expression)
        {
            case NotExpression not:
                return Terms(not.Inner, arguments, !negated);
            case BinaryExpression { Operator: "&&" or "||" } both:
                List<List<BirdTerm>> left = Terms(both.Left, arguments, negated);
                List<List<BirdTerm>> right = Terms(both.Right, arguments, negated);
                if (both.Operator == "||" != negated)
                {
                    return [.. left, .. right];
                }

                if (left.Count * right.Count > 1000)
                {
                    throw new BirdSyntaxException(both.Place, "a condition with too many alternatives");
                }

                return [.. from a in left from b in right select new List<BirdTerm>([.. a, .. b])];
            case DefinedExpression defined when !negated:
                return defined.Name switch
                {
                    "source" => [[]],
                    // On import BIRD gives every route one; on export Calico's translation does, and without it those learned over BGP have one.
                    "bgp_local_pref" when _use.IsImport || (MetricIsLocalPref && !_use.IsKernel) => [[]],
                    "bgp_local_pref" => [[new BirdTerm(BirdTermKind.FromBgp)]],
                    "ifname" => [[new BirdTerm(BirdTermKind.HasInterface)]],
                    "bgp_next_hop" => [[new BirdTerm(BirdTermKind.FromBgp)]],
                    _ => throw new BirdSyntaxException(defined.Place, $"defined({defined.Name}) is not understood here"),
                };
            case BinaryExpression comparison:
                return Compare(comparison, negated);
            default:
                throw new BirdSyntaxException(expression.Place, "this condition is not understood");
        }
    }

    private List<List<BirdTerm>> Compare(BinaryExpression comparison, bool negated)
    {
        string sign = comparison.Operator;
        if (sign is "!=" or "!~")
        {
            (sign, negated) = (sign[1..] == "~" ? "~" : "=", !negated);
        }

        switch (comparison.Left, sign, comparison.Right)
        {
            case (NameExpression { Name: "net" }, "~" or "=", NetExpression net):
                bool exact = sign == "=" || !net.HasLength;
                return [[new BirdTerm(negated ? exact ? BirdTermKind.NotExact : BirdTermKind.NotInside : exact ? BirdTermKind.Exact : BirdTermKind.Inside) { Net = net.Net }]];
            case (NameExpression { Name: "net" }, "~", SetExpression set) when set.Items.All(static item => item.Name.Length == 0):
                return negated ? OutsideSet(set) : [.. set.Items.Select(InsideItem)];
            case (NameExpression { Name: "source" }, "=", NameExpression { Name: "RTS_BGP" }) when !negated:
            case (NameExpression { Name: "source" }, "~", SetExpression { Items: [{ Name: "RTS_BGP" }] }) when !negated:
                return [[new BirdTerm(BirdTermKind.FromBgp)]];
            case (NameExpression { Name: "ifname" }, "~" or "=", TextExpression text) when !negated:
                return [[new BirdTerm(BirdTermKind.Interface) { Text = text.Value }]];
            case (TupleExpression { Values.Count: 2 } pair, "~", NameExpression { Name: "bgp_community" }) when !negated:
                return [[new BirdTerm(BirdTermKind.Community) { Text = Text(pair) }]];
            case (TupleExpression { Values.Count: 3 } triple, "~", NameExpression { Name: "bgp_large_community" }) when !negated:
                return [[new BirdTerm(BirdTermKind.LargeCommunity) { Text = Text(triple) }]];
            case (NameExpression { Name: "bgp_path" }, "~", PathMaskExpression mask) when !negated:
                return Head(mask.Head);
            case (NameExpression { Name: "bgp_next_hop" }, "~" or "=", NetExpression hop) when !negated:
                return [[new BirdTerm(BirdTermKind.NextHop) { Net = hop.Net }]];
            case (NameExpression { Name: "krt_metric" }, "<", NumberExpression number) when !negated && !_use.IsImport && number.Value > 1:
                return [[new BirdTerm(BirdTermKind.Metric) { Min = 1, Max = number.Value - 1 }]];
            case (NameExpression { Name: "bgp_local_pref" }, "=", NumberExpression number) when !negated && MetricIsLocalPref && !_use.IsImport && !_use.IsKernel && number.Value < MetricBase:
                // On export every route has one after Calico's translation: that of its metric, be it the kernel's or one that came as LOCAL_PREF.
                return [[new BirdTerm(BirdTermKind.Metric) { Min = MetricBase - number.Value, Max = MetricBase - number.Value }]];
            case (NameExpression { Name: "bgp_local_pref" }, "=", NumberExpression number) when !negated:
                return [[new BirdTerm(BirdTermKind.LocalPref) { Min = number.Value, Max = number.Value }]];
            default:
                throw new BirdSyntaxException(comparison.Place, $"this comparison with '{comparison.Operator}'{(negated && comparison.Operator is not ("!=" or "!~") ? ", negated," : "")} is not understood");
        }
    }

    /// <summary>
    /// What a path begins with. BIRD 1.6 runs an export filter on the route as the neighbour is to have it: towards an external one our own AS number is in front already.
    /// </summary>
    private List<List<BirdTerm>> Head(ConfigList<uint> head)
    {
        if (head.Count > 0 && _use is { IsImport: false, IsKernel: false, IsExternal: true })
        {
            if (head[0] != _use.LocalAsn)
            {
                return [];
            }

            head = [.. head.Skip(1)];
        }

        return head.Count == 0 ? [[]] : [[new BirdTerm(BirdTermKind.PathHead) { Numbers = head }]];
    }

    private static List<BirdTerm> InsideItem(BirdSetItem item) =>
        item.Min == item.Net.Length && item.Max == item.Net.Length ? [new BirdTerm(BirdTermKind.Exact) { Net = item.Net }]
        : item.Min <= item.Net.Length && item.Max == (item.Net.IsV4 ? 32 : 128) ? [new BirdTerm(BirdTermKind.Inside) { Net = item.Net }]
        : [new BirdTerm(BirdTermKind.Inside) { Net = item.Net }, new BirdTerm(BirdTermKind.Length) { Min = item.Min, Max = item.Max }];

    /// <summary>Outside a prefix with lengths is outside the prefix, or shorter, or longer.</summary>
    private static List<List<BirdTerm>> OutsideSet(SetExpression set)
    {
        if (set.Items is not [var item])
        {
            throw new BirdSyntaxException(set.Place, "the negation of a set with several prefixes is not understood");
        }

        List<List<BirdTerm>> cases = [[new BirdTerm(BirdTermKind.NotInside) { Net = item.Net }]];
        if (item.Min > item.Net.Length)
        {
            cases.Add([new BirdTerm(BirdTermKind.Length) { Min = 0, Max = item.Min - 1 }]);
        }

        if (item.Max < (item.Net.IsV4 ? 32 : 128))
        {
            cases.Add([new BirdTerm(BirdTermKind.Length) { Min = item.Max + 1, Max = item.Net.IsV4 ? 32 : 128 }]);
        }

        return cases;
    }
}
