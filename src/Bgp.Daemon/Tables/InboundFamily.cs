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

    /// <summary>Adds reachable NLRI with an interned attribute set. The caller keeps its own reference.</summary>
    internal abstract void Reach(ReadOnlySpan<byte> nlri, uint attr);

    /// <summary>Adds withdrawn NLRI.</summary>
    internal abstract void Unreach(ReadOnlySpan<byte> nlri);

    /// <summary>Hands what was gathered to the table.</summary>
    internal abstract void Flush();

    /// <summary>End-of-RIB (RFC 4724 section 2) in order with the routes before it.</summary>
    internal abstract void EndOfRib();

    /// <summary>The beginning and end of a route refresh (RFC 7313 section 4).</summary>
    internal abstract void RefreshMark(bool begin);

    /// <summary>Whether the table is behind on this session's routes, so that reading must pause.</summary>
    internal abstract bool MustWait { get; }

    /// <summary>Completes when reading may go on.</summary>
    internal abstract ValueTask WaitAsync();
}

/// <inheritdoc/>
/// <remarks>
/// A reader may have <see cref="MaxOutstanding"/> batches under way; then it stops reading, the TCP window closes, and the neighbour waits. So the memory
/// that one neighbour can make this process hold is bounded whatever it sends, and no neighbour can fill a queue that others share.
/// </remarks>
internal sealed class InboundFamily<TPrefix>(RibLoop<TPrefix> loop, RibPeer peer, long session, bool addPath, IRoutePolicy<TPrefix>? policy) : InboundFamily
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private const int MaxOutstanding = 16;

    // A few routes are applied on the reader's thread, which is the shortest way; in a flood the reader parses the next batch meanwhile.
    private const int InlinePrefixes = 64;

    // RFC 8326 section 4.2: the neighbour is about to go; whatever else there is, is better.
    private static readonly PolicyEdit s_drained = new() { LocalPref = 0 };

    private readonly PolicyContext _context = new(peer, peer);
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
    internal override void Reach(ReadOnlySpan<byte> nlri, uint attr)
    {
        bool drained = IsDrained(attr);
        PathAttributes? attributes = policy is not null || drained || Interface != 0 ? loop.Attributes.Get(attr) : null;
        uint scoped = 0;
        if (Interface != 0 && (attributes!.LinkLocalNextHop is { IsNone: false } local || (local = attributes.NextHop).IsLinkLocal))
        {
            attr = scoped = AttributeEditing.WithNextHop(loop.Attributes, attributes, local.WithScope(Interface));
            attributes = loop.Attributes.Get(scoped);
        }

        try
        {
            while (TryTake(ref nlri, out TPrefix prefix, out uint pathId))
            {
                if (!NlriScope.IsRoutable(prefix))
                {
                    continue;
                }

                uint stored = attr;
                PathFlags flags = PathFlags.None;
                if (policy is not null)
                {
                    PolicyResult result = policy.Evaluate(prefix, attributes!, _context);
                    if (!result.Accept)
                    {
                        flags = PathFlags.Filtered;
                    }
                    else if (result.Edit is not null)
                    {
                        stored = Edited(attr, attributes!, result.Edit);
                    }
                    else if (drained)
                    {
                        stored = Edited(attr, attributes!, s_drained);
                    }
                }
                else if (drained)
                {
                    stored = Edited(attr, attributes!, s_drained);
                }

                Add(prefix, pathId, stored, flags);
            }
        }
        finally
        {
            if (_edited != 0)
            {
                loop.Attributes.Release(_edited);
                (_edited, _editedFrom, _edit) = (0, 0, null);
            }

            if (scoped != 0)
            {
                loop.Attributes.Release(scoped);
            }
        }
    }

    /// <inheritdoc/>
    internal override void Unreach(ReadOnlySpan<byte> nlri)
    {
        while (TryTake(ref nlri, out TPrefix prefix, out uint pathId))
        {
            Add(prefix, pathId, 0, PathFlags.None);
        }
    }

    /// <inheritdoc/>
    internal override void Flush()
    {
        RouteBatch<TPrefix>? batch = _batch;
        if (batch is null)
        {
            return;
        }

        _batch = null;
        Interlocked.Increment(ref _outstanding);
        loop.Post(batch, inline: batch.Count <= InlinePrefixes);
    }

    /// <inheritdoc/>
    internal override void EndOfRib()
    {
        Flush();
        loop.Post(new RibAction<TPrefix>(rib => rib.EndOfRib(peer.Index, session)));
    }

    /// <inheritdoc/>
    internal override void RefreshMark(bool begin)
    {
        Flush();
        loop.Post(new RibAction<TPrefix>(rib => rib.RefreshMark(peer.Index, session, begin)));
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

    private void Add(in TPrefix prefix, uint pathId, uint attr, PathFlags flags)
    {
        if (pathId == 0 && _batch is { } batch && batch.TryContinue(prefix, attr, flags))
        {
            return;
        }

        while (true)
        {
            _batch ??= loop.RentBatch(this, peer.Index, session);
            if (_batch.TryAdd(prefix, pathId, attr, flags, out bool startedRun))
            {
                if (startedRun && attr != 0)
                {
                    loop.Attributes.AddRef(attr);
                }

                return;
            }

            Flush();
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

        _edited = AttributeEditing.Apply(loop.Attributes, attributes, edit, peer.LocalAsn);
        if (!ReferenceEquals(edit, s_drained) && IsDrained(_edited))
        {
            // After the filters, so that none of them prefers the route by accident; one that means to removes the community.
            uint drained = AttributeEditing.Apply(loop.Attributes, loop.Attributes.Get(_edited), s_drained, peer.LocalAsn);
            loop.Attributes.Release(_edited);
            _edited = drained;
        }

        (_editedFrom, _edit) = (attr, edit);
        return _edited;
    }

    /// <summary>GRACEFUL_SHUTDOWN from an external neighbour; an internal one has set LOCAL_PREF itself.</summary>
    private bool IsDrained(uint attr) =>
        peer.Kind == PeerKind.Ebgp && PathAttributes.HasCommunity(loop.Attributes.Canonical(attr), Community.GracefulShutdown);
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
