using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Bmp;

/// <summary>Statistics Reports (RFC 7854 section 4.8, RFC 9069 section 5.6) of all sessions that a station knows.</summary>
internal static class BmpStatistics
{
    /// <summary>Prefixes that are counted in one go: a question to the table that takes some tenths of a millisecond.</summary>
    private const uint Slice = 16 * 1024;

    internal static async Task ReportAsync(BmpService service, BmpLink link, CancellationToken cancel)
    {
        ulong now = BmpService.Microseconds(service.Time);
        byte[] message = new byte[512];
        foreach (BmpSession session in link.Sessions())
        {
            BmpStatistic[] statistics = session.Index == RibPeer.Local ? await LocRibAsync(service, cancel).ConfigureAwait(false) : session.Statistics();
            link.Append(session, message.AsSpan(0, BmpMessage.WriteStatistics(message, session.Peer, now, statistics)), 1);
        }
    }

    private static async Task<BmpStatistic[]> LocRibAsync(BmpService service, CancellationToken cancel)
    {
        ulong v4 = await CountAsync(service.V4, cancel).ConfigureAwait(false);
        ulong v6 = await CountAsync(service.V6, cancel).ConfigureAwait(false);
        return
        [
            new BmpStatistic(BmpStatisticType.LocRib, v4 + v6),
            new BmpStatistic(BmpStatisticType.FamilyLocRib, v4, AfiSafi.Ipv4Unicast),
            new BmpStatistic(BmpStatisticType.FamilyLocRib, v6, AfiSafi.Ipv6Unicast),
        ];
    }

    /// <summary>Prefixes with a selected path: counted, because the table does not need to know.</summary>
    private static async Task<ulong> CountAsync<TPrefix>(RibLoop<TPrefix> loop, CancellationToken cancel)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        ulong count = 0;
        uint from = 1;
        bool more = true;
        while (more)
        {
            uint start = from;
            (ulong selected, from, more) = await loop.AskAsync(table =>
            {
                ulong found = 0;
                uint index = start;
                for (; index < table.Shard.IndexLimit && index < start + Slice; index++)
                {
                    found += table.Shard.Select(index, 1, out _).IsEmpty ? 0UL : 1UL;
                }

                return (found, index, index < table.Shard.IndexLimit);
            }).WaitAsync(cancel).ConfigureAwait(false);
            count += selected;
        }

        return count;
    }
}
