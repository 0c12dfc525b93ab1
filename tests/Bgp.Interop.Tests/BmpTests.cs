using System.Globalization;
using System.Text.Json;
using Bgp.Daemon.Tests.Bmp;
using Bgp.Interop.Tests.Rig;
using Bgp.Protocol;

namespace Bgp.Interop.Tests;

/// <summary>
/// A reflector with BIRD (both families, two sessions) and GoBGP (ADD-PATH) as neighbours and two stations, both pmacct's pmbmpd: one is told everything, the other the
/// Adj-RIBs-In. What they are told is read three times: by pmbmpd, by tshark, and by a collector that rebuilds the RIBs from the captured octets.
/// </summary>
/// <remarks>One topology serves all tests; each begins with everybody up and everything announced.</remarks>
[TestFixture]
public sealed class BmpTests
{
    private const int All = 11019;
    private const int Peers = 11020;
    private static readonly IpAddr s_bird4 = IpAddr.Parse("10.1.0.2");
    private static readonly IpAddr s_bird6 = IpAddr.Parse("fd01::2");
    private static readonly IpAddr s_gobgp = IpAddr.Parse("10.2.0.2");

    private Lab _lab = null!;
    private PipitNode _pipit = null!;
    private readonly List<Background> _birds = [];
    private string _station = "";
    private string _birdNs = "";
    private string _gobgpNs = "";
    private string _capture = "";

    [OneTimeSetUp]
    public void Start()
    {
        _lab = new Lab();
        string us = _lab.Namespace("us");
        _birdNs = _lab.Namespace("bird");
        _gobgpNs = _lab.Namespace("gobgp");
        _station = _lab.Namespace("station");
        Lab.Link(us, "eth0", ["10.1.0.1/24", "fd01::1/64"], _birdNs, "eth0", ["10.1.0.2/24", "fd01::2/64"]);
        Lab.Link(us, "eth1", ["10.2.0.1/24"], _gobgpNs, "eth0", ["10.2.0.2/24"]);
        Lab.Link(us, "eth2", ["10.9.0.1/24"], _station, "eth0", ["10.9.0.2/24"]);
        (_capture, _) = _lab.Capture(_station, "eth0", "tcp", "portrange", "11019-11020");
        Collect(All);
        Collect(Peers);
        StartBird();
        StartGoBgp();
        _pipit = new PipitNode(_lab, us, "us", Config("pre"));
    }

    [SetUp]
    public void Everybody_is_here()
    {
        if (_pipit.Process is not { HasExited: false })
        {
            _pipit.Start();
        }

        _pipit.WaitEstablished(60);
        Configure(Config("pre"));
        _pipit.WaitEstablished(60);
        Bird("enable", "s6");
        foreach (string prefix in (string[])["10.60.1.0/24", "10.60.3.0/24", "10.98.1.0/24", "10.99.1.0/24"])
        {
            InGoBgp("global", "rib", "add", prefix, "community", "64512:200");
        }

        Lab.Eventually(
            () => _pipit.Json("routes", "--received", "gobgp").GetArrayLength() >= 4 && _pipit.Route("fd60:1::/64") is not null && _pipit.Route("10.60.2.0/24") is not null,
            "the table is filled", 30, _lab.Logs);
        Synced();
    }

    [OneTimeTearDown]
    public void Stop() => _lab.Dispose();

