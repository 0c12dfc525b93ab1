using CsCheck;

namespace Bgp.Protocol.Tests.Attributes;

/// <summary>Edits of a canonical set: against a plain model, at every boundary of length, and in buffers that are too small.</summary>
[TestFixture]
public sealed class PathAttributesBuilderTests
{
    private static readonly Gen<int[]> s_edits = Gen.Int[0, 13].Array[0, 12];

    [Test]
    public void Edits_give_what_a_dictionary_gives() => Gen.Select(s_edits, Gen.UInt[1, 70000].Array[12]).Sample((edits, values) =>
    {
        byte[] buffer = new byte[8192];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, IpAddr.V4(0x0A090001));
        SortedDictionary<byte, byte[]> model = new() { [1] = [0], [2] = [], [3] = [10, 9, 0, 1] };
        for (int i = 0; i < edits.Length; i++)
        {
            Apply(ref builder, model, edits[i], values[i]);
        }

        string expected = string.Concat(model.Select(static item => Attribute(item.Key, item.Value)));
        Assert.That(Vectors.Hex(builder.Build()), Is.EqualTo(expected));
        foreach ((byte code, byte[] value) in model)
        {
            Assert.That(Vectors.Hex(builder.ValueOf((AttributeCode)code)), Is.EqualTo(Vectors.Hex(value)));
        }
    }, iter: 3000);

    [Test]
    public void Values_around_255_octets_change_their_header_and_nothing_else()
    {
        byte[] buffer = new byte[8192];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, IpAddr.V4(1));
        builder.AddLargeCommunity(1, 2, 3);
        for (uint i = 1; i <= 70; i++)
        {
            builder.AddCommunity(i);
            string expected = Attribute(8, [.. Enumerable.Range(1, (int)i).SelectMany(static n => (byte[])[0, 0, 0, (byte)n])]);
            Assert.That(Vectors.Hex(builder.Build()), Does.Contain(expected).And.EndsWith("C0200C000000010000000200000003"), $"{i} added");
        }

        for (uint i = 1; i <= 70; i++)
        {
            builder.RemoveCommunity(i);
            Assert.That(builder.ValueOf(AttributeCode.Communities).Length, Is.EqualTo(4 * (70 - i)));
            Assert.That(Vectors.Hex(builder.Build()), Does.EndWith("C0200C000000010000000200000003"), $"{i} removed");
        }

        Assert.That(builder.Has(AttributeCode.Communities), Is.False, "the attribute goes with its last community");
    }

    [Test]
    public void A_path_is_prepended_to_segment_by_segment()
    {
        byte[] buffer = new byte[8192];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, IpAddr.V4(1));
        builder.PrependAs(64512, 254);
        Assert.That(builder.ValueOf(AttributeCode.AsPath)[1], Is.EqualTo(254));
        builder.PrependAs(64513, 3);
        ReadOnlySpan<byte> path = builder.ValueOf(AttributeCode.AsPath);
        Assert.That(Vectors.Hex(path[..10]), Is.EqualTo("0202" + "0000FC01" + "0000FC01"), "RFC 4271 section 5.1.2: a new segment past 255");
        Assert.That(Vectors.Hex(path[10..16]), Is.EqualTo("02FF" + "0000FC01"));
        builder.SetAsPath(Vectors.Hex("0101 0000FC09"));
        builder.PrependAs(64512);
        Assert.That(Vectors.Hex(builder.ValueOf(AttributeCode.AsPath)), Is.EqualTo("02010000FC00" + "01010000FC09"), "before a set");
    }

    [Test]
    public void What_does_not_fit_is_refused_whole() => Gen.Select(s_edits, Gen.Int[0, 300]).Sample((edits, size) =>
    {
        byte[] whole = new byte[size + 8];
        whole.AsSpan(size).Fill(0xEE);
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(whole.AsSpan(0, size), Origin.Igp, IpAddr.V4(1));
        SortedDictionary<byte, byte[]> ignored = new() { [2] = [], [8] = [] };
        foreach (int edit in edits)
        {
            Apply(ref builder, ignored, edit, 77);
        }

        return whole.AsSpan(size).IndexOfAnyExcept((byte)0xEE) < 0 && (!builder.Failed || builder.Build().IsEmpty);
    }, iter: 3000);

    [Test]
    public void Nothing_internal_crosses_the_border()
    {
        byte[] buffer = new byte[4096];
        PathAttributesBuilder builder = new(Vectors.Hex("""
            400101 00 400206 0201 0000FC01 400304 0A090001 800404 00000005 400504 00000064 800904 0A000009 800A04 0A00000A
            C01018 4004000000000001 0002FC0000000001 4104000000000002 806301 01 E06401 02
            """), buffer);
        builder.SetLocal(new LocalRouteInfo(RouteSource.Kernel, 3, 1024, "cali1", IpAddr.V4(0x0A000001)));
        builder.StripForEbgp();
        Assert.That(Vectors.Hex(builder.Build()), Is.EqualTo(Vectors.Hex(Vectors.Hex("400101 00 400206 0201 0000FC01 400304 0A090001 800404 00000005 C01008 0002FC0000000001 E06401 02"))));
        builder = new PathAttributesBuilder(Vectors.Hex("400101 00 400200 C01008 4004000000000001"), buffer);
        builder.StripForEbgp();
        Assert.That(builder.Has(AttributeCode.ExtendedCommunities), Is.False, "the attribute goes with its last community");
    }

    [Test]
    public void The_internal_attribute_is_read_back() => Gen.Select(Gen.Byte, Gen.UInt, Gen.OneOf("", "eth0", "cali0123456789a", "tunl0"), Gen.Int[0, 2]).Sample((protocol, metric, name, gateway) =>
    {
        LocalRouteInfo info = new(RouteSource.Kernel, protocol, metric, name, gateway switch { 0 => default, 1 => IpAddr.V4(metric), _ => IpAddr.V6(metric, 1) });
        byte[] buffer = new byte[512];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Incomplete, default);
        builder.SetLocal(info);
        PathAttributes set = PathAttributes.Decode(builder.Build());
        return set.Local == info && set.Source == RouteSource.Kernel && set.NextHop.IsNone;
    });

    [Test]
    public void The_link_local_next_hop_comes_with_the_global_one()
    {
        byte[] buffer = new byte[512];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, default);
        builder.SetNextHop(IpAddr.Parse("2001:db8::1"), IpAddr.Parse("fe80::1"));
        PathAttributes set = PathAttributes.Decode(builder.Build());
        Assert.That(set.NextHop, Is.EqualTo(IpAddr.Parse("2001:db8::1")));
        Assert.That(set.LinkLocalNextHop, Is.EqualTo(IpAddr.Parse("fe80::1")));
        Assert.That(set.NextHopOctets.Length, Is.EqualTo(32));
    }

    private static void Apply(ref PathAttributesBuilder builder, SortedDictionary<byte, byte[]> model, int edit, uint value)
    {
        byte[] octets = [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value];
        switch (edit)
        {
            case 0:
                builder.SetOrigin(Origin.Incomplete);
                model[1] = [2];
                break;
            case 1:
                builder.SetMed(value);
                model[4] = octets;
                break;
            case 2:
                builder.RemoveMed();
                model.Remove(4);
                break;
            case 3:
                builder.SetLocalPref(value);
                model[5] = octets;
                break;
            case 4:
                builder.RemoveLocalPref();
                model.Remove(5);
                break;
            case 5:
                builder.SetOriginatorIdIfAbsent(value);
                if (!model.ContainsKey(9))
                {
                    model[9] = octets;
                }

                break;
            case 6:
                builder.PrependClusterId(value);
                model[10] = [.. octets, .. model.GetValueOrDefault((byte)10) ?? []];
                break;
            case 7 or 8:
                builder.AddCommunity(value);
                byte[] communities = model.GetValueOrDefault((byte)8) ?? [];
                model[8] = Enumerable.Range(0, communities.Length / 4).Any(i => communities.AsSpan(4 * i, 4).SequenceEqual(octets)) ? communities : [.. communities, .. octets];
                break;
            case 9:
                builder.RemoveCommunity(value);
                byte[] left = [.. Enumerable.Range(0, (model.GetValueOrDefault((byte)8) ?? []).Length / 4).Select(i => model[8][(4 * i)..((4 * i) + 4)]).Where(item => !item.SequenceEqual(octets)).SelectMany(static item => item)];
                model[8] = left;
                if (left.Length == 0)
                {
                    model.Remove(8);
                }

                break;
            case 10:
                builder.PrependAs(value, 1);
                byte[] path = model[2];
                model[2] = path.Length > 0 && path[1] < 255 ? [2, (byte)(path[1] + 1), .. octets, .. path[2..]] : [2, 1, .. octets, .. path];
                break;
            case 11:
                builder.AddLargeCommunity(value, 1, 2);
                byte[] one = [.. octets, 0, 0, 0, 1, 0, 0, 0, 2];
                byte[] large = model.GetValueOrDefault((byte)32) ?? [];
                model[32] = Enumerable.Range(0, large.Length / 12).Any(i => large.AsSpan(12 * i, 12).SequenceEqual(one)) ? large : [.. large, .. one];
                break;
            case 12:
                builder.SetNextHop(IpAddr.V4(value));
                model[3] = octets;
                break;
            default:
                builder.Remove(AttributeCode.LargeCommunities);
                model.Remove(32);
                break;
        }
    }

    private static string Attribute(byte code, byte[] value)
    {
        byte flags = (byte)AttributeDescriptor.Find(code)!.Flags;
        return value.Length > 255 ? $"{flags | 0x10:X2}{code:X2}{value.Length:X4}{Vectors.Hex(value)}" : $"{flags:X2}{code:X2}{value.Length:X2}{Vectors.Hex(value)}";
    }
}
