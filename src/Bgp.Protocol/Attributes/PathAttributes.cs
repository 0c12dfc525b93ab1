using System.Buffers.Binary;
using System.Text;

namespace Bgp.Protocol;

/// <summary>ORIGIN values (RFC 4271 section 4.3).</summary>
public enum Origin : byte
{
    /// <summary>Interior.</summary>
    Igp = 0,

    /// <summary>Learned via EGP.</summary>
    Egp = 1,

    /// <summary>Anything else.</summary>
    Incomplete = 2,
}

/// <summary>
/// One set of path attributes, immutable, interned by its canonical octets.
/// </summary>
/// <remarks>
/// The canonical form is the wire form (flags, code, length, value) with attributes in ascending code, flags normalised (Partial kept, Extended
/// Length exactly when the value is over 255 octets), AS_PATH and AGGREGATOR with 4-octet AS numbers, NEXT_HOP always included (4 octets, or 16 or
/// 32 for IPv6: global, then link-local), MP_REACH_NLRI, MP_UNREACH_NLRI, AS4_PATH and AS4_AGGREGATOR never. A route that was not learned over BGP starts with the internal attribute
/// of code 0, which holds its <see cref="LocalRouteInfo"/> and never leaves this host. So for an iBGP neighbour most of an UPDATE is one block copy.
/// <para>
/// This is the form for whoever looks at a set as a whole: policies, the command line, tests. The tables keep the octets alone and read an
/// <see cref="AttributeSummary"/> from them; one object and one array per set would more than double what a full table takes.
/// </para>
/// </remarks>
public sealed partial class PathAttributes
{
    private readonly byte[] _canonical;
    private readonly LocalBox? _local;
    private readonly AttributeSummary _summary;

    private PathAttributes(ReadOnlySpan<byte> canonical)
    {
        _canonical = canonical.ToArray();
        _summary = new AttributeSummary(canonical);
        if ((_summary.Present & (1UL << (int)AttributeCode.Local)) != 0)
        {
            // Also on a route learned over BGP: a filter's metric for the kernel.
            _local = LocalBox.Decode(ValueOf(AttributeCode.Local));
        }
    }

    /// <summary>From canonical octets, which are copied. Never throws; octets that are not canonical give a set with holes.</summary>
    public static PathAttributes Decode(ReadOnlySpan<byte> canonical) => new(canonical);

    /// <summary>The canonical octets: the identity of the set.</summary>
    public ReadOnlySpan<byte> Canonical => _canonical;

    /// <summary><see cref="HashOf"/> of the canonical octets.</summary>
    public ulong Hash => HashOf(_canonical);

    /// <summary>What the decision asks for.</summary>
    public ref readonly AttributeSummary Summary => ref _summary;

    /// <summary>ORIGIN.</summary>
    public Origin Origin => _summary.Origin;

    /// <summary>AS_PATH length as the decision counts it (RFC 4271 section 9.1.2.2 (a)): a set is 1, confederation segments 0.</summary>
    public int AsPathLength => _summary.AsPathLength;

    /// <summary>First AS number of a path that begins with a sequence, else 0.</summary>
    public uint NeighborAs => _summary.NeighborAs;

    /// <summary>Last AS number of a path that ends with a sequence, else 0.</summary>
    public uint OriginAs => Bgp.Protocol.AsPath.OriginAs(AsPath);

    /// <summary>MULTI_EXIT_DISC, or null.</summary>
    public uint? Med => _summary.Med;

    /// <summary>LOCAL_PREF, or null.</summary>
    public uint? LocalPref => _summary.LocalPref;

    /// <summary>The next hop; for IPv6 the global one (which may be link-local where a neighbour has nothing else). None for a route without.</summary>
    public IpAddr NextHop => _summary.NextHop(_canonical);

    /// <summary>The link-local next hop that came with a global one (RFC 2545 section 3), or none.</summary>
    public IpAddr LinkLocalNextHop => NextHopOctets.Length == 32 ? IpAddr.FromBytes(NextHopOctets[16..]) : default;

    /// <summary>The octets of the next hop: 4, 16, 32 or none.</summary>
    public ReadOnlySpan<byte> NextHopOctets => _summary.NextHopOctets(_canonical);

    /// <summary>ORIGINATOR_ID in host order; 0 for none.</summary>
    public uint OriginatorId => _summary.OriginatorId;

