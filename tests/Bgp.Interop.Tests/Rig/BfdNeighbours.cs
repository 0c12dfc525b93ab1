using System.Runtime.InteropServices;

namespace Bgp.Interop.Tests.Rig;

/// <summary>
/// A real daemon in AS 64512 with BFD at 300 ms x 3 on sessions of every kind: direct4, direct6 and local6 external over one hop, near4 internal over one, multi4 and multi6 internal
/// between loopback addresses; plain4 without BFD. Each announces a prefix of its own.
/// </summary>
internal abstract partial class BfdNeighbour(Lab lab, string ns)
{
    internal static readonly (string Session, string Prefix)[] Sessions =
    [
        ("direct4", "10.61.1.0/24"), ("near4", "10.61.5.0/24"), ("multi4", "10.61.2.0/24"), ("direct6", "fd61:1::/64"), ("multi6", "fd61:2::/64"), ("local6", "fd61:3::/64"),
    ];

    protected Lab Lab => lab;

    internal string Namespace => ns;

    internal static string OurConfig(string extra = "") => $$"""
        version: 1
        node: { name: us, asn: 64512, ipv4: 10.1.0.1, ipv6: "fd01::1" }
        log: { level: debug }
        metrics: { listen: 127.0.0.1:9179 }
        {{extra}}
        peerGroups:
          all: { asn: 64512, timers: { hold: 90s, connectRetry: 1s, idleHold: 1s }, bfd: { interval: 300ms, multiplier: 3 } }
        peers:
          - { name: direct4, address: 10.1.0.2, localAsn: 65100, group: all, sourceAddress: 10.1.0.1, import: [all], export: [none] }
          - { name: multi4, address: 10.2.0.2, group: all, sourceAddress: 10.2.0.1 }
          - { name: near4, address: 10.4.0.2, group: all, sourceAddress: 10.4.0.1, multihop: 1 }
          - { name: plain4, address: 10.3.0.2, localAsn: 65100, group: all, sourceAddress: 10.3.0.1, import: [all], export: [none] }
          - { name: direct6, address: "fd01::2", localAsn: 65100, group: all, sourceAddress: "fd01::1", import: [all], export: [none] }
          - { name: multi6, address: "fd02::2", group: all, sourceAddress: "fd02::1" }
          - { name: local6, address: "fe80::2", interface: eth0, sourceAddress: "fe80::1", localAsn: 65100, group: all, import: [all], export: [none] }
        """;

    /// <summary>Addresses on the link and behind it, and the routes to those behind.</summary>
    internal static void Connect(string ours, string theirs)
    {
        Lab.Link(ours, "eth0", ["10.1.0.1/24", "10.3.0.1/24", "10.4.0.1/24", "fd01::1/64", "fe80::1/64"], theirs, "eth0", ["10.1.0.2/24", "10.3.0.2/24", "10.4.0.2/24", "fd01::2/64", "fe80::2/64"]);
        Lab.Address(ours, "lo", "10.2.0.1/32", "fd02::1/128");
        Lab.Address(theirs, "lo", "10.2.0.2/32", "fd02::2/128");
        Routes(ours, "2");
        Routes(theirs, "1");
    }

    /// <summary>The link of the neighbour goes down; the moment just before. <see cref="Mend"/> brings it back with what the kernel has taken away.</summary>
    internal DateTime Cut()
    {
        InNs("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/keep_addr_on_down");
        DateTime now = DateTime.Now;
        Lab.Run("ip", "-n", ns, "link", "set", "eth0", "down");
        return now;
    }

    internal void Mend()
    {
        Lab.Run("ip", "-n", ns, "link", "set", "eth0", "up");
        Lab.Address(ns, "eth0", "fe80::2/64");
        Routes(ns, "1");
    }

    private static void Routes(string ns, string other)
    {
        Lab.Run("ip", "-n", ns, "route", "replace", $"10.2.0.{other}/32", "via", $"10.1.0.{other}");
        Lab.Run("ip", "-n", ns, "route", "replace", $"fd02::{other}/128", "via", $"fd01::{other}");
    }

    internal abstract void Start();

    /// <summary>The process whose BFD answers.</summary>
    protected abstract Background BfdProcess { get; }

