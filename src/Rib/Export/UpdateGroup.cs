using Bgp.Protocol;

namespace Rib;

/// <summary>
/// The export side of all sessions that would be sent the same bytes: computes what is announced once, encodes it once, and lets every
/// member read it at its own pace.
/// </summary>
/// <remarks>
/// A turn takes dirty prefix indexes, computes what each is announced as now (selected path → reflection → policy → rules of BGP), compares with the
/// <see cref="AdjRibOut"/> and packs the differences. With s the source peer of a route, what a change means to whom is:
/// <code>
/// none   → (a', s')            announce, all but s'
/// (a, s) → (a', s)             announce, all but s
/// (a, s) → (a', s'), s' ≠ s    announce, all but s'; withdraw, only s'
/// (a, s) → (a, s'),  s' ≠ s    announce, only s;     withdraw, only s'
/// (a, s) → none                withdraw, all but s
/// </code>
/// The receiver of a message is a property of the message, so no member has a table, and what each member has received is a pure function of the
/// Adj-RIB-Out and the member. Each index occurs once per turn, so withdrawals may all go first.
/// <para>
/// A new member walks the Adj-RIB-Out (<see cref="ExportWalk"/>), together with everyone else who came since the last turn. The first walk of a group also fills
/// it: indexes that no walk has reached are not computed, and their changes need no encoding.
/// </para>
/// <para>
/// Flow control: the group computes only while its fastest member is less than 1 MB behind. Until then changes collect as dirty bits, which take no more
/// memory the longer it lasts. A member that falls too far behind the fastest (<see cref="GroupLimits"/>) is detached: it holds nothing, delays nobody, and is
/// brought up to date by a walk of its own when it has sent what it had begun.
/// </para>
/// <para>Threads: every method here belongs to the loop that owns the table. Only <see cref="GroupMember"/> is read elsewhere.</para>
/// </remarks>
public sealed partial class UpdateGroup<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>The most prefixes in one turn: as many as pack well, few enough to stay within two milliseconds or so.</summary>
    public const int MaxBatch = 16384;

    private readonly ILocRib<TPrefix> _rib;
    private readonly AttributeTable _attributes;
    private readonly SegmentPool _pool;
    private readonly GroupFlow _flow;
    private readonly UpdateLog _log;
    private readonly AdjRibOut _adjRibOut;
    private readonly ExportTransform<TPrefix> _transform;
    private readonly UpdatePacker<TPrefix> _packer;
    private readonly DirtySet _dirty = new();
    private readonly List<GroupMember> _members = [];
    private readonly List<ExportWalk> _walks = [];
    private IRoutePolicy<TPrefix> _policy;
    private RibPeer? _target;
    private GroupMember?[] _byPeer = new GroupMember?[16];
    private readonly GroupLimits _limits;
    private int _waiting;
    private int _wantRefresh;
    private int _endOfRibDue;
    private uint _filled;

    /// <summary>
    /// A group without members, which has computed nothing yet. <paramref name="runnable"/> is called, on any thread, when a group that had to wait for
    /// its readers wants a turn; a pool may be shared by all groups of one loop.
    /// </summary>
    public UpdateGroup(
        UpdateGroupKey key,
        ILocRib<TPrefix> rib,
        AttributeTable attributes,
        IRoutePolicy<TPrefix> policy,
        Action? runnable = null,
        SegmentPool? pool = null,
        GroupLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(key);
        Key = key;
        _rib = rib;
        _attributes = attributes;
        _policy = policy;
        _pool = pool ?? new SegmentPool();
        _log = new UpdateLog(_pool);
        _limits = limits ?? new GroupLimits();
        _flow = new GroupFlow(_log, _limits, runnable);
        _adjRibOut = new AdjRibOut(Math.Clamp(key.AddPathLimit, 1, MaxPaths));
        _withdrawals = new Withdrawals<TPrefix>(key.AddPathLimit > 0);
        _packer = new UpdatePacker<TPrefix>(key, attributes);
        _transform = new ExportTransform<TPrefix>(key, rib, attributes, _packer);
    }

    /// <summary>What the members have in common.</summary>
    public UpdateGroupKey Key { get; }

    /// <summary>
    /// Called on the loop, once per member, when so much was withdrawn while the member was detached that it cannot be brought up to date. Its session has to be
    /// ended and the member removed with <see cref="Leave"/>.
    /// </summary>
    public Action<GroupMember>? Lagging { get; set; }

    /// <summary>Members.</summary>
    public IReadOnlyList<GroupMember> Members => _members;

    /// <summary>Routes announced by the group as a whole; a member has been sent those of them that are not its own.</summary>
    public int Advertised => _adjRibOut.Count;

    /// <summary>Prefixes whose export has yet to be computed again.</summary>
    public int Pending => _dirty.Count;

    /// <summary>UPDATE messages encoded, each once however many members read it.</summary>
    public long MessagesEncoded => _packer.Messages;

    /// <summary>How often a route was kept back because its attributes do not fit into a message.</summary>
    public long TooLarge => _transform.TooLarge;

    /// <summary>How many of a prefix's best paths are announced: one, or more with ADD-PATH.</summary>
    public int PathsPerPrefix => _adjRibOut.Stride;

    /// <summary>Octets of the Adj-RIB-Out and of what is remembered to compute it, without the attribute sets.</summary>
    public long TableBytes => _adjRibOut.Bytes + _transform.Bytes + _dirty.Bytes + ((long)_withdrawals.Count * 32);

    /// <summary>Octets held for readers.</summary>
    public long LogBytes
    {
        get
        {
            long bytes = _log.RetainedBytes;
            foreach (ExportWalk walk in _walks)
            {
                bytes += walk.Log.RetainedBytes;
            }

            return bytes;
        }
    }

    /// <summary>Routes that a member has been, or is being, sent.</summary>
    public int AdvertisedTo(GroupMember member) => _adjRibOut.CountFor(member.Peer.Index);

    /// <summary>
    /// A session came up: its first sync starts with the next turn, and End-of-RIB follows it, unless <paramref name="holdEndOfRib"/>, then after
    /// <see cref="ReleaseEndOfRib"/>. <paramref name="onData"/>: see <see cref="GroupMember"/>. <paramref name="enhancedRefresh"/>: the session negotiated RFC 7313.
    /// </summary>
    public GroupMember Join(RibPeer peer, Action onData, bool holdEndOfRib = false, bool enhancedRefresh = false)
    {
        if (MemberOf(peer.Index) is not null)
        {
            throw new InvalidOperationException($"peer {peer.Name} is a member already");
        }

        GroupMember member = new(peer, _flow, ControlMessages.Of(TPrefix.Family), onData)
        {
            HoldsEndOfRib = holdEndOfRib,
            TakesMarks = enhancedRefresh,
            IsWaitingForWalk = true,
        };
        Register(member);
        _waiting++;
        return member;
    }

    /// <summary>A session went down. The reader may still be inside a call; it finds the member closed afterwards.</summary>
    public void Leave(GroupMember member)
    {
        if (Release(member))
        {
            member.Close();
        }
    }

    private void Register(GroupMember member)
    {
        RibPeer peer = member.Peer;
        _target ??= peer;
        member.Slot = _members.Count;
        _members.Add(member);
        if (peer.Index >= _byPeer.Length)
        {
            Array.Resize(ref _byPeer, Math.Max(peer.Index + 1, _byPeer.Length * 2));
        }

        _byPeer[peer.Index] = member;
    }

    private bool Release(GroupMember member)
    {
        if (member.Slot >= _members.Count || !ReferenceEquals(_members[member.Slot], member))
        {
            return false;
        }

        GroupMember last = _members[^1];
        _members[member.Slot] = last;
        last.Slot = member.Slot;
        _members.RemoveAt(_members.Count - 1);
        _byPeer[member.Peer.Index] = null;
        _waiting -= member.IsWaitingForWalk ? 1 : 0;
        _wantRefresh -= member.WantsRefresh ? 1 : 0;
        _endOfRibDue -= member.EndOfRibDue ? 1 : 0;
        ForgetDetached(member);
        return true;
    }

    /// <summary>
    /// Sends everything once more to one member (RFC 2918 section 4), between the marks of RFC 7313 when <paramref name="enhanced"/> was negotiated. One that
    /// comes during a walk of that member, or before its End-of-RIB, follows it (RFC 7313 section 4); several become one.
    /// </summary>
    public void Refresh(GroupMember member, bool enhanced)
    {
        if (member.IsWaitingForWalk || member.IsClosed)
        {
            return;
        }

        member.WantsEnhanced = enhanced;
        if (!member.WantsRefresh)
        {
            member.WantsRefresh = true;
            _wantRefresh++;
        }
    }

    /// <summary>Lets End-of-RIB follow what was dirty until now, after the first sync.</summary>
    public void ReleaseEndOfRib(GroupMember member)
    {
        if (member.HoldsEndOfRib)
        {
            member.HoldsEndOfRib = false;
            member.EndOfRibTicket = _dirty.Added;
        }
    }

    /// <summary>The selected paths of a prefix may have changed.</summary>
    public void MarkDirty(uint index)
    {
        // The walk that has yet to fill this part computes it anyway.
        if (index < _filled)
        {
            _dirty.Add(index);
        }
    }

    /// <summary>The same for several.</summary>
    public void MarkDirty(ReadOnlySpan<uint> indexes)
    {
        if (_filled == uint.MaxValue)
        {
            _dirty.Add(indexes);
            return;
        }

        foreach (uint index in indexes)
        {
            MarkDirty(index);
        }
    }

    /// <summary>Everything is computed again and the differences are sent: after a change of what the policy refers to.</summary>
    public void MarkAllDirty()
    {
        _transform.Clear();
        uint limit = Math.Min(_filled, _rib.IndexLimit);
        for (uint index = 0; index < limit; index++)
        {
            _dirty.Add(index);
        }
    }

    /// <summary>Another policy for all members: what differs is sent.</summary>
    public void ChangePolicy(IRoutePolicy<TPrefix> policy)
    {
        _policy = policy;
        MarkAllDirty();
    }

    /// <summary>What the group announces for a prefix in a path slot (0 without ADD-PATH); false for nothing.</summary>
    public bool TryGetAdvertised(uint index, int slot, out AdjRibOutEntry entry)
    {
        entry = slot < _adjRibOut.Stride ? _adjRibOut.Get(index, slot) : default;
        return !entry.IsNone;
    }

    /// <summary>
    /// Computes, without changing anything, whether and why a path of a prefix goes to a member, and with which attributes (valid until the next call; null when it
    /// does not go). The path is the <paramref name="nth"/> in order of preference, from 0 on, of the <see cref="PathsPerPrefix"/> that the group looks at; the
    /// rule is that of the policy.
    /// </summary>
    public ExportReason Explain(uint index, int nth, RibPeer member, out Path path, out PathAttributes? exported, out string rule)
    {
        (path, exported, rule) = (default, null, "");
        ReadOnlySpan<Path> paths = _rib.Select(index, PathsPerPrefix, out _);
        if (nth >= Math.Min(paths.Length, PathsPerPrefix))
        {
            return ExportReason.NoRoute;
        }

        path = paths[nth];
        if (path.Peer == member.Index)
        {
            return ExportReason.SplitHorizon;
        }

        uint id = _transform.Export(_rib.PrefixAt(index), path.Attr, path.Peer, member, _policy, out ExportReason reason, out rule);
        if (rule.Length == 0 && reason != ExportReason.NotReflected && _rib.PeerAt(path.Peer) is RibPeer source)
        {
            rule = _policy.Evaluate(_rib.PrefixAt(index), _attributes.Describe(path.Attr), new PolicyContext(source, member)).Rule;
        }

        exported = id == 0 ? null : _attributes.Describe(id);
        return reason;
    }

    /// <summary>
    /// Does up to <paramref name="budget"/> prefixes of changes and as many of each walk. True: more can be done at once. False: nothing to do, or the readers
    /// have to make room first, which <c>runnable</c> reports.
    /// </summary>
    public bool Turn(int budget)
    {
        _flow.Unblock();
        _transform.BeginTurn();
        Trim();
        DetachSlow();
        StartWalks();
        if (!IsOverMemory())
        {
            int batch = Math.Clamp(budget, 1, MaxBatch);
            if (_dirty.Count > 0 && MainHasRoom())
            {
                ProcessDirty(batch);
            }

            ProcessWalks(batch);
            ScheduleEndOfRibs();
        }

        if (CanWork())
        {
            return true;
        }

        if (HasWork())
        {
            _flow.Block(IsOverMemory() ? GroupFlow.WaitsForMemory : GroupFlow.WaitsForWindow);
            Trim();
            if (CanWork())
            {
                _flow.Unblock();
                return true;
            }
        }

        return false;
    }

    /// <summary>Gives up every reference on attribute sets and prefix indexes. All members must have left.</summary>
    public void Close()
    {
        if (_members.Count > 0)
        {
            throw new InvalidOperationException("the group has members");
        }

        uint limit = _adjRibOut.Limit;
        for (uint index = 0; index < limit; index++)
        {
            for (int slot = 0; slot < _adjRibOut.Stride; slot++)
            {
                AdjRibOutEntry entry = _adjRibOut.Get(index, slot);
                if (!entry.IsNone)
                {
                    Store(index, slot, entry, default);
                }
            }
        }

        _transform.Clear();
        Trim();
        _log.Close();
    }

    private GroupMember? MemberOf(ushort peer) => peer < _byPeer.Length ? _byPeer[peer] : null;

    private void Trim()
    {
        _log.Trim(_detached);
        for (int i = _walks.Count - 1; i >= 0; i--)
        {
            ExportWalk walk = _walks[i];
            walk.Log.Trim(_detached);
            if (Volatile.Read(ref walk.Readers) == 0)
            {
                Forget(walk);
                walk.Log.Close();
                _walks.RemoveAt(i);
            }
        }
    }

    private bool IsOverMemory() => LogBytes > _limits.Log;

    /// <summary>What may have to wait for readers. Refreshes and detached members are not in it: their readers call for a turn themselves.</summary>
    private bool HasWork() => _dirty.Count > 0 || _waiting > 0 || HasUnfinishedWalk();

    private bool CanWork()
    {
        if (IsOverMemory())
        {
            return false;
        }

        return (_dirty.Count > 0 && MainHasRoom())
            || (_waiting > 0 && FreeSlot() >= 0)
            || (_wantRefresh > 0 && RefreshCanStart())
            || (_detached.Count > 0 && ResyncCanStart())
            || WalkCanGoOn();
    }

    private bool MainHasRoom()
    {
        bool any = false;
        long tail = _log.Tail;
        foreach (GroupMember member in _members)
        {
            if (member.IsReading)
            {
                any = true;
                if (tail - member.Position < _limits.Window)
                {
                    return true;
                }
            }
        }

        return !any;
    }
}
