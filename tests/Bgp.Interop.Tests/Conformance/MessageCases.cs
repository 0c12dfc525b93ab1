using System.Globalization;

namespace Bgp.Interop.Tests.Conformance;

/// <summary>NOTIFICATION of any content, ROUTE-REFRESH, and messages at the wrong time.</summary>
internal static class MessageCases
{
    private static readonly Identity s_refreshing = Dut.Opening with { More = Octets.Join(Octets.Capability(2), Octets.Capability(70)) };

    internal static List<SessionCase> Build()
    {
        SessionCaseList list = new();
        Notifications(list);
        Unexpected(list);
        Refreshes(list);
        return list.Cases;
    }

    private static void Notifications(SessionCaseList list)
    {
        foreach (Stage at in SessionCaseList.Stages)
        {
            foreach (byte code in (byte[])[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 127, 255])
            {
                foreach (byte subcode in (byte[])[0, 1, 2, 7, 255])
                {
                    list.Silent("4271-6.4", $"NOTIFICATION {code}/{subcode}", Dut.Opening, at, Octets.NotificationMessage(code, subcode));
                }

                list.Silent("4271-6.4", $"NOTIFICATION {code}/0 with data", Dut.Opening, at, Octets.NotificationMessage(code, 0, Octets.Repeat([0xFF], 40)));
            }

            list.Silent("4271-6.4", "NOTIFICATION of 4096 octets", Dut.Opening, at, Octets.NotificationMessage(6, 2, Octets.Repeat([0x41], 4096 - 21)));
            list.Silent("4271-6.4", "NOTIFICATION and garbage behind it", Dut.Opening, at, Octets.Join(Octets.NotificationMessage(6, 4), Octets.Zeros(100)));
            list.Silent("4271-6.4", "two NOTIFICATIONs", Dut.Opening, at, Octets.Repeat(Octets.NotificationMessage(6, 4), 2));
        }

        (string Name, byte[] Data)[] texts =
        [
            ("no length", []),
            ("length 0", [0]),
            ("length 0 and an octet left over", [0, 0x41]),
            ("a length that overruns", [200, 0x41]),
            ("a length one too small", [1, 0x41, 0x42]),
            ("255 octets", [255, .. Octets.Repeat([0x41], 255)]),
            ("octets that are not UTF-8", [4, 0xFF, 0xFE, 0xC0, 0x80]),
            ("a cut character", [2, 0xE2, 0x82]),
            ("control characters", [8, 0x1B, 0x5B, 0x33, 0x31, 0x6D, 0x0A, 0x0D, 0x07]),
            ("a change of direction", [3, 0xE2, 0x80, 0xAE]),
            ("zeros", [3, 0, 0, 0]),
        ];
        foreach ((string name, byte[] data) in texts)
        {
            foreach (byte subcode in (byte[])[2, 4])
            {
                list.Silent("9003-2", $"Cease {subcode} whose text has {name}", Dut.Opening, Stage.Established, Octets.NotificationMessage(6, subcode, data));
            }
        }

        (string Name, byte[] Data)[] hard = [("nothing", []), ("one octet", [6]), ("Administrative Shutdown", [6, 2]), ("a text", [6, 2, 3, 0x61, 0x62, 0x63]), ("a Hard Reset", [6, 9, 6, 9]), ("code 0", [0, 0])];
        foreach ((string name, byte[] data) in hard)
        {
            list.Silent("8538-3.1", $"Hard Reset that wraps {name}", Dut.Opening, Stage.Established, Octets.NotificationMessage(6, 9, data));
        }
    }

