using Bgp.Daemon.Config;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Microsoft.Extensions.Logging;
using Rib;

namespace Bgp.Daemon.Bmp;

/// <summary>What this router says of itself to every station.</summary>
/// <param name="Name">sysName.</param>
/// <param name="Asn">Own AS number.</param>
/// <param name="RouterId">Own BGP Identifier, host order.</param>
internal sealed record BmpSelf(string Name, uint Asn, uint RouterId);

/// <summary>How a session ended, in the terms of a Peer Down (RFC 7854 section 4.9).</summary>
/// <param name="Reason">Who ended it and how.</param>
/// <param name="Data">The NOTIFICATION as on the wire, or the FSM event in two octets, or nothing.</param>
internal readonly record struct BmpPeerEnd(BmpPeerDownReason Reason, ReadOnlyMemory<byte> Data);

/// <summary>All BMP stations, and the sessions that they are told of.</summary>
/// <remarks>
/// Sessions report here whether there is a station or not: it is a dictionary entry per peer, and a station that is configured later needs the OPENs of
/// sessions that came up long before. A session calls with its own lock held, so nothing here waits or calls back; the lock here comes before those of
/// the links.
/// </remarks>
internal sealed class BmpService : IDisposable
{
    /// <summary>The Loc-RIB's session id: no BGP session has it.</summary>
    internal const long LocRibSession = 0;

    private readonly Lock _gate = new();
    private readonly Dictionary<ushort, BmpSession> _up = [];
    private readonly List<BmpStation> _stations = [];
    private BmpSelf _self = new("", 0, 0);

    internal BmpService(RibLoop<Ipv4Prefix> v4, RibLoop<Ipv6Prefix> v6, TimeProvider time, ILogger log)
    {
        (V4, V6, Time, Logger) = (v4, v6, time, log);
    }

    internal RibLoop<Ipv4Prefix> V4 { get; }

    internal RibLoop<Ipv6Prefix> V6 { get; }

    internal TimeProvider Time { get; }

    internal ILogger Logger { get; }

    /// <summary>Bounds of stations that are made from now on.</summary>
    internal BmpLimits Limits { get; init; } = new();

    /// <summary>What opens connections to stations.</summary>
    internal Func<IpAddr, int, CancellationToken, ValueTask<ITransport>> Dial { get; init; } = BmpStation.DialAsync;

    /// <summary>All stations, as configured.</summary>
    internal BmpStation[] Stations
    {
        get
        {
            lock (_gate)
            {
                return [.. _stations];
            }
        }
    }

