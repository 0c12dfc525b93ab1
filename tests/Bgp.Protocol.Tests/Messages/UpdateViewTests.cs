namespace Bgp.Protocol.Tests.Messages;

/// <summary>Where the parts of an UPDATE are, and what happens when they are not where they should be (RFC 4271 section 6.3, RFC 7606 sections 3 to 5).</summary>
[TestFixture]
public sealed class UpdateViewTests
{
    private const string Sound = "400101 00  400206 0201 0000FE4C  400304 0A090001";
    private const string Reach6 = "800E1C 0002 01 10 20010DB8000900000000000000000001 00 30 20010DB80051";
    private const string Unreach6 = "800F0A 0002 01 30 20010DB800DE";

    [Test]
    public void All_four_lists_are_found_also_when_the_attributes_are_broken()
    {
        foreach (string broken in (string[])["", "400107", "40", "C0", "D00800", "4001FF", "400101 09"])
        {
            byte[] body = Vectors.Update("18 0A0000", Reach6 + Unreach6 + Sound + broken, "18 C63364");
            Assert.That(UpdateView.TryParse(body, Vectors.Session(), out UpdateView view).IsError, Is.False, broken);
            Assert.That(Vectors.Hex(view.Withdrawn), Is.EqualTo("180A0000"));
            Assert.That(Vectors.Hex(view.Nlri), Is.EqualTo("18C63364"));
            Assert.That(view.MpReach.Family, Is.EqualTo(AfiSafi.Ipv6Unicast));
            Assert.That(Vectors.Hex(view.MpReach.Nlri), Is.EqualTo("3020010DB80051"));
            Assert.That(view.MpReach.NextHop.Length, Is.EqualTo(16));
            Assert.That(Vectors.Hex(view.MpUnreach.Nlri), Is.EqualTo("3020010DB800DE"));
            Assert.That(view.HasReachableNlri);
            Assert.That(view.IsEndOfRib(out _), Is.False);
        }
    }

    /// <summary>Body, code, subcode, data: a session reset, because the prefixes cannot be found.</summary>
    [TestCase("", 1, "", TestName = "Nothing at all")]
    [TestCase("00", 1, "", TestName = "Half a length")]
    [TestCase("0000 00", 1, "", TestName = "Half the second length")]
    [TestCase("0001 00", 1, "", TestName = "Withdrawn Routes beyond the message")]
    [TestCase("0000 0001", 1, "", TestName = "Attributes beyond the message")]
    [TestCase("0002 1900 0000", 10, "", TestName = "Withdrawn Routes that end inside a prefix")]
    [TestCase("0000 0000 21 0A000000", 10, "", TestName = "NLRI of 33 bits")]
    [TestCase("0000 0006 800F03 000201 18", 10, "", TestName = "NLRI that end after a length")]
    [TestCase("0000 000C 800F03 000201 800F03 000201", 1, "", TestName = "MP_UNREACH_NLRI twice")]
    [TestCase("0000 0005 800F02 0002", 9, "800F020002", TestName = "MP_UNREACH_NLRI of two octets")]
    [TestCase("0000 0007 800E04 00020110", 9, "800E0400020110", TestName = "MP_REACH_NLRI of four octets")]
    [TestCase("0000 0008 800F05 000201 8100", 9, "800F050002018100", TestName = "MP_UNREACH_NLRI with 129 bits")]
    [TestCase("0000 0005 800EFF 0002", 9, "800EFF0002", TestName = "MP_REACH_NLRI that overruns")]
    public void What_cannot_be_located_resets_the_session(string body, byte subcode, string data)
    {
        byte[] octets = Vectors.Hex(body);
        UpdateError error = UpdateView.TryParse(octets, Vectors.Session(), out UpdateView view);
        Assert.That(error.Action, Is.EqualTo(UpdateAction.SessionReset));
        Assert.That(error.Notification, Is.EqualTo(NotificationError.WithData(ErrorCode.UpdateMessage, subcode, Vectors.Hex(data))));
        Assert.That(view.Attributes.IsEmpty && view.Nlri.IsEmpty && view.Withdrawn.IsEmpty);
    }

