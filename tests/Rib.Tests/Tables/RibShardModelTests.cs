using Bgp.Protocol;

namespace Rib.Tests.Tables;

/// <summary>The table against a dictionary that does everything the slow way, under random operations.</summary>
[TestFixture]
public sealed class RibShardModelTests
{
    private sealed record Stored(uint Attr, bool Filtered, bool Stale);

    /// <summary>Next hops that resolve, and at what cost.</summary>
    private sealed class Resolver : INextHopResolver
    {
        internal Dictionary<IpAddr, NextHopState> States { get; } = [];

        public NextHopState Resolve(in IpAddr nextHop) => States.TryGetValue(nextHop, out NextHopState state) ? state : new NextHopState(true, 10);
    }

    [Test]
    public void Selection_counts_and_references_agree_with_a_naive_model([Range(1, 40)] int seed)
    {
        Random random = new(seed);
        AttributeTable attributes = new();
        Resolver resolver = new();
        RibShard<Ipv4Prefix> shard = new(attributes, resolver, new RibOptions { AllPaths = true });
        RibPeer[] peers = [.. Enumerable.Range(1, 6).Select(index => Peer((ushort)index, random))];
        Array.ForEach(peers, shard.SetPeer);
        uint[] sets = [.. Enumerable.Range(0, 14).Select(_ => attributes.Intern(RandomSet(random)))];
        Ipv4Prefix[] prefixes = [.. Enumerable.Range(0, 12).Select(index => new Ipv4Prefix(0x0A000000u + ((uint)index << 8), 24))];
        Dictionary<(Ipv4Prefix Prefix, ushort Peer, uint PathId), Stored> model = [];
        Dictionary<Ipv4Prefix, string> seen = [];
        for (int step = 0; step < 400; step++)
        {
            ushort peer = peers[random.Next(peers.Length)].Index;
            Ipv4Prefix prefix = prefixes[random.Next(prefixes.Length)];
            uint pathId = (uint)random.Next(3);
            switch (random.Next(12))
            {
                case < 6:
                    uint attr = sets[random.Next(sets.Length)];
                    bool filtered = random.Next(6) == 0;
                    shard.Reach([prefix], [pathId], peer, attr, filtered ? PathFlags.Filtered : PathFlags.None);
                    model[(prefix, peer, pathId)] = new Stored(attr, filtered, false);
                    break;
                case < 9:
                    shard.Unreach([prefix], [pathId], peer);
                    model.Remove((prefix, peer, pathId));
                    break;
                case 9:
                    shard.BumpEpoch(peer);
                    foreach ((Ipv4Prefix, ushort Peer, uint) key in model.Keys.Where(key => key.Peer == peer).ToArray())
                    {
                        model[key] = model[key] with { Stale = true };
                    }

                    break;
                case 10:
                    uint cursor = 0;
                    for (int slices = 0; !shard.SweepStale(peer, ref cursor, 3, shard.EpochOf(peer)) && slices < 1000; slices++)
                    {
                    }

                    foreach ((Ipv4Prefix, ushort Peer, uint) key in model.Keys.Where(key => key.Peer == peer && model[key].Stale).ToArray())
                    {
                        model.Remove(key);
                    }

                    break;
                default:
                    IpAddr nextHop = IpAddr.V4(0xC0000200u + (uint)random.Next(4));
                    resolver.States[nextHop] = new NextHopState(random.Next(3) != 0, (uint)random.Next(3));
                    shard.NextHopsChanged([nextHop]);
                    while (shard.RerankStep(5))
                    {
                    }

                    break;
            }

            Compare(shard, attributes, resolver, peers, prefixes, model, seen, $"seed {seed} step {step}");
        }

        foreach (RibPeer peer in peers)
        {
            shard.BumpEpoch(peer.Index);
            uint cursor = 0;
            while (!shard.SweepStale(peer.Index, ref cursor, 100, shard.EpochOf(peer.Index)))
            {
            }
        }

        Drain(shard);
        Drain(shard);
        Assert.That(shard.TotalPaths, Is.Zero);
        Assert.That(shard.PrefixCount, Is.Zero);
        foreach (uint id in sets)
        {
            attributes.Release(id);
        }

        Assert.That(attributes.Count, Is.Zero, "every reference was given back");
    }

