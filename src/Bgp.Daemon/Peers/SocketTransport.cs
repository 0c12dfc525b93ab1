using System.Net;
using System.Net.Sockets;
using Bgp.Protocol;

namespace Bgp.Daemon.Peers;

/// <summary>A TCP connection.</summary>
internal sealed class SocketTransport : ITransport
{
    internal SocketTransport(Socket socket)
    {
        Socket = socket;
        socket.NoDelay = true;
    }

    /// <summary>The socket, for what only a socket has.</summary>
    internal Socket Socket { get; }

    /// <inheritdoc/>
    public IpAddr LocalAddress => EndPoint(local: true) is { } local ? IpAddr.From(local.Address) : default;

    /// <inheritdoc/>
    public int LocalPort => EndPoint(local: true)?.Port ?? 0;

    /// <inheritdoc/>
    public int RemotePort => EndPoint(local: false)?.Port ?? 0;

    /// <inheritdoc/>
    public int RemoteScope => EndPoint(local: false) is { Address: { IsIPv6LinkLocal: true } address } ? (int)address.ScopeId : 0;

    /// <inheritdoc/>
    public int Available => Socket.Available;

    /// <inheritdoc/>
    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancel = default) => Socket.ReceiveAsync(buffer, SocketFlags.None, cancel);

    /// <inheritdoc/>
    public ValueTask<int> SendAsync(ReadOnlyMemory<byte> octets) => Socket.SendAsync(octets, SocketFlags.None);

    /// <inheritdoc/>
    public void ShutdownSend() => Socket.Shutdown(SocketShutdown.Send);

    /// <inheritdoc/>
    public void Refuse(ReadOnlySpan<byte> octets)
    {
        try
        {
            Socket.Blocking = false;
            Socket.Send(octets, SocketFlags.None);
            Socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // It is leaving anyway.
            Socket.Dispose();
            return;
        }

        Socket.Close(1);
    }

    /// <inheritdoc/>
    public void Prepare(PeerSettings settings)
    {
        SocketOptions.SetTtl(Socket, settings.Ttl);
        if (settings.MinTtl > 0)
        {
            SocketOptions.SetMinTtl(Socket, settings.MinTtl);
        }

        SocketOptions.SetInternetworkControl(Socket);
    }

    /// <inheritdoc/>
    public void SetKey(PeerSettings settings) => SocketOptions.SetMd5(Socket, settings.Address, -1, settings.Md5);

    /// <inheritdoc/>
    public void Dispose() => Socket.Dispose();

    private IPEndPoint? EndPoint(bool local)
    {
        try
        {
            return (local ? Socket.LocalEndPoint : Socket.RemoteEndPoint) as IPEndPoint;
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // Already gone, or closed by the session meanwhile: whoever reads finds that out.
            return null;
        }
    }
}

/// <summary>Opens TCP connections.</summary>
internal sealed class SocketDialer : IDialer
{
    /// <summary>The one instance.</summary>
    internal static SocketDialer Instance { get; } = new();

    /// <inheritdoc/>
    public async ValueTask<ITransport> ConnectAsync(PeerSettings settings, int scope, CancellationToken cancel)
    {
        Socket socket = new(settings.Address.IsV6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            SocketTransport transport = new(socket);
            transport.Prepare(settings);
            if (settings.Md5.Length > 0)
            {
                SocketOptions.SetMd5(socket, settings.Address, -1, settings.Md5);
            }

            if (!settings.SourceAddress.IsNone)
            {
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
                socket.Bind(SocketOptions.EndPoint(settings.SourceAddress, 0, scope));
            }

            await socket.ConnectAsync(SocketOptions.EndPoint(settings.Address, settings.Port, scope), cancel).ConfigureAwait(false);
            return transport;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
