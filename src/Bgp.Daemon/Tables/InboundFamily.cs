using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tables;

/// <summary>One family of one session, from the reader's side: turns NLRI octets into batches for the table's loop.</summary>
internal abstract class InboundFamily
{
    /// <summary>The family.</summary>
    internal abstract AfiSafi Family { get; }

    /// <summary>Adds reachable NLRI with the canonical octets of their attribute set.</summary>
    internal abstract void Reach(ReadOnlySpan<byte> nlri, ReadOnlySpan<byte> canonical);

    /// <summary>Adds withdrawn NLRI.</summary>
    internal abstract void Unreach(ReadOnlySpan<byte> nlri);

    /// <summary>Hands what was gathered to the table.</summary>
    internal abstract void Flush();

    /// <summary>End-of-RIB (RFC 4724 section 2) in order with the routes before it.</summary>
    internal abstract void EndOfRib();

    /// <summary>The beginning and end of a route refresh (RFC 7313 section 4).</summary>
    internal abstract void RefreshMark(bool begin);

    /// <summary>The neighbour, or an operator, wants everything sent again (RFC 2918; bracketed by markers with RFC 7313).</summary>
    internal abstract void RefreshOut(bool enhanced);

    /// <summary>The session is over: gives up what was kept.</summary>
    internal abstract void End();

    /// <summary>Whether the table is behind on this session's routes, so that reading must pause.</summary>
    internal abstract bool MustWait { get; }

    /// <summary>Prefixes that the import policy has rejected so far, each as often as it was.</summary>
    internal long Rejected { get; private protected set; }

    /// <summary>Completes when reading may go on.</summary>
    internal abstract ValueTask WaitAsync();
}

