using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Bgp.Interop.Tests.Conformance;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>Reloads beside 500 external sessions: every message is counted, so that one too many fails.</summary>
/// <remarks>
/// Each neighbour announces 10.N.M.0/24 and is sent everybody else's. What was sent before a point in time has arrived when a route that was announced after it
/// has: streams keep their order. So nothing here waits for silence.
/// </remarks>
[TestFixture]
public sealed class ReloadTests
{
    private const int Peers = 500;
    private const byte Keepalive = 4;
    private const int Sentinels = 2;

    private readonly List<Speaker> _speakers = [];
    private string _folder = "";
    private string _config = "";
    private Background _daemon = null!;
    private IPEndPoint _endPoint = null!;
    private int _sentinel;

    [OneTimeSetUp]
    public void Start()
    {
        _folder = Directory.CreateTempSubdirectory("pipit-reload-").FullName;
        _config = Path.Combine(_folder, "pipit.yaml");
        _endPoint = new IPEndPoint(IPAddress.Loopback, FreePort());
        File.WriteAllText(_config, Config());
        _daemon = new Background(Path.Combine(_folder, "pipit.log"), [Lab.Pipit, "run", "--config", _config, "--socket", Path.Combine(_folder, "pipit.sock")]);
        Lab.Eventually(() => Cli("status").Code == 0, "the daemon answers", 30, Log);
        Lab.Listens(_endPoint.Port, Log);
        for (int i = 0; i < Peers; i++)
        {
            _speakers.Add(Speaker.Establish(Who(i), _endPoint));
        }

        for (int i = 0; i < Peers; i++)
        {
            _speakers[i].Send(RouteSet.For(Who(i)).Announce(Prefix(i)));
        }

        for (int i = 0; i < Peers; i++)
        {
            string last = Prefix(i == Peers - 1 ? Peers - 2 : Peers - 1);
            Assert.That(_speakers[i].WaitFor(view => view.Prefixes.Count == Peers - 1 && view.Find(last) is not null, 60_000), $"speaker {i} has all routes: {_speakers[i].Messages()}\n{Log()}");
        }

        // The last End-of-RIBs are out too.
        Settle();
    }

