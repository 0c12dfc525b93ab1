namespace Bgp.Interop.Tests.Conformance;

/// <summary>Capabilities in an OPEN: unknown, repeated, of wrong length, with wrong content (RFC 5492 and the RFC of each).</summary>
internal static class CapabilityCases
{
    private static readonly byte[] s_base = Octets.Join(Octets.Capability(1, 0, 1, 0, 1), Octets.Capability(1, 0, 2, 0, 1));

    internal static List<SessionCase> Build()
    {
        SessionCaseList list = new();
        Unknown(list);
        Vital(list);
        Refresh(list);
        Restart(list);
        Paths(list);
        return list.Cases;
    }

    private static byte[] Open(byte[] capabilities) => OpenCases.Raw(Dut.Opening, [(byte)(capabilities.Length + 2), 2, (byte)capabilities.Length, .. capabilities]);

    private static void Good(SessionCaseList list, string row, string name, params byte[][] capabilities) =>
        list.Lives(row, name, Dut.Opening, Stage.OpenSent, Open(Octets.Join(s_base, Octets.Join(capabilities))), "4", "6");

    private static void Bad(SessionCaseList list, string row, string name, params byte[][] capabilities) =>
        list.Notified(row, name, Dut.Opening, Stage.OpenSent, Open(Octets.Join(s_base, Octets.Join(capabilities))), 2, [0], null);

    private static void Unknown(SessionCaseList list)
    {
        foreach (byte code in (byte[])[0, 3, 4, 7, 8, 9, 63, 66, 67, 68, 72, 73, 74, 75, 76, 77, 78, 100, 128, 129, 130, 131, 184, 185, 238, 239, 255])
        {
            foreach (int length in (int[])[0, 1, 4, 200])
            {
                Good(list, "5492-3", $"capability {code} of {length} octets", Octets.Capability(code, Octets.Repeat([0xFF], length)));
            }
        }

        Good(list, "5492-3", "all unknown codes from 80 to 120", [.. Enumerable.Range(80, 41).Select(static code => Octets.Capability((byte)code))]);
        Good(list, "9234-4.1", "roles that contradict each other", Octets.Capability(9, 0), Octets.Capability(9, 3), Octets.Capability(9, 255));
        Good(list, "CVE-2023-41361", "software version whose inner length overruns", Octets.Hex("4b04ff616263"));
        Good(list, "CVE-2025-43971", "software version of inner length 0", Octets.Hex("4b0100"));
        Good(list, "FQDN", "host name whose inner length overruns", Octets.Hex("490440616263"));
        Good(list, "FQDN", "domain name whose inner length overruns", Octets.Hex("4905016140616 2".Replace(" ", "", StringComparison.Ordinal)));
        Good(list, "5291-5", "outbound route filter whose count overruns", Octets.Hex("0306000100ff0101"[..16]));
    }

    private static void Vital(SessionCaseList list)
    {
        foreach (int length in (int[])[0, 1, 3, 5, 8, 100])
        {
            Bad(list, "4760-8", $"multiprotocol capability of {length} octets", Octets.Capability(1, Octets.Zeros(length)));
            Bad(list, "6793-3", $"4-octet AS capability of {length} octets", Octets.Capability(65, Octets.Repeat([1], length)));
        }

        Bad(list, "6793-3", "4-octet AS capability of 2 octets", Octets.Capability(65, 0xFE, 0x10));
        Good(list, "4760-8", "multiprotocol capability with the reserved octet set", Octets.Capability(1, 0, 1, 0xFF, 1));
        Good(list, "5492-4", "the same multiprotocol capability twenty times", Octets.Repeat(Octets.Capability(1, 0, 2, 0, 1), 20));
        Good(list, "4760-8", "families that nobody knows", Octets.Capability(1, 0, 0, 0, 0), Octets.Capability(1, 0xFF, 0xFF, 0, 0xFF), Octets.Capability(1, 0, 1, 0, 128), Octets.Capability(1, 0, 25, 0, 70));
        Good(list, "5492-4", "the same 4-octet AS capability twice", Octets.Capability(65, Octets.U32(Dut.Opening.Asn)), Octets.Capability(65, Octets.U32(Dut.Opening.Asn)));
        list.Lives("4760-8", "IPv6 alone", Dut.Opening, Stage.OpenSent, Open(Octets.Capability(1, 0, 2, 0, 1)), "6");
        list.Lives("4760-8", "IPv4 alone", Dut.Opening, Stage.OpenSent, Open(Octets.Capability(1, 0, 1, 0, 1)), "4");
        list.Lives("4760-8", "no family in common", Dut.Opening, Stage.OpenSent, Open(Octets.Capability(1, 0, 25, 0, 70)));
        list.Lives("5492-3", "no multiprotocol capability", Dut.Opening, Stage.OpenSent, Open(Octets.Capability(2)), "4");
    }

