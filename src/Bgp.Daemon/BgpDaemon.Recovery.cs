using Bgp.Daemon.Control;
using Bgp.Daemon.Kernel;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon;

/// <summary>The time after a start: when selection and exports begin, and when own kernel routes of an earlier life that nobody confirmed are removed.</summary>
/// <remarks>
/// <b>Selection and exports</b> (RFC 4724 section 4.1) wait where forwarding went on over the start: the neighbours still forward by what we announced before, and
/// End-of-RIB sent too early would make them forget what we have yet to learn. They wait for End-of-RIB from the neighbours that are reachable: a session that
/// is up or coming up, and for one period of connectRetry everybody, who had the time to call or be called then. A neighbour that closes our connections is there
/// all the same, and has ten seconds: GoBGP rests for five after a loss and turns everybody away meanwhile. A neighbour that restarts itself (R bit) or knows no
/// graceful restart is not waited for. So a dead neighbour costs seconds, and <c>kernel.staleTime</c> from the first session on is the bound.
/// <para><b>Removing</b> is more careful, since a neighbour that is late may be the only one to confirm a working route: when every neighbour
/// that is configured has sent End-of-RIB, or <c>kernel.staleTime</c> after the first session, save that a neighbour which restarts itself has its restart time
/// (a rack that reboots while a daemon restarts must not cost the table), and one that BFD has taken down is not waited for: what led to it leads nowhere.
/// With no session ever nothing is removed for the restart time, and then with a warning: a node whose reflectors are all down forwards better with old routes than with none, but not for ever. While a BIRD in this network namespace
/// answers on its socket the routes may be its, so nothing is removed until it is gone.</para>
/// </remarks>
internal sealed partial class BgpDaemon
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_turnedAway = TimeSpan.FromSeconds(10);

    private readonly Lock _recoveryGate = new();
    private ITimer? _recoveryTimer;
    private bool _deferring;
    private bool _pruneDone = true;
    private bool _saidBird;
    private DateTimeOffset _sessionsSince;
    private DateTimeOffset? _firstSession;

    /// <summary>What other parts publish events to.</summary>
    internal EventHub Events { get; } = new();

    /// <summary>Log lines for those who follow them.</summary>
    internal EventHub LogEvents { get; } = new();

    /// <summary>Signals a change of any peer's state.</summary>
    internal ChangeSignal StateVersion { get; } = new();

    /// <summary>Who looks for a BIRD; replaced in tests.</summary>
    internal Func<string?> FindBird { get; set; } = BirdProbe.Find;

    /// <summary>How the start stands, for <c>status</c>.</summary>
    internal GracefulRestartDto Recovery
    {
        get
        {
            DateTimeOffset now = _time.GetUtcNow();
            lock (_recoveryGate)
            {
                if (!_deferring && _pruneDone)
                {
                    return new GracefulRestartDto(false, 0, null);
                }

                List<WaitingPeerDto> waiting = [];
                foreach (PeerSession session in _peers.All)
                {
                    if ((_deferring ? HoldsBack(session, now) : Unconfirmed(session)) is { } reason)
                    {
                        waiting.Add(new WaitingPeerDto(session.Settings.Name, reason));
                    }
                }

                DateTimeOffset end = _deferring || _firstSession is not null ? (_firstSession ?? now) + _model.Kernel.StaleTime : _startedAt + RestartTime(_model);
                return new GracefulRestartDto(true, waiting.Count, Math.Max(0, (end - now).TotalSeconds)) { ExportsHeld = _deferring, WaitingFor = waiting };
            }
        }
    }

    /// <summary>Before the first session: selection waits where there is something to be preserved.</summary>
    private void BeginRecovery()
    {
        _sessionsSince = _time.GetUtcNow();
        _pruneDone = _kernel is null || (_kernel.Adopted == 0 && _kernel.AdoptedObjects == 0);
        _deferring = _context.ForwardingPreserved && _model.Peers.Count > 0;
        _context.Recovering = _deferring;
        if (_deferring)
        {
            _context.V4.PostLater(static loop => loop.Deferred = true);
            _context.V6.PostLater(static loop => loop.Deferred = true);
        }

        if (_deferring || !_pruneDone)
        {
            // Events alone would do but for what the passing of time decides, and looking costs nothing.
            _recoveryTimer = _time.CreateTimer(_ => Look(), null, s_look, s_look);
        }
    }

    private void FirstSessionUp()
    {
        lock (_recoveryGate)
        {
            _firstSession ??= _time.GetUtcNow();
        }
    }

    /// <summary>A peer has sent End-of-RIB, or cannot any more, or has come up. On a table's loop or under a session's lock.</summary>
    private void PeerSettled()
    {
        if (_deferring || !_pruneDone)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static daemon => daemon.Look(), this, preferLocal: false);
        }
    }

    private void Look()
    {
        lock (_recoveryGate)
        {
            if (_stopped)
            {
                return;
            }

            DateTimeOffset now = _time.GetUtcNow();
            if (_deferring)
            {
                bool over = _firstSession + _model.Kernel.StaleTime <= now;
                string[] waiting = [.. _peers.All.Where(session => HoldsBack(session, now) is not null).Select(static session => session.Settings.Name)];
                if (waiting.Length > 0 && !over)
                {
                    return;
                }

                _deferring = false;
                _context.Recovering = false;
                Log.Recovery(_log, waiting.Length == 0 ? "every neighbour that is reachable has sent its routes" : $"no End-of-RIB in time from {string.Join(", ", waiting)}");
                _context.V4.PostLater(static loop => loop.Deferred = false);
                _context.V6.PostLater(static loop => loop.Deferred = false);
            }

            if (!_pruneDone)
            {
                MayPrune(now);
            }

            if (_pruneDone)
            {
                _recoveryTimer?.Dispose();
            }
        }
    }

    /// <summary>Why selection waits for a peer; null where it does not.</summary>
    private string? HoldsBack(PeerSession session, DateTimeOffset now)
    {
        if (session.IsAdminDown || session.Settings.Unusable is not null || session.IsLostByBfd)
        {
            return null;
        }

        if (session.Established is { } established)
        {
            return established.Negotiated.PeerGracefulRestart is { RestartState: false } && !HasSettled(session, established) ? "End-of-RIB" : null;
        }

        if (session.State >= SessionState.OpenSent)
        {
            return "session";
        }

        // Long enough for us to dial and for it to dial: whoever has done neither is not reachable.
        TimeSpan patience = TimeSpan.FromSeconds((session.Settings.Times.ConnectRetry * 1.25) + 1);
        if (session.HasAnswered && patience < s_turnedAway)
        {
            patience = s_turnedAway;
        }

        return now - _sessionsSince < patience ? "connection" : null;
    }

    /// <summary>Why routes of an earlier life wait for a peer; null where they do not.</summary>
    private string? Unconfirmed(PeerSession session) =>
        session.IsAdminDown || session.Settings.Unusable is not null || session.IsLostByBfd ? null
        : session.Established is not { } established ? "session"
        : !HasSettled(session, established) ? "End-of-RIB"
        : null;

    private bool HasSettled(PeerSession session, EstablishedSession established) =>
        Settled(_context.V4, session, established) && Settled(_context.V6, session, established);

    private static bool Settled<TPrefix>(RibLoop<TPrefix> loop, PeerSession session, EstablishedSession established)
        where TPrefix : unmanaged, IPrefix<TPrefix> =>
        !established.Negotiated.HasFamily(TPrefix.Family) || loop.SessionOf(session.Index)?.EndOfRibReceived == true;

    // Lock held.
    private void MayPrune(DateTimeOffset now)
    {
        PeerSession[] waiting = [.. _peers.All.Where(session => Unconfirmed(session) is not null)];
        if (_firstSession is { } first)
        {
            bool restarting = waiting.Any(session => session.Established is { Negotiated.PeerGracefulRestart: { RestartState: true } restart }
                && now - session.StateSince < TimeSpan.FromSeconds(restart.RestartTime));
            if (waiting.Length > 0 && (first + _model.Kernel.StaleTime > now || restarting))
            {
                return;
            }
        }
        else if (_startedAt + RestartTime(_model) > now)
        {
            return;
        }

        if (FindBird() is { } bird)
        {
            if (!_saidBird)
            {
                _saidBird = true;
                Log.ConfigWarning(_log, $"{bird} answers in this network namespace: kernel routes from before the start may be its, and stay until it is gone");
            }

            return;
        }

        _pruneDone = true;
        if (_firstSession is null)
        {
            Log.ConfigWarning(_log, "no session came up within the restart time: kernel routes from before the start are removed unconfirmed");
        }

        _ = PruneAsync();
    }

    private async Task PruneAsync()
    {
        // Everything that the tables have wanted so far reaches the kernel before the rest is removed.
        await Task.WhenAll(_context.V4.FlushedAsync(), _context.V6.FlushedAsync()).ConfigureAwait(false);
        int removed = _stopped ? 0 : _kernel!.Prune();
        if (removed > 0)
        {
            Log.Pruning(_log, removed);
        }
    }
}
