using System.Buffers.Binary;
using Bgp.Protocol;

namespace Rib;

/// <summary>The conditions of one rule for one family. Cheap conditions first, the AS_PATH expression last.</summary>
internal sealed class CompiledMatch<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private readonly FilterMatch _match;
    private readonly TPrefix[] _inside;
    private readonly TPrefix[] _exact;
    private readonly TPrefix[] _notInside;
    private readonly TPrefix[] _notExact;
    private readonly TPrefix[] _pools;
    private readonly AsPathPattern? _asPath;
    private readonly bool _otherFamily;
    private readonly uint _normalMetric;

    internal CompiledMatch(FilterMatch match, PolicyScope scope)
    {
        _match = match;
        _normalMetric = scope.NormalMetricOf(TPrefix.Family);
        _inside = OfFamily(match.Prefix);
        _exact = OfFamily(match.PrefixExact);
        _notInside = OfFamily(match.NotPrefix);
        _notExact = OfFamily(match.NotPrefixExact);
        List<Cidr> pools = [];
        foreach (string name in match.Pool)
        {
            int before = pools.Count;
            foreach (PoolDefinition pool in scope.Pools)
            {
                if (pool.Name == name)
                {
                    pools.Add(pool.Prefix);
                }
            }

            if (pools.Count == before)
            {
                throw new ArgumentException($"there is no pool '{name}'", nameof(match));
            }
        }

        _pools = OfFamily(pools);
        _otherFamily = IsEmptied(match.Prefix, _inside) || IsEmptied(match.PrefixExact, _exact) || IsEmptied(match.NotPrefix, _notInside)
            || IsEmptied(match.NotPrefixExact, _notExact) || (pools.Count > 0 && _pools.Length == 0);
        if (match.AsPath is not null && !AsPathPattern.TryParse(match.AsPath, out _asPath, out string error))
        {
            throw new ArgumentException(error, nameof(match));
        }
    }

    internal bool Holds(in TPrefix prefix, PathAttributes attributes, in PolicyContext context)
    {
        FilterMatch match = _match;
        if (_otherFamily
            || (match.PrefixLength is (int min, int max) && (prefix.Length < min || prefix.Length > max))
            || (_inside.Length > 0 && !AnyContains(_inside, prefix))
            || (_exact.Length > 0 && Array.IndexOf(_exact, prefix) < 0)
            || AnyContains(_notInside, prefix)
            || Array.IndexOf(_notExact, prefix) >= 0
            || (_pools.Length > 0 && !AnyContains(_pools, prefix)))
        {
            return false;
        }

        if (match.PeerType != FilterPeerType.Any && (match.PeerType == FilterPeerType.Ibgp) != context.Target.IsIbgp)
        {
            return false;
        }

        if (match.Source.Count > 0 && !Contains(match.Source, attributes.Source))
        {
            return false;
        }

        if (match.KernelProtocol.Count > 0
            && (attributes.Local is not { Source: RouteSource.Kernel } kernel || !Contains(match.KernelProtocol, kernel.KernelProtocol)))
        {
            return false;
        }

        if (match.Interface.Count > 0 && (attributes.Local is not { Source: RouteSource.Kernel } link || !AnyGlob(match.Interface, link.Interface)))
        {
            return false;
        }

        if (match.KernelMetric is (uint least, uint most) && MetricOf(attributes) is uint metric && (metric < least || metric > most))
        {
            return false;
        }

        if (match.LocalPref is uint localPref
            && (attributes.Source != RouteSource.Bgp || (attributes.LocalPref ?? RankKey.DefaultLocalPref) != localPref))
        {
            return false;
        }

        return (match.NextHop.Count == 0 || AnyCovers(match.NextHop, attributes.NextHop))
            && (match.Community.Count == 0 || HasAny(match.Community, attributes))
            && (match.LargeCommunity.Count == 0 || HasAny(match.LargeCommunity, attributes))
            && (match.AsPathPrefix.Count == 0 || BeginsWith(attributes.AsPath, match.AsPathPrefix))
            && (_asPath is null || _asPath.IsMatch(attributes.AsPath));
    }

    private uint MetricOf(PathAttributes attributes)
    {
        if (attributes.Source == RouteSource.Bgp)
        {
            return int.MaxValue - Math.Min(attributes.LocalPref ?? RankKey.DefaultLocalPref, int.MaxValue);
        }

        return attributes.Local is { Source: RouteSource.Kernel, Metric: > 0 } kernel ? kernel.Metric : _normalMetric;
    }

    private static TPrefix[] OfFamily(IReadOnlyList<Cidr> prefixes)
    {
        List<TPrefix> found = [];
        foreach (Cidr cidr in prefixes)
        {
            if (cidr.TryGet(out TPrefix prefix))
            {
                found.Add(prefix);
            }
        }

        return [.. found];
    }

    private static bool IsEmptied(IReadOnlyList<Cidr> all, TPrefix[] ofFamily) => all.Count > 0 && ofFamily.Length == 0;

    private static bool AnyContains(TPrefix[] set, in TPrefix prefix)
    {
        foreach (TPrefix entry in set)
        {
            if (entry.Contains(prefix))
            {
                return true;
            }
        }

        return false;
    }

    // By index: a foreach over an interface would allocate its enumerator for every route.
    private static bool Contains<T>(IReadOnlyList<T> list, T value)
        where T : struct
    {
        for (int i = 0; i < list.Count; i++)
        {
            if (EqualityComparer<T>.Default.Equals(list[i], value))
            {
                return true;
            }
        }

        return false;
    }

    private static bool AnyGlob(IReadOnlyList<string> patterns, string name)
    {
        for (int i = 0; i < patterns.Count; i++)
        {
            if (Glob.IsMatch(patterns[i], name))
            {
                return true;
            }
        }

        return false;
    }

    private static bool AnyCovers(IReadOnlyList<Cidr> prefixes, in IpAddr address)
    {
        for (int i = 0; i < prefixes.Count; i++)
        {
            if (prefixes[i].Contains(address))
            {
                return true;
            }
        }

        return false;
    }

    private static bool HasAny(IReadOnlyList<uint> communities, PathAttributes attributes)
    {
        for (int i = 0; i < communities.Count; i++)
        {
            if (attributes.HasCommunity(communities[i]))
            {
                return true;
            }
        }

        return false;
    }

    private static bool HasAny(IReadOnlyList<LargeCommunity> communities, PathAttributes attributes)
    {
        for (int i = 0; i < communities.Count; i++)
        {
            if (attributes.HasLargeCommunity(communities[i]))
            {
                return true;
            }
        }

        return false;
    }

    private static bool BeginsWith(ReadOnlySpan<byte> asPath, IReadOnlyList<uint> asns)
    {
        AsPathReader reader = new(asPath);
        int matched = 0;
        while (reader.TryNext(out byte type, out ReadOnlySpan<byte> segment) && type == AsSegment.Sequence)
        {
            for (; segment.Length >= 4; segment = segment[4..])
            {
                if (BinaryPrimitives.ReadUInt32BigEndian(segment) != asns[matched])
                {
                    return false;
                }

                if (++matched == asns.Count)
                {
                    return true;
                }
            }
        }

        return false;
    }
}
