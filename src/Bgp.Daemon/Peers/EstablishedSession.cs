using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Peers;

/// <summary>Counters of one peer over all its sessions. Written by its reader, read by anyone.</summary>
internal sealed class UpdateCounters
{
    private long _lastLogged;

    internal long Updates;
    internal long Withdrawn;
    internal long Discarded;
    internal long Loops;

    /// <summary>Whether a line about a bad UPDATE is due: at most one a second, whatever a neighbour sends.</summary>
    internal bool MayLog(TimeProvider time)
    {
        long now = time.GetTimestamp();
        if (_lastLogged != 0 && time.GetElapsedTime(_lastLogged, now) < TimeSpan.FromSeconds(1))
        {
            return false;
        }

        _lastLogged = now;
        return true;
    }
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
    private readonly GroupMember?[] _members = new GroupMember?[2];
    private InboundFamily<Ipv4Prefix>? _v4;
    private InboundFamily<Ipv6Prefix>? _v6;

    internal EstablishedSession(PeerSession owner, DaemonContext context, BgpConnection connection, NegotiatedSession negotiated, long id)
    {
        (_owner, _context, Connection, Negotiated, Id) = (owner, context, connection, negotiated, id);
        PeerSettings settings = owner.Settings;
        _rules = new AttributeRules
        {
            OwnAsn = settings.LocalAsn,
            RouterId = settings.RouterId,
            ClusterId = settings.ClusterId,
            AllowLocalAs = settings.AllowLocalAs,
            EnforceFirstAs = settings.EnforceFirstAs,
        };
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
        List<InboundFamily> inbound = [];
        if (Negotiated.HasFamily(AfiSafi.Ipv4Unicast))
        {
            _v4 = Join(_context.V4, settings.Policies.ImportV4, settings.Policies.ExportV4, keepStale, 0);
            inbound.Add(_v4);
        }

        if (Negotiated.HasFamily(AfiSafi.Ipv6Unicast))
        {
            _v6 = Join(_context.V6, settings.Policies.ImportV6, settings.Policies.ExportV6, keepStale, 1);
            inbound.Add(_v6);
        }

        Connection.Inbound = [.. inbound];
    }

    internal void Stop(Func<AfiSafi, bool> retain)
    {
        if (_v4 is not null)
        {
            bool keep = retain(AfiSafi.Ipv4Unicast);
            _context.V4.PostLater(loop => loop.SessionDown(Peer.Index, Id, keep));
        }

        if (_v6 is not null)
        {
            bool keep = retain(AfiSafi.Ipv6Unicast);
            _context.V6.PostLater(loop => loop.SessionDown(Peer.Index, Id, keep));
        }
    }

    internal void RefreshOut()
    {
        if (_v4 is not null)
        {
            _context.V4.PostLater(loop => loop.RefreshOut(Peer.Index, Id, Negotiated.EnhancedRefresh));
        }

        if (_v6 is not null)
        {
            _context.V6.PostLater(loop => loop.RefreshOut(Peer.Index, Id, Negotiated.EnhancedRefresh));
        }
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
            case RouteRefreshSubtype.Request when refresh.Family == AfiSafi.Ipv4Unicast:
                _context.V4.Post(loop => loop.RefreshOut(Peer.Index, Id, Negotiated.EnhancedRefresh));
                break;
            case RouteRefreshSubtype.Request:
                _context.V6.Post(loop => loop.RefreshOut(Peer.Index, Id, Negotiated.EnhancedRefresh));
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
            return default;
        }

        if (!ReferenceEquals(_rules.OtherClusterIds, _context.ClusterIds))
        {
            _rules = _rules with { OtherClusterIds = _context.ClusterIds };
        }

        error = _parser.Parse(view, Negotiated, _rules, out ReadOnlySpan<byte> forIpv4, out ReadOnlySpan<byte> forMp);
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
        if (loop != LoopKind.None)
        {
            _owner.Counters.Loops++;
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

        uint id = _context.Attributes.Intern(canonical);
        family.Reach(nlri, id, _context.Attributes.Get(id));
        _context.Attributes.Release(id);
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
        IpAddr node = family == AfiSafi.Ipv4Unicast ? settings.NodeIpv4 : settings.NodeIpv6;
        IpAddr local = Connection.LocalAddress;
        IpAddr self = UpdateGroupKey.ResolveSelf(family, local, node, settings.NodeIpv6, Negotiated.ExtendedNextHop);
        UpdateGroupKey key = new()
        {
            Family = family,
            Kind = Peer.Kind,
            LocalAsn = settings.LocalAsn,
            Policy = export.ContentKey,
            ClusterId = settings.ClusterId,
            As4 = Negotiated.As4,
            MaxMessageLength = Negotiated.MaxMessageLength,
            ExtendedNextHop = Negotiated.ExtendedNextHop,
            AddPathLimit = Negotiated.AddPathSend(family) ? Math.Max(1, options?.AddPathLimit ?? 1) : 0,
            NextHopMode = settings.NextHop,
            Self = self,
            SelfLinkLocal = local.IsLinkLocal && self.IsV6 && !self.IsLinkLocal ? local : default,
            MetricAsLocalPref = settings.MetricAsLocalPref,
        };
        bool keep = keepStale(family);
        PeerWriter writer = Connection.Writer;
        loop.PostLater(table =>
        {
            GroupMember member = table.SessionUp(session, key, export, keep, () => table.FanOut.Wake(writer, session.Peer.Index));
            Volatile.Write(ref _members[slot], member);
            writer.SetMember(slot, member);
        });
        return new InboundFamily<TPrefix>(loop, Peer, Id, Negotiated.AddPathReceive(family), import.AcceptsAll ? null : import)
        {
            Interface = settings.Address.IsLinkLocal ? DaemonContext.InterfaceIndex(settings.Interface) : 0,
        };
    }
}
