using System.Net.Sockets;
using System.Text;
using Bgp.Daemon.Control;

namespace Bgp.Daemon.Tests.Control;

[TestFixture]
public sealed class ControlServerTests
{
    private static Socket Connect(ServerFixture fixture)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 30_000, SendTimeout = 30_000 };
        socket.Connect(new UnixDomainSocketEndPoint(fixture.Path));
        return socket;
    }

    private static string ReadAll(Socket socket)
    {
        StringBuilder text = new();
        byte[] buffer = new byte[8192];
        try
        {
            for (int got; (got = socket.Receive(buffer)) > 0;)
            {
                text.Append(Encoding.UTF8.GetString(buffer, 0, got));
            }
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            text.Append("[reset]");
        }

        return text.ToString();
    }

    [Test]
    public void Status_is_answered_in_the_shape_of_the_contract()
    {
        using ServerFixture fixture = new();
        using ControlClient client = new(fixture.Path);
        Assert.That(client.Ask(new RequestDto { Verb = "status" }).Single(), Is.EqualTo(
            "{\"name\":\"node-a\",\"version\":\"0.1.0\",\"routerId\":\"10.0.0.1\",\"asn\":64512,\"uptimeSeconds\":3700,\"peersEstablished\":1,\"peersTotal\":2,\"prefixes\":3,\"paths\":4,"
            + "\"configHash\":\"abc\",\"gracefulRestart\":null,\"startedAt\":null,\"configLoadedAt\":null,\"configLoadedSeconds\":null,\"configErrors\":[],\"confirmRemainingSeconds\":null,\"kernel\":\"synced\",\"kernelError\":null,\"notListening\":null,\"bmp\":[]}"));
    }

    [Test]
    public void A_half_closed_client_gets_its_answer()
    {
        using ServerFixture fixture = new();
        using Socket socket = Connect(fixture);
        socket.Send("{\"verb\":\"routeCount\"}\n"u8);
        socket.Shutdown(SocketShutdown.Send);
        Assert.That(ReadAll(socket), Is.EqualTo("{\"ok\":true}\n{\"count\":2}\n{\"end\":true}\n"));
    }

    [TestCase("nonsense\n")]
    [TestCase("[]\n")]
    [TestCase("{\"verb\":\"dance\"}\n")]
    [TestCase("{\"verb\":\"peerCommand\",\"peer\":\"rr1\",\"action\":\"sing\"}\n")]
    public void A_malformed_request_is_a_usage_error(string request)
    {
        using ServerFixture fixture = new();
        using Socket socket = Connect(fixture);
        socket.Send(Encoding.UTF8.GetBytes(request));
        socket.Shutdown(SocketShutdown.Send);
        Assert.That(ReadAll(socket), Does.StartWith("{\"ok\":false,\"end\":null,\"code\":2,"));
    }

    [Test]
    public void An_endless_line_is_cut_off()
    {
        using ServerFixture fixture = new();
        using Socket socket = Connect(fixture);
        socket.Send(new byte[64 << 10]);
        Assert.That(ReadAll(socket), Does.Contain("longer than 65536"));
    }

    [Test]
    public void A_thousand_connections_leave_room_for_an_answer_when_they_go()
    {
        using ServerFixture fixture = new();
        List<Socket> sockets = [];
        for (int i = 0; i < 1000; i++)
        {
            sockets.Add(Connect(fixture));
        }

        Assert.That(ReadAll(sockets[^1]), Does.Contain("too many clients"));
        Assert.That(fixture.Server.ClientCount, Is.LessThanOrEqualTo(64));
        sockets.ForEach(s => s.Dispose());
        Assert.That(SpinWait.SpinUntil(() => fixture.Server.ClientCount == 0, 30_000), Is.True);
        using ControlClient client = new(fixture.Path);
        Assert.That(client.Ask(new RequestDto { Verb = "peers" }).Count(), Is.EqualTo(2));
    }

    [Test]
    public void A_reader_that_is_stuck_is_dropped_and_its_stream_ends()
    {
        // The time is the other client's too, from when it connects until it asks.
        using ServerFixture fixture = new(TimeSpan.FromSeconds(2));
        fixture.Queries.RouteCount = 10_000_000;
        using Socket socket = Connect(fixture);
        socket.Send("{\"verb\":\"routes\"}\n"u8);
        using ControlClient other = new(fixture.Path);
        Assert.That(other.Ask(new RequestDto { Verb = "status" }).Count(), Is.EqualTo(1));
        Assert.That(fixture.Queries.StreamEnded.Task.Wait(30_000), Is.True);
    }

    [Test]
    public void A_silent_client_is_dropped()
    {
        using ServerFixture fixture = new(TimeSpan.FromMilliseconds(200));
        using Socket socket = Connect(fixture);
        Assert.That(ReadAll(socket), Is.Empty);
    }

    [Test]
    public void A_wait_ends_when_its_client_goes()
    {
        using ServerFixture fixture = new();
        using (Socket socket = Connect(fixture))
        {
            socket.Send("{\"verb\":\"wait\",\"seconds\":60}\n"u8);
        }

        Assert.That(() => fixture.Queries.Established.Task.Wait(30_000), Throws.InstanceOf<AggregateException>());
    }

    [Test]
    public void An_answer_needs_no_thread_of_the_pool()
    {
        using ServerFixture fixture = new();
#pragma warning disable CA2000 // Not disposed: an item that the pool starts late still looks at it.
        ManualResetEventSlim release = new();
#pragma warning restore CA2000
        ThreadPool.GetMinThreads(out int min, out _);
        ThreadPool.GetMaxThreads(out int max, out int completion);

        // More wait for a thread than there may be threads: nothing behind them gets one, however long the answer takes.
        Assert.That(ThreadPool.SetMaxThreads(min, completion), Is.True);
        int items = 0;
        int before = 0;
        int busy = 0;
        try
        {
            for (int i = 0; i < min + 4; i++)
            {
                ThreadPool.UnsafeQueueUserWorkItem(
                    _ =>
                    {
                        Interlocked.Increment(ref busy);
                        release.Wait();
                    },
                    null);
            }

            Thread asking = new(() =>
            {
                using ControlClient client = new(fixture.Path);
                items = client.Ask(new RequestDto { Verb = "peers" }).Count();
            });
            asking.Start();
            asking.Join(10_000);
            before = Volatile.Read(ref items);
            Assert.That(Volatile.Read(ref busy), Is.LessThanOrEqualTo(min), "the pool is full");
            release.Set();
            asking.Join();
        }
        finally
        {
            release.Set();
            ThreadPool.SetMaxThreads(max, completion);
        }

        Assert.That(before, Is.EqualTo(2));
    }

    [Test]
    public void A_second_daemon_does_not_take_the_socket()
    {
        using ServerFixture fixture = new();
        Assert.That(() => new ControlServer(new ControlServerOptions { Path = fixture.Path }, fixture.Queries), Throws.InstanceOf<IOException>().With.Message.Contains("another daemon"));
    }

    [TestCase(0u, 5u, AccessLevel.Admin)]
    [TestCase(7u, 5u, AccessLevel.Admin)]
    [TestCase(9u, 100u, AccessLevel.Admin)]
    [TestCase(9u, 200u, AccessLevel.Read)]
    [TestCase(9u, 5u, AccessLevel.None)]
    public void Who_may_do_what_follows_uid_and_groups(uint uid, uint group, AccessLevel expected) =>
        Assert.That(PeerCredentials.Judge(uid, new HashSet<uint> { group }, 7, 100, 200), Is.EqualTo(expected));

    [Test]
    public void Without_the_groups_only_root_and_the_daemon_are_let_in() =>
        Assert.That(PeerCredentials.Judge(9, new HashSet<uint> { 0 }, 7, null, null), Is.EqualTo(AccessLevel.None));

    [Test]
    public void A_change_is_logged_with_uid_and_reason()
    {
        using ServerFixture fixture = new();
        using ControlClient client = new(fixture.Path);
        _ = client.Ask(new RequestDto { Verb = "shutdown", Reason = "upgrade" }).ToList();
        _ = client.Ask(new RequestDto { Verb = "peerCommand", Peer = "10.0.0.250", Action = "refreshin" }).ToList();
        Assert.That(fixture.Log, Has.Count.EqualTo(2));
        Assert.That(fixture.Log[0], Does.Match("^control: shutdown by uid \\d+ pid \\d+: upgrade$"));
        Assert.That(fixture.Log[1], Does.Match("^control: peer 10\\.0\\.0\\.250 refresh in by uid \\d+ pid \\d+: no reason given$"));
    }
}
