using Bgp.Load.Peers;

namespace Bgp.Load.Scenarios;

/// <summary>One external sender announces a million prefixes, one external receiver hears them; then they are withdrawn.</summary>
internal sealed class Ingest : Scenario
{
    private const uint SenderAsn = 65001;
    private const uint ReceiverAsn = 65002;

    internal override string Name => "ingest";

    internal override IReadOnlyList<string> Rows => ["ingest", "withdraw"];

    internal override Topology Topology(bool quick) =>
        new(DutAsn, false, false, [new(Fleet.AddressOf(0), SenderAsn, SendOnly: true), new(Fleet.AddressOf(1), ReceiverAsn)]);

    internal override void Drive(Bench bench)
    {
        InternetTable table = new(bench.Settings.Quick ? 100_000 : 1_000_000);
        UpdateStream announce = table.Announcements(SenderAsn, Fleet.AddressOf(0), ebgp: true);
        UpdateStream withdraw = table.Withdrawals();
        ulong[] expected = PrefixBits.Of(PrefixSpace.Internet, table.All);
        Speaker sender = bench.Fleet.Speakers[0];
        Speaker receiver = bench.Fleet.Speakers[1];
        Crowd crowd = new([receiver], PrefixSpace.Internet);
        bench.EstablishAll();

        int count = table.Prefixes.Length;
        crowd.SetTargets(_ => count);
        bench.Timed("ingest", () => sender.Send(announce), crowd.AllAtTarget, crowd.Progress, () => crowd.Verify(expected));
        crowd.SetTargets(static _ => 0);
        bench.Timed("withdraw", () => sender.Send(withdraw), crowd.AllAtTarget, () => crowd.Left(count));
    }
}
