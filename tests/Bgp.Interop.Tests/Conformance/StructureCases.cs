namespace Bgp.Interop.Tests.Conformance;

/// <summary>The frame of an UPDATE: lengths, prefix fields, multiprotocol attributes, several things at once.</summary>
internal static class StructureCases
{
    private static readonly string[] s_both = [UpdateCase.V4, UpdateCase.V6];

    internal static List<UpdateCase> Build()
    {
        CaseList list = new();
        Lengths(list);
        Overruns(list);
        Prefixes(list);
        Mixed(list);
        Multiprotocol(list);
        OtherFamilies(list);
        Sizes(list);
        Paths(list);
        return list.Cases;
    }

    private static byte[] Target => Octets.Prefix(UpdateCase.V4);

    private static byte[] Target6 => Octets.Prefix(UpdateCase.V6);

    private static byte[] Reach6(byte flags = 0x80) => Octets.MpReach(2, 1, Octets.Address(RouteSet.NextHop6), Target6, flags);

    private static byte[] Raw(params byte[][] body) => Octets.Message(Octets.UpdateType, body);

    private static byte[] With(RouteSet set, params byte[][] more) => Octets.Update([], Octets.Join([set.Attributes, .. more]), Target);

    private static void Reset(CaseList list, string row, string name, Func<RouteSet, byte[]> make, params byte[] subcodes) =>
        list.Messages(row, name, CaseList.All, set => [make(set)], Outcome.Reset, null, 3, subcodes);

    private static void Lengths(CaseList list)
    {
        Reset(list, "4271-6.3", "Withdrawn Routes Length beyond the message", static _ => Raw([0xFF, 0xFF], [0, 0]), 1);
        Reset(list, "4271-6.3", "Withdrawn Routes Length beyond the message by one", static _ => Raw([0, 1], [0, 0]), 1);
        Reset(list, "4271-6.3", "Withdrawn Routes Length that leaves one octet for the attributes' length", static _ => Raw([0, 3], [8, 10, 0]), 1);
        Reset(list, "4271-6.3", "Total Path Attribute Length beyond the message", static _ => Raw([0, 0], [0xFF, 0xFF]), 1);
        Reset(list, "4271-6.3", "Total Path Attribute Length beyond the message by one", static set => Raw([0, 0], Octets.U16(set.Attributes.Length + 1), set.Attributes), 1);
        Reset(list, "4271-6.3", "both lengths together beyond the message", static set => Raw([0, 4], Target, Octets.U16(set.Attributes.Length + 5), set.Attributes), 1);
    }

    private static void Overruns(CaseList list)
    {
        list.Messages("7606-4", "last attribute overruns the attributes", CaseList.All, static set => [With(set, [0x80, 4, 5, 0, 0, 0, 1])], Outcome.Withdrawn);
        list.Messages("7606-4", "last attribute overruns into the NLRI by 255", CaseList.All, static set => [With(set, [0xC0, 8, 0xFF])], Outcome.Withdrawn);
        list.Messages("CVE-2017-15865", "last attribute claims 65535 octets", CaseList.All, static set => [With(set, [0xD0, 99, 0xFF, 0xFF])], Outcome.Withdrawn);
        list.Messages("7606-4", "one octet left over", CaseList.All, static set => [With(set, [0x40])], Outcome.Withdrawn);
        list.Messages("7606-4", "two octets left over", CaseList.All, static set => [With(set, [0x40, 6])], Outcome.Withdrawn);
        list.Messages("7606-4", "three octets left over of an extended attribute", CaseList.All, static set => [With(set, [0xD0, 99, 0])], Outcome.Withdrawn);
        list.Messages("7606-4", "a zero octet left over", CaseList.All, static set => [With(set, [0])], Outcome.Withdrawn);
        list.Messages("CVE-2026-37462", "Total Path Attribute Length one too small", CaseList.All, static set =>
        {
            // The last octet of the attributes is read as a prefix length: 0 or 100; what matters is that the target goes.
            byte[] attributes = set.Attributes;
            return [Raw([0, 0], Octets.U16(attributes.Length - 1), attributes, Target)];
        }, Outcome.Reset, null, 3, [1, 10]);
        list.Messages("7606-4", "attributes overrun beside a withdrawal of another prefix", CaseList.All, static set => [Octets.Update(Octets.Prefix("203.0.113.0/24"), Octets.Join(set.Attributes, [0x40]), Target)], Outcome.Withdrawn);
        Reset(list, "7606-5.2", "last attribute overruns, nothing announced", static _ => Octets.Update(Octets.Prefix("203.0.113.0/24"), [0x40, 1, 9, 0], []), 1);
        Reset(list, "7606-3j", "MP_REACH_NLRI overruns the attributes", static set => Octets.Update([], Octets.Join(set.Attributes, [0x80, 14, 200, 0, 2, 1]), Target));
        Reset(list, "7606-3j", "MP_UNREACH_NLRI overruns the attributes", static set => Octets.Update([], Octets.Join(set.Attributes, [0x80, 15, 200, 0, 2, 1]), Target));
    }

