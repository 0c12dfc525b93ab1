using System.Text;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>The main job in real namespaces: kernel routes of one node become kernel routes of the other.</summary>
[TestFixture]
public sealed class NodeTests
{
    private Lab _lab = null!;
    private PipitNode _a = null!;
    private PipitNode _b = null!;

    [SetUp]
    public void TwoNodes()
    {
        _lab = new Lab();
        string a = _lab.Namespace("a");
        string b = _lab.Namespace("b");
        Lab.Link(a, "eth0", ["10.0.0.1/24", "fd00::1/64"], b, "eth0", ["10.0.0.2/24", "fd00::2/64"]);
        Lab.Run("ip", "-n", a, "link", "add", "cali0", "type", "veth", "peer", "name", "pod0");
        Lab.Run("ip", "-n", a, "link", "set", "cali0", "up");
        Lab.Run("ip", "-n", a, "link", "set", "pod0", "up");
        _a = new PipitNode(_lab, a, "node-a", Config("node-a", 1)).Start();
        _b = new PipitNode(_lab, b, "node-b", Config("node-b", 2)).Start();
        _a.WaitEstablished();
        _b.WaitEstablished();
    }

    [TearDown]
    public void Clean() => _lab.Dispose();

    [Test]
    public void A_pod_route_of_one_node_is_a_kernel_route_of_the_other_and_goes_with_it()
    {
        Lab.Run("ip", "-n", _a.Namespace, "route", "add", "10.244.77.5", "dev", "cali0", "scope", "link", "proto", "boot");
        Lab.Run("ip", "-n", _a.Namespace, "-6", "route", "add", "fd10:244::7705", "dev", "cali0", "proto", "boot");
        Has(_b, "10.244.77.5 via 10.0.0.1 dev eth0 proto bird");
        Has(_b, "fd10:244::7705 via fd00::1 dev eth0 proto bird", v6: true);
        Lab.Run("ip", "-n", _a.Namespace, "route", "del", "10.244.77.5");
        Lab.Run("ip", "-n", _a.Namespace, "-6", "route", "del", "fd10:244::7705");
        HasNot(_b, "10.244.77.5");
        HasNot(_b, "fd10:244::7705", v6: true);
    }

    [Test]
    public void The_own_block_is_a_blackhole_here_and_a_route_there_and_its_pods_stay_inside()
    {
        Lab.Run("ip", "-n", _a.Namespace, "route", "add", "10.244.1.5", "dev", "cali0", "scope", "link", "proto", "boot");
        Lab.Run("ip", "-n", _a.Namespace, "route", "add", "10.244.88.1", "dev", "cali0", "scope", "link", "proto", "boot");
        Has(_a, "blackhole 10.244.1.0/26 proto bird");
        Has(_b, "10.244.1.0/26 via 10.0.0.1 dev eth0 proto bird");

        // The sentinel was written after the pod's route: once it is there, the pod's would be too.
        Has(_b, "10.244.88.1 via 10.0.0.1");
        Assert.That(Lab.Routes(_b.Namespace), Does.Not.Contain("10.244.1.5"));
        Assert.That(_a.Cli("explain", "10.244.1.5/32", "--to", "node-b").Output, Does.Contain("inside own block"));
    }

    [Test]
    public void A_stopped_daemon_leaves_its_routes_and_the_next_one_adopts_them()
    {
        Has(_b, "10.244.1.0/26 via 10.0.0.1");
        Has(_a, "10.244.2.0/26 via 10.0.0.2");
        Assert.That(_b.Process!.Terminate(), Is.Zero);
        Assert.That(Lab.Routes(_b.Namespace), Does.Contain("10.244.1.0/26 via 10.0.0.1"));
        Assert.That(Lab.Routes(_a.Namespace), Does.Contain("10.244.2.0/26 via 10.0.0.2"), "the neighbour keeps forwarding (RFC 4724)");
        using Monitor monitor = new(_lab, _b.Namespace);
        _b.Start();
        _b.WaitEstablished();
        Has(_b, "10.244.1.0/26 via 10.0.0.1");
        Assert.That(monitor.Deleted("10.244.1.0/26"), Is.False, "adopted, not rewritten with a gap");
    }