    [Test]
    public void The_station_has_what_neighbours_sent_what_import_left_and_what_was_selected()
    {
        BmpCollector told = PictureIsTheTable();
        Assert.Multiple(() =>
        {
            Assert.That(told.Initiation[2], Is.EqualTo("us"));
            Assert.That(told.Rib(BmpPeerType.GlobalInstance, s_bird4).Keys, Does.Contain(("10.60.1.0/24", 0u)));
            Assert.That(told.Rib(BmpPeerType.GlobalInstance, s_bird6).Keys, Does.Contain(("fd60:1::/64", 0u)));
        });
        CollectedPeer gobgp = told.Peers[(BmpPeerType.GlobalInstance, s_gobgp)];
        Assert.That(gobgp.Local, Is.EqualTo(IpAddr.Parse("10.2.0.1")));
        Assert.That(gobgp.LocalPort == 179 || gobgp.RemotePort == 179);
        Assert.That(gobgp.Negotiated.AddPathReceive(AfiSafi.Ipv4Unicast), "ADD-PATH is in the OPENs");
        Dictionary<(string Prefix, uint PathId), string> pre = told.Rib(BmpPeerType.GlobalInstance, s_gobgp);
        Dictionary<(string Prefix, uint PathId), string> post = told.Rib(BmpPeerType.GlobalInstance, s_gobgp, postPolicy: true);
        (string, uint) edited = pre.Keys.Single(static key => key.Prefix == "10.98.1.0/24");
        Assert.That(edited.Item2, Is.Not.Zero, "its identifier");

        // COMMUNITIES (8) and LOCAL_PREF (5): as they came, and as the rule left them.
        Assert.That(pre[edited], Does.Contain("8:FC0000C8").And.Contain("5:00000064"));
        Assert.That(post[edited], Does.Contain("8:FC0000C8FC00004D").And.Contain("5:0000004D"));
        Assert.That(pre.Keys.Select(static key => key.Prefix), Does.Contain("10.99.1.0/24"));
        Assert.That(post.Keys.Select(static key => key.Prefix), Does.Not.Contain("10.99.1.0/24"), "rejected by import");
        Assert.That(told.Rib(BmpPeerType.LocRib, default).Keys, Does.Contain(("10.50.0.0/24", 0u)), "this host's own");
    }

    [Test]
    public void The_picture_follows_withdrawals_changes_and_policies()
    {
        InGoBgp("global", "rib", "del", "10.60.3.0/24");
        InGoBgp("global", "rib", "add", "10.60.4.0/24", "community", "64512:300", "med", "7");
        Bird("disable", "s6");
        Lab.Eventually(() => _pipit.Route("10.60.3.0/24") is null && _pipit.Route("fd60:1::/64") is null && _pipit.Route("10.60.4.0/24") is not null, "the table has it", 20, _lab.Logs);
        PictureIsTheTable();
        Assert.That(Told(All).Rib(BmpPeerType.GlobalInstance, s_bird6), Is.Empty);

        // Another import policy, judged from what is stored: no packet, and another picture behind the L flag.
        Configure(Config("pre").Replace("10.99.0.0/16", "10.60.0.0/16", StringComparison.Ordinal));
        Lab.Eventually(() => _pipit.Route("10.99.1.0/24") is { } route && route.GetProperty("rejectedBy").ValueKind == JsonValueKind.Null, "the other one is rejected", 20, _lab.Logs);
        PictureIsTheTable();
        Assert.That(Told(All).Rib(BmpPeerType.GlobalInstance, s_gobgp, postPolicy: true).Keys.Select(static key => key.Prefix), Does.Contain("10.99.1.0/24").And.Not.Contain("10.60.4.0/24"));
        Configure(Config("pre"));
        PictureIsTheTable();
    }

    [Test]
    public void A_reload_gives_one_station_another_stream_and_costs_neither_a_session_nor_the_other_station_anything()
    {
        // What was captured is behind what was sent.
        PictureIsTheTable();
        Lab.Eventually(() => Streams(Peers).Count > 0, "the capture has both", 20, _lab.Logs);
        int[] sessions = Sessions();
        int connections = Streams(All).Count;
        int before = Streams(Peers).Count;
        string output = Configure(Config("post"));
        Assert.That(output, Does.Contain("bmp").And.Contain("peers").And.Not.Contain("gobgp"));
        Lab.Eventually(() => Streams(Peers).Count == before + 1, "a new connection", 20, _lab.Logs);
        Synced();
        PictureIsTheTable();

        // The old connection ends while the new one begins.
        Lab.Eventually(() => Told(Peers, before - 1).Termination is not null, "Termination", 20, _lab.Logs);
        Assert.That(Told(Peers, before - 1).Termination, Is.EqualTo((ushort)BmpTerminationReason.AdministrativelyClosed));
        Lab.Eventually(() => Told(Peers).Rib(BmpPeerType.GlobalInstance, s_gobgp, postPolicy: true).Count > 0, "what import left", 20, _lab.Logs);
        Assert.That(Told(Peers).Rib(BmpPeerType.GlobalInstance, s_gobgp), Is.Empty, "and nothing else");
        Assert.That(Streams(All), Has.Count.EqualTo(connections), "the other station's connection");
        Assert.That(Sessions(), Is.EqualTo(sessions), "sessions");
    }

