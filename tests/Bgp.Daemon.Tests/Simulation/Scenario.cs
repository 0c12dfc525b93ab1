using Bgp.Daemon.Peers;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tests.Simulation;

/// <summary>What a run is about.</summary>
public enum ScenarioKind
{
    /// <summary>A full mesh, internal or external, under announcements, withdrawals, refreshes, resets.</summary>
    Mesh,

    /// <summary>Two reflectors in one or two clusters, their clients, an external neighbour; with and without ADD-PATH.</summary>
    Reflectors,

    /// <summary>Reflectors whose clients stop reading in bursts of routes, over small windows.</summary>
    SlowReaders,

    /// <summary>Nodes with kernels that crash, or end gracefully, and come back.</summary>
    Restarts,

    /// <summary>Links that fall silent: hold timers, retries, collisions.</summary>
    Timers,
}

/// <summary>One run of one seed: a network, things that happen to it, and what must be so afterwards.</summary>
/// <remarks>
/// The seed decides everything: how many nodes, in which roles, over which network, what happens when. After the last event all that was broken is mended;
/// then, within a bound of virtual time, every node must know what <see cref="NaiveNetwork"/> says and nothing else, must go on knowing it, and must have
/// nothing left once everybody has withdrawn everything. A session over a link that nothing was done to must never have been lost.
/// </remarks>
internal sealed partial class Scenario
{
    private static readonly TimeSpan s_settleTime = TimeSpan.FromSeconds(900);

    private readonly ScenarioKind _kind;
    private readonly SimWorld _world;
    private readonly List<SimNode> _nodes = [];
    private readonly SimNetwork _network;
    private readonly List<Ipv4Prefix> _prefixes = [];
    private readonly Dictionary<(int Node, int Peer), long> _holdEnds = [];
    private bool _addPath;

    internal Scenario(ScenarioKind kind, int seed, bool trace)
    {
        _kind = kind;
        _world = new SimWorld((seed * 8) + (int)kind, trace);
        _network = new SimNetwork(_world, _nodes);
        for (int i = 0; i < 10; i++)
        {
            _prefixes.Add(new Ipv4Prefix(0x0AF40000u + ((uint)i << 6), 26));
        }
    }

    internal SimWorld World => _world;

    /// <summary>Runs it; throws <see cref="SimulationFailure"/>.</summary>
    internal void Run()
    {
        Build();
        foreach (SimNode node in _nodes)
        {
            node.OnStateChanged = StateChanged;
            node.RestartTime = 30;
            foreach (Ipv4Prefix prefix in _prefixes)
            {
                if (_world.Chance(15))
                {
                    node.Originated.Add(prefix);
                }
            }
        }

        // At the same instant, so that both ends dial at once, or one after another.
        bool together = _world.Chance(50);
        foreach (SimNode node in _nodes)
        {
            _world.After(TimeSpan.FromMilliseconds(together ? 0 : _world.Next(4000)), null, () => BootIfDown(node));
        }

        if (_world.Chance(50))
        {
            Settle("after the start");
        }

        int events = _world.Between(4, 14);
        for (int i = 0; i < events; i++)
        {
            Happen();
            _world.Run(TimeSpan.FromMilliseconds(_world.Chance(50) ? _world.Next(50) : _world.Next(6000)));
        }

        Mend();
        Settle("at the end");
        Untouched();
        if (_kind == ScenarioKind.Restarts)
        {
            RestartWithoutGap();
        }

        // Nothing that was left running may change it: retries, stale timers, keepalives.
        _world.Run(TimeSpan.FromSeconds(200));
        Settle("later");
        Untouched();
        Empty();
    }

    private static void BootIfDown(SimNode node)
    {
        if (node.Life is null)
        {
            node.Boot();
        }
    }

    private bool WithKernel => _kind is ScenarioKind.Restarts or ScenarioKind.Mesh;

    private void Build()
    {
        _network.Latency = _world.Pick([(0, 1), (0, 20), (5, 5), (1, 200)]);
        _network.Window = _kind == ScenarioKind.SlowReaders ? _world.Between(Math.Max(256, _network.Latency.Most * 64), 16384) : _world.Pick([256, 2048, 16384, 65536]);
        if (_kind is ScenarioKind.Reflectors or ScenarioKind.SlowReaders || (_kind == ScenarioKind.Timers && _world.Chance(30)))
        {
            BuildReflectors();
        }
        else
        {
            BuildMesh();
        }

        foreach (SimNode node in _nodes)
        {
            node.HoldTime = _world.Pick([6, 9, 30, 90]);
            node.GracefulRestart = _kind == ScenarioKind.Restarts || _world.Chance(70);
            if (_kind == ScenarioKind.SlowReaders && _world.Chance(70))
            {
                // So small that a burst detaches those who have stopped reading.
                node.Limits = new GroupLimits { Window = _world.Between(200, 2000), Behind = _world.Between(300, 4000), Walks = _world.Between(1, 3) };
            }
        }
    }