    /// <summary>The time of a message, now.</summary>
    internal static ulong Microseconds(TimeProvider time) => (ulong)((time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond);

    /// <summary>
    /// Exactly these stations from now on. One that stays as it is keeps its connection; one that changed begins anew; when this router's own name or numbers
    /// changed, all do. Without <paramref name="start"/> new ones do not connect.
    /// </summary>
    internal void Apply(BmpSelf self, IReadOnlyList<BmpConfig> configured, bool start = true)
    {
        List<(BmpStation Station, BmpTerminationReason Reason)> ended = [];
        List<BmpStation> started = [];
        bool wantsReceived = configured.Any(static item => item.Policies.HasFlag(BmpPolicies.Pre));
        V4.PostLater(loop => BmpTable<Ipv4Prefix>.Configure(loop, configured.Count > 0, wantsReceived), RibPeer.Local);
        V6.PostLater(loop => BmpTable<Ipv6Prefix>.Configure(loop, configured.Count > 0, wantsReceived), RibPeer.Local);
        lock (_gate)
        {
            bool same = self == _self;
            _self = self;
            foreach (BmpStation station in _stations.ToArray())
            {
                if (!same || !configured.Contains(station.Config))
                {
                    bool stays = configured.Any(item => item.Name == station.Config.Name);
                    ended.Add((station, stays ? BmpTerminationReason.AdministrativelyClosed : BmpTerminationReason.PermanentlyClosed));
                    _stations.Remove(station);
                }
            }

            foreach (BmpConfig config in configured.Where(config => !_stations.Exists(station => station.Config == config)))
            {
                BmpStation station = new(config, this);
                _stations.Add(station);
                started.Add(station);
            }
        }

        foreach ((BmpStation station, BmpTerminationReason reason) in ended)
        {
            _ = station.StopAsync(reason, "configuration changed");
        }

        if (start)
        {
            started.ForEach(static station => station.Start());
        }
    }

    /// <summary>A session came up. Before its first route reaches a table.</summary>
    internal void PeerUp(EstablishedSession established, ReadOnlySpan<byte> sent, ReadOnlySpan<byte> received)
    {
        NegotiatedSession negotiated = established.Negotiated;
        RibPeer known = established.Peer;
        BmpPeer peer = new(BmpPeerType.GlobalInstance, BmpPeerFlags.None, known.Address, negotiated.PeerAsn, negotiated.PeerRouterId);
        BgpConnection connection = established.Connection;
        byte[] message = new byte[BmpMessage.RouteMonitoringHeaderLength + 20 + sent.Length + received.Length];
        int length = BmpMessage.WritePeerUp(message, peer, Microseconds(Time), connection.LocalAddress, connection.LocalPort, connection.RemotePort, sent, received);
        PeerUp(new BmpSession(known.Index, established.Id, peer, negotiated, message.AsMemory(0, length), established.Statistics));
    }

    /// <summary>The same from parts.</summary>
    internal void PeerUp(BmpSession session)
    {
        lock (_gate)
        {
            _up[session.Index] = session;
            foreach (BmpStation station in _stations)
            {
                if (station.TellsPeers)
                {
                    station.Link?.PeerUp(session);
                }
            }
        }
    }

    /// <summary>A session is over.</summary>
    internal void PeerDown(ushort peer, in BmpPeerEnd end)
    {
        lock (_gate)
        {
            if (!_up.Remove(peer, out BmpSession? session))
            {
                return;
            }

            byte[] message = new byte[BmpMessage.RouteMonitoringHeaderLength + 1 + end.Data.Length];
            int length = BmpMessage.WritePeerDown(message, session.Peer, Microseconds(Time), end.Reason, end.Data.Span);
            foreach (BmpStation station in _stations)
            {
                if (station.TellsPeers)
                {
                    station.Link?.PeerDown(peer, message.AsSpan(0, length));
                }
            }
        }
    }

    /// <summary>
    /// A connection to a station begins: with Initiation, the Loc-RIB where that is asked for, and a Peer Up for every session, in one step with
    /// what <see cref="PeerUp(BmpSession)"/> and <see cref="PeerDown"/> will add.
    /// </summary>
    internal BmpLink Open(BmpStation station)
    {
        Span<byte> initiation = stackalloc byte[1024];
        lock (_gate)
        {
            BmpLink link = new(station.Limits);
            int length = BmpMessage.WriteInitiation(initiation, _self.Name, "Pipit " + Cli.CliApp.Version);
            List<BmpSession> sessions = station.TellsPeers ? [.. _up.Values] : [];
            if (station.Config.Policies.HasFlag(BmpPolicies.LocRib))
            {
                sessions.Insert(0, LocRib());
            }

            link.Begin(initiation[..length], sessions);
            station.Link = link;
            return link;
        }
    }

    /// <summary>A connection to a station is over.</summary>
    internal void Forget(BmpStation station)
    {
        lock (_gate)
        {
            station.Link = null;
        }
    }

    /// <summary>Ends all connections with a Termination; returns when that was sent or after a second.</summary>
    internal Task StopAsync()
    {
        BmpStation[] stations;
        lock (_gate)
        {
            stations = [.. _stations];
            _stations.Clear();
        }

        return Task.WhenAll(stations.Select(static station => station.StopAsync(BmpTerminationReason.AdministrativelyClosed, "the daemon stops")));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (BmpStation station in Stations)
        {
            station.Dispose();
        }
    }

    /// <summary>The Loc-RIB as a session (RFC 9069 section 5.2): its OPENs say which families and that AS numbers have four octets.</summary>
    private BmpSession LocRib()
    {
        OpenMessage open = OpenMessage.Create(_self.Asn, 0, _self.RouterId, new Capabilities { Families = [AfiSafi.Ipv4Unicast, AfiSafi.Ipv6Unicast], As4 = _self.Asn });
        Span<byte> octets = stackalloc byte[256];
        octets = octets[..open.Write(octets)];
        BmpPeer peer = new(BmpPeerType.LocRib, BmpPeerFlags.None, default, _self.Asn, _self.RouterId);
        byte[] message = new byte[BmpMessage.RouteMonitoringHeaderLength + 32 + (2 * octets.Length)];
        int length = BmpMessage.WritePeerUp(message, peer, Microseconds(Time), default, 0, 0, octets, octets);
        return new BmpSession(RibPeer.Local, LocRibSession, peer, null, message.AsMemory(0, length), static () => []);
    }
}
