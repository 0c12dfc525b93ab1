using Bgp.Protocol;

namespace Bgp.Daemon.Peers;

/// <summary>Timers that belong to a peer and not to one connection.</summary>
internal enum PeerTimer
{
    /// <summary>Rest after a failure.</summary>
    IdleHold = 8,

    /// <summary>How long stale routes are kept while the neighbour restarts (RFC 4724 section 4.2).</summary>
    Restart = 9,

    /// <summary>How long a dynamic peer is remembered after its connection.</summary>
    Linger = 10,
}

/// <summary>
/// The timers of one peer as deadlines. A timer that fires early (it was restarted meanwhile) is set again for the rest; one that was stopped does
/// nothing; so a firing that races with a restart is harmless.
/// </summary>
internal sealed class SessionTimers(TimeProvider time, Action<int> expired) : IDisposable
{
    private const int Slots = 11;

    private readonly ITimer?[] _timers = new ITimer?[Slots];
    private readonly long[] _deadlines = new long[Slots];

    internal static int Slot(ConnectionSide side, SessionTimer timer) => ((int)side * 4) + (int)timer;

    internal void Start(int slot, TimeSpan after)
    {
        _deadlines[slot] = time.GetTimestamp() + (long)(after.TotalSeconds * time.TimestampFrequency);
        if (_timers[slot] is { } timer)
        {
            timer.Change(after, Timeout.InfiniteTimeSpan);
        }
        else
        {
            _timers[slot] = time.CreateTimer(_ => expired(slot), null, after, Timeout.InfiniteTimeSpan);
        }
    }

    internal void Stop(int slot)
    {
        _deadlines[slot] = 0;
        _timers[slot]?.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    internal bool IsRunning(int slot) => _deadlines[slot] != 0;

    /// <summary>Whether the timer is really due; when not, it goes on. Clears it when it is.</summary>
    internal bool TakeExpired(int slot)
    {
        long deadline = _deadlines[slot];
        if (deadline == 0)
        {
            return false;
        }

        long left = deadline - time.GetTimestamp();
        if (left > 0)
        {
            _timers[slot]!.Change(TimeSpan.FromSeconds(Math.Max(0.001, (double)left / time.TimestampFrequency)), Timeout.InfiniteTimeSpan);
            return false;
        }

        _deadlines[slot] = 0;
        return true;
    }

    /// <summary>Moves the timers of the incoming connection to the outgoing side (see <see cref="PeerFsm.SwapSides"/>).</summary>
    internal void SwapSides()
    {
        for (int i = 0; i < 4; i++)
        {
            long deadline = _deadlines[4 + i];
            Stop(4 + i);
            Stop(i);
            if (deadline != 0)
            {
                Start(i, TimeSpan.FromSeconds(Math.Max(0.001, (double)(deadline - time.GetTimestamp()) / time.TimestampFrequency)));
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (ITimer? timer in _timers)
        {
            timer?.Dispose();
        }
    }
}
