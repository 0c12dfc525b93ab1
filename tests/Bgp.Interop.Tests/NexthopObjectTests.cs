using System.Globalization;
using System.Text;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>
/// kernel.nexthopObjects in real namespaces, where the kernel reports an object's next hops with its routes (nexthop_compat_mode 1, the default) and where it reports
/// the id alone.
/// </summary>
[TestFixture(1)]
[TestFixture(0)]
public sealed class NexthopObjectTests(int compat)
{
    private const uint FirstOfMain = 0x50FE_0000;
    private const string ViaA = "via 10.0.0.1 dev eth0 scope link proto bird";
    private const string ViaC = "via 10.0.1.3 dev eth1 scope link proto bird";
    private Lab _lab = null!;
    private PipitNode _a = null!;
    private PipitNode _b = null!;
    private PipitNode _c = null!;

    [SetUp]
    public void ThreeNodes()
    {
        _lab = new Lab();
        string a = _lab.Namespace("a");
        string b = _lab.Namespace("b");
        string c = _lab.Namespace("c");
        Lab.Link(a, "eth0", ["10.0.0.1/24", "fd00::1/64"], b, "eth0", ["10.0.0.2/24", "fd00::2/64"]);
        Lab.Link(c, "eth0", ["10.0.1.3/24", "fd00:1::3/64"], b, "eth1", ["10.0.1.2/24", "fd00:1::2/64"]);
        Lab.Run("ip", "netns", "exec", b, "sysctl", "-qw", $"net.ipv4.nexthop_compat_mode={compat}");
        _a = new PipitNode(_lab, a, "node-a", Config("node-a", 1, "10.0.0.1", "10.0.0.2", "fd00::2")).Start();
        _c = new PipitNode(_lab, c, "node-c", Config("node-c", 3, "10.0.1.3", "10.0.1.2", "fd00:1::2")).Start();
        _b = new PipitNode(_lab, b, "node-b", ConfigOfB(true)).Start();
        _b.WaitEstablished();
    }

    [TearDown]
    public void Clean() => _lab.Dispose();

    [Test]
    public void Routes_of_both_families_share_one_object_per_next_hop_which_goes_with_the_last_of_them()
    {
        Announce(_a, "10.244.70.1");
        Announce(_a, "10.244.70.2");
        Announce(_a, "fd10:244::7001");
        Announce(_c, "fd10:244::7003");
        Goes(_b, "10.244.70.1", ViaA);
        Goes(_b, "10.244.70.2", ViaA);
        Goes(_b, "fd10:244::7001", "via fd00::1 dev eth0 scope link proto bird");
        Goes(_b, "fd10:244::7003", "via fd00:1::3 dev eth1 scope link proto bird");
        Goes(_b, "10.244.1.0/26", ViaA);
        Goes(_b, "10.244.3.0/26", ViaC);
        Assert.That(IdOf(_b, "10.244.70.1"), Is.EqualTo(IdOf(_b, "10.244.1.0/26")).And.InRange(FirstOfMain, FirstOfMain + 0xFFFF));
        Assert.That(Lab.Routes(_b.Namespace), Does.Contain("blackhole 10.244.2.0/26 proto bird"), "a blackhole needs no object");
        Assert.That(Objects(_b), Has.Length.EqualTo(4), "10.0.0.1, 10.0.1.3, fd00::1, fd00:1::3");
        AllInstalled(_b);
        _b.Configure(ConfigOfB(true, withC: false));
        Assert.That(_b.Cli("reload").Code, Is.Zero);
        Lab.Eventually(() => Objects(_b).Length == 2, "objects without a route are gone", 20, Seen);
        Goes(_b, "10.244.70.1", ViaA);
    }

