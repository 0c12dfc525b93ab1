using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Bgp.Interop.Tests.Conformance;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests.Reflector;

/// <summary>A reflector and more clients than it would like, on the loopback.</summary>
[TestFixture]
public sealed class HerdTests
{
    /// <summary>Clients, blocks of each, and how many of them are dialled from both ends. The largest takes gigabytes of loopback traffic.</summary>
    private static IEnumerable<(int Clients, int Blocks, int Both)> Herds =>
        Environment.GetEnvironmentVariable("PIPIT_LONG") is null ? [(1000, 10, 100)] : [(1000, 10, 100), (5000, 20, 100)];

    [TestCaseSource(nameof(Herds))]
    public void All_clients_that_dial_in_one_instant_are_established_and_know_all_routes((int Clients, int Blocks, int Both) size)
    {
        int both = FreePort("127.2.0.1");
        using Node node = new($$"""
            peerGroups:
              clients: { asn: 64512, routeReflectorClient: true, timers: { connectRetry: 1s, idleHold: 1s } }
            dynamicPeers: [ { range: 127.3.0.0/16, group: clients, limit: 10000 } ]
            peers:
            {{string.Concat(Enumerable.Range(0, size.Both).Select(index => $"  - {{ name: both{index}, address: {Address(index, size.Both)}, port: {both}, group: clients, sourceAddress: 127.0.0.1 }}\n"))}}
            """);
        using Herd herd = new(node.EndPoint, size.Clients, size.Blocks);
        Stopwatch watch = Stopwatch.StartNew();
        herd.Dial(index => Address(index, size.Both), size.Both, both);
        Lab.Eventually(() => herd.Clients.All(static client => client.Sessions > 0), "all are established", 120, () => Describe(herd, node));
        TimeSpan established = watch.Elapsed;
        Lab.Eventually(() => herd.Clients.All(client => client is { Sessions: 1, Open: 1 } && client.Known == herd.Others), "all know all", 240, () => Describe(herd, node));
        TestContext.Out.WriteLine($"{size.Clients} clients: established after {established.TotalSeconds:F2} s, converged after {watch.Elapsed.TotalSeconds:F2} s, {node.Memory()}");
        Assert.That(herd.Clients.Skip(size.Both).Sum(static client => client.Lost), Is.Zero, "sessions that were lost");
        JsonElement status = node.Json("status");
        Assert.That(status.GetProperty("peersEstablished").GetInt32(), Is.EqualTo(size.Clients));
        Assert.That(status.GetProperty("prefixes").GetInt32(), Is.EqualTo(size.Clients * size.Blocks));
    }

