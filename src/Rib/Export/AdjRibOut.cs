namespace Rib;

/// <summary>What a group last announced under one prefix index (and path slot).</summary>
/// <param name="Attr">The exported attribute set; 0 for nothing.</param>
/// <param name="Source">Index of the peer whose route it is.</param>
/// <param name="PathTag">Low half of the path identifier it was received with: with the source, which path this is.</param>
public readonly record struct AdjRibOutEntry(uint Attr, ushort Source, ushort PathTag)
{
    /// <summary>Whether nothing is announced.</summary>
    public bool IsNone => Attr == 0;
}

/// <summary>
/// The Adj-RIB-Out of a whole group (RFC 4271 section 3.2): prefix index → exported attribute set and the peer whose route it is.
/// </summary>
/// <remarks>
/// 8 bytes per prefix per group, whatever the number of members: what one member was sent follows from the entry and the member, since the only
/// difference between members is that a route does not go back to its source. With ADD-PATH there are as many slots per prefix as paths are sent, and
/// every slot is a prefix of its own for the purposes of change and withdrawal.
/// <para>Chunks of 64K entries: growing copies no entry and makes no huge array.</para>
/// </remarks>
internal sealed class AdjRibOut(int stride)
{
    private const int ChunkBits = 16;
    private const int ChunkSize = 1 << ChunkBits;

    private AdjRibOutEntry[][] _chunks = [];
    private int[] _bySource = new int[16];

    /// <summary>Slots per prefix.</summary>
    internal int Stride => stride;

    /// <summary>Octets held.</summary>
    internal long Bytes => ((long)_chunks.Length * ChunkSize * 8) + (_bySource.Length * 4L);

    /// <summary>Entries in use.</summary>
    internal int Count { get; private set; }

    /// <summary>The entry of a slot.</summary>
    internal AdjRibOutEntry Get(uint index, int slot)
    {
        ulong at = ((ulong)index * (uint)stride) + (uint)slot;
        ulong chunk = at >> ChunkBits;
        return chunk < (ulong)_chunks.Length ? _chunks[chunk][at & (ChunkSize - 1)] : default;
    }

    /// <summary>Replaces the entry of a slot.</summary>
    internal void Set(uint index, int slot, AdjRibOutEntry entry)
    {
        ulong at = ((ulong)index * (uint)stride) + (uint)slot;
        int chunk = (int)(at >> ChunkBits);
        while (chunk >= _chunks.Length)
        {
            Array.Resize(ref _chunks, _chunks.Length + 1);
            _chunks[^1] = new AdjRibOutEntry[ChunkSize];
        }

        ref AdjRibOutEntry place = ref _chunks[chunk][at & (ChunkSize - 1)];
        if (!place.IsNone)
        {
            Count--;
            _bySource[place.Source]--;
        }

        place = entry;
        if (!entry.IsNone)
        {
            Count++;
            if (entry.Source >= _bySource.Length)
            {
                Array.Resize(ref _bySource, Math.Max(entry.Source + 1, _bySource.Length * 2));
            }

            _bySource[entry.Source]++;
        }
    }

    /// <summary>How many entries a member with this peer index was sent: all but its own.</summary>
    internal int CountFor(ushort peer) => Count - (peer < _bySource.Length ? _bySource[peer] : 0);

    /// <summary>One more than the highest index that may hold an entry.</summary>
    internal uint Limit => (uint)(((ulong)_chunks.Length << ChunkBits) / (uint)stride);
}
