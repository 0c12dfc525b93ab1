using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Peers;

/// <summary>Counters of one peer over all its sessions. Written by its reader, read by anyone.</summary>
internal sealed class UpdateCounters
{
    internal long Updates;
    internal long Withdrawn;
    internal long Discarded;
    internal long AsPathLoops;
    internal long OriginatorIdLoops;
    internal long ClusterListLoops;

    internal long Loops => AsPathLoops + OriginatorIdLoops + ClusterListLoops;
}

/// <summary>
/// An established session: from the reader's thread it turns UPDATEs into batches for the tables; towards the tables it is a member of an update group
/// per family.
/// </summary>
internal sealed class EstablishedSession
{
    private readonly PeerSession _owner;
    private readonly DaemonContext _context;
    private readonly PathAttributesParser _parser = new();
    private AttributeRules _rules;
    private readonly long _updatesBefore;
    private readonly GroupMember?[] _members = new GroupMember?[2];
    private InboundFamily<Ipv4Prefix>? _v4;
    private InboundFamily<Ipv6Prefix>? _v6;

    internal EstablishedSession(PeerSession owner, DaemonContext context, BgpConnection connection, NegotiatedSession negotiated, long id)
    {
        (_owner, _context, Connection, Negotiated, Id) = (owner, context, connection, negotiated, id);
        _updatesBefore = owner.Counters.Updates;
        PeerSettings settings = owner.Settings;
        _rules = Rules(settings);
        Peer = new RibPeer
        {
            Index = owner.Index,
            Name = settings.Name,
            Kind = negotiated.IsIbgp ? settings.IsClient ? PeerKind.IbgpClient : PeerKind.Ibgp : PeerKind.Ebgp,
            Asn = negotiated.PeerAsn,
            LocalAsn = settings.LocalAsn,
            RouterId = negotiated.PeerRouterId,
            ClusterId = settings.ClusterId,
            Address = settings.Address,
            LocalAddress = connection.LocalAddress,
        };
    }

    internal long Id { get; }

    /// <summary>Whether an UPDATE has arrived, be it End-of-RIB.</summary>
    internal bool HasHeard => _owner.Counters.Updates != _updatesBefore;

    internal BgpConnection Connection { get; }

    internal NegotiatedSession Negotiated { get; }

    internal RibPeer Peer { get; }

    internal string FamilyNames => Negotiated.HasFamily(AfiSafi.Ipv4Unicast)
        ? Negotiated.HasFamily(AfiSafi.Ipv6Unicast) ? "ipv4, ipv6" : "ipv4"
        : Negotiated.HasFamily(AfiSafi.Ipv6Unicast) ? "ipv6" : "none";

    /// <summary>Octets of the connection's own buffers: what it reads into, and what a message is put together and checked in.</summary>
    internal long BufferBytes => Connection.BufferBytes + _parser.ScratchBytes;

    internal GroupMember? MemberOf(AfiSafi family) => Volatile.Read(ref _members[family == AfiSafi.Ipv4Unicast ? 0 : 1]);

    internal void Start(Func<AfiSafi, bool> keepStale)
    {
        PeerSettings settings = _owner.Settings;
        if (Negotiated.HasFamily(AfiSafi.Ipv4Unicast))
        {
            _v4 = Join(_context.V4, settings.Policies.ImportV4, settings.Policies.ExportV4, keepStale, 0);
        }

        if (Negotiated.HasFamily(AfiSafi.Ipv6Unicast))
        {
            _v6 = Join(_context.V6, settings.Policies.ImportV6, settings.Policies.ExportV6, keepStale, 1);
        }
    }

    /// <summary>From now on the connection gives its UPDATEs to the tables by the short way.</summary>
    internal void Receive() => Connection.Inbound = [.. new InboundFamily?[] { _v4, _v6 }.OfType<InboundFamily>()];

    /// <summary>What the running session takes over at once: how received attributes are judged, and limits. Import and export policies follow apart.</summary>
    internal void Update(PeerSettings settings)
    {
        Volatile.Write(ref _rules, Rules(settings));
        if (_v4 is not null)
        {
            Limits(_context.V4, settings);
        }

        if (_v6 is not null)
        {
            Limits(_context.V6, settings);
        }
    }

