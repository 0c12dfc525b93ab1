using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Rib;

/// <summary>What a group last announced under one prefix index (and path slot).</summary>
/// <param name="Attr">The exported attribute set; 0 for nothing.</param>
/// <param name="Source">Index of the peer whose route it is.</param>
/// <param name="PathTag">Low half of the path identifier it was received with: with the source, which path this is.</param>
public readonly record struct AdjRibOutEntry(uint Attr, ushort Source, ushort PathTag)
{
    /// <summary>Whether nothing is announced.</summary>
    public bool IsNone => Attr == 0;

    /// <inheritdoc/>
    public bool Equals(AdjRibOutEntry other) => Unsafe.BitCast<AdjRibOutEntry, ulong>(this) == Unsafe.BitCast<AdjRibOutEntry, ulong>(other);

    /// <inheritdoc/>
    public override int GetHashCode() => Unsafe.BitCast<AdjRibOutEntry, ulong>(this).GetHashCode();
}

/// <summary>
/// The Adj-RIB-Out of a whole group (RFC 4271 section 3.2): prefix index → exported attribute set and the peer whose route it is.
/// </summary>
/// <remarks>
/// 8 bytes per prefix per group, whatever the number of members: what one member was sent follows from the entry and the member, since the only
/// difference between members is that a route does not go back to its source. With ADD-PATH there are as many slots per prefix as paths are sent, and
/// every slot is a prefix of its own for the purposes of change and withdrawal.
/// <para>Chunks of 64K entries: growing copies no entry and makes no huge array. What is looked up is nearly always replaced, so a place counts as reachable once its page
/// was written to (<see cref="FreshMemory"/>): a chunk takes memory as it fills.</para>
/// </remarks>
internal sealed class AdjRibOut(int stride)
{
    private const int ChunkBits = 16;
    private const int ChunkSize = 1 << ChunkBits;

    // 32 KB of entries.
    private const int TouchSize = 1 << 12;

    private AdjRibOutEntry[][] _chunks = [];
    private int[] _bySource = new int[16];

    // Places below may be written to: their chunks exist, and their pages are ours.
    private ulong _reachable;

    /// <summary>Slots per prefix.</summary>
    internal int Stride => stride;

    /// <summary>Octets held.</summary>
    internal long Bytes => ((long)_chunks.Length * ChunkSize * 8) + (_bySource.Length * 4L);

    /// <summary>Entries in use.</summary>
    internal int Count { get; private set; }

    /// <summary>The entry of a slot.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal AdjRibOutEntry Get(uint index, int slot)
    {
        ulong at = ((ulong)index * (uint)stride) + (uint)slot;
        ulong chunk = at >> ChunkBits;
        return chunk < (ulong)_chunks.Length ? _chunks[chunk][at & (ChunkSize - 1)] : default;
    }

    /// <summary>Asks the processor for the entries of prefixes, without ADD-PATH.</summary>
    internal unsafe void Prefetch(ReadOnlySpan<uint> indexes)
    {
        if (!Sse.IsSupported)
        {
            return;
        }

        AdjRibOutEntry[][] chunks = _chunks;
        foreach (uint index in indexes)
        {
            if (index >> ChunkBits < (uint)chunks.Length)
            {
                Sse.Prefetch0(Unsafe.AsPointer(ref chunks[index >> ChunkBits][index & (ChunkSize - 1)]));
            }
        }
    }

    /// <summary>Replaces the entry of a slot.</summary>
    internal void Set(uint index, int slot, AdjRibOutEntry entry)
    {
        ulong at = ((ulong)index * (uint)stride) + (uint)slot;
        if (at >= _reachable)
        {
            Grow(at);
        }

        ref AdjRibOutEntry place = ref _chunks[at >> ChunkBits][at & (ChunkSize - 1)];
        AdjRibOutEntry old = place;
        place = entry;
        if (!old.IsNone)
        {
            Counted(old.Source, -1);
        }

        if (!entry.IsNone)
        {
            Counted(entry.Source, 1);
        }
    }

    /// <summary>Where the entry of a prefix is, without ADD-PATH. Who changes it says so to <see cref="Counted"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ref AdjRibOutEntry Place(uint index)
    {
        if (index >= _reachable)
        {
            Grow(index);
        }

        return ref _chunks[index >> ChunkBits][index & (ChunkSize - 1)];
    }

    /// <summary>A source has more entries, or fewer.</summary>
    internal void Counted(ushort source, int change)
    {
        if (source >= _bySource.Length)
        {
            Array.Resize(ref _bySource, Math.Max(source + 1, _bySource.Length * 2));
        }

        Count += change;
        _bySource[source] += change;
    }

    private void Grow(ulong at)
    {
        int known = _chunks.Length;
        int chunk = (int)(at >> ChunkBits);
        if (chunk >= known)
        {
            Array.Resize(ref _chunks, chunk + 1);
            for (int i = known; i <= chunk; i++)
            {
                _chunks[i] = new AdjRibOutEntry[ChunkSize];
            }
        }

        for (; _reachable <= at; _reachable += TouchSize)
        {
            FreshMemory.Touch(_chunks[_reachable >> ChunkBits].AsSpan((int)(_reachable & (ChunkSize - 1)), TouchSize));
        }
    }

    /// <summary>How many entries a member with this peer index was sent: all but its own.</summary>
    internal int CountFor(ushort peer) => Count - (peer < _bySource.Length ? _bySource[peer] : 0);

    /// <summary>One more than the highest index that may hold an entry.</summary>
    internal uint Limit => (uint)(((ulong)_chunks.Length << ChunkBits) / (uint)stride);

    /// <summary>A copy. The actions take the references that an entry and its prefix index need.</summary>
    internal AdjRibOut Copy(Action<AdjRibOutEntry> entry, Action<uint> index)
    {
        AdjRibOut copy = new(stride) { _chunks = [.. _chunks.Select(static chunk => (AdjRibOutEntry[])chunk.Clone())], _bySource = [.. _bySource], Count = Count, _reachable = _reachable };
        copy.ForEach(entry, index);
        return copy;
    }

    /// <summary>Empties it. The actions give the references back.</summary>
    internal void Clear(Action<AdjRibOutEntry> entry, Action<uint> index)
    {
        ForEach(entry, index);
        (_chunks, _bySource, _reachable, Count) = ([], new int[16], 0, 0);
    }

    private void ForEach(Action<AdjRibOutEntry> entry, Action<uint> index)
    {
        for (int chunk = 0; chunk < _chunks.Length; chunk++)
        {
            AdjRibOutEntry[] entries = _chunks[chunk];
            for (int i = 0; i < entries.Length; i++)
            {
                if (!entries[i].IsNone)
                {
                    entry(entries[i]);
                    index((uint)((((ulong)chunk << ChunkBits) + (ulong)i) / (uint)stride));
                }
            }
        }
    }
}
