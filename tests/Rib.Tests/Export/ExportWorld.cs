using Bgp.Protocol;

namespace Rib.Tests.Export;

/// <summary>
/// A table with peers of every kind, their update groups, and a receiver behind each session, on one thread and in an order that a seed decides. The groups
/// get a turn only when something called for one, and receivers read only after they were told that there is something, so a lost call is a
/// failure too.
/// </summary>
internal sealed class ExportWorld
{
    private readonly Random _random;
    private readonly Dictionary<UpdateGroupKey, (UpdateGroup<Ipv4Prefix> Group, TestPolicy Policy)> _groups = [];
    private readonly Dictionary<UpdateGroupKey, TestPolicy> _policies = [];
    private readonly Dictionary<(Ipv4Prefix Prefix, ushort Peer, uint PathId), RouteSpec> _stored = [];
    private readonly uint[] _changes = new uint[64];
    private bool _turnDue;

    internal ExportWorld(int seed, GroupLimits limits, int prefixes = 40)
    {
        _random = new Random(seed);
        (Seed, Limits) = (seed, limits);
        Shard = new RibShard<Ipv4Prefix>(Attributes, new Everywhere(), new RibOptions { AllPaths = true });
        Prefixes = [.. Enumerable.Range(0, prefixes).Select(static index => new Ipv4Prefix(0x0A000000u + ((uint)index << 8), 24 + (index % 3)))];
        Shard.SetPeer(new RibPeer { Index = RibPeer.Local, Name = "local", Kind = PeerKind.Local, RouterId = 0x0A000001 });
        PeerKind[] kinds = [PeerKind.Ebgp, PeerKind.Ebgp, PeerKind.Ibgp, PeerKind.Ibgp, PeerKind.Ibgp, PeerKind.IbgpClient, PeerKind.IbgpClient, PeerKind.IbgpClient, PeerKind.IbgpClient, PeerKind.IbgpClient];
        Neighbours = [.. kinds.Select((kind, index) => new Neighbour(
            new RibPeer { Index = (ushort)(index + 1), Name = $"{kind}{index + 1}", Kind = kind, Asn = kind == PeerKind.Ebgp ? 65001u : 64512u, RouterId = 0x0A010000u + (uint)index, Address = IpAddr.V4(0x0A010000u + (uint)index) },
            KeyOf(kind, addPath: kind == PeerKind.Ibgp ? index == 4 : kind == PeerKind.IbgpClient && index > 7),
            enhanced: index % 2 == 0))];
        foreach (Neighbour neighbour in Neighbours)
        {
            Shard.SetPeer(neighbour.Peer);
            _policies.TryAdd(neighbour.Key, new TestPolicy(0));
        }
    }

    internal int Seed { get; }

    internal GroupLimits Limits { get; }

    internal AttributeTable Attributes { get; } = new();

    internal RibShard<Ipv4Prefix> Shard { get; }

    internal Ipv4Prefix[] Prefixes { get; }

    internal Neighbour[] Neighbours { get; }

    internal int Detachments { get; private set; }

    internal int Step { get; set; }

    /// <summary>Prefixes per turn at most: few, so that walks and floods are cut everywhere.</summary>
    internal int TurnBudget { get; set; } = 7;

    internal IEnumerable<UpdateGroup<Ipv4Prefix>> Groups => _groups.Values.Select(static item => item.Group);

    private string Where => $"seed {Seed} step {Step}";

    internal void Announce(ushort peer, Ipv4Prefix prefix, uint pathId, RouteSpec spec)
    {
        uint id = Attributes.Intern(spec.Stored());
        Shard.Reach([prefix], [pathId], peer, id, PathFlags.None);
        Attributes.Release(id);
        _stored[(prefix, peer, pathId)] = spec;
        _turnDue = true;
    }

    internal void Withdraw(ushort peer, Ipv4Prefix prefix, uint pathId)
    {
        Shard.Unreach([prefix], [pathId], peer);
        _stored.Remove((prefix, peer, pathId));
        _turnDue = true;
    }

