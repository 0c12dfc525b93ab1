using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>What an operator is told when something is not as it should be: by the command line, the log, the events, the metrics.</summary>
[TestFixture]
public sealed partial class OperatorTests
{
    private const string Config = """
        version: 1
        node: { name: a, asn: 64512, ipv4: 10.0.0.1/24 }
        originate: [ { prefix: 10.70.1.0/24, kind: none } ]
        filters: { in: { rules: [ { match: { prefix: 10.97.0.0/16 }, action: reject } ], default: accept } }
        peerGroups: { g: { asn: 64512, timers: { connectRetry: 1s, idleHold: 1s } } }
        peers:
          - { name: b, address: 10.0.0.2, group: g, import: [in], export: [all] }
          - { name: gone, address: 10.0.0.77, group: g }
          - { name: off, address: 10.0.0.78, group: g, disabled: true }
        """;

    private Lab _lab = null!;
    private PipitNode _a = null!;

    [OneTimeSetUp]
    public void Start()
    {
        _lab = new Lab();
        string a = _lab.Namespace("a");
        string b = _lab.Namespace("b");
        Lab.Link(a, "eth0", ["10.0.0.1/24"], b, "eth0", ["10.0.0.2/24"]);
        Lab.Run("ip", "-n", a, "route", "add", "10.98.1.0/24", "dev", "eth0", "proto", "static");
        _a = new PipitNode(_lab, a, "a", Config).Start();
        new PipitNode(_lab, b, "b", """
            version: 1
            node: { name: b, asn: 64512, ipv4: 10.0.0.2/24 }
            originate: [ { prefix: 10.97.1.0/24, kind: none }, { prefix: 10.98.1.0/24, kind: none }, { prefix: 10.99.1.0/24, kind: none } ]
            peers: [ { name: a, address: 10.0.0.1, asn: 64512, export: [all], timers: { connectRetry: 1s, idleHold: 1s } } ]
            """).Start();
        Lab.Eventually(() => Lab.Routes(a).Contains("10.99.1.0/24 via 10.0.0.2", StringComparison.Ordinal), "b's route is on a", 30, _lab.Logs);

        // Until the neighbour that is gone is given up, nothing is sent to anybody.
        Lab.Eventually(() => !_a.Json("status").GetProperty("gracefulRestart").GetProperty("recovering").GetBoolean(), "the start is over", 30, () => _a.Cli("status").Output + _lab.Logs());
        Lab.Eventually(() => _a.Json("routes", "--to", "b").GetArrayLength() > 0, "a's route is sent", 20, _lab.Logs);
    }

    [OneTimeTearDown]
    public void Stop() => _lab.Dispose();

    [Test]
    public void A_route_that_is_not_there_is_told_from_one_that_was_rejected()
    {
        Assert.That(_a.Cli("routes", "10.97.1.0/24").Error, Is.EqualTo("pipit: no route 10.97.1.0/24; 1 rejected on import (--filtered shows it)\n"));
        Assert.That(_a.Cli("routes", "10.96.1.0/24").Error, Is.EqualTo("pipit: no route 10.96.1.0/24\n"));
        Assert.That(Steps("10.97.1.1"), Does.Contain("import b rejected: filter in rule 1: reject"), "an address is looked up by longest match");
        Assert.That(_a.Cli("routes", "--to", "gone").Error, Does.StartWith("pipit: gone is not established ("));
    }

    [Test]
    public void A_tunnel_device_that_is_missing_is_said_until_it_is_there()
    {
        const string Problem = "the tunnel device tun-x does not exist; routes of pool 'p' that need it are not installed";
        _a.Configure(Config + "\npools: [ { name: p, cidr: 10.99.0.0/16, tunnel: { mode: ipip, device: tun-x } } ]\n");
        Assert.That(_a.Cli("reload", "--wait").Code, Is.Zero);
        Assert.That(_a.Json("status").GetProperty("kernelError").GetString(), Is.EqualTo(Problem));
        Assert.That(Logged("kernel: " + Problem), Is.EqualTo(1));
        Assert.That(Steps("10.99.1.0/24"), Has.Some.EqualTo("kernel - not wanted: the pool's tunnel device does not exist"));

        // Any device of the name will do for this.
        Lab.Run("ip", "-n", _a.Namespace, "link", "add", "tun-x", "type", "veth", "peer", "name", "tun-y");
        Lab.Run("ip", "-n", _a.Namespace, "link", "set", "tun-x", "up");
        Lab.Eventually(() => Lab.Routes(_a.Namespace).Contains("10.99.1.0/24 via 10.0.0.2 dev tun-x", StringComparison.Ordinal), "the route goes into the tunnel", 20, _lab.Logs);
        Assert.That(_a.Json("status").GetProperty("kernelError").GetString(), Is.Null);
        Assert.That(Logged("kernel: what kept routes of pools out is over"), Is.EqualTo(1));
        _a.Configure(Config);
        Assert.That(_a.Cli("reload", "--wait").Code, Is.Zero);
        Lab.Run("ip", "-n", _a.Namespace, "link", "delete", "tun-x");
        Lab.Eventually(() => Lab.Routes(_a.Namespace).Contains("10.99.1.0/24 via 10.0.0.2 dev eth0", StringComparison.Ordinal), "the route goes directly again", 20, _lab.Logs);
    }

