namespace Bgp.Interop.Tests.Conformance;

/// <summary>Known attributes with wrong flags, lengths and contents (RFC 7606 section 7 and the RFC of each).</summary>
internal static class AttributeCases
{
    private const uint Foreign = 65200;

    /// <summary>Code, name, flags by definition, a sound value.</summary>
    private static readonly (byte Code, string Name, byte Flags, byte[] Value)[] s_known =
    [
        (1, "ORIGIN", 0x40, [0]),
        (2, "AS_PATH", 0x40, []),
        (3, "NEXT_HOP", 0x40, [10, 9, 0, 1]),
        (4, "MULTI_EXIT_DISC", 0x80, [0, 0, 0, 5]),
        (5, "LOCAL_PREF", 0x40, [0, 0, 0, 200]),
        (6, "ATOMIC_AGGREGATE", 0x40, []),
        (7, "AGGREGATOR", 0xC0, [0, 0, 0xFD, 0xE8, 10, 0, 0, 9]),
        (8, "COMMUNITIES", 0xC0, [0xFD, 0xE8, 0, 2]),
        (9, "ORIGINATOR_ID", 0x80, [10, 0, 0, 9]),
        (10, "CLUSTER_LIST", 0x80, [10, 0, 0, 10]),
        (16, "EXTENDED COMMUNITIES", 0xC0, [0, 2, 0xFD, 0xE8, 0, 0, 0, 1]),
        (32, "LARGE COMMUNITIES", 0xC0, [0, 0, 0xFD, 0xE8, 0, 0, 0, 1, 0, 0, 0, 2]),
    ];

    internal static List<UpdateCase> Build()
    {
        CaseList list = new();
        Flags(list);
        Lengths(list);
        Presence(list);
        Path(list);
        TwoOctetPaths(list);
        Values(list);
        return list.Cases;
    }

    private static byte[] Sound(RouteSet set, byte code, byte[] value) => code == 2 ? Octets.Segment(2, set.Who.As4, set.Who.IsInternal ? 65100 : set.Who.Asn) : value;

    private static bool IsInternalOnly(byte code) => code is 5 or 9 or 10;

    private static void Flags(CaseList list)
    {
        foreach ((byte code, string name, byte flags, byte[] value) in s_known)
        {
            foreach (byte wrong in (byte[])[0x00, 0x40, 0x80, 0xC0])
            {
                if (wrong == flags)
                {
                    continue;
                }

                RouteSet Spoil(RouteSet set) => set.Set(code, Octets.Attr(wrong, code, Sound(set, code, value)));
                string title = $"{name} with flags {wrong:x2}";
                if (IsInternalOnly(code))
                {
                    list.Internal("7606-3c", title, Spoil, code);
                }
                else
                {
                    list.Attributes("7606-3c", title, CaseList.All, Spoil, Outcome.Withdrawn);
                }
            }

            // RFC 4271 section 4.3: the lower four bits are ignored, and Extended Length may be used for short values.
            list.Attributes("4271-4.3", $"{name} with the unused flag bits set", CaseList.Inside, set => set.Set(code, Octets.Attr((byte)(flags | 0x0F), code, Sound(set, code, value))), Outcome.Kept);
            list.Attributes("4271-4.3", $"{name} with Extended Length", CaseList.Inside, set => set.Set(code, Octets.Attr((byte)(flags | 0x10), code, Sound(set, code, value))), Outcome.Kept);
        }
    }

