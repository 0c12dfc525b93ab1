using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Bgp.Protocol;

namespace Rib;

/// <summary>
/// Every distinct set of path attributes once, addressed by a 32-bit id.
/// </summary>
/// <remarks>
/// Paths, Adj-RIB-Outs and batches hold ids, and a set is nothing but its canonical octets in an <see cref="OctetStore"/>: the collector sees no object per
/// set and none per route. Interning compares octets: an UPDATE whose canonical octets are known costs a hash and one comparison, and nothing is parsed or
/// allocated. Who needs more than an <see cref="AttributeSummary"/> asks <see cref="Get"/>, which makes the object and keeps it as long as the set lives.
/// <para>References are counted. Taking and dropping one is an interlocked add; the count reaching zero takes the lock and looks again, because an
/// <see cref="Intern"/> may have found the set meanwhile. Ids are reused only after that. Reading takes no lock: entries live in chunks that never
/// move, and a reference that the caller holds keeps its entry filled.</para>
/// <para>Striped by hash, a lock each, because readers intern what arrives while the table interns what it exports; the low bits of an id name its
/// stripe. Memory per set: 16 octets for the id, 8 for each hash slot (at most ¾ of them in use), and the octets rounded up by a twentieth.</para>
/// </remarks>
public sealed class AttributeTable
{
    private const int StripeBits = 2;
    private const int StripeMask = (1 << StripeBits) - 1;

    private readonly Stripe[] _stripes = [new Stripe(), new Stripe(), new Stripe(), new Stripe()];

    private struct Entry
    {
        internal int References;

        /// <summary>Where in the hash table, whatever its size; while the entry is free, the next free one.</summary>
        internal uint Tag;
        internal uint Address;

        /// <summary>Octets of the set; negative while the entry is free.</summary>
        internal int Length;
    }

    /// <summary>Distinct sets at present.</summary>
    public int Count
    {
        get
        {
            int count = 0;
            foreach (Stripe stripe in _stripes)
            {
                count += Volatile.Read(ref stripe.Count);
            }

            return count;
        }
    }

    /// <summary>Octets held for sets, ids and hash slots.</summary>
    public long Bytes
    {
        get
        {
            long bytes = 0;
            foreach (Stripe stripe in _stripes)
            {
                bytes += stripe.Bytes;
            }

            return bytes;
        }
    }

    /// <summary>
    /// The id of the set with these canonical octets, which becomes known if it was not. The caller owns one reference. Safe from any thread.
    /// </summary>
    public uint Intern(ReadOnlySpan<byte> canonical) => Intern(canonical, PathAttributes.HashOf(canonical));

    /// <summary>
    /// The first half of <see cref="Intern(ReadOnlySpan{byte})"/>: the hash, and a request to the processor for what the second half looks at first, which lies
    /// anywhere in some megabytes. Worth it for a caller that has something else to do in between.
    /// </summary>
    public ulong Prepare(ReadOnlySpan<byte> canonical)
    {
        ulong hash = PathAttributes.HashOf(canonical);
        _stripes[(int)hash & StripeMask].Prefetch((uint)(hash >> 32));
        return hash;
    }

    /// <summary>The second half: <paramref name="hash"/> is what <see cref="Prepare"/> said of the same octets.</summary>
    public uint Intern(ReadOnlySpan<byte> canonical, ulong hash)
    {
        int stripe = (int)hash & StripeMask;
        return (_stripes[stripe].Intern(canonical, (uint)(hash >> 32)) << StripeBits) | (uint)stripe;
    }

    /// <summary>The canonical octets of a set. Only while a reference is held.</summary>
    public ReadOnlySpan<byte> Canonical(uint id) => StripeOf(id).Canonical(id >> StripeBits);

    /// <summary>The set as an object, the same one each time. Only while a reference is held.</summary>
    public PathAttributes Get(uint id) => StripeOf(id).Get(id >> StripeBits);

    /// <summary>The set as an object of the caller's own, for those who look at very many of them once. Only while a reference is held.</summary>
    public PathAttributes Describe(uint id) => PathAttributes.Decode(Canonical(id));

    /// <summary>Takes more references.</summary>
    public void AddRef(uint id, int n = 1) => Interlocked.Add(ref StripeOf(id).At(id >> StripeBits).References, n);

    /// <summary>Drops references; at none the set is forgotten.</summary>
    public void Release(uint id, int n = 1)
    {
        Stripe stripe = StripeOf(id);
        if (Interlocked.Add(ref stripe.At(id >> StripeBits).References, -n) == 0)
        {
            stripe.Reclaim(id >> StripeBits);
        }
    }

    /// <summary>Asks the processor for what <see cref="Release"/> of the last reference will look at. Only while a reference is held.</summary>
    public void PrefetchRelease(uint id)
    {
        Stripe stripe = StripeOf(id);
        stripe.Prefetch(stripe.At(id >> StripeBits).Tag);
    }

