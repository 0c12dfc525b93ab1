namespace Bgp.Interop.Tests.Rig;

/// <summary>
/// A real daemon at the other end of three sessions: internal IPv4, external IPv4 with a TCP MD5 password, internal IPv6. It announces 10.60.1.0/24 with MED 50,
/// community 64512:200 and large community 64512:1:2, and fd60:1::/64.
/// </summary>
internal abstract class RealPeer(Lab lab, string ns)
{
    protected const string Password = "s3cret";

    protected Lab Lab => lab;

    protected string Namespace => ns;

    protected Background? Process { get; set; }

    internal abstract void Start();

    /// <summary>Stops announcing 10.60.1.0/24.</summary>
    internal abstract void Withdraw();

    /// <summary>Announces it again.</summary>
    internal abstract void Announce();

    /// <summary>What the daemon prints of a prefix, or of nothing.</summary>
    internal abstract string Show(string prefix);

    /// <summary>Strings that the print must hold when the internal session's route to 10.50.1.0/24 is as Pipit sent it.</summary>
    internal abstract string[] ExpectedInternal { get; }

    /// <summary>The same for the external session's.</summary>
    internal abstract string[] ExpectedExternal { get; }

    /// <summary>The same for fd50:1::/64.</summary>
    internal abstract string[] ExpectedIpv6 { get; }

    internal void Kill() => Process!.Kill();

    protected string InNs(params string[] words)
    {
        (int code, string output, string error) = Lab.TryRun("ip", ["netns", "exec", ns, .. words]);
        return output + (code == 0 ? "" : error);
    }
}

internal sealed class Bird(Lab lab, string ns) : RealPeer(lab, ns)
{
    internal override string[] ExpectedInternal => ["BGP.origin: IGP", "BGP.next_hop: 10.1.0.1", "BGP.local_pref: 100", "(64512,100)"];

    internal override string[] ExpectedExternal => ["BGP.as_path: 65100", "BGP.next_hop: 10.2.0.1"];

    internal override string[] ExpectedIpv6 => ["BGP.next_hop: fd01::1", "BGP.local_pref: 100"];

    private string Socket => Path.Combine(Lab.Folder, "bird.ctl");

    internal override void Start()
    {
        string config = Lab.File("bird.conf", $$"""
            router id 10.1.0.2;
            log stderr all;
            protocol device {}
            protocol direct { ipv4; ipv6; }
            protocol static s4 { ipv4; route 10.60.1.0/24 blackhole { bgp_med = 50; bgp_community.add((64512,200)); bgp_large_community.add((64512,1,2)); }; }
            protocol static s6 { ipv6; route fd60:1::/64 blackhole; }
            template bgp t { hold time 9; connect retry time 1; error wait time 1,2; connect delay time 1; }
            protocol bgp internal4 from t { local 10.1.0.2 as 64512; neighbor 10.1.0.1 as 64512; ipv4 { import all; export where source = RTS_STATIC; next hop self; }; }
            protocol bgp external4 from t { local 10.2.0.2 as 64512; neighbor 10.2.0.1 as 65100; password "{{Password}}"; ipv4 { import all; export where source = RTS_STATIC; }; }
            protocol bgp internal6 from t { local fd01::2 as 64512; neighbor fd01::1 as 64512; ipv6 { import all; export where source = RTS_STATIC; next hop self; }; }
            """);
        Process = Lab.Start(Namespace, "bird", "bird", "-f", "-c", config, "-s", Socket, "-P", Path.Combine(Lab.Folder, "bird.pid"));
    }

    internal override void Withdraw() => InNs("birdc", "-s", Socket, "disable", "s4");

    internal override void Announce() => InNs("birdc", "-s", Socket, "enable", "s4");

    internal override string Show(string prefix) => InNs("birdc", "-s", Socket, "show", "route", prefix, "all");
}

internal sealed class Frr(Lab lab, string ns) : RealPeer(lab, ns)
{
    private Background? _zebra;

    internal override string[] ExpectedInternal => ["10.1.0.1", "localpref 100", "Origin IGP", "64512:100"];

    internal override string[] ExpectedExternal => ["65100", "10.2.0.1"];

    internal override string[] ExpectedIpv6 => ["fd01::1", "localpref 100"];

    internal override void Start()
    {
        string config = Lab.File("frr.conf", $"""
            router bgp 64512
             bgp router-id 10.1.0.2
             no bgp ebgp-requires-policy
             no bgp network import-check
             timers bgp 3 9
             neighbor 10.1.0.1 remote-as 64512
             neighbor 10.1.0.1 timers connect 1
             neighbor 10.2.0.1 remote-as 65100
             neighbor 10.2.0.1 password {Password}
             neighbor 10.2.0.1 timers connect 1
             neighbor fd01::1 remote-as 64512
             neighbor fd01::1 timers connect 1
             address-family ipv4 unicast
              network 10.60.1.0/24 route-map OUT
              no neighbor fd01::1 activate
             exit-address-family
             address-family ipv6 unicast
              network fd60:1::/64
              neighbor fd01::1 activate
             exit-address-family
            route-map OUT permit 10
             set metric 50
             set community 64512:200
             set large-community 64512:1:2
            """);
        Lab.Run("chmod", "777", Lab.Folder);
        string zserv = Path.Combine(Lab.Folder, "zserv.api");
        _zebra?.Kill();
        File.Delete(zserv);
        _zebra = Lab.Start(Namespace, "zebra", "/usr/lib/frr/zebra", "-f", Lab.File("zebra.conf", "hostname z\n"), "-i", Path.Combine(Lab.Folder, "zebra.pid"), "-z", zserv, "--vty_socket", Lab.Folder, "-u", "frr", "-g", "frr");
        Lab.Eventually(() => File.Exists(zserv), "zebra listens", 10, Lab.Logs);
        Process = Lab.Start(Namespace, "bgpd", "/usr/lib/frr/bgpd", "-f", config, "-i", Path.Combine(Lab.Folder, "bgpd.pid"), "-z", zserv, "--vty_socket", Lab.Folder, "-u", "frr", "-g", "frr", "-S");
    }

