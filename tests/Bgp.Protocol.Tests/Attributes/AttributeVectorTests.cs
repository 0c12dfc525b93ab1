using CsCheck;

namespace Bgp.Protocol.Tests.Attributes;

/// <summary>Every path attribute by its octets: what the parser makes of a sound one, and that what it makes is stable.</summary>
[TestFixture]
public sealed class AttributeVectorTests
{
    /// <summary>ORIGIN, an AS_PATH of one AS, NEXT_HOP.</summary>
    private const string Base = "400101 00  400206 0201 0000FE4C  400304 0A090001";
    private const string BaseCanonical = "400101 00  400206 0201 0000FE4C  400304 0A090001";

    private static readonly AttributeRules s_rules = new();

    /// <summary>Code, octets on the wire, octets in the canonical form ("" where it is not part of it).</summary>
    private static readonly (AttributeCode Code, string Wire, string Canonical)[] s_vectors =
    [
        (AttributeCode.MultiExitDisc, "800404 00000032", "800404 00000032"),
        (AttributeCode.LocalPref, "400504 00000064", "400504 00000064"),
        (AttributeCode.AtomicAggregate, "400600", "400600"),
        (AttributeCode.Aggregator, "C00708 FA56EA01 0A000009", "C00708 FA56EA01 0A000009"),
        (AttributeCode.Communities, "C00808 FC0000C8 FFFFFF01", "C00808 FC0000C8 FFFFFF01"),
        (AttributeCode.OriginatorId, "800904 0A000009", "800904 0A000009"),
        (AttributeCode.ClusterList, "800A08 0A000001 0A000002", "800A08 0A000001 0A000002"),
        (AttributeCode.ExtendedCommunities, "C01008 0002 FC00 0000012C", "C01008 0002 FC00 0000012C"),
        (AttributeCode.LargeCommunities, "C0200C 0000FC00 00000001 00000002", "C0200C 0000FC00 00000001 00000002"),
        (AttributeCode.As4Path, "C01106 0201 FA56EA01", ""),
        (AttributeCode.As4Aggregator, "C01208 FA56EA01 0A000009", ""),
    ];

    [Test]
    public void Every_code_has_a_descriptor_and_a_vector_here()
    {
        foreach (AttributeCode code in Enum.GetValues<AttributeCode>())
        {
            AttributeDescriptor? known = AttributeDescriptor.Find((byte)code);
            Assert.That(known, Is.Not.Null, $"{code}");
            Assert.That(known!.Code, Is.EqualTo(code));
            Assert.That(known.Name, Is.Not.Empty);
            bool covered = code is AttributeCode.Local or AttributeCode.Origin or AttributeCode.AsPath or AttributeCode.NextHop || Array.Exists(s_vectors, vector => vector.Code == code);
            Assert.That(covered || !known.IsCanonical || !Enum.IsDefined(code), $"{code} has no vector");
            Assert.That(AttributeDescriptor.IsAssignedOptional((byte)code) && (known.Flags & AttributeFlags.Optional) == 0, Is.False, $"{code} is well-known and listed as optional");
        }

        Assert.That(AttributeDescriptor.All.Select(static known => known.Code), Is.EquivalentTo(Enum.GetValues<AttributeCode>()));
    }

    [Test]
    public void A_sound_attribute_comes_out_in_canonical_form()
    {
        foreach ((AttributeCode code, string wire, string canonical) in s_vectors)
        {
            string expected = Vectors.Hex(Vectors.Hex(BaseCanonical + canonical));
            Assert.That(Canonical(Base + wire, Vectors.Session(), out UpdateError error), Is.EqualTo(expected), $"{code}: {error}");

            // In front of the others: the canonical form is sorted.
            Assert.That(Canonical(wire + Base, Vectors.Session(), out _), Is.EqualTo(expected), $"{code} first");
        }
    }

    [Test]
    public void Unused_flag_bits_and_a_needless_Extended_Length_leave_no_trace()
    {
        foreach ((AttributeCode code, string wire, string canonical) in s_vectors.Where(static vector => vector.Canonical.Length > 0))
        {
            byte[] octets = Vectors.Hex(wire);
            byte[] odd = [(byte)(octets[0] | 0x1F), octets[1], 0, octets[2], .. octets[3..]];
            Assert.That(Canonical(Base + Vectors.Hex(odd), Vectors.Session(), out _), Is.EqualTo(Vectors.Hex(Vectors.Hex(BaseCanonical + canonical))), $"{code}");
        }
    }

