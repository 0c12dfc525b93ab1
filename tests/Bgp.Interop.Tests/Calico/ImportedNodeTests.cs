using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests.Calico;

/// <summary>
/// One bird.cfg, run by BIRD 1.6 and then by Pipit: the neighbours must be told the same routes with the same attributes, and the kernel must have the same. The
/// neighbours are one BIRD 2, inside and outside of the AS, that says everything it hears.
/// </summary>
[TestFixture]
public sealed class ImportedNodeTests
{
    /// <summary>What a node with another normal route priority and filters with operations has, as a controller renders it.</summary>
    private const string Common = """
        log stderr all;
        router id 10.1.0.1;
        function apply_communities() { if ( net ~ 192.168.3.0/24 ) then { bgp_community.add((64512, 3)); } }
        function calico_aggr() {
          if ( net = 192.168.221.64/26 ) then { accept; }
          if ( net ~ 192.168.221.64/26 && krt_metric < 5000 ) then { accept; }
          if ( net ~ 192.168.221.64/26 ) then { reject; }
        }
        function calico_export_to_bgp_peers(bool internal_peer) {
          if (internal_peer) then { if (defined(ifname)) then { if ((ifname ~ "*.cali") || (ifname ~ "*.calico") || (ifname ~ "tunl0")) then { reject; } } }
          apply_communities();
          calico_aggr();
          if ( net ~ 192.168.0.0/16 ) then { accept; }
        }
        filter calico_kernel_programming {
          if ( defined(source) && (source = RTS_BGP) && !defined(krt_metric) ) then {
            krt_metric = 5000;
            if ( defined(bgp_local_pref) ) then { krt_metric = 2147483647 - bgp_local_pref; }
            if ( krt_metric < 5000 ) then { preference = 200; }
          }
          accept;
        }
        function 'bgp_moving_importFilterV4'() {
          if (((65000, 100) ~ bgp_community)) then { bgp_local_pref = 2147483547; accept; }
          if ((bgp_path ~ [= 64517 65010 * =])) then { bgp_path.prepend(65020); bgp_path.prepend(65021); bgp_path.prepend(65021); accept; }
          if ((defined(bgp_local_pref)&&(bgp_local_pref = 2147483135))) then { bgp_large_community.add((65001, 5, 6)); bgp_path.prepend(64512); accept; }
        }
        function 'bgp_moving_exportFilterV4'(bool is_same_as) {
          if (!is_same_as) then { if ((defined(bgp_local_pref)&&(bgp_local_pref = 2147483547))) then { bgp_community.add((65000, 100)); accept; } }
          if ((bgp_path ~ [= 64512 64999 * =])) then { bgp_community.add((65000, 301)); accept; }
          if ((bgp_path ~ [= 64999 * =])) then { bgp_community.add((65000, 302)); accept; }
          if ((defined(bgp_local_pref)&&(bgp_local_pref = 2147483135))) then { bgp_community.add((65000, 200)); bgp_path.prepend(65001); bgp_path.prepend(65000); bgp_path.prepend(4200000001); accept; }
        }
        protocol kernel { learn; persist; scan time 1; import all; export filter calico_kernel_programming; graceful restart; merge paths on; }
        protocol device { scan time 1; }
        protocol direct { interface -"cali*", -"kube-ipvs*", "*"; }
        protocol static { route 192.168.221.64/26 blackhole; }
        template bgp bgp_template {
          description "Connection to BGP peer";
          local as 64512; gateway recursive; add paths on; graceful restart;
          connect delay time 1; connect retry time 1; error wait time 1,2;
          source address 10.1.0.1; multihop; ttl security off;
        }
        """;

    private static readonly string s_config = $"{Common}\n{Session("Global_10_1_0_2", "10.1.0.2", 64512)}\n{Session("Node_10_1_0_3", "10.1.0.3", 64517)}";

