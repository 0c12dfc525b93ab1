using System.Buffers.Binary;

namespace Bgp.Load;

/// <summary>A generator of numbers that is the same on every machine: splitmix64.</summary>
internal struct Dice(ulong seed)
{
    private ulong _state = seed;

    internal ulong Next()
    {
        ulong z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    internal int Below(int bound) => (int)((Next() >> 32) * (ulong)bound >> 32);
}

/// <summary>
/// A table with the shape of the internet's: 61 % /24, nested more-specifics, on average six prefixes that share one set of attributes, paths of 3 to 6 AS
/// numbers, communities on 60 % of the sets, MED on 25 %. The same seed gives the same octets.
/// </summary>
internal sealed class InternetTable
{
    private readonly Prefix[] _prefixes;
    private readonly List<(int Start, int Count)> _groups = [];

    internal InternetTable(int count, ulong seed = 1)
    {
        Dice dice = new(seed);
        PrefixSpace space = PrefixSpace.Internet;
        ulong[] taken = new ulong[(space.Size + 63) / 64];
        _prefixes = new Prefix[count];
        for (int i = 0; i < count;)
        {
            int length = Length(dice.Below(1000));
            uint address = (0x20000000 | (uint)(dice.Next() >> 35)) & (uint.MaxValue << (32 - length));
            int number = space.Number(address, length);
            if ((taken[number >> 6] >> number & 1) == 0)
            {
                taken[number >> 6] |= 1UL << number;
                _prefixes[i++] = new Prefix(address, length);
            }
        }

        // Geometric group sizes with mean 6: each further prefix joins with 5/6.
        for (int start = 0; start < count;)
        {
            int size = 1;
            while (start + size < count && dice.Below(6) != 0)
            {
                size++;
            }

            _groups.Add((start, size));
            start += size;
        }
    }

    internal ReadOnlySpan<Prefix> Prefixes => _prefixes;

    internal IEnumerable<Prefix> All => _prefixes;

    /// <summary>Distinct sets of attributes.</summary>
    internal int Groups => _groups.Count;

    /// <summary>The table as one speaker announces it.</summary>
    /// <param name="ebgp">Whether the first AS is the speaker's own; an internal speaker adds LOCAL_PREF instead.</param>
    internal UpdateStream Announcements(uint asn, uint nextHop, bool ebgp)
    {
        UpdateStream stream = new();
        byte[] attributes = new byte[512];
        for (int group = 0; group < _groups.Count; group++)
        {
            (int start, int count) = _groups[group];
            int length = WriteAttributes(attributes, group, asn, nextHop, ebgp, BasePathLength(group));
            stream.Announce(attributes.AsSpan(0, length), _prefixes.AsSpan(start, count));
        }

        return stream;
    }

    /// <summary>
    /// The table as speaker number <paramref name="speaker"/> of <paramref name="speakers"/> announces it: for a tenth of the groups (of ten) its path is the
    /// shortest by one AS number, for the rest one to three longer than the best.
    /// </summary>
    internal UpdateStream Announcements(uint asn, uint nextHop, int speaker, int speakers)
    {
        UpdateStream stream = new();
        byte[] attributes = new byte[512];
        for (int group = 0; group < _groups.Count; group++)
        {
            (int start, int count) = _groups[group];
            int length = WriteAttributes(attributes, group, asn, nextHop, true, PathLength(group, speaker, speakers));
            stream.Announce(attributes.AsSpan(0, length), _prefixes.AsSpan(start, count));
        }

        return stream;
    }

    internal UpdateStream Withdrawals()
    {
        UpdateStream stream = new();
        stream.Withdraw(_prefixes);
        return stream;
    }

