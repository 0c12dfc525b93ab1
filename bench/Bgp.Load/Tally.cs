using System.Numerics;

namespace Bgp.Load;

/// <summary>
/// What one receiver holds now: announced minus withdrawn, each prefix once. A result counts only when this equals the expected set.
/// </summary>
/// <remarks>
/// Two forms. Plain: a bit per prefix. With path lengths: an octet per prefix, the length of the AS path it was last announced with, which matches when it
/// is the one expected; so "the best of ten paths arrived" can be told from "some path arrived".
/// </remarks>
internal sealed unsafe class Tally
{
    private readonly PrefixSpace _space;
    private readonly ulong* _bits;
    private readonly byte* _lengths;
    private byte* _expected;

    internal Tally(PrefixSpace space, bool pathLengths = false)
    {
        _space = space;
        if (pathLengths)
        {
            _lengths = Native.Reserve(space.Size + 8);
        }
        else
        {
            _bits = (ulong*)Native.Reserve((space.Size + 63) / 64 * 8);
        }
    }

    /// <summary>Whether announcements must carry the length of their AS path.</summary>
    internal bool WantsLengths => _lengths != null;

    /// <summary>Prefixes held; with path lengths those whose length is the expected one.</summary>
    internal int Count { get; private set; }

    /// <summary>The count to reach.</summary>
    internal int Target { get; set; } = -1;

    internal bool AtTarget => Count == Target;

    /// <summary>
    /// Prefixes that this speaker announces itself, by number. Some reflectors send a client its own routes, which it would drop for their ORIGINATOR_ID
    /// (RFC 4456 section 8): they do not count.
    /// </summary>
    internal (int First, int Count) Own { get; set; }

    /// <summary>NLRI seen since the start, repeats included.</summary>
    internal long Announced { get; private set; }

    internal long Withdrawn { get; private set; }

    /// <summary>Prefixes outside the space, or outside the expected set: the run is void.</summary>
    internal long Unexpected { get; private set; }

    internal bool Holds(int number) => _lengths != null ? _lengths[number] != 0 : (_bits[number >> 6] >> number & 1) != 0;

    /// <summary>Gives the expected AS path lengths (0: no such prefix), one octet per number of the space.</summary>
    internal void ExpectLengths(byte* expected)
    {
        _expected = expected;
        Count = 0;
        for (int i = 0; i < _space.Size; i++)
        {
            Count += expected[i] != 0 && _lengths[i] == expected[i] ? 1 : 0;
        }
    }

    /// <summary>Forgets everything: before a route refresh.</summary>
    internal void Clear()
    {
        new Span<ulong>(_bits, (_space.Size + 63) / 64).Clear();
        Count = 0;
    }

    internal void Announce(uint address, int length, int pathLength)
    {
        Announced++;
        int number = _space.Number(address, length);
        if (number < 0)
        {
            Unexpected++;
            return;
        }

        if ((uint)(number - Own.First) < (uint)Own.Count)
        {
            return;
        }

        if (_lengths != null)
        {
            int expected = _expected[number];
            if (expected == 0)
            {
                Unexpected++;
                return;
            }

            Count += (pathLength == expected ? 1 : 0) - (_lengths[number] == expected ? 1 : 0);
            _lengths[number] = (byte)pathLength;
            return;
        }

        ulong bit = 1UL << number;
        ulong word = _bits[number >> 6];
        if ((word & bit) == 0)
        {
            _bits[number >> 6] = word | bit;
            Count++;
        }
    }

    internal void Withdraw(uint address, int length)
    {
        Withdrawn++;
        int number = _space.Number(address, length);
        if (number < 0 || (uint)(number - Own.First) < (uint)Own.Count)
        {
            return;
        }

        if (_lengths != null)
        {
            Count -= _lengths[number] != 0 && _lengths[number] == _expected[number] ? 1 : 0;
            _lengths[number] = 0;
            return;
        }

        ulong bit = 1UL << number;
        ulong word = _bits[number >> 6];
        if ((word & bit) != 0)
        {
            _bits[number >> 6] = word & ~bit;
            Count--;
        }
    }

    /// <summary>How many prefixes differ from <paramref name="expected"/>, but for its own.</summary>
    internal int Differences(ReadOnlySpan<ulong> expected)
    {
        int differences = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            differences += BitOperations.PopCount(expected[i] ^ _bits[i]);
        }

        for (int number = Own.First; number < Own.First + Own.Count; number++)
        {
            differences -= (expected[number >> 6] >> number & 1) != 0 ? 1 : 0;
        }

        return differences;
    }
}

/// <summary>A set of prefixes as bits.</summary>
internal static class PrefixBits
{
    internal static ulong[] Of(PrefixSpace space, IEnumerable<Prefix> prefixes)
    {
        ulong[] bits = new ulong[(space.Size + 63) / 64];
        foreach (Prefix prefix in prefixes)
        {
            int number = space.Number(prefix.Address, prefix.Length);
            bits[number >> 6] |= 1UL << number;
        }

        return bits;
    }
}
