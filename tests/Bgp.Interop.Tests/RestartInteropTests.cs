using System.Globalization;
using System.Text.Json;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>
/// Graceful restart with the daemons of others: a reflector with a pod of its own, a client node that is Pipit too, BIRD 2 (both families in one session), BIRD 1.6, GoBGP (all internal) and FRR
/// (external) on one LAN. Everybody dies and comes back in every way, under pings every 10 ms between pods and what is behind the neighbours; tshark reads what was said.
/// </summary>
/// <remarks>One topology serves all tests, since starting it costs more than any of them; each begins with everybody in an ordinary life.</remarks>
[TestFixture]
public sealed class RestartInteropTests
{
    private const string Block = "10.244.1.0/26";
    private const string Anycast = "10.99.0.0/24";
    private const string Rr = "10.1.0.1";

    private readonly List<(string Name, Background Ping)> _pings = [];
    private Lab _lab = null!;
    private string _lan = "";
    private string _pod = "";
    private string _pod2 = "";
    private PipitNode _rr = null!;
    private PipitNode _node = null!;
    private RestartNeighbour _bird2 = null!;
    private RestartNeighbour _bird1 = null!;
    private RestartNeighbour _frr = null!;
    private RestartNeighbour _gobgp = null!;
    private RestartNeighbour[] _all = [];
    private Wire _wire = null!;
    private int _pinged;

    [OneTimeSetUp]
    public void Start()
    {
        _lab = new Lab();
        _lan = _lab.Namespace("lan");
        Lab.Run("ip", "-n", _lan, "link", "add", "br0", "type", "bridge", "forward_delay", "0");
        Lab.Run("ip", "-n", _lan, "link", "set", "br0", "up");
        string rr = Plug("rr", 1);
        string node = Plug("node", 2);
        _pod = Pod(rr, 1);
        _pod2 = Pod(node, 2);
        _bird2 = new RestartBird(_lab, Plug("bird2", 11), 11, two: true);
        _frr = new RestartFrr(_lab, Plug("frr", 12), 12);
        _gobgp = new RestartGoBgp(_lab, Plug("gobgp", 13), 13);
        _bird1 = new RestartBird(_lab, Plug("bird1", 14), 14, two: false);
        _all = [_bird2, _frr, _gobgp, _bird1];
        _rr = new PipitNode(_lab, rr, "rr", Config(1, """
            routeReflector: { clusterId: 0.0.0.1 }
            peers:
              - { name: node, address: 10.1.0.2, group: g, routeReflectorClient: true, families: { ipv4: {}, ipv6: {} } }
              - { name: bird2, address: 10.1.0.11, group: g, routeReflectorClient: true, families: { ipv4: {}, ipv6: {} } }
              - { name: frr, address: 10.1.0.12, asn: 65012, group: g }
              - { name: gobgp, address: 10.1.0.13, group: g, routeReflectorClient: true }
              - { name: bird1, address: 10.1.0.14, group: g, routeReflectorClient: true }
            """));
        _node = new PipitNode(_lab, node, "node", Config(2, """
            peers:
              - { name: rr, address: 10.1.0.1, group: g, families: { ipv4: {}, ipv6: {} } }
            """));
        _wire = new Wire(_lab, rr, "eth0");
        _node.Start();
    }

    [SetUp]
    public void Everybody_is_here()
    {
        foreach ((_, Background ping) in _pings)
        {
            ping.Dispose();
        }

        _pings.Clear();
        if (_rr.Process is not { HasExited: false })
        {
            _rr.Start();
        }

        foreach (RestartNeighbour neighbour in _all)
        {
            if (neighbour.Life != new Life())
            {
                neighbour.Kill();
                neighbour.Start(new Life());
            }
        }

        Settled();
    }

    [OneTimeTearDown]
    public void Stop() => _lab.Dispose();

