namespace Bgp.Interop.Tests.Conformance;

/// <summary>What an OPEN agrees on decides how the messages behind it are read; here they come with it, in one segment, as fast as a neighbour can send them.</summary>
internal static class CombinedCases
{
    private static readonly byte[] s_v4 = Octets.Capability(1, 0, 1, 0, 1);
    private static readonly byte[] s_v6 = Octets.Capability(1, 0, 2, 0, 1);
    private static readonly byte[] s_as4 = Octets.Capability(65, Octets.U32(Dut.Opening.Asn));

    internal static List<SessionCase> Build()
    {
        SessionCaseList list = new();
        Families(list);
        Sizes(list);
        Orders(list);
        return list.Cases;
    }

    private static byte[] Open(params byte[][] capabilities)
    {
        byte[] octets = Octets.Join(capabilities);
        return OpenCases.Raw(Dut.Opening, [(byte)(octets.Length + 2), 2, (byte)octets.Length, .. octets]);
    }

    private static byte[] With(byte[] open, params byte[][] messages) => Octets.Join(open, Octets.KeepaliveMessage, Octets.Join(messages));

    private static void Families(SessionCaseList list)
    {
        RouteSet set = RouteSet.For(Dut.Opening);
        void Lives(string row, string name, byte[] octets, params string[] families) => list.Lives(row, name, Dut.Opening, Stage.OpenSent, octets, families);
        void Reset(string row, string name, byte[] octets, params byte[] subcodes) => list.Notified(row, name, Dut.Opening, Stage.OpenSent, octets, 3, subcodes, null);

        byte[] overrun = Octets.Message(Octets.UpdateType, [0xFF, 0xFF, 0, 0]);
        byte[] long33 = Octets.Update([], set.Attributes, [33, 10, 1, 2, 3, 4]);
        byte[] none = Open(Octets.Capability(1, 0, 25, 0, 70), s_as4);
        Lives("4760-8", "no family in common, and routes of two", With(none, set.Announce(UpdateCase.V4), set.Announce(UpdateCase.V6)));
        Lives("4760-8", "no family in common, and End-of-RIBs", With(none, Octets.Update([], [], []), Octets.Update([], Octets.MpUnreach(25, 70, []), [])));
        Lives("2918-4", "no family in common, and a request for one", With(Open(Octets.Capability(1, 0, 25, 0, 70), Octets.Capability(2), s_as4), Octets.Message(Octets.RouteRefresh, [0, 25, 0, 70])));
        Reset("4271-6.3", "no family in common, and a length beyond the message", With(none, overrun), 1);
        Lives("4760-8", "IPv6 alone, and an IPv4 route", With(Open(s_v6, s_as4), set.Announce(UpdateCase.V4), set.Withdraw(UpdateCase.V4)), "6");
        Reset("4271-6.3", "IPv6 alone, and a length beyond the message", With(Open(s_v6, s_as4), overrun), 1);
        Reset("7606-3g", "IPv6 alone, and MP_REACH_NLRI of IPv4 twice", With(Open(s_v6, s_as4), Octets.Update([], Octets.Repeat(Octets.MpReach(1, 1, [10, 9, 0, 1], []), 2), [])), 1);
        Lives("4760-8", "IPv4 alone, and an IPv6 route with a next hop of 3 octets", With(Open(s_v4, s_as4), Octets.Update([], Octets.Join(Octets.MpReach(2, 1, [1, 2, 3], [1]), set.Attributes), [])), "4");
        Lives("4760-8", "IPv4 alone, and IPv6 withdrawn, cut", With(Open(s_v4, s_as4), Octets.Update([], Octets.MpUnreach(2, 1, [48, 1]), [])), "4");
        Lives("5492-3", "no capability, and an IPv6 route", With(OpenCases.Raw(Dut.Opening, [0]), Octets.Update([], Octets.Join(Octets.MpReach(2, 1, Octets.Address(RouteSet.NextHop6), Octets.Prefix(UpdateCase.V6)), set.Attributes), [])), "4");
        Lives("6793-4", "no 4-octet AS capability, and a path of 4-octet AS numbers", With(OpenCases.Raw(Dut.Opening, [0]), set.Announce(UpdateCase.V4)), "4");
        Lives("4760-8", "multicast alone, which is not unicast", With(Open(Octets.Capability(1, 0, 1, 0, 2), s_as4), set.Announce(UpdateCase.V4)));
        Reset("7911-3", "path identifiers wanted, and sent", With(Open(s_v4, s_as4, Octets.Capability(69, 0, 1, 1, 1)), Octets.Update([], set.Attributes, [0, 0, 0, 77, 24, 198, 51, 100])), 1, 10);
        Reset("7911-3", "path identifiers offered, and not sent", With(Open(s_v4, s_as4, Octets.Capability(69, 0, 1, 1, 2)), set.Announce(UpdateCase.V4)), 1, 10);
        Lives("7911-4", "path identifiers wanted, and prefixes sent without", With(Open(s_v4, s_as4, Octets.Capability(69, 0, 1, 1, 1)), set.Announce(UpdateCase.V4)), "4");
        Reset("8950-4", "an IPv6 next hop offered for multicast, and used for unicast", With(Open(s_v4, s_as4, Octets.Capability(5, 0, 1, 0, 2, 0, 2)), Octets.Update([], Octets.Join(Octets.MpReach(1, 1, Octets.Address(RouteSet.NextHop6), Octets.Prefix(UpdateCase.V4)), set.Attributes), [])), 1, 8, 9);
        Reset("7606-3g", "MP_REACH_NLRI of a family that was not agreed on, twice", With(Open(s_v4, s_as4), Octets.Update([], Octets.Join(Octets.Repeat(Octets.MpReach(2, 1, Octets.Address(RouteSet.NextHop6), []), 2), set.Attributes), [])), 1);
        Lives("4724-3", "a restart time of 0 and of 4095", With(Open(s_v4, s_as4, Octets.Capability(64, 0, 0), Octets.Capability(64, 0x8F, 0xFF, 0, 1, 1, 0x80))), "4");
    }

