namespace Bgp.Interop.Tests.Conformance;

/// <summary>
/// What the RFCs say in half a sentence: flag bits that are not judged, UPDATEs that only withdraw, IPv4 in both of its encodings at once, repeated attributes, AS4 attributes that say
/// more or less than what they stand beside, path identifiers in both families.
/// </summary>
internal static class FinePrintCases
{
    private const string Other4 = "203.0.113.0/24";
    private static readonly string[] s_both = [UpdateCase.V4, UpdateCase.V6];
    private static readonly string[] s_v6 = [UpdateCase.V6];

    /// <summary>One from either side of the border: what is read here does not depend on more.</summary>
    private static readonly Identity[] s_two = [Dut.External, Dut.Client];
    private static readonly Identity[] s_client = [Dut.Client];

    internal static List<UpdateCase> Build()
    {
        CaseList list = new();
        PartialBits(list);
        UnreachFlags(list);
        NextHops(list);
        TwoEncodings(list);
        Presence(list);
        Repeated(list);
        Paths(list);
        TwoOctetPaths(list);
        Identifiers(list);
        Many(list);
        return list.Cases;
    }

    private static byte[] Target => Octets.Prefix(UpdateCase.V4);

    private static byte[] Target6 => Octets.Prefix(UpdateCase.V6);

    private static byte[] NextHop6 => Octets.Address(RouteSet.NextHop6);

    private static byte[] Reach4(string prefix = UpdateCase.V4, string nextHop = "10.9.0.1") => Octets.MpReach(1, 1, Octets.Address(nextHop), Octets.Prefix(prefix));

    private static byte[] Reach6(byte flags = 0x80) => Octets.MpReach(2, 1, NextHop6, Target6, flags);

    private static byte[] BadOrigin => Octets.Attr(0x40, 1, [7]);

    private static uint First(RouteSet set) => set.Who.IsInternal ? 65100u : set.Who.Asn;

    private static byte[] PathOf(RouteSet set, params byte[][] more) => Octets.Attr(0x40, 2, Octets.Segment(2, set.Who.As4, First(set)), Octets.Join(more));

    /// <summary>An UPDATE whose reachable prefixes are in MP_REACH_NLRI alone.</summary>
    private static byte[] OnlyMp(RouteSet set, params byte[][] first) => Octets.Update([], Octets.Join(Octets.Join(first), set.Without(3).Attributes), []);

    /// <summary>RFC 7606 section 3 (c) judges the Optional and Transitive bits; RFC 4271 section 5 says who keeps Partial.</summary>
    private static void PartialBits(CaseList list)
    {
        (byte Code, byte Flags, byte[] Value)[] known =
        [
            (1, 0x40, [0]), (3, 0x40, [10, 9, 0, 1]), (4, 0x80, [0, 0, 0, 5]), (5, 0x40, [0, 0, 0, 200]), (6, 0x40, []), (7, 0xC0, Octets.Hex("0000fde80a000009")), (8, 0xC0, Octets.Hex("fde80002")),
            (9, 0x80, [10, 0, 0, 9]), (10, 0x80, [10, 0, 0, 10]), (16, 0xC0, Octets.Hex("0002fde800000001")), (32, 0xC0, Octets.Hex("0000fde80000000100000002")),
        ];
        foreach ((byte code, byte flags, byte[] value) in known)
        {
            Identity[] from = code is 5 or 9 or 10 ? s_client : s_two;
            list.Attributes("7606-3c", $"attribute {code} with Partial", from, set => set.Set(code, Octets.Attr((byte)(flags | 0x20), code, value)), Outcome.Kept, (client, outside) =>
            {
                if (code == 3)
                {
                    return;
                }

                Assert.That(client.Attributes[code].Flags, Is.EqualTo(flags == 0xC0 ? 0xE0 : flags), "inside: Partial stays where it has a meaning");
                if (outside.Attributes.TryGetValue(code, out Attribute? beyond))
                {
                    Assert.That(beyond.Flags, Is.EqualTo(flags == 0xC0 ? 0xE0 : flags), "outside: Partial stays where it has a meaning");
                }
            });
        }

        list.Attributes("7606-3c", "AS_PATH with Partial", s_two, static set => set.Set(2, Octets.Attr(0x60, 2, Octets.Segment(2, true, First(set)))), Outcome.Kept, static (client, _) => Assert.That(client.Attributes[2].Flags, Is.EqualTo(0x40)));
        list.Attributes("7606-3c", "ORIGIN as optional, transitive and partial", s_two, static set => set.Set(1, Octets.Attr(0xE0, 1, [0])), Outcome.Withdrawn);
        list.Attributes("7606-3c", "COMMUNITIES as well-known with Partial", s_two, static set => set.Set(8, Octets.Attr(0x60, 8, Octets.Hex("fde80002"))), Outcome.Withdrawn);
        foreach (byte flags in (byte[])[0x00, 0x20, 0x50, 0x60, 0x6F])
        {
            list.Attributes("4271-6.3", $"unrecognized well-known attribute with flags {flags:x2}", s_client, set => set.Add(Octets.Attr(flags, 99, [1, 2])), Outcome.Reset, null, 2);
        }

        list.Attributes("4271-5", "unknown non-transitive attribute with Partial", s_two, static set => set.Add(Octets.Attr(0xA0, 99, [1])), Outcome.Kept, static (client, outside) => Assert.That(client.Has(99) || outside.Has(99), Is.False));
        list.Attributes("4271-4.3", "unknown transitive attribute with the unused flag bits set", s_two, static set => set.Add(Octets.Attr(0xCF, 99, [1])), Outcome.Kept, static (client, _) => Assert.That(client[99], Is.EqualTo("01")));
        foreach (byte flags in (byte[])[0xA0, 0x8F, 0xB0])
        {
            list.Messages("7606-3c", $"MP_REACH_NLRI with flags {flags:x2}", s_two, set => [OnlyMp(set, Reach6(flags))], Outcome.Kept, s_v6);
            list.Messages("7606-3c", $"MP_UNREACH_NLRI with flags {flags:x2}", s_two, _ => [Octets.Update([], Octets.MpUnreach(2, 1, Target6, flags), [])], Outcome.Withdrawn, s_v6);
        }
    }

