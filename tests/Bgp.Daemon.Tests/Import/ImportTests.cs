using Bgp.Daemon.Config;
using Bgp.Daemon.Import;
using Bgp.Protocol;

namespace Bgp.Daemon.Tests.Import;

/// <summary>Configurations as Calico renders them, imported, written, read again: the model must say what BIRD would do.</summary>
[TestFixture]
public sealed class ImportTests
{
    internal static string Corpus(string scenario, string file = "bird.cfg") => Path.Combine(TestContext.CurrentContext.TestDirectory, "corpus", scenario, file);

    private static BirdImportResult Run(params string[] files) => BirdImport.Run(files, new BirdImportOptions { NodeName = "node-a" });

    private static ConfigModel Model(params string[] files)
    {
        BirdImportResult imported = Run(files);
        Assert.That(imported.Issues, Is.Empty);
        ConfigResult read = ConfigReader.Parse(imported.Yaml!, "imported.yaml");
        Assert.That(read.Issues.Where(static issue => issue.IsError || !(issue.Text.Contains("outside all pools", StringComparison.Ordinal) || issue.Text.Contains("cannot read secret", StringComparison.Ordinal) || issue.Text.Contains("lies inside pool", StringComparison.Ordinal))), Is.Empty, imported.Yaml);
        return read.Model!;
    }

    private static PeerConfig Peer(ConfigModel model, string name) => model.Peers.Single(peer => peer.Name == name);

    [Test]
    public void A_mesh_of_both_families_becomes_one_configuration()
    {
        ConfigModel model = Model(Corpus("mesh"), Corpus("mesh", "bird6.cfg"));
        PeerConfig third = Peer(model, "Mesh_10_192_0_3");
        Assert.Multiple(() =>
        {
            Assert.That((model.Node.Name, model.Node.Asn, model.Node.Ipv4, model.Node.Ipv6), Is.EqualTo(("node-a", 64512u, Ip("10.192.0.2"), Ip("fd00:10:192::2"))));
            Assert.That(model.Node.RouterId, Is.EqualTo(Ip("10.192.0.2").V4Value));
            Assert.That(model.Peers.Select(static peer => (peer.Name, peer.BirdName, peer.Address.ToString(), peer.Passive)), Is.EqualTo(new[]
            {
                ("Mesh_10_192_0_3", "Mesh_10_192_0_3", "10.192.0.3", true), ("Mesh_10_192_0_1", "Mesh_10_192_0_1", "10.192.0.1", false),
                ("Mesh_fd00_10_192__3", "Mesh_fd00_10_192__3", "fd00:10:192::3", true),
            }));
            Assert.That((third.Hold, third.Keepalive, third.ConnectRetry, third.IdleHold, third.RestartTime), Is.EqualTo((Seconds(240), Seconds(80), Seconds(5), Seconds(5), Seconds(120))));
            Assert.That((third.Multihop, third.TtlSecurity, third.SourceAddress, third.NextHop, third.GracefulRestart), Is.EqualTo((64, 0, Ip("10.192.0.2"), NextHopRule.Auto, true)));
            Assert.That(third.Families, Is.EqualTo((ConfigList<FamilyConfig>)[new FamilyConfig { Family = AfiSafi.Ipv4Unicast, AddPathReceive = true, AddPathSend = 256 }]));
            Assert.That(third.Import, Is.EqualTo(new[] { "all" }));
            Assert.That(Peer(model, "Mesh_10_192_0_1").Export, Is.EqualTo(third.Export), "peers with equal rules share their filter");
            Assert.That(model.Kernel.MetricMode, Is.EqualTo(KernelMetricMode.LocalPref));
            Assert.That((model.Kernel.Ecmp, model.Kernel.MaxPaths, model.Kernel.LearnEnabled, model.Kernel.Guard), Is.EqualTo((true, 16, true, false)), "the IPv6 rules have no tunl0");
            Assert.That(model.Kernel.DirectExcludeInterfaces, Is.EqualTo(new[] { "cali*", "kube-ipvs*" }));
            Assert.That(model.Pools.Select(static pool => (pool.Cidr.ToString(), pool.TunnelMode, pool.InstallKernel, pool.Export)), Is.EquivalentTo(new[]
            {
                ("192.168.0.0/16", TunnelMode.None, false, true), ("fd00:10:244::/64", TunnelMode.None, true, true),
            }));
            Assert.That(model.Originate.Select(static own => (own.Prefix.ToString(), own.Kind)), Is.EqualTo(new[]
            {
                ("192.168.221.64/26", OriginateKind.None), ("192.168.221.192/26", OriginateKind.None), ("fd00:10:244::40/122", OriginateKind.Blackhole),
            }), "a block that the kernel's filter rejects is no kernel route");
        });
    }