    [TestCase(true, TestName = "Killed_and_started_again_our_neighbours_and_kernel_keep_everything_and_the_wire_shows_R_F_and_End_of_RIB_in_order")]
    [TestCase(false, TestName = "So_it_is_after_SIGTERM_which_says_no_word_while_our_client_is_killed_at_the_same_time")]
    public void We_restart(bool kill)
    {
        StartPings();
        double begin = Wire.Now;
        End(_rr, kill);
        if (!kill)
        {
            End(_node, kill: true);
        }

        foreach (RestartNeighbour neighbour in _all)
        {
            Lab.Eventually(() => neighbour.Has(Block, stale: true), $"{neighbour.Name} has our block as stale", 10, () => neighbour.Show(Block) + _lab.Logs());
        }

        Assert.That(Lab.Routes(_rr.Namespace), Does.Contain("10.60.12.0/24 via 10.1.0.12 dev eth0 proto bird").And.Contain($"blackhole {Block} proto bird"), "our kernel forwards on");
        Assert.That(Lab.Routes(_node.Namespace), Does.Contain($"{Block} via 10.1.0.1 dev eth0 proto bird"), "and so does our client's");
        _rr.Start();
        if (!kill)
        {
            _node.Start();
        }

        Settled();
        NothingLost();

        // The capture lags behind, and its first messages may be the last words of the old connections.
        List<WireMessage> said = [];
        Lab.Eventually(
            () =>
            {
                said = _wire.Since(begin);
                said.RemoveAll(message => !said.Exists(open => open.Stream == message.Stream && open.From == Rr && open.Kind == Said.Open));
                return said.Where(static message => message.From == Rr && message.Kind == Said.EndOfRib4).Select(static message => message.To).Distinct().Count() == 5;
            },
            "End-of-RIB to all", 10, () => string.Join('\n', said.Select(static message => $"{message.Stream} {message.From} {message.To} {message.Kind}")));
        Assert.That(Ends(said).Select(static message => message.Fields), Is.Empty, "no word");
        WireMessage[] established = [.. said.Where(message => message.From == Rr && message.Kind == Said.EndOfRib4)];
        int held = said.FindIndex(static message => message.From == Rr && (message.Kind is Said.Routes or Said.EndOfRib4 or Said.EndOfRib6));
        foreach (WireMessage end in established)
        {
            bool both = end.To is "10.1.0.2" or "10.1.0.11";
            WireMessage open = said.First(message => message.Stream == end.Stream && message.From == Rr && message.Kind == Said.Open);
            Assert.Multiple(() =>
            {
                Assert.That(open.Fields, Does.Contain("\"bgp.cap.gr.timers.restart_flag\": \"1\"").And.Contain("\"bgp.cap.gr.timers.notification_flag\": \"1\""), $"R and N to {end.To}");
                Assert.That(Count(open.Fields, "\"bgp.cap.gr.flag.pfs\": \"1\""), Is.EqualTo(both ? 2 : 1), $"F of every family to {end.To}");
                Assert.That(Count(open.Fields, "\"bgp.cap.gr.flag.pfs\": \"0\""), Is.Zero, $"F to {end.To}");
            });

            // RFC 4724 section 4.1: its routes first, our selection and our own End-of-RIB last.
            if (kill || end.To != "10.1.0.2")
            {
                // One that restarts itself is not waited for, or both would wait for each other.
                int theirs = said.FindIndex(message => message.Stream == end.Stream && message.From == end.To && message.Kind == Said.EndOfRib4);
                Assert.That(theirs, Is.InRange(0, held), $"{end.To} has said End-of-RIB before we said anything to anybody");
            }

            int ours = said.IndexOf(end);
            int routes = said.FindLastIndex(ours, message => message.Stream == end.Stream && message.From == Rr && message.Kind == Said.Routes && message.Fields.Contains("10.244.1.0", StringComparison.Ordinal));
            Assert.That(routes, Is.InRange(held, ours), $"our block goes to {end.To} before End-of-RIB");
            if (both)
            {
                Assert.That(said.Exists(message => message.Stream == end.Stream && message.From == Rr && message.Kind == Said.EndOfRib6), $"End-of-RIB of IPv6 to {end.To}");
            }
        }
    }

