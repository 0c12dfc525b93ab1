using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests.Calico;

/// <summary>Pipit called <c>bird</c> and <c>bird6</c>, with BIRD's files, flags, sockets and clients.</summary>
[TestFixture]
public sealed class BirdNameTests
{
    [Test]
    public void With_BIRDs_own_files_it_takes_BIRDs_place_without_a_lost_packet_and_answers_BIRDs_clients()
    {
        using CalicoCluster cluster = new(priorities: true);
        cluster.Add(1, null, "10.96.0.10/32");
        cluster.Add(2);
        cluster.Mesh();
        cluster.Nodes.ForEach(static node => node.Start(Daemon.Bird1));
        cluster.Settled("BIRD everywhere");
        const int routes = 5 + 2;
        Lab.Eventually(() => cluster.Nodes.TrueForAll(static node => node.Kernel().Split('\n').Length == routes), "BIRD's tables are whole", 60, cluster.Describe);
        Dictionary<int, string> expected = cluster.Nodes.ToDictionary(static node => node.Number, static node => node.Kernel());
        cluster.StartPings();
        foreach (CalicoNode node in cluster.Nodes)
        {
            node.End();
            node.Start(Daemon.PipitAsBird);
            cluster.Settled($"node {node.Number} runs Pipit as bird");
            cluster.Holds($"node {node.Number} runs Pipit as bird", expected);
        }

        CalicoNode first = cluster.Nodes[0];
        Clients(first);
        Reload(first, cluster.Nodes[1]);
        Assert.That(cluster.Losses(), Is.Empty);
    }

    /// <summary>The real birdc and birdcl of BIRD 1.6 and 2, and ours.</summary>
    private static void Clients(CalicoNode node)
    {
        string link = Path.Combine(Path.GetDirectoryName(node.BirdSocket("bird"))!, "birdcl");
        File.CreateSymbolicLink(link, Lab.Pipit);
        foreach (string client in new[] { "birdc", "birdcl", Path.Combine(CalicoNode.BirdFolder, "birdc"), link })
        {
            // 1.6's birdc ends with 0 whatever the answer was.
            int no = client.StartsWith(CalicoNode.BirdFolder, StringComparison.Ordinal) ? 0 : 1;
            (int code, string output, _) = Lab.TryRun(client, "-s", node.BirdSocket("bird"), "show", "status");
            Assert.That((code, output), Is.EqualTo((0, output)), client);
            Assert.That(output, Does.StartWith("BIRD v0.3.3+birdv1.6.8").And.Contain("Router ID is 10.0.0.1").And.EndWith("Daemon is up and running\n"), client);
            Assert.That(Lab.Run(client, "-s", node.BirdSocket("bird"), "show", "protocols", "all"), Does.Match(@"(?m)^Mesh_10_0_0_2 BGP      master   up     \S+ +Established").And.Contain("Neighbor address: 10.0.0.2"), client);
            Assert.That(Lab.Run(client, "-r", "-s", node.BirdSocket("bird6"), "show", "route", "protocol", "Mesh_fd00__2"), Does.Match(@"(?m)^fd10:244::200/122 +via fd00::2 on eth0 \[Mesh_fd00__2 "), client);
            Assert.That(Lab.Run(client, "-s", node.BirdSocket("bird"), "show", "route", "export", "Mesh_10_0_0_2"), Does.Contain("10.244.1.0/26").And.Contain("10.96.0.10/32"), client);
            Assert.That(Lab.TryRun(client, "-s", node.BirdSocket("bird"), "show", "route", "192.0.2.0/24").Code, Is.EqualTo(no), client);
            Assert.That(Lab.TryRun(client, "-s", node.BirdSocket("bird") + "x", "show", "status").Code, Is.EqualTo(1), client);
        }

        string restricted = Lab.TryRun(link, "-r", "-s", node.BirdSocket("bird"), "disable", "Mesh_10_0_0_2").Output;
        Assert.That(restricted, Does.EndWith("Access restricted\nAccess denied\n"));
        Assert.That(Lab.Run(link, "-s", node.BirdSocket("bird"), "sh", "pro", "all", "Mesh_10_0_0_2"), Does.Contain("BGP state:          Established"));
    }

    private static void Reload(CalicoNode node, CalicoNode other)
    {
        string file = node.BirdFile("bird");
        string config = File.ReadAllText(file);
        File.WriteAllText(file, config.Replace("route 10.244.1.0/26 blackhole;", "route 10.244.1.0/26 blackhole; route 10.244.77.0/26 blackhole;", StringComparison.Ordinal));
        node.HangUp(0);
        Lab.Eventually(() => Lab.Routes(other.Namespace).Contains("10.244.77.0/26 via 10.0.0.1", StringComparison.Ordinal), "SIGHUP announces the new block");
        Assert.That(Lab.Run("birdc", "-s", node.BirdSocket("bird"), "configure", "check"), Does.Contain("Configuration OK"));
        File.WriteAllText(file, config + "nonsense;\n");
        Assert.That(Lab.TryRun("birdc", "-s", node.BirdSocket("bird"), "configure").Output, Does.Match(@"\.conf:\d+:\d+: error: 'nonsense' is not understood"));
        File.WriteAllText(file, config);
        Assert.That(Lab.Run("birdc", "-s", node.BirdSocket("bird"), "configure"), Does.Contain("Reconfigured"));
        Lab.Eventually(() => !Lab.Routes(other.Namespace).Contains("10.244.77.0/26", StringComparison.Ordinal), "configure withdraws it");
    }
}
