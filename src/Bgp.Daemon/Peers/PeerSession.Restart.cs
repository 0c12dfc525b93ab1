using Bgp.Daemon.Bmp;
using Bgp.Daemon.Runtime;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Peers;

/// <summary>How a session was lost, as far as graceful restart is concerned.</summary>
internal enum Loss : byte
{
    /// <summary>The connection went: the neighbour may be restarting (RFC 4724 section 4.2).</summary>
    Connection,

    /// <summary>A NOTIFICATION was sent or received, or would have been: with RFC 8538 on both sides that is a restart too.</summary>
    Notified,

    /// <summary>For good: Hard Reset, shut down, removed, too many prefixes.</summary>
    Final,
}

/// <summary>Sessions that come and go: what is kept of a neighbour's routes meanwhile, and for how long.</summary>
/// <remarks>
/// A family's routes are fresh, stale, or long-lived stale (RFC 9494). Losing the session makes them stale where the neighbour announced graceful restart for the
/// family; the restart timer, which is the neighbour's, then removes them or, where both sides announced the long-lived kind, makes them long-lived
/// stale: least preferred, marked, and for a time of the family's own. A new session keeps them where its OPEN says that the forwarding state survived
/// (the F bit of the capability whose period it is), else they go at once, as do those of a family that is not there any more. End-of-RIB
/// removes what was not confirmed.
/// <para>Deviation: RFC 4724 section 4.2 removes what is stale already when the session is lost a second time. Then a neighbour that crashes
/// twice in a row would lose everything, which is what graceful restart is to prevent; so it stays as long as it is not older than one restart time.</para>
/// <para>Of the neighbour's long-lived time and ours the lesser counts, so that a neighbour cannot have its routes kept longer than was configured here.</para>
/// </remarks>
internal sealed partial class PeerSession
{
    private static readonly AfiSafi[] s_families = [AfiSafi.Ipv4Unicast, AfiSafi.Ipv6Unicast];

    // By family: until when the timer of the long-lived period may run after the restart timer, and whether it does.
    private readonly int[] _longLivedTime = new int[2];
    private readonly bool[] _longLived = new bool[2];
    private readonly bool[] _kept = new bool[2];
    private long _staleSince;

    /// <summary>What is kept of an earlier session's routes: restarting, longLived, or null for nothing.</summary>
    internal string? StaleState => Array.Exists(_longLived, static item => item) ? "longLived" : Array.Exists(_kept, static item => item) ? "restarting" : null;

    private void SessionUp(ConnectionSide side, BgpConnection connection)
    {
        WireOpen sent = _opensSent[(int)side]!;
        WireOpen received = _opensReceived[(int)side]!;
        NegotiatedSession negotiated = NegotiatedSession.Negotiate(sent.Message, received.Message, new LocalSessionSettings { ExpectedPeerAsn = Settings.Asn });
        _timers.Stop((int)PeerTimer.IdleHold);
        (_downReason, _loss) = ("", Loss.Connection);
        IsLostByBfd = false;
        EstablishedCount++;
        (KnownRouterId, _attempts) = (received.Message.RouterId, 0);
        EstablishedSession session = new(this, _context, connection, negotiated, _context.NextSessionId());
        _end = null;
        _context.Bmp?.PeerUp(session, sent.Octets, received.Octets);
        session.Start(family => KeepsStale(negotiated, family));

        // Whoever sees the session has it whole: the neighbour's first UPDATE may be read on another thread at this moment, where the end of a second connection made this one the session.
        Established = session;
        session.Receive();
        for (int i = 0; i < s_families.Length; i++)
        {
            if (!_kept[i] || KeepsStale(negotiated, s_families[i]))
            {
                continue;
            }

            // RFC 4724 section 4.2: forwarding state not preserved, or the family not even named: at once.
            Settled(i);
            if (!negotiated.HasFamily(s_families[i]))
            {
                _context.SweepNow(Index, s_families[i]);
            }
        }

        if (Array.Exists(_kept, static kept => kept))
        {
            // What the neighbour had must be confirmed by its End-of-RIB within the same bound as the restart itself.
            _timers.Start((int)PeerTimer.Restart, TimeSpan.FromSeconds(Settings.RestartTime));
        }

        LastError = "";
        Log.PeerEstablished(_context.Log, Settings.Name, negotiated.PeerAsn, IpAddr.V4(negotiated.PeerRouterId).ToString(), session.FamilyNames);
    }

