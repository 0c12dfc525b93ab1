using System.Runtime.InteropServices;

namespace Bgp.Load;

/// <summary>The system calls of the load generator. It never uses the framework's sockets: their queues and threads would be part of every figure.</summary>
internal static unsafe partial class Native
{
    internal const int Again = 11;
    internal const int InProgress = 115;
    internal const int Nobufs = 105;

    internal const int SolSocket = 1;
    internal const int SolNetlink = 270;
    internal const int SoReuseAddr = 2;
    internal const int SoError = 4;
    internal const int SoLinger = 13;
    internal const int SoReceiveBufferForce = 33;
    internal const int IpProtoTcp = 6;
    internal const int TcpNoDelay = 1;
    internal const int IpBindAddressNoPort = 24;

    internal const int NonBlock = 0x800;
    internal const int CloseOnExec = 0x80000;
    internal const int MsgNoSignal = 0x4000;
    internal const int CloneNewNet = 0x40000000;

    internal const uint EpollIn = 1;
    internal const uint EpollOut = 4;
    internal const uint EpollErr = 8;
    internal const uint EpollHup = 16;
    internal const uint EpollEdge = 1u << 31;

    /// <summary>Size of struct epoll_event, which is packed on x86-64 alone, and where its data is.</summary>
    internal static readonly int EventSize = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;
    internal static readonly int EventData = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 4 : 8;

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    internal static partial int Socket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    internal static partial int Bind(int fd, byte* address, uint length);

    [LibraryImport("libc", EntryPoint = "connect", SetLastError = true)]
    internal static partial int Connect(int fd, byte* address, uint length);

    [LibraryImport("libc", EntryPoint = "listen", SetLastError = true)]
    internal static partial int Listen(int fd, int backlog);

    [LibraryImport("libc", EntryPoint = "accept4", SetLastError = true)]
    internal static partial int Accept(int fd, byte* address, uint* length, int flags);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    internal static partial int SetSockOpt(int fd, int level, int name, void* value, uint length);

    [LibraryImport("libc", EntryPoint = "getsockopt", SetLastError = true)]
    internal static partial int GetSockOpt(int fd, int level, int name, void* value, uint* length);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    internal static partial nint Receive(int fd, byte* buffer, nuint length, int flags);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    internal static partial nint Send(int fd, byte* buffer, nuint length, int flags);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    internal static partial int Close(int fd);

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    internal static partial int Kill(int pid, int signal);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static partial int SetNs(int fd, int type);

    [LibraryImport("libc", EntryPoint = "if_nametoindex", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int InterfaceIndex(string name);

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    internal static partial int EpollCreate(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    private static partial int EpollControl(int epoll, int operation, int fd, byte* entry);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    internal static partial int EpollWait(int epoll, byte* events, int count, int timeout);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial byte* Map(void* address, nuint length, int protection, int flags, int fd, nint offset);

    internal static int Errno => Marshal.GetLastPInvokeError();

    internal static int Check(int result, string call) => result >= 0 ? result : throw new IOException($"{call}: errno {Errno}");

    /// <summary>Registers a descriptor, edge-triggered, for both directions.</summary>
    internal static void EpollAdd(int epoll, int fd, int data)
    {
        byte* entry = stackalloc byte[16];
        *(uint*)entry = EpollIn | EpollOut | EpollEdge;
        *(long*)(entry + EventData) = data;
        Check(EpollControl(epoll, 1, fd, entry), "epoll_ctl");
    }

    /// <summary>Memory of its own pages, zeroed when touched first, which the collector does not know. It lives as long as the process.</summary>
    internal static byte* Reserve(long length)
    {
        // PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE
        byte* memory = Map(null, (nuint)length, 3, 0x02 | 0x20 | 0x4000, -1, 0);
        return (nint)memory != -1 ? memory : throw new IOException($"mmap of {length}: errno {Errno}");
    }

    /// <summary>Moves the calling thread into a named network namespace; sockets that it opens from now on belong there.</summary>
    internal static void EnterNamespace(string name)
    {
        int fd = Check(Open($"/run/netns/{name}", CloseOnExec), $"open of namespace {name}");
        int result = SetNs(fd, CloneNewNet);
        int error = Errno;
        _ = Close(fd);
        if (result != 0)
        {
            throw new IOException($"setns {name}: errno {error}");
        }
    }

    /// <summary>A struct sockaddr_in in the 16 octets given.</summary>
    internal static void WriteEndPoint(byte* into, uint address, int port)
    {
        *(ulong*)into = 0;
        *(ulong*)(into + 8) = 0;
        *(ushort*)into = 2;
        into[2] = (byte)(port >> 8);
        into[3] = (byte)port;
        *(uint*)(into + 4) = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(address);
    }

    internal static void SetInt(int fd, int level, int name, int value) => Check(SetSockOpt(fd, level, name, &value, 4), "setsockopt");
}