    [Test]
    public void An_unknown_transitive_attribute_is_kept_with_Partial_and_a_known_ones_Partial_is_kept()
    {
        Assert.That(Canonical(Base + "C06303 ABCDEF", Vectors.Session(), out _), Does.EndWith("E06303ABCDEF"));
        Assert.That(Canonical(Base + "E00804 FC0000C8", Vectors.Session(), out _), Does.EndWith("E00804FC0000C8"));
        Assert.That(Canonical(Base + "806303 ABCDEF", Vectors.Session(), out UpdateError quiet), Is.EqualTo(Vectors.Hex(Vectors.Hex(BaseCanonical))), "optional non-transitive: dropped");
        Assert.That(quiet.IsError, Is.False, "quietly");
        string large = "F063012C" + new string('A', 600);
        Assert.That(Canonical(Base + large, Vectors.Session(), out _), Does.EndWith("F063012C" + new string('A', 600)), "over 255 octets: Extended Length");
    }

    [Test]
    public void From_outside_internal_attributes_are_left_out()
    {
        NegotiatedSession outside = Vectors.Session(ibgp: false);
        const string path = "400101 00  400206 0201 0000FDF2  400304 0A090001";
        foreach (string attribute in (string[])["400504 00000064", "400500", "800904 0A000009", "800901 00", "800A04 0A000001", "C00A01 FF"])
        {
            Assert.That(Canonical(path + attribute, outside, out UpdateError error), Is.EqualTo(Vectors.Hex(Vectors.Hex(path))), attribute);
            Assert.That(error.Action, Is.EqualTo(UpdateAction.AttributeDiscard), "RFC 7606 sections 7.5, 7.9, 7.10");
        }
    }

    [Test]
    public void Repeated_large_communities_are_left_out_and_the_order_kept()
    {
        string one = "0000000100000002 00000003", two = "0000000400000005 00000006";
        Assert.That(Canonical(Base + "C02030" + two + one + two + one, Vectors.Session(), out _), Does.EndWith(Vectors.Hex(Vectors.Hex("C02018" + two + one))), "RFC 8092 section 5");
    }

    [Test]
    public void A_set_is_what_it_was_after_encoding_and_parsing_again() => Sets.Sample(static octets =>
    {
        NegotiatedSession session = Vectors.Session(extendedMessages: true);
        string canonical = Canonical(octets, session, out UpdateError error);
        if (canonical.Length == 0)
        {
            return error.Action >= UpdateAction.TreatAsWithdraw;
        }

        byte[] once = Vectors.Hex(canonical);
        byte[] buffer = new byte[once.Length + 64];
        int length = UpdateEncoder.WriteAttributes(once, as4: true, withNextHop: true, buffer);
        return length == once.Length && Canonical(buffer[..length], session, out UpdateError again) == canonical && !again.IsError
            && Vectors.Hex(PathAttributes.Decode(once).Canonical) == canonical;
    }, iter: 5000);

    [Test]
    public void Parsing_allocates_nothing_once_its_buffers_have_grown()
    {
        NegotiatedSession session = Vectors.Session();
        byte[] body = Vectors.Update("", Base + string.Concat(s_vectors.Where(static vector => vector.Canonical.Length > 0).Select(static vector => vector.Wire)), "18C63364");
        PathAttributesParser parser = new();
        long before = 0;
        for (int i = 0; i < 200; i++)
        {
            if (i == 100)
            {
                before = GC.GetAllocatedBytesForCurrentThread();
            }

            UpdateView.TryParse(body, session, out UpdateView view);
            parser.Parse(view, session, s_rules, out ReadOnlySpan<byte> canonical, out _);
            if (canonical.IsEmpty)
            {
                throw new InvalidOperationException("not parsed");
            }
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    /// <summary>Attributes in any order, some repeated, some wrong.</summary>
    private static Gen<byte[]> Sets =>
        from extra in Gen.OneOf([.. s_vectors.Select(static vector => vector.Wire), "C06303 ABCDEF", "806301 00", "C08000", "400101 01"]).Array[0, 8]
        from flip in Gen.Int[0, 2000]
        from bit in Gen.Int[0, 7]
        from front in Gen.Bool
        select Change(Vectors.Hex(front ? string.Concat(extra) + Base : Base + string.Concat(extra)), flip, bit);

    private static byte[] Change(byte[] octets, int at, int bit)
    {
        if (at < octets.Length)
        {
            octets[at] ^= (byte)(1 << bit);
        }

        return octets;
    }

    private static string Canonical(string attributes, NegotiatedSession session, out UpdateError error) => Canonical(Vectors.Hex(attributes), session, out error);

    /// <summary>The canonical set of an announcement with these attributes; empty when it does not stand.</summary>
    private static string Canonical(byte[] attributes, NegotiatedSession session, out UpdateError error)
    {
        error = UpdateView.TryParse(Vectors.Update([], attributes, Vectors.Hex("18C63364")), session, out UpdateView view);
        if (error.IsError)
        {
            return "";
        }

        error = new PathAttributesParser().Parse(view, session, s_rules, out ReadOnlySpan<byte> canonical, out _);
        return Vectors.Hex(canonical);
    }
}