    [Test]
    public void One_family_alone_leaves_the_other_familys_kernel_routes_and_sockets_to_another_process()
    {
        ConfigModel model = Model(Corpus("mesh", "bird6.cfg"));
        Assert.Multiple(() =>
        {
            Assert.That(model.Kernel.Families, Is.EqualTo(new[] { "ipv6" }));
            Assert.That(model.Listen.Addresses.Select(static address => address.ToString()), Is.EqualTo(new[] { "::" }));
        });
    }

    [Test]
    public void Tunnels_services_and_wireguard_neighbours_follow_the_kernels_filter()
    {
        ConfigModel model = Model(Corpus("tunnels"));
        Assert.Multiple(() =>
        {
            Assert.That(model.Pools.Select(static pool => (pool.Cidr.ToString(), pool.TunnelMode, pool.CrossSubnet, pool.InstallKernel, pool.Export)), Is.EquivalentTo(new[]
            {
                ("192.168.0.0/16", TunnelMode.Ipip, false, true, true), ("172.16.0.0/16", TunnelMode.Ipip, true, true, true), ("172.17.0.0/16", TunnelMode.None, false, true, true),
                ("172.18.0.0/16", TunnelMode.None, false, false, true), ("172.19.0.0/16", TunnelMode.None, false, true, false),
                ("10.96.0.0/12", TunnelMode.None, false, false, true), ("203.0.113.7/32", TunnelMode.None, false, false, true),
                ("172.20.7.0/24", TunnelMode.None, false, false, true), ("172.20.0.0/16", TunnelMode.Ipip, false, true, true),
            }));
            Assert.That((model.Node.Ipv4, model.Node.Ipv4Length), Is.EqualTo((Ip("10.192.0.2"), 16)), "the subnet by which crossSubnet decides");
            Assert.That(model.Kernel.ExcludeNextHops.Select(static hop => hop.ToString()), Is.EqualTo(new[] { "10.192.0.9/32" }));
            Assert.That(model.Originate.Select(static own => (own.Prefix.ToString(), own.Kind)), Is.EqualTo(new[]
            {
                ("192.168.221.64/26", OriginateKind.Blackhole), ("10.96.0.0/12", OriginateKind.None), ("203.0.113.7/32", OriginateKind.None), ("172.20.7.0/24", OriginateKind.None),
            }));
            Assert.That((model.Listen.Port, model.Listen.Addresses[0].ToString(), model.Log.Level), Is.EqualTo((1790, "10.192.0.2", "debug")));
        });
    }

    [Test]
    public void A_reflectors_clients_have_its_cluster_id_and_its_filter_also_for_reflected_routes()
    {
        ConfigModel model = Model(Corpus("reflector"));
        Assert.Multiple(() =>
        {
            Assert.That(model.Peers.Select(static peer => (peer.Name, peer.RouteReflectorClient, peer.Asn)), Is.EqualTo(new[]
            {
                ("Node_10_192_0_3", true, 64532u), ("Node_10_192_0_4", true, 64532u), ("Global_10_192_0_5", false, 64532u),
            }));
            Assert.That(model.Peers[0].ClusterId, Is.EqualTo(Ip("10.0.0.1").V4Value));
            Assert.That(model.Peers[0].Export.Single(), Does.StartWith("export-"));
            Assert.That(model.Kernel.Guard, Is.True);
        });
    }

