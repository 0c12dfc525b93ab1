using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Bmp;

/// <summary>Follows one family's table for all stations: the table has one of these while there is a station, and null else.</summary>
/// <remarks>
/// Owned by the table's loop, on which everything is called. The table keeps a set of attributes as import policy left it; a station that wants what came before the policy
/// is to be told the other one. So while there is such a station, and only for paths whose set a rule changed, the set as it came is kept here: some 40
/// octets for each, nothing for a reflector or a mesh whose rules accept or reject. What came before the first such station did is told as it is stored, until the
/// neighbour sends it again.
/// </remarks>
internal sealed class BmpTable<TPrefix>(RibLoop<TPrefix> loop) : IStaleObserver<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private readonly List<BmpFeed<TPrefix>> _feeds = [];
    private Dictionary<(TPrefix Prefix, uint PathId), uint>?[] _received = [];
    private volatile bool _keepsReceived;

    /// <summary>Whether sets as they came are asked for. For readers too.</summary>
    internal bool KeepsReceived => _keepsReceived;

    /// <summary>Whether there are stations, connected or not, and whether one of them wants what came before import policy.</summary>
    internal static void Configure(RibLoop<TPrefix> loop, bool any, bool wantsReceived)
    {
        if (!any)
        {
            loop.Monitor?.KeepReceived(false);
            loop.Shard.StaleObserver = null;
            loop.Monitor = null;
            return;
        }

        BmpTable<TPrefix> table = loop.Monitor ?? new BmpTable<TPrefix>(loop);
        table.KeepReceived(wantsReceived);
        loop.Shard.StaleObserver = table;
        loop.Monitor = table;
    }

    /// <summary>A station has connected.</summary>
    internal void Add(BmpFeed<TPrefix> feed) => _feeds.Add(feed);

    /// <summary>A connection is over.</summary>
    internal void Remove(BmpLink link) => _feeds.RemoveAll(feed => feed.Link == link);

    /// <summary>Paths of a peer were stored or removed. <paramref name="received"/> is their set as it came, 0 where it is the one that is stored.</summary>
    internal void Changed(ReadOnlySpan<TPrefix> prefixes, ReadOnlySpan<uint> pathIds, ushort peer, uint received)
    {
        if (received != 0 || HasReceived(peer))
        {
            for (int i = 0; i < prefixes.Length; i++)
            {
                Keep(prefixes[i], pathIds.IsEmpty ? 0 : pathIds[i], peer, received);
            }
        }

        foreach (BmpFeed<TPrefix> feed in _feeds)
        {
            feed.Changed(prefixes, pathIds, peer);
        }
    }

    /// <summary>A stored path is judged by another policy: its set changes from <paramref name="before"/> to <paramref name="stored"/>.</summary>
    internal void Judged(in TPrefix prefix, uint pathId, ushort peer, uint stored, uint before)
    {
        if (_keepsReceived && stored != before && ReceivedOf(prefix, pathId, peer) == 0)
        {
            Keep(prefix, pathId, peer, before);
        }

        foreach (BmpFeed<TPrefix> feed in _feeds)
        {
            feed.Changed(new ReadOnlySpan<TPrefix>(in prefix), new ReadOnlySpan<uint>(in pathId), peer);
        }
    }

    /// <summary>The selection of these prefixes may have changed.</summary>
    internal void SelectionChanged(ReadOnlySpan<uint> indexes)
    {
        foreach (BmpFeed<TPrefix> feed in _feeds)
        {
            feed.SelectionChanged(indexes);
        }
    }

    /// <summary>A peer has sent End-of-RIB.</summary>
    internal void EndOfRib(ushort peer, long session)
    {
        foreach (BmpFeed<TPrefix> feed in _feeds)
        {
            feed.EndOfRib(peer, session);
        }
    }

    /// <summary>A peer's session is over: what is left of it in the table is nothing that a station knows.</summary>
    internal void SessionOver(ushort peer) => Forget(peer);

    /// <summary>The set of a stored path as it came; 0 where it is the stored one.</summary>
    internal uint ReceivedOf(in TPrefix prefix, uint pathId, ushort peer) =>
        HasReceived(peer) && _received[peer]!.TryGetValue((prefix, pathId), out uint attr) ? attr : 0;

    /// <summary>A piece of what stations wait for; whether there is more.</summary>
    internal bool Turn()
    {
        bool more = false;
        foreach (BmpFeed<TPrefix> feed in _feeds)
        {
            more |= feed.Turn(this);
        }

        return more;
    }

    private void KeepReceived(bool keep)
    {
        _keepsReceived = keep;
        for (int peer = 0; !keep && peer < _received.Length; peer++)
        {
            Forget((ushort)peer);
        }
    }

    private bool HasReceived(ushort peer) => peer < _received.Length && _received[peer] is not null;

    private void Keep(in TPrefix prefix, uint pathId, ushort peer, uint received)
    {
        if (peer >= _received.Length)
        {
            Array.Resize(ref _received, Math.Max(peer + 1, _received.Length * 2));
        }

        Dictionary<(TPrefix Prefix, uint PathId), uint> kept = _received[peer] ??= [];
        if (kept.Remove((prefix, pathId), out uint old))
        {
            loop.Attributes.Release(old);
        }

        if (received != 0)
        {
            loop.Attributes.AddRef(received);
            kept.Add((prefix, pathId), received);
        }
    }

    private void Forget(ushort peer)
    {
        if (!HasReceived(peer))
        {
            return;
        }

        foreach (uint attr in _received[peer]!.Values)
        {
            loop.Attributes.Release(attr);
        }

        _received[peer] = null;
    }

    /// <inheritdoc/>
    void IStaleObserver<TPrefix>.StaleRemoved(in TPrefix prefix, uint pathId, in Rib.Path path)
    {
        // What an earlier session left was gone for the stations with that session's Peer Down.
        if (loop.SessionOf(path.Peer) is { } session && loop.Shard.IsSince(path, session.Epoch))
        {
            Changed(new ReadOnlySpan<TPrefix>(in prefix), new ReadOnlySpan<uint>(in pathId), path.Peer, 0);
        }
    }
}
