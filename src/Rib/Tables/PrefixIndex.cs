using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Bgp.Protocol;

namespace Rib;

/// <summary>State of one prefix: 16 octets beside the prefix itself.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct PrefixEntry<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    internal TPrefix Prefix;

    /// <summary>First path, or 0; while the entry is free, the next free index.</summary>
    internal uint Block;

    /// <summary>Paths stored.</summary>
    internal ushort Count;

    /// <summary>Consumers that hold state under this index.</summary>
    internal ushort Pins;

    /// <summary>Size class of the block.</summary>
    internal byte Class;

    internal EntryFlags Flags;
}

[Flags]
internal enum EntryFlags : byte
{
    None = 0,
    InUse = 1,
    Dirty = 2,

    /// <summary>Some path carries a MED other than 0, so that a decision looks at the whole set.</summary>
    AnyMed = 4,

    /// <summary>Waits to be freed at the next drain.</summary>
    Leaving = 8,
}

/// <summary>
/// Exact-match index from prefixes to dense 32-bit numbers, which every other table uses in place of the prefix.
/// </summary>
/// <remarks>
/// Open addressing with linear probing at most ¾ full; a slot holds 32 bits of the hash beside the number, so that a probe that does not match costs no
/// visit to the entry. The same 32 bits say where a slot belongs, so that growing and removing read the slots in order and visit no entry at all: doubling a
/// table of a million is a few milliseconds instead of a million cache misses. Entries live in chunks that never move. Numbers are reused
/// after <see cref="Remove"/>. Memory: 8 octets a slot and the entry.
/// </remarks>
internal sealed class PrefixIndex<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private const int ChunkBits = 14;
    private const int ChunkSize = 1 << ChunkBits;

    private PrefixEntry<TPrefix>[][] _chunks = [];
    private ulong[] _slots = new ulong[64];
    private uint _limit = 1;
    private uint _firstFree;

    /// <summary>Prefixes present.</summary>
    internal int Count { get; private set; }

    /// <summary>One more than the highest number given out. Number 0 is never used.</summary>
    internal uint Limit => _limit;

    internal long Bytes => (_slots.Length * 8L) + (_chunks.Length * (long)ChunkSize * Unsafe.SizeOf<PrefixEntry<TPrefix>>());

    internal ref PrefixEntry<TPrefix> this[uint index]
    {
        // A chunk has as many entries as the mask lets through.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_chunks[index >> ChunkBits]), (nint)(index & (ChunkSize - 1)));
    }

    /// <summary>Asks the processor for the slots of prefixes that are looked up next.</summary>
    internal void Prefetch(ReadOnlySpan<TPrefix> prefixes)
    {
        if (!Sse.IsSupported)
        {
            return;
        }

        int mask = _slots.Length - 1;
        ref ulong first = ref MemoryMarshal.GetArrayDataReference(_slots);
        foreach (ref readonly TPrefix prefix in prefixes)
        {
            unsafe
            {
                Sse.Prefetch0(Unsafe.AsPointer(ref Unsafe.Add(ref first, (int)TagOf(prefix) & mask)));
            }
        }
    }

    /// <summary>Asks for the entries behind the slots that <see cref="Prefetch"/> brought in.</summary>
    internal unsafe void PrefetchEntries(ReadOnlySpan<TPrefix> prefixes)
    {
        if (!Sse.IsSupported)
        {
            return;
        }

        ulong[] slots = _slots;
        foreach (ref readonly TPrefix prefix in prefixes)
        {
            // Another prefix's is of no use, and in a table that fills up half of those looked up are new.
            uint tag = TagOf(prefix);
            ulong slot = slots[(int)tag & (slots.Length - 1)];
            if ((uint)(slot >> 32) == tag && slot != 0)
            {
                Sse.Prefetch0(Unsafe.AsPointer(ref this[(uint)slot]));
            }
        }
    }

    /// <summary>Asks for the slots, or with <paramref name="entries"/> for the entries, of indexes that are removed next.</summary>
    internal unsafe void PrefetchRemoval(ReadOnlySpan<uint> indexes, bool entries)
    {
        if (!Sse.IsSupported)
        {
            return;
        }

        int mask = _slots.Length - 1;
        ref ulong first = ref MemoryMarshal.GetArrayDataReference(_slots);
        foreach (uint index in indexes)
        {
            ref PrefixEntry<TPrefix> entry = ref this[index];
            Sse.Prefetch0(entries ? Unsafe.AsPointer(ref entry) : Unsafe.AsPointer(ref Unsafe.Add(ref first, (int)TagOf(entry.Prefix) & mask)));
        }
    }

    /// <summary>The block of the prefix, if its slot is the first one looked at; else 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint BlockOf(in TPrefix prefix)
    {
        ulong slot = FirstSlot(prefix);
        return (uint)(slot >> 32) == TagOf(prefix) && slot != 0 ? this[(uint)slot].Block : 0;
    }

    internal bool TryFind(in TPrefix prefix, out uint index)
    {
        uint tag = TagOf(prefix);
        int mask = _slots.Length - 1;
        int at = (int)tag & mask;
        ulong slot;
        while ((slot = _slots[at]) != 0)
        {
            if ((uint)(slot >> 32) == tag && this[(uint)slot].Prefix.Equals(prefix))
            {
                index = (uint)slot;
                return true;
            }

            at = (at + 1) & mask;
        }

        index = 0;
        return false;
    }

    /// <summary>The entry of a prefix; one without paths was made just now, or waits to be freed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ref PrefixEntry<TPrefix> FindOrAdd(in TPrefix prefix, out uint index)
    {
        if (Count >= _slots.Length / 4 * 3)
        {
            Grow();
        }

        uint tag = TagOf(prefix);
        int mask = _slots.Length - 1;
        int at = (int)tag & mask;
        ulong[] slots = _slots;
        ulong slot;
        while ((slot = slots[at]) != 0)
        {
            if ((uint)(slot >> 32) == tag)
            {
                ref PrefixEntry<TPrefix> known = ref this[(uint)slot];
                if (known.Prefix.Equals(prefix))
                {
                    index = (uint)slot;
                    return ref known;
                }
            }

            at = (at + 1) & mask;
        }

        index = TakeIndex();
        ref PrefixEntry<TPrefix> entry = ref this[index];
        entry = default;
        entry.Prefix = prefix;
        entry.Flags = EntryFlags.InUse;
        slots[at] = ((ulong)tag << 32) | index;
        Count++;
        return ref entry;
    }

    internal void Remove(uint index)
    {
        ref PrefixEntry<TPrefix> entry = ref this[index];
        int mask = _slots.Length - 1;
        int hole = (int)TagOf(entry.Prefix) & mask;
        while ((uint)_slots[hole] != index)
        {
            hole = (hole + 1) & mask;
        }

        int at = hole;
        while (true)
        {
            at = (at + 1) & mask;
            ulong slot = _slots[at];
            if (slot == 0)
            {
                break;
            }

            int home = (int)(slot >> 32) & mask;
            if (((at - home) & mask) >= ((at - hole) & mask))
            {
                _slots[hole] = slot;
                hole = at;
            }
        }

        _slots[hole] = 0;
        entry.Flags = EntryFlags.None;
        entry.Block = _firstFree;
        _firstFree = index;
        Count--;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ulong FirstSlot(in TPrefix prefix) => _slots[(int)TagOf(prefix) & (_slots.Length - 1)];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint TagOf(in TPrefix prefix) => (uint)(prefix.Hash >> 32);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint TakeIndex()
    {
        if (_firstFree != 0)
        {
            uint index = _firstFree;
            _firstFree = this[index].Block;
            return index;
        }

        if (_limit >> ChunkBits >= (uint)_chunks.Length)
        {
            AddChunk();
        }

        return _limit++;
    }

    private void AddChunk()
    {
        Array.Resize(ref _chunks, _chunks.Length + 1);
        _chunks[^1] = new PrefixEntry<TPrefix>[ChunkSize];
    }

    private void Grow()
    {
        ulong[] old = _slots;
        ulong[] slots = new ulong[old.Length * 2];
        FreshMemory.Touch(slots);
        int mask = slots.Length - 1;
        foreach (ulong slot in old)
        {
            if (slot == 0)
            {
                continue;
            }

            int at = (int)(slot >> 32) & mask;
            while (slots[at] != 0)
            {
                at = (at + 1) & mask;
            }

            slots[at] = slot;
        }

        _slots = slots;
    }
}
