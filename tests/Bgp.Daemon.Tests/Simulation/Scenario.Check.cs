using Bgp.Daemon.Peers;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tests.Simulation;

/// <summary>What must be so.</summary>
internal sealed partial class Scenario
{
    /// <summary>Every node knows what the model says, within the bound; then what nobody wants leaves the kernels, which hold what was selected.</summary>
    private void Settle(string when)
    {
        SimCheck check = new(_nodes) { SelectionMayTie = _addPath };
        string? difference = null;
        if (!_world.RunUntil(() => (difference = check.Difference() ?? Waiting()) is null, s_settleTime))
        {
            throw new SimulationFailure($"{when}, after {s_settleTime.TotalSeconds} s: {difference}");
        }

        foreach (SimNode node in _nodes)
        {
            node.Kernel?.Prune();
            if (SimCheck.KernelDifference(node) is { } wrong)
            {
                throw new SimulationFailure($"{when}: {wrong}");
            }
        }

        _world.Say("world", () => "settled " + when);
    }

    /// <summary>Everybody has read everything: what a log still holds is its open segment, and no prefix waits. What is not so, or null.</summary>
    private string? Waiting()
    {
        foreach (SimNode node in _nodes)
        {
            foreach (UpdateGroup<Ipv4Prefix> group in node.Life!.V4.Groups)
            {
                if (group.LogBytes > 2 * 65536 || group.Pending != 0)
                {
                    return $"a log of {node.Name} holds {group.LogBytes} octets, {group.Pending} prefixes wait";
                }
            }
        }

        return null;
    }

    /// <summary>A session that nothing was done to came up once, on both sides, and is still the same.</summary>
    private void Untouched()
    {
        foreach (SimLink link in _network.Links)
        {
            if (link.WasDisturbed)
            {
                continue;
            }

            PeerSession here = _nodes[link.A].Life!.SessionTo(link.B);
            PeerSession there = _nodes[link.B].Life!.SessionTo(link.A);
            if (here.EstablishedCount != 1 || there.EstablishedCount != 1)
            {
                string history = string.Join("; ", here.History.Concat(there.History).Select(static item => item.Reason));
                throw new SimulationFailure($"n{link.A}-n{link.B} was left alone and came up {here.EstablishedCount} and {there.EstablishedCount} times: {history}");
            }
        }
    }

    /// <summary>
    /// A speaker that crashes in a settled network and is back within the restart time: in no kernel, its own included, is any destination without its
    /// route for a moment (RFC 4724 section 4).
    /// </summary>
    private void RestartWithoutGap()
    {
        SimNode node = _world.Pick(_nodes);
        foreach (SimNode other in _nodes)
        {
            other.Kernel?.Gaps.Clear();
        }

        foreach (SimPeer peer in node.Peers)
        {
            _network.Link(node.Number, peer.Node).WasDisturbed = true;
        }

        _world.Say(node.Name, static () => "restarts without a gap");
        bool crash = _world.Chance(50);
        if (crash)
        {
            node.Crash();
        }
        else
        {
            node.Stop();
        }

        _world.Run(TimeSpan.FromMilliseconds(_world.Between(100, 15_000)));
        node.Boot();
        bool preserved = node.Kernel!.Adopted > 0;
        Settle("after the restart");
        if (!preserved)
        {
            // It had no routes of its own in its kernel, so it could not say that it went on forwarding.
            return;
        }

        foreach (SimNode other in _nodes)
        {
            if (other.Kernel is { Gaps.Count: > 0 } kernel)
            {
                throw new SimulationFailure($"{other.Name} was without {string.Join(", ", kernel.Gaps)} when {node.Name} {(crash ? "crashed" : "stopped")} and came back");
            }
        }
    }

    /// <summary>Everybody withdraws everything and says goodbye: nothing may be left.</summary>
    private void Empty()
    {
        foreach (SimNode node in _nodes)
        {
            foreach (Ipv4Prefix prefix in node.Originated.ToArray())
            {
                node.SetOriginated(prefix, false);
            }

            for (uint pod = 0; pod < 4; pod++)
            {
                node.Kernel?.SetLocal(new Ipv4Prefix(0x0AC80000u + ((uint)node.Number << 8) + pod, 32), false);
            }
        }

        Settle("without routes");
        foreach (SimNode node in _nodes)
        {
            node.Life!.Peers.Stop(NotificationMessage.Cease(CeaseSubcode.AdministrativeShutdown), "the end");
        }

        _world.Run(TimeSpan.FromSeconds(5));
        foreach (SimNode node in _nodes)
        {
            if (SimCheck.Leftover(node) is { } leftover)
            {
                throw new SimulationFailure(leftover);
            }
        }
    }
}
