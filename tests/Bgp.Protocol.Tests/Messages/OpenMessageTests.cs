using CsCheck;

namespace Bgp.Protocol.Tests.Messages;

/// <summary>OPEN and capabilities (RFC 4271 section 4.2, RFC 5492, RFC 9072 and the RFC of each capability), both ways.</summary>
[TestFixture]
public sealed class OpenMessageTests
{
    private static readonly Gen<AfiSafi> s_families = Gen.OneOf(AfiSafi.Ipv4Unicast, AfiSafi.Ipv6Unicast, AfiSafiExtensions.Join(25, 70), AfiSafiExtensions.Join(1, 128));

    private static readonly Gen<Capabilities> s_capabilities =
        from families in s_families.Array[0, 4]
        from asn in Gen.UInt[1, uint.MaxValue]
        from flags in Gen.Bool.Array[7]
        from time in Gen.Int[0, 4095]
        from stale in Gen.Int[0, 0xFFFFFF]
        from mode in Gen.Int[1, 3]
        select new Capabilities
        {
            Families = [.. families.Distinct()],
            As4 = flags[0] && asn != BgpConstants.AsTrans ? asn : null,
            RouteRefresh = flags[1],
            EnhancedRefresh = flags[2],
            ExtendedMessages = flags[3],
            ExtendedNextHop = flags[6],
            GracefulRestart = flags[4] ? new GracefulRestartCapability { RestartState = flags[1], Notification = flags[2], RestartTime = time, Families = [.. families.Distinct().Select(family => new GracefulRestartFamily(family, flags[3]))] } : null,
            LongLived = flags[4] && flags[5] ? [.. families.Distinct().Select(family => new LongLivedFamily(family, flags[2], stale))] : [],
            AddPath = flags[5] ? [.. families.Distinct().Select(family => new AddPathFamily(family, (AddPathMode)mode))] : [],
        };

    /// <summary>Capability octets in the order of their codes, as the RFCs lay them out.</summary>
    private static IEnumerable<TestCaseData> Layouts()
    {
        yield return new TestCaseData("01 04 0001 00 01", new Capabilities { Families = [AfiSafi.Ipv4Unicast] }).SetArgDisplayNames("Multiprotocol, RFC 4760 section 8");
        yield return new TestCaseData("02 00", new Capabilities { RouteRefresh = true }).SetArgDisplayNames("Route Refresh, RFC 2918 section 2");
        yield return new TestCaseData("05 06 0001 0001 0002", new Capabilities { ExtendedNextHop = true }).SetArgDisplayNames("Extended Next Hop, RFC 8950 section 4");
        yield return new TestCaseData("06 00", new Capabilities { ExtendedMessages = true }).SetArgDisplayNames("Extended Message, RFC 8654 section 3");
        yield return new TestCaseData("40 0A C078 0001 01 80 0002 01 00", new Capabilities
        {
            GracefulRestart = new GracefulRestartCapability
            {
                RestartState = true,
                Notification = true,
                RestartTime = 120,
                Families = [new(AfiSafi.Ipv4Unicast, true), new(AfiSafi.Ipv6Unicast, false)],
            },
        }).SetArgDisplayNames("Graceful Restart, RFC 4724 section 3 and RFC 8538 section 2");
        yield return new TestCaseData("41 04 FA56EA01", new Capabilities { As4 = 4200000001 }).SetArgDisplayNames("4-octet AS, RFC 6793 section 3");
        yield return new TestCaseData("45 08 0001 01 01 0002 01 03", new Capabilities { AddPath = [new(AfiSafi.Ipv4Unicast, AddPathMode.Receive), new(AfiSafi.Ipv6Unicast, AddPathMode.Both)] }).SetArgDisplayNames("ADD-PATH, RFC 7911 section 4");
        yield return new TestCaseData("46 00", new Capabilities { EnhancedRefresh = true }).SetArgDisplayNames("Enhanced Route Refresh, RFC 7313 section 3.1");
        yield return new TestCaseData("40 02 0000 47 07 0001 01 80 000E10", new Capabilities { GracefulRestart = new GracefulRestartCapability(), LongLived = [new(AfiSafi.Ipv4Unicast, true, 3600)] }).SetArgDisplayNames("Long-Lived Graceful Restart, RFC 9494 section 3");
    }