/// <inheritdoc/>
/// <remarks>
/// A reader may have <see cref="MaxOutstanding"/> batches and requests under way; then it stops reading, the TCP window closes, and the neighbour waits. So the memory
/// that one neighbour can make this process hold is bounded whatever it sends, and no neighbour can fill a queue that others share.
/// <para>
/// Another import policy comes from outside the reader, while UPDATEs come in. The gate, which nobody else ever holds for long, makes the change a point
/// in the stream of batches: those before it were judged by the old policy, those behind it by the new one (see <see cref="ImportWalk{TPrefix}"/>).
/// </para>
/// <para>
/// What a filter has changed cannot be judged again from what is stored. A neighbour that takes ROUTE-REFRESH sends it again; for one that does not, and
/// only for that, the attribute sets as they came are kept here: about 40 octets a path, where a neighbour of this century costs nothing.
/// </para>
/// </remarks>
internal sealed class InboundFamily<TPrefix>(RibLoop<TPrefix> loop, RibPeer peer, long session, bool addPath, IRoutePolicy<TPrefix>? policy, bool keep) : InboundFamily
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private const int MaxOutstanding = 16;

    // A few routes are applied on the reader's thread, which is the shortest way; in a flood the reader parses the next batch meanwhile.
    private const int InlinePrefixes = 64;

    private readonly Lock _gate = new();
    private readonly PolicyContext _context = new(peer, peer);
    private readonly Dictionary<(TPrefix Prefix, uint PathId), uint>? _kept = keep ? [] : null;
    private IRoutePolicy<TPrefix>? _policy = policy;
    private bool _gateIsHeld;
    private RouteBatch<TPrefix>? _batch;
    private int _outstanding;
    private Waiter? _waiter;

    // The attribute set that the last edited one came from: an UPDATE's prefixes nearly always share one edit.
    private uint _editedFrom;
    private PolicyEdit? _edit;
    private uint _edited;

    /// <inheritdoc/>
    internal override AfiSafi Family => TPrefix.Family;

    /// <summary>Index of the interface of a link-local neighbour, whose link-local next hops are on that; 0 else.</summary>
    internal int Interface { get; init; }

    /// <inheritdoc/>
    internal override bool MustWait => Volatile.Read(ref _outstanding) >= MaxOutstanding;

    /// <inheritdoc/>
    internal override void Reach(ReadOnlySpan<byte> nlri, ReadOnlySpan<byte> canonical)
    {
        ulong hash = loop.Attributes.Prepare(canonical);
        lock (_gate)
        {
            bool drained = ImportEdit.IsDrained(peer, canonical);
            if (IsPlain && _policy is null && !drained && Interface == 0)
            {
                // Nothing asks for what is in the set.
                ReachPlain(nlri, canonical, hash);
                return;
            }

            uint attr = loop.Attributes.Intern(canonical, hash);
            try
            {
                ReachJudged(nlri, attr, drained);
            }
            finally
            {
                loop.Attributes.Release(attr);
            }
        }
    }

    /// <summary>Whether prefixes go into batches as they come, but for what a policy says.</summary>
    private bool IsPlain => !addPath && _kept is null;

    private void ReachPlain(ReadOnlySpan<byte> nlri, ReadOnlySpan<byte> canonical, ulong hash)
    {
        // The reference that interning gives goes over to the first run that begins.
        uint attr = 0;
        bool owned = false;
        while (!nlri.IsEmpty)
        {
            RouteBatch<TPrefix> batch = BatchWithRoom();
            int count = Read(ref nlri, batch.Room, routable: true);
            if (attr == 0)
            {
                // Only now: by now the place in the table, which was asked for before, is near.
                attr = loop.Attributes.Intern(canonical, hash);
                owned = true;
            }

            if (count == 0)
            {
                break;
            }

            if (batch.Append(count, attr) && !TakeOver(ref owned))
            {
                loop.Attributes.AddRef(attr);
            }
        }

        if (owned)
        {
            loop.Attributes.Release(attr);
        }
    }

    private static bool TakeOver(ref bool owned)
    {
        bool was = owned;
        owned = false;
        return was;
    }

    private RouteBatch<TPrefix> BatchWithRoom()
    {
        if (_batch is { HasRoom: false })
        {
            HandOver(later: _gateIsHeld);
        }

        return _batch ??= loop.RentBatch(this, peer.Index, session);
    }

    /// <summary>Reads prefixes until the field ends or <paramref name="into"/> is full; the number of those that are kept.</summary>
    private static int Read(ref ReadOnlySpan<byte> nlri, Span<TPrefix> into, bool routable)
    {
        int count = 0;
        ReadOnlySpan<byte> rest = nlri;
        while (count < into.Length && TPrefix.TryRead(ref rest, out TPrefix prefix))
        {
            into[count] = prefix;
            count += !routable || NlriScope.IsRoutable(prefix) ? 1 : 0;
        }

        nlri = rest;
        return count;
    }

    private void ReachJudged(ReadOnlySpan<byte> nlri, uint attr, bool drained)
    {
        uint received = attr;
        uint scoped = 0;
        try
        {
            PathAttributes? attributes = _policy is not null || drained || Interface != 0 ? loop.Attributes.Get(attr) : null;
            if (Interface != 0 && (attributes!.LinkLocalNextHop is { IsNone: false } local || (local = attributes.NextHop).IsLinkLocal))
            {
                attr = scoped = AttributeEditing.WithNextHop(loop.Attributes, attributes, local.WithScope(Interface));
                attributes = loop.Attributes.Get(scoped);
            }

            while (TryTake(ref nlri, out TPrefix prefix, out uint pathId))
            {
                if (NlriScope.IsRoutable(prefix))
                {
                    Keep(prefix, pathId, attr);
                    Judge(prefix, pathId, attr, received, attributes, drained);
                }
            }
        }
        finally
        {
            ForgetEdit();
            if (scoped != 0)
            {
                loop.Attributes.Release(scoped);
            }
        }
    }

    /// <inheritdoc/>
    internal override void Unreach(ReadOnlySpan<byte> nlri)
    {
        lock (_gate)
        {
            if (IsPlain)
            {
                int count;
                while (!nlri.IsEmpty && (count = Read(ref nlri, BatchWithRoom().Room, routable: false)) > 0)
                {
                    _batch!.Append(count, 0);
                }

                return;
            }

            while (TryTake(ref nlri, out TPrefix prefix, out uint pathId))
            {
                Keep(prefix, pathId, 0);
                Add(prefix, pathId, 0, PathFlags.None, 0);
            }
        }
    }

    /// <inheritdoc/>
    internal override void Flush()
    {
        lock (_gate)
        {
            HandOver();
        }
    }

    private void HandOver(bool later = false)
    {
        RouteBatch<TPrefix>? batch = _batch;
        if (batch is null)
        {
            return;
        }

        _batch = null;
        Interlocked.Increment(ref _outstanding);
        loop.Post(batch, inline: !later && batch.Count <= InlinePrefixes);
    }

    /// <inheritdoc/>
    internal override void EndOfRib()
    {
        Flush();
        Post(rib => rib.EndOfRib(peer.Index, session));
    }

    /// <inheritdoc/>
    internal override void RefreshMark(bool begin)
    {
        Flush();
        Post(rib => rib.RefreshMark(peer.Index, session, begin));
    }

    /// <inheritdoc/>
    internal override void RefreshOut(bool enhanced) => Post(rib => rib.RefreshOut(peer.Index, session, enhanced));

    /// <summary>Not on this thread, which may hold the session's lock; with a credit, since a neighbour can ask as fast as it can send.</summary>
    private void Post(Action<RibLoop<TPrefix>> action)
    {
        Interlocked.Increment(ref _outstanding);
        loop.PostLater(
            rib =>
            {
                action(rib);
                CreditBack();
            },
            peer.Index);
    }

    /// <inheritdoc/>
    internal override async ValueTask WaitAsync()
    {
        while (MustWait)
        {
            Waiter waiter = new();
            Volatile.Write(ref _waiter, waiter);
            if (MustWait)
            {
                await waiter.Task.ConfigureAwait(false);
            }
        }
    }

    /// <summary>The table has applied a batch.</summary>
    internal void CreditBack()
    {
        if (Interlocked.Decrement(ref _outstanding) < MaxOutstanding)
        {
            if (Interlocked.Exchange(ref _waiter, null) is { } waiter)
            {
                loop.Scheduler.Queue(waiter);
            }
        }
    }

    /// <summary>A reader that waits. It goes on as work of its own: a reader must not run on the table's loop.</summary>
    private sealed class Waiter : TaskCompletionSource, IThreadPoolWorkItem
    {
        /// <inheritdoc/>
        public void Execute() => TrySetResult();
    }

    /// <summary>Stops the reader at its next UPDATE, until <see cref="Resume"/>.</summary>
    internal void Hold()
    {
        _gate.Enter();
        _gateIsHeld = true;
    }

    /// <summary>Ends <see cref="Hold"/>.</summary>
    internal void Resume()
    {
        _gateIsHeld = false;
        _gate.Exit();
    }

    /// <summary>
    /// What comes from now on is judged by another policy; what came before is on its way to the table. Between <see cref="Hold"/> and <see cref="Resume"/>.
    /// With <paramref name="again"/>, what was kept is judged again and sent after it.
    /// </summary>
    internal void ChangePolicy(IRoutePolicy<TPrefix>? changed, bool again)
    {
        // Not on this thread: the table's turn could come to a session whose reader is held too.
        HandOver(later: true);
        _policy = changed;
        if (!again || _kept is null)
        {
            return;
        }

        try
        {
            foreach (((TPrefix prefix, uint pathId), uint attr) in _kept)
            {
                PathAttributes attributes = loop.Attributes.Get(attr);
                Judge(prefix, pathId, attr, attr, attributes, ImportEdit.IsDrained(loop.Attributes, peer, attr));
            }
        }
        finally
        {
            ForgetEdit();
        }

        HandOver(later: true);
    }

    /// <summary>Whether routes are kept as they came.</summary>
    internal bool Keeps => _kept is not null;

    /// <inheritdoc/>
    internal override void End()
    {
        lock (_gate)
        {
            foreach (uint attr in _kept?.Values ?? Enumerable.Empty<uint>())
            {
                loop.Attributes.Release(attr);
            }

            _kept?.Clear();
        }
    }

    private void Keep(in TPrefix prefix, uint pathId, uint attr)
    {
        if (_kept is null)
        {
            return;
        }

        if (_kept.Remove((prefix, pathId), out uint old))
        {
            loop.Attributes.Release(old);
        }

        if (attr != 0)
        {
            loop.Attributes.AddRef(attr);
            _kept.Add((prefix, pathId), attr);
        }
    }

    /// <param name="received">The set as it came, which differs from <paramref name="attr"/> where that names the interface of its next hop.</param>
    private void Judge(in TPrefix prefix, uint pathId, uint attr, uint received, PathAttributes? attributes, bool drained)
    {
        if (attributes is null || (_policy is null && !drained))
        {
            Add(prefix, pathId, attr, PathFlags.None, received);
            return;
        }

        uint stored = attr;
        PathFlags flags = PathFlags.None;
        PolicyResult result = _policy?.Evaluate(prefix, attributes, _context) ?? new PolicyResult(true, null, "");
        if (!result.Accept)
        {
            flags = PathFlags.Filtered;
            Rejected++;
        }
        else if (result.Edit is not null || drained)
        {
            stored = Edited(attr, attributes, result.Edit ?? ImportEdit.Drained);
        }

        Add(prefix, pathId, stored, flags, received);
    }

    private void ForgetEdit()
    {
        if (_edited != 0)
        {
            loop.Attributes.Release(_edited);
            (_edited, _editedFrom, _edit) = (0, 0, null);
        }
    }

    private bool TryTake(ref ReadOnlySpan<byte> nlri, out TPrefix prefix, out uint pathId)
    {
        pathId = 0;
        if (addPath && nlri.Length >= 4)
        {
            pathId = BinaryPrimitives.ReadUInt32BigEndian(nlri);
            nlri = nlri[4..];
        }

        return TPrefix.TryRead(ref nlri, out prefix);
    }

    private void Add(in TPrefix prefix, uint pathId, uint attr, PathFlags flags, uint received)
    {
        // Only where a rule changed the set, and somebody asks.
        received = received == attr || !loop.KeepsReceived ? 0 : received;
        if (pathId == 0 && _batch is { } batch && batch.TryContinue(prefix, attr, flags, received))
        {
            return;
        }

        while (true)
        {
            _batch ??= loop.RentBatch(this, peer.Index, session);
            if (_batch.TryAdd(prefix, pathId, attr, flags, received, out bool startedRun))
            {
                if (startedRun && attr != 0)
                {
                    loop.Attributes.AddRef(attr);
                }

                if (startedRun && received != 0)
                {
                    loop.Attributes.AddRef(received);
                }

                return;
            }

            HandOver(later: _gateIsHeld);
        }
    }

    private uint Edited(uint attr, PathAttributes attributes, PolicyEdit edit)
    {
        if (_edited != 0 && _editedFrom == attr && ReferenceEquals(_edit, edit))
        {
            return _edited;
        }

        if (_edited != 0)
        {
            loop.Attributes.Release(_edited);
        }

        _edited = ImportEdit.Apply(loop.Attributes, attributes, edit, peer);
        (_editedFrom, _edit) = (attr, edit);
        return _edited;
    }
}

