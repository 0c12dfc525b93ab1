using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>
/// Two nodes that keep their routes in table 100, in which the kernel has no routes to connected subnets: what resolves next hops there.
/// </summary>
[TestFixture]
public sealed class OtherTableTests
{
    private Lab _lab = null!;
    private PipitNode _a = null!;
    private PipitNode _b = null!;

    [OneTimeSetUp]
    public void TwoNodes()
    {
        _lab = new Lab();
        string a = _lab.Namespace("a");
        string b = _lab.Namespace("b");
        Lab.Link(a, "eth0", ["10.0.0.1/24", "fd00::1/64"], b, "eth0", ["10.0.0.2/24", "fd00::2/64"]);
        _a = new PipitNode(_lab, a, "a", Config(1)).Start();
        _b = new PipitNode(_lab, b, "b", Config(2)).Start();
        _b.WaitEstablished();
    }

    [OneTimeTearDown]
    public void Clean() => _lab.Dispose();

    [Test]
    public void Neighbours_in_connected_subnets_are_next_hops()
    {
        Has("10.244.1.0/26 via 10.0.0.1 dev eth0 proto bird");
        Has("fd10:244::40/122 via fd00::1 dev eth0 proto bird", v6: true);
        Assert.That(Lab.Routes(_b.Namespace) + Lab.Run("ip", "-n", _b.Namespace, "-6", "route"), Does.Not.Contain("proto bird"), "nothing goes into main");
        Assert.That(_b.Json("fib", "--diff").GetArrayLength(), Is.Zero, _b.Cli("fib", "--diff").Output);
    }

    [Test]
    public void A_second_address_keeps_the_subnet_and_with_the_last_one_it_goes()
    {
        Has("10.244.1.0/26 via 10.0.0.1 dev eth0 proto bird");
        Lab.Run("ip", "netns", "exec", _b.Namespace, "sysctl", "-qw", "net.ipv4.conf.eth0.promote_secondaries=1");
        Lab.Address(_b.Namespace, "eth0", "10.0.0.22/24");
        Lab.Run("ip", "-n", _b.Namespace, "addr", "del", "10.0.0.22/24", "dev", "eth0");
        Has("10.244.1.0/26 via 10.0.0.1 dev eth0 proto bird");
        Lab.Run("ip", "-n", _b.Namespace, "addr", "del", "10.0.0.2/24", "dev", "eth0");
        Lab.Eventually(() => !Table().Contains("10.244.1.0/26", StringComparison.Ordinal), "nothing is reached there any more", 15, () => Table() + _b.Cli("fib").Output);
        Lab.Address(_b.Namespace, "eth0", "10.0.0.2/24");
        Has("10.244.1.0/26 via 10.0.0.1 dev eth0 proto bird");
    }

    private void Has(string line, bool v6 = false) =>
        Lab.Eventually(() => Table(v6).Contains(line, StringComparison.Ordinal), line, 20, () => Table(v6) + _b.Cli("routes").Output + _b.Cli("fib", "--diff").Output + _lab.Logs());

    private string Table(bool v6 = false) => Lab.TryRun("ip", "-n", _b.Namespace, v6 ? "-6" : "-4", "route", "show", "table", "100").Output;

    private static string Config(int number) => $$"""
        version: 1
        node: { name: n{{number}}, asn: 64512, ipv4: 10.0.0.{{number}}/24, ipv6: "fd00::{{number}}/64" }
        metrics: { listen: "off" }
        kernel: { table: 100 }
        pools:
          - { name: v4, cidr: 10.244.0.0/16 }
          - { name: v6, cidr: "fd10:244::/64", blockSize: 122 }
        originate:
          - { prefix: 10.244.{{number}}.0/26 }
          - { prefix: "fd10:244::{{number * 40}}/122" }
        peerGroups:
          mesh: { asn: 64512, nextHop: self, timers: { hold: 9s, connectRetry: 1s, idleHold: 1s } }
        peers:
          - { name: four, address: 10.0.0.{{3 - number}}, group: mesh, families: { ipv4: {} } }
          - { name: six, address: "fd00::{{3 - number}}", group: mesh, families: { ipv6: {} } }
        """;
}