    /// <summary>What the daemon says of its BFD sessions.</summary>
    internal abstract string Show();

    /// <summary>Whether it says that the session is up.</summary>
    internal abstract bool IsUp(string session);

    /// <summary>Stands still at once; the moment just before.</summary>
    internal DateTime Freeze() => Signal(19);

    internal void Thaw() => Signal(18);

    protected string InNs(params string[] words)
    {
        (_, string output, string error) = Lab.TryRun("ip", ["netns", "exec", ns, .. words]);
        return output + error;
    }

    private DateTime Signal(int number)
    {
        DateTime now = DateTime.Now;
        Assert.That(Kill(BfdProcess.Pid, number), Is.Zero);
        return now;
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int pid, int signal);
}

internal sealed class BfdBird(Lab lab, string ns) : BfdNeighbour(lab, ns)
{
    private Background? _process;

    protected override Background BfdProcess => _process!;

    private string Socket => Path.Combine(Lab.Folder, "bird.ctl");

    internal override void Start()
    {
        string config = Lab.File("bird.conf", """
            router id 10.1.0.2;
            log stderr all;
            protocol device {}
            protocol direct { ipv4; ipv6; }
            protocol bfd { interface "*" { interval 300 ms; multiplier 3; }; multihop { interval 300 ms; multiplier 3; }; }
            protocol static s4 { ipv4; route 10.61.1.0/24 blackhole; route 10.61.2.0/24 blackhole; route 10.61.4.0/24 blackhole; route 10.61.5.0/24 blackhole; }
            protocol static s6 { ipv6; route fd61:1::/64 blackhole; route fd61:2::/64 blackhole; route fd61:3::/64 blackhole; }
            template bgp t { hold time 90; connect retry time 1; error wait time 1,2; connect delay time 1; }
            protocol bgp direct4 from t { local 10.1.0.2 as 64512; neighbor 10.1.0.1 as 65100; bfd on; ipv4 { import all; export where net = 10.61.1.0/24; }; }
            protocol bgp multi4 from t { local 10.2.0.2 as 64512; neighbor 10.2.0.1 as 64512; multihop; bfd on; ipv4 { import all; export where net = 10.61.2.0/24; next hop self; }; }
            protocol bgp near4 from t { local 10.4.0.2 as 64512; neighbor 10.4.0.1 as 64512; direct; bfd on; ipv4 { import all; export where net = 10.61.5.0/24; next hop self; }; }
            protocol bgp plain4 from t { local 10.3.0.2 as 64512; neighbor 10.3.0.1 as 65100; ipv4 { import all; export where net = 10.61.4.0/24; }; }
            protocol bgp direct6 from t { local fd01::2 as 64512; neighbor fd01::1 as 65100; bfd on; ipv6 { import all; export where net = fd61:1::/64; }; }
            protocol bgp multi6 from t { local fd02::2 as 64512; neighbor fd02::1 as 64512; multihop; bfd on; ipv6 { import all; export where net = fd61:2::/64; next hop self; }; }
            protocol bgp local6 from t { local fe80::2 as 64512; neighbor fe80::1%eth0 as 65100; bfd on; ipv6 { import all; export where net = fd61:3::/64; }; }
            """);
        _process = Lab.Start(Namespace, "bird", "bird", "-f", "-c", config, "-s", Socket, "-P", Path.Combine(Lab.Folder, "bird.pid"));
    }

    internal override string Show() => InNs("birdc", "-s", Socket, "show", "bfd", "sessions");

    internal override bool IsUp(string session)
    {
        string address = session switch { "direct4" => "10.1.0.1", "near4" => "10.4.0.1", "multi4" => "10.2.0.1", "direct6" => "fd01::1", "multi6" => "fd02::1", _ => "fe80::1" };
        return Show().Split('\n').Any(line => line.StartsWith(address + " ", StringComparison.Ordinal) && line.Contains(" Up ", StringComparison.Ordinal));
    }
}

internal sealed class BfdFrr(Lab lab, string ns) : BfdNeighbour(lab, ns)
{
    private Background? _bfdd;

    protected override Background BfdProcess => _bfdd!;