    /// <summary>One BIRD each: it has one session with an address and port.</summary>
    private static readonly (string Name, string Config)[] s_neighbours =
    [
        ("inside", Neighbour("10.1.0.2", 64512, """
            if net = 192.168.11.0/26 then { bgp_local_pref = 2147483135; accept; }
            if net = 192.168.12.0/26 then { bgp_local_pref = 2147478647; accept; }
            if net = 192.168.14.0/26 then { bgp_local_pref = 2147479000; accept; }
            if net = 192.168.15.0/26 then { bgp_path.prepend(64999); accept; }
            """)),
        ("outside", Neighbour("10.1.0.3", 64517, """
            if net = 192.168.9.0/26 then { bgp_community.add((65000, 100)); accept; }
            if net = 192.168.10.0/26 then { bgp_path.prepend(65010); accept; }
            if net = 192.168.13.0/26 then accept;
            if net = 192.168.14.0/26 then { bgp_community.add((65000, 100)); accept; }
            """)),
    ];

    private Lab _lab = null!;
    private string _node = "";
    private string _neighbours = "";

    [SetUp]
    public void Start()
    {
        _lab = new Lab();
        _node = _lab.Namespace("node");
        _neighbours = _lab.Namespace("neighbours");
        Lab.Link(_node, "eth0", ["10.1.0.1/24"], _neighbours, "eth0", ["10.1.0.2/24", "10.1.0.3/24"]);
        Lab.Run("ip", "-n", _node, "link", "add", "cali0", "type", "veth", "peer", "name", "pod0");
        Lab.Run("ip", "-n", _node, "link", "set", "cali0", "up");
        Lab.Run("ip", "-n", _node, "link", "set", "pod0", "up");
        foreach ((string prefix, string metric) in new[]
        {
            ("10.30.0.1", "100"), ("10.30.0.2", "512"), ("10.30.0.3", "513"), ("192.168.3.5", "5000"), ("192.168.3.6", "100"), ("192.168.221.70", "5000"), ("192.168.221.71", "4999"), ("192.168.4.4", "9000"),
        })
        {
            Lab.Run("ip", "-n", _node, "route", "add", prefix, "dev", "cali0", "scope", "link", "proto", "boot", "metric", metric);
        }

        foreach ((string name, string config) in s_neighbours)
        {
            _ = _lab.Start(_neighbours, name, "bird", "-f", "-c", _lab.File(name + ".conf", config), "-s", Control(name), "-P", Path.Combine(_lab.Folder, name + ".pid"));
        }
    }

    [TearDown]
    public void Stop() => _lab.Dispose();

    /// <summary>A session of the node, inside of its AS or not.</summary>
    private static string Session(string name, string address, int asn) => $$"""
        protocol bgp {{name}} from bgp_template {
          neighbor {{address}} as {{asn}};
          import filter {
            'bgp_moving_importFilterV4'();
            if (defined(bgp_local_pref)&&(bgp_local_pref > 2147478647)) then
              preference = 200;
            accept;
          };
          export filter {
            if (defined(source) && source = RTS_BGP && defined(bgp_local_pref)) then { krt_metric = 2147483647 - bgp_local_pref; }
            else { if (!defined(krt_metric)) then { krt_metric = 5000; } bgp_local_pref = 2147483647 - krt_metric; }
            'bgp_moving_exportFilterV4'({{(asn == 64512 ? "true" : "false")}});
            calico_export_to_bgp_peers({{(asn == 64512 ? "true" : "false")}});
            reject;
          };
        }
        """;

    private static string Neighbour(string address, uint asn, string export) => $$"""
        router id {{address}};
        log stderr all;
        protocol device { scan time 10; }
        protocol static { ipv4; route 192.168.9.0/26 blackhole; route 192.168.10.0/26 blackhole; route 192.168.11.0/26 blackhole; route 192.168.12.0/26 blackhole; route 192.168.13.0/26 blackhole; route 192.168.14.0/26 blackhole; route 192.168.15.0/26 blackhole; }
        protocol bgp node {
          local {{address}} as {{asn}}; neighbor 10.1.0.1 as 64512; strict bind on;
          multihop; graceful restart; connect delay time 1; connect retry time 1; error wait time 1,2;
          ipv4 { import all; export filter { if source != RTS_STATIC then reject; {{export}} reject; }; };
        }
        """;

    private string Control(string name) => Path.Combine(_lab.Folder, name + ".ctl");

