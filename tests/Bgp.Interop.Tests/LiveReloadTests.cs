using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Bgp.Interop.Tests.Conformance;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>What changes under a running daemon: passwords together with the neighbour's, kernel options, a watched file that is swapped as Kubernetes swaps it.</summary>
[TestFixture]
public sealed class LiveReloadTests
{
    private const string Learned = "10.72.1.0/24";
    private const string Anycast = "10.71.1.0/24";
    private Lab _lab = null!;

    [SetUp]
    public void Prepare() => _lab = new Lab();

    [TearDown]
    public void Clean() => _lab.Dispose();

    [TestCase(true, TestName = "BIRD_and_we_change_the_password_and_the_session_comes_back")]
    [TestCase(false, TestName = "FRR_and_we_change_the_password_and_the_session_comes_back")]
    public void Password(bool bird)
    {
        // Both of them end the session when their own password changes; we do not.
        string ours = _lab.Namespace("us");
        string theirs = _lab.Namespace("them");
        Lab.Link(ours, "eth0", ["10.1.0.1/24"], theirs, "eth0", ["10.1.0.2/24"]);
        string key = _lab.File("key", "one\n");
        PipitNode pipit = new PipitNode(_lab, ours, "us", $$"""
            version: 1
            node: { name: us, asn: 64512, ipv4: 10.1.0.1 }
            log: { level: debug }
            kernel: { enabled: false }
            peers:
              - { name: them, address: 10.1.0.2, asn: 64512, timers: { hold: 9s, connectRetry: 1s, idleHold: 1s }, auth: { md5: { file: {{key}} } } }
            """).Start();
        string socket = Path.Combine(_lab.Folder, "bird.ctl");
        if (bird)
        {
            _lab.Start(theirs, "bird", "bird", "-f", "-c", _lab.File("bird.conf", BirdPassword("one")), "-s", socket, "-P", Path.Combine(_lab.Folder, "bird.pid"));
        }
        else
        {
            Lab.Run("chmod", "777", _lab.Folder);
            _lab.Start(theirs, "bgpd", "/usr/lib/frr/bgpd", "-n", "-Z", "-f", _lab.File("frr.conf", "router bgp 64512\n bgp router-id 10.1.0.2\n timers bgp 3 9\n neighbor 10.1.0.1 remote-as 64512\n neighbor 10.1.0.1 password one\n neighbor 10.1.0.1 timers connect 1\n"), "-i", Path.Combine(_lab.Folder, "bgpd.pid"), "--vty_socket", _lab.Folder, "-u", "frr", "-g", "frr");
        }

        pipit.WaitEstablished();
        File.WriteAllText(key, "two\n");
        (int code, string output, string error) = pipit.Cli("reload", "--wait");
        Assert.That(code, Is.Zero, error);
        Assert.That(output, Does.Contain("them").And.Contain("timers"));
        JsonElement before = pipit.Json("peer", "them");
        Assert.That(before.GetProperty("state").GetString(), Is.EqualTo("established"), "nothing of ours ends it");
        int sessions = before.GetProperty("counters").GetProperty("established").GetInt32();
        if (bird)
        {
            _lab.File("bird.conf", BirdPassword("two"));
            Lab.Run("birdc", "-s", socket, "configure");
        }
        else
        {
            Lab.Run("ip", "netns", "exec", theirs, "vtysh", "--vty_socket", _lab.Folder, "-c", "configure terminal", "-c", "router bgp 64512", "-c", "neighbor 10.1.0.1 password two");
        }

        Lab.Eventually(
            () => pipit.Json("peer", "them") is var peer && peer.GetProperty("counters").GetProperty("established").GetInt32() > sessions && peer.GetProperty("state").GetString() == "established",
            "another session, with the new password", 30, () => pipit.Cli("peer", "them").Output + _lab.Logs());

        static string BirdPassword(string password) =>
            $"router id 10.1.0.2; log stderr all; protocol device {{}} protocol bgp pipit {{ local 10.1.0.2 as 64512; neighbor 10.1.0.1 as 64512; hold time 9; connect retry time 1; error wait time 1,2; connect delay time 1; password \"{password}\"; ipv4 {{ import all; }}; }}";
    }

