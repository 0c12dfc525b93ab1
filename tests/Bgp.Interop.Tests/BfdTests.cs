using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>BFD with real daemons: one hop and many, both families, a link-local neighbour; what their silence, their operator and a busy machine do.</summary>
public abstract partial class BfdTests(string daemon)
{
    private Lab _lab = null!;
    private PipitNode _pipit = null!;
    private BfdNeighbour _peer = null!;

    private protected Lab Lab => _lab;

    private protected PipitNode Pipit => _pipit;

    private protected BfdNeighbour Peer => _peer;

    [OneTimeSetUp]
    public void Start()
    {
        _lab = new Lab();
        string ours = _lab.Namespace("us");
        string theirs = _lab.Namespace(daemon);
        BfdNeighbour.Connect(ours, theirs);
        _peer = daemon == "bird" ? new BfdBird(_lab, theirs) : new BfdFrr(_lab, theirs);
        _pipit = new PipitNode(_lab, ours, "us", BfdNeighbour.OurConfig());
        _ = _lab.Monitor(ours, "monitor", "-ts");
        _peer.Start();
        _pipit.Start();
    }

    [SetUp]
    public void EverythingIsUp() => Ready();

    [OneTimeTearDown]
    public void Stop() => _lab.Dispose();

    [Test]
    public void Sessions_of_every_kind_are_up_at_the_configured_rate()
    {
        foreach ((string session, _) in BfdNeighbour.Sessions)
        {
            JsonElement bfd = Bfd(session);
            Assert.Multiple(() =>
            {
                Assert.That(bfd.GetProperty("state").GetString(), Is.EqualTo("up"), session);
                Assert.That(bfd.GetProperty("remoteState").GetString(), Is.EqualTo("up"), session);
                Assert.That(bfd.GetProperty("multihop").GetBoolean(), Is.EqualTo(session.StartsWith("multi", StringComparison.Ordinal)), session);
                Assert.That(bfd.GetProperty("transmitIntervalMs").GetDouble(), Is.EqualTo(300), session);
                Assert.That(bfd.GetProperty("detectionTimeMs").GetDouble(), Is.EqualTo(900), session);
                Assert.That(_peer.IsUp(session), $"{session}\n{_peer.Show()}");
            });
        }
    }

    [Test]
    public void A_neighbour_without_BFD_is_established_all_the_same()
    {
        Assert.That(_pipit.Json("peer", "plain4").GetProperty("state").GetString(), Is.EqualTo("established"));
        Assert.That(Bfd("plain4").GetProperty("state").GetString(), Is.EqualTo("down"));
        Assert.That(Rig.Lab.Routes(_pipit.Namespace), Does.Contain("10.61.4.0/24"));
    }

    [Test]
    public void A_neighbour_that_falls_silent_loses_its_routes_within_a_second()
    {
        // 900 ms of that are the detection time, counted from its last packet. Of three times, so that one hiccup of a busy machine is not taken for slowness.
        List<double> times = [];
        int sessions = Established("plain4");
        for (int i = 0; i < 3; i++)
        {
            Ready();
            times.Add(SecondsUntilGone(_peer.Freeze()));
            Assert.That(_pipit.Json("peer", "direct4").GetProperty("resets").ToString(), Does.Contain("BFD down"));
            _peer.Thaw();
        }

        TestContext.Out.WriteLine($"{daemon}: routes gone after {string.Join(", ", times.Select(static time => time.ToString("F3", CultureInfo.InvariantCulture)))} s");
        Assert.That(times.Order().ElementAt(1), Is.LessThan(1.0));
        Assert.That(times.Max(), Is.LessThan(2.0));
        Assert.That(Established("plain4"), Is.EqualTo(sessions), "a session without BFD waits for its hold timer");
    }

    [Test]
    public void A_cut_link_loses_the_routes_within_a_second()
    {
        double time = SecondsUntilGone(_peer.Cut());
        TestContext.Out.WriteLine($"{daemon}: routes gone after {time.ToString("F3", CultureInfo.InvariantCulture)} s");
        _peer.Mend();
        Assert.That(time, Is.LessThan(1.5));
    }

