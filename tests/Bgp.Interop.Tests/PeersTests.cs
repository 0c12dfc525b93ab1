using System.Text.Json;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>Sessions of all kinds at once with each of the daemons that Debian has.</summary>
[TestFixture("bird")]
[TestFixture("frr")]
[TestFixture("gobgp")]
[TestFixture("openbgpd")]
public sealed class PeersTests(string daemon)
{
    private Lab _lab = null!;
    private PipitNode _pipit = null!;
    private RealPeer _peer = null!;

    internal static (PipitNode Pipit, RealPeer Peer) Topology(Lab lab, string daemon)
    {
        string ours = lab.Namespace("us");
        string theirs = lab.Namespace(daemon);
        Lab.Link(ours, "eth0", ["10.1.0.1/24", "10.2.0.1/24", "fd01::1/64"], theirs, "eth0", ["10.1.0.2/24", "10.2.0.2/24", "fd01::2/64"]);
        RealPeer peer = daemon switch
        {
            "bird" => new Bird(lab, theirs),
            "frr" => new Frr(lab, theirs),
            "gobgp" => new GoBgp(lab, theirs),
            _ => new OpenBgpd(lab, theirs),
        };
        string key = lab.File("key", "s3cret\n");
        PipitNode pipit = new(lab, ours, "us", $$"""
            version: 1
            node: { name: us, asn: 64512, ipv4: 10.1.0.1, ipv6: "fd01::1" }
            kernel: { enabled: false }
            log: { level: debug }
            originate:
              - { prefix: 10.50.1.0/24, kind: none, communities: ["64512:100"] }
              - { prefix: "fd50:1::/64", kind: none }
            filters:
              own: { rules: [ { match: { source: originate }, action: accept } ] }
            peerGroups:
              all: { timers: { hold: 9s, connectRetry: 1s, idleHold: 1s } }
            peers:
              - { name: internal4, address: 10.1.0.2, asn: 64512, group: all, sourceAddress: 10.1.0.1 }
              - { name: external4, address: 10.2.0.2, asn: 64512, localAsn: 65100, group: all, sourceAddress: 10.2.0.1, auth: { md5: { file: {{key}} } }, import: [all], export: [own] }
              - { name: internal6, address: "fd01::2", asn: 64512, group: all, sourceAddress: "fd01::1", passive: {{(daemon == "bird" ? "true" : "false")}} }
            """);
        return (pipit, peer);
    }

    [OneTimeSetUp]
    public void Start()
    {
        _lab = new Lab();
        (_pipit, _peer) = Topology(_lab, daemon);
        _pipit.Start();
        _peer.Start();
        _pipit.WaitEstablished(60);
    }

    [OneTimeTearDown]
    public void Stop() => _lab.Dispose();

    [Test]
    public void Its_routes_arrive_with_every_attribute()
    {
        JsonElement internal4 = Route("10.60.1.0/24", "internal4");
        Assert.Multiple(() =>
        {
            Assert.That(internal4.GetProperty("nextHop").GetString(), Is.EqualTo("10.1.0.2"));
            Assert.That(internal4.GetProperty("asPath").GetString(), Is.Empty);
            Assert.That(internal4.GetProperty("localPref").GetInt32(), Is.EqualTo(100));
            Assert.That(internal4.GetProperty("med").GetInt32(), Is.EqualTo(50));
            Assert.That(Strings(internal4, "communities"), Is.EqualTo(new[] { "64512:200" }));
            Assert.That(Strings(internal4, "largeCommunities"), Is.EqualTo(new[] { "64512:1:2" }));
        });
        JsonElement external4 = Route("10.60.1.0/24", "external4");
        Assert.Multiple(() =>
        {
            Assert.That(external4.GetProperty("nextHop").GetString(), Is.EqualTo("10.2.0.2"));
            Assert.That(external4.GetProperty("asPath").GetString(), Is.EqualTo("64512"));
            Assert.That(external4.GetProperty("localPref").ValueKind, Is.EqualTo(JsonValueKind.Null));
            Assert.That(Strings(external4, "communities"), Is.EqualTo(new[] { "64512:200" }));
            Assert.That(Strings(external4, "largeCommunities"), Is.EqualTo(new[] { "64512:1:2" }));
        });
        Assert.That(Route("fd60:1::/64", "internal6").GetProperty("nextHop").GetString(), Is.EqualTo("fd01::2"));
    }

    [Test]
    public void Our_routes_arrive_there_with_every_attribute()
    {
        Lab.Eventually(() => Holds("10.50.1.0/24", _peer.ExpectedInternal), "10.50.1.0/24 over the internal session", 20, () => _peer.Show("10.50.1.0/24"));
        Lab.Eventually(() => Holds("10.50.1.0/24", _peer.ExpectedExternal), "10.50.1.0/24 over the external session", 20, () => _peer.Show("10.50.1.0/24"));
        Lab.Eventually(() => Holds("fd50:1::/64", _peer.ExpectedIpv6), "fd50:1::/64", 20, () => _peer.Show("fd50:1::/64"));
    }

