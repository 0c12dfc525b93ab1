using System.Runtime.CompilerServices;
using Bgp.Protocol;

namespace Rib;

/// <summary>Why a route is or is not announced to a group.</summary>
public enum ExportReason : byte
{
    /// <summary>It is announced.</summary>
    Advertised,

    /// <summary>There is no eligible path.</summary>
    NoRoute,

    /// <summary>It came from that very peer.</summary>
    SplitHorizon,

    /// <summary>Learned from an internal peer, and neither that one nor the target is a client (RFC 4456 section 6).</summary>
    NotReflected,

    /// <summary>Community NO_ADVERTISE (RFC 1997).</summary>
    NoAdvertise,

    /// <summary>Community NO_EXPORT or NO_EXPORT_SUBCONFED towards an external peer (RFC 1997).</summary>
    NoExport,

    /// <summary>The export policy rejects it.</summary>
    Policy,

    /// <summary>Long-lived stale, towards an external neighbour that does not know of such routes (RFC 9494 section 4.3).</summary>
    LongLivedStale,

    /// <summary>No address of this host can stand as its next hop on this session.</summary>
    NoNextHop,

    /// <summary>Its attributes leave no room for a prefix in a message of the negotiated size.</summary>
    TooLarge,
}

/// <summary>
/// From the selected path to the attribute set that is announced: reflection rules, export policy, then the rules of BGP for the kind of session.
/// </summary>
/// <remarks>
/// The policy is asked per route, since it may look at the prefix. Everything after it depends on the attribute set, the source peer and
/// the policy's edit alone, and is remembered under those three: a table with few sets is transformed few times, and the result is an
/// interned id that the Adj-RIB-Out can hold. The memory is a direct-mapped cache that grows with collisions up to a bound and holds one reference on
/// each set it names, so that ids cannot be reused under it; <see cref="Clear"/> gives them up.
/// </remarks>
internal sealed partial class ExportTransform<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    // Routes of one set nearly always come together, so what matters is that the memory stays in a near cache.
    private const int MaxMemo = 2048;
    private const int MaxPlain = 32768;
    private const int LongestNlri = 17;
    private const uint DefaultLocalPref = 100;

    private readonly UpdateGroupKey _key;
    private readonly ILocRib<TPrefix> _rib;
    private readonly AttributeTable _attributes;
    private readonly UpdatePacker<TPrefix> _packer;
    private Memo[] _memo = new Memo[64];

    // The last route that needed no look at its attributes: the next one nearly always has the same. Its memo was the last to be looked up, so the id is held.
    private uint _lastAttribute;
    private ushort _lastPeer;
    private IRoutePolicy<TPrefix>? _lastPolicy;
    private bool _lastAcceptsAll;
    private bool _lastFitsAll;
    private uint _lastExported;
    private int _lastFixedLength;
    private ExportReason _lastReason;
    private byte[] _scratch = new byte[8192];

    internal ExportTransform(UpdateGroupKey key, ILocRib<TPrefix> rib, AttributeTable attributes, UpdatePacker<TPrefix> packer)
    {
        _key = key;
        _rib = rib;
        _attributes = attributes;
        _packer = packer;
    }

    /// <summary>Octets held, without the attribute sets.</summary>
    internal long Bytes => ((long)_memo.Length * Unsafe.SizeOf<Memo>()) + _scratch.Length;

    /// <summary>Routes that were kept back because their attributes do not fit a message.</summary>
    internal long TooLarge { get; private set; }

    /// <summary>The answer of <see cref="Export"/> where it is known without looking at anything, because the route before had the same set and source.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryRepeat(in TPrefix prefix, uint attribute, ushort peer, IRoutePolicy<TPrefix> policy, out uint exported)
    {
        if (attribute == _lastAttribute && peer == _lastPeer && ReferenceEquals(policy, _lastPolicy) && (_lastAcceptsAll || policy.AcceptsLearned(prefix)))
        {
            exported = Fitting(prefix, out _);
            return true;
        }

        exported = 0;
        return false;
    }

    /// <summary>
    /// Whether the last answer holds for every prefix with this set and source for which the policy <see cref="IRoutePolicy{TPrefix}.AcceptsLearned"/>, which
    /// need not be asked with <paramref name="all"/>.
    /// </summary>
    internal bool Repeats(uint attribute, ushort peer, IRoutePolicy<TPrefix> policy, out bool all)
    {
        all = _lastAcceptsAll;
        return attribute == _lastAttribute && peer == _lastPeer && _lastFitsAll && ReferenceEquals(policy, _lastPolicy);
    }

    /// <summary>
    /// The exported attribute set of one path; 0, with the reason, when it is not announced. The id is valid until the next call: the caller takes
    /// a reference if it keeps it.
    /// </summary>
    internal uint Export(in TPrefix prefix, uint attribute, ushort peer, RibPeer target, IRoutePolicy<TPrefix> policy, out ExportReason reason, out string rule)
    {
        rule = "";

        // An answer that is this prefix's alone must not be taken for that of the set before.
        _lastAttribute = 0;
        RibPeer? source = _rib.PeerAt(peer);
        if (source is null)
        {
            reason = ExportReason.NoRoute;
            return 0;
        }

        if (!RouteReflection.MayAdvertise(source.Kind, _key.Kind))
        {
            reason = ExportReason.NotReflected;
            return 0;
        }

        PolicyEdit? edit = null;
        bool unseen = source.Kind != PeerKind.Local && policy.AcceptsLearned(prefix);
        if (!unseen)
        {
            PolicyResult verdict = policy.Evaluate(prefix, _attributes.Get(attribute), new PolicyContext(source, target));
            rule = verdict.Rule;
            edit = verdict.Edit;
            if (!verdict.Accept)
            {
                reason = ExportReason.Policy;
                return 0;
            }
        }

        ref Memo memo = ref Find(attribute, source, edit);
        (_lastAttribute, _lastPeer, _lastPolicy, _lastAcceptsAll) = (unseen ? attribute : 0, peer, policy, policy.AcceptsAllLearned);
        (_lastExported, _lastFixedLength, _lastReason) = (memo.Exported, memo.FixedLength, memo.Reason);
        _lastFitsAll = memo.Exported == 0 || memo.FixedLength + LongestNlri <= _key.MaxMessageLength;
        return Fitting(prefix, out reason);
    }

    /// <summary>Forgets the last route: peers may be others now.</summary>
    internal void BeginTurn() => _lastAttribute = 0;

    /// <summary>The last exported set, if a message has room for the prefix beside it.</summary>
    private uint Fitting(in TPrefix prefix, out ExportReason reason)
    {
        reason = _lastReason;
        if (_lastExported != 0 && _lastFixedLength + prefix.WireLength > _key.MaxMessageLength)
        {
            TooLarge++;
            reason = ExportReason.TooLarge;
            return 0;
        }

        return _lastExported;
    }

    /// <summary>Gives up every remembered result.</summary>
    internal void Clear()
    {
        _lastAttribute = 0;
        foreach (ref Memo memo in _memo.AsSpan())
        {
            Release(ref memo);
        }
    }

    private static ulong HashOf(uint attribute, ushort peer, PolicyEdit? edit) =>
        Mix.Hash(((ulong)attribute << 16) | peer, edit is null ? 0 : (ulong)RuntimeHelpers.GetHashCode(edit));

    private ref Memo Find(uint attribute, RibPeer source, PolicyEdit? edit)
    {
        ulong hash = HashOf(attribute, source.Index, edit);
        ref Memo memo = ref _memo[(int)hash & (_memo.Length - 1)];
        if (memo.Attribute == attribute && ReferenceEquals(memo.Source, source) && ReferenceEquals(memo.Edit, edit))
        {
            return ref memo;
        }

        if (memo.Attribute != 0 && _memo.Length < MaxMemo)
        {
            Grow();
            memo = ref _memo[(int)hash & (_memo.Length - 1)];
        }

        Release(ref memo);
        _attributes.AddRef(attribute);
        memo.Attribute = attribute;
        memo.Source = source;
        memo.Edit = edit;
        ReadOnlySpan<byte> exported;
        ulong preparedHash;
        if (edit is null && TryTakePrepared(attribute, source.Index, out exported, out preparedHash))
        {
            memo.Reason = ExportReason.Advertised;
        }
        else
        {
            memo.Reason = Rewrite(_attributes.Canonical(attribute), source, edit, out exported);
            preparedHash = PathAttributes.HashOf(exported);
        }

        if (memo.Reason == ExportReason.Advertised)
        {
            memo.Exported = _attributes.Intern(exported, preparedHash);
            memo.FixedLength = _packer.FixedLength(exported);
        }

        return ref memo;
    }

    private void Grow()
    {
        Memo[] old = _memo;
        _memo = new Memo[old.Length * 2];
        foreach (ref Memo memo in old.AsSpan())
        {
            // One old place feeds two new ones, so nothing collides.
            if (memo.Attribute != 0)
            {
                _memo[(int)HashOf(memo.Attribute, memo.Source!.Index, memo.Edit) & (_memo.Length - 1)] = memo;
            }
        }
    }

    private void Release(ref Memo memo)
    {
        if (memo.Attribute != 0)
        {
            _attributes.Release(memo.Attribute);
        }

        if (memo.Exported != 0)
        {
            _attributes.Release(memo.Exported);
        }

        memo = default;
    }

    private ExportReason Rewrite(ReadOnlySpan<byte> received, RibPeer source, PolicyEdit? edit, out ReadOnlySpan<byte> canonical)
    {
        canonical = default;
        AttributeSummary attributes = new(received);
        if (WellKnown(attributes, received) is ExportReason kept and not ExportReason.Advertised)
        {
            return kept;
        }

        IpAddr nextHop = NextHop(attributes, received, source, edit, out IpAddr linkLocal);
        if (nextHop.IsNone)
        {
            return ExportReason.NoNextHop;
        }

        int room = received.Length + PathAttributesBuilder.Headroom + (edit?.Room ?? 0);
        if (_scratch.Length < room)
        {
            _scratch = new byte[room];
        }

        bool strange = IsStrangeToTarget(attributes, received);
        if (edit is null && source.Kind != PeerKind.Local && !strange)
        {
            int length = RewritePlain(attributes, received, source, nextHop, linkLocal);
            if (length > 0)
            {
                canonical = _scratch.AsSpan(0, length);
                return ExportReason.Advertised;
            }
        }

        PathAttributesBuilder builder = new(received, _scratch);
        builder.StripLocal();
        if (source.Kind == PeerKind.Local)
        {
            // RFC 4271 section 5.1.2: a route that begins here has an empty path, before ours is prepended for an external peer.
            builder.SetOrigin(Origin.Igp);
            builder.SetAsPath([]);
        }

        if (_key.IsIbgp)
        {
            ForInternal(ref builder, attributes, source, edit);
        }
        else
        {
            ForExternal(ref builder, attributes, source, edit);
        }

        builder.SetNextHop(nextHop, linkLocal);
        if (edit is not null)
        {
            // Behind our own AS number, and so before it in the path: BIRD 1.6, whose filters this is for, runs them on the route as the neighbour is to have it.
            builder.PrependAs(edit.PrependAsns);
            Communities(ref builder, edit);
        }

        if (strange)
        {
            // RFC 9494 section 4.6: an internal neighbour may have it if it prefers anything else and lets it go no further.
            builder.SetLocalPref(0);
            builder.AddCommunity(Community.NoExport);
        }

        canonical = builder.Build();
        if (canonical.IsEmpty)
        {
            // The builder ran out of room: certainly more than any message holds.
            TooLarge++;
            return ExportReason.TooLarge;
        }

        MarkPartial(_scratch.AsSpan(0, canonical.Length));
        return ExportReason.Advertised;
    }

    private ExportReason WellKnown(in AttributeSummary attributes, ReadOnlySpan<byte> received)
    {
        if (!attributes.HasAnyWellKnown)
        {
            return ExportReason.Advertised;
        }

        // RFC 1997: what the neighbour asked for when it sent the route, so the set before export policy counts.
        if (attributes.HasCommunity(received, Community.NoAdvertise))
        {
            return ExportReason.NoAdvertise;
        }

        bool external = _key.Kind == PeerKind.Ebgp;
        if (external && IsStrangeToTarget(attributes, received))
        {
            return ExportReason.LongLivedStale;
        }

        return external && (attributes.HasCommunity(received, Community.NoExport) || attributes.HasCommunity(received, Community.NoExportSubconfed))
            ? ExportReason.NoExport
            : ExportReason.Advertised;
    }

    /// <summary>Whether the route is long-lived stale and the neighbours do not know what that means.</summary>
    private bool IsStrangeToTarget(in AttributeSummary attributes, ReadOnlySpan<byte> received) =>
        !_key.LongLived && attributes.HasCommunity(received, Community.LongLivedStale);

    private IpAddr NextHop(in AttributeSummary attributes, ReadOnlySpan<byte> received, RibPeer source, PolicyEdit? edit, out IpAddr linkLocal)
    {
        linkLocal = default;
        if (edit is not null && !edit.NextHop.IsNone && Fits(edit.NextHop))
        {
            return edit.NextHop;
        }

        // RFC 4271 section 5.1.3. A next hop that means something on one link only cannot be passed on, so auto puts ours there. A kernel route's gateway is never a BGP next hop: it need not be reachable from the neighbour.
        bool self = source.Kind == PeerKind.Local
            || _key.NextHopMode == NextHopMode.Self
            || edit is { NextHopSelf: true }
            || (_key.NextHopMode == NextHopMode.Auto && (!_key.IsIbgp || attributes.NextHop(received).IsLinkLocal));
        if (self)
        {
            linkLocal = _key.SelfLinkLocal;
            return Fits(_key.Self) ? _key.Self : default;
        }

        // The link-local half is dropped: it means something on the link it came from only (RFC 2545 section 3).
        IpAddr nextHop = attributes.NextHop(received);
        return Fits(nextHop) && !nextHop.IsLinkLocal ? nextHop : default;
    }

    private bool Fits(IpAddr nextHop) => TPrefix.Family == AfiSafi.Ipv4Unicast
        ? nextHop.IsV4 || (nextHop.IsV6 && _key.ExtendedNextHop)
        : nextHop.IsV6;

    private void ForInternal(ref PathAttributesBuilder builder, in AttributeSummary attributes, RibPeer source, PolicyEdit? edit)
    {
        // RFC 4271 section 5.1.5: LOCAL_PREF is in every announcement to an internal peer. Our AS number is not put into AS_PATH (5.1.2), so a count of it does nothing.
        if (edit?.LocalPref is uint set)
        {
            builder.SetLocalPref(set);
        }
        else if (attributes.LocalPref is null)
        {
            builder.SetLocalPref(_key.NormalMetric > 0 && source.Kind == PeerKind.Local ? FromMetric(attributes) : DefaultLocalPref);
        }

        if (edit?.Med is uint med)
        {
            builder.SetMed(med);
        }

        // RFC 4456 section 8: reflected routes alone.
        if (RouteReflection.IsReflection(source.Kind, _key.Kind))
        {
            builder.SetOriginatorIdIfAbsent(source.RouterId);
            builder.PrependClusterId(ClusterOf(source));
        }
    }

    /// <summary>
    /// The cluster that a reflected route comes out of; out of none (a non-client's route) the one that it goes into. Another reflector of a client's cluster
    /// then knows the route as one that it has from the client itself.
    /// </summary>
    private uint ClusterOf(RibPeer source) => source is { Kind: PeerKind.IbgpClient, ClusterId: not 0 } ? source.ClusterId : _key.ClusterId;

    private void ForExternal(ref PathAttributesBuilder builder, in AttributeSummary attributes, RibPeer source, PolicyEdit? edit)
    {
        builder.StripForEbgp();
        builder.RemoveLocalPref();
        builder.PrependAs(_key.LocalAsn, 1 + Math.Max(0, edit?.Prepend ?? 0));
        if (edit?.Med is uint med)
        {
            builder.SetMed(med);
        }
        else if (source.Kind != PeerKind.Local && attributes.HasAsPath)
        {
            // RFC 4271 section 5.1.4: the MED of another AS is not passed on. A route with an empty path began in this AS and keeps its own.
            builder.RemoveMed();
        }
    }

    /// <summary>Calico: what the metric leaves of the largest signed value.</summary>
    private uint FromMetric(in AttributeSummary attributes)
    {
        uint metric = attributes.LocalMetric;
        return int.MaxValue - Math.Min(metric == 0 ? _key.NormalMetric : metric, int.MaxValue);
    }

    private static void Communities(ref PathAttributesBuilder builder, PolicyEdit edit)
    {
        foreach (uint community in edit.RemoveCommunities)
        {
            builder.RemoveCommunity(community);
        }

        foreach (uint community in edit.AddCommunities)
        {
            builder.AddCommunity(community);
        }

        foreach ((uint global, uint data1, uint data2) in edit.AddLargeCommunities)
        {
            builder.AddLargeCommunity(global, data1, data2);
        }
    }

    /// <summary>RFC 4271 section 5: an optional transitive attribute that this speaker does not know is passed on with the Partial bit.</summary>
    private static void MarkPartial(Span<byte> canonical)
    {
        AttributeReader reader = new(canonical);
        int start = 0;
        while (reader.Next(out byte flags, out byte code, out _, out _) == AttributeStep.Attribute)
        {
            const byte OptionalTransitive = (byte)(AttributeFlags.Optional | AttributeFlags.Transitive);
            if ((flags & OptionalTransitive) == OptionalTransitive && AttributeDescriptor.Find(code) is null)
            {
                canonical[start] |= (byte)AttributeFlags.Partial;
            }

            start = reader.Position;
        }
    }

    private struct Memo
    {
        internal uint Attribute;
        internal uint Exported;
        internal RibPeer? Source;
        internal PolicyEdit? Edit;
        internal int FixedLength;
        internal ExportReason Reason;
    }
}
