using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using Bgp.Interop.Tests.Calico;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>Programs that were written for BIRD's control socket, against Pipit's: the real birdc of both generations, and what others parse, rule by rule.</summary>
[TestFixture]
public sealed partial class BirdCompatTests
{
    private Lab _lab = null!;
    private PipitNode _a = null!;
    private string _one = "";
    private string _two = "";

    [OneTimeSetUp]
    public void Start()
    {
        _lab = new Lab();
        string a = _lab.Namespace("a");
        string b = _lab.Namespace("b");
        Lab.Link(a, "eth0", ["10.0.0.1/24", "fd00::1/64"], b, "eth0", ["10.0.0.2/24", "fd00::2/64"]);
        (_one, _two) = (Path.Combine(_lab.Folder, "bird.ctl"), Path.Combine(_lab.Folder, "bird2.ctl"));
        _a = new PipitNode(_lab, a, "a", Config(1) + $$"""

            birdCompat:
              - { path: {{_one}}, dialect: bird1, family: ipv4, readOnly: true }
              - { path: {{_two}}, dialect: bird2 }
            """).Start();
        PipitNode other = new PipitNode(_lab, b, "b", Config(2)).Start();
        _a.WaitEstablished();
        other.WaitEstablished();
        Lab.Eventually(() => Lab.Routes(a).Contains("10.244.2.0/26 via 10.0.0.2", StringComparison.Ordinal), "the route of b is on a", 20, _lab.Logs);
        Lab.Eventually(() => Lab.Routes(b).Contains("10.244.1.0/26 via 10.0.0.1", StringComparison.Ordinal), "the route of a is on b", 20, _lab.Logs);
        Lab.Eventually(() => !_a.Json("status").GetProperty("gracefulRestart").GetProperty("recovering").GetBoolean(), "the start is over", 20, () => _a.Cli("status").Output + _lab.Logs());
    }

    [OneTimeTearDown]
    public void Stop() => _lab.Dispose();

    [Test]
    public void The_birdc_of_BIRD_2_and_that_of_1_6_read_both_dialects()
    {
        foreach (string program in new[] { "birdc", Path.Combine(CalicoNode.BirdFolder, "birdc") })
        {
            foreach (string socket in new[] { _one, _two })
            {
                (int code, string output, string error) = Lab.TryRun(program, ["-s", socket, "show", "protocols"]);
                Assert.That(code, Is.Zero, error);
                Assert.That(output, Does.StartWith("BIRD ").And.Contain("Mesh_10_0_0_2").And.Contain("Established"));
                (code, output, error) = Lab.TryRun(program, ["-s", socket, "show", "route", "10.244.2.0/26", "all"]);
                Assert.That(code, Is.Zero, error);
                Assert.That(output, Does.Contain("BGP.next_hop: 10.0.0.2").And.Contain("BGP.local_pref: 100").And.Contain("Mesh_10_0_0_2"));
                Assert.That(Lab.TryRun(program, ["-s", socket, "show", "status"]).Output, Does.Contain("Daemon is up and running"));
            }
        }

        Assert.That(Lab.TryRun("birdc", ["-s", _two, "show", "route", "9.9.9.0/24"]).Code, Is.EqualTo(1), "birdc's exit code follows the reply code");
        Assert.That(Lab.TryRun("birdc", ["-s", _two, "show", "protocols", "all", "Mesh_10_0_0_2"]).Output, Does.Contain("BGP state:          Established").And.Contain("Channel ipv4").And.Contain("Routes:         1 imported, 1 exported"));
        Assert.That(
            Lab.TryRun("birdc", ["-s", _one, "show", "protocols", "all", "Mesh_10_0_0_2"]).Output, Does.Contain("Neighbor caps:    refresh enhanced-refresh restart-able AS4"), "in BIRD's words");
        Assert.That(
            Lab.TryRun("birdc", ["-s", _one, "show", "route", "export", "Mesh_10_0_0_2"]).Output, Does.Match(@"10\.244\.1\.0/26      blackhole \[static1 [0-9:]+\] \* \(200\)"), "the route of the table");
        Assert.That(Lab.TryRun("birdc", ["-s", _one, "disable", "Mesh_10_0_0_2"]).Output, Does.Contain("Access denied"), "the socket is read only");
        Assert.That(Lab.TryRun("birdc", ["-s", _two, "restart", "\"Mesh_fd00*\""]).Output, Does.Contain("Mesh_fd00__2: restarted"));
        _a.WaitEstablished();
        Assert.That(Lab.TryRun("birdc", ["-s", _two, "configure"]).Output, Does.Contain("Reconfigured"));
    }

