using System.Numerics;

namespace Bgp.Protocol.Tests.Nlri;

/// <summary>What a hash has to withstand that hostile neighbours choose the input of. All keys here are made from numbers, so that each run is the same.</summary>
[TestFixture]
public sealed class MixTests
{
    [TearDown]
    public void Restore() => Mix.Randomize();

    [Test]
    public void Octets_are_told_apart_by_every_bit_and_by_length()
    {
        Mix.Fix(1);
        for (int length = 0; length <= 40; length++)
        {
            Differ([.. Enumerable.Range(0, length).Select(static i => (byte)(i * 37))]);
        }

        // Around the blocks that have secrets of their own.
        foreach (int length in (int[])[255, 256, 257, 263, 264, 511, 512, 513, 600])
        {
            Differ([.. Enumerable.Range(0, length).Select(static i => (byte)(i * 37))]);
        }

        static void Differ(byte[] octets)
        {
            HashSet<ulong> seen = [Mix.Hash(octets), Mix.Hash([.. octets, 0])];
            for (int bit = 0; bit < 8 * octets.Length; bit++)
            {
                octets[bit / 8] ^= (byte)(1 << (bit % 8));
                seen.Add(Mix.Hash(octets));
                octets[bit / 8] ^= (byte)(1 << (bit % 8));
            }

            Assert.That(seen, Has.Count.EqualTo(2 + (8 * octets.Length)), $"{octets.Length} octets");
        }
    }

    [Test]
    public void Equal_octets_hash_equally_wherever_they_stand()
    {
        Mix.Fix(2);
        byte[] room = new byte[700];
        foreach (int length in (int[])[0, 1, 7, 8, 9, 15, 16, 255, 256, 257, 600])
        {
            byte[] octets = [.. Enumerable.Range(0, length).Select(static i => (byte)((i * 91) + 5))];
            for (int at = 0; at < 16; at++)
            {
                Array.Fill(room, (byte)at);
                octets.CopyTo(room, at);
                Assert.That(Mix.Hash(room.AsSpan(at, length)), Is.EqualTo(Mix.Hash(octets)), $"{length} octets at {at}");
            }
        }
    }

    /// <summary>
    /// Two words that differ in one or two bits each, in all ways: under a hash whose steps can be undone some of these cancel out, whatever its constants are, and with n such pairs of words there
    /// are 2^n sets with one hash. One of them may meet another under one key; none may under two.
    /// </summary>
    [Test]
    public void No_difference_in_one_word_is_taken_back_by_one_in_the_next_under_every_key()
    {
        byte[] octets = [.. Enumerable.Range(0, 24).Select(static i => (byte)(i * 29))];
        ulong[] changes = [.. Enumerable.Range(0, 64).SelectMany(static i => Enumerable.Range(i, 64 - i).Select(j => (1UL << i) | (1UL << j)))];
        Dictionary<(ulong First, ulong Second), int> met = [];
        for (ulong seed = 0; seed < 4; seed++)
        {
            Mix.Fix(seed);

            // Equal hashes of (first changed) and (second changed) are what an attacker looks for: the words are changed alone, and then compared.
            Dictionary<uint, ulong> first = [];
            foreach (ulong change in changes)
            {
                first.TryAdd((uint)(Mix.Hash(Changed(octets, 0, change)) >> 32), change);
            }

            foreach (ulong change in changes)
            {
                if (first.TryGetValue((uint)(Mix.Hash(Changed(octets, 8, change)) >> 32), out ulong other))
                {
                    met[(other, change)] = met.GetValueOrDefault((other, change)) + 1;
                }
            }
        }

        Assert.That(met.Where(static pair => pair.Value > 1), Is.Empty);
    }

