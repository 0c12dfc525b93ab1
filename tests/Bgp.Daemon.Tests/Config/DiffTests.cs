using System.Globalization;
using System.Reflection;
using Bgp.Daemon.Config;
using Bgp.Protocol;

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

    [Test]
    public void What_differs_is_told_with_what_it_was_and_is()
    {
        ConfigModel old = ConfigReader.Parse(Base + "\npools: [{ name: x, cidr: 10.9.0.0/16 }]", "f").Model!;
        ConfigModel now = ConfigReader.Parse(
            Base.Replace("ipv4: 10.0.0.1", "ipv4: 10.0.0.1/24, ipv6: \"fd00::1/64\"", StringComparison.Ordinal)
            + "\npools: [{ name: x, cidr: 10.9.0.0/16, tunnel: { mode: ipip, when: crossSubnet } }]\nkernel: { maxPaths: 4, staleTime: 90s, learn: { excludeProtocols: [80] } }\nlog: { level: debug }\nrouteReflector: { clusterId: 0.0.0.7 }\nwatch: true", "f").Model!;
        Assert.That(ConfigDiff.Compare(old, now).Where(static change => change.Kind is not "peer").Select(static change => $"{change.Kind} {change.Detail}"), Is.EqualTo(new[]
        {
            "node ipv4 10.0.0.1 to 10.0.0.1/24, ipv6 none to fd00::1/64",
            "kernel maxPaths 16 to 4, staleTime 30s to 90s, learn.excludeProtocols [] to [80]",
            "routeReflector clusterId none to 0.0.0.7",
            "log level info to debug",
            "watch false to true",
            "pool tunnel.mode none to ipip, tunnel.when always to crossSubnet",
        }));
    }

    /// <summary>A key that is added to a section must be added to <see cref="ConfigDetail"/>, or its change would be shown without a word.</summary>
    [TestCase(typeof(NodeConfig))]
    [TestCase(typeof(ListenConfig))]
    [TestCase(typeof(KernelConfig))]
    [TestCase(typeof(PoolConfig))]
    [TestCase(typeof(OriginateConfig))]
    [TestCase(typeof(BmpConfig))]
    [TestCase(typeof(LogConfig))]
    [TestCase(typeof(MetricsConfig))]
    public void Every_key_of_a_section_is_told(Type section)
    {
        // The name of a thing is what it is known by: another name is another thing.
        foreach (PropertyInfo property in section.GetProperties().Where(property => property.Name is not ("EqualityContract" or "Prefix") && (property.Name != "Name" || section == typeof(NodeConfig))))
        {
            object old = Make(section);
            object now = Make(section);
            if (property.Name is "Ipv4Length" or "Ipv6Length")
            {
                // A length of no address is nothing.
                Set(old, property.Name[..4], IpAddr.V4(7));
                Set(now, property.Name[..4], IpAddr.V4(7));
            }

            if (property.Name == "Metric")
            {
                Set(old, "MetricMode", KernelMetricMode.Fixed);
                Set(now, "MetricMode", KernelMetricMode.Fixed);
            }

            Set(now, property.Name, Other(property.GetValue(old), property.PropertyType));
            Assert.That(ConfigDetail.Between(old, now), Is.Not.Empty, property.Name);
            Assert.That(ConfigDetail.Between(old, old), Is.Empty, property.Name);
        }

        static object Make(Type type) => type == typeof(BmpConfig) ? new BmpConfig("b", IpAddr.V4(1), 1, BmpPolicies.Pre, TimeSpan.Zero, TimeSpan.Zero)
            : type == typeof(LogConfig) ? new LogConfig() : type == typeof(MetricsConfig) ? new MetricsConfig() : Activator.CreateInstance(type)!;

        static void Set(object on, string name, object value) => on.GetType().GetProperty(name)!.SetValue(on, value);

        static object Other(object? value, Type type) => value switch
        {
            bool flag => !flag,
            string text => text + "x",
            TimeSpan time => time + TimeSpan.FromSeconds(1),
            IpAddr => IpAddr.V4(0x0A090807),
            Cidr => new Cidr(IpAddr.V4(0x0A000000), 8),
            Enum => Enum.GetValues(type).Cast<object>().First(other => !other.Equals(value)),
            ConfigList<string> => ConfigList.Create<string>(["y"]),
            ConfigList<byte> => ConfigList.Create<byte>([9]),
            ConfigList<uint> => ConfigList.Create<uint>([9]),
            ConfigList<Cidr> => ConfigList.Create<Cidr>([new Cidr(IpAddr.V4(0x0A000000), 8)]),
            ConfigList<IpAddr> => ConfigList.Create<IpAddr>([IpAddr.V4(9)]),
            null => "y",
            _ => Convert.ChangeType(Convert.ToInt64(value, CultureInfo.InvariantCulture) + 1, type, CultureInfo.InvariantCulture),
        };
    }

    [TestCase("port: 1179, sourceAddress: 10.0.0.1, routeReflectorClient: true", "port, sourceAddress, routeReflectorClient")]
    [TestCase("gracefulRestart: { longLived: 1h }, families: { ipv4: { addPath: { receive: true } } }", "gracefulRestart.longLived, families")]
    [TestCase("gracefulRestart: { enabled: false }", "gracefulRestart.enabled")]
    [TestCase("families: { ipv4: { maxPrefixes: { count: 5 } } }", "maxPrefixes")]
    public void A_peers_change_names_its_keys(string keys, string expected) =>
        Assert.That(
            ConfigDiff.Compare(ConfigReader.Parse(Base, "f").Model!, ConfigReader.Parse(Base.Replace("10.0.0.2, group: g", "10.0.0.2, group: g, " + keys, StringComparison.Ordinal), "f").Model!)
                .Select(static change => change.Detail),
            Is.EqualTo(new[] { expected }));
}
