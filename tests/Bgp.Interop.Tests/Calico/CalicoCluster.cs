using System.Globalization;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests.Calico;

/// <summary>Nodes on one switch, each with a pod, and pings between the pods that notice a single lost packet.</summary>
internal sealed class CalicoCluster : IDisposable
{
    private const int Enough = 100;

    private readonly List<(CalicoNode From, CalicoNode To, Background Ping, string Log)> _pings = [];
    private readonly string _switch;

    private readonly bool _priorities;

    /// <summary>An empty cluster; with <paramref name="priorities"/> as Calico 3.32 and later have it (metric and LOCAL_PREF stand for each other).</summary>
    internal CalicoCluster(bool priorities = false)
    {
        _priorities = priorities;
        _switch = Lab.Namespace("sw");
        Lab.Run("ip", "-n", _switch, "link", "add", "br0", "type", "bridge", "forward_delay", "0");
        Lab.Address(_switch, "br0", "10.0.0.254/24");
        Lab.Run("ip", "-n", _switch, "link", "set", "br0", "up");
    }

    internal Lab Lab { get; } = new();

    internal List<CalicoNode> Nodes { get; } = [];

    internal CalicoNode Add(int number, string? clusterId = null, params string[] services)
    {
        string ns = Lab.Namespace($"n{number}");
        string pod = Lab.Namespace($"p{number}");
        string link = string.Create(CultureInfo.InvariantCulture, $"cali{number:x11}");
        Lab.Run("ip", "link", "add", "eth0", "netns", ns, "type", "veth", "peer", "name", $"n{number}", "netns", _switch);
        Lab.Run("ip", "-n", _switch, "link", "set", $"n{number}", "master", "br0", "up");
        Lab.Address(ns, "eth0", $"10.0.0.{number}/24", $"fd00::{number}/64");
        Lab.Run("ip", "-n", ns, "link", "set", "eth0", "up");

        // The kernel answers for a pod's gateway (proxy ARP) only where it has a route for that address.
        Lab.Run("ip", "-n", ns, "route", "add", "default", "via", "10.0.0.254");
        Lab.Run("ip", "link", "add", "eth0", "netns", pod, "type", "veth", "peer", "name", link, "netns", ns);
        Lab.Run("ip", "-n", ns, "link", "set", link, "up");
        foreach (string setting in new[] { "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth0.rp_filter=0", $"net.ipv4.conf.{link}.proxy_arp=1", $"net.ipv4.neigh.{link}.proxy_delay=0", $"net.ipv4.conf.{link}.rp_filter=0" })
        {
            Lab.Run("ip", "netns", "exec", ns, "sysctl", "-qw", setting);
        }

        Lab.Address(pod, "eth0", $"10.244.{number}.2/32");
        Lab.Run("ip", "-n", pod, "link", "set", "eth0", "up");
        Lab.Run("ip", "-n", pod, "route", "add", "169.254.1.1", "dev", "eth0", "scope", "link");
        Lab.Run("ip", "-n", pod, "route", "add", "default", "via", "169.254.1.1", "dev", "eth0");

        // What Calico's agent writes: the pod, one whose address was borrowed from the next node's block, one in a pool that stays at home, and a
        // route to another node's workload of its own making, which must never be announced.
        AgentRoute(ns, $"10.244.{number}.2", link);
        AgentRoute(ns, $"10.244.{(number % 5) + 1}.{20 + number}", link);
        AgentRoute(ns, $"10.245.0.{number}", link);
        Lab.Run("ip", "-n", ns, "-6", "route", "add", $"fd10:244::{number}02", "dev", link, "proto", "boot");
        Lab.Run("ip", "-n", ns, "-6", "route", "add", $"fd10:244::{(number % 5) + 1}2{number}", "dev", link, "proto", "boot");
        if (_priorities)
        {
            // A workload that is being moved here: more urgent than the block that it is in.
            Lab.Run("ip", "-n", ns, "route", "add", $"10.244.{number}.33", "dev", link, "scope", "link", "proto", "boot", "metric", "512");
        }

        CalicoNode node = new(Lab, ns, pod, number) { ClusterId = clusterId, Services = services, Priorities = _priorities };
        Nodes.Add(node);
        return node;
    }

    internal void Mesh()
    {
        foreach (CalicoNode node in Nodes)
        {
            node.Peers.AddRange(Nodes.Where(other => other != node).Select(static other => new CalicoPeer(other.Number, Client: false, Mesh: true)));
        }
    }

    internal void Settled(string when, int seconds = 90) =>
        Lab.Eventually(() => Nodes.TrueForAll(static node => node.IsSettled()), $"{when}: every session is up", seconds, Describe);

    /// <summary>Every node's kernel has what is expected of it.</summary>
    internal void Holds(string when, IReadOnlyDictionary<int, string> expected, int seconds = 60) => Lab.Eventually(
        () => Nodes.TrueForAll(node => node.Kernel() == expected[node.Number]),
        $"{when}: the kernel tables are the same as before",
        seconds,
        () => string.Join('\n', Nodes.Where(node => node.Kernel() != expected[node.Number]).Select(node => $"n{node.Number} ({node.Runs}) expected:\n{expected[node.Number]}\nhas:\n{node.Kernel()}\n")) + Describe());

    internal string Describe() => string.Join('\n', Nodes.Select(static node => $"n{node.Number} {node.Runs}:\n{node.Status()}{node.Kernel()}")) + Lab.Logs();

    /// <summary>Starts a ping at 10 ms between the pods of every node and the next one; each answer is in the log at once.</summary>
    internal void StartPings()
    {
        for (int i = 0; i < Nodes.Count; i++)
        {
            CalicoNode from = Nodes[i];
            CalicoNode to = Nodes[(i + 1) % Nodes.Count];
            string name = $"ping-{from.Number}-{to.Number}";
            _pings.Add((from, to, Lab.Start(from.PodNamespace, name, "stdbuf", "-oL", "ping", "-n", "-i", "0.01", to.PodAddress), Path.Combine(Lab.Folder, name + ".log")));
        }
    }

    /// <summary>Ends the pings; a line for each that lost a packet.</summary>
    internal List<string> Losses()
    {
        List<string> losses = [];
        foreach ((CalicoNode from, CalicoNode to, Background ping, string log) in _pings)
        {
            // What is over within a second is not enough to see a gap by.
            Lab.Eventually(() => PingLog.Answered(log).Count >= Enough, $"{Enough} packets from pod {from.Number} to pod {to.Number} are answered", 20, Describe);
            ping.Interrupt();
            SortedSet<int> answered = PingLog.Answered(log);

            // The last ones may have been on the way.
            int last = answered.Max;
            if (answered.Count != last - answered.Min + 1 || answered.Min > 1)
            {
                string missing = string.Join(' ', Enumerable.Range(1, last).Where(sequence => !answered.Contains(sequence)).Take(20));
                losses.Add($"pod {from.Number} to pod {to.Number}: {answered.Count} answers to {last} packets, without {missing}");
            }
        }

        _pings.Clear();
        return losses;
    }

    public void Dispose() => Lab.Dispose();

    private void AgentRoute(string ns, string address, string link) => Lab.Run(
        "ip", ["-n", ns, "route", "add", address, "dev", link, "scope", "link", "proto", "boot", .. _priorities ? new[] { "metric", "1024" } : []]);
}
