using System.Text.Json;
using Bgp.Interop.Tests.Calico;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>
/// Two daemons of one host, BIRD 1.6 on port 150 and BIRD 2 on port 166, of the same AS, both of which call and listen: two peers with one address here. Each
/// announces a prefix that says who it is.
/// </summary>
[TestFixture]
public sealed class SharedAddressTests
{
    private const string Old = "10.81.150.0/24";
    private const string New = "10.81.166.0/24";

    private Lab _lab = null!;
    private PipitNode _pipit = null!;
    private string _host = "";

    [SetUp]
    public void Start()
    {
        _lab = new Lab();
        string ours = _lab.Namespace("us");
        _host = _lab.Namespace("host");
        Lab.Link(ours, "eth0", ["10.1.0.1/24"], _host, "eth0", ["10.1.0.2/24"]);
        _pipit = new PipitNode(_lab, ours, "us", Config());
    }

    [TearDown]
    public void Stop() => _lab.Dispose();

    [Test]
    public void Each_peer_has_the_daemon_on_its_port_whoever_calls()
    {
        StartFirst();
        Background second = StartSecond();
        _pipit.Start();
        Settled();
        int sessions = Sessions("first");

        // It is met again by the identifier that it had, and nothing happens to the other one.
        for (int i = 0; i < 3; i++)
        {
            second.Kill();
            Lab.Eventually(() => !IsUp("second"), "the second one is down", 30, Seen);
            second = StartSecond();
            Settled();
        }

        Assert.That(Sessions("first"), Is.EqualTo(sessions));
        (int code, _, string error) = _pipit.Cli("peer", "10.1.0.2");
        Assert.That((code, error.Trim()), Is.EqualTo((1, "pipit: 10.1.0.2 is the address of 2 peers; give a name: first, second")));
    }

    [Test]
    public void A_daemon_that_only_listens_and_one_that_only_calls_find_their_peers()
    {
        StartFirst("passive on;");
        StartSecond();
        _pipit.Configure(Config(second: "passive: true"));
        _pipit.Start();
        Settled();
    }

    [Test]
    public void A_reload_that_adds_or_removes_one_of_them_leaves_the_other_alone()
    {
        StartFirst();
        StartSecond();
        _pipit.Start();
        Settled();
        int sessions = Sessions("first");
        _pipit.Configure(Config(withSecond: false));
        Assert.That(_pipit.Cli("reload", "--wait").Code, Is.Zero);
        Lab.Eventually(() => _pipit.Route(New) is null, "the second one's route is gone", 20, Seen);
        _pipit.Configure(Config());
        Assert.That(_pipit.Cli("reload", "--wait").Code, Is.Zero);
        Settled();
        Assert.That(Sessions("first"), Is.EqualTo(sessions));
    }

    [Test]
    public void One_password_holds_for_all_daemons_of_the_host()
    {
        File.WriteAllText(Path.Combine(_lab.Folder, "key"), "s3cret\n");
        string auth = "auth: { md5: { file: key } }";
        _pipit.Configure(Config(first: auth, second: auth));
        StartFirst("password \"s3cret\";");
        StartSecond("password \"s3cret\";");
        _pipit.Start();
        Settled();
    }

    private void Settled()
    {
        Lab.Eventually(() => Received("first", Old) && Received("second", New), "each daemon's route from its own peer", 40, Seen);
        Assert.That((Received("first", New), Received("second", Old)), Is.EqualTo((false, false)), Seen());
        Lab.Eventually(() => IsUp("first") && IsUp("second"), "both are up", 20, Seen);
    }

    private bool Received(string peer, string prefix)
    {
        (int code, string output, _) = _pipit.Cli("routes", prefix, "--received", peer, "-o", "json");
        return code == 0 && JsonDocument.Parse(output).RootElement.GetArrayLength() > 0;
    }

    private bool IsUp(string peer) => _pipit.Json("peer", peer).GetProperty("state").GetString() == "established";

    /// <summary>Sessions that there were; told by their count, not by their age.</summary>
    private int Sessions(string peer) => _pipit.Json("peer", peer).GetProperty("counters").GetProperty("established").GetInt32();

    private string Seen() => _pipit.Cli("peers").Output + _pipit.Cli("routes").Output + _lab.Logs();

    private static string Config(string first = "", string second = "", bool withSecond = true) => $$"""
        version: 1
        node: { name: us, asn: 64512, ipv4: 10.1.0.1 }
        kernel: { enabled: false }
        log: { level: debug }
        peerGroups:
          all: { asn: 65001, timers: { hold: 9s, connectRetry: 1s, idleHold: 1s }, import: [all], export: [none] }
        peers:
          - { name: first, address: 10.1.0.2, port: 150, group: all{{(first.Length > 0 ? ", " + first : "")}} }
        {{(withSecond ? $"  - {{ name: second, address: 10.1.0.2, port: 166, group: all{(second.Length > 0 ? ", " + second : "")} }}" : "")}}
        """;

    private void StartFirst(string option = "")
    {
        string config = _lab.File("first.conf", $$"""
            router id 10.1.0.2;
            log stderr all;
            listen bgp port 150;
            protocol device { scan time 10; }
            protocol static { route {{Old}} blackhole; }
            protocol bgp node {
              local as 65001; neighbor 10.1.0.1 as 64512; source address 10.1.0.2;
              import all; export where source = RTS_STATIC; {{option}}
              graceful restart; hold time 9; connect delay time 1; connect retry time 1; error wait time 1,2;
            }
            """);
        _ = _lab.Start(_host, "first", Path.Combine(CalicoNode.BirdFolder, "bird"), "-f", "-c", config, "-s", Path.Combine(_lab.Folder, "first.ctl"), "-P", Path.Combine(_lab.Folder, "first.pid"));
    }

    private Background StartSecond(string option = "")
    {
        string config = _lab.File("second.conf", $$"""
            router id 10.1.0.12;
            log stderr all;
            protocol device { scan time 10; }
            protocol static { ipv4; route {{New}} blackhole; }
            protocol bgp node {
              local 10.1.0.2 port 166 as 65001; neighbor 10.1.0.1 as 64512; {{option}}
              ipv4 { import all; export where source = RTS_STATIC; };
              graceful restart; hold time 9; connect delay time 1; connect retry time 1; error wait time 1,2;
            }
            """);
        return _lab.Start(_host, "second", "bird", "-f", "-c", config, "-s", Path.Combine(_lab.Folder, "second.ctl"), "-P", Path.Combine(_lab.Folder, "second.pid"));
    }
}
