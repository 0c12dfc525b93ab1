using System.Diagnostics;

namespace Bgp.Load.Peers;

/// <summary>
/// FRR: bgpd alone (-Z) where no route goes into the kernel, else zebra and bgpd, both counted. Its timers are set as low as they go: a default coalesce-time
/// would delay the first announcements to 500 clients by eight seconds.
/// </summary>
internal sealed class FrrPeer : Peer
{
    internal override string Name => "frr";

    internal override string Title => "FRR";

    internal override string Version() => DebianVersion("frr");

    internal override void Start(Lab lab, Topology topology)
    {
        string config = lab.WriteFile("frr.conf", $$"""
            hostname dut
            log file {{lab.Folder}}/frr-messages.log errors
            router bgp {{topology.Asn}}
             bgp router-id {{Lab.DutAddress}}
             no bgp ebgp-requires-policy
             no bgp network import-check
             coalesce-time 10
             timers bgp 60 180
            {{Join(topology.Neighbors, static n => $" neighbor {Ip.Text(n.Address)} remote-as {n.Asn}\n neighbor {Ip.Text(n.Address)} passive\n neighbor {Ip.Text(n.Address)} advertisement-interval 0\n")}}
             address-family ipv4 unicast
            {{(topology.Reflector ? Join(topology.Neighbors, static n => $"  neighbor {Ip.Text(n.Address)} route-reflector-client\n") : "")}}
             exit-address-family

            """);
        string zserv = Path.Combine(lab.Folder, "zserv.api");
        string[] common = ["--vty_socket", lab.Folder, "-z", zserv, "-u", "frr", "-g", "frr", "-P", "0"];
        if (topology.Kernel)
        {
            string zebra = lab.WriteFile("zebra.conf", $"hostname dut\nlog file {lab.Folder}/zebra-messages.log errors\n");
            lab.Start(lab.Dut, "zebra", ["/usr/lib/frr/zebra", "-f", zebra, "-i", Path.Combine(lab.Folder, "zebra.pid"), .. common]);
            Stopwatch watch = Stopwatch.StartNew();
            while (!File.Exists(zserv) && watch.Elapsed.TotalSeconds < 20)
            {
                Thread.Sleep(5);
            }
        }

        string[] alone = topology.Kernel ? [] : ["-Z"];
        lab.Start(lab.Dut, "bgpd", ["/usr/lib/frr/bgpd", "-f", config, "-i", Path.Combine(lab.Folder, "bgpd.pid"), "-S", .. alone, .. common]);
    }
}