    /// <summary>
    /// RFC 4724 section 4.2 has a neighbour forget at the second loss what it kept since the first and has not been told again, and BIRD does. So this is about us: Pipit keeps it (see
    /// <c>PeerSession.Restart.cs</c>), and the path between the pods of both has nobody else on it.
    /// </summary>
    [Test]
    public void Both_restart_again_before_the_first_restart_is_over()
    {
        StartPings(ourselves: true);
        double begin = Wire.Now;
        End(_rr, kill: true);
        End(_node, kill: true);
        _rr.Start();
        _node.Start();
        Lab.Eventually(() => _wire.Since(begin).Exists(static message => message.From == Rr && message.To == "10.1.0.2" && message.Kind == Said.Open), "their session is on its way", 20, _lab.Logs);
        End(_rr, kill: true);
        End(_node, kill: false);
        _node.Start();
        _rr.Start();
        Settled();
        NothingLost();
    }

    [Test]
    public void Neighbours_that_restart_with_their_state_keep_what_they_announce_again_and_lose_the_rest_at_End_of_RIB()
    {
        Background monitor = Monitor("kept");
        double begin = Wire.Now;
        foreach (RestartNeighbour neighbour in _all)
        {
            neighbour.Kill();
        }

        foreach (RestartNeighbour neighbour in _all)
        {
            Lab.Eventually(() => Peer(neighbour).GetProperty("stale").GetString() == "restarting", $"routes of {neighbour.Name} are stale", 20, () => Peer(neighbour) + _lab.Logs());
            Kernel(neighbour.Own, true);
            Kernel(neighbour.Extra, true);
        }

        foreach (RestartNeighbour neighbour in _all)
        {
            neighbour.Start(new Life(Graceful: true, Extra: false));
        }

        foreach (RestartNeighbour neighbour in _all)
        {
            Lab.Eventually(() => Peer(neighbour).GetProperty("stale").ValueKind == JsonValueKind.Null, $"{neighbour.Name} is back", 30, () => Peer(neighbour) + _lab.Logs());
            Kernel(neighbour.Extra, false);
            Kernel(neighbour.Own, true);
        }

        // The monitor lags behind the kernel; what it has printed last is behind everything else.
        foreach (RestartNeighbour neighbour in _all)
        {
            Lab.Eventually(() => Deleted("kept", neighbour.Extra), $"the end of {neighbour.Extra} is in the monitor's log", 20, () => Log("kept"));
        }

        monitor.Interrupt();
        foreach (RestartNeighbour neighbour in _all)
        {
            Assert.That(Deleted("kept", neighbour.Own), Is.False, () => $"{neighbour.Own} of {neighbour.Name} was never away\n{Log("kept")}\n{Restarts(begin, neighbour)}\n{_lab.Logs()}");
        }
    }

    [Test]
    public void Neighbours_that_come_back_without_their_state_lose_their_routes_at_once()
    {
        Background monitor = Monitor("lost");
        double begin = Wire.Now;
        foreach (RestartNeighbour neighbour in _all)
        {
            neighbour.Kill();
        }

        foreach (RestartNeighbour neighbour in _all)
        {
            Lab.Eventually(() => Peer(neighbour).GetProperty("stale").GetString() == "restarting", $"routes of {neighbour.Name} are stale", 20, () => Peer(neighbour) + _lab.Logs());
        }

        foreach (RestartNeighbour neighbour in _all)
        {
            neighbour.Start(new Life(Extra: false));
        }

        Settled();
        foreach (RestartNeighbour neighbour in _all)
        {
            Kernel(neighbour.Extra, false);
            Assert.That(Peer(neighbour).GetProperty("stale").ValueKind, Is.EqualTo(JsonValueKind.Null));
            WireMessage? open = null;
            Lab.Eventually(() => (open = _wire.Since(begin).FindLast(message => message.From == neighbour.Address && message.Kind == Said.Open)) is not null, $"the OPEN of {neighbour.Name}", 10);
            Assert.That(open!.Fields, Does.Not.Contain("\"bgp.cap.gr.flag.pfs\": \"1\""), $"{neighbour.Name} has kept nothing");
        }

        // Where the routes come again with the session, both changes reach the kernel as none; FRR takes a moment.
        Lab.Eventually(() => Deleted("lost", _frr.Own), $"{_frr.Own} went before it came again", 20, () => Log("lost"));
        monitor.Interrupt();
    }

