using System.Globalization;
using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests.Calico;

/// <summary>Which daemon a node runs.</summary>
public enum Daemon
{
    /// <summary>BIRD 1.6: two processes, as in calico-node.</summary>
    Bird1,

    /// <summary>BIRD 2: one process.</summary>
    Bird2,

    /// <summary>Pipit.</summary>
    Pipit,

    /// <summary>Pipit under the names <c>bird</c> and <c>bird6</c>, with the files and flags of BIRD 1.6.</summary>
    PipitAsBird,
}

/// <summary>A neighbour as Calico's templates would name it.</summary>
/// <param name="Number">Its node's number.</param>
/// <param name="Client">Whether we reflect for it.</param>
/// <param name="Mesh">Whether the lower address waits (the mesh's rule).</param>
internal sealed record CalicoPeer(int Number, bool Client, bool Mesh);

/// <summary>
/// One node of a cluster: a namespace with a pod behind <c>cali*</c>, the routes that Calico's agent writes, and a daemon of any kind that can be
/// replaced by one of another kind.
/// </summary>
/// <remarks>
/// Node N is 10.0.0.N and fd00::N, with the blocks 10.244.N.0/26 and fd10:244::N00/122. The BIRD configurations say what those that Calico renders say
/// (confd's bird, bird_aggr and bird_ipam templates), with shorter timers.
/// </remarks>
internal sealed class CalicoNode(Lab lab, string ns, string podNs, int number)
{
    private const string ImportPriority = "if ( defined(bgp_local_pref) && (bgp_local_pref > 2147482623) ) then preference = 200;";

    private const string ExportPriority =
        "if ( defined(source) && source = RTS_BGP && defined(bgp_local_pref) ) then { krt_metric = 2147483647 - bgp_local_pref; } "
        + "else { if ( !defined(krt_metric) ) then { krt_metric = 1024; } bgp_local_pref = 2147483647 - krt_metric; }";

    private const string KernelPriority =
        "if ( defined(source) && source = RTS_BGP && !defined(krt_metric) ) then { krt_metric = 1024; "
        + "if ( defined(bgp_local_pref) ) then { krt_metric = 2147483647 - bgp_local_pref; } if ( krt_metric < 1024 ) then { preference = 200; } }";

    private readonly List<Background> _processes = [];
    private PipitNode? _pipit;

    internal int Number => number;

    internal string Namespace => ns;

    internal string PodNamespace => podNs;

    internal string PodAddress => $"10.244.{number}.2";

    internal Daemon Runs { get; private set; }

    /// <summary>Whether metric and LOCAL_PREF stand for each other, as with Calico 3.32 and later.</summary>
    internal bool Priorities { get; init; }

    /// <summary>Cluster id where the node is a reflector.</summary>
    internal string? ClusterId { get; init; }

    /// <summary>What the node says beyond its blocks: lines for its static protocol and for <c>originate</c>.</summary>
    internal IReadOnlyList<string> Services { get; init; } = [];

    internal List<CalicoPeer> Peers { get; } = [];

    internal static string BirdFolder { get; } = Environment.GetEnvironmentVariable("PIPIT_BIRD16") is { Length: > 0 } set
        ? set
        : throw new InvalidOperationException("PIPIT_BIRD16 must name the folder of BIRD 1.6's programs: scripts/packages.sh unpacks them (unpacked bird)");

    /// <summary>Starts a daemon with nothing running before.</summary>
    internal void Start(Daemon daemon)
    {
        Runs = daemon;
        switch (daemon)
        {
            case Daemon.Bird1:
                Bird("bird", Path.Combine(BirdFolder, "bird"), Bird1Config(v6: false));
                Bird("bird6", Path.Combine(BirdFolder, "bird6"), Bird1Config(v6: true));
                break;
            case Daemon.PipitAsBird:
                Bird("bird", Link("bird"), Bird1Config(v6: false), "-d");
                Bird("bird6", Link("bird6"), Bird1Config(v6: true), "-d");
                break;
            case Daemon.Bird2:
                Bird("bird2", "bird", Bird2Config());
                break;
            default:
                _pipit ??= new PipitNode(lab, ns, $"n{number}", PipitConfig());
                _processes.Add(_pipit.Start().Process!);
                break;
        }
    }

