using System.Runtime.CompilerServices;

namespace Rib;

/// <summary>A first-in first-out queue of prefix indexes over one array: what every changed route goes through twice.</summary>
internal sealed class IndexQueue
{
    private uint[] _items = new uint[64];
    private int _head;

    internal int Count { get; private set; }

    /// <summary>Octets held.</summary>
    internal long Bytes => _items.Length * (long)sizeof(uint);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Enqueue(uint index)
    {
        if (Count == _items.Length)
        {
            Grow();
        }

        _items[(_head + Count) & (_items.Length - 1)] = index;
        Count++;
    }

    /// <summary>Takes the first ones, as many as there are and fit.</summary>
    internal int Dequeue(Span<uint> into)
    {
        int count = Math.Min(Count, into.Length);
        int first = Math.Min(count, _items.Length - _head);
        _items.AsSpan(_head, first).CopyTo(into);
        _items.AsSpan(0, count - first).CopyTo(into[first..]);
        _head = (_head + count) & (_items.Length - 1);
        Count -= count;
        return count;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Grow()
    {
        uint[] longer = new uint[_items.Length * 2];
        int first = Math.Min(Count, _items.Length - _head);
        _items.AsSpan(_head, first).CopyTo(longer);
        _items.AsSpan(0, Count - first).CopyTo(longer.AsSpan(first));
        _items = longer;
        _head = 0;
    }
}
