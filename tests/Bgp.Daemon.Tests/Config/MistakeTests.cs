using Bgp.Daemon.Config;
using Bgp.Protocol;

namespace Bgp.Daemon.Tests.Config;

[TestFixture]
public sealed class MistakeTests
{
    private const string Bad = """
        version: 1
        nodes: {}
        node: { name: a, asn: abc, ipv4: 10.0.0.300 }
        kernel:
          tabel: main
          ecmp: yes
          ecmp: false
          staleTime: 30
        pools:
          - { name: v4, cidr: 10.244.1.0/16, tunnel: { mode: ipip, when: crossSubnett } }
          - { name: v5, cidr: 10.1.0.0/16 }
          - { name: v5, cidr: 10.1.2.0/24 }
        originate:
          - { prefix: 10.1.3.0/26, kind: blackhol, communities: [abc] }
          - { prefix: 10.1.3.0/26 }
        peerGroups:
          rr: { asn: 64512, nextHop: slef, auth: { md5: secret } }
        peers:
          - { name: rr1, address: 10.0.0.250, group: r }
          - { name: rr1, adress: 10.0.0.251, group: rr }
          - { name: rr3, address: 10.0.0.250, group: rr, timers: { hold: 1s }, import: [pods-in] }
          - { name: rr4, address: fe80::1, group: rr }
        filters:
          pod-in:
            rules:
              - { match: { pool: v6, asPath: "(" }, action: accept }
              - { match: { prefixLength: 32-8 }, action: acept }
        """;

    [Test]
    public void A_station_has_defaults_and_each_of_its_keys_counts()
    {
        BmpConfig[] stations = [.. ConfigReader.Parse(
            Head + "bmp: [ { address: 10.0.0.9 }, { name: s, address: \"fd00::9\", port: 5000, policy: [pre, post, locRib], statsInterval: 0, connectRetry: 5s } ]\n", "f").Model!.Bmp];
        Assert.That(stations, Is.EqualTo(new[]
        {
            new BmpConfig("10.0.0.9", IpAddr.Parse("10.0.0.9"), 11019, BmpPolicies.Pre, TimeSpan.FromMinutes(1), TimeSpan.FromSeconds(30)),
            new BmpConfig("s", IpAddr.Parse("fd00::9"), 5000, BmpPolicies.Pre | BmpPolicies.Post | BmpPolicies.LocRib, TimeSpan.Zero, TimeSpan.FromSeconds(5)),
        }));
    }

    private const string Head = "version: 1\nnode: { name: a, asn: 64512, ipv4: 10.0.0.1/24 }\n";

