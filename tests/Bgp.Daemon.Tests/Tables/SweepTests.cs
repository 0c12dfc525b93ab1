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
            marked += _attributes.Get(_loop.Shard.AllPaths(Find(i))[0].Attr).HasCommunity(Community.LongLivedStale) ? 1 : 0;
        }

        Assert.That(marked, Is.EqualTo(All - Confirmed));
    }

    [Test]
    public void What_a_session_has_sent_is_its_own_in_however_many_refreshes()
    {
        // A path holds eight bits of the epoch: the 256th refresh has those of the session's beginning.
        long since = _loop.SessionOf(Index)!.Epoch;
        for (int refresh = 2; refresh < 600; refresh++)
        {
            _loop.Post(table =>
            {
                table.RefreshMark(Index, 1, begin: true);
                Assert.That(table.Shard.TryGetPath(Find(0), Index, 0, out Rib.Path path), Is.True);
                Assert.That((table.Shard.IsStale(path), table.Shard.IsSince(path, since)), Is.EqualTo((true, true)), $"refresh {refresh}, not confirmed yet");
                Announce(table, 1);
                table.RefreshMark(Index, 1, begin: false);
            });
            _scheduler.Drain();
        }
    }

    [Test]
    public void Refreshes_without_end_neither_make_an_old_route_fresh_nor_keep_it_for_ever([Values(255, 256, 257, 600)] int refreshes)
    {
        _loop.Post(table =>
        {
            for (int i = 0; i < refreshes; i++)
            {
                table.RefreshMark(Index, 1, begin: true);
                Announce(table, 1);
            }
        });
        _scheduler.Drain();
        Assert.That(_loop.Shard.StaleCount(Index), Is.EqualTo(_loop.Shard.PathCount(Index) - 1));
        _loop.Post(static table => table.RefreshMark(Index, 1, begin: false));
        _scheduler.Drain();
        Assert.That((_loop.Shard.PathCount(Index), _loop.Shard.StaleCount(Index)), Is.EqualTo((1, 0)));
    }

    [Test]
    public void A_sweep_under_way_removes_nothing_of_any_refresh_that_begins_meanwhile([Values(1, 100, 255, 256, 600)] int refreshes)
    {
        _loop.Post(table =>
        {
            table.RefreshMark(Index, 1, begin: false);
            for (int i = 0; i < refreshes; i++)
            {
                table.RefreshMark(Index, 1, begin: true);
                Announce(table, Confirmed);
            }
        });
        _scheduler.Drain();
        Assert.That((_loop.Shard.PathCount(Index), _loop.Shard.StaleCount(Index)), Is.EqualTo((Confirmed, 0)));
    }

    [Test]
    public void A_neighbour_that_comes_and_goes_without_a_word_loses_what_it_had([Values(127, 128, 129, 300)] int losses)
    {
        // Each loss and each return is an epoch; 128 of them once made routes of the first session look like the last one's.
        _loop.Post(table =>
        {
            for (int session = 1; session <= losses; session++)
            {
                table.SessionDown(Index, session, retain: true, dropStale: false);
                Up(table, session + 1, keepStale: true);
            }
        });
        _scheduler.Drain();
        Assert.That(_loop.Shard.StaleCount(Index), Is.EqualTo(_loop.Shard.PathCount(Index)));
        _loop.Post(table => table.EndOfRib(Index, losses + 1));
        _scheduler.Drain();
        Assert.That(_loop.Shard.PathCount(Index), Is.Zero);
    }

    private uint Find(int i) => _loop.Shard.TryFind(Prefix(i), out uint index) ? index : 0;

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
