using Bgp.Daemon.Bmp;
using Bgp.Daemon.Kernel;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tests.Simulation;

/// <summary>A neighbour in a node's configuration.</summary>
/// <param name="Node">Number of the other node.</param>
/// <param name="IsClient">Whether it is our route reflection client.</param>
/// <param name="AddPath">ADD-PATH directions that we offer it.</param>
/// <param name="AddPathLimit">Paths per prefix that we send it then.</param>
internal sealed record SimPeer(int Node, bool IsClient = false, AddPathMode AddPath = AddPathMode.None, int AddPathLimit = 0);

/// <summary>One host of the simulated network: what stays when its speaker ends and starts again.</summary>
internal sealed class SimNode
{
    private readonly SimWorld _world;
    private readonly SimNetwork _network;
    private int _lives;

    internal SimNode(SimWorld world, SimNetwork network, int number, uint asn, bool kernel)
    {
        (_world, _network, Number, Asn) = (world, network, number, asn);
        Address = AddressOf(number);
        Kernel = kernel ? new SimKernel(world, Address) : null;
        ClusterId = Address.V4Value;
    }

    internal int Number { get; }

    internal string Name => "n" + Number;

    internal IpAddr Address { get; }

    internal uint RouterId => Address.V4Value;

    internal uint Asn { get; }

    internal uint ClusterId { get; set; }

    internal SimKernel? Kernel { get; }

    internal List<SimPeer> Peers { get; } = [];

    internal int HoldTime { get; set; } = 90;

    internal int RestartTime { get; set; } = 30;

    internal bool GracefulRestart { get; set; } = true;

    /// <summary>What its update groups hold for slow readers.</summary>
    internal GroupLimits Limits { get; set; } = new();

    /// <summary>Prefixes in its configuration.</summary>
    internal HashSet<Ipv4Prefix> Originated { get; } = [];

    /// <summary>Its speaker, when there is one.</summary>
    internal SimLife? Life { get; private set; }

    /// <summary>Called when a session's state changes.</summary>
    internal Action<SimNode, PeerSession>? OnStateChanged { get; set; }

    internal static IpAddr AddressOf(int number) => IpAddr.V4(0x0A000001u + (uint)number);

    internal static string PeerName(int number) => "n" + number;

    internal SimPeer? PeerTo(int number) => Peers.Find(peer => peer.Node == number);

    /// <summary>The speaker starts.</summary>
    internal void Boot()
    {
        Life = new SimLife(_world, _network, this, ++_lives);
        Life.Start();
    }

    /// <summary>The speaker's process ends without a word of its own.</summary>
    internal void Crash()
    {
        if (Life is { } life)
        {
            _world.Say(Name, static () => "is gone");
            Life = null;
            life.IsDead = true;
            Kernel?.Detach();
            _network.Kill(life);
        }
    }

    /// <summary>The speaker ends as the daemon does on SIGTERM: sessions close without a NOTIFICATION where the neighbour takes that as a restart.</summary>
    internal void Stop()
    {
        if (Life is { } life)
        {
            Kernel?.Detach();
            IReadOnlyList<BgpConnection> ending = life.Peers.Stop(default, "daemon stopped");
            long end = _world.Now + TimeSpan.TicksPerSecond;
            CrashWhenClosed();

            void CrashWhenClosed()
            {
                if (_world.Now >= end || ending.All(static connection => connection.Closed.IsCompleted))
                {
                    Crash();
                }
                else
                {
                    _world.After(TimeSpan.FromMilliseconds(1), life, CrashWhenClosed);
                }
            }
        }
    }

    internal void SetOriginated(Ipv4Prefix prefix, bool present)
    {
        if (present ? Originated.Add(prefix) : Originated.Remove(prefix))
        {
            Life?.Originate(prefix, present);
        }
    }

    internal PeerSettings SettingsOf(SimPeer peer, SimNode other, PolicySet policies, bool passive) => new()
    {
        Name = PeerName(peer.Node),
        Address = other.Address,
        Asn = other.Asn,
        LocalAsn = Asn,
        RouterId = RouterId,
        ClusterId = ClusterId,
        Passive = passive,
        HoldTime = HoldTime,
        GracefulRestart = GracefulRestart,
        RestartTime = RestartTime,
        IsClient = peer.IsClient,
        NodeIpv4 = Address,
        Families = new EquatableList<FamilySettings>([new FamilySettings { Family = AfiSafi.Ipv4Unicast, AddPath = peer.AddPath, AddPathLimit = peer.AddPathLimit }]),
        Policies = policies,
    };
}

/// <summary>One run of a node's speaker: the daemon's own tables and sessions, put together as the daemon does.</summary>
internal sealed class SimLife : SimOwner, IDialer
{
    private static readonly PolicySet s_internal = All(ebgp: false);
    private static readonly PolicySet s_external = All(ebgp: true);

    private readonly SimWorld _world;
    private readonly SimNetwork _network;
    private readonly KernelFeed? _feed;

