using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Rib;

/// <content>Which prefixes changed, who still holds on to an index, and when one is free again.</content>
public sealed partial class RibShard<TPrefix>
{
    /// <summary>
    /// Hands out the prefixes whose selection changed since they were last handed out, each once; how many were written. Indexes without paths may
    /// be reused after the next call unless pinned.
    /// </summary>
    public int DrainChanges(Span<uint> into)
    {
        FreeLeaving();
        int count = _dirty.Dequeue(into);
        foreach (uint index in into[..count])
        {
            ref PrefixEntry<TPrefix> entry = ref _index[index];
            entry.Flags &= ~EntryFlags.Dirty;
            if (entry.Count == 0)
            {
                Leave(index, ref entry);
            }
        }

        return count;
    }

    /// <inheritdoc/>
    public void Pin(uint index) => _index[index].Pins++;

    /// <inheritdoc/>
    public void Pin(ReadOnlySpan<uint> indexes)
    {
        foreach (uint index in indexes)
        {
            _index[index].Pins++;
        }
    }

    /// <inheritdoc/>
    public void Unpin(uint index)
    {
        ref PrefixEntry<TPrefix> entry = ref _index[index];
        if (--entry.Pins == 0 && entry.Count == 0 && (entry.Flags & EntryFlags.Dirty) == 0)
        {
            Leave(index, ref entry);
        }
    }

    /// <inheritdoc/>
    public void Unpin(ReadOnlySpan<uint> indexes)
    {
        foreach (uint index in indexes)
        {
            Unpin(index);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void MarkDirty(uint index, ref PrefixEntry<TPrefix> entry)
    {
        if ((entry.Flags & EntryFlags.Dirty) == 0)
        {
            entry.Flags |= EntryFlags.Dirty;
            _dirty.Enqueue(index);
        }
    }

    private void Leave(uint index, ref PrefixEntry<TPrefix> entry)
    {
        if ((entry.Flags & EntryFlags.Leaving) == 0)
        {
            entry.Flags |= EntryFlags.Leaving;
            _leaving.Add(index);
        }
    }

    private void FreeLeaving()
    {
        const int window = 16;
        ReadOnlySpan<uint> leaving = CollectionsMarshal.AsSpan(_leaving);
        for (int i = 0; i < leaving.Length; i++)
        {
            if (i % window == 0)
            {
                // What a withdrawal began is finished a turn later, when the slots, which lie anywhere, are far again.
                _index.PrefetchRemoval(Window(leaving, i + (2 * window), window), entries: true);
                _index.PrefetchRemoval(Window(leaving, i + window, window), entries: false);
            }

            uint index = leaving[i];
            ref PrefixEntry<TPrefix> entry = ref _index[index];
            entry.Flags &= ~EntryFlags.Leaving;
            if (entry.Count == 0 && entry.Pins == 0 && (entry.Flags & EntryFlags.Dirty) == 0)
            {
                _index.Remove(index);
            }
        }

        _leaving.Clear();
    }

    private static ReadOnlySpan<uint> Window(ReadOnlySpan<uint> indexes, int start, int length) =>
        start < indexes.Length ? indexes.Slice(start, Math.Min(length, indexes.Length - start)) : default;
}
