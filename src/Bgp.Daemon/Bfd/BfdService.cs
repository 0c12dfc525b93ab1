using System.Diagnostics;
using Bgp.Daemon.Kernel.Netlink;
using Bgp.Daemon.Runtime;
using Bgp.Protocol;
using Microsoft.Extensions.Logging;

namespace Bgp.Daemon.Bfd;

/// <summary>The BFD thread: sockets, clock and <see cref="BfdTable"/> joined. It starts with the first session.</summary>
/// <remarks>
/// Nothing that BFD needs in its steady state runs anywhere else, takes a lock that others hold, or allocates: one thread sleeps in poll until a packet or a
/// deadline, with real-time priority where the system permits it (CAP_SYS_NICE or RLIMIT_RTPRIO), else the best niceness it permits. When it is late all the
/// same, no neighbour suffers: the time is taken, then everything that had arrived by then is read, and only then are neighbours judged by that time.
/// Owners are told on this thread and go on elsewhere.
/// </remarks>
internal sealed class BfdService : IDisposable
{
    /// <summary>Packets read per turn; with more waiting, no neighbour is given up until they are read.</summary>
    private const int ReadBudget = 4096;

    /// <summary>Turns in a row in which a flood may put that off.</summary>
    private const int MaxDeferrals = 200;

    private const long RetryInterval = 5_000_000;
    private const int RoundRobin = 2;
    private const int ResetOnFork = 0x40000000;

    private readonly ILogger _log;
    private readonly BfdSockets _sockets;
    private readonly BfdTable _table;
    private readonly Lock _gate = new();
    private readonly Queue<Action<long>> _commands = new();

    /// <summary>Sessions that are attached to, by what they watch: their parameters do not tell them apart.</summary>
    private readonly Dictionary<BfdTarget, Shared> _shared = [];
    private readonly EventFd _wake = new();
    private readonly bool[] _needed = new bool[BfdSockets.Receivers];
    private readonly int[] _lastError = new int[BfdSockets.Receivers];
    private Thread? _thread;
    private bool _stop;
    private long _retryAt = long.MaxValue;

    /// <param name="log">For changes of state and what cannot be opened.</param>
    /// <param name="interfaceIndex">Index of an interface by name; 0 where there is none.</param>
    internal BfdService(ILogger log, Func<string, int> interfaceIndex)
    {
        _log = log;
        _sockets = new BfdSockets(interfaceIndex, Random.Shared.Next());
        _table = new BfdTable(_sockets, new Random());
    }

    /// <summary>Microseconds of a clock that does not jump.</summary>
    internal static long Now => (long)(Stopwatch.GetTimestamp() * (1_000_000.0 / Stopwatch.Frequency));

    /// <summary>How the thread is scheduled, for people.</summary>
    internal string Priority { get; private set; } = "not started";

    /// <summary>Packets that were ignored for a reason.</summary>
    internal long Ignored(BfdVerdict verdict) => _table.Ignored(verdict);

    /// <summary>
    /// Starts a session, or joins the one that watches the same: two peers on one address share it, since the other side has one for the path (RFC 5882 section 2).
    /// <paramref name="changed"/> is called on the BFD thread and must not block.
    /// </summary>
    internal BfdPeer Attach(string name, BfdTarget target, Action<BfdPeer, BfdChange> changed)
    {
        Shared shared;
        lock (_shared)
        {
            if (_shared.TryGetValue(KeyOf(target), out Shared? known))
            {
                known.Owners = [.. known.Owners, changed];
                Configure(known.Peer, target);
                return known.Peer;
            }

            shared = new Shared { Owners = [changed] };
            shared.Peer = new BfdPeer(name, target, (peer, change) =>
            {
                Log.BfdState(_log, peer.Name, change.From, change.To, change.Diagnostic);
                foreach (Action<BfdPeer, BfdChange> owner in shared.Owners)
                {
                    owner(peer, change);
                }
            });
            _shared.Add(KeyOf(target), shared);
        }

        BfdPeer peer = shared.Peer;
        Post(now =>
        {
            int receiver = BfdSockets.ReceiverOf(target);
            _needed[receiver] = true;
            _table.Add(peer, now);
            OpenReceivers(now);
        });
        return peer;
    }

    /// <summary>New parameters for a running session; its addresses stay.</summary>
    internal void Configure(BfdPeer peer, BfdTarget target) => Post(now => _table.Configure(peer, target, now));

    /// <summary>Lets go of a session. With its last owner it ends in good order: the neighbour is told that an operator did it.</summary>
    internal void Detach(BfdPeer peer, Action<BfdPeer, BfdChange> changed)
    {
        lock (_shared)
        {
            (BfdTarget key, Shared? shared) = _shared.FirstOrDefault(item => item.Value.Peer == peer);
            if (shared is null)
            {
                return;
            }

            shared.Owners = [.. shared.Owners.Where(owner => owner != changed)];
            if (shared.Owners.Length > 0)
            {
                return;
            }

            _shared.Remove(key);
        }

        Post(now => _table.Remove(peer, now));
    }

    private static BfdTarget KeyOf(BfdTarget target) => target with { Parameters = default };

    private sealed class Shared
    {
        internal BfdPeer Peer { get; set; } = null!;