    /// <summary>Ends the daemon as a container's end does: SIGKILL for BIRD (no Cease, the kernel routes stay), SIGTERM for Pipit.</summary>
    internal void End()
    {
        foreach (Background process in _processes)
        {
            if (Runs is Daemon.Pipit or Daemon.PipitAsBird)
            {
                process.Terminate();
            }
            else
            {
                process.Kill();
            }
        }

        _processes.Clear();
    }

    /// <summary>Whether every session is up, and a restart is over.</summary>
    internal bool IsSettled()
    {
        if (Runs == Daemon.Pipit)
        {
            return _pipit!.Cli("wait", "peers-established", "--timeout", "1s").Code == 0;
        }

        string[] sockets = Runs == Daemon.Bird2 ? ["bird2"] : ["bird", "bird6"];
        int up = 0;
        foreach (string name in sockets)
        {
            string control = Path.Combine(lab.Folder, $"n{number}-{name}.ctl");
            string protocols = Lab.TryRun("birdc", ["-s", control, "show", "protocols"]).Output;
            if (Lab.TryRun("birdc", ["-s", control, "show", "status"]).Output.Contains("recovery", StringComparison.Ordinal))
            {
                return false;
            }

            up += protocols.Split('\n').Count(static line => line.Contains(" BGP ", StringComparison.Ordinal) && line.Contains("Established", StringComparison.Ordinal));
        }

        return up == Peers.Count * 2;
    }

    /// <summary>What the daemon wrote into the kernel, one sorted line per route, hops in order.</summary>
    internal string Kernel()
    {
        List<string> lines = [];
        foreach (bool v6 in new[] { false, true })
        {
            string text = Lab.Run("ip", "-n", ns, v6 ? "-6" : "-4", "route", "show", "proto", "bird").Replace("\n\tnexthop", " nexthop", StringComparison.Ordinal);
            lines.AddRange(text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(Normal));
        }

        return string.Join('\n', lines.Order(StringComparer.Ordinal));
    }

    internal string Status()
    {
        if (Runs == Daemon.Pipit)
        {
            return _pipit!.Cli("peers").Output + _pipit.Cli("fib", "--diff").Output;
        }

        string[] sockets = Runs == Daemon.Bird2 ? ["bird2"] : ["bird", "bird6"];
        return string.Concat(sockets.Select(name => Lab.TryRun("birdc", ["-s", Path.Combine(lab.Folder, $"n{number}-{name}.ctl"), "show", "protocols"]).Output));
    }

    internal (int Code, string Output, string Error) Cli(params string[] words) => _pipit!.Cli(words);

    private static string Normal(string line)
    {
        string[] parts = line.Trim().Split(" nexthop ");
        string[] hops = [.. parts[1..].Select(static hop => hop.Trim()).Order(StringComparer.Ordinal)];

        // BIRD's persist leaves the flag of a moment; the preference of IPv6 routes is printed for some kernels only.
        return string.Join(" nexthop ", [string.Join(' ', parts[0].Split(' ', StringSplitOptions.RemoveEmptyEntries)).Replace(" pref medium", "", StringComparison.Ordinal), .. hops]);
    }

    /// <summary>Where Pipit's own clients reach a daemon that was started as BIRD.</summary>
    internal string ControlSocket(string name) => Path.Combine(lab.Folder, $"n{number}-{name}.sock");

    /// <summary>The files of a daemon of BIRD's kind; SIGHUP makes it read them again.</summary>
    internal string BirdFile(string name) => Path.Combine(lab.Folder, $"n{number}-{name}.conf");

    internal string BirdSocket(string name) => Path.Combine(lab.Folder, $"n{number}-{name}.ctl");

    internal void HangUp(int process) => _processes[process].Signal(1);

    private string Link(string name)
    {
        string link = Path.Combine(lab.Folder, name);
        if (!File.Exists(link))
        {
            File.CreateSymbolicLink(link, Lab.Pipit);
        }

        return link;
    }

    private void Bird(string name, string program, string config, string foreground = "-f")
    {
        string file = lab.File($"n{number}-{name}.conf", config);
        _processes.Add(lab.Start(ns, $"n{number}-{name}", "env", "PIPIT_SOCKET=" + ControlSocket(name), program, foreground, "-R", "-c", file, "-s", Path.Combine(lab.Folder, $"n{number}-{name}.ctl"), "-P", Path.Combine(lab.Folder, $"n{number}-{name}.pid")));
    }