    private static void Lengths(CaseList list)
    {
        (byte Code, int[] Wrong, Outcome Outcome)[] rows =
        [
            (1, [0, 2, 4, 255], Outcome.Withdrawn),
            (3, [0, 1, 3, 5, 8, 16], Outcome.Withdrawn),
            (4, [0, 1, 3, 5, 8], Outcome.Withdrawn),
            (5, [0, 1, 3, 5, 8], Outcome.Withdrawn),
            (6, [1, 4, 300], Outcome.Kept),
            (7, [0, 1, 4, 6, 7, 9, 12], Outcome.Kept),
            (8, [0, 1, 2, 3, 5, 6, 7, 301], Outcome.Withdrawn),
            (9, [0, 1, 3, 5, 8], Outcome.Withdrawn),
            (10, [0, 1, 2, 3, 5, 7], Outcome.Withdrawn),
            (16, [0, 1, 4, 7, 9, 12, 15], Outcome.Withdrawn),
            (32, [0, 1, 4, 8, 11, 13, 20, 301], Outcome.Withdrawn),
        ];
        foreach ((byte code, int[] wrong, Outcome outcome) in rows)
        {
            (_, string name, byte flags, _) = Array.Find(s_known, known => known.Code == code);
            foreach (int length in wrong)
            {
                RouteSet Spoil(RouteSet set) => set.Set(code, Octets.Attr(flags, code, Octets.Repeat([1], length)));
                string title = $"{name} of {length} octets";
                if (IsInternalOnly(code))
                {
                    list.Internal("7606-7", title, Spoil, code);
                }
                else
                {
                    list.Attributes("7606-7", title, CaseList.All, Spoil, outcome, outcome == Outcome.Kept ? (client, outside) =>
                    {
                        Assert.That(client.Has(code) || outside.Has(code), Is.False, $"attribute {code} is to be discarded");
                    }
                    : null);
                }
            }
        }

        list.Attributes("7606-7", "ATOMIC_AGGREGATE of 0 octets", CaseList.All, static set => set.Set(6, Octets.Attr(0x40, 6)), Outcome.Kept, static (client, outside) => Assert.That(client.Has(6) && outside.Has(6)));

        // OpenBGPD's old fault: the attribute after a malformed one is read from the wrong place.
        list.Attributes("7606-4", "COMMUNITIES of 1 octet before good attributes", CaseList.All, static set => set.First(Octets.Attr(0xC0, 8, [0])).Set(4, Octets.Attr(0x80, 4, Octets.U32(1))), Outcome.Withdrawn);
        list.Attributes("7606-4", "AGGREGATOR of 1 octet before good attributes", CaseList.All, static set => set.First(Octets.Attr(0xC0, 7, [0])).Set(4, Octets.Attr(0x80, 4, Octets.U32(7))), Outcome.Kept,
            static (client, _) => Assert.That(client[4], Is.EqualTo("00000007")));
    }

