namespace Bgp.Interop.Tests.Conformance;

/// <summary>
/// Headers (RFC 4271 sections 4.1 and 6.1). Every case is 19 octets and nothing more: what is wrong with a header must be said without waiting for a body that never comes.
/// </summary>
internal static class HeaderCases
{
    private static readonly (byte Type, string Name)[] s_types =
        [(Octets.Open, "OPEN"), (Octets.UpdateType, "UPDATE"), (Octets.Notification, "NOTIFICATION"), (Octets.Keepalive, "KEEPALIVE"), (Octets.RouteRefresh, "ROUTE-REFRESH")];

    internal static List<SessionCase> Build()
    {
        SessionCaseList list = new();
        foreach (Stage at in SessionCaseList.Stages)
        {
            Markers(list, at);
            Lengths(list, at);
            Types(list, at);
        }

        list.Notified("4271-6.1", "good KEEPALIVEs before a bad marker", Dut.Opening, Stage.Established, Octets.Join(Octets.Repeat(Octets.KeepaliveMessage, 3), Octets.Zeros(19)), 1, [1], "");
        list.Notified("4271-6.1", "a request in HTTP", Dut.Opening, Stage.OpenSent, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray(), 1, [1], "");
        list.Notified("4271-6.1", "a TLS client hello", Dut.Opening, Stage.OpenSent, Octets.Hex("16030100c8010000c40303000102030405060708090a0b"), 1, [1], "");
        list.Lives("4271-4.4", "a hundred KEEPALIVEs at once", Dut.Opening, Stage.Established, Octets.Repeat(Octets.KeepaliveMessage, 100));
        return list.Cases;
    }

    private static void Markers(SessionCaseList list, Stage at)
    {
        list.Notified("4271-6.1", "marker of zeros", Dut.Opening, at, Octets.Join(Octets.Zeros(16), [0, 19, 4]), 1, [1], "");
        for (int i = 0; i < 16; i++)
        {
            byte[] header = Octets.Header(19, Octets.Keepalive);
            header[i] = i % 2 == 0 ? (byte)0x7F : (byte)0xFE;
            list.Notified("4271-6.1", $"marker with one bit of octet {i} cleared", Dut.Opening, at, header, 1, [1], "");
        }

        list.Notified("4271-6.1", "header moved by one octet", Dut.Opening, at, Octets.Join(Octets.Repeat([0xFF], 15), Octets.U16(19), [4, 0xFF]), 1, [1], "");
        byte[] both = Octets.Header(3, 77);
        both[7] = 0;
        list.Notified("4271-6.1", "marker, length and type wrong", Dut.Opening, at, both, 1, [1], "");
    }

    private static void Lengths(SessionCaseList list, Stage at)
    {
        void Bad(byte type, string name, int length) =>
            list.Notified("4271-6.1", $"{name} of {length} octets", Dut.Opening, at, Octets.Header(length, type), 1, [2], $"{length:X4}");
        foreach ((byte type, string name) in s_types)
        {
            foreach (int length in (int[])[0, 1, 18, 4097, 32768, 65535])
            {
                Bad(type, name, length);
            }
        }

        foreach (int length in (int[])[19, 20, 28])
        {
            Bad(Octets.Open, "OPEN", length);
        }

        foreach (int length in (int[])[19, 21, 22])
        {
            Bad(Octets.UpdateType, "UPDATE", length);
        }

        foreach (int length in (int[])[19, 20])
        {
            Bad(Octets.Notification, "NOTIFICATION", length);
        }

        foreach (int length in (int[])[20, 21, 23, 29, 4096])
        {
            Bad(Octets.Keepalive, "KEEPALIVE", length);
        }

        Bad(99, "message of unknown type", 18);
    }

    private static void Types(SessionCaseList list, Stage at)
    {
        foreach (byte type in (byte[])[0, 6, 7, 8, 127, 128, 255])
        {
            list.Notified("4271-6.1", $"message of type {type}", Dut.Opening, at, Octets.Header(19, type), 1, [3], $"{type:X2}");
        }

        list.Notified("4271-6.1", "message of type 6 whose body does not come", Dut.Opening, at, Octets.Header(4096, 6), 1, [3], "06");
        list.Notified("CVE-2022-37032", "CAPABILITY message", Dut.Opening, at, Octets.Message(6, [1, 2, 3, 4]), 1, [3], "06");
    }
}
