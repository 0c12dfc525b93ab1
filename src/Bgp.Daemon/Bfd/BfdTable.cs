using Bgp.Protocol;

namespace Bgp.Daemon.Bfd;

/// <summary>What sends a table's packets.</summary>
internal interface IBfdWire
{
    /// <summary>Sends one packet of a session; false where the kernel refused.</summary>
    bool Send(BfdPeer peer, ReadOnlySpan<byte> octets);

    /// <summary>The session is gone: its socket can be closed.</summary>
    void Release(BfdPeer peer);

    /// <summary>Index of an interface; 0 where there is none of that name.</summary>
    int InterfaceIndex(string name);
}

/// <summary>A received datagram, less its octets.</summary>
/// <param name="From">Its source.</param>
/// <param name="Interface">Index of the interface it came in on.</param>
/// <param name="Ttl">Time to live or hop limit.</param>
/// <param name="Multihop">Which port it came to.</param>
internal readonly record struct BfdArrival(IpAddr From, int Interface, int Ttl, bool Multihop);

/// <summary>
/// All sessions: which one a packet belongs to, when each sends, when each neighbour counts as lost. No socket, no clock, no thread: those are
/// <see cref="BfdService"/>'s.
/// </summary>
/// <remarks>
/// A packet that names one of our discriminators belongs to that session, if it also comes from its neighbour; one that names none belongs to the session with the
/// source address (and, for a link-local one, the interface) on that port (RFC 5880 section 6.3, RFC 5881 section 3). Whatever fails a check costs one
/// increment and nothing else: no state, no answer, no line in the log. Sessions are made by the configuration alone, never by a packet.
/// <para>A session that is let go stays for one detection time of the neighbour, in AdminDown, so that the neighbour takes no fault from it (section 6.8.16).</para>
/// </remarks>
internal sealed class BfdTable(IBfdWire wire, Random random)
{
    /// <summary>The most sessions: each has a source port of its own out of 16384 (RFC 5881 section 4).</summary>
    internal const int MaxSessions = 4096;

    private readonly Dictionary<uint, BfdPeer> _byDiscriminator = [];
    private readonly Dictionary<(IpAddr Remote, int Interface, bool Multihop), BfdPeer> _byPath = [];
    private readonly List<WheelTimer> _due = [];
    private readonly long[] _ignored = new long[(int)BfdVerdict.AdminDown + 1];

    /// <summary>Timers; the shell sleeps until <see cref="TimerWheel.NextLook"/>.</summary>
    internal TimerWheel Wheel { get; } = new();

    /// <summary>Sessions, those that are leaving included.</summary>
    internal int Count => _byDiscriminator.Count;

    internal IEnumerable<BfdPeer> Peers => _byDiscriminator.Values;

    /// <summary>Packets that were ignored, by <see cref="BfdVerdict"/>. Any thread.</summary>
    internal long Ignored(BfdVerdict verdict) => Volatile.Read(ref _ignored[(int)verdict]);

    internal void Add(BfdPeer peer, long now)
    {
        if (Count >= MaxSessions)
        {
            peer.Status = peer.Status with { Problem = $"more than {MaxSessions} BFD sessions" };
            return;
        }

        uint discriminator;
        do
        {
            discriminator = (uint)random.NextInt64(1, uint.MaxValue);
        }
        while (_byDiscriminator.ContainsKey(discriminator));
        peer.Session = new BfdSession(discriminator, peer.Target.Parameters);
        _byDiscriminator.Add(discriminator, peer);
        peer.InterfaceIndex = Scope(peer.Target);
        if (_byPath.TryGetValue(Path(peer), out BfdPeer? before))
        {
            // Its owner has let it go, or two peers have one address and differ in ours: the later one answers to strangers.
            if (before.LeavesAt != long.MaxValue)
            {
                Forget(before);
            }
        }

        _byPath[Path(peer)] = peer;
        Publish(peer, now);
        Wheel.Set(peer.Transmit, now);
    }

    /// <summary>New parameters, in place.</summary>
    internal void Configure(BfdPeer peer, BfdTarget target, long now)
    {
        peer.Target = target;
        if (peer.Session is { } session)
        {
            After(peer, session.Configure(target.Parameters), session.State, now);
        }
    }

