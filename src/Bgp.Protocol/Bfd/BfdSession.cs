namespace Bgp.Protocol;

/// <summary>What moves a session from state to state.</summary>
public enum BfdEvent : byte
{
    /// <summary>A packet with state AdminDown.</summary>
    ReceivedAdminDown,

    /// <summary>A packet with state Down.</summary>
    ReceivedDown,

    /// <summary>A packet with state Init.</summary>
    ReceivedInit,

    /// <summary>A packet with state Up.</summary>
    ReceivedUp,

    /// <summary>Silence for the detection time.</summary>
    DetectionExpired,

    /// <summary>Our operator holds it down.</summary>
    Disable,

    /// <summary>Our operator lets go.</summary>
    Enable,
}

/// <summary>The state machine of RFC 5880 section 6.8.6 with sections 6.8.4 and 6.8.16: a pure function.</summary>
public static class BfdFsm
{
    /// <summary>The next state, and the diagnostic to send from then on; the given one where the event says nothing about it.</summary>
    public static (BfdState State, BfdDiagnostic Diagnostic) Next(BfdState state, BfdEvent e, BfdDiagnostic diagnostic) => (state, e) switch
    {
        (BfdState.AdminDown, BfdEvent.Enable) => (BfdState.Down, BfdDiagnostic.None),
        (BfdState.AdminDown, _) => (state, diagnostic),
        (_, BfdEvent.Disable) => (BfdState.AdminDown, BfdDiagnostic.AdministrativelyDown),
        (BfdState.Down, BfdEvent.ReceivedDown) => (BfdState.Init, diagnostic),
        (BfdState.Down, BfdEvent.ReceivedInit) => (BfdState.Up, diagnostic),
        (BfdState.Init, BfdEvent.ReceivedInit or BfdEvent.ReceivedUp) => (BfdState.Up, diagnostic),
        (BfdState.Init or BfdState.Up, BfdEvent.ReceivedAdminDown) => (BfdState.Down, BfdDiagnostic.NeighborSignaledDown),
        (BfdState.Up, BfdEvent.ReceivedDown) => (BfdState.Down, BfdDiagnostic.NeighborSignaledDown),
        (BfdState.Init or BfdState.Up, BfdEvent.DetectionExpired) => (BfdState.Down, BfdDiagnostic.DetectionTimeExpired),
        _ => (state, diagnostic),
    };
}

/// <summary>What the shell is to do after an event.</summary>
[Flags]
public enum BfdReaction : byte
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>The state is another one: send a packet at once, and tell who cares.</summary>
    StateChanged = 1,

    /// <summary>Send <see cref="BfdSession.Final"/> at once.</summary>
    SendFinal = 2,

    /// <summary>The time to the next periodic packet may be another one.</summary>
    Reschedule = 4,
}

/// <summary>One session in asynchronous mode (RFC 5880 section 6.8): variables, state, timers, poll sequences.</summary>
/// <remarks>
/// Time comes in as microseconds of any clock that does not jump, randomness as a number, packets as values; so a test plays both ends of a session
/// in an instant. The shell owns two timers per session, the next packet (<see cref="NextTransmit"/>) and <see cref="DetectionDeadline"/>, and moves them after every call.
/// <para>Changing an interval takes a poll sequence (section 6.8.3): packets carry P until one with F comes back. Until then the side that must be safe keeps the old
/// value: sending does not slow down before the neighbour knows, and a shorter detection time does not hold before the neighbour has sped up.
/// A poll wanted while one is under way begins when that one ends, because its F may answer the older numbers.</para>
/// <para>Echo and authentication are not offered. Demand mode is not asked for, but obeyed: a neighbour that asks for it while both are Up gets no periodic
/// packets outside poll sequences.</para>
/// </remarks>
public sealed class BfdSession
{
    private BfdParameters _parameters;
    private uint _desiredMinTx = BfdTimers.SlowInterval;
    private uint _transmitWith = BfdTimers.SlowInterval;
    private uint _detectWith;
    private uint _remoteDesiredMinTx;
    private bool _pollAgain;
    private bool _heard;
    private long _lastReceived;