    [TestCaseSource(nameof(Layouts))]
    public void A_capability_has_the_layout_of_its_RFC(string layout, Capabilities capabilities)
    {
        byte[] octets = Vectors.Hex(layout);
        OpenMessage open = OpenMessage.Create(64512, 90, 0x0A000001, capabilities);
        string expected = Vectors.Hex([.. Vectors.Hex(capabilities.As4 is > 65535 ? "04 FC00 005A 0A000001" : "04 FC00 005A 0A000001"), (byte)(octets.Length + 2), 2, (byte)octets.Length, .. octets]);
        Assert.That(Vectors.Hex(Encode(open)[19..]), Is.EqualTo(expected), "written");
        OpenMessage own = capabilities.As4 is null ? open : OpenMessage.Create(capabilities.As4.Value, 90, 0x0A000001, capabilities);
        Assert.That(Text(Decode(Encode(own))), Is.EqualTo(Text(own)), "read");
    }

    [Test]
    public void An_OPEN_without_parameters_is_29_octets()
    {
        OpenMessage open = OpenMessage.Create(65010, 180, 0xC0000201, Capabilities.None);
        Assert.That(Vectors.Hex(Encode(open)), Is.EqualTo(new string('F', 32) + "001D01" + "04FDF200B4C000020100"));
    }

    [Test]
    public void A_number_over_65535_is_written_as_AS_TRANS()
    {
        OpenMessage open = OpenMessage.Create(4200000001, 90, 1, new Capabilities { As4 = 4200000001 });
        Assert.That(open.Asn2, Is.EqualTo(23456));
        Assert.That(Vectors.Hex(Encode(open)[20..22]), Is.EqualTo("5BA0"));
        Assert.That(Decode(Encode(open)).EffectiveAsn, Is.EqualTo(4200000001));
    }

    [Test]
    public void What_is_written_is_read_back() => Gen.Select(s_capabilities, Gen.UInt[1, uint.MaxValue], Gen.Int[3, 65535]).Sample((capabilities, id, hold) =>
    {
        OpenMessage open = OpenMessage.Create(capabilities.As4 ?? 65010, (ushort)hold, id, capabilities);
        byte[] octets = Encode(open);
        OpenMessage read = Decode(octets);
        Assert.That(Text(read), Is.EqualTo(Text(open)));
        Assert.That(Vectors.Hex(Encode(read)), Is.EqualTo(Vectors.Hex(octets)), "and written alike");
    }, iter: 3000);

    [Test]
    public void More_than_253_octets_of_capabilities_take_the_extended_form()
    {
        // 42 families of 6 octets are 252: the last that fits with the parameter's own header.
        foreach (int count in (int[])[41, 42, 43, 100])
        {
            Capabilities many = new() { Families = [.. Enumerable.Range(1, count).Select(static i => AfiSafiExtensions.Join((ushort)i, 1))] };
            byte[] octets = Encode(OpenMessage.Create(65010, 90, 1, many));
            bool extended = count > 42;
            Assert.That(octets[28], Is.EqualTo(extended ? 255 : (6 * count) + 2), "Non-Ext OP Len");
            Assert.That(octets[29], Is.EqualTo(extended ? 255 : 2), "type of the first parameter");
            if (extended)
            {
                Assert.That((octets[30] << 8) | octets[31], Is.EqualTo((6 * count) + 3), "extended length (RFC 9072 section 2)");
            }

            Assert.That(Decode(octets).Capabilities.Families, Has.Count.EqualTo(count));
        }
    }

