using System.Buffers.Binary;

namespace Bgp.Protocol;

/// <summary>
/// A cursor over a buffer to be sent. A write that does not fit sets <see cref="Failed"/> and all later ones do nothing, so that a caller
/// checks once at the end and an over-long message cannot leave.
/// </summary>
public ref struct WireWriter(Span<byte> buffer)
{
    private readonly Span<byte> _buffer = buffer;
    private int _position;
    private bool _failed;

    /// <summary>Octets written so far.</summary>
    public readonly int Position => _position;

    /// <summary>Whether something did not fit.</summary>
    public readonly bool Failed => _failed;

    /// <summary>What was written.</summary>
    public readonly ReadOnlySpan<byte> Written => _buffer[.._position];

    private bool Claim(int count)
    {
        if (_failed || count > _buffer.Length - _position)
        {
            _failed = true;
            return false;
        }

        return true;
    }

    /// <summary>Writes one octet.</summary>
    public void WriteByte(byte value)
    {
        if (Claim(1))
        {
            _buffer[_position++] = value;
        }
    }

    /// <summary>Writes two octets in network order.</summary>
    public void WriteUInt16(ushort value)
    {
        if (Claim(2))
        {
            BinaryPrimitives.WriteUInt16BigEndian(_buffer[_position..], value);
            _position += 2;
        }
    }

    /// <summary>Writes four octets in network order.</summary>
    public void WriteUInt32(uint value)
    {
        if (Claim(4))
        {
            BinaryPrimitives.WriteUInt32BigEndian(_buffer[_position..], value);
            _position += 4;
        }
    }

    /// <summary>Copies octets.</summary>
    public void WriteBytes(scoped ReadOnlySpan<byte> value)
    {
        if (Claim(value.Length))
        {
            value.CopyTo(_buffer[_position..]);
            _position += value.Length;
        }
    }

    /// <summary>Leaves one octet for a length that is not known yet; returns its position for <see cref="PatchByte"/>.</summary>
    public int ReserveByte()
    {
        int at = _position;
        WriteByte(0);
        return at;
    }

    /// <summary>Leaves two octets for a length; returns their position for <see cref="PatchUInt16"/>.</summary>
    public int ReserveUInt16()
    {
        int at = _position;
        WriteUInt16(0);
        return at;
    }

    /// <summary>Fills a reserved octet. A value over 255 fails the writer instead of wrapping.</summary>
    public void PatchByte(int at, int value)
    {
        if (_failed || (uint)value > byte.MaxValue)
        {
            _failed = true;
            return;
        }

        _buffer[at] = (byte)value;
    }

    /// <summary>Fills two reserved octets. A value over 65535 fails the writer instead of wrapping.</summary>
    public void PatchUInt16(int at, int value)
    {
        if (_failed || (uint)value > ushort.MaxValue)
        {
            _failed = true;
            return;
        }

        BinaryPrimitives.WriteUInt16BigEndian(_buffer[at..], (ushort)value);
    }

    /// <summary>Writes marker, a length to be patched by <see cref="EndMessage"/>, and the type (RFC 4271 section 4.1).</summary>
    public void BeginMessage(MessageType type)
    {
        if (Claim(BgpConstants.HeaderLength))
        {
            _buffer.Slice(_position, BgpConstants.MarkerLength).Fill(0xFF);
            _position += BgpConstants.MarkerLength;
            WriteUInt16(0);
            WriteByte((byte)type);
        }
    }

    /// <summary>Patches the length of the message that began at offset 0; returns it, or 0 when something did not fit.</summary>
    public int EndMessage()
    {
        if (!_failed)
        {
            PatchUInt16(BgpConstants.MarkerLength, _position);
        }

        return _failed ? 0 : _position;
    }
}