    [Test]
    public void Prefixes_chosen_for_one_slot_under_one_key_are_spread_under_another()
    {
        const int slots = 1 << 12;
        Mix.Fix(3);
        Ipv6Prefix[] six = [.. Enumerable.Range(0, 1_000_000).Select(static i => new Ipv6Prefix(0x2001_0DB8_0000_0000UL + (ulong)i, 0, 64)).Where(static prefix => Slot(prefix.Hash) == 7)];
        Ipv4Prefix[] four = [.. Enumerable.Range(0, 1_000_000).Select(static i => new Ipv4Prefix(0x0A000000U + (uint)(i << 4), 28)).Where(static prefix => Slot(prefix.Hash) == 7)];
        byte[][] sets = [.. Enumerable.Range(0, 1_000_000).Select(static i => (byte[])[0x40, 1, 1, 0, 0xC0, 8, 8, 1, 2, 3, 4, .. BitConverter.GetBytes(i)]).Where(static set => Slot(Mix.Hash(set)) == 7)];
        Assert.That(new[] { six.Length, four.Length, sets.Length }, Is.All.InRange(150, 350), "spread evenly under the first key, too");
        for (ulong seed = 4; seed < 24; seed++)
        {
            Mix.Fix(seed);
            Assert.That(Most(six.Select(static prefix => prefix.Hash)), Is.LessThan(6), $"IPv6, key {seed}");
            Assert.That(Most(four.Select(static prefix => prefix.Hash)), Is.LessThan(6), $"IPv4, key {seed}");
            Assert.That(Most(sets.Select(static set => Mix.Hash(set))), Is.LessThan(6), $"sets, key {seed}");
        }

        static int Slot(ulong hash) => (int)(hash >> 32) & (slots - 1);
        static int Most(IEnumerable<ulong> hashes) => hashes.CountBy(Slot).Max(static slot => slot.Value);
    }

    /// <summary>Whole neighbourhoods, as clusters have them, and words that differ in their highest bits alone, which a single multiplication would keep together.</summary>
    [TestCase(0, TestName = "Neighbouring_words_fill_a_table_as_evenly_as_random_ones")]
    [TestCase(47, TestName = "Words_that_differ_in_high_bits_fill_a_table_as_evenly_as_random_ones")]
    [TestCase(16, TestName = "Words_that_differ_in_middle_bits_fill_a_table_as_evenly_as_random_ones")]
    public void Words_fill_a_table_evenly(int shift)
    {
        const int count = 1 << 16;
        for (ulong seed = 0; seed < 10; seed++)
        {
            Mix.Fix(seed);
            int[] low = new int[count];
            int[] high = new int[count];
            for (ulong i = 0; i < count; i++)
            {
                ulong hash = Mix.Hash(BitOperations.RotateLeft(i, shift));
                low[hash % count]++;
                high[(hash >> 32) % count]++;
            }

            // Random: 36.8 % of the slots stay empty, and the fullest of 65,536 has about 8.
            foreach (int[] slots in (int[][])[low, high])
            {
                Assert.That(slots.Count(static slot => slot == 0), Is.LessThan(count * 45 / 100), $"key {seed}");
                Assert.That(slots.Max(), Is.LessThan(32), $"key {seed}");
            }
        }
    }

    [Test]
    public void Lengths_of_a_prefix_and_versions_of_an_address_count()
    {
        Mix.Fix(5);
        Assert.That(Enumerable.Range(64, 65).Select(static length => new Ipv6Prefix(1UL << 63, 0, length).Hash).Distinct().Count(), Is.EqualTo(65));
        Assert.That(IpAddr.V4(1).GetHashCode(), Is.Not.EqualTo(IpAddr.V6(0, 1).GetHashCode()));

        // Lengths that hide in the address: the same words, were one only added to the other.
        Assert.That(new Ipv6Prefix(0x2001UL << 48, 0, 65).Hash, Is.Not.EqualTo(new Ipv6Prefix((0x2001UL << 48) ^ 65 ^ 66, 0, 66).Hash));
    }

    [Test]
    public void Every_process_has_a_key_of_its_own()
    {
        HashSet<(ulong, ulong)> seen = [];
        for (int i = 0; i < 100; i++)
        {
            Mix.Randomize();
            seen.Add((Mix.Hash(1), Mix.Hash("octets"u8)));
        }

        Assert.That(seen, Has.Count.EqualTo(100));
        Mix.Fix(0);
        Assert.That(seen, Does.Not.Contain((Mix.Hash(1), Mix.Hash("octets"u8))));
    }

    private static byte[] Changed(byte[] octets, int at, ulong change)
    {
        byte[] changed = [.. octets];
        BitConverter.TryWriteBytes(changed.AsSpan(at), BitConverter.ToUInt64(octets, at) ^ change);
        return changed;
    }
}
