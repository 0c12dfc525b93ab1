using Bgp.Load.Peers;

namespace Bgp.Load.Scenarios;

/// <summary>
/// A cluster behind one reflector: each client announces its /26 blocks at once, each must hold those of all others. With churn, a tenth of the clients then
/// flaps twenty times, each half waited for. At the end all withdraw at once.
/// </summary>
internal sealed class RrCalico(int clients, int blocks, bool churn) : Scenario
{
    private const int Flaps = 20;

    internal override string Name => $"rr-calico-{clients}";

    internal override IReadOnlyList<string> Rows => churn ? [Name, "churn", $"withdraw-all-{clients}"] : [Name, $"withdraw-all-{clients}"];

    /// <summary>With thousands of clients the two slowest at fan-out would only spend the time limit.</summary>
    internal override bool Suits(Peer peer) => clients <= 500 || peer.Name != "gobgp" && (clients <= 1000 || peer.Name != "openbgpd");

    internal override Topology Topology(bool quick) => new(DutAsn, true, false, Clients(Count(quick)));

    internal override void Drive(Bench bench)
    {
        int count = Count(bench.Settings.Quick);
        UpdateStream[] announce = [.. Enumerable.Range(0, count).Select(i => CalicoBlocks.Announce(Fleet.AddressOf(i), i * blocks, blocks))];
        UpdateStream[] withdraw = [.. Enumerable.Range(0, count).Select(i => CalicoBlocks.Withdraw(i * blocks, blocks))];
        ulong[] expected = PrefixBits.Of(PrefixSpace.Blocks, CalicoBlocks.Range(0, count * blocks));
        IReadOnlyList<Speaker> speakers = bench.Fleet.Speakers;
        Crowd crowd = new([.. speakers], PrefixSpace.Blocks, blocks);
        bench.EstablishAll();

        int others = (count - 1) * blocks;
        crowd.SetTargets(_ => others);
        bench.Timed(Name, () => SendAll(announce, count), crowd.AllAtTarget, crowd.Progress, Complete);
        if (churn)
        {
            int flapping = count / 10;
            int half = 0;
            bench.Timed(
                "churn", () => Half(flapping),
                () =>
                {
                    while (crowd.AllAtTarget())
                    {
                        if (++half == 2 * Flaps)
                        {
                            return true;
                        }

                        Half(flapping);
                    }

                    return false;
                },
                () => (half, 2 * Flaps), Complete);

            void Half(int flapping)
            {
                bool down = half % 2 == 0;
                crowd.SetTargets(i => others - (down ? (i < flapping ? flapping - 1 : flapping) * blocks : 0));
                SendAll(down ? withdraw : announce, flapping);
            }
        }

        crowd.SetTargets(static _ => 0);
        bench.Timed($"withdraw-all-{clients}", () => SendAll(withdraw, count), crowd.AllAtTarget, () => crowd.Left(others));

        void SendAll(UpdateStream[] streams, int first)
        {
            for (int i = 0; i < first; i++)
            {
                speakers[i].Send(streams[i]);
            }
        }

        string? Complete() => crowd.Verify(expected);
    }

    private int Count(bool quick) => quick ? clients / 10 : clients;
}
