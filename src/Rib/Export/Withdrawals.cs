using System.Buffers.Binary;
using Bgp.Protocol;

namespace Rib;

/// <summary>
/// What was withdrawn since some position of a group's log: what a detached member may still hold, although the Adj-RIB-Out does not.
/// </summary>
/// <remarks>
/// Kept only while a member is detached whose neighbour does not know enhanced route refresh. The set begins with what the log says between the
/// member's place and the tail, read from the encoded messages themselves, so that withdrawals cost nothing while nobody is detached; from then on each one is
/// added as it happens. One set serves all such members: to withdraw what a neighbour never had is harmless. Prefixes stand here by value, not by index,
/// so that no index is kept from reuse, and each once, so that a flapping prefix costs no more than a quiet one: 16 to 32 octets per entry.
/// </remarks>
internal sealed class Withdrawals<TPrefix>(bool addPath)
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private readonly HashSet<Item> _items = [];
    private long _since = long.MaxValue;

    /// <summary>Whether withdrawals are to be added.</summary>
    internal bool IsRecording => _since != long.MaxValue;

    internal int Count => _items.Count;

    /// <summary>From now on the set is complete since a position of the log, which still holds everything behind it.</summary>
    internal void RecordSince(UpdateLog log, long position)
    {
        if (position >= _since)
        {
            return;
        }

        foreach (ReadOnlyMemory<byte> messages in log.Since(position))
        {
            AddFrom(messages.Span);
        }

        _since = position;
    }

    internal void Add(in TPrefix prefix, uint pathId) => _items.Add(new Item(prefix, addPath ? pathId : 0));

    internal void Add(Item[] items) => _items.UnionWith(items);

    internal Item[] ToArray() => [.. _items];

    internal void Clear()
    {
        _items.Clear();
        _items.TrimExcess();
        _since = long.MaxValue;
    }

    /// <summary>The prefixes withdrawn in messages that <see cref="UpdatePacker{TPrefix}"/> wrote.</summary>
    private void AddFrom(ReadOnlySpan<byte> messages)
    {
        while (!messages.IsEmpty)
        {
            int length = BinaryPrimitives.ReadUInt16BigEndian(messages[16..]);
            ReadOnlySpan<byte> body = messages[BgpConstants.HeaderLength..length];
            messages = messages[length..];
            int withdrawn = BinaryPrimitives.ReadUInt16BigEndian(body);
            ReadOnlySpan<byte> nlri = body.Slice(2, withdrawn);
            if (TPrefix.Family != AfiSafi.Ipv4Unicast)
            {
                AttributeReader attributes = new(body[(4 + withdrawn)..]);
                while (attributes.Next(out _, out byte code, out int at, out int octets) == AttributeStep.Attribute)
                {
                    if (code == (byte)AttributeCode.MpUnreachNlri)
                    {
                        nlri = body.Slice(4 + withdrawn + at, octets)[3..];
                    }
                }
            }

            while (!nlri.IsEmpty)
            {
                uint pathId = 0;
                if (addPath)
                {
                    pathId = BinaryPrimitives.ReadUInt32BigEndian(nlri);
                    nlri = nlri[4..];
                }

                if (!TPrefix.TryRead(ref nlri, out TPrefix prefix))
                {
                    throw new InvalidOperationException("the log holds a prefix that cannot be read");
                }

                Add(prefix, pathId);
            }
        }
    }

    /// <summary>One withdrawn path.</summary>
    internal readonly record struct Item(TPrefix Prefix, uint PathId)
    {
        public override int GetHashCode() => (int)Mix.Hash(Prefix.Hash, PathId);
    }
}
