using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Bgp.Load;

internal enum SpeakerState
{
    Idle,
    Connecting,
    OpenSent,
    OpenConfirm,
    Established,
    Closed,
}

/// <summary>
/// One simulated BGP speaker: a socket from its own address, the handshake, a queue of encoded messages to send, and a tally of what it hears.
/// </summary>
internal sealed unsafe class Speaker(Fleet fleet, int index, uint address, uint asn)
{
    private const int Carry = 4096;
    private static readonly byte* s_keepalive = Pin(Messages.MakeKeepalive());
    private static readonly byte* s_refresh = Pin(Messages.MakeRefresh());
    private readonly byte* _open = Pin(Messages.MakeOpen(asn, address));
    private readonly byte* _carry = (byte*)NativeMemory.Alloc(Carry);
    private readonly Queue<(nint Memory, int Length)> _queue = new();
    private int _carried;
    private nint _sending;
    private int _left;
    private bool _writable;

    internal int Index => index;

    internal uint Address => address;

    internal uint Asn => asn;

    internal int Fd { get; private set; } = -1;

    internal SpeakerState State { get; private set; }

    /// <summary>What it hears is counted here; null: UPDATEs are skipped unread.</summary>
    internal Tally? Tally { get; set; }

    /// <summary>When to connect again, in ticks of the clock; 0: not waiting.</summary>
    internal long RetryAt { get; private set; }

    /// <summary>What the last connection died of.</summary>
    internal string? Lost { get; private set; }

    /// <summary>Everything given to <see cref="Send"/> is in the kernel's hands.</summary>
    internal bool Drained => _left == 0 && _queue.Count == 0;

    internal void Connect(uint to, int port)
    {
        RetryAt = 0;
        Fd = Native.Check(Native.Socket(2, 1 | Native.NonBlock | Native.CloseOnExec, 0), "socket");
        Native.SetInt(Fd, Native.IpProtoTcp, Native.TcpNoDelay, 1);
        Native.SetInt(Fd, 0, Native.IpBindAddressNoPort, 1);
        byte* endPoint = stackalloc byte[16];
        Native.WriteEndPoint(endPoint, address, 0);
        Native.Check(Native.Bind(Fd, endPoint, 16), $"bind to {Ip.Text(address)}");
        Native.WriteEndPoint(endPoint, to, port);
        State = SpeakerState.Connecting;
        if (Native.Connect(Fd, endPoint, 16) < 0 && Native.Errno != Native.InProgress)
        {
            Lose($"connect: errno {Native.Errno}");
            return;
        }

        Native.EpollAdd(fleet.Epoll, Fd, index);
    }

    /// <summary>Queues encoded messages and sends what the socket takes.</summary>
    internal void Send(UpdateStream stream)
    {
        Send(stream.Memory, stream.Length);
    }

    /// <summary>The same with a part of the stream, whole messages.</summary>
    internal void Send(UpdateStream stream, int start, int length) => Send(stream.Memory + start, length);

    internal void SendKeepalive()
    {
        if (Drained)
        {
            Send(s_keepalive, Messages.Header);
        }
    }

    internal void SendRefresh() => Send(s_refresh, Messages.Header + 4);

    /// <summary>Ends the connection as a crash would: a reset.</summary>
    internal void Abort()
    {
        int* linger = stackalloc int[2];
        linger[0] = 1;
        linger[1] = 0;
        _ = Native.SetSockOpt(Fd, Native.SolSocket, Native.SoLinger, linger, 8);
        Close();
    }

    internal void Close()
    {
        if (Fd >= 0)
        {
            _ = Native.Close(Fd);
        }

        Fd = -1;
        State = SpeakerState.Closed;
        _queue.Clear();
        _left = 0;
        _carried = 0;
        _writable = false;
    }

    internal void OnEvent(uint events)
    {
        if (State == SpeakerState.Connecting)
        {
            int error = 0;
            uint length = 4;
            _ = Native.GetSockOpt(Fd, Native.SolSocket, Native.SoError, &error, &length);
            if (error != 0)
            {
                Lose($"connect: errno {error}");
                return;
            }

            if ((events & Native.EpollOut) == 0)
            {
                return;
            }

            State = SpeakerState.OpenSent;
            _writable = true;
            Send(_open, BinaryPrimitives.ReadUInt16BigEndian(new ReadOnlySpan<byte>(_open + 16, 2)));
        }

        if ((events & Native.EpollOut) != 0)
        {
            _writable = true;
            Flush();
        }

        if (Fd >= 0 && (events & (Native.EpollIn | Native.EpollHup | Native.EpollErr)) != 0)
        {
            Receive();
        }
    }