    /// <summary>RFC 7606 section 5.2 doubts the prefixes of an UPDATE with attributes <em>other than MP_UNREACH_NLRI</em>; that one alone is section 3 (c).</summary>
    private static void UnreachFlags(CaseList list)
    {
        foreach (byte flags in (byte[])[0x00, 0x40, 0xC0])
        {
            list.Messages("7606-3c", $"MP_UNREACH_NLRI alone with flags {flags:x2}", s_two, _ => [Octets.Update([], Octets.MpUnreach(2, 1, Target6, flags), [])], Outcome.Withdrawn, s_v6);
            list.Messages("7606-3c", $"MP_UNREACH_NLRI with flags {flags:x2} beside Withdrawn Routes", s_two, _ => [Octets.Update(Target, Octets.MpUnreach(2, 1, Target6, flags), [])], Outcome.Withdrawn, s_both);
            list.Messages("7606-3c", $"MP_UNREACH_NLRI with flags {flags:x2} beside NLRI", s_two, set => [Octets.Update([], Octets.Join(set.Attributes, Octets.MpUnreach(2, 1, Target6, flags)), Target)], Outcome.Withdrawn, s_both);
            list.Messages("7606-5.2", $"MP_UNREACH_NLRI with flags {flags:x2} beside another attribute", s_client, _ => [Octets.Update([], Octets.Join(Octets.MpUnreach(2, 1, Target6, flags), Octets.Attr(0x40, 1, [0])), [])], Outcome.Reset, s_v6, 3, [4]);
            list.Messages("7606-3c", $"End-of-RIB with flags {flags:x2}", s_two, _ => [Octets.Update([], Octets.MpUnreach(2, 1, [], flags), [])], Outcome.Unchanged, s_both);
        }

        list.Messages("7606-5.2", "MP_UNREACH_NLRI and an octet left over", s_client, _ => [Octets.Update([], Octets.Join(Octets.MpUnreach(2, 1, Target6), [0x40]), [])], Outcome.Reset, s_v6, 3, [1]);
        list.Messages("7606-5.2", "MP_REACH_NLRI without prefixes beside a malformed ORIGIN", s_client, _ => [Octets.Update([], Octets.Join(Octets.MpReach(2, 1, NextHop6, []), BadOrigin), [])], Outcome.Reset, s_v6);
        list.Messages("7606-5.2", "Withdrawn Routes and a malformed attribute", s_client, _ => [Octets.Update(Target, Octets.Attr(0xC0, 8, [1]), [])], Outcome.Reset);
        list.Messages("7606-3d", "Withdrawn Routes and one sound attribute", s_two, _ => [Octets.Update(Target, Octets.Attr(0x40, 1, [0]), [])], Outcome.Withdrawn);
        list.Messages("7606-3d", "MP_UNREACH_NLRI and one sound attribute", s_two, _ => [Octets.Update([], Octets.Join(Octets.Attr(0x40, 1, [0]), Octets.MpUnreach(2, 1, Target6)), [])], Outcome.Withdrawn, s_v6);
        list.Messages("4724-2", "End-of-RIB with Extended Length", s_two, static _ => [Octets.Update([], Octets.MpUnreach(2, 1, [], 0x90), [])], Outcome.Unchanged, s_both);
        list.Messages("4724-2", "End-of-RIB of a family that was not agreed on", s_two, static _ => [Octets.Update([], Octets.MpUnreach(1, 128, []), [])], Outcome.Unchanged, s_both);
        list.Messages("4724-2", "End-of-RIB with an unknown attribute", s_two, static _ => [Octets.Update([], Octets.Join(Octets.MpUnreach(2, 1, []), Octets.Attr(0xC0, 99, [1])), [])], Outcome.Unchanged, s_both);
        list.Messages("4724-2", "End-of-RIB with all sound attributes", s_two, static set => [Octets.Update([], Octets.Join(Octets.MpUnreach(2, 1, []), set.Attributes), [])], Outcome.Unchanged, s_both);
        list.Messages("4724-2", "End-of-RIB beside Withdrawn Routes", s_two, static _ => [Octets.Update(Target, Octets.MpUnreach(2, 1, []), [])], Outcome.Withdrawn);
    }

