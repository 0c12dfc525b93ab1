namespace Bgp.Interop.Tests.Conformance;

/// <summary>OPEN messages (RFC 4271 sections 4.2 and 6.2, RFC 5492, 6286, 6793, 7607, 9072), fields and optional parameters.</summary>
internal static class OpenCases
{
    private static readonly byte[] s_v4 = Octets.Capability(1, 0, 1, 0, 1);
    private static readonly byte[] s_v6 = Octets.Capability(1, 0, 2, 0, 1);

    internal static List<SessionCase> Build()
    {
        SessionCaseList list = new();
        Versions(list);
        Numbers(list);
        Identifiers(list);
        HoldTimes(list);
        Parameters(list);
        Extended(list);
        return list.Cases;
    }

    /// <summary>An OPEN whose octets from Optional Parameters Length on are given.</summary>
    internal static byte[] Raw(Identity who, byte[] tail, byte version = 4, int? asn = null, int? hold = null, uint? id = null) =>
        Octets.Message(Octets.Open, [version], Octets.U16(asn ?? (who.Asn > 65535 ? 23456 : (int)who.Asn)), Octets.U16(hold ?? who.Hold), Octets.U32(id ?? who.RouterId), tail);

    private static byte[] Capabilities(uint as4) => Octets.Join(s_v4, s_v6, Octets.Capability(65, Octets.U32(as4)));

    private static byte[] Tail(params byte[][] parameters)
    {
        byte[] octets = Octets.Join(parameters);
        return [(byte)octets.Length, .. octets];
    }

    private static byte[] Sound(Identity who) => Tail(Octets.Parameter(2, Capabilities(who.Asn)));

    private static void Versions(SessionCaseList list)
    {
        foreach (byte version in (byte[])[0, 1, 2, 3, 5, 6, 127, 255])
        {
            list.Notified("4271-6.2", $"version {version}", Dut.Opening, Stage.OpenSent, Raw(Dut.Opening, Sound(Dut.Opening), version), 2, [1], "0004");
        }

        list.Notified("4271-6.2", "version 5 and nothing else right", Dut.Opening, Stage.OpenSent, Raw(Dut.Opening, [200, 1, 2], 5, 0, 1, 0), 2, [1], "0004");
    }

    private static void Numbers(SessionCaseList list)
    {
        void As(string row, string name, Identity who, int field, byte[] capabilities, bool good = false)
        {
            byte[] octets = Raw(who, Tail(Octets.Parameter(2, capabilities)), asn: field);
            if (good)
            {
                list.Lives(row, name, who, Stage.OpenSent, octets, "4", "6");
            }
            else
            {
                list.Notified(row, name, who, Stage.OpenSent, octets, 2, [2], null);
            }
        }

        byte[] both = Octets.Join(s_v4, s_v6);
        int own = (int)Dut.Opening.Asn;
        As("7607-2", "AS 0", Dut.Opening, 0, both);
        As("7607-2", "AS 0 with the right 4-octet AS", Dut.Opening, 0, Capabilities(Dut.Opening.Asn));
        As("7607-2", "4-octet AS 0", Dut.Opening, own, Capabilities(0));
        As("7607-2", "AS_TRANS with 4-octet AS 0", Dut.Opening, 23456, Capabilities(0));
        As("4271-6.2", "another AS", Dut.Opening, 65000, both);
        As("4271-6.2", "another AS, in both places", Dut.Opening, 65000, Capabilities(65000));
        As("4271-6.2", "our AS from an external neighbour", Dut.Opening, (int)Dut.Asn, Capabilities(Dut.Asn));
        As("4271-6.2", "an external AS from an internal neighbour", Dut.OpeningInternal, own, Capabilities(Dut.Opening.Asn));
        As("6793-4.1", "the right AS with another 4-octet AS", Dut.Opening, own, Capabilities(65000));
        As("6793-4.1", "another AS with the right 4-octet AS", Dut.Opening, 65000, Capabilities(Dut.Opening.Asn));
        As("6793-4.1", "AS_TRANS with another 4-octet AS", Dut.Opening, 23456, Capabilities(4200000001));
        As("6793-4.1", "AS_TRANS without the capability", Dut.Opening, 23456, both);
        As("6793-4.1", "AS_TRANS in both places", Dut.Opening, 23456, Capabilities(23456));
        As("6793-4.1", "AS_TRANS without the capability, of a 4-octet AS", Dut.OpeningWide, 23456, both);
        As("6793-4.1", "the low half of a 4-octet AS", Dut.OpeningWide, (int)(Dut.OpeningWide.Asn & 0xFFFF), Capabilities(Dut.OpeningWide.Asn));
        As("6793-4.1", "a 4-octet AS", Dut.OpeningWide, 23456, Capabilities(Dut.OpeningWide.Asn), good: true);
        As("6793-4.1", "AS_TRANS with the right 4-octet AS, which would fit", Dut.Opening, 23456, Capabilities(Dut.Opening.Asn), good: true);
        As("6793-4.1", "the right AS without the capability", Dut.Opening, own, both, good: true);
        As("4271-4.2", "internal", Dut.OpeningInternal, (int)Dut.Asn, Capabilities(Dut.Asn), good: true);
    }