    /// <summary>Length of the shortest path that the speakers in <paramref name="alive"/> offer, plus <paramref name="added"/>, per prefix number.</summary>
    internal byte[] ShortestPaths(int speakers, Func<int, bool> alive, int added)
    {
        byte[] expected = new byte[PrefixSpace.Internet.Size];
        for (int group = 0; group < _groups.Count; group++)
        {
            int shortest = int.MaxValue;
            for (int speaker = 0; speaker < speakers; speaker++)
            {
                shortest = alive(speaker) ? Math.Min(shortest, PathLength(group, speaker, speakers)) : shortest;
            }

            (int start, int count) = _groups[group];
            foreach (Prefix prefix in _prefixes.AsSpan(start, count))
            {
                expected[PrefixSpace.Internet.Number(prefix.Address, prefix.Length)] = (byte)(shortest + added);
            }
        }

        return expected;
    }

    private static int BasePathLength(int group) => 3 + new Dice((ulong)group * 7919 + 1).Below(4);

    private static int PathLength(int group, int speaker, int speakers) =>
        BasePathLength(group) + (group % speakers == speaker ? 0 : 1 + ((speaker * 7 + group) % 3));

    private static int Length(int roll) => roll switch
    {
        < 610 => 24,
        < 730 => 23,
        < 857 => 22,
        < 917 => 21,
        < 967 => 20,
        < 991 => 19,
        < 998 => 18,
        < 999 => 17,
        _ => 16,
    };

    private static int WriteAttributes(Span<byte> into, int group, uint asn, uint nextHop, bool ebgp, int pathLength)
    {
        // The dice are the group's own, so that every speaker tells the same story about its origin.
        Dice dice = new((ulong)group + 0x5EED);
        AttributeWriter writer = new(into);
        writer.Origin(dice.Below(10) == 0 ? (byte)2 : (byte)0);
        Span<uint> path = stackalloc uint[pathLength];
        for (int i = 0; i < pathLength; i++)
        {
            path[i] = 1000 + (uint)dice.Below(60000);
        }

        if (ebgp)
        {
            path[0] = asn;
        }

        writer.AsPath(path);
        writer.NextHop(nextHop);
        if (dice.Below(4) == 0)
        {
            writer.Med((uint)dice.Below(1000));
        }

        if (!ebgp)
        {
            writer.LocalPref(100);
        }

        if (dice.Below(10) < 6)
        {
            Span<uint> communities = stackalloc uint[1 + dice.Below(6)];
            foreach (ref uint community in communities)
            {
                community = ((uint)dice.Below(64000) + 1000) << 16 | (uint)dice.Below(1000);
            }

            writer.Communities(communities);
        }

        return writer.Length;
    }
}

/// <summary>Writes path attributes one after another, in the order of their codes.</summary>
internal ref struct AttributeWriter(Span<byte> into)
{
    private readonly Span<byte> _into = into;

    internal int Length { get; private set; }

    internal void Origin(byte origin) => Put(0x40, 1, 1)[0] = origin;

    internal void AsPath(scoped ReadOnlySpan<uint> path)
    {
        Span<byte> value = Put(0x40, 2, path.Length == 0 ? 0 : 2 + 4 * path.Length);
        if (path.Length > 0)
        {
            value[0] = 2;
            value[1] = (byte)path.Length;
            PutAll(value[2..], path);
        }
    }

    internal void NextHop(uint address) => BinaryPrimitives.WriteUInt32BigEndian(Put(0x40, 3, 4), address);

    internal void Med(uint value) => BinaryPrimitives.WriteUInt32BigEndian(Put(0x80, 4, 4), value);

    internal void LocalPref(uint value) => BinaryPrimitives.WriteUInt32BigEndian(Put(0x40, 5, 4), value);

    internal void Communities(scoped ReadOnlySpan<uint> communities) => PutAll(Put(0xC0, 8, 4 * communities.Length), communities);

    private static void PutAll(Span<byte> into, scoped ReadOnlySpan<uint> values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(into[(4 * i)..], values[i]);
        }
    }

    private Span<byte> Put(byte flags, byte code, int length)
    {
        _into[Length] = flags;
        _into[Length + 1] = code;
        _into[Length + 2] = (byte)length;
        Length += 3 + length;
        return _into.Slice(Length - length, length);
    }
}
