using System.Net.Sockets;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Microsoft.Extensions.Logging.Abstractions;
using Rib;

namespace Bgp.Daemon.Tests.Peers;

/// <summary>Several peers with one address: daemons on several ports of one host. Who gets a connection that comes in is told by the AS number in the OPEN that it is answered with.</summary>
[TestFixture]
public sealed class SharedAddressTests
{
    private const uint First = 64601;
    private const uint Second = 64602;
    private static readonly IpAddr s_host = IpAddr.V4(0x0A000009);

    private PeerManager _peers = null!;
    private Dialer _dialer = null!;

    [SetUp]
    public void Start()
    {
        _dialer = new Dialer();
        AttributeTable attributes = new();
        AlwaysResolved always = new(static _ => false);
        DaemonContext context = new()
        {
            Time = TimeProvider.System,
            Log = NullLogger.Instance,
            Attributes = attributes,
            V4 = new RibLoop<Ipv4Prefix>(attributes, always, new RibOptions(), PoolScheduler.Instance, NullLogger.Instance),
            V6 = new RibLoop<Ipv6Prefix>(attributes, always, new RibOptions(), PoolScheduler.Instance, NullLogger.Instance),
            Dialer = _dialer,
        };
        _peers = new PeerManager(context);
    }

    [TearDown]
    public void End() => _peers.Dispose();

    [Test]
    public async Task The_AS_number_of_the_OPEN_says_whose_the_connection_is()
    {
        Apply(Peer("a", 150, First, asn: 65001, passive: true), Peer("b", 166, Second, asn: 65002, passive: true));
        Assert.That(await Call(65002, 7).Answer, Is.EqualTo(Second));
        Assert.That(await Call(65001, 8).Answer, Is.EqualTo(First));
    }

    [Test]
    public async Task A_wrong_AS_number_is_answered_as_a_single_peer_would_answer_it()
    {
        Apply(Peer("a", 150, First, asn: 65001, passive: true), Peer("b", 166, Second, asn: 65001, passive: true));
        Transport call = Call(65099, 7);
        Assert.That(await call.Answer, Is.EqualTo(First));
        Assert.That(await call.Notification, Is.EqualTo((byte)ErrorCode.OpenMessage));
    }

    [Test]
    public async Task Peers_that_wait_are_given_a_connection_each()
    {
        Apply(Peer("a", 150, First, passive: true), Peer("b", 166, Second, passive: true));
        Assert.That(await Call(65001, 7).Answer, Is.EqualTo(First));
        Assert.That(await Call(65001, 8).Answer, Is.EqualTo(Second));
    }

    [Test]
    public async Task A_peer_that_calls_itself_is_given_none_before_its_own_attempt_is_over()
    {
        Apply(Peer("a", 150, First), Peer("b", 166, Second));
        await _dialer.Begun(150);
        await _dialer.Begun(166);
        Transport closed = Call(65001, 7);
        await Until(() => closed.IsDisposed);
        Assert.That(closed.HasBeenTold, Is.False, "a NOTIFICATION would end a session of the caller's that is coming up");

        // One of them cannot be reached: that the other one can is not known yet.
        _dialer.Fail(150);
        await Until(() => Session("a").HasFailedToConnect);
        closed = Call(65001, 7);
        await Until(() => closed.IsDisposed);
        _dialer.Fail(166);
        await Until(() => Session("b").HasFailedToConnect);
        Assert.That(await Call(65001, 7).Answer, Is.EqualTo(First), "the first one that is configured, as in BIRD");
    }

    [Test]
    public async Task A_neighbour_that_was_met_on_its_port_is_known_when_it_calls()
    {
        Apply(Peer("a", 150, First), Peer("b", 166, Second));
        Transport line = _dialer.Connect(166, 65001, 8);
        await Until(() => Session("b").KnownRouterId == 8);
        line.End();
        await Until(() => !Session("b").IsConnected);
        Assert.That(await Call(65001, 8).Answer, Is.EqualTo(Second));
    }

    [Test]
    public async Task A_connection_that_says_nothing_in_time_is_answered_by_one_that_waits()
    {
        Apply(Peer("a", 150, First), Peer("b", 166, Second, passive: true));
        Transport silent = new([]);
        _peers.Accept(silent, s_host);
        Assert.That(await silent.Answer, Is.EqualTo(Second));
    }