    internal SimLife(SimWorld world, SimNetwork network, SimNode node, int number)
        : base(node.Name)
    {
        (_world, _network, Node) = (world, network, node);
        Scheduler = new SimScheduler(world, this);
        SimTime time = new(world, this);
        SimLog log = new(world, this);
        AttributeTable attributes = new();
        RibOptions options = new() { AllPaths = node.Peers.Exists(static peer => peer.AddPathLimit > 0) };
        NexthopTable nexthopsV4 = new();
        NexthopTable nexthopsV6 = new();
        AlwaysResolved always = new(own => own == node.Address);
        V4 = new RibLoop<Ipv4Prefix>(attributes, node.Kernel is null ? always : nexthopsV4, options, Scheduler, log) { GroupLimits = node.Limits };
        V6 = new RibLoop<Ipv6Prefix>(attributes, node.Kernel is null ? always : nexthopsV6, options, Scheduler, log);
        BmpService bmp = new(V4, V6, time, log) { Limits = new BmpLimits { Room = 4096 } };
        Context = new DaemonContext
        {
            Bmp = bmp,
            Time = time,
            Log = log,
            Attributes = attributes,
            V4 = V4,
            V6 = V6,
            Scheduler = Scheduler,
            Dialer = this,
            Random = new Random(world.Next(int.MaxValue)),
            RestartingUntil = number == 1 ? default : time.GetUtcNow() + TimeSpan.FromSeconds(node.RestartTime),
        };
        Peers = new PeerManager(Context) { OnStateChanged = session => node.OnStateChanged?.Invoke(node, session) };
        Station = new SimStation(this, bmp);
        if (node.Kernel is { } kernel)
        {
            _feed = new KernelFeed(V4, V6, nexthopsV4, nexthopsV6);
            V4.Forwarding = new ForwardingTable<Ipv4Prefix>(new FibPolicy<Ipv4Prefix>(new FibOptions()), nexthopsV4, attributes, 1, changes => kernel.SetDesired(this, changes));
        }
    }

    internal SimNode Node { get; }

    internal IWorkScheduler Scheduler { get; }

    internal DaemonContext Context { get; }

    internal PeerManager Peers { get; }

    internal SimStation Station { get; }

    internal RibLoop<Ipv4Prefix> V4 { get; }

    internal RibLoop<Ipv6Prefix> V6 { get; }

    internal bool IsListening { get; private set; }

    /// <summary>Whether its process has stopped reading from its sockets.</summary>
    internal bool IsStalled { get; private set; }

    internal void Start()
    {
        _world.Say(Name, static () => "starts");
        RibPeer local = new() { Index = RibPeer.Local, Name = "local", Kind = PeerKind.Local, RouterId = Node.RouterId, LocalAsn = Node.Asn };
        V4.Post(loop => loop.Shard.SetPeer(local));
        V6.Post(loop => loop.Shard.SetPeer(local));
        foreach (Ipv4Prefix prefix in Node.Originated)
        {
            Originate(prefix, true);
        }

        if (_feed is not null)
        {
            Node.Kernel!.Attach(this, _feed);
            Context.ForwardingPreserved = Node.Kernel.Adopted > 0;
        }

        Peers.Apply(
            [.. Node.Peers.Select(peer => Node.SettingsOf(peer, _network.NodeAt(peer.Node), _network.NodeAt(peer.Node).Asn == Node.Asn ? s_internal : s_external, passive: false))],
            [],
            start: false);
        Peers.Start();
        IsListening = true;
    }

    internal void Stall(bool stalled)
    {
        IsStalled = stalled;
        _world.Say(Name, () => stalled ? "stops reading" : "reads again");
        if (!stalled)
        {
            foreach (SimLink link in _network.Links)
            {
                foreach (SimTransport transport in link.Transports)
                {
                    if (ReferenceEquals(transport.Life, this))
                    {
                        transport.Pump();
                    }
                }
            }
        }
    }

    internal void Originate(Ipv4Prefix prefix, bool present)
    {
        V4.Post(loop =>
        {
            if (present)
            {
                uint id = AttributeEditing.Local(loop.Attributes, new LocalRouteInfo(RouteSource.Originate, 0, 0, "", default), [], []);
                loop.Shard.Reach([prefix], [KernelFeed.OriginatedPathId], RibPeer.Local, id, PathFlags.None);
                loop.Attributes.Release(id);
            }
            else
            {
                loop.Shard.Unreach([prefix], [KernelFeed.OriginatedPathId], RibPeer.Local);
            }
        });
    }

    internal PeerSession SessionTo(int node) => Peers.Find(SimNode.PeerName(node))!;

    /// <inheritdoc/>
    public ValueTask<ITransport> ConnectAsync(PeerSettings settings, int scope, CancellationToken cancel) => _network.ConnectAsync(this, settings.Address, cancel);

    private static PolicySet All(bool ebgp)
    {
        PolicyScope scope = new() { Guard = false };
        return new PolicySet(
            new FilterPolicy<Ipv4Prefix>(["all"], PolicyDirection.Import, ebgp, scope),
            new FilterPolicy<Ipv4Prefix>(["all"], PolicyDirection.Export, ebgp, scope),
            new FilterPolicy<Ipv6Prefix>(["all"], PolicyDirection.Import, ebgp, scope),
            new FilterPolicy<Ipv6Prefix>(["all"], PolicyDirection.Export, ebgp, scope));
    }
}