    private static void Identifiers(SessionCaseList list)
    {
        foreach (Identity who in (Identity[])[Dut.Opening, Dut.OpeningInternal])
        {
            list.Notified("6286-2.2", "identifier 0", who, Stage.OpenSent, Raw(who, Sound(who), id: 0), 2, [3], null);
            foreach (uint id in (uint[])[1, 0x7F000001, 0xE0000001, 0xF0000001, 0xFFFFFFFF, Dut.External.RouterId])
            {
                list.Lives("6286-2.1", $"identifier {id:x8}", who, Stage.OpenSent, Raw(who, Sound(who), id: id), "4", "6");
            }
        }

        list.Notified("6286-2.2", "our identifier from an internal neighbour", Dut.OpeningInternal, Stage.OpenSent, Raw(Dut.OpeningInternal, Sound(Dut.OpeningInternal), id: Dut.RouterId), 2, [3], null);
        list.Lives("6286-2.1", "our identifier from an external neighbour", Dut.Opening, Stage.OpenSent, Raw(Dut.Opening, Sound(Dut.Opening), id: Dut.RouterId), "4", "6");
    }

    private static void HoldTimes(SessionCaseList list)
    {
        foreach (int hold in (int[])[1, 2])
        {
            list.Notified("4271-6.2", $"hold time {hold}", Dut.Opening, Stage.OpenSent, Raw(Dut.Opening, Sound(Dut.Opening), hold: hold), 2, [6], null);
        }

        foreach (int hold in (int[])[0, 3, 4, 90, 180, 65535])
        {
            list.Lives("4271-4.2", $"hold time {hold}", Dut.Opening, Stage.OpenSent, Raw(Dut.Opening, Sound(Dut.Opening), hold: hold), "4", "6");
        }
    }

    private static void Parameters(SessionCaseList list)
    {
        void Bad(string row, string name, byte[] tail, params byte[] subcodes) =>
            list.Notified(row, name, Dut.Opening, Stage.OpenSent, Raw(Dut.Opening, tail), 2, subcodes, null);
        void Good(string row, string name, byte[] tail, params string[] families) => list.Lives(row, name, Dut.Opening, Stage.OpenSent, Raw(Dut.Opening, tail), families);

        byte[] sound = Octets.Parameter(2, Capabilities(Dut.Opening.Asn));
        Good("5492-3", "no optional parameter", [0], "4");
        Good("5492-3", "a Capabilities parameter without capabilities", Tail([2, 0]), "4");
        Good("5492-3", "three empty Capabilities parameters", Tail([2, 0, 2, 0, 2, 0]), "4");
        Good("5492-4", "each capability in a parameter of its own", Tail(Octets.Parameter(2, s_v4), Octets.Parameter(2, s_v6), Octets.Parameter(2, Octets.Capability(65, Octets.U32(Dut.Opening.Asn)))), "4", "6");
        Good("5492-4", "a capability, and two in another parameter", Tail(Octets.Parameter(2, s_v6), Octets.Parameter(2, Octets.Join(s_v4, Octets.Capability(2)))), "4", "6");
        Good("5492-4", "255 octets of parameters", Tail(Octets.Parameter(2, Octets.Join(s_v4, s_v6, Octets.Capability(250, Octets.Zeros(239))))), "4", "6");

        Bad("4271-6.2", "parameters announced that do not come", [5], 0);
        Bad("4271-6.2", "255 octets of parameters announced that do not come", [255], 0);
        Bad("4271-6.2", "length of the parameters one too large", [(byte)(sound.Length + 1), .. sound], 0);
        Bad("4271-6.2", "length of the parameters one too small", [(byte)(sound.Length - 1), .. sound], 0);
        Bad("4271-6.2", "no parameters, and an octet left over", [0, 0], 0);
        Bad("4271-6.2", "no parameters, and a whole parameter left over", [0, .. sound], 0);
        Bad("4271-6.2", "an octet left over after the parameters", [(byte)sound.Length, .. sound, 2], 0);
        Bad("CVE-2022-36440", "a parameter of one octet", Tail([2]), 0);
        Bad("4271-6.2", "a parameter that overruns by one", Tail([2, 7, .. s_v4]), 0);
        Bad("4271-6.2", "a parameter that overruns by 255", Tail([2, 255]), 0);
        Bad("4271-6.2", "a good parameter and one octet", Tail(sound, [2]), 0);
        Bad("4271-6.2", "a good parameter and one that overruns", Tail(sound, [2, 1]), 0);
        foreach (byte type in (byte[])[0, 1, 3, 4, 5, 127, 254])
        {
            Bad("4271-6.2", $"parameter of type {type}", Tail([type, 0]), 4);
            Bad("4271-6.2", $"parameter of type {type} after a good one", Tail(sound, [type, 2, 1, 2]), 4);
        }

        Bad("9072-2", "parameter of type 255 after a good one", Tail(sound, [255, 2, 1, 2]), 4);
        Bad("5492-3", "a capability without a length", Tail([2, 1, 65]), 0);
        Bad("5492-3", "a capability without its value", Tail([2, 2, 65, 4]), 0);
        Bad("5492-3", "a capability that overruns its parameter by one", Tail(Octets.Parameter(2, Octets.Join(s_v4, [65, 5, 0, 0, 0xFE, 0x10]))), 0);
        Bad("5492-3", "a capability that overruns its parameter into the next", Tail(Octets.Parameter(2, [1, 10, 0, 1, 0, 1]), Octets.Parameter(2, s_v6)), 0);
        Bad("5492-3", "an unknown capability that overruns its parameter", Tail(Octets.Parameter(2, Octets.Join(s_v4, [200, 200]))), 0);
        Bad("5492-3", "one octet after a good capability", Tail(Octets.Parameter(2, Octets.Join(s_v4, [2]))), 0);
    }

