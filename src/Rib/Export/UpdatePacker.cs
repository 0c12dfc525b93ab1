using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using Bgp.Protocol;

namespace Rib;

/// <summary>
/// Collects the changes of one turn and writes them as the fewest UPDATE messages into a log: all withdrawals first, then one run of messages per
/// attribute set and target.
/// </summary>
/// <remarks>
/// Changes are gathered in buckets (attribute set, target) by a small hash table. Prefixes are encoded as they come, one behind another in one array, whatever
/// their bucket; a bucket is a list of stretches of that array. Routes of one set come together, so nearly every bucket is one stretch, adding is a
/// comparison and a store, and a message is filled by copying stretches. Buckets keep their order of first use, which makes the output a function of
/// the input alone. A message is filled with as many prefixes as fit the session's limit and is written in place. The arrays are kept, so a turn allocates
/// nothing once they have grown.
/// </remarks>
internal sealed class UpdatePacker<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    // Header, Withdrawn Routes Length, Total Path Attribute Length.
    private const int EmptyUpdate = BgpConstants.MinUpdateLength;

    // Flags, code, length (2), AFI (2), SAFI; for announcements also next hop length and the reserved octet.
    private const int MpUnreachHeader = 7;
    private const int MpReachHeader = 9;

    // The longest NLRI with its path identifier, and what Write may touch behind a shorter one.
    private const int MaxNlri = 4 + 1 + 16;

    // No bucket's: there is no such kind of target.
    private const ulong None = ulong.MaxValue;

    private readonly UpdateGroupKey _key;
    private readonly AttributeTable _attributes;
    private readonly byte[] _wire;
    private readonly bool _addPath;
    private byte[] _nlri = new byte[1024];
    private Stretch[] _stretches = new Stretch[16];
    private Bucket[] _buckets = new Bucket[16];
    private int[] _slots = new int[32];
    private int _nlriUsed;
    private int _stretchCount;
    private int _bucketCount;

    // The bucket that the last stretch belongs to, to which the next prefix is added if it has the same key.
    private ulong _openKey = None;
    private int _open = -1;

    internal UpdatePacker(UpdateGroupKey key, AttributeTable attributes)
    {
        _key = key;
        _attributes = attributes;
        _addPath = key.AddPathLimit > 0;
        _wire = new byte[key.MaxMessageLength];
    }

    /// <summary>Messages written since the beginning.</summary>
    internal long Messages { get; private set; }

    internal bool IsEmpty => _nlriUsed == 0;

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
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Add(in TPrefix prefix, uint pathId, uint attribute, LogTarget target)
    {
        ulong key = KeyOf(attribute, target);
        if (key != _openKey)
        {
            Open(key, attribute, target);
        }

        if (_nlri.Length - _nlriUsed < MaxNlri)
        {
            Array.Resize(ref _nlri, _nlri.Length * 2);
        }

        if (_addPath)
        {
            BinaryPrimitives.WriteUInt32BigEndian(_nlri.AsSpan(_nlriUsed), pathId);
            _nlriUsed += sizeof(uint);
        }

        _nlriUsed += prefix.Write(_nlri.AsSpan(_nlriUsed));
    }

    /// <summary>Adds prefixes without path identifiers that have one set and target, as <see cref="Add"/> does one.</summary>
    internal void AddAll(ReadOnlySpan<BestPath<TPrefix>> prefixes, uint attribute, LogTarget target)
    {
        ulong key = KeyOf(attribute, target);
        if (key != _openKey)
        {
            Open(key, attribute, target);
        }

        int most = prefixes.Length * MaxNlri;
        if (_nlri.Length - _nlriUsed < most)
        {
            Array.Resize(ref _nlri, (int)BitOperations.RoundUpToPowerOf2((uint)(_nlriUsed + most)));
        }

        Span<byte> into = _nlri.AsSpan(_nlriUsed);
        int used = 0;
        foreach (ref readonly BestPath<TPrefix> path in prefixes)
        {
            used += path.Prefix.Write(into[used..]);
        }

        _nlriUsed += used;
    }

    /// <summary>Writes everything that was added to <paramref name="log"/>, unpublished, and starts over.</summary>
    internal void Flush(UpdateLog log)
    {
        Close();
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

        (_bucketCount, _stretchCount, _nlriUsed) = (0, 0, 0);
    }

    /// <summary>
    /// The attributes of a set as they go on the wire, beside MP_REACH_NLRI; empty when they cannot be written. <paramref name="nextHop"/> is what
    /// MP_REACH_NLRI carries where it is used. The canonical form is the wire form for most sets and neighbours, and then nothing is copied.
    /// </summary>
    private ReadOnlySpan<byte> Wire(ReadOnlySpan<byte> canonical, out bool mp, out ReadOnlySpan<byte> nextHop)
    {
        // Nearly always, and there is no internal attribute, which would be the first.
        if (TPrefix.Family == AfiSafi.Ipv4Unicast && _key.As4 && canonical.Length <= _wire.Length && CommonHead.TryRead(canonical, out _))
        {
            mp = false;
            nextHop = default;
            return canonical;
        }

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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong KeyOf(uint attribute, LogTarget target) =>
        ((ulong)attribute << 32) | ((uint)target.Peer << 16) | ((uint)target.SkipWalks << 8) | (uint)target.Kind;

    /// <summary>Ends the last stretch.</summary>
    private void Close()
    {
        if (_open >= 0)
        {
            ref Stretch last = ref _stretches[_stretchCount - 1];
            last.Length = _nlriUsed - last.Start;
            _buckets[_open].Octets += last.Length;
            (_open, _openKey) = (-1, None);
        }
    }

    /// <summary>Begins a stretch of a bucket, which is made if there is none.</summary>
    private void Open(ulong key, uint attribute, LogTarget target)
    {
        Close();
        _open = Find(key, attribute, target);
        _openKey = key;
        if (_stretchCount == _stretches.Length)
        {
            Array.Resize(ref _stretches, _stretchCount * 2);
        }

        ref Bucket bucket = ref _buckets[_open];
        _stretches[_stretchCount] = new Stretch { Start = _nlriUsed, Next = -1 };
        if (bucket.First < 0)
        {
            bucket.First = _stretchCount;
        }
        else
        {
            _stretches[bucket.Last].Next = _stretchCount;
        }

        bucket.Last = _stretchCount++;
    }

    private int Find(ulong key, uint attribute, LogTarget target)
    {
        int mask = _slots.Length - 1;
        int slot = (int)Mix.Hash(key) & mask;
        while (_slots[slot] != 0)
        {
            if (_buckets[_slots[slot] - 1].Key == key)
            {
                return _slots[slot] - 1;
            }

            slot = (slot + 1) & mask;
        }

        if (_bucketCount == _buckets.Length)
        {
            Array.Resize(ref _buckets, _bucketCount * 2);
            Rehash();
            return Find(key, attribute, target);
        }

        _buckets[_bucketCount] = new Bucket { Key = key, Attribute = attribute, Target = target, First = -1, Last = -1, Slot = slot };
        _slots[slot] = ++_bucketCount;
        return _bucketCount - 1;
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
        Place place = new() { Stretch = bucket.First };
        int left = bucket.Octets;
        while (left > 0)
        {
            int room = Math.Min(_key.MaxMessageLength, EmptyUpdate + MpUnreachHeader + left);
            UpdateWriter writer = UpdateWriter.Unreach(log.Reserve(room), room, TPrefix.Family, _addPath);
            left -= Fill(ref writer, ref place);
            log.Commit(writer.Finish(), bucket.Target);
            Messages++;
        }
    }

    private void Announce(UpdateLog log, in Bucket bucket)
    {
        ReadOnlySpan<byte> wire = Wire(_attributes.Canonical(bucket.Attribute), out bool mp, out ReadOnlySpan<byte> nextHop);
        int overhead = EmptyUpdate + wire.Length + (mp ? MpReachHeader + nextHop.Length : 0);
        Place place = new() { Stretch = bucket.First };
        int left = bucket.Octets;
        while (left > 0)
        {
            int room = Math.Min(_key.MaxMessageLength, overhead + left);
            UpdateWriter writer = UpdateWriter.Reach(log.Reserve(room), room, TPrefix.Family, wire, mp ? nextHop : default, _addPath);
            left -= Fill(ref writer, ref place);
            log.Commit(writer.Finish(), bucket.Target);
            Messages++;
        }
    }

    /// <summary>Adds the prefixes from <paramref name="place"/> on until the message is full; returns their octets.</summary>
    private int Fill(ref UpdateWriter writer, ref Place place)
    {
        int octets = 0;
        while (place.Stretch >= 0)
        {
            ref readonly Stretch stretch = ref _stretches[place.Stretch];
            ReadOnlySpan<byte> rest = _nlri.AsSpan(stretch.Start + place.Done, stretch.Length - place.Done);
            int added = writer.AddEncoded(rest);
            octets += added;
            if (added < rest.Length)
            {
                place.Done += added;
                break;
            }

            place = new Place { Stretch = stretch.Next };
        }

        // The transform lets nothing through that does not fit, so this is a bug, and endless messages without prefixes would be worse.
        return octets == 0 ? throw new InvalidOperationException("one prefix and its attributes are larger than a message") : octets;
    }

    /// <summary>Encoded prefixes of one bucket that came one after another.</summary>
    private struct Stretch
    {
        internal int Start;
        internal int Length;

        /// <summary>The next stretch of the bucket, or -1.</summary>
        internal int Next;
    }

    /// <summary>How far a bucket has been written.</summary>
    private struct Place
    {
        internal int Stretch;
        internal int Done;
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