    private void SessionDown()
    {
        if (Established is not { } session)
        {
            return;
        }

        Established = null;

        // Neither side said a word: the connection was lost.
        _context.Bmp?.PeerDown(Index, _end ?? new BmpPeerEnd(BmpPeerDownReason.RemoteNoNotification, default));
        _end = null;
        NegotiatedSession negotiated = session.Negotiated;
        GracefulRestartCapability? restart = negotiated.PeerGracefulRestart;
        bool retain = restart is not null && (_loss == Loss.Connection || (_loss == Loss.Notified && negotiated.GracefulNotification));
        bool tooOld = _staleSince != 0 && _context.Time.GetElapsedTime(_staleSince) > TimeSpan.FromSeconds(Settings.RestartTime);
        bool wait = false;
        for (int i = 0; i < s_families.Length; i++)
        {
            AfiSafi family = s_families[i];
            bool had = negotiated.HasFamily(family);
            _longLivedTime[i] = retain && had ? LongLivedTime(negotiated, family) : 0;
            bool graceful = retain && had && restart!.Covers(family) && (restart.RestartTime > 0 || _longLivedTime[i] == 0);
            if (_kept[i] && (tooOld || !retain))
            {
                Settled(i);
            }

            _kept[i] = graceful || _longLivedTime[i] > 0;
            wait |= graceful;
        }

        bool[] kept = [.. _kept];
        session.Stop(family => kept[family == AfiSafi.Ipv4Unicast ? 0 : 1], tooOld);
        if (!Array.Exists(_kept, static item => item))
        {
            _staleSince = 0;
            _timers.Stop((int)PeerTimer.Restart);
            return;
        }

        _staleSince = _staleSince == 0 || tooOld ? _context.Time.GetTimestamp() : _staleSince;
        int seconds = wait ? Math.Max(1, restart!.RestartTime) : 0;
        Log.StaleKept(_context.Log, Settings.Name, session.FamilyNames, seconds);
        if (wait)
        {
            _timers.Start((int)PeerTimer.Restart, TimeSpan.FromSeconds(seconds));
        }
        else
        {
            // RFC 9494 section 4.2: without a restart time the long-lived period begins at once.
            RestartExpired();
        }
    }

    /// <summary>End-of-RIB of a family has arrived. On the reader's thread.</summary>
    internal void EndOfRibArrived(EstablishedSession session, AfiSafi family)
    {
        if (StaleState is not null)
        {
            Enter(() =>
            {
                if (Established == session)
                {
                    Settled(family == AfiSafi.Ipv4Unicast ? 0 : 1);
                }
            });
        }
    }

    /// <summary>Seconds until the stale routes of a peer go or become long-lived stale; null where no timer runs.</summary>
    internal double? StaleSeconds()
    {
        double? least = null;
        foreach (int slot in (int[])[(int)PeerTimer.Restart, (int)PeerTimer.LongLivedIpv4, (int)PeerTimer.LongLivedIpv6])
        {
            if (_timers.Left(slot) is { } left && (least is null || left < least))
            {
                least = left;
            }
        }

        return least;
    }

    private bool KeepsStale(NegotiatedSession negotiated, AfiSafi family)
    {
        int i = family == AfiSafi.Ipv4Unicast ? 0 : 1;
        if (!_kept[i] || !negotiated.HasFamily(family))
        {
            return false;
        }

        return _longLived[i]
            ? negotiated.PeerLongLived.Any(item => item.Family == family && item.ForwardingPreserved)
            : negotiated.PeerGracefulRestart?.ForwardingPreserved(family) == true;
    }

    private int LongLivedTime(NegotiatedSession negotiated, AfiSafi family)
    {
        foreach (LongLivedFamily item in negotiated.PeerLongLived)
        {
            if (item.Family == family)
            {
                return Math.Min(item.StaleTime, Settings.LongLived);
            }
        }

        return 0;
    }

    /// <summary>Nothing stale is left of a family.</summary>
    private void Settled(int family)
    {
        (_kept[family], _longLived[family]) = (false, false);
        _timers.Stop((int)PeerTimer.LongLivedIpv4 + family);
        if (!Array.Exists(_kept, static item => item))
        {
            _staleSince = 0;
            _timers.Stop((int)PeerTimer.Restart);
        }
    }

    private void RestartExpired()
    {
        for (int i = 0; i < s_families.Length; i++)
        {
            if (!_kept[i] || (_longLived[i] && Established is not null))
            {
                continue;
            }

            if (Established is null && _longLivedTime[i] > 0)
            {
                if (!_longLived[i])
                {
                    // A period that a short session has interrupted goes on as it was: its end is the promise.
                    _longLived[i] = true;
                    _timers.Start((int)PeerTimer.LongLivedIpv4 + i, TimeSpan.FromSeconds(_longLivedTime[i]));
                    Log.LongLivedStale(_context.Log, Settings.Name, s_families[i].Name(), _longLivedTime[i]);
                }

                _context.MarkLongLived(Index, s_families[i]);
                continue;
            }

            Settled(i);
            _context.SweepNow(Index, s_families[i]);
        }
    }

    /// <summary>Nothing of an earlier session is kept any longer.</summary>
    private void ForgetStale()
    {
        for (int i = 0; i < s_families.Length; i++)
        {
            if (_kept[i])
            {
                Settled(i);
                _context.SweepNow(Index, s_families[i]);
            }
        }
    }

    private void LongLivedExpired(int family)
    {
        if (_longLived[family])
        {
            Settled(family);
            _context.SweepNow(Index, s_families[family]);
        }
    }
}
