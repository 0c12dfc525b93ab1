using System.Buffers.Binary;
using System.Numerics;

namespace Bgp.Protocol;

/// <content>Writing the canonical form.</content>
public sealed partial class PathAttributesParser
{
    private byte[] _large = [];
    private int[] _slots = [];

    private ReadOnlySpan<byte> Emit(ReadOnlySpan<byte> attributes, NegotiatedSession session, ReadOnlySpan<byte> nextHop, ref byte[] buffer)
    {
        // Widening adds at most as much as AS_PATH and AGGREGATOR hold; AS4_PATH is part of the attributes already.
        Reserve(ref buffer, (2 * attributes.Length) + 64);
        int position = 0;
        bool nextHopDone = false;
        for (int word = 0; word < 4; word++)
        {
            for (ulong bits = _seen[word]; bits != 0; bits &= bits - 1)
            {
                int code = (word << 6) | BitOperations.TrailingZeroCount(bits);
                if (!nextHopDone && code >= (int)AttributeCode.NextHop)
                {
                    position = EmitOne(buffer, position, (byte)AttributeFlags.Transitive, (byte)AttributeCode.NextHop, nextHop);
                    nextHopDone = true;
                }

                AttributeDescriptor? known = AttributeDescriptor.Find((byte)code);
                if (known is null)
                {
                    // RFC 4271 section 5: passed on with the Partial bit set.
                    const byte flags = (byte)(AttributeFlags.Optional | AttributeFlags.Transitive | AttributeFlags.Partial);
                    position = EmitOne(buffer, position, flags, (byte)code, attributes.Slice(_offset[code], _length[code]));
                    continue;
                }

                if (!known.IsCanonical || known.Code == AttributeCode.NextHop)
                {
                    continue;
                }

                ReadOnlySpan<byte> value = known.Code switch
                {
                    AttributeCode.AsPath => Path(attributes, session),
                    AttributeCode.Aggregator => Aggregator(attributes, session),
                    AttributeCode.LargeCommunities => DistinctLarge(attributes.Slice(_offset[code], _length[code])),
                    _ => attributes.Slice(_offset[code], _length[code]),
                };
                const AttributeFlags passedOn = AttributeFlags.Optional | AttributeFlags.Transitive;
                byte partial = known.Flags == passedOn ? (byte)(_flags[code] & (byte)AttributeFlags.Partial) : (byte)0;
                position = EmitOne(buffer, position, (byte)((byte)known.Flags | partial), (byte)code, value);
            }
        }

        return buffer.AsSpan(0, position);
    }

    private static int EmitOne(byte[] buffer, int position, byte flags, byte code, ReadOnlySpan<byte> value)
    {
        buffer[position + 1] = code;
        if (value.Length > byte.MaxValue)
        {
            buffer[position] = (byte)(flags | (byte)AttributeFlags.ExtendedLength);
            BinaryPrimitives.WriteUInt16BigEndian(buffer.AsSpan(position + 2), (ushort)value.Length);
            position += 4;
        }
        else
        {
            buffer[position] = flags;
            buffer[position + 2] = (byte)value.Length;
            position += 3;
        }

        value.CopyTo(buffer.AsSpan(position));
        return position + value.Length;
    }

    /// <summary>
    /// Large communities without repetitions, in order (RFC 8092 section 5). A hash set over the positions, because a message of 65535 octets
    /// holds 5,461 of them and comparing each with each would be a cheap way to keep us busy.
    /// </summary>
    private ReadOnlySpan<byte> DistinctLarge(ReadOnlySpan<byte> value)
    {
        const int size = LargeCommunity.WireLength;
        int count = value.Length / size;
        if (count == 1)
        {
            return value;
        }

        int capacity = (int)BitOperations.RoundUpToPowerOf2((uint)(2 * count));
        if (_slots.Length < capacity)
        {
            _slots = new int[capacity];
        }

        Reserve(ref _large, value.Length);
        Span<int> slots = _slots.AsSpan(0, capacity);
        slots.Clear();
        int length = 0;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> one = value.Slice(i * size, size);
            ulong hash = Mix.Hash(BinaryPrimitives.ReadUInt64BigEndian(one), BinaryPrimitives.ReadUInt32BigEndian(one[8..]));
            int slot = (int)(hash & (ulong)(capacity - 1));
            bool known = false;
            while (slots[slot] != 0)
            {
                if (_large.AsSpan(slots[slot] - 1, size).SequenceEqual(one))
                {
                    known = true;
                    break;
                }

                slot = (slot + 1) & (capacity - 1);
            }

            if (!known)
            {
                slots[slot] = length + 1;
                one.CopyTo(_large.AsSpan(length));
                length += size;
            }
        }

        return _large.AsSpan(0, length);
    }
}
