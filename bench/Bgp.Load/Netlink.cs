using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Bgp.Load;

/// <summary>
/// An rtnetlink socket in the network namespace of the thread that opens it: hears IPv4 route changes, lists the main table, writes routes. Numbers are those
/// of linux/netlink.h and linux/rtnetlink.h.
/// </summary>
internal sealed unsafe class Netlink : IDisposable
{
    private const ushort Error = 2;
    private const ushort Done = 3;
    private const ushort NewRoute = 24;
    private const ushort DelRoute = 25;
    private const ushort GetRoute = 26;
    private const ushort NewNexthop = 104;
    private const ushort Request = 1;
    private const ushort Ack = 4;
    private const ushort Dump = 0x300;
    private const ushort Create = 0x400;
    private const ushort Exclusive = 0x200;
    private const int MainTable = 254;
    private const int BufferSize = 256 << 10;
    private const int BatchSize = 256;
    private const int RouteGroup = 7;
    private readonly byte* _buffer = (byte*)NativeMemory.Alloc(BufferSize);

    internal Netlink(bool listen)
    {
        Fd = Native.Check(Native.Socket(16, 3 | Native.CloseOnExec | (listen ? Native.NonBlock : 0), 0), "netlink socket");
        Native.SetInt(Fd, Native.SolSocket, Native.SoReceiveBufferForce, 512 << 20);

        // A socket without a port hears no notification.
        byte* address = stackalloc byte[12];
        new Span<byte>(address, 12).Clear();
        *(ushort*)address = 16;
        Native.Check(Native.Bind(Fd, address, 12), "netlink bind");
        if (listen)
        {
            Native.SetInt(Fd, Native.SolNetlink, 1, RouteGroup);
        }
    }

    internal int Fd { get; }

    /// <summary>Notifications were lost: what was counted is not what there is.</summary>
    internal bool Overrun { get; private set; }

    /// <summary>Reads until nothing is left; counts the routes of the main table that were made and removed.</summary>
    internal void Drain(Tally tally)
    {
        while (true)
        {
            nint got = Native.Receive(Fd, _buffer, BufferSize, 0);
            if (got < 0)
            {
                if (Native.Errno == Native.Again)
                {
                    return;
                }

                Overrun = true;
                continue;
            }

            Walk(_buffer, (int)got, tally);
        }
    }

    /// <summary>Lists the main table.</summary>
    internal void List(Tally tally)
    {
        new Span<byte>(_buffer, 28).Clear();
        *(uint*)_buffer = 28;
        *(ushort*)(_buffer + 4) = GetRoute;
        *(ushort*)(_buffer + 6) = Request | Dump;
        _buffer[16] = 2;
        Check(Native.Send(Fd, _buffer, 28, 0), "send");
        while (true)
        {
            nint got = Check(Native.Receive(Fd, _buffer, BufferSize, 0), "recv");
            if (Walk(_buffer, (int)got, tally))
            {
                return;
            }
        }
    }

    /// <summary>`ip nexthop add id ID via GATEWAY dev DEVICE`, acknowledged.</summary>
    internal void AddNexthop(uint id, uint gateway, int device)
    {
        const int length = 16 + 8 + 8 + 8 + 8;
        new Span<byte>(_buffer, length).Clear();
        *(uint*)_buffer = length;
        *(ushort*)(_buffer + 4) = NewNexthop;
        *(ushort*)(_buffer + 6) = Request | Create | Exclusive | Ack;
        _buffer[16] = 2;
        _buffer[18] = 3;
        WriteAttribute(_buffer + 24, 1, id);
        WriteAttribute(_buffer + 32, 5, (uint)device);
        WriteAttribute(_buffer + 40, 6, BinaryPrimitives.ReverseEndianness(gateway));
        Check(Native.Send(Fd, _buffer, length, 0), "send");
        ReadAck();
    }

