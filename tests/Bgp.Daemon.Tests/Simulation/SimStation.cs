using Bgp.Daemon.Bmp;
using Bgp.Daemon.Config;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Tables;
using Bgp.Daemon.Tests.Bmp;
using Bgp.Protocol;
using Rib;
using RibPath = Rib.Path;

namespace Bgp.Daemon.Tests.Simulation;

/// <summary>
/// A BMP station of one life of a speaker, which reads nothing until the network should have settled: then the marks of all that happened become the newest state, and
/// its picture has to be the tables'.
/// </summary>
internal sealed class SimStation
{
    private readonly SimLife _life;
    private readonly BmpLink _link;
    private readonly BmpCollector _collector = new();

    internal SimStation(SimLife life, BmpService service)
    {
        _life = life;
        BmpConfig config = new("station", default, 0, BmpPolicies.Pre | BmpPolicies.Post | BmpPolicies.LocRib, TimeSpan.Zero, TimeSpan.FromSeconds(30));
        service.Apply(new BmpSelf(life.Node.Name, life.Node.Asn, life.Node.RouterId), [config], start: false);
        _link = service.Open(service.Stations[0]);
        _link.OnRoom = () =>
        {
            life.V4.Signal(inline: false);
            life.V6.Signal(inline: false);
        };
        Follow(life.V4);
        Follow(life.V6);

        void Follow<TPrefix>(RibLoop<TPrefix> loop)
            where TPrefix : unmanaged, IPrefix<TPrefix>
        {
            BmpFeed<TPrefix> feed = new(loop, _link, config.Policies, life.Context.Time);
            loop.PostLater(table => table.Monitor!.Add(feed), RibPeer.Local);
        }
    }

    /// <summary>Reads what there is; what its picture has else than the tables, or null.</summary>
    internal string? Difference()
    {
        while (_link.TryTake(out BmpLink.Chunk? chunk, out _))
        {
            _collector.Feed(chunk!.Octets.Span);
            _link.Sent(chunk);
        }

        if (_link.Failure is { } failure)
        {
            return $"{_life.Name}'s station: {failure}";
        }

        SortedSet<string> wanted = new(StringComparer.Ordinal);
        RibShard<Ipv4Prefix> shard = _life.V4.Shard;
        for (uint index = 1; index < shard.IndexLimit; index++)
        {
            ReadOnlySpan<RibPath> paths = shard.AllPaths(index);
            for (int i = 0; i < paths.Length; i++)
            {
                if (paths[i].Peer != RibPeer.Local)
                {
                    wanted.Add($"{shard.PeerAt(paths[i].Peer)!.Address} {shard.PrefixAt(index)} {shard.PathIdAt(index, i)} {Text(paths[i].Attr)}");
                }
            }

            ReadOnlySpan<RibPath> selected = shard.IsInUse(index) ? shard.Select(index, 1, out _) : default;
            if (!selected.IsEmpty)
            {
                wanted.Add($"selected {shard.PrefixAt(index)} 0 {Text(selected[0].Attr)}");
            }
        }

        foreach (bool postPolicy in (bool[])[false, true])
        {
            SortedSet<string> has = new(
                _collector.Ribs.Where(rib => rib.Key.Type == BmpPeerType.LocRib || rib.Key.PostPolicy == postPolicy)
                    .SelectMany(static rib => rib.Value.Select(route => $"{(rib.Key.Type == BmpPeerType.LocRib ? "selected" : rib.Key.Address.ToString())} {route.Key.Prefix} {route.Key.PathId} {route.Value}")),
                StringComparer.Ordinal);
            if (!has.SetEquals(wanted))
            {
                return $"{_life.Name}'s station: without {string.Join("; ", wanted.Except(has))}; beside {string.Join("; ", has.Except(wanted))}";
            }
        }

        return _collector.Peers.Count(static peer => peer.Key.Type == BmpPeerType.GlobalInstance) == _life.Peers.All.Count(static session => session.State == SessionState.Established)
            ? null
            : $"{_life.Name}'s station knows {_collector.Peers.Count - 1} peers";
    }

    private string Text(uint attr)
    {
        // A route of this host has no next hop; the station has the unspecified one.
        string text = BmpCollector.Text(_life.Context.Attributes.Canonical(attr));
        return _life.Context.Attributes.Get(attr).Source == RouteSource.Bgp ? text : BmpCollector.WithUnspecifiedNextHop(text);
    }
}