    [Test]
    public async Task One_that_sends_something_else_than_an_OPEN_is_told_so()
    {
        Apply(Peer("a", 150, First, passive: true), Peer("b", 166, Second, passive: true));
        Transport call = new([.. Enumerable.Repeat((byte)0x47, 64)]);
        _peers.Accept(call, s_host);
        Assert.That(await call.Notification, Is.EqualTo((byte)ErrorCode.MessageHeader));
    }

    [Test]
    public async Task More_than_a_few_connections_that_say_nothing_are_refused()
    {
        Apply(Peer("a", 150, First, passive: true), Peer("b", 166, Second, passive: true));
        Transport[] silent = [.. Enumerable.Range(0, 17).Select(static _ => new Transport([]))];
        foreach (Transport call in silent)
        {
            _peers.Accept(call, s_host);
        }

        Assert.That(await silent[16].Refused, Is.EqualTo(CeaseSubcode.OutOfResources));
        Assert.That(silent[15].Refused.IsCompleted, Is.False);
    }

    [Test]
    public async Task Removing_one_of_them_leaves_the_other_alone()
    {
        Apply(Peer("a", 150, First, passive: true), Peer("b", 166, Second, passive: true));
        Transport a = Call(65001, 7);
        Assert.That(await a.Answer, Is.EqualTo(First));
        Transport b = Call(65001, 8);
        Assert.That(await b.Answer, Is.EqualTo(Second));
        PeerSession kept = Session("b");
        Apply(Peer("b", 166, Second, passive: true));
        Assert.That(await a.Notification, Is.EqualTo((byte)ErrorCode.Cease));
        Assert.That((Session("b"), kept.IsConnected, b.IsDisposed), Is.EqualTo((kept, true, false)));
        Apply(Peer("b", 166, Second, passive: true), Peer("a", 150, First, passive: true));
        Assert.That(await Call(65001, 7).Answer, Is.EqualTo(First));
        Assert.That((Session("b"), kept.IsConnected, b.IsDisposed), Is.EqualTo((kept, true, false)));
    }

    [Test]
    public void An_address_of_several_peers_finds_all_of_them_and_a_name_one()
    {
        Apply(Peer("a", 150, First, passive: true), Peer("b", 166, Second, passive: true));
        Assert.That(_peers.FindAll("10.0.0.9").Select(static peer => peer.Settings.Name), Is.EqualTo(new[] { "a", "b" }));
        Assert.That(_peers.FindAll("b").Single().Settings.Name, Is.EqualTo("b"));
        Assert.That(_peers.FindAll("10.0.0.8"), Is.Empty);
    }

    private void Apply(params PeerSettings[] peers) => _peers.Apply(peers, [], start: true);

    private PeerSession Session(string name) => _peers.Find(name)!;

    private Transport Call(uint asn, uint routerId)
    {
        Transport transport = new(Open(asn, routerId));
        _peers.Accept(transport, s_host);
        return transport;
    }

    /// <summary>A state of a session, which reports to nobody here.</summary>
    private static async Task Until(Func<bool> condition)
    {
        for (long start = Environment.TickCount64; !condition();)
        {
            Assert.That(Environment.TickCount64 - start, Is.LessThan(30_000));
            await Task.Yield();
        }
    }

    private static byte[] Open(uint asn, uint routerId)
    {
        byte[] octets = new byte[4096];
        return octets[..OpenMessage.Create(asn, 90, routerId, new Capabilities { Families = [AfiSafi.Ipv4Unicast], As4 = asn }).Write(octets)];
    }

    private static PeerSettings Peer(string name, int port, uint localAsn, uint asn = 65001, bool passive = false) => new()
    {
        Name = name,
        Address = s_host,
        Port = port,
        Asn = asn,
        LocalAsn = localAsn,
        RouterId = 1,
        Passive = passive,
        Families = new EquatableList<FamilySettings>([new FamilySettings { Family = AfiSafi.Ipv4Unicast }]),
        Policies = new PolicySet(
            new FilterPolicy<Ipv4Prefix>(["all"], PolicyDirection.Import, true, new PolicyScope()), new FilterPolicy<Ipv4Prefix>(["all"], PolicyDirection.Export, true, new PolicyScope()),
            new FilterPolicy<Ipv6Prefix>(["all"], PolicyDirection.Import, true, new PolicyScope()), new FilterPolicy<Ipv6Prefix>(["all"], PolicyDirection.Export, true, new PolicyScope())),
    };