    [Test]
    public void Every_end_of_a_session_has_its_reason()
    {
        byte[] data = Ends(s_bird4, BmpPeerDownReason.LocalNotification, () => _pipit.Cli("peer", "bird4", "restart", "--reason", "one"));
        Assert.That(data[18..21], Is.EqualTo(new byte[] { (byte)MessageType.Notification, ErrorCode.Cease, CeaseSubcode.AdministrativeReset }));
        _pipit.WaitEstablished(60);

        data = Ends(s_gobgp, BmpPeerDownReason.RemoteNotification, () => InGoBgp("neighbor", "10.2.0.1", "shutdown"));
        Assert.That(data[18..20], Is.EqualTo(new byte[] { (byte)MessageType.Notification, ErrorCode.Cease }));
        PictureIsTheTable();
        InGoBgp("neighbor", "10.2.0.1", "enable");
        _pipit.WaitEstablished(60);
        PictureIsTheTable();

        Ends(s_bird4, BmpPeerDownReason.RemoteNoNotification, () => _birds[^1].Kill());
        PictureIsTheTable();
        StartBird();
        _pipit.WaitEstablished(60);
        PictureIsTheTable();

        Ends(s_bird6, BmpPeerDownReason.Deconfigured, () => Configure(Config("pre").Replace("- { name: bird6", "# - { name: bird6", StringComparison.Ordinal)));
    }

    [Test]
    public void Metrics_and_status_tell_of_the_stations()
    {
        JsonElement[] stations = [.. _pipit.Json("status").GetProperty("bmp").EnumerateArray()];
        Assert.That(stations.Select(static item => item.GetProperty("state").GetString()), Is.EqualTo(new[] { "up", "up" }));
        Assert.That(stations[0].GetProperty("messagesSent").GetInt64(), Is.GreaterThan(10));
        Assert.That(_pipit.Cli("status").Output, Does.Contain("BMP all").And.Contain("up for").And.Contain("(pre, post, locRib)"));
        string metrics = Lab.Run("ip", "netns", "exec", _pipit.Namespace, "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9179; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3");
        Assert.That(metrics, Does.Contain("pipit_bmp_up{station=\"all\"} 1").And.Contain("pipit_bmp_drops_total{station=\"peers\"} 0").And.Contain("pipit_bmp_bytes_sent_total{station=\"all\"}"));
    }

