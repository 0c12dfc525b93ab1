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

    internal bool TryTake(out uint index)
    {
        if (!_queue.TryDequeue(out index))
        {
            return false;
        }

        Taken++;
        _bits[index >> 6] &= ~(1UL << (int)(index & 63));
        return true;
    }

    /// <summary>See <see cref="IndexQueue.Peek"/>.</summary>
    internal uint Peek(int offset) => _queue.Peek(offset);
}
