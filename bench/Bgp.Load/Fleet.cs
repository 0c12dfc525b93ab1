using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Bgp.Load;

/// <summary>All the simulated speakers, on one thread and one epoll.</summary>
/// <remarks>
/// One thread, because the machine's other core is the daemon's: a second one here would take time from what is measured. Edge-triggered, so that a socket
/// costs no epoll_ctl after its first. Received octets are parsed in a buffer that stays in the second-level cache.
/// </remarks>
internal sealed unsafe class Fleet
{
    internal const int ScratchSize = 256 << 10;
    private const int EventsAtOnce = 512;
    private static readonly TimeSpan s_retryAfter = TimeSpan.FromMilliseconds(200);
    private readonly byte* _events = (byte*)NativeMemory.Alloc((nuint)(EventsAtOnce * Native.EventSize));
    private readonly List<Speaker> _speakers = [];
    private readonly uint _dut;
    private readonly int _port;
    private Action? _watched;
    private long _keepaliveAt;
    private bool _connecting;
    private int _inFlight;

    internal Fleet(uint dut, int port)
    {
        _dut = dut;
        _port = port;
        _keepaliveAt = Stopwatch.GetTimestamp() + KeepaliveTicks;
    }

    internal int Epoll { get; } = Native.Check(Native.EpollCreate(Native.CloseOnExec), "epoll_create1");

    internal byte* Scratch { get; } = (byte*)NativeMemory.AlignedAlloc(ScratchSize + 64, 64);

    internal IReadOnlyList<Speaker> Speakers => _speakers;

    internal int Established { get; private set; }

    /// <summary>Why an established session ended that nobody here closed; null while all is well.</summary>
    internal string? Failure { get; private set; }

    private static long KeepaliveTicks => Messages.HoldTime / 4 * Stopwatch.Frequency;

    /// <summary>Address of speaker number <paramref name="index"/>: 10.99.1.1 on, 250 in each /24.</summary>
    internal static uint AddressOf(int index) => 0x0A630101 + ((uint)(index / 250) << 8) + (uint)(index % 250);

    internal Speaker Add(uint asn)
    {
        Speaker speaker = new(this, _speakers.Count, AddressOf(_speakers.Count), asn);
        _speakers.Add(speaker);
        return speaker;
    }

    /// <summary>Brings the sessions up, with at most so many handshakes under way; false at the deadline.</summary>
    internal bool Establish(IReadOnlyList<Speaker> speakers, int inFlight, long deadline)
    {
        _connecting = true;
        _inFlight = 0;
        int next = 0;
        int target = Established + speakers.Count;
        int before = Established;
        bool up = Run(
            () =>
            {
                _inFlight = next - (Established - before);
                while (next < speakers.Count && _inFlight < inFlight)
                {
                    speakers[next++].Connect(_dut, _port);
                    _inFlight++;
                }

                Retry(speakers, next);
                return Established == target;
            },
            deadline, 50);
        _connecting = false;
        return up;
    }

    /// <summary>Serves the sockets until the condition holds; false at the deadline (in ticks) or when a session was lost.</summary>
    internal bool Run(Func<bool> done, long deadline, int timeout = 200)
    {
        while (!done())
        {
            if (Failure is not null || Stopwatch.GetTimestamp() >= deadline)
            {
                return false;
            }

            Poll(timeout);
        }

        return true;
    }

    internal void Poll(int timeout)
    {
        int count = Native.EpollWait(Epoll, _events, EventsAtOnce, timeout);
        for (int i = 0; i < count; i++)
        {
            byte* entry = _events + i * Native.EventSize;
            int data = (int)*(long*)(entry + Native.EventData);
            if (data < 0)
            {
                _watched!();
                continue;
            }

            Speaker speaker = _speakers[data];
            if (speaker.Fd >= 0)
            {
                speaker.OnEvent(*(uint*)entry);
            }
        }

        long now = Stopwatch.GetTimestamp();
        if (now >= _keepaliveAt)
        {
            _keepaliveAt = now + KeepaliveTicks;
            foreach (Speaker speaker in _speakers)
            {
                if (speaker.State == SpeakerState.Established)
                {
                    speaker.SendKeepalive();
                }
            }
        }
    }

    /// <summary>Also calls <paramref name="readable"/>, which must read until nothing is left, when this descriptor has something.</summary>
    internal void Watch(int fd, Action readable)
    {
        _watched = readable;
        Native.EpollAdd(Epoll, fd, -1);
    }

    internal void OnEstablished() => Established++;

    /// <summary>Says when the speaker shall try again, in ticks.</summary>
    internal long OnLost(Speaker speaker, bool established)
    {
        if (established)
        {
            Established--;
            if (!_connecting)
            {
                Failure = $"session of {Ip.Text(speaker.Address)} lost: {speaker.Lost}";
            }
        }

        return Stopwatch.GetTimestamp() + s_retryAfter.Ticks * Stopwatch.Frequency / TimeSpan.TicksPerSecond;
    }

    /// <summary>A speaker that a scenario closes is no failure.</summary>
    internal void CloseOf(Speaker speaker)
    {
        speaker.Abort();
        Established--;
    }

    private void Retry(IReadOnlyList<Speaker> speakers, int started)
    {
        long now = Stopwatch.GetTimestamp();
        for (int i = 0; i < started; i++)
        {
            Speaker speaker = speakers[i];
            if (speaker.State == SpeakerState.Closed && speaker.RetryAt != 0 && now >= speaker.RetryAt)
            {
                speaker.Connect(_dut, _port);
            }
        }
    }
}