/// <summary>What import makes of an accepted route's attributes.</summary>
internal static class ImportEdit
{
    /// <summary>RFC 8326 section 4.2: the neighbour is about to go; whatever else there is, is better.</summary>
    internal static readonly PolicyEdit Drained = new() { LocalPref = 0 };

    /// <summary>GRACEFUL_SHUTDOWN from an external neighbour; an internal one has set LOCAL_PREF itself.</summary>
    internal static bool IsDrained(AttributeTable table, RibPeer peer, uint attr) => IsDrained(peer, table.Canonical(attr));

    /// <inheritdoc cref="IsDrained(AttributeTable, RibPeer, uint)"/>
    internal static bool IsDrained(RibPeer peer, ReadOnlySpan<byte> canonical) =>
        peer.Kind == PeerKind.Ebgp && PathAttributes.HasCommunity(canonical, Community.GracefulShutdown);

    /// <summary>The set with a rule's changes, interned: the caller owns one reference.</summary>
    internal static uint Apply(AttributeTable table, PathAttributes attributes, PolicyEdit edit, RibPeer peer)
    {
        uint edited = AttributeEditing.Apply(table, attributes, edit, peer.LocalAsn);
        if (ReferenceEquals(edit, Drained) || !IsDrained(table, peer, edited))
        {
            return edited;
        }

        // After the filters, so that none of them prefers the route by accident; one that means to removes the community.
        uint drained = AttributeEditing.Apply(table, table.Get(edited), Drained, peer.LocalAsn);
        table.Release(edited);
        return drained;
    }
}

/// <summary>Which destinations a router has business with.</summary>
internal static class NlriScope
{
    /// <summary>
    /// False for multicast, loopback and link-local destinations: legal on the wire, logged at most, never entered (RFC 4271 section 6.3). Class E is
    /// routable: clusters use it.
    /// </summary>
    internal static bool IsRoutable<TPrefix>(in TPrefix prefix)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        if (prefix.Length == 0)
        {
            return true;
        }

        if (typeof(TPrefix) == typeof(Ipv4Prefix))
        {
            // Decided when this is compiled, and asked for every prefix of every UPDATE: 127/8 and 224/4 without the detour over an address of any family.
            uint octet = Unsafe.As<TPrefix, Ipv4Prefix>(ref Unsafe.AsRef(in prefix)).Value >> 24;
            return octet != 127 && octet >> 4 != 14;
        }

        IpAddr address = prefix.Address;
        return !address.IsMulticast && !address.IsLoopback && !(address.IsLinkLocal && prefix.Length >= 10);
    }
}