    private void BuildMesh()
    {
        int count = _world.Between(3, 5);
        bool external = _world.Chance(40);
        for (int i = 0; i < count; i++)
        {
            _nodes.Add(new SimNode(_world, _network, i, external ? 64600u + (uint)i : 64512, WithKernel));
        }

        for (int a = 0; a < count; a++)
        {
            for (int b = a + 1; b < count; b++)
            {
                Join(new SimPeer(b), new SimPeer(a));
            }
        }
    }

    private void BuildReflectors()
    {
        int reflectors = _world.Between(1, 2);
        int clients = _world.Between(2, 4);
        bool external = _world.Chance(30);
        _addPath = _world.Chance(40);
        for (int i = 0; i < reflectors + clients; i++)
        {
            _nodes.Add(new SimNode(_world, _network, i, 64512, kernel: i >= reflectors && WithKernel));
        }

        if (reflectors == 2)
        {
            if (_world.Chance(50))
            {
                _nodes[1].ClusterId = _nodes[0].ClusterId;
            }

            Join(new SimPeer(1), new SimPeer(0));
        }

        int limit = _world.Between(1, 4);
        for (int client = reflectors; client < reflectors + clients; client++)
        {
            for (int reflector = 0; reflector < reflectors; reflector++)
            {
                bool isClient = _world.Chance(85);
                bool addPath = _addPath && _world.Chance(70);
                Join(
                    new SimPeer(reflector, false, addPath ? AddPathMode.Receive : AddPathMode.None),
                    new SimPeer(client, isClient, addPath ? AddPathMode.Send : AddPathMode.None, addPath ? limit : 0));
            }
        }

        if (external)
        {
            int outside = _nodes.Count;
            _nodes.Add(new SimNode(_world, _network, outside, 65001, kernel: false));
            Join(new SimPeer(reflectors), new SimPeer(outside));
            if (_world.Chance(50))
            {
                Join(new SimPeer(reflectors + 1), new SimPeer(outside));
            }
        }
    }

    /// <summary>A session: the first end names the node that the second is the description of.</summary>
    private void Join(SimPeer atSecond, SimPeer atFirst)
    {
        _nodes[atFirst.Node].Peers.Add(atSecond);
        _nodes[atSecond.Node].Peers.Add(atFirst);
        _network.Link(atSecond.Node, atFirst.Node);
    }

    private void Happen()
    {
        SimNode node = _world.Pick(_nodes);
        SimLink link = _world.Pick(_network.Links.ToList());
        int what = _world.Next(100);
        switch (_kind)
        {
            case ScenarioKind.Restarts when what < 40:
                Restart(node);
                break;
            case ScenarioKind.Timers when what < 50:
                FallSilent(link);
                break;
            case ScenarioKind.SlowReaders when what < 35:
                Stall(node);
                break;
            case ScenarioKind.SlowReaders when what < 60:
                Burst(node);
                break;
            case ScenarioKind.Mesh or ScenarioKind.Reflectors when what < 12:
                ResetLink(link);
                break;
            case ScenarioKind.Mesh or ScenarioKind.Reflectors when what < 20:
                Administer(node);
                break;
            default:
                Change(node, what);
                break;
        }
    }

    private void Change(SimNode node, int what)
    {
        if (what % 10 == 0)
        {
            Refresh(node);
        }
        else if (what % 10 == 1 && node.Kernel is not null)
        {
            Ipv4Prefix pod = new(0x0AC80000u + ((uint)node.Number << 8) + (uint)_world.Next(4), 32);
            bool present = !node.Kernel.HasLocal(pod);
            _world.Say(node.Name, () => $"kernel route {pod} {(present ? "appears" : "goes")}");
            node.Kernel.SetLocal(pod, present);
        }
        else
        {
            for (int n = _world.Between(1, 4); n > 0; n--)
            {
                Ipv4Prefix prefix = _world.Pick(_prefixes);
                bool present = !node.Originated.Contains(prefix);
                _world.Say(node.Name, () => $"{(present ? "originates" : "withdraws")} {prefix}");
                node.SetOriginated(prefix, present);
            }
        }
    }

    private void Refresh(SimNode node)
    {
        if (node.Life is { } life)
        {
            PeerSession session = life.SessionTo(_world.Pick(node.Peers).Node);
            bool ask = _world.Chance(50);
            _world.Say(node.Name, () => ask ? $"asks {session.Settings.Name} for a refresh" : $"refreshes {session.Settings.Name}");
            if (ask)
            {
                session.RequestRefresh();
            }
            else
            {
                session.RefreshOut();
            }
        }
    }

