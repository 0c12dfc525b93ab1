using Bgp.Protocol;

namespace Rib.Tests.Export;

/// <summary>What a group does for members that read slowly, and for many that want the same.</summary>
[TestFixture]
public sealed class SlowMemberTests
{
    private static readonly GroupLimits s_limits = new() { Window = 20_000, Behind = 100_000, Log = 400_000, Withdrawals = 500 };

    private AttributeTable _attributes = null!;
    private RibShard<Ipv4Prefix> _shard = null!;
    private UpdateGroup<Ipv4Prefix> _group = null!;
    private List<GroupMember> _lagging = null!;
    private bool _turnDue;

    [SetUp]
    public void Start()
    {
        _attributes = new AttributeTable();
        _shard = new RibShard<Ipv4Prefix>(_attributes, new Everywhere(), new RibOptions());
        _shard.SetPeer(Peer(1));
        _lagging = [];
        _group = new UpdateGroup<Ipv4Prefix>(
            new UpdateGroupKey { Family = AfiSafi.Ipv4Unicast, Kind = PeerKind.IbgpClient, LocalAsn = 64512, Policy = "", ClusterId = 9 },
            _shard, _attributes, new TestPolicy(0), () => _turnDue = true, null, s_limits)
        { Lagging = _lagging.Add };
    }

    [Test]
    public void A_member_that_stops_reading_holds_nothing_and_delays_nobody()
    {
        Reader fast = Join(2);
        Reader slow = Join(3);
        Run(fast, slow);
        long most = 0;
        for (int round = 0; round < 400; round++)
        {
            Flood(round, 40);
            Run(fast);
            most = Math.Max(most, _group.LogBytes);
        }

        Assert.Multiple(() =>
        {
            Assert.That(slow.Member.IsDetached, "it was let go");
            Assert.That(fast.Member.Detachments, Is.Zero);
            Assert.That(fast.Received.Content(), Has.Count.EqualTo(40));
            Assert.That(fast.Member.OctetsSent, Is.GreaterThan(10 * s_limits.Behind), "enough was sent to see a bound");
            Assert.That(most, Is.LessThan(s_limits.Behind + s_limits.Window + (2 * LogSegment.Size)));
            Assert.That(_group.LogBytes, Is.LessThan(s_limits.Window + LogSegment.Size), "nothing is kept for it");
        });
        Run(fast, slow);
        Assert.That(slow.Received.Content(), Is.EqualTo(fast.Received.Content()));
        Assert.That(slow.Member.IsDetached, Is.False);
    }

    [TestCase(true, TestName = "What_left_while_it_was_detached_goes_with_the_end_mark")]
    [TestCase(false, TestName = "What_left_while_it_was_detached_is_withdrawn")]
    public void What_left_while_detached(bool enhanced)
    {
        Reader fast = Join(2);
        Reader slow = Join(3, enhanced);
        Flood(0, 40);
        Run(fast, slow);
        for (int round = 1; round < 200; round++)
        {
            // The second half goes while the withdrawal still stands in the log that the slow one has not read, the rest long after.
            Flood(round, round < 3 ? 40 : 20);
            if (round == 3)
            {
                _shard.Unreach([.. Enumerable.Range(20, 10).Select(Prefix)], [], 1);
            }

            if (round == 150)
            {
                _shard.Unreach([.. Enumerable.Range(30, 10).Select(Prefix)], [], 1);
            }

            Run(fast);
        }

        Assert.That(slow.Member.IsDetached);
        Assert.That(_group.RememberedWithdrawals, Is.EqualTo(enhanced ? 0 : 20));
        Run(fast, slow);
        Assert.That(slow.Received.Content().Keys, Is.EqualTo(fast.Received.Content().Keys));
        Assert.That(slow.Received.Content(), Has.Count.EqualTo(20));
        Assert.That(slow.Received.Refreshes, Is.EqualTo(enhanced ? 1 : 0));
        Assert.That(_group.RememberedWithdrawals, Is.Zero);
        Assert.That(slow.Received.EndOfRibs, Is.EqualTo(1));
    }