    private static void Presence(CaseList list)
    {
        list.Attributes("7606-3d", "no ORIGIN", CaseList.All, static set => set.Without(1), Outcome.Withdrawn);
        list.Attributes("7606-3d", "no AS_PATH", CaseList.All, static set => set.Without(2), Outcome.Withdrawn);
        list.Attributes("7606-3d", "no NEXT_HOP", CaseList.All, static set => set.Without(3), Outcome.Withdrawn);
        list.Attributes("7606-3d", "no attribute but NEXT_HOP", CaseList.All, static set => set.Without(1).Without(2).Without(5), Outcome.Withdrawn);
        list.Attributes("7606-3d", "no LOCAL_PREF", CaseList.Inside, static set => set.Without(5), Outcome.Survives);
        list.Messages("CVE-2023-41358", "NLRI without any attribute", CaseList.All, static _ => [Octets.Update([], [], Octets.Prefix(UpdateCase.V4))], Outcome.Withdrawn);
        list.Messages("CVE-2023-46753", "NLRI with an unknown attribute only", CaseList.All, static _ => [Octets.Update([], Octets.Attr(0xC0, 99, [1, 2]), Octets.Prefix(UpdateCase.V4))], Outcome.Withdrawn);
        list.Messages("7606-3d", "no NEXT_HOP beside MP_REACH_NLRI", CaseList.All, static set => [set.Announce(UpdateCase.V6)], Outcome.Kept, [UpdateCase.V6]);

        foreach ((byte code, string name, byte flags, byte[] value) in s_known)
        {
            list.Attributes("7606-3g", $"{name} twice", CaseList.Inside, set =>
            {
                byte[] octets = Octets.Attr(flags, code, Sound(set, code, value));
                return set.Set(code, octets).Add(octets);
            }, Outcome.Kept);
        }

        list.Attributes("7606-3g", "MULTI_EXIT_DISC twice: the first counts", CaseList.All, static set => set.Add(Octets.Attr(0x80, 4, Octets.U32(7))).Add(Octets.Attr(0x80, 4, Octets.U32(8))), Outcome.Kept,
            static (client, _) => Assert.That(client[4], Is.EqualTo("00000007")));
        list.Attributes("7606-3g", "ORIGIN twice, the second malformed", CaseList.All, static set => set.Add(Octets.Attr(0x40, 1, [9])), Outcome.Kept, static (client, _) => Assert.That(client[1], Is.EqualTo("00")));
        list.Attributes("7606-3g", "ORIGIN twice, the first malformed", CaseList.All, static set => set.First(Octets.Attr(0x40, 1, [9])), Outcome.Withdrawn);
        list.Attributes("7606-3g", "COMMUNITIES twice, the second of 1 octet", CaseList.All, static set => set.Add(Octets.Attr(0xC0, 8, Octets.U32(0xFDE80002))).Add(Octets.Attr(0xC0, 8, [1])), Outcome.Kept,
            static (client, _) => Assert.That(client[8], Is.EqualTo("FDE80002")));
        list.Attributes("7606-3h", "AGGREGATOR (discard) and ORIGIN (withdraw) malformed", CaseList.All, static set => set.Set(7, Octets.Attr(0xC0, 7, [1])).Set(1, Octets.Attr(0x40, 1, [7])), Outcome.Withdrawn);
        list.Messages("7606-3h", "ORIGIN (withdraw) malformed and MP_REACH_NLRI twice (reset)", CaseList.All, static set =>
        {
            byte[] reach = Octets.MpReach(2, 1, Octets.Address(RouteSet.NextHop6), Octets.Prefix(UpdateCase.V6));
            return [Octets.Update([], Octets.Join(set.Set(1, Octets.Attr(0x40, 1, [7])).Attributes, reach, reach), Octets.Prefix(UpdateCase.V4))];
        }, Outcome.Reset, [UpdateCase.V4, UpdateCase.V6], 3, [1]);
        list.Attributes("7606-3h", "every attribute malformed at once", CaseList.All, static set =>
            set.Set(1, Octets.Attr(0, 1, [7, 7])).Set(2, Octets.Attr(0x40, 2, [9])).Set(3, Octets.Attr(0x40, 3, [1])).Set(5, Octets.Attr(0x80, 5)).Set(4, Octets.Attr(0x80, 4)).Set(7, Octets.Attr(0xC0, 7)).Set(8, Octets.Attr(0xC0, 8, [1])),
            Outcome.Withdrawn);
    }

