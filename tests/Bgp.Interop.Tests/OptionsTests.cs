using System.Text.Json;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>
/// Peering options with real daemons: BIRD in AS 65001 on one link, FRR in AS 65002 on another, each with one session per option; routes go from BIRD through
/// Pipit to FRR.
/// </summary>
[TestFixture]
public sealed class OptionsTests
{
    private const string Config = """
        version: 1
        node: { name: us, asn: 64512, ipv4: 10.1.0.1 }
        log: { level: debug }
        originate:
          - { prefix: 10.70.1.0/24, kind: none }
          - { prefix: "fd70:1::/64", kind: none }
        filters:
          own: { rules: [ { match: { source: originate }, action: accept } ] }
          relay: { rules: [ { match: { prefix: 10.71.3.0/24 }, action: accept } ] }
        peerGroups:
          all: { timers: { hold: 9s, connectRetry: 1s, idleHold: 1s }, import: [all], export: [own] }
        peers:
          - { name: b-waits, address: 10.1.0.2, asn: 65001, localAsn: 65100, group: all, ttlSecurity: 1, passive: true, allowLocalAs: 1 }
          - { name: b-calls, address: 10.2.0.2, asn: 65001, localAsn: 65100, group: all, ttlSecurity: 1 }
          - { name: b-max, address: 10.3.0.2, asn: 65001, group: all, families: { ipv4: { maxPrefixes: { count: 1, action: restart } } } }
          - { name: b-quiet, address: 10.4.0.2, asn: 65001, timers: { hold: 9s, keepalive: 1s, connectRetry: 1s, idleHold: 1s } }
          - { name: b-local, address: "fe80::2", interface: eth0, sourceAddress: "fe80::1", asn: 65001, group: all, families: { ipv4: {}, ipv6: {} } }
          - { name: f-auto, address: 10.11.0.2, asn: 65002, group: all, ttlSecurity: 1, passive: true, export: [relay] }
          - { name: f-unchanged, address: 10.12.0.2, asn: 65002, group: all, ttlSecurity: 1, nextHop: unchanged, export: [relay] }
          - { name: f-inside, address: 10.13.0.2, asn: 65002, localAsn: 65002, group: all, export: [relay] }
          - { name: f-inside-self, address: 10.14.0.2, asn: 65002, localAsn: 65002, group: all, nextHop: self, export: [relay] }
          - { name: f-local, address: "fe80::2", interface: eth1, sourceAddress: "fe80::1", asn: 65002, group: all, families: { ipv4: {}, ipv6: {} } }
          - { name: f-far, address: 10.99.0.2, asn: 65002, group: all, sourceAddress: 10.1.0.1, reachableBy: 10.11.0.2, multihop: 2 }
        """;

    private Lab _lab = null!;
    private PipitNode _pipit = null!;
    private string _birdNs = "";
    private string _frrNs = "";

    [OneTimeSetUp]
    public void Start()
    {
        _lab = new Lab();
        string ours = _lab.Namespace("us");
        _birdNs = _lab.Namespace("bird");
        _frrNs = _lab.Namespace("frr");
        Lab.Link(ours, "eth0", ["10.1.0.1/24", "10.2.0.1/24", "10.3.0.1/24", "10.4.0.1/24", "fe80::1/64"], _birdNs, "eth0", ["10.1.0.2/24", "10.2.0.2/24", "10.3.0.2/24", "10.4.0.2/24", "fe80::2/64"]);
        Lab.Link(ours, "eth1", ["10.11.0.1/24", "10.12.0.1/24", "10.13.0.1/24", "10.14.0.1/24", "fe80::1/64"], _frrNs, "eth0", ["10.11.0.2/24", "10.12.0.2/24", "10.13.0.2/24", "10.14.0.2/24", "fe80::2/64"]);
        Lab.Address(_frrNs, "lo", "10.99.0.2/32");
        _pipit = new PipitNode(_lab, ours, "us", Config).Start();
        StartBird();
        StartFrr();
        Lab.Eventually(() => _pipit.Cli("status").Code == 0, "Pipit answers", 15, _lab.Logs);
        foreach (string peer in (string[])["b-waits", "b-calls", "b-quiet", "b-local", "f-auto", "f-unchanged", "f-inside", "f-inside-self", "f-local", "f-far"])
        {
            Up(peer);
        }
    }

    [OneTimeTearDown]
    public void Stop() => _lab.Dispose();

    [TestCase("b-waits")]
    [TestCase("b-calls")]
    public void A_local_AS_number_stands_in_the_path_alone(string peer) =>
        Lab.Eventually(() => Bird("10.70.1.0/24", peer).Contains("BGP.as_path: 65100\n", StringComparison.Ordinal), "65100 alone in the path", 10, () => Bird("10.70.1.0/24", peer));