        /// <summary>Replaced as a whole, and read by the BFD thread.</summary>
        internal volatile Action<BfdPeer, BfdChange>[] Owners = [];
    }

    /// <summary>Tells every neighbour that the end of this process is no fault, and ends the thread.</summary>
    public void Dispose()
    {
        Thread? thread;
        lock (_gate)
        {
            if (_stop)
            {
                return;
            }

            _stop = true;
            thread = _thread;
        }

        _wake.Signal();
        thread?.Join();
        _sockets.Dispose();
        _wake.Dispose();
    }

    private void Post(Action<long> command)
    {
        lock (_gate)
        {
            if (_stop)
            {
                return;
            }

            _commands.Enqueue(command);
            if (_thread is null)
            {
                _thread = new Thread(Run) { IsBackground = true, Name = "bfd" };
                _thread.Start();
            }
        }

        _wake.Signal();
    }

    private unsafe void Run()
    {
        Priority = RaisePriority();
        Log.BfdStarted(_log, Priority);
        Native.PollFd* fds = stackalloc Native.PollFd[1 + BfdSockets.Receivers];
        Span<byte> buffer = stackalloc byte[256];
        int deferrals = 0;
        while (true)
        {
            int count = 0;
            fds[count++] = new Native.PollFd { Fd = _wake.Handle.Fd, Events = 1 };
            for (int i = 0; i < BfdSockets.Receivers; i++)
            {
                if (_sockets.Receiver(i) is { } receiver)
                {
                    fds[count++] = new Native.PollFd { Fd = receiver.Fd, Events = 1 };
                }
            }

            long look = Math.Min(_table.Wheel.NextLook(), _retryAt);
            int timeout = look == long.MaxValue ? -1 : (int)Math.Clamp((look - Now + 999) / 1000, 0, 60_000);
            _ = Native.Poll(fds, (nuint)count, timeout);
            if (fds[0].Returned != 0)
            {
                _wake.Drain();
            }

            if (!RunCommands())
            {
                return;
            }

            // The time first: whatever arrived before it is read below, before anyone is judged by it.
            long now = Now;
            bool allRead = Read(buffer, now);
            deferrals = allRead ? 0 : deferrals + 1;
            _table.Advance(now, allRead || deferrals > MaxDeferrals);
            if (now >= _retryAt)
            {
                OpenReceivers(now);
            }
        }
    }

    /// <summary>False when the thread is to end.</summary>
    private bool RunCommands()
    {
        while (true)
        {
            Action<long>? command;
            bool stop;
            lock (_gate)
            {
                _commands.TryDequeue(out command);
                stop = _stop;
            }

            if (command is not null)
            {
                command(Now);
                continue;
            }

            if (stop)
            {
                _table.SayGoodbye(Now);
                foreach (BfdPeer peer in _table.Peers)
                {
                    _sockets.Release(peer);
                }
            }

            return !stop;
        }
    }

    private bool Read(Span<byte> buffer, long now)
    {
        bool all = true;
        for (int i = 0; i < BfdSockets.Receivers; i++)
        {
            if (_sockets.Receiver(i) is null)
            {
                continue;
            }

            int left = ReadBudget;
            while (left > 0 && _sockets.Receive(i, buffer, out BfdArrival arrival) is var length && length >= 0)
            {
                _table.Receive(buffer[..length], arrival, now);
                left--;
            }

            all &= left > 0;
        }

        return all;
    }

    private void OpenReceivers(long now)
    {
        _retryAt = long.MaxValue;
        for (int i = 0; i < BfdSockets.Receivers; i++)
        {
            int error = _needed[i] ? _sockets.Open(i) : 0;
            if (error != 0)
            {
                _retryAt = now + RetryInterval;
            }

            if (error == _lastError[i])
            {
                continue;
            }

            _lastError[i] = error;
            int port = (i & 2) != 0 ? BfdSockets.MultihopPort : BfdSockets.SingleHopPort;
            string? problem = error == 0 ? null : $"cannot receive on UDP port {port}: {Errno.Name(error)}";
            if (problem is not null)
            {
                Log.BfdUnavailable(_log, problem);
            }

            foreach (BfdPeer peer in _table.Peers.Where(peer => BfdSockets.ReceiverOf(peer.Target) == i))
            {
                peer.Status = peer.Status with { Problem = problem };
            }
        }

        foreach (BfdPeer peer in _table.Peers.Where(peer => peer.Status.Problem is null && _lastError[BfdSockets.ReceiverOf(peer.Target)] != 0))
        {
            peer.Status = peer.Status with { Problem = $"cannot receive: {Errno.Name(_lastError[BfdSockets.ReceiverOf(peer.Target)])}" };
        }
    }

    /// <summary>Of the calling thread alone: pid 0 is the thread, for both calls on Linux.</summary>
    private static unsafe string RaisePriority()
    {
        int priority = 10;
        if (BfdNative.SetScheduler(0, RoundRobin | ResetOnFork, &priority) == 0)
        {
            return "real-time priority 10";
        }

        foreach (int niceness in (ReadOnlySpan<int>)[-20, -10, -5])
        {
            if (BfdNative.SetPriority(0, 0, niceness) == 0)
            {
                return $"niceness {niceness}";
            }
        }

        return "normal priority: neither CAP_SYS_NICE nor RLIMIT_RTPRIO";
    }
}
