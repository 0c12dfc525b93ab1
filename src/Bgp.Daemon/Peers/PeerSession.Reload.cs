using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Peers;

/// <summary>What a reload does to a peer.</summary>
internal sealed partial class PeerSession
{
    /// <summary>
    /// New settings that do not need a new session: timers, socket options and limits at once. What the change means for routes is gathered in
    /// <paramref name="work"/>, for all peers together.
    /// </summary>
    internal void Update(PeerSettings settings, PeerChange change, ReloadWork work) => Enter(() =>
    {
        PeerSettings was = Settings;
        Settings = settings;
        _fsm.Configure(settings.Times, settings.Passive);
        if (was.Md5 != settings.Md5 || was.Ttl != settings.Ttl || was.MinTtl != settings.MinTtl)
        {
            foreach (BgpConnection? connection in _connections)
            {
                // Segments that are under way with the old key are lost and sent again: the session lives as long as both ends change within its hold time.
                string? refused = connection?.Configure(transport =>
                {
                    transport.Prepare(settings);
                    if (was.Md5 != settings.Md5)
                    {
                        transport.SetKey(settings);
                    }
                });
                if (refused is not null)
                {
                    Log.PeerUnusable(_context.Log, settings.Name, $"the socket refuses its new options: {refused}");
                }
            }
        }

        if (was.Passive != settings.Passive && _fsm is { IsStarted: true, State: <= SessionState.Active })
        {
            _fsm.Stop(default, _actions);
            _fsm.Start(_actions);
        }

        if (Established is { } session)
        {
            session.Update(settings);
            work.Add(this, session, was, change);
        }
    });

    /// <summary>
    /// New settings that need a new session. With RFC 8538 on both sides the routes stay on both over the change, as over any short break; where the peer is
    /// another one now (another AS, another identifier of ours) or is disabled, they go.
    /// </summary>
    internal void Reset(PeerSettings settings) => Enter(() =>
    {
        PeerSettings was = Settings;
        bool same = was.Asn == settings.Asn && was.LocalAsn == settings.LocalAsn && was.RouterId == settings.RouterId && was.IsClient == settings.IsClient;
        bool runs = settings is { Disabled: false, Unusable: null };
        _comesBack = runs && Established is not null;
        SetDownReason(settings.Disabled ? "disabled" : settings.Unusable ?? "configuration changed", same && runs ? Loss.Notified : Loss.Final);
        NotificationError error = NotificationMessage.Cease(!runs ? CeaseSubcode.AdministrativeShutdown : CeaseSubcode.OtherConfigurationChange);
        _fsm.Stop(same && runs ? error : ForGood(error), _actions);

        // An operator's shutdown outlives a change of the configuration, unless the change is about that.
        IsAdminDown = settings.Disabled || (IsAdminDown && !was.Disabled);
        AdminReason = IsAdminDown ? AdminReason : null;
        Settings = settings;
        if (was.Port != settings.Port)
        {
            // Another daemon of the host.
            (KnownRouterId, _attempts) = (0, 0);
        }

        _fsm = NewFsm();
        LastError = settings.Unusable ?? LastError;
        if (!IsAdminDown && runs)
        {
            _fsm.Start(_actions);
        }
    });

    /// <summary>Whether a change costs more than its kind because of what the neighbour cannot do.</summary>
    internal PeerChange Judge(PeerChange change) =>
        change is { Needs: true, Impact: < Config.ChangeImpact.Reset } && Established is { Negotiated.RouteRefresh: false }
            ? change with { Impact = Config.ChangeImpact.Reset, Detail = change.Detail + " (the neighbour cannot be asked for its routes)" }
            : change;
}

/// <summary>What a reload means for routes, for all peers together, so that a table is walked once whatever their number.</summary>
internal sealed class ReloadWork
{
    private readonly List<(PeerSession Peer, EstablishedSession Session, PeerSettings Was, PeerChange Change)> _items = [];

    internal void Add(PeerSession peer, EstablishedSession session, PeerSettings was, PeerChange change) => _items.Add((peer, session, was, change));

    /// <summary>
    /// Carries it out. Stored routes are judged again where the old filters changed none; else the neighbour is asked for them (RFC 2918), or, where it cannot
    /// be, those that were kept as they came are used. Exports move to the update group that they belong to now.
    /// </summary>
    internal void CarryOut(DaemonContext context)
    {
        List<PeerSession> ask = [];
        using (ImportWork import = new(context))
        {
            foreach ((PeerSession peer, EstablishedSession session, PeerSettings was, PeerChange change) in _items)
            {
                bool fromStored = !was.Policies.ImportChangesRoutes;
                if (change.Import)
                {
                    session.ChangeImport(peer.Settings.Policies, fromStored, import);
                }

                if (change.Needs || (change.Import && !fromStored && session.Negotiated.RouteRefresh))
                {
                    ask.Add(peer);
                }
            }
        }

        ask.ForEach(static peer => peer.RequestRefresh());
        List<GroupMove<Ipv4Prefix>> v4 = [];
        List<GroupMove<Ipv6Prefix>> v6 = [];
        foreach ((PeerSession peer, EstablishedSession session, _, PeerChange change) in _items)
        {
            if (change.Export)
            {
                session.ChangeExport(peer.Settings, v4, v6);
            }
        }

        if (v4.Count > 0)
        {
            context.V4.PostLater(loop => loop.ChangeExport(v4));
        }

        if (v6.Count > 0)
        {
            context.V6.PostLater(loop => loop.ChangeExport(v6));
        }
    }
}