    [Test]
    public void A_neighbour_that_can_changes_its_password_under_the_session_and_keeps_it()
    {
        string key = _lab.File("key", "one\n");
        IPEndPoint endPoint = FreePort();
        Identity who = new("them", "127.0.3.1", Dut.Asn) { Ipv6 = false };
        (Background daemon, string cli) = Start("pipit.yaml", $$"""
            version: 1
            node: { name: us, asn: {{Dut.Asn}}, ipv4: 10.255.0.1 }
            listen: { address: 127.0.0.1, port: {{endPoint.Port}} }
            kernel: { enabled: false, staleTime: 1s }
            metrics: { listen: "off" }
            peers:
              - { name: them, address: {{who.Address}}, asn: {{who.Asn}}, passive: true, auth: { md5: { file: {{key}} } } }
            """);
        using (daemon)
        {
            Lab.Listens(endPoint.Port, _lab.Logs);
            using Speaker speaker = Speaker.Connect(who, answers: true, endPoint, "one");
            speaker.Send(who.OpenMessage());
            Assert.That(speaker.WaitForMessage(static message => message.Type == Octets.Keepalive), Is.Not.Null, speaker.Messages());
            File.WriteAllText(key, "two\n");
            Assert.That(Lab.TryRun(Lab.Pipit, "--socket", cli, "reload", "--wait").Code, Is.Zero);
            speaker.SetPassword("two");
            speaker.Send(RouteSet.For(who).Announce("10.77.1.0/24"));
            Lab.Eventually(() => Lab.TryRun(Lab.Pipit, "--socket", cli, "routes", "10.77.1.0/24").Code == 0, "a route arrives over the old connection", 10, _lab.Logs);
            Assert.That(speaker.IsClosed, Is.False);
        }
    }