    internal void Up(Neighbour neighbour)
    {
        if (neighbour.Member is not null)
        {
            return;
        }

        if (!_groups.TryGetValue(neighbour.Key, out (UpdateGroup<Ipv4Prefix> Group, TestPolicy Policy) found))
        {
            TestPolicy policy = _policies[neighbour.Key];
            found = (new UpdateGroup<Ipv4Prefix>(neighbour.Key, Shard, Attributes, policy, () => _turnDue = true, null, Limits), policy);
            found.Group.Lagging = member => Assert.Fail($"{Where}: {member.Peer.Name} is to be cut");
            _groups.Add(neighbour.Key, found);
        }

        neighbour.Begin(found.Group, Where);
        _turnDue = true;
    }

    internal void Down(Neighbour neighbour, bool keepRoutes)
    {
        if (neighbour.Member is { } member)
        {
            Detachments += member.Detachments;
            UpdateGroup<Ipv4Prefix> group = _groups[neighbour.Key].Group;
            group.Leave(member);
            neighbour.End();
            if (group.Members.Count == 0)
            {
                group.Close();
                _groups.Remove(neighbour.Key);
            }
        }

        Shard.BumpEpoch(neighbour.Peer.Index);
        if (!keepRoutes)
        {
            Sweep(neighbour.Peer.Index);
        }

        _turnDue = true;
    }

    internal void ChangePolicy(UpdateGroupKey key, int version)
    {
        _policies[key] = new TestPolicy(version);
        if (_groups.TryGetValue(key, out (UpdateGroup<Ipv4Prefix> Group, TestPolicy Policy) found))
        {
            found.Group.ChangePolicy(_policies[key]);
            _groups[key] = (found.Group, _policies[key]);
        }

        _turnDue = true;
    }

    internal void Refresh(Neighbour neighbour)
    {
        if (neighbour.Member is { } member)
        {
            neighbour.RefreshesAsked += neighbour.Received.EndOfRibs;
            _groups[neighbour.Key].Group.Refresh(member, neighbour.Enhanced);
            _turnDue = true;
        }
    }

    /// <summary>One random thing.</summary>
    internal void Act()
    {
        Neighbour neighbour = Neighbours[_random.Next(Neighbours.Length)];
        switch (_random.Next(30))
        {
            case < 12:
                for (int i = 1 + _random.Next(6); i > 0; i--)
                {
                    RibPeer source = _random.Next(10) == 0 ? Shard.PeerAt(RibPeer.Local)! : neighbour.Peer;
                    Announce(source.Index, Prefixes[_random.Next(Prefixes.Length)], (uint)_random.Next(2), RouteSpec.Random(_random, source.Kind));
                }

                break;
            case < 18:
                for (int i = 1 + _random.Next(8); i > 0; i--)
                {
                    Withdraw(neighbour.Peer.Index, Prefixes[_random.Next(Prefixes.Length)], (uint)_random.Next(2));
                }

                break;
            case 18:
                Down(neighbour, keepRoutes: _random.Next(2) == 0);
                break;
            case < 22:
                Up(neighbour);
                break;
            case 22:
                Sweep(neighbour.Peer.Index);
                break;
            case 23:
                Refresh(neighbour);
                break;
            case 24:
                ChangePolicy(neighbour.Key, _random.Next(6));
                break;
            case < 27:
                neighbour.IsStuck = !neighbour.IsStuck;
                break;
            default:
                Read(neighbour);
                break;
        }

        if (_random.Next(3) != 0)
        {
            TurnIfDue();
        }

        foreach (Neighbour reader in Neighbours)
        {
            if (_random.Next(3) == 0)
            {
                Read(reader);
            }
        }
    }

