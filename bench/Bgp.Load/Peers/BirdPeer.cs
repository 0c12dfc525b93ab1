namespace Bgp.Load.Peers;

/// <summary>BIRD 2: internal next hops resolve over the connected network, as in Calico's configuration.</summary>
internal sealed class BirdPeer : Peer, INodePeer
{
    internal override string Name => "bird";

    internal override string Title => "BIRD";

    internal override string Version() => DebianVersion("bird2");

    internal override void Start(Lab lab, Topology topology)
    {
        string client = topology.Reflector ? " rr client; rr cluster id 10.99.128.1;" : "";
        string kernel = topology.Kernel ? "protocol kernel { scan time 60; persist; ipv4 { import none; export where source = RTS_BGP; }; }" : "";
        string config = lab.WriteFile("bird.conf", $$"""
            router id {{Lab.DutAddress}};
            log "{{lab.Folder}}/bird-messages.log" { warning, error, fatal, bug };
            protocol device { scan time 60; }
            protocol direct { ipv4; }
            {{kernel}}
            template bgp t { local {{Lab.DutAddress}} as {{topology.Asn}}; passive; hold time 180; ipv4 { import all; export where source = RTS_BGP; };{{client}} }
            {{Join(topology.Neighbors, static n => $"protocol bgp p{n.Address} from t {{ neighbor {Ip.Text(n.Address)} as {n.Asn}; }}\n")}}
            """);
        lab.Start(lab.Dut, "bird", "bird", "-f", "-c", config, "-s", Path.Combine(lab.Folder, "bird.ctl"), "-P", Path.Combine(lab.Folder, "bird.pid"));
    }

    public string[] NodeCommand(Lab lab, string ns, string address, string other)
    {
        // As Calico configures it, without its two-second scan: what the kernel notifies is heard at once all the same.
        string config = lab.WriteFile($"{ns}.conf", $$"""
            router id {{address}};
            log "{{lab.Folder}}/{{ns}}-messages.log" { warning, error, fatal, bug };
            protocol device { scan time 60; }
            protocol direct { ipv4; interface -"cali*", "*"; }
            protocol kernel { learn; persist; scan time 60; ipv4 { import all; export where source = RTS_BGP; }; }
            protocol bgp node {
              local {{address}} as 64512; neighbor {{other}} as 64512; connect delay time 1; connect retry time 1; error wait time 1, 2;
              ipv4 { import all; export where source = RTS_INHERIT; next hop self; };
            }
            """);
        return ["bird", "-f", "-c", config, "-s", Path.Combine(lab.Folder, $"{ns}.ctl"), "-P", Path.Combine(lab.Folder, $"{ns}.pid")];
    }
}