    [Test]
    public void A_run_that_is_being_sent_in_place_stays_whole_while_the_log_goes_on_without_it()
    {
        Reader fast = Join(2);
        Reader slow = Join(3);
        Run(fast, slow);
        Flood(0, 40);
        Turns();
        ReadOnlyMemory<byte> held = slow.Member.NextRun();
        byte[] copy = held.ToArray();
        for (int round = 1; round < 200; round++)
        {
            Flood(round, 40);
            Run(fast);
        }

        Assert.That(slow.Member.IsDetached);
        Assert.That(_group.LogBytes, Is.LessThan(s_limits.Window + LogSegment.Size), "a send under way keeps its own segment and no more");
        Assert.That(held.ToArray(), Is.EqualTo(copy), "the octets under the send are not reused");

        // Cut inside a message: the rest of it comes next, then the walk.
        slow.Received.Receive(copy.AsSpan(0, 30));
        slow.Member.Advance(30);
        Run(fast, slow);
        Assert.That(slow.Received.Content(), Is.EqualTo(fast.Received.Content()));
        Assert.That(slow.Member.MessagesSent, Is.EqualTo(slow.Received.Messages));
    }

    [Test]
    public void More_withdrawals_than_can_be_remembered_end_the_sessions_that_need_them_and_no_other()
    {
        Reader fast = Join(2);
        Reader slow = Join(3);
        Reader marked = Join(4, enhanced: true);
        Run(fast, slow, marked);
        for (int round = 0; round < 60; round++)
        {
            Ipv4Prefix[] prefixes = [.. Enumerable.Range(1000 + (round * 100), 100).Select(Prefix)];
            Announce(prefixes, round, 1500);
            Flood(round, 40);
            Run(fast);
            _shard.Unreach(prefixes, [], 1);
            Run(fast);
        }

        Assert.That(slow.Member.IsDetached && marked.Member.IsDetached);
        Assert.That(_lagging, Is.EqualTo(new[] { slow.Member }), "told once");
        _group.Leave(slow.Member);
        Assert.That(_group.RememberedWithdrawals, Is.Zero);
        Run(fast, marked);
        Assert.That(marked.Received.Content(), Is.EqualTo(fast.Received.Content()));
    }

    [Test]
    public void Members_that_come_in_one_instant_share_a_walk()
    {
        Flood(0, 40);
        Reader[] readers = [.. Enumerable.Range(2, 500).Select(index => Join((ushort)index))];
        Run(readers);
        Assert.That(_group.WalksStarted, Is.EqualTo(1));
        Assert.That(_group.MessagesEncoded, Is.LessThan(100));
        Assert.That(readers.Select(static reader => reader.Received.Content().Count), Is.All.EqualTo(40));
        Assert.That(readers.Select(static reader => reader.Received.EndOfRibs), Is.All.EqualTo(1));
    }

    [Test]
    public void Refreshes_that_come_together_cost_one_walk()
    {
        Reader[] readers = [.. Enumerable.Range(2, 100).Select(index => Join((ushort)index, enhanced: index % 2 == 0))];
        Flood(0, 40);
        Run(readers);
        long before = _group.WalksStarted;
        foreach (Reader reader in readers)
        {
            _group.Refresh(reader.Member, reader.Enhanced);
        }

        _turnDue = true;
        Run(readers);
        Assert.That(_group.WalksStarted - before, Is.EqualTo(1));
        Assert.That(readers.Count(static reader => reader.Received.Refreshes == 1), Is.EqualTo(50));
    }

