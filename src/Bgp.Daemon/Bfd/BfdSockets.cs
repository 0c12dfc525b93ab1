using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Bgp.Daemon.Kernel.Netlink;
using Bgp.Protocol;

namespace Bgp.Daemon.Bfd;

/// <summary>The calls of this folder that the framework has no wrapper for.</summary>
internal static unsafe partial class BfdNative
{
    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    internal static partial nint ReceiveMessage(SafeHandle fd, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "sendto", SetLastError = true)]
    internal static partial nint SendTo(SafeHandle fd, byte* buffer, nuint length, int flags, byte* address, uint addressLength);

    [LibraryImport("libc", EntryPoint = "sched_setscheduler", SetLastError = true)]
    internal static partial int SetScheduler(int pid, int policy, int* priority);

    [LibraryImport("libc", EntryPoint = "setpriority", SetLastError = true)]
    internal static partial int SetPriority(int which, uint who, int priority);

    [StructLayout(LayoutKind.Sequential)]
    internal struct MessageHeader
    {
        internal byte* Name;
        internal uint NameLength;
        internal Vector* Vectors;
        internal nuint VectorCount;
        internal byte* Control;
        internal nuint ControlLength;
        internal int Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct Vector
    {
        internal byte* Start;
        internal nuint Length;
    }
}

/// <summary>
/// The UDP sockets: one that receives per family and port, one that sends per session.
/// </summary>
/// <remarks>
/// The framework's Socket does not give the time to live of a datagram, which is the one check that keeps strangers out (RFC 5881 section 5), and its
/// asynchronous side runs on the pool, which is what BFD must not wait for. A session sends from a source port of its own in 49152-65535 (section 4);
/// whatever arrives there is never read and fits into the smallest buffer that the kernel has.
/// </remarks>
internal sealed unsafe class BfdSockets : IBfdWire, IDisposable
{
    internal const int SingleHopPort = 3784;
    internal const int MultihopPort = 4784;
    internal const int Receivers = 4;
    private const int FirstSourcePort = 49152;
    private const int SourcePorts = 16384;
    private const int AfInet = 2;
    private const int AfInet6 = 10;
    private const int SolSocket = 1;
    private const int SoReceiveBuffer = 8;
    private const int Datagram = 2 | 0x80000 | 0x800;
    private const int DontWait = 0x40;
    private const int Cs6 = 0xC0;

    private readonly FdHandle?[] _receivers = new FdHandle?[Receivers];
    private readonly Func<string, int> _interfaceIndex;
    private int _nextPort;

    internal BfdSockets(Func<string, int> interfaceIndex, int seed) => (_interfaceIndex, _nextPort) = (interfaceIndex, (seed & int.MaxValue) % SourcePorts);

    /// <summary>The receiving socket that a session needs: bit 0 is IPv6, bit 1 multihop.</summary>
    internal static int ReceiverOf(BfdTarget target) => (target.Remote.IsV6 ? 1 : 0) | (target.Multihop ? 2 : 0);

    internal FdHandle? Receiver(int index) => _receivers[index];

    /// <summary>Opens a receiving socket; 0, or errno.</summary>
    internal int Open(int index)
    {
        if (_receivers[index] is not null)
        {
            return 0;
        }

        bool v6 = (index & 1) != 0;
        int fd = Native.Socket(v6 ? AfInet6 : AfInet, Datagram, 0);
        if (fd < 0)
        {
            return Marshal.GetLastPInvokeError();
        }

        FdHandle handle = new(fd);
        Set(handle, SolSocket, SoReceiveBuffer, 1 << 20);
        if (v6)
        {
            // IPV6_V6ONLY, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT.
            Set(handle, 41, 26, 1);
            Set(handle, 41, 49, 1);
            Set(handle, 41, 51, 1);
        }
        else
        {
            // IP_PKTINFO, IP_RECVTTL.
            Set(handle, 0, 8, 1);
            Set(handle, 0, 12, 1);
        }

        byte* address = stackalloc byte[28];
        uint length = Address(address, v6 ? IpAddr.V6(0, 0) : IpAddr.V4(0), (index & 2) != 0 ? MultihopPort : SingleHopPort, 0);
        if (Native.Bind(handle, address, length) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            handle.Dispose();
            return error;
        }

        _receivers[index] = handle;
        return 0;
    }

    /// <summary>Reads one datagram without waiting: its octets, or -1 when there is none.</summary>
    internal int Receive(int index, Span<byte> into, out BfdArrival arrival)
    {
        arrival = default;
        byte* name = stackalloc byte[28];
        byte* control = stackalloc byte[256];
        fixed (byte* start = into)
        {
            BfdNative.Vector vector = new() { Start = start, Length = (nuint)into.Length };
            BfdNative.MessageHeader header = new() { Name = name, NameLength = 28, Vectors = &vector, VectorCount = 1, Control = control, ControlLength = 256 };
            nint read = BfdNative.ReceiveMessage(_receivers[index]!, &header, DontWait);
            if (read < 0)
            {
                return -1;
            }

            IpAddr from = header.NameLength >= 28 && *(ushort*)name == AfInet6
                ? IpAddr.FromBytes(new ReadOnlySpan<byte>(name + 8, 16))
                : IpAddr.FromBytes(new ReadOnlySpan<byte>(name + 4, 4));
            (int device, int ttl) = Control(control, (int)header.ControlLength);
            arrival = new BfdArrival(from, device, ttl, (index & 2) != 0);
            return (int)read;
        }
    }