    internal override void Withdraw() => InNs("vtysh", "--vty_socket", Lab.Folder, "-c", "configure terminal", "-c", "router bgp 64512", "-c", "address-family ipv4 unicast", "-c", "no network 10.60.1.0/24");

    internal override void Announce() => InNs("vtysh", "--vty_socket", Lab.Folder, "-c", "configure terminal", "-c", "router bgp 64512", "-c", "address-family ipv4 unicast", "-c", "network 10.60.1.0/24 route-map OUT");

    internal override string Show(string prefix) => InNs("vtysh", "--vty_socket", Lab.Folder, "-c", $"show bgp {(prefix.Contains(':', StringComparison.Ordinal) ? "ipv6" : "ipv4")} unicast {prefix}");
}

internal sealed class GoBgp(Lab lab, string ns) : RealPeer(lab, ns)
{
    internal override string[] ExpectedInternal => ["10.1.0.1", "{Origin: i}", "{LocalPref: 100}", "{Communities: 64512:100}"];

    internal override string[] ExpectedExternal => ["65100", "10.2.0.1"];

    internal override string[] ExpectedIpv6 => ["fd01::1", "{LocalPref: 100}"];

    internal override void Start()
    {
        string[] neighbours =
        [
            GoBgpDaemon.Neighbour("10.1.0.1"),
            GoBgpDaemon.Neighbour("10.2.0.1", 65100, settings: $"    auth-password = \"{Password}\""),
            GoBgpDaemon.Neighbour("fd01::1", family: "ipv6-unicast"),
        ];
        Process = GoBgpDaemon.Start(Lab, Namespace, "gobgpd", ["10.1.0.2", "10.2.0.2", "fd01::2"], string.Concat(neighbours));
        Announce();
        InNs("gobgp", "global", "rib", "add", "-a", "ipv6", "fd60:1::/64");
    }

    internal override void Withdraw() => InNs("gobgp", "global", "rib", "del", "10.60.1.0/24");

    internal override void Announce() => InNs("gobgp", "global", "rib", "add", "10.60.1.0/24", "community", "64512:200", "large-community", "64512:1:2", "med", "50");

    internal override string Show(string prefix) => InNs("gobgp", "global", "rib", "-a", prefix.Contains(':', StringComparison.Ordinal) ? "ipv6" : "ipv4", prefix);
}

internal sealed class OpenBgpd(Lab lab, string ns) : RealPeer(lab, ns)
{
    internal override string[] ExpectedInternal => ["Nexthop 10.1.0.1", "Origin IGP", "localpref 100", "64512:100"];

    internal override string[] ExpectedExternal => ["65100", "Nexthop 10.2.0.1"];

    internal override string[] ExpectedIpv6 => ["Nexthop fd01::1", "localpref 100"];

    private string Socket => Path.Combine(Lab.Folder, "bgpd.sock");

    internal override void Start()
    {
        string config = Lab.File("bgpd.conf", $$"""
            AS 64512
            router-id 10.1.0.2
            fib-update no
            holdtime 9
            connect-retry 1
            socket "{{Socket}}"
            network 10.60.1.0/24 set { metric 50 community 64512:200 large-community 64512:1:2 }
            network fd60:1::/64
            neighbor 10.1.0.1 {
              remote-as 64512
              local-address 10.1.0.2
            }
            neighbor 10.2.0.1 {
              remote-as 65100
              local-address 10.2.0.2
              tcp md5sig password {{Password}}
            }
            neighbor fd01::1 {
              remote-as 64512
              local-address fd01::2
            }
            allow from any
            allow to any
            """);
        Lab.Run("chmod", "600", config);

        // Its processes chroot there; the package's service would make it.
        Directory.CreateDirectory("/run/openbgpd");
        Process = Lab.Start(Namespace, "bgpd", "/usr/sbin/bgpd", "-d", "-f", config);
    }

    internal override void Withdraw() => InNs("bgpctl", "-s", Socket, "network", "delete", "10.60.1.0/24");

    internal override void Announce() => InNs("bgpctl", "-s", Socket, "network", "add", "10.60.1.0/24", "metric", "50", "community", "64512:200", "large-community", "64512:1:2");

    internal override string Show(string prefix) => InNs("bgpctl", "-s", Socket, "show", "rib", "detail", prefix);
}