    private static void NextHops(CaseList list)
    {
        list.Messages("7606-7.3", "NEXT_HOP of 3 octets beside MP_REACH_NLRI alone", s_two, static set => [Octets.Update([], Octets.Join(Reach6(), set.Set(3, Octets.Attr(0x40, 3, [10, 9, 0])).Attributes), [])], Outcome.Withdrawn, s_v6);
        list.Messages("7606-3c", "NEXT_HOP with flags c0 beside MP_REACH_NLRI alone", s_two, static set => [Octets.Update([], Octets.Join(Reach6(), set.Set(3, Octets.Attr(0xC0, 3, [10, 9, 0, 1])).Attributes), [])], Outcome.Withdrawn, s_v6);
        list.Attributes("4271-5.1.3", "NEXT_HOP is the neighbour's address", s_two, static set => set.Set(3, Octets.Attr(0x40, 3, Octets.Address(set.Who.Address))), Outcome.Survives);
        foreach (string address in (string[])["0.0.0.0", "0.255.255.255", "224.0.0.5", "255.255.255.255"])
        {
            list.Messages("4760-3", $"IPv4 in MP_REACH_NLRI with next hop {address}", s_two, set => [OnlyMp(set, Reach4(nextHop: address))], Outcome.Withdrawn);
        }

        list.Messages("4271-5.1.3", "IPv4 in MP_REACH_NLRI with our next hop", s_two, static set => [OnlyMp(set, Reach4(nextHop: "10.255.0.1"))], Outcome.Withdrawn);
        foreach (int length in (int[])[0, 1, 3, 5, 8, 12, 24, 32, 48])
        {
            list.Messages("7606-7.11", $"IPv4 in MP_REACH_NLRI with a next hop of {length} octets", s_client, set => [OnlyMp(set, Octets.MpReach(1, 1, Octets.Repeat([0x20], length), Target))], Outcome.Reset, null, 3, [1, 5, 8, 9]);
        }

        byte[] linkLocal = Octets.Address("fe80::1");
        list.Messages("2545-3", "two global next hops", s_two, static set => [OnlyMp(set, Octets.MpReach(2, 1, Octets.Join(NextHop6, Octets.Address("2001:db8:9::2")), Target6))], Outcome.Kept, s_v6);
        list.Messages("2545-3", "a global next hop and zeros", s_two, static set => [OnlyMp(set, Octets.MpReach(2, 1, Octets.Join(NextHop6, Octets.Zeros(16)), Target6))], Outcome.Kept, s_v6);
        list.Messages("2545-3", "the link-local next hop first", s_two, set => [OnlyMp(set, Octets.MpReach(2, 1, Octets.Join(linkLocal, NextHop6), Target6))], Outcome.Survives, s_v6);
        list.Messages("2545-3", "no global next hop", s_two, set => [OnlyMp(set, Octets.MpReach(2, 1, Octets.Join(Octets.Zeros(16), linkLocal), Target6))], Outcome.Survives, s_v6);
        list.Messages("2545-3", "two next hops of zeros", s_two, static set => [OnlyMp(set, Octets.MpReach(2, 1, Octets.Zeros(32), Target6))], Outcome.Withdrawn, s_v6);
        list.Messages("2545-3", "a multicast next hop and a link-local one", s_two, set => [OnlyMp(set, Octets.MpReach(2, 1, Octets.Join(Octets.Address("ff02::1"), linkLocal), Target6))], Outcome.Withdrawn, s_v6);
    }

