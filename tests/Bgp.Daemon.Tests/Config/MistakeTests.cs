using Bgp.Daemon.Config;

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
    public void A_key_that_this_version_does_nothing_with_is_a_warning()
    {
        ConfigResult result = ConfigReader.Parse("version: 1\nnode: { name: a, asn: 1, ipv4: 10.0.0.1 }\nbmp: [ { address: 10.0.0.9 } ]\n", "f");
        Assert.That(result.Model, Is.Not.Null);
        Assert.That(result.Warnings.Select(w => w.ToString()), Is.EqualTo(new[]
        {
            "f:3:6: warning: bmp: this version sends nothing to BMP stations; use 'pipit dump mrt' or 'pipit events -f'",
        }));
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
            "f:12:23: error: pool 'v5' 10.1.2.0/24 overlaps with pool 'v5' 10.1.0.0/16",
            "f:14:34: error: originate[0].kind: 'blackhol' is not one of blackhole, unreachable, none; did you mean 'blackhole'?",
            "f:14:58: error: originate[0].communities[0]: 'abc' is not a community (65001:100 or a well-known name such as no-export)",
            "f:15:15: error: originate[1]: duplicate prefix 10.1.3.0/26; first at f:14:15",
            "f:17:30: error: peerGroups.rr.nextHop: 'slef' is not one of auto, self, unchanged; did you mean 'self'?",
            "f:17:49: error: peerGroups.rr.auth.md5: secrets are given by reference: { file: PATH } or { env: NAME }",
            "f:19:46: error: peers[0].group: group 'r' is not defined; did you mean 'rr'?",
            "f:20:5: error: peers[1]: 'address' is missing",
            "f:20:13: error: duplicate peer 'rr1'; first at f:19:13",
            "f:20:18: error: unknown key 'adress' in peers[1]; did you mean 'address'?",
            "f:21:27: error: peer 'rr3' has the address 10.0.0.250 of peer 'rr1'",
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