    /// <summary>
    /// What a feed is like: one neighbour announces or withdraws many prefixes, in stretches that share a route; now and then a stretch of one prefix each, so
    /// that one turn sees very many sets.
    /// </summary>
    internal void ActInBulk()
    {
        RibPeer source = Neighbours[_random.Next(Neighbours.Length)].Peer;
        int longest = _random.Next(4) == 0 ? 1 : 20;
        int next = _random.Next(Prefixes.Length);
        RouteSpec[] few = [.. Enumerable.Range(0, 1 + _random.Next(3)).Select(_ => RouteSpec.Random(_random, source.Kind))];
        for (int left = _random.Next(Prefixes.Length); left > 0;)
        {
            RouteSpec? spec = _random.Next(3) == 0 ? null : _random.Next(2) == 0 ? few[_random.Next(few.Length)] : RouteSpec.Random(_random, source.Kind);
            for (int i = 1 + _random.Next(longest); i > 0; i--, left--, next++)
            {
                Ipv4Prefix prefix = Prefixes[next % Prefixes.Length];
                if (spec is null)
                {
                    Withdraw(source.Index, prefix, 0);
                }
                else
                {
                    Announce(source.Index, prefix, 0, spec);
                }
            }
        }
    }

    internal void CheckPending()
    {
        foreach (UpdateGroup<Ipv4Prefix> group in Groups)
        {
            Assert.That(group.Pending, Is.LessThanOrEqualTo((int)Shard.IndexLimit), $"{Where}: dirty prefixes");
        }
    }

    internal void TurnIfDue()
    {
        if (!_turnDue)
        {
            return;
        }

        _turnDue = false;
        int drained;
        while ((drained = Shard.DrainChanges(_changes)) > 0)
        {
            foreach (UpdateGroup<Ipv4Prefix> group in Groups)
            {
                foreach (uint index in _changes.AsSpan(0, drained))
                {
                    group.MarkDirty(index);
                }
            }
        }

        foreach (UpdateGroup<Ipv4Prefix> group in Groups.ToArray())
        {
            _turnDue |= group.Turn(1 + _random.Next(TurnBudget));
        }
    }

    /// <summary>Lets everybody read and everything run until nothing calls for more.</summary>
    internal void Settle()
    {
        foreach (Neighbour neighbour in Neighbours)
        {
            neighbour.IsStuck = false;
        }

        for (int round = 0; _turnDue || Array.Exists(Neighbours, static neighbour => neighbour.HasData); round++)
        {
            Assert.That(round, Is.LessThan(20000), $"{Where}: does not come to rest");
            TurnIfDue();
            foreach (Neighbour neighbour in Neighbours)
            {
                Read(neighbour);
            }
        }
    }

    internal void Read(Neighbour neighbour) => neighbour.Read(_random);

    internal void Sweep(ushort peer)
    {
        uint cursor = 0;
        while (!Shard.SweepStale(peer, ref cursor, 10, Shard.EpochOf(peer)))
        {
        }

        // What is left of the peer's paths was confirmed after the last change of epoch.
        foreach ((Ipv4Prefix Prefix, ushort Peer, uint PathId) key in _stored.Keys.Where(key => key.Peer == peer).ToArray())
        {
            if (!Holds(key))
            {
                _stored.Remove(key);
            }
        }

        _turnDue = true;
    }

    internal void CheckBounds()
    {
        // One turn of a few prefixes, and what is left of a segment per log.
        const int OneTurn = 16 * 1024;
        foreach (UpdateGroup<Ipv4Prefix> group in Groups)
        {
            Assert.That(group.LogBytes, Is.LessThanOrEqualTo(Limits.Log + ((group.Walks + 1) * (LogSegment.Size + OneTurn))), $"{Where}: octets in logs");
            Assert.That(group.Pending, Is.LessThanOrEqualTo((int)Shard.IndexLimit), $"{Where}: dirty prefixes");
            Assert.That(_turnDue || group.Walks <= group.Members.Count, $"{Where}: {group.Walks} walks");
            Assert.That(group.RememberedWithdrawals, Is.LessThanOrEqualTo(Prefixes.Length * 4), $"{Where}: withdrawals");
            Assert.That(group.Detached, Is.EqualTo(group.Members.Count(static member => member.IsDetached)), $"{Where}: detached");
        }
    }

