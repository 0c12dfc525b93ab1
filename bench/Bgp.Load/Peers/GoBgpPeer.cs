namespace Bgp.Load.Peers;

/// <summary>GoBGP. It writes the kernel's table only through FRR's zebra, so those rows are not its own.</summary>
internal sealed class GoBgpPeer : Peer
{
    internal override string Name => "gobgp";

    internal override string Title => "GoBGP";

    internal override bool HasKernel => false;

    internal override string Version() => DebianVersion("gobgpd");

    internal override void Start(Lab lab, Topology topology)
    {
        string client = topology.Reflector
            ? $"""
                [neighbors.route-reflector.config]
                  route-reflector-client = true
                  route-reflector-cluster-id = "{Lab.DutAddress}"
              """
            : "";
        string config = lab.WriteFile("gobgp.toml", $$"""
            [global.config]
              as = {{topology.Asn}}
              router-id = "{{Lab.DutAddress}}"
              local-address-list = ["{{Lab.DutAddress}}"]
            {{Join(topology.Neighbors, n => $"""
            [[neighbors]]
              [neighbors.config]
                neighbor-address = "{Ip.Text(n.Address)}"
                peer-as = {n.Asn}
              [neighbors.transport.config]
                passive-mode = true
              [neighbors.timers.config]
                hold-time = 180
            {client}

            """)}}
            """);
        lab.Start(lab.Dut, "gobgpd", "gobgpd", "-f", config, "-l", "error", "--api-hosts", "127.0.0.1:50051", "--pprof-disable");
    }
}