    [Test]
    public void A_client_that_stops_reading_is_caught_up_and_nobody_waits_for_it()
    {
        using Node node = new("""
            peerGroups:
              clients: { asn: 64512, routeReflectorClient: true }
            dynamicPeers: [ { range: 127.3.0.0/16, group: clients, limit: 100 } ]
            """);
        using Herd herd = new(node.EndPoint, 20, 100);
        herd.Dial(static index => Address(index, 0), 0, 0);
        Lab.Eventually(() => herd.Clients.All(client => client.Known == herd.Others), "all know all", 30, () => Describe(herd, node));
        HerdClient slow = herd.Clients[5];
        slow.Pause();

        // Each round changes 100 prefixes, with a kilobyte of communities each: far more than the log and all socket buffers hold.
        HerdClient source = herd.Clients[0];
        HerdClient fast = herd.Clients[1];
        int round = 0;
        Lab.Eventually(
            () =>
            {
                for (int i = 0; i < 25; i++)
                {
                    long before = fast.Received;
                    source.Send(Churn(round++));
                    Lab.Eventually(() => fast.Received - before > 90_000, "the others go on", 20, () => Describe(herd, node));
                }

                // It does not read, but it is alive.
                slow.Send(Octets.KeepaliveMessage);
                return node.Counter($"clients-{Address(5, 0)}", "detached") > 0;
            },
            "the slow client is detached", 120, () => Describe(herd, node));
        Assert.That(node.Memory("updateLogs"), Is.LessThan(12 << 20), "what is kept in the log");

        // Some of what it knows goes while it does not listen.
        source.Send(Octets.Update([.. Enumerable.Range(0, 50).SelectMany(HerdClient.Block)], [], []));
        Lab.Eventually(() => fast.Known == herd.Others - 50, "the others hear of it", 20, () => Describe(herd, node));
        slow.Resume();
        Lab.Eventually(() => slow.Known == herd.Others - 50, "it knows what the others know", 60, () => Describe(herd, node));
        Assert.That(slow.Lost, Is.Zero);

        // It is told first what is gone: then it knows as much as the others, but the walk that brings it back goes on.
        JsonElement memory = default;
        JsonElement group = default;
        Lab.Eventually(
            () =>
            {
                memory = node.Json("memory");
                group = memory.GetProperty("groups").EnumerateArray().Single();
                return group.GetProperty("detached").GetInt32() == 0;
            },
            "it is detached no longer", 30, () => memory.ToString());
        Assert.Multiple(() =>
        {
            Assert.That(group.GetProperty("members").GetInt32(), Is.EqualTo(20));
            Assert.That(group.GetProperty("advertised").GetInt32(), Is.EqualTo(1950));
            Assert.That(memory.GetProperty("peers").EnumerateArray().Sum(static peer => peer.GetProperty("paths").GetInt32()), Is.EqualTo(1950));
            Assert.That(memory.GetProperty("peers").EnumerateArray().Sum(static peer => peer.GetProperty("pathBytes").GetInt32()), Is.EqualTo(1950 * 16));
            Assert.That(memory.GetProperty("bytes").GetProperty("adjRibOuts").GetInt64(), Is.EqualTo(group.GetProperty("tableBytes").GetInt64()).And.GreaterThan(1950 * 8));
            Assert.That(memory.GetProperty("perUnit").GetProperty("path").GetDouble(), Is.EqualTo(16));
        });

        static byte[] Churn(int round) => [.. Enumerable.Range(0, 100).SelectMany(index => Octets.Update(
            [],
            Octets.Join(
                Octets.Attr(0x40, 1, [0]), Octets.Attr(0x40, 2, []), Octets.Attr(0x40, 3, Octets.U32(0x0B000000u)), Octets.Attr(0x40, 5, Octets.U32(100)),
                Octets.Attr(0xC0, 8, Octets.U32((uint)((round * 100) + index) | 0x10000000u), [.. Enumerable.Range(1, 250).SelectMany(static value => Octets.U32(0x20000000u + (uint)value))])),
            HerdClient.Block(index)))];
    }

    [Test]
    public void A_range_holds_as_many_as_its_limit_and_its_password_holds_for_all_of_it()
    {
        string key = Path.Combine(Path.GetTempPath(), $"pipit-key-{Environment.ProcessId}");
        File.WriteAllText(key, "s3cret\n");
        using Node node = new($$"""
            peerGroups:
              open: { asn: 64512, routeReflectorClient: true }
              keyed: { asn: 64512, routeReflectorClient: true, auth: { md5: { file: {{key}} } } }
            dynamicPeers:
              - { range: 127.3.0.0/24, group: open, limit: 2 }
              - { range: 127.3.1.0/24, group: keyed, limit: 3 }
            """);
        using Speaker first = Speaker.Connect(Who("127.3.0.1"), answers: true, node.EndPoint);
        using Speaker second = Speaker.Connect(Who("127.3.0.2"), answers: true, node.EndPoint);
        Establish(first);
        Establish(second);
        using Speaker third = Speaker.Connect(Who("127.3.0.3"), answers: true, node.EndPoint);
        Assert.That(third.WaitForNotification()?.Body[..2], Is.EqualTo(new byte[] { 6, 8 }), "Cease, Out of Resources");

        // The other range has a limit of its own, and takes nobody without the password, or with another.
        using Speaker keyed = Speaker.Connect(Who("127.3.1.9"), answers: true, node.EndPoint, "s3cret");
        Establish(keyed);
        Assert.That(() => Speaker.Connect(Who("127.3.1.10"), answers: true, node.EndPoint, "wrong", seconds: 2), Throws.InstanceOf<SocketException>());
        Assert.That(() => Speaker.Connect(Who("127.3.1.11"), answers: true, node.EndPoint, seconds: 2), Throws.InstanceOf<SocketException>());

        // One that leaves makes room.
        second.Abort();
        Lab.Eventually(() => node.Peer("open-127.3.0.2").GetProperty("state").GetString() != "established", "it is gone", 10, () => node.Log);
        Lab.Eventually(
            () =>
            {
                using Speaker? again = TryEstablish(Who("127.3.0.5"), node);
                return again is not null;
            },
            "a neighbour takes the place of the one that left", 20, () => node.Log);
        File.Delete(key);

        static Identity Who(string address) => new(address, address, Dut.Asn);

        static void Establish(Speaker speaker)
        {
            speaker.Send(speaker.Who.OpenMessage());
            Assert.That(speaker.WaitForMessage(static message => message.Type == Octets.Keepalive), Is.Not.Null, speaker.Messages());
        }
    }