    [Test]
    public void Our_own_AS_number_in_a_path_is_taken_as_often_as_allowed()
    {
        Assert.That(Received("10.71.1.0/24", "b-waits").GetProperty("asPath").GetString(), Is.EqualTo("65001 65100"));
        _ = Received("10.71.3.0/24", "b-calls");
        Lab.Eventually(() => _pipit.Json("peer", "b-calls").GetProperty("counters").GetProperty("loops").GetInt32() > 0, "the loop is counted", 15, () => _pipit.Cli("peer", "b-calls").Output + _lab.Logs());
        Assert.That(_pipit.Json("routes", "10.71.1.0/24", "--received", "b-calls").GetArrayLength(), Is.Zero);
    }

    [Test]
    public void A_neighbour_that_drains_itself_is_the_last_choice()
    {
        // RFC 8326 section 4.2, for external neighbours.
        Assert.That(Received("10.71.2.0/24", "b-calls").GetProperty("localPref").GetInt32(), Is.Zero);
        Assert.That(Received("10.71.3.0/24", "b-calls").GetProperty("localPref").ValueKind, Is.EqualTo(JsonValueKind.Null));
    }

    [Test]
    public void More_prefixes_than_the_limit_end_the_session_with_the_right_word()
    {
        Lab.Eventually(() => _pipit.Json("peer", "b-max").GetProperty("resets").ToString().Contains("more than 1 ipv4 prefixes", StringComparison.Ordinal), "the limit", 20, _lab.Logs);
        Lab.Eventually(() => InBird("show", "protocols", "all", "b_max").Contains("Maximum number of prefixes reached", StringComparison.OrdinalIgnoreCase), "the neighbour knows", 20, () => InBird("show", "protocols", "all", "b_max"));
    }

    [Test]
    public void An_external_neighbour_without_filters_exchanges_nothing()
    {
        // RFC 8212.
        JsonElement peer = _pipit.Json("peer", "b-quiet");
        Assert.That(peer.GetProperty("state").GetString(), Is.EqualTo("established"));
        Lab.Eventually(() => _pipit.Json("peer", "b-quiet").GetProperty("families").GetProperty("ipv4").GetProperty("received").GetInt32() == 1, "its route is received", 10);
        JsonElement counts = _pipit.Json("peer", "b-quiet").GetProperty("families").GetProperty("ipv4");
        Assert.That((counts.GetProperty("accepted").GetInt32(), counts.GetProperty("advertised").GetInt32()), Is.EqualTo((0, 0)));
        Assert.That(peer.GetProperty("keepaliveSeconds").GetInt32(), Is.EqualTo(1), "as configured, not a third of the hold time");
    }

    [TestCase("10.11.0.1", "10.11.0.1")]
    [TestCase("10.12.0.1", "10.1.0.2")]
    [TestCase("10.13.0.1", "10.1.0.2")]
    [TestCase("10.14.0.1", "10.14.0.1")]
    public void The_next_hop_is_ours_or_unchanged_as_configured(string session, string nextHop) =>
        Lab.Eventually(
            () => Frr($"show bgp ipv4 unicast neighbors {session} received-routes").Split('\n').Any(line => line.Contains("10.71.3.0/24", StringComparison.Ordinal) && line.Contains($" {nextHop} ", StringComparison.Ordinal)),
            $"10.71.3.0/24 over {session} has next hop {nextHop}", 15, () => Frr($"show bgp ipv4 unicast neighbors {session} received-routes") + _pipit.Cli("routes", "--to", "f-unchanged").Output);

    [TestCase("b-local", "eth0", "10.71.4.0/24", "fd71:4::/64")]
    [TestCase("f-local", "eth1", "10.72.4.0/24", "fd72:4::/64")]
    public void Routes_of_both_families_cross_a_session_between_link_local_addresses(string peer, string device, string v4, string v6)
    {
        Assert.That(_pipit.Json("peer", peer).GetProperty("capabilitiesNegotiated").ToString(), Does.Contain("extended-next-hop"));
        Assert.That(Received(v4, peer).GetProperty("nextHop").GetString(), Is.EqualTo($"fe80::2%{device}"));
        Lab.Eventually(() => Lab.Routes(_pipit.Namespace).Contains($"{v4} via inet6 fe80::2 dev {device} proto bird", StringComparison.Ordinal), $"{v4} in the kernel", 10, () => Lab.Routes(_pipit.Namespace) + _pipit.Cli("fib", "--diff").Output);
        Lab.Eventually(() => Lab.Routes(_pipit.Namespace, v6: true).Contains($"{v6} via fe80::2 dev {device} proto bird", StringComparison.Ordinal), $"{v6} in the kernel", 10, () => Lab.Routes(_pipit.Namespace, v6: true));
        foreach (string prefix in (string[])["10.70.1.0/24", "fd70:1::/64"])
        {
            Lab.Eventually(
                () => (peer == "b-local" ? Bird(prefix, peer) : Frr($"show bgp {(prefix.Contains(':', StringComparison.Ordinal) ? "ipv6" : "ipv4")} unicast {prefix}")).Contains("fe80::1", StringComparison.Ordinal),
                $"{prefix} there, with our link-local next hop", 15, () => Bird(prefix, peer) + Frr($"show bgp ipv6 unicast {prefix}") + Frr($"show bgp ipv4 unicast {prefix}"));
        }
    }