    [Test]
    public void Own_routes_that_nobody_confirms_are_pruned_after_the_restart()
    {
        _b.Process!.Terminate();
        Lab.Run("ip", "-n", _b.Namespace, "route", "add", "10.244.99.0/26", "via", "10.0.0.1", "proto", "bird");
        _b.Start();
        _b.WaitEstablished();
        HasNot(_b, "10.244.99.0/26", seconds: 45);
        Has(_b, "10.244.1.0/26 via 10.0.0.1");
    }

    [Test]
    public void A_neighbour_that_BFD_takes_down_before_its_End_of_RIB_does_not_keep_old_routes_waiting()
    {
        // A reflector that cannot say End-of-RIB: it has just started, and waits for a neighbour of its own that takes connections and says nothing.
        string mute = _lab.Namespace("mute");
        string rr = _lab.Namespace("rr");
        string node = _lab.Namespace("node");
        Lab.Link(rr, "eth0", ["10.3.0.1/24"], node, "eth0", ["10.3.0.2/24"]);
        Lab.Link(rr, "eth1", ["10.4.0.1/24"], mute, "eth0", ["10.4.0.2/24"]);
        Background bird = _lab.Start(mute, "mute", "bird", "-f", "-c", _lab.File("mute.conf", "router id 10.4.0.2; protocol device {} protocol bgp x { passive on; local 10.4.0.2 as 64512; neighbor 10.4.0.1 as 64512; ipv4 {}; }"), "-s", Path.Combine(_lab.Folder, "mute.ctl"), "-P", Path.Combine(_lab.Folder, "mute.pid"));
        Lab.Eventually(() => Lab.TryRun("birdc", "-s", Path.Combine(_lab.Folder, "mute.ctl"), "show", "status").Output.Contains("up and running", StringComparison.Ordinal), "BIRD listens", 10, _lab.Logs);
        bird.Signal(19);
        const string group = "peerGroups: { g: { asn: 64512, timers: { connectRetry: 1s, idleHold: 1s }, import: [all], export: [all] } }";
        PipitNode reflector = new PipitNode(_lab, rr, "rr", $"version: 1\nnode: {{ name: rr, asn: 64512, ipv4: 10.3.0.1 }}\nkernel: {{ enabled: false, staleTime: 300s }}\nrouteReflector: {{ clusterId: 0.0.0.1 }}\n{group}\n"
            + "peers:\n  - { name: node, address: 10.3.0.2, group: g, routeReflectorClient: true, bfd: { interval: 500ms } }\n  - { name: mute, address: 10.4.0.2, group: g }\n").Start();
        PipitNode client = new(_lab, node, "client", $"version: 1\nnode: {{ name: client, asn: 64512, ipv4: 10.3.0.2 }}\nkernel: {{ staleTime: 300s }}\n{group}\npeers:\n  - {{ name: rr, address: 10.3.0.1, group: g, bfd: {{ interval: 500ms }} }}\n");
        Lab.Run("ip", "-n", node, "route", "add", "10.244.99.0/26", "via", "10.3.0.1", "proto", "bird");
        client.Start();
        client.WaitEstablished();
        Lab.Eventually(() => client.Json("peer", "rr").GetProperty("bfd").GetProperty("state").GetString() == "up", "BFD is up", 10, _lab.Logs);
        Assert.That(client.Cli("status").Output, Does.Contain("rr (End-of-RIB)"));
        Assert.That(Lab.Routes(node), Does.Contain("10.244.99.0/26 via 10.3.0.1 dev eth0 proto bird"), "waited for");
        reflector.Process!.Signal(19);
        HasNot(client, "10.244.99.0/26");
    }

