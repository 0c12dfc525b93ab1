using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests.Calico;

/// <summary>Pipit beside BIRD and in its place, with the configuration that Calico gives to BIRD.</summary>
[TestFixture]
public sealed class RollingReplacementTests
{
    [TestCase(false, TestName = "Nodes_go_from_BIRD_to_Pipit_and_back_without_a_lost_packet_and_with_the_same_kernel_tables")]
    [TestCase(true, TestName = "So_they_do_where_metric_and_LOCAL_PREF_stand_for_each_other")]
    public void Rolling(bool priorities)
    {
        using CalicoCluster cluster = new(priorities);
        Daemon[] birds = [Daemon.Bird1, Daemon.Bird2, Daemon.Bird1, Daemon.Bird2];
        for (int number = 1; number <= birds.Length; number++)
        {
            cluster.Add(number, null, number == 1 ? ["10.96.0.10/32"] : []);
        }

        cluster.Mesh();
        for (int i = 0; i < birds.Length; i++)
        {
            cluster.Nodes[i].Start(birds[i]);
        }

        cluster.Settled("BIRD everywhere");

        // Every other node's two blocks and its two borrowed addresses (and the one in its own block that is more urgent), and the node's own two blocks.
        int routes = (3 * (priorities ? 5 : 4)) + 2;
        Lab.Eventually(() => cluster.Nodes.TrueForAll(node => node.Kernel().Split('\n').Length == routes), "BIRD's tables are whole", 60, cluster.Describe);
        Dictionary<int, string> expected = cluster.Nodes.ToDictionary(static node => node.Number, static node => node.Kernel());
        Assert.That(expected[1], Does.Contain(priorities ? "10.244.2.33 via 10.0.0.2 dev eth0 metric 512" : "10.244.2.0/26 via 10.0.0.2 dev eth0"));
        cluster.StartPings();
        foreach (CalicoNode node in cluster.Nodes)
        {
            node.End();
            node.Start(Daemon.Pipit);
            cluster.Settled($"node {node.Number} runs Pipit");
            cluster.Holds($"node {node.Number} runs Pipit", expected);
        }

        for (int i = 0; i < birds.Length; i++)
        {
            CalicoNode node = cluster.Nodes[i];
            node.End();
            node.Start(birds[i]);
            cluster.Settled($"node {node.Number} runs {birds[i]} again");
            cluster.Holds($"node {node.Number} runs {birds[i]} again", expected);
        }

        Assert.That(cluster.Losses(), Is.Empty);
    }

    [Test]
    public void Reflectors_of_both_kinds_serve_clients_of_every_kind()
    {
        using CalicoCluster cluster = new();
        CalicoNode[] reflectors = [cluster.Add(1, "10.0.0.100"), cluster.Add(2, "10.0.0.100")];
        CalicoNode[] clients = [cluster.Add(3), cluster.Add(4, null, "10.96.0.10/32"), cluster.Add(5, null, "10.96.0.10/32")];
        foreach (CalicoNode reflector in reflectors)
        {
            foreach (CalicoNode client in clients)
            {
                reflector.Peers.Add(new CalicoPeer(client.Number, Client: true, Mesh: false));
                client.Peers.Add(new CalicoPeer(reflector.Number, Client: false, Mesh: false));
            }
        }

        reflectors[0].Peers.Add(new CalicoPeer(2, Client: false, Mesh: true));
        reflectors[1].Peers.Add(new CalicoPeer(1, Client: false, Mesh: true));
        reflectors[0].Start(Daemon.Bird2);
        reflectors[1].Start(Daemon.Pipit);
        clients[0].Start(Daemon.Bird1);
        clients[1].Start(Daemon.Bird2);
        clients[2].Start(Daemon.Pipit);
        cluster.Settled("two reflectors, three clients");

        // Four others with two blocks and two borrowed addresses, and the node's own blocks.
        Lab.Eventually(() => cluster.Nodes.TrueForAll(static node => node.Kernel().Split('\n').Length == (4 * 4) + 2), "every node has every block", 60, cluster.Describe);
        foreach (CalicoNode node in cluster.Nodes)
        {
            foreach (CalicoNode other in cluster.Nodes.Where(other => other != node))
            {
                Assert.That(node.Kernel(), Does.Contain($"10.244.{other.Number}.0/26 via 10.0.0.{other.Number} dev eth0"), "the next hop is the node, not the reflector");
            }
        }

        // One reflector less, then the other: nothing moves, since both say the same.
        Dictionary<int, string> expected = cluster.Nodes.ToDictionary(static node => node.Number, static node => node.Kernel());
        cluster.StartPings();
        reflectors[1].End();
        cluster.Holds("Pipit's reflector is gone", expected, 5);
        reflectors[1].Start(Daemon.Pipit);
        cluster.Settled("Pipit's reflector is back");
        reflectors[0].End();
        cluster.Holds("BIRD's reflector is gone", expected, 5);
        reflectors[0].Start(Daemon.Pipit);
        cluster.Settled("Pipit in the place of BIRD's reflector");
        cluster.Holds("Pipit in the place of BIRD's reflector", expected);
        Assert.That(cluster.Losses(), Is.Empty);

        // Both reflectors know both nodes of the service.
        string service = reflectors[1].Cli("routes", "10.96.0.10/32", "-o", "jsonl").Output;
        Assert.That(service.Split('\n').Count(static line => line.Contains("\"nextHop\":\"10.0.0.4\"", StringComparison.Ordinal)), Is.GreaterThanOrEqualTo(1), service);
        Assert.That(service.Split('\n').Count(static line => line.Contains("\"nextHop\":\"10.0.0.5\"", StringComparison.Ordinal)), Is.GreaterThanOrEqualTo(1), service);
    }
}