    [Test]
    public void A_peer_behind_a_gateway_is_reached_through_it()
    {
        Assert.That(Lab.Routes(_pipit.Namespace), Does.Contain("10.99.0.2 via 10.11.0.2 dev eth1 proto bird"));
        Assert.That(Received("10.72.9.0/24", "f-far").GetProperty("nextHop").GetString(), Is.EqualTo("10.99.0.2"));
        Lab.Eventually(() => Lab.Routes(_pipit.Namespace).Contains("10.72.9.0/24 via 10.11.0.2 dev eth1 proto bird", StringComparison.Ordinal), "its route goes there too", 10, () => Lab.Routes(_pipit.Namespace) + _pipit.Cli("explain", "10.72.9.0/24").Output);
        Assert.That(_pipit.Json("routes", "--to", "b-calls").ToString(), Does.Not.Contain("10.99.0.2/32"), "it is nothing to announce");

        _pipit.Configure(Config.Replace("reachableBy: 10.11.0.2", "reachableBy: 10.12.0.2", StringComparison.Ordinal));
        Assert.That(_pipit.Cli("reload", "--wait").Code, Is.Zero);
        Lab.Eventually(() => Lab.Routes(_pipit.Namespace).Contains("10.99.0.2 via 10.12.0.2 dev eth1 proto bird", StringComparison.Ordinal), "the other gateway", 10, () => Lab.Routes(_pipit.Namespace));
        _pipit.Configure(Config);
        Assert.That(_pipit.Cli("reload", "--wait").Code, Is.Zero);
        Up("f-far");
    }

    [Test]
    public void A_shutdown_text_arrives_on_either_side()
    {
        InBird("disable", "b_calls", "\"back at noon\"");
        Lab.Eventually(() => _pipit.Cli("peer", "b-calls").Output.Contains("Administrative Shutdown: \"back at noon\"", StringComparison.Ordinal), "its text here", 10, () => _pipit.Cli("peer", "b-calls").Output);
        InBird("enable", "b_calls");
        Up("b-calls");
        Assert.That(_pipit.Cli("peer", "b-calls", "disable", "--reason", "spring cleaning").Code, Is.Zero);
        Lab.Eventually(() => _lab.Logs().Contains("b_calls: Received: Administrative shutdown: \"spring cleaning\"", StringComparison.OrdinalIgnoreCase), "our text there", 10, _lab.Logs);
        Assert.That(_pipit.Cli("peer", "b-calls", "enable").Code, Is.Zero);
        Up("b-calls");
    }

    private void Up(string peer)
    {
        (int code, _, string error) = _pipit.Cli("wait", "peers-established", "--peer", peer, "--timeout", "30s");
        Assert.That(code, Is.Zero, $"{peer}: {error}{_pipit.Cli("peers").Output}{_lab.Logs()}");
    }

    private JsonElement Received(string prefix, string from)
    {
        JsonElement? found = null;
        Lab.Eventually(
            () => (found = _pipit.Json("routes", prefix, "--received", from).EnumerateArray().Cast<JsonElement?>().FirstOrDefault()) is not null,
            $"{prefix} from {from}", 15, () => _pipit.Cli("routes").Output + _pipit.Cli("peers").Output + _lab.Logs());
        return found!.Value;
    }

    private string InBird(params string[] words) => Lab.TryRun("ip", ["netns", "exec", _birdNs, "birdc", "-s", Path.Combine(_lab.Folder, "bird.ctl"), .. words]).Output;

    private string Bird(string prefix, string peer) => InBird("show", "route", prefix, "protocol", peer.Replace('-', '_'), "all");

    private string Frr(string command) => Lab.TryRun("ip", ["netns", "exec", _frrNs, "vtysh", "--vty_socket", _lab.Folder, "-c", command]).Output;

