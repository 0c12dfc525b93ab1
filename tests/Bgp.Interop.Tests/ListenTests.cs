using System.Text.Json;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>Addresses that cannot be listened on when the daemon starts, as a lease or an IPv6 address that is still being probed: BIRD calls on one of them, with a password.</summary>
[TestFixture]
public sealed class ListenTests
{
    private const string Late = "10.1.0.77";
    private Lab _lab = null!;

    [SetUp]
    public void Prepare() => _lab = new Lab();

    [TearDown]
    public void Clean() => _lab.Dispose();

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
        Background other = new PipitNode(_lab, ours, "other", Config("other", Late)).Start().Process!;
        Lab.Eventually(() => Listens(Late), "the other one listens", 15, _lab.Logs);
        PipitNode pipit = new PipitNode(_lab, ours, "us", Config("us", "10.1.0.1")).Start();
        Lab.Eventually(() => pipit.Cli("status").Code == 0 && Listens("10.1.0.1"), "it runs", 15, _lab.Logs);
        pipit.Configure(Config("us", "10.1.0.1, " + Late));
        Assert.That(pipit.Cli("reload", "--wait").Code, Is.Zero);
        Assert.That(NotListening(pipit), Is.EqualTo($"{Late}:179: address already in use"));
        Assert.That(other.Terminate(), Is.Zero);
        Lab.Eventually(() => NotListening(pipit) is null && Listens(Late), "it listens there now", 10, () => pipit.Cli("status").Output + _lab.Logs());

        // An address that is not wanted any more is not tried any more.
        pipit.Configure(Config("us", "10.1.0.1, 10.1.0.78"));
        Assert.That(pipit.Cli("reload", "--wait").Code, Is.Zero);
        Assert.That(NotListening(pipit), Does.StartWith("10.1.0.78:179"));
        Assert.That(Listens(Late), Is.False);
        pipit.Configure(Config("us", "10.1.0.1"));
        Assert.That(pipit.Cli("reload", "--wait").Code, Is.Zero);
        Assert.That(NotListening(pipit), Is.Null);

        bool Listens(string address) => Lab.Run("ip", "netns", "exec", ours, "ss", "-Hltn").Contains(address + ":179 ", StringComparison.Ordinal);
    }

    private static string Config(string name, string listen) => $$"""
        version: 1
        node: { name: {{name}}, asn: 64512, ipv4: 10.1.0.1 }
        listen: { address: [{{listen}}] }
        metrics: { listen: "off" }
        kernel: { enabled: false }
        """;

    private static string? NotListening(PipitNode pipit) => pipit.Json("status").TryGetProperty("notListening", out JsonElement closed) ? closed.GetString() : null;
}