    [Test]
    public void Neighbours_that_never_come_back_lose_their_routes_after_the_restart_time_or_the_long_lived_time()
    {
        RestartNeighbour[] gone = [_bird2, _gobgp, _bird1];
        foreach (RestartNeighbour neighbour in gone)
        {
            // Two seconds, and eight more as long-lived stale with those that can.
            neighbour.Kill();
            neighbour.Start(new Life(RestartTime: 2, LongLived: neighbour == _bird1 ? 0 : 8));
        }

        Settled();
        Lab.Eventually(() => Best() is "bird2" or "gobgp" or "bird1", "an internal path with LOCAL_PREF 200 is best", 10, () => _rr.Cli("routes", Anycast).Output);
        System.Diagnostics.Stopwatch watch = System.Diagnostics.Stopwatch.StartNew();
        foreach (RestartNeighbour neighbour in gone)
        {
            neighbour.Kill();
        }

        Kernel(_bird1.Own, false, 10);
        Assert.That(watch.Elapsed, Is.GreaterThan(TimeSpan.FromSeconds(1.9)), "not before the restart time");
        Lab.Eventually(() => gone[..2].All(neighbour => Peer(neighbour).GetProperty("stale").GetString() == "longLived"), "routes of both are long-lived stale", 5, () => Peer(_bird2).ToString() + Peer(_gobgp) + _lab.Logs());
        Assert.That(Lab.Routes(_rr.Namespace), Does.Contain(_bird2.Own + " via").And.Contain(_gobgp.Own + " via"));
        foreach (RestartNeighbour neighbour in gone[..2])
        {
            Lab.Eventually(() => _node.Route(neighbour.Own) is { } route && route.GetProperty("communities").ToString().Contains("65535:6", StringComparison.Ordinal), $"the node has {neighbour.Own} with LLGR_STALE", 5, () => _node.Cli("routes", "-o", "json").Output);
            Lab.Eventually(() => _frr.Show(neighbour.Own).Contains("llgr-stale", StringComparison.Ordinal), "and so has FRR, which knows what that is", 5, () => _frr.Show(neighbour.Own));
        }

        Assert.That(Best(), Is.EqualTo("frr"), "LOCAL_PREF 100, but not stale");
        foreach (RestartNeighbour neighbour in gone[..2])
        {
            Kernel(neighbour.Own, false, 15);
            Lab.Eventually(() => _node.Route(neighbour.Own) is null, "and the node's copy with it", 5, () => _node.Cli("routes").Output);
        }

        Assert.That(watch.Elapsed, Is.GreaterThan(TimeSpan.FromSeconds(9.8)), "not before both times");
    }

    [Test]
    public void An_end_for_good_takes_the_routes_from_everybody_at_once()
    {
        double begin = Wire.Now;
        Assert.That(_rr.Cli("shutdown", "--hard").Code, Is.Zero);
        foreach (RestartNeighbour neighbour in _all)
        {
            Lab.Eventually(() => !neighbour.Has(Block, stale: true) && !neighbour.Has(Block, stale: false), $"{neighbour.Name} has nothing of ours", 10, () => neighbour.Show(Block) + _lab.Logs());
        }

        // The neighbours hear of it before the kernel does.
        Lab.Eventually(() => _rr.Process!.HasExited, "it ends", 15, _lab.Logs);
        Assert.That(Lab.Routes(_rr.Namespace), Does.Not.Contain("proto bird"));
        WireMessage[] last = [];
        Lab.Eventually(() => (last = [.. Ends(_wire.Since(begin))]).Select(static message => message.To).Distinct().Count() == 5, "a word to everybody", 10);
        WireMessage toGoBgp = last.First(message => message.To == _gobgp.Address);
        Assert.That(toGoBgp.Fields, Does.Contain("\"bgp.notify.minor_error_cease\": \"9\"").Or.Contain("\"bgp.notify.minor_error\": \"9\""), "a Hard Reset where both have the N bit (RFC 8538 section 3.1)");
    }

