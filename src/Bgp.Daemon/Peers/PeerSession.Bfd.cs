using Bgp.Daemon.Bfd;
using Bgp.Protocol;

namespace Bgp.Daemon.Peers;

/// <summary>The session's side towards BFD (RFC 5882).</summary>
/// <remarks>
/// BFD runs while the peer is started, whatever state BGP is in, and BGP does not wait for it: a neighbour without BFD comes up all the same (section 4.1).
/// A session that goes from Up to Down takes the established session with it, at once and without graceful restart: the path is lost, and routes kept as stale would lead
/// into it. Down by the neighbour's operator (AdminDown) takes nothing. While a neighbour restarts, its BFD usually goes with it and says nothing (section
/// 4.3.2); where the C bit said that it does not, its loss ends the time for which stale routes are kept (section 4.3.1).
/// </remarks>
internal sealed partial class PeerSession
{
    private PeerSettings? _bfdFollows;
    private bool _bfdWanted;
    private BfdTarget? _bfdTarget;

    /// <summary>The BFD session, or null.</summary>
    internal BfdPeer? Bfd { get; private set; }

    /// <summary>BFD has taken the latest session down, or what was kept of it: the path is lost until there is a session again.</summary>
    internal bool IsLostByBfd { get; private set; }

    /// <summary>Makes the BFD session what the settings and the operator ask for. Under the lock; nothing happens where neither changed.</summary>
    private void FollowBfd()
    {
        bool wanted = _fsm.IsStarted && !IsAdminDown && !_disposed;
        if (ReferenceEquals(_bfdFollows, Settings) && wanted == _bfdWanted)
        {
            return;
        }

        (_bfdFollows, _bfdWanted) = (Settings, wanted);
        BfdTarget? target = wanted ? TargetOf(Settings) : null;
        if (_context.Bfd is not { } service || target == _bfdTarget)
        {
            return;
        }

        if (Bfd is { } running && target is not null && _bfdTarget! with { Parameters = target.Parameters } == target)
        {
            service.Configure(running, target);
        }
        else
        {
            if (Bfd is not null)
            {
                service.Detach(Bfd, BfdChanged);
            }

            Bfd = target is null ? null : service.Attach(Settings.Name, target, BfdChanged);
        }

        _bfdTarget = target;
    }

    private static BfdTarget? TargetOf(PeerSettings settings) => settings.Bfd is not { } bfd ? null : new BfdTarget
    {
        Remote = settings.Address,
        Local = settings.SourceAddress,
        Interface = settings.Interface,
        Multihop = bfd.Multihop,
        MinTtl = bfd.MinTtl,
        Parameters = bfd.Parameters,
    };

    /// <summary>On the BFD thread, which must not wait for a step of this session.</summary>
    private void BfdChanged(BfdPeer peer, BfdChange change)
    {
        if (change.IsLoss)
        {
            EnterLater(() => BfdLost(peer, change));
        }
    }

    private void BfdLost(BfdPeer peer, BfdChange change)
    {
        if (Bfd != peer)
        {
            return;
        }

        if (Established is not null)
        {
            IsLostByBfd = true;
            string why = change.Diagnostic == BfdDiagnostic.DetectionTimeExpired ? "the neighbour was silent" : "the neighbour says that it is down";
            (_downReason, _loss) = ($"BFD down: {why}", Loss.Final);
            _fsm.Reset(ForGood(NotificationMessage.Cease(CeaseSubcode.BfdDown)), punish: false, _actions);
        }
        else if (change.RemoteIndependent && _timers.IsRunning((int)PeerTimer.Restart))
        {
            IsLostByBfd = true;
            ForgetStale();
        }
    }
}