    [Test]
    public void Another_writers_route_under_the_same_key_is_left_alone_and_ours_follows_when_it_goes()
    {
        // Protocol kernel, so that it is not learned and announced itself.
        Lab.Run("ip", "-n", _b.Namespace, "route", "add", "10.244.66.6", "dev", "lo", "proto", "kernel");
        Lab.Run("ip", "-n", _a.Namespace, "route", "add", "10.244.66.6", "dev", "cali0", "scope", "link", "proto", "boot");
        Lab.Eventually(() => _b.Cli("fib", "--diff").Output.Contains("10.244.66.6", StringComparison.Ordinal) || _b.Route("10.244.66.6/32") is not null, "node-b knows the route", 20, _lab.Logs);
        Assert.That(Lab.Routes(_b.Namespace), Does.Contain("10.244.66.6 dev lo proto kernel"));
        Lab.Run("ip", "-n", _b.Namespace, "route", "del", "10.244.66.6");
        Has(_b, "10.244.66.6 via 10.0.0.1 dev eth0 proto bird");
    }

    [Test]
    public void Routes_that_the_kernel_drops_silently_with_a_link_or_an_address_come_back()
    {
        Has(_b, "10.244.1.0/26 via 10.0.0.1");
        Lab.Run("ip", "-n", _b.Namespace, "link", "set", "eth0", "down");
        HasNot(_b, "10.244.1.0/26");
        Lab.Run("ip", "-n", _b.Namespace, "link", "set", "eth0", "up");
        Has(_b, "10.244.1.0/26 via 10.0.0.1 dev eth0 proto bird", seconds: 60);
    }

    [Test]
    public void A_kill_amid_a_storm_of_changes_loses_no_route_leaves_none_over_and_interrupts_nobody()
    {
        const int routes = 100_000;
        StringBuilder add = new();
        StringBuilder delete = new();
        for (int i = 0; i < routes; i++)
        {
            string prefix = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"10.{248 + (i >> 16)}.{(i >> 8) & 255}.{i & 255}");
            add.Append("route add ").Append(prefix).Append(" dev cali0 scope link proto boot\n");
            if (i % 2 == 0)
            {
                delete.Append("route del ").Append(prefix).Append('\n');
            }
        }

