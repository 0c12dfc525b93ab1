using CsCheck;

namespace Bgp.Protocol.Tests.Attributes;

/// <summary>RFC 6793: what an old neighbour's attributes mean, what one is sent, and that both together lose nothing.</summary>
[TestFixture]
public sealed class As4Tests
{
    private static readonly NegotiatedSession s_old = Vectors.Session(as4: false);

    /// <summary>AS_PATH with 2 octets each, AS4_PATH, and what both mean.</summary>
    [TestCase("0203 FC01 5BA0 FC02", "0203 0000FC01 FA56EA01 0000FC02", "0203 0000FC01 FA56EA01 0000FC02", TestName = "Equal lengths: AS4_PATH")]
    [TestCase("0203 FC01 5BA0 FC02", "0202 FA56EA01 0000FC02", "0203 0000FC01 FA56EA01 0000FC02", TestName = "Leading ASes of AS_PATH stay")]
    [TestCase("0201 FC01 0202 5BA0 FC02", "0202 FA56EA01 0000FC02", "0203 0000FC01 FA56EA01 0000FC02", TestName = "A whole leading segment")]
    [TestCase("0202 FC01 FC02", "0203 FA56EA01 FA56EA02 FA56EA03", "0202 0000FC01 0000FC02", TestName = "A longer AS4_PATH is ignored")]
    [TestCase("0201 FC01 0102 5BA0 FC02", "0102 FA56EA01 0000FC02", "0201 0000FC01 0102 FA56EA01 0000FC02", TestName = "A set counts as one")]
    [TestCase("0101 FC01 0202 5BA0 FC02", "0202 FA56EA01 0000FC02", "0101 0000FC01 0202 FA56EA01 0000FC02", TestName = "A leading set")]
    [TestCase("0202 FC01 5BA0", "0301 0000FC09 0201 FA56EA01", "0202 0000FC01 FA56EA01", TestName = "Confederation segments of AS4_PATH are left out")]
    [TestCase("0202 FC01 5BA0", "", "0202 0000FC01 00005BA0", TestName = "Without AS4_PATH AS_TRANS stays")]
    public void Paths_are_merged(string narrow, string wide, string merged)
    {
        string attributes = "400101 00" + Attribute("40", 2, narrow) + "400304 0A090001" + (wide.Length > 0 ? Attribute("C0", 17, wide) : "");
        Assert.That(Path(Parse(attributes)), Is.EqualTo(Vectors.Hex(Vectors.Hex(merged))));
    }

    [TestCase("FC05 0A000009", "FA56EA01 0A000009", "0000FC05 0A000009", false, TestName = "AGGREGATOR without AS_TRANS: both AS4 attributes are ignored")]
    [TestCase("5BA0 0A000009", "FA56EA01 0A000009", "FA56EA01 0A000009", true, TestName = "AGGREGATOR with AS_TRANS: both count")]
    [TestCase("5BA0 0A000009", "", "00005BA0 0A000009", true, TestName = "AGGREGATOR with AS_TRANS alone")]
    [TestCase("", "FA56EA01 0A000009", "", true, TestName = "AS4_AGGREGATOR alone")]
    public void Aggregators_are_merged(string narrow, string wide, string merged, bool pathCounts)
    {
        string attributes = "400101 00" + Attribute("40", 2, "0201 5BA0") + "400304 0A090001" + (narrow.Length > 0 ? Attribute("C0", 7, narrow) : "")
            + Attribute("C0", 17, "0201 FA56EA07") + (wide.Length > 0 ? Attribute("C0", 18, wide) : "");
        PathAttributes set = Parse(attributes);
        Assert.That(Vectors.Hex(set.ValueOf(AttributeCode.Aggregator)), Is.EqualTo(Vectors.Hex(Vectors.Hex(merged))));
        Assert.That(Path(set), Does.EndWith(pathCounts ? "FA56EA07" : "00005BA0"), "RFC 6793 section 4.2.3");
        Assert.That(set.Has(AttributeCode.As4Path) || set.Has(AttributeCode.As4Aggregator), Is.False);
    }

    private static readonly Gen<byte[]> s_paths =
        (from type in Gen.OneOf(AsSegment.Sequence, AsSegment.Set)
         from asns in Gen.OneOf(Gen.UInt[1, 65535].Where(static asn => asn != BgpConstants.AsTrans), Gen.UInt[65536, uint.MaxValue]).Array[1, 40]
         select (byte[])[type, (byte)asns.Length, .. asns.SelectMany(static asn => (byte[])[(byte)(asn >> 24), (byte)(asn >> 16), (byte)(asn >> 8), (byte)asn])]).Array[1, 6]
        .Select(static segments => (byte[])[.. segments.SelectMany(static segment => segment)]);