    private static void Refresh(SessionCaseList list)
    {
        foreach ((byte code, string row, string name) in ((byte, string, string)[])[(2, "2918-2", "route refresh"), (70, "7313-3.1", "enhanced route refresh"), (6, "8654-3", "extended message"), (128, "2918", "old route refresh")])
        {
            foreach (int length in (int[])[0, 1, 4, 255 - 2 - 12 - 2])
            {
                Good(list, row, $"{name} capability of {length} octets", Octets.Capability(code, Octets.Zeros(length)));
            }

            Good(list, row, $"{name} capability three times", Octets.Repeat(Octets.Capability(code), 3));
        }
    }

    private static void Restart(SessionCaseList list)
    {
        foreach (int length in (int[])[0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 200])
        {
            Good(list, "4724-3", $"graceful restart capability of {length} octets", Octets.Capability(64, Octets.Repeat([0xFF], length)));
        }

        Good(list, "4724-3", "graceful restart capability twice", Octets.Capability(64, 0x80, 120, 0, 1, 1, 0x80), Octets.Capability(64, 0, 0));
        Good(list, "4724-3", "graceful restart of families that nobody knows", Octets.Capability(64, [0x40, 10, .. Octets.Repeat([0x40, 4, 71, 0x80], 50)]));
        Good(list, "4724-3", "graceful restart of one family, twice and differently", Octets.Capability(64, 0, 120, 0, 1, 1, 0x80, 0, 1, 1, 0));
        foreach (int length in (int[])[0, 1, 6, 7, 8, 14, 20])
        {
            Good(list, "9494-3", $"long-lived graceful restart capability of {length} octets", Octets.Capability(64, 0, 120, 0, 1, 1, 0), Octets.Capability(71, Octets.Repeat([1], length)));
        }

        Good(list, "CVE-2023-31489", "long-lived graceful restart cut", Octets.Hex("4706000101800000"));
        Good(list, "9494-4.1", "long-lived graceful restart without graceful restart", Octets.Hex("470700010180000e10"));
    }

    private static void Paths(SessionCaseList list)
    {
        foreach (int length in (int[])[0, 1, 2, 3, 5, 6, 7, 200])
        {
            Good(list, "7911-4", $"ADD-PATH capability of {length} octets", Octets.Capability(69, Octets.Repeat([1], length)));
        }

        foreach (byte mode in (byte[])[0, 1, 2, 3, 4, 127, 255])
        {
            Good(list, "7911-4", $"ADD-PATH capability with direction {mode}", Octets.Capability(69, 0, 1, 1, mode, 0, 2, 1, mode));
        }

        Good(list, "7911-4", "ADD-PATH of a family that was not offered", Octets.Capability(69, 0, 25, 70, 3, 0, 0, 0, 3));
        foreach (int length in (int[])[0, 1, 5, 6, 7, 12, 13])
        {
            Good(list, "8950-4", $"extended next hop capability of {length} octets", Octets.Capability(5, Octets.Repeat([1], length)));
        }

        Good(list, "8950-4", "extended next hop of odd families", Octets.Capability(5, 0, 1, 0, 1, 0, 1, 0, 2, 0, 1, 0, 1, 0, 1, 0, 128, 0, 2));
    }
}
