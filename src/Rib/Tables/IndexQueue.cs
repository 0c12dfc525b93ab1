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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryDequeue(out uint index)
    {
        if (Count == 0)
        {
            index = 0;
            return false;
        }

        index = _items[_head];
        _head = (_head + 1) & (_items.Length - 1);
        Count--;
        return true;
    }

    /// <summary>The index that comes out after <paramref name="offset"/> others, or 0: for whoever wants its data near by then.</summary>
    internal uint Peek(int offset) => offset < Count ? _items[(_head + offset) & (_items.Length - 1)] : 0;

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