    // Calico's rule compares the addresses as text; here they differ in the last digit only.
    private bool Waits(CalicoPeer peer) => peer.Mesh && string.CompareOrdinal($"10.0.0.{peer.Number}", $"10.0.0.{number}") > 0;

    private string Bird1Config(bool v6)
    {
        string node = v6 ? $"fd00::{number}" : $"10.0.0.{number}";
        string block = v6 ? $"fd10:244::{number}00/122" : $"10.244.{number}.0/26";
        string pool = v6 ? "fd10:244::/64" : "10.244.0.0/16";
        string peers = string.Concat(Peers.Select(peer => $$"""

            protocol bgp Mesh_{{(v6 ? $"fd00__{peer.Number}" : $"10_0_0_{peer.Number}")}} from bgp_template {
              neighbor {{(v6 ? $"fd00::{peer.Number}" : $"10.0.0.{peer.Number}")}} as 64512;
              {{(Waits(peer) ? "passive on;" : "")}}
              {{(peer.Client ? $"rr client; rr cluster id {ClusterId};" : "")}}
            }
            """));
        return $$"""
            router id 10.0.0.{{number}};
            log stderr all;
            graceful restart wait 20;
            function calico_aggr() {
              if ( net = {{block}} ) then { accept; }
              {{(Priorities ? $"if ( (net ~ {block}) && (krt_metric < 1024) ) then {{ accept; }}" : "")}}
              if ( net ~ {{block}} ) then { reject; }
            }
            function calico_export_to_bgp_peers() {
              {{(v6 ? "" : "if ( net ~ 10.245.0.0/16 ) then { reject; }")}}
              if ( (ifname ~ "*.cali") || (ifname ~ "*.calico") ) then { reject; }
              calico_aggr();
              {{(v6 ? "" : string.Concat(Services.Select(static service => $"if ( net ~ {service} ) then {{ accept; }} ")))}}
              if ( net ~ {{pool}} ) then { accept; }
              {{(v6 || ClusterId is null ? "" : "if ( net ~ 10.96.0.0/16 ) then { accept; }")}}
              reject;
            }
            filter calico_kernel_programming {
              {{(v6 ? "" : "if ( net ~ 10.96.0.0/16 ) then { reject; }")}}
              {{(Priorities ? KernelPriority : "")}}
              accept;
            }
            protocol kernel { learn; persist; scan time 2; import all; export filter calico_kernel_programming; graceful restart; merge paths on; }
            protocol device { scan time 2; }
            protocol direct { interface -"cali*", -"kube-ipvs*", "*"; }
            protocol static {
              route {{block}} blackhole;
              {{(v6 ? "" : string.Concat(Services.Select(static service => $"route {service} blackhole; ")))}}
            }
            template bgp bgp_template {
              local as 64512;
              multihop;
              gateway recursive;
              add paths on;
              import filter { {{(Priorities ? ImportPriority : "")}} accept; };
              export filter { {{(Priorities ? ExportPriority : "")}} calico_export_to_bgp_peers(); };
              source address {{node}};
              graceful restart;
              connect delay time 1; connect retry time 1; error wait time 1,2; hold time 30;
            }{{peers}}
            """;
    }