    [Test]
    public void Kernel_routes_that_discard_are_called_what_they_are()
    {
        foreach ((string prefix, string type, string bird) in new[] { ("10.77.1.0/24", "blackhole", "blackhole"), ("10.77.2.0/24", "unreachable", "unreachable"), ("10.77.3.0/24", "prohibit", "prohibited") })
        {
            Lab.Run("ip", "-n", _a.Namespace, "route", "add", type, prefix, "proto", "static");
            Lab.Eventually(() => _a.Cli("routes", prefix).Output.Contains("(kernel)", StringComparison.Ordinal), $"{prefix} is learned", 10, _lab.Logs);
            Assert.That(_a.Cli("routes", prefix).Output, Does.Match($@"{prefix} +- +{type} +\(kernel\)"));
            Assert.That(Lab.Run("birdc", "-s", _two, "show", "route", prefix), Does.Match($@"{prefix} +{bird} \[kernel1 "));
            Assert.That(Lab.Run("birdc", "-s", _one, "show", "route", prefix), Does.Match($@"{prefix} +{bird} \[kernel1 "));
        }
    }

    [Test]
    public void Calicos_readiness_probe_and_calicoctl_find_the_peer_established()
    {
        // Their rules: the words of the title exactly; rows by their first character or code; column two is BGP; Global_, Node_ or Mesh_ names; the sixth column is the state.
        string[] lines = Ask(_one, "show protocols");
        List<string> established = [];
        foreach (string line in lines)
        {
            if (line.StartsWith("0001", StringComparison.Ordinal) || line.StartsWith("0000", StringComparison.Ordinal))
            {
                continue;
            }

            string row = line.StartsWith("2002", StringComparison.Ordinal) || line.StartsWith("1002", StringComparison.Ordinal) ? line[5..] : line.StartsWith(' ') ? line[1..] : throw new FormatException(line);
            string[] columns = row.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (line.StartsWith("2002", StringComparison.Ordinal))
            {
                Assert.That(columns, Is.EqualTo(new[] { "name", "proto", "table", "state", "since", "info" }));
            }
            else if (columns.Length >= 6 && columns[1] == "BGP" && PeerName().IsMatch(columns[0]) && columns[5] == "Established")
            {
                Assert.That(columns[3], Is.EqualTo("up"));
                established.Add(columns[0]);
            }
        }

        Assert.That(established, Is.EqualTo(new[] { "Mesh_10_0_0_2" }), "the IPv6 session belongs to the other socket");
        string[] status = Ask(_one, "show status");
        Assert.That(status, Has.Some.StartsWith("1000-BIRD v"));
        Assert.That(status, Has.None.StartsWith("0024"), "no restart is under way");
        Assert.That(status[^1], Is.EqualTo("0013 Daemon is up and running"));
    }