    [Test]
    public void Equal_paths_are_one_group_of_the_single_objects()
    {
        Announce(_a, "10.244.90.1");
        Announce(_c, "10.244.90.1");
        Announce(_a, "10.244.90.2");
        Announce(_c, "10.244.90.2");
        Announce(_a, "fd10:244::9001");
        Announce(_c, "fd10:244::9001");
        Goes(_b, "10.244.90.1", $"{ViaA}, {ViaC}");
        Goes(_b, "10.244.90.2", $"{ViaA}, {ViaC}");
        Goes(_b, "fd10:244::9001", "via fd00:1::3 dev eth1 scope link proto bird, via fd00::1 dev eth0 scope link proto bird");
        Assert.That(IdOf(_b, "10.244.90.1"), Is.EqualTo(IdOf(_b, "10.244.90.2")));
        Assert.That(Objects(_b), Has.Length.EqualTo(6), "four next hops, two groups");
        AllInstalled(_b);

        // One of two goes: the routes move to the other's own object, and the groups go.
        Lab.Run("ip", "-n", _b.Namespace, "link", "set", "eth1", "down");
        Goes(_b, "10.244.90.1", ViaA, 60);
        Goes(_b, "fd10:244::9001", "via fd00::1 dev eth0 scope link proto bird", 60);
        Lab.Eventually(() => Objects(_b).All(static line => !line.Contains("group", StringComparison.Ordinal)), "no group is left", 20, Seen);
        Lab.Run("ip", "-n", _b.Namespace, "link", "set", "eth1", "up");
        Lab.Address(_b.Namespace, "eth1", "fd00:1::2/64");
        Goes(_b, "10.244.90.1", $"{ViaA}, {ViaC}", 60);
        Goes(_b, "fd10:244::9001", "via fd00:1::3 dev eth1 scope link proto bird, via fd00::1 dev eth0 scope link proto bird", 60);
        AllInstalled(_b);
    }

    [Test]
    public void A_next_hop_behind_a_gateway_is_an_object_through_the_gateway()
    {
        Lab.Run("ip", "-n", _b.Namespace, "route", "add", "10.9.0.0/24", "via", "10.0.1.3", "proto", "static");
        Announce(_a, "10.244.99.1");
        Goes(_b, "10.244.99.1", ViaC);

        // The gateway changes: another object, in place.
        Lab.Run("ip", "-n", _b.Namespace, "route", "replace", "10.9.0.0/24", "via", "10.0.0.1", "proto", "static");
        Goes(_b, "10.244.99.1", ViaA);
        AllInstalled(_b);
    }

    [Test]
    public void A_tunnelled_prefix_has_an_on_link_object_through_the_pools_device()
    {
        // Any device is as good as tunl0 for what the routing table says; the device comes after the routes.
        _b.Configure(ConfigOfB(true).Replace("tunnel: { mode: none } }\n  - { name: v6", "tunnel: { mode: ipip, device: tun9 } }\n  - { name: v6", StringComparison.Ordinal));
        Assert.That(_b.Cli("reload").Code, Is.Zero);
        Gone(_b, "10.244.1.0/26");
        Lab.Run("ip", "-n", _b.Namespace, "link", "add", "tun9", "type", "veth", "peer", "name", "tun8");
        Lab.Run("ip", "-n", _b.Namespace, "link", "set", "tun8", "up");
        Lab.Run("ip", "-n", _b.Namespace, "link", "set", "tun9", "up");
        Goes(_b, "10.244.1.0/26", "via 10.0.0.1 dev tun9 scope link proto bird onlink");
        Goes(_b, "10.244.3.0/26", "via 10.0.1.3 dev tun9 scope link proto bird onlink");
        AllInstalled(_b);
    }