    /// <summary>Asks the processor for the count of references to a set.</summary>
    public unsafe void PrefetchCount(uint id)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(Unsafe.AsPointer(ref StripeOf(id).At(id >> StripeBits)));
        }
    }

    /// <summary>Asks the processor for the octets of a set. Only while a reference is held; <see cref="PrefetchCount"/> some time before makes it cheap.</summary>
    public void PrefetchOctets(uint id) => StripeOf(id).PrefetchOctets(id >> StripeBits);

    /// <summary>References to a set, for tests.</summary>
    public int ReferencesOf(uint id) => Volatile.Read(ref StripeOf(id).At(id >> StripeBits).References);

    private Stripe StripeOf(uint id) => _stripes[id & StripeMask];

    /// <summary>The sets whose hashes end in the same bits.</summary>
    private sealed class Stripe
    {
        private const int ChunkBits = 10;
        private const int ChunkSize = 1 << ChunkBits;
        private const int FreeEntry = -1;

        internal int Count;

        private readonly Lock _gate = new();
        private readonly OctetStore _store = new();
        private Entry[][] _chunks = [new Entry[ChunkSize]];
        private PathAttributes?[]?[] _objects = [null];
        private ulong[] _slots = new ulong[256];
        private int _chunkCount = 1;
        private uint _next = 1;
        private uint _firstFree;
        private int _objectChunks;

        internal long Bytes
        {
            get
            {
                lock (_gate)
                {
                    return _store.Bytes + (_slots.Length * 8L) + ((_chunkCount * 16L) + (_objectChunks * 8L)) * ChunkSize;
                }
            }
        }

        internal ref Entry At(uint id) => ref Volatile.Read(ref _chunks)[id >> ChunkBits][id & (ChunkSize - 1)];

        internal unsafe void Prefetch(uint tag)
        {
            // Without the lock: an array that is being replaced at this moment is no worse a hint than none.
            ulong[] slots = Volatile.Read(ref _slots);
            if (Sse.IsSupported)
            {
                Sse.Prefetch0(Unsafe.AsPointer(ref slots[(int)tag & (slots.Length - 1)]));
            }
        }

        internal void PrefetchOctets(uint id)
        {
            ref Entry entry = ref At(id);
            _store.Prefetch(entry.Address, entry.Length);
        }

        internal ReadOnlySpan<byte> Canonical(uint id)
        {
            ref Entry entry = ref At(id);
            return _store.Read(entry.Address, entry.Length);
        }

        internal PathAttributes Get(uint id)
        {
            PathAttributes?[]? objects = Volatile.Read(ref _objects)[id >> ChunkBits];
            return objects is null || Volatile.Read(ref objects[id & (ChunkSize - 1)]) is not { } known ? Make(id) : known;
        }

        internal uint Intern(ReadOnlySpan<byte> canonical, uint tag)
        {
            lock (_gate)
            {
                int mask = _slots.Length - 1;
                int at = (int)tag & mask;
                ulong slot;
                while ((slot = _slots[at]) != 0)
                {
                    if ((uint)(slot >> 32) == tag)
                    {
                        ref Entry known = ref At((uint)slot);
                        if (_store.Read(known.Address, known.Length).SequenceEqual(canonical))
                        {
                            Interlocked.Increment(ref known.References);
                            return (uint)slot;
                        }
                    }

                    at = (at + 1) & mask;
                }

                uint id = TakeId();
                ref Entry entry = ref At(id);
                entry.Tag = tag;
                entry.Address = _store.Add(canonical);
                entry.Length = canonical.Length;
                Volatile.Write(ref entry.References, 1);
                _slots[at] = ((ulong)tag << 32) | id;
                if (++Count > _slots.Length / 4 * 3)
                {
                    Grow();
                }

                return id;
            }
        }

        internal void Reclaim(uint id)
        {
            lock (_gate)
            {
                ref Entry entry = ref At(id);
                if (Volatile.Read(ref entry.References) != 0 || entry.Length == FreeEntry)
                {
                    return;
                }

                int mask = _slots.Length - 1;
                int at = (int)entry.Tag & mask;
                while ((uint)_slots[at] != id)
                {
                    at = (at + 1) & mask;
                }

                RemoveSlot(at, mask);
                Count--;
                _store.Free(entry.Address);
                if (_objects[id >> ChunkBits] is { } objects)
                {
                    objects[id & (ChunkSize - 1)] = null;
                }

                entry.Length = FreeEntry;
                entry.Tag = _firstFree;
                _firstFree = id;
            }
        }

        private PathAttributes Make(uint id)
        {
            PathAttributes made = PathAttributes.Decode(Canonical(id));
            lock (_gate)
            {
                ref PathAttributes?[]? objects = ref _objects[id >> ChunkBits];
                if (objects is null)
                {
                    Volatile.Write(ref objects, new PathAttributes?[ChunkSize]);
                    _objectChunks++;
                }

                ref PathAttributes? place = ref objects[id & (ChunkSize - 1)];
                if (place is null)
                {
                    Volatile.Write(ref place, made);
                }

                return place!;
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

                int home = (int)(slot >> 32) & mask;
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
                _firstFree = At(id).Tag;
                return id;
            }

            uint next = _next++;
            if (next >> ChunkBits == (uint)_chunkCount)
            {
                if (_chunkCount == _chunks.Length)
                {
                    Entry[][] longer = new Entry[_chunkCount * 2][];
                    _chunks.CopyTo(longer, 0);
                    PathAttributes?[]?[] objects = new PathAttributes?[]?[_chunkCount * 2];
                    _objects.CopyTo(objects, 0);
                    Volatile.Write(ref _objects, objects);
                    Volatile.Write(ref _chunks, longer);
                }

                _chunks[_chunkCount++] = new Entry[ChunkSize];
            }

            return next;
        }

        /// <summary>The tag says where a slot belongs in a table of any size, so this reads and writes in order and visits no set.</summary>
        private void Grow()
        {
            ulong[] slots = new ulong[_slots.Length * 2];
            FreshMemory.Touch(slots);
            int mask = slots.Length - 1;
            foreach (ulong slot in _slots)
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
}
