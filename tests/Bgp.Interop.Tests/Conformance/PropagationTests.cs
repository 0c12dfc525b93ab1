namespace Bgp.Interop.Tests.Conformance;

/// <summary>What observers of every sort get of one neighbour's routes: reflection, borders, communities, refreshes, long messages, old neighbours.</summary>
[TestFixture]
[NonParallelizable]
public sealed class PropagationTests
{
    private const string V4 = "203.0.113.0/24";
    private const string V6 = "2001:db8:113::/48";

    private static readonly byte[] s_refresh = Octets.Join(Octets.Capability(2), Octets.Capability(70));

    [TearDown]
    public void CheckUp() => Dut.CheckUp();

    [Test]
    public void A_reflected_route_carries_its_originator_and_our_cluster_and_nothing_else_changes()
    {
        foreach (Identity who in (Identity[])[Dut.Client, Dut.Internal])
        {
            Speaker speaker = Dut.Of(who);
            RouteSet set = RouteSet.For(who).Add(Octets.Attr(0x80, 4, Octets.U32(77)));
            speaker.Send(set.Announce(V4));
            Dut.Settle(speaker);
            Route client = Dut.AsClient.Find(V4)!;
            Assert.Multiple(() =>
            {
                Assert.That(client[9], Is.EqualTo($"{who.RouterId:X8}"), "ORIGINATOR_ID");
                Assert.That(client[10], Is.EqualTo("0A0000C8"), "CLUSTER_LIST");
                Assert.That(client[2], Is.EqualTo("02010000FE4C"), "AS_PATH");
                Assert.That(client[3], Is.EqualTo("0A090001"), "NEXT_HOP");
                Assert.That(client[4], Is.EqualTo("0000004D"), "MULTI_EXIT_DISC");
                Assert.That(client[5], Is.EqualTo("00000064"), "LOCAL_PREF");
                Assert.That(Dut.AsInternal.Find(V4) is not null, Is.EqualTo(who == Dut.Client), "RFC 4456 section 6: a non-client hears of clients only");
            });
            Withdraw(speaker, set);
        }
    }

    [Test]
    public void Originator_and_cluster_list_that_are_there_are_kept()
    {
        Speaker speaker = Dut.Of(Dut.Client);
        RouteSet set = RouteSet.For(Dut.Client).Add(Octets.Attr(0x80, 9, Octets.U32(0x01020304))).Add(Octets.Attr(0x80, 10, Octets.U32(0x05060708)));
        speaker.Send(set.Announce(V4));
        Dut.Settle(speaker);
        Assert.That(Dut.AsClient.Find(V4)![9], Is.EqualTo("01020304"));
        Assert.That(Dut.AsClient.Find(V4)![10], Is.EqualTo("0A0000C8" + "05060708"));
        Assert.That(Dut.FromOutside.Find(V4)!.Has(9) || Dut.FromOutside.Find(V4)!.Has(10), Is.False);
        Withdraw(speaker, set);
    }

    [Test]
    public void A_route_from_outside_goes_inside_unchanged_and_outside_with_our_AS()
    {
        Speaker speaker = Dut.Of(Dut.External);
        RouteSet set = RouteSet.For(Dut.External);
        speaker.Send(set.Announce(V4), set.Announce(V6));
        Dut.Settle(speaker);
        foreach (Speaker inside in (Speaker[])[Dut.AsClient, Dut.AsInternal])
        {
            Route route = inside.Find(V4)!;
            Assert.Multiple(() =>
            {
                Assert.That(route.Has(9) || route.Has(10), Is.False, "RFC 4456 section 8: only what is reflected");
                Assert.That(route[2], Is.EqualTo("02010000FDF2"));
                Assert.That(route[3], Is.EqualTo("0A090001"), "RFC 4271 section 5.1.3: unchanged inside");
                Assert.That(route[5], Is.EqualTo("00000064"));
                Assert.That(Convert.ToHexString(inside.Find(V6)!.NextHop), Does.StartWith("20010DB8000900000000000000000001"));
            });
        }

        Route outside = Dut.FromOutside.Find(V4)!;
        Assert.That(outside[2], Is.EqualTo("0202" + "0000FC00" + "0000FDF2"), "our AS in front");
        Assert.That(outside[3], Is.EqualTo("7F000001"), "our address on that session");
        Withdraw(speaker, set);
        speaker.Send(set.Withdraw(V6));
        Dut.AwaitEverywhere(speaker, static view => view.Find(V6) is null, "the withdrawal");
    }