    [Test]
    public void The_best_path_does_not_depend_on_the_order_of_arrival([Range(1, 30)] int seed)
    {
        Random random = new(seed);
        RibPeer[] peers = [.. Enumerable.Range(1, 5).Select(index => Peer((ushort)index, random))];
        byte[][] sets = [.. peers.Select(_ => RandomSet(random))];
        Ipv4Prefix prefix = Ipv4Prefix.Parse("10.1.0.0/16");
        HashSet<ushort> winners = [];
        foreach (int[] order in Permutations([0, 1, 2, 3, 4]))
        {
            AttributeTable attributes = new();
            RibShard<Ipv4Prefix> shard = new(attributes, new Resolver(), new RibOptions());
            foreach (int i in order)
            {
                shard.SetPeer(peers[i]);
                shard.Reach([prefix], [], peers[i].Index, attributes.Intern(sets[i]), PathFlags.None);
            }

            Assert.That(shard.TryFind(prefix, out uint index));
            winners.Add(shard.Select(index, 1, out _)[0].Peer);
        }

        Assert.That(winners, Has.Count.EqualTo(1));
    }

    [Test]
    public void An_identical_announcement_is_no_change()
    {
        AttributeTable attributes = new();
        RibShard<Ipv4Prefix> shard = new(attributes, new Resolver(), new RibOptions { AllPaths = true });
        shard.SetPeer(Peer(1, new Random(1)));
        uint attr = attributes.Intern(RandomSet(new Random(2)));
        Ipv4Prefix prefix = Ipv4Prefix.Parse("10.0.0.0/8");
        shard.Reach([prefix], [], 1, attr, PathFlags.None);
        Assert.That(Drain(shard), Is.EqualTo(1));
        shard.Reach([prefix], [], 1, attr, PathFlags.None);
        shard.BumpEpoch(1);
        shard.Reach([prefix], [], 1, attr, PathFlags.None);
        Assert.That(shard.HasChanges, Is.False);
        Assert.That(shard.StaleCount(1), Is.Zero);
    }

    [Test]
    public void Announcing_and_withdrawing_known_prefixes_allocates_nothing()
    {
        AttributeTable attributes = new();
        RibShard<Ipv4Prefix> shard = new(attributes, new Resolver(), new RibOptions());
        shard.SetPeer(Peer(1, new Random(1)));
        shard.SetPeer(Peer(2, new Random(2)));
        uint first = attributes.Intern(RandomSet(new Random(3)));
        uint second = attributes.Intern(RandomSet(new Random(4)));
        Ipv4Prefix[] prefixes = [.. Enumerable.Range(0, 500).Select(index => new Ipv4Prefix(0x0A000000u + ((uint)index << 8), 24))];
        uint[] changes = new uint[512];
        for (int round = 0; round < 3; round++)
        {
            Cycle();
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        Cycle();
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);

        void Cycle()
        {
            shard.Reach(prefixes, [], 1, first, PathFlags.None);
            shard.Reach(prefixes, [], 2, second, PathFlags.None);
            shard.DrainChanges(changes);
            shard.Reach(prefixes, [], 1, second, PathFlags.None);
            shard.Unreach(prefixes, [], 2);
            shard.DrainChanges(changes);
        }
    }

    private static int Drain(RibShard<Ipv4Prefix> shard)
    {
        uint[] buffer = new uint[64];
        int total = 0;
        int count;
        while ((count = shard.DrainChanges(buffer)) > 0)
        {
            total += count;
        }

        return total;
    }

