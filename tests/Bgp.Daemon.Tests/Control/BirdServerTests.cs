using System.Net.Sockets;
using System.Text;
using Bgp.Daemon.Control;
using Bgp.Daemon.Control.Bird;

namespace Bgp.Daemon.Tests.Control;

/// <summary>BIRD's control protocol to the octet, and clients that mean no good.</summary>
[TestFixture]
public sealed class BirdServerTests
{
    private sealed class BirdFixture : IDisposable
    {
        private readonly BirdServer _server;

        internal BirdFixture(int dialect, int family = 0, bool readOnly = false, TimeSpan? timeout = null, int maxClients = 64) => _server = new BirdServer(
            new BirdServerOptions { Path = Path, Dialect = dialect, Family = family, ReadOnly = readOnly, Version = "1.2.3", ConfigPath = "/etc/pipit/pipit.yaml", Timeout = timeout ?? TimeSpan.FromSeconds(10), MaxClients = maxClients }, Queries);

        internal string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"pipit-{Guid.NewGuid():N}.ctl");

        internal FakeQueries Queries { get; } = new();

        /// <summary>Everything that comes until the server has answered all commands: the client says at once that it sends no more.</summary>
        internal string Ask(params string[] commands)
        {
            using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 30_000, SendTimeout = 30_000 };
            socket.Connect(new UnixDomainSocketEndPoint(Path));
            socket.Send(Encoding.UTF8.GetBytes(string.Join('\n', commands) + "\n"));
            socket.Shutdown(SocketShutdown.Send);
            StringBuilder text = new();
            byte[] buffer = new byte[8192];
            for (int got; (got = socket.Receive(buffer)) > 0;)
            {
                text.Append(Encoding.UTF8.GetString(buffer, 0, got));
            }

