using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Bgp.Protocol;

namespace Bgp.Daemon.Peers;

/// <summary>
/// Socket options that the framework has no name for. The numbers are Linux's (linux/tcp.h, linux/in.h, linux/in6.h); each call throws
/// <see cref="SocketException"/> where the kernel refuses.
/// </summary>
internal static class SocketOptions
{
    private const int IpProtoTcp = 6;
    private const int TcpMd5Sig = 14;
    private const int TcpMd5SigExt = 32;
    private const int TcpUserTimeout = 18;
    private const byte Md5FlagPrefix = 1;
    private const int IpProtoIp = 0;
    private const int IpProtoIpv6 = 41;
    private const int IpTtl = 2;
    private const int IpMinTtl = 21;
    private const int IpTos = 1;
    private const int Ipv6UnicastHops = 16;
    private const int Ipv6MinHopCount = 73;
    private const int Ipv6TClass = 67;
    private const int Ipv6V6Only = 26;

    /// <summary>Longest key of RFC 2385 that Linux takes, in octets.</summary>
    internal const int MaxMd5Key = 80;

    /// <summary>
    /// Sets (or with an empty key removes) the RFC 2385 key for a neighbour, on a listening socket or before connecting.
    /// </summary>
    /// <param name="prefixLength">Bits of <paramref name="peer"/> that must match; -1 for exactly the address.</param>
    internal static void SetMd5(Socket socket, IpAddr peer, int prefixLength, string key)
    {
        // struct tcp_md5sig: sockaddr_storage[128], flags u8, prefixlen u8, keylen u16, ifindex i32, key[80]
        Span<byte> option = stackalloc byte[216];
        option.Clear();
        WriteSockaddr(option, socket.AddressFamily == AddressFamily.InterNetworkV6, peer);
        int length = Encoding.UTF8.GetByteCount(key);
        if (length > MaxMd5Key)
        {
            throw new ArgumentException($"the password has {length} octets; TCP MD5 takes {MaxMd5Key}", nameof(key));
        }

        if (prefixLength >= 0)
        {
            option[128] = Md5FlagPrefix;
            option[129] = (byte)prefixLength;
        }

        MemoryMarshal.Write(option[130..], (ushort)length);
        Encoding.UTF8.GetBytes(key, option[136..]);
        socket.SetRawSocketOption(IpProtoTcp, prefixLength >= 0 ? TcpMd5SigExt : TcpMd5Sig, option);
    }

    /// <summary>Sets the time to live of packets sent.</summary>
    internal static void SetTtl(Socket socket, int hops)
    {
        if (socket.AddressFamily == AddressFamily.InterNetworkV6)
        {
            SetInt(socket, IpProtoIpv6, Ipv6UnicastHops, hops);
        }
        else
        {
            SetInt(socket, IpProtoIp, IpTtl, hops);
        }
    }

    /// <summary>Drops received packets whose time to live is lower, before TCP sees them (RFC 5082 section 3).</summary>
    internal static void SetMinTtl(Socket socket, int minimum)
    {
        if (socket.AddressFamily == AddressFamily.InterNetworkV6)
        {
            SetInt(socket, IpProtoIpv6, Ipv6MinHopCount, minimum);
        }
        else
        {
            SetInt(socket, IpProtoIp, IpMinTtl, minimum);
        }
    }

    /// <summary>Internetwork control precedence (RFC 4271 section 5 of appendix E; CS6), as other BGP speakers mark their packets.</summary>
    internal static void SetInternetworkControl(Socket socket)
    {
        const int Cs6 = 0xC0;
        if (socket.AddressFamily == AddressFamily.InterNetworkV6)
        {
            SetInt(socket, IpProtoIpv6, Ipv6TClass, Cs6);
        }
        else
        {
            SetInt(socket, IpProtoIp, IpTos, Cs6);
        }
    }

    /// <summary>Whether an IPv6 socket leaves IPv4 to another socket.</summary>
    internal static void SetV6Only(Socket socket) => SetInt(socket, IpProtoIpv6, Ipv6V6Only, 1);

    /// <summary>Whether other sockets of this user that ask for it too may be bound to the same address and port.</summary>
    internal static void SetReusePort(Socket socket, bool on)
    {
        const int SolSocket = 1;
        const int SoReusePort = 15;
        SetInt(socket, SolSocket, SoReusePort, on ? 1 : 0);
    }

    /// <summary>How long unacknowledged data may stay in flight before the kernel gives up, in milliseconds.</summary>
    internal static void SetUserTimeout(Socket socket, int milliseconds) => SetInt(socket, IpProtoTcp, TcpUserTimeout, milliseconds);

    private static void SetInt(Socket socket, int level, int option, int value)
    {
        Span<byte> bytes = stackalloc byte[4];
        MemoryMarshal.Write(bytes, value);
        socket.SetRawSocketOption(level, option, bytes);
    }

    private static void WriteSockaddr(Span<byte> into, bool v6Socket, IpAddr address)
    {
        const ushort AfInet = 2;
        const ushort AfInet6 = 10;
        if (address.IsV4 && !v6Socket)
        {
            MemoryMarshal.Write(into, AfInet);
            BinaryPrimitives.WriteUInt32BigEndian(into[4..], address.V4Value);
        }
        else
        {
            MemoryMarshal.Write(into, AfInet6);
            address.Write(into[8..]);
        }
    }

    /// <summary>An endpoint, with the scope of a link-local address.</summary>
    internal static IPEndPoint EndPoint(IpAddr address, int port, int scope = 0)
    {
        IPAddress ip = address.ToIPAddress();
        if (scope != 0 && address.IsLinkLocal)
        {
            ip.ScopeId = scope;
        }

        return new IPEndPoint(ip, port);
    }
}

/// <summary>Errors of sockets as people know them.</summary>
internal static class SocketErrorText
{
    /// <summary>The system's own words (strerror), as every other tool on the machine has them: <c>no route to host</c>, <c>connection refused</c>.</summary>
    internal static string Words(this SocketException exception) =>
        exception.Message is { Length: > 1 } text ? char.ToLowerInvariant(text[0]) + text[1..] : exception.SocketErrorCode.ToString();
}