    private static byte[] Wide(byte nonExtended, params byte[][] parameters)
    {
        byte[] octets = Octets.Join(parameters);
        return [nonExtended, 255, .. Octets.U16(octets.Length), .. octets];
    }

    private static byte[] WideParameter(byte type, byte[] value) => [type, .. Octets.U16(value.Length), .. value];

    private static void Extended(SessionCaseList list)
    {
        void Bad(string row, string name, byte[] tail, params byte[] subcodes) =>
            list.Notified(row, name, Dut.Opening, Stage.OpenSent, Raw(Dut.Opening, tail), 2, subcodes, null);
        void Good(string name, byte[] tail, params string[] families) => list.Lives("9072-2", name, Dut.Opening, Stage.OpenSent, Raw(Dut.Opening, tail), families);

        byte[] sound = WideParameter(2, Capabilities(Dut.Opening.Asn));
        Good("extended parameters of few octets", Wide(255, sound), "4", "6");
        foreach (byte length in (byte[])[1, 2, 3, 4, 20, 254])
        {
            Good($"extended parameters behind the length {length}", Wide(length, sound), "4", "6");
        }

        Good("extended parameters, none", Wide(255), "4");
        Good("extended, an empty Capabilities parameter", Wide(255, [2, 0, 0]), "4");
        Good("extended, each capability in a parameter of its own", Wide(255, WideParameter(2, s_v4), WideParameter(2, s_v6)), "4", "6");
        Good("extended, one parameter of 1006 octets", Wide(255, WideParameter(2, Octets.Join(s_v4, s_v6, Octets.Repeat(Octets.Capability(250, Octets.Zeros(198)), 5)))), "4", "6");
        Good("extended, fifty parameters", Wide(255, sound, Octets.Repeat(WideParameter(2, Octets.Capability(251, Octets.Zeros(20))), 50)), "4", "6");
        byte[] start = Wide(255, sound);
        int room = 4096 - 29 - (start.Length - 1) - 3;
        byte[] filler = Octets.Join(Octets.Repeat(Octets.Capability(252, Octets.Zeros(98)), room / 100), Octets.Capability(252, Octets.Zeros((room % 100) - 2)));
        Good("extended, an OPEN of 4096 octets", Wide(255, sound, WideParameter(2, filler)), "4", "6");

        Bad("9072-2", "the length 0 before extended parameters", Wide(0, sound), 0);
        Bad("CVE-2022-40302", "extended, and nothing more", [255, 255], 0);
        Bad("CVE-2022-40318", "extended, half a length", [255, 255, 0], 0);
        Bad("9072-2", "extended, length beyond the message", [255, 255, 0xFF, 0xFF, .. sound], 0);
        Bad("9072-2", "extended, length one too large", [255, 255, .. Octets.U16(sound.Length + 1), .. sound], 0);
        Bad("9072-2", "extended, length one too small", [255, 255, .. Octets.U16(sound.Length - 1), .. sound], 0);
        Bad("9072-2", "extended, length 0 and a parameter left over", [255, 255, 0, 0, .. sound], 0);
        Bad("CVE-2022-43681", "extended, a parameter of one octet", Wide(255, [2]), 0);
        Bad("CVE-2022-43681", "extended, a parameter of two octets", Wide(255, [2, 0]), 0);
        Bad("9072-2", "extended, a parameter that overruns by one", Wide(255, [2, 0, 7, .. s_v4]), 0);
        Bad("9072-2", "extended, a parameter that overruns by 65535", Wide(255, [2, 255, 255]), 0);
        Bad("9072-2", "extended, parameters with lengths of one octet", Wide(255, Octets.Parameter(2, s_v4)), 0);
        Bad("9072-2", "extended, parameter of type 1", Wide(255, [1, 0, 0]), 4);
        Bad("9072-2", "extended, parameter of type 255", Wide(255, sound, [255, 0, 0]), 4);
        Bad("9072-2", "extended, a capability that overruns its parameter", Wide(255, WideParameter(2, [1, 5, 0, 1, 0, 1])), 0);
    }
}