    /// <summary>Adds what has to be told to the tables where the import policy has changed, and holds the readers until <paramref name="work"/> is done.</summary>
    internal void ChangeImport(PolicySet policies, bool fromStored, ImportWork work)
    {
        if (_v4 is not null)
        {
            work.Hold(work.V4, _v4, new ImportChange<Ipv4Prefix>(Peer, Id, Filter(policies.ImportV4)), fromStored);
        }

        if (_v6 is not null)
        {
            work.Hold(work.V6, _v6, new ImportChange<Ipv6Prefix>(Peer, Id, Filter(policies.ImportV6)), fromStored);
        }
    }

    /// <summary>Adds the update groups that the session belongs to now.</summary>
    internal void ChangeExport(PeerSettings settings, List<GroupMove<Ipv4Prefix>> v4, List<GroupMove<Ipv6Prefix>> v6)
    {
        if (_v4 is not null)
        {
            v4.Add(new GroupMove<Ipv4Prefix>(Peer.Index, Id, GroupKey<Ipv4Prefix>(settings, settings.Policies.ExportV4), settings.Policies.ExportV4));
        }

        if (_v6 is not null)
        {
            v6.Add(new GroupMove<Ipv6Prefix>(Peer.Index, Id, GroupKey<Ipv6Prefix>(settings, settings.Policies.ExportV6), settings.Policies.ExportV6));
        }
    }

    /// <summary>Leaves the tables. What <paramref name="retain"/> says stays, stale; with <paramref name="dropStale"/>, less what was stale before.</summary>
    internal void Stop(Func<AfiSafi, bool> retain, bool dropStale)
    {
        _v4?.End();
        _v6?.End();
        if (_v4 is not null)
        {
            bool keep = retain(AfiSafi.Ipv4Unicast);
            _context.V4.PostLater(loop => loop.SessionDown(Peer.Index, Id, keep, dropStale), Peer.Index);
        }

        if (_v6 is not null)
        {
            bool keep = retain(AfiSafi.Ipv6Unicast);
            _context.V6.PostLater(loop => loop.SessionDown(Peer.Index, Id, keep, dropStale), Peer.Index);
        }
    }

    /// <summary>What a BMP station is told in numbers (RFC 7854 section 4.8). From any thread.</summary>
    internal BmpStatistic[] Statistics()
    {
        UpdateCounters counters = _owner.Counters;
        List<BmpStatistic> statistics =
        [
            new(BmpStatisticType.RejectedPrefixes, (ulong)((_v4?.Rejected ?? 0) + (_v6?.Rejected ?? 0))),
            new(BmpStatisticType.ClusterListLoops, (ulong)counters.ClusterListLoops),
            new(BmpStatisticType.AsPathLoops, (ulong)counters.AsPathLoops),
            new(BmpStatisticType.OriginatorIdLoops, (ulong)counters.OriginatorIdLoops),
            new(BmpStatisticType.TreatedAsWithdraw, (ulong)counters.Withdrawn),
        ];
        ulong v4 = (ulong)_context.V4.Shard.PathCount(Peer.Index);
        ulong v6 = (ulong)_context.V6.Shard.PathCount(Peer.Index);
        statistics.Add(new BmpStatistic(BmpStatisticType.AdjRibIn, v4 + v6));
        if (_v4 is not null)
        {
            statistics.Add(new BmpStatistic(BmpStatisticType.FamilyAdjRibIn, v4, AfiSafi.Ipv4Unicast));
        }

        if (_v6 is not null)
        {
            statistics.Add(new BmpStatistic(BmpStatisticType.FamilyAdjRibIn, v6, AfiSafi.Ipv6Unicast));
        }

        return [.. statistics];
    }

    internal void RefreshOut()
    {
        _v4?.RefreshOut(Negotiated.EnhancedRefresh);
        _v6?.RefreshOut(Negotiated.EnhancedRefresh);
    }

    /// <summary>A ROUTE-REFRESH of the neighbour (RFC 2918, RFC 7313). Families that were not negotiated are ignored.</summary>
    internal void RefreshArrived(in RouteRefreshMessage refresh)
    {
        InboundFamily? family = refresh.Family == AfiSafi.Ipv4Unicast ? _v4 : refresh.Family == AfiSafi.Ipv6Unicast ? _v6 : null;
        if (family is null)
        {
            return;
        }

        switch (refresh.Subtype)
        {
            case RouteRefreshSubtype.Request:
                family.RefreshOut(Negotiated.EnhancedRefresh);
                break;
            case RouteRefreshSubtype.BeginOfRefresh or RouteRefreshSubtype.EndOfRefresh:
                family.RefreshMark(refresh.Subtype == RouteRefreshSubtype.BeginOfRefresh);
                break;
        }
    }