    [TestCase("reload")]
    [TestCase("restart")]
    public async Task A_neighbour_that_turns_the_new_session_away_while_it_ends_the_old_one_is_called_again_soon(string how)
    {
        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Parse("127.0.3.2"), 0));
        listener.Listen(8);
        IPEndPoint endPoint = FreePort();
        Identity who = new("them", "127.0.3.2", Dut.Asn) { Ipv6 = false };
        string Config(int hold) => $$"""
            version: 1
            node: { name: us, asn: {{Dut.Asn}}, ipv4: 10.255.0.1 }
            listen: { address: 127.0.0.1, port: {{endPoint.Port}} }
            kernel: { enabled: false, staleTime: 1s }
            metrics: { listen: "off" }
            peers:
              - { name: them, address: {{who.Address}}, port: {{((IPEndPoint)listener.LocalEndPoint!).Port}}, asn: {{who.Asn}}, timers: { hold: {{hold}}s, connectRetry: 60s } }
            """;
        (Background daemon, string cli) = Start("pipit.yaml", Config(90));
        using (daemon)
        {
            using CancellationTokenSource limit = new(TimeSpan.FromSeconds(20));
            using Socket first = await listener.AcceptAsync(limit.Token);
            await Establish(first);
            if (how == "reload")
            {
                _lab.File("pipit.yaml", Config(60));
            }

            Assert.That(Lab.TryRun(Lab.Pipit, ["--socket", cli, .. how == "reload" ? (string[])["reload"] : ["peer", "them", "restart"]]).Code, Is.Zero);
            using (Socket second = await listener.AcceptAsync(limit.Token))
            {
                second.LingerState = new LingerOption(true, 0);
            }

            using Socket third = await listener.AcceptAsync(limit.Token);
            await Establish(third);

            async Task Establish(Socket socket)
            {
                await socket.SendAsync(who.OpenMessage(), limit.Token);
                await socket.SendAsync((byte[])[.. Enumerable.Repeat((byte)255, 16), 0, 19, 4], limit.Token);
                Lab.Eventually(() => Lab.TryRun(Lab.Pipit, "--socket", cli, "wait", "peers-established", "--timeout", "1s").Code == 0, "the session is up", 10, _lab.Logs);
            }
        }
    }

    [Test]
    public void A_watched_file_that_is_swapped_by_its_directory_is_taken_once_and_a_broken_one_is_not()
    {
        // As a ConfigMap's volume: pipit.yaml -> ..data/pipit.yaml, ..data -> a folder of its own for each version, and a rename over ..data.
        IPEndPoint endPoint = FreePort();
        string volume = Directory.CreateDirectory(Path.Combine(_lab.Folder, "volume")).FullName;
        Swap(1, Config("10.70.1.0/24"));
        File.CreateSymbolicLink(Path.Combine(volume, "pipit.yaml"), "..data/pipit.yaml");
        (Background daemon, string cli) = Start(Path.Combine(volume, "pipit.yaml"), null);
        using (daemon)
        {
            Assert.That(Knows("10.70.1.0/24"));
            Swap(2, Config("10.70.2.0/24"));
            Lab.Eventually(() => Knows("10.70.2.0/24") && !Knows("10.70.1.0/24"), "the new file is in force", 20, _lab.Logs);
            Assert.That(Status(), Does.Not.Contain("refused"));

            Swap(3, Config("10.70.3.0/24").Replace("originate:", "orignate:", StringComparison.Ordinal));
            Lab.Eventually(() => Status().Contains("refused", StringComparison.Ordinal), "status says that the file is refused", 20, Status);
            Assert.That(Status(), Does.Contain("pipit.yaml:7:1: error: unknown key 'orignate'").And.Contain("did you mean 'originate'"));
            Assert.That(Knows("10.70.2.0/24"), "the old one goes on");

            Swap(4, Config("10.70.4.0/24"));
            Lab.Eventually(() => Knows("10.70.4.0/24"), "the mended file is in force", 20, _lab.Logs);
            Assert.That(Status(), Does.Not.Contain("refused"));

            // Each was taken or refused once. The log is behind what it tells of.
            string[] log = [];
            Lab.Eventually(() => (log = _lab.Logs().Split('\n')).Count(static line => line.Contains("configuration reloaded", StringComparison.OrdinalIgnoreCase)) >= 2, "the log tells of both", 20, _lab.Logs);
            Assert.That(log.Count(static line => line.Contains("configuration reloaded", StringComparison.OrdinalIgnoreCase)), Is.EqualTo(2), string.Join('\n', log));
            Assert.That(log.Count(static line => line.Contains("orignate", StringComparison.Ordinal)), Is.EqualTo(1), string.Join('\n', log));
        }

        string Config(string prefix) => $$"""
            version: 1
            watch: true
            node: { name: us, asn: {{Dut.Asn}}, ipv4: 10.255.0.1 }
            listen: { address: 127.0.0.1, port: {{endPoint.Port}} }
            kernel: { enabled: false }
            metrics: { listen: "off" }
            originate: [ { prefix: {{prefix}}, kind: none } ]
            """;

        void Swap(int version, string config)
        {
            string folder = Directory.CreateDirectory(Path.Combine(volume, $"..v{version}")).FullName;
            File.WriteAllText(Path.Combine(folder, "pipit.yaml"), config);
            File.CreateSymbolicLink(Path.Combine(volume, "..data_tmp"), $"..v{version}");
            Lab.Run("mv", "-T", Path.Combine(volume, "..data_tmp"), Path.Combine(volume, "..data"));
            if (version > 1)
            {
                Directory.Delete(Path.Combine(volume, $"..v{version - 1}"), recursive: true);
            }
        }

        bool Knows(string prefix) => Lab.TryRun(Lab.Pipit, "--socket", cli, "routes", prefix).Code == 0;

        string Status() => Lab.TryRun(Lab.Pipit, "--socket", cli, "status").Output;
    }

    [Test]
    public void Kernel_options_change_under_way()
    {
        string ours = _lab.Namespace("us");
        string theirs = _lab.Namespace("bird");
        Lab.Link(ours, "eth0", ["10.1.0.1/24", "10.2.0.1/24"], theirs, "eth0", ["10.1.0.2/24", "10.2.0.2/24"]);
        Lab.Run("ip", "-n", ours, "link", "add", "cali9", "type", "veth", "peer", "name", "pod9");
        Lab.Run("ip", "-n", ours, "link", "set", "cali9", "up");
        Lab.Run("ip", "-n", ours, "link", "set", "pod9", "up");
        Lab.Run("ip", "-n", ours, "route", "add", Learned, "dev", "cali9", "proto", "static");
        Lab.Address(ours, "pod9", "10.72.9.1/32");
        const string config = """
            version: 1
            node: { name: us, asn: 64512, ipv4: 10.1.0.1 }
            log: { level: debug }
            kernel: { staleTime: 2s }
            pools: [ { name: p, cidr: 10.72.0.0/16 } ]
            peerGroups: { g: { asn: 64512, timers: { hold: 9s, connectRetry: 1s, idleHold: 1s } } }
            peers:
              - { name: one, address: 10.1.0.2, sourceAddress: 10.1.0.1, group: g }
              - { name: two, address: 10.2.0.2, sourceAddress: 10.2.0.1, group: g }
            """;
        string socket = Path.Combine(_lab.Folder, "bird.ctl");
        string session = "hold time 9; connect retry time 1; error wait time 1,2; connect delay time 1; ipv4 { import all; export filter { if source = RTS_STATIC then { bgp_next_hop = 10.N.0.2; accept; } reject; }; };";
        _lab.Start(theirs, "bird", "bird", "-f", "-c", _lab.File("bird.conf", "router id 10.1.0.2; log stderr all; protocol device {} protocol direct { ipv4; } protocol static { ipv4; route 10.71.1.0/24 blackhole; }\n"
            + string.Concat(new[] { "1", "2" }.Select(n => $"protocol bgp s{n} {{ local 10.{n}.0.2 as 64512; neighbor 10.{n}.0.1 as 64512; {session.Replace("N", n, StringComparison.Ordinal)} }}\n"))), "-s", socket, "-P", Path.Combine(_lab.Folder, "bird.pid"));
        PipitNode pipit = new PipitNode(_lab, ours, "us", config).Start();
        pipit.WaitEstablished();

        Kernel("10.71.1.0/24 proto bird nexthop via 10.1.0.2 dev eth0 weight 1 nexthop via 10.2.0.2 dev eth0 weight 1");
        Kernel("10.71.1.0/24 via 10.1.0.2 dev eth0 proto bird", "ecmp: false");
        Kernel("10.71.1.0/24 via 10.1.0.2 dev eth0 proto bird metric 77", "ecmp: false, metric: 77");
        Kernel("10.71.1.0/24 proto bird metric 77 nexthop via 10.1.0.2 dev eth0 weight 1 nexthop via 10.2.0.2 dev eth0 weight 1", "metric: 77");

        // The best path decides whether there is a route, the others only whether they are hops of it; as with BIRD's merge paths.
        Kernel("10.71.1.0/24 via 10.1.0.2 dev eth0 proto bird", "excludeNextHops: [ 10.2.0.0/24 ]");
        Kernel("", "excludeNextHops: [ 10.1.0.0/24 ]");
        Kernel("10.71.1.0/24 proto bird nexthop via 10.1.0.2 dev eth0 weight 1 nexthop via 10.2.0.2 dev eth0 weight 1", "");

        foreach (string off in new[] { "learn: { enabled: false }", "learn: { excludeInterfaces: [ \"cali*\" ] }", "learn: { interfaces: [ \"eth*\" ] }", "learn: { excludeProtocols: [ 4 ] }" })
        {
            Announced(Learned, true, "");
            Announced(Learned, false, off);
        }

        Announced("10.72.9.1/32", true, "");
        Announced("10.72.9.1/32", false, "direct: { excludeInterfaces: [ \"pod*\" ] }");
        Announced(Learned, true, "");
        Assert.That(new[] { "one", "two" }.Select(name => pipit.Json("peer", name).GetProperty("counters").GetProperty("established").GetInt32()), Is.All.EqualTo(1), "no session was touched");

        void Apply(string options)
        {
            pipit.Configure(config.Replace("kernel: { staleTime: 2s }", $"kernel: {{ staleTime: 2s{(options.Length > 0 ? ", " + options : "")} }}", StringComparison.Ordinal));
            (int code, _, string error) = pipit.Cli("reload", "--wait");
            Assert.That(code, Is.Zero, options + ": " + error);
        }

        void Kernel(string route, string? options = null)
        {
            if (options is not null)
            {
                Apply(options);
            }

            string Shown() => string.Join(' ', Lab.Run("ip", "-n", ours, "route", "show", Anycast).Split((char[])[' ', '\n', '\t'], StringSplitOptions.RemoveEmptyEntries));
            Lab.Eventually(() => Shown() == route, $"'{route}' with '{options}'", 10, () => Shown() + "\n" + pipit.Cli("explain", Anycast).Output + pipit.Cli("fib", "--diff").Output);
        }

        void Announced(string prefix, bool there, string options)
        {
            Apply(options);
            string Shown() => Lab.TryRun("birdc", "-s", socket, "show", "route", prefix).Output;
            Lab.Eventually(() => Shown().Contains("[s1", StringComparison.Ordinal) == there, $"BIRD has {(there ? "" : "no ")}{prefix} with '{options}'", 10, () => Shown() + pipit.Cli("explain", prefix, "--to", "one").Output);
        }
    }

    [Test]
    public void Beside_a_running_BIRD_nothing_of_its_routes_is_removed_until_it_is_gone()
    {
        // Where a BIRD of this machine would have it, or would not.
        const string socket = "/run/bird6.ctl";
        Assert.That(File.Exists(socket), Is.False, $"{socket} is there: this machine has a BIRD of its own, or its leftover");

        string ours = _lab.Namespace("us");
        string theirs = _lab.Namespace("them");
        Lab.Link(ours, "eth0", ["10.1.0.1/24"], theirs, "eth0", ["10.1.0.2/24"]);
        Background bird = _lab.Start(ours, "bird", "bird", "-f", "-c", _lab.File("bird.conf", """
            router id 10.1.0.1; log stderr all;
            protocol device {} protocol direct { ipv4; }
            protocol kernel { persist; ipv4 { import none; export all; }; }
            protocol static { ipv4; route 10.88.0.0/24 via 10.1.0.2; }
            """), "-s", socket, "-P", Path.Combine(_lab.Folder, "bird.pid"));
        try
        {
            Lab.Eventually(() => Lab.Routes(ours).Contains("10.88.0.0/24 via 10.1.0.2 dev eth0 proto bird", StringComparison.Ordinal), "BIRD's route", 10, _lab.Logs);
            const string config = "version: 1\nnode: { name: NAME, asn: 64512, ipv4: ADDRESS }\nkernel: { staleTime: 1s }\npeers: [ { name: other, address: OTHER, asn: 64512, timers: { connectRetry: 1s } } ]\n";
            new PipitNode(_lab, theirs, "them", config.Replace("NAME", "them", StringComparison.Ordinal).Replace("ADDRESS", "10.1.0.2", StringComparison.Ordinal).Replace("OTHER", "10.1.0.1", StringComparison.Ordinal)).Start();
            PipitNode pipit = new PipitNode(_lab, ours, "us", config.Replace("NAME", "us", StringComparison.Ordinal).Replace("ADDRESS", "10.1.0.1", StringComparison.Ordinal).Replace("OTHER", "10.1.0.2", StringComparison.Ordinal)).Start();
            pipit.WaitEstablished();

            // It looks again every half second, and says at the first look that it will not.
            Lab.Eventually(() => _lab.Logs().Contains("answers in this network namespace", StringComparison.Ordinal), "the log says that there is a BIRD", 15, _lab.Logs);
            Assert.That(pipit.Cli("fib", "--diff").Output, Does.Contain("10.88.0.0/24").And.Contain("not confirmed yet"));
            Assert.That(Lab.Routes(ours), Does.Contain("10.88.0.0/24"));
            bird.Kill();
            Lab.Eventually(() => !Lab.Routes(ours).Contains("10.88.0.0/24", StringComparison.Ordinal), "it goes with BIRD", 10, () => Lab.Routes(ours) + _lab.Logs());
        }
        finally
        {
            bird.Kill();
            File.Delete(socket);
        }
    }

    private static IPEndPoint FreePort()
    {
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)socket.LocalEndPoint!;
    }

    /// <summary>A daemon in this namespace; the file is written where there is a text.</summary>
    private (Background Daemon, string Socket) Start(string file, string? config)
    {
        string path = config is null ? file : _lab.File(file, config);
        string socket = Path.Combine(_lab.Folder, "pipit.sock");
        Background daemon = new(Path.Combine(_lab.Folder, "pipit.log"), [Lab.Pipit, "run", "--config", path, "--socket", socket]);
        Lab.Eventually(() => Lab.TryRun(Lab.Pipit, "--socket", socket, "status").Code == 0, "the daemon answers", 20, _lab.Logs);
        return (daemon, socket);
    }
}