    private string Bird2Config()
    {
        string peers = string.Concat(Peers.SelectMany(peer => new[] { false, true }.Select(v6 => $$"""

            protocol bgp Mesh_{{(v6 ? $"fd00__{peer.Number}" : $"10_0_0_{peer.Number}")}} from bgp_template {
              source address {{(v6 ? $"fd00::{number}" : $"10.0.0.{number}")}};
              neighbor {{(v6 ? $"fd00::{peer.Number}" : $"10.0.0.{peer.Number}")}} as 64512;
              {{(Waits(peer) ? "passive on;" : "")}}
              {{(peer.Client ? $"rr client; rr cluster id {ClusterId};" : "")}}
              {{(v6 ? "ipv6" : "ipv4")}} { import filter { {{(Priorities ? ImportPriority : "")}} accept; }; export filter { {{(Priorities ? ExportPriority : "")}} if ( calico_export_v{{(v6 ? 6 : 4)}}() ) then accept; reject; }; gateway recursive; add paths on; };
            }
            """)));
        return $$"""
            router id 10.0.0.{{number}};
            log stderr all;
            graceful restart wait 20;
            function calico_export_v4() {
              if ( net ~ 10.245.0.0/16 ) then return false;
              if ( (ifname ~ "*.cali") || (ifname ~ "*.calico") ) then return false;
              if ( net = 10.244.{{number}}.0/26 ) then return true;
              {{(Priorities ? $"if ( (net ~ 10.244.{number}.0/26) && (krt_metric < 1024) ) then return true;" : "")}}
              if ( net ~ 10.244.{{number}}.0/26 ) then return false;
              {{string.Concat(Services.Select(static service => $"if ( net ~ {service} ) then return true; "))}}
              if ( net ~ 10.244.0.0/16 ) then return true;
              {{(ClusterId is null ? "" : "if ( net ~ 10.96.0.0/16 ) then return true;")}}
              return false;
            }
            function calico_export_v6() {
              if ( net = fd10:244::{{number}}00/122 ) then return true;
              if ( net ~ fd10:244::{{number}}00/122 ) then return false;
              return net ~ fd10:244::/64;
            }
            # What BIRD 2 does otherwise than 1.6: it exports interface routes, and writes metric 32 unless told.
            filter calico_kernel_programming {
              if ( net ~ 10.96.0.0/16 || source = RTS_DEVICE ) then { reject; }
              {{(Priorities ? KernelPriority : "")}}
              accept;
            }
            protocol kernel { learn; persist; scan time 2; metric 0; graceful restart; merge paths on; ipv4 { import all; export filter calico_kernel_programming; }; }
            protocol kernel { learn; persist; scan time 2; metric 0; graceful restart; merge paths on; ipv6 { import all; export filter { if source = RTS_DEVICE then reject; {{(Priorities ? KernelPriority : "")}} accept; }; }; }
            protocol device { scan time 2; }
            protocol direct { ipv4; ipv6; interface -"cali*", -"kube-ipvs*", "*"; }
            protocol static {
              ipv4;
              route 10.244.{{number}}.0/26 blackhole;
              {{string.Concat(Services.Select(static service => $"route {service} blackhole; "))}}
            }
            protocol static { ipv6; route fd10:244::{{number}}00/122 blackhole; }
            template bgp bgp_template {
              local as 64512;
              multihop;
              graceful restart;
              connect delay time 1; connect retry time 1; error wait time 1,2; hold time 30;
            }{{peers}}
            """;
    }

    private string PipitConfig()
    {
        string services = string.Concat(Services.Select(static service => string.Create(CultureInfo.InvariantCulture, $"  - {{ prefix: {service}, kind: none }}\n")));
        string addPath = "families: {{ {0}: {{ addPath: {{ send: true, receive: true }} }} }}";
        string peers = string.Concat(Peers.Select(peer =>
            $"  - {{ name: n{peer.Number}, address: 10.0.0.{peer.Number}, group: t, passive: {(Waits(peer) ? "true" : "false")}, routeReflectorClient: {(peer.Client ? "true" : "false")}, {string.Format(CultureInfo.InvariantCulture, addPath, "ipv4")} }}\n"
            + $"  - {{ name: n{peer.Number}-v6, address: \"fd00::{peer.Number}\", group: t, passive: {(Waits(peer) ? "true" : "false")}, routeReflectorClient: {(peer.Client ? "true" : "false")}, {string.Format(CultureInfo.InvariantCulture, addPath, "ipv6")} }}\n"));
        return $$"""
            version: 1
            node: { name: n{{number}}, asn: 64512, ipv4: 10.0.0.{{number}}/24, ipv6: "fd00::{{number}}/64" }
            log: { level: debug }
            {{(Priorities ? "kernel: { metric: localPref }" : "")}}
            pools:
              - { name: v4, cidr: 10.244.0.0/16, tunnel: { mode: none } }
              - { name: v6, cidr: "fd10:244::/64", tunnel: { mode: none } }
              - { name: private, cidr: 10.245.0.0/16, export: false }
              - { name: services, cidr: 10.96.0.0/16, use: service }
            originate:
              - { prefix: 10.244.{{number}}.0/26, kind: blackhole }
              - { prefix: "fd10:244::{{number}}00/122", kind: blackhole }
            {{services}}
            {{(ClusterId is null ? "" : $"routeReflector: {{ clusterId: {ClusterId} }}")}}
            peerGroups:
              t: { asn: 64512, timers: { connectRetry: 1s, idleHold: 1s, hold: 30s } }
            peers:
            {{peers}}
            """;
    }
}
