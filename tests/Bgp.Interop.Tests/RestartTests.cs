using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Bgp.Interop.Tests.Conformance;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>Graceful restart (RFC 4724, RFC 8538, RFC 9494) on the wire: what a reflector says and keeps, seen by neighbours that speak each octet themselves.</summary>
[TestFixture]
public sealed class RestartTests
{
    private const string Route = "10.77.1.0/24";
    private const string Unwilling = "10.77.2.0/24";
    private static readonly byte[] s_endOfRib = Octets.Update(Octets.None, Octets.None, Octets.None);

    private string _folder = "";
    private Background? _daemon;
    private IPEndPoint _endPoint = null!;

    [SetUp]
    public void Prepare()
    {
        _folder = Directory.CreateTempSubdirectory("pipit-restart-").FullName;
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _endPoint = (IPEndPoint)socket.LocalEndPoint!;
    }

    [TearDown]
    public void Clean()
    {
        _daemon?.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Test]
    public void The_R_bit_is_in_the_first_OPEN_after_a_start_alone_and_the_F_bit_stays_true()
    {
        Start([A]);
        using (Speaker first = Speaker.Establish(A, _endPoint))
        {
            GracefulRestart bits = Bits(first);
            Assert.That(bits, Is.EqualTo(new GracefulRestart(Restarting: true, Notification: true, Time: 120, Preserved: true)));
            first.Send(s_endOfRib);
            Assert.That(first.WaitFor(static view => view.EndOfRibs.Contains("4"), 10_000), "End-of-RIB: " + first.Messages());
        }

        using Speaker second = Speaker.Establish(A, _endPoint);
        Assert.That(Bits(second), Is.EqualTo(new GracefulRestart(Restarting: false, Notification: true, Time: 120, Preserved: true)));
    }

    [Test]
    public void After_a_start_nothing_is_sent_before_the_reachable_neighbours_End_of_RIB()
    {
        Start([A, B, Dead], staleTime: "300s");
        using Speaker a = Speaker.Establish(A, _endPoint);
        using Speaker b = Speaker.Establish(B, _endPoint);
        b.Send(s_endOfRib);
        a.Send(RouteSet.For(A).Announce(Route));

        // The dead neighbour is given up soon; the one that is here is waited for.
        Lab.Eventually(() => Waiting() == "a: End-of-RIB", "only a is waited for", 40, () => Cli("status", "-o", "json").Output + Log());
        Assert.That(b.Count(Octets.UpdateType), Is.Zero, "neither routes nor End-of-RIB yet");
        Assert.That(Cli("status").Output, Does.Contain("exports held").And.Contain("a (End-of-RIB)"));
        a.Send(s_endOfRib);
        Assert.That(b.WaitFor(static view => view.Find(Route) is not null && view.EndOfRibs.Contains("4"), 10_000), b.Messages() + Log());
        Assert.That(Status().GetProperty("recovering").GetBoolean(), Is.False);
    }

    [Test]
    public void A_neighbour_that_restarts_too_or_knows_no_graceful_restart_is_not_waited_for()
    {
        Identity restarting = A with { More = Restart(0xC0, 0x80, 5) };
        Identity plain = C with { More = [] };
        Start([restarting, B, plain], staleTime: "300s");
        using Speaker a = Speaker.Establish(restarting, _endPoint);
        using Speaker c = Speaker.Establish(plain, _endPoint);
        using Speaker b = Speaker.Establish(B, _endPoint);
        a.Send(RouteSet.For(A).Announce(Route));
        b.Send(s_endOfRib);
        Assert.That(b.WaitFor(static view => view.Find(Route) is not null, 10_000), b.Messages() + Log());
    }

    [Test]
    public void A_neighbour_that_comes_back_with_its_state_keeps_its_routes_until_End_of_RIB_says_which_are_left()
    {
        Start([A, B]);
        using Speaker b = Settled(B);
        using (Speaker a = Settled(A, Route, Unwilling))
        {
            Sees(b, Route, Unwilling);

            // End-of-RIB is an UPDATE as well, and may come after the routes.
            Assert.That(b.WaitFor(static view => view.EndOfRibs.Contains("4"), 20_000), b.Messages());
            a.Abort();
        }

        int before = b.Count(Octets.UpdateType);
        using Speaker again = Speaker.Establish(A, _endPoint);
        again.Send(RouteSet.For(A).Announce(Route), s_endOfRib);
        Assert.That(b.WaitFor(static view => view.Find(Unwilling) is null, 10_000), "what was not confirmed goes: " + b.Messages() + Log());
        Assert.That(b.Find(Route), Is.Not.Null);
        Assert.That(b.Count(Octets.UpdateType), Is.EqualTo(before + 1), "one withdrawal, and nothing else");
    }

