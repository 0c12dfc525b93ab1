using Bgp.Daemon.Config;

namespace Bgp.Daemon.Tests.Config;

[TestFixture]
public sealed class DiffTests
{
    private const string Base = """
        version: 1
        node: { name: a, asn: 64512, ipv4: 10.0.0.1 }
        peerGroups: { g: { asn: 64512 } }
        peers:
          - { name: p, address: 10.0.0.2, group: g }
          - { name: q, address: 10.0.0.3, group: g, import: [f] }
        filters: { f: { rules: [{ action: accept }] } }
        """;

    private static string[] Changes(string from, string to) =>
        [.. ConfigDiff.Compare(ConfigReader.Parse(Base, "f").Model!, ConfigReader.Parse(Base.Replace(from, to, StringComparison.Ordinal), "f").Model!)
            .Select(c => $"{c.Kind} {c.Name} {c.Impact}")];

    [Test]
    public void A_key_that_moves_from_peer_to_group_is_no_change() =>
        Assert.That(Changes("group: g }", "group: g, timers: { hold: 90s } } # x"), Is.Empty);

    [TestCase("g: { asn: 64512 }", "g: { asn: 64512, timers: { connectRetry: 1s } }", "peer p Timers|peer q Timers")]
    [TestCase("10.0.0.2, group: g", "10.0.0.2, group: g, nextHop: self", "peer p Refresh")]
    [TestCase("10.0.0.2, group: g", "10.0.0.2, group: g, port: 1179", "peer p Reset")]
    [TestCase("10.0.0.2, group: g", "10.0.0.2, group: g, description: x", "peer p None")]
    [TestCase("name: p,", "name: r,", "peer r Add|peer p Remove")]
    [TestCase("action: accept", "action: reject", "filter f Change|peer q Refresh")]
    [TestCase("version: 1", "version: 1\npools: [{ name: x, cidr: 10.9.0.0/16 }]", "pool x Add|peer p Refresh|peer q Refresh")]
    [TestCase("version: 1", "version: 1\nkernel: { metric: localPref, normalMetric: 5000 }", "kernel  Change|peer p Refresh|peer q Refresh")]
    [TestCase("version: 1", "version: 1\nkernel: { normalMetric: 5000 }", "kernel  Change|peer p Refresh|peer q Refresh")]
    [TestCase("version: 1", "version: 1\nlisten: { port: 1179 }", "listen  Change")]
    public void A_change_costs_no_more_than_it_must(string from, string to, string expected) =>
        Assert.That(string.Join('|', Changes(from, to)), Is.EqualTo(expected));
}