    /// <summary>Cluster ids in CLUSTER_LIST.</summary>
    public int ClusterListLength => _summary.ClusterListLength;

    /// <summary>Value of AS_PATH, 4-octet AS numbers; empty when absent or empty.</summary>
    public ReadOnlySpan<byte> AsPath => _summary.AsPathOctets(_canonical);

    /// <summary>Value of COMMUNITIES; empty when absent.</summary>
    public ReadOnlySpan<byte> Communities => ValueOf(AttributeCode.Communities);

    /// <summary>Value of LARGE COMMUNITIES; empty when absent.</summary>
    public ReadOnlySpan<byte> LargeCommunities => ValueOf(AttributeCode.LargeCommunities);

    /// <summary>Value of EXTENDED COMMUNITIES; empty when absent.</summary>
    public ReadOnlySpan<byte> ExtendedCommunities => ValueOf(AttributeCode.ExtendedCommunities);

    /// <summary>Value of CLUSTER_LIST; empty when absent.</summary>
    public ReadOnlySpan<byte> ClusterList => ValueOf(AttributeCode.ClusterList);

    /// <summary>What a route that was not learned over BGP carries, or null.</summary>
    public LocalRouteInfo? Local => _local?.Info;

    /// <summary>Where the route came from.</summary>
    public RouteSource Source => _local is null ? RouteSource.Bgp : _local.Info.Source;

    /// <summary>Whether the attribute is there.</summary>
    public bool Has(AttributeCode code) => (byte)code < 64 ? (_summary.Present & (1UL << (byte)code)) != 0 : Find(_canonical, (byte)code, out _, out _);

    /// <summary>Value of any attribute; empty when absent.</summary>
    public ReadOnlySpan<byte> ValueOf(AttributeCode code) =>
        Has(code) && Find(_canonical, (byte)code, out int offset, out int length) ? _canonical.AsSpan(offset, length) : default;

    /// <summary>Whether a standard community is there.</summary>
    public bool HasCommunity(uint community) => IndexOfCommunity(Communities, community) >= 0;

    /// <summary>Whether a standard community is in canonical octets.</summary>
    public static bool HasCommunity(ReadOnlySpan<byte> canonical, uint community) =>
        Find(canonical, (byte)AttributeCode.Communities, out int offset, out int length)
        && IndexOfCommunity(canonical.Slice(offset, length), community) >= 0;

