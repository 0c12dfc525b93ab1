namespace Bgp.Interop.Tests.Conformance;

/// <summary>Attributes that the daemon does not know, or need not: the ones that took routers of others down on their way through the Internet.</summary>
internal static class UnknownAttributeCases
{
    /// <summary>Assigned by IANA to optional attributes; the daemon implements none of these.</summary>
    private static readonly byte[] s_assigned = [11, 12, 13, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 33, 34, 35, 36, 37, 38, 39, 40, 128, 129];

    private static readonly (string Name, byte[] Value)[] s_contents =
    [
        ("nothing", []),
        ("one zero", [0]),
        ("five octets of ff", [0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("a TLV that overruns", [0, 5, 0xFF, 0xFF, 0]),
        ("300 zeros", new byte[300]),
    ];

    internal static List<UpdateCase> Build()
    {
        CaseList list = new();
        Identity[] two = [Dut.External, Dut.Client];
        foreach (byte code in s_assigned)
        {
            foreach ((string name, byte[] value) in s_contents)
            {
                foreach (byte flags in (byte[])[0xC0, 0x80])
                {
                    list.Attributes("7606", $"attribute {code} flags {flags:x2} with {name}", two, set => set.Add(Octets.Attr(flags, code, value)), Outcome.Survives);
                }
            }

            // With the Optional bit off they have wrong flags or are unrecognized: withdraw and reset are both defensible for the second, silence is not.
            list.Attributes("7606-3c", $"attribute {code} flags 40", two, set => set.Add(Octets.Attr(0x40, code, [1])), Outcome.Withdrawn);
        }

        foreach (byte code in (byte[])[41, 99, 127, 200, 250, 254, 255])
        {
            foreach (int length in (int[])[0, 1, 255, 256, 1000])
            {
                byte[] value = Octets.Repeat([0xAB], length);
                string expected = Convert.ToHexString(value);
                list.Attributes("4271-5", $"unknown transitive attribute {code} of {length} octets", CaseList.All, set => set.Add(Octets.Attr(0xC0, code, value)), Outcome.Kept, (client, outside) =>
                {
                    foreach (Route route in (Route[])[client, outside])
                    {
                        Assert.That(route[code], Is.EqualTo(expected), "passed on as it came");
                        Assert.That(route.Attributes[code].Flags & 0x20, Is.Not.Zero, "with the Partial bit");
                    }
                });
            }

            list.Attributes("4271-5", $"unknown transitive attribute {code} with Partial", CaseList.All, set => set.Add(Octets.Attr(0xE0, code, [1, 2])), Outcome.Kept, (client, _) => Assert.That(client.Attributes[code].Flags & 0x20, Is.Not.Zero));
            list.Attributes("4271-5", $"unknown non-transitive attribute {code}", CaseList.All, set => set.Add(Octets.Attr(0x80, code, [1, 2])), Outcome.Kept, (client, outside) => Assert.That(client.Has(code) || outside.Has(code), Is.False));
            list.Attributes("4271-6.3", $"unrecognized well-known attribute {code}", CaseList.All, set => set.Add(Octets.Attr(0x40, code, [1, 2])), Outcome.Reset, null, 2);
        }

        list.Attributes("4271-4.3", "attribute 0, optional transitive", CaseList.All, static set => set.Add(Octets.Attr(0xC0, 0, [1])), Outcome.Survives);
        list.Attributes("4271-4.3", "attribute 0, optional", CaseList.All, static set => set.Add(Octets.Attr(0x80, 0, [1])), Outcome.Survives);

        // Named incidents.
        void Incident(string row, string name, string hex) => list.Attributes(row, name, CaseList.All, set => set.Add(Octets.Hex(hex)), Outcome.Survives);
        Incident("VU#347067", "entropy label attribute, empty", "c01c00");
        Incident("VU#347067", "entropy label attribute", "c01c28" + new string('0', 80));
        Incident("CVE-2023-38802", "tunnel encapsulation TLV cut", "c017020001");
        Incident("CVE-2024-44070", "tunnel encapsulation TLV longer than the attribute", "c017050001ffff00");
        Incident("CVE-2023-31490", "prefix SID with a short SRv6 TLV", "c02807050003000100 00".Replace(" ", "", StringComparison.Ordinal));
        Incident("2025-05-20", "prefix SID of zeros", "c0280a00000000000000000000");
        Incident("FRR 22651", "prefix SID label index", "c0280a01000700000000000005");
        Incident("2025-10-24", "OTC of 1024 octets", "d0230400" + string.Concat(Enumerable.Repeat("0000fdfd", 256)));
        Incident("9234-5", "OTC of 3 octets", "c023030000fd");
        Incident("CVE-2023-41359", "AIGP of 1 octet", "801a0101");
        Incident("CVE-2023-41359", "AIGP TLV that overruns", "801a0301ffff");
        Incident("CVE-2026-37461", "IPv6 extended communities of 19 octets", "c01913" + new string('0', 38));
        Incident("7606", "attribute set with garbage", "c080 05 ffffffffff".Replace(" ", "", StringComparison.Ordinal));
        Incident("6514", "PMSI tunnel of 1 octet", "c0160100");
        return list.Cases;
    }
}