    /// <summary>A session in state Down that has heard nothing.</summary>
    /// <param name="discriminator">Our name for it: not 0, unique on this host, hard to guess.</param>
    /// <param name="parameters">Configuration.</param>
    public BfdSession(uint discriminator, BfdParameters parameters)
    {
        LocalDiscriminator = discriminator;
        _parameters = parameters;
        _detectWith = parameters.RequiredMinRx;
        _desiredMinTx = _transmitWith = Math.Max(parameters.DesiredMinTx, BfdTimers.SlowInterval);
    }

    /// <summary>Our state.</summary>
    public BfdState State { get; private set; } = BfdState.Down;

    /// <summary>Why it went down the last time.</summary>
    public BfdDiagnostic Diagnostic { get; private set; }

    /// <summary>Our name for the session.</summary>
    public uint LocalDiscriminator { get; }

    /// <summary>The neighbour's; 0 while unknown.</summary>
    public uint RemoteDiscriminator { get; private set; }

    /// <summary>The neighbour's state as last heard.</summary>
    public BfdState RemoteState { get; private set; } = BfdState.Down;

    /// <summary>The neighbour's diagnostic as last heard.</summary>
    public BfdDiagnostic RemoteDiagnostic { get; private set; }

    /// <summary>Lost packets after which the neighbour's side of it is down, as the neighbour says; 0 before the first packet.</summary>
    public byte RemoteMultiplier { get; private set; }

    /// <summary>How often the neighbour takes packets, in microseconds; 1 before the first packet (section 6.8.1).</summary>
    public uint RemoteMinRx { get; private set; } = 1;

    /// <summary>Whether the neighbour's BFD survives a restart of its routing (C bit).</summary>
    public bool RemoteControlPlaneIndependent { get; private set; }

    /// <summary>Whether the neighbour wants no periodic packets.</summary>
    public bool RemoteDemand { get; private set; }

    /// <summary>Whether a poll sequence is under way.</summary>
    public bool IsPolling { get; private set; }

    /// <summary>The configuration in force.</summary>
    public BfdParameters Parameters => _parameters;

    /// <summary>Microseconds between our packets before jitter; 0 where none are due.</summary>
    public long TransmitInterval =>
        RemoteDemand && State == BfdState.Up && RemoteState == BfdState.Up && !IsPolling ? 0 : BfdTimers.TransmitInterval(_transmitWith, RemoteMinRx);

    /// <summary>Microseconds of silence until down; 0 before the first packet.</summary>
    public long DetectionTime => BfdTimers.DetectionTime(RemoteMultiplier, _detectWith, _remoteDesiredMinTx);

    /// <summary>When the neighbour counts as lost; <see cref="long.MaxValue"/> where nothing is expected.</summary>
    public long DetectionDeadline => _heard ? _lastReceived + DetectionTime : long.MaxValue;

    /// <summary>When the next periodic packet is due after one at <paramref name="now"/>; <see cref="long.MaxValue"/> for none.</summary>
    public long NextTransmit(long now, uint random)
    {
        long interval = TransmitInterval;
        return interval == 0 ? long.MaxValue : now + BfdTimers.Jittered(interval, _parameters.Multiplier, random);
    }

    /// <summary>A packet that passed <see cref="BfdPacket.TryParse"/> and was found to be of this session (section 6.8.6).</summary>
    public BfdReaction Receive(in BfdPacket packet, long now)
    {
        if (State == BfdState.AdminDown)
        {
            return BfdReaction.None;
        }

        long interval = TransmitInterval;
        RemoteDiscriminator = packet.MyDiscriminator;
        RemoteState = packet.State;
        RemoteDiagnostic = packet.Diagnostic;
        RemoteMultiplier = packet.Multiplier;
        RemoteMinRx = packet.RequiredMinRx;
        RemoteDemand = packet.Demand;
        RemoteControlPlaneIndependent = packet.ControlPlaneIndependent;
        _remoteDesiredMinTx = packet.DesiredMinTx;
        if (packet.Final && IsPolling)
        {
            EndPoll();
        }

        BfdReaction reaction = Move(packet.State switch
        {
            BfdState.AdminDown => BfdEvent.ReceivedAdminDown,
            BfdState.Down => BfdEvent.ReceivedDown,
            BfdState.Init => BfdEvent.ReceivedInit,
            _ => BfdEvent.ReceivedUp,
        });
        (_heard, _lastReceived) = (true, now);
        if (packet.Poll)
        {
            reaction |= BfdReaction.SendFinal;
        }

        return TransmitInterval != interval ? reaction | BfdReaction.Reschedule : reaction;
    }