    /// <summary>Its owner lets go of it.</summary>
    internal void Remove(BfdPeer peer, long now)
    {
        if (peer.Session is not { } session || peer.LeavesAt != long.MaxValue)
        {
            return;
        }

        // What the neighbour waits for: our multiplier times the slower of both rates, as it knows them.
        long notice = session.Parameters.Multiplier * Math.Max(BfdTimers.SlowInterval, BfdTimers.TransmitInterval(session.Parameters.DesiredMinTx, session.RemoteMinRx));
        peer.LeavesAt = session.RemoteDiscriminator == 0 ? now : now + Math.Min(notice, 10 * BfdTimers.SlowInterval);
        BfdState before = session.State;
        After(peer, session.SetAdminDown(true), before, now);
        if (peer.LeavesAt <= now)
        {
            Forget(peer);
        }
    }

    /// <summary>The daemon ends: every neighbour is told once that this is no fault.</summary>
    internal void SayGoodbye(long now)
    {
        foreach (BfdPeer peer in _byDiscriminator.Values.ToArray())
        {
            if (peer.Session!.SetAdminDown(true) != BfdReaction.None)
            {
                Send(peer, peer.Session.Periodic());
            }

            Publish(peer, now);
        }
    }

    /// <summary>One datagram.</summary>
    internal BfdVerdict Receive(ReadOnlySpan<byte> octets, in BfdArrival arrival, long now)
    {
        BfdVerdict verdict = Take(octets, arrival, now);
        if (verdict != BfdVerdict.Accepted)
        {
            Volatile.Write(ref _ignored[(int)verdict], _ignored[(int)verdict] + 1);
        }

        return verdict;
    }

    /// <summary>
    /// Does what is due at <paramref name="now"/>. Packets that arrived before that moment must have been received first, or, where there are too many of
    /// them, <paramref name="allRead"/> is false and no neighbour is given up yet.
    /// </summary>
    internal void Advance(long now, bool allRead = true)
    {
        _due.Clear();
        Wheel.Expire(now, _due);
        foreach (WheelTimer timer in _due)
        {
            BfdPeer peer = timer.Owner;
            if (peer.Session is not { } session || timer.Deadline != long.MaxValue)
            {
                // Forgotten, or set again, by what an earlier one of these did.
                continue;
            }

            if (!timer.IsDetection)
            {
                if (now >= peer.LeavesAt)
                {
                    Forget(peer);
                    continue;
                }

                Send(peer, session.Periodic());
                Wheel.Set(timer, Math.Min(peer.LeavesAt, session.NextTransmit(now, NextRandom())));
            }
            else if (now < session.DetectionDeadline)
            {
                // Packets came since it was set; it is moved only here, so that a packet costs no more than a write.
                Wheel.Set(timer, session.DetectionDeadline);
            }
            else if (!allRead)
            {
                Wheel.Set(timer, now + 1000);
            }
            else
            {
                BfdState before = session.State;
                After(peer, session.Expire(now), before, now);
            }
        }
    }

    private BfdVerdict Take(ReadOnlySpan<byte> octets, in BfdArrival arrival, long now)
    {
        // RFC 5881 section 5: before anything else is looked at.
        if (!arrival.Multihop && arrival.Ttl != 255)
        {
            return BfdVerdict.TimeToLive;
        }

        BfdVerdict verdict = BfdPacket.TryParse(octets, out BfdPacket packet);
        if (verdict != BfdVerdict.Accepted)
        {
            return verdict;
        }

        if (!(packet.YourDiscriminator != 0
            ? _byDiscriminator.TryGetValue(packet.YourDiscriminator, out BfdPeer? peer)
            : _byPath.TryGetValue((arrival.From, arrival.From.IsLinkLocal ? arrival.Interface : 0, arrival.Multihop), out peer)))
        {
            return BfdVerdict.NoSession;
        }

        BfdTarget target = peer.Target;
        if (target.Remote != arrival.From || target.Multihop != arrival.Multihop || (target.Remote.IsLinkLocal && peer.InterfaceIndex != arrival.Interface))
        {
            return BfdVerdict.NoSession;
        }

        if (arrival.Ttl < target.MinTtl)
        {
            return BfdVerdict.TimeToLive;
        }

        BfdSession session = peer.Session!;
        BfdState before = session.State;
        if (before == BfdState.AdminDown)
        {
            return BfdVerdict.AdminDown;
        }

        peer.CountReceived();
        BfdReaction reaction = session.Receive(packet, now);
        if (peer.Detection.Slot < 0 || session.DetectionDeadline < peer.Detection.Deadline)
        {
            Wheel.Set(peer.Detection, session.DetectionDeadline);
        }

        After(peer, reaction, before, now);
        return BfdVerdict.Accepted;
    }

