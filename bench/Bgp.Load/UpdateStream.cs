using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Bgp.Load;

/// <summary>UPDATE messages encoded before the clock starts, in memory that the collector does not move: a send is a pointer and a length.</summary>
internal sealed unsafe class UpdateStream
{
    private const int MaxMessage = 4096;
    private byte* _memory;
    private int _capacity = 1 << 16;
    private int _message;
    private int _nlri;

    internal UpdateStream() => _memory = (byte*)NativeMemory.Alloc((nuint)_capacity);

    internal byte* Memory => _memory;

    internal int Length { get; private set; }

    /// <summary>NLRI in it, announced or withdrawn.</summary>
    internal int Prefixes { get; private set; }

    /// <summary>Announces prefixes with one set of attributes, in as many messages as they need.</summary>
    internal void Announce(ReadOnlySpan<byte> attributes, ReadOnlySpan<Prefix> prefixes)
    {
        for (int i = 0; i < prefixes.Length;)
        {
            Begin();
            Put16(0);
            Put16(attributes.Length);
            attributes.CopyTo(new Span<byte>(_memory + Length, attributes.Length));
            Length += attributes.Length;
            while (i < prefixes.Length && Length - _message + 5 <= MaxMessage)
            {
                Put(prefixes[i++]);
            }

            End();
        }
    }

    /// <summary>Withdraws prefixes in messages as full as they go.</summary>
    internal void Withdraw(ReadOnlySpan<Prefix> prefixes)
    {
        for (int i = 0; i < prefixes.Length;)
        {
            Begin();
            _nlri = Length;
            Put16(0);
            while (i < prefixes.Length && Length - _message + 5 + 2 <= MaxMessage)
            {
                Put(prefixes[i++]);
            }

            BinaryPrimitives.WriteUInt16BigEndian(new Span<byte>(_memory + _nlri, 2), (ushort)(Length - _nlri - 2));
            Put16(0);
            End();
        }
    }

    private void Begin()
    {
        if (_capacity - Length < 2 * MaxMessage)
        {
            _capacity *= 2;
            _memory = (byte*)NativeMemory.Realloc(_memory, (nuint)_capacity);
        }

        _message = Length;
        new Span<byte>(_memory + Length, 16).Fill(0xFF);
        _memory[Length + 18] = Messages.Update;
        Length += Messages.Header;
    }

    private void End() => BinaryPrimitives.WriteUInt16BigEndian(new Span<byte>(_memory + _message + 16, 2), (ushort)(Length - _message));

    private void Put16(int value)
    {
        _memory[Length++] = (byte)(value >> 8);
        _memory[Length++] = (byte)value;
    }

    private void Put(Prefix prefix)
    {
        _memory[Length++] = (byte)prefix.Length;
        for (int bits = 0; bits < prefix.Length; bits += 8)
        {
            _memory[Length++] = (byte)(prefix.Address >> (24 - bits));
        }

        Prefixes++;
    }
}

/// <summary>The messages a speaker sends besides UPDATE.</summary>
internal static class Messages
{
    internal const int Header = 19;
    internal const byte Open = 1;
    internal const byte Update = 2;
    internal const byte Notification = 3;
    internal const byte Keepalive = 4;
    internal const byte Refresh = 5;

    /// <summary>Hold time of every speaker, seconds.</summary>
    internal const int HoldTime = 180;

    /// <summary>An OPEN with multiprotocol IPv4 unicast, route refresh and 4-octet AS numbers, and nothing else: what every daemon here negotiates alike.</summary>
    internal static byte[] MakeOpen(uint asn, uint identifier)
    {
        ReadOnlySpan<byte> capabilities = [1, 4, 0, 1, 0, 1, 2, 0, 65, 4, (byte)(asn >> 24), (byte)(asn >> 16), (byte)(asn >> 8), (byte)asn];
        byte[] body = new byte[10 + 2 + capabilities.Length];
        body[0] = 4;
        BinaryPrimitives.WriteUInt16BigEndian(body.AsSpan(1), (ushort)(asn > 65535 ? 23456 : asn));
        BinaryPrimitives.WriteUInt16BigEndian(body.AsSpan(3), HoldTime);
        BinaryPrimitives.WriteUInt32BigEndian(body.AsSpan(5), identifier);
        body[9] = (byte)(2 + capabilities.Length);
        body[10] = 2;
        body[11] = (byte)capabilities.Length;
        capabilities.CopyTo(body.AsSpan(12));
        return Make(Open, body);
    }

    internal static byte[] MakeKeepalive() => Make(Keepalive, []);

    /// <summary>ROUTE-REFRESH of IPv4 unicast (RFC 2918).</summary>
    internal static byte[] MakeRefresh() => Make(Refresh, [0, 1, 0, 1]);

    private static byte[] Make(byte type, ReadOnlySpan<byte> body)
    {
        byte[] message = new byte[Header + body.Length];
        message.AsSpan(0, 16).Fill(0xFF);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(16), (ushort)message.Length);
        message[18] = type;
        body.CopyTo(message.AsSpan(Header));
        return message;
    }
}