    [Test]
    public void The_daemon_ends_with_Peer_Downs_and_a_Termination_and_neither_tshark_nor_pmacct_finds_anything_wrong_in_all_of_it()
    {
        InGoBgp("global", "rib", "del", "10.60.3.0/24");
        Lab.Eventually(() => _pipit.Route("10.60.3.0/24") is null, "it is withdrawn", 20, _lab.Logs);
        Lab.Eventually(() => Told(Peers).Statistics.Count == 3, "statistics of all", 20, _lab.Logs);

        // BIRD knows graceful restart: nothing is said to it. ManualStop is event 2.
        byte[] data = Ends(s_bird4, BmpPeerDownReason.LocalNoNotification, () => Assert.That(_pipit.Process!.Terminate(), Is.Zero));
        Assert.That(data, Is.EqualTo(new byte[] { 0, 2 }));
        Lab.Eventually(() => Told(All).Termination is not null && Told(Peers).Termination is not null, "Termination", 20, _lab.Logs);
        BmpCollector told = Told(All);
        Assert.That(told.Termination, Is.EqualTo((ushort)BmpTerminationReason.AdministrativelyClosed));
        Assert.That(told.Peers.Keys.Select(static key => key.Type), Is.All.EqualTo(BmpPeerType.LocRib));

        string[] messages = [.. Tshark($"tcp.dstport == {Peers} && bmp", "bmp.type").SelectMany(static line => line.Split(',')).Distinct().Order()];
        Assert.That(messages, Is.EqualTo(new[] { "0", "1", "2", "3", "4", "5" }), "every kind of message but mirrors");
        Assert.That(Tshark($"tcp.dstport == {Peers} && (_ws.malformed || _ws.expert.severity >= 0x600000)", "_ws.expert.message"), Is.Empty);

        // This version takes the table's name behind the OPENs of a Loc-RIB's Peer Up (RFC 9069 section 5.2.1) for one more BGP message.
        Assert.That(Tshark($"tcp.dstport == {All} && (_ws.malformed || _ws.expert.severity >= 0x600000)", "bmp.type").Select(static line => line.Split(',')), Is.All.Contain("3"));
        Assert.That(Tshark($"tcp.dstport == {All} && (_ws.malformed || _ws.expert.severity >= 0x600000)", "bmp.type"), Has.Count.EqualTo(Streams(All).Count));
        Assert.That(Tshark($"tcp.dstport == {All} && bmp.peer.flags.post_policy == 1", "frame.number"), Is.Not.Empty);
        Assert.That(Tshark($"tcp.dstport == {All} && bmp.peer.type == 3", "frame.number"), Is.Not.Empty);

        // pmbmpd reads, and writes, in its own time.
        JsonElement[] log = [];
        Lab.Eventually(
            () => (log = Logged(All)).Any(static item => Text(item, "bmp_msg_type") == "term")
                && File.ReadAllText(Path.Combine(_lab.Folder, $"pmbmpd-{All}.log")).Contains("BMP Term message received", StringComparison.Ordinal),
            "pmbmpd has read all of it", 20, () => string.Join('\n', log) + _lab.Logs());
        static string Text(JsonElement item, string key) => item.TryGetProperty(key, out JsonElement value) ? value.ToString() : "";
        Assert.That(log, Has.Some.Matches<JsonElement>(item => Text(item, "bmp_msg_type") == "init" && Text(item, "bmp_init_info_sysname") == "us"));
        Assert.That(log, Has.Some.Matches<JsonElement>(item => Text(item, "bmp_msg_type") == "peer_up" && Text(item, "peer_ip") == "fd01::2" && Text(item, "local_ip") == "fd01::1"));
        Assert.That(log, Has.Some.Matches<JsonElement>(item => Text(item, "bmp_msg_type") == "peer_up" && Text(item, "is_loc") == "1"));
        Assert.That(log, Has.Some.Matches<JsonElement>(item =>
            Text(item, "log_type") == "update" && Text(item, "ip_prefix") == "10.60.1.0/24" && Text(item, "peer_ip") == "10.1.0.2" && Text(item, "is_post") == "0"
            && Text(item, "comms") == "64512:200" && Text(item, "lcomms") == "64512:1:2" && Text(item, "med") == "50"));
        Assert.That(log, Has.Some.Matches<JsonElement>(item => Text(item, "log_type") == "update" && Text(item, "ip_prefix") == "fd60:1::/64" && Text(item, "is_loc") == "1"));
        Assert.That(log, Has.Some.Matches<JsonElement>(item => Text(item, "log_type") == "withdraw" && Text(item, "ip_prefix") == "10.60.3.0/24" && Text(item, "is_post") == "0"));
        Assert.That(log, Has.Some.Matches<JsonElement>(item => Text(item, "counter_type") == "9" && Text(item, "peer_ip") == "10.1.0.2"));
        Assert.That(File.ReadAllText(Path.Combine(_lab.Folder, $"pmbmpd-{All}.log")), Does.Not.Contain("ERROR").And.Contain("BMP Term message received"));
    }

    private static string Config(string policy) => $$"""
        version: 1
        node: { name: us, asn: 64512, ipv4: 10.1.0.1, ipv6: "fd01::1" }
        log: { level: debug }
        kernel: { enabled: false }
        routeReflector: {}
        originate: [ { prefix: 10.50.0.0/24, kind: none } ]
        filters:
          some:
            rules:
              - { match: { prefix: 10.99.0.0/16 }, action: reject }
              - { match: { prefix: 10.98.0.0/16 }, set: { localPref: 77, addCommunities: ["64512:77"] }, action: accept }
            default: accept
        peerGroups:
          g: { asn: 64512, routeReflectorClient: true, timers: { hold: 9s, connectRetry: 1s, idleHold: 1s } }
        peers:
          - { name: bird4, address: 10.1.0.2, group: g }
          - { name: gobgp, address: 10.2.0.2, group: g, import: [some] }
          - { name: bird6, address: "fd01::2", group: g }
        bmp:
          - { name: all, address: 10.9.0.2, policy: [pre, post, locRib], statsInterval: 1s, connectRetry: 1s }
          - { name: peers, address: 10.9.0.2, port: 11020, policy: {{policy}}, statsInterval: 1s, connectRetry: 1s }
        """;