    // What a person types who is in a hurry. One line each: place, what is wrong, what to write instead.
    [TestCase("version: 2\nnode: { name: a, asn: 1, ipv4: 10.0.0.1 }\n", "f:1:10: error: version: '2' is not supported; this program understands 1")]
    [TestCase(Head + "peers:\n\t- name: x\n", "f:4:1: error: not valid YAML: a line is indented with a tab; YAML takes spaces only")]
    [TestCase(Head + "listen: { port: 70000 }\n", "f:3:17: error: listen.port: '70000' is not a number from 1 to 65535")]
    [TestCase(Head + "bmp: [ { address: 10.0.0.9, policy: prepolicy } ]\n", "f:3:37: error: bmp[0].policy: 'prepolicy' is not one of pre, post, locRib")]
    [TestCase(Head + "bmp: [ { address: 10.0.0.9, policy: [locrib] } ]\n", "f:3:38: error: bmp[0].policy[0]: 'locrib' is not one of pre, post, locRib; did you mean 'locRib'?")]
    [TestCase(Head + "bmp: [ { address: 10.0.0.9, policy: [] } ]\n", "f:3:37: error: bmp[0].policy: names nothing; one or more of pre, post, locRib")]
    [TestCase(Head + "bmp: [ { address: 10.0.0.9, statInterval: 60s } ]\n", "f:3:29: error: unknown key 'statInterval' in bmp[0]; did you mean 'statsInterval'?")]
    [TestCase(Head + "bmp: [ { address: 10.0.0.9, statsInterval: 100ms } ]\n", "f:3:44: error: bmp[0].statsInterval: at least 1s, or 0 for no statistics")]
    [TestCase(Head + "bmp: [ { address: 224.0.0.9 } ]\n", "f:3:19: error: bmp[0].address: 224.0.0.9 is not the address of a host")]
    [TestCase(Head + "bmp: [ { address: \"fe80::9\" } ]\n", "f:3:19: error: bmp[0].address: fe80::9 is not the address of a host without its interface")]
    [TestCase(Head + "bmp: [ { address: 10.0.0.9, connectRetry: 0 } ]\n", "f:3:43: error: bmp[0].connectRetry: at least 1s")]
    [TestCase(Head + "bmp: [ { address: 10.0.0.9 }, { address: 10.0.0.9, port: 5000 } ]\n", "f:3:42: error: bmp[1]: duplicate station '10.0.0.9'; give it a name")]
    [TestCase(Head + "log: { level: warn }\n", "f:3:15: error: log.level: 'warn' is not one of trace, debug, info, warning, error; did you mean 'warning'?")]
    [TestCase(Head + "kernel: { metric: localpref }\n", "f:3:19: error: kernel.metric: 'localpref' is not a metric ('none', 'localPref' or a number); did you mean 'localPref'?")]
    [TestCase(Head + "peers: [ { name: x, address: 10.0.0.2/24, asn: 64512 } ]\n", "f:3:30: error: peers[0].address: '10.0.0.2/24' is not an IP address; did you mean '10.0.0.2'?")]
    [TestCase(Head + "peers: [ { name: x, address: \"fe80::1%eth0\", asn: 64512 } ]\n",
        "f:3:30: error: peers[0].address: 'fe80::1%eth0' is not an IP address; the interface of a link-local address is given with 'interface'")]
    [TestCase(Head + "peers: [ { name: x, address: 255.255.255.255, asn: 64512 } ]\n", "f:3:30: error: peer 'x': 255.255.255.255 is not the address of a host")]
    [TestCase(Head + "peers: [ { name: a b, address: 10.0.0.2, asn: 64512 } ]\n",
        "f:3:18: error: peers[0].name: 'a b' is not a name (1-128 characters without spaces and control characters, not beginning with '-')")]
    [TestCase(Head + "peers: [ { name: x, address: 10.0.0.2, asn: 64512, description: \"a\\e[31m\" } ]\n",
        "f:3:65: error: peers[0].description: 'a?[31m' is not a text (1-1024 characters, none of them control characters)")]
    [TestCase(Head + "peers:\n  - &a { name: x, address: 10.0.0.2, asn: 64512 }\n  - { <<: *a, name: y, address: 10.0.0.3, asn: 64512 }\n",
        "f:5:7: error: unknown key '<<' in peers[1]; merge keys are not supported, common settings go into 'peerGroups'")]
    [TestCase(Head + "peers: [ { name: x, address: 10.0.0.2, asn: 64512, birdName: b }, { name: y, address: 10.0.0.3, asn: 64512, birdName: b } ]\n",
        "f:3:119: error: peer 'y' has the birdName 'b' of peer 'x'")]
    [TestCase(Head + "peers: [ { name: x, address: 10.0.0.2, asn: 64512 }, { name: x, address: 10.0.0.2, asn: 64512 } ]\n", "f:3:62: error: duplicate peer 'x'; first at f:3:18")]
    [TestCase(Head + "peerGroups: { g: {} }\nmesh: { group: g, nodes: [ { name: b, ipv4: \"fd00::2\" } ] }\n", "f:4:45: error: mesh: 'fd00::2' of 'b' is an IPv6 address")]
    [TestCase(Head + "peerGroups: { g: {} }\nmesh: { group: g, nodes: [ { name: b } ] }\n", "f:4:28: warning: mesh: 'b' has neither 'ipv4' nor 'ipv6', so there is no session with it")]
    [TestCase(Head + "filters: { f: { rules: [ { set: { prepend: 17 }, action: accept } ] } }\n", "f:3:44: error: filters.f.rules[0].set.prepend: '17' is not how often our AS number is prepended (0-16), or a list of AS numbers")]
    [TestCase(Head + "filters: { f: { rules: [ { set: { prepend: [0] }, action: accept } ] } }\n", "f:3:45: error: filters.f.rules[0].set.prepend[0]: '0' is not an AS number (1-4294967295 or 1.10)")]
    [TestCase(Head + "filters: { f: { rules: [ { set: { prepend: [] }, action: accept } ] } }\n", "f:3:44: error: filters.f.rules[0].set.prepend: 0 AS numbers; a list has 1-16")]
    [TestCase(Head + "pools: [ { name: x, cidr: 10.1.0.0/16 }, { name: y, cidr: 10.1.0.0/16 } ]\n", "f:3:59: error: pool 'y' has the cidr 10.1.0.0/16 of pool 'x'")]
    [TestCase(Head + "pools: [ { name: x, cidr: 10.1.0.0/16 }, { name: y, cidr: 10.1.2.0/24 } ]\n", "f:3:59: warning: pool 'y' 10.1.2.0/24 lies inside pool 'x' 10.1.0.0/16, whose settings do not hold there")]
    [TestCase(Head + "kernel: { normalMetric: { ipv4: 5000, ipv6: 0 } }\n", "f:3:45: error: kernel.normalMetric.ipv6: '0' is not a number from 1 to 2147483647")]
    [TestCase(Head + "peers: [ { name: x, address: 10.0.0.2, asn: 64512, auth: { md5: { file: /proc/sys/kernel/ostype } } },\n  { name: y, address: 10.0.0.2, port: 180, asn: 64512, auth: { md5: { file: /proc/sys/kernel/overflowuid } } } ]\n",
        "f:4:69: error: peer 'y': auth.md5 is not that of peer 'x' with the same address, by which TCP knows passwords")]
    [TestCase(Head + "peers: [ { name: x, address: 10.0.0.2, asn: 64512, auth: { md5: { file: /proc/sys/kernel/ostype } } },\n  { name: y, address: 10.0.0.2, port: 180, asn: 64512 } ]\n",
        "f:4:23: error: peer 'y': auth.md5 is not that of peer 'x' with the same address, by which TCP knows passwords")]
    [TestCase(Head + "peers: [ { name: x, address: 10.0.0.2, asn: 64512, bfd: {} },\n  { name: y, address: 10.0.0.2, port: 180, asn: 64512, bfd: { multiplier: 5 } } ]\n",
        "f:4:61: error: peer 'y': bfd is not that of peer 'x' with the same address, with which it shares the session")]
    [TestCase(Head + "peers: [ { name: x, address: 10.0.0.2, asn: 64512, reachableBy: 10.0.0.7 },\n  { name: y, address: 10.0.0.2, port: 180, asn: 64512, reachableBy: 10.0.0.8 } ]\n",
        "f:4:69: error: peer 'y': reachableBy is not that of peer 'x' with the same address")]
    [TestCase("version: 1\nnode: { name: a, asn: 1, ipv4: 10.0.0.0/24 }\n", "f:2:32: error: node.ipv4: 10.0.0.0/24 is the subnet; it should be this node's address in it")]
    public void A_mistake_has_one_line_that_says_where_and_what_to_write(string text, string line) =>
        Assert.That(ConfigReader.Parse(text, "f").Issues.Select(static issue => issue.ToString()), Is.EqualTo(new[] { line }));

