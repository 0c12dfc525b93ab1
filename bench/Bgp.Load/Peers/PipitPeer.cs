namespace Bgp.Load.Peers;

internal sealed class PipitPeer(string binary) : Peer, INodePeer
{
    internal override string Name => "pipit";

    internal override string Title => "Pipit";

    internal override string Version() => Lab.Run(binary, "version").Trim().Split('\n')[0].Replace("pipit ", "", StringComparison.Ordinal);

    internal override void Start(Lab lab, Topology topology)
    {
        string config = lab.WriteFile("pipit.yaml", $$"""
            version: 1
            node: { name: dut, asn: {{topology.Asn}}, ipv4: {{Lab.DutAddress}}/16, routerId: {{Lab.DutAddress}} }
            kernel: { enabled: {{(topology.Kernel ? "true" : "false")}}, nexthopObjects: {{(topology.NexthopObjects ? "true" : "false")}} }
            metrics: { listen: "off" }
            log: { level: warning }
            {{(topology.Reflector ? $"routeReflector: {{ clusterId: {Lab.DutAddress} }}" : "")}}
            peerGroups:
              all: { passive: true, timers: { hold: 180s }, import: [all], export: [all]{{(topology.Reflector ? ", routeReflectorClient: true" : "")}} }
            peers:
            {{Join(topology.Neighbors, static n => $"  - {{ name: p{n.Address}, address: {Ip.Text(n.Address)}, asn: {n.Asn}, group: all }}\n")}}
            """);
        lab.Start(lab.Dut, "pipit", binary, "run", "--config", config, "--socket", Path.Combine(lab.Folder, "pipit.sock"));
    }

    public string[] NodeCommand(Lab lab, string ns, string address, string other)
    {
        string config = lab.WriteFile($"{ns}.yaml", $$"""
            version: 1
            node: { name: "{{address}}", asn: 64512, ipv4: {{address}}/24 }
            metrics: { listen: "off" }
            log: { level: warning }
            pools:
              - { name: pods, cidr: 10.244.0.0/16 }
            peerGroups:
              mesh: { timers: { connectRetry: 1s } }
            mesh:
              group: mesh
              nodes:
                - { name: other, ipv4: {{other}} }
            """);
        return [binary, "run", "--config", config, "--socket", Path.Combine(lab.Folder, $"{ns}.sock")];
    }
}