    [Test]
    public void A_peer_disabled_here_says_so_there_and_comes_back()
    {
        Assert.That(_pipit.Cli("peer", "direct4", "disable").Code, Is.Zero);
        Rig.Lab.Eventually(() => !_peer.IsUp("direct4"), "BFD is down there", 20, _peer.Show);
        Assert.That(Bfd("direct4").GetProperty("state").GetString(), Is.EqualTo("adminDown"));
        Assert.That(_pipit.Cli("peer", "direct4", "enable").Code, Is.Zero);
        Rig.Lab.Eventually(() => _peer.IsUp("direct4"), "BFD is up there again", 20, _peer.Show);
    }

    [Test]
    public void Nothing_flaps_while_the_machine_is_busy()
    {
        long losses = Losses();
        int established = BfdNeighbour.Sessions.Sum(item => Established(item.Session));
        List<Background> burners = [.. Enumerable.Range(0, Environment.ProcessorCount * 3).Select(i => _lab.Start(_pipit.Namespace, $"burn{i}", "timeout", "8", "sh", "-c", "while :; do :; done"))];
        Rig.Lab.Eventually(() => burners.TrueForAll(static burner => burner.HasExited), "the burners are done", 60);
        Assert.That(Losses(), Is.EqualTo(losses), _lab.Logs());
        Assert.That(BfdNeighbour.Sessions.Sum(item => Established(item.Session)), Is.EqualTo(established));
    }

    [Test]
    public void A_reload_changes_the_rate_of_running_sessions()
    {
        long losses = Losses();
        int established = BfdNeighbour.Sessions.Sum(item => Established(item.Session));
        _pipit.Configure(BfdNeighbour.OurConfig().Replace("interval: 300ms, multiplier: 3", "interval: 400ms, multiplier: 5", StringComparison.Ordinal));
        Assert.That(_pipit.Cli("reload", "--wait").Code, Is.Zero);
        Rig.Lab.Eventually(
            () => All("up", 400, 1200),
            "the new rate", 20, () => Bfd("direct4").ToString());
        _pipit.Configure(BfdNeighbour.OurConfig());
        Assert.That(_pipit.Cli("reload", "--wait").Code, Is.Zero);
        Ready();
        Assert.That(Losses(), Is.EqualTo(losses));
        Assert.That(BfdNeighbour.Sessions.Sum(item => Established(item.Session)), Is.EqualTo(established), _lab.Logs());
    }

    [Test]
    public void Packets_from_farther_away_are_counted_and_ignored()
    {
        long losses = Losses();
        long before = IgnoredForTimeToLive();
        string packet = "\\x20\\x40\\x03\\x18\\x00\\x00\\x00\\x07\\x00\\x00\\x00\\x00\\x00\\x0f\\x42\\x40\\x00\\x0f\\x42\\x40\\x00\\x00\\x00\\x00";
        Rig.Lab.Run("ip", "netns", "exec", _peer.Namespace, "bash", "-c", $"for i in 1 2 3 4 5; do printf '{packet}' >/dev/udp/10.1.0.1/3784; done");
        Rig.Lab.Eventually(() => IgnoredForTimeToLive() == before + 5, "five packets with a time to live of 64 are counted", 10, Metrics);
        Assert.That(Losses(), Is.EqualTo(losses));
    }

    [Test]
    public void A_daemon_that_ends_softly_is_no_loss_for_the_neighbour()
    {
        Assert.That(_pipit.Process!.Terminate(), Is.Zero);
        Rig.Lab.Eventually(() => Array.TrueForAll(BfdNeighbour.Sessions, item => !_peer.IsUp(item.Session)), "BFD is down there", 20, _peer.Show);
        Assert.That(_peer.Show(), Does.Not.Match("(?i)control detection time expired"), _peer.Show());
        _pipit.Start();
    }

    [GeneratedRegex(@"^\[(?<at>[^\]]+)\] Deleted (?<prefix>\S+) ", RegexOptions.Multiline)]
    private static partial Regex Deleted();

