using System.Buffers.Binary;

namespace Rib.Tests.Export;

/// <summary>
/// What a neighbour makes of the octets it is sent: framing, UPDATE, End-of-RIB and the marks of an enhanced refresh, decoded by hand from the RFCs and without
/// the code under test. Whatever a neighbour could hold against us is a failure here.
/// </summary>
internal sealed class ReceivedTable(bool addPath, int maxMessageLength, string who)
{
    private readonly Dictionary<(string Prefix, uint PathId), string> _routes = [];
    private readonly HashSet<(string Prefix, uint PathId)> _stale = [];
    private byte[] _buffer = new byte[4096];
    private int _filled;

    internal int Paths => _routes.Count;

    internal int EndOfRibs { get; private set; }

    internal int Messages { get; private set; }

    internal int Refreshes { get; private set; }

    internal bool InRefresh { get; private set; }

    /// <summary>Withdrawals of what was never announced: none is due but after a resync without marks.</summary>
    internal int NeedlessWithdrawals { get; private set; }

    internal bool IsBetweenMessages => _filled == 0;

    /// <summary>Prefix → what is known under it, in order.</summary>
    internal SortedDictionary<string, string> Content()
    {
        SortedDictionary<string, string> content = new(StringComparer.Ordinal);
        foreach (IGrouping<string, string> prefix in _routes.GroupBy(static item => item.Key.Prefix, static item => item.Value))
        {
            content[prefix.Key] = string.Join(" + ", prefix.Order(StringComparer.Ordinal));
        }

        return content;
    }

    internal void Receive(ReadOnlySpan<byte> octets)
    {
        while (_filled + octets.Length > _buffer.Length)
        {
            Array.Resize(ref _buffer, _buffer.Length * 2);
        }

        octets.CopyTo(_buffer.AsSpan(_filled));
        _filled += octets.Length;
        int at = 0;
        while (_filled - at >= 19)
        {
            int length = BinaryPrimitives.ReadUInt16BigEndian(_buffer.AsSpan(at + 16));
            Assert.That(_buffer.AsSpan(at, 16).IndexOfAnyExcept((byte)0xFF), Is.EqualTo(-1), $"{who}: the marker is all ones");
            Assert.That(length, Is.InRange(19, maxMessageLength), $"{who}: length of a message");
            if (_filled - at < length)
            {
                break;
            }

            Take(_buffer[at + 18], _buffer.AsSpan(at + 19, length - 19));
            at += length;
        }

        _buffer.AsSpan(at, _filled - at).CopyTo(_buffer);
        _filled -= at;
    }

    private static uint ReadPathId(ref ReadOnlySpan<byte> nlri)
    {
        uint pathId = BinaryPrimitives.ReadUInt32BigEndian(nlri);
        nlri = nlri[4..];
        return pathId;
    }

    private void Take(byte type, ReadOnlySpan<byte> body)
    {
        Messages++;
        if (type == 5)
        {
            Assert.That(body.Length, Is.EqualTo(4), who);
            Assert.That(EndOfRibs, Is.EqualTo(1), $"{who}: RFC 7313 section 4: no mark before End-of-RIB");
            if (body[2] == 1)
            {
                _stale.UnionWith(_routes.Keys);
                InRefresh = true;
            }
            else
            {
                Assert.That((body[2], InRefresh), Is.EqualTo(((byte)2, true)), $"{who}: an end mark without a beginning");
                foreach ((string, uint) key in _stale)
                {
                    _routes.Remove(key);
                }

                _stale.Clear();
                InRefresh = false;
                Refreshes++;
            }

            return;
        }

        Assert.That(type, Is.EqualTo(2), $"{who}: type of a message");
        int withdrawnLength = BinaryPrimitives.ReadUInt16BigEndian(body);
        ReadOnlySpan<byte> withdrawn = body.Slice(2, withdrawnLength);
        int attributesLength = BinaryPrimitives.ReadUInt16BigEndian(body[(2 + withdrawnLength)..]);
        ReadOnlySpan<byte> attributes = body.Slice(4 + withdrawnLength, attributesLength);
        ReadOnlySpan<byte> nlri = body[(4 + withdrawnLength + attributesLength)..];
        if (body.Length == 4)
        {
            EndOfRibs++;
            return;
        }

        Assert.That(withdrawn.IsEmpty, Is.Not.EqualTo(nlri.IsEmpty), $"{who}: an UPDATE either announces or withdraws");
        while (!withdrawn.IsEmpty)
        {
            (string, uint) key = Key(ref withdrawn);
            NeedlessWithdrawals += _routes.Remove(key) ? 0 : 1;
            _stale.Remove(key);
        }

        if (nlri.IsEmpty)
        {
            Assert.That(attributesLength, Is.Zero, who);
            return;
        }

        string route = Describe(attributes);
        while (!nlri.IsEmpty)
        {
            (string, uint) key = Key(ref nlri);
            _routes[key] = route;
            _stale.Remove(key);
        }
    }

    private (string Prefix, uint PathId) Key(ref ReadOnlySpan<byte> nlri)
    {
        uint pathId = addPath ? ReadPathId(ref nlri) : 0;
        int bits = nlri[0];
        int octets = (bits + 7) / 8;
        Assert.That(bits, Is.LessThanOrEqualTo(32), who);
        byte[] address = new byte[4];
        nlri.Slice(1, octets).CopyTo(address);
        nlri = nlri[(1 + octets)..];
        return ($"{address[0]}.{address[1]}.{address[2]}.{address[3]}/{bits}", pathId);
    }

    /// <summary>The form that <see cref="RouteSpec"/> writes too.</summary>
    private string Describe(ReadOnlySpan<byte> attributes)
    {
        SortedDictionary<byte, string> values = [];
        while (!attributes.IsEmpty)
        {
            bool extended = (attributes[0] & 0x10) != 0;
            int length = extended ? BinaryPrimitives.ReadUInt16BigEndian(attributes[2..]) : attributes[2];
            ReadOnlySpan<byte> value = attributes.Slice(extended ? 4 : 3, length);
            Assert.That(values.TryAdd(attributes[1], Convert.ToHexString(value)), $"{who}: an attribute twice");
            attributes = attributes[((extended ? 4 : 3) + length)..];
        }

        return string.Join(' ', values.Select(static item => $"{item.Key}:{item.Value}"));
    }
}
