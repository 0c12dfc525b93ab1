using Bgp.Protocol;

namespace Rib;

/// <summary>
/// Every distinct set of path attributes once, addressed by a 32-bit id.
/// </summary>
/// <remarks>
/// Paths, Adj-RIB-Outs and batches hold ids, so the collector sees one object per distinct set and none per route. Interning compares octets: an
/// UPDATE whose canonical octets are known costs a hash and one comparison, and nothing is parsed or allocated.
/// <para>References are counted. Taking and dropping one is an interlocked add; the count reaching zero takes the lock and looks again, because an
/// <see cref="Intern"/> may have found the set meanwhile. Ids are reused only after that. <see cref="Get"/> takes no lock: slots live in chunks that never
/// move, and a reference that the caller holds keeps its slot filled.</para>
/// <para>One lock at present: interning is once per UPDATE, and one table per process is what makes ids comparable everywhere. Striping by hash is the
/// way to more readers. Memory: 8 octets per hash slot, 16 per id, and the <see cref="PathAttributes"/> object.</para>
/// </remarks>
public sealed class AttributeTable
{
    private const int ChunkBits = 12;
    private const int ChunkSize = 1 << ChunkBits;

    private readonly Lock _gate = new();
    private Entry[][] _chunks = [new Entry[ChunkSize]];
    private ulong[] _slots = new ulong[1024];
    private uint _next = 1;
    private uint _firstFree;
    private int _count;
    private long _octets;

    private struct Entry
    {
        internal PathAttributes? Value;
        internal int References;
        internal uint NextFree;
    }

    /// <summary>Distinct sets at present.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Octets held: canonical octets, objects and tables, estimated from their sizes.</summary>
    public long Bytes
    {
        get
        {
            lock (_gate)
            {
                const int objectSize = 152;
                return _octets + ((long)_count * objectSize) + (_slots.Length * 8L) + (_chunks.Length * (long)ChunkSize * 16);
            }
        }
    }

    /// <summary>
    /// The id of the set with these canonical octets, which becomes known if it was not. The caller owns one reference. Safe from any thread.
    /// </summary>
    public uint Intern(ReadOnlySpan<byte> canonical)
    {
        ulong hash = PathAttributes.HashOf(canonical);
        lock (_gate)
        {
            int mask = _slots.Length - 1;
            int at = (int)hash & mask;
            uint tag = (uint)(hash >> 32);
            while (_slots[at] != 0)
            {
                if ((uint)(_slots[at] >> 32) == tag)
                {
                    uint found = (uint)_slots[at];
                    ref Entry known = ref At(found);
                    if (known.Value!.Canonical.SequenceEqual(canonical))
                    {
                        Interlocked.Increment(ref known.References);
                        return found;
                    }
                }

                at = (at + 1) & mask;
            }

            PathAttributes value = PathAttributes.Decode(canonical);
            uint id = TakeId();
            ref Entry entry = ref At(id);
            entry.Value = value;
            entry.References = 1;
            _slots[at] = ((ulong)tag << 32) | id;
            _count++;
            _octets += canonical.Length + 24;
            if (_count > _slots.Length / 4 * 3)
            {
                Grow();
            }

            return id;
        }
    }

    /// <summary>The set. Only while a reference is held.</summary>
    public PathAttributes Get(uint id) => At(id).Value!;

    /// <summary>Takes more references.</summary>
    public void AddRef(uint id, int n = 1) => Interlocked.Add(ref At(id).References, n);

    /// <summary>Drops references; at none the set is forgotten.</summary>
    public void Release(uint id, int n = 1)
    {
        ref Entry entry = ref At(id);
        if (Interlocked.Add(ref entry.References, -n) == 0)
        {
            Reclaim(id);
        }
    }

    /// <summary>References to a set, for tests.</summary>
    public int ReferencesOf(uint id) => Volatile.Read(ref At(id).References);

    private ref Entry At(uint id) => ref Volatile.Read(ref _chunks)[id >> ChunkBits][id & (ChunkSize - 1)];

    private void Reclaim(uint id)
    {
        lock (_gate)
        {
            ref Entry entry = ref At(id);
            if (Volatile.Read(ref entry.References) != 0 || entry.Value is null)
            {
                return;
            }

            ulong hash = entry.Value.Hash;
            int mask = _slots.Length - 1;
            int at = (int)hash & mask;
            while ((uint)_slots[at] != id)
            {
                at = (at + 1) & mask;
            }

            RemoveSlot(at, mask);
            _count--;
            _octets -= entry.Value.Canonical.Length + 24;
            entry.Value = null;
            entry.NextFree = _firstFree;
            _firstFree = id;
        }
    }

    /// <summary>Backward-shift deletion: no tombstones, so probes stay short however long the process runs.</summary>
    private void RemoveSlot(int hole, int mask)
    {
        int at = hole;
        while (true)
        {
            at = (at + 1) & mask;
            ulong slot = _slots[at];
            if (slot == 0)
            {
                break;
            }

            int home = (int)At((uint)slot).Value!.Hash & mask;
            if (((at - home) & mask) >= ((at - hole) & mask))
            {
                _slots[hole] = slot;
                hole = at;
            }
        }

        _slots[hole] = 0;
    }

    private uint TakeId()
    {
        if (_firstFree != 0)
        {
            uint id = _firstFree;
            _firstFree = At(id).NextFree;
            return id;
        }

        uint next = _next++;
        if (next >> ChunkBits == (uint)_chunks.Length)
        {
            Entry[][] longer = new Entry[_chunks.Length + 1][];
            _chunks.CopyTo(longer, 0);
            longer[^1] = new Entry[ChunkSize];
            Volatile.Write(ref _chunks, longer);
        }

        return next;
    }

    private void Grow()
    {
        ulong[] old = _slots;
        ulong[] slots = new ulong[old.Length * 2];
        int mask = slots.Length - 1;
        foreach (ulong slot in old)
        {
            if (slot == 0)
            {
                continue;
            }

            int at = (int)At((uint)slot).Value!.Hash & mask;
            while (slots[at] != 0)
            {
                at = (at + 1) & mask;
            }

            slots[at] = slot;
        }

        _slots = slots;
    }
}