    [Test]
    public void A_top_of_rack_neighbour_keeps_every_option()
    {
        BirdImportResult imported = Run(Corpus("tor"));
        ConfigModel model = Model(Corpus("tor"));
        PeerConfig tor = Peer(model, "Node_10_192_0_1");
        PeerConfig local = Peer(model, "Node_10_192_0_8");
        Assert.Multiple(() =>
        {
            Assert.That((tor.Port, tor.Asn, tor.LocalAsn, tor.TtlSecurity, tor.NextHop, tor.AllowLocalAs), Is.EqualTo((1179, 65001u, 64512u, 2, NextHopRule.Unchanged, 2)));
            Assert.That((tor.Keepalive, tor.RestartTime, tor.Passive), Is.EqualTo((Seconds(20), Seconds(10), false)));
            Assert.That(imported.Passwords, Is.EqualTo(new Dictionary<string, string> { ["Node_10_192_0_1"] = "s3cret;#x" }));
            Assert.That(imported.Yaml, Does.Not.Contain("s3cret"));
            Assert.That(tor.Md5!.Reference, Is.EqualTo("file:secrets/Node_10_192_0_1.md5"));
            Assert.That((local.LocalAsn, local.Passive, local.ReachableBy), Is.EqualTo((65100u, true, Ip("10.192.0.254"))));
            Assert.That((Peer(model, "Global_10_192_0_7").NextHop, Peer(model, "Global_10_192_0_7").SourceAddress.IsNone), Is.EqualTo((NextHopRule.Self, true)));
        });
    }

    [Test]
    public void Paths_are_prepended_with_the_numbers_of_the_code_in_the_order_in_which_they_then_stand()
    {
        ConfigModel model = Model(Corpus("operations"));
        FilterConfig import = model.Filters.Single(filter => filter.Name == Peer(model, "Node_10_192_0_3").Import.Single());
        FilterConfig external = model.Filters.Single(filter => filter.Name == Peer(model, "Node_10_192_0_3").Export.Single());
        FilterConfig inside = model.Filters.Single(filter => filter.Name == Peer(model, "Global_10_192_0_4").Export.Single());
        Assert.Multiple(() =>
        {
            Assert.That(import.Rules.Select(static rule => rule.Set.PrependAsns), Is.EqualTo(new ConfigList<uint>[] { [], [65021, 65021, 65020], [64512] }));
            Assert.That(import.Rules.Select(static rule => rule.Set.Preference), Is.EqualTo(new byte?[] { 100, null, null }), "above what is elevated, and accepted before the code comes to that");
            Assert.That(external.Rules[1].Set.PrependAsns, Is.EqualTo((ConfigList<uint>)[64512, 65000, 65001]));
            Assert.That((external.Rules[0].Match.MinMetric, external.Rules[1].Match.MinMetric), Is.EqualTo((100, 512)), "LOCAL_PREF is that of the metric there, also for the kernel's routes");
            Assert.That(inside.Rules[0].Set.PrependAsns, Is.EqualTo((ConfigList<uint>)[64512, 65000, 65001]), "towards an internal neighbour too");
        });
    }

    [Test]
    public void A_normal_route_priority_of_each_family_is_taken_over()
    {
        ConfigModel both = Model(Corpus("priorities"), Corpus("priorities", "bird6.cfg"));
        ConfigModel one = Model(Corpus("priorities", "bird6.cfg"));
        Assert.Multiple(() =>
        {
            Assert.That((both.Kernel.MetricMode, both.Kernel.NormalMetricV4, both.Kernel.NormalMetricV6), Is.EqualTo((KernelMetricMode.LocalPref, 5000u, 80u)));
            Assert.That((one.Kernel.NormalMetricV4, one.Kernel.NormalMetricV6), Is.EqualTo((1024u, 80u)));
            Assert.That(Run(Corpus("mesh")).Yaml, Does.Not.Contain("normalMetric"), "Calico's default is the default");
        });
    }

