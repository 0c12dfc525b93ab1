using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tables;

/// <summary>A peer's other import policy.</summary>
/// <param name="Peer">The peer.</param>
/// <param name="Session">The session that it is for; one that is over is left out.</param>
/// <param name="Policy">The new policy; null accepts everything.</param>
internal sealed record ImportChange<TPrefix>(RibPeer Peer, long Session, IRoutePolicy<TPrefix>? Policy)
    where TPrefix : unmanaged, IPrefix<TPrefix>;

/// <summary>
/// Judges the stored paths of any number of peers by their new import policies, in one pass over the table, without a packet.
/// </summary>
/// <remarks>
/// Possible because rejected paths are kept, flagged, and an accepted one is stored as it came as long as no rule changed it: the caller makes sure that the old
/// policy had no such rule. A reload that changes one filter of 500 peers is one pass, not 500.
/// <para>The table's loop takes no other work until the pass is over: a route that arrives behind the change of policy is judged by the new one already, and a
/// rule that prepends must not be applied to it a second time. Readers wait meanwhile as they do for any table that is behind; questions are answered, and
/// consumers follow slice by slice.</para>
/// <para>Stale paths of an earlier session keep the old verdict: they are confirmed under the new one, or go.</para>
/// </remarks>
internal sealed class ImportWalk<TPrefix>(RibLoop<TPrefix> loop)
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private readonly RibShard<TPrefix> _shard = loop.Shard;
    private readonly AttributeTable _attributes = loop.Attributes;
    private readonly List<(uint PathId, Rib.Path Path)> _paths = [];
    private ImportChange<TPrefix>?[] _byPeer = new ImportChange<TPrefix>?[16];
    private uint _next = 1;
    private bool _any;

    // The set that the last edited one came from, as in InboundFamily.
    private uint _editedFrom;
    private PolicyEdit? _edit;
    private uint _edited;

    internal void Add(ImportChange<TPrefix> change)
    {
        if (change.Peer.Index >= _byPeer.Length)
        {
            Array.Resize(ref _byPeer, Math.Max(change.Peer.Index + 1, _byPeer.Length * 2));
        }

        _byPeer[change.Peer.Index] = change;
        _any = true;
    }

    /// <summary>Up to <paramref name="budget"/> prefixes more; false at the end.</summary>
    internal bool Step(int budget)
    {
        for (; _any && budget > 0 && _next < _shard.IndexLimit; _next++, budget--)
        {
            Judge(_next);
        }

        bool more = _any && _next < _shard.IndexLimit;
        if (!more && _edited != 0)
        {
            _attributes.Release(_edited);
            _edited = 0;
        }

        return more;
    }

    private void Judge(uint index)
    {
        _paths.Clear();
        ReadOnlySpan<Rib.Path> paths = _shard.AllPaths(index);
        for (int i = 0; i < paths.Length; i++)
        {
            Rib.Path path = paths[i];
            if (path.Peer < _byPeer.Length && _byPeer[path.Peer] is not null && !_shard.IsStale(path))
            {
                // Storing moves paths about, so they are taken down first.
                _paths.Add((_shard.PathIdAt(index, i), path));
            }
        }

        TPrefix prefix = _paths.Count > 0 ? _shard.PrefixAt(index) : default;
        foreach ((uint pathId, Rib.Path path) in _paths)
        {
            ImportChange<TPrefix> change = _byPeer[path.Peer]!;
            PathAttributes stored = _attributes.Get(path.Attr);
            PolicyResult result = change.Policy?.Evaluate(prefix, stored, new PolicyContext(change.Peer, change.Peer)) ?? new PolicyResult(true, null, "");
            PolicyEdit? edit = !result.Accept ? null : result.Edit ?? (ImportEdit.IsDrained(_attributes, change.Peer, path.Attr) ? ImportEdit.Drained : null);
            uint attr = edit is null ? path.Attr : Edited(path.Attr, stored, edit, change.Peer);

            // Before the table gives up its reference to the set of before.
            loop.Monitor?.Judged(prefix, pathId, path.Peer, stored: attr, before: path.Attr);
            _shard.Reach([prefix], [pathId], path.Peer, attr, result.Accept ? PathFlags.None : PathFlags.Filtered);
        }
    }

    private uint Edited(uint attr, PathAttributes stored, PolicyEdit edit, RibPeer peer)
    {
        if (_edited != 0 && _editedFrom == attr && ReferenceEquals(_edit, edit))
        {
            return _edited;
        }

        uint made = ImportEdit.Apply(_attributes, stored, edit, peer);
        if (_edited != 0)
        {
            _attributes.Release(_edited);
        }

        (_editedFrom, _edit, _edited) = (attr, edit, made);
        return made;
    }
}