    [Test]
    public void A_value_of_any_length_is_shown_in_part()
    {
        string line = ConfigReader.Parse(Head + $"peers: [ {{ name: {new string('x', 200_000)}, address: 10.0.0.2, asn: 64512 }} ]\n", "f").Issues.Single().ToString();
        Assert.That(line, Does.Contain("xxx...' (200000 characters) is not a name").And.Length.LessThan(300));
    }

    [Test]
    public void Files_that_cannot_be_read_say_why()
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            string file = Path.Combine(folder, "p.yaml");
            File.WriteAllBytes(file, [.. System.Text.Encoding.UTF8.GetBytes(Head + "peers: [ { name: "), 0xFF, 0xFE, (byte)'\n']);
            Assert.That(ConfigReader.Load(file).Issues.Single().ToString(), Is.EqualTo($"{file}:3:18: error: cannot read: the file is not UTF-8"));
            Assert.That(ConfigReader.Load(folder).Issues.Single().ToString(), Is.EqualTo($"{folder}:1:1: error: cannot read: it is a directory"));

            File.WriteAllText(file, Head + "include: [p.yaml]\n");
            Assert.That(ConfigReader.Load(file).Issues.Single().ToString(), Is.EqualTo($"{file}:3:11: error: include 'p.yaml': the file includes itself"));

