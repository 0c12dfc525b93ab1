using Bgp.Protocol;

namespace Rib;

/// <summary>The export rules of a Calico node: what <c>calico-export</c> decides, and the guard before explicit filters.</summary>
/// <remarks>
/// The order is the rule set: a pool that must not leave is first, then what Calico's agent wrote for other nodes' workloads (announcing it again would
/// draw their traffic here), then the node's own blocks, then whatever else lies in an exported pool (borrowed addresses, blocks of other systems).
/// Every text is built once, when the rules are.
/// </remarks>
internal sealed class CalicoRules<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>rtm_protocol of the agent's routes to other nodes.</summary>
    private const byte AgentProtocol = 80;

    private static readonly string[] RemoteInterfaces = ["*.cali", "*.calico", "tunl0", "bpf*.cali"];

    private readonly PrefixTrie<TPrefix, PoolRule> _disabled = new();
    private readonly PrefixTrie<TPrefix, PoolRule> _exported = new();
    private readonly PrefixTrie<TPrefix, BlockRule> _own = new();

    /// <summary>Kernel metrics below it are elevated: what the agent writes for a workload that is being moved here.</summary>
    private readonly uint _normalMetric;

    private sealed record PoolRule(string Text);

    private sealed record BlockRule(string Exact, string Elevated, string NotElevated);

    internal CalicoRules(PolicyScope scope)
    {
        _normalMetric = scope.NormalMetricOf(TPrefix.Family);
        foreach (PoolDefinition pool in scope.Pools)
        {
            if (pool.Prefix.TryGet(out TPrefix prefix))
            {
                (pool.Export ? _exported : _disabled).Set(
                    prefix,
                    new PoolRule(pool.Export ? $"calico-export: in exported pool {pool.Name}" : $"calico-export: pool {pool.Name} is not exported"));
            }
        }

        foreach (OriginatedPrefix originated in scope.Originate)
        {
            if (originated.Prefix.TryGet(out TPrefix prefix))
            {
                _own.Set(prefix, new BlockRule(
                    $"calico-export: originated {prefix}",
                    $"calico-export: inside own block {prefix}, metric elevated",
                    $"calico-export: inside own block {prefix}, metric not elevated"));
            }
        }
    }

    /// <summary>The rule that keeps a remote workload's route from being announced as ours, or null.</summary>
    internal static string? Guard(PathAttributes attributes)
    {
        if (attributes.Local is not { Source: RouteSource.Kernel } local)
        {
            return null;
        }

        foreach (string pattern in RemoteInterfaces)
        {
            if (Glob.IsMatch(pattern, local.Interface))
            {
                return "guard: learned from the kernel through a tunnel or overlay interface";
            }
        }

        return !local.Gateway.IsNone && local.KernelProtocol == AgentProtocol ? "guard: the agent's route to another node" : null;
    }

    internal PolicyResult Evaluate(in TPrefix prefix, PathAttributes attributes, in PolicyContext context)
    {
        if (_disabled.TryMatch(prefix, out _, out PoolRule? disabled))
        {
            return new PolicyResult(false, null, disabled.Text);
        }

        if (Guard(attributes) is string guard)
        {
            return new PolicyResult(false, null, guard);
        }

        bool fromKernel = attributes.Source == RouteSource.Kernel;
        if (_own.TryMatch(prefix, out TPrefix block, out BlockRule? own))
        {
            if (block.Length == prefix.Length)
            {
                return new PolicyResult(true, null, own.Exact);
            }

            bool elevated = fromKernel && attributes.Local!.Value.Metric is > 0 and uint metric && metric < _normalMetric;
            return new PolicyResult(elevated, null, elevated ? own.Elevated : own.NotElevated);
        }

        if (!_exported.TryMatch(prefix, out _, out PoolRule? exported))
        {
            return new PolicyResult(false, null, "calico-export: outside every exported pool");
        }

        return fromKernel || context.Source.Kind == PeerKind.Ebgp
            ? new PolicyResult(true, null, exported.Text)
            : new PolicyResult(false, null, "calico-export: neither own, from the kernel nor from eBGP");
    }
}

/// <summary>Shell-like patterns.</summary>
internal static class Glob
{
    /// <summary>Whether the whole text matches; <c>*</c> is any run of characters, <c>?</c> any one. Time is at most pattern times text.</summary>
    internal static bool IsMatch(string pattern, string text)
    {
        int p = 0;
        int t = 0;
        int star = -1;
        int retry = 0;
        while (t < text.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                star = p++;
                retry = t;
            }
            else if (p < pattern.Length && (pattern[p] == '?' || pattern[p] == text[t]))
            {
                p++;
                t++;
            }
            else if (star >= 0)
            {
                p = star + 1;
                t = ++retry;
            }
            else
            {
                return false;
            }
        }

        while (p < pattern.Length && pattern[p] == '*')
        {
            p++;
        }

        return p == pattern.Length;
    }
}
