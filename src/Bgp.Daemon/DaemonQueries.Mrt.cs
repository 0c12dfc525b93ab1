using System.Buffers;
using System.Runtime.CompilerServices;
using Bgp.Daemon.Control;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;
using RibPath = Rib.Path;

namespace Bgp.Daemon;

/// <summary>The tables as an MRT dump.</summary>
internal sealed partial class DaemonQueries
{
    /// <inheritdoc/>
    public async IAsyncEnumerable<MrtDto> GetMrtAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        uint now = (uint)Math.Clamp(Now.ToUnixTimeSeconds(), 0, uint.MaxValue);
        Dictionary<ushort, ushort> places = new() { [RibPeer.Local] = 0 };
        List<DumpPeer> peers = [new DumpPeer(daemon.Model.Node.RouterId, daemon.Model.Node.Ipv4, daemon.Model.Node.Asn)];
        foreach (PeerSession peer in daemon.Peers.All)
        {
            if (peers.Count < ushort.MaxValue)
            {
                places[peer.Index] = (ushort)peers.Count;
                peers.Add(new DumpPeer(peer.Established?.Negotiated.PeerRouterId ?? 0, peer.Settings.Address, Asn(peer)));
            }
        }

        ArrayBufferWriter<byte> buffer = new();
        TableDump.WritePeers(buffer, now, daemon.Model.Node.RouterId, daemon.Model.Node.Name, peers);
        yield return new MrtDto(buffer.WrittenSpan.ToArray());
        uint[] sequence = [0];
        await foreach (byte[] records in DumpAsync(daemon.Context.V4, places, now, sequence, cancel).ConfigureAwait(false))
        {
            yield return new MrtDto(records);
        }

        await foreach (byte[] records in DumpAsync(daemon.Context.V6, places, now, sequence, cancel).ConfigureAwait(false))
        {
            yield return new MrtDto(records);
        }
    }

    private static async IAsyncEnumerable<byte[]> DumpAsync<TPrefix>(
        RibLoop<TPrefix> loop, Dictionary<ushort, ushort> places, uint now, uint[] sequence, [EnumeratorCancellation] CancellationToken cancel)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        uint cursor = 1;
        while (true)
        {
            uint from = cursor;
            (byte[] records, uint next) = await loop.AskAsync(table =>
            {
                ArrayBufferWriter<byte> into = new();
                List<DumpPath> paths = [];
                uint index = from;
                for (; index < table.Shard.IndexLimit && index < from + Slice; index++)
                {
                    paths.Clear();
                    foreach (RibPath path in table.Shard.AllPaths(index))
                    {
                        // A peer that came after the peer table was written cannot be named any more.
                        if (places.TryGetValue(path.Peer, out ushort place))
                        {
                            uint id = path.Peer == RibPeer.Local ? 0 : table.Shard.PathIdOf(index, path);
                            paths.Add(new DumpPath(place, id, table.Attributes.Describe(path.Attr)));
                        }
                    }

                    if (paths.Count > 0 && TableDump.WritePrefix(
                        into, now, sequence[0], table.Shard.PrefixAt(index), System.Runtime.InteropServices.CollectionsMarshal.AsSpan(paths)) > 0)
                    {
                        sequence[0]++;
                    }
                }

                return (into.WrittenSpan.ToArray(), index);
            }).WaitAsync(cancel).ConfigureAwait(false);
            if (records.Length > 0)
            {
                yield return records;
            }

            if (next == cursor)
            {
                yield break;
            }

            cursor = next;
        }
    }
}
