using System.Buffers.Binary;
using Bgp.Daemon.Bmp;
using Bgp.Daemon.Config;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using Rib;

namespace Bgp.Daemon.Tests.Tables;

/// <summary>From the octets of an UPDATE to the octets for every neighbour, on one thread, with the parts that the daemon is made of.</summary>
[TestFixture]
public sealed class SteadyPathTests
{
    private const int Clients = 3;
    private const int Prefixes = 200;

    [Test]
    public void AnUpdateCostsNoAllocationFromReaderToWriter([Values(1, 40, Prefixes)] int prefixesPerUpdate, [Values] bool internally)
    {
        Bed bed = new(internally);
        byte[][] updates = [.. Updates(prefixesPerUpdate, internally, seed: 1), .. Updates(prefixesPerUpdate, internally, seed: 2), Withdrawal()];
        // Enough for every array that is kept to have reached its size, those of the log's segments too.
        for (int round = 0; round < 200; round++)
        {
            bed.Feed(updates);
        }

        long sent = bed.OctetsSent;
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int round = 0; round < 20; round++)
        {
            bed.Feed(updates);
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.That(bed.OctetsSent - sent, Is.GreaterThan(20L * Clients * Prefixes * 2 * 4), "each route went to each neighbour");
        Assert.That(allocated, Is.Zero);
        Assert.That(bed.Faults, Is.Empty);
    }

