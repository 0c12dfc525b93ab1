using System.Buffers;
using System.Runtime.InteropServices;
using Bgp.Daemon.Config;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Bmp;

/// <summary>What one connection to a station is told of one family's table: first all of it, then what changes.</summary>
/// <remarks>
/// Not messages wait for a slow station but marks: which path (peer, prefix, ADD-PATH identifier) has changed, each once. When there is room, the marks are taken in
/// order and each is told as the table has it <em>then</em>: announced with its present attributes, or withdrawn. However often a path changed meanwhile, the station
/// gets the newest state once (RFC 7854 section 5 calls it state compression), and what it was told is always a state that the table had.
/// <para>
/// The first dump is a walk over the table's indexes in slices, again only while there is room. A change of a prefix that the walk has yet to reach
/// leaves no mark, since the walk will tell it. So at any time every path is in one of three states: told as it is; marked; ahead of the walk. When the
/// walk is through and no mark is left, the station's picture is the table. All of it happens on the table's loop, in its order; there is no race to think of.
/// </para>
/// <para>
/// A session's routes end with its Peer Down, wherever the loop is then: see <see cref="BmpLink"/>. Stale routes of an earlier session (RFC 4724) are in
/// the table and not in the station's picture: only what the present session has sent is told (<see cref="RibShard{TPrefix}.IsSince"/>).
/// </para>
/// <para>
/// The alternative, to copy each UPDATE where it is read, keeps octets as they came but needs a bound that drops: the queue of a slow station is all that
/// is sent, and order against the dump has to be made across threads. Cost here: a mark is 44 octets (IPv6: 76) beside what growing sets hold in reserve, at most
/// <see cref="BmpLimits.Changes"/> of them; a station behind that far is cut off and starts anew with a dump, which needs no marks. Describing happens on the loop, in
/// slices behind what BGP does with the same turn.
/// </para>
/// </remarks>
internal sealed class BmpFeed<TPrefix>(RibLoop<TPrefix> loop, BmpLink link, BmpPolicies policies, TimeProvider time)
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>Octets of attributes after which a turn ends early: the most by which the queue exceeds its bound.</summary>
    private const int TurnOctets = 256 * 1024;

    private readonly HashSet<Mark> _marks = [];
    private readonly Queue<Mark> _order = new();
    private readonly List<(ushort Peer, long Session, ulong Ticket)> _ends = [];
    private readonly List<Item> _items = [];
    private readonly ArrayBufferWriter<byte> _octets = new();
    private TPrefix[] _prefixes = new TPrefix[64];
    private uint[] _pathIds = new uint[64];
    private uint _next = 1;
    private uint _nextSelected = 1;
    private readonly bool _pre = policies.HasFlag(BmpPolicies.Pre);
    private readonly bool _post = policies.HasFlag(BmpPolicies.Post);
    private readonly bool _locRib = policies.HasFlag(BmpPolicies.LocRib);
    private bool _walked = (policies & (BmpPolicies.Pre | BmpPolicies.Post)) == 0;
    private bool _walkedSelected = (policies & BmpPolicies.LocRib) == 0;
    private ulong _taken;
    private int _described;
    private bool _behind;
    private bool _failed;

    /// <summary>Something that has changed: a path of a peer, or with peer 0 the selection of a prefix.</summary>
    private readonly record struct Mark(TPrefix Prefix, uint PathId, ushort Peer);

    /// <summary>Which of a peer's streams: in the order of <see cref="BmpPolicies"/>.</summary>
    private enum Stream : byte
    {
        Pre,
        Post,
    }

    /// <summary>A path to be told; attribute set 0 is a withdrawal.</summary>
    private readonly record struct Item(ushort Peer, Stream Stream, uint Attr, TPrefix Prefix, uint PathId);

    internal BmpLink Link => link;

    /// <summary>Whether the first dump is complete. For anyone.</summary>
    internal bool IsSynced { get; private set; }

    private bool TellsPeers => _pre || _post;

    /// <summary>Paths of a peer were stored or removed.</summary>
    internal void Changed(ReadOnlySpan<TPrefix> prefixes, ReadOnlySpan<uint> pathIds, ushort peer)
    {
        if (!TellsPeers || peer == RibPeer.Local)
        {
            return;
        }

        for (int i = 0; i < prefixes.Length; i++)
        {
            if (_walked || !loop.Shard.TryFind(prefixes[i], out uint index) || index < _next)
            {
                Add(new Mark(prefixes[i], pathIds.IsEmpty ? 0 : pathIds[i], peer));
            }
        }
    }

    /// <summary>The selection of these prefixes may have changed.</summary>
    internal void SelectionChanged(ReadOnlySpan<uint> indexes)
    {
        if (!_locRib)
        {
            return;
        }

        foreach (uint index in indexes)
        {
            if (_walkedSelected || index < _nextSelected)
            {
                Add(new Mark(loop.Shard.PrefixAt(index), 0, RibPeer.Local));
            }
        }
    }

    /// <summary>A peer has sent End-of-RIB: told behind what it sent before. While the dump runs, its end says the same.</summary>
    internal void EndOfRib(ushort peer, long session)
    {
        if (TellsPeers && _walked)
        {
            _ends.Add((peer, session, _taken + (ulong)_order.Count));
        }
    }

    /// <summary>Tells a piece of what waits; whether there is more, and room for it.</summary>
    internal bool Turn(BmpTable<TPrefix> table)
    {
        if (_failed || !HasWork || !link.TakeRoom())
        {
            _behind |= _order.Count > 0;
            return false;
        }

        // A change that is told in the turn in which it happened has that time; of what waited, or was there before, it is not known (RFC 7854 section 4.2).
        ulong now = _behind ? 0 : BmpService.Microseconds(time);
        for (int i = 0; i < link.Limits.TurnMarks && _described < TurnOctets && _order.TryDequeue(out Mark mark); i++)
        {
            _marks.Remove(mark);
            _taken++;
            Describe(table, mark);
        }

        Tell(now);
        Walk(table);
        Tell(0);
        EndsDue();
        _described = 0;
        _behind = _order.Count > 0;
        return HasWork;
    }

    private bool HasWork => _order.Count > 0 || !_walked || (!_walkedSelected && !loop.Deferred) || _ends.Count > 0;

    private void Add(in Mark mark)
    {
        if (_failed || !_marks.Add(mark))
        {
            return;
        }

        if (_order.Count == link.Limits.Changes)
        {
            // Its newest state is more than what is kept for it. With the connection all of its picture goes, and the next one begins with a dump.
            _failed = true;
            _marks.Clear();
            _order.Clear();
            link.Fail("reads too slowly: too many changes wait", behind: true);
            return;
        }

        _order.Enqueue(mark);
    }

    private void Describe(BmpTable<TPrefix> table, in Mark mark)
    {
        // A prefix may have gone and come back under an index that the walk has yet to reach. Then what was told of it goes now, and the walk tells the rest: nothing that is
        // ahead of the walk may be told, since its changes leave no mark.
        bool found = loop.Shard.TryFind(mark.Prefix, out uint index);
        if (mark.Peer == RibPeer.Local)
        {
            found &= _walkedSelected || index < _nextSelected;
            Add(new Item(RibPeer.Local, Stream.Pre, found ? SelectedAt(index) : 0, mark.Prefix, 0));
            return;
        }

        if (loop.SessionOf(mark.Peer) is not { } session)
        {
            return;
        }

        found &= _walked || index < _next;
        bool has = loop.Shard.TryGetPath(found ? index : 0, mark.Peer, mark.PathId, out Rib.Path path) && loop.Shard.IsSince(path, session.Epoch);
        Describe(table, mark.Prefix, mark.PathId, mark.Peer, has ? path : default, withdrawals: true);
    }

    private void Describe(BmpTable<TPrefix> table, in TPrefix prefix, uint pathId, ushort peer, in Rib.Path path, bool withdrawals)
    {
        if (_pre)
        {
            uint received = path.Attr == 0 ? 0 : table.ReceivedOf(prefix, pathId, peer);
            Add(new Item(peer, Stream.Pre, received != 0 ? received : path.Attr, prefix, pathId), withdrawals);
        }

        if (_post)
        {
            bool accepted = (path.Flags & (ushort)PathFlags.Filtered) == 0;
            Add(new Item(peer, Stream.Post, accepted ? path.Attr : 0, prefix, pathId), withdrawals);
        }
    }

    private void Add(in Item item, bool withdrawals = true)
    {
        if (item.Attr != 0 || withdrawals)
        {
            _described += 24 + (item.Attr == 0 || (_items.Count > 0 && _items[^1].Attr == item.Attr) ? 0 : loop.Attributes.Canonical(item.Attr).Length);
            _items.Add(item);
        }
    }

    private uint SelectedAt(uint index)
    {
        ReadOnlySpan<Rib.Path> selected = loop.Shard.Select(index, 1, out _);
        return selected.IsEmpty ? 0 : selected[0].Attr;
    }

    /// <summary>The next slice of the first dump.</summary>
    private void Walk(BmpTable<TPrefix> table)
    {
        RibShard<TPrefix> shard = loop.Shard;
        int budget = link.Limits.TurnPrefixes;
        for (; !_walked && budget > 0 && _described < TurnOctets && _next < shard.IndexLimit; _next++, budget--)
        {
            ReadOnlySpan<Rib.Path> paths = shard.AllPaths(_next);
            for (int i = 0; i < paths.Length; i++)
            {
                if (loop.SessionOf(paths[i].Peer) is { } session && shard.IsSince(paths[i], session.Epoch))
                {
                    Describe(table, shard.PrefixAt(_next), shard.PathIdAt(_next, i), paths[i].Peer, paths[i], withdrawals: false);
                }
            }
        }

        // What is selected is not decided yet while the start waits for neighbours (RFC 4724 section 4.1).
        for (; !_walkedSelected && !loop.Deferred && budget > 0 && _described < TurnOctets && _nextSelected < shard.IndexLimit; _nextSelected++, budget--)
        {
            uint attr = shard.IsInUse(_nextSelected) ? SelectedAt(_nextSelected) : 0;
            if (attr != 0)
            {
                Add(new Item(RibPeer.Local, Stream.Pre, attr, shard.PrefixAt(_nextSelected), 0));
            }
        }

        if (!_walked && _next >= shard.IndexLimit)
        {
            _walked = true;
            foreach (BmpSession session in link.Sessions())
            {
                if (session.Index != RibPeer.Local)
                {
                    _ends.Add((session.Index, session.Id, _taken + (ulong)_order.Count));
                }
            }
        }

        if (!_walkedSelected && !loop.Deferred && _nextSelected >= shard.IndexLimit)
        {
            _walkedSelected = true;
            _ends.Add((RibPeer.Local, BmpService.LocRibSession, _taken + (ulong)_order.Count));
        }
    }

    /// <summary>Writes what was gathered: prefixes of one peer that share a set into one UPDATE. Each path is there once, so the order is free.</summary>
    private void Tell(ulong now)
    {
        _items.Sort(static (a, b) => a.Peer != b.Peer ? a.Peer.CompareTo(b.Peer) : a.Stream != b.Stream ? a.Stream.CompareTo(b.Stream) : a.Attr.CompareTo(b.Attr));
        ReadOnlySpan<Item> items = CollectionsMarshal.AsSpan(_items);
        while (!items.IsEmpty)
        {
            Item first = items[0];
            int count = 1;
            while (count < items.Length && items[count].Peer == first.Peer && items[count].Stream == first.Stream && items[count].Attr == first.Attr)
            {
                count++;
            }

            Tell(first, items[..count], now);
            items = items[count..];
        }

        _items.Clear();
    }

    private void Tell(in Item first, ReadOnlySpan<Item> items, ulong now)
    {
        if (SessionOf(first.Peer) is not { } session)
        {
            return;
        }

        if (_prefixes.Length < items.Length)
        {
            Array.Resize(ref _prefixes, items.Length * 2);
            Array.Resize(ref _pathIds, items.Length * 2);
        }

        for (int i = 0; i < items.Length; i++)
        {
            (_prefixes[i], _pathIds[i]) = (items[i].Prefix, items[i].PathId);
        }

        ReadOnlySpan<TPrefix> prefixes = _prefixes.AsSpan(0, items.Length);
        ReadOnlySpan<uint> pathIds = _pathIds.AsSpan(0, items.Length);
        BmpPeer peer = first.Stream == Stream.Post ? session.Peer.PostPolicy : session.Peer;
        bool addPath = session.AddPath(TPrefix.Family);
        int messages = first.Attr == 0
            ? RouteMonitoring.Unreach(_octets, peer, now, prefixes, pathIds, addPath)
            : RouteMonitoring.Reach(_octets, peer, now, loop.Attributes.Canonical(first.Attr), prefixes, pathIds, addPath);
        link.Append(session, _octets.WrittenSpan, messages);
        _octets.ResetWrittenCount();
    }

    /// <summary>The session that both the table and the station know of a peer; null where one of them is behind.</summary>
    private BmpSession? SessionOf(ushort peer) =>
        link.SessionOf(peer) is { } session && (peer == RibPeer.Local || loop.SessionOf(peer)?.Id == session.Id) ? session : null;

    private void EndsDue()
    {
        for (int i = 0; i < _ends.Count; i++)
        {
            (ushort index, long id, ulong ticket) = _ends[i];
            if (ticket > _taken)
            {
                continue;
            }

            _ends.RemoveAt(i--);
            if (SessionOf(index) is not { } session || session.Id != id || session.Negotiated?.HasFamily(TPrefix.Family) == false)
            {
                continue;
            }

            int messages = 0;
            if (index == RibPeer.Local || _pre)
            {
                RouteMonitoring.EndOfRib(_octets, session.Peer, 0, TPrefix.Family);
                messages++;
            }

            if (index != RibPeer.Local && _post)
            {
                RouteMonitoring.EndOfRib(_octets, session.Peer.PostPolicy, 0, TPrefix.Family);
                messages++;
            }

            link.Append(session, _octets.WrittenSpan, messages);
            _octets.ResetWrittenCount();
        }

        IsSynced |= _walked && _walkedSelected;
    }
}
