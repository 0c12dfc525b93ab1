namespace Bgp.Load.Peers;

/// <summary>OpenBGPD: three processes, all counted. Its Linux port does not write the kernel's table.</summary>
internal sealed class OpenBgpdPeer : Peer
{
    internal override string Name => "openbgpd";

    internal override string Title => "OpenBGPD";

    internal override bool HasKernel => false;

    internal override string Version() => DebianVersion("openbgpd");

    internal override void Start(Lab lab, Topology topology)
    {
        string client = topology.Reflector ? "    route-reflector\n" : "";
        string config = lab.WriteFile("openbgpd.conf", $$"""
            AS {{topology.Asn}}
            router-id {{Lab.DutAddress}}
            fib-update no
            holdtime 180
            socket "{{lab.Folder}}/openbgpd.sock"
            listen on {{Lab.DutAddress}}
            group "all" {
              passive
            {{Join(topology.Neighbors, n => $"  neighbor {Ip.Text(n.Address)} {{\n    remote-as {n.Asn}\n    announce IPv4 unicast\n{client}  }}\n")}}
            }
            allow from any
            allow to any

            """);
        File.SetUnixFileMode(config, UnixFileMode.UserRead | UnixFileMode.UserWrite);

        // Its processes chroot there; the package's service would make it.
        Directory.CreateDirectory("/run/openbgpd");
        lab.Start(lab.Dut, "openbgpd", "/usr/sbin/bgpd", "-d", "-f", config);
    }
}