    /// <summary>IPv4 unicast may come as NLRI, as MP_REACH_NLRI, or both: one family all the same.</summary>
    private static void TwoEncodings(CaseList list)
    {
        string[] two = [UpdateCase.V4, Other4];
        list.Messages("4760-3", "IPv4 in NLRI and others in MP_REACH_NLRI", s_two, static set => [Octets.Update([], Octets.Join(Reach4(Other4), set.Attributes), Target)], Outcome.Kept, two);
        list.Messages("4760-3", "the same IPv4 prefix in NLRI and in MP_REACH_NLRI", s_two, static set => [Octets.Update([], Octets.Join(Reach4(), set.Attributes), Target)], Outcome.Kept);
        list.Messages("4271-4.3", "IPv4 withdrawn in Withdrawn Routes, announced in MP_REACH_NLRI", s_two, static set => [Octets.Update(Target, Octets.Join(Reach4(), set.Without(3).Attributes), [])], Outcome.Kept);
        list.Messages("4271-4.3", "IPv4 withdrawn in MP_UNREACH_NLRI, announced in NLRI", s_two, static set => [Octets.Update([], Octets.Join(Octets.MpUnreach(1, 1, Target), set.Attributes), Target)], Outcome.Kept);
        list.Messages("4271-4.3", "IPv4 withdrawn in both ways, announced in both ways", s_two, static set => [Octets.Update(Target, Octets.Join(Octets.MpUnreach(1, 1, Target), Reach4(), set.Attributes), Target)], Outcome.Kept);
        list.Messages("4760-3", "IPv4 withdrawn in both ways", s_two, static _ => [Octets.Update(Octets.Prefix(Other4), Octets.MpUnreach(1, 1, Target), [])], Outcome.Withdrawn, two);
        list.Messages("7606-3", "ORIGIN malformed, IPv4 announced in both ways", s_two, static set => [Octets.Update([], Octets.Join(Reach4(Other4), set.Set(1, BadOrigin).Attributes), Target)], Outcome.Withdrawn, two);
        list.Messages("7606-5.3", "IPv4 in MP_REACH_NLRI with a prefix of 33 bits", s_client, static set => [OnlyMp(set, Octets.MpReach(1, 1, [10, 9, 0, 1], [33, 10, 1, 2, 3, 4]))], Outcome.Reset, null, 3, [1, 5, 9, 10]);
        list.Messages("7606-5.3", "IPv4 in MP_UNREACH_NLRI with a prefix of 33 bits", s_client, static _ => [Octets.Update([], Octets.MpUnreach(1, 1, [33, 10, 1, 2, 3, 4]), [])], Outcome.Reset, null, 3, [1, 5, 9, 10]);
        list.Messages("7606-3g", "MP_UNREACH_NLRI twice, of two families", s_client, static _ => [Octets.Update([], Octets.Join(Octets.MpUnreach(2, 1, Target6), Octets.MpUnreach(1, 1, Target)), [])], Outcome.Reset, s_both, 3, [1]);
        list.Messages("7606-3g", "MP_REACH_NLRI twice, of families that were not agreed on", s_two, static set =>
            [Octets.Update([], Octets.Join(Octets.MpReach(25, 70, [10, 9, 0, 1], []), Octets.MpReach(25, 70, [10, 9, 0, 1], []), set.Attributes), Target)], Outcome.Reset, null, 3, [1]);
        list.Messages("4760-8", "MP_REACH_NLRI of another family and MP_UNREACH_NLRI of ours", s_two, static set =>
            [Octets.Update([], Octets.Join(Octets.MpReach(25, 70, [10, 9, 0, 1], [2, 1, 0]), Octets.MpUnreach(2, 1, Target6), set.Attributes), [])], Outcome.Withdrawn, s_v6);
        list.Messages("4760-8", "MP_UNREACH_NLRI of another family and MP_REACH_NLRI of ours", s_two, static set =>
            [OnlyMp(set, Octets.MpUnreach(25, 70, [0xFF]), Reach6())], Outcome.Kept, s_v6);

        // Bits beyond a prefix's length do not count in any of the four lists.
        list.Messages("4271-4.3", "IPv4 withdrawn with bits beyond its length", s_two, static _ => [Octets.Update([20, 203, 0, 0x7F], [], [])], Outcome.Withdrawn, ["203.0.112.0/20"]);
        list.Messages("4271-4.3", "IPv6 with bits beyond its length", s_two, static set => [OnlyMp(set, Octets.MpReach(2, 1, NextHop6, Octets.Hex("2c20010db8005f")))], Outcome.Kept, ["2001:db8:50::/44"]);
        list.Messages("4271-4.3", "IPv6 withdrawn with bits beyond its length", s_two, static _ => [Octets.Update([], Octets.MpUnreach(2, 1, Octets.Hex("2c20010db8005f")), [])], Outcome.Withdrawn, ["2001:db8:50::/44"]);
        list.Messages("4271-4.3", "the default route twice", s_two, static set => [Octets.Update([], set.Attributes, [0, 0])], Outcome.Kept, ["0.0.0.0/0"]);
        list.Messages("4271-4.3", "the default route withdrawn", s_two, static _ => [Octets.Update([0], [], [])], Outcome.Withdrawn, ["0.0.0.0/0"]);
        list.Messages("4760-3", "the default route and a host of IPv6", s_two, static set => [OnlyMp(set, Octets.MpReach(2, 1, NextHop6, Octets.Join([0, 128], NextHop6)))], Outcome.Kept, ["::/0", "2001:db8:9::1/128"]);
    }