    [Test]
    public void A_kernel_route_that_cannot_be_written_has_its_reason_in_the_explanation()
    {
        Assert.That(Steps("10.98.1.0/24"), Has.Some.EqualTo(
            "kernel via 10.0.0.2 dev eth0 wanted, not installed: through the resolved next hop; alien: a route of protocol 4 has the same key; left alone until it goes"));
        Assert.That(Steps("10.99.1.0/24"), Has.Some.EqualTo("kernel via 10.0.0.2 dev eth0 installed: through the resolved next hop"));
    }

    [TestCase("routes")]
    [TestCase("routes", "--filtered")]
    [TestCase("routes", "--received", "b")]
    [TestCase("routes", "--best", "--family", "4")]
    [TestCase("routes", "--to", "b")]
    [TestCase("routes", "10.99.1.7")]
    [TestCase("routes", "10.0.0.0/8", "--longer")]
    public void A_count_is_the_number_of_rows(params string[] words)
    {
        int rows = _a.Json(words).GetArrayLength();
        Assert.That(rows, Is.Positive);
        Assert.That(_a.Cli([.. words, "--count"]).Output, Is.EqualTo($"{rows}\n"));
    }

    [Test]
    public void One_route_and_a_list_agree_on_what_is_in_the_kernel()
    {
        Dictionary<string, bool> all = _a.Json("routes").EnumerateArray().DistinctBy(static row => row.GetProperty("prefix").GetString()!)
            .ToDictionary(static row => row.GetProperty("prefix").GetString()!, static row => row.GetProperty("installed").GetBoolean());
        Assert.That(all["10.99.1.0/24"]);
        Assert.That(all["10.98.1.0/24"], Is.False, "another program's route has the key");
        foreach ((string prefix, bool installed) in all)
        {
            Assert.That(_a.Route(prefix)!.Value.GetProperty("installed").GetBoolean(), Is.EqualTo(installed), prefix);
        }
    }

    [Test]
    public void What_is_sent_has_the_source_of_the_path_behind_it()
    {
        // Another test may just have restarted the session.
        Lab.Eventually(() => _a.Json("routes", "--to", "b").GetArrayLength() > 0, "a's route is sent", 20, _lab.Logs);
        JsonElement sent = _a.Json("routes", "--to", "b")[0];
        Assert.That((sent.GetProperty("prefix").GetString(), sent.GetProperty("from").ValueKind, sent.GetProperty("source").GetString()), Is.EqualTo(("10.70.1.0/24", JsonValueKind.Null, "originate")));
    }

    [Test]
    public void A_command_that_changes_nothing_or_cannot_be_carried_out_says_so()
    {
        Assert.That(_a.Cli("peer", "off", "disable").Output, Is.EqualTo("off: already disabled\n"));
        Assert.That(_a.Cli("peer", "gone", "enable").Output, Is.EqualTo("gone: already enabled\n"));
        Assert.That(_a.Cli("peer", "off", "restart"), Is.EqualTo((1, "", "pipit: off is disabled\n")));
        Assert.That(_a.Cli("wait", "peers-established", "--peer", "off"), Is.EqualTo((1, "", "pipit: off is disabled\n")));
        Assert.That(_a.Cli("wait", "peers-established", "--timeout", "100ms").Error, Does.StartWith("pipit: timeout: not established: gone ("));
    }

    [Test]
    public void A_neighbour_that_is_off_is_one_line_of_the_log_and_not_one_for_every_attempt()
    {
        Lab.Eventually(() => Lines("gone: cannot connect: ") > 0, "the reason is in the log", 30, _lab.Logs);

        // Several attempts later there is still one line.
        string Since() => _a.Json("peer", "gone").GetProperty("since").GetString()!;
        for (int attempt = 0; attempt < 4; attempt++)
        {
            string before = Since();
            Lab.Eventually(() => Since() != before, "it tries again", 30, _lab.Logs);
        }

        Assert.That(Lines("gone: cannot connect: no route to host; retrying"), Is.EqualTo(1), _lab.Logs());
        Assert.That(Lines("gone: "), Is.EqualTo(1), _lab.Logs());
    }