    [TestCase("bgp_local_pref > 2147478647", "bgp_local_pref > 2147478646", "normal route priority is 5001 here and 5000 elsewhere")]
    [TestCase("krt_metric = 5000; }", "krt_metric = 5001; }", "normal route priority is 5001 here and 5000 elsewhere")]
    public void Filters_that_speak_of_two_normal_route_priorities_are_refused(string was, string now, string expected)
    {
        string folder = Directory.CreateTempSubdirectory("pipit-priorities-").FullName;
        foreach (string file in new[] { "bird.cfg", "bird_aggr.cfg", "bird_ipam.cfg" })
        {
            File.WriteAllText(Path.Combine(folder, file), File.ReadAllText(Corpus("priorities", file)).Replace(was, now, StringComparison.Ordinal));
        }

        BirdImportResult result = Run(Path.Combine(folder, "bird.cfg"));
        Directory.Delete(folder, recursive: true);
        Assert.That(result.Issues.Select(static issue => issue.Text), Is.Not.Empty.And.All.Contains(expected));
        Assert.That(result.Issues, Has.All.Property("Line").GreaterThan(1));
    }

    [Test]
    public void Two_sessions_with_one_address_are_told_apart_by_their_ports()
    {
        ConfigModel model = Model(Corpus("ports"));
        Assert.That(model.Peers.Select(static peer => (peer.Name, peer.Address.ToString(), peer.Port, peer.LocalAsn)), Is.EqualTo(new[]
        {
            ("Global_10_192_0_1_port_150", "10.192.0.1", 150, 64512u), ("Global_10_192_0_1_port_166", "10.192.0.1", 166, 64567u), ("Global_10_192_0_3", "10.192.0.3", 179, 64512u),
        }));
    }

    [TestCase("port 166", "port 150", "61:1", "has the address 10.192.0.1 and the port 150 of Global_10_192_0_1_port_150")]
    [TestCase("password \"one key\";\n}\n\nprotocol bgp Global_10_192_0_3", "password \"two\";\n}\n\nprotocol bgp Global_10_192_0_3", "61:1", "has another password than Global_10_192_0_1_port_150")]
    [TestCase("neighbor 10.192.0.3", "neighbor 224.0.0.3", "82:12", "Global_10_192_0_3: 224.0.0.3 is not the address of a host")]
    [TestCase("neighbor 10.192.0.3", "neighbor 255.255.255.255", "82:12", "Global_10_192_0_3: 255.255.255.255 is not the address of a host")]
    public void What_no_two_sessions_and_no_neighbour_can_have_is_told_with_its_place(string was, string now, string place, string expected)
    {
        string folder = Directory.CreateTempSubdirectory("pipit-ports-").FullName;
        foreach (string file in new[] { "bird.cfg", "bird_aggr.cfg", "bird_ipam.cfg" })
        {
            File.WriteAllText(Path.Combine(folder, file), File.ReadAllText(Corpus("ports", file)).Replace(was, now, StringComparison.Ordinal));
        }

        BirdImportResult result = Run(Path.Combine(folder, "bird.cfg"));
        Directory.Delete(folder, recursive: true);
        ConfigIssue issue = result.Issues.Single();
        Assert.That(($"{issue.Line}:{issue.Column}", issue.Text), Is.EqualTo((place, issue.Text)));
        Assert.That(issue.Text, Does.Contain(expected));
    }

    [Test]
    public void Before_metrics_were_announced_there_are_none()
    {
        ConfigModel model = Model(Corpus("before332"));
        Assert.Multiple(() =>
        {
            Assert.That(model.Kernel.MetricMode, Is.EqualTo(KernelMetricMode.None));
            Assert.That(model.Peers.Single().Multihop, Is.EqualTo(64), "BIRD's default for an internal neighbour");
            Assert.That(model.Kernel.Guard, Is.False, "tunl0's address went to the neighbours then");
        });
    }

    [Test]
    public void The_daemon_gets_the_passwords_themselves()
    {
        ConfigResult loaded = BirdImport.Load([Corpus("tor")], new BirdImportOptions { NodeName = "n", Sockets = [("/run/x.ctl", 4)], SocketGroup = "" });
        Assert.Multiple(() =>
        {
            Assert.That(loaded.Issues.Where(static issue => issue.IsError), Is.Empty);
            Assert.That(Peer(loaded.Model!, "Node_10_192_0_1").Md5!.Value, Is.EqualTo("s3cret;#x"));
            Assert.That(loaded.Model!.BirdCompat.Single(), Is.EqualTo(new BirdCompatConfig("/run/x.ctl", 1, 4, 0b110_110_000, "", false)));
            Assert.That(loaded.Model!.Files, Has.Count.EqualTo(3));
        });
    }

