using CsCheck;

namespace Bgp.Protocol.Tests.Attributes;

/// <summary>What is asked of an AS_PATH, and the small texts of communities.</summary>
[TestFixture]
public sealed class AsPathTests
{
    [TestCase("", 0, 0u, 0u, "")]
    [TestCase("0202 0000FC01 0000FC02", 2, 64513u, 64514u, "64513 64514")]
    [TestCase("0201 0000FC01 0103 0000FC02 0000FC03 0000FC04", 2, 64513u, 0u, "64513 {64514 64515 64516}")]
    [TestCase("0102 0000FC01 0000FC02 0201 0000FC03", 2, 0u, 64515u, "{64513 64514} 64515")]
    [TestCase("0302 0000FC01 0000FC02 0201 0000FC03", 1, 0u, 64515u, "(64513 64514) 64515")]
    [TestCase("0402 0000FC01 0000FC02", 0, 0u, 0u, "[64513 64514]")]
    [TestCase("0201 FA56EA01", 1, 4200000001u, 4200000001u, "4200000001")]
    public void A_path_has_a_length_ends_and_a_text(string hex, int length, uint first, uint origin, string text)
    {
        byte[] value = Vectors.Hex(hex);
        Assert.Multiple(() =>
        {
            Assert.That(AsPath.Length(value), Is.EqualTo(length), "RFC 4271 section 9.1.2.2 (a): a set counts as one; RFC 5065 section 5.3: confederations not at all");
            Assert.That(AsPath.FirstAs(value), Is.EqualTo(first));
            Assert.That(AsPath.OriginAs(value), Is.EqualTo(origin));
            Assert.That(AsPath.Text(value), Is.EqualTo(text));
        });
    }

    [Test]
    public void Any_octets_can_be_asked() => Gen.Byte.Array[0, 60].Sample(static value =>
    {
        AsPathReader reader = new(value);
        int seen = 0;
        while (reader.TryNext(out _, out ReadOnlySpan<byte> asns))
        {
            seen += 2 + asns.Length;
        }

        return seen + reader.Rest.Length == value.Length && AsPath.Length(value) >= 0 && AsPath.Count(value, 1) >= 0 && AsPath.Text(value) is not null
            && AsPath.FirstAs(value) >= 0 && AsPath.OriginAs(value) >= 0;
    }, iter: 20_000);

    [TestCase("65001:100", 0xFDE90064u)]
    [TestCase("0:0", 0u)]
    [TestCase("65535:65535", 0xFFFFFFFFu)]
    [TestCase("no-export", 0xFFFFFF01u)]
    [TestCase("graceful-shutdown", 0xFFFF0000u)]
    [TestCase("blackhole", 0xFFFF029Au)]
    public void A_community_has_a_text(string text, uint value)
    {
        Assert.That(Community.TryParse(text, out uint read));
        Assert.That(read, Is.EqualTo(value));
        Assert.That(Community.TryParse(Community.Text(value), out uint again) && again == value);
    }

    [TestCase("")]
    [TestCase("65536:1")]
    [TestCase("1:65536")]
    [TestCase("1:2:3")]
    [TestCase("-1:2")]
    [TestCase(" 1:2")]
    [TestCase(null)]
    public void What_is_no_community_is_refused(string? text) => Assert.That(Community.TryParse(text, out _), Is.False);

    [TestCase(0x0002FC000000012CUL, "rt:64512:300")]
    [TestCase(0x0003FC000000012CUL, "ro:64512:300")]
    [TestCase(0x01020A0000010005UL, "rt:10.0.0.1:5")]
    [TestCase(0x0202FA56EA010005UL, "rt:4200000001:5")]
    [TestCase(0x4002FC000000012CUL, "generic:0x4002fc00:0x0000012c")]
    [TestCase(0x4004000000000001UL, "generic:0x40040000:0x00000001")]
    public void An_extended_community_has_a_text(ulong value, string text) => Assert.That(ExtendedCommunity.Text(value), Is.EqualTo(text));

    [Test]
    public void A_large_community_is_read_back() => Gen.Select(Gen.UInt, Gen.UInt, Gen.UInt).Sample(static (a, b, c) =>
    {
        LargeCommunity community = new(a, b, c);
        byte[] octets = new byte[12];
        community.Write(octets);
        return LargeCommunity.Read(octets) == community && LargeCommunity.TryParse(community.ToString(), out LargeCommunity read) && read == community;
    });
}
