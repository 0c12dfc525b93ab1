using System.Buffers.Binary;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tests.Tables;

/// <summary>What the tables store of a route that an import rule changes.</summary>
[TestFixture]
public sealed class ImportEditTests
{
    [Test]
    public void A_path_is_stored_with_the_AS_numbers_of_the_rule_in_front()
    {
        AttributeTable table = new();
        PathAttributes received = Received(65001);
        uint edited = AttributeEditing.Apply(table, received, new PolicyEdit { PrependAsns = [65010, 65011] }, localAsn: 64512);
        Assert.That(Path(table.Get(edited)), Is.EqualTo(new uint[] { 65010, 65011, 65001 }));
    }

    [Test]
    public void Every_AS_number_fits_however_long_the_path_was()
    {
        AttributeTable table = new();
        PathAttributes received = Received([.. Enumerable.Repeat(65001u, 255)]);
        uint edited = AttributeEditing.Apply(table, received, new PolicyEdit { PrependAsns = [.. Enumerable.Range(1, 16).Select(static asn => (uint)asn)] }, localAsn: 64512);
        Assert.That(Path(table.Get(edited)), Has.Count.EqualTo(271));
    }

    [TestCase(null, null, 200ul)]
    [TestCase((byte)100, null, 100ul)]
    [TestCase((byte)250, null, 250ul)]
    [TestCase(null, 77u, 200ul)]
    public void A_rule_says_how_a_path_ranks_among_sources_and_with_which_metric_it_is_installed(byte? preference, uint? metric, ulong expected)
    {
        AttributeTable table = new();
        uint edited = AttributeEditing.Apply(table, Received(65001), new PolicyEdit { LocalPref = 2147483547, Preference = preference, KernelMetric = metric }, localAsn: 64512);
        PathAttributes stored = table.Get(edited);
        Assert.That(RankKey.Compute(stored, RankKey.ElevatedAbove(1024)) >> 51, Is.EqualTo(expected));
        Assert.That((stored.Source, stored.Local?.Metric ?? 0), Is.EqualTo((RouteSource.Bgp, metric ?? 0)));
    }

    private static PathAttributes Received(params uint[] path)
    {
        Span<byte> buffer = stackalloc byte[4096];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, IpAddr.V4(0x0A000001));
        builder.PrependAs(path);
        return PathAttributes.Decode(builder.Build().ToArray());
    }

    private static List<uint> Path(PathAttributes attributes)
    {
        List<uint> asns = [];
        AsPathReader reader = new(attributes.AsPath);
        while (reader.TryNext(out _, out ReadOnlySpan<byte> segment))
        {
            for (; segment.Length > 0; segment = segment[4..])
            {
                asns.Add(BinaryPrimitives.ReadUInt32BigEndian(segment));
            }
        }

        return asns;
    }
}