    [Test]
    public void Objects_and_routes_of_others_stay_as_they_are_and_their_ids_are_passed_over()
    {
        // In our range and with our number, but not there when the daemon started.
        Lab.Run("ip", "-n", _b.Namespace, "nexthop", "add", "id", Id(FirstOfMain + 100), "via", "10.0.0.77", "dev", "eth0", "proto", "bird");
        for (uint i = 1; i < 16; i++)
        {
            Lab.Run("ip", "-n", _b.Namespace, "nexthop", "add", "id", Id(FirstOfMain + 4 + i), "via", "10.0.0.78", "dev", "eth0", "proto", "static");
        }

        Lab.Run("ip", "-n", _b.Namespace, "nexthop", "add", "id", "7", "via", "10.0.0.79", "dev", "eth0", "proto", "bird");
        Lab.Run("ip", "-n", _b.Namespace, "nexthop", "add", "id", "8", "via", "10.0.1.79", "dev", "eth1", "proto", "static");
        Lab.Run("ip", "-n", _b.Namespace, "nexthop", "add", "id", "9", "group", "7/8", "proto", "static");
        Lab.Run("ip", "-n", _b.Namespace, "route", "add", "10.244.91.0/24", "nhid", "9", "proto", "static");
        Announce(_a, "10.244.90.1");
        Announce(_c, "10.244.90.1");
        Goes(_b, "10.244.90.1", $"{ViaA}, {ViaC}");

        // Learned with what the object says: announced to the neighbours.
        Goes(_a, "10.244.91.0/24", null);
        Lab.Run("ip", "-n", _b.Namespace, "route", "del", "10.244.91.0/24");
        Gone(_a, "10.244.91.0/24");

        // The object goes and takes a route with it, unheard.
        Lab.Run("ip", "-n", _b.Namespace, "route", "add", "10.244.92.0/24", "nhid", "7", "proto", "static");
        Goes(_a, "10.244.92.0/24", null);
        Lab.Run("ip", "-n", _b.Namespace, "nexthop", "del", "id", "7");
        Gone(_a, "10.244.92.0/24");
        Assert.That(Objects(_b).Count(static line => line.Contains("10.0.0.78", StringComparison.Ordinal)), Is.EqualTo(15));
        Assert.That(Objects(_b).Count(static line => line.Contains("10.0.0.77", StringComparison.Ordinal)), Is.EqualTo(1));
        AllInstalled(_b);
    }

    [Test]
    public void A_route_of_ours_is_pending_while_anothers_with_an_object_holds_the_key()
    {
        // Protocol kernel, so that it is not learned and announced itself.
        Lab.Run("ip", "-n", _b.Namespace, "nexthop", "add", "id", "7", "via", "10.0.1.79", "dev", "eth1", "proto", "static");
        Lab.Run("ip", "-n", _b.Namespace, "route", "add", "10.244.66.6", "nhid", "7", "proto", "kernel");
        Announce(_a, "10.244.66.6");
        Lab.Eventually(() => _b.Cli("fib", "--diff").Output.Contains("10.244.66.6", StringComparison.Ordinal), "it is pending", 20, Seen);
        Assert.That(IdOf(_b, "10.244.66.6"), Is.EqualTo(7));
        Lab.Run("ip", "-n", _b.Namespace, "route", "del", "10.244.66.6");
        Goes(_b, "10.244.66.6", ViaA);
    }

    [TestCase("link set eth0 down", "link set eth0 up")]
    [TestCase("link set eth0 down", "link set eth0 up", true)]
    public void Objects_and_routes_that_go_silently_with_a_link_or_its_carrier_come_back(string down, string up, bool far = false)
    {
        string where = far ? _a.Namespace : _b.Namespace;
        Announce(_a, "fd10:244::7001");
        Goes(_b, "10.244.1.0/26", ViaA);
        Goes(_b, "fd10:244::7001", "via fd00::1 dev eth0 scope link proto bird");
        Lab.Run("ip", ["-n", where, .. down.Split(' ')]);
        Gone(_b, "10.244.1.0/26");
        Goes(_b, "10.244.3.0/26", ViaC);
        Lab.Run("ip", ["-n", where, .. up.Split(' ')]);
        Lab.Address(where, "eth0", far ? "fd00::1/64" : "fd00::2/64");
        Goes(_b, "10.244.1.0/26", ViaA, 60);
        Goes(_b, "fd10:244::7001", "via fd00::1 dev eth0 scope link proto bird", 60);
        AllInstalled(_b);
    }

