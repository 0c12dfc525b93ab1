using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests.Reflector;

/// <summary>
/// A real daemon on the LAN 10.1.0.0/24, internal to AS 64512. It announces 10.60.N.0/24 (N is the last octet of its address) and, unless it reflects, 10.99.0.0/24,
/// which all clients announce, with next hop self. Its router id is its address.
/// </summary>
internal abstract class Router(Lab lab, string name, string ns, int number)
{
    internal string Name => name;

    internal string Address => $"10.1.0.{number}";

    internal string Own => $"10.60.{number}.0/24";

    protected const string Anycast = "10.99.0.0/24";

    protected Lab Lab => lab;

    protected string Namespace => ns;

    /// <summary>Starts it. With <paramref name="cluster"/> it reflects between <paramref name="clients"/> and <paramref name="others"/>.</summary>
    internal abstract void Start(string[] others, string[] clients, string cluster);

    /// <summary>What it prints of a prefix.</summary>
    internal abstract string Show(string prefix);

    /// <summary>Stops announcing 10.99.0.0/24.</summary>
    internal abstract void WithdrawAnycast();

    /// <summary>Whether it takes several paths of a prefix.</summary>
    internal virtual bool HasAddPath => true;

    protected string File(string extension, string content) => lab.File($"{name}.{extension}", content);

    protected string InNs(params string[] words)
    {
        (int code, string output, string error) = Lab.TryRun("ip", ["netns", "exec", ns, .. words]);
        return output + (code == 0 ? "" : error);
    }
}

internal sealed class BirdRouter(Lab lab, string ns, int number) : Router(lab, "bird", ns, number)
{
    private string Socket => Path.Combine(Lab.Folder, "router-bird.ctl");

    internal override void Start(string[] others, string[] clients, string cluster)
    {
        string config = File("conf", $$"""
            router id {{Address}};
            log stderr all;
            protocol device {}
            protocol direct { ipv4; }
            protocol static own { ipv4; route {{Own}} blackhole; }
            protocol static anycast { {{(cluster.Length > 0 ? "disabled; " : "")}}ipv4; route {{Anycast}} blackhole; }
            template bgp t {
              local {{Address}} as 64512; hold time 9; connect retry time 1; error wait time 1,2; connect delay time 1;
              ipv4 { import all; export filter { if source = RTS_STATIC then { bgp_next_hop = {{Address}}; accept; } {{(cluster.Length > 0 ? "if source = RTS_BGP then accept;" : "")}} reject; }; add paths on; };
            }
            {{string.Concat(others.Select(other => $"protocol bgp from t {{ neighbor {other} as 64512; }}\n"))}}
            {{string.Concat(clients.Select(client => $"protocol bgp from t {{ neighbor {client} as 64512; rr client; rr cluster id {cluster}; }}\n"))}}
            """);
        Lab.Start(Namespace, "bird", "bird", "-f", "-c", config, "-s", Socket, "-P", Path.Combine(Lab.Folder, "router-bird.pid"));
    }

    internal override string Show(string prefix) => InNs("birdc", "-s", Socket, "show", "route", prefix, "all");

    internal override void WithdrawAnycast() => InNs("birdc", "-s", Socket, "disable", "anycast");
}

internal sealed class FrrRouter(Lab lab, string ns, int number) : Router(lab, "frr", ns, number)
{
    internal override void Start(string[] others, string[] clients, string cluster)
    {
        string config = File("conf", $"""
            router bgp 64512
             bgp router-id {Address}
             no bgp network import-check
             timers bgp 3 9
            {(cluster.Length > 0 ? $" bgp cluster-id {cluster}\n" : "")}{string.Concat(others.Concat(clients).Select(static peer => $" neighbor {peer} remote-as 64512\n neighbor {peer} timers connect 1\n"))} address-family ipv4 unicast
              network {Own}
            {(cluster.Length > 0 ? "" : $"  network {Anycast}\n")}{string.Concat(others.Concat(clients).Select(static peer => $"  neighbor {peer} addpath-tx-all-paths\n"))}{string.Concat(clients.Select(static client => $"  neighbor {client} route-reflector-client\n"))} exit-address-family
            """);
        Lab.Run("chmod", "777", Lab.Folder);
        string zserv = Path.Combine(Lab.Folder, "zserv.api");
        Lab.Start(Namespace, "zebra", "/usr/lib/frr/zebra", "-f", File("zebra.conf", "hostname z\n"), "-i", Path.Combine(Lab.Folder, "zebra.pid"), "-z", zserv, "--vty_socket", Lab.Folder, "-u", "frr", "-g", "frr");
        Lab.Eventually(() => System.IO.File.Exists(zserv), "zebra listens", 20, Lab.Logs);
        Lab.Start(Namespace, "frr", "/usr/lib/frr/bgpd", "-f", config, "-i", Path.Combine(Lab.Folder, "frr.pid"), "-z", zserv, "--vty_socket", Lab.Folder, "-u", "frr", "-g", "frr", "-S");
    }