    [OneTimeTearDown]
    public void Stop()
    {
        _speakers.ForEach(static speaker => speaker.Dispose());
        _daemon.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [TearDown]
    public void Restore()
    {
        Reload(Config());
        Settle();
        Assert.That(_speakers.TrueForAll(static speaker => !speaker.IsClosed), "a session was lost\n" + Log());
    }

    [Test]
    public void An_identical_configuration_sends_nobody_anything()
    {
        int[] before = Counts();
        JsonElement answer = Reload("# other text, same content\n" + Config());
        Assert.That(answer.GetProperty("changes").GetArrayLength(), Is.Zero);
        Assert.That(Json("reload", "--confirm", "60s").GetProperty("confirmWithinSeconds").ValueKind, Is.EqualTo(JsonValueKind.Null), "there is nothing to confirm");
        Sends(before, static _ => 0);
    }

    [Test]
    public void The_export_filter_of_one_of_500_peers_costs_that_peer_one_message()
    {
        int[] before = Counts();
        string changed = Config().Replace("special: { rules: [ { action: accept }", $"special: {{ rules: [ {{ match: {{ prefixExact: {Prefix(3)} }}, action: reject }}, {{ action: accept }}", StringComparison.Ordinal);
        Changes(changed, "peer p7 refresh");
        Sends(before, static i => i == 7 ? 1 : 0);
        Assert.That(_speakers[7].Find(Prefix(3)), Is.Null);
        Assert.That(_speakers[8].Find(Prefix(3)), Is.Not.Null);
    }

    [Test]
    public void The_export_filter_of_all_others_costs_each_of_them_one_message_and_the_one_nothing()
    {
        int[] before = Counts();
        string changed = Config().Replace("common: { rules: [ { action: accept }", $"common: {{ rules: [ {{ match: {{ prefixExact: {Prefix(3)} }}, set: {{ addCommunities: [\"65000:1\"] }}, action: accept }}, {{ action: accept }}", StringComparison.Ordinal);
        JsonElement answer = Reload(changed);
        Assert.That(answer.GetProperty("changes").EnumerateArray().Count(static change => change.GetProperty("impact").GetString() == "refresh"), Is.EqualTo(Peers - 1));

        // Not to the route's own neighbour, and not to the one whose filter is another.
        Sends(before, static i => i is 3 or 7 ? 0 : 1);
        Assert.That(_speakers[9].Find(Prefix(3))!.Has(8), "carries the community");
    }

    [Test]
    public void An_import_filter_is_applied_to_what_is_stored_and_nobody_is_asked_for_routes()
    {
        int[] before = Counts();
        string changed = Config().Replace("in: { rules: [ { action: accept }", $"in: {{ rules: [ {{ match: {{ prefixExact: {Prefix(5)} }}, action: reject }}, {{ action: accept }}", StringComparison.Ordinal);
        Reload(changed);
        Sends(before, static i => i == 5 ? 0 : 1);
        Assert.That(_speakers.Sum(static speaker => speaker.Count(5)), Is.Zero, "ROUTE-REFRESH");
        JsonElement filtered = Json("routes", "--filtered");
        Assert.That(filtered.EnumerateArray().Single().GetProperty("prefix").GetString(), Is.EqualTo(Prefix(5)));
        before = Counts();
        Reload(Config());
        Sends(before, static i => i == 5 ? 0 : 1);
        Assert.That(_speakers[9].Find(Prefix(5)), Is.Not.Null);
    }

    [Test]
    public void A_peer_that_is_added_or_removed_touches_no_other()
    {
        int[] before = Counts();
        Changes(Config() + "  - { name: extra, address: 127.0.9.9, asn: 64999, group: g }\n", "peer extra add");
        Sends(before, static _ => 0);
        before = Counts();
        Changes(Config(), "peer extra remove");
        Sends(before, static _ => 0);
    }

    [Test]
    public void Timers_and_names_are_taken_over_without_a_packet()
    {
        int[] before = Counts();
        JsonElement answer = Reload(Config().Replace("connectRetry: 1s", "connectRetry: 2s, keepalive: 20s", StringComparison.Ordinal).Replace("name: p9,", "name: p9, description: nine,", StringComparison.Ordinal));
        Assert.That(answer.GetProperty("changes").EnumerateArray().All(static change => change.GetProperty("impact").GetString() == "timers"));
        Sends(before, static _ => 0);
    }

    [Test]
    public void The_listener_moves_to_another_address_and_back_under_live_sessions()
    {
        int[] before = Counts();
        Changes(Config().Replace("listen: { address: 127.0.0.1,", "listen: { address: 0.0.0.0,", StringComparison.Ordinal), "listen  change");
        using (Socket elsewhere = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
            elsewhere.Connect(new IPEndPoint(IPAddress.Parse("127.0.0.77"), _endPoint.Port));
        }

        Reload(Config());
        using (Socket elsewhere = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
            Assert.Throws<SocketException>(() => elsewhere.Connect(new IPEndPoint(IPAddress.Parse("127.0.0.77"), _endPoint.Port)));
        }

        (int code, _, string error) = TryReload(Config().Replace("listen: { address: 127.0.0.1,", "listen: { address: 192.0.2.1,", StringComparison.Ordinal));
        Assert.That(code, Is.EqualTo(1));
        Assert.That(error, Does.Contain("192.0.2.1"));
        Sends(before, static _ => 0);
        using Speaker again = Speaker.Connect(Who(Peers), answers: false, _endPoint);
    }

    [Test]
    public void What_cannot_change_is_refused_with_the_keys_name_and_nothing_changes()
    {
        int[] before = Counts();
        (int code, _, string error) = TryReload(Config().Replace("kernel: { enabled: false }", "kernel: { enabled: false, table: 100 }", StringComparison.Ordinal));
        Assert.That(code, Is.EqualTo(1));
        Assert.That(error, Does.Contain("kernel.table: cannot change while running"));
        Sends(before, static _ => 0);
    }

    [Test]
    public void An_unconfirmed_configuration_is_rolled_back()
    {
        int[] before = Counts();
        int gone = _speakers[7].Withdrawals(Prefix(3));
        File.WriteAllText(_config, Config().Replace("special: { rules: [ { action: accept }", $"special: {{ rules: [ {{ match: {{ prefixExact: {Prefix(3)} }}, action: reject }}, {{ action: accept }}", StringComparison.Ordinal));
        Assert.That(Cli("reload", "--confirm", "1s").Code, Is.Zero);

        // By what has come, not by what is there: on a busy machine the second is over before it is looked at.
        Assert.That(_speakers[7].WaitFor(view => view.Withdrawals(Prefix(3)) == gone + 1, 10_000), "taken over");
        Assert.That(_speakers[7].WaitFor(static view => view.Find(Prefix(3)) is not null, 10_000), "rolled back");
        Sends(before, static i => i == 7 ? 2 : 0);
    }

    private static Identity Who(int i) => new($"p{i}", string.Create(CultureInfo.InvariantCulture, $"127.0.{1 + (i / 200)}.{1 + (i % 200)}"), (uint)(60000 + i)) { Ipv6 = false, RouterId = 0x0A000000u + (uint)i, More = Octets.Capability(2) };

    private static string Prefix(int i) => string.Create(CultureInfo.InvariantCulture, $"10.{i / 200}.{i % 200}.0/24");

    private static int FreePort()
    {
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Any, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    private string Config() => $$"""
        version: 1
        node: { name: reload, asn: 64512, ipv4: 10.255.0.1 }
        listen: { address: 127.0.0.1, port: {{_endPoint.Port}} }
        kernel: { enabled: false }
        metrics: { listen: "off" }
        filters:
          in: { rules: [ { action: accept } ] }
          common: { rules: [ { action: accept } ] }
          special: { rules: [ { action: accept } ] }
        peerGroups:
          g: { passive: true, import: [in], export: [common], timers: { idleHold: 1s, connectRetry: 1s } }
        peers:

        """ + string.Concat(Enumerable.Range(0, Peers).Select(static i => $"  - {{ name: p{i}, address: {Who(i).Address}, asn: {Who(i).Asn}, group: g{(i == 7 ? ", export: [special]" : "")} }}\n"));

    private (int Code, string Output, string Error) Cli(params string[] words) => Lab.TryRun(Lab.Pipit, ["--socket", Path.Combine(_folder, "pipit.sock"), .. words]);

    private JsonElement Json(params string[] words)
    {
        (int code, string output, string error) = Cli([.. words, "-o", "json"]);
        Assert.That(code, Is.Zero, error + output);
        return JsonDocument.Parse(output).RootElement;
    }

    private (int Code, string Output, string Error) TryReload(string config)
    {
        File.WriteAllText(_config, config);
        return Cli("reload", "--wait");
    }

    /// <summary>A dry run, then the reload; both must say the same.</summary>
    private JsonElement Reload(string config)
    {
        File.WriteAllText(_config, config);
        JsonElement said = Json("reload", "--dry-run").GetProperty("changes");
        JsonElement answer = Json("reload", "--wait");
        Assert.That(answer.GetProperty("changes").GetRawText(), Is.EqualTo(said.GetRawText()), "what --dry-run said");
        return answer;
    }

    private void Changes(string config, string expected)
    {
        string[] changes = [.. Reload(config).GetProperty("changes").EnumerateArray()
            .Where(static change => change.GetProperty("kind").GetString() != "filter")
            .Select(static change => $"{change.GetProperty("kind").GetString()} {change.GetProperty("name").GetString()} {change.GetProperty("impact").GetString()}")];
        Assert.That(changes, Is.EqualTo(new[] { expected }));
    }

    private int[] Counts() => [.. _speakers.Select(static speaker => speaker.CountAll() - speaker.Count(Keepalive))];

    /// <summary>Checks how many messages each neighbour got since <paramref name="before"/>, KEEPALIVEs apart.</summary>
    private void Sends(int[] before, Func<int, int> expected)
    {
        Settle();
        int[] after = Counts();
        int Sent(int i) => after[i] - before[i] - (i < 2 ? Sentinels : 2 * Sentinels);
        string wrong = string.Join(", ", Enumerable.Range(0, Peers).Where(i => Sent(i) != expected(i)).Select(i => $"p{i}: {Sent(i)} for {expected(i)}"));
        Assert.That(wrong, Is.Empty);
        Assert.That(_speakers.TrueForAll(static speaker => !speaker.IsClosed), "a session was lost\n" + Log());
    }

    /// <summary>From each of the first two neighbours a new route and its withdrawal: <see cref="Sentinels"/> messages to everybody else. From two, so that each of them is waited for as well.</summary>
    private void Settle()
    {
        for (int from = 0; from < 2; from++)
        {
            string prefix = string.Create(CultureInfo.InvariantCulture, $"172.16.{++_sentinel}.0/24");
            RouteSet set = RouteSet.For(Who(from));
            _speakers[from].Send(set.Announce(prefix));
            Everybody(from, view => view.Find(prefix) is not null, $"{prefix} at");
            _speakers[from].Send(set.Withdraw(prefix));
            Everybody(from, view => view.Find(prefix) is null, $"no {prefix} at");
        }
    }

    private void Everybody(int but, Func<RouteView, bool> fits, string what)
    {
        for (int i = 0; i < Peers; i++)
        {
            if (i == but)
            {
                continue;
            }

            Assert.That(_speakers[i].WaitFor(fits, 30_000), $"{what} {i}: {_speakers[i].Messages()}\n{Log()}");
        }
    }

    private string Log()
    {
        using FileStream stream = new(Path.Combine(_folder, "pipit.log"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using StreamReader reader = new(stream);
        return string.Join('\n', reader.ReadToEnd().Split('\n').TakeLast(20));
    }
}
