using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Bgp.Daemon.Kernel.Netlink;

/// <summary>The calls that the framework has no wrapper for.</summary>
internal static unsafe partial class Native
{
    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    internal static partial int Socket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    internal static partial int Bind(SafeHandle fd, byte* address, uint length);

    [LibraryImport("libc", EntryPoint = "getsockname", SetLastError = true)]
    internal static partial int GetSockName(SafeHandle fd, byte* address, uint* length);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    internal static partial int SetSockOpt(SafeHandle fd, int level, int name, int* value, uint length);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    internal static partial nint Send(SafeHandle fd, byte* buffer, nuint length, int flags);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    internal static partial nint Receive(SafeHandle fd, byte* buffer, nuint length, int flags);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    internal static partial int Poll(PollFd* fds, nuint count, int timeoutMilliseconds);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    internal static partial int EventFd(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    internal static partial nint Read(SafeHandle fd, byte* buffer, nuint length);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    internal static partial nint Write(SafeHandle fd, byte* buffer, nuint length);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    internal static partial int Close(int fd);

    [StructLayout(LayoutKind.Sequential)]
    internal struct PollFd
    {
        internal int Fd;
        internal short Events;
        internal short Returned;
    }
}

/// <summary>A file descriptor that is closed exactly once.</summary>
internal sealed class FdHandle : SafeHandleMinusOneIsInvalid
{
    internal FdHandle(int fd) : base(ownsHandle: true) => SetHandle(fd);

    internal int Fd => (int)handle;

    protected override bool ReleaseHandle() => Native.Close((int)handle) == 0;
}

/// <summary>A counter that wakes a poll: eventfd(2).</summary>
internal sealed unsafe class EventFd : IDisposable
{
    internal EventFd()
    {
        int fd = Native.EventFd(0, 0x800 | 0x80000);
        Handle = fd >= 0 ? new FdHandle(fd) : throw new NetlinkException("eventfd", Marshal.GetLastPInvokeError());
    }

    internal FdHandle Handle { get; }

    internal void Signal()
    {
        ulong one = 1;
        _ = Native.Write(Handle, (byte*)&one, 8);
    }

    internal void Drain()
    {
        ulong value;
        _ = Native.Read(Handle, (byte*)&value, 8);
    }

    public void Dispose() => Handle.Dispose();
}

/// <summary>A netlink socket could not be opened or used.</summary>
public sealed class NetlinkException(string operation, int error) : IOException($"netlink {operation}: {Errno.Name(error)}")
{
    /// <summary>errno.</summary>
    public int Error { get; } = error;
}

/// <summary>
/// An AF_NETLINK socket of the route family, in the network namespace of the thread that creates it.
/// </summary>
/// <remarks>
/// The framework's Socket neither knows the family nor gives errno for each call, so this owns the descriptor itself.
/// NETLINK_NO_ENOBUFS stays off on purpose: an overrun must be an error, since it is the only sign that notifications were lost.
/// </remarks>
internal sealed unsafe class NetlinkSocket : IDisposable
{
    private const int SolSocket = 1;
    private const int SolNetlink = 270;
    private const int MsgDontWait = 0x40;
    private const int MsgTrunc = 0x20;

    /// <summary>Opens and binds; <paramref name="receiveBuffer"/> in bytes, 0 for the system's default.</summary>
    internal NetlinkSocket(int receiveBuffer, ReadOnlySpan<int> groups)
    {
        int fd = Native.Socket(16, 3 | 0x80000, 0);
        if (fd < 0)
        {
            throw new NetlinkException("socket", Marshal.GetLastPInvokeError());
        }

        Handle = new FdHandle(fd);
        if (receiveBuffer > 0 && !SetOption(SolSocket, 33, receiveBuffer))
        {
            // SO_RCVBUFFORCE needs CAP_NET_ADMIN over the initial namespace; without it net.core.rmem_max caps the size.
            SetOption(SolSocket, 8, receiveBuffer);
        }

        SetOption(SolSocket, 32, 4 << 20);
        SetOption(SolNetlink, 12, 1);
        SetOption(SolNetlink, 11, 1);
        SetOption(SolNetlink, 10, 1);
        byte* address = stackalloc byte[12];
        new Span<byte>(address, 12).Clear();
        *(ushort*)address = 16;
        if (Native.Bind(Handle, address, 12) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            Handle.Dispose();
            throw new NetlinkException("bind", error);
        }

        uint length = 12;
        _ = Native.GetSockName(Handle, address, &length);
        PortId = *(uint*)(address + 4);
        foreach (int group in groups)
        {
            if (!SetOption(SolNetlink, 1, group))
            {
                int error = Marshal.GetLastPInvokeError();
                Handle.Dispose();
                throw new NetlinkException("join", error);
            }
        }
    }

    internal FdHandle Handle { get; }

    /// <summary>The nlmsg_pid that notifications caused by this socket's requests carry.</summary>
    internal uint PortId { get; }

    /// <summary>Hears one more group; false when the kernel has none of that number.</summary>
    internal bool TryJoin(int group) => SetOption(SolNetlink, 1, group);

    /// <summary>Sends one datagram; 0 or errno.</summary>
    internal int Send(ReadOnlySpan<byte> datagram)
    {
        fixed (byte* start = datagram)
        {
            while (Native.Send(Handle, start, (nuint)datagram.Length, 0) < 0)
            {
                int error = Marshal.GetLastPInvokeError();
                if (error != Errno.Intr)
                {
                    return error;
                }
            }
        }

        return 0;
    }

    /// <summary>
    /// Reads one datagram: its octets, 0 when there is none (not blocking), or minus errno. A datagram larger than the buffer is reported
    /// as ENOBUFS: part of it is lost, which is an overrun.
    /// </summary>
    internal int Receive(Span<byte> into, bool wait)
    {
        fixed (byte* start = into)
        {
            while (true)
            {
                nint read = Native.Receive(Handle, start, (nuint)into.Length, MsgTrunc | (wait ? 0 : MsgDontWait));
                if (read >= 0)
                {
                    return read > into.Length ? -Errno.Nobufs : (int)read;
                }

                int error = Marshal.GetLastPInvokeError();
                if (error == Errno.Again)
                {
                    return 0;
                }

                if (error != Errno.Intr)
                {
                    return -error;
                }
            }
        }
    }

    /// <summary>Lets the kernel drop notifications that the socket with this port id caused, before they are queued or wake anybody.</summary>
    internal bool IgnoreEchoesOf(uint portId)
    {
        // Four instructions of classic BPF over the message: load nlmsg_pid (offset 12; loads are big endian), equal → drop, else keep all.
        ulong* program = stackalloc ulong[4];
        program[0] = Instruction(0x20, 0, 0, 12);
        program[1] = Instruction(0x15, 0, 1, System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(portId));
        program[2] = Instruction(0x06, 0, 0, 0);
        program[3] = Instruction(0x06, 0, 0, uint.MaxValue);
        ulong* filter = stackalloc ulong[2];
        filter[0] = 4;
        filter[1] = (ulong)program;
        return Native.SetSockOpt(Handle, SolSocket, 26, (int*)filter, 16) == 0;
    }

    public void Dispose() => Handle.Dispose();

    private static ulong Instruction(ushort code, byte ifTrue, byte ifFalse, uint operand) =>
        code | ((ulong)ifTrue << 16) | ((ulong)ifFalse << 24) | ((ulong)operand << 32);

    private bool SetOption(int level, int name, int value) => Native.SetSockOpt(Handle, level, name, &value, 4) == 0;
}