    [TestCase("", "", AfiSafi.Ipv4Unicast)]
    [TestCase("800F03 000201", "", AfiSafi.Ipv6Unicast)]
    [TestCase("900F0003 000201", "", AfiSafi.Ipv6Unicast)]
    [TestCase("800F03 000101", "", AfiSafi.Ipv4Unicast)]
    [TestCase("800F03 001946", "", AfiSafi.None, TestName = "A family that was not negotiated")]
    [TestCase("800F03 000201 400101 00", "", AfiSafi.None, TestName = "Another attribute beside it")]
    [TestCase("800F0A 000201 30 20010DB800DE", "", AfiSafi.None, TestName = "A withdrawal")]
    [TestCase("800F03 000201", "18 C63364", AfiSafi.None, TestName = "NLRI beside it")]
    public void An_End_of_RIB_is_told_from_a_withdrawal(string attributes, string nlri, AfiSafi expected)
    {
        Assert.That(UpdateView.TryParse(Vectors.Update("", attributes, nlri), Vectors.Session(), out UpdateView view).IsError, Is.False);
        Assert.That(view.IsEndOfRib(out AfiSafi family), Is.EqualTo(expected != AfiSafi.None), "RFC 4724 section 2");
        Assert.That(family, Is.EqualTo(expected));
    }

    [Test]
    public void A_family_that_was_not_negotiated_is_not_looked_into()
    {
        NegotiatedSession only6 = Vectors.Session(ipv4: false);
        Assert.That(UpdateView.TryParse(Vectors.Update("FF", Sound, "FFFF"), only6, out UpdateView view).IsError, Is.False, "RFC 4760 section 8");
        Assert.That(view.Nlri.IsEmpty && view.Withdrawn.IsEmpty);
        Assert.That(view.HasReachableNlri, "something is announced, to others");
        NegotiatedSession only4 = Vectors.Session(ipv6: false);
        Assert.That(UpdateView.TryParse(Vectors.Update("", "800E07 000201 00 00 FFFF" + Sound, ""), only4, out view).IsError, Is.False);
        Assert.That(view.MpReach.IsPresent, Is.False);
    }

    [TestCase(4, false, true)]
    [TestCase(16, false, false)]
    [TestCase(16, true, true)]
    [TestCase(32, true, true)]
    [TestCase(8, true, false)]
    public void IPv4_behind_an_IPv6_next_hop_has_to_be_agreed_on(int length, bool negotiated, bool good)
    {
        string nextHop = string.Concat(Enumerable.Repeat("20", length));
        byte[] body = Vectors.Update("", $"800E{5 + length + 4:X2} 0001 01 {length:X2} {nextHop} 00 18 C63364", "");
        Assert.That(UpdateView.TryParse(body, Vectors.Session(extendedNextHop: negotiated), out _).IsError, Is.EqualTo(!good), "RFC 8950 sections 3 and 4");
    }

    [Test]
    public void Path_identifiers_are_part_of_every_prefix()
    {
        NegotiatedSession session = Vectors.Session(addPath: true);
        Assert.That(UpdateView.TryParse(Vectors.Update("00000007 18 0A0000", Sound, "00000001 18 C63364 00000002 18 C63364"), session, out UpdateView view).IsError, Is.False);
        NlriReader<Ipv4Prefix> reader = new(view.Nlri, addPath: true);
        Assert.That(reader.TryRead(out Ipv4Prefix first, out uint one));
        Assert.That(reader.TryRead(out Ipv4Prefix second, out uint two));
        Assert.That((first, one, two), Is.EqualTo((second, 1u, 2u)));
        Assert.That(UpdateView.TryParse(Vectors.Update("", Sound, "18 C63364"), session, out _).Action, Is.EqualTo(UpdateAction.SessionReset), "RFC 7911 section 3: without the identifier they are something else");
    }