    private static void Unexpected(SessionCaseList list)
    {
        (string Name, byte[] Octets, byte Type)[] messages =
        [
            ("OPEN", Dut.Opening.OpenMessage(), Octets.Open),
            ("OPEN of version 3", OpenCases.Raw(Dut.Opening, [0], 3), Octets.Open),
            ("OPEN of AS 0", OpenCases.Raw(Dut.Opening, [0], asn: 0), Octets.Open),
            ("OPEN with parameters that do not come", OpenCases.Raw(Dut.Opening, [99]), Octets.Open),
            ("UPDATE", RouteSet.For(Dut.Opening).Announce(UpdateCase.V4), Octets.UpdateType),
            ("End-of-RIB", Octets.Update([], [], []), Octets.UpdateType),
            ("malformed UPDATE", Octets.Message(Octets.UpdateType, [0xFF, 0xFF, 0, 0]), Octets.UpdateType),
            ("KEEPALIVE", Octets.KeepaliveMessage, Octets.Keepalive),
            ("ROUTE-REFRESH", Octets.Message(Octets.RouteRefresh, [0, 1, 0, 1]), Octets.RouteRefresh),
        ];
        foreach ((string name, byte[] octets, byte type) in messages)
        {
            string data = type.ToString("X2", CultureInfo.InvariantCulture);
            if (type != Octets.Open)
            {
                list.Notified("6608-4", name, Dut.Opening, Stage.OpenSent, octets, 5, [1], data);
            }

            if (type != Octets.Keepalive)
            {
                list.Notified("6608-4", name, Dut.Opening, Stage.OpenConfirm, octets, 5, [2], data);
            }

            if (type == Octets.Open)
            {
                list.Notified("6608-4", name, Dut.Opening, Stage.Established, octets, 5, [3], data);
            }
        }

        list.Notified("6608-4", "OPEN and UPDATE in one segment", Dut.Opening, Stage.OpenSent, Octets.Join(Dut.Opening.OpenMessage(), RouteSet.For(Dut.Opening).Announce(UpdateCase.V4)), 5, [2], "02");
        list.Notified("6608-4", "OPEN twice in one segment", Dut.Opening, Stage.OpenSent, Octets.Repeat(Dut.Opening.OpenMessage(), 2), 5, [2], "01");
        list.Notified("6608-4", "OPEN, KEEPALIVE and OPEN in one segment", Dut.Opening, Stage.OpenSent, Octets.Join(Dut.Opening.OpenMessage(), Octets.KeepaliveMessage, Dut.Opening.OpenMessage()), 5, [3], "01");
    }

    private static byte[] Refresh(params byte[] body) => Octets.Message(Octets.RouteRefresh, body);

    private static void Refreshes(SessionCaseList list)
    {
        foreach (int length in (int[])[0, 1, 2, 3, 5, 6, 24, 4077])
        {
            byte[] body = Octets.Join([0, 1, 0, 1], Octets.Zeros(4077))[..length];
            byte[] message = Refresh(body);
            list.Notified("4271-6.1", $"ROUTE-REFRESH of {length} octets without enhanced refresh", Dut.Opening, Stage.Established, message, 1, [2], $"{message.Length:X4}");
            foreach (byte subtype in (byte[])[0, 1, 2])
            {
                byte[] with = [.. message];
                if (length > 2)
                {
                    with[21] = subtype;
                }

                string? data = with.Length + 21 <= 4096 ? Convert.ToHexString(with) : null;
                list.Notified("7313-5", $"ROUTE-REFRESH of subtype {subtype} and {length} octets", s_refreshing, Stage.Established, with, 7, [1], data);
            }
        }

        list.Notified("CVE-2023-41360", "ROUTE-REFRESH with a filter that was not agreed on", Dut.Opening, Stage.Established, Refresh(0, 1, 0, 1, 1, 0x80, 0, 5, 1, 2, 3, 4, 5), 1, [2], "0020");
        list.Notified("FRR 22828", "ROUTE-REFRESH with a malformed filter", s_refreshing, Stage.Established, Refresh(0, 1, 0, 1, 1, 0x80, 0xFF, 0xFF, 1), 7, [1], null);
        (int Afi, byte Safi)[] families = [(0, 0), (1, 2), (1, 128), (1, 133), (2, 4), (2, 255), (3, 1), (25, 70), (99, 1), (16388, 71), (65535, 255)];
        foreach ((int afi, byte safi) in families)
        {
            foreach (byte subtype in (byte[])[0, 1, 2])
            {
                list.Lives("2918-4", $"ROUTE-REFRESH of subtype {subtype} for {afi}/{safi}", s_refreshing, Stage.Established, Refresh([.. Octets.U16(afi), subtype, safi]));
            }
        }

        foreach (byte subtype in (byte[])[3, 4, 127, 254, 255])
        {
            list.Lives("7313-5", $"ROUTE-REFRESH of subtype {subtype}", s_refreshing, Stage.Established, Refresh(0, 1, subtype, 1));
            list.Lives("7313-5", $"ROUTE-REFRESH of subtype {subtype} and 10 octets", s_refreshing, Stage.Established, Refresh(0, 1, subtype, 1, 9, 9, 9, 9, 9, 9));
            list.Lives("2918-3", $"ROUTE-REFRESH with the reserved octet {subtype}", Dut.Opening, Stage.Established, Refresh(0, 1, subtype, 1));
        }

        list.Lives("7313-4", "End of Route Refresh without a beginning", s_refreshing, Stage.Established, Refresh(0, 1, 2, 1));
        list.Lives("7313-4", "Beginning of Route Refresh ten times", s_refreshing, Stage.Established, Octets.Repeat(Refresh(0, 2, 1, 1), 10));
        list.Lives("2918-4", "a hundred requests at once", s_refreshing, Stage.Established, Octets.Repeat(Refresh(0, 1, 0, 1), 100));
        list.Lives("2918-4", "ROUTE-REFRESH from a neighbour that did not announce it", Dut.Opening, Stage.Established, Refresh(0, 1, 0, 1));
    }
}
