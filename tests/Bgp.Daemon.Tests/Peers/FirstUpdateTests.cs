using System.Threading.Channels;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Microsoft.Extensions.Logging;
using Rib;

namespace Bgp.Daemon.Tests.Peers;

/// <summary>
/// Two connections of one neighbour: the first waits in OpenConfirm for the second (RFC 4271 section 6.8), whose end makes it the session. That happens on the second one's thread, while the
/// first one's reader may hold the neighbour's first UPDATE in its hands.
/// </summary>
[TestFixture]
public sealed class FirstUpdateTests
{
    private static readonly IpAddr s_neighbour = IpAddr.V4(0x0A000009);

    [Test]
    public async Task An_UPDATE_that_is_read_in_the_moment_in_which_another_thread_makes_the_session_is_not_lost()
    {
        Line outgoing = new();
        Line incoming = new();
        using Hook hook = new();
        AttributeTable attributes = new();
        AlwaysResolved always = new(static _ => false);
        DaemonContext context = new()
        {
            Time = TimeProvider.System,
            Log = hook,
            Attributes = attributes,
            V4 = new RibLoop<Ipv4Prefix>(attributes, always, new RibOptions(), PoolScheduler.Instance, hook),
            V6 = new RibLoop<Ipv6Prefix>(attributes, always, new RibOptions(), PoolScheduler.Instance, hook),
            Dialer = new Dialer(outgoing),
        };
        using PeerManager peers = new(context);
        FilterPolicy<Ipv4Prefix> all4(PolicyDirection way) => new(["all"], way, true, new PolicyScope());
        FilterPolicy<Ipv6Prefix> all6(PolicyDirection way) => new(["all"], way, true, new PolicyScope());
        peers.Apply(
            [
                new PeerSettings
                {
                    Name = "n",
                    Address = s_neighbour,
                    Asn = 65001,
                    LocalAsn = 64601,
                    RouterId = 1,
                    Families = new EquatableList<FamilySettings>([new FamilySettings { Family = AfiSafi.Ipv4Unicast }]),
                    Policies = new PolicySet(all4(PolicyDirection.Import), all4(PolicyDirection.Export), all6(PolicyDirection.Import), all6(PolicyDirection.Export)),
                },
            ], [], start: true);
        PeerSession session = peers.Find("n")!;

        // The first one's OPEN and KEEPALIVE are exchanged while the second one has only heard ours.
        await outgoing.Reads(1);
        peers.Accept(incoming, s_neighbour);
        await incoming.Reads(1);
        outgoing.Say(Open());
        await outgoing.Reads(2);
        outgoing.Say(KeepAliveMessage.Octets.ToArray());
        await outgoing.Reads(3);
        Assert.That(session.State, Is.EqualTo(SessionState.OpenConfirm), "it waits for the second one");

        TaskCompletionSource<bool> met = new(TaskCreationOptions.RunContinuationsAsynchronously);
        hook.OnSessionUp = () =>
        {
            // Under the session's lock, on the thread of the second connection's end: the reader of the first one comes as far as that lock.
            long contended = Monitor.LockContentionCount;
            outgoing.Say(Update());
            met.SetResult(SpinWait.SpinUntil(() => Monitor.LockContentionCount > contended, TimeSpan.FromSeconds(20)));
        };
        incoming.End();
        Assert.That(await met.Task.WaitAsync(TimeSpan.FromSeconds(30)), "the reader waited at the lock, or this would prove nothing");
        await Until(() => context.V4.Shard.PathCount(session.Index) == 1);
    }

    private static async Task Until(Func<bool> condition)
    {
        for (long start = Environment.TickCount64; !condition();)
        {
            Assert.That(Environment.TickCount64 - start, Is.LessThan(30_000));
            await Task.Yield();
        }
    }

    private static byte[] Open()
    {
        byte[] octets = new byte[4096];
        return octets[..OpenMessage.Create(65001, 90, 9, new Capabilities { Families = [AfiSafi.Ipv4Unicast], As4 = 65001 }).Write(octets)];
    }

    /// <summary>10.7.0.0/24 with ORIGIN, AS_PATH and NEXT_HOP.</summary>
    private static byte[] Update()
    {
        byte[] attributes = [0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xFD, 0xE9, 0x40, 3, 4, 10, 0, 0, 9];
        byte[] body = [0, 0, 0, (byte)attributes.Length, .. attributes, 24, 10, 7, 0];
        return [.. Enumerable.Repeat((byte)0xFF, 16), 0, (byte)(19 + body.Length), 2, .. body];
    }

    private sealed class Dialer(ITransport transport) : IDialer
    {
        public ValueTask<ITransport> ConnectAsync(PeerSettings settings, int scope, CancellationToken cancel) => new(transport);
    }

    /// <summary>Calls back, once, when a session is about to come up: the trace of that step is written under the session's lock.</summary>
    private sealed class Hook : ILogger, IDisposable
    {
        internal Action? OnSessionUp { get; set; }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel == LogLevel.Trace && OnSessionUp is { } then && formatter(state, exception).Contains(nameof(SessionActionKind.SessionUp), StringComparison.Ordinal))
            {
                OnSessionUp = null;
                then();
            }
        }

        public void Dispose() => OnSessionUp = null;
    }

    /// <summary>A connection on which the test speaks for the neighbour.</summary>
    private sealed class Line : ITransport
    {
        private readonly Channel<byte[]> _said = Channel.CreateUnbounded<byte[]>();
        private readonly SemaphoreSlim _changed = new(0);
        private int _reads;

        public IpAddr LocalAddress => IpAddr.V4(0x0A000001);

        public int LocalPort => 179;

        public int RemotePort => 40000;

        public int Available => 0;

        internal void Say(byte[] octets) => Assert.That(_said.Writer.TryWrite(octets));

        internal void End() => _said.Writer.TryComplete();

        /// <summary>Until it has been read from so often: what was said before the last time has been understood.</summary>
        internal async Task Reads(int count)
        {
            while (Volatile.Read(ref _reads) < count)
            {
                Assert.That(await _changed.WaitAsync(TimeSpan.FromSeconds(30)));
            }
        }

        public async ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancel = default)
        {
            if (buffer.IsEmpty)
            {
                await _said.Reader.WaitToReadAsync(cancel);
                return 0;
            }

            Interlocked.Increment(ref _reads);
            _changed.Release();
            if (!await _said.Reader.WaitToReadAsync(cancel) || !_said.Reader.TryRead(out byte[]? octets))
            {
                return 0;
            }

            octets.CopyTo(buffer);
            return octets.Length;
        }

        public ValueTask<int> SendAsync(ReadOnlyMemory<byte> octets) => new(octets.Length);

        public void ShutdownSend() => End();

        public void Refuse(ReadOnlySpan<byte> octets) => End();

        public void Prepare(PeerSettings settings)
        {
        }

        public void SetKey(PeerSettings settings)
        {
        }

        public void Dispose() => End();
    }
}