    private static void Presence(CaseList list)
    {
        foreach (byte code in (byte[])[1, 2])
        {
            list.Messages("7606-3d", $"attribute {code} is missing beside MP_REACH_NLRI", s_two, set => [OnlyMp(set.Without(code), Reach6())], Outcome.Withdrawn, s_v6);
        }

        list.Messages("7606-3d", "NEXT_HOP is missing, both families announced", s_two, static set => [Octets.Update([], Octets.Join(Reach6(), set.Without(3).Attributes), Target)], Outcome.Withdrawn, s_both);
        list.Messages("4760-3", "MP_REACH_NLRI without prefixes and nothing else", s_two, static _ => [Octets.Update([], Octets.MpReach(2, 1, NextHop6, []), [])], Outcome.Unchanged, s_v6);
        list.Attributes("7606-3h", "ORIGIN malformed (withdraw) and an unrecognized well-known attribute (reset)", s_client, static set => set.Set(1, BadOrigin).Add(Octets.Attr(0x40, 99, [1])), Outcome.Reset, null, 2);
        list.Messages("7606-3h", "ORIGIN malformed (withdraw) and NLRI cut (reset)", s_client, static set => [Octets.Update([], set.Set(1, BadOrigin).Attributes, [24, 10])], Outcome.Reset, null, 3, [1, 10]);
        list.Attributes("7606-3h", "LOCAL_PREF malformed (discard from outside) and ORIGIN (withdraw)", CaseList.Outside, static set => set.Set(5, Octets.Attr(0x40, 5, [1])).Set(1, BadOrigin), Outcome.Withdrawn);
        list.Attributes("7606-3h", "three attributes to be discarded", CaseList.Outside, static set => set.Add(Octets.Attr(0x40, 6, [1])).Add(Octets.Attr(0xC0, 7, [1])).Add(Octets.Attr(0x80, 9, [1])), Outcome.Kept,
            static (client, _) => Assert.That(client.Has(6) || client.Has(7) || client.Has(9), Is.False));
    }

    /// <summary>RFC 7606 section 3 (g): the first of several counts, whatever the others hold.</summary>
    private static void Repeated(CaseList list)
    {
        list.Attributes("7606-3g", "AS_PATH twice, the second with our AS", s_two, static set => set.Add(PathOf(set, Octets.Segment(2, true, Dut.Asn))), Outcome.Kept);
        list.Attributes("7606-3g", "AS_PATH twice, the first with our AS", s_two, static set => set.First(PathOf(set, Octets.Segment(2, true, Dut.Asn))), Outcome.Withdrawn);
        list.Attributes("7606-3g", "NEXT_HOP twice, the second of 1 octet", s_two, static set => set.Add(Octets.Attr(0x40, 3, [1])), Outcome.Kept, static (client, _) => Assert.That(Convert.ToHexString(client.NextHop), Is.EqualTo("0A090001")));
        list.Attributes("7606-3g", "NEXT_HOP twice, the second with wrong flags", s_two, static set => set.Add(Octets.Attr(0xC0, 3, [10, 9, 0, 2])), Outcome.Kept);
        list.Attributes("7606-3g", "AGGREGATOR twice, the first malformed", s_two, static set => set.Add(Octets.Attr(0xC0, 7, [1])).Add(Octets.Attr(0xC0, 7, Octets.Hex("0000fde80a000009"))), Outcome.Kept, static (client, _) => Assert.That(client.Has(7), Is.False));
        list.Attributes("7606-3g", "unknown attribute twice, and with other flags", s_two, static set => set.Add(Octets.Attr(0xC0, 99, [1])).Add(Octets.Attr(0x40, 99, [2])), Outcome.Kept, static (client, _) => Assert.That(client[99], Is.EqualTo("01")));
        list.Attributes("7606-3g", "LOCAL_PREF twice", s_client, static set => set.Add(Octets.Attr(0x40, 5, Octets.U32(7))), Outcome.Kept, static (client, _) => Assert.That(client[5], Is.EqualTo("00000064")));
    }