    [Test]
    public void CalicoNodeStatus_understands_every_route_and_the_state_of_the_peer()
    {
        string last = "";
        List<(string Destination, string Source, bool Primary)> routes = [];
        foreach (string line in Ask(_one, "show route").Where(static line => !line.StartsWith('0')))
        {
            string text = line.StartsWith("1007", StringComparison.Ordinal) ? line[5..] : line[1..];
            Match match = Route().Match(text);
            Assert.That(match.Success, Is.True, line);
            last = match.Groups["dest"].Value is { Length: > 0 } destination ? destination : last;
            string from = match.Groups["from"].Value;
            Assert.That(from, Does.Match("^(kernel|static|direct|Global_|Node_|Mesh_)"), line);
            routes.Add((last, from, text.Contains("] *", StringComparison.Ordinal)));
        }

        Assert.That(routes, Does.Contain(("10.244.2.0/26", "Mesh_10_0_0_2", true)).And.Contain(("10.244.1.0/26", "static1", true)));
        string[] details = Ask(_one, "show protocols all Mesh_10_0_0_2");
        Assert.That(details, Has.Some.Match(@"BGP state:\s+Established").And.Some.Match(@"Neighbor address:\s+10\.0\.0\.2"));
    }

    [Test]
    public void An_exporter_finds_protocol_uptime_and_counts()
    {
        string[] lines = Ask(_two, "show protocols all");
        Match[] protocols = [.. lines.Select(static line => Exporter().Match(line.TrimStart())).Where(static match => match.Success)];
        Assert.That(protocols.Select(static match => match.Groups[1].Value), Is.SupersetOf(new[] { "device1", "kernel1", "static1", "Mesh_10_0_0_2", "Mesh_fd00__2" }));
        Assert.That(protocols.Single(static match => match.Groups[1].Value == "Mesh_10_0_0_2").Groups[5].Value, Does.Match(@"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"));
        Assert.That(lines.Select(static line => ExporterRoutes().Match(line)).Where(static match => match.Success).Select(static match => (match.Groups[1].Value, match.Groups[3].Value)), Has.Some.EqualTo(("1", "1")));
    }

    private static string[] Ask(string socket, string command)
    {
        using Socket client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 10_000 };
        client.Connect(new UnixDomainSocketEndPoint(socket));
        client.Send(Encoding.UTF8.GetBytes(command + "\n"));
        client.Shutdown(SocketShutdown.Send);
        StringBuilder text = new();
        byte[] buffer = new byte[8192];
        for (int got; (got = client.Receive(buffer)) > 0;)
        {
            text.Append(Encoding.UTF8.GetString(buffer, 0, got));
        }

        return text.ToString().TrimEnd('\n').Split('\n');
    }

    private static string Config(int number) => $$"""
        version: 1
        node: { name: n{{number}}, asn: 64512, ipv4: 10.0.0.{{number}}/24, ipv6: "fd00::{{number}}/64" }
        pools: [ { name: v4, cidr: 10.244.0.0/16, tunnel: { mode: none } }, { name: v6, cidr: "fd10:244::/64" } ]
        originate: [ { prefix: 10.244.{{number}}.0/26 }, { prefix: "fd10:244::{{number}}00/122" } ]
        mesh: { group: mesh, nodes: [ { name: n1, ipv4: 10.0.0.1, ipv6: "fd00::1" }, { name: n2, ipv4: 10.0.0.2, ipv6: "fd00::2" } ] }
        peerGroups: { mesh: { asn: 64512, timers: { connectRetry: 1s, idleHold: 1s } } }
        """;

    [GeneratedRegex("^(Global|Node|Mesh)_(.+)$")]
    private static partial Regex PeerName();

    [GeneratedRegex(@"^(?<dest>\S*)\s*(via\s\S+\son\s\S+|dev\s\S+|blackhole|unreachable)\s\[(?<from>\S+)\s.*\].*$")]
    private static partial Regex Route();

    [GeneratedRegex(@"^(?:1002-)?(\S+)\s+(BGP|Device|Direct|Kernel|Static)\s+(\S+)\s+(\S+)\s+(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(?:|\.\d+)|\S+)(?:\s+(.*?))?$")]
    private static partial Regex Exporter();

    [GeneratedRegex(@"^\s+Routes:\s+(\d+) imported, (?:(\d+) filtered, )?(\d+) exported")]
    private static partial Regex ExporterRoutes();
}