    [Test]
    public void Routes_whose_next_hop_loses_its_subnet_go_and_come_back_with_it()
    {
        Goes(_b, "10.244.1.0/26", ViaA);

        // The kernel keeps object and routes, other than plain ones: they are ours to remove.
        Lab.Run("ip", "-n", _b.Namespace, "addr", "del", "10.0.0.2/24", "dev", "eth0");
        Gone(_b, "10.244.1.0/26");
        Lab.Eventually(() => Objects(_b).All(static line => !line.Contains("10.0.0.1 ", StringComparison.Ordinal)), "the object goes with them", 20, Seen);
        Lab.Address(_b.Namespace, "eth0", "10.0.0.2/24");
        Goes(_b, "10.244.1.0/26", ViaA, 60);
        AllInstalled(_b);
    }

    [Test]
    public void Objects_that_somebody_deletes_or_changes_are_mended_with_their_routes()
    {
        Announce(_a, "10.244.90.1");
        Announce(_c, "10.244.90.1");
        Goes(_b, "10.244.90.1", $"{ViaA}, {ViaC}");
        uint id = IdOf(_b, "10.244.1.0/26");
        Lab.Run("ip", "-n", _b.Namespace, "nexthop", "replace", "id", Id(id), "via", "10.0.0.66", "dev", "eth0", "proto", "bird");
        Goes(_b, "10.244.1.0/26", ViaA);
        Lab.Run("ip", "-n", _b.Namespace, "nexthop", "del", "id", Id(id));
        Goes(_b, "10.244.1.0/26", ViaA);
        Goes(_b, "10.244.90.1", $"{ViaA}, {ViaC}");
        Lab.Run("ip", "-n", _b.Namespace, "nexthop", "flush", "proto", "12");
        Goes(_b, "10.244.1.0/26", ViaA);
        Goes(_b, "10.244.90.1", $"{ViaA}, {ViaC}");
        AllInstalled(_b);
    }

    [Test]
    public void A_killed_daemons_objects_are_adopted_and_what_nobody_confirms_is_pruned()
    {
        Announce(_a, "10.244.90.1");
        Announce(_c, "10.244.90.1");
        Goes(_b, "10.244.90.1", $"{ViaA}, {ViaC}");
        string[] before = Objects(_b);
        _b.Process!.Kill();
        Lab.Run("ip", "-n", _b.Namespace, "nexthop", "add", "id", Id(FirstOfMain + 1000), "via", "10.0.0.200", "dev", "eth0", "proto", "bird");
        Lab.Run("ip", "-n", _b.Namespace, "nexthop", "add", "id", Id(FirstOfMain + 1001), "via", "10.0.0.201", "dev", "eth0", "proto", "bird");
        Lab.Run("ip", "-n", _b.Namespace, "route", "add", "10.244.98.0/26", "nhid", Id(FirstOfMain + 1001), "proto", "bird");
        Monitor monitor = new(_lab, _b.Namespace);
        _b.Start();
        _b.WaitEstablished();
        Lab.Eventually(() => Objects(_b).SequenceEqual(before), "the same objects, and none that nobody confirmed", 45, Seen);
        monitor.Dispose();
        Assert.That(monitor.Lines("10.244.90.1"), Is.Empty, "neither removed nor written again");
        Assert.That(IdOf(_b, "10.244.98.0/26"), Is.Zero);
        AllInstalled(_b);
    }

