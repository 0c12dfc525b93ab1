using Bgp.Daemon.Kernel.Netlink;
using Bgp.Protocol;

namespace Bgp.Daemon.Bfd;

/// <summary>Which neighbour a session watches, and how.</summary>
internal sealed record BfdTarget
{
    /// <summary>The neighbour's address.</summary>
    internal required IpAddr Remote { get; init; }

    /// <summary>Our address, or none: the kernel chooses.</summary>
    internal IpAddr Local { get; init; }

    /// <summary>The interface of a link-local neighbour, or empty.</summary>
    internal string Interface { get; init; } = "";

    /// <summary>Port 4784 (RFC 5883) instead of 3784 (RFC 5881).</summary>
    internal bool Multihop { get; init; }

    /// <summary>Least time to live of packets taken; 255 on a single hop.</summary>
    internal int MinTtl { get; init; } = 255;

    internal required BfdParameters Parameters { get; init; }
}

/// <summary>A change of a session's state.</summary>
/// <param name="From">Before.</param>
/// <param name="To">After.</param>
/// <param name="Diagnostic">Why, where it went down.</param>
/// <param name="RemoteState">The neighbour's state as last heard.</param>
/// <param name="RemoteIndependent">Whether the neighbour's BFD outlives a restart of its routing.</param>
internal readonly record struct BfdChange(BfdState From, BfdState To, BfdDiagnostic Diagnostic, BfdState RemoteState, bool RemoteIndependent)
{
    /// <summary>The path or the neighbour was lost. An operator's AdminDown on the other side says nothing of the path (RFC 5882 section 4.2).</summary>
    internal bool IsLoss => From == BfdState.Up && To == BfdState.Down && RemoteState != BfdState.AdminDown;
}

/// <summary>What users see of a session. Immutable; a new one is published at each change.</summary>
internal sealed record BfdStatus
{
    internal BfdState State { get; init; } = BfdState.Down;

    internal BfdState RemoteState { get; init; } = BfdState.Down;

    internal BfdDiagnostic Diagnostic { get; init; }

    internal BfdDiagnostic RemoteDiagnostic { get; init; }

    internal uint LocalDiscriminator { get; init; }

    internal uint RemoteDiscriminator { get; init; }

    /// <summary>Microseconds between our packets; 0 where none are sent.</summary>
    internal long TransmitInterval { get; init; }

    /// <summary>Microseconds; 0 before the first packet.</summary>
    internal long DetectionTime { get; init; }

    /// <summary>When <see cref="State"/> began, on the service's clock, in microseconds.</summary>
    internal long Since { get; init; }

    /// <summary>How often it went from Up to Down.</summary>
    internal long Losses { get; init; }

    /// <summary>Why it cannot work (a port in use, too many sessions), or null.</summary>
    internal string? Problem { get; init; }
}

/// <summary>One session as the rest of the daemon holds it. Everything but <see cref="Status"/> and the counters belongs to the BFD thread.</summary>
internal sealed class BfdPeer
{
    private long _sent;
    private long _received;
    private long _sendErrors;
    private volatile BfdStatus _status = new();

    internal BfdPeer(string name, BfdTarget target, Action<BfdPeer, BfdChange> changed)
    {
        (Name, Target, Changed) = (name, target, changed);
        Transmit = new WheelTimer(this, detection: false);
        Detection = new WheelTimer(this, detection: true);
    }

    internal string Name { get; }

    internal BfdTarget Target { get; set; }

    /// <summary>Called on the BFD thread: must not block.</summary>
    internal Action<BfdPeer, BfdChange> Changed { get; }

    internal BfdStatus Status
    {
        get => _status;
        set => _status = value;
    }

    internal long Sent => Volatile.Read(ref _sent);

    internal long Received => Volatile.Read(ref _received);

    internal long SendErrors => Volatile.Read(ref _sendErrors);

    /// <summary>Null before it is added, and where it was refused.</summary>
    internal BfdSession? Session { get; set; }

    internal WheelTimer Transmit { get; }

    internal WheelTimer Detection { get; }

    /// <summary>Index of the interface of a link-local neighbour; 0 else.</summary>
    internal int InterfaceIndex { get; set; }

    /// <summary>Nobody holds it any more: until then it tells the neighbour so.</summary>
    internal long LeavesAt { get; set; } = long.MaxValue;

    /// <summary>Sends its packets; null while none could be opened.</summary>
    internal FdHandle? Socket { get; set; }

    internal void CountSent() => Volatile.Write(ref _sent, _sent + 1);

    internal void CountReceived() => Volatile.Write(ref _received, _received + 1);

    internal void CountSendError() => Volatile.Write(ref _sendErrors, _sendErrors + 1);
}
