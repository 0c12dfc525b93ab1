using System.Text.Json;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>What a host does not let the daemon have: addresses to listen on, routes in the kernel, a place for its socket. It goes on with the rest, says so, and takes it when it can.</summary>
[TestFixture]
public sealed class RefusingHostTests
{
    private const string Late = "10.1.0.77";
    private Lab _lab = null!;

    [SetUp]
    public void Prepare() => _lab = new Lab();

    [TearDown]
    public void Clean() => _lab.Dispose();

    /// <summary>A lease, or an IPv6 address that is still being probed: BIRD calls on it, with a password.</summary>
    [Test]
    public void An_address_that_comes_later_is_listened_on_when_it_comes_with_the_passwords_and_named_until_then()
    {
        string ours = _lab.Namespace("us");
        string theirs = _lab.Namespace("them");
        Lab.Link(ours, "eth0", ["10.1.0.1/24"], theirs, "eth0", ["10.1.0.2/24"]);
        string key = _lab.File("key", "secret\n");
        PipitNode pipit = new PipitNode(_lab, ours, "us", $$"""
            version: 1
            node: { name: us, asn: 64512, ipv4: 10.1.0.1 }
            listen: { address: [10.1.0.1, {{Late}}] }
            metrics: { listen: "{{Late}}:9179" }
            kernel: { enabled: false }
            peers:
              - { name: them, address: 10.1.0.2, asn: 64512, passive: true, auth: { md5: { file: {{key}} } } }
            """).Start();
        _lab.Start(theirs, "bird", "bird", "-f", "-c", _lab.File("bird.conf", $$"""
            router id 10.1.0.2; log stderr all; protocol device {}
            protocol bgp pipit { local 10.1.0.2 as 64512; neighbor {{Late}} as 64512; connect retry time 1; error wait time 1,1; connect delay time 1; password "secret"; ipv4 { import all; export none; }; }
            """), "-s", Path.Combine(_lab.Folder, "bird.ctl"), "-P", Path.Combine(_lab.Folder, "bird.pid"));
        Lab.Eventually(() => pipit.Cli("status").Code == 0, "it runs, with one address of two", 15, _lab.Logs);
        Assert.That(NotListening(pipit), Is.EqualTo($"{Late}:179: cannot assign requested address; {Late}:9179: cannot assign requested address"));
        Assert.That(pipit.Cli("status").Output, Does.Contain($"Not listening on:        {Late}:179: cannot assign requested address; {Late}:9179"));
        Lab.Eventually(() => Log("cannot listen").Length == 2, "both are said", 10, _lab.Logs);

        Lab.Address(ours, "eth0", Late + "/24");
        pipit.WaitEstablished();
        Lab.Eventually(() => NotListening(pipit) is null, "nothing is missing", 10, () => pipit.Cli("status").Output + _lab.Logs());
        Assert.That(Metrics(), Does.StartWith("HTTP/1.1 200").And.Contain("pipit_"));
        Assert.Multiple(() =>
        {
            Assert.That(Log("cannot listen"), Has.Length.EqualTo(2), "each is said once, however often it is tried");
            Assert.That(Log($"listening on {Late}:179"), Has.Length.EqualTo(1));
            Assert.That(Log("listening on 10.1.0.1:179"), Has.Length.EqualTo(1), "what listens is left alone");
        });

        string Metrics() => Lab.TryRun("ip", "netns", "exec", theirs, "bash", "-c", $"exec 3<>/dev/tcp/{Late}/9179; printf 'GET /metrics HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3").Output;
        string[] Log(string words) => [.. File.ReadLines(Path.Combine(_lab.Folder, "us.log")).Where(line => line.Contains(words, StringComparison.Ordinal) && !line.Contains("not listening", StringComparison.Ordinal))];
    }