    [Test]
    public void The_option_may_change_between_lives_and_by_a_reload_without_a_gap()
    {
        Announce(_a, "10.244.90.1");
        Announce(_c, "10.244.90.1");
        Announce(_a, "fd10:244::9001");
        Announce(_c, "fd10:244::9001");
        Goes(_b, "10.244.90.1", $"{ViaA}, {ViaC}");
        Goes(_b, "fd10:244::9001", "via fd00:1::3 dev eth1 scope link proto bird, via fd00::1 dev eth0 scope link proto bird");
        Monitor monitor = new(_lab, _b.Namespace);
        foreach (bool on in new[] { false, true })
        {
            _b.Process!.Terminate();
            _b.Configure(ConfigOfB(on));
            _b.Start();
            _b.WaitEstablished();
            Settled(on);
        }

        foreach (bool on in new[] { false, true })
        {
            _b.Configure(ConfigOfB(on));
            Assert.That(_b.Cli("reload").Code, Is.Zero);
            Settled(on);
        }

        monitor.Dispose();
        Assert.That(monitor.Lines("10.244.90.1").Where(static line => line.StartsWith("Deleted", StringComparison.Ordinal)), Is.Empty);
        Assert.That(monitor.Lines("fd10:244::9001").Where(static line => line.StartsWith("Deleted", StringComparison.Ordinal)), Is.Empty);

        void Settled(bool on)
        {
            if (on)
            {
                Goes(_b, "10.244.90.1", $"{ViaA}, {ViaC}");
                Goes(_b, "fd10:244::9001", "via fd00:1::3 dev eth1 scope link proto bird, via fd00::1 dev eth0 scope link proto bird");
            }
            else
            {
                Lab.Eventually(() => Objects(_b).Length == 0, "no object is left", 30, Seen);
                Assert.That(Lab.Routes(_b.Namespace), Does.Contain("nexthop via 10.0.1.3 dev eth1"));
                Assert.That(Lab.Routes(_b.Namespace, v6: true), Does.Contain("nexthop via fd00:1::3 dev eth1"));
            }

            AllInstalled(_b);
        }
    }

    [Test]
    public void An_overrun_amid_changes_of_objects_is_made_up_for()
    {
        _b.Process!.Terminate();
        _b.Start("PIPIT_NETLINK_RCVBUF=4096");
        _b.WaitEstablished();
        Goes(_b, "10.244.1.0/26", ViaA);
        StringBuilder batch = new();
        for (int i = 1; i <= 4_000; i++)
        {
            batch.Append(CultureInfo.InvariantCulture, $"nexthop add id {i} via 10.0.0.1{i % 100:00} dev eth0 proto static\n");
            batch.Append(CultureInfo.InvariantCulture, $"route add 10.250.{i >> 8}.{i & 255} nhid {i} proto static\n");
            if (i == 2_000)
            {
                batch.Append(CultureInfo.InvariantCulture, $"nexthop del id {IdOf(_b, "10.244.1.0/26")}\n");
            }

            if (i % 2 == 0)
            {
                batch.Append(CultureInfo.InvariantCulture, $"nexthop del id {i}\n");
            }
        }

        Lab.Run("ip", "-n", _b.Namespace, "-batch", _lab.File("storm.batch", batch.ToString()));
        Goes(_b, "10.244.1.0/26", ViaA, 60);
        IEnumerable<string> Missing() => Enumerable.Range(0, 2_000).Select(static i => $"10.250.{i >> 7}.{((2 * i) + 1) & 255}").Where(prefix => Line(_a, prefix) is null);
        Lab.Eventually(() => Count(_a, "10.250.") == 2_000, "what was learned is on node-a", 60, () => $"missing: {string.Join(' ', Missing())}\ntoo much: {TooMuch()}\n{Seen()}");
        AllInstalled(_b);

        string TooMuch()
        {
            string[] gone = [.. Enumerable.Range(1, 2_000).Select(static i => $"10.250.{i >> 7}.{(2 * i) & 255}").Where(prefix => Line(_a, prefix) is not null)];
            string first = gone.FirstOrDefault() ?? "10.250.0.2";
            return $"{string.Join(' ', gone)}\nnode-b: {_b.Cli("explain", first).Output}\nnode-a: {_a.Cli("explain", first).Output}{_a.Cli("fib", "--diff").Output}";
        }
    }