    [Test]
    public void What_an_old_neighbour_is_sent_means_the_same_when_it_comes_back() => Gen.Select(s_paths, Gen.UInt[1, uint.MaxValue]).Sample((path, aggregator) =>
    {
        byte[] buffer = new byte[4096];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, IpAddr.V4(0x0A090001));
        builder.SetAsPath(path);
        builder.Set(AttributeCode.Aggregator, [(byte)(aggregator >> 24), (byte)(aggregator >> 16), (byte)(aggregator >> 8), (byte)aggregator, 10, 0, 0, 9]);
        byte[] canonical = builder.Build().ToArray();
        byte[] wire = new byte[8192];
        int length = UpdateEncoder.WriteAttributes(canonical, as4: false, withNextHop: true, wire);
        PathAttributes read = Parse(Vectors.Hex(wire.AsSpan(0, length)));
        PathAttributes sent = PathAttributes.Decode(canonical);

        // Neighbouring sequences may come back as one.
        Assert.That(read.AsPathText(), Is.EqualTo(sent.AsPathText()));
        Assert.That(Vectors.Hex(read.ValueOf(AttributeCode.Aggregator)), Is.EqualTo(Vectors.Hex(sent.ValueOf(AttributeCode.Aggregator))));
        bool needed = sent.AsPathText().Split(' ', '{', '}').Any(static word => uint.TryParse(word, out uint asn) && asn > 65535);
        Assert.That(Has(wire.AsSpan(0, length), 17), Is.EqualTo(needed), "RFC 6793 section 4.2.2: AS4_PATH only where it says more");
        Assert.That(Has(wire.AsSpan(0, length), 18), Is.EqualTo(aggregator > 65535));
    }, iter: 2000);

    [Test]
    public void A_path_too_long_for_4_octets_each_is_withdrawn_and_not_wrapped()
    {
        // 129 segments of 255 ASes are 66,048 octets narrow: 125 fit a message of 65535, and are 127,750 wide.
        NegotiatedSession session = Vectors.Session(as4: false, extendedMessages: true);
        byte[] segment = [2, 255, .. Enumerable.Repeat((byte[])[0xFC, 1], 255).SelectMany(static asn => asn)];
        byte[] value = [.. Enumerable.Repeat(segment, 120).SelectMany(static item => item)];
        byte[] attributes = [.. Vectors.Hex("400101 00 400304 0A090001"), 0x50, 2, (byte)(value.Length >> 8), (byte)value.Length, .. value];
        UpdateView.TryParse(Vectors.Update([], attributes, Vectors.Hex("18C63364")), session, out UpdateView view);
        UpdateError error = new PathAttributesParser().Parse(view, session, new AttributeRules(), out ReadOnlySpan<byte> canonical, out _);
        Assert.That(error.Action, Is.EqualTo(UpdateAction.TreatAsWithdraw));
        Assert.That(canonical.IsEmpty);
    }

    [Test]
    public void Thousands_of_segments_are_merged()
    {
        NegotiatedSession session = Vectors.Session(as4: false, extendedMessages: true);
        byte[] narrow = [.. Enumerable.Repeat((byte[])[2, 1, 0x5B, 0xA0, 1, 1, 0x5B, 0xA0], 4000).SelectMany(static item => item)];
        byte[] wide = [.. Enumerable.Repeat((byte[])[2, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 2], 2600).SelectMany(static item => item)];
        byte[] attributes = [.. Vectors.Hex("400101 00 400304 0A090001"), 0x50, 2, (byte)(narrow.Length >> 8), (byte)narrow.Length, .. narrow, 0xD0, 17, (byte)(wide.Length >> 8), (byte)wide.Length, .. wide];
        UpdateView.TryParse(Vectors.Update([], attributes, Vectors.Hex("18C63364")), session, out UpdateView view);
        new PathAttributesParser().Parse(view, session, new AttributeRules(), out ReadOnlySpan<byte> canonical, out _);
        Assert.That(PathAttributes.Decode(canonical).AsPathLength, Is.EqualTo(8000));
    }

    private static string Attribute(string flags, byte code, string value)
    {
        byte[] octets = Vectors.Hex(value);
        return $"{flags}{code:X2}{octets.Length:X2}{Vectors.Hex(octets)}";
    }

    private static string Path(PathAttributes set) => Vectors.Hex(set.AsPath);

    private static bool Has(ReadOnlySpan<byte> attributes, byte wanted)
    {
        AttributeReader reader = new(attributes);
        while (reader.Next(out _, out byte code, out _, out _) == AttributeStep.Attribute)
        {
            if (code == wanted)
            {
                return true;
            }
        }

        return false;
    }

    private static PathAttributes Parse(string attributes)
    {
        byte[] body = Vectors.Update("", attributes, "18C63364");
        Assert.That(UpdateView.TryParse(body, s_old, out UpdateView view).IsError, Is.False);
        UpdateError error = new PathAttributesParser().Parse(view, s_old, new AttributeRules(), out ReadOnlySpan<byte> canonical, out _);
        Assert.That(canonical.IsEmpty, Is.False, error.ToString());
        return PathAttributes.Decode(canonical);
    }
}