    /// <summary>
    /// One UPDATE. All four prefix lists are found before an attribute is judged, so that one action applies to the whole message (RFC 7606 section 3).
    /// </summary>
    internal UpdateError UpdateArrived(ReadOnlySpan<byte> body)
    {
        _owner.Counters.Updates++;
        UpdateError error = UpdateView.TryParse(body, Negotiated, out UpdateView view);
        if (error.Action == UpdateAction.SessionReset)
        {
            return error;
        }

        if (view.IsEndOfRib(out AfiSafi ended))
        {
            (ended == AfiSafi.Ipv4Unicast ? _v4 : (InboundFamily?)_v6)?.EndOfRib();
            _owner.EndOfRibArrived(this, ended);
            return default;
        }

        AttributeRules rules = Volatile.Read(ref _rules);
        if (!ReferenceEquals(rules.OtherClusterIds, _context.ClusterIds))
        {
            // A reload that puts others in their place at this moment wins.
            Interlocked.CompareExchange(ref _rules, rules with { OtherClusterIds = _context.ClusterIds }, rules);
            rules = Volatile.Read(ref _rules);
        }

        error = _parser.Parse(view, Negotiated, rules, out ReadOnlySpan<byte> forIpv4, out ReadOnlySpan<byte> forMp);
        LoopKind loop = _parser.Loop;
        if (error.Action == UpdateAction.SessionReset)
        {
            return error;
        }

        // RFC 4271 section 4.3: a prefix in both lists counts as announced, so withdrawals go first.
        if (!view.Withdrawn.IsEmpty)
        {
            _v4?.Unreach(view.Withdrawn);
        }

        if (view.MpUnreach.IsPresent)
        {
            Family(view.MpUnreach.Family)?.Unreach(view.MpUnreach.Nlri);
        }

        bool withdraw = error.Action == UpdateAction.TreatAsWithdraw || loop != LoopKind.None;
        switch (loop)
        {
            case LoopKind.OwnAs:
                _owner.Counters.AsPathLoops++;
                break;
            case LoopKind.OwnOriginatorId:
                _owner.Counters.OriginatorIdLoops++;
                break;
            case LoopKind.OwnClusterId:
                _owner.Counters.ClusterListLoops++;
                break;
        }

        if (error.Action == UpdateAction.TreatAsWithdraw)
        {
            _owner.Counters.Withdrawn++;
        }
        else if (error.Action == UpdateAction.AttributeDiscard)
        {
            _owner.Counters.Discarded++;
        }

        if (!view.Nlri.IsEmpty)
        {
            Apply(_v4, view.Nlri, withdraw, forIpv4);
        }

        if (view.MpReach.IsPresent)
        {
            Apply(Family(view.MpReach.Family), view.MpReach.Nlri, withdraw, forMp);
        }

        return error;
    }

    private static AttributeRules Rules(PeerSettings settings) => new()
    {
        OwnAsn = settings.LocalAsn,
        RouterId = settings.RouterId,
        ClusterId = settings.ClusterId,
        AllowLocalAs = settings.AllowLocalAs,
        EnforceFirstAs = settings.EnforceFirstAs,
    };

    private InboundFamily? Family(AfiSafi family) => family == AfiSafi.Ipv4Unicast ? _v4 : _v6;

    private void Apply(InboundFamily? family, ReadOnlySpan<byte> nlri, bool withdraw, ReadOnlySpan<byte> canonical)
    {
        if (family is null)
        {
            return;
        }

        if (withdraw)
        {
            family.Unreach(nlri);
            return;
        }

        family.Reach(nlri, canonical);
    }