    /// <summary>Everybody holds what the naive model says, and has been told once that it was all.</summary>
    internal void CheckContent()
    {
        foreach (Neighbour neighbour in Neighbours.Where(static neighbour => neighbour.Member is not null))
        {
            SortedDictionary<string, string> expected = Expected(neighbour);
            SortedDictionary<string, string> received = neighbour.Received.Content();
            Assert.That(received.Keys, Is.EqualTo(expected.Keys), $"{Where}: {neighbour.Peer.Name}: prefixes (detached {neighbour.Member!.Detachments} times): {Differences(neighbour, expected, received)}");
            foreach ((string prefix, string route) in expected)
            {
                Assert.That(received[prefix], Is.EqualTo(route), $"{Where}: {neighbour.Peer.Name}: {prefix}");
            }

            Assert.That(neighbour.Received.EndOfRibs, Is.EqualTo(1), $"{Where}: {neighbour.Peer.Name}: End-of-RIB once a session");
            Assert.That(neighbour.Received.IsBetweenMessages, $"{Where}: {neighbour.Peer.Name}: ends inside a message");
            Assert.That(neighbour.Received.InRefresh, Is.False, $"{Where}: {neighbour.Peer.Name}: a refresh without an end");
            Assert.That(neighbour.Member.MessagesSent, Is.EqualTo(neighbour.Received.Messages), $"{Where}: {neighbour.Peer.Name}: messages counted");
            Assert.That(neighbour.Member.IsDetached, Is.False, Where);
            Assert.That(_groups[neighbour.Key].Group.AdvertisedTo(neighbour.Member), Is.EqualTo(neighbour.Received.Paths), $"{Where}: {neighbour.Peer.Name}: advertised");
            if (neighbour.Member.Detachments == 0)
            {
                Assert.That(neighbour.Received.NeedlessWithdrawals, Is.Zero, $"{Where}: {neighbour.Peer.Name}: withdrawals of what it never had");
            }

            if (neighbour is { Enhanced: true, RefreshesAsked: > 0 })
            {
                Assert.That(neighbour.Received.Refreshes, Is.Positive, $"{Where}: {neighbour.Peer.Name}: the refresh was answered");
            }
        }
    }

    /// <summary>Everything ends, and nothing is held any more.</summary>
    internal void CheckEnd()
    {
        foreach (Neighbour neighbour in Neighbours)
        {
            Down(neighbour, keepRoutes: false);
        }

        Shard.BumpEpoch(RibPeer.Local);
        Sweep(RibPeer.Local);
        while (Shard.DrainChanges(_changes) > 0)
        {
        }

        Assert.That(_groups, Is.Empty);
        Assert.That(Shard.TotalPaths, Is.Zero, Where);
        Assert.That(Shard.PrefixCount, Is.Zero, $"{Where}: prefix indexes are still pinned");
        Assert.That(Attributes.Count, Is.Zero, $"{Where}: attribute sets are still referenced");
    }

    private static UpdateGroupKey KeyOf(PeerKind kind, bool addPath) => new()
    {
        Family = AfiSafi.Ipv4Unicast,
        Kind = kind,
        LocalAsn = 64512,
        Policy = "",
        ClusterId = 0x0A0000FF,
        Self = IpAddr.Parse("10.0.0.1"),
        AddPathLimit = addPath ? 3 : 0,
        MaxMessageLength = kind == PeerKind.IbgpClient && addPath ? 65535 : 4096,
    };

    private bool Holds((Ipv4Prefix Prefix, ushort Peer, uint PathId) key)
    {
        if (!Shard.TryFind(key.Prefix, out uint index))
        {
            return false;
        }

        foreach (Path path in Shard.AllPaths(index))
        {
            if (path.Peer == key.Peer && Shard.PathIdOf(index, path) == key.PathId)
            {
                return true;
            }
        }

        return false;
    }

