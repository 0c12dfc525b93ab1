using System.Numerics;

namespace Bgp.Daemon.Bfd;

/// <summary>A deadline in a <see cref="TimerWheel"/>; one object per timer for its whole life, so that moving it allocates nothing.</summary>
internal sealed class WheelTimer(BfdPeer owner, bool detection)
{
    internal BfdPeer Owner => owner;

    /// <summary>Whether it watches the neighbour; else it is our next packet.</summary>
    internal bool IsDetection => detection;

    /// <summary>Microseconds; <see cref="long.MaxValue"/> while it is not set.</summary>
    internal long Deadline { get; set; } = long.MaxValue;

    internal int Slot { get; set; } = -1;

    internal WheelTimer? Next { get; set; }

    internal WheelTimer? Previous { get; set; }
}

/// <summary>
/// A hashed timing wheel of <see cref="Slots"/> milliseconds: setting and clearing are a few writes, however many timers there are.
/// </summary>
/// <remarks>
/// A timer lies in the slot of its deadline modulo the wheel; one that is more than a turn away is met early, found not to be due, and left where it is. Occupied
/// slots are bits of 64 words, so the next deadline is found by looking at most at all words. A heap would cost a logarithm per received packet,
/// because each one moves a detection timer.
/// </remarks>
internal sealed class TimerWheel
{
    internal const int Slots = 4096;
    private const long Tick = 1000;

    private readonly WheelTimer?[] _slots = new WheelTimer?[Slots];
    private readonly ulong[] _occupied = new ulong[Slots / 64];

    /// <summary>The first millisecond that has not been looked at.</summary>
    private long _tick;

    /// <summary>Timers that are set.</summary>
    internal int Count { get; private set; }

    /// <summary>Sets, moves, or (with <see cref="long.MaxValue"/>) clears a timer.</summary>
    internal void Set(WheelTimer timer, long deadline)
    {
        if (timer.Slot >= 0)
        {
            Unlink(timer);
        }

        timer.Deadline = deadline;
        if (deadline == long.MaxValue)
        {
            return;
        }

        // Rounded up: a timer is never early. One in the past is due in the next millisecond.
        long tick = Math.Max((deadline + Tick - 1) / Tick, _tick);
        int slot = (int)(tick % Slots);
        timer.Slot = slot;
        timer.Next = _slots[slot];
        timer.Next?.Previous = timer;
        _slots[slot] = timer;
        _occupied[slot / 64] |= 1UL << (slot % 64);
        Count++;
    }

    /// <summary>Takes out every timer that is due at <paramref name="now"/>.</summary>
    internal void Expire(long now, List<WheelTimer> due)
    {
        long last = now / Tick;
        long first = Math.Max(_tick, last - Slots + 1);
        _tick = Math.Max(_tick, last + 1);
        for (long tick = first; tick <= last; tick++)
        {
            int slot = (int)(tick % Slots);
            if ((_occupied[slot / 64] & (1UL << (slot % 64))) == 0)
            {
                continue;
            }

            for (WheelTimer? timer = _slots[slot]; timer is not null;)
            {
                WheelTimer? next = timer.Next;
                if (timer.Deadline <= now)
                {
                    Unlink(timer);
                    timer.Deadline = long.MaxValue;
                    due.Add(timer);
                }

                timer = next;
            }
        }
    }

    /// <summary>When to look again, in microseconds: not after the earliest deadline; <see cref="long.MaxValue"/> when no timer is set.</summary>
    internal long NextLook()
    {
        if (Count == 0)
        {
            return long.MaxValue;
        }

        int start = (int)(_tick % Slots);
        for (int i = 0; i <= _occupied.Length; i++)
        {
            int word = ((start / 64) + i) % _occupied.Length;
            ulong bits = _occupied[word];
            if (i == 0)
            {
                bits &= ulong.MaxValue << (start % 64);
            }

            if (bits != 0)
            {
                int ahead = ((word * 64) + BitOperations.TrailingZeroCount(bits) - start + Slots) % Slots;
                return (_tick + ahead) * Tick;
            }
        }

        return (_tick + Slots) * Tick;
    }

    private void Unlink(WheelTimer timer)
    {
        int slot = timer.Slot;
        if (timer.Previous is { } previous)
        {
            previous.Next = timer.Next;
        }
        else
        {
            _slots[slot] = timer.Next;
            if (timer.Next is null)
            {
                _occupied[slot / 64] &= ~(1UL << (slot % 64));
            }
        }

        timer.Next?.Previous = timer.Previous;
        (timer.Next, timer.Previous, timer.Slot) = (null, null, -1);
        Count--;
    }
}