    private InboundFamily<TPrefix> Join<TPrefix>(
        RibLoop<TPrefix> loop, IRoutePolicy<TPrefix> import, IRoutePolicy<TPrefix> export, Func<AfiSafi, bool> keepStale, int slot)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        PeerSettings settings = _owner.Settings;
        AfiSafi family = TPrefix.Family;
        FamilySettings? options = settings.Families.Find(item => item.Family == family);
        RibSession<TPrefix> session = new(Peer, Id, _owner)
        {
            EnhancedRefresh = Negotiated.EnhancedRefresh,
            MaxPrefixes = options?.MaxPrefixes ?? 0,
            MaxPrefixesTearsDown = options?.MaxPrefixesTearsDown ?? false,
        };
        UpdateGroupKey key = GroupKey(settings, export);
        bool keep = keepStale(family);
        PeerWriter writer = Connection.Writer;
        loop.PostLater(table =>
        {
            GroupMember member = table.SessionUp(session, key, export, keep, () => table.FanOut.Wake(writer, session.Peer.Index));
            Volatile.Write(ref _members[slot], member);
            writer.SetMember(slot, member);
        }, Peer.Index);
        return new InboundFamily<TPrefix>(loop, Peer, Id, Negotiated.AddPathReceive(family), Filter(import), keep: !Negotiated.RouteRefresh)
        {
            Interface = settings.Address.IsLinkLocal ? DaemonContext.InterfaceIndex(settings.Interface) : 0,
        };
    }

    private static IRoutePolicy<TPrefix>? Filter<TPrefix>(IRoutePolicy<TPrefix> import)
        where TPrefix : unmanaged, IPrefix<TPrefix> => import.AcceptsAll ? null : import;

    private void Limits<TPrefix>(RibLoop<TPrefix> loop, PeerSettings settings)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        if (settings.Families.Find(static item => item.Family == TPrefix.Family) is { } options)
        {
            loop.PostLater(table => table.ChangeLimit(Peer.Index, Id, options.MaxPrefixes, options.MaxPrefixesTearsDown), Peer.Index);
        }
    }

    private UpdateGroupKey GroupKey<TPrefix>(PeerSettings settings, IRoutePolicy<TPrefix> export)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        AfiSafi family = TPrefix.Family;
        IpAddr node = family == AfiSafi.Ipv4Unicast ? settings.NodeIpv4 : settings.NodeIpv6;
        IpAddr local = Connection.LocalAddress;
        IpAddr self = UpdateGroupKey.ResolveSelf(family, local, node, settings.NodeIpv6, Negotiated.ExtendedNextHop);
        return new UpdateGroupKey
        {
            Family = family,
            Kind = Peer.Kind,
            LocalAsn = settings.LocalAsn,
            Policy = export.ContentKey,
            ClusterId = settings.ClusterId,
            As4 = Negotiated.As4,
            MaxMessageLength = Negotiated.MaxMessageLength,
            ExtendedNextHop = Negotiated.ExtendedNextHop,
            AddPathLimit = Negotiated.AddPathSend(family) ? Math.Max(1, settings.Families.Find(item => item.Family == family)?.AddPathLimit ?? 1) : 0,
            NextHopMode = settings.NextHop,
            Self = self,
            SelfLinkLocal = local.IsLinkLocal && self.IsV6 && !self.IsLinkLocal ? local : default,
            NormalMetric = family == AfiSafi.Ipv4Unicast ? settings.NormalMetricV4 : settings.NormalMetricV6,
            LongLived = Negotiated.Remote.Capabilities.LongLived.Any(item => item.Family == family),
        };
    }
}

/// <summary>
/// Other import policies of any number of sessions, taken over at one point: readers are held while theirs is changed, and the tables hear of all in one
/// piece of work, behind everything that was judged by the old ones.
/// </summary>
/// <remarks>No session's lock may be held: a reader can be inside a table's turn that ends another session.</remarks>
internal sealed class ImportWork(DaemonContext context) : IDisposable
{
    private readonly List<Action> _resume = [];

    internal List<ImportChange<Ipv4Prefix>> V4 { get; } = [];

    internal List<ImportChange<Ipv6Prefix>> V6 { get; } = [];

    internal void Hold<TPrefix>(List<ImportChange<TPrefix>> changes, InboundFamily<TPrefix> family, ImportChange<TPrefix> change, bool fromStored)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        family.Hold();
        _resume.Add(family.Resume);
        family.ChangePolicy(change.Policy, again: !fromStored);
        if (fromStored)
        {
            changes.Add(change);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (V4.Count > 0)
        {
            context.V4.PostLater(loop => loop.ChangeImport(V4));
        }

        if (V6.Count > 0)
        {
            context.V6.PostLater(loop => loop.ChangeImport(V6));
        }

        _resume.ForEach(static resume => resume());
    }
}