    [Test]
    public void A_table_dump_says_the_same_to_another_program()
    {
        string origin = Route("10.60.1.0/24", "internal4").GetProperty("origin").GetString()!.ToUpperInvariant();
        _ = Route("fd60:1::/64", "internal6");
        string file = Path.Combine(_lab.Folder, "table.mrt");
        (int code, _, string error) = _pipit.Cli("dump", "mrt", file);
        Assert.That(code, Is.Zero, error);
        string[] lines = Lab.Run("bgpdump", "-m", file).Split('\n');
        Assert.Multiple(() =>
        {
            Assert.That(lines, Has.Some.Contains($"|10.1.0.2|64512|10.60.1.0/24||{origin}|10.1.0.2|100|50|64512:200|"), string.Join('\n', lines));
            Assert.That(lines, Has.Some.Contains($"|10.2.0.2|64512|10.60.1.0/24|64512|{origin}|10.2.0.2|"), string.Join('\n', lines));
            Assert.That(lines, Has.Some.Contains($"|fd01::2|64512|fd60:1::/64||{origin}|fd01::2|100|"), string.Join('\n', lines));
            Assert.That(lines, Has.Some.Contains("|10.1.0.1|64512|10.50.1.0/24|"), string.Join('\n', lines));
        });
    }

    [Test]
    public void A_withdrawal_there_is_a_withdrawal_here()
    {
        _ = Route("10.60.1.0/24", "internal4");
        _peer.Withdraw();
        Lab.Eventually(() => _pipit.Route("10.60.1.0/24") is null, "10.60.1.0/24 is gone", 20, () => _pipit.Cli("routes").Output + _lab.Logs());
        _peer.Announce();
        _ = Route("10.60.1.0/24", "internal4");
    }

    [Test]
    public void A_withdrawal_here_is_a_withdrawal_there()
    {
        Assert.That(_pipit.Cli("peer", "internal4", "disable").Code, Is.Zero);
        Assert.That(_pipit.Cli("peer", "external4", "disable", "--reason", "test").Code, Is.Zero);
        Lab.Eventually(() => !Holds("10.50.1.0/24", ["64512:100"]), "10.50.1.0/24 is gone there", 20, () => _peer.Show("10.50.1.0/24"));
        _pipit.Cli("peer", "internal4", "enable");
        _pipit.Cli("peer", "external4", "enable");
        _pipit.WaitEstablished(60);
    }

    [Test]
    public void A_restarted_daemon_is_established_again()
    {
        _peer.Kill();
        Lab.Eventually(() => _pipit.Json("peers").EnumerateArray().All(static peer => peer.GetProperty("state").GetString() != "established"), "all sessions are down", 30, _lab.Logs);
        _peer.Start();
        _pipit.WaitEstablished(60);
        _ = Route("10.60.1.0/24", "external4");
    }

    private static string[] Strings(JsonElement route, string name) => [.. route.GetProperty(name).EnumerateArray().Select(static item => item.GetString()!)];

    private bool Holds(string prefix, string[] words)
    {
        string shown = _peer.Show(prefix);
        return Array.TrueForAll(words, word => shown.Contains(word, StringComparison.Ordinal));
    }

    private JsonElement Route(string prefix, string from)
    {
        JsonElement? found = null;
        Lab.Eventually(
            () => (found = _pipit.Json("routes", prefix, "--received", from).EnumerateArray().Cast<JsonElement?>().FirstOrDefault()) is not null,
            $"{prefix} from {from}", 20, () => _pipit.Cli("routes").Output + _pipit.Cli("peers").Output + _lab.Logs());
        return found!.Value;
    }
}

/// <summary>Sessions at a hold time of 9 s that must not flap. PIPIT_SOAK_SECONDS says for how long; 600 in the test run, in the background.</summary>
[TestFixture]
[Category("Soak")]
public sealed class SoakTests
{
    [Test]
    public void Sessions_with_all_four_daemons_stay_up_at_a_short_hold_time()
    {
        int seconds = int.TryParse(Environment.GetEnvironmentVariable("PIPIT_SOAK_SECONDS"), out int set) ? set : 30;
        using Lab lab = new();
        List<(string Name, Lab Lab, PipitNode Pipit)> running = [];
        try
        {
            foreach (string daemon in (string[])["bird", "frr", "gobgp", "openbgpd"])
            {
                Lab one = new();
                (PipitNode pipit, RealPeer peer) = PeersTests.Topology(one, daemon);
                running.Add((daemon, one, pipit));
                pipit.Start();
                peer.Start();
            }

            foreach ((_, _, PipitNode pipit) in running)
            {
                pipit.WaitEstablished(60);
            }

            Dictionary<string, int> before = running.ToDictionary(static item => item.Name, static item => Established(item.Pipit));
            using ManualResetEventSlim never = new();
            never.Wait(TimeSpan.FromSeconds(seconds));
            foreach ((string name, Lab one, PipitNode pipit) in running)
            {
                Assert.That(pipit.Json("peers").EnumerateArray().All(static peer => peer.GetProperty("state").GetString() == "established"), $"{name}: {pipit.Cli("peers").Output}\n{one.Logs()}");
                Assert.That(Established(pipit), Is.EqualTo(before[name]), $"{name} flapped\n{one.Logs()}");
            }
        }
        finally
        {
            running.ForEach(static item => item.Lab.Dispose());
        }
    }

    private static int Established(PipitNode node) => ((string[])["internal4", "external4", "internal6"])
        .Sum(name => node.Json("peer", name).GetProperty("counters").GetProperty("established").GetInt32());
}