            // A pattern that the main file happens to match is no mistake, and what an included file may not hold is said.
            File.WriteAllText(file, Head + "include: ['*.yaml']\n");
            File.WriteAllText(Path.Combine(folder, "q.yaml"), "include: [p.yaml]\n");
            Assert.That(
                ConfigReader.Load(file).Issues.Single().ToString(),
                Is.EqualTo($"{Path.Combine(folder, "q.yaml")}:1:1: error: unknown key 'include' in the file; it is understood in the main file only"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Test]
    public void All_mistakes_are_reported_in_one_run_with_place_and_suggestion()
    {
        string[] lines = [.. ConfigReader.Parse(Bad, "f").Errors.Select(e => e.ToString())];
        Assert.That(lines, Is.EqualTo(new[]
        {
            "f:2:1: error: unknown key 'nodes' in the file",
            "f:3:23: error: node.asn: 'abc' is not an AS number (1-4294967295 or 1.10)",
            "f:3:34: error: node.ipv4: '10.0.0.300' is not an address or address/length",
            "f:5:3: error: unknown key 'tabel' in kernel; did you mean 'table'?",
            "f:6:9: error: kernel.ecmp: 'yes' is not true or false; did you mean 'true'?",
            "f:7:3: error: duplicate key 'ecmp' in kernel",
            "f:8:14: error: kernel.staleTime: '30' is not a duration (90s, 300ms, 5m); did you mean '30s'?",
            "f:10:23: error: pools[0].cidr: '10.244.1.0/16' is not a prefix (address/length) (host bits are set); did you mean '10.244.0.0/16'?",
            "f:10:66: error: pools[0].tunnel.when: 'crossSubnett' is not one of always, crossSubnet; did you mean 'crossSubnet'?",
            "f:12:13: error: duplicate pool 'v5'",
            "f:14:34: error: originate[0].kind: 'blackhol' is not one of blackhole, unreachable, none; did you mean 'blackhole'?",
            "f:14:58: error: originate[0].communities[0]: 'abc' is not a community (65001:100 or a well-known name such as no-export)",
            "f:15:15: error: originate[1]: duplicate prefix 10.1.3.0/26; first at f:14:15",
            "f:17:30: error: peerGroups.rr.nextHop: 'slef' is not one of auto, self, unchanged; did you mean 'self'?",
            "f:17:49: error: peerGroups.rr.auth.md5: secrets are given by reference: { file: PATH } or { env: NAME }",
            "f:19:46: error: peers[0].group: group 'r' is not defined; did you mean 'rr'?",
            "f:20:5: error: peers[1]: 'address' is missing",
            "f:20:13: error: duplicate peer 'rr1'; first at f:19:13",
            "f:20:18: error: unknown key 'adress' in peers[1]; did you mean 'address'?",
            "f:21:27: error: peer 'rr3' has the address 10.0.0.250 and the port 179 of peer 'rr1'",
            "f:21:66: error: timers.hold: 1 s; it is 0 or 3-65535 s (RFC 4271 section 4.2)",
            "f:21:81: error: peers[2].import[0]: filter 'pods-in' is not defined; did you mean 'pod-in'?",
            "f:22:27: error: peer 'rr4': a link-local address needs 'interface'",
            "f:26:26: error: filters.pod-in.rules[0].match.pool: pool 'v6' is not defined; did you mean 'v4'?",
            "f:26:38: error: filters.pod-in.rules[0].match.asPath: '(' is not a regular expression",
            "f:27:34: error: filters.pod-in.rules[1].match.prefixLength: '32-8' is not a prefix length (N or N-M)",
            "f:27:50: error: filters.pod-in.rules[1].action: 'acept' is not one of accept, reject; did you mean 'accept'?",
        }));
    }
}