    private void After(BfdPeer peer, BfdReaction reaction, BfdState before, long now)
    {
        BfdSession session = peer.Session!;
        if ((reaction & BfdReaction.SendFinal) != 0)
        {
            Send(peer, session.Final());
        }

        if ((reaction & BfdReaction.StateChanged) != 0)
        {
            // Section 6.8.7: not later than the next periodic one where something changed.
            Send(peer, session.Periodic());
            Wheel.Set(peer.Transmit, Math.Min(peer.LeavesAt, session.NextTransmit(now, NextRandom())));
        }
        else if ((reaction & BfdReaction.Reschedule) != 0)
        {
            Wheel.Set(peer.Transmit, Math.Min(peer.Transmit.Deadline, session.NextTransmit(now, NextRandom())));
            Wheel.Set(peer.Detection, session.DetectionDeadline);
        }

        if (Publish(peer, now, before) && (reaction & BfdReaction.StateChanged) != 0 && peer.LeavesAt == long.MaxValue)
        {
            peer.Changed(peer, new BfdChange(before, session.State, session.Diagnostic, session.RemoteState, session.RemoteControlPlaneIndependent));
        }
    }

    /// <summary>True where something that users see is another thing now.</summary>
    private static bool Publish(BfdPeer peer, long now, BfdState? before = null)
    {
        BfdSession session = peer.Session!;
        BfdStatus status = peer.Status;
        bool moved = before is { } was && was != session.State;
        if (before is not null && !moved && status.RemoteState == session.RemoteState && status.RemoteDiscriminator == session.RemoteDiscriminator
            && status.TransmitInterval == session.TransmitInterval && status.DetectionTime == session.DetectionTime && status.RemoteDiagnostic == session.RemoteDiagnostic)
        {
            return false;
        }

        peer.Status = status with
        {
            State = session.State,
            RemoteState = session.RemoteState,
            Diagnostic = session.Diagnostic,
            RemoteDiagnostic = session.RemoteDiagnostic,
            LocalDiscriminator = session.LocalDiscriminator,
            RemoteDiscriminator = session.RemoteDiscriminator,
            TransmitInterval = session.TransmitInterval,
            DetectionTime = session.DetectionTime,
            Since = moved || before is null ? now : status.Since,
            Losses = status.Losses + (moved && before == BfdState.Up ? 1 : 0),
        };
        return true;
    }

    private void Send(BfdPeer peer, in BfdPacket packet)
    {
        Span<byte> octets = stackalloc byte[BfdPacket.Length];
        packet.Write(octets);
        if (wire.Send(peer, octets))
        {
            peer.CountSent();
            return;
        }

        peer.CountSendError();
        if (peer.Target.Remote.IsLinkLocal && Scope(peer.Target) is var index && index != peer.InterfaceIndex)
        {
            // The interface was made anew.
            _byPath.Remove(Path(peer));
            peer.InterfaceIndex = index;
            _byPath[Path(peer)] = peer;
        }
    }

    private void Forget(BfdPeer peer)
    {
        Wheel.Set(peer.Transmit, long.MaxValue);
        Wheel.Set(peer.Detection, long.MaxValue);
        _byDiscriminator.Remove(peer.Session!.LocalDiscriminator);
        if (_byPath.TryGetValue(Path(peer), out BfdPeer? known) && known == peer)
        {
            _byPath.Remove(Path(peer));
        }

        peer.Session = null;
        wire.Release(peer);
    }

    private int Scope(BfdTarget target) => target.Remote.IsLinkLocal ? wire.InterfaceIndex(target.Interface) : 0;

    private static (IpAddr Remote, int Interface, bool Multihop) Path(BfdPeer peer) => (peer.Target.Remote, peer.InterfaceIndex, peer.Target.Multihop);

    private uint NextRandom() => (uint)random.NextInt64(1L << 32);
}
