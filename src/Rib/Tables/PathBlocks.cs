using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Rib;

/// <summary>
/// Storage for paths: contiguous blocks of 1, 2, 4, … paths in chunks of 65,536, handed out by size class.
/// </summary>
/// <remarks>
/// A prefix's paths lie side by side, so that a decision over 16 of them touches four cache lines instead of following 16 pointers. A block that is
/// outgrown moves to the next class; freed blocks go to their class's list, chained through their own memory. ADD-PATH identifiers live in parallel
/// pages that exist only for chunks where one is used.
/// </remarks>
internal sealed class PathBlocks
{
    /// <summary>Largest class: 2^12 paths to one prefix.</summary>
    internal const int MaxClass = 12;

    private const int ChunkBits = 16;
    private const int ChunkSize = 1 << ChunkBits;

    private readonly uint[] _free = new uint[MaxClass + 1];
    private Path[][] _chunks = [];
    private uint[]?[] _pathIds = [];
    private uint _next = 1;
    private bool _anyPathIds;

    /// <summary>Octets held.</summary>
    internal long Bytes
    {
        get
        {
            long bytes = _chunks.Length * (long)ChunkSize * 16;
            foreach (uint[]? page in _pathIds)
            {
                bytes += page is null ? 0 : ChunkSize * 4;
            }

            return bytes;
        }
    }

    /// <summary>A block for one path: <see cref="Allocate"/> of 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint AllocateOne() => _free[0] == 0 && (_next & (ChunkSize - 1)) > 1 ? _next++ : Allocate(0);

    /// <summary>A block of 2^<paramref name="size"/> paths with unspecified content; never 0.</summary>
    internal uint Allocate(int size)
    {
        uint block = _free[size];
        if (block != 0)
        {
            _free[size] = At(block).Attr;
            return block;
        }

        uint length = 1u << size;
        uint left = (ChunkSize - (_next & (ChunkSize - 1))) & (ChunkSize - 1);
        if (_chunks.Length == 0 || left < length)
        {
            if (_chunks.Length > 0)
            {
                Retire(left);
                _next += left;
            }

            Array.Resize(ref _chunks, _chunks.Length + 1);
            Array.Resize(ref _pathIds, _chunks.Length);
            _chunks[^1] = new Path[ChunkSize];
            if (_chunks.Length == 1)
            {
                _next = 1;
            }
        }

        block = _next;
        _next += length;
        return block;
    }

    internal void Free(uint block, int size)
    {
        At(block).Attr = _free[size];
        _free[size] = block;
    }

    // A chunk has as many paths as the mask lets through.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ref Path At(uint block) =>
        ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_chunks[block >> ChunkBits]), (nint)(block & (ChunkSize - 1)));

    internal Span<Path> Span(uint block, int count) => _chunks[block >> ChunkBits].AsSpan((int)(block & (ChunkSize - 1)), count);

    /// <summary>Asks the processor for a block.</summary>
    internal unsafe void Prefetch(uint block)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(Unsafe.AsPointer(ref _chunks[block >> ChunkBits][block & (ChunkSize - 1)]));
        }
    }

    internal uint PathId(uint at) => _anyPathIds && _pathIds[at >> ChunkBits] is { } page ? page[at & (ChunkSize - 1)] : 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void SetPathId(uint at, uint pathId)
    {
        // Without ADD-PATH there is no page, and nothing to look up.
        if (pathId != 0 || _anyPathIds)
        {
            StorePathId(at, pathId);
        }
    }

    private void StorePathId(uint at, uint pathId)
    {
        _anyPathIds = true;
        ref uint[]? page = ref _pathIds[at >> ChunkBits];
        if (page is null)
        {
            if (pathId == 0)
            {
                return;
            }

            page = new uint[ChunkSize];
        }

        page[at & (ChunkSize - 1)] = pathId;
    }

    /// <summary>The rest of a chunk that is too short for a request becomes free blocks of smaller classes.</summary>
    private void Retire(uint left)
    {
        uint at = _next;
        while (left > 0)
        {
            int size = Math.Min(MaxClass, 31 - System.Numerics.BitOperations.LeadingZeroCount(left));
            Free(at, size);
            at += 1u << size;
            left -= 1u << size;
        }
    }
}