    [Test]
    public void A_refused_reload_stays_visible_until_one_is_taken()
    {
        _a.Configure(Config.Replace("asn: 64512, timers", "asn: many, timers", StringComparison.Ordinal));
        Assert.That(_a.Cli("reload").Code, Is.EqualTo(1));
        Assert.That(_a.Json("status").GetProperty("configErrors")[0].GetString(), Does.Contain("'many' is not an AS number"));
        Assert.That(_a.Cli("status").Output, Does.Contain("refused, the configuration before it runs: "));
        Assert.That(Metrics(), Does.Contain("pipit_config_last_reload_successful 0\n"));
        _a.Configure(Config);
        Assert.That(_a.Cli("reload").Code, Is.Zero);
        Assert.That(_a.Json("status").GetProperty("configErrors").GetArrayLength(), Is.Zero);
        Assert.That(Metrics(), Does.Contain("pipit_config_last_reload_successful 1\n"));
    }

    [Test]
    public void The_end_of_a_session_is_an_event_with_its_reason()
    {
        using Background events = _lab.Start(_a.Namespace, "events", Lab.Pipit, "--socket", Path.Combine(_lab.Folder, "a.sock"), "events", "-f");
        string Seen() => File.ReadAllText(Path.Combine(_lab.Folder, "events.log"));

        // Another peer's attempts show that the watcher is there.
        Lab.Eventually(() => Seen().Contains("gone: ", StringComparison.Ordinal), "events come", 30, Seen);
        Assert.That(_a.Cli("peer", "b", "restart", "--reason", "a new lamp").Code, Is.Zero);
        Lab.Eventually(() => Seen().Contains("peer-up b: established", StringComparison.Ordinal), "b comes back", 30, Seen);
        Assert.That(Seen(), Does.Match("peer-down b: restarted: a new lamp\n(.*\n)*.*peer-up b: established\n"));
        Assert.That(Logged("control: peer b restart by uid 0 pid"), Is.EqualTo(1));
        string[] log = File.ReadAllLines(Path.Combine(_lab.Folder, "a.log"));
        Assert.That(log.Count(static line => line.Contains(" by uid 0", StringComparison.Ordinal)), Is.EqualTo(log.Count(static line => line.Contains("control: ", StringComparison.Ordinal))), "one line for each change");
    }

    [Test]
    public void Metrics_are_valid_and_tell_what_is_off_on_purpose()
    {
        HashSet<string> families = [];
        string family = "";
        foreach (string line in Metrics().Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.StartsWith("# HELP ", StringComparison.Ordinal))
            {
                family = line.Split(' ')[2];
                Assert.That(families.Add(family), $"{family} comes once");
            }
            else if (line.StartsWith("# TYPE ", StringComparison.Ordinal))
            {
                Assert.That(line, Does.Match($"^# TYPE {family} (gauge|counter)$"));
                Assert.That(line.EndsWith("counter", StringComparison.Ordinal), Is.EqualTo(family.EndsWith("_total", StringComparison.Ordinal)), "a counter is called _total, and nothing else is");
            }
            else
            {
                Match sample = Sample().Match(line);
                Assert.That(sample.Success && sample.Groups[1].Value == family, line);
                Assert.That(double.TryParse(sample.Groups[2].Value, NumberStyles.Float, CultureInfo.InvariantCulture, out _), line);
            }
        }

        Assert.That(Metrics(), Does.Contain("pipit_peer_disabled{peer=\"off\"} 1\n").And.Contain("pipit_peer_disabled{peer=\"gone\"} 0\n").And.Match("pipit_peer_sessions_total\\{peer=\"b\"\\} [1-9]"));
    }

    private string Metrics() =>
        Lab.Run("ip", "netns", "exec", _a.Namespace, "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9179; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3").Split("\r\n\r\n", 2)[1];

    private int Lines(string text) => File.ReadLines(Path.Combine(_lab.Folder, "a.log")).Count(line => line.Contains(text, StringComparison.Ordinal));

    /// <summary>The same once there is one: the log is behind what it tells of.</summary>
    private int Logged(string text)
    {
        Lab.Eventually(() => Lines(text) > 0, $"'{text}' is in the log", 20, _lab.Logs);
        return Lines(text);
    }

    private string[] Steps(string prefix) =>
        [.. _a.Json("explain", prefix).GetProperty("steps").EnumerateArray().Select(static step => $"{step.GetProperty("topic")} {step.GetProperty("subject")} {step.GetProperty("verdict")}: {step.GetProperty("reason")}")];

    [GeneratedRegex("^([a-z][a-z0-9_]*)(?:\\{[a-z_]+=\"[^\"\\\\]*\"(?:,[a-z_]+=\"[^\"\\\\]*\")*\\})? (\\S+)$")]
    private static partial Regex Sample();
}
