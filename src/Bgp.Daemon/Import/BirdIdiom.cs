using System.Globalization;

namespace Bgp.Daemon.Import;

/// <summary>
/// Calico's translation between metric and LOCAL_PREF, as its templates write it in import, export and kernel filters (since 3.32): recognised as a whole.
/// </summary>
internal static class BirdIdiom
{
    private const long Base = int.MaxValue;

    /// <summary>
    /// Whether a statement is one of them. <paramref name="normalMetric"/>: what a route without metric counts as there, Calico's normal route priority.
    /// </summary>
    internal static bool Recognise(IfStatement statement, BirdFilterUse use, out uint normalMetric)
    {
        string text = Text(statement);
        if (use.IsImport)
        {
            return Matches(text, static n => $"if(defined(bgp_local_pref)&&bgp_local_pref>{Base - n}){{preference=200;}}", "bgp_local_pref>", static value => Base - value, out normalMetric);
        }

        return use.IsKernel
            ? Matches(
                text,
                static n => $"if(defined(source)&&source=RTS_BGP&&!defined(krt_metric)){{krt_metric={n};if(defined(bgp_local_pref)){{krt_metric={Base}-bgp_local_pref;}}if(krt_metric<{n}){{preference=200;}}}}",
                "krt_metric<", static value => value, out normalMetric)
            : Matches(
                text,
                static n => $"if(defined(source)&&source=RTS_BGP&&defined(bgp_local_pref)){{krt_metric={Base}-bgp_local_pref;}}else{{if(!defined(krt_metric)){{krt_metric={n};}}bgp_local_pref={Base}-krt_metric;}}",
                "if(!defined(krt_metric)){krt_metric=", static value => value, out normalMetric);
    }

    /// <summary>The number after <paramref name="mark"/> must make the text equal to the pattern.</summary>
    private static bool Matches(string text, Func<long, string> pattern, string mark, Func<long, long> priority, out uint normalMetric)
    {
        normalMetric = 0;
        int at = text.IndexOf(mark, StringComparison.Ordinal);
        if (at < 0)
        {
            return false;
        }

        string digits = string.Concat(text.Skip(at + mark.Length).TakeWhile(char.IsAsciiDigit));
        if (!long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long value) || priority(value) is <= 0 or >= Base || text != pattern(priority(value)))
        {
            return false;
        }

        normalMetric = (uint)priority(value);
        return true;
    }

    private static string Text(BirdStatement statement) => statement switch
    {
        IfStatement branch => $"if({Text(branch.Condition)}){Block(branch.Then)}{(branch.Else.Count > 0 ? "else" + Block(branch.Else) : "")}",
        SetStatement set => $"{set.Name}={Text(set.Value)};",
        _ => "?",
    };

    private static string Block(IEnumerable<BirdStatement> statements) => $"{{{string.Concat(statements.Select(Text))}}}";

    private static string Text(BirdExpression expression) => expression switch
    {
        NumberExpression number => number.Value.ToString(CultureInfo.InvariantCulture),
        NameExpression name => name.Name,
        DefinedExpression defined => $"defined({defined.Name})",
        NotExpression not => "!" + Text(not.Inner),
        BinaryExpression binary => Text(binary.Left) + binary.Operator + Text(binary.Right),
        _ => "?",
    };
}