    [Test]
    public void AnUpdateForAStationThatDoesNotReadCostsNoAllocation([Values(1, 40)] int prefixesPerUpdate)
    {
        Bed bed = new(internally: true);
        BmpLink link = bed.Monitor();
        byte[][] updates = [.. Updates(prefixesPerUpdate, internally: true, seed: 1), .. Updates(prefixesPerUpdate, internally: true, seed: 2), Withdrawal()];
        for (int round = 0; round < 200; round++)
        {
            bed.Feed(updates);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int round = 0; round < 20; round++)
        {
            bed.Feed(updates);
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
        Assert.That(link.Failure, Is.Null);
        Assert.That(link.Queued, Is.Zero);
        Assert.That(bed.Faults, Is.Empty);
    }

    [Test]
    public void AnIdleRouteCrossesTheTableWithoutTheThreadPool()
    {
        Bed bed = new(internally: true);
        int queued = bed.Scheduler.Count;
        long sent = bed.OctetsSent;
        bed.FeedWithoutPool(Updates(1, internally: true, seed: 3)[0]);
        Assert.That(bed.OctetsSent, Is.GreaterThan(sent));
        Assert.That(bed.Scheduler.Count, Is.EqualTo(queued));
    }

    [Test]
    public void RequestsThatComeFasterThanTheTableWorksStopTheReader()
    {
        Bed bed = new(internally: true);
        Action[] requests = [bed.Inbound.EndOfRib, () => bed.Inbound.RefreshOut(enhanced: true), () => bed.Inbound.RefreshMark(begin: true)];
        foreach (Action request in requests)
        {
            int count = 0;
            for (; !bed.Inbound.MustWait; count++)
            {
                Assert.That(count, Is.LessThan(100), "requests under way are bounded");
                request();
            }

            bed.Scheduler.Drain();
            Assert.That(bed.Inbound.MustWait, Is.False, "the credit comes back");
        }
    }

    /// <summary>UPDATEs that announce all prefixes, each with attributes of its own.</summary>
    private static byte[][] Updates(int prefixesPerUpdate, bool internally, int seed)
    {
        List<byte[]> updates = [];
        for (int first = 0; first < Prefixes; first += prefixesPerUpdate)
        {
            List<byte> attributes = [0x40, 1, 1, 0, 0x40, 2, 10, 2, 2, 0, 0, 0xFD, 0xE9, 0, 0, 0xFD, (byte)(first % 200), 0x40, 3, 4, 192, 0, 2, (byte)seed];
            if (internally)
            {
                attributes.AddRange([0x40, 5, 4, 0, 0, 0, 100]);
            }

            attributes.AddRange([0xC0, 8, 4, 0xFD, 0xE9, (byte)seed, (byte)first]);
            List<byte> nlri = [];
            for (int i = first; i < Math.Min(first + prefixesPerUpdate, Prefixes); i++)
            {
                nlri.AddRange([24, 10, (byte)(i >> 8), (byte)i]);
            }

            updates.Add([0, 0, (byte)(attributes.Count >> 8), (byte)attributes.Count, .. attributes, .. nlri]);
        }

        return [.. updates];
    }

    private static byte[] Withdrawal()
    {
        byte[] body = new byte[2 + (4 * Prefixes) + 2];
        BinaryPrimitives.WriteUInt16BigEndian(body, 4 * Prefixes);
        for (int i = 0; i < Prefixes; i++)
        {
            (body[2 + (4 * i)], body[3 + (4 * i)], body[4 + (4 * i)], body[5 + (4 * i)]) = (24, 10, (byte)(i >> 8), (byte)i);
        }

        return body;
    }

    /// <summary>One sender and a few receivers around a table, without sockets.</summary>
    private sealed class Bed
    {
        private readonly AttributeTable _attributes = new();
        private readonly PathAttributesParser _parser = new();
        private readonly AttributeRules _rules = new() { OwnAsn = 65000, RouterId = 1, ClusterId = 1, EnforceFirstAs = false };
        private readonly NegotiatedSession _session;
        private readonly RibLoop<Ipv4Prefix> _loop;
        private readonly Sink _own = new();
        private readonly Sink[] _sinks;

        internal Bed(bool internally)
        {
            uint peerAsn = internally ? 65000u : 65001u;
            _session = NegotiatedSession.Negotiate(Open(65000, 1), Open(peerAsn, 2), new LocalSessionSettings());
            _loop = new RibLoop<Ipv4Prefix>(_attributes, new AlwaysResolved(static _ => false), new RibOptions(), Scheduler, NullLogger.Instance);
            PeerKind kind = internally ? PeerKind.IbgpClient : PeerKind.Ebgp;
            RibPeer sender = new() { Index = 1, Name = "sender", Kind = kind, Asn = peerAsn, LocalAsn = 65000, RouterId = 2 };
            UpdateGroupKey key = new() { Family = AfiSafi.Ipv4Unicast, Kind = kind, LocalAsn = 65000, Policy = "all", ClusterId = 1, Self = IpAddr.V4(0xC0000201) };
            Inbound = new InboundFamily<Ipv4Prefix>(_loop, sender, 1, addPath: false, policy: null, keep: false);
            _sinks = [.. Enumerable.Range(0, Clients).Select(_ => new Sink())];
            AcceptAllPolicy all = new();
            _loop.Post(table =>
            {
                _own.Member = table.SessionUp(
                    new RibSession<Ipv4Prefix>(sender, 1, new StrictSession()), key, all, keepStale: false, () => table.FanOut.Wake(_own, sender.Index));
                for (int i = 0; i < Clients; i++)
                {
                    Sink sink = _sinks[i];
                    RibPeer peer = new() { Index = (ushort)(2 + i), Name = "client", Kind = kind, Asn = peerAsn, LocalAsn = 65000, RouterId = (uint)(3 + i) };
                    sink.Member = table.SessionUp(
                        new RibSession<Ipv4Prefix>(peer, 2 + i, new StrictSession()), key, all, keepStale: false, () => table.FanOut.Wake(sink, peer.Index));
                }
            });
            Scheduler.Drain();
            _own.Kick();
            Array.ForEach(_sinks, static sink => sink.Kick());
            Scheduler.Drain();
        }

        /// <summary>A station without any room.</summary>
        internal BmpLink Monitor()
        {
            BmpLink link = new(new BmpLimits { Room = 0 });
            BmpFeed<Ipv4Prefix> feed = new(_loop, link, BmpPolicies.Pre | BmpPolicies.Post | BmpPolicies.LocRib, TimeProvider.System);
            _loop.Post(table =>
            {
                BmpTable<Ipv4Prefix>.Configure(table, any: true, wantsReceived: true);
                table.Monitor!.Add(feed);
            });
            Scheduler.Drain();
            return link;
        }

        internal QueueScheduler Scheduler { get; } = new();

        internal InboundFamily<Ipv4Prefix> Inbound { get; }

        internal long OctetsSent => _sinks.Sum(static sink => sink.Octets);

        internal List<string> Faults { get; } = [];

        internal void Feed(byte[][] updates)
        {
            foreach (byte[] body in updates)
            {
                FeedWithoutPool(body);
                Scheduler.Drain();
            }
        }

        private static OpenMessage Open(uint asn, uint routerId) =>
            OpenMessage.Create(asn, 90, routerId, new Capabilities { Families = [AfiSafi.Ipv4Unicast], As4 = asn });

        /// <summary>What a session does with an UPDATE.</summary>
        internal void FeedWithoutPool(byte[] body)
        {
            UpdateError cut = UpdateView.TryParse(body, _session, out UpdateView view);
            UpdateError parsed = _parser.Parse(view, _session, _rules, out ReadOnlySpan<byte> canonical, out _);
            if (cut.Action != UpdateAction.None || parsed.Action != UpdateAction.None)
            {
                Faults.Add(cut.Reason ?? parsed.Reason ?? "error");
                return;
            }

            Inbound.Unreach(view.Withdrawn);
            if (!view.Nlri.IsEmpty)
            {
                Inbound.Reach(view.Nlri, canonical);
            }

            Inbound.Flush();
        }
    }

    private sealed class Sink : IKickable
    {
        private readonly byte[] _buffer = new byte[65536];

        internal GroupMember? Member { get; set; }

        internal long Octets { get; private set; }

        public void Kick()
        {
            while (Member!.TryTake(_buffer, out int written))
            {
                Octets += written;
            }
        }
    }
}
