using System.Numerics;

namespace Rib;

/// <summary>
/// Prefix indexes whose export has to be computed again, each at most once, first in first out: memory is bounded by the number of prefixes,
/// however often they change while the group cannot keep up.
/// </summary>
internal sealed class DirtySet
{
    private ulong[] _bits = new ulong[16];
    private uint[] _queue = new uint[64];
    private int _head;
    private int _count;

    internal int Count => _count;

    internal long Bytes => (_bits.Length * 8L) + (_queue.Length * 4L);

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

        ulong bit = 1UL << (int)(index & 63);
        if ((_bits[word] & bit) != 0)
        {
            return;
        }

        _bits[word] |= bit;
        if (_count == _queue.Length)
        {
            Grow();
        }

        _queue[(_head + _count) & (_queue.Length - 1)] = index;
        _count++;
        Added++;
    }

    internal bool TryTake(out uint index)
    {
        if (_count == 0)
        {
            index = 0;
            return false;
        }

        index = _queue[_head];
        _head = (_head + 1) & (_queue.Length - 1);
        _count--;
        Taken++;
        _bits[index >> 6] &= ~(1UL << (int)(index & 63));
        return true;
    }

    private void Grow()
    {
        uint[] longer = new uint[_queue.Length * 2];
        int first = Math.Min(_count, _queue.Length - _head);
        _queue.AsSpan(_head, first).CopyTo(longer);
        _queue.AsSpan(0, _count - first).CopyTo(longer.AsSpan(first));
        _queue = longer;
        _head = 0;
    }
}