    /// <summary>What pmbmpd has written, without a line that it is still writing.</summary>
    private JsonElement[] Logged(int port)
    {
        string text = File.ReadAllText(Path.Combine(_lab.Folder, $"pmbmpd-{port}.json"));
        return [.. text[..(text.LastIndexOf('\n') + 1)].Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static line => JsonDocument.Parse(line).RootElement)];
    }

    private void Collect(int port)
    {
        string config = _lab.File($"pmbmpd-{port}.conf", $"""
            bmp_daemon_ip: 10.9.0.2
            bmp_daemon_port: {port}
            bmp_daemon_msglog_file: {_lab.Folder}/pmbmpd-{port}.json
            bmp_daemon_msglog_output: json
            """);
        _lab.Start(_station, $"pmbmpd-{port}", "pmbmpd", "-f", config);
        Lab.Eventually(() => Lab.Run("ip", "netns", "exec", _station, "cat", "/proc/net/tcp").Contains($":{port:X4} ", StringComparison.Ordinal), "pmbmpd listens", 20, _lab.Logs);
    }

    private void StartBird() => _birds.Add(_lab.Start(_birdNs, "bird", "bird", "-f", "-c", _lab.File("bird.conf", """
        router id 10.1.0.2;
        log stderr all;
        protocol device {}
        protocol direct { ipv4; ipv6; }
        protocol static s4 { ipv4; route 10.60.1.0/24 blackhole { bgp_med = 50; bgp_community.add((64512,200)); bgp_large_community.add((64512,1,2)); }; route 10.60.2.0/24 blackhole; }
        protocol static s6 { ipv6; route fd60:1::/64 blackhole; }
        template bgp t { hold time 9; connect retry time 1; error wait time 1,2; connect delay time 1; }
        protocol bgp us4 from t { local 10.1.0.2 as 64512; neighbor 10.1.0.1 as 64512; ipv4 { import all; export where source = RTS_STATIC; next hop self; }; }
        protocol bgp us6 from t { local fd01::2 as 64512; neighbor fd01::1 as 64512; ipv6 { import all; export where source = RTS_STATIC; next hop self; }; }
        """), "-s", Path.Combine(_lab.Folder, "bird.ctl"), "-P", Path.Combine(_lab.Folder, "bird.pid")));

    private void StartGoBgp() => GoBgpDaemon.Start(_lab, _gobgpNs, "gobgpd", ["10.2.0.2"], GoBgpDaemon.Neighbour("10.2.0.1", familySections: """
            [neighbors.afi-safis.add-paths.config]
              send-max = 4
        """));

    private string InGoBgp(params string[] words)
    {
        (int code, string output, string error) = Lab.TryRun("ip", ["netns", "exec", _gobgpNs, "gobgp", .. words]);
        return output + (code == 0 ? "" : error);
    }

    private void Synced() => Lab.Eventually(
        () => _pipit.Json("status").GetProperty("bmp").EnumerateArray().All(static item => item.GetProperty("state").GetString() == "up" && item.GetProperty("queuedBytes").GetInt64() == 0),
        "the stations have all", 30, () => _pipit.Json("status") + _lab.Logs());

    private int[] Sessions() => [.. ((string[])["bird4", "gobgp", "bird6"]).Select(name => _pipit.Json("peer", name).GetProperty("resets").GetArrayLength())];

    private List<string> Tshark(string filter, string field) => [.. Lab.TryRun(
        "tshark", "-r", _capture, "-d", $"tcp.port=={All},bmp", "-d", $"tcp.port=={Peers},bmp", "-Y", filter, "-T", "fields", "-e", field).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)];

    /// <summary>The octets of each connection to a station, in order.</summary>
    private List<byte[]> Streams(int port)
    {
        SortedDictionary<int, SortedDictionary<long, byte[]>> streams = [];
        string text = Lab.TryRun("tshark", "-r", _capture, "-Y", $"tcp.dstport == {port} && tcp.len > 0", "-T", "fields", "-e", "tcp.stream", "-e", "tcp.seq", "-e", "tcp.payload").Output;
        foreach (string[] fields in text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static line => line.Split('\t')))
        {
            int stream = int.Parse(fields[0], CultureInfo.InvariantCulture);
            if (!streams.TryGetValue(stream, out SortedDictionary<long, byte[]>? segments))
            {
                streams[stream] = segments = [];
            }

            segments[long.Parse(fields[1], CultureInfo.InvariantCulture)] = Convert.FromHexString(fields[2]);
        }

        List<byte[]> all = [];
        foreach (SortedDictionary<long, byte[]> segments in streams.Values)
        {
            List<byte> octets = [];
            foreach ((long sequence, byte[] payload) in segments)
            {
                // What was sent twice is taken once; the first octet has number 1.
                int known = (int)(octets.Count + 1 - sequence);
                octets.AddRange(payload.AsSpan(Math.Clamp(known, 0, payload.Length)));
            }

            all.Add([.. octets]);
        }

        return all;
    }

    /// <summary>What a station was told over one of its connections, by default the latest.</summary>
    private BmpCollector Told(int port, int? stream = null)
    {
        BmpCollector collector = new();
        List<byte[]> streams = Streams(port);
        if (streams.Count > 0)
        {
            collector.Feed(streams[stream ?? streams.Count - 1]);
        }

        return collector;
    }

    /// <summary>Does something that ends a session: what its Peer Down says.</summary>
    private byte[] Ends(IpAddr address, BmpPeerDownReason reason, Action action)
    {
        int before = Downs().Length;
        action();
        Lab.Eventually(() => Downs().Length > before, $"Peer Down of {address}", 20, _lab.Logs);
        Assert.That(Downs()[before].Reason, Is.EqualTo(reason));
        return Downs()[before].Data;

        (IpAddr Address, BmpPeerDownReason Reason, byte[] Data)[] Downs() => [.. Told(All).Downs.Where(down => down.Address == address)];
    }

    private string Configure(string config)
    {
        _pipit.Configure(config);
        (int code, string output, string error) = _pipit.Cli("reload", "--wait");
        Assert.That(code, Is.Zero, error);
        return output;
    }

    private void Bird(params string[] words) => Lab.TryRun("ip", ["netns", "exec", _birdNs, "birdc", "-s", Path.Combine(_lab.Folder, "bird.ctl"), .. words]);

    /// <summary>The capture lags behind; once it has caught up, the picture of each RIB is that of the command line.</summary>
    /// <returns>What the station was told by then.</returns>
    private BmpCollector PictureIsTheTable()
    {
        string seen = "";
        BmpCollector told = new();
        Lab.Eventually(
            () =>
            {
                told = Told(All);
                seen = "";
                foreach ((string name, IpAddr address) in new[] { ("bird4", s_bird4), ("bird6", s_bird6), ("gobgp", s_gobgp) })
                {
                    bool up = _pipit.Json("peer", name).GetProperty("state").GetString() == "established";
                    JsonElement[] received = up ? [.. _pipit.Json("routes", "--received", name).EnumerateArray()] : [];
                    Compare($"{name} before import", told.Rib(BmpPeerType.GlobalInstance, address), received);
                    Compare($"{name} after import", told.Rib(BmpPeerType.GlobalInstance, address, postPolicy: true), received.Where(static item => item.GetProperty("rejectedBy").ValueKind == JsonValueKind.Null));
                }

                string[] selected = [.. _pipit.Json("routes", "--best").EnumerateArray().Select(static item => item.GetProperty("prefix").GetString()!)];
                string[] known = [.. told.Rib(BmpPeerType.LocRib, default).Keys.Select(static key => key.Prefix)];
                seen += selected.ToHashSet().SetEquals(known) ? "" : $"selected: {string.Join(' ', selected)}, told {string.Join(' ', known)}\n";
                return seen.Length == 0;

                void Compare(string what, Dictionary<(string Prefix, uint PathId), string> picture, IEnumerable<JsonElement> table)
                {
                    string[] wanted = [.. table.Select(static item => $"{item.GetProperty("prefix").GetString()}/{PathId(item)}")];
                    string[] has = [.. picture.Keys.Select(static key => $"{key.Prefix}/{key.PathId}")];
                    seen += wanted.ToHashSet().SetEquals(has) ? "" : $"{what}: {string.Join(' ', wanted)}, told {string.Join(' ', has)}\n";
                }
            },
            "the picture is the table", 20, () => seen + _lab.Logs());
        return told;

        static uint PathId(JsonElement route) => route.TryGetProperty("pathId", out JsonElement id) && id.ValueKind == JsonValueKind.Number ? id.GetUInt32() : 0;
    }
}