    /// <summary>The next hop that the canonical set holds, of the field of MP_REACH_NLRI.</summary>
    [TestCase("20010DB8000900000000000000000001", "20010DB8000900000000000000000001")]
    [TestCase("20010DB8000900000000000000000001 FE800000000000000000000000000001", "20010DB8000900000000000000000001FE800000000000000000000000000001")]
    [TestCase("FE800000000000000000000000000001", "FE800000000000000000000000000001")]
    [TestCase("FE800000000000000000000000000001 FE800000000000000000000000000001", "FE800000000000000000000000000001")]
    [TestCase("00000000000000000000000000000000 FE800000000000000000000000000001", "FE800000000000000000000000000001")]
    [TestCase("20010DB8000900000000000000000001 20010DB8000900000000000000000002", "20010DB8000900000000000000000001")]
    [TestCase("00000000000000000000000000000000", "")]
    [TestCase("FF020000000000000000000000000001", "")]
    [TestCase("00000000000000000000000000000001", "")]
    public void A_multiprotocol_next_hop_is_one_address_or_a_global_and_a_link_local_one(string field, string expected)
    {
        byte[] nextHop = Vectors.Hex(field);
        byte[] body = Vectors.Update("", $"800E{12 + nextHop.Length:X2} 0002 01 {nextHop.Length:X2} {field} 00 30 20010DB80051" + "400101 00  400206 0201 0000FE4C", "");
        Assert.That(UpdateView.TryParse(body, Vectors.Session(), out UpdateView view).IsError, Is.False);
        UpdateError error = new PathAttributesParser().Parse(view, Vectors.Session(), new AttributeRules(), out ReadOnlySpan<byte> none, out ReadOnlySpan<byte> canonical);
        Assert.That(none.IsEmpty);
        Assert.That(error.Action, Is.EqualTo(expected.Length == 0 ? UpdateAction.TreatAsWithdraw : UpdateAction.None), "RFC 2545 section 3");
        Assert.That(Vectors.Hex(PathAttributes.Decode(canonical).NextHopOctets), Is.EqualTo(expected));
    }

    /// <summary>RFC 7606 section 5.2: an error that would withdraw, in a message that announces nothing.</summary>
    [TestCase("400101 09", "", UpdateAction.SessionReset)]
    [TestCase("400101 09", "18 C63364", UpdateAction.TreatAsWithdraw)]
    [TestCase("C00701 00", "", UpdateAction.AttributeDiscard)]
    [TestCase("406301 00", "18 C63364", UpdateAction.SessionReset, TestName = "An unrecognized well-known attribute")]
    [TestCase("401701 00", "18 C63364", UpdateAction.TreatAsWithdraw, TestName = "A known number with wrong flags")]
    public void The_action_depends_on_what_is_announced(string attributes, string nlri, UpdateAction expected)
    {
        string rest = nlri.Length > 0 ? "400206 0201 0000FE4C  400304 0A090001" + (attributes.StartsWith("4001", StringComparison.Ordinal) ? "" : "400101 00") : "";
        UpdateView.TryParse(Vectors.Update("", attributes + rest, nlri), Vectors.Session(), out UpdateView view);
        Assert.That(new PathAttributesParser().Parse(view, Vectors.Session(), new AttributeRules(), out _, out _).Action, Is.EqualTo(expected));
    }

    /// <summary>RFC 7606 section 5.2 speaks of attributes other than MP_UNREACH_NLRI: wrong flags of that one alone leave its prefixes as they are.</summary>
    [TestCase("C00F07 000201 18 20010D", UpdateAction.TreatAsWithdraw)]
    [TestCase("000F07 000201 18 20010D", UpdateAction.TreatAsWithdraw)]
    [TestCase("D00F0007 000201 18 20010D", UpdateAction.TreatAsWithdraw)]
    [TestCase("A00F07 000201 18 20010D", UpdateAction.None, TestName = "Partial is not judged")]
    [TestCase("C00F07 000201 18 20010D 400101 00", UpdateAction.SessionReset)]
    [TestCase("400101 00 C00F07 000201 18 20010D", UpdateAction.SessionReset)]
    [TestCase("C00F07 000201 18 20010D 40", UpdateAction.SessionReset)]
    [TestCase("800F07 000201 18 20010D 40", UpdateAction.SessionReset)]
    public void What_only_withdraws_resets_the_session_for_the_sake_of_other_attributes_alone(string attributes, UpdateAction expected)
    {
        Assert.That(UpdateView.TryParse(Vectors.Update("", attributes, ""), Vectors.Session(), out UpdateView view).IsError, Is.False);
        Assert.That(new PathAttributesParser().Parse(view, Vectors.Session(), new AttributeRules(), out _, out _).Action, Is.EqualTo(expected));
        Assert.That(view.MpUnreach.Nlri.Length, Is.EqualTo(4));
    }
}