    /// <summary>NOTIFICATIONs of the reflector, save those for one of two connections at once (RFC 4271 section 6.8), which end no session.</summary>
    private static IEnumerable<WireMessage> Ends(IEnumerable<WireMessage> said) =>
        said.Where(static message => message.Kind == Said.Notification && message.From == Rr && !message.Fields.Contains("\"bgp.notify.minor_error_cease\": \"7\"", StringComparison.Ordinal));

    private static int Count(string text, string what) => text.Split(what).Length - 1;

    private static string Config(int number, string peers) => $$"""
        version: 1
        node: { name: n{{number}}, asn: 64512, ipv4: 10.1.0.{{number}}/24, ipv6: "fd01::{{number}}/64" }
        log: { level: debug }
        metrics: { listen: "off" }
        kernel: { staleTime: 60s }
        pools:
          - { name: v4, cidr: 10.244.0.0/16, tunnel: { mode: none } }
          - { name: v6, cidr: "fd10:244::/64", tunnel: { mode: none } }
        originate:
          - { prefix: 10.244.{{number}}.0/26, kind: blackhole }
          - { prefix: "fd10:244::{{number}}00/122", kind: blackhole }
        peerGroups:
          g: { asn: 64512, import: [all], export: [all], timers: { hold: 9s, connectRetry: 1s, idleHold: 1s }, gracefulRestart: { restartTime: 30s, longLived: 60s } }
        {{peers}}
        """;

    private static void End(PipitNode node, bool kill)
    {
        if (kill)
        {
            node.Process!.Kill();
        }
        else
        {
            Assert.That(node.Process!.Terminate(), Is.Zero);
        }
    }

    private string Plug(string name, int number)
    {
        string ns = _lab.Namespace(name);
        Lab.Run("ip", "-n", ns, "link", "add", "eth0", "type", "veth", "peer", "name", $"p{number}", "netns", _lan);
        Lab.Address(ns, "eth0", $"10.1.0.{number}/24", $"fd01::{number}/64");
        Lab.Run("ip", "-n", ns, "link", "set", "eth0", "up");
        Lab.Run("ip", "-n", _lan, "link", "set", $"p{number}", "master", "br0", "up");
        Lab.Run("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth0.rp_filter=0");
        if (number > 10)
        {
            // What is behind the neighbour.
            Lab.Address(ns, "lo", $"10.60.{number}.2/32", $"fd60:{number}::2/128");
        }

        return ns;
    }

    private string Pod(string ns, int number)
    {
        string pod = _lab.Namespace($"pod{number}");
        Lab.Run("ip", "link", "add", "eth0", "netns", pod, "type", "veth", "peer", "name", $"cali{number}", "netns", ns);
        Lab.Address(pod, "eth0", $"10.244.{number}.2/32", $"fd10:244::{number}02/128");
        Lab.Address(ns, $"cali{number}", "169.254.1.1/32", "fe80::1/64");
        Lab.Run("ip", "-n", ns, "link", "set", $"cali{number}", "up");
        Lab.Run("ip", "-n", pod, "link", "set", "eth0", "up");
        Lab.Run("ip", "-n", pod, "route", "add", "169.254.1.1", "dev", "eth0", "scope", "link");
        Lab.Run("ip", "-n", pod, "route", "add", "default", "via", "169.254.1.1", "dev", "eth0");
        Lab.Run("ip", "-n", pod, "-6", "route", "add", "default", "via", "fe80::1", "dev", "eth0");
        Lab.Run("ip", "-n", ns, "route", "add", $"10.244.{number}.2", "dev", $"cali{number}", "scope", "link", "proto", "boot");
        Lab.Run("ip", "-n", ns, "-6", "route", "add", $"fd10:244::{number}02", "dev", $"cali{number}", "proto", "boot");
        return pod;
    }

