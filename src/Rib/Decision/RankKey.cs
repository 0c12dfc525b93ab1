using Bgp.Protocol;

namespace Rib;

/// <summary>
/// The part of the decision that is a function of the attribute set alone, packed into 64 bits, larger is better.
/// </summary>
/// <remarks>
/// From the top: source preference (8 bits), not long-lived stale (1), LOCAL_PREF or for kernel routes the inverted metric (32), inverted AS_PATH length (16),
/// inverted ORIGIN (2). One integer comparison decides nearly every pair; what it leaves equal goes to <see cref="DecisionProcess"/>. LOCAL_PREF from an
/// external neighbour was discarded on receipt (RFC 7606 section 7.5), so that the key does not depend on the neighbour.
/// </remarks>
public static class RankKey
{
    /// <summary>LOCAL_PREF of a path that carries none.</summary>
    public const uint DefaultLocalPref = 100;

    /// <summary>
    /// With <c>metric: localPref</c>, a path with more than this is as good as a configured one: what Calico 3.32 and later do for elevated routes, whose metric is
    /// better than the normal one.
    /// </summary>
    /// <param name="normalMetric"><c>kernel.normalMetric</c>; 0 where metrics do not make LOCAL_PREF: then nothing is elevated.</param>
    public static uint ElevatedAbove(uint normalMetric) => normalMetric == 0 ? uint.MaxValue : int.MaxValue - Math.Min(normalMetric, int.MaxValue);

    /// <summary>LLGR_STALE (RFC 9494 section 4.6).</summary>
    public const uint LongLivedStale = 0xFFFF0006;

    private const int SourceShift = 51;
    private const int FreshShift = 50;
    private const int PreferenceShift = 18;
    private const int LengthShift = 2;

    /// <summary>The key of one attribute set.</summary>
    /// <param name="attributes">The set.</param>
    /// <param name="elevatedAbove">See <see cref="ElevatedAbove"/>.</param>
    public static ulong Compute(PathAttributes attributes, uint elevatedAbove = uint.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(attributes);
        return Compute(attributes.Summary, attributes.Canonical, elevatedAbove);
    }

    /// <summary>The key of one attribute set, from its canonical octets and their summary.</summary>
    /// <param name="attributes">The summary.</param>
    /// <param name="canonical">The octets.</param>
    /// <param name="elevatedAbove">See <see cref="ElevatedAbove"/>.</param>
    public static ulong Compute(in AttributeSummary attributes, ReadOnlySpan<byte> canonical, uint elevatedAbove)
    {
        ulong source;
        uint preference;
        switch (attributes.Source)
        {
            case RouteSource.Originate:
                source = 200;
                preference = 0;
                break;
            case RouteSource.Kernel:
                source = 10;
                preference = ~attributes.LocalMetric;
                break;
            default:
                preference = attributes.LocalPref ?? DefaultLocalPref;
                source = attributes.LocalPreference > 0 ? attributes.LocalPreference : preference > elevatedAbove ? 200UL : 100UL;
                break;
        }

        ulong fresh = attributes.HasCommunity(canonical, LongLivedStale) ? 0UL : 1UL;
        ulong length = (ulong)(0xFFFF - Math.Min(attributes.AsPathLength, 0xFFFF));
        ulong origin = (ulong)(3 - (int)attributes.Origin);
        return (source << SourceShift) | (fresh << FreshShift) | ((ulong)preference << PreferenceShift) | (length << LengthShift) | origin;
    }

    /// <summary>The first field in which two different keys differ.</summary>
    public static DecisionStep FirstDifference(ulong a, ulong b)
    {
        const ulong kernelSource = 10;
        return (a >> SourceShift) != (b >> SourceShift) ? DecisionStep.Source
            : (a >> FreshShift) != (b >> FreshShift) ? DecisionStep.LongLivedStale
            : (a >> PreferenceShift) != (b >> PreferenceShift) ? (a >> SourceShift) == kernelSource ? DecisionStep.KernelMetric : DecisionStep.LocalPref
            : (a >> LengthShift) != (b >> LengthShift) ? DecisionStep.AsPathLength
            : a != b ? DecisionStep.Origin
            : DecisionStep.None;
    }
}