    /// <summary>When the last of the sessions' routes left the kernel, by the kernel's own messages.</summary>
    private double SecondsUntilGone(DateTime since)
    {
        string log = Path.Combine(_lab.Folder, "monitor.log");
        Dictionary<string, DateTime> gone = [];
        Rig.Lab.Eventually(
            () =>
            {
                using StreamReader reader = new(new FileStream(log, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
                foreach (Match match in Deleted().Matches(reader.ReadToEnd()))
                {
                    DateTime at = DateTime.Parse(match.Groups["at"].Value, CultureInfo.InvariantCulture);
                    if (at > since)
                    {
                        gone.TryAdd(match.Groups["prefix"].Value, at);
                    }
                }

                return Array.TrueForAll(BfdNeighbour.Sessions, item => gone.ContainsKey(item.Prefix));
            },
            "every route is gone", 10, () => string.Join(' ', gone.Keys) + _pipit.Cli("peers", "-o", "yaml").Output + _lab.Logs());
        return BfdNeighbour.Sessions.Max(item => (gone[item.Prefix] - since).TotalSeconds);
    }

    private string Metrics() => Rig.Lab.Run("ip", "netns", "exec", _pipit.Namespace, "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9179; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3");

    private long IgnoredForTimeToLive() => long.Parse(IgnoredLine().Match(Metrics()).Groups[1].Value, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"pipit_bfd_packets_ignored_total\{reason=""timetolive""\} (\d+)")]
    private static partial Regex IgnoredLine();

    private protected int Established(string session) => _pipit.Json("peer", session).GetProperty("counters").GetProperty("established").GetInt32();

    private protected JsonElement Bfd(string session) => _pipit.Json("peer", session).GetProperty("bfd");

    /// <summary>BFD of all sessions but plain4's, with one question.</summary>
    private JsonElement[] All() => [.. _pipit.Json("peers").EnumerateArray().Where(static peer => peer.GetProperty("name").GetString() != "plain4").Select(static peer => peer.GetProperty("bfd"))];

    private bool All(string state, double transmit, double detection) => Array.TrueForAll(All(), bfd =>
        bfd.GetProperty("state").GetString() == state && bfd.GetProperty("transmitIntervalMs").GetDouble() == transmit && bfd.GetProperty("detectionTimeMs").GetDouble() == detection);

    private long Losses() => All().Sum(static bfd => bfd.GetProperty("losses").GetInt64());

    private protected void Ready()
    {
        _pipit.WaitEstablished(60);

        // Routes of an earlier life that a neighbour has not confirmed yet stay whatever happens to it: they are not what is looked at here.
        Rig.Lab.Eventually(
            () => !_pipit.Json("status").GetProperty("gracefulRestart").GetProperty("recovering").GetBoolean(), "the start is over", 60, () => _pipit.Cli("status").Output + _lab.Logs());
        Rig.Lab.Eventually(
            () => All("up", 300, 900),
            "every BFD session is up", 60, () => _peer.Show() + _pipit.Cli("peers", "-o", "yaml").Output + _lab.Logs());
        Rig.Lab.Eventually(
            () => Array.TrueForAll(BfdNeighbour.Sessions, item => (Rig.Lab.Routes(_pipit.Namespace) + Rig.Lab.Routes(_pipit.Namespace, v6: true)).Contains(item.Prefix, StringComparison.Ordinal)),
            "every route is in the kernel", 20, () => Rig.Lab.Routes(_pipit.Namespace) + Rig.Lab.Routes(_pipit.Namespace, v6: true) + _lab.Logs());
    }
}

[TestFixture]
public sealed class BfdWithBirdTests() : BfdTests("bird");

[TestFixture]
public sealed class BfdWithFrrTests() : BfdTests("frr")
{
    [Test]
    public void A_neighbour_that_is_held_down_by_its_operator_keeps_its_session()
    {
        BfdFrr frr = (BfdFrr)Peer;
        int before = Established("direct4");
        frr.SetAdminDown(true);
        Rig.Lab.Eventually(() => Bfd("direct4").GetProperty("remoteState").GetString() == "adminDown", "BFD is down there by its operator", 20, () => frr.Show() + Bfd("direct4"));
        Assert.That(Bfd("direct4").GetProperty("state").GetString(), Is.EqualTo("down"));
        Assert.That(Rig.Lab.Routes(Pipit.Namespace), Does.Contain("10.61.1.0/24"));
        frr.SetAdminDown(false);
        Ready();
        Assert.That(Established("direct4"), Is.EqualTo(before), Lab.Logs());
    }
}
