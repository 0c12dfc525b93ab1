using Bgp.Protocol;

namespace Rib.Tests.Tables;

/// <summary>A path holds eight bits of the epoch that it is from: what is done so that they say enough.</summary>
[TestFixture]
public sealed class EpochTests
{
    private const int Refreshes = 1000;
    private readonly AttributeTable _attributes = new();
    private RibShard<Ipv4Prefix> _shard = null!;
    private uint _set;

    private sealed class Resolver : INextHopResolver
    {
        public NextHopState Resolve(in IpAddr nextHop) => new(true, 10);
    }

    [SetUp]
    public void Two_peers()
    {
        _shard = new RibShard<Ipv4Prefix>(_attributes, new Resolver(), new RibOptions());
        _set = _attributes.Intern(PathAttributesBuilder.Originate(new byte[256], Origin.Igp, IpAddr.V4(0xC0000202)).Build());
        _shard.SetPeer(new RibPeer { Index = 1, Name = "refreshes", Kind = PeerKind.Ibgp, Asn = 65000, Address = IpAddr.V4(1) });
        _shard.SetPeer(new RibPeer { Index = 2, Name = "another", Kind = PeerKind.Ibgp, Asn = 65000, Address = IpAddr.V4(2) });
    }

    [Test]
    public void Refreshes_that_are_confirmed_and_swept_cost_no_pass_over_the_table()
    {
        _shard.Reach(Prefixes(0, 1000), [], 1, _set, PathFlags.None);
        for (int i = 0; i < Refreshes; i++)
        {
            Assert.That(_shard.BumpEpoch(1), Is.Zero);
            _shard.Reach(Prefixes(0, i % 2 == 0 ? 1000 : 990), [], 1, _set, PathFlags.None);
            uint cursor = 0;
            while (!_shard.SweepStale(1, ref cursor, 100, _shard.EpochOf(1)))
            {
            }

            Assert.That(_shard.StaleCount(1), Is.Zero);
        }
    }

    /// <param name="growth">Prefixes that another peer adds between two refreshes, so that the pass has ever further to go.</param>
    [Test]
    public void Refreshes_without_end_have_each_a_small_part_of_the_table_looked_at([Values(0, 100, 1000)] int growth)
    {
        _shard.Reach(Prefixes(0, 10_000), [], 2, _set, PathFlags.None);
        _shard.Reach(Prefixes(9_000, 2_000), [], 1, _set, PathFlags.None);
        long[] confirmed = new long[2_000];
        for (int i = 1; i <= Refreshes; i++)
        {
            Assert.That(_shard.BumpEpoch(1), Is.LessThanOrEqualTo((_shard.IndexLimit / 32) + 1));
            _shard.Reach(Prefixes(11_000 + ((i - 1) * growth), growth), [], 2, _set, PathFlags.None);

            // One of ever fewer is confirmed.
            int which = i % Math.Max(2, 2_000 / i);
            _shard.Reach(Prefixes(9_000 + which, 1), [], 1, _set, PathFlags.None);
            confirmed[which] = i;
            int kept = 0;
            for (int j = 0; j < confirmed.Length; j++)
            {
                long age = i - confirmed[j];
                bool has = _shard.TryFind(Prefixes(9_000 + j, 1)[0], out uint index) & _shard.TryGetPath(index, 1, 0, out Path path);
                bool right = has
                    ? age <= 255 && _shard.IsSince(path, confirmed[j]) && !_shard.IsSince(path, confirmed[j] + 1) && _shard.IsStale(path) == age > 0
                    : age > 64;
                if (!right)
                {
                    Assert.Fail($"refresh {i}: {(has ? "kept" : "gone")}, confirmed {age} before");
                }

                kept += has ? 1 : 0;
            }

            Assert.That((_shard.PathCount(1), _shard.StaleCount(1)), Is.EqualTo((kept, kept - 1)));
        }

        Assert.That(_shard.PathCount(2), Is.EqualTo(10_000 + (Refreshes * growth)));
    }

    private static Ipv4Prefix[] Prefixes(int from, int count) => [.. Enumerable.Range(from, count).Select(static i => new Ipv4Prefix(0x0A000000u + ((uint)i << 8), 24))];
}