    private static void Prefixes(CaseList list)
    {
        foreach (byte bits in (byte[])[33, 64, 128, 255])
        {
            Reset(list, "7606-5.3", $"NLRI with a prefix of {bits} bits", set => Octets.Update([], set.Attributes, Octets.Join(Target, [bits], Octets.Zeros((bits + 7) / 8))), 10, 1);
            Reset(list, "7606-3i", $"Withdrawn Routes with a prefix of {bits} bits", set => Octets.Update(Octets.Join([bits], Octets.Zeros((bits + 7) / 8)), set.Attributes, Target), 10, 1);
        }

        Reset(list, "7606-5.3", "NLRI that end inside a prefix", static set => Octets.Update([], set.Attributes, Octets.Join(Target, [24, 10, 1])), 10, 1);
        Reset(list, "7606-5.3", "NLRI that end after a prefix length", static set => Octets.Update([], set.Attributes, Octets.Join(Target, [24])), 10, 1);
        Reset(list, "7606-3i", "Withdrawn Routes that end inside a prefix", static _ => Octets.Update([24, 10, 1], [], []), 10, 1);
        list.Messages("4271-4.3", "prefix with bits beyond its length", CaseList.All, static set => [Octets.Update([], set.Attributes, [20, 203, 0, 0x7F])], Outcome.Kept, ["203.0.112.0/20"]);
        foreach (string odd in (string[])["224.0.0.0/4", "239.1.1.1/32", "127.0.0.0/8", "240.0.0.0/4", "255.255.255.255/32", "169.254.0.0/16", "0.0.0.0/0", "0.0.0.0/8", "0.0.0.0/32", "198.51.100.0/31"])
        {
            list.Messages("4271-6.3", $"odd prefix {odd} beside a good one", CaseList.Outside, set => [Octets.Update([], set.Attributes, Octets.Join(Octets.Prefix(odd), Target)), set.Withdraw(odd)], Outcome.Kept);
        }

        foreach (string odd in (string[])["ff00::/8", "ff02::1/128", "fe80::/10", "::1/128", "::/0", "::/128", "::ffff:0.0.0.0/96"])
        {
            list.Messages("4760", $"odd prefix {odd} beside a good one", CaseList.Outside, set => [set.Announce(odd), set.Announce(UpdateCase.V6), set.Withdraw(odd)], Outcome.Kept, [UpdateCase.V6]);
        }

        list.Messages("4271-4.3", "prefix withdrawn and announced at once", CaseList.All, static set => [Octets.Update(Target, set.Attributes, Target)], Outcome.Kept);
        list.Messages("4271-4.3", "prefix announced twice at once", CaseList.All, static set => [Octets.Update([], set.Attributes, Octets.Join(Target, Target))], Outcome.Kept);
        list.Messages("4271-9", "withdrawal of what was never announced", CaseList.All, static set => [set.Withdraw("203.0.113.0/24"), set.Withdraw("2001:db8:dead::/48")], Outcome.Unchanged);
        list.Messages("4271-4.3", "withdrawal with attributes", CaseList.All, static set => [Octets.Update(Target, set.Attributes, [])], Outcome.Withdrawn);
        list.Messages("4271-4.3", "withdrawal of twice the same", CaseList.All, static _ => [Octets.Update(Octets.Join(Target, Target), [], [])], Outcome.Withdrawn);
    }