    /// <summary>The detection timer fired. Nothing happens where a packet came meanwhile.</summary>
    public BfdReaction Expire(long now)
    {
        if (now < DetectionDeadline)
        {
            return BfdReaction.None;
        }

        // Section 6.8.1: after a detection time of silence the neighbour's name for the session is forgotten. What it takes is not: sending stays within that.
        _heard = false;
        RemoteDiscriminator = 0;
        RemoteDemand = false;
        long interval = TransmitInterval;
        BfdReaction reaction = Move(BfdEvent.DetectionExpired);
        return TransmitInterval != interval ? reaction | BfdReaction.Reschedule : reaction;
    }

    /// <summary>Holds the session down, or lets it go (section 6.8.16).</summary>
    public BfdReaction SetAdminDown(bool down)
    {
        BfdReaction reaction = Move(down ? BfdEvent.Disable : BfdEvent.Enable);
        _heard &= !down;

        return reaction == BfdReaction.None ? reaction : reaction | BfdReaction.Reschedule;
    }

    /// <summary>New parameters for the running session (section 6.8.3).</summary>
    public BfdReaction Configure(BfdParameters parameters)
    {
        if (parameters == _parameters)
        {
            return BfdReaction.None;
        }

        bool poll = parameters.RequiredMinRx != _parameters.RequiredMinRx;
        _parameters = parameters;
        if (State != BfdState.Up || parameters.RequiredMinRx > _detectWith)
        {
            _detectWith = parameters.RequiredMinRx;
        }

        poll |= ChooseDesiredMinTx();
        if (poll && State >= BfdState.Init)
        {
            StartPoll();
        }

        return BfdReaction.Reschedule;
    }

    /// <summary>The packet to send now as a periodic one.</summary>
    public BfdPacket Periodic() => Compose() with { Poll = IsPolling };

    /// <summary>The packet that answers a poll: never both P and F (section 6.5).</summary>
    public BfdPacket Final() => Compose() with { Final = true };

    private BfdPacket Compose() => new()
    {
        Diagnostic = Diagnostic,
        State = State,
        Multiplier = _parameters.Multiplier,
        MyDiscriminator = LocalDiscriminator,
        YourDiscriminator = RemoteDiscriminator,
        DesiredMinTx = _desiredMinTx,
        RequiredMinRx = _parameters.RequiredMinRx,
    };

    private BfdReaction Move(BfdEvent e)
    {
        BfdState before = State;
        (State, Diagnostic) = BfdFsm.Next(before, e, Diagnostic);
        if (State == before)
        {
            return BfdReaction.None;
        }

        if (State == BfdState.Up)
        {
            Diagnostic = BfdDiagnostic.None;
        }
        else
        {
            _detectWith = _parameters.RequiredMinRx;
            (IsPolling, _pollAgain) = (false, false);
        }

        if (ChooseDesiredMinTx() && State == BfdState.Up)
        {
            StartPoll();
        }

        return BfdReaction.StateChanged;
    }

    /// <summary>The interval to announce; true when it is another one now.</summary>
    private bool ChooseDesiredMinTx()
    {
        uint desired = State == BfdState.Up ? _parameters.DesiredMinTx : Math.Max(_parameters.DesiredMinTx, BfdTimers.SlowInterval);
        bool changed = desired != _desiredMinTx;
        _desiredMinTx = desired;

        // Slower only when the neighbour has been told, while it counts our packets.
        if (State != BfdState.Up || desired < _transmitWith)
        {
            _transmitWith = desired;
        }

        return changed;
    }

    private void StartPoll()
    {
        _pollAgain = IsPolling;
        IsPolling = true;
    }

    private void EndPoll()
    {
        if (_pollAgain)
        {
            // The F may answer the numbers of before: ask once more, and keep what is safe.
            _pollAgain = false;
            return;
        }

        IsPolling = false;
        (_transmitWith, _detectWith) = (_desiredMinTx, _parameters.RequiredMinRx);
    }
}
