using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Rib;

/// <summary>
/// Storage for many small immutable runs of octets outside the collector's sight: slabs of 64 KB, each cut into blocks of one size.
/// </summary>
/// <remarks>
/// Sizes go in steps of 8 octets up to 128 and in four steps per doubling after that, so a block wastes a tenth of itself at most, on average a twentieth. A slab
/// whose last block is freed goes back, so memory follows the sets that exist and not the largest number there ever was, unless they leave single survivors in
/// every slab. What is longer than a slab has a slab of its own. Arrays and not native memory: bounds stay checked and nothing leaks with a bug.
/// <para>Threads: one at a time allocates and frees (the caller's lock); <see cref="Read"/> needs no lock while the caller knows the block to be in use.</para>
/// </remarks>
internal sealed class OctetStore
{
    private const int SlabSize = 65536;
    private const int OffsetBits = 13;
    private const int OffsetMask = (1 << OffsetBits) - 1;
    private const int None = -1;

    // 16 steps of 8, then 4 per doubling from 128 to 65536.
    private const int LinearClasses = 16;
    private const int Classes = LinearClasses + (4 * 9);

    private readonly int[] _partial = new int[Classes];
    private byte[][] _octets = [];
    private Slab[] _slabs = [];
    private int _count;
    private int _firstFree = None;
    private byte[]? _spare;

    /// <summary>The state of a slab beside its octets.</summary>
    private struct Slab
    {
        /// <summary>Octets of a block; 0 for one that holds a single long run.</summary>
        internal int Block;
        internal int Class;
        internal int Live;

        /// <summary>First octet that was never handed out.</summary>
        internal int Fresh;

        /// <summary>Offset of the first freed block, which holds the offset of the next.</summary>
        internal int Free;

        /// <summary>Neighbours among the slabs of the class that have room; <see cref="Next"/> also chains numbers that are free.</summary>
        internal int Next;
        internal int Previous;
    }

    internal OctetStore() => _partial.AsSpan().Fill(None);

    /// <summary>Octets of all slabs.</summary>
    internal long Bytes { get; private set; }

    /// <summary>Stores a copy; the address is for <see cref="Read"/> and <see cref="Free"/>.</summary>
    internal uint Add(ReadOnlySpan<byte> octets)
    {
        if (octets.Length > SlabSize)
        {
            int single = TakeNumber(GC.AllocateUninitializedArray<byte>(octets.Length));
            _slabs[single] = new Slab { Live = 1, Free = None };
            octets.CopyTo(_octets[single]);
            return (uint)single << OffsetBits;
        }

        int size = ClassOf(octets.Length);
        int number = _partial[size];
        if (number == None)
        {
            number = TakeNumber(_spare ?? GC.AllocateUninitializedArray<byte>(SlabSize, pinned: true));
            _spare = null;
            _slabs[number] = new Slab { Block = SizeOf(size), Class = size, Free = None, Previous = None };
            Link(number, ref _slabs[number]);
        }

        ref Slab slab = ref _slabs[number];
        int offset = slab.Free;
        if (offset != None)
        {
            slab.Free = BinaryPrimitives.ReadInt32LittleEndian(_octets[number].AsSpan(offset));
        }
        else
        {
            offset = slab.Fresh;
            slab.Fresh += slab.Block;
        }

        slab.Live++;
        if (IsFull(slab))
        {
            Unlink(ref slab);
        }

        octets.CopyTo(_octets[number].AsSpan(offset));
        return ((uint)number << OffsetBits) | (uint)(offset >> 3);
    }

    /// <summary>The octets at an address.</summary>
    internal ReadOnlySpan<byte> Read(uint address, int length) =>
        Volatile.Read(ref _octets)[address >> OffsetBits].AsSpan((int)(address & OffsetMask) << 3, length);

    /// <summary>Asks the processor for the first octets at an address, as many as most sets have.</summary>
    internal unsafe void Prefetch(uint address, int length)
    {
        if (Sse.IsSupported)
        {
            ref byte first = ref MemoryMarshal.GetReference(Read(address, length));
            Sse.Prefetch0(Unsafe.AsPointer(ref first));
            if (length > 64)
            {
                Sse.Prefetch0(Unsafe.AsPointer(ref Unsafe.Add(ref first, 64)));
            }
        }
    }

    /// <summary>Gives a block back.</summary>
    internal void Free(uint address)
    {
        int number = (int)(address >> OffsetBits);
        ref Slab slab = ref _slabs[number];
        if (--slab.Live == 0)
        {
            Drop(number, ref slab);
            return;
        }

        bool wasFull = IsFull(slab);
        int offset = (int)(address & OffsetMask) << 3;
        BinaryPrimitives.WriteInt32LittleEndian(_octets[number].AsSpan(offset), slab.Free);
        slab.Free = offset;
        if (wasFull)
        {
            Link(number, ref slab);
        }
    }

    private static int ClassOf(int length)
    {
        if (length <= 128)
        {
            return Math.Max(0, (length - 1) >> 3);
        }

        int doubling = BitOperations.Log2((uint)(length - 1));
        return LinearClasses + ((doubling - 7) << 2) + (((length - 1) >> (doubling - 2)) & 3);
    }

    private static int SizeOf(int size)
    {
        if (size < LinearClasses)
        {
            return (size + 1) << 3;
        }

        int doubling = 7 + ((size - LinearClasses) >> 2);
        return (1 << doubling) + ((((size - LinearClasses) & 3) + 1) << (doubling - 2));
    }

    private static bool IsFull(in Slab slab) => slab.Free == None && slab.Fresh + slab.Block > SlabSize;

    private int TakeNumber(byte[] octets)
    {
        Bytes += octets.Length;
        int number = _firstFree;
        if (number != None)
        {
            _firstFree = _slabs[number].Next;
            Volatile.Write(ref _octets[number], octets);
            return number;
        }

        if (_count == _slabs.Length)
        {
            int length = Math.Max(8, _count * 2);
            byte[][] longer = new byte[length][];
            _octets.CopyTo(longer, 0);
            Array.Resize(ref _slabs, length);
            Volatile.Write(ref _octets, longer);
        }

        _octets[_count] = octets;
        return _count++;
    }

    private void Drop(int number, ref Slab slab)
    {
        byte[] octets = _octets[number];
        Bytes -= octets.Length;
        if (slab.Block != 0)
        {
            if (!IsFull(slab))
            {
                Unlink(ref slab);
            }

            // One is kept: a set that comes and goes alone in its size must not cost an allocation each time.
            _spare ??= octets;
        }

        _octets[number] = null!;
        slab.Next = _firstFree;
        _firstFree = number;
    }

    private void Link(int number, ref Slab slab)
    {
        slab.Previous = None;
        slab.Next = _partial[slab.Class];
        if (slab.Next != None)
        {
            _slabs[slab.Next].Previous = number;
        }

        _partial[slab.Class] = number;
    }

    private void Unlink(ref Slab slab)
    {
        if (slab.Previous != None)
        {
            _slabs[slab.Previous].Next = slab.Next;
        }
        else
        {
            _partial[slab.Class] = slab.Next;
        }

        if (slab.Next != None)
        {
            _slabs[slab.Next].Previous = slab.Previous;
        }
    }
}
