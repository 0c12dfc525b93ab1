using System.Numerics;

namespace Rib;

/// <summary>
/// Prefix indexes whose export has to be computed again, each at most once, first in first out: memory is bounded by the number of prefixes,
/// however often they change while the group cannot keep up.
/// </summary>
internal sealed class DirtySet
{
    private readonly IndexQueue _queue = new();
    private ulong[] _bits = new ulong[16];

    internal int Count => _queue.Count;

    internal long Bytes => (_bits.Length * 8L) + _queue.Bytes;

    /// <summary>How many were ever added, and how many were ever taken: an index added before a ticket is out when Taken has reached it.</summary>
    internal ulong Added { get; private set; }

    internal ulong Taken { get; private set; }

    internal void Add(uint index) => Add(new ReadOnlySpan<uint>(in index));

    internal void Add(ReadOnlySpan<uint> indexes)
    {
        ulong[] bits = _bits;
        ulong added = 0;
        foreach (uint index in indexes)
        {
            if (index >> 6 >= (uint)bits.Length)
            {
                Grow(index);
                bits = _bits;
            }

            ref ulong word = ref bits[index >> 6];
            ulong bit = 1UL << (int)(index & 63);
            if ((word & bit) == 0)
            {
                word |= bit;
                _queue.Enqueue(index);
                added++;
            }
        }

        Added += added;
    }

    private void Grow(uint index) => Array.Resize(ref _bits, (int)BitOperations.RoundUpToPowerOf2((index >> 6) + 1));

    /// <summary>Takes the first ones, as many as there are and fit.</summary>
    internal int Take(Span<uint> into)
    {
        int count = _queue.Dequeue(into);
        foreach (uint index in into[..count])
        {
            _bits[index >> 6] &= ~(1UL << (int)(index & 63));
        }

        Taken += (ulong)count;
        return count;
    }
}