    internal override void Start()
    {
        string config = Lab.File("frr.conf", $"""
            router bgp 64512
             bgp router-id 10.1.0.2
             no bgp ebgp-requires-policy
             no bgp network import-check
             timers bgp 30 90
             {Neighbour("10.1.0.1", 65100)}
             {Neighbour("10.2.0.1", 64512)}
             {Neighbour("10.3.0.1", 65100, bfd: false)}
             {Neighbour("10.4.0.1", 64512)}
             {Neighbour("fd01::1", 65100)}
             {Neighbour("fd02::1", 64512)}
             {Neighbour("fe80::1", 65100)}
             neighbor 10.2.0.1 update-source 10.2.0.2
             neighbor fd02::1 update-source fd02::2
             neighbor fe80::1 interface eth0
             address-family ipv4 unicast
              network 10.61.1.0/24
              network 10.61.2.0/24
              network 10.61.4.0/24
              network 10.61.5.0/24
              neighbor 10.1.0.1 prefix-list A out
              neighbor 10.2.0.1 prefix-list B out
              neighbor 10.3.0.1 prefix-list D out
              neighbor 10.4.0.1 prefix-list H out
              no neighbor fd01::1 activate
              no neighbor fd02::1 activate
              no neighbor fe80::1 activate
             exit-address-family
             address-family ipv6 unicast
              network fd61:1::/64
              network fd61:2::/64
              network fd61:3::/64
              neighbor fd01::1 activate
              neighbor fd02::1 activate
              neighbor fe80::1 activate
              neighbor fd01::1 prefix-list E out
              neighbor fd02::1 prefix-list F out
              neighbor fe80::1 prefix-list G out
             exit-address-family
            ip prefix-list A permit 10.61.1.0/24
            ip prefix-list B permit 10.61.2.0/24
            ip prefix-list D permit 10.61.4.0/24
            ip prefix-list H permit 10.61.5.0/24
            ipv6 prefix-list E permit fd61:1::/64
            ipv6 prefix-list F permit fd61:2::/64
            ipv6 prefix-list G permit fd61:3::/64
            """);
        Lab.Run("chmod", "777", Lab.Folder);
        string zserv = Path.Combine(Lab.Folder, "zserv.api");
        Daemon("zebra", Lab.File("zebra.conf", "hostname z\n"));
        Lab.Eventually(() => File.Exists(zserv), "zebra listens", 10, Lab.Logs);
        _bfdd = Daemon("bfdd", Lab.File("bfdd.conf", "hostname b\n"), "--bfdctl", Path.Combine(Lab.Folder, "bfdd.sock"));
        Daemon("bgpd", config, "-S");

        static string Neighbour(string address, int asn, bool bfd = true) => $"""
            neighbor {address} remote-as {asn}
             neighbor {address} timers connect 1
             {(bfd ? $"neighbor {address} bfd 3 300 300" : "!")}
            """;

        Background Daemon(string name, string file, params string[] more) => Lab.Start(
            Namespace, name, ["/usr/lib/frr/" + name, "-f", file, "-i", Path.Combine(Lab.Folder, name + ".pid"), "-z", zserv, "--vty_socket", Lab.Folder, "-u", "frr", "-g", "frr", .. more]);
    }

    /// <summary>Its operator holds direct4's BFD session down, or lets it go. BIRD has no such thing.</summary>
    internal void SetAdminDown(bool down) => Vtysh("-c", "configure terminal", "-c", "bfd", "-c", "peer 10.1.0.1 local-address 10.1.0.2 interface eth0", "-c", down ? "shutdown" : "no shutdown");

    internal override string Show() => Vtysh("-c", "show bfd peers");

    internal override bool IsUp(string session)
    {
        string address = session switch { "direct4" => "10.1.0.1", "near4" => "10.4.0.1", "multi4" => "10.2.0.1", "direct6" => "fd01::1", "multi6" => "fd02::1", _ => "fe80::1" };
        return Vtysh("-c", "show bfd peers brief").Split('\n').Any(line => line.Contains(" " + address + " ", StringComparison.Ordinal) && line.Contains(" up", StringComparison.Ordinal));
    }

    private string Vtysh(params string[] words) => InNs(["vtysh", "--vty_socket", Lab.Folder, .. words]);
}