    /// <summary>Every session is up, nobody recovers, and everybody has the block as a fresh route.</summary>
    private void Settled()
    {
        _rr.WaitEstablished(60);
        _node.WaitEstablished(60);
        foreach (PipitNode node in (PipitNode[])[_rr, _node])
        {
            Lab.Eventually(() => !node.Json("status").GetProperty("gracefulRestart").GetProperty("recovering").GetBoolean(), $"{node.Namespace} is done with its start", 30, () => node.Cli("status").Output + _lab.Logs());
        }

        foreach (RestartNeighbour neighbour in _all)
        {
            Lab.Eventually(() => neighbour.Has(Block, stale: false), $"{neighbour.Name} has our block", 30, () => neighbour.Show(Block) + _lab.Logs());

            // What the kernel has may still be of the neighbour's last life, and about to go: the table is ahead of it.
            Lab.Eventually(
                () => _rr.Route(neighbour.Own) is not null && (_rr.Route(neighbour.Extra) is not null) == neighbour.Life!.Extra, $"all of {neighbour.Name} is in the table", 30, () => _rr.Cli("routes").Output + _lab.Logs());
            Kernel(neighbour.Own, true);
        }

        Lab.Eventually(() => _rr.Json("fib", "--diff").GetArrayLength() == 0, "the kernel has what the table wants", 20, () => _rr.Cli("fib", "--diff").Output + _lab.Logs());

        Lab.Eventually(() => Lab.Routes(_node.Namespace).Contains("10.60.11.0/24 via 10.1.0.11", StringComparison.Ordinal), "the node has BIRD's route", 20, () => _node.Cli("routes").Output);
    }

    private void Kernel(string prefix, bool there, int seconds = 20) => Lab.Eventually(
        () => Lab.Routes(_rr.Namespace).Contains(prefix + " via", StringComparison.Ordinal) == there, $"{prefix} is {(there ? "" : "not ")}in the kernel", seconds, () => Lab.Routes(_rr.Namespace) + _rr.Cli("routes").Output + _lab.Logs());

    private JsonElement Peer(RestartNeighbour neighbour) => _rr.Json("peer", neighbour.Name);

    private string? Best() => _rr.Json("routes", Anycast, "--best").EnumerateArray().Select(static path => path.GetProperty("from").GetString()).FirstOrDefault();

    private Background Monitor(string name) => _lab.Monitor(_rr.Namespace, name);

    private string Log(string name) => File.ReadAllText(Path.Combine(_lab.Folder, name + ".log"));

    private bool Deleted(string name, string prefix) => Log(name).Split('\n').Any(line => line.StartsWith("Deleted " + prefix, StringComparison.Ordinal));

    /// <summary>What a neighbour said of its restart, for a failure's message.</summary>
    private string Restarts(double begin, RestartNeighbour neighbour) => string.Join('\n', _wire.Since(begin)
        .Where(message => (message.From == neighbour.Address || message.To == neighbour.Address) && message.Kind is Said.Open or Said.Notification or Said.EndOfRib4)
        .Select(static message => string.Create(CultureInfo.InvariantCulture, $"{message.At:F3} {message.Stream} {message.From} {message.Kind} {message.Fields}")));

    private void StartPings(bool ourselves = false)
    {
        _pinged++;
        (string, string)[] others = [(_pod, "10.60.11.2"), (_pod, "10.60.12.2"), (_pod, "10.60.14.2"), (_pod, "fd60:11::2"), (_pod2, "10.60.11.2")];
        foreach ((string ns, string to) in (IEnumerable<(string, string)>)[(_pod2, "10.244.1.2"), (_pod2, "fd10:244::102"), .. ourselves ? [] : others])
        {
            string name = string.Create(CultureInfo.InvariantCulture, $"ping{_pinged}-{_pings.Count}-{to.Replace(':', '.')}");
            _pings.Add((name, _lab.Start(ns, name, "stdbuf", "-oL", "ping", "-n", "-i", "0.01", to)));
        }

        foreach ((string name, _) in _pings)
        {
            Lab.Eventually(() => PingLog.Answered(Path.Combine(_lab.Folder, name + ".log")).Count > 0, $"{name} is answered", 10, _lab.Logs);
        }
    }

    private void NothingLost()
    {
        foreach ((string name, Background ping) in _pings)
        {
            ping.Interrupt();
            SortedSet<int> answered = PingLog.Answered(Path.Combine(_lab.Folder, name + ".log"));
            Assert.That(answered, Has.Count.GreaterThan(100), name);
            Assert.That(Enumerable.Range(1, answered.Max).Where(sequence => !answered.Contains(sequence)), Is.Empty, $"{name}: every packet was answered");
        }

        _pings.Clear();
    }
}
