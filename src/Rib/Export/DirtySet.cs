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

    internal void Add(uint index)
    {
        int word = (int)(index >> 6);
        if (word >= _bits.Length)
        {
            Array.Resize(ref _bits, (int)BitOperations.RoundUpToPowerOf2((uint)word + 1));
        }

        ref ulong bits = ref _bits[word];
        ulong bit = 1UL << (int)(index & 63);
        if ((bits & bit) == 0)
        {
            bits |= bit;
            _queue.Enqueue(index);
            Added++;
        }
    }

    internal void Add(ReadOnlySpan<uint> indexes)
    {
        foreach (uint index in indexes)
        {
            Add(index);
        }
    }

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
