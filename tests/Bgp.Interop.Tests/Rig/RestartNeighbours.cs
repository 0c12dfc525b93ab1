namespace Bgp.Interop.Tests.Rig;

/// <summary>How a neighbour begins its life.</summary>
/// <param name="Graceful">As one that restarts and has kept its forwarding state; else as one that knows nothing of an earlier life.</param>
/// <param name="Extra">Also announces the prefix that only some lives have.</param>
/// <param name="RestartTime">Seconds, as it says in its OPEN; more than a busy machine can take to start it again, where it is not what is tested.</param>
/// <param name="LongLived">Long-lived stale time in seconds; 0 for none.</param>
internal sealed record Life(bool Graceful = false, bool Extra = true, int RestartTime = 120, int LongLived = 0);

/// <summary>
/// A real daemon with graceful restart at 10.1.0.N (fd01::N) whose only neighbour is 10.1.0.1. It announces 10.60.N.0/24, in some lives 10.62.N.0/24, and 10.99.0.0/24, all with LOCAL_PREF 200
/// where it is internal, and installs what it learns where it can.
/// </summary>
internal abstract class RestartNeighbour(Lab lab, string name, string ns, int number)
{
    internal string Name => name;

    internal string Address => $"10.1.0.{number}";

    internal string Own => $"10.60.{number}.0/24";

    internal string Extra => $"10.62.{number}.0/24";

    protected const string Anycast = "10.99.0.0/24";

    protected Lab Lab => lab;

    protected string Namespace => ns;

    protected int Number => number;

    protected Background? Process { get; set; }

    /// <summary>The one that it leads; null after its end.</summary>
    internal Life? Life { get; private set; }

    internal void Start(Life life)
    {
        Life = life;
        Begin(life);
    }

    protected abstract void Begin(Life life);

    /// <summary>What it prints of a prefix.</summary>
    internal abstract string Show(string prefix);

    /// <summary>Whether it has the prefix, as stale or as fresh.</summary>
    internal abstract bool Has(string prefix, bool stale);

    /// <summary>SIGKILL.</summary>
    internal void Kill()
    {
        Life = null;
        if (Process is { HasExited: false })
        {
            Process.Kill();
        }
    }

    protected string File(string content) => lab.File($"{name}.conf", content);

    protected Background Run(params string[] words) => lab.Start(ns, name, words);

    protected string InNs(params string[] words)
    {
        (int code, string output, string error) = Lab.TryRun("ip", ["netns", "exec", ns, .. words]);
        return output + (code == 0 ? "" : error);
    }
}

/// <summary>BIRD 2 with both families in one session, or BIRD 1.6 with IPv4.</summary>
internal sealed class RestartBird(Lab lab, string ns, int number, bool two) : RestartNeighbour(lab, two ? "bird2" : "bird1", ns, number)
{
    private readonly string _socket = Path.Combine(lab.Folder, two ? "bird2.ctl" : "bird1.ctl");

    protected override void Begin(Life life)
    {
        string routes = string.Concat(new[] { Own, Anycast, life.Extra ? Extra : "" }.Where(static prefix => prefix.Length > 0).Select(static prefix => $"route {prefix} blackhole; "));
        string session = $"""
            local {Address} as 64512; neighbor 10.1.0.1 as 64512; hold time 9; connect retry time 1; error wait time 1,2; connect delay time 1;
              graceful restart on; graceful restart time {life.RestartTime};{(life.LongLived > 0 ? $" long lived graceful restart on; long lived stale time {life.LongLived};" : "")}
            """;
        string export = "if source = RTS_STATIC then { bgp_local_pref = 200; bgp_next_hop = NEXTHOP; accept; } reject;";
        string config = File(two
            ? $$"""
                router id {{Address}};
                log stderr all;
                graceful restart wait 60;
                protocol device { scan time 2; }
                protocol direct { ipv4; ipv6; }
                protocol kernel { persist; graceful restart; ipv4 { import none; export where source = RTS_BGP; }; }
                protocol kernel { persist; graceful restart; ipv6 { import none; export where source = RTS_BGP; }; }
                protocol static s4 { ipv4; {{routes}} }
                protocol static s6 { ipv6; route fd60:{{Number}}::/64 blackhole; }
                protocol bgp pipit {
                  {{session}}
                  ipv4 { import all; export filter { {{export.Replace("NEXTHOP", Address, StringComparison.Ordinal)}} }; };
                  ipv6 { import all; export filter { {{export.Replace("NEXTHOP", $"fd01::{Number}", StringComparison.Ordinal)}} }; };
                }
                """
            : $$"""
                router id {{Address}};
                log stderr all;
                graceful restart wait 60;
                protocol device { scan time 2; }
                protocol direct { }
                protocol kernel { persist; graceful restart; import none; export where source = RTS_BGP; }
                protocol static { {{routes}} }
                protocol bgp pipit {
                  {{session}}
                  import all; export filter { {{export.Replace("NEXTHOP", Address, StringComparison.Ordinal)}} };
                }
                """);
        string program = two ? "bird" : Path.Combine(Calico.CalicoNode.BirdFolder, "bird");
        Process = Run([program, "-f", .. life.Graceful ? new[] { "-R" } : [], "-c", config, "-s", _socket, "-P", _socket + ".pid"]);
    }

