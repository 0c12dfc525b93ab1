using System.Net.Sockets;
using Bgp.Protocol;

namespace Bgp.Daemon.Peers;

/// <summary>One connection's octets, both ways. <see cref="SocketTransport"/> is the real one; a simulation has its own.</summary>
/// <remarks>
/// The seam is as thin as it can be: the value tasks are the socket's own, so nothing is allocated or copied for it, and a call through the interface is lost beside
/// the system call behind it. One receive and one send may be under way at a time. A connection that fails throws
/// <see cref="SocketException"/>, one that was disposed <see cref="ObjectDisposedException"/>.
/// </remarks>
internal interface ITransport : IDisposable
{
    /// <summary>Our address; none where the connection is gone already.</summary>
    IpAddr LocalAddress { get; }

    /// <summary>Our port, 0 where the connection is gone already.</summary>
    int LocalPort { get; }

    /// <summary>The neighbour's port, 0 where the connection is gone already.</summary>
    int RemotePort { get; }

    /// <summary>Index of the interface of a link-local neighbour, else 0.</summary>
    int RemoteScope => 0;

    /// <summary>Octets that wait to be received.</summary>
    int Available { get; }

    /// <summary>Receives at least one octet; 0 at the neighbour's end of the stream.</summary>
    ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancel = default);

    /// <summary>Sends some or all of the octets; waits while the neighbour does not read.</summary>
    ValueTask<int> SendAsync(ReadOnlyMemory<byte> octets);

    /// <summary>Ends our direction; what was sent still arrives.</summary>
    void ShutdownSend();

    /// <summary>Sends what can be sent without waiting, and closes.</summary>
    void Refuse(ReadOnlySpan<byte> octets);

    /// <summary>Sets what the peer's settings say about packets. Throws <see cref="SocketException"/> where the connection is gone.</summary>
    void Prepare(PeerSettings settings);

    /// <summary>Changes the RFC 2385 key of a live connection. Throws <see cref="SocketException"/> where the connection is gone.</summary>
    void SetKey(PeerSettings settings);
}

/// <summary>Opens connections to neighbours.</summary>
internal interface IDialer
{
    /// <summary>Connects as the settings say.</summary>
    /// <param name="scope">Index of the interface of a link-local neighbour, else 0.</param>
    /// <exception cref="SocketException">There is no connection.</exception>
    ValueTask<ITransport> ConnectAsync(PeerSettings settings, int scope, CancellationToken cancel);
}
