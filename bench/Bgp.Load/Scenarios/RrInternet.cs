using Bgp.Load.Peers;

namespace Bgp.Load.Scenarios;

/// <summary>A reflector passes 200,000 internet routes of one client to 50 others; one of them asks for them again (RFC 2918); they are withdrawn.</summary>
internal sealed class RrInternet : Scenario
{
    private const int Receivers = 50;

    internal override string Name => "rr-internet";

    internal override IReadOnlyList<string> Rows => ["rr-internet", "route-refresh", "rr-internet-withdraw"];

    internal override Topology Topology(bool quick) =>
        new(DutAsn, true, false, [new(Fleet.AddressOf(0), DutAsn, SendOnly: true), .. Clients(Receivers + 1)[1..]]);

    internal override void Drive(Bench bench)
    {
        InternetTable table = new(bench.Settings.Quick ? 20_000 : 200_000, seed: 3);
        UpdateStream announce = table.Announcements(DutAsn, Fleet.AddressOf(0), ebgp: false);
        UpdateStream withdraw = table.Withdrawals();
        ulong[] expected = PrefixBits.Of(PrefixSpace.Internet, table.All);
        Crowd crowd = new([.. bench.Fleet.Speakers.Skip(1)], PrefixSpace.Internet);
        Speaker sender = bench.Fleet.Speakers[0];
        bench.EstablishAll();

        int count = table.Prefixes.Length;
        crowd.SetTargets(_ => count);
        bench.Timed("rr-internet", () => sender.Send(announce), crowd.AllAtTarget, crowd.Progress, () => crowd.Verify(expected));

        if (bench.Peer is not NullPeer)
        {
            Speaker asking = bench.Fleet.Speakers[1];
            bench.Timed(
                "route-refresh",
                () =>
                {
                    asking.Tally!.Clear();
                    crowd.SetTargets(_ => count);
                    asking.SendRefresh();
                },
                crowd.AllAtTarget, () => (asking.Tally!.Count, count), () => crowd.Verify(expected), optional: true);
        }

        crowd.SetTargets(static _ => 0);
        bench.Timed("rr-internet-withdraw", () => sender.Send(withdraw), crowd.AllAtTarget, () => crowd.Left(count));
    }
}