    [TestCase(true, TestName = "A_neighbour_that_comes_back_without_its_forwarding_state_loses_its_routes_at_once")]
    [TestCase(false, TestName = "A_neighbour_that_comes_back_without_the_family_loses_its_routes_at_once")]
    public void Comes_back_without(bool family)
    {
        Start([A, B], families: "families: { ipv4: {}, ipv6: {} }");
        using Speaker b = Settled(B);
        using (Speaker a = Settled(A, Route))
        {
            Sees(b, Route);
            a.Abort();
        }

        // The restart time is 100 s: what goes now went for the reason under test.
        Identity other = family ? A with { More = Restart(0x40, 0, 100) } : A with { More = Restart(0x40, 0x80, 100), Ipv4 = false };
        using Speaker again = Speaker.Establish(other, _endPoint);
        Assert.That(b.WaitFor(static view => view.Find(Route) is null, 10_000), b.Messages() + Log());
    }

    [Test]
    public void A_neighbour_that_never_comes_back_loses_its_routes_when_its_restart_time_is_over()
    {
        Identity brief = A with { More = Restart(0x40, 0x80, 2) };
        Start([brief, B]);
        using Speaker b = Settled(B);
        using Speaker a = Settled(brief, Route);
        Sees(b, Route);
        Stopwatch watch = Stopwatch.StartNew();
        a.Abort();
        Assert.That(b.WaitFor(static view => view.Find(Route) is null, 20_000), b.Messages() + Log());
        Assert.That(watch.Elapsed, Is.GreaterThan(TimeSpan.FromSeconds(1.9)), "not before that");
    }

    [TestCase(true, TestName = "A_neighbour_that_is_disabled_while_it_restarts_loses_its_routes_at_once")]
    [TestCase(false, TestName = "A_neighbour_that_is_removed_while_it_restarts_loses_its_routes_at_once")]
    public void Given_up_while_stale(bool disabled)
    {
        Start([A, B]);
        using Speaker b = Settled(B);
        using (Speaker a = Settled(A, Route))
        {
            Sees(b, Route);
            a.Abort();
        }

        Lab.Eventually(() => Peer("a").GetProperty("state").GetString() != "established", "the session is lost", 10, Log);
        Assert.That(b.Find(Route), Is.Not.Null, "and its route stays");
        if (disabled)
        {
            Assert.That(Cli("peer", "a", "disable").Code, Is.Zero);
        }
        else
        {
            Configure([B]);
            Assert.That(Cli("reload", "--wait").Code, Is.Zero);
        }

        Assert.That(b.WaitFor(static view => view.Find(Route) is null, 10_000), b.Messages() + Log());
    }

    [Test]
    public void A_second_loss_within_the_window_loses_nothing()
    {
        Start([A, B]);
        using Speaker b = Settled(B);
        using (Speaker a = Settled(A, Route, Unwilling))
        {
            Sees(b, Route, Unwilling);

            // End-of-RIB is an UPDATE as well, and may come after the routes.
            Assert.That(b.WaitFor(static view => view.EndOfRibs.Contains("4"), 20_000), b.Messages());
            a.Abort();
        }

        int before = b.Count(Octets.UpdateType);
        using (Speaker again = Speaker.Establish(A, _endPoint))
        {
            // It crashes before it has sent everything, and before End-of-RIB.
            again.Send(RouteSet.For(A).Announce(Route));
            Lab.Eventually(() => Peer("a").GetProperty("counters").GetProperty("updatesReceived").GetInt32() >= 4, "the route has arrived", 10, Log);
            again.Abort();
        }

        using Speaker third = Speaker.Establish(A, _endPoint);
        third.Send(RouteSet.For(A).Announce(Route), RouteSet.For(A).Announce(Unwilling), RouteSet.For(A).Announce("10.77.3.0/24"), s_endOfRib);
        Sees(b, "10.77.3.0/24");
        Assert.That(b.Count(Octets.UpdateType), Is.EqualTo(before + 1), "the new route alone: " + b.Messages());
    }

