using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bgp.Protocol;

namespace Bgp.Daemon.Kernel.Netlink;

/// <summary>One message of a datagram: nlmsghdr, decoded, and what follows it.</summary>
internal readonly ref struct NetlinkMessage(ushort type, ushort flags, uint sequence, uint portId, ReadOnlySpan<byte> body)
{
    internal ushort Type { get; } = type;

    internal ushort Flags { get; } = flags;

    internal uint Sequence { get; } = sequence;

    /// <summary>Port id of the socket whose request caused this; 0 when the kernel itself did.</summary>
    internal uint PortId { get; } = portId;

    internal ReadOnlySpan<byte> Body { get; } = body;

    /// <summary>errno (positive) of NLMSG_ERROR or NLMSG_DONE; 0 for an acknowledgement, or when the body is too short.</summary>
    internal int Error => Body.Length >= 4 ? -MemoryMarshal.Read<int>(Body) : 0;
}

/// <summary>
/// Walks the messages of one datagram. Stops, never throws, at a length that does not fit: netlink comes from the kernel, but a
/// truncated datagram (MSG_TRUNC) or a kernel newer than this code must not end the daemon.
/// </summary>
internal ref struct NetlinkReader(ReadOnlySpan<byte> datagram)
{
    private ReadOnlySpan<byte> _rest = datagram;

    /// <summary>Whether the walk ended at octets that are no message.</summary>
    internal readonly bool Truncated => !_rest.IsEmpty;

    internal bool TryRead(out NetlinkMessage message)
    {
        message = default;
        if (_rest.Length < Rt.NlmsgHeader)
        {
            return false;
        }

        uint length = MemoryMarshal.Read<uint>(_rest);
        if (length < Rt.NlmsgHeader || length > (uint)_rest.Length)
        {
            return false;
        }

        message = new NetlinkMessage(
            MemoryMarshal.Read<ushort>(_rest[4..]), MemoryMarshal.Read<ushort>(_rest[6..]),
            MemoryMarshal.Read<uint>(_rest[8..]), MemoryMarshal.Read<uint>(_rest[12..]), _rest[Rt.NlmsgHeader..(int)length]);
        _rest = _rest[Math.Min(Rt.Align((int)length), _rest.Length)..];
        return true;
    }
}

/// <summary>Walks rtattr records; stops at a length that does not fit.</summary>
internal ref struct AttributeReader(ReadOnlySpan<byte> attributes)
{
    private ReadOnlySpan<byte> _rest = attributes;

    internal bool TryRead(out int type, out ReadOnlySpan<byte> value)
    {
        type = 0;
        value = default;
        if (_rest.Length < 4)
        {
            return false;
        }

        int length = MemoryMarshal.Read<ushort>(_rest);
        if (length < 4 || length > _rest.Length)
        {
            return false;
        }

        type = MemoryMarshal.Read<ushort>(_rest[2..]) & Rt.AttributeTypeMask;
        value = _rest[4..length];
        _rest = _rest[Math.Min(Rt.Align(length), _rest.Length)..];
        return true;
    }
}

/// <summary>Writes messages one after another into a caller's buffer, which must have room (checked by the caller per message).</summary>
internal ref struct NetlinkWriter(Span<byte> buffer)
{
    private readonly Span<byte> _buffer = buffer;
    private int _start;

    /// <summary>Octets written.</summary>
    internal int Length { get; private set; }

    internal readonly ReadOnlySpan<byte> Written => _buffer[..Length];

    /// <summary>Begins a message and returns its body of <paramref name="bodyLength"/> octets, zeroed.</summary>
    internal Span<byte> Begin(ushort type, ushort flags, uint sequence, int bodyLength)
    {
        _start = Length;
        Span<byte> header = _buffer.Slice(_start, Rt.NlmsgHeader + bodyLength);
        header.Clear();
        MemoryMarshal.Write(header[4..], type);
        MemoryMarshal.Write(header[6..], flags);
        MemoryMarshal.Write(header[8..], sequence);
        Length += header.Length;
        return header[Rt.NlmsgHeader..];
    }

    /// <summary>Adds flags to the message being written: the acknowledgement is asked of the last one only.</summary>
    internal readonly void AddFlags(ushort flags)
    {
        ushort present = MemoryMarshal.Read<ushort>(_buffer[(_start + 6)..]);
        MemoryMarshal.Write(_buffer[(_start + 6)..], (ushort)(present | flags));
    }

    /// <summary>Appends an attribute of <paramref name="length"/> octets and returns them, zeroed.</summary>
    internal Span<byte> Attribute(int type, int length)
    {
        Span<byte> whole = _buffer.Slice(Length, Rt.Align(4 + length));
        whole.Clear();
        MemoryMarshal.Write(whole, (ushort)(4 + length));
        MemoryMarshal.Write(whole[2..], (ushort)type);
        Length += whole.Length;
        return whole.Slice(4, length);
    }

    internal void Attribute(int type, uint value) => MemoryMarshal.Write(Attribute(type, 4), value);

    internal void Attribute(int type, IpAddr address) => address.Write(Attribute(type, address.ByteLength));

    /// <summary>Begins a nested attribute; give the returned position to <see cref="EndNested"/>.</summary>
    internal int BeginNested(int type)
    {
        int at = Length;
        Attribute(type, 0);
        return at;
    }

    internal readonly void EndNested(int at) => MemoryMarshal.Write(_buffer[at..], (ushort)(Length - at));

    /// <summary>Appends raw octets inside a nested attribute, zeroed.</summary>
    internal Span<byte> Raw(int length)
    {
        Span<byte> whole = _buffer.Slice(Length, length);
        whole.Clear();
        Length += length;
        return whole;
    }

    /// <summary>Ends the message: its length is now known.</summary>
    internal readonly void End() => MemoryMarshal.Write(_buffer[_start..], (uint)(Length - _start));
}
