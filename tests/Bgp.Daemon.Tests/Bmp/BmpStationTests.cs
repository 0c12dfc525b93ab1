using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Bgp.Daemon.Bmp;
using Bgp.Daemon.Config;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using NUnit.Framework;
using Rib;

namespace Bgp.Daemon.Tests.Bmp;

/// <summary>Connections to stations, over real sockets: what a station may do, and what it costs.</summary>
[TestFixture]
public sealed class BmpStationTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    [Test]
    public async Task A_station_hears_who_the_router_is_then_of_peers_then_of_routes_and_last_why_it_ends()
    {
        using Bed bed = new();
        bed.Up(1);
        bed.Announce(1, 0, 300);
        using Station station = new();
        bed.Apply(station.Config("s", BmpPolicies.Pre | BmpPolicies.LocRib));
        BmpCollector told = await station.AcceptAsync().ConfigureAwait(false);
        await station.ReadUntilAsync(() => told.EndsOfRib.Count >= 4).ConfigureAwait(false);
        Assert.Multiple(() =>
        {
            Assert.That(told.Initiation[2], Is.EqualTo("us"));
            Assert.That(told.Initiation[1], Does.StartWith("Pipit "));
            Assert.That(told.Messages[..3], Is.EqualTo(new[] { BmpMessageType.Initiation, BmpMessageType.PeerUp, BmpMessageType.PeerUp }));
            Assert.That(told.Peers[(BmpPeerType.LocRib, default)].Table, Is.EqualTo("global"));
            Assert.That(told.Rib(BmpPeerType.GlobalInstance, bed.Address(1)), Has.Count.EqualTo(300));
            Assert.That(told.Rib(BmpPeerType.LocRib, default), Has.Count.EqualTo(300));
            Assert.That(told.EndsOfRib.Select(static end => (end.Rib.Type, end.Family)), Is.EquivalentTo(new[]
            {
                (BmpPeerType.GlobalInstance, AfiSafi.Ipv4Unicast), (BmpPeerType.GlobalInstance, AfiSafi.Ipv6Unicast),
                (BmpPeerType.LocRib, AfiSafi.Ipv4Unicast), (BmpPeerType.LocRib, AfiSafi.Ipv6Unicast),
            }));
        });
        bed.Apply();
        await station.ReadToEndAsync().ConfigureAwait(false);
        Assert.That(told.Termination, Is.EqualTo((ushort)BmpTerminationReason.PermanentlyClosed));
    }

    [Test]
    public async Task Statistics_say_what_the_tables_hold()
    {
        using Bed bed = new();
        bed.Up(1);
        bed.Announce(1, 0, 300);
        using Station station = new();
        bed.Apply(station.Config("s", BmpPolicies.Pre | BmpPolicies.LocRib) with { StatsInterval = TimeSpan.FromMilliseconds(50) });
        BmpCollector told = await station.AcceptAsync().ConfigureAwait(false);
        await station.ReadUntilAsync(() => told.Statistics.Count == 2).ConfigureAwait(false);
        Dictionary<ushort, string> locRib = told.Statistics[(BmpPeerType.LocRib, default)].GroupBy(static item => item.Type).ToDictionary(static item => item.Key, static item => Convert.ToHexString(item.First().Value));
        Assert.That(locRib[8], Is.EqualTo("000000000000012C"));
        Assert.That(locRib[10], Is.EqualTo("000101" + "000000000000012C"));
        Assert.That(told.Statistics[(BmpPeerType.GlobalInstance, bed.Address(1))], Has.Count.EqualTo(1));
    }

    [Test]
    public async Task A_station_that_never_reads_delays_no_route_holds_a_bounded_queue_and_is_sent_everything_anew()
    {
        const int routes = 200_000;
        using Bed bed = new();
        bed.Up(1);
        bed.Announce(1, 0, 100_000, communities: 60, perSet: 5);
        using Station station = new(receiveBuffer: 256 << 10);
        bed.Apply(station.Config("s", BmpPolicies.Pre | BmpPolicies.Post | BmpPolicies.LocRib));
        BmpCollector first = await station.AcceptAsync().ConfigureAwait(false);
        await bed.UntilAsync(() => bed.IsStuck, "the queue is full").ConfigureAwait(false);

        // All of the table changes twice while it does not read: behind the dump, which stands still, and ahead of it.
        long before = GC.GetTotalMemory(forceFullCollection: true);
        using Bed alone = new();
        alone.Up(1);
        alone.Announce(1, 0, 100_000, communities: 60, perSet: 5);
        (TimeSpan without, _) = Flood(alone);
        (TimeSpan took, long most) = Flood(bed);
        TestContext.Out.WriteLine($"{routes * 2} routes in {took.TotalMilliseconds:f0} ms, without a station {without.TotalMilliseconds:f0} ms; {most} octets queued at most");
        Assert.That(bed.V4.Shard.PathCount(1), Is.EqualTo(routes), "the table has them all");
        Assert.That(most, Is.LessThan(3 << 20), "octets queued");
        Assert.That(took, Is.LessThan((5 * without) + TimeSpan.FromSeconds(1)));
        Assert.That(GC.GetTotalMemory(forceFullCollection: true) - before, Is.LessThan(128 << 20), "both tables");
        BmpCollector told = first;
        await station.ReadUntilAsync(
            () => told.Rib(BmpPeerType.LocRib, default).Count == routes,
            async () => told = await station.AcceptAsync().ConfigureAwait(false)).ConfigureAwait(false);
        await station.ReadUntilAsync(() => told.EndsOfRib.Count >= 6 && bed.IsTold).ConfigureAwait(false);
        await station.ReadUntilAsync(() => told.Rib(BmpPeerType.GlobalInstance, bed.Address(1)).Values.All(static text => text.Contains("4:00000003", StringComparison.Ordinal))).ConfigureAwait(false);
        Assert.That(told.Rib(BmpPeerType.GlobalInstance, bed.Address(1)), Has.Count.EqualTo(routes));
        Assert.That(told.Rib(BmpPeerType.GlobalInstance, bed.Address(1), postPolicy: true), Has.Count.EqualTo(routes));

        static (TimeSpan Took, long Queued) Flood(Bed bed)
        {
            long most = 0;
            Stopwatch watch = Stopwatch.StartNew();
            for (int round = 0; round < 2; round++)
            {
                for (int from = 0; from < routes; from += 5_000)
                {
                    bed.Announce(1, from, 5_000, med: (byte)(2 + round), communities: 60, perSet: 5);
                    most = Math.Max(most, bed.Service.Stations.FirstOrDefault()?.Link?.Queued ?? 0);
                }
            }

            return (watch.Elapsed, most);
        }
    }

    [Test]
    public async Task A_station_with_too_many_changes_behind_is_cut_off_counted_and_begins_anew()
    {
        using Bed bed = new(new BmpLimits { Room = 64 * 1024, Changes = 1000 });
        bed.Up(1);
        using Station station = new(receiveBuffer: 256 << 10);
        bed.Apply(station.Config("s", BmpPolicies.Pre) with { ConnectRetry = TimeSpan.FromMilliseconds(20) });
        _ = await station.AcceptAsync().ConfigureAwait(false);
        await bed.UntilAsync(() => bed.IsTold, "the first dump is through").ConfigureAwait(false);

        // More than socket buffers take.
        for (int from = 0; from < 400_000 && bed.Station.Drops == 0; from += 5000)
        {
            bed.Announce(1, from, 5000, communities: 60, perSet: 1);
        }

        // Where the last announcements take long, the next connection, which nobody reads yet either, may have gone the same way.
        await bed.HeardAsync(() => bed.Station.Drops > 0, "it is given up").ConfigureAwait(false);
        BmpCollector told = await station.AcceptAsync().ConfigureAwait(false);
        int routes = bed.V4.Shard.PathCount(1);
        await station.ReadUntilAsync(
            () => told.EndsOfRib.Count == 2,
            async () => told = await station.AcceptAsync().ConfigureAwait(false)).ConfigureAwait(false);
        Assert.That(told.Rib(BmpPeerType.GlobalInstance, bed.Address(1)), Has.Count.EqualTo(routes));
        Assert.That(bed.Log.Lines, Has.Exactly(1).Contains("reads too slowly"));
    }

    [Test]
    public async Task A_station_that_reads_nothing_for_a_minute_is_given_up()
    {
        FakeTimeProvider time = new();
        using Bed bed = new(time: time);
        bed.Up(1);
        bed.Announce(1, 0, 100_000, communities: 60, perSet: 5);
        using Station station = new(receiveBuffer: 256 << 10);
        bed.Apply(station.Config("s", BmpPolicies.Pre));
        _ = await station.AcceptAsync().ConfigureAwait(false);
        await bed.UntilAsync(() => bed.IsStuck, "the queue is full").ConfigureAwait(false);
        await bed.UntilAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(15));
                return bed.Station.Drops == 1;
            },
            "it is given up").ConfigureAwait(false);
        await bed.HeardAsync(() => bed.Log.Lines.Any(static line => line.Contains("does not read", StringComparison.Ordinal)), "and that is said").ConfigureAwait(false);
    }

    [Test]
    public async Task What_a_station_sends_is_ignored_and_a_flood_of_it_ends_the_connection()
    {
        using Bed bed = new();
        bed.Up(1);
        using Station station = new();
        bed.Apply(station.Config("s", BmpPolicies.Pre) with { ConnectRetry = TimeSpan.FromMilliseconds(20) });
        BmpCollector told = await station.AcceptAsync().ConfigureAwait(false);
        byte[] noise = new byte[100_000];
        Random.Shared.NextBytes(noise);
        await station.SendAsync(noise).ConfigureAwait(false);
        bed.Announce(1, 0, 10);
        await station.ReadUntilAsync(() => told.Rib(BmpPeerType.GlobalInstance, bed.Address(1)).Count == 10).ConfigureAwait(false);
        Assert.That(bed.Station.Connections, Is.EqualTo(1));
        try
        {
            for (int i = 0; i < 1000; i++)
            {
                await station.SendAsync(noise).ConfigureAwait(false);
            }
        }
        catch (SocketException)
        {
            // That is the end of it.
        }

        _ = await station.AcceptAsync().ConfigureAwait(false);
        Assert.That(bed.Log.Lines, Has.Some.Contains("the station sends"));
    }

    [Test]
    public async Task A_reload_begins_the_changed_station_anew_and_no_other()
    {
        using Bed bed = new();
        bed.Up(1);
        using Station a = new();
        using Station b = new();
        bed.Apply(a.Config("a", BmpPolicies.Pre), b.Config("b", BmpPolicies.Pre));
        BmpCollector toldA = await a.AcceptAsync().ConfigureAwait(false);
        BmpCollector toldB = await b.AcceptAsync().ConfigureAwait(false);
        await a.ReadUntilAsync(() => toldA.Messages.Count > 0).ConfigureAwait(false);
        await b.ReadUntilAsync(() => toldB.Messages.Count > 0).ConfigureAwait(false);
        bed.Apply(a.Config("a", BmpPolicies.Pre), b.Config("b", BmpPolicies.Post));
        await b.ReadToEndAsync().ConfigureAwait(false);
        Assert.That(toldB.Termination, Is.EqualTo((ushort)BmpTerminationReason.AdministrativelyClosed));
        toldB = await b.AcceptAsync().ConfigureAwait(false);
        bed.Announce(1, 0, 10);
        await a.ReadUntilAsync(() => toldA.Rib(BmpPeerType.GlobalInstance, bed.Address(1)).Count == 10).ConfigureAwait(false);
        await b.ReadUntilAsync(() => toldB.Rib(BmpPeerType.GlobalInstance, bed.Address(1), postPolicy: true).Count == 10).ConfigureAwait(false);
        Assert.That(toldA.Termination, Is.Null);
        Assert.That(bed.Service.Stations.Select(static station => station.Connections), Is.EqualTo(new[] { 1L, 1L }));
    }

    [Test]
    public async Task A_station_that_is_not_there_is_one_line_and_is_found_when_it_comes()
    {
        using Bed bed = new();
        IPEndPoint place;
        using (Station station = new())
        {
            place = station.EndPoint;
        }

        BmpConfig config = new("s", IpAddr.From(place.Address), place.Port, BmpPolicies.Pre, TimeSpan.Zero, TimeSpan.FromMilliseconds(10));
        bed.Apply(config);
        await bed.HeardAsync(() => bed.Station.LastError.Length > 0 && bed.Dialled >= 3, "it has tried three times").ConfigureAwait(false);
        using Station late = new(place.Port);
        BmpCollector told = await late.AcceptAsync().ConfigureAwait(false);
        await late.ReadUntilAsync(() => told.Messages.Count == 1).ConfigureAwait(false);
        await bed.HeardAsync(() => bed.Log.Lines.Count == 2, "both are said").ConfigureAwait(false);
        Assert.That(bed.Log.Lines, Is.EqualTo(new[] { "BMP s: cannot connect: connection refused; retrying", $"BMP s: connected to {place}" }));
        Assert.That(bed.Station.LastError, Is.Empty);
    }

    [Test]
    public async Task Peer_Down_says_what_ended_the_session_and_takes_its_routes()
    {
        using Bed bed = new();
        bed.Up(1);
        bed.Announce(1, 0, 10);
        using Station station = new();
        bed.Apply(station.Config("s", BmpPolicies.Pre));
        BmpCollector told = await station.AcceptAsync().ConfigureAwait(false);
        await station.ReadUntilAsync(() => told.EndsOfRib.Count == 2).ConfigureAwait(false);
        bed.Down(1, new BmpPeerEnd(BmpPeerDownReason.RemoteNotification, new byte[] { 1, 2, 3 }));
        await station.ReadUntilAsync(() => told.Downs.Count == 1).ConfigureAwait(false);
        Assert.That(told.Downs[0].Reason, Is.EqualTo(BmpPeerDownReason.RemoteNotification));
        Assert.That(told.Downs[0].Data, Is.EqualTo(new byte[] { 1, 2, 3 }));
        Assert.That(told.Peers, Is.Empty);
        bed.Up(1);
        bed.Announce(1, 5, 10);
        await station.ReadUntilAsync(() => told.Rib(BmpPeerType.GlobalInstance, bed.Address(1)).Count == 10).ConfigureAwait(false);
    }

    /// <summary>A listener that reads when it is told to.</summary>
    private sealed class Station : IDisposable
    {
        private readonly TcpListener _listener;
        private readonly byte[] _buffer = new byte[64 * 1024];
        private Socket? _socket;
        private BmpCollector _collector = new();

        internal Station(int port = 0, int receiveBuffer = 0)
        {
            _listener = new TcpListener(IPAddress.Loopback, port);
            if (receiveBuffer > 0)
            {
                _listener.Server.ReceiveBufferSize = receiveBuffer;
            }

            _listener.Start();
            EndPoint = (IPEndPoint)_listener.LocalEndpoint;
        }

        internal IPEndPoint EndPoint { get; }

        internal BmpConfig Config(string name, BmpPolicies policies) =>
            new(name, IpAddr.From(EndPoint.Address), EndPoint.Port, policies, TimeSpan.Zero, TimeSpan.FromSeconds(1));

        internal async Task<BmpCollector> AcceptAsync()
        {
            using CancellationTokenSource limit = new(s_patience);
            _socket?.Dispose();
            _socket = await _listener.AcceptSocketAsync(limit.Token).ConfigureAwait(false);
            return _collector = new BmpCollector();
        }

        internal async Task SendAsync(byte[] octets) => await _socket!.SendAsync(octets).ConfigureAwait(false);

        internal async Task ReadUntilAsync(Func<bool> condition, Func<Task>? again = null)
        {
            using CancellationTokenSource limit = new(s_patience);
            while (!condition())
            {
                int count = await ReadAsync(limit.Token).ConfigureAwait(false);
                if (count > 0)
                {
                    _collector.Feed(_buffer.AsSpan(0, count));
                }
                else if (again is not null)
                {
                    await again().ConfigureAwait(false);
                }
                else
                {
                    Assert.Fail("the connection ended");
                }
            }
        }

        internal async Task ReadToEndAsync()
        {
            using CancellationTokenSource limit = new(s_patience);
            int count;
            while ((count = await ReadAsync(limit.Token).ConfigureAwait(false)) > 0)
            {
                _collector.Feed(_buffer.AsSpan(0, count));
            }

            _socket!.Dispose();
        }

        private async Task<int> ReadAsync(CancellationToken limit)
        {
            try
            {
                return await _socket!.ReceiveAsync(_buffer, limit).ConfigureAwait(false);
            }
            catch (SocketException)
            {
                return 0;
            }
        }

        public void Dispose()
        {
            _socket?.Dispose();
            _listener.Dispose();
        }
    }

    /// <param name="happened">Released for each line.</param>
    private sealed class Logger(SemaphoreSlim happened) : ILogger
    {
        internal ConcurrentQueue<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            Lines.Enqueue(formatter(state, exception));
            happened.Release();
        }
    }

    private sealed class Owner : IRibSession
    {
        public void MaxPrefixesExceeded(AfiSafi family, int limit, int count, bool tearDown)
        {
        }

        public void Lagging(AfiSafi family)
        {
        }
    }

    private sealed class NothingOut<TPrefix> : IRoutePolicy<TPrefix>
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        public string ContentKey => "none";

        public PolicyResult Evaluate(in TPrefix prefix, PathAttributes attributes, in PolicyContext context) => new(false, null, "none");
    }

    /// <summary>Tables and stations on the thread pool, with neighbours that are made of calls.</summary>
    private sealed class Bed : IDisposable
    {
        private readonly Dictionary<ushort, (long Id, InboundFamily<Ipv4Prefix> Inbound)> _up = [];
        private readonly SemaphoreSlim _happened = new(0);
        private long _lastSession;
        private int _dialled;

        internal Bed(BmpLimits? limits = null, TimeProvider? time = null)
        {
            Log = new Logger(_happened);
            AttributeTable attributes = new();
            AlwaysResolved always = new(static _ => false);
            V4 = new RibLoop<Ipv4Prefix>(attributes, always, new RibOptions(), PoolScheduler.Instance, Log);
            RibLoop<Ipv6Prefix> v6 = new(attributes, always, new RibOptions(), PoolScheduler.Instance, Log);
            Service = new BmpService(V4, v6, time ?? TimeProvider.System, Log)
            {
                Limits = limits ?? new BmpLimits(),
                Dial = (address, port, cancel) =>
                {
                    Interlocked.Increment(ref _dialled);
                    _happened.Release();
                    return BmpStation.DialAsync(address, port, cancel);
                },
            };
        }

        internal Logger Log { get; }

        internal RibLoop<Ipv4Prefix> V4 { get; }

        internal BmpService Service { get; }

        internal BmpStation Station => Service.Stations[0];

        internal int Dialled => Volatile.Read(ref _dialled);

        /// <summary>Whether the first dump is handed out.</summary>
        internal bool IsTold => Station.IsSynced;

        internal IpAddr Address(ushort peer) => IpAddr.V4(0x0A000000u + peer);

        internal void Apply(params BmpConfig[] stations) => Service.Apply(new BmpSelf("us", 65000, 1), stations);

        internal void Up(ushort index)
        {
            long id = ++_lastSession;
            OpenMessage ours = Open(65000, 1);
            OpenMessage theirs = Open(65000, index + 1u);
            BmpPeer peer = new(BmpPeerType.GlobalInstance, BmpPeerFlags.None, Address(index), 65000, index + 1u);
            byte[] message = new byte[512];
            int length = BmpMessage.WritePeerUp(message, peer, 0, IpAddr.V4(1), 179, 1, Octets(ours), Octets(theirs));
            Service.PeerUp(new BmpSession(
                index, id, peer, NegotiatedSession.Negotiate(ours, theirs, new LocalSessionSettings()), message.AsMemory(0, length), static () => [new BmpStatistic(BmpStatisticType.AdjRibIn, 5)]));
            RibPeer known = new() { Index = index, Name = "p", Kind = PeerKind.IbgpClient, Asn = 65000, LocalAsn = 65000, RouterId = index + 1u, Address = Address(index) };
            SessionUp(V4, known, id);
            SessionUp(Service.V6, known, id);
            _up[index] = (id, new InboundFamily<Ipv4Prefix>(V4, known, id, addPath: false, policy: null, keep: false));
        }

        internal void Down(ushort index, BmpPeerEnd end)
        {
            _up.Remove(index, out (long Id, InboundFamily<Ipv4Prefix> Inbound) session);
            Service.PeerDown(index, end);
            V4.Post(loop => loop.SessionDown(index, session.Id, retain: false, dropStale: false), index);
            Service.V6.Post(loop => loop.SessionDown(index, session.Id, retain: false, dropStale: false), index);
        }

        private static void SessionUp<TPrefix>(RibLoop<TPrefix> table, RibPeer peer, long id)
            where TPrefix : unmanaged, IPrefix<TPrefix>
        {
            UpdateGroupKey key = new() { Family = TPrefix.Family, Kind = PeerKind.IbgpClient, LocalAsn = 65000, Policy = "none", ClusterId = 1, Self = IpAddr.V4(0xC0000201) };
            table.Post(loop => loop.SessionUp(new RibSession<TPrefix>(peer, id, new Owner()), key, new NothingOut<TPrefix>(), keepStale: false, static () => { }), peer.Index);
        }

        /// <summary>Routes /24 from the <paramref name="from"/>th on, so many to a set of attributes; returns when the table has applied them.</summary>
        internal void Announce(ushort index, int from, int count, byte med = 1, int communities = 1, int perSet = 50)
        {
            InboundFamily<Ipv4Prefix> inbound = _up[index].Inbound;
            for (int i = from; i < from + count; i += perSet)
            {
                List<byte> nlri = [];
                for (int j = i; j < Math.Min(i + perSet, from + count); j++)
                {
                    nlri.AddRange([24, (byte)(11 + (j >> 16)), (byte)(j >> 8), (byte)j]);
                }

                byte[] values = new byte[4 * communities];
                (values[0], values[1], values[2], values[3]) = (1, (byte)(i >> 16), (byte)(i >> 8), (byte)i);
                inbound.Reach([.. nlri], [0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, 192, 0, 2, 1, 0x80, 4, 4, 0, 0, 0, med, 0x40, 5, 4, 0, 0, 0, 100, 0xC0, 8, (byte)values.Length, .. values]);
                inbound.Flush();
                if (inbound.MustWait)
                {
                    inbound.WaitAsync().AsTask().Wait(s_patience);
                }
            }

            V4.AskAsync(static _ => 0).Wait(s_patience);
            V4.FlushedAsync().Wait(s_patience);
        }

        /// <summary>What is queued is more than the tables would add to: nothing moves until the station reads.</summary>
        internal bool IsStuck => Station.Link is { } link && link.Queued > link.Limits.Room / 2;

        /// <summary>Waits for what shows in a line of the log, or is so when one is written, or at an attempt to connect.</summary>
        internal async Task HeardAsync(Func<bool> condition, string what)
        {
            while (!condition())
            {
                Assert.That(await _happened.WaitAsync(s_patience).ConfigureAwait(false), what);
            }
        }

        /// <summary>Waits for what depends on how much the kernel takes of a stream, of which there is no event.</summary>
        internal async Task UntilAsync(Func<bool> condition, string what)
        {
            Stopwatch watch = Stopwatch.StartNew();
            while (!condition())
            {
                Assert.That(watch.Elapsed, Is.LessThan(s_patience), what);
                await Task.Delay(5).ConfigureAwait(false);
            }
        }

        public void Dispose()
        {
            // Not the semaphore: stations that end may still have something to say.
            Service.Dispose();
        }

        private static OpenMessage Open(uint asn, uint routerId) =>
            OpenMessage.Create(asn, 90, routerId, new Capabilities { Families = [AfiSafi.Ipv4Unicast, AfiSafi.Ipv6Unicast], As4 = asn });

        private static byte[] Octets(OpenMessage open)
        {
            byte[] octets = new byte[256];
            return octets[..open.Write(octets)];
        }
    }
}