    [Test]
    public void A_file_that_another_one_includes_may_be_given_too()
    {
        string all = Run(Corpus("mesh", "bird_ipam.cfg"), Corpus("mesh"), Corpus("mesh", "bird_aggr.cfg"), Corpus("mesh")).Yaml!;
        Assert.That(all, Is.EqualTo(Run(Corpus("mesh")).Yaml));
    }

    [Test]
    public void Everything_that_is_not_understood_is_told_with_its_place_in_one_run()
    {
        BirdImportResult result = Run(Corpus("wrong"));
        string[] places = [.. result.Issues.Select(static issue => $"{issue.Line}:{issue.Column}")];
        Assert.Multiple(() =>
        {
            Assert.That(result.Yaml, Is.Null);
            Assert.That(places, Is.SupersetOf(new[] { "2:1", "8:37" }));
            Assert.That(result.Issues, Has.All.Property("IsError").True);
        });

        string fixedSyntax = File.ReadAllText(Corpus("wrong")).Replace("roa table x;", "", StringComparison.Ordinal).Replace("10.0.0.0/33", "10.0.0.0/8", StringComparison.Ordinal);
        string path = Path.Combine(Path.GetTempPath(), $"pipit-wrong-{Guid.NewGuid():N}.cfg");
        File.WriteAllText(path, fixedSyntax);
        try
        {
            string[] texts = [.. Run(path).Issues.Select(static issue => issue.Text)];
            Assert.That(texts, Has.Some.Contains("vrf").And.Some.Contains("import limit 100").And.Some.Contains("bgp_med").And.Some.Contains("no template").And.Some.Contains("protocol ospf").And.Some.Contains("bits are set").Or.Some.Contains("is not a prefix"));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [TestCase("protocol", "1:")]
    [TestCase("function f() { if net ~ [ 10.0.0.0/8{1,2 ] then accept; }", "1:")]
    [TestCase("/* open", "1:1")]
    [TestCase("include \"missing.cfg\";", "1:9")]
    [TestCase("filter x { case net { } }", "1:12")]
    [TestCase("router id \"x\";\nprotocol bgp A { neighbor 10.0.0.1 as 1; local as 1; graceful restart; import filter { nosuch(true); }; }", "")]
    public void Broken_text_is_an_error_with_a_place(string text, string place)
    {
        string path = Path.Combine(Path.GetTempPath(), $"pipit-broken-{Guid.NewGuid():N}.cfg");
        File.WriteAllText(path, text);
        try
        {
            BirdImportResult result = Run(path);
            Assert.That(result.Yaml, Is.Null);
            Assert.That(result.Issues.Select(static issue => $"{issue.Line}:{issue.Column}"), Has.Some.StartsWith(place));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Test]
    public void Hostile_text_ends_in_errors_and_not_in_the_end_of_the_process()
    {
        string[] texts =
        [
            "function f() { " + string.Concat(Enumerable.Repeat("if true then ", 100_000)),
            "filter f { if " + new string('(', 100_000),
            "filter f { if " + new string('!', 100_000) + "true then accept; }",
            "filter f { if true" + string.Concat(Enumerable.Repeat(" && true", 100_000)) + " then accept; }",
            "filter f { " + new string('{', 100_000),
            "function a() { b(); } function b() { a(); } protocol kernel { export filter a; } filter c { a(); } protocol kernel { export filter c; }",
        ];
        foreach (string text in texts)
        {
            string path = Path.Combine(Path.GetTempPath(), $"pipit-hostile-{Guid.NewGuid():N}.cfg");
            File.WriteAllText(path, text);
            Assert.That(Run(path).Yaml, Is.Null);
            File.Delete(path);
        }
    }

    private static IpAddr Ip(string text) => IpAddr.TryParse(text, out IpAddr ip) ? ip : throw new FormatException(text);

    private static TimeSpan Seconds(int seconds) => TimeSpan.FromSeconds(seconds);
}