    [Test]
    public void Ten_thousand_routes_are_written_by_one_id_and_removed_before_it()
    {
        StringBuilder batch = new();
        for (int i = 0; i < 10_000; i++)
        {
            batch.Append(CultureInfo.InvariantCulture, $"route add 10.249.{i >> 8}.{i & 255} dev lo proto boot\n");
        }

        Lab.Run("ip", "-n", _a.Namespace, "-batch", _lab.File("add.batch", batch.ToString()));
        Lab.Eventually(() => Count(_b, "10.249.") == 10_000, "all routes are on node-b", 60, () => $"{Count(_b, "10.249.")}\n{_lab.Logs()}");
        uint id = IdOf(_b, "10.244.1.0/26");
        Assert.That(Count(_b, $" nhid {id} "), Is.EqualTo(10_001));
        AllInstalled(_b);
        Lab.Run("ip", "-n", _a.Namespace, "-batch", _lab.File("del.batch", batch.ToString().Replace("route add", "route del", StringComparison.Ordinal)));
        Lab.Eventually(() => Count(_b, "10.249.") == 0, "and none", 60, () => $"{Count(_b, "10.249.")}\n{_lab.Logs()}");
        Goes(_b, "10.244.1.0/26", ViaA);
    }

    [Test]
    public void A_table_of_its_own_has_ids_of_its_own_and_a_hard_end_leaves_nothing()
    {
        Goes(_b, "10.244.1.0/26", ViaA);
        _b.Process!.Terminate();
        foreach (string device in new[] { "0.0/24 dev eth0", "1.0/24 dev eth1" })
        {
            Lab.Run("ip", ["-n", _b.Namespace, .. $"route add 10.0.{device} table 100 proto kernel".Split(' ')]);
        }

        _b.Configure(ConfigOfB(true).Replace("kernel: {", "kernel: { table: 100, ", StringComparison.Ordinal));
        _b.Start();
        _b.WaitEstablished();
        string Table() => Lab.Run("ip", "-n", _b.Namespace, "route", "show", "table", "100");

        // 0x50640000 or the next.
        Lab.Eventually(() => Table().Contains("10.244.1.0/26 nhid 134873088", StringComparison.Ordinal), "the table has the route", 20, () => Table() + Seen());
        Goes(_b, "10.244.1.0/26", ViaA);
        Assert.That(_b.Cli("shutdown", "--hard").Code, Is.Zero, "shutdown");
        Lab.Eventually(() => _b.Process!.HasExited, "node-b ends", 15, Seen);
        Assert.That(Table(), Does.Not.Contain("bird"));
        Assert.That(Objects(_b).Where(static line => line.Contains("id 13487", StringComparison.Ordinal)), Is.Empty);
        Assert.That(IdOf(_b, "10.244.1.0/26"), Is.Not.Zero, "the main table's are another daemon's");
    }

    private static string Id(uint id) => id.ToString(CultureInfo.InvariantCulture);

    private static string[] Objects(PipitNode node) =>
        Lab.Run("ip", "-n", node.Namespace, "nexthop").Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static string? Line(PipitNode node, string prefix) => Lab.Routes(node.Namespace, prefix.Contains(':', StringComparison.Ordinal)).Split('\n')
        .FirstOrDefault(line => line.StartsWith(prefix + " ", StringComparison.Ordinal));

    private static uint IdOf(PipitNode node, string prefix)
    {
        string[] words = Line(node, prefix)?.Split(' ') ?? [];
        int at = Array.IndexOf(words, "nhid");
        return at < 0 ? 0 : uint.Parse(words[at + 1], CultureInfo.InvariantCulture);
    }

    /// <summary>What the object of a route says, or its members in order.</summary>
    private static string? Through(PipitNode node, string prefix)
    {
        string? Text(string id) => Objects(node).FirstOrDefault(line => line.StartsWith($"id {id} ", StringComparison.Ordinal))?[$"id {id} ".Length..];
        string? text = Text(Id(IdOf(node, prefix)));
        return text is null || !text.StartsWith("group ", StringComparison.Ordinal) ? text
            : string.Join(", ", text.Split(' ')[1].Split('/').Select(member => Text(member.Split(',')[0]) ?? "?").Order(StringComparer.Ordinal));
    }