    private string Differences(Neighbour neighbour, SortedDictionary<string, string> expected, SortedDictionary<string, string> received)
    {
        List<string> lines = [];
        foreach (string prefix in expected.Keys.Union(received.Keys).Where(prefix => expected.GetValueOrDefault(prefix) != received.GetValueOrDefault(prefix)))
        {
            string held = "no index";
            if (Shard.TryFind(Ipv4Prefix.Parse(prefix), out uint index))
            {
                _groups[neighbour.Key].Group.TryGetAdvertised(index, 0, out AdjRibOutEntry entry);
                held = $"index {index}: {entry}, selected from {string.Join(", ", Shard.Select(index, 4, out _).ToArray().Select(static path => path.Peer))}";
            }

            lines.Add($"{prefix}: expected {expected.GetValueOrDefault(prefix)}, received {received.GetValueOrDefault(prefix)}, {held}");
        }

        return string.Join('\n', lines);
    }

    private SortedDictionary<string, string> Expected(Neighbour neighbour)
    {
        SortedDictionary<string, string> expected = new(StringComparer.Ordinal);
        foreach (Ipv4Prefix prefix in Prefixes)
        {
            if (!Shard.TryFind(prefix, out uint index))
            {
                continue;
            }

            int limit = Math.Max(1, neighbour.Key.AddPathLimit);
            Path[] selected = Shard.Select(index, limit, out _).ToArray();
            List<string> routes = [];
            foreach (Path path in selected.Take(limit))
            {
                RouteSpec spec = _stored[(prefix, path.Peer, Shard.PathIdOf(index, path))];
                if (spec.Exported(Shard.PeerAt(path.Peer)!, neighbour.Peer, neighbour.Key, prefix.ToString(), _policies[neighbour.Key]) is { } exported)
                {
                    routes.Add(exported.OnTheWire());
                }
            }

            if (routes.Count > 0)
            {
                expected[prefix.ToString()] = string.Join(" + ", routes.Order(StringComparer.Ordinal));
            }
        }

        return expected;
    }

    private sealed class Everywhere : INextHopResolver
    {
        public NextHopState Resolve(in IpAddr nextHop) => new(true, 10);
    }
}

/// <summary>A neighbour, and what its end of the session has received.</summary>
internal sealed class Neighbour(RibPeer peer, UpdateGroupKey key, bool enhanced)
{
    private bool _isHeld;

    internal RibPeer Peer => peer;

    internal UpdateGroupKey Key => key;

    internal bool Enhanced => enhanced;

    internal GroupMember? Member { get; private set; }

    internal ReceivedTable Received { get; private set; } = null!;

    internal bool HasData { get; private set; }

    /// <summary>Reads nothing.</summary>
    internal bool IsStuck { get; set; }

    internal int RefreshesAsked { get; set; }

    internal void Begin(UpdateGroup<Ipv4Prefix> group, string where)
    {
        Received = new ReceivedTable(key.AddPathLimit > 0, key.MaxMessageLength, $"{where}: {peer.Name}");
        (HasData, RefreshesAsked, _isHeld) = (false, 0, false);
        Member = group.Join(peer, () => HasData = true, holdEndOfRib: false, enhanced);
    }

    internal void End()
    {
        if (_isHeld)
        {
            // The send that was under way fails.
            Member!.Advance(0);
        }

        (Member, HasData, _isHeld) = (null, false, false);
    }

    /// <summary>
    /// One read of a socket: a run, of which part may be taken, in place or copied; now and then the run is held over other events, as when a send is under way.
    /// </summary>
    internal void Read(Random random)
    {
        if (Member is not { } member || !HasData || IsStuck)
        {
            return;
        }

        // Told again from here on, or by finding something.
        HasData = false;
        if (!_isHeld && random.Next(3) == 0)
        {
            byte[] copy = new byte[key.MaxMessageLength + random.Next(5000)];
            if (member.TryTake(copy, out int written))
            {
                HasData = true;
                Received.Receive(copy.AsSpan(0, written));
            }

            return;
        }

        ReadOnlyMemory<byte> run = member.NextRun(random.Next(2) == 0 ? int.MaxValue : random.Next(6000));
        if (run.IsEmpty)
        {
            return;
        }

        HasData = true;
        _isHeld = !_isHeld && random.Next(3) == 0;
        if (_isHeld)
        {
            return;
        }

        int count = random.Next(2) == 0 ? run.Length : random.Next(run.Length + 1);
        Received.Receive(run.Span[..count]);
        member.Advance(count);
    }
}