    [TestCase("FFFFFF01", true, false, TestName = "NO_EXPORT stays inside")]
    [TestCase("FFFFFF02", false, false, TestName = "NO_ADVERTISE goes nowhere")]
    [TestCase("FFFFFF03", true, false, TestName = "NO_EXPORT_SUBCONFED stays inside")]
    [TestCase("FFFFFF04", true, true, TestName = "NOPEER and other communities go everywhere")]
    public void Well_known_communities_are_obeyed(string community, bool inside, bool outside)
    {
        foreach (Identity who in (Identity[])[Dut.External, Dut.Client])
        {
            Speaker speaker = Dut.Of(who);
            RouteSet set = RouteSet.For(who).Add(Octets.Attr(0xC0, 8, Octets.Hex(community)));
            speaker.Send(set.Announce(V4));
            Dut.Settle(speaker);
            Assert.That(Dut.AsClient.Find(V4) is not null, Is.EqualTo(inside), $"inside, from {who}");
            Assert.That(Dut.FromOutside.Find(V4) is not null, Is.EqualTo(outside), $"outside, from {who}");
            Withdraw(speaker, set);
        }
    }

    [Test]
    public void The_next_best_route_takes_over_and_the_last_one_leaves_nothing()
    {
        Speaker one = Dut.Of(Dut.External);
        Speaker two = Dut.Of(Dut.External2);
        RouteSet best = RouteSet.For(Dut.External);
        RouteSet second = RouteSet.For(Dut.External2).Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, true, Dut.External2.Asn, 65500)));
        two.Send(second.Announce(V4));
        Dut.Settle(two);
        one.Send(best.Announce(V4));
        Dut.AwaitEverywhere(one, static view => view.Find(V4)?[2]?.EndsWith("0000FDF2", StringComparison.Ordinal) == true || view.Find(V4)?[2]?.EndsWith("FDF2", StringComparison.Ordinal) == true, "the shorter path");
        one.Send(best.Withdraw(V4));
        Dut.AwaitEverywhere(one, static view => view.Find(V4)?[2]?.EndsWith("FFDC", StringComparison.Ordinal) == true, "the next best");
        Withdraw(two, second);
    }

    [Test]
    public void A_neighbour_with_2_octet_AS_numbers_gets_AS_TRANS_and_AS4_attributes_only_where_they_are_needed()
    {
        Speaker speaker = Dut.Of(Dut.External);
        RouteSet wide = RouteSet.For(Dut.External)
            .Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, true, Dut.External.Asn, 4200000001, 65501)))
            .Add(Octets.Attr(0xC0, 7, Octets.U32(4200000001), [10, 0, 0, 9]));
        speaker.Send(wide.Announce(V4));
        Dut.Settle(speaker);
        Route route = Dut.As2.Find(V4)!;
        Assert.Multiple(() =>
        {
            Assert.That(route[2], Is.EqualTo("0204" + "FC00" + "FDF2" + "5BA0" + "FFDD"));
            Assert.That(route[17], Is.EqualTo("0204" + "0000FC00" + "0000FDF2" + "FA56EA01" + "0000FFDD"));
            Assert.That(route[7], Is.EqualTo("5BA0" + "0A000009"));
            Assert.That(route[18], Is.EqualTo("FA56EA01" + "0A000009"));
            Assert.That(Dut.FourOctets.Find(V4)!.Has(17), Is.False, "RFC 6793 section 4.1");
        });
        RouteSet narrow = RouteSet.For(Dut.External).Add(Octets.Attr(0xC0, 7, Octets.U32(65300), [10, 0, 0, 9]));
        speaker.Send(narrow.Announce(V4));
        Dut.Settle(speaker);
        Assert.That(Dut.As2.Find(V4)!.Has(17) || Dut.As2.Find(V4)!.Has(18), Is.False, "RFC 6793 section 4.2.2");
        Assert.That(Dut.As2.Find(V4)![7], Is.EqualTo("FF14" + "0A000009"));
        Withdraw(speaker, narrow);
    }

    /// <summary>CVE-2023-44186: with 2-octet AS numbers a path of 4-octet ones is said twice.</summary>
    [TestCase(510, true)]
    [TestCase(800, false)]
    public void A_long_path_of_4_octet_AS_numbers_reaches_an_old_neighbour_whole_or_not_at_all(int count, bool fits)
    {
        Speaker speaker = Dut.Of(Dut.External);
        byte[] path = Octets.Segment(2, true, Dut.External.Asn);
        for (int left = count - 1; left > 0; left -= 255)
        {
            path = Octets.Join(path, Octets.Segment(2, true, [.. Enumerable.Repeat(4200000001u, Math.Min(left, 255))]));
        }

        RouteSet set = RouteSet.For(Dut.External);
        speaker.Send(set.Announce(V4));
        Dut.Settle(speaker);
        set.Set(2, Octets.Attr(0x50, 2, path));
        speaker.Send(set.Announce(V4));
        Dut.Settle(speaker);
        Assert.That(Dut.AsClient.Find(V4)![2], Is.EqualTo(Convert.ToHexString(path)));
        Route? old = Dut.As2.Find(V4);
        Assert.That(old is not null, Is.EqualTo(fits), "what does not fit 4096 octets is withdrawn");
        if (old is not null)
        {
            Assert.That(old[17]!.Length / 8, Is.InRange(count, count + 3), "AS4_PATH holds every number");
            Assert.That(old[2], Does.Not.Contain("FA56EA01").And.Contain("5BA05BA0"));
        }

        Withdraw(speaker, set);
    }

    [Test]
    public void A_route_on_its_way_out_is_the_last_choice()
    {
        Speaker leaving = Dut.Of(Dut.External);
        Speaker staying = Dut.Of(Dut.External2);
        RouteSet going = RouteSet.For(Dut.External).Add(Octets.Attr(0xC0, 8, Octets.Hex("FFFF0000")));
        RouteSet longer = RouteSet.For(Dut.External2).Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, true, Dut.External2.Asn, 65500, 65501)));
        leaving.Send(going.Announce(V4));
        Dut.Settle(leaving);
        Assert.That(Dut.AsClient.Find(V4)![5], Is.EqualTo("00000000"), "RFC 8326 section 4.2: LOCAL_PREF 0");
        staying.Send(longer.Announce(V4));
        Dut.Settle(staying);
        Assert.That(Dut.AsClient.Find(V4)![2], Does.EndWith("0000FFDD"), "the longer path of the one who stays");
        Withdraw(staying, longer, gone: false);
        Dut.Settle(staying);
        Assert.That(Dut.AsClient.Find(V4)![2], Does.EndWith("0000FDF2"), "still there until it goes");
        RouteSet stale = RouteSet.For(Dut.External).Add(Octets.Attr(0xC0, 8, Octets.Hex("FFFF0006")));
        leaving.Send(stale.Announce(V4));
        staying.Send(longer.Announce(V4));
        Dut.Settle(leaving);
        Dut.Settle(staying);
        Assert.That(Dut.AsClient.Find(V4)![2], Does.EndWith("0000FFDD"), "RFC 9494 section 4.3: LLGR_STALE is least preferred");
        leaving.Send(stale.Withdraw(V4));
        Dut.Settle(leaving);
        Withdraw(staying, longer);
    }

    [Test]
    public void A_session_without_policies_from_outside_neither_takes_nor_gives()
    {
        Speaker other = Dut.Of(Dut.External);
        RouteSet theirs = RouteSet.For(Dut.External);
        other.Send(theirs.Announce(V4));
        Dut.Settle(other);
        using Speaker speaker = SessionTests.Reach(Dut.NoPolicy, Stage.Established);
        speaker.Send(RouteSet.For(Dut.NoPolicy).Announce("203.0.114.0/24"), Octets.Message(Octets.RouteRefresh, [0, 1, 0, 1]));
        Dut.Settle(other);
        Assert.That(Dut.AsClient.Find("203.0.114.0/24"), Is.Null, "RFC 8212: nothing in");
        Assert.That(speaker.Find(V4), Is.Null, "and nothing out");
        Withdraw(other, theirs);
        speaker.Send(Octets.NotificationMessage(6, 2));
        Assert.That(speaker.WaitForClose());
    }

    [TestCase(true)]
    [TestCase(false)]
    public void A_refresh_sends_the_family_again(bool enhanced)
    {
        Speaker other = Dut.Of(Dut.External);
        RouteSet set = RouteSet.For(Dut.External);
        other.Send(set.Announce(V4), set.Announce(V6));
        Dut.Settle(other);
        Identity who = Dut.Opening with { More = enhanced ? s_refresh : Octets.Capability(2) };
        using Speaker speaker = SessionTests.Reach(who, Stage.Established);
        Assert.That(speaker.WaitFor(static view => view.Find(V4) is not null && view.Find(V6) is not null), speaker.Messages());
        foreach ((byte afi, string prefix, string untouched) in ((byte, string, string)[])[(1, V4, V6), (2, V6, V4)])
        {
            Assert.That(speaker.WaitFor(view => view.Times(prefix) > 0));
            int before = speaker.Times(prefix);
            int others = speaker.Times(untouched);
            int marks = speaker.Count(Octets.RouteRefresh);
            speaker.Send(Octets.Message(Octets.RouteRefresh, [0, afi, 0, 1]));
            Assert.That(speaker.WaitFor(view => view.Times(prefix) == before + 1), $"{prefix} comes again: {speaker.Messages()}\n{Dut.Tail()}");
            if (enhanced)
            {
                Assert.That(speaker.WaitForCount(Octets.RouteRefresh, marks + 2, 5000), $"RFC 7313 section 4: a beginning and an end: {speaker.Messages()}");
                Assert.That(speaker.Bodies(Octets.RouteRefresh).TakeLast(2), Is.EqualTo(new[] { $"00{afi:X2}0101", $"00{afi:X2}0201" }));
            }
            else
            {
                Assert.That(speaker.Count(Octets.RouteRefresh), Is.Zero, "no marks without the capability");
            }

            Assert.That(speaker.Times(untouched), Is.EqualTo(others), "the other family does not");
        }

        speaker.Send(Octets.NotificationMessage(6, 2));
        Assert.That(speaker.WaitForClose());
        Withdraw(other, set);
        other.Send(set.Withdraw(V6));
        Dut.AwaitEverywhere(other, static view => view.Find(V6) is null, "the withdrawal");
    }

    [Test]
    public void What_a_refresh_does_not_bring_again_goes_at_its_end()
    {
        Identity who = Dut.Opening with { More = s_refresh };
        using Speaker speaker = SessionTests.Reach(who, Stage.Established);
        RouteSet set = RouteSet.For(who);
        speaker.Send(set.Announce(V4), set.Announce("203.0.114.0/24"), set.Announce(V6));
        Dut.Settle(speaker);
        speaker.Send(Octets.Message(Octets.RouteRefresh, [0, 1, 1, 1]), set.Announce(V4));
        Dut.Settle(speaker);
        Assert.That(Dut.AsClient.Find("203.0.114.0/24"), Is.Not.Null, "stale, but there until the end");
        speaker.Send(Octets.Message(Octets.RouteRefresh, [0, 1, 2, 1]));
        Rig.Lab.Eventually(static () => Dut.AsClient.Find("203.0.114.0/24") is null, "it goes", 10, Dut.Tail);
        Assert.That(Dut.AsClient.Find(V4), Is.Not.Null);
        Assert.That(Dut.AsClient.Find(V6), Is.Not.Null, "the other family is untouched");
        speaker.Send(Octets.NotificationMessage(6, 2));
        Assert.That(speaker.WaitForClose());
        Rig.Lab.Eventually(static () => Dut.AsClient.Find(V4) is null, "all of it goes", 10, Dut.Tail);
    }

    [Test]
    public void Messages_of_65535_octets_pass_between_those_who_agreed_on_them_and_no_others_see_them()
    {
        Speaker speaker = Dut.Of(Dut.LongMessages);
        using Speaker reader = SessionTests.Reach(Dut.Client with { More = Octets.Capability(6), RouterId = 0x0A4D00EE, Address = Dut.Restarting.Address, Name = Dut.Restarting.Name }, Stage.Established);
        RouteSet set = RouteSet.For(Dut.LongMessages);
        int room = (60000 - set.Attributes.Length - 100) / 4;
        byte[] communities = Octets.Attr(0xD0, 8, [.. Enumerable.Range(0, room).SelectMany(static i => Octets.U32(0xFDE90000u + (uint)i))]);
        byte[] large = Octets.Update([], Octets.Join(set.Attributes, communities), Octets.Prefix(V4));
        Assert.That(large, Has.Length.GreaterThan(59000));
        speaker.Send(set.Announce(V4));
        Dut.Settle(speaker);
        speaker.Send(large);
        Dut.Settle(speaker);
        Assert.That(reader.WaitFor(view => view.Find(V4)?[8]?.Length == room * 8), $"reflected whole to one who takes it: {reader.Messages()}");
        Assert.That(Dut.AsClient.Find(V4), Is.Null, "RFC 8654 section 4: withdrawn from one who cannot take it");
        int prefixes = (65535 - 23 - set.Attributes.Length) / 5;
        byte[] nlri = [.. Enumerable.Range(0, prefixes).SelectMany(static i => (byte[])[32, 172, 20, (byte)(i >> 8), (byte)i]), .. Octets.Repeat([0], (65535 - 23 - set.Attributes.Length) % 5)];
        byte[] full = Octets.Update([], set.Attributes, nlri);
        Assert.That(full, Has.Length.EqualTo(65535));
        speaker.Send(full);
        Rig.Lab.Eventually(static () => Dut.AsClient.Find("172.20.40.0/32") is not null && Dut.FromOutside.Find("172.20.40.0/32") is not null, "13,000 prefixes of one message", 20, Dut.Tail);
        speaker.Send(Octets.Update(nlri, [], []));
        Dut.Settle(speaker);
        Assert.That(Dut.AsClient.Find("172.20.40.0/32"), Is.Null);
        Withdraw(speaker, set);
        reader.Send(Octets.NotificationMessage(6, 2));
        Assert.That(reader.WaitForClose());
    }

    [Test]
    public void A_path_of_five_thousand_ASes_is_carried_and_prepended_to()
    {
        Speaker speaker = Dut.Of(Dut.LongMessages);
        RouteSet set = RouteSet.For(Dut.LongMessages);
        uint[] asns = new uint[250];
        Array.Fill(asns, 65400u);
        byte[] path = Octets.Attr(0x50, 2, Octets.Repeat(Octets.Segment(2, true, asns), 20));
        speaker.Send(set.Set(2, path).Announce(V4));
        Dut.Settle(speaker);
        Assert.That(Dut.AsClient.Find(V4), Is.Null, "20,040 octets do not fit the observers' messages");
        speaker.Send(RouteSet.For(Dut.LongMessages).Announce(V4));
        Dut.Settle(speaker);
        Assert.That(Dut.AsClient.Find(V4), Is.Not.Null);
        Withdraw(speaker, set);
    }

    private static readonly (string Name, byte[] Sent, string? Answer)[] s_long =
    [
        ("KEEPALIVE of 20 octets", Octets.Header(20, Octets.Keepalive), "NOTIFICATION 1/2 0014"),
        ("KEEPALIVE of 65535 octets", Octets.Header(65535, Octets.Keepalive), "NOTIFICATION 1/2 FFFF"),
        ("OPEN of 4097 octets", Octets.Header(4097, Octets.Open), "NOTIFICATION 1/2 1001"),
        ("UPDATE of 22 octets", Octets.Header(22, Octets.UpdateType), "NOTIFICATION 1/2 0016"),
        ("unknown type, 65535 octets", Octets.Header(65535, 9), "NOTIFICATION 1/3 09"),
        ("ROUTE-REFRESH of 5000 octets", Octets.Message(Octets.RouteRefresh, [0, 1, 0, 1], new byte[5000 - 23]), "NOTIFICATION 1/2 1388"),
        ("NOTIFICATION of 65535 octets", Octets.Message(Octets.Notification, [6, 2, 255], new byte[65535 - 22]), null),
        ("NOTIFICATION of 4097 octets", Octets.Message(Octets.Notification, [6, 4, 255], new byte[4097 - 22]), null),
    ];

    public static IEnumerable<TestCaseData> LongOnes => s_long.Select(static (item, index) => new TestCaseData(index).SetArgDisplayNames(item.Name));

    /// <summary>RFC 8654 section 4: not for OPEN and KEEPALIVE.</summary>
    [TestCaseSource(nameof(LongOnes))]
    public void Long_messages_are_agreed_on_for_some_types_only(int index)
    {
        (string name, byte[] sent, string? answer) = s_long[index];
        using Speaker speaker = SessionTests.Reach(Dut.Opening with { More = Octets.Capability(6) }, Stage.Established);
        speaker.Send(sent);
        if (answer is not null)
        {
            Assert.That(speaker.WaitForNotification()?.Text, Is.EqualTo(answer), name);
        }

        Assert.That(speaker.WaitForClose(), name);
        Assert.That(speaker.Count(Octets.Notification), Is.EqualTo(answer is null ? 0 : 1), name);
    }

    private static void Withdraw(Speaker speaker, RouteSet set, bool gone = true)
    {
        speaker.Send(set.Withdraw(V4));
        if (!gone)
        {
            return;
        }

        Dut.AwaitEverywhere(speaker, static view => view.Find(V4) is null, "the withdrawal");
    }
}
