namespace Bgp.Load.Peers;

/// <summary>The relay that only copies: the ceiling of the method.</summary>
internal sealed class NullPeer : Peer
{
    internal override string Name => "null";

    internal override string Title => "null relay";

    internal override bool HasKernel => false;

    internal override string Version() => "-";

    internal override void Start(Lab lab, Topology topology)
    {
        string senders = string.Join(',', topology.Neighbors.Where(static n => n.SendOnly).Select(static n => Ip.Text(n.Address)));
        lab.Start(lab.Dut, "null", Environment.ProcessPath!, "relay", "--asn", Text(topology.Asn), "--send-only", senders);
    }
}
