using System.Globalization;
using System.Text;
using Bgp.Protocol;

namespace Rib;

/// <summary>Writes what a policy consists of as text that is equal exactly for equal contents: sets sorted, lists in order, texts with their length.</summary>
internal static class PolicyContent
{
    internal static void AppendScope<TPrefix>(StringBuilder key, PolicyScope scope)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        List<string> pools = [];
        foreach (PoolDefinition pool in scope.Pools)
        {
            if (pool.Prefix.TryGet<TPrefix>(out _))
            {
                pools.Add($"{Quote(pool.Name)}={pool.Prefix}{(pool.Export ? "+" : "-")}");
            }
        }

        List<string> own = [];
        foreach (OriginatedPrefix originated in scope.Originate)
        {
            if (originated.Prefix.TryGet<TPrefix>(out _))
            {
                own.Add(originated.Prefix.ToString());
            }
        }

        key.Append(CultureInfo.InvariantCulture, $" normal={scope.NormalMetricOf(TPrefix.Family)}");
        AppendSet(key, "pools", pools);
        AppendSet(key, "own", own);
    }

    internal static void AppendFilter<TPrefix>(StringBuilder key, FilterDefinition filter, PolicyScope scope)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        // The name is content too: it is what explain and rejectedBy say.
        key.Append(CultureInfo.InvariantCulture, $";filter {Quote(filter.Name)} default={filter.Default}");
        foreach (FilterRule rule in filter.Rules)
        {
            key.Append(CultureInfo.InvariantCulture, $"[{rule.Action}");
            AppendMatch(key, rule.Match, scope, scope.NormalMetricOf(TPrefix.Family));
            if (rule.Set is not null && rule.Action == FilterAction.Accept)
            {
                AppendEdit(key, rule.Set);
            }

            key.Append(']');
        }
    }

    private static void AppendMatch(StringBuilder key, FilterMatch match, PolicyScope scope, uint normalMetric)
    {
        AppendSet(key, "in", Texts(match.Prefix));
        AppendSet(key, "eq", Texts(match.PrefixExact));
        AppendSet(key, "!in", Texts(match.NotPrefix));
        AppendSet(key, "!eq", Texts(match.NotPrefixExact));
        List<string> pools = [];
        foreach (PoolDefinition pool in scope.Pools)
        {
            if (match.Pool.Contains(pool.Name))
            {
                pools.Add(pool.Prefix.ToString());
            }
        }

        AppendSet(key, "pool", pools);
        AppendSet(key, "source", Texts(match.Source));
        AppendSet(key, "proto", Texts(match.KernelProtocol));
        AppendSet(key, "if", match.Interface.Select(Quote));
        AppendSet(key, "comm", Texts(match.Community));
        AppendSet(key, "large", Texts(match.LargeCommunity));
        AppendSet(key, "nexthop", Texts(match.NextHop));
        key.Append(CultureInfo.InvariantCulture, $" len={match.PrefixLength} lp={match.LocalPref} metric={match.KernelMetric}{(match.KernelMetric is null ? "" : $"/{normalMetric}")} peer={match.PeerType}");
        key.Append(CultureInfo.InvariantCulture, $" path={(match.AsPath is null ? "" : Quote(match.AsPath))} head={string.Join(',', match.AsPathPrefix)}");
    }

    private static void AppendEdit(StringBuilder key, PolicyEdit edit)
    {
        key.Append(CultureInfo.InvariantCulture, $" set lp={edit.LocalPref} med={edit.Med} prepend={edit.Prepend} nh={edit.NextHop}{(edit.NextHopSelf ? "self" : "")} metric={edit.KernelMetric} preference={edit.Preference}");
        if (edit.PrependAsns.Count > 0)
        {
            // In order, unlike the sets.
            key.Append(" asns=").AppendJoin(',', edit.PrependAsns);
        }

        AppendSet(key, "add", Texts(edit.AddCommunities));
        AppendSet(key, "remove", Texts(edit.RemoveCommunities));
        AppendSet(key, "addlarge", Texts(edit.AddLargeCommunities));
    }

    private static IEnumerable<string> Texts<T>(IReadOnlyList<T> values)
        where T : struct => values.Select(static value => string.Create(CultureInfo.InvariantCulture, $"{value}"));

    private static void AppendSet(StringBuilder key, string name, IEnumerable<string> values)
    {
        key.Append(' ').Append(name).Append('(');
        key.AppendJoin(' ', values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal));
        key.Append(')');
    }

    private static string Quote(string text) => string.Create(CultureInfo.InvariantCulture, $"{text.Length}:{text}");
}