    [Test]
    public void Sixteen_members_stuck_in_walks_do_not_keep_another_from_joining()
    {
        Flood(0, 200);
        Reader[] stuck = [.. Enumerable.Range(2, 16).Select(index =>
        {
            Reader reader = Join((ushort)index);
            Turns();
            return reader;
        })];
        Reader last = Join(50);
        Run(last);
        Assert.That(last.Received.EndOfRibs, Is.EqualTo(1));
        Assert.That(last.Received.Content(), Has.Count.EqualTo(200));
        Assert.That(_group.LogBytes, Is.LessThan(s_limits.Log + LogSegment.Size));
        Run([.. stuck, last]);
        Assert.That(stuck.Select(static reader => reader.Received.Content().Count), Is.All.EqualTo(200));
        Assert.That(stuck.Select(static reader => reader.Received.EndOfRibs), Is.All.EqualTo(1));
    }

    [Test]
    public void A_prefix_announced_between_the_request_and_the_walk_survives_the_end_mark()
    {
        Reader reader = Join(2, enhanced: true);
        Flood(0, 3);
        Run(reader);
        _shard.Unreach([Prefix(0)], [], 1);
        Run(reader);
        _group.Refresh(reader.Member, enhanced: true);
        _group.Turn(1);

        // The walk has passed the lowest index, where nothing was; now something is there.
        Flood(1, 3);
        _turnDue = true;
        Run(reader);
        Assert.That(reader.Received.Refreshes, Is.EqualTo(1));
        Assert.That(reader.Received.Content(), Has.Count.EqualTo(3));
    }

    private static RibPeer Peer(ushort index) => new() { Index = index, Name = $"peer{index}", Kind = PeerKind.IbgpClient, RouterId = index };

    private static Ipv4Prefix Prefix(int index) => new(0x0A000000u + ((uint)index << 8), 24);

    private Reader Join(ushort index, bool enhanced = false)
    {
        _shard.SetPeer(Peer(index));
        Reader reader = new(enhanced);
        reader.Member = _group.Join(Peer(index), () => reader.HasData = true, holdEndOfRib: false, enhanced);
        _turnDue = true;
        return reader;
    }

    /// <summary>Changes so many prefixes, each with attributes of its own, some 600 octets each.</summary>
    private void Flood(int round, int count)
    {
        for (int i = 0; i < count; i++)
        {
            Announce([Prefix(i)], (round * 1000) + i, 150);
        }
    }

    private void Announce(Ipv4Prefix[] prefixes, int number, int communities)
    {
        RouteSpec spec = new()
        {
            NextHop = 0xC0000201,
            LocalPref = 100,
            Communities = [(uint)number, .. Enumerable.Range(0, Math.Min(communities, 900)).Select(static value => 0x40000000u + (uint)value)],
        };
        uint id = _attributes.Intern(spec.Stored());
        _shard.Reach(prefixes, [], 1, id, PathFlags.None);
        _attributes.Release(id);
    }

    private void Turns()
    {
        uint[] changes = new uint[256];
        int count;
        while ((count = _shard.DrainChanges(changes)) > 0)
        {
            _turnDue = true;
            foreach (uint index in changes.AsSpan(0, count))
            {
                _group.MarkDirty(index);
            }
        }

        while (_turnDue)
        {
            _turnDue = _group.Turn(25);
        }
    }

    /// <summary>Until these have read everything.</summary>
    private void Run(params Reader[] readers)
    {
        do
        {
            Turns();
            foreach (Reader reader in readers)
            {
                reader.Read();
            }
        }
        while (_turnDue || Array.Exists(readers, static reader => reader.HasData));
    }

    private sealed class Everywhere : INextHopResolver
    {
        public NextHopState Resolve(in IpAddr nextHop) => new(true, 10);
    }

    private sealed class Reader(bool enhanced)
    {
        private readonly byte[] _buffer = new byte[65536];

        internal GroupMember Member { get; set; } = null!;

        internal ReceivedTable Received { get; } = new(addPath: false, 4096, "reader");

        internal bool Enhanced => enhanced;

        internal bool HasData { get; set; }

        internal void Read()
        {
            if (!HasData)
            {
                return;
            }

            HasData = false;
            while (Member.TryTake(_buffer, out int written))
            {
                Received.Receive(_buffer.AsSpan(0, written));
            }
        }
    }
}