    private static void Mixed(CaseList list)
    {
        list.Messages("7606-5.1", "MP_REACH_NLRI first, and NLRI", CaseList.All, static set => [Octets.Update([], Octets.Join(Reach6(), set.Attributes), Target)], Outcome.Kept, s_both);
        list.Messages("7606-5.1", "MP_REACH_NLRI last, and NLRI", CaseList.All, static set => [With(set, Reach6())], Outcome.Kept, s_both);
        list.Messages("7606-5.1", "MP_REACH_NLRI in the middle, all four fields", CaseList.All, static set =>
            [Octets.Update(Octets.Prefix("203.0.113.0/24"), Octets.Join(Octets.Attr(0x40, 1, [0]), Reach6(), Octets.MpUnreach(2, 1, Octets.Prefix("2001:db8:dead::/48")), set.Without(1).Attributes), Target)], Outcome.Kept, s_both);
        list.Messages("7606-3", "ORIGIN malformed, both families announced", CaseList.All, static set => [With(set.Set(1, Octets.Attr(0x40, 1, [7])), Reach6())], Outcome.Withdrawn, s_both);
        list.Messages("7606-3", "ORIGIN malformed, one announced and the other withdrawn", CaseList.All, static set => [With(set.Set(1, Octets.Attr(0x40, 1, [7])), Octets.MpUnreach(2, 1, Target6))], Outcome.Withdrawn, s_both);
        list.Messages("7606-3", "ORIGIN malformed, IPv4 withdrawn and IPv6 announced", CaseList.All, static set => [Octets.Update(Target, Octets.Join(set.Set(1, Octets.Attr(0x40, 1, [7])).Attributes, Reach6()), [])], Outcome.Withdrawn, s_both);
        list.Messages("7606-3", "own AS in AS_PATH, both families announced", CaseList.All, static set =>
            [With(set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, true, set.Who.IsInternal ? 65100 : set.Who.Asn, Dut.Asn))), Reach6())], Outcome.Withdrawn, s_both);
        list.Messages("4271-4.3", "IPv6 withdrawn and announced at once", CaseList.All, static set => [Octets.Update([], Octets.Join(Octets.MpUnreach(2, 1, Target6), Reach6(), set.Without(3).Attributes), [])], Outcome.Kept, [UpdateCase.V6]);
        list.Messages("4271-4.3", "IPv6 announced and withdrawn at once, the other order", CaseList.All, static set => [Octets.Update([], Octets.Join(Reach6(), Octets.MpUnreach(2, 1, Target6), set.Without(3).Attributes), [])], Outcome.Kept, [UpdateCase.V6]);
        list.Messages("4760-3", "bad NEXT_HOP beside MP_REACH_NLRI alone", CaseList.All, static set => [Octets.Update([], Octets.Join(Reach6(), set.Set(3, Octets.Attr(0x40, 3, Octets.Zeros(4))).Attributes), [])], Outcome.Kept, [UpdateCase.V6]);
        list.Messages("7606-3g", "MP_REACH_NLRI twice", CaseList.All, static set => [Octets.Update([], Octets.Join(Reach6(), Reach6(), set.Attributes), [])], Outcome.Reset, [UpdateCase.V6], 3, [1]);
        list.Messages("7606-3g", "MP_UNREACH_NLRI twice", CaseList.All, static _ => [Octets.Update([], Octets.Join(Octets.MpUnreach(2, 1, Target6), Octets.MpUnreach(2, 1, Target6)), [])], Outcome.Reset, [UpdateCase.V6], 3, [1]);
        list.Messages("7606-3g", "MP_REACH_NLRI twice, the second of another family", CaseList.All, static set => [Octets.Update([], Octets.Join(Reach6(), Octets.MpReach(1, 133, [], []), set.Attributes), [])], Outcome.Reset, [UpdateCase.V6], 3, [1]);

        Reset(list, "7606-5.2", "ORIGIN malformed, nothing announced", static _ => Octets.Update(Target, Octets.Attr(0x40, 1, [7]), []));
        Reset(list, "7606-5.2", "ORIGIN malformed beside MP_UNREACH_NLRI", static _ => Octets.Update([], Octets.Join(Octets.MpUnreach(2, 1, Target6), Octets.Attr(0x40, 1, [7])), []));
        Reset(list, "CVE-2023-47235", "End-of-RIB with a malformed attribute", static _ => Octets.Update([], Octets.Join(Octets.MpUnreach(2, 1, []), Octets.Attr(0x40, 1, [7])), []));
        list.Messages("7606-5.2", "AGGREGATOR malformed (discard), nothing announced", CaseList.All, static _ => [Octets.Update(Target, Octets.Attr(0xC0, 7, [1]), [])], Outcome.Withdrawn);
        list.Messages("CVE-2023-47234", "MP_UNREACH_NLRI with an unknown attribute", CaseList.All, static _ => [Octets.Update([], Octets.Join(Octets.MpUnreach(2, 1, Target6), Octets.Attr(0xC0, 99, [0x78])), [])], Outcome.Withdrawn, [UpdateCase.V6]);
        list.Messages("4271-4.3", "attributes and nothing else", CaseList.All, static set => [Octets.Update([], set.Attributes, [])], Outcome.Unchanged);
        list.Messages("4724-2", "End-of-RIB in mid session, again and again", CaseList.All, static _ => [.. Enumerable.Repeat(Octets.Update([], [], []), 10), .. Enumerable.Repeat(Octets.Update([], Octets.MpUnreach(2, 1, []), []), 10)], Outcome.Unchanged, s_both);
        list.Messages("4724-2", "End-of-RIB of IPv4 as MP_UNREACH_NLRI", CaseList.All, static _ => [Octets.Update([], Octets.MpUnreach(1, 1, []), [])], Outcome.Unchanged, s_both);
    }

    private static void Multiprotocol(CaseList list)
    {
        byte[] nextHop = Octets.Address(RouteSet.NextHop6);
        void Bad(string row, string name, Func<RouteSet, byte[]> attribute) =>
            list.Messages(row, name, CaseList.All, set => [Octets.Update([], Octets.Join(attribute(set), set.Attributes), [])], Outcome.Reset, [UpdateCase.V6], 3, [1, 5, 8, 9, 10]);

        foreach (int length in (int[])[0, 1, 2, 3, 4])
        {
            Bad("7606-5.3", $"MP_REACH_NLRI of {length} octets", _ => Octets.Attr(0x80, 14, Octets.Hex("0002011000")[..length]));
        }

        foreach (int length in (int[])[0, 1, 2])
        {
            list.Messages("7606-5.3", $"MP_UNREACH_NLRI of {length} octets", CaseList.All, _ => [Octets.Update([], Octets.Attr(0x80, 15, Octets.Hex("000201")[..length]), [])], Outcome.Reset, [UpdateCase.V6], 3, [1, 5, 9, 10]);
        }

        foreach (int length in (int[])[0, 1, 4, 8, 12, 15, 17, 24, 31, 33, 48])
        {
            Bad("7606-7.11", $"MP_REACH_NLRI with a next hop of {length} octets", _ => Octets.MpReach(2, 1, Octets.Repeat([0x20], length), Target6));
        }

        Bad("7606-7.11", "MP_REACH_NLRI whose next hop overruns it", _ => Octets.Attr(0x80, 14, [0, 2, 1, 255], nextHop, [0], Target6));
        Bad("7606-7.11", "MP_REACH_NLRI that ends with the next hop", _ => Octets.Attr(0x80, 14, [0, 2, 1, 16], nextHop));
        foreach (byte bits in (byte[])[129, 200, 255])
        {
            Bad("7606-5.3", $"MP_REACH_NLRI with a prefix of {bits} bits", _ => Octets.MpReach(2, 1, nextHop, Octets.Join(Target6, [bits], Octets.Zeros((bits + 7) / 8))));
            list.Messages("7606-5.3", $"MP_UNREACH_NLRI with a prefix of {bits} bits", CaseList.All, _ => [Octets.Update([], Octets.MpUnreach(2, 1, Octets.Join([bits], Octets.Zeros((bits + 7) / 8))), [])], Outcome.Reset, [UpdateCase.V6], 3, [1, 5, 9, 10]);
        }

        Bad("7606-5.3", "MP_REACH_NLRI that ends inside a prefix", _ => Octets.MpReach(2, 1, nextHop, [48, 0x20, 1]));
        list.Messages("7606-5.3", "MP_UNREACH_NLRI that ends inside a prefix", CaseList.All, _ => [Octets.Update([], Octets.MpUnreach(2, 1, [48, 0x20, 1]), [])], Outcome.Reset, [UpdateCase.V6], 3, [1, 5, 9, 10]);

        foreach (byte flags in (byte[])[0x00, 0x40, 0xC0])
        {
            list.Messages("7606-3c", $"MP_REACH_NLRI with flags {flags:x2}", CaseList.All, set => [Octets.Update([], Octets.Join(Reach6(flags), set.Attributes), [])], Outcome.Withdrawn, [UpdateCase.V6]);
        }

        list.Messages("4760-3", "MP_REACH_NLRI with two next hops and the reserved octet set", CaseList.All,
            set => [Octets.Update([], Octets.Join(Octets.Attr(0x80, 14, [0, 2, 1, 32], nextHop, Octets.Address("fe80::1"), [0xFF], Target6), set.Without(3).Attributes), [])], Outcome.Kept, [UpdateCase.V6]);
        list.Messages("2545-3", "MP_REACH_NLRI with Extended Length", CaseList.All, set => [Octets.Update([], Octets.Join(Reach6(0x90), set.Without(3).Attributes), [])], Outcome.Kept, [UpdateCase.V6]);
        foreach (string bad in (string[])["::", "ff02::1", "::1"])
        {
            list.Messages("4760-3", $"MP_REACH_NLRI with next hop {bad}", CaseList.All, set => [Octets.Update([], Octets.Join(Octets.MpReach(2, 1, Octets.Address(bad), Target6), set.Without(3).Attributes), [])], Outcome.Withdrawn, [UpdateCase.V6]);
        }

        list.Messages("4271-5.1.3", "MP_REACH_NLRI with our next hop", CaseList.All, static set => [Octets.Update([], Octets.Join(Octets.MpReach(2, 1, Octets.Address("fd00:255::1"), Target6), set.Without(3).Attributes), [])], Outcome.Withdrawn, [UpdateCase.V6]);
        list.Messages("4760-3", "MP_REACH_NLRI without prefixes", CaseList.All, set => [Octets.Update([], Octets.Join(Octets.MpReach(2, 1, nextHop, []), set.Without(3).Attributes), [])], Outcome.Unchanged, [UpdateCase.V6]);
        list.Messages("4760-3", "IPv4 in MP_REACH_NLRI", CaseList.All, set => [Octets.Update([], Octets.Join(Octets.MpReach(1, 1, Octets.Address(RouteSet.NextHop4), Target), set.Without(3).Attributes), [])], Outcome.Kept);
        list.Messages("4760-3", "IPv4 in MP_UNREACH_NLRI", CaseList.All, static _ => [Octets.Update([], Octets.MpUnreach(1, 1, Target), [])], Outcome.Withdrawn);
        list.Messages("8950-4", "IPv4 in MP_REACH_NLRI with an IPv6 next hop, not negotiated", CaseList.All, set => [Octets.Update([], Octets.Join(Octets.MpReach(1, 1, nextHop, Target), set.Without(3).Attributes), [])], Outcome.Reset);
        list.Messages("4760-3", "IPv6 without mandatory attributes", CaseList.All, static _ => [Octets.Update([], Reach6(), [])], Outcome.Withdrawn, [UpdateCase.V6]);
    }

    private static void OtherFamilies(CaseList list)
    {
        (int Afi, byte Safi, string Name, string Reach)[] families =
        [
            (1, 2, "multicast", "04 0a090001 00 18c61201"),
            (1, 4, "labelled unicast, labels past the end", "04 0a090001 00 ff000000"),
            (1, 128, "VPN", "0c 000000000000000000000000 00 70000101"),
            (1, 133, "flow specification of length 0", "00 00 00"),
            (1, 133, "flow specification that overruns", "00 00 ffff01"),
            (2, 2, "IPv6 multicast", "10 20010db8000000000000000000000001 00 3020010db80051"),
            (25, 70, "EVPN", "04 0a090001 00 02ff"),
            (99, 1, "unassigned AFI", "04 0a090001 00 18c61201"),
            (16388, 71, "link state", "04 0a090001 00 0001ffff"),
            (0, 0, "AFI 0", "00 00"),
        ];
        foreach ((int afi, byte safi, string name, string hex) in families)
        {
            byte[] reach = Octets.Attr(0x80, 14, Octets.U16(afi), [safi], Octets.Hex(hex));
            list.Messages("4760-8", $"MP_REACH_NLRI of {afi}/{safi}, {name}", CaseList.All, set => [Octets.Update([], Octets.Join(reach, set.Attributes), [])], Outcome.Unchanged, s_both);
            list.Messages("4760-8", $"MP_REACH_NLRI of {afi}/{safi}, {name}, beside NLRI", CaseList.All, set => [Octets.Update([], Octets.Join(reach, set.Attributes), Target)], Outcome.Kept);
            list.Messages("CVE-2026-42285", $"MP_REACH_NLRI of {afi}/{safi}, {name}, with a malformed ORIGIN", CaseList.All, set => [Octets.Update([], Octets.Join(reach, set.Set(1, Octets.Attr(0x40, 1, [7])).Attributes), [])], Outcome.Unchanged, s_both);
            list.Messages("4760-8", $"MP_UNREACH_NLRI of {afi}/{safi}, {name}", CaseList.All, _ => [Octets.Update([], Octets.Attr(0x80, 15, Octets.U16(afi), [safi], [0xFF, 0xFF]), [])], Outcome.Unchanged, s_both);
        }
    }

    private static void Sizes(CaseList list)
    {
        list.Messages("4271-4.3", "UPDATE of exactly 4096 octets, all of it NLRI", CaseList.All, static set =>
        {
            int room = 4096 - 23 - set.Attributes.Length - 4;
            byte[] nlri = [.. Enumerable.Range(0, room / 5).SelectMany(static i => (byte[])[32, 172, 16, (byte)(i >> 8), (byte)i]), .. Octets.Repeat([0], room % 5)];
            byte[] whole = Octets.Update([], set.Attributes, Octets.Join(nlri, Target));
            Assert.That(whole, Has.Length.EqualTo(4096));
            return [whole, Octets.Update(nlri, [], [])];
        }, Outcome.Kept);
        foreach (Identity who in CaseList.Inside)
        {
            list.Cases.Add(new UpdateCase("quality", "attributes that no longer fit when they are reflected", who, static set =>
            {
                int room = 4096 - 23 - 4 - set.Attributes.Length - 4;
                byte[] communities = Octets.Attr(0xD0, 8, Octets.Repeat(Octets.U32(0xFDE80007), room / 4));
                return [Octets.Update([], Octets.Join(set.Attributes, communities), Target)];
            }, Outcome.Withdrawn)
            {
                InsideOnly = true,
            });
        }

        list.Messages("quality", "attributes that just fit", CaseList.All, static set =>
        {
            byte[] communities = Octets.Attr(0xD0, 8, [.. Enumerable.Range(0, 980).SelectMany(static i => Octets.U32(0xFDE90000u + (uint)i))]);
            return [Octets.Update([], Octets.Join(set.Attributes, communities), Target)];
        }, Outcome.Kept, check: static (client, outside) =>
        {
            Assert.That(client[8], Has.Length.EqualTo(980 * 8));
            Assert.That(outside[8], Is.EqualTo(client[8]));
        });
        list.Messages("CVE-2009", "AS_PATH grows past 255 octets and past 255 ASes", CaseList.Outside, static set =>
        {
            uint[] asns = new uint[255];
            Array.Fill(asns, set.Who.Asn);
            return [set.Set(2, Octets.Attr(0x50, 2, Octets.Segment(2, true, asns))).Announce(UpdateCase.V4)];
        }, Outcome.Kept, check: static (_, outside) => Assert.That(outside[2], Does.StartWith("02010000FC00" + "02FF")));
        list.Messages("4271-4", "every UPDATE cut into single octets", CaseList.All, static set => [.. set.Announce(UpdateCase.V4).Select(static octet => new byte[] { octet })], Outcome.Kept);
        list.Messages("4271-4", "a hundred UPDATEs in one segment", CaseList.All, set => [Octets.Join([.. Enumerable.Range(0, 99).Select(i => i % 2 == 0 ? set.Withdraw(UpdateCase.V4) : set.Announce(UpdateCase.V4)), set.Announce(UpdateCase.V4)])], Outcome.Kept);
    }

    private static void Paths(CaseList list)
    {
        Identity[] from = [Dut.ManyPaths];
        byte[] First(RouteSet set) => Octets.Update([], set.Attributes, set.Nlri(UpdateCase.V4));
        list.Messages("7911-3", "same prefix and path identifier replaces", from, set => [First(set)], Outcome.Kept);
        list.Messages("7911-3", "withdrawal of another path identifier", from, static _ => [Octets.Update(Octets.Join(Octets.U32(77), Target), [], [])], Outcome.Unchanged);
        list.Messages("7911-3", "withdrawal of the path identifier", from, static set => [set.Withdraw(UpdateCase.V4)], Outcome.Withdrawn);
        list.Messages("7911-3", "NLRI without path identifiers", from, static set => [Octets.Update([], set.Attributes, Target)], Outcome.Reset, null, 3, [1, 10]);
        list.Messages("7911-3", "NLRI that end inside a path identifier", from, static set => [Octets.Update([], set.Attributes, [0, 0])], Outcome.Reset, null, 3, [1, 10]);
        list.Messages("7606-3", "ORIGIN malformed with path identifiers", from, set => [First(set.Set(1, Octets.Attr(0x40, 1, [7])))], Outcome.Withdrawn);
    }
}