    private static void Sizes(SessionCaseList list)
    {
        RouteSet set = RouteSet.For(Dut.Opening);
        byte[] Route(int length) => Octets.Update([], Octets.Join(set.Attributes, Octets.Attr(0x50, 99, Octets.Zeros(length))), Octets.Prefix(UpdateCase.V4));
        foreach (int length in (int[])[255, 256, 4000])
        {
            list.Notified("4271-6.3", $"unrecognized well-known attribute of {length} octets", Dut.Opening, Stage.Established, Route(length), 3, [2], Convert.ToHexString(Octets.Attr(0x50, 99, Octets.Zeros(length))));
        }

        // The NOTIFICATION has to fit as well: what it quotes may be cut.
        list.Notified("8654-5", "unrecognized well-known attribute of 65000 octets", Dut.Opening with { More = Octets.Capability(6) }, Stage.Established, Route(65_000), 3, [2], null);
        byte[] whole = Route(4096);
        list.Notified("8654-5", "UPDATE over 4096 octets that was not agreed on", Dut.Opening, Stage.Established, whole, 1, [2], $"{whole.Length:X4}");
        byte[] fit = set.Add(Octets.Attr(0xD0, 99, Octets.Zeros(4096 - 23 - 4 - 4 - RouteSet.For(Dut.Opening).Attributes.Length))).Announce(UpdateCase.V4);
        list.Lives("4271-4.3", $"UPDATE of {fit.Length} octets", Dut.Opening, Stage.Established, fit);
    }

    private static void Orders(SessionCaseList list)
    {
        RouteSet set = RouteSet.For(Dut.Opening);
        list.Lives("4271-8.2.2", "two KEEPALIVEs", Dut.Opening, Stage.OpenConfirm, Octets.Repeat(Octets.KeepaliveMessage, 2));
        list.Lives("4271-8.2.2", "KEEPALIVE, and everything else at once", Dut.Opening, Stage.OpenConfirm, Octets.Join(Octets.KeepaliveMessage, set.Announce(UpdateCase.V4), set.Announce(UpdateCase.V6), set.Withdraw(UpdateCase.V4), set.Withdraw(UpdateCase.V6), Octets.Update([], [], []), Octets.KeepaliveMessage));
        list.Silent("4271-6.4", "KEEPALIVE and NOTIFICATION at once", Dut.Opening, Stage.OpenConfirm, Octets.Join(Octets.KeepaliveMessage, Octets.NotificationMessage(6, 2)));
        list.Silent("4271-6.4", "OPEN, KEEPALIVE and NOTIFICATION at once", Dut.Opening, Stage.OpenSent, Octets.Join(Dut.Opening.OpenMessage(), Octets.KeepaliveMessage, Octets.NotificationMessage(6, 2)));
        list.Notified("4271-6.1", "OPEN and a wrong marker at once", Dut.Opening, Stage.OpenSent, Octets.Join(Dut.Opening.OpenMessage(), Octets.Zeros(19)), 1, [1], "");
        list.Notified("4271-6.1", "OPEN, KEEPALIVE and an unknown type at once", Dut.Opening, Stage.OpenSent, Octets.Join(Dut.Opening.OpenMessage(), Octets.KeepaliveMessage, Octets.Header(19, 6)), 1, [3], "06");
        list.Notified("4271-6", "two errors in two messages: the first is told", Dut.Opening, Stage.Established, Octets.Join(Octets.Header(19, 77), Octets.Zeros(19)), 1, [3], "4D");
        list.Notified("4271-6", "an error, and NOTIFICATION behind it", Dut.Opening, Stage.Established, Octets.Join(Octets.Message(Octets.UpdateType, [0xFF, 0xFF, 0, 0]), Octets.NotificationMessage(6, 2)), 3, [1], "");
    }
}