    [Test]
    public void An_address_that_another_daemon_holds_is_taken_when_it_lets_go_also_after_a_reload()
    {
        string ours = _lab.Namespace("us");
        Lab.Address(ours, "lo", "10.1.0.1/32", Late + "/32");
        Background other = new PipitNode(_lab, ours, "other", Config("other", Late, Late + ":9179")).Start().Process!;
        Listen(Late + ":179", Late + ":9179");
        PipitNode pipit = new PipitNode(_lab, ours, "us", Config("us", "10.1.0.1", "10.1.0.1:9179")).Start();
        Listen(Late + ":179", Late + ":9179", "10.1.0.1:179", "10.1.0.1:9179");
        Reload("10.1.0.1, " + Late, Late + ":9179");
        Assert.That(NotListening(pipit), Is.EqualTo($"{Late}:179: address already in use; {Late}:9179: address already in use"));
        Listen(Late + ":179", Late + ":9179", "10.1.0.1:179", "10.1.0.1:9179");

        // Metrics stay where they were until they can be where they should be, and are not in two places when they were never away.
        Reload("10.1.0.1, " + Late, "10.1.0.1:9179");
        Assert.That(NotListening(pipit), Is.EqualTo($"{Late}:179: address already in use"));
        Reload("10.1.0.1, " + Late, Late + ":9179");
        Assert.That(other.Terminate(), Is.Zero);
        Listen(Late + ":179", Late + ":9179", "10.1.0.1:179");
        Lab.Eventually(() => NotListening(pipit) is null, "nothing is missing", 10, () => pipit.Cli("status").Output + _lab.Logs());

        // An address that is not wanted any more is not tried any more.
        Reload("10.1.0.1, 10.1.0.78", "off");
        Assert.That(NotListening(pipit), Does.StartWith("10.1.0.78:179"));
        Listen("10.1.0.1:179");
        Reload("10.1.0.1", "off");
        Assert.That(NotListening(pipit), Is.Null);

        void Reload(string listen, string metrics)
        {
            pipit.Configure(Config("us", listen, metrics));
            Assert.That(pipit.Cli("reload", "--wait").Code, Is.Zero);
        }

        void Listen(params string[] expected) => Lab.Eventually(() => Listening().SequenceEqual(expected.Order(StringComparer.Ordinal)), string.Join(' ', expected), 15, () => string.Join(' ', Listening()) + _lab.Logs());

        string[] Listening() => [.. Lab.Run("ip", "netns", "exec", ours, "ss", "-Hltn").Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[3]).Order(StringComparer.Ordinal)];
    }

    [Test]
    public void Routes_that_the_kernel_refuses_are_said_in_the_log_once_and_again_when_none_is()
    {
        string ours = _lab.Namespace("us");
        Lab.Address(ours, "lo", "10.1.0.1/32");
        PipitNode pipit = new PipitNode(_lab, ours, "us", Routes("10.244.1.0/26", "10.244.2.0/26")).Start("setpriv", "--bounding-set=-net_admin");
        Lab.Eventually(() => Log("routes are refused").Length > 0, "it is said", 15, _lab.Logs);
        Assert.That(Log("routes are refused")[0], Does.Contain(" warning ").And.Contain("10.244.").And.Contain("EPERM"));
        Assert.That(pipit.Cli("status").Output, Does.Contain("2 failed").And.Contain("EPERM"));
        Assert.That(pipit.Cli("fib", "--diff").Output, Does.Contain("10.244.1.0/26").And.Contain("10.244.2.0/26").And.Contain("Operation not permitted"));

        // A change of any kind has them tried again, and fail again.
        Lab.Address(ours, "lo", "10.1.0.2/32");
        pipit.Configure(Routes());
        Assert.That(pipit.Cli("reload", "--wait").Code, Is.Zero);
        Lab.Eventually(() => Log("no route is refused any more").Length == 1, "and so is the end of it", 15, _lab.Logs);
        Assert.That(Log("routes are refused"), Has.Length.EqualTo(1), "once");

        string[] Log(string words) => [.. File.ReadLines(Path.Combine(_lab.Folder, "us.log")).Where(line => line.Contains(words, StringComparison.Ordinal))];

        static string Routes(params string[] prefixes) => $$"""
            version: 1
            node: { name: us, asn: 64512, ipv4: 10.1.0.1 }
            metrics: { listen: "off" }
            pools: [ { name: v4, cidr: 10.244.0.0/16 } ]
            originate: [ {{string.Join(", ", prefixes.Select(static prefix => $"{{ prefix: {prefix}, kind: blackhole }}"))}} ]
            """;
    }

    [Test]
    public void A_start_that_fails_says_why_in_one_line()
    {
        string ours = _lab.Namespace("us");
        (int code, string output, string error) = Lab.TryRun("ip", "netns", "exec", ours, Lab.Pipit, "run", "--config", _lab.File("us.yaml", Config("us", "10.1.0.1")), "--socket", Path.Combine(_lab.Folder, "us.sock"));
        Assert.That(code, Is.EqualTo(1));
        Assert.That(error.Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1], Is.EqualTo("pipit: cannot listen on 10.1.0.1:179: cannot assign requested address"));
        Assert.That(output + error, Does.Not.Contain("   at ").And.Not.Contain("Exception"));
    }

    private static string Config(string name, string listen, string metrics = "off") => $$"""
        version: 1
        node: { name: {{name}}, asn: 64512, ipv4: 10.1.0.1 }
        listen: { address: [{{listen}}] }
        metrics: { listen: "{{metrics}}" }
        kernel: { enabled: false }
        """;

    private static string? NotListening(PipitNode pipit) => pipit.Json("status").TryGetProperty("notListening", out JsonElement closed) ? closed.GetString() : null;
}