    [Test]
    public void Too_many_prefixes_end_the_session_and_the_neighbour_waits_longer_each_time()
    {
        using Node node = new("""
            peerGroups:
              clients: { asn: 64512, routeReflectorClient: true, timers: { idleHold: 1s }, families: { ipv4: { maxPrefixes: { count: 10, action: restart } } } }
            dynamicPeers: [ { range: 127.3.0.0/24, group: clients, limit: 2 } ]
            """);
        List<TimeSpan> waits = [];

        // From before the session ends, not from when that is known here: the neighbour may well wait longer, but not less.
        Stopwatch watch = Stopwatch.StartNew();
        for (int time = 0; time < 3; time++)
        {
            Speaker? speaker = null;
            Lab.Eventually(
                () =>
                {
                    speaker?.Dispose();
                    speaker = TryEstablish(new Identity("greedy", "127.3.0.1", Dut.Asn), node);
                    return speaker is not null;
                },
                "it is taken", 30, () => node.Log);
            waits.Add(watch.Elapsed);
            watch.Restart();
            speaker!.Send(Octets.Update(
                [],
                Octets.Join(Octets.Attr(0x40, 1, [0]), Octets.Attr(0x40, 2, []), Octets.Attr(0x40, 3, Octets.U32(0x0B000000u)), Octets.Attr(0x40, 5, Octets.U32(100))),
                [.. Enumerable.Range(0, 11).SelectMany(HerdClient.Block)]));
            Assert.That(speaker.WaitForNotification()?.Body, Is.EqualTo(new byte[] { 6, 1, 0, 1, 1, 0, 0, 0, 10 }), "Cease, Maximum Number of Prefixes Reached, with the limit (RFC 4486)");
            speaker.Dispose();
        }

        // A second, then two; a quarter less or more.
        Assert.That(waits[1], Is.GreaterThan(TimeSpan.FromSeconds(0.6)));
        Assert.That(waits[2], Is.GreaterThan(TimeSpan.FromSeconds(1.4)));
        Lab.Eventually(() => node.Json("status").GetProperty("prefixes").GetInt32() == 0, "its routes are gone", 10, () => node.Log);
    }