    [Test]
    public void Neighbours_and_kernel_are_told_what_BIRD_told_them()
    {
        using (Run("BIRD", Path.Combine(CalicoNode.BirdFolder, "bird"), "-f"))
        {
            Lab.Eventually(() => IsComplete(Told()) && Kernel().Split('\n').Length == 8, "BIRD has said everything", 40, () => Told() + Kernel() + _lab.Logs());
        }

        string expected = Told();
        string kernel = Kernel();
        Assert.That(kernel, Does.Contain("192.168.9.0/26 via 10.1.0.3 dev eth0 metric 100").And.Contain("192.168.12.0/26 via 10.1.0.2 dev eth0 metric 5000")
            .And.Contain("192.168.14.0/26 via 10.1.0.2"), "elevated, though the other one has more LOCAL_PREF: that one was accepted without");
        Assert.That(expected, Does.Contain("4200000001 65000 65001 64512").And.Contain("65021 65021 65020").And.Contain("2147478647").And.Contain("(65001, 5, 6)").And.Contain("64512 64999 BGP.next_hop: 10.1.0.1 BGP.local_pref: 100 BGP.community: (65000,301)"));
        Lab.Run("ip", "-n", _node, "route", "flush", "proto", "bird");
        foreach ((string name, _) in s_neighbours)
        {
            Lab.Run("birdc", "-s", Control(name), "restart", "node");
        }

        Lab.Eventually(() => Told().Length == 0, "the neighbours have forgotten", 20, Told);

        string bird = Path.Combine(_lab.Folder, "bird");
        File.CreateSymbolicLink(bird, Lab.Pipit);
        using (Run("Pipit", bird, "-d"))
        {
            Lab.Eventually(() => IsComplete(Told()), "Pipit has said everything", 40, () => Told() + _lab.Logs());
            Lab.Eventually(() => Told() == expected, "the same as BIRD", 10, () => $"BIRD:\n{expected}\n\nPipit:\n{Told()}");
            Lab.Eventually(() => Kernel() == kernel, "the same in the kernel", 10, () => $"BIRD:\n{kernel}\n\nPipit:\n{Kernel()}");
        }
    }

    /// <summary>The last of what each neighbour is told to come: the other one's routes. By the count nothing is left of what came before a better path, either.</summary>
    private static bool IsComplete(string told) => told.Split('\n').Length == 20 && told.Contains("inside 192.168.10.0/26", StringComparison.Ordinal) && told.Contains("inside 192.168.13.0/26", StringComparison.Ordinal)
        && told.Contains("outside 192.168.11.0/26", StringComparison.Ordinal) && told.Contains("outside 192.168.12.0/26", StringComparison.Ordinal)
        && told.Contains("inside 192.168.221.71/32", StringComparison.Ordinal) && told.Contains("outside 10.30.0.2/32", StringComparison.Ordinal) && told.Contains("outside 192.168.4.4/32", StringComparison.Ordinal) && told.Contains("outside 192.168.14.0/26", StringComparison.Ordinal)
        && told.Contains("outside 192.168.15.0/26", StringComparison.Ordinal);

    private Background Run(string name, string program, string foreground) =>
        _lab.Start(_node, name, "env", "PIPIT_SOCKET=" + Path.Combine(_lab.Folder, "pipit.sock"), program, foreground, "-c", _lab.File("bird.cfg", s_config), "-s", Path.Combine(_lab.Folder, "node.ctl"), "-P", Path.Combine(_lab.Folder, "node.pid"));

    /// <summary>What the neighbours know, a line per route with its attributes.</summary>
    private string Told()
    {
        List<string> lines = [];
        foreach ((string name, _) in s_neighbours)
        {
            foreach (string line in Lab.TryRun("birdc", "-s", Control(name), "show", "route", "protocol", "node", "all").Output.Split('\n'))
            {
                if (line.Length > 0 && char.IsAsciiDigit(line[0]))
                {
                    lines.Add($"{name} {line.Split(' ')[0]}");
                }
                else if (line.StartsWith("\tBGP.", StringComparison.Ordinal))
                {
                    lines[^1] += " " + line.Trim();
                }
            }
        }

        return string.Join('\n', lines.Order(StringComparer.Ordinal));
    }

    private string Kernel() => string.Join('\n', Lab.Run("ip", "-n", _node, "route", "show", "proto", "bird").Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static line => line.Trim()).Order(StringComparer.Ordinal));
}