    private static void Paths(CaseList list)
    {
        void Good(string row, string name, byte[][] more, string? ends = null) => list.Attributes(row, "AS_PATH " + name, s_two, set => set.Set(2, PathOf(set, more)), Outcome.Kept,
            (client, outside) =>
            {
                if (ends is not null)
                {
                    Assert.That(client[2], Does.EndWith(ends));
                    Assert.That(outside[2], Does.EndWith(ends));
                }
            });
        Good("6793-4", "with AS_TRANS", [Octets.Segment(2, true, 23456, 65300)], "00005BA00000FF14");
        Good("7300-2", "with the last AS numbers of both sizes", [Octets.Segment(2, true, 65535, uint.MaxValue)], "0000FFFFFFFFFFFF");
        Good("4271-4.3", "of a hundred segments of one AS", [.. Enumerable.Range(0, 100).Select(static i => Octets.Segment(2, true, 65300u + (uint)i))]);
        Good("4271-4.3", "with a set of 255", [[1, 255], .. Enumerable.Range(0, 255).Select(static i => Octets.U32(70000u + (uint)i))]);
        Good("4271-4.3", "with sets and sequences in turn", [Octets.Segment(1, true, 65301), Octets.Segment(2, true, 65302), Octets.Segment(1, true, 65303)], "01010000FF15" + "02010000FF16" + "01010000FF17");
        list.Attributes("7606-7.2", "AS_PATH whose count is one too small", s_two, static set => set.Set(2, Octets.Attr(0x40, 2, [2, 1], Octets.U32(First(set)), Octets.U32(65300))), Outcome.Withdrawn);
        list.Attributes("7606-7.2", "AS_PATH with 2-octet AS numbers from a neighbour with 4-octet ones", s_two, static set => set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, false, First(set)))), Outcome.Withdrawn);
        list.Attributes("7606-7.2", "AS_PATH of zeros", s_two, static set => set.Set(2, Octets.Attr(0x40, 2, Octets.Zeros(6))), Outcome.Withdrawn);
        list.Attributes("4271-4.3", "AS_PATH that begins with a set, from inside", s_client, static set => set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(1, true, 65100, 65101))), Outcome.Kept,
            static (_, outside) => Assert.That(outside[2], Is.EqualTo("02010000FC00" + "01020000FE4C0000FE4D"), "our AS in a sequence of its own in front"));
        list.Attributes("4456-8", "CLUSTER_LIST of 200, ours in the middle", s_client, static set => set.Add(Octets.Attr(0x80, 10, Octets.Repeat(Octets.U32(0x01010101), 100), Octets.U32(Dut.ClusterId), Octets.Repeat(Octets.U32(0x01010101), 99))), Outcome.Withdrawn);
        list.Attributes("4456-8", "CLUSTER_LIST of 200", s_client, static set => set.Add(Octets.Attr(0x80, 10, Octets.Repeat(Octets.U32(0x01010101), 200))), Outcome.Kept, static (client, outside) =>
        {
            Assert.That(client[10], Is.EqualTo("0A0000C8" + string.Concat(Enumerable.Repeat("01010101", 200))));
            Assert.That(outside.Has(10), Is.False);
        });
    }

    private static void TwoOctetPaths(CaseList list)
    {
        Identity[] from = CaseList.TwoOctets;
        static byte[] Narrow(RouteSet set, params uint[] more) => Octets.Attr(0x40, 2, Octets.Segment(2, false, [First(set), .. more]));
        static byte[] Wide(params byte[][] segments) => Octets.Attr(0xC0, 17, segments);
        static string Hex(RouteSet set) => $"{First(set):X8}";
        void Merged(string row, string name, Func<RouteSet, RouteSet> spoil, Func<RouteSet, string> expected)
        {
            foreach (Identity who in from)
            {
                string path = expected(RouteSet.For(who));
                list.Attributes(row, name, [who], spoil, Outcome.Kept, (client, _) => Assert.That(client[2], Is.EqualTo(path)));
            }
        }

        const uint big = 4200000009;
        Merged("6793-4.2.3", "AS4_PATH shorter than AS_PATH", set => set.Set(2, Narrow(set, 65301, 23456)).Add(Wide(Octets.Segment(2, true, big))), set => "0203" + Hex(set) + "0000FF15" + "FA56EA09");
        Merged("6793-4.2.3", "AS4_PATH as long as AS_PATH", set => set.Set(2, Narrow(set, 23456)).Add(Wide(Octets.Segment(2, true, First(set), big))), set => "0202" + Hex(set) + "FA56EA09");
        Merged("6793-4.2.3", "AS4_PATH with a set, which counts as one", set => set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, false, First(set)), Octets.Segment(1, false, 23456, 23456))).Add(Wide(Octets.Segment(1, true, big, big + 1))),
            set => "0201" + Hex(set) + "0102" + "FA56EA09FA56EA0A");
        Merged("6793-6", "AS4_PATH with confederation segments", set => set.Set(2, Narrow(set, 23456)).Add(Wide(Octets.Segment(3, true, 65401, 65402), Octets.Segment(2, true, big), Octets.Segment(4, true, 65403))), set => "0202" + Hex(set) + "FA56EA09");
        Merged("6793-6", "AS4_PATH of confederation segments alone", set => set.Set(2, Narrow(set, 23456)).Add(Wide(Octets.Segment(3, true, 65401))), set => "0202" + Hex(set) + "00005BA0");
        Merged("7606-3g", "AS4_PATH twice", set => set.Set(2, Narrow(set, 23456)).Add(Wide(Octets.Segment(2, true, big))).Add(Wide(Octets.Segment(2, true, 65303))), set => "0202" + Hex(set) + "FA56EA09");
        Merged("6793-4.2.3", "AS4_PATH beside an AGGREGATOR without AS4_AGGREGATOR", set => set.Set(2, Narrow(set, 23456)).Add(Octets.Attr(0xC0, 7, Octets.U16(65300), [10, 0, 0, 9])).Add(Wide(Octets.Segment(2, true, big))), set => "0202" + Hex(set) + "FA56EA09");
        Merged("6793-4.2.3", "AS_TRANS without AS4_PATH", set => set.Set(2, Narrow(set, 23456, 23456)), set => "0203" + Hex(set) + "00005BA000005BA0");
        list.Attributes("6793-4.2.3", "AS4_AGGREGATOR without AGGREGATOR", from, static set => set.Add(Octets.Attr(0xC0, 18, Octets.U32(big), [10, 0, 0, 9])), Outcome.Kept, static (client, outside) => Assert.That(client.Has(7) || client.Has(18) || outside.Has(7), Is.False));
        list.Attributes("6793-4.2.3", "AGGREGATOR with AS_TRANS alone", from, static set => set.Add(Octets.Attr(0xC0, 7, Octets.U16(23456), [10, 0, 0, 9])), Outcome.Kept, static (client, _) => Assert.That(client[7], Is.EqualTo("00005BA00A000009")));
        list.Attributes("7606-7.7", "malformed AGGREGATOR beside a sound AS4_AGGREGATOR", from, static set => set.Add(Octets.Attr(0xC0, 7, [1])).Add(Octets.Attr(0xC0, 18, Octets.U32(big), [10, 0, 0, 9])), Outcome.Kept, static (client, _) => Assert.That(client.Has(18), Is.False));
        list.Attributes("4271-9.1.2", "our AS in AS4_PATH", from, set => set.Set(2, Narrow(set, 23456)).Add(Wide(Octets.Segment(2, true, Dut.Asn))), Outcome.Withdrawn);
        list.Attributes("6793-4.2.3", "our AS in an AS4_PATH that is ignored", from, set => set.Add(Wide(Octets.Segment(2, true, Dut.Asn, big, big))), Outcome.Kept);
        foreach (byte flags in (byte[])[0x00, 0x40, 0x80])
        {
            list.Attributes("7606-3c", $"AS4_PATH with flags {flags:x2}", from, set => set.Set(2, Narrow(set, 23456)).Add(Octets.Attr(flags, 17, Octets.Segment(2, true, big))), Outcome.Withdrawn);
            list.Attributes("7606-3c", $"AS4_AGGREGATOR with flags {flags:x2}", from, set => set.Add(Octets.Attr(flags, 18, Octets.U32(big), [10, 0, 0, 9])), Outcome.Withdrawn);
        }
    }

    private static void Identifiers(CaseList list)
    {
        Identity[] from = [Dut.ManyPaths];
        byte[] Id(uint id, byte[] prefix) => Octets.Join(Octets.U32(id), prefix);
        byte[] Announce(RouteSet set, params byte[][] nlri) => Octets.Update([], set.Attributes, Octets.Join(nlri));
        list.Messages("7911-3", "one prefix with two path identifiers, one withdrawn", from, set => [Announce(set, Id(0, Target), Id(uint.MaxValue, Target)), Octets.Update(Id(0, Target), [], []), Octets.Update(Id(1, Target), [], []), Announce(set, Id(1, Target)), Octets.Update(Id(uint.MaxValue, Target), [], [])], Outcome.Kept);
        list.Messages("4271-4.3", "one path withdrawn and announced at once", from, set => [Octets.Update(Id(1, Target), set.Attributes, Id(1, Target))], Outcome.Kept);
        list.Messages("7911-3", "IPv6 withdrawn with its path identifier", from, _ => [Octets.Update([], Octets.MpUnreach(2, 1, Id(1, Target6)), [])], Outcome.Withdrawn, s_v6);
        list.Messages("7606-3", "ORIGIN malformed, IPv6 with path identifiers", from, set => [OnlyMp(set.Set(1, BadOrigin), Octets.MpReach(2, 1, NextHop6, Id(1, Target6)))], Outcome.Withdrawn, s_v6);
        list.Messages("7911-3", "IPv6 without path identifiers", from, set => [OnlyMp(set, Octets.MpReach(2, 1, NextHop6, Octets.Hex("4020010db800510000")))], Outcome.Reset, s_v6, 3, [1, 9, 10]);
        list.Messages("7911-3", "IPv6 withdrawn, cut inside a path identifier", from, static _ => [Octets.Update([], Octets.MpUnreach(2, 1, [0, 0, 0]), [])], Outcome.Reset, s_v6, 3, [1, 9, 10]);
        list.Messages("7911-3", "Withdrawn Routes that end after a path identifier", from, static _ => [Octets.Update([0, 0, 0, 1], [], [])], Outcome.Reset, null, 3, [1, 10]);
        list.Messages("7911-3", "a path identifier before a prefix of 33 bits", from, set => [Announce(set, Octets.U32(1), [33, 10, 1, 2, 3, 4])], Outcome.Reset, null, 3, [1, 10]);
        list.Messages("7911-3", "path identifiers from a neighbour that did not agree on them", CaseList.Outside, static set => [Octets.Update([], set.Attributes, Octets.Join([0, 0, 0, 40], Target))], Outcome.Reset, null, 3, [1, 10]);
    }

    private static void Many(CaseList list)
    {
        list.Attributes("4271-5", "all unassigned codes at once", s_two, static set => set.Add(Octets.Join([.. Enumerable.Range(41, 80).Select(static code => Octets.Attr(0xC0, (byte)code, [(byte)code]))])), Outcome.Kept, static (client, outside) =>
        {
            for (int code = 41; code <= 120; code++)
            {
                Assert.That(client[(byte)code], Is.EqualTo($"{code:X2}"));
                Assert.That(outside[(byte)code], Is.EqualTo($"{code:X2}"));
            }
        });
        list.Attributes("7606-3g", "the same empty unknown attribute a thousand times", s_two, static set => set.Add(Octets.Repeat(Octets.Attr(0xC0, 99), 1000)), Outcome.Kept, static (client, _) => Assert.That(client[99], Is.EqualTo("")));
        list.Attributes("7606-3g", "ORIGIN nine hundred times, the last malformed", s_two, static set => set.Add(Octets.Repeat(Octets.Attr(0x40, 1, [1]), 900)).Add(BadOrigin), Outcome.Kept, static (client, _) => Assert.That(client[1], Is.EqualTo("00")));
        list.Messages("4271-4.3", "nine hundred times the same prefix", s_two, static set => [Octets.Update([], set.Attributes, Octets.Repeat(Octets.Prefix(UpdateCase.V4), 900))], Outcome.Kept);
        list.Messages("4271-9", "four thousand default routes withdrawn", s_two, static _ => [Octets.Update(Octets.Zeros(4000), [], [])], Outcome.Unchanged);
    }
}
