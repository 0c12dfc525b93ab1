using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon;

/// <summary>When own kernel routes of an earlier life, confirmed by nobody, are removed.</summary>
/// <remarks>
/// They keep forwarding alive over a restart, so they stay until the neighbours had their chance: <c>kernel.staleTime</c> after the first session is up, or as
/// soon as every peer that is up has sent End-of-RIB and no other is reachable, whichever is first. With no session ever nothing is removed for the restart
/// time, and then with a warning: a node whose reflectors are all down forwards better with old routes than with none, but not for ever.
/// </remarks>
internal sealed partial class BgpDaemon
{
    private readonly Lock _pruneGate = new();
    private ITimer? _pruneTimer;
    private bool _pruneDone;
    private bool _firstSession;

    /// <summary>What other parts publish events to.</summary>
    internal EventHub Events { get; } = new();

    /// <summary>Log lines for those who follow them.</summary>
    internal EventHub LogEvents { get; } = new();

    /// <summary>Signals a change of any peer's state.</summary>
    internal ChangeSignal StateVersion { get; } = new();

    /// <summary>Whether routes of an earlier life are still waiting to be confirmed.</summary>
    internal bool IsRecovering => _kernel is not null && !_pruneDone && _kernel.Adopted > 0;

    private void BeginPruneWait()
    {
        lock (_pruneGate)
        {
            _pruneTimer = _time.CreateTimer(_ => Prune(unconfirmed: true), null, RestartTime(_model), Timeout.InfiniteTimeSpan);
        }
    }

    private void FirstSessionUp()
    {
        lock (_pruneGate)
        {
            if (!_firstSession && !_pruneDone)
            {
                _firstSession = true;
                _pruneTimer?.Change(_model.Kernel.StaleTime, Timeout.InfiniteTimeSpan);
            }
        }
    }

    /// <summary>A peer has sent End-of-RIB, or cannot any more.</summary>
    private void PeerSettled()
    {
        if (_pruneDone || !_firstSession || _kernel is null)
        {
            return;
        }

        // Off the table's loop: looking at the peers takes their owner's lock.
        ThreadPool.UnsafeQueueUserWorkItem(static daemon => daemon.PruneIfAllSettled(), this, preferLocal: false);
    }

    private void PruneIfAllSettled()
    {
        bool anyUp = false;
        foreach (PeerSession session in _peers.All)
        {
            if (session.IsAdminDown || session.Settings.Unusable is not null)
            {
                continue;
            }

            if (session.Established is not { } established)
            {
                // Not up: it may be about to be. Only the timer decides then.
                return;
            }

            anyUp = true;
            if (!Settled(_context.V4, session, established) || !Settled(_context.V6, session, established))
            {
                return;
            }
        }

        if (anyUp)
        {
            Prune(unconfirmed: false);
        }
    }

    private static bool Settled<TPrefix>(RibLoop<TPrefix> loop, PeerSession session, EstablishedSession established)
        where TPrefix : unmanaged, IPrefix<TPrefix> =>
        !established.Negotiated.HasFamily(TPrefix.Family) || loop.SessionOf(session.Index)?.EndOfRibReceived == true;

    private void Prune(bool unconfirmed)
    {
        lock (_pruneGate)
        {
            if (_pruneDone || _kernel is null || _stopped)
            {
                return;
            }

            _pruneDone = true;
        }

        if (unconfirmed && !_firstSession)
        {
            Log.ConfigWarning(_log, "no session came up within the restart time: kernel routes from before the start are removed unconfirmed");
        }

        // Through both tables: everything they have wanted so far reaches the kernel before the rest is removed.
        _context.V4.PostLater(_ => _context.V6.PostLater(_ =>
        {
            int removed = _kernel.Prune();
            if (removed > 0)
            {
                Log.Pruning(_log, removed);
            }
        }));
    }
}