    private void Burst(SimNode node)
    {
        int first = _world.Next(400);
        int count = _world.Between(20, 200);
        bool present = _world.Chance(60);
        _world.Say(node.Name, () => $"{(present ? "originates" : "withdraws")} {count} blocks from {first}");
        for (int i = first; i < first + count; i++)
        {
            node.SetOriginated(new Ipv4Prefix(0x0B000000u + ((uint)node.Number << 20) + ((uint)i << 6), 26), present);
        }
    }

    private void Stall(SimNode node)
    {
        if (node.Life is { } life)
        {
            life.Stall(!life.IsStalled);
            foreach (SimPeer peer in node.Peers)
            {
                // Whoever has not got our OPEN answered may give us up.
                bool up = life.SessionTo(peer.Node).State == SessionState.Established && _nodes[peer.Node].Life?.SessionTo(node.Number).State == SessionState.Established;
                _network.Link(node.Number, peer.Node).WasDisturbed |= !up;
            }
        }
    }

    private void ResetLink(SimLink link)
    {
        _world.Say("net", () => $"resets n{link.A}-n{link.B}");
        link.WasDisturbed = true;
        SimNetwork.Reset(link);
    }

    private void Administer(SimNode node)
    {
        SimPeer peer = _world.Pick(node.Peers);
        if (node.Life?.SessionTo(peer.Node) is not { } session)
        {
            return;
        }

        _network.Link(node.Number, peer.Node).WasDisturbed = true;
        switch (_world.Next(3))
        {
            case 0:
                _world.Say(node.Name, () => "restarts " + session.Settings.Name);
                session.Restart("simulated");
                break;
            case 1:
                _world.Say(node.Name, () => "disables " + session.Settings.Name);
                session.Disable("simulated");
                break;
            default:
                _world.Say(node.Name, () => "enables " + session.Settings.Name);
                session.Enable();
                break;
        }
    }

    private void Restart(SimNode node)
    {
        foreach (SimPeer peer in node.Peers)
        {
            _network.Link(node.Number, peer.Node).WasDisturbed = true;
        }

        if (node.Life is null)
        {
            node.Boot();
        }
        else if (_world.Chance(50))
        {
            node.Crash();
        }
        else
        {
            node.Stop();
        }
    }

    private void FallSilent(SimLink link)
    {
        bool silent = !link.IsSilent;
        _world.Say("net", () => $"n{link.A}-n{link.B} {(silent ? "falls silent" : "speaks again")}");
        link.WasDisturbed = true;
        _network.Silence(link, silent);
        ForgetHold(link.A, link.B);
        if (silent)
        {
            // Once everything of this instant is done, the last message is known, and with it the end of the session to the tick.
            _world.Run(TimeSpan.FromMilliseconds(1));
            ExpectHold(_nodes[link.A], link.B);
            ExpectHold(_nodes[link.B], link.A);
        }
    }

    private void ExpectHold(SimNode node, int peer)
    {
        if (node.Life?.SessionTo(peer).Established is { } session)
        {
            long since = session.Connection.LastReceived - node.Life.Context.Time.GetTimestamp() + _world.Now;
            _holdEnds[(node.Number, peer)] = since + (session.Negotiated.HoldTime * TimeSpan.TicksPerSecond);
        }
    }

    private void ForgetHold(int a, int b)
    {
        _holdEnds.Remove((a, b));
        _holdEnds.Remove((b, a));
    }

    private void StateChanged(SimNode node, PeerSession session)
    {
        int peer = node.Peers[0].Node;
        foreach (SimPeer candidate in node.Peers)
        {
            if (SimNode.PeerName(candidate.Node) == session.Settings.Name)
            {
                peer = candidate.Node;
            }
        }

        if (session.State > SessionState.Active || !_holdEnds.Remove((node.Number, peer), out long expected))
        {
            return;
        }

        // As a real timer's, the deadline is kept in whole milliseconds.
        if (session.LastError != "hold timer expired" || _world.Now < expected || _world.Now - expected > TimeSpan.TicksPerMillisecond)
        {
            _world.Fail($"{node.Name} lost {session.Settings.Name} ({session.LastError}) {TimeSpan.FromTicks(_world.Now - expected)} after the hold time");
        }
    }

    private void Mend()
    {
        _world.Say("world", static () => "mends everything");
        _holdEnds.Clear();
        foreach (SimLink link in _network.Links)
        {
            if (link.IsSilent)
            {
                _network.Silence(link, false);
            }
        }

        // A process that was told to stop does so first.
        _world.Run(TimeSpan.FromMilliseconds(100));
        foreach (SimNode node in _nodes)
        {
            if (node.Life is null)
            {
                node.Boot();
            }
            else if (node.Life.IsStalled)
            {
                node.Life.Stall(false);
            }

            foreach (SimPeer peer in node.Peers)
            {
                if (node.Life!.SessionTo(peer.Node) is { IsAdminDown: true } session)
                {
                    session.Enable();
                }
            }
        }
    }
}
