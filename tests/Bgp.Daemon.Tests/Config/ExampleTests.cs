using System.Runtime.CompilerServices;
using Bgp.Daemon.Config;
using Bgp.Protocol;

namespace Bgp.Daemon.Tests.Config;

[TestFixture]
public sealed class ExampleTests
{
    internal static string Conf(string name, [CallerFilePath] string self = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(self)!, "../../../conf", name));

    [TestCase("node-full-mesh.yaml", 4)]
    [TestCase("node-with-rr.yaml", 3)]
    [TestCase("route-reflector.yaml", 1)]
    public void An_example_loads_without_error(string file, int peers)
    {
        ConfigResult result = ConfigReader.Load(Conf(file));
        Assert.That(result.Errors, Is.Empty);
        Assert.That(result.Model!.Peers, Has.Count.EqualTo(peers));
    }

    [Test]
    public void The_mesh_makes_one_session_per_family_and_waits_where_the_address_is_greater_as_text()
    {
        ConfigModel model = ConfigReader.Load(Conf("node-full-mesh.yaml")).Model!;
        Assert.That(model.Peers.Select(p => $"{p.Name} {p.BirdName} {p.Address} {p.Passive} {p.NextHop} {p.Families[0].Family.Name()}"), Is.EqualTo(new[]
        {
            "node-b Mesh_10_0_0_2 10.0.0.2 True Self ipv4",
            "node-b-v6 Mesh_fd00__2 fd00::2 True Self ipv6",
            "node-c Mesh_10_0_1_3 10.0.1.3 True Self ipv4",
            "node-c-v6 Mesh_fd00_0_0_1__3 fd00:0:0:1::3 False Self ipv6",
        }));
        Assert.That(model.Peers[0].Export, Is.EqualTo(new[] { "calico-export" }));
        Assert.That(model.Node.Ipv4Length, Is.EqualTo(24));
        Assert.That(model.Peers[0].SourceAddress, Is.EqualTo(IpAddr.Parse("10.0.0.1")));
    }

    [Test]
    public void A_reflector_sends_several_paths_and_exports_all()
    {
        ConfigModel model = ConfigReader.Load(Conf("route-reflector.yaml")).Model!;
        PeerConfig client = model.DynamicPeers[0].Template;
        Assert.Multiple(() =>
        {
            Assert.That(model.ClusterId, Is.EqualTo(10));
            Assert.That(model.Kernel.Enabled, Is.False);
            Assert.That(client.ClusterId, Is.EqualTo(10));
            Assert.That(client.Families.Select(f => (f.Family, f.AddPathSend, f.AddPathReceive, f.MaxPrefixes)),
                Is.EqualTo(new[] { (AfiSafi.Ipv4Unicast, 4, true, 2000), (AfiSafi.Ipv6Unicast, 16, true, 0) }));
            Assert.That(client.Export, Is.EqualTo(new[] { "all" }));
            Assert.That(client.Md5!.ToString(), Is.EqualTo("file:/etc/pipit/secrets/clients"));
            Assert.That(model.Peers[0].Import, Is.EqualTo(new[] { "all" }));
        });
    }

    [Test]
    public void An_unreadable_secret_is_a_warning_and_its_value_is_in_no_text()
    {
        Environment.SetEnvironmentVariable("TOR_MD5", "hunter2\n");
        ConfigModel model = ConfigReader.Load(Conf("node-with-rr.yaml")).Model!;
        Assert.That(model.Peers[2].Md5!.Value, Is.EqualTo("hunter2"));
        Assert.That(model.ToString(), Does.Not.Contain("hunter2"));
        Environment.SetEnvironmentVariable("TOR_MD5", null);
        ConfigResult without = ConfigReader.Load(Conf("node-with-rr.yaml"));
        Assert.That(without.Warnings.Single().ToString(), Does.EndWith(
            "node-with-rr.yaml:22:93: warning: cannot read secret env:TOR_MD5: the variable is not set; the peers that need it stay down"));
        Assert.That(without.Model!.Peers[2].Md5!.Error, Does.Contain("not set"));
    }
}