            return text.ToString();
        }

        public void Dispose() => _server.Dispose();
    }

    [Test]
    public void The_old_dialect_greets_with_the_version_that_Calico_looks_for_and_lists_protocols_in_its_columns()
    {
        using BirdFixture fixture = new(1);
        string text = fixture.Ask("show protocols");
        string[] lines = text.Split('\n');
        Assert.That(lines[0], Is.EqualTo("0001 BIRD v0.3.3+birdv1.6.8+pipit-1.2.3 ready."));
        Assert.That(lines[1], Is.EqualTo("2002-name     proto    table    state  since       info"));
        Assert.That(lines[2], Does.Match("^1002-device1  Device   master   up     .{10}  $"));
        Assert.That(lines[3], Does.StartWith(" direct1  Direct   master   up     "));
        Assert.That(lines[6], Does.Match("^ rr1      BGP      master   up     .{10}  Established   $"));
        Assert.That(lines[7], Does.Match(@"^ tor1     BGP      master   start  ..:..:..    Active        connect: no route to host\?\[31m$"), "control characters of a neighbour are replaced");
        Assert.That(lines[8], Is.EqualTo("0000 "));
    }

    [Test]
    public void The_new_dialect_has_wider_columns_and_times_that_an_exporter_reads()
    {
        using BirdFixture fixture = new(2);
        string[] lines = fixture.Ask("show protocols").Split('\n');
        Assert.That(lines[0], Is.EqualTo("0001 BIRD 2.0.12+pipit-1.2.3 ready."));
        Assert.That(lines[1], Is.EqualTo("2002-Name       Proto      Table      State  Since         Info"));
        Assert.That(lines[6], Does.Match(@"^ rr1        BGP        ---        up     \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  Established   $"));
    }

    [Test]
    public void A_reply_repeats_a_code_as_one_space_and_says_it_again_when_it_changes()
    {
        using BirdFixture fixture = new(1, family: 4);
        string text = fixture.Ask("show route all");
        Assert.That(text[(text.IndexOf('\n') + 1)..], Does.StartWith(
            "1007-10.244.0.0/26      unreachable [rr1 ").And.Contain(
            "* (100/-) [i]\n1008-\tType: BGP unicast univ\n1012-\tBGP.origin: IGP\n \tBGP.as_path: 65001 {1 2}\n \tBGP.next_hop: 10.0.0.2\n \tBGP.local_pref: 100\n \tBGP.community: (65001,100)\n1007-10.244.1.0/26 ").And.EndWith("0000 \n"));
    }

    [Test]
    public void A_long_listing_comes_in_whole_lines_and_ends_with_its_terminator()
    {
        using BirdFixture fixture = new(2);
        fixture.Queries.RouteCount = 200;
        string text = fixture.Ask("show route");
        Assert.That(text.Split('\n').Count(static line => line.Contains("unreachable [rr1", StringComparison.Ordinal)), Is.EqualTo(200));
        Assert.That(text, Does.EndWith("\n0000 \n"));
    }

    [Test]
    public void Counts_are_said_as_each_dialect_says_them()
    {
        using BirdFixture old = new(1);
        Assert.That(old.Ask("show route count"), Does.EndWith("\n0014 2 of 2 routes for 2 networks\n"));
        using BirdFixture now = new(2);
        Assert.That(now.Ask("show route count"), Does.EndWith("\n1007-2 of 2 routes for 2 networks in table master4\n0014 Total: 2 of 2 routes for 2 networks in 1 tables\n"));
    }

    [TestCase("show nonsense", "9001 syntax error\n")]
    [TestCase("dance", "9001 syntax error\n")]
    [TestCase("show protocols nosuch", "9002 nosuch is not a protocol\n")]
    [TestCase("show protocols \"no*\"", "8003 No protocols match\n")]
    [TestCase("show route protocol nosuch", "9002 nosuch is not a protocol\n")]
    [TestCase("show route 'open", "9001 syntax error, unterminated string\n")]
    [TestCase("disable nosuch", "9002 nosuch is not a protocol\n")]
    public void What_is_wrong_has_BIRDs_code(string command, string answer)
    {
        using BirdFixture fixture = new(1);
        Assert.That(fixture.Ask(command), Does.EndWith("\n" + answer));
    }

    [Test]
    public void Actions_are_carried_out_and_answered_as_BIRD_does()
    {
        using BirdFixture fixture = new(2);
        Assert.That(fixture.Ask("disable rr1 \"maintenance\"", "restart 'rr1'", "reload in rr1", "enable rr1"), Does.EndWith(
            "\n0009-rr1: disabled\n0000 \n0012-rr1: restarted\n0000 \n0015-rr1: reloading\n0000 \n0010-rr1: already enabled\n0000 \n"));
        Assert.That(fixture.Queries.Commands, Is.EqualTo(new[] { "rr1 Disable maintenance", "rr1 Restart ", "rr1 RefreshIn " }));
    }

    [Test]
    public void A_restricted_client_and_a_read_only_socket_change_nothing()
    {
        using BirdFixture fixture = new(2);
        Assert.That(fixture.Ask("restrict", "disable rr1", "configure"), Does.EndWith("\n0016 Access restricted\n8007 Access denied\n8007 Access denied\n"));
        using BirdFixture readOnly = new(2, readOnly: true);
        Assert.That(readOnly.Ask("restart rr1", "down"), Does.EndWith("\n8007 Access denied\n8007 Access denied\n"));
        Assert.That(fixture.Queries.Commands.Concat(readOnly.Queries.Commands), Is.Empty);
    }

    [Test]
    public void Configure_reloads_checks_and_schedules_an_undo()
    {
        using BirdFixture fixture = new(2);
        Assert.That(fixture.Ask("configure"), Does.EndWith("\n0002-Reading configuration from /etc/pipit/pipit.yaml\n0003 Reconfigured\n"));
        Assert.That(fixture.Ask("configure check"), Does.EndWith("\n8002 f:1:1: error: x\n"));
        Assert.That(fixture.Ask("configure timeout 5"), Does.EndWith("\n0022-Undo scheduled in 5 s\n0003 Reconfigured\n"));
        Assert.That(fixture.Ask("configure undo"), Does.EndWith("\n0021-Undo requested\n0019 Nothing to do\n"));
    }

    [Test]
    public void An_endless_command_is_refused_and_a_client_that_stops_within_one_is_let_go()
    {
        using BirdFixture fixture = new(2, timeout: TimeSpan.FromMilliseconds(300));
        using Socket endless = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 10_000 };
        endless.Connect(new UnixDomainSocketEndPoint(fixture.Path));
        endless.Send(Encoding.UTF8.GetBytes(new string('x', 1024)));
        StringBuilder said = new();
        byte[] piece = new byte[256];
        for (int got; (got = endless.Receive(piece)) > 0;)
        {
            said.Append(Encoding.UTF8.GetString(piece, 0, got));
        }

        Assert.That(said.ToString(), Does.EndWith("\n9000 Command too long\n"));
        using Socket silent = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 10_000 };
        silent.Connect(new UnixDomainSocketEndPoint(fixture.Path));
        byte[] buffer = new byte[256];
        Assert.That(silent.Receive(buffer), Is.GreaterThan(0), "the greeting");
        silent.Send("show sta"u8);
        Assert.That(silent.Receive(buffer), Is.Zero, "closed after the time for a command");
    }

    [Test]
    public void Bfd_sessions_stand_in_BIRDs_columns()
    {
        using BirdFixture fixture = new(2);
        Assert.That(fixture.Ask("show bfd sessions"), Does.EndWith("9001 There is no BFD protocol running\n"));
        fixture.Queries.Bfd = new BfdDto { State = "up", RemoteState = "up", StateSeconds = 5, TransmitIntervalMs = 300, DetectionTimeMs = 900 };
        string[] lines = fixture.Ask("show bfd sessions").Split('\n');
        Assert.Multiple(() =>
        {
            Assert.That(lines[1], Is.EqualTo("1020-bfd1:"));
            Assert.That(lines[2], Is.EqualTo(" IP address                Interface  State      Since         Interval  Timeout"));
            Assert.That(lines[3], Does.Match(@"^ 10\.0\.0\.250                ---        Up         \d{4}-\d\d-\d\d \d\d:\d\d:\d\d    0\.300    0\.900$"));
            Assert.That(lines[4], Is.EqualTo("0000 "));
        });
    }

    [Test]
    public void A_client_may_be_silent_between_two_commands_until_its_place_is_needed()
    {
        using BirdFixture fixture = new(1, timeout: TimeSpan.FromMilliseconds(100), maxClients: 3);
        List<Socket> silent = [];
        for (int i = 0; i < 3; i++)
        {
            Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 10_000 };
            socket.Connect(new UnixDomainSocketEndPoint(fixture.Path));
            Assert.That(socket.Receive(new byte[200]), Is.GreaterThan(20));
            silent.Add(socket);
        }

        // Longer than any line may take.
        Assert.That(silent[2].Poll(TimeSpan.FromMilliseconds(400), SelectMode.SelectRead), Is.False, "nobody is cut off for being silent");
        Assert.That(fixture.Ask("show status"), Does.EndWith("0013 Daemon is up and running\n"), "a fourth client is served");
        Assert.That(silent[0].Receive(new byte[1]), Is.Zero, "the one that was silent for longest has gone");
        Assert.That(silent[2].Poll(0, SelectMode.SelectRead), Is.False);
        silent.ForEach(static socket => socket.Dispose());
    }
}
