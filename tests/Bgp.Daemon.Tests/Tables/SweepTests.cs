using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using Rib;

namespace Bgp.Daemon.Tests.Tables;

/// <summary>What removes stale routes takes several turns of a table: what happens in between must not make it remove others.</summary>
[TestFixture]
public sealed class SweepTests
{
    private const int All = 5_000;
    private const int Confirmed = 4_000;
    private const ushort Index = 1;
    private readonly RibPeer _peer = new() { Index = Index, Name = "peer", Kind = PeerKind.IbgpClient, Asn = 65000, LocalAsn = 65000, RouterId = 2 };
    private QueueScheduler _scheduler = null!;
    private AttributeTable _attributes = null!;
    private RibLoop<Ipv4Prefix> _loop = null!;
    private uint _set;

    [SetUp]
    public void A_peer_has_confirmed_most_of_its_routes_in_a_refresh()
    {
        (_scheduler, _attributes) = (new QueueScheduler(), new AttributeTable());
        _loop = new RibLoop<Ipv4Prefix>(_attributes, new AlwaysResolved(static _ => false), new RibOptions(), _scheduler, NullLogger.Instance);
        _set = _attributes.Intern(PathAttributesBuilder.Originate(new byte[256], Origin.Igp, IpAddr.V4(0xC0000202)).Build());
        _loop.Post(table =>
        {
            Up(table, 1, keepStale: false);
            Announce(table, All);
            table.RefreshMark(Index, 1, begin: true);
            Announce(table, Confirmed);
        });
        _scheduler.Drain();
        Assert.That(_loop.Shard.PathCount(Index), Is.EqualTo(All));
    }

    [Test]
    public void The_end_of_a_refresh_removes_what_was_not_confirmed()
    {
        _loop.Post(static table => table.RefreshMark(Index, 1, begin: false));
        _scheduler.Drain();
        Assert.That(_loop.Shard.PathCount(Index), Is.EqualTo(Confirmed));
    }

    [Test]
    public void A_refresh_that_begins_before_the_last_ones_rest_is_gone_costs_no_route()
    {
        _loop.Post(static table =>
        {
            table.RefreshMark(Index, 1, begin: false);
            table.RefreshMark(Index, 1, begin: true);
        });
        _scheduler.Drain();
        Assert.That(_loop.Shard.PathCount(Index), Is.EqualTo(Confirmed), "what was confirmed stays until the second ends");
        _loop.Post(static table => table.RefreshMark(Index, 1, begin: false));
        _scheduler.Drain();
        Assert.That(_loop.Shard.PathCount(Index), Is.Zero, "which confirmed nothing");
    }

    [Test]
    public void A_session_that_is_lost_before_the_rest_is_gone_leaves_its_confirmed_routes_to_graceful_restart()
    {
        _loop.Post(static table =>
        {
            table.RefreshMark(Index, 1, begin: false);
            table.SessionDown(Index, 1, retain: true, dropStale: false);
        });
        _scheduler.Drain();
        Assert.That(_loop.Shard.PathCount(Index), Is.EqualTo(Confirmed));

        // It comes back, confirms them, and is lost again while its End-of-RIB is worked on.
        _loop.Post(table =>
        {
            Up(table, 2, keepStale: true);
            Announce(table, Confirmed - 1);
            table.EndOfRib(Index, 2);
            table.SessionDown(Index, 2, retain: true, dropStale: false);
        });
        _scheduler.Drain();
        Assert.That(_loop.Shard.PathCount(Index), Is.EqualTo(Confirmed - 1));
        _loop.Post(static table => table.SweepNow(Index));
        _scheduler.Drain();
        Assert.That(_loop.Shard.PathCount(Index), Is.Zero);
    }

    [Test]
    public void Long_lived_stale_is_what_was_stale_when_its_time_came()
    {
        _loop.Post(table =>
        {
            table.SessionDown(Index, 1, retain: true, dropStale: false);
            table.MarkLongLived(Index);
            Up(table, 2, keepStale: true);
            Announce(table, Confirmed);
            table.RefreshMark(Index, 2, begin: true);
        });
        _scheduler.Drain();
        int marked = 0;
        for (int i = 0; i < All; i++)
        {
            Assert.That(_loop.Shard.TryFind(Prefix(i), out uint index), Is.True);
            marked += _attributes.Get(_loop.Shard.AllPaths(index)[0].Attr).HasCommunity(Community.LongLivedStale) ? 1 : 0;
        }

        Assert.That(marked, Is.EqualTo(All - Confirmed));
    }

    private static Ipv4Prefix Prefix(int i) => new(0x0A000000u + ((uint)i << 8), 24);

    private void Up(RibLoop<Ipv4Prefix> table, long session, bool keepStale)
    {
        UpdateGroupKey key = new() { Family = AfiSafi.Ipv4Unicast, Kind = _peer.Kind, LocalAsn = 65000, Policy = "all", ClusterId = 1, Self = IpAddr.V4(0xC0000201) };
        table.SessionUp(new RibSession<Ipv4Prefix>(_peer, session, new StrictSession()) { EnhancedRefresh = true }, key, new AcceptAllPolicy(), keepStale, static () => { });
    }

    private void Announce(RibLoop<Ipv4Prefix> table, int count)
    {
        for (int i = 0; i < count; i++)
        {
            table.Shard.Reach([Prefix(i)], [], Index, _set, PathFlags.None);
        }
    }
}