    /// <summary>Attempts that stay open until the test says how they end.</summary>
    private sealed class Dialer : IDialer
    {
        private readonly Lock _gate = new();
        private readonly Dictionary<int, TaskCompletionSource<ITransport>> _attempts = [];
        private readonly Dictionary<int, TaskCompletionSource> _begun = [];

        public ValueTask<ITransport> ConnectAsync(PeerSettings settings, int scope, CancellationToken cancel)
        {
            lock (_gate)
            {
                TaskCompletionSource<ITransport> attempt = Attempt(settings.Port);
                cancel.Register(() => attempt.TrySetCanceled(cancel));
                Start(settings.Port).TrySetResult();
                return new ValueTask<ITransport>(attempt.Task);
            }
        }

        internal Task Begun(int port)
        {
            lock (_gate)
            {
                return Start(port).Task;
            }
        }

        internal void Fail(int port)
        {
            lock (_gate)
            {
                Attempt(port).TrySetException(new SocketException((int)SocketError.ConnectionRefused));
            }
        }

        internal Transport Connect(int port, uint asn, uint routerId)
        {
            Transport transport = new(Open(asn, routerId));
            lock (_gate)
            {
                Attempt(port).TrySetResult(transport);
            }

            return transport;
        }

        private TaskCompletionSource<ITransport> Attempt(int port) =>
            _attempts.TryGetValue(port, out TaskCompletionSource<ITransport>? known) ? known : _attempts[port] = new TaskCompletionSource<ITransport>(TaskCreationOptions.RunContinuationsAsynchronously);

        private TaskCompletionSource Start(int port) =>
            _begun.TryGetValue(port, out TaskCompletionSource? known) ? known : _begun[port] = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>A connection on which the neighbour has sent some octets and then reads.</summary>
    private sealed class Transport(byte[] sent) : ITransport
    {
        private readonly TaskCompletionSource<int> _end = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource<uint> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource<byte> _notification = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource<byte> _refused = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _given;

        /// <summary>The AS number of our OPEN.</summary>
        internal Task<uint> Answer => _answer.Task.WaitAsync(TimeSpan.FromSeconds(30));

        /// <summary>The error code of our NOTIFICATION in a session.</summary>
        internal Task<byte> Notification => _notification.Task.WaitAsync(TimeSpan.FromSeconds(30));

        /// <summary>The subcode with which it was refused.</summary>
        internal Task<byte> Refused => _refused.Task.WaitAsync(TimeSpan.FromSeconds(30));

        internal bool IsDisposed { get; private set; }

        /// <summary>Whether anything was sent.</summary>
        internal bool HasBeenTold => _refused.Task.IsCompleted || _answer.Task.IsCompleted;

        public IpAddr LocalAddress => IpAddr.V4(0x0A000001);

        public int LocalPort => 179;

        public int RemotePort => 40000;

        public int Available => 0;

        internal void End() => _end.TrySetResult(0);

        // In small pieces: an OPEN need not come in one.
        public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancel = default)
        {
            int count = Math.Min(Math.Min(buffer.Length, 17), sent.Length - _given);
            if (count == 0)
            {
                return new ValueTask<int>(_end.Task.WaitAsync(cancel));
            }

            sent.AsMemory(_given, count).CopyTo(buffer);
            _given += count;
            return new ValueTask<int>(count);
        }

        public ValueTask<int> SendAsync(ReadOnlyMemory<byte> octets)
        {
            ReadOnlySpan<byte> rest = octets.Span;
            while (MessageFramer.TryReadMessage(ref rest, 4096, out MessageType type, out ReadOnlySpan<byte> body))
            {
                if (type == MessageType.Open && !OpenMessage.TryParse(body, out OpenMessage open).IsError)
                {
                    _answer.TrySetResult(open.EffectiveAsn);
                }
                else if (type == MessageType.Notification)
                {
                    _notification.TrySetResult(body[0]);
                }
            }

            return new ValueTask<int>(octets.Length);
        }

        public void ShutdownSend() => End();

        public void Refuse(ReadOnlySpan<byte> octets) => _refused.TrySetResult(octets[20]);

        public void Prepare(PeerSettings settings)
        {
        }

        public void SetKey(PeerSettings settings)
        {
        }

        public void Dispose()
        {
            IsDisposed = true;
            End();
        }
    }
}
