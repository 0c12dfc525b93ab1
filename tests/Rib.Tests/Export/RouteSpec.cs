using Bgp.Protocol;

namespace Rib.Tests.Export;

/// <summary>A route as a test thinks of it: plain values, from which both the stored octets and the expected ones are made, in different ways.</summary>
internal sealed record RouteSpec
{
    internal uint[] AsPath { get; init; } = [];

    internal uint NextHop { get; init; }

    internal uint? LocalPref { get; init; }

    internal uint? Med { get; init; }

    internal uint Originator { get; init; }

    internal uint[] Clusters { get; init; } = [];

    internal uint[] Communities { get; init; } = [];

    internal bool IsLocal { get; init; }

    internal static RouteSpec Random(Random random, PeerKind source)
    {
        uint[] communities = [.. Enumerable.Range(0, random.Next(4) == 0 ? random.Next(200) : random.Next(3)).Select(_ => 0x10000u + (uint)random.Next(1 << 16)).Distinct().Order()];
        if (random.Next(12) == 0)
        {
            communities = [.. communities, random.Next(2) == 0 ? Community.NoExport : Community.NoAdvertise];
        }

        if (source == PeerKind.Local)
        {
            return new RouteSpec { IsLocal = true, Communities = communities };
        }

        bool external = source == PeerKind.Ebgp;
        return new RouteSpec
        {
            AsPath = [.. Enumerable.Range(0, external ? 1 + random.Next(3) : random.Next(2)).Select(_ => 65000u + (uint)random.Next(3))],
            NextHop = 0xC0000201u + (uint)random.Next(3),
            LocalPref = external ? null : 100u + (uint)random.Next(2),
            Med = random.Next(3) == 0 ? (uint)random.Next(3) : null,
            Originator = !external && random.Next(3) == 0 ? 0x0A630000u + (uint)random.Next(3) : 0,
            Clusters = !external && random.Next(3) == 0 ? [.. Enumerable.Range(0, 1 + random.Next(2)).Select(_ => 0x0A640000u + (uint)random.Next(3))] : [],
            Communities = communities,
        };
    }

    /// <summary>The canonical octets that import would have stored.</summary>
    internal byte[] Stored()
    {
        Span<byte> buffer = stackalloc byte[8192];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, IpAddr.V4(NextHop));
        foreach (uint asn in AsPath.Reverse())
        {
            builder.PrependAs(asn);
        }

        if (LocalPref is { } localPref)
        {
            builder.SetLocalPref(localPref);
        }

        if (Med is { } med)
        {
            builder.SetMed(med);
        }

        if (Originator != 0)
        {
            builder.SetOriginatorId(Originator);
        }

        foreach (uint cluster in Clusters.Reverse())
        {
            builder.PrependClusterId(cluster);
        }

        foreach (uint community in Communities)
        {
            builder.AddCommunity(community);
        }

        if (IsLocal)
        {
            builder.SetLocal(new LocalRouteInfo(RouteSource.Originate, 0, 0, "", default));
        }

        return builder.Build().ToArray();
    }

    /// <summary>The attributes on the wire, as <see cref="ReceivedTable"/> writes them.</summary>
    internal string OnTheWire()
    {
        SortedDictionary<int, string> values = new() { [1] = "00", [2] = AsPath.Length == 0 ? "" : "02" + Hex(AsPath.Length, 2) + List(AsPath), [3] = Hex(NextHop, 8) };
        Add(4, Med);
        Add(5, LocalPref);
        if (Communities.Length > 0)
        {
            values[8] = List(Communities);
        }

        Add(9, Originator == 0 ? null : Originator);
        if (Clusters.Length > 0)
        {
            values[10] = List(Clusters);
        }

        return string.Join(' ', values.Select(static item => $"{item.Key}:{item.Value}"));

        void Add(int code, uint? value)
        {
            if (value is { } present)
            {
                values[code] = Hex(present, 8);
            }
        }
    }

    /// <summary>
    /// What a neighbour hears of this route, or null: RFC 4271 section 5.1 and RFC 4456 sections 6 and 8 in the most obvious words.
    /// </summary>
    internal RouteSpec? Exported(RibPeer source, RibPeer target, UpdateGroupKey key, string prefix, TestPolicy policy)
    {
        bool fromInside = source.Kind is PeerKind.Ibgp or PeerKind.IbgpClient;
        bool toInside = key.Kind is PeerKind.Ibgp or PeerKind.IbgpClient;
        bool reflects = fromInside && toInside;
        if (source.Index == target.Index
            || (reflects && source.Kind == PeerKind.Ibgp && key.Kind == PeerKind.Ibgp)
            || policy.Rejects(prefix)
            || Communities.Contains(Community.NoAdvertise)
            || (!toInside && Communities.Contains(Community.NoExport)))
        {
            return null;
        }

        uint added = policy.Adds(prefix);
        uint[] communities = added == 0 || Communities.Contains(added) ? Communities : [.. Communities, added];
        return this with
        {
            NextHop = IsLocal || !toInside ? key.Self.V4Value : NextHop,
            AsPath = toInside ? AsPath : [key.LocalAsn, .. AsPath],
            LocalPref = toInside ? LocalPref ?? 100 : null,
            Med = !toInside && AsPath.Length > 0 ? null : Med,
            Originator = !reflects ? 0 : Originator != 0 ? Originator : source.RouterId,
            Clusters = reflects ? [key.ClusterId, .. Clusters] : [],
            Communities = [.. communities],
        };
    }

    private static string Hex(long value, int digits) => value.ToString("X" + digits, System.Globalization.CultureInfo.InvariantCulture);

    private static string List(uint[] values) => string.Concat(values.Select(static value => Hex(value, 8)));
}

/// <summary>Rejects some prefixes and marks others, by a number that a reload changes.</summary>
internal sealed class TestPolicy(int version) : IRoutePolicy<Ipv4Prefix>
{
    private static readonly PolicyEdit[] s_edits = [.. Enumerable.Range(0, 4).Select(static index => new PolicyEdit { AddCommunities = [(uint)(0x20000 + index)] })];

    public string ContentKey => $"test{version}";

    public bool AcceptsAll => version == 0;

    // Some prefixes of a set may go unseen and others not.
    public bool AcceptsLearned(in Ipv4Prefix prefix) => prefix.ToString() is string text && !Rejects(text) && Adds(text) == 0;

    public PolicyResult Evaluate(in Ipv4Prefix prefix, PathAttributes attributes, in PolicyContext context)
    {
        string text = prefix.ToString();
        return Rejects(text)
            ? new PolicyResult(false, null, "rejected")
            : new PolicyResult(true, Adds(text) is var added and not 0 ? s_edits[added - 0x20000] : null, "accepted");
    }

    internal bool Rejects(string prefix) => version > 0 && (Number(prefix) + version) % 5 == 0;

    internal uint Adds(string prefix) => version > 0 && (Number(prefix) + version) % 3 == 1 ? (uint)(0x20000 + ((Number(prefix) + version) % 4)) : 0;

    private static int Number(string prefix) => prefix.Sum(static letter => letter) + prefix.Length;
}
