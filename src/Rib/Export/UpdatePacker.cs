using System.Numerics;
using Bgp.Protocol;

namespace Rib;

/// <summary>
/// Collects the changes of one turn and writes them as the fewest UPDATE messages into a log: all withdrawals first, then one run of messages per
/// attribute set and target.
/// </summary>
/// <remarks>
/// Changes are gathered in buckets (attribute set, target) by a small hash table; inside a bucket, prefixes form a linked list over one array, so adding is O(1)
/// and nothing is sorted. Buckets keep their order of first use, which makes the output a function of the input alone. A message is filled
/// with as many prefixes as fit the session's limit and is written in place: no octet is copied twice but the attributes of a bucket that
/// needs several messages. The arrays are kept, so a turn allocates nothing once they have grown.
/// </remarks>
internal sealed class UpdatePacker<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    // Header, Withdrawn Routes Length, Total Path Attribute Length.
    private const int EmptyUpdate = BgpConstants.MinUpdateLength;

    // Flags, code, length (2), AFI (2), SAFI; for announcements also next hop length and the reserved octet.
    private const int MpUnreachHeader = 7;
    private const int MpReachHeader = 9;

    private readonly UpdateGroupKey _key;
    private readonly AttributeTable _attributes;
    private readonly byte[] _wire;
    private readonly bool _addPath;
    private Item[] _items = new Item[64];
    private Bucket[] _buckets = new Bucket[16];
    private int[] _slots = new int[32];
    private int _itemCount;
    private int _bucketCount;
    private int _last = -1;

    internal UpdatePacker(UpdateGroupKey key, AttributeTable attributes)
    {
        _key = key;
        _attributes = attributes;
        _addPath = key.AddPathLimit > 0;
        _wire = new byte[key.MaxMessageLength];
    }

    /// <summary>Messages written since the beginning.</summary>
    internal long Messages { get; private set; }

    internal bool IsEmpty => _itemCount == 0;

    /// <summary>
    /// Octets of an UPDATE with these attributes beside its prefixes: they can be announced when this and one prefix fit the session's limit.
    /// More than any limit when they cannot be written at all.
    /// </summary>
    internal int FixedLength(ReadOnlySpan<byte> canonical)
    {
        int length = Wire(canonical, out bool mp, out ReadOnlySpan<byte> nextHop).Length;
        return length == 0
            ? int.MaxValue / 2
            : EmptyUpdate + length + (mp ? MpReachHeader + nextHop.Length : 0) + (_addPath ? 4 : 0);
    }

    /// <summary>Adds one announcement, or with attribute 0 one withdrawal.</summary>
    internal void Add(in TPrefix prefix, uint pathId, uint attribute, LogTarget target)
    {
        if (_itemCount == _items.Length)
        {
            Array.Resize(ref _items, _itemCount * 2);
        }

        ref Bucket bucket = ref Find(attribute, target);
        int item = _itemCount++;
        _items[item] = new Item { Prefix = prefix, PathId = pathId, Next = -1 };
        if (bucket.First < 0)
        {
            bucket.First = item;
        }
        else
        {
            _items[bucket.Last].Next = item;
        }

        bucket.Last = item;
        bucket.Octets += NlriLength(prefix);
    }

    /// <summary>Writes everything that was added to <paramref name="log"/>, unpublished, and starts over.</summary>
    internal void Flush(UpdateLog log)
    {
        for (int i = 0; i < _bucketCount; i++)
        {
            if (_buckets[i].Attribute == 0)
            {
                Withdraw(log, _buckets[i]);
            }
        }

        for (int i = 0; i < _bucketCount; i++)
        {
            if (_buckets[i].Attribute != 0)
            {
                Announce(log, _buckets[i]);
            }
        }

        for (int i = 0; i < _bucketCount; i++)
        {
            _slots[_buckets[i].Slot] = 0;
        }

        _bucketCount = 0;
        _itemCount = 0;
        _last = -1;
    }

    /// <summary>
    /// The attributes of a set as they go on the wire, beside MP_REACH_NLRI; empty when they cannot be written. <paramref name="nextHop"/> is what
    /// MP_REACH_NLRI carries where it is used. The canonical form is the wire form for most sets and neighbours, and then nothing is copied.
    /// </summary>
    private ReadOnlySpan<byte> Wire(ReadOnlySpan<byte> canonical, out bool mp, out ReadOnlySpan<byte> nextHop)
    {
        AttributeReader reader = new(canonical);
        bool local = false;
        nextHop = default;
        while (reader.Next(out _, out byte code, out int offset, out int octets) == AttributeStep.Attribute && code <= (byte)AttributeCode.NextHop)
        {
            local |= code == (byte)AttributeCode.Local;
            nextHop = code == (byte)AttributeCode.NextHop ? canonical.Slice(offset, octets) : default;
        }

        mp = TPrefix.Family != AfiSafi.Ipv4Unicast || nextHop.Length > 4;
        if (!mp && !local && _key.As4 && canonical.Length <= _wire.Length)
        {
            return canonical;
        }

        int length = UpdateEncoder.WriteAttributes(canonical, _key.As4, !mp, _wire);
        return _wire.AsSpan(0, Math.Max(0, length));
    }

    private int NlriLength(in TPrefix prefix) => prefix.WireLength + (_addPath ? 4 : 0);

    private ref Bucket Find(uint attribute, LogTarget target)
    {
        ulong key = ((ulong)attribute << 32) | ((uint)target.Peer << 16) | ((uint)target.SkipWalks << 8) | (uint)target.Kind;
        if (_last >= 0 && _buckets[_last].Key == key)
        {
            // Routes of one set come one after another.
            return ref _buckets[_last];
        }

        int mask = _slots.Length - 1;
        int slot = (int)Mix.Hash(key) & mask;
        while (_slots[slot] != 0)
        {
            ref Bucket found = ref _buckets[_slots[slot] - 1];
            if (found.Key == key)
            {
                _last = _slots[slot] - 1;
                return ref found;
            }

            slot = (slot + 1) & mask;
        }

        if (_bucketCount == _buckets.Length)
        {
            Array.Resize(ref _buckets, _bucketCount * 2);
            Rehash();
            return ref Find(attribute, target);
        }

        _buckets[_bucketCount] = new Bucket { Key = key, Attribute = attribute, Target = target, First = -1, Last = -1, Slot = slot };
        _last = _bucketCount;
        _slots[slot] = ++_bucketCount;
        return ref _buckets[_bucketCount - 1];
    }

    private void Rehash()
    {
        _slots = new int[(int)BitOperations.RoundUpToPowerOf2((uint)_buckets.Length) * 2];
        int mask = _slots.Length - 1;
        for (int i = 0; i < _bucketCount; i++)
        {
            int slot = (int)Mix.Hash(_buckets[i].Key) & mask;
            while (_slots[slot] != 0)
            {
                slot = (slot + 1) & mask;
            }

            _slots[slot] = i + 1;
            _buckets[i].Slot = slot;
        }
    }

    private void Withdraw(UpdateLog log, in Bucket bucket)
    {
        int item = bucket.First;
        int left = bucket.Octets;
        while (item >= 0)
        {
            int room = Math.Min(_key.MaxMessageLength, EmptyUpdate + MpUnreachHeader + left);
            UpdateWriter writer = UpdateWriter.Unreach(log.Reserve(room), room, TPrefix.Family, _addPath);
            left -= Fill(ref writer, ref item);
            log.Commit(writer.Finish(), bucket.Target);
            Messages++;
        }
    }

    private void Announce(UpdateLog log, in Bucket bucket)
    {
        ReadOnlySpan<byte> wire = Wire(_attributes.Canonical(bucket.Attribute), out bool mp, out ReadOnlySpan<byte> nextHop);
        int overhead = EmptyUpdate + wire.Length + (mp ? MpReachHeader + nextHop.Length : 0);
        int item = bucket.First;
        int left = bucket.Octets;
        while (item >= 0)
        {
            int room = Math.Min(_key.MaxMessageLength, overhead + left);
            UpdateWriter writer = UpdateWriter.Reach(log.Reserve(room), room, TPrefix.Family, wire, mp ? nextHop : default, _addPath);
            left -= Fill(ref writer, ref item);
            log.Commit(writer.Finish(), bucket.Target);
            Messages++;
        }
    }

    /// <summary>Adds the prefixes from <paramref name="item"/> on until the message is full; returns their octets.</summary>
    private int Fill(ref UpdateWriter writer, ref int item)
    {
        int octets = 0;
        while (item >= 0)
        {
            ref readonly Item next = ref _items[item];
            if (!writer.TryAdd(next.Prefix, next.PathId))
            {
                break;
            }

            octets += NlriLength(next.Prefix);
            item = next.Next;
        }

        // The transform lets nothing through that does not fit, so this is a bug, and endless messages without prefixes would be worse.
        return octets == 0 ? throw new InvalidOperationException("one prefix and its attributes are larger than a message") : octets;
    }

    private struct Item
    {
        internal TPrefix Prefix;
        internal uint PathId;
        internal int Next;
    }

    private struct Bucket
    {
        internal ulong Key;
        internal uint Attribute;
        internal LogTarget Target;
        internal int First;
        internal int Last;
        internal int Slot;
        internal int Octets;
    }
}