    /// <summary>Makes routes via a gateway, or by the id of a next hop object, many in one datagram, the last of each acknowledged: as fast as the kernel takes them.</summary>
    internal void AddAll(ReadOnlySpan<Prefix> prefixes, uint gateway, uint nexthop = 0)
    {
        for (int start = 0; start < prefixes.Length; start += BatchSize)
        {
            int count = Math.Min(BatchSize, prefixes.Length - start);
            int length = 0;
            for (int i = 0; i < count; i++)
            {
                length += WriteRoute(_buffer + length, NewRoute, (ushort)(Request | Create | Exclusive | (i == count - 1 ? Ack : 0)), prefixes[start + i], gateway, 0, nexthop);
            }

            Check(Native.Send(Fd, _buffer, (nuint)length, 0), "send");
            ReadAck();
        }
    }

    /// <summary>`ip route add PREFIX dev DEVICE scope link proto 3`, or del, as one acknowledged request.</summary>
    internal void Change(bool add, Prefix prefix, int device)
    {
        int length = WriteRoute(_buffer, add ? NewRoute : DelRoute, (ushort)(Request | Ack | (add ? Create | Exclusive : 0)), prefix, 0, device);
        Check(Native.Send(Fd, _buffer, (nuint)length, 0), "send");
        ReadAck();
    }

    public void Dispose()
    {
        _ = Native.Close(Fd);
        NativeMemory.Free(_buffer);
    }

    private static nint Check(nint result, string call) => result >= 0 ? result : throw new IOException($"netlink {call}: errno {Native.Errno}");

    private static int WriteRoute(byte* at, ushort type, ushort flags, Prefix prefix, uint gateway, int device, uint nexthop = 0)
    {
        const int length = 16 + 12 + 8 + 8;
        new Span<byte>(at, length).Clear();
        *(uint*)at = length;
        *(ushort*)(at + 4) = type;
        *(ushort*)(at + 6) = flags;
        byte* route = at + 16;
        route[0] = 2;
        route[1] = (byte)prefix.Length;
        route[4] = MainTable;
        route[5] = 3;
        route[6] = (byte)(gateway == 0 ? 253 : 0);
        route[7] = 1;
        WriteAttribute(route + 12, 1, BinaryPrimitives.ReverseEndianness(prefix.Address));
        if (nexthop != 0)
        {
            WriteAttribute(route + 20, 30, nexthop);
        }
        else
        {
            WriteAttribute(route + 20, (ushort)(gateway == 0 ? 4 : 5), gateway == 0 ? (uint)device : BinaryPrimitives.ReverseEndianness(gateway));
        }

        return length;
    }

    private static void WriteAttribute(byte* at, ushort type, uint value)
    {
        *(ushort*)at = 8;
        *(ushort*)(at + 2) = type;
        *(uint*)(at + 4) = value;
    }

    private void ReadAck()
    {
        nint got = Check(Native.Receive(Fd, _buffer, BufferSize, 0), "recv");
        int error = got >= 20 ? -*(int*)(_buffer + 16) : 0;
        if (error != 0)
        {
            throw new IOException($"route request: errno {error}");
        }
    }

    private static bool Walk(byte* at, int length, Tally tally)
    {
        byte* end = at + length;
        while (end - at >= 16)
        {
            int size = *(int*)at;
            ushort type = *(ushort*)(at + 4);
            if (type is NewRoute or DelRoute && at[16] == 2 && at[20] == MainTable)
            {
                Count(at + 16, at + size, type == NewRoute, tally);
            }
            else if (type is Done or Error)
            {
                return true;
            }

            at += (size + 3) & ~3;
        }

        return false;
    }

    private static void Count(byte* route, byte* end, bool added, Tally tally)
    {
        uint address = 0;
        for (byte* at = route + 12; end - at >= 4 && *(ushort*)at >= 4; at += (*(ushort*)at + 3) & ~3)
        {
            if (*(ushort*)(at + 2) == 1)
            {
                address = BinaryPrimitives.ReadUInt32BigEndian(new ReadOnlySpan<byte>(at + 4, 4));
            }
        }

        if (added)
        {
            tally.Announce(address, route[1], 0);
        }
        else
        {
            tally.Withdraw(address, route[1]);
        }
    }
}