    private static byte* Pin(byte[] message)
    {
        byte* memory = (byte*)NativeMemory.Alloc((nuint)message.Length);
        message.CopyTo(new Span<byte>(memory, message.Length));
        return memory;
    }

    private void Send(byte* memory, int length)
    {
        _queue.Enqueue(((nint)memory, length));
        Flush();
    }

    private void Flush()
    {
        while (_writable)
        {
            if (_left == 0)
            {
                if (!_queue.TryDequeue(out (nint Memory, int Length) next))
                {
                    return;
                }

                (_sending, _left) = next;
            }

            nint sent = Native.Send(Fd, (byte*)_sending, (nuint)Math.Min(_left, 1 << 20), Native.MsgNoSignal);
            if (sent < 0)
            {
                _writable = false;
                if (Native.Errno != Native.Again)
                {
                    Lose($"send: errno {Native.Errno}");
                }

                return;
            }

            _sending += sent;
            _left -= (int)sent;
        }
    }

    private void Receive()
    {
        byte* buffer = fleet.Scratch;
        while (Fd >= 0)
        {
            Buffer.MemoryCopy(_carry, buffer, Fleet.ScratchSize, _carried);
            int room = Fleet.ScratchSize - _carried;
            nint got = Native.Receive(Fd, buffer + _carried, (nuint)room, 0);
            if (got <= 0)
            {
                if (got == 0 || Native.Errno != Native.Again)
                {
                    Lose(got == 0 ? "closed by the daemon" : $"recv: errno {Native.Errno}");
                }

                return;
            }

            Parse(buffer, _carried + (int)got);
            if (got < room)
            {
                return;
            }
        }
    }

    private void Parse(byte* buffer, int length)
    {
        byte* at = buffer;
        byte* end = buffer + length;
        while (end - at >= Messages.Header)
        {
            int size = at[16] << 8 | at[17];
            if (size < Messages.Header || size > Carry)
            {
                Lose($"message of {size} octets");
                return;
            }

            if (end - at < size)
            {
                break;
            }

            if (at[18] == Messages.Update)
            {
                if (Tally is not null)
                {
                    OnUpdate(at, at + size, Tally);
                }
            }
            else
            {
                OnControl(at);
                if (Fd < 0)
                {
                    return;
                }
            }

            at += size;
        }

        _carried = (int)(end - at);
        Buffer.MemoryCopy(at, _carry, Carry, _carried);
    }

    private void OnControl(byte* message)
    {
        switch (message[18])
        {
            case Messages.Open when State == SpeakerState.OpenSent:
                State = SpeakerState.OpenConfirm;
                Send(s_keepalive, Messages.Header);
                break;
            case Messages.Keepalive when State == SpeakerState.OpenConfirm:
                State = SpeakerState.Established;
                fleet.OnEstablished();
                break;
            case Messages.Notification:
                Lose($"NOTIFICATION {message[19]}/{message[20]}");
                break;
        }
    }

    private static void OnUpdate(byte* message, byte* end, Tally tally)
    {
        byte* at = message + Messages.Header;
        byte* stop = at + 2 + (at[0] << 8 | at[1]);
        at += 2;
        while (at < stop)
        {
            at = ReadPrefix(at, out uint address, out int length);
            tally.Withdraw(address, length);
        }

        byte* attributes = at + 2;
        at = attributes + (at[0] << 8 | at[1]);
        int pathLength = tally.WantsLengths && at < end ? PathLength(attributes, at) : 0;
        while (at < end)
        {
            at = ReadPrefix(at, out uint address, out int length);
            tally.Announce(address, length, pathLength);
        }
    }

    private static byte* ReadPrefix(byte* at, out uint address, out int length)
    {
        length = at[0];
        int octets = (length + 7) >> 3;
        uint value = 0;
        for (int i = 0; i < octets; i++)
        {
            value |= (uint)at[1 + i] << (24 - 8 * i);
        }

        address = value;
        return at + 1 + octets;
    }

    private static int PathLength(byte* at, byte* end)
    {
        while (at + 3 <= end)
        {
            bool extended = (at[0] & 0x10) != 0;
            int length = extended ? at[2] << 8 | at[3] : at[2];
            byte* value = at + (extended ? 4 : 3);
            if (at[1] == 2)
            {
                int hops = 0;
                for (byte* segment = value; segment + 2 <= value + length; segment += 2 + 4 * segment[1])
                {
                    hops += segment[0] == 1 ? 1 : segment[1];
                }

                return hops;
            }

            at = value + length;
        }

        return 0;
    }

    private void Lose(string reason)
    {
        bool established = State == SpeakerState.Established;
        Lost = reason;
        Close();
        RetryAt = fleet.OnLost(this, established);
    }
}