    [TestCase(false, TestName = "A_NOTIFICATION_starts_a_restart_where_both_sent_the_N_bit")]
    [TestCase(true, TestName = "A_Hard_Reset_does_not")]
    public void Notification(bool hard)
    {
        Start([A, B]);
        using Speaker b = Settled(B);
        using Speaker a = Settled(A, Route);
        Sees(b, Route);
        a.Send(hard ? Octets.NotificationMessage(6, 9, 6, 4) : Octets.NotificationMessage(6, 4));
        Lab.Eventually(() => Peer("a").GetProperty("state").GetString() != "established", "the session is down", 10, Log);
        if (hard)
        {
            Assert.That(b.WaitFor(static view => view.Find(Route) is null, 10_000), b.Messages() + Log());
        }
        else
        {
            Assert.That(Json("routes", Route).GetArrayLength(), Is.EqualTo(1));
            Assert.That(b.Find(Route), Is.Not.Null);
        }
    }

    [Test]
    public void Long_lived_stale_routes_are_marked_least_preferred_and_shown_only_to_those_who_know_what_they_are()
    {
        byte[] longLived = Octets.Join(Restart(0x40, 0x80, 1), Octets.Capability(71, 0, 1, 1, 0x80, 0, 0, 6));
        Identity a = A with { More = longLived };
        Identity knows = B with { More = longLived };
        Start([a, knows, C, External], longLived: true);
        using Speaker b = Settled(knows);
        using Speaker inside = Settled(C);
        using Speaker outside = Settled(External);
        Assert.That(Capabilities(b), Does.Contain("4707000101" + "80" + "000014"), "our long-lived time is 20 s, for IPv4, F bit set");
        using Speaker speaker = Settled(a);
        speaker.Send(RouteSet.For(a).Announce(Route), RouteSet.For(a).Add(Octets.Attr(0xC0, 8, Octets.U32(0xFFFF0007))).Announce(Unwilling));
        Sees(b, Route, Unwilling);
        Sees(inside, Route);
        Sees(outside, Route);
        speaker.Abort();
        Assert.That(b.WaitFor(static view => view.Find(Route)?[8] == "FFFF0006", 20_000), "LLGR_STALE: " + b.Find(Route) + Log());
        Assert.That(b.WaitFor(static view => view.Find(Unwilling) is null, 10_000), "NO_LLGR");
        Assert.That(inside.WaitFor(static view => view.Find(Route)?[5] == "00000000", 10_000), "LOCAL_PREF 0: " + inside.Find(Route));
        Assert.That(inside.Find(Route)![8], Is.EqualTo("FFFF0006FFFFFF01"), "LLGR_STALE and NO_EXPORT");
        Assert.That(outside.WaitFor(static view => view.Find(Route) is null, 10_000), "not to an external neighbour without the capability");
        Assert.That(b.WaitFor(static view => view.Find(Route) is null, 20_000), "gone after the long-lived time: " + b.Messages() + Log());
        Assert.That(inside.WaitFor(static view => view.Find(Route) is null, 10_000));
    }

    [Test]
    public void A_neighbour_that_returns_in_the_long_lived_period_makes_its_routes_fresh_again()
    {
        byte[] longLived = Octets.Join(Restart(0x40, 0x80, 1), Octets.Capability(71, 0, 1, 1, 0x80, 0, 1, 0));
        Identity a = A with { More = longLived };
        Identity knows = B with { More = longLived };
        Start([a, knows], longLived: true);
        using Speaker b = Settled(knows);
        using (Speaker speaker = Settled(a, Route, Unwilling))
        {
            Sees(b, Route, Unwilling);
            speaker.Abort();
        }

        Assert.That(b.WaitFor(static view => view.Find(Route)?[8] == "FFFF0006" && view.Find(Unwilling)?[8] == "FFFF0006", 20_000), b.Messages() + Log());
        using Speaker again = Speaker.Establish(a, _endPoint);
        again.Send(RouteSet.For(a).Announce(Route), s_endOfRib);
        Assert.That(b.WaitFor(static view => view.Find(Route) is { } route && !route.Has(8) && view.Find(Unwilling) is null, 10_000), b.Messages() + Log());
    }

    private static Identity A => new("a", "127.0.2.1", Dut.Asn) { Ipv6 = false, More = Restart(0x40, 0x80, 100) };

    private static Identity B => new("b", "127.0.2.2", Dut.Asn) { Ipv6 = false, More = Restart(0x40, 0x80, 100) };

    private static Identity C => new("c", "127.0.2.3", Dut.Asn) { Ipv6 = false, More = Restart(0x40, 0x80, 100) };

    private static Identity Dead => new("dead", "127.0.2.4", Dut.Asn) { Ipv6 = false };

    private static Identity External => new("external", "127.0.2.5", 65005) { Ipv6 = false, More = Restart(0x40, 0x80, 100) };