    /// <inheritdoc/>
    public bool Send(BfdPeer peer, ReadOnlySpan<byte> octets)
    {
        BfdTarget target = peer.Target;
        if (peer.Socket is null && (peer.Socket = OpenSender(target, peer.InterfaceIndex)) is null)
        {
            return false;
        }

        byte* address = stackalloc byte[28];
        uint length = Address(address, target.Remote, target.Multihop ? MultihopPort : SingleHopPort, peer.InterfaceIndex);
        fixed (byte* start = octets)
        {
            if (BfdNative.SendTo(peer.Socket, start, (nuint)octets.Length, DontWait, address, length) == octets.Length)
            {
                return true;
            }
        }

        if (Marshal.GetLastPInvokeError() is Errno.Inval or Errno.Nodev)
        {
            // The address or the interface that it is bound to is gone: the next packet tries a new one.
            Release(peer);
        }

        return false;
    }

    /// <inheritdoc/>
    public void Release(BfdPeer peer)
    {
        peer.Socket?.Dispose();
        peer.Socket = null;
    }

    /// <inheritdoc/>
    public int InterfaceIndex(string name) => _interfaceIndex(name);

    public void Dispose()
    {
        foreach (FdHandle? receiver in _receivers)
        {
            receiver?.Dispose();
        }
    }

    private static void Set(FdHandle handle, int level, int option, int value) => _ = Native.SetSockOpt(handle, level, option, &value, 4);

    /// <summary>A sockaddr_in or sockaddr_in6; its length.</summary>
    private static uint Address(byte* into, in IpAddr address, int port, int scope)
    {
        new Span<byte>(into, 28).Clear();
        *(ushort*)into = address.IsV6 ? (ushort)AfInet6 : (ushort)AfInet;
        BinaryPrimitives.WriteUInt16BigEndian(new Span<byte>(into + 2, 2), (ushort)port);
        address.Write(new Span<byte>(into + (address.IsV6 ? 8 : 4), 16));
        if (address.IsLinkLocal)
        {
            *(int*)(into + 24) = scope;
        }

        return address.IsV6 ? 28u : 16u;
    }

    /// <summary>The control messages: interface and time to live; 0 where they are missing, which no session takes.</summary>
    private static (int Interface, int Ttl) Control(byte* control, int length)
    {
        int device = 0;
        int ttl = 0;
        for (int at = 0; at + 16 <= length;)
        {
            int size = (int)*(nuint*)(control + at);
            if (size < 16 || at + size > length)
            {
                break;
            }

            byte* data = control + at + 16;
            switch (*(int*)(control + at + 8), *(int*)(control + at + 12))
            {
                case (0, 2) or (41, 52) when size >= 20:
                    ttl = *(int*)data;
                    break;
                case (0, 8) when size >= 28:
                    device = *(int*)data;
                    break;
                case (41, 50) when size >= 36:
                    device = *(int*)(data + 16);
                    break;
            }

            at += (size + 7) & ~7;
        }

        return (device, ttl);
    }

    private FdHandle? OpenSender(BfdTarget target, int scope)
    {
        bool v6 = target.Remote.IsV6;
        int fd = Native.Socket(v6 ? AfInet6 : AfInet, Datagram, 0);
        if (fd < 0)
        {
            return null;
        }

        FdHandle handle = new(fd);
        Set(handle, SolSocket, SoReceiveBuffer, 0);
        if (v6)
        {
            // IPV6_UNICAST_HOPS, IPV6_TCLASS, IPV6_V6ONLY.
            Set(handle, 41, 16, 255);
            Set(handle, 41, 67, Cs6);
            Set(handle, 41, 26, 1);
        }
        else
        {
            // IP_TTL, IP_TOS.
            Set(handle, 0, 2, 255);
            Set(handle, 0, 1, Cs6);
        }

        IpAddr local = !target.Local.IsNone && target.Local.IsV6 == v6 ? target.Local : v6 ? IpAddr.V6(0, 0) : IpAddr.V4(0);
        byte* address = stackalloc byte[28];
        for (int attempt = 0; attempt < 64; attempt++)
        {
            _nextPort = (_nextPort + 1) % SourcePorts;
            uint length = Address(address, local, FirstSourcePort + _nextPort, scope);
            if (Native.Bind(handle, address, length) == 0)
            {
                return handle;
            }
        }

        handle.Dispose();
        return null;
    }
}
