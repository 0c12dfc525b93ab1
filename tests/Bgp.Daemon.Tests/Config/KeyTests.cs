using Bgp.Daemon.Config;
using CsCheck;

namespace Bgp.Daemon.Tests.Config;

[TestFixture]
public sealed class KeyTests
{
    private const string Head = "version: 1\nnode: { name: a, asn: 64512, ipv4: 10.0.0.1 }\n";
    private const string Peer = Head + "peers:\n  - { name: p, address: 10.0.0.2, asn: 65001, import: [all], export: [all], KEY }\n";

    [TestCase("port: 1179")]
    [TestCase("localAsn: 1.10")]
    [TestCase("description: x")]
    [TestCase("passive: true")]
    [TestCase("sourceAddress: 10.0.0.1")]
    [TestCase("multihop: 3")]
    [TestCase("ttlSecurity: 1")]
    [TestCase("nextHop: self")]
    [TestCase("nextHop: unchanged")]
    [TestCase("clusterId: 0.0.0.9")]
    [TestCase("allowLocalAs: 1")]
    [TestCase("enforceFirstAs: false")]
    [TestCase("reachableBy: 10.0.0.9")]
    [TestCase("timers: { hold: 30s }")]
    [TestCase("timers: { keepalive: 5s }")]
    [TestCase("timers: { connectRetry: 300ms }")]
    [TestCase("timers: { idleHold: 1m }")]
    [TestCase("gracefulRestart: { enabled: false }")]
    [TestCase("gracefulRestart: { restartTime: 10s }")]
    [TestCase("gracefulRestart: { longLived: 1h }")]
    [TestCase("families: { ipv4: {}, ipv6: }")]
    [TestCase("families: { ipv4: { addPath: { send: 4 } } }")]
    [TestCase("families: { ipv4: { addPath: { receive: true } } }")]
    [TestCase("families: { ipv4: { maxPrefixes: { count: 5 } } }")]
    [TestCase("families: { ipv4: { maxPrefixes: { count: 5, action: restart } } }")]
    [TestCase("auth: { md5: { env: HOME } }")]
    [TestCase("bfd: { interval: 1s }")]
    [TestCase("disabled: true")]
    [TestCase("birdName: B")]
    public void A_peer_key_reaches_the_model(string key)
    {
        string plain = Peer.Replace(", KEY", "", StringComparison.Ordinal);
        PeerConfig without = ConfigReader.Parse(plain, "f").Model!.Peers[0];
        ConfigResult result = ConfigReader.Parse(Peer.Replace("KEY", key, StringComparison.Ordinal), "f");
        Assert.That(result.Errors, Is.Empty);
        Assert.That(result.Model!.Peers[0], Is.Not.EqualTo(without));
    }

    [TestCase("watch: true")]
    [TestCase("listen: { address: 10.0.0.1 }")]
    [TestCase("listen: { port: 1179 }")]
    [TestCase("listen: { backlog: 5 }")]
    [TestCase("pools: [{ name: p, cidr: 10.1.0.0/16, blockSize: 28, tunnel: { mode: ipip, when: crossSubnet, device: t }, export: false, installKernel: false, use: service }]")]
    [TestCase("originate: [{ prefix: 10.1.0.0/26, kind: unreachable, communities: no-export }]")]
    [TestCase("kernel: { enabled: false }")]
    [TestCase("kernel: { table: 100 }")]
    [TestCase("kernel: { protocol: 80 }")]
    [TestCase("kernel: { metric: localPref }")]
    [TestCase("kernel: { metric: 32 }")]
    [TestCase("kernel: { normalMetric: 5000 }")]
    [TestCase("kernel: { normalMetric: { ipv6: 80 } }")]
    [TestCase("kernel: { ecmp: false }")]
    [TestCase("kernel: { maxPaths: 2 }")]
    [TestCase("kernel: { persist: false }")]
    [TestCase("kernel: { staleTime: 1m }")]
    [TestCase("kernel: { installDefault: true }")]
    [TestCase("kernel: { excludeNextHops: 10.0.0.9 }")]
    [TestCase("kernel: { nexthopObjects: true }")]
    [TestCase("kernel: { learn: { enabled: false } }")]
    [TestCase("kernel: { learn: { interfaces: [cali*] } }")]
    [TestCase("kernel: { learn: { excludeInterfaces: [eth0] } }")]
    [TestCase("kernel: { learn: { excludeProtocols: [3] } }")]
    [TestCase("kernel: { learn: { guard: false } }")]
    [TestCase("kernel: { direct: { excludeInterfaces: [] } }")]
    [TestCase("routeReflector: { clusterId: 7 }")]
    [TestCase("routeReflector:")]
    [TestCase("birdCompat: [{ path: /x, dialect: bird1, family: ipv4, mode: \"0600\", group: g, readOnly: true }]")]
    [TestCase("log: { level: debug }")]
    [TestCase("log: { format: json }")]
    [TestCase("metrics: { listen: \"[::1]:9\" }")]
    [TestCase("bmp: [{ address: 10.0.0.9 }]")]
    [TestCase("bmp: [{ name: s, address: 10.0.0.9, port: 5000, policy: post, statsInterval: 0, connectRetry: 5s }]")]
    [TestCase("dynamicPeers: [{ range: 10.0.0.0/24, group: g, limit: 5 }]\npeerGroups: { g: {} }")]
    [TestCase("filters: { f: { rules: [{ match: { prefix: 10.0.0.0/8 }, action: accept }], default: reject } }")]
    public void A_top_level_key_reaches_the_model(string text)
    {
        ConfigModel without = ConfigReader.Parse(Head, "f").Model!;
        ConfigResult result = ConfigReader.Parse(Head + text + "\n", "f");
        Assert.That(result.Errors, Is.Empty);
        Assert.That(result.Model!.Hash, Is.Not.EqualTo(without.Hash));
    }

