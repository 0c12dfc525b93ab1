using System.Runtime.CompilerServices;
using Bgp.Daemon.Control;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;
using RibPath = Rib.Path;

namespace Bgp.Daemon;

/// <summary>Who holds how much memory.</summary>
internal sealed partial class DaemonQueries
{
    /// <inheritdoc/>
    public MemoryDto GetMemory()
    {
        DaemonContext context = daemon.Context;
        PeerSession[] peers = daemon.Peers.All;
        List<GroupMemoryDto> groups = [.. Ask(context.V4, Groups), .. Ask(context.V6, Groups)];
        Dictionary<ushort, long> v4 = Ask(context.V4, loop => Paths(loop, peers));
        Dictionary<ushort, long> v6 = Ask(context.V6, loop => Paths(loop, peers));
        long paths = context.V4.Shard.TotalPaths + context.V6.Shard.TotalPaths;
        long prefixes = context.V4.Shard.PrefixCount + context.V6.Shard.PrefixCount;
        long tables = context.V4.Shard.Bytes + context.V6.Shard.Bytes;
        long sets = context.Attributes.Count;
        return new MemoryDto(
            new Dictionary<string, long>(StringComparer.Ordinal)
            {
                ["tableIpv4"] = context.V4.Shard.Bytes,
                ["tableIpv6"] = context.V6.Shard.Bytes,
                ["attributes"] = context.Attributes.Bytes,
                ["adjRibOuts"] = groups.Sum(static group => group.TableBytes),
                ["updateLogs"] = groups.Sum(static group => group.LogBytes),
                ["managedHeap"] = GC.GetTotalMemory(false),
                ["process"] = Environment.WorkingSet,
            },
            new Dictionary<string, long>(StringComparer.Ordinal)
            {
                ["prefixes"] = prefixes,
                ["paths"] = paths,
                ["attributeSets"] = sets,
                ["peers"] = peers.Length,
                ["updateGroups"] = groups.Count,
            })
        {
            PerUnit = new Dictionary<string, double>(StringComparer.Ordinal)
            {
                // The whole table, free room too, over what is in it; and what one more path takes where the room is there.
                ["tablePerPrefix"] = prefixes == 0 ? 0 : Math.Round((double)tables / prefixes, 1),
                ["path"] = Unsafe.SizeOf<RibPath>(),
                ["attributeSet"] = sets == 0 ? 0 : Math.Round((double)context.Attributes.Bytes / sets, 1),
            },
            Groups = groups,
            Peers = [.. peers.Select(peer => new PeerMemoryDto(
                peer.Settings.Name,
                v4[peer.Index] + v6[peer.Index],
                (v4[peer.Index] + v6[peer.Index]) * Unsafe.SizeOf<RibPath>(),
                Pending(peer),
                peer.Established?.BufferBytes ?? 0))],
        };
    }

    private static long Pending(PeerSession peer) => peer.Established is { } session
        ? (session.MemberOf(AfiSafi.Ipv4Unicast)?.PendingBytes ?? 0) + (session.MemberOf(AfiSafi.Ipv6Unicast)?.PendingBytes ?? 0)
        : 0;

    private static Dictionary<ushort, long> Paths<TPrefix>(RibLoop<TPrefix> loop, PeerSession[] peers)
        where TPrefix : unmanaged, IPrefix<TPrefix> => peers.ToDictionary(static peer => peer.Index, peer => (long)loop.Shard.PathCount(peer.Index));

    private static List<GroupMemoryDto> Groups<TPrefix>(RibLoop<TPrefix> loop)
        where TPrefix : unmanaged, IPrefix<TPrefix> => [.. loop.Groups.Select(static group => new GroupMemoryDto(
            TPrefix.Family.Name(),
            group.Key.Kind switch { PeerKind.Ebgp => "ebgp", PeerKind.IbgpClient => "ibgpClient", _ => "ibgp" },
            group.Members.Count,
            group.PathsPerPrefix,
            group.Advertised,
            group.TableBytes,
            group.LogBytes,
            group.Detached,
            group.Walks))];
}