    [Test]
    public void A_reflector_without_kernel_opens_no_netlink_socket_and_runs_as_nobody()
    {
        using Node node = new(
            """
            peerGroups:
              clients: { asn: 64512, routeReflectorClient: true }
            dynamicPeers: [ { range: 127.3.0.0/16, group: clients, limit: 100 } ]
            """,
            asNobody: true);
        using Herd herd = new(node.EndPoint, 3, 2);
        herd.Dial(static index => Address(index, 0), 0, 0);
        Lab.Eventually(() => herd.Clients.All(client => client.Known == herd.Others), "all know all", 30, () => Describe(herd, node));
        string uid = File.ReadLines($"/proc/{node.Pid}/status").First(static line => line.StartsWith("Uid:", StringComparison.Ordinal));
        Assert.That(uid.Split('\t')[1], Is.EqualTo("65534"));
        Assert.That(File.ReadLines($"/proc/{node.Pid}/status").First(static line => line.StartsWith("CapEff:", StringComparison.Ordinal)), Does.EndWith("0000000000000000"));

        // The inodes of its sockets against those of all netlink sockets of its namespace.
        HashSet<string> netlink = [.. File.ReadLines($"/proc/{node.Pid}/net/netlink").Skip(1).Select(static line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^1])];
        string[] own = [.. Directory.GetFiles($"/proc/{node.Pid}/fd").Select(static file => new FileInfo(file).LinkTarget ?? "").Where(static link => link.StartsWith("socket:[", StringComparison.Ordinal))];
        Assert.That(own, Is.Not.Empty);
        Assert.That(own.Where(link => netlink.Contains(link[8..^1])), Is.Empty);
    }

    /// <summary>A session, or null where the daemon does not want one now.</summary>
    private static Speaker? TryEstablish(Identity who, Node node)
    {
        try
        {
            Speaker speaker = Speaker.Connect(who, answers: true, node.EndPoint);
            speaker.Send(who.OpenMessage());
            if (speaker.WaitForMessage(static message => message.Type is Octets.Keepalive or Octets.Notification)?.Type == Octets.Keepalive)
            {
                return speaker;
            }

            speaker.Dispose();
        }
        catch (SocketException exception)
        {
            // Refused and closed before connect() had returned.
            TestContext.Out.WriteLine(exception.Message);
        }

        return null;
    }

    private static IPAddress Address(int index, int both) => index < both
        ? new IPAddress([127, 2, 0, (byte)(index + 1)])
        : new IPAddress([127, 3, (byte)(index / 250), (byte)((index % 250) + 1)]);

    private static int FreePort(string address)
    {
        using Socket probe = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        probe.Bind(new IPEndPoint(IPAddress.Parse(address), 0));
        return ((IPEndPoint)probe.LocalEndPoint!).Port;
    }

    private static string Describe(Herd herd, Node node) =>
        string.Join('\n', herd.Clients.Where(client => client.Sessions != 1 || client.Known != herd.Others).Take(10)
            .Select(static client => $"client {client.Number}: {client.Open} connections, {client.Sessions} sessions, {client.Known} known, {client.Notes}")) + "\n" + node.Log;

    /// <summary>A reflector on the loopback.</summary>
    private sealed class Node : IDisposable
    {
        private readonly string _folder = Directory.CreateTempSubdirectory("pipit-herd-").FullName;
        private readonly Background _process;

        internal Node(string config, bool asNobody = false)
        {
            EndPoint = new IPEndPoint(IPAddress.Loopback, FreePort("127.0.0.1"));
            string file = Path.Combine(_folder, "rr.yaml");
            File.WriteAllText(file, $$"""
                version: 1
                node: { name: rr, asn: {{Dut.Asn}}, ipv4: 10.255.0.1, routerId: 10.255.0.1 }
                listen: { address: 127.0.0.1, port: {{EndPoint.Port}} }
                kernel: { enabled: false }
                routeReflector: { clusterId: 0.0.0.10 }
                metrics: { listen: off }
                log: { level: warning }
                {{config}}
                """);
            string[] user = asNobody ? ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"] : [];
            if (asNobody)
            {
                Lab.Run("chown", "-R", "65534:65534", _folder);
            }

            _process = new Background(Path.Combine(_folder, "rr.log"), [.. user, Lab.Pipit, "run", "--config", file, "--socket", Socket]);
            Lab.Eventually(() => Lab.TryRun(Lab.Pipit, "--socket", Socket, "status").Code == 0, "the reflector answers", 30, () => Log);
            Lab.Listens(EndPoint.Port, () => Log);
        }

        internal IPEndPoint EndPoint { get; }

        internal int Pid => _process.Pid;

        internal string Log => File.ReadAllText(Path.Combine(_folder, "rr.log"));

        private string Socket => Path.Combine(_folder, "rr.sock");

        internal JsonElement Json(params string[] words) => JsonDocument.Parse(Lab.Run(Lab.Pipit, ["--socket", Socket, .. words, "-o", "json"])).RootElement;

        internal JsonElement Peer(string name) => Json("peer", name);

        internal long Counter(string peer, string name) => Peer(peer).GetProperty("counters").GetProperty(name).GetInt64();

        internal long Memory(string part) => Json("memory").GetProperty("bytes").GetProperty(part).GetInt64();

        internal string Memory() => string.Create(CultureInfo.InvariantCulture, $"{Memory("process") / 1048576.0:F0} MB");

        public void Dispose()
        {
            _process.Dispose();
            Directory.Delete(_folder, recursive: true);
        }
    }
}
