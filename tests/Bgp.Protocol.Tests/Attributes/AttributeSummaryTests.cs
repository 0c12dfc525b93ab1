using System.Buffers.Binary;
using NUnit.Framework;

namespace Bgp.Protocol.Tests.Attributes;

[TestFixture]
public sealed class AttributeSummaryTests
{
    private static readonly uint[] Communities =
    [
        Community.NoExport, Community.NoAdvertise, Community.LongLivedStale, Community.GracefulShutdown, 0xFFFF0000, 0xFFFFFFFF, 0xFFFEFFFF, 0x0000FFFF, 0x00FFFF00, 64512,
    ];

    [Test]
    public void Community_is_found_whatever_stands_beside_it()
    {
        Random random = new(1);
        for (int i = 0; i < 1000; i++)
        {
            uint[] present = random.GetItems(Communities, random.Next(6));
            byte[] canonical = Set(present);
            AttributeSummary summary = new(canonical);
            Assert.That(summary.HasAnyWellKnown, Is.EqualTo(present.Any(Community.IsWellKnown)));
            foreach (uint community in Communities)
            {
                Assert.That(summary.HasCommunity(canonical, community), Is.EqualTo(present.Contains(community)), $"{community:X8} in {string.Join(' ', present)}");
            }
        }
    }

    // How nearly all sets begin is read at known places, the others are walked: a set with one octet of it otherwise.
    [TestCase("40010102", "400206020100000064", "4003040A000001", true)]
    [TestCase("40010102", "400200", "4003040A000001", true)]
    [TestCase("40010102", "50020006020100000064", "4003040A000001", false)]
    [TestCase("5001000102", "400206020100000064", "4003040A000001", false)]
    [TestCase("40010102", "400206020100000064", "500300040A000001", false)]
    [TestCase("40010102", "400206020100000064", "", false)]
    [TestCase("40010102", "400206020100000064", "40031000000000000000000000FFFF0A000001", false)]
    [TestCase("40010102", "", "4003040A000001", false)]
    [TestCase("", "400206020100000064", "4003040A000001", false)]
    public void Head_at_known_places_reads_as_the_walk_does(string origin, string path, string nextHop, bool common)
    {
        byte[] canonical = Convert.FromHexString(origin + path + nextHop + "80040400000007" + "400504000000C8");
        AttributeSummary summary = new(canonical);
        Assert.That(CommonHead.TryRead(canonical, out _), Is.EqualTo(common));
        Assert.That(summary.Origin, Is.EqualTo(origin.Length > 0 ? Origin.Incomplete : Origin.Igp));
        Assert.That(summary.HasAsPath, Is.EqualTo(path.Length > 6));
        Assert.That(summary.AsPathLength, Is.EqualTo(path.Length > 6 ? 1 : 0));
        Assert.That(summary.NeighborAs, Is.EqualTo(path.Length > 6 ? 100 : 0));
        Assert.That(summary.NextHop(canonical).IsNone, Is.EqualTo(nextHop.Length == 0));
        Assert.That(summary.Med, Is.EqualTo(7));
        Assert.That(summary.LocalPref, Is.EqualTo(200));
        ulong present = (origin.Length > 0 ? 1UL << 1 : 0) | (path.Length > 0 ? 1UL << 2 : 0) | (nextHop.Length > 0 ? 1UL << 3 : 0) | (1UL << 4) | (1UL << 5);
        Assert.That(summary.Present, Is.EqualTo(present));
        for (int length = 0; length < canonical.Length; length++)
        {
            // Never throws.
            _ = new AttributeSummary(canonical.AsSpan(0, length));
        }
    }

    [TestCase("", 0)]
    [TestCase("0200", 0)]
    [TestCase("02020000FDE80000FDE9", 2)]
    [TestCase("01020000FDE80000FDE9", 1)]
    [TestCase("02010000FDE801020000FDE90000FDEA", 2)]
    [TestCase("03010000FDE802010000FDE9", 1)]
    public void Path_length_counts_a_set_once_and_a_confederation_not(string path, int expected)
    {
        byte[] value = Convert.FromHexString(path);
        Assert.That(new AttributeSummary([0x40, 2, (byte)value.Length, .. value]).AsPathLength, Is.EqualTo(expected));
    }

    private static byte[] Set(uint[] communities)
    {
        List<byte> set = [0x40, 1, 1, 0];
        if (communities.Length > 0)
        {
            set.AddRange([0xC0, 8, (byte)(4 * communities.Length)]);
            Span<byte> word = stackalloc byte[4];
            foreach (uint community in communities)
            {
                BinaryPrimitives.WriteUInt32BigEndian(word, community);
                set.AddRange(word);
            }
        }

        return [.. set];
    }
}