    [TestCase("match: { prefixExact: 10.0.0.0/8 }")]
    [TestCase("match: { notPrefix: [10.0.0.0/8, \"fd00::/8\"] }")]
    [TestCase("match: { notPrefixExact: 10.0.0.0/8 }")]
    [TestCase("match: { prefixLength: 8-24 }")]
    [TestCase("match: { source: [kernel, originate] }")]
    [TestCase("match: { kernelProtocol: 80 }")]
    [TestCase("match: { interface: \"*.cali\" }")]
    [TestCase("match: { community: \"65001:1\" }")]
    [TestCase("match: { largeCommunity: \"65001:1:2\" }")]
    [TestCase("match: { asPath: \"^65001 \" }")]
    [TestCase("match: { asPathPrefix: [65001, 1.10] }")]
    [TestCase("match: { localPref: 200 }")]
    [TestCase("match: { nextHop: 10.0.0.0/24 }")]
    [TestCase("match: { peerType: ebgp }")]
    [TestCase("set: { localPref: 4294967295 }")]
    [TestCase("set: { med: 0 }")]
    [TestCase("set: { addCommunities: [blackhole] }")]
    [TestCase("set: { removeCommunities: \"1:2\" }")]
    [TestCase("set: { addLargeCommunities: \"1:2:3\" }")]
    [TestCase("set: { prepend: 2 }")]
    [TestCase("set: { prepend: [65001, 1.10] }")]
    [TestCase("set: { nextHop: self }")]
    [TestCase("set: { nextHop: 10.0.0.9 }")]
    [TestCase("set: { kernelMetric: 9 }")]
    [TestCase("set: { preference: 100 }")]
    public void A_rule_key_reaches_the_model(string key)
    {
        ConfigResult result = ConfigReader.Parse(Head + "filters: { f: { rules: [{ " + key + ", action: accept }] } }\n", "f");
        Assert.That(result.Errors, Is.Empty);
        Assert.That(result.Model!.Filters[0].Rules[0], Is.Not.EqualTo(new FilterRuleConfig(new FilterMatchConfig(), new FilterSetConfig(), FilterVerdict.Accept)));
    }

    [Test]
    public void The_schema_beside_the_examples_is_that_of_the_key_table() =>
        Assert.That(File.ReadAllText(ExampleTests.Conf("config.schema.json")), Is.EqualTo(ConfigSchema.Text()));

    [Test]
    public void A_peer_inherits_key_by_key_and_overrides_its_group()
    {
        PeerConfig peer = ConfigReader.Parse(Head + """
            peerGroups: { g: { asn: 65001, port: 1000, timers: { hold: 30s, connectRetry: 1s } } }
            peers: [{ name: p, address: 10.0.0.2, group: g, port: 1001, timers: { hold: 60s } }]
            """, "f").Model!.Peers[0];
        Assert.That((peer.Asn, peer.Port, peer.Hold.TotalSeconds, peer.ConnectRetry.TotalSeconds, peer.Keepalive.TotalSeconds), Is.EqualTo((65001u, 1001, 60d, 1d, 20d)));
    }

    [TestCase("&a [*a]")]
    [TestCase("a: &x {b: *x}")]
    [TestCase("\0")]
    [TestCase("{{{{")]
    [TestCase("? [a, b] : c")]
    [TestCase("--- a\n--- b")]
    [TestCase("")]
    [TestCase("\t\t- x")]
    [TestCase("peers: {a: b}\nmesh: [1]\nfilters: x\nnode: 5")]
    public void Hostile_text_is_an_error_and_no_exception(string text) =>
        Assert.That(ConfigReader.Parse(text, "f").Errors, Is.Not.Empty);

    [Test]
    public void Nested_aliases_do_not_multiply_the_work()
    {
        string text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + string.Concat(Enumerable.Range(1, 30).Select(i => $"a{i}: &a{i} [{string.Join(',', Enumerable.Repeat($"*a{i - 1}", 10))}]\n"));
        Assert.That(ConfigReader.Parse(text, "f").Errors.Select(e => e.Text), Has.Some.Contains("more than 1000000 values"));
    }

    [Test]
    public void Depth_is_bounded() =>
        Assert.That(ConfigReader.Parse(new string('[', 100_000), "f").Errors.Select(e => e.Text), Has.Some.Contains("nested deeper"));

    [Test]
    public void Mutated_configurations_never_throw()
    {
        string good = File.ReadAllText(ExampleTests.Conf("node-with-rr.yaml"));
        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Int[0, 30], Gen.String[Gen.Char["{}[]:,&*!|>'\"-#\n\t x0"], 0, 6]).Sample((at, cut, insert) =>
        {
            string text = good[..at] + insert + good[Math.Min(good.Length, at + cut)..];
            ConfigResult result = ConfigReader.Parse(text, "f");
            return result.Model is not null || result.Errors.Any();
        }, iter: 500, threads: 1);
    }
}
