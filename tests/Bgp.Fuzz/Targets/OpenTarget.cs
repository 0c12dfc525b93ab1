using Bgp.Protocol;

namespace Bgp.Fuzz;

/// <summary>The body of an OPEN: an error that RFC 4271 section 6.2 knows, or a message that obeys its rules and means the same after it was written and read again.</summary>
internal sealed class OpenTarget : IFuzzTarget
{
    private static readonly OpenMessage s_ours = OpenMessage.Create(4200000001, 90, 0x0A000001, new Capabilities
    {
        Families = [AfiSafi.Ipv4Unicast, AfiSafi.Ipv6Unicast],
        As4 = 4200000001,
        RouteRefresh = true,
        EnhancedRefresh = true,
        ExtendedMessages = true,
        ExtendedNextHop = true,
        GracefulRestart = new GracefulRestartCapability { Notification = true, RestartTime = 120, Families = [new(AfiSafi.Ipv4Unicast, true)] },
        LongLived = [new(AfiSafi.Ipv4Unicast, true, 3600)],
        AddPath = [new(AfiSafi.Ipv4Unicast, AddPathMode.Both), new(AfiSafi.Ipv6Unicast, AddPathMode.Both)],
    });

    private readonly byte[] _buffer = new byte[4096];

    public IReadOnlyList<byte[]> Seeds { get; } = FuzzTargets.HexLines("""
        04FDF2005A0A00000100
        04FDF2005A0A000001020200
        04FDF2005A0A0000011402120104000100010104000200014104 0000FDF2
        045BA0005A0A000001080206 4104FA56EA01
        04FDF2005A0A0000013C023A0104000100010104000200010200 4006007800010180 4104 0000FDF2 4508000101010002 0103 4600 0600 050600010001 0002 4707 00010180000E10 0901 03 4904 03616263
        04FDF2005A0A000001FFFF0009 020006 010400010001
        04FDF2005A0A000001FFFF0012 020006 010400010001 020006 010400020001
        04FDF200000A000001240206010400010001 0202 0200 02064104 0000FDF2 020C 400A 0078000101800002 0180
        0400000000000000000000
        """);

    public IReadOnlyList<byte[]> Words { get; } = FuzzTargets.HexLines("""
        010400010001
        010400020001
        41040000FDF2
        4104FA56EA01
        40020078
        4006C07800010180
        45040001 0103
        470700010180000E10
        0506000100010002
        0600
        4600
        0200
        FFFF0000
        5BA0
        """);

    public void Run(ReadOnlySpan<byte> input)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        NotificationError error = OpenMessage.TryParse(input, out OpenMessage open);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        FuzzException.Unless(allocated <= 4096 + (64L * input.Length), $"{allocated} octets allocated for {input.Length}");
        if (error.IsError)
        {
            FuzzException.Unless(open is null, "an error and a message");
            FuzzException.Unless(error.Code == ErrorCode.OpenMessage && error.Subcode is 0 or 1 or 2 or 3 or 4 or 6, $"{error.Code}/{error.Subcode}");
            FuzzException.Unless(error.Data.Length <= 2, "data that the RFC does not know");
            return;
        }

        FuzzException.Unless(open.Version == 4 && open.HoldTime is not (1 or 2) && open.RouterId != 0 && open.Asn2 != 0 && open.EffectiveAsn is not (0 or BgpConstants.AsTrans), "fields that are forbidden");
        FuzzException.Unless(open.Capabilities.As4 is null || open.Asn2 == BgpConstants.AsTrans || open.Asn2 == open.Capabilities.As4, "two AS numbers");
        int length = open.Write(_buffer);
        if (length > 0)
        {
            FuzzException.Unless(!OpenMessage.TryParse(_buffer.AsSpan(19, length - 19), out OpenMessage again).IsError, "what was written is not read");
            byte[] second = new byte[4096];
            FuzzException.Unless(second.AsSpan(0, again.Write(second)).SequenceEqual(_buffer.AsSpan(0, length)), "written differently");
        }

        NotificationError refused = NegotiatedSession.TryNegotiate(s_ours, open, new LocalSessionSettings(), out NegotiatedSession session);
        if (!refused.IsError)
        {
            FuzzException.Unless(session.HoldTime <= 90 && session.HoldTime is not (1 or 2), "hold time");
            FuzzException.Unless(!session.AddPathSend(AfiSafi.Ipv6Unicast) || session.HasFamily(AfiSafi.Ipv6Unicast), "ADD-PATH without the family");
            FuzzException.Unless(session.MaxMessageLength == (open.Capabilities.ExtendedMessages ? 65535 : 4096), "message length");
        }
    }
}