    private static int Count(PipitNode node, string text) => Lab.Routes(node.Namespace).Split('\n').Count(line => line.Contains(text, StringComparison.Ordinal));

    private static string Config(string name, int number, string address, string peer, string peerV6) => $$"""
        version: 1
        node: { name: {{name}}, asn: 64512, ipv4: {{address}}/24, ipv6: "{{(number == 1 ? "fd00::1" : "fd00:1::3")}}/64" }
        pools:
          - { name: v4, cidr: 10.240.0.0/12, tunnel: { mode: none } }
          - { name: v6, cidr: "fd10:244::/64", tunnel: { mode: none } }
        originate:
          - { prefix: 10.244.{{number}}.0/26, kind: blackhole }
        filters:
          far: { rules: [ { match: { prefixExact: 10.244.99.1/32 }, set: { nextHop: 10.9.0.9 }, action: accept } ] }
        peerGroups:
          all: { asn: 64512, export: [ far, calico-export ], timers: { connectRetry: 1s, idleHold: 1s } }
        peers:
          - { name: b, address: {{peer}}, group: all }
          - { name: b-v6, address: "{{peerV6}}", group: all }
        """;

    private static string ConfigOfB(bool objects, bool withC = true) => $$"""
        version: 1
        node: { name: node-b, asn: 64512, ipv4: 10.0.0.2/24, ipv6: "fd00::2/64" }
        log: { level: debug }
        pools:
          - { name: v4, cidr: 10.240.0.0/12, tunnel: { mode: none } }
          - { name: v6, cidr: "fd10:244::/64", tunnel: { mode: none } }
        originate:
          - { prefix: 10.244.2.0/26, kind: blackhole }
        kernel: { staleTime: 60s, nexthopObjects: {{(objects ? "true" : "false")}} }
        peerGroups:
          all: { asn: 64512, timers: { connectRetry: 1s, idleHold: 1s } }
        peers:
          - { name: a, address: 10.0.0.1, group: all }
          - { name: a-v6, address: "fd00::1", group: all }
          {{(withC ? "- { name: c, address: 10.0.1.3, group: all }\n  - { name: c-v6, address: \"fd00:1::3\", group: all }" : "")}}
        """;

    private static void Announce(PipitNode node, string prefix) =>
        Lab.Run("ip", "-n", node.Namespace, "route", "add", prefix, "dev", "lo", "proto", "boot");

    private static void AllInstalled(PipitNode node) =>
        Lab.Eventually(
            () => node.Cli("fib", "--diff").Code == 0 && node.Json("fib", "--diff").GetArrayLength() == 0, "everything wanted is installed", 20, () => node.Cli("fib", "--diff").Output);

    private string Seen() => $"{Lab.Routes(_b.Namespace)}{Lab.Routes(_b.Namespace, v6: true)}{string.Join('\n', Objects(_b))}\n{_b.Cli("fib", "--diff").Output}\n{_lab.Logs()}";

    // A route through an object that says this; null: any route.
    private void Goes(PipitNode node, string prefix, string? through, int seconds = 20) => Lab.Eventually(
        () => through is null ? Line(node, prefix) is not null : Through(node, prefix) == through, $"{node.Namespace} has {prefix} {through}", seconds, Seen);

    private void Gone(PipitNode node, string prefix) => Lab.Eventually(() => Line(node, prefix) is null, $"{node.Namespace} has no {prefix}", 20, Seen);

    /// <summary>Records what the kernel reports of routes.</summary>
    private sealed class Monitor(Lab lab, string ns) : IDisposable
    {
        private readonly Background _process = lab.Monitor(ns, "monitor-" + ns);

        internal string[] Lines(string prefix) =>
            [.. File.ReadLines(Path.Combine(lab.Folder, "monitor-" + ns + ".log")).Where(line => line.Contains(prefix, StringComparison.Ordinal))];

        public void Dispose() => _process.Interrupt();
    }
}