    internal override string Show(string prefix) => InNs("vtysh", "--vty_socket", Lab.Folder, "-c", $"show bgp ipv4 unicast {prefix}");

    internal override void WithdrawAnycast() => InNs("vtysh", "--vty_socket", Lab.Folder, "-c", "configure terminal", "-c", "router bgp 64512", "-c", "address-family ipv4 unicast", "-c", $"no network {Anycast}");
}

internal sealed class GoBgpRouter(Lab lab, string ns, int number) : Router(lab, "gobgp", ns, number)
{
    internal override void Start(string[] others, string[] clients, string cluster)
    {
        const string addPath = """
                [neighbors.afi-safis.add-paths.config]
                  receive = true
                  send-max = 8
            """;
        string reflects = $"""
              [neighbors.route-reflector.config]
                route-reflector-client = true
                route-reflector-cluster-id = "{cluster}"
            """;
        IEnumerable<string> neighbours =
        [
            .. others.Select(other => GoBgpDaemon.Neighbour(other, familySections: addPath)),
            .. clients.Select(client => GoBgpDaemon.Neighbour(client, sections: reflects, familySections: addPath)),
        ];
        GoBgpDaemon.Start(Lab, Namespace, Name, [Address], string.Concat(neighbours));
        InNs("gobgp", "global", "rib", "add", Own);
        if (cluster.Length == 0)
        {
            InNs("gobgp", "global", "rib", "add", Anycast);
        }
    }

    internal override string Show(string prefix) => InNs("gobgp", "global", "rib", prefix);

    internal override void WithdrawAnycast() => InNs("gobgp", "global", "rib", "del", Anycast);
}

internal sealed class OpenBgpdRouter(Lab lab, string ns, int number) : Router(lab, "openbgpd", ns, number)
{
    private string Socket => Path.Combine(Lab.Folder, "router-bgpd.sock");

    internal override bool HasAddPath => false;

    // It announces what it prefers, and prefers its own of two equal routes only with a weight: without, a copy of its own route that comes back with
    // another's ORIGINATOR_ID (from GoBGP) makes it withdraw its own, and so on without end.
    internal override void Start(string[] others, string[] clients, string cluster)
    {
        string config = File("conf", $$"""
            AS 64512
            router-id {{Address}}
            fib-update no
            holdtime 9
            connect-retry 1
            socket "{{Socket}}"
            network {{Own}} set weight 200
            {{(cluster.Length > 0 ? "" : $"network {Anycast} set weight 200")}}
            {{string.Concat(others.Select(other => $"neighbor {other} {{\n remote-as 64512\n local-address {Address}\n}}\n"))}}
            {{string.Concat(clients.Select(client => $"neighbor {client} {{\n remote-as 64512\n local-address {Address}\n route-reflector {cluster}\n}}\n"))}}
            allow from any
            allow to any
            """);
        Lab.Run("chmod", "600", config);

        // Its processes chroot there; the package's service would make it.
        Directory.CreateDirectory("/run/openbgpd");
        Lab.Start(Namespace, "openbgpd", "/usr/sbin/bgpd", "-d", "-f", config);
    }

    internal override string Show(string prefix) => InNs("bgpctl", "-s", Socket, "show", "rib", "detail", prefix);

    internal override void WithdrawAnycast() => InNs("bgpctl", "-s", Socket, "network", "delete", Anycast);
}