        // Something in node-a's block that answers: node-b reaches it by a route of ours.
        Has(_b, "10.244.1.0/26 via 10.0.0.1 dev eth0 proto bird");
        Lab.Run("ip", "-n", _a.Namespace, "addr", "add", "10.244.1.1/32", "dev", "lo");
        Background ping = _lab.Start(_b.Namespace, "ping", "ping", "-n", "-i", "0.01", "10.244.1.1");
        string adds = _lab.File("add.batch", add.ToString());
        string deletes = _lab.File("del.batch", delete.ToString());
        Task storm = Task.Run(() => Lab.Run("ip", "-n", _a.Namespace, "-batch", adds));
        Lab.Eventually(() => Count(_b, "proto bird") > 500, "the storm has reached node-b", 30, _lab.Logs);
        _b.Process!.Kill();
        storm.Wait();
        Lab.Run("ip", "-n", _a.Namespace, "-batch", deletes);
        _b.Start();
        _b.WaitEstablished();
        Lab.Eventually(() => Count(_b, "via 10.0.0.1 dev eth0 proto bird") == (routes / 2) + 1, "the tables agree", 90, () => $"node-b has {Count(_b, "via 10.0.0.1 dev eth0 proto bird")}");
        ping.Interrupt();
        SortedSet<int> answered = PingLog.Answered(Path.Combine(_lab.Folder, "ping.log"));
        Assert.That(answered.Count, Is.GreaterThan(50));
        Assert.That(Enumerable.Range(1, answered.Max).Where(sequence => !answered.Contains(sequence)), Is.Empty, "every packet was answered, 10 ms apart");
    }

    [Test]
    public void Interfaces_and_routes_that_come_and_go_leave_nothing_behind_and_cost_the_same_however_many_there_are()
    {
        bool full = Environment.GetEnvironmentVariable("PIPIT_LONG") is { Length: > 0 };
        const int steps = 10;
        int each = full ? 4_000 : 30;
        for (int step = 0; step < steps; step++)
        {
            StringBuilder add = new();
            for (int i = (step * each) + 1; i <= (step + 1) * each; i++)
            {
                add.Append(System.Globalization.CultureInfo.InvariantCulture, $"link add cali{i} group {Group(step)} type veth peer name p{i}\nlink set cali{i} up\nroute add {Pod(i)} dev cali{i} scope link proto boot\n");
            }

            _lab.File($"add{step}.batch", add.ToString());
        }

        double[] grown = new double[steps];
        double[] shrunk = new double[steps];
        int alone = full ? 200 : 5;
        double[] single = new double[2];
        long idle = Resident();
        (long Memory, int Files) Cycle()
        {
            for (int step = 0; step < steps; step++)
            {
                double before = Spent();
                Lab.Run("ip", "-n", _a.Namespace, "-batch", Path.Combine(_lab.Folder, $"add{step}.batch"));
                Reaches(((step + 1) * each) + 1);
                grown[step] = (Spent() - before) * 1_000_000 / each;
            }

            // Some one by one, as pods go, among all that there are and among the last; the rest a group at a time, as the kernel waits 20 ms for each deletion.
            OneByOne(0, 0, steps * each);
            for (int step = 0; step < steps; step++)
            {
                if (step == steps - 1)
                {
                    OneByOne(1, step, each);
                }

                double before = Spent();
                Lab.Run("ip", "-n", _a.Namespace, "link", "del", "group", Group(step));
                Reaches(((steps - step - 1) * each) + 1);
                shrunk[step] = (Spent() - before) * 1_000_000 / each;
            }

            // What was used is given back a moment after the last of it.
            Lab.Eventually(() => Resident() < idle + (12 * 1024), "the memory has come back", 60, () => $"{idle} kB at first, {Resident()} now");
            (long, int) left = (Resident(), Directory.GetFiles($"/proc/{_a.Process!.Pid}/fd").Length);
            TestContext.Progress.WriteLine(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{steps * each} interfaces came and went: {idle} kB before, {left.Item1} kB after, {left.Item2} descriptors; µs of CPU for an interface that comes: {Figures(grown)}; that goes with others: {Figures(shrunk)}; alone: {Figures(single)}"));
            return left;
        }

        // The first time tables grow to what they need.
        Cycle();
        (long memory, int files) = Cycle();
        (long later, int laterFiles) = Cycle();
        Assert.That(laterFiles, Is.EqualTo(files));
        Assert.That(later - memory, Is.LessThan(8 * 1024), "kB more after another time");
        if (full)
        {
            // The processor's time is counted in ticks of 10 ms: a few interfaces take less than one.
            Assert.That(grown[^1], Is.LessThan(2 * grown[0]), $"µs of CPU for one interface more: {Figures(grown)}");
            Assert.That(single[0], Is.LessThan(2 * single[1]), $"µs of CPU for one interface less among all and among few: {Figures(single)}");
        }

        void OneByOne(int at, int step, int present)
        {
            double before = Spent();
            for (int i = 1; i <= alone; i++)
            {
                Lab.Run("ip", "-n", _a.Namespace, "link", "del", $"cali{(step * each) + i}");
            }

            Reaches(present - alone + 1);
            single[at] = (Spent() - before) * 1_000_000 / alone;
        }

        static string Group(int step) => (100 + step).ToString(System.Globalization.CultureInfo.InvariantCulture);

        static string Figures(double[] values) => string.Join(' ', values.Select(static value => value.ToString("0", System.Globalization.CultureInfo.InvariantCulture)));

        static string Pod(int i) => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"10.{248 + (i >> 16)}.{(i >> 8) & 255}.{i & 255}");

        long Resident() => long.Parse(
            File.ReadLines($"/proc/{_a.Process!.Pid}/status").First(static line => line.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
            System.Globalization.CultureInfo.InvariantCulture);

        // Seconds of processor that node-a's daemon has used, in its own code and in the kernel for it.
        double Spent()
        {
            string[] fields = File.ReadAllText($"/proc/{_a.Process!.Pid}/stat").Split(' ');
            return (long.Parse(fields[13], System.Globalization.CultureInfo.InvariantCulture) + long.Parse(fields[14], System.Globalization.CultureInfo.InvariantCulture)) / 100.0;
        }

        void Reaches(int routes) => Lab.Eventually(() => Count(_b, "via 10.0.0.1 dev eth0 proto bird") == routes, $"node-b has {routes} routes", full ? 600 : 60, () => $"node-b has {Count(_b, "proto bird")}");
    }

    [Test]
    public void A_daemon_in_service_maps_no_cryptography_library()
    {
        // The runtime loads OpenSSL with the first hash or random number of its cryptography: 3.5 MB of every node, for nothing.
        string maps = File.ReadAllText($"/proc/{_a.Process!.Pid}/maps");
        Assert.That(maps, Does.Contain("libc.so"));
        Assert.That(maps, Does.Not.Contain("libcrypto").And.Not.Contain("libssl"));
    }

    [Test]
    public void A_netlink_overrun_is_made_up_for()
    {
        _a.Process!.Terminate();
        _a.Start("PIPIT_NETLINK_RCVBUF=4096");
        _a.WaitEstablished();
        StringBuilder batch = new();
        for (int i = 0; i < 5_000; i++)
        {
            batch.Append(System.Globalization.CultureInfo.InvariantCulture, $"route add 10.244.{128 + (i >> 8)}.{i & 255} dev cali0 scope link proto boot\n");
        }

        Lab.Run("ip", "-n", _a.Namespace, "-batch", _lab.File("storm.batch", batch.ToString()));
        Lab.Eventually(() => Count(_b, "via 10.0.0.1 dev eth0 proto bird") == 5_001, "all routes are on node-b", 60, () => $"node-b has {Count(_b, "via 10.0.0.1 dev eth0 proto bird")}\n" + _lab.Logs());
    }

    private static int Count(PipitNode node, string text) => Lab.Routes(node.Namespace).Split('\n').Count(line => line.Contains(text, StringComparison.Ordinal));

    private static string Config(string name, int number) => $$"""
        version: 1
        node: { name: {{name}}, asn: 64512, ipv4: 10.0.0.{{number}}/24, ipv6: "fd00::{{number}}/64" }
        log: { level: debug }
        pools:
          - { name: v4, cidr: 10.240.0.0/12, tunnel: { mode: none } }
          - { name: v6, cidr: "fd10:244::/64", tunnel: { mode: none } }
        originate:
          - { prefix: 10.244.{{number}}.0/26, kind: blackhole }
          - { prefix: "fd10:244::{{number}}00/122", kind: blackhole }
        kernel: { staleTime: 60s }
        mesh:
          group: mesh
          nodes:
            - { name: node-a, ipv4: 10.0.0.1, ipv6: "fd00::1" }
            - { name: node-b, ipv4: 10.0.0.2, ipv6: "fd00::2" }
        peerGroups:
          mesh: { asn: 64512, timers: { connectRetry: 1s, idleHold: 1s } }
        """;

    private void Has(PipitNode node, string route, bool v6 = false, int seconds = 20) => Lab.Eventually(
        () => Lab.Routes(node.Namespace, v6).Contains(route, StringComparison.Ordinal), $"{node.Namespace} has '{route}'", seconds, () => Lab.Routes(node.Namespace, v6) + _lab.Logs());

    private void HasNot(PipitNode node, string route, bool v6 = false, int seconds = 20) => Lab.Eventually(
        () => !Lab.Routes(node.Namespace, v6).Contains(route, StringComparison.Ordinal), $"{node.Namespace} has no '{route}'", seconds, () => Lab.Routes(node.Namespace, v6) + _lab.Logs());

    /// <summary>Records what the kernel reports of routes, to see gaps that a look at the table would miss.</summary>
    private sealed class Monitor(Lab lab, string ns) : IDisposable
    {
        private readonly Background _process = lab.Monitor(ns, "monitor-" + ns);

        internal bool Deleted(string prefix) => File.ReadLines(Path.Combine(lab.Folder, "monitor-" + ns + ".log"))
            .Any(line => line.StartsWith("Deleted", StringComparison.Ordinal) && line.Contains(prefix, StringComparison.Ordinal));

        public void Dispose() => _process.Dispose();
    }
}