    [Test]
    public void Too_small_a_buffer_gives_nothing_and_does_not_throw()
    {
        OpenMessage open = OpenMessage.Create(4200000001, 90, 1, new Capabilities { As4 = 4200000001, Families = [AfiSafi.Ipv4Unicast], RouteRefresh = true });
        int whole = Encode(open).Length;
        for (int size = 0; size < whole; size++)
        {
            Assert.That(open.Write(new byte[size]), Is.Zero);
        }
    }

    [TestCase("", 2, 0, "")]
    [TestCase("03", 2, 1, "0004")]
    [TestCase("04 FDF2 005A 0A0000", 2, 0, "")]
    [TestCase("04 0000 005A 0A000001 00", 2, 2, "")]
    [TestCase("04 5BA0 005A 0A000001 00", 2, 2, "")]
    [TestCase("04 FDF2 0001 0A000001 00", 2, 6, "")]
    [TestCase("04 FDF2 0002 0A000001 00", 2, 6, "")]
    [TestCase("04 FDF2 005A 00000000 00", 2, 3, "")]
    [TestCase("04 FDF2 005A 0A000001 01", 2, 0, "")]
    [TestCase("04 FDF2 005A 0A000001 00 00", 2, 0, "")]
    [TestCase("04 FDF2 005A 0A000001 02 0100", 2, 4, "")]
    [TestCase("04 FDF2 005A 0A000001 04 0202 4104", 2, 0, "")]
    [TestCase("04 FDF2 005A 0A000001 08 0206 4104 00000000", 2, 2, "")]
    [TestCase("04 FDF2 005A 0A000001 08 0206 4104 0000FDF3", 2, 2, "")]
    [TestCase("04 FDF2 005A 0A000001 05 0203 0101 00", 2, 0, "")]
    [TestCase("04 FDF2 005A 0A000001 FF FF 0001 02", 2, 0, "")]
    [TestCase("04 FDF2 005A 0A000001 00 FF 0000", 2, 0, "")]
    public void What_is_wrong_is_named(string body, byte code, byte subcode, string data)
    {
        NotificationError error = OpenMessage.TryParse(Vectors.Hex(body), out OpenMessage message);
        Assert.That(error, Is.EqualTo(NotificationError.WithData(code, subcode, Vectors.Hex(data))));
        Assert.That(message, Is.Null);
    }

    [Test]
    public void Of_two_instances_the_RFC_says_which_counts()
    {
        Capabilities read = Decode(Vectors.Message(MessageType.Open, Vectors.Hex("""
            04 FDF2 005A 0A000001 30
            022E 4002 8001  400A 0078 0001 01 80 0002 01 80
                 4504 0001 01 01  4504 0001 01 02
                 4707 0001 01 80 000001  4707 0002 01 00 000002
            """))).Capabilities;
        Assert.Multiple(() =>
        {
            Assert.That(read.GracefulRestart!.RestartTime, Is.EqualTo(120), "RFC 4724 section 3: the last");
            Assert.That(read.GracefulRestart.Families, Has.Count.EqualTo(2));
            Assert.That(read.LongLived, Is.EqualTo(new[] { new LongLivedFamily(AfiSafi.Ipv6Unicast, false, 2) }), "RFC 9494 section 3: the last");
            Assert.That(read.AddPathFor(AfiSafi.Ipv4Unicast), Is.EqualTo(AddPathMode.Receive), "RFC 7911 leaves it open; the first");
        });
    }