    private static void Path(CaseList list)
    {
        void Malformed(string name, byte[] value, string row = "7606-7.2") =>
            list.Attributes(row, "AS_PATH " + name, CaseList.All, set => set.Set(2, Octets.Attr(0x40, 2, value)), Outcome.Withdrawn);

        void MalformedTail(string name, byte[] tail, string row = "7606-7.2") =>
            list.Attributes(row, "AS_PATH " + name, CaseList.All, set => set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, true, set.Who.IsInternal ? 65100 : set.Who.Asn), tail)), Outcome.Withdrawn);

        Malformed("of 1 octet", [2]);
        Malformed("with an empty first segment", [2, 0]);
        Malformed("with a count beyond its end", [2, 200, 0, 0, 0xFD, 0xE8]);
        MalformedTail("with a segment of type 0", [0, 1, 0, 0, 0xFD, 0xE8]);
        MalformedTail("with a segment of type 5", [5, 1, 0, 0, 0xFD, 0xE8]);
        MalformedTail("with a segment of type 255", [255, 1, 0, 0, 0xFD, 0xE8]);
        MalformedTail("with an empty second segment", [2, 0]);
        MalformedTail("with an empty AS_SET", [1, 0]);
        MalformedTail("with one octet left over", [2]);
        MalformedTail("whose second segment is cut in an AS number", [2, 1, 0, 0, 0xFD]);
        MalformedTail("whose second segment overruns by one AS number", [2, 2, 0, 0, 0xFD, 0xE8]);
        MalformedTail("with AS 0 in a sequence", [2, 2, 0, 0, 0xFD, 0xE8, 0, 0, 0, 0], "7607-2");
        MalformedTail("with AS 0 in a set", [1, 1, 0, 0, 0, 0], "7607-2");
        Malformed("that begins with AS 0", [2, 2, 0, 0, 0, 0, 0, 0, 0xFD, 0xE8], "7607-2");
        MalformedTail("with AS_CONFED_SEQUENCE", [3, 1, 0, 0, 0xFD, 0xE8], "5065-5");
        MalformedTail("with AS_CONFED_SET", [4, 1, 0, 0, 0xFD, 0xE8], "5065-5");
        Malformed("that begins with AS_CONFED_SEQUENCE", [3, 1, 0, 0, 0xFD, 0xE8], "5065-5");

        list.Attributes("4271-5.1.2", "AS_PATH of 0 octets", CaseList.Inside, static set => set.Set(2, Octets.Attr(0x40, 2)), Outcome.Kept);
        list.Attributes("4271-6.3", "AS_PATH of 0 octets", CaseList.Outside, static set => set.Set(2, Octets.Attr(0x40, 2)), Outcome.Withdrawn);
        list.Attributes("4271-6.3", "AS_PATH with another first AS", CaseList.Outside, static set => set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, true, Foreign, set.Who.Asn))), Outcome.Withdrawn);
        list.Attributes("4271-6.3", "AS_PATH that begins with an AS_SET", CaseList.Outside, static set => set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(1, true, set.Who.Asn))), Outcome.Withdrawn);
        list.Attributes("4271-9.1.2", "AS_PATH with our AS", CaseList.All, static set => set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, true, set.Who.IsInternal ? 65100 : set.Who.Asn, Dut.Asn, Foreign))), Outcome.Withdrawn);
        list.Attributes("4271-9.1.2", "AS_PATH with our AS in a set", CaseList.All, static set => set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, true, set.Who.IsInternal ? 65100 : set.Who.Asn), Octets.Segment(1, true, Dut.Asn, Foreign))), Outcome.Withdrawn);
        list.Attributes("4271-4.3", "AS_PATH with a set", CaseList.All, static set => set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, true, set.Who.IsInternal ? 65100 : set.Who.Asn), Octets.Segment(1, true, 65201, 65202))), Outcome.Kept);
        list.Attributes("4271-4.3", "AS_PATH of 510 ASes in two segments", CaseList.All, static set => set.Set(2, LongPath(set, 255, 255)), Outcome.Kept, static (client, outside) =>
        {
            Assert.That(client[2]!.Length, Is.EqualTo(2 * 2 * (2 + (4 * 255))), "inside it stays as it is");
            Assert.That(outside[2]!.Length, Is.EqualTo(2 * ((2 * (2 + (4 * 255))) + 2 + 4)), "outside it has one more, in a segment of its own");
        });
        list.Attributes("4271-4.3", "AS_PATH of 254 ASes", CaseList.All, static set => set.Set(2, LongPath(set, 254)), Outcome.Kept,
            static (_, outside) => Assert.That(outside[2]!, Does.StartWith("02FF" + "0000FC00"), "prepended into the first segment"));
        list.Attributes("6793-4", "AS_PATH with a 4-octet AS number", CaseList.All, static set => set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, true, set.Who.IsInternal ? 65100 : set.Who.Asn, 4200000001))), Outcome.Kept,
            static (client, _) => Assert.That(client[2], Does.EndWith("FA56EA01")));
        list.Attributes("6793-4.1", "AS4_PATH from a neighbour with 4-octet AS numbers", CaseList.All, static set => set.Add(Octets.Attr(0xC0, 17, Octets.Segment(2, true, Foreign))), Outcome.Kept,
            static (client, outside) => Assert.That(client.Has(17) || outside.Has(17) || client[2]!.EndsWith("0000FEB0", StringComparison.Ordinal), Is.False));
        list.Attributes("6793-4.1", "malformed AS4_PATH from a neighbour with 4-octet AS numbers", CaseList.All, static set => set.Add(Octets.Attr(0xC0, 17, [1])), Outcome.Kept);
        list.Attributes("6793-4.1", "AS4_AGGREGATOR from a neighbour with 4-octet AS numbers", CaseList.All, static set => set.Add(Octets.Attr(0xC0, 18, [1, 2])), Outcome.Kept, static (client, outside) => Assert.That(client.Has(18) || outside.Has(18), Is.False));
    }

    private static byte[] LongPath(RouteSet set, params int[] counts)
    {
        byte[] value = [];
        foreach (int count in counts)
        {
            uint[] asns = new uint[count];
            Array.Fill(asns, 65300u);
            asns[0] = value.Length == 0 && !set.Who.IsInternal ? set.Who.Asn : 65300u;
            value = Octets.Join(value, Octets.Segment(2, set.Who.As4, asns));
        }

        return Octets.Attr(0x40, 2, value);
    }

    private static void TwoOctetPaths(CaseList list)
    {
        Identity[] from = CaseList.TwoOctets;
        static uint First(RouteSet set) => set.Who.IsInternal ? 65100u : set.Who.Asn;
        static byte[] Narrow(RouteSet set, params uint[] more) => Octets.Attr(0x40, 2, Octets.Segment(2, false, [First(set), .. more]));
        void Broken(string name, byte[] attribute, byte code) => list.Attributes("6793-6", name, from, set => set.Set(2, Narrow(set, 23456)).Add(attribute), Outcome.Kept,
            (client, outside) => Assert.That(client.Has(code) || outside.Has(code), Is.False));

        Broken("AS4_PATH of 0 octets", Octets.Attr(0xC0, 17), 17);
        Broken("AS4_PATH of 1 octet", Octets.Attr(0xC0, 17, [1]), 17);
        Broken("AS4_PATH with a segment of type 9", Octets.Attr(0xC0, 17, Octets.Segment(9, true, Foreign)), 17);
        Broken("AS4_PATH with an empty segment", Octets.Attr(0xC0, 17, [2, 0]), 17);
        Broken("AS4_PATH that overruns", Octets.Attr(0xC0, 17, [2, 3, 0, 0, 0, 9]), 17);
        Broken("AS4_PATH with AS 0", Octets.Attr(0xC0, 17, Octets.Segment(2, true, 0)), 17);
        foreach (int length in (int[])[0, 1, 4, 6, 7, 9])
        {
            Broken($"AS4_AGGREGATOR of {length} octets", Octets.Attr(0xC0, 18, Octets.Repeat([1], length)), 18);
        }

        Broken("AS4_AGGREGATOR with AS 0", Octets.Attr(0xC0, 18, Octets.Zeros(4), [10, 0, 0, 9]), 18);
        list.Attributes("CVE-2026-41643", "malformed AS4_PATH before AS_PATH", from, static set => set.First(Octets.Attr(0xC0, 17, [1])), Outcome.Kept);
        list.Attributes("6793-4.2.3", "AS4_PATH is merged", from, static set => set.Set(2, Narrow(set, 23456)).Add(Octets.Attr(0xC0, 17, Octets.Segment(2, true, 4200000009))), Outcome.Kept,
            static (client, _) => Assert.That(client[2], Does.EndWith("FA56EA09")));
        list.Attributes("6793-4.2.3", "AS4_PATH longer than AS_PATH is ignored", from, static set => set.Add(Octets.Attr(0xC0, 17, Octets.Segment(2, true, 4200000009, 4200000008, 4200000007))), Outcome.Kept,
            static (client, _) => Assert.That(client[2], Does.Not.Contain("FA56EA")));
        list.Attributes("6793-4.2.3", "AS4_PATH is ignored where AGGREGATOR is not AS_TRANS", from,
            static set => set.Set(2, Narrow(set, 23456)).Add(Octets.Attr(0xC0, 7, Octets.U16(65300), [10, 0, 0, 9])).Add(Octets.Attr(0xC0, 17, Octets.Segment(2, true, 4200000009))).Add(Octets.Attr(0xC0, 18, Octets.U32(4200000009), [10, 0, 0, 9])), Outcome.Kept,
            static (client, _) =>
            {
                Assert.That(client[2], Does.Not.Contain("FA56EA"));
                Assert.That(client[7], Is.EqualTo("0000FF140A000009"));
            });
        list.Attributes("6793-4.2.3", "AS4_AGGREGATOR is merged", from, static set => set.Add(Octets.Attr(0xC0, 7, Octets.U16(23456), [10, 0, 0, 9])).Add(Octets.Attr(0xC0, 18, Octets.U32(4200000009), [10, 0, 0, 9])), Outcome.Kept,
            static (client, _) => Assert.That(client[7], Is.EqualTo("FA56EA090A000009")));
        list.Attributes("7606-7.7", "AGGREGATOR of 8 octets from a neighbour with 2-octet AS numbers", from, static set => set.Add(Octets.Attr(0xC0, 7, Octets.U32(65300), [10, 0, 0, 9])), Outcome.Kept, static (client, _) => Assert.That(client.Has(7), Is.False));
        list.Attributes("7607-2", "AS_PATH with AS 0", from, static set => set.Set(2, Narrow(set, 0)), Outcome.Withdrawn);
        list.Attributes("7606-7.2", "AS_PATH with 4-octet AS numbers from a neighbour with 2-octet ones", from, static set => set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, true, 65300))), Outcome.Withdrawn);
        list.Attributes("7606-7.2", "AS_PATH with an octet left over", from, static set => set.Set(2, Octets.Attr(0x40, 2, Octets.Segment(2, false, First(set)), [2])), Outcome.Withdrawn);
    }

    private static void Values(CaseList list)
    {
        foreach (byte value in (byte[])[3, 4, 127, 255])
        {
            list.Attributes("7606-7.1", $"ORIGIN {value}", CaseList.All, set => set.Set(1, Octets.Attr(0x40, 1, [value])), Outcome.Withdrawn);
        }

        foreach (byte value in (byte[])[0, 1, 2])
        {
            list.Attributes("4271-5.1.1", $"ORIGIN {value}", CaseList.Outside, set => set.Set(1, Octets.Attr(0x40, 1, [value])), Outcome.Kept, (client, _) => Assert.That(client[1], Is.EqualTo($"{value:X2}")));
        }

        foreach (string address in (string[])["0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"])
        {
            list.Attributes("4271-6.3", $"NEXT_HOP {address}", CaseList.All, set => set.Set(3, Octets.Attr(0x40, 3, Octets.Address(address))), Outcome.Withdrawn);
        }

        list.Attributes("4271-5.1.3", "NEXT_HOP is ours", CaseList.All, static set => set.Set(3, Octets.Attr(0x40, 3, Octets.Address("10.255.0.1"))), Outcome.Withdrawn);
        list.Attributes("4271-5.1.5", "LOCAL_PREF from outside", CaseList.Outside, static set => set.Set(5, Octets.Attr(0x40, 5, Octets.U32(4000))), Outcome.Kept, static (client, _) => Assert.That(client[5], Is.EqualTo("00000064")));
        list.Attributes("4271-5.1.5", "LOCAL_PREF 4294967295", CaseList.Inside, static set => set.Set(5, Octets.Attr(0x40, 5, Octets.U32(uint.MaxValue))), Outcome.Kept, static (client, _) => Assert.That(client[5], Is.EqualTo("FFFFFFFF")));
        list.Attributes("4271-5.1.5", "LOCAL_PREF 0", CaseList.Inside, static set => set.Set(5, Octets.Attr(0x40, 5, Octets.U32(0))), Outcome.Kept, static (client, _) => Assert.That(client[5], Is.EqualTo("00000000")));
        list.Attributes("4271-5.1.4", "MULTI_EXIT_DISC 4294967295", CaseList.All, static set => set.Add(Octets.Attr(0x80, 4, Octets.U32(uint.MaxValue))), Outcome.Kept, static (client, outside) =>
        {
            Assert.That(client[4], Is.EqualTo("FFFFFFFF"));
            Assert.That(outside.Has(4), Is.False, "from one AS to a third");
        });
        list.Attributes("7607-2", "AGGREGATOR with AS 0", CaseList.All, static set => set.Add(Octets.Attr(0xC0, 7, Octets.Zeros(4), [10, 0, 0, 9])), Outcome.Kept, static (client, outside) => Assert.That(client.Has(7) || outside.Has(7), Is.False));
        list.Attributes("4271-5.1.7", "AGGREGATOR", CaseList.All, static set => set.Add(Octets.Attr(0xC0, 7, Octets.U32(65300), [10, 0, 0, 9])), Outcome.Kept, static (client, outside) =>
        {
            Assert.That(client[7], Is.EqualTo("0000FF140A000009"));
            Assert.That(outside[7], Is.EqualTo("0000FF140A000009"));
        });
        list.Attributes("4456-8", "ORIGINATOR_ID is ours", CaseList.Inside, static set => set.Add(Octets.Attr(0x80, 9, Octets.U32(Dut.RouterId))), Outcome.Withdrawn);
        list.Attributes("4456-8", "CLUSTER_LIST with our id", CaseList.Inside, static set => set.Add(Octets.Attr(0x80, 10, Octets.U32(0x01010101), Octets.U32(Dut.ClusterId))), Outcome.Withdrawn);
        list.Attributes("4456-8", "ORIGINATOR_ID and CLUSTER_LIST of ours from outside", CaseList.Outside, static set => set.Add(Octets.Attr(0x80, 9, Octets.U32(Dut.RouterId))).Add(Octets.Attr(0x80, 10, Octets.U32(Dut.ClusterId))), Outcome.Kept,
            static (client, _) => Assert.That(client.Has(9) || client.Has(10), Is.False));
        list.Attributes("4456-8", "ORIGINATOR_ID 0.0.0.0", CaseList.Inside, static set => set.Add(Octets.Attr(0x80, 9, Octets.U32(0))), Outcome.Survives);
        list.Attributes("8092-5", "LARGE COMMUNITIES with one twice", CaseList.All, static set => set.Add(Octets.Attr(0xC0, 32, Octets.Repeat(Octets.Hex("0000FDE80000000100000002"), 2), Octets.Hex("0000FDE80000000100000003"))), Outcome.Kept,
            static (client, outside) =>
            {
                Assert.That(client[32], Is.EqualTo("0000FDE80000000100000002" + "0000FDE80000000100000003"));
                Assert.That(outside[32], Is.EqualTo(client[32]));
            });
        list.Attributes("4360-3", "EXTENDED COMMUNITIES of unknown types", CaseList.All, static set => set.Add(Octets.Attr(0xC0, 16, Octets.Hex("3FFF000000000001"), Octets.Hex("8800123412341234"))), Outcome.Kept,
            static (client, _) => Assert.That(client[16], Is.EqualTo("3FFF000000000001" + "8800123412341234")));
        list.Attributes("4360-6", "EXTENDED COMMUNITIES, one non-transitive", CaseList.All, static set => set.Add(Octets.Attr(0xC0, 16, Octets.Hex("4004000000000001"), Octets.Hex("0002FDE800000005"))), Outcome.Kept,
            static (_, outside) => Assert.That(outside[16], Is.EqualTo("0002FDE800000005"), "not across the border"));
        list.Attributes("1997", "COMMUNITIES with one twice and out of order", CaseList.All, static set => set.Add(Octets.Attr(0xC0, 8, Octets.Hex("FDE80009FDE80002FDE80009"))), Outcome.Kept, static (client, _) => Assert.That(client[8], Does.Contain("FDE80009").And.Contain("FDE80002")));
        list.Attributes("1997", "COMMUNITIES of reserved ranges", CaseList.All, static set => set.Add(Octets.Attr(0xC0, 8, Octets.Hex("00000000FFFFFFFF0000FFFF"))), Outcome.Kept);
    }
}