    internal override string Show(string prefix) => InNs("birdc", "-s", _socket, "show", "route", prefix, "all");

    // It marks long-lived stale routes alone; that the neighbour restarts stands with the session.
    internal override bool Has(string prefix, bool stale) => Show(prefix).Contains("[pipit", StringComparison.Ordinal)
        && InNs("birdc", "-s", _socket, "show", "protocols", "all", "pipit").Contains("Neighbor graceful restart active", StringComparison.Ordinal) == stale;
}

/// <summary>FRR, external: AS 65012.</summary>
internal sealed class RestartFrr(Lab lab, string ns, int number) : RestartNeighbour(lab, "frr", ns, number)
{
    private Background? _zebra;

    protected override void Begin(Life life)
    {
        string config = File($"""
            router bgp 65012
             bgp router-id {Address}
             no bgp ebgp-requires-policy
             no bgp network import-check
             timers bgp 3 9
             bgp graceful-restart
            {(life.Graceful ? " bgp graceful-restart preserve-fw-state\n" : "")} bgp graceful-restart restart-time {life.RestartTime}
             neighbor 10.1.0.1 remote-as 64512
             neighbor 10.1.0.1 timers connect 1
             neighbor 10.1.0.1 advertisement-interval 0
             address-family ipv4 unicast
              network {Own}
              network {Anycast}
            {(life.Extra ? $"  network {Extra}\n" : "")} exit-address-family
            """);
        Lab.Run("chmod", "777", Lab.Folder);
        string zserv = Path.Combine(Lab.Folder, "zserv.api");
        if (_zebra is null)
        {
            _zebra = Run("/usr/lib/frr/zebra", "-f", Lab.File("zebra.conf", "hostname z\n"), "-i", Path.Combine(Lab.Folder, "zebra.pid"), "-z", zserv, "--vty_socket", Lab.Folder, "-u", "frr", "-g", "frr");
            Lab.Eventually(() => System.IO.File.Exists(zserv), "zebra listens", 20, Lab.Logs);
        }

        Process = Lab.Start(Namespace, "bgpd", "/usr/lib/frr/bgpd", "-f", config, "-i", Path.Combine(Lab.Folder, "frr.pid"), "-z", zserv, "--vty_socket", Lab.Folder, "-u", "frr", "-g", "frr", "-S");
    }

    internal override string Show(string prefix) => InNs("vtysh", "--vty_socket", Lab.Folder, "-c", $"show bgp ipv4 unicast {prefix}");

    internal override bool Has(string prefix, bool stale) => Show(prefix) is var text && text.Contains("from 10.1.0.1", StringComparison.Ordinal) && text.Contains("stale", StringComparison.OrdinalIgnoreCase) == stale;
}

/// <summary>GoBGP, which installs nothing.</summary>
internal sealed class RestartGoBgp(Lab lab, string ns, int number) : RestartNeighbour(lab, "gobgp", ns, number)
{
    protected override void Begin(Life life)
    {
        string neighbour = GoBgpDaemon.Neighbour(
            "10.1.0.1",
            sections: $"""
                  [neighbors.graceful-restart.config]
                    enabled = true
                    notification-enabled = true
                    restart-time = {life.RestartTime}
                    deferral-time = 5
                    long-lived-enabled = {(life.LongLived > 0 ? "true" : "false")}
                """,
            familySections: $"""
                    [neighbors.afi-safis.mp-graceful-restart.config]
                      enabled = true
                {(life.LongLived > 0 ? $"    [neighbors.afi-safis.long-lived-graceful-restart.config]\n      enabled = true\n      restart-time = {life.LongLived}" : "")}
                """);

        // Its routes come by command, and its End-of-RIB would be out before them: nobody hears it until they are there.
        InNs("ip", "route", "replace", "blackhole", "10.1.0.1/32");
        Process = GoBgpDaemon.Start(Lab, Namespace, Name, [Address], neighbour, life.Graceful ? ["-r"] : []);
        foreach (string prefix in life.Extra ? new[] { Own, Anycast, Extra } : [Own, Anycast])
        {
            InNs("gobgp", "global", "rib", "add", prefix, "local-pref", "200");
        }

        InNs("ip", "route", "delete", "blackhole", "10.1.0.1/32");
    }

    internal override string Show(string prefix) => InNs("gobgp", "global", "rib", prefix);

    internal override bool Has(string prefix, bool stale) => Show(prefix) is var text && text.Contains("*>", StringComparison.Ordinal) && text.Contains("S*>", StringComparison.Ordinal) == stale;
}