    private static void Compare(
        RibShard<Ipv4Prefix> shard, AttributeTable attributes, Resolver resolver, RibPeer[] peers, Ipv4Prefix[] prefixes,
        Dictionary<(Ipv4Prefix Prefix, ushort Peer, uint PathId), Stored> model, Dictionary<Ipv4Prefix, string> seen, string where)
    {
        HashSet<Ipv4Prefix> dirty = [];
        uint[] buffer = new uint[64];
        int count;
        while ((count = shard.DrainChanges(buffer)) > 0)
        {
            for (int i = 0; i < count; i++)
            {
                Assert.That(dirty.Add(shard.PrefixAt(buffer[i])), $"{where}: a prefix was handed out twice");
            }
        }

        foreach (RibPeer peer in peers)
        {
            Assert.That(shard.PathCount(peer.Index), Is.EqualTo(model.Keys.Count(key => key.Peer == peer.Index)), where);
            Assert.That(shard.AcceptedCount(peer.Index), Is.EqualTo(model.Count(item => item.Key.Peer == peer.Index && !item.Value.Filtered)), where);
            Assert.That(shard.StaleCount(peer.Index), Is.EqualTo(model.Count(item => item.Key.Peer == peer.Index && item.Value.Stale)), where);
        }

        foreach (Ipv4Prefix prefix in prefixes)
        {
            List<(Candidate Candidate, ushort Peer, uint Attr)> eligible = [.. model
                .Where(item => item.Key.Prefix == prefix && !item.Value.Filtered)
                .Select(item => (Item: item, Set: attributes.Get(item.Value.Attr), State: resolver.Resolve(attributes.Get(item.Value.Attr).NextHop)))
                .Where(static item => item.State.Resolved)
                .Select(item => (
                    new Candidate(RankKey.Compute(item.Set), item.Set.Summary, peers.Single(peer => peer.Index == item.Item.Key.Peer), item.State.Metric, item.Item.Key.PathId),
                    item.Item.Key.Peer,
                    item.Item.Value.Attr))];
            string selected = "";
            if (shard.TryFind(prefix, out uint index))
            {
                ReadOnlySpan<Path> paths = shard.Select(index, int.MaxValue, out int multipath);
                Assert.That(paths.Length, Is.EqualTo(eligible.Count), $"{where}: {prefix}");
                if (paths.Length > 0)
                {
                    (Candidate Candidate, ushort Peer, uint Attr) best = Best(eligible);
                    Assert.That((paths[0].Peer, paths[0].Attr), Is.EqualTo((best.Peer, best.Attr)), $"{where}: {prefix}");
                    Assert.That(multipath, Is.EqualTo(eligible.Count(item => DecisionProcess.AreMultipath(best.Candidate, item.Candidate))), $"{where}: {prefix}");
                }

                foreach (ref readonly Path path in paths)
                {
                    selected += $"{path.Peer}/{path.Attr} ";
                }

                selected = string.Join(' ', selected.Split(' ').Order());
            }
            else
            {
                Assert.That(eligible, Is.Empty, $"{where}: {prefix} is not in the table");
            }

            if (seen.GetValueOrDefault(prefix, "").Trim() != selected.Trim())
            {
                Assert.That(dirty, Does.Contain(prefix), $"{where}: {prefix} changed and was not reported");
            }

            seen[prefix] = selected;
        }
    }

    private static (Candidate Candidate, ushort Peer, uint Attr) Best(List<(Candidate Candidate, ushort Peer, uint Attr)> paths)
    {
        ulong top = paths.Max(static item => item.Candidate.Rank);
        List<(Candidate Candidate, ushort Peer, uint Attr)> left = paths.FindAll(item => item.Candidate.Rank == top);
        left = left.FindAll(item => !left.Exists(other => DecisionProcess.MedRemoves(other.Candidate, item.Candidate)));
        (Candidate Candidate, ushort Peer, uint Attr) best = left[0];
        foreach ((Candidate Candidate, ushort Peer, uint Attr) item in left)
        {
            if (DecisionProcess.CompareTies(item.Candidate, best.Candidate, out _) > 0)
            {
                best = item;
            }
        }

        return best;
    }

    private static RibPeer Peer(ushort index, Random random) => new()
    {
        Index = index,
        Name = $"peer{index}",
        Kind = random.Next(2) == 0 ? PeerKind.Ebgp : PeerKind.Ibgp,
        Asn = 65000,
        RouterId = (uint)random.Next(1, 4),
        Address = IpAddr.V4(0x0A000000u + index),
    };

    private static byte[] RandomSet(Random random)
    {
        Span<byte> buffer = stackalloc byte[2048];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, (Origin)random.Next(2), IpAddr.V4(0xC0000200u + (uint)random.Next(4)));
        builder.PrependAs((uint)(65001 + random.Next(2)), 1 + random.Next(2));
        if (random.Next(2) == 0)
        {
            builder.SetMed((uint)random.Next(3));
        }

        if (random.Next(3) == 0)
        {
            builder.SetLocalPref((uint)(100 + random.Next(2)));
        }

        if (random.Next(4) == 0)
        {
            builder.PrependClusterId(7);
        }

        return builder.Build().ToArray();
    }

    private static IEnumerable<int[]> Permutations(int[] items)
    {
        if (items.Length == 1)
        {
            yield return items;
            yield break;
        }

        for (int i = 0; i < items.Length; i++)
        {
            int[] rest = [.. items[..i], .. items[(i + 1)..]];
            foreach (int[] tail in Permutations(rest))
            {
                yield return [items[i], .. tail];
            }
        }
    }
}