    [Test]
    public void Two_OPENs_agree_on_what_both_said()
    {
        OpenMessage ours = OpenMessage.Create(64512, 90, 1, new Capabilities
        {
            Families = [AfiSafi.Ipv4Unicast, AfiSafi.Ipv6Unicast],
            As4 = 64512,
            RouteRefresh = true,
            ExtendedMessages = true,
            AddPath = [new(AfiSafi.Ipv4Unicast, AddPathMode.Send), new(AfiSafi.Ipv6Unicast, AddPathMode.Both)],
        });
        OpenMessage theirs = OpenMessage.Create(64512, 30, 2, new Capabilities
        {
            Families = [AfiSafi.Ipv4Unicast],
            As4 = 64512,
            EnhancedRefresh = true,
            ExtendedMessages = true,
            AddPath = [new(AfiSafi.Ipv4Unicast, AddPathMode.Both), new(AfiSafi.Ipv6Unicast, AddPathMode.Both)],
        });
        NegotiatedSession session = NegotiatedSession.Negotiate(ours, theirs, new LocalSessionSettings());
        Assert.Multiple(() =>
        {
            Assert.That(session.HoldTime, Is.EqualTo(30));
            Assert.That(session.As4);
            Assert.That(session.IsIbgp);
            Assert.That(session.RouteRefresh || session.EnhancedRefresh, Is.False);
            Assert.That(session.MaxMessageLength, Is.EqualTo(65535));
            Assert.That(session.HasFamily(AfiSafi.Ipv4Unicast));
            Assert.That(session.HasFamily(AfiSafi.Ipv6Unicast), Is.False, "RFC 4760 section 8");
            Assert.That(session.AddPathSend(AfiSafi.Ipv4Unicast));
            Assert.That(session.AddPathReceive(AfiSafi.Ipv4Unicast), Is.False, "RFC 7911 section 4: we did not offer to receive");
            Assert.That(session.AddPathSend(AfiSafi.Ipv6Unicast), Is.False, "not without the family");
        });
        NegotiatedSession old = NegotiatedSession.Negotiate(ours, OpenMessage.Create(64512, 0, 2, Capabilities.None), new LocalSessionSettings());
        Assert.Multiple(() =>
        {
            Assert.That(old.HoldTime, Is.Zero, "0 on either side turns the timers off");
            Assert.That(old.As4, Is.False);
            Assert.That(old.HasFamily(AfiSafi.Ipv4Unicast), "RFC 5492: IPv4 unicast without capabilities");
            Assert.That(old.MaxMessageLength, Is.EqualTo(4096));
        });
    }

    [TestCase(64512u, 1u, 65010u, 2, 2)]
    [TestCase(64512u, 7u, 64512u, 2, 3)]
    [TestCase(65010u, 7u, 65010u, 0, 0)]
    public void The_neighbours_numbers_are_checked(uint asn, uint id, uint expected, byte code, byte subcode)
    {
        OpenMessage ours = OpenMessage.Create(64512, 90, 7, Capabilities.None);
        NotificationError error = NegotiatedSession.TryNegotiate(ours, OpenMessage.Create(asn, 90, id, Capabilities.None), new LocalSessionSettings { ExpectedPeerAsn = expected }, out NegotiatedSession session);
        Assert.That((error.Code, error.Subcode), Is.EqualTo((code, subcode)));
        Assert.That(session is null, Is.EqualTo(code != 0));
    }

    private static byte[] Encode(OpenMessage open)
    {
        byte[] buffer = new byte[4096];
        return buffer[..open.Write(buffer)];
    }

    private static OpenMessage Decode(byte[] message)
    {
        Assert.That(OpenMessage.TryParse(message.AsSpan(19), out OpenMessage read).ToString(), Is.EqualTo("none"));
        return read;
    }

    private static string Text(OpenMessage open)
    {
        Capabilities c = open.Capabilities;
        return $"{open.Version} {open.Asn2} {open.HoldTime} {open.RouterId:x8} [{string.Join(' ', c.Families)}] {c.As4} {c.RouteRefresh} {c.EnhancedRefresh} {c.ExtendedMessages} {c.ExtendedNextHop} "
            + $"{c.GracefulRestart?.RestartState} {c.GracefulRestart?.Notification} {c.GracefulRestart?.RestartTime} [{string.Join(' ', c.GracefulRestart?.Families ?? [])}] [{string.Join(' ', c.LongLived)}] [{string.Join(' ', c.AddPath)}]";
    }
}
