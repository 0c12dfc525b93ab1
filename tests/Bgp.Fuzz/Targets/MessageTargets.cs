using Bgp.Protocol;

namespace Bgp.Fuzz;

/// <summary>The body of a NOTIFICATION: never an error, always a text that can be printed, and the same octets when it is written again.</summary>
internal sealed class NotificationTarget : IFuzzTarget
{
    private readonly byte[] _buffer = new byte[4096];

    public IReadOnlyList<byte[]> Seeds { get; } = FuzzTargets.HexLines("""
        0400
        0201 0004
        0602 03616263
        0604 0AE282ACE282ACE282AC41
        0609 0602 03 616263
        0609 0609 0602 03 616263
        0601 000101 00000064
        0301 400101 09
        """);

    public IReadOnlyList<byte[]> Words { get; } = FuzzTargets.HexLines("""
        0602
        0609
        E280AE
        1B5B
        F09F9880
        C080
        """);

    public void Run(ReadOnlySpan<byte> input)
    {
        NotificationError error = NotificationMessage.Parse(input);
        Check(NotificationMessage.Text(error));
        if (NotificationMessage.ShutdownText(error) is { } text)
        {
            Check(text + ".");
            FuzzException.Unless(text.Length <= NotificationMessage.MaxShutdownText, "a text longer than its octets");
        }

        if (input.Length < 2)
        {
            FuzzException.Unless(!error.IsError, "an error out of nothing");
            return;
        }

        int length = NotificationMessage.Write(error, _buffer);
        int kept = Math.Min(input.Length, 4096 - 19);
        FuzzException.Unless(length == 19 + kept && _buffer.AsSpan(19, kept).SequenceEqual(input[..kept]), "written differently");
        NotificationError hard = NotificationMessage.HardReset(error);
        FuzzException.Unless(NotificationMessage.IsHardReset(hard, out NotificationError inner) && inner.Code == error.Code && inner.Subcode == error.Subcode, "a Hard Reset that loses what it wraps");
        Check(NotificationMessage.Text(hard));
    }

    private static void Check(string text)
    {
        FuzzException.Unless(text.Length > 0, "no text");
        foreach (char c in text)
        {
            FuzzException.Unless(!char.IsControl(c) && c is not ((>= '\u200b' and <= '\u200f') or (>= '\u2028' and <= '\u202e') or (>= '\u2060' and <= '\u206f')), "a character that must not be printed");
        }
    }
}

/// <summary>The body of a ROUTE-REFRESH, with and without enhanced refresh.</summary>
internal sealed class RefreshTarget : IFuzzTarget
{
    private readonly byte[] _buffer = new byte[64];

    public IReadOnlyList<byte[]> Seeds { get; } = FuzzTargets.HexLines("""
        00010001
        00020101
        00020201
        00010301
        00010001 01 80 0005 0102030405
        """);

    public IReadOnlyList<byte[]> Words { get; } = [];

    public void Run(ReadOnlySpan<byte> input)
    {
        foreach (bool enhanced in (ReadOnlySpan<bool>)[true, false])
        {
            NotificationError error = RouteRefreshMessage.TryParse(input, enhanced, out RouteRefreshMessage message);
            bool lengthCounts = !enhanced || input.Length < 4 || input[2] <= 2;
            FuzzException.Unless(error.IsError == (input.Length < 4 || (input.Length != 4 && lengthCounts)), "length");
            if (error.IsError)
            {
                FuzzException.Unless(enhanced ? error is { Code: 7, Subcode: 1 } : error is { Code: 1, Subcode: 2 } && error.Data.Length == 2, "code");
                FuzzException.Unless(!enhanced || error.Data.Length == Math.Min(19 + input.Length, NotificationError.MaxData), "RFC 7313 section 5: the whole message");
                continue;
            }

            FuzzException.Unless(message.Write(_buffer) == 23, "written");
            FuzzException.Unless(_buffer[19] == input[0] && _buffer[20] == input[1] && _buffer[22] == input[3] && _buffer[21] == (enhanced ? input[2] : 0), "written differently");
        }
    }
}