    private void StartBird()
    {
        string config = _lab.File("bird.conf", """
            router id 10.1.0.2;
            log stderr all;
            protocol device {}
            protocol direct { ipv4; ipv6; }
            protocol static s4 { ipv4; route 10.71.1.0/24 blackhole; route 10.71.2.0/24 blackhole; route 10.71.3.0/24 blackhole; route 10.71.4.0/24 blackhole; route 10.71.5.0/24 blackhole; route 10.71.6.0/24 blackhole; }
            protocol static s6 { ipv6; route fd71:4::/64 blackhole; }
            filter announce {
              if source != RTS_STATIC then reject;
              if net = 10.71.1.0/24 then { bgp_path.prepend(65100); accept; }
              if net = 10.71.2.0/24 then { bgp_community.add((65535,0)); accept; }
              if net = 10.71.3.0/24 then accept;
              reject;
            }
            template bgp t { hold time 9; connect retry time 1; error wait time 1,2; connect delay time 1; strict bind on; }
            protocol bgp b_waits from t { local 10.1.0.2 as 65001; neighbor 10.1.0.1 as 65100; ttl security on; ipv4 { import all; export filter announce; }; }
            protocol bgp b_calls from t { local 10.2.0.2 as 65001; neighbor 10.2.0.1 as 65100; ttl security on; passive on; ipv4 { import all; export filter announce; }; }
            protocol bgp b_max from t { local 10.3.0.2 as 65001; neighbor 10.3.0.1 as 64512; ipv4 { import all; export where net ~ [10.71.5.0/24, 10.71.6.0/24]; }; }
            protocol bgp b_quiet from t { local 10.4.0.2 as 65001; neighbor 10.4.0.1 as 64512; ipv4 { import all; export where net = 10.71.5.0/24; }; }
            protocol bgp b_local from t {
              local fe80::2 as 65001; neighbor fe80::1%eth0 as 64512;
              ipv4 { extended next hop on; import all; export where net = 10.71.4.0/24; };
              ipv6 { import all; export where net = fd71:4::/64; };
            }
            """);
        _ = _lab.Start(_birdNs, "bird", "bird", "-f", "-c", config, "-s", Path.Combine(_lab.Folder, "bird.ctl"), "-P", Path.Combine(_lab.Folder, "bird.pid"));
    }

    private void StartFrr()
    {
        string config = _lab.File("frr.conf", """
            router bgp 65002
             bgp router-id 10.11.0.2
             no bgp ebgp-requires-policy
             no bgp network import-check
             timers bgp 3 9
             neighbor 10.11.0.1 remote-as 64512
             neighbor 10.11.0.1 timers connect 1
             neighbor 10.11.0.1 ttl-security hops 1
             neighbor 10.12.0.1 remote-as 64512
             neighbor 10.12.0.1 ttl-security hops 1
             neighbor 10.12.0.1 passive
             neighbor 10.13.0.1 remote-as 65002
             neighbor 10.14.0.1 remote-as 65002
             neighbor 10.11.0.1 timers connect 1
             neighbor fe80::1 remote-as 64512
             neighbor fe80::1 interface eth0
             neighbor fe80::1 capability extended-nexthop
             neighbor 10.1.0.1 remote-as 64512
             neighbor 10.1.0.1 ebgp-multihop 2
             neighbor 10.1.0.1 update-source 10.99.0.2
             neighbor 10.1.0.1 passive
             address-family ipv4 unicast
              network 10.72.4.0/24
              network 10.72.9.0/24
              neighbor fe80::1 activate
              neighbor fe80::1 prefix-list L out
              neighbor 10.1.0.1 prefix-list F out
              neighbor 10.11.0.1 prefix-list N out
              neighbor 10.12.0.1 prefix-list N out
              neighbor 10.13.0.1 prefix-list N out
              neighbor 10.14.0.1 prefix-list N out
              neighbor 10.11.0.1 soft-reconfiguration inbound
              neighbor 10.12.0.1 soft-reconfiguration inbound
              neighbor 10.13.0.1 soft-reconfiguration inbound
              neighbor 10.14.0.1 soft-reconfiguration inbound
             exit-address-family
             address-family ipv6 unicast
              network fd72:4::/64
              neighbor fe80::1 activate
             exit-address-family
            ip prefix-list L permit 10.72.4.0/24
            ip prefix-list F permit 10.72.9.0/24
            ip prefix-list N deny any
            """);
        Lab.Run("chmod", "777", _lab.Folder);
        Lab.Run("ip", "-n", _frrNs, "route", "add", "10.1.0.1/32", "via", "10.11.0.1");
        string zserv = Path.Combine(_lab.Folder, "zserv.api");
        Daemon("zebra", _lab.File("zebra.conf", "hostname z\n"));
        Lab.Eventually(() => File.Exists(zserv), "zebra listens", 10, _lab.Logs);
        Daemon("bgpd", config, "-S");

        void Daemon(string name, string file, params string[] more) => _ = _lab.Start(
            _frrNs, name, ["/usr/lib/frr/" + name, "-f", file, "-i", Path.Combine(_lab.Folder, name + ".pid"), "-z", zserv, "--vty_socket", _lab.Folder, "-u", "frr", "-g", "frr", .. more]);
    }
}
