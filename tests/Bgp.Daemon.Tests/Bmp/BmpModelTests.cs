using Bgp.Daemon.Bmp;
using Bgp.Daemon.Config;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using NUnit.Framework;
using Rib;

namespace Bgp.Daemon.Tests.Bmp;

/// <summary>
/// Whatever happens in whatever order, with a station that reads when it likes and comes and goes: once it has read everything, its picture is what the neighbours
/// have sent, what import policy made of it, and what the table selected.
/// </summary>
[TestFixture]
public sealed class BmpModelTests
{
    private static readonly int s_seeds = Environment.GetEnvironmentVariable("PIPIT_LONG") is { Length: > 0 } ? 20_000 : 400;

    [Test]
    public void A_station_that_has_read_everything_has_the_tables_IPv4() => Run<Ipv4Prefix>(0, s_seeds);

    [Test]
    public void A_station_that_has_read_everything_has_the_tables_IPv6() => Run<Ipv6Prefix>(0, s_seeds);

    private static void Run<TPrefix>(int from, int count)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        long withdrawn = 0;
        long connections = 0;
        long ends = 0;
        for (int seed = from; seed < from + count; seed++)
        {
            using Bed<TPrefix> bed = new(seed);
            try
            {
                for (int step = 0; step < 150; step++)
                {
                    bed.Step();
                }

                bed.Check();
            }
            catch (Exception exception) when (exception is not AssertionException)
            {
                throw new InvalidOperationException($"seed {seed}", exception);
            }

            withdrawn += bed.Withdrawn;
            connections += bed.Connections;
            ends += bed.Downs;
        }

