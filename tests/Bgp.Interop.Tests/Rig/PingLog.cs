using System.Globalization;
using System.Text.RegularExpressions;

namespace Bgp.Interop.Tests.Rig;

/// <summary>What a ping that has ended wrote.</summary>
internal static partial class PingLog
{
    /// <summary>Sequence numbers of the packets that were answered.</summary>
    internal static SortedSet<int> Answered(string log)
    {
        SortedSet<int> answered = [];
        using StreamReader reader = new(new FileStream(log, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        while (reader.ReadLine() is { } line)
        {
            if (Answer().Match(line) is { Success: true } match)
            {
                answered.Add(int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));
            }
        }

        return answered;
    }

    [GeneratedRegex(@"bytes from .* icmp_seq=(\d+) ttl=")]
    private static partial Regex Answer();
}