    /// <summary>Whether a large community is there.</summary>
    public bool HasLargeCommunity(LargeCommunity community)
    {
        for (ReadOnlySpan<byte> rest = LargeCommunities; rest.Length >= LargeCommunity.WireLength; rest = rest[LargeCommunity.WireLength..])
        {
            if (LargeCommunity.Read(rest) == community)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Whether a large community is there.</summary>
    public bool HasLargeCommunity(uint global, uint data1, uint data2) => HasLargeCommunity(new LargeCommunity(global, data1, data2));

    /// <summary>AS_PATH in words: <c>65001 65002 {65003 65004}</c>.</summary>
    public string AsPathText() => Bgp.Protocol.AsPath.Text(AsPath);

    /// <summary>Standard communities as <c>65001:100</c>.</summary>
    public IReadOnlyList<string> CommunityTexts()
    {
        ReadOnlySpan<byte> value = Communities;
        string[] texts = new string[value.Length / 4];
        for (int i = 0; i < texts.Length; i++)
        {
            texts[i] = Community.Text(BinaryPrimitives.ReadUInt32BigEndian(value[(4 * i)..]));
        }

        return texts;
    }

    /// <summary>Large communities as <c>65001:1:2</c>.</summary>
    public IReadOnlyList<string> LargeCommunityTexts()
    {
        ReadOnlySpan<byte> value = LargeCommunities;
        string[] texts = new string[value.Length / LargeCommunity.WireLength];
        for (int i = 0; i < texts.Length; i++)
        {
            texts[i] = LargeCommunity.Read(value[(LargeCommunity.WireLength * i)..]).ToString();
        }

        return texts;
    }

    /// <summary>Extended communities as <c>rt:65001:100</c> or in hexadecimal.</summary>
    public IReadOnlyList<string> ExtendedCommunityTexts()
    {
        ReadOnlySpan<byte> value = ExtendedCommunities;
        string[] texts = new string[value.Length / ExtendedCommunity.WireLength];
        for (int i = 0; i < texts.Length; i++)
        {
            texts[i] = ExtendedCommunity.Text(BinaryPrimitives.ReadUInt64BigEndian(value[(ExtendedCommunity.WireLength * i)..]));
        }

        return texts;
    }

    /// <summary>CLUSTER_LIST as dotted quads, nearest cluster first.</summary>
    public IReadOnlyList<string> ClusterListTexts()
    {
        ReadOnlySpan<byte> value = ClusterList;
        string[] texts = new string[value.Length / 4];
        for (int i = 0; i < texts.Length; i++)
        {
            texts[i] = IpAddr.FromBytes(value.Slice(4 * i, 4)).ToString();
        }

        return texts;
    }

    /// <summary>The hash of canonical octets; another one in each process.</summary>
    public static ulong HashOf(ReadOnlySpan<byte> canonical) => Mix.Hash(canonical);

    /// <summary>Finds an attribute in canonical octets, which are sorted: the walk ends where a higher code begins.</summary>
    internal static bool Find(ReadOnlySpan<byte> canonical, byte code, out int offset, out int length)
    {
        AttributeReader reader = new(canonical);
        while (reader.Next(out _, out byte at, out offset, out length) == AttributeStep.Attribute && at <= code)
        {
            if (at == code)
            {
                return true;
            }
        }

        offset = 0;
        length = 0;
        return false;
    }

    /// <summary>Index of a community in the value of COMMUNITIES, or -1.</summary>
    internal static int IndexOfCommunity(ReadOnlySpan<byte> communities, uint community)
    {
        for (int i = 0; i + 4 <= communities.Length; i += 4)
        {
            if (BinaryPrimitives.ReadUInt32BigEndian(communities[i..]) == community)
            {
                return i / 4;
            }
        }

        return -1;
    }

    /// <summary>Whether any community in the value of COMMUNITIES is a <see cref="Community.IsWellKnown"/> one.</summary>
    internal static bool HasWellKnown(ReadOnlySpan<byte> communities)
    {
        for (; communities.Length >= 4; communities = communities[4..])
        {
            if (communities[0] == byte.MaxValue && communities[1] == byte.MaxValue)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The decoded internal attribute; boxed, because most sets have none.</summary>
    private sealed class LocalBox(LocalRouteInfo info)
    {
        public LocalRouteInfo Info { get; } = info;

        public static LocalBox? Decode(ReadOnlySpan<byte> value) => LocalRouteInfoCodec.TryRead(value, out LocalRouteInfo info) ? new LocalBox(info) : null;
    }
}

/// <summary>Octets of the internal attribute: source, kernel protocol, metric (4), preference, kernel type, gateway length, gateway, interface name.</summary>
internal static class LocalRouteInfoCodec
{
    public const int MinLength = 9;
    public const int MaxLength = MinLength + 16 + 60;

    public static uint MetricOf(ReadOnlySpan<byte> value) => BinaryPrimitives.ReadUInt32BigEndian(value[2..]);

    public static byte PreferenceOf(ReadOnlySpan<byte> value) => value[6];

    public static int Write(in LocalRouteInfo info, Span<byte> into)
    {
        into[0] = (byte)info.Source;
        into[1] = info.KernelProtocol;
        BinaryPrimitives.WriteUInt32BigEndian(into[2..], info.Metric);
        into[6] = info.Preference;
        into[7] = info.KernelType;
        into[8] = (byte)info.Gateway.ByteLength;
        int position = MinLength + info.Gateway.Write(into[MinLength..]);
        ReadOnlySpan<char> name = info.Interface;
        return position + Encoding.UTF8.GetBytes(name[..Math.Min(name.Length, 15)], into[position..]);
    }

    public static bool TryRead(ReadOnlySpan<byte> value, out LocalRouteInfo info)
    {
        info = default;
        if (value.Length < MinLength || value[8] > 16 || value.Length < MinLength + value[8])
        {
            return false;
        }

        info = new LocalRouteInfo(
            (RouteSource)value[0],
            value[1],
            BinaryPrimitives.ReadUInt32BigEndian(value[2..]),
            Encoding.UTF8.GetString(value[(MinLength + value[8])..]),
            IpAddr.FromBytes(value.Slice(MinLength, value[8])),
            value[7],
            value[6]);
        return true;
    }
}