        // That the sequences do what they are for.
        Assert.That(withdrawn, Is.GreaterThan(count * 10L));
        Assert.That(connections, Is.GreaterThan(count * 2L));
        Assert.That(ends, Is.GreaterThan(count));
    }

    private sealed class Neighbour<TPrefix>(ushort index, PeerKind kind, bool addPath)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        internal ushort Index => index;

        internal bool AddPath => addPath;

        internal IpAddr Address => index == 2 ? IpAddr.Parse("fd00::2") : IpAddr.V4(0x0A000000u + index);

        internal long Session { get; set; }

        internal InboundFamily<TPrefix>? Inbound { get; set; }

        internal BmpSession? Told { get; set; }

        internal RibPeer Peer { get; } = new()
        {
            Index = index,
            Name = $"n{index}",
            Kind = kind,
            Asn = kind == PeerKind.Ebgp ? 65001u : 65000u,
            LocalAsn = 65000,
            RouterId = 100u + index,
            Address = IpAddr.V4(0x0A000000u + index),
        };

        internal TestPolicy<TPrefix>? Policy { get; set; }

        internal bool Refreshing { get; set; }

        internal bool Restarting { get; set; }

        /// <summary>What it has sent in this session: by prefix and identifier the attributes, and whether a refresh has yet to confirm it.</summary>
        internal Dictionary<(TPrefix Prefix, uint PathId), (byte[] Canonical, bool Stale)> Sent { get; } = [];
    }

    private sealed class TestPolicy<TPrefix>(int reject, int edit) : IRoutePolicy<TPrefix>
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        private static readonly PolicyEdit s_edit = new() { LocalPref = 200, AddCommunities = [0xFDE80001] };

        public string ContentKey => $"{reject}/{edit}";

        public bool ChangesRoutes => edit >= 0;

        public PolicyResult Evaluate(in TPrefix prefix, PathAttributes attributes, in PolicyContext context)
        {
            int kind = (int)(prefix.Hash % 3);
            return kind == reject ? new PolicyResult(false, null, "rejected") : new PolicyResult(true, kind == edit ? s_edit : null, "accepted");
        }
    }

    private sealed class NothingOut<TPrefix> : IRoutePolicy<TPrefix>
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        public string ContentKey => "none";

        public PolicyResult Evaluate(in TPrefix prefix, PathAttributes attributes, in PolicyContext context) => new(false, null, "none");
    }

    private sealed class Owner : IRibSession
    {
        public void MaxPrefixesExceeded(AfiSafi family, int limit, int count, bool tearDown) => Assert.Fail("no limit is set");

        public void Lagging(AfiSafi family) => Assert.Fail("nobody is sent anything");
    }

    /// <summary>Ready work, of which the seed draws.</summary>
    private sealed class Scheduler(Random random) : IWorkScheduler
    {
        private readonly List<IThreadPoolWorkItem> _items = [];

        public void Queue(IThreadPoolWorkItem work) => _items.Add(work);

        internal bool RunOne()
        {
            if (_items.Count == 0)
            {
                return false;
            }

            int at = random.Next(_items.Count);
            IThreadPoolWorkItem work = _items[at];
            _items.RemoveAt(at);
            work.Execute();
            return true;
        }
    }

    private sealed class Bed<TPrefix> : IDisposable
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        private const BmpPolicies All = BmpPolicies.Pre | BmpPolicies.Post | BmpPolicies.LocRib;
        private readonly int _seed;
        private readonly Random _random;
        private readonly Scheduler _scheduler;
        private readonly AttributeTable _attributes = new();
        private readonly RibLoop<TPrefix> _loop;
        private readonly BmpService _service;
        private readonly BmpStation _station;
        private readonly FakeTimeProvider _time = new();
        private readonly Neighbour<TPrefix>[] _neighbours;
        private readonly TPrefix[] _prefixes;
        private BmpLink? _link;
        private BmpFeed<TPrefix>? _feed;
        private BmpCollector _collector = new();
        private long _lastSession;

        internal Bed(int seed)
        {
            _seed = seed;
            _random = new Random(seed);
            _scheduler = new Scheduler(_random);
            AlwaysResolved always = new(static _ => false);
            RibOptions options = new();
            RibLoop<Ipv4Prefix> v4 = new(_attributes, always, options, _scheduler, NullLogger.Instance);
            RibLoop<Ipv6Prefix> v6 = new(_attributes, always, options, _scheduler, NullLogger.Instance);
            _loop = (RibLoop<TPrefix>)(object)(TPrefix.Family == AfiSafi.Ipv4Unicast ? v4 : v6);
            _service = new BmpService(v4, v6, _time, NullLogger.Instance)
            {
                // A small queue and short turns, so that their ends are met often.
                Limits = new BmpLimits { Room = 2000, TurnMarks = 5, TurnPrefixes = 3, Changes = seed % 5 == 0 ? 12 : 4096 },

                // The test is the connection.
                Dial = static async (_, _, cancel) =>
                {
                    await Task.Delay(Timeout.Infinite, cancel).ConfigureAwait(false);
                    throw new InvalidOperationException();
                },
            };
            _service.Apply(new BmpSelf("us", 65000, 1), [new BmpConfig("s", IpAddr.V4(1), 1, All, TimeSpan.Zero, TimeSpan.FromSeconds(30))]);
            _station = _service.Stations[0];

            // What comes before the tables know of a station is not kept as it came.
            Work(int.MaxValue);
            _neighbours = [new(1, PeerKind.Ebgp, false), new(2, PeerKind.IbgpClient, true), new(3, PeerKind.Ibgp, false)];
            _neighbours[2].Policy = new TestPolicy<TPrefix>(_random.Next(4), _random.Next(-1, 3));
            _prefixes = [.. Enumerable.Range(0, 40).Select(Prefix)];
        }

        internal long Withdrawn { get; private set; }

        internal long Connections { get; private set; }

        internal long Downs { get; private set; }

        private static TPrefix Prefix(int i) => TPrefix.Create(TPrefix.Family == AfiSafi.Ipv4Unicast ? IpAddr.V4(0x0A000000u + ((uint)i << 8)) : IpAddr.V6(0xFD000000_00000000UL + (ulong)i, 0), TPrefix.MaxLength == 32 ? 24 : 64);

        public void Dispose() => _service.Dispose();

        internal void Step()
        {
            Neighbour<TPrefix> neighbour = _neighbours[_random.Next(_neighbours.Length)];
            switch (_random.Next(20))
            {
                case 0 when neighbour.Inbound is null:
                case 1 when neighbour.Inbound is null:
                    Up(neighbour);
                    break;
                case 0 when _random.Next(2) == 0:
                    Down(neighbour);
                    break;
                case 2 when _link is null || _random.Next(4) == 0:
                    Connect();
                    break;
                case 3 when neighbour.Inbound is { } inbound && !neighbour.Refreshing && _random.Next(2) == 0:
                    // A sweep of before has to be through: a table does not tell two refreshes apart that overlap.
                    Work(int.MaxValue);
                    neighbour.Refreshing = true;
                    Stale(neighbour);
                    inbound.RefreshMark(begin: true);
                    break;
                case 4 when neighbour.Inbound is { } inbound:
                    inbound.Flush();
                    Confirmed(neighbour);
                    if (neighbour.Refreshing)
                    {
                        neighbour.Refreshing = false;
                        inbound.RefreshMark(begin: false);
                    }
                    else
                    {
                        inbound.EndOfRib();
                    }

                    break;
                case 5 when neighbour is { Index: 3, Refreshing: false } && _random.Next(2) == 0:
                    OtherPolicy(neighbour);
                    break;
                case 6 when neighbour is { Inbound: null, Restarting: true }:
                    _loop.PostLater(loop => loop.MarkLongLived(neighbour.Index), neighbour.Index);
                    break;
                case 7 when neighbour is { Inbound: null, Restarting: true }:
                    _loop.PostLater(loop => loop.SweepNow(neighbour.Index), neighbour.Index);
                    break;
                case < 12 when neighbour.Inbound is not null:
                    Announce(neighbour);
                    break;
                case < 15 when neighbour.Inbound is not null:
                    Withdraw(neighbour);
                    break;
                case < 18:
                    Work(_random.Next(6));
                    break;
                default:
                    Read(_random.Next(3));
                    break;
            }
        }

        /// <summary>Everything is worked off and read: the pictures are compared.</summary>
        internal void Check()
        {
            // One that was cut off for being behind comes back.
            if (_link is null or { Failure: not null })
            {
                Connect();
            }

            Settle();
            if (_link!.Failure is not null)
            {
                Connect();
                Settle();
            }

            Assert.That(_link!.Failure, Is.Null, $"seed {_seed}");
            Assert.That(_feed!.IsSynced, $"seed {_seed}: the dump is through");
            foreach (Neighbour<TPrefix> neighbour in _neighbours)
            {
                Dictionary<(string, uint), string> pre = [];
                Dictionary<(string, uint), string> post = [];
                foreach (((TPrefix prefix, uint pathId), (byte[] canonical, _)) in neighbour.Inbound is null ? [] : neighbour.Sent)
                {
                    pre[($"{prefix.Address}/{prefix.Length}", pathId)] = BmpCollector.Text(canonical);
                    if (Judged(neighbour, prefix, canonical) is { } judged)
                    {
                        post[($"{prefix.Address}/{prefix.Length}", pathId)] = judged;
                    }
                }

                Assert.That(_collector.Rib(BmpPeerType.GlobalInstance, neighbour.Address), Is.EquivalentTo(pre), $"seed {_seed}: what {neighbour.Index} sent");
                Assert.That(_collector.Rib(BmpPeerType.GlobalInstance, neighbour.Address, postPolicy: true), Is.EquivalentTo(post), $"seed {_seed}: what policy left of {neighbour.Index}");
                Assert.That(_collector.Peers.ContainsKey((BmpPeerType.GlobalInstance, neighbour.Address)), Is.EqualTo(neighbour.Inbound is not null), $"seed {_seed}");
            }

            Dictionary<(string, uint), string> selected = [];
            for (uint index = 1; index < _loop.Shard.IndexLimit; index++)
            {
                ReadOnlySpan<Rib.Path> best = _loop.Shard.Select(index, 1, out _);
                if (!best.IsEmpty)
                {
                    TPrefix prefix = _loop.Shard.PrefixAt(index);
                    selected[($"{prefix.Address}/{prefix.Length}", 0u)] = BmpCollector.Text(_attributes.Canonical(best[0].Attr));
                }
            }

            Assert.That(_collector.Rib(BmpPeerType.LocRib, default), Is.EquivalentTo(selected), $"seed {_seed}: what is selected");
            Assert.That(_collector.EndsOfRib.Select(static end => end.Rib), Does.Contain(new CollectedRib(BmpPeerType.LocRib, default, false)), $"seed {_seed}");
            NothingLeft();
        }

        /// <summary>With all sessions and the station gone no reference to an attribute set is left.</summary>
        private void NothingLeft()
        {
            foreach (Neighbour<TPrefix> neighbour in _neighbours)
            {
                Down(neighbour, retain: false);
            }

            Disconnect();
            _service.Apply(new BmpSelf("us", 65000, 1), []);
            Work(int.MaxValue);
            foreach (Neighbour<TPrefix> neighbour in _neighbours)
            {
                _loop.PostLater(loop => loop.SweepNow(neighbour.Index), neighbour.Index);
            }

            Work(int.MaxValue);
            Assert.That(_loop.Shard.TotalPaths, Is.Zero, $"seed {_seed}");
            Assert.That(_attributes.Count, Is.Zero, $"seed {_seed}: attribute sets");
        }

        private string? Judged(Neighbour<TPrefix> neighbour, TPrefix prefix, byte[] canonical)
        {
            PathAttributes attributes = PathAttributes.Decode(canonical);
            PolicyResult result = neighbour.Policy?.Evaluate(prefix, attributes, new PolicyContext(neighbour.Peer, neighbour.Peer)) ?? new PolicyResult(true, null, "");
            if (!result.Accept)
            {
                return null;
            }

            PolicyEdit? edit = result.Edit ?? (ImportEdit.IsDrained(neighbour.Peer, canonical) ? ImportEdit.Drained : null);
            if (edit is null)
            {
                return BmpCollector.Text(canonical);
            }

            uint made = ImportEdit.Apply(_attributes, attributes, edit, neighbour.Peer);
            string text = BmpCollector.Text(_attributes.Canonical(made));
            _attributes.Release(made);
            return text;
        }

        private void Settle()
        {
            foreach (Neighbour<TPrefix> neighbour in _neighbours)
            {
                neighbour.Inbound?.Flush();
            }

            do
            {
                Work(int.MaxValue);
            }
            while (Read(int.MaxValue));
        }

        private void Work(int items)
        {
            while (items-- > 0 && _scheduler.RunOne())
            {
            }
        }

        private bool Read(int chunks)
        {
            bool any = false;
            while (chunks-- > 0 && _link is not null && _link.TryTake(out BmpLink.Chunk? chunk, out _))
            {
                _collector.Feed(chunk!.Octets.Span);
                _link.Sent(chunk);
                any = true;
            }

            return any;
        }

        private void Connect()
        {
            Connections++;
            Disconnect();
            _collector = new BmpCollector();
            BmpLink link = _service.Open(_station);
            link.OnRoom = () => _loop.Signal(inline: false);
            BmpFeed<TPrefix> feed = new(_loop, link, All, _time);
            _loop.PostLater(loop => loop.Monitor!.Add(feed), RibPeer.Local);
            (_link, _feed) = (link, feed);
        }

        private void Disconnect()
        {
            if (_link is { } old)
            {
                Withdrawn += _collector.Withdrawn;
                _service.Forget(_station);
                old.Dispose();
                _loop.PostLater(loop => loop.Monitor?.Remove(old), RibPeer.Local);
                _link = null;
            }
        }

        private void Up(Neighbour<TPrefix> neighbour)
        {
            long id = ++_lastSession;
            OpenMessage ours = Open(65000, 1, neighbour.AddPath ? AddPathMode.Receive : AddPathMode.None);
            OpenMessage theirs = Open(neighbour.Peer.Asn, neighbour.Peer.RouterId, neighbour.AddPath ? AddPathMode.Send : AddPathMode.None);
            BmpPeer peer = new(BmpPeerType.GlobalInstance, BmpPeerFlags.None, neighbour.Address, neighbour.Peer.Asn, neighbour.Peer.RouterId);
            byte[] message = new byte[512];
            int length = BmpMessage.WritePeerUp(message, peer, 0, IpAddr.V4(1), 179, 1, Octets(ours), Octets(theirs));
            neighbour.Told = new BmpSession(neighbour.Index, id, peer, NegotiatedSession.Negotiate(ours, theirs, new LocalSessionSettings()), message.AsMemory(0, length), static () => []);
            _service.PeerUp(neighbour.Told);
            bool keep = neighbour.Restarting && _random.Next(2) == 0;
            neighbour.Restarting = false;
            UpdateGroupKey key = new() { Family = TPrefix.Family, Kind = neighbour.Peer.Kind, LocalAsn = 65000, Policy = "none", ClusterId = 1, Self = IpAddr.V4(0xC0000201) };
            NothingOut<TPrefix> nothing = new();
            _loop.PostLater(loop => loop.SessionUp(new RibSession<TPrefix>(neighbour.Peer, id, new Owner()), key, nothing, keep, static () => { }), neighbour.Index);
            neighbour.Inbound = new InboundFamily<TPrefix>(_loop, neighbour.Peer, id, neighbour.AddPath, neighbour.Policy, keep: _random.Next(4) == 0);
            (neighbour.Session, neighbour.Refreshing) = (id, false);
        }

        private void Down(Neighbour<TPrefix> neighbour, bool? retain = null)
        {
            if (neighbour.Inbound is not { } inbound)
            {
                return;
            }

            Downs++;
            long id = neighbour.Session;
            bool keep = retain ?? _random.Next(2) == 0;
            _service.PeerDown(neighbour.Index, new BmpPeerEnd(BmpPeerDownReason.RemoteNoNotification, default));
            inbound.Flush();
            inbound.End();
            _loop.PostLater(loop => loop.SessionDown(neighbour.Index, id, keep, dropStale: false), neighbour.Index);
            (neighbour.Inbound, neighbour.Restarting) = (null, keep);
            neighbour.Sent.Clear();
        }

        private void Announce(Neighbour<TPrefix> neighbour)
        {
            byte[] canonical = Canonical(_random.Next(8));
            List<byte> nlri = [];
            for (int i = _random.Next(1, 12); i > 0; i--)
            {
                TPrefix prefix = _prefixes[_random.Next(_prefixes.Length)];
                uint pathId = neighbour.AddPath ? (uint)_random.Next(3) : 0;
                nlri.AddRange(Nlri(neighbour, prefix, pathId));
                neighbour.Sent[(prefix, pathId)] = (canonical, false);
            }

            neighbour.Inbound!.Reach([.. nlri], canonical);
            Flush(neighbour);
        }

        private void Withdraw(Neighbour<TPrefix> neighbour)
        {
            List<byte> nlri = [];
            for (int i = _random.Next(1, 12); i > 0; i--)
            {
                TPrefix prefix = _prefixes[_random.Next(_prefixes.Length)];
                uint pathId = neighbour.AddPath ? (uint)_random.Next(3) : 0;
                nlri.AddRange(Nlri(neighbour, prefix, pathId));
                neighbour.Sent.Remove((prefix, pathId));
            }

            neighbour.Inbound!.Unreach([.. nlri]);
            Flush(neighbour);
        }

        private void Flush(Neighbour<TPrefix> neighbour)
        {
            if (_random.Next(3) != 0)
            {
                neighbour.Inbound!.Flush();
            }
        }

        /// <summary>As a reload does it: stored routes are judged again where the old policy changed none; else the neighbour sends them again.</summary>
        private void OtherPolicy(Neighbour<TPrefix> neighbour)
        {
            TestPolicy<TPrefix> policy = new(_random.Next(4), _random.Next(-1, 3));
            bool fromStored = neighbour.Policy is not { ChangesRoutes: true };
            neighbour.Policy = policy;
            if (neighbour.Inbound is not { } inbound)
            {
                return;
            }

            inbound.Hold();
            inbound.ChangePolicy(policy, again: !fromStored);
            inbound.Resume();
            if (fromStored)
            {
                _loop.PostLater(loop => loop.ChangeImport([new ImportChange<TPrefix>(neighbour.Peer, neighbour.Session, policy)]));
                return;
            }

            foreach (((TPrefix prefix, uint pathId), (byte[] canonical, _)) in neighbour.Sent.ToArray())
            {
                neighbour.Sent[(prefix, pathId)] = (canonical, false);
                inbound.Reach(Nlri(neighbour, prefix, pathId), canonical);
            }
        }

        private static void Stale(Neighbour<TPrefix> neighbour)
        {
            neighbour.Inbound!.Flush();
            foreach (((TPrefix, uint) key, (byte[] canonical, _)) in neighbour.Sent.ToArray())
            {
                neighbour.Sent[key] = (canonical, true);
            }
        }

        private static void Confirmed(Neighbour<TPrefix> neighbour)
        {
            foreach (((TPrefix, uint) key, _) in neighbour.Sent.Where(static item => item.Value.Stale).ToArray())
            {
                neighbour.Sent.Remove(key);
            }
        }

        private static byte[] Nlri(Neighbour<TPrefix> neighbour, TPrefix prefix, uint pathId)
        {
            byte[] octets = new byte[17];
            int length = prefix.Write(octets);
            return neighbour.AddPath ? [0, 0, 0, (byte)pathId, .. octets[..length]] : octets[..length];
        }

        /// <summary>Some attribute sets; one of them drains (RFC 8326), another has no next hop of the family.</summary>
        private static byte[] Canonical(int kind)
        {
            byte[] nextHop = TPrefix.Family == AfiSafi.Ipv4Unicast && kind != 6 ? [0x40, 3, 4, 192, 0, 2, (byte)kind] : [0x40, 3, 16, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (byte)kind];
            byte[] communities = kind == 7 ? [0xC0, 8, 4, 0xFF, 0xFF, 0, 0] : [0xC0, 8, 4, 0xFD, 0xE8, 0, (byte)kind];
            return [0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xFD, (byte)kind, .. nextHop, 0x40, 5, 4, 0, 0, 0, (byte)(100 + kind), .. communities];
        }

        private static OpenMessage Open(uint asn, uint routerId, AddPathMode mode) => OpenMessage.Create(asn, 90, routerId, new Capabilities
        {
            Families = [TPrefix.Family],
            As4 = asn,
            AddPath = mode == AddPathMode.None ? [] : [new AddPathFamily(TPrefix.Family, mode)],
        });

        private static byte[] Octets(OpenMessage open)
        {
            byte[] octets = new byte[256];
            return octets[..open.Write(octets)];
        }
    }
}