    /// <summary>Flags (0x80 R, 0x40 N), the F bit of IPv4, seconds.</summary>
    private static byte[] Restart(byte flags, byte forwarding, byte seconds) => Octets.Capability(64, flags, seconds, 0, 1, 1, forwarding);

    private static string Capabilities(Speaker speaker) =>
        Convert.ToHexString(speaker.WaitForMessage(static message => message.Type == 1)!.Body);

    private static GracefulRestart Bits(Speaker speaker)
    {
        byte[] open = speaker.WaitForMessage(static message => message.Type == 1)!.Body;
        int at = open.AsSpan().IndexOf((ReadOnlySpan<byte>)[64, 6]);
        int head = Octets.ReadU16(open.AsSpan(at + 2));
        return new GracefulRestart((head & 0x8000) != 0, (head & 0x4000) != 0, head & 0xFFF, (open[at + 7] & 0x80) != 0);
    }

    private static void Sees(Speaker speaker, params string[] prefixes) =>
        Assert.That(speaker.WaitFor(view => prefixes.All(prefix => view.Find(prefix) is not null), 20_000), speaker.Messages());

    /// <summary>A session with everything said: routes, and End-of-RIB.</summary>
    private Speaker Settled(Identity who, params string[] prefixes)
    {
        Speaker speaker = Speaker.Establish(who, _endPoint);
        foreach (string prefix in prefixes)
        {
            speaker.Send(RouteSet.For(who).Announce(prefix));
        }

        speaker.Send(s_endOfRib);
        return speaker;
    }

    private void Start(Identity[] peers, string staleTime = "30s", bool longLived = false, string families = "")
    {
        string config = Configure(peers, staleTime, longLived, families);
        _daemon = new Background(Path.Combine(_folder, "pipit.log"), [Lab.Pipit, "run", "--config", config, "--socket", Path.Combine(_folder, "pipit.sock")]);
        Lab.Eventually(() => Cli("status").Code == 0, "the daemon answers", 30, Log);
        Lab.Listens(_endPoint.Port, Log);
    }

    private string Configure(Identity[] peers, string staleTime = "30s", bool longLived = false, string families = "")
    {
        string config = Path.Combine(_folder, "pipit.yaml");
        File.WriteAllText(config, $$"""
            version: 1
            node: { name: restart, asn: {{Dut.Asn}}, ipv4: 10.255.0.1, ipv6: "fd00:255::1" }
            listen: { address: 127.0.0.1, port: {{_endPoint.Port}} }
            kernel: { enabled: false, staleTime: {{staleTime}} }
            metrics: { listen: "off" }
            routeReflector: { clusterId: 10.0.0.200 }
            peerGroups:
              # After the start a neighbour has one period of connectRetry to be there, or is not waited for: on a busy machine a second is soon over.
              g:
                passive: true
                routeReflectorClient: true
                timers: { idleHold: 1s, connectRetry: 5s }
                gracefulRestart: { restartTime: 120s{{(longLived ? ", longLived: 20s" : "")}} }
                {{families}}
            peers:

            """ + string.Concat(peers.Select(static who => string.Create(
                CultureInfo.InvariantCulture,
                $"  - {{ name: {who.Name}, address: {who.Address}, asn: {who.Asn}, group: g, import: [all], export: [all]{(who.IsInternal ? "" : ", routeReflectorClient: false")} }}\n"))));
        return config;
    }

    private string Waiting() => string.Join(", ", Status().GetProperty("waitingFor").EnumerateArray().Select(static item => $"{item.GetProperty("name").GetString()}: {item.GetProperty("reason").GetString()}"));

    private JsonElement Status() => Json("status").GetProperty("gracefulRestart");

    private JsonElement Peer(string name) => Json("peer", name);

    private (int Code, string Output, string Error) Cli(params string[] words) => Lab.TryRun(Lab.Pipit, ["--socket", Path.Combine(_folder, "pipit.sock"), .. words]);

    private JsonElement Json(params string[] words)
    {
        (int code, string output, string error) = Cli([.. words, "-o", "json"]);
        return code is 0 or 1 && output.Length > 0 ? JsonDocument.Parse(output).RootElement : throw new InvalidOperationException($"{string.Join(' ', words)}: exit {code}: {error}");
    }

    private string Log()
    {
        using FileStream stream = new(Path.Combine(_folder, "pipit.log"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using StreamReader reader = new(stream);
        return "\n" + string.Join('\n', reader.ReadToEnd().Split('\n').TakeLast(20));
    }

    private sealed record GracefulRestart(bool Restarting, bool Notification, int Time, bool Preserved);
}
