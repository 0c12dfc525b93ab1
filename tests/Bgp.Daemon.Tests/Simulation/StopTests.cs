using Bgp.Protocol;

namespace Bgp.Daemon.Tests.Simulation;

/// <summary>The end of the daemon waits for the last messages to its neighbours: no longer than they take, and not for ever.</summary>
public sealed class StopTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);

    private SimWorld _world = null!;
    private SimNode _near = null!;
    private SimNode _far = null!;

    [Test]
    public void A_neighbour_that_reads_late_has_the_Cease_before_the_daemon_is_gone() => InWorld(() =>
    {
        Fill();
        Task stop = _near.Life!.Peers.StopAsync(NotificationMessage.Cease(CeaseSubcode.AdministrativeShutdown), "daemon shut down", s_patience);
        _world.Run(TimeSpan.FromMilliseconds(400));
        Assert.That(stop.IsCompleted, Is.False, "its Cease waits behind what the neighbour has not read");
        _far.Life!.Stall(false);
        _world.Run(TimeSpan.FromMilliseconds(500));
        Assert.That(stop.Wait(TimeSpan.FromSeconds(30)));
        _near.Crash();
        _world.Run(TimeSpan.FromSeconds(1));
        Assert.That(_far.Life!.SessionTo(0).LastError, Does.StartWith("received").And.Contains("Shutdown"));
    });

    [Test]
    public void A_neighbour_that_never_reads_is_waited_for_no_longer_than_the_bound() => InWorld(() =>
    {
        Fill();
        Task stop = _near.Life!.Peers.StopAsync(NotificationMessage.Cease(CeaseSubcode.AdministrativeShutdown), "daemon shut down", s_patience);
        _world.Run(s_patience - TimeSpan.FromMilliseconds(1));
        Assert.That(stop.IsCompleted, Is.False);
        _world.Run(TimeSpan.FromMilliseconds(2));
        Assert.That(stop.Wait(TimeSpan.FromSeconds(30)));
    });

    [TestCase(true, 0)]
    [TestCase(false, 200)]
    public void Neighbours_that_read_are_waited_for_as_long_as_they_take(bool restarts, int milliseconds) => InWorld(
        () =>
        {
            // To one that takes it for a restart nothing is said: the connection is closed.
            Task stop = _near.Life!.Peers.StopAsync(default, "daemon stopped", s_patience);
            _world.Run(TimeSpan.FromMilliseconds(milliseconds));
            Assert.That(stop.Wait(TimeSpan.FromSeconds(30)));
        },
        restarts);

    /// <summary>The far node stops reading, and the near one has more for it than there is room for.</summary>
    private void Fill()
    {
        _far.Life!.Stall(true);
        for (uint i = 0; i < 400; i++)
        {
            _near.SetOriginated(new Ipv4Prefix(0x0A400000u + (i << 8), 24), present: true);
        }

        _world.Run(TimeSpan.FromMilliseconds(200));
        Assert.That(_near.Life!.SessionTo(1).Established!.Connection.Writer.BlockedSince, Is.Not.Zero);
    }

    private void InWorld(Action test, bool restarts = false)
    {
        SimulationTests.OnThread(() =>
        {
            _world = new SimWorld(1, trace: false);
            List<SimNode> nodes = [];
            SimNetwork network = new(_world, nodes) { Window = 1024 };
            foreach (int number in (int[])[0, 1])
            {
                SimNode node = new(_world, network, number, 65000, kernel: false) { GracefulRestart = restarts };
                node.Peers.Add(new SimPeer(1 - number));
                nodes.Add(node);
            }

            (_near, _far) = (nodes[0], nodes[1]);
            nodes.ForEach(static node => node.Boot());
            Assert.That(_world.RunUntil(() => nodes.TrueForAll(node => node.Life!.SessionTo(1 - node.Number).Established is not null), TimeSpan.FromSeconds(60)));
            _world.Run(TimeSpan.FromSeconds(5));
            test();
        });
    }
}
