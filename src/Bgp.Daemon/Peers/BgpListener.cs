using System.Net;
using System.Net.Sockets;
using Bgp.Daemon.Runtime;
using Bgp.Protocol;
using Microsoft.Extensions.Logging;

namespace Bgp.Daemon.Peers;

/// <summary>
/// One listening socket. The backlog is 4096 by default, because after a reflector's restart a thousand neighbours dial in the same instant, and a short
/// queue costs them minutes of retries.
/// </summary>
internal sealed class BgpListener : IDisposable
{
    private readonly Socket _socket;
    private readonly ILogger _log;
    private readonly Action<ITransport, IpAddr> _accept;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stop = new();
    private readonly LogLimit _troubles;
    private int _backlog;

    internal BgpListener(IpAddr address, int port, int backlog, bool shared, Action<ITransport, IpAddr> accept, TimeProvider time, ILogger log)
    {
        _backlog = backlog;
        (_accept, _log, _time) = (accept, log, time);
        _troubles = new LogLimit(time, 1, TimeSpan.FromSeconds(10));
        EndPoint = new IPEndPoint(address.ToIPAddress(), port);
        _socket = new Socket(EndPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (address.IsV6)
            {
                SocketOptions.SetV6Only(_socket);
            }

            // A neighbour with TTL security (RFC 5082) drops the answer to its SYN otherwise; an accepted connection gets its peer's own value.
            SocketOptions.SetTtl(_socket, 255);
            if (shared)
            {
                SocketOptions.SetReusePort(_socket, true);
            }

            _socket.Bind(EndPoint);
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    internal IPEndPoint EndPoint { get; }

    /// <summary>Keys that are set, by neighbour.</summary>
    internal Dictionary<IpAddr, string> Keys { get; } = [];

    /// <summary>
    /// Lets another socket of ours be bound to an overlapping address (SO_REUSEPORT). Only for the moment of a change: left on, a second daemon that was
    /// started by mistake would be given half of the connections instead of an error.
    /// </summary>
    internal void Share(bool on) => SocketOptions.SetReusePort(_socket, on);

    /// <summary>Another length of the queue of connections that wait to be accepted.</summary>
    internal void SetBacklog(int backlog)
    {
        if (_backlog != backlog)
        {
            _backlog = backlog;
            _socket.Listen(backlog);
        }
    }

    internal bool IsV6 => EndPoint.AddressFamily == AddressFamily.InterNetworkV6;

    /// <summary>Starts to accept; keys set by <see cref="SetMd5"/> before this hold from the first packet.</summary>
    internal void Start()
    {
        _socket.Listen(_backlog);
        Log.Listening(_log, EndPoint.ToString());
        _ = AcceptAsync();
    }

    /// <summary>Sets or removes (empty key) a neighbour's RFC 2385 key.</summary>
    internal void SetMd5(IpAddr peer, int prefixLength, string key) => SocketOptions.SetMd5(_socket, peer, prefixLength, key);

    /// <inheritdoc/>
    public void Dispose()
    {
        _stop.Cancel();
        _socket.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            Socket socket;
            try
            {
                socket = await _socket.AcceptAsync(_stop.Token).ConfigureAwait(false);
            }
            catch (Exception exception) when (exception is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException exception)
            {
                // Out of descriptors, or the neighbour gave up first. A pause keeps the first from spinning; the queue in the kernel stays.
                if (_troubles.IsDue(out _))
                {
                    Log.CannotAccept(_log, EndPoint.ToString(), exception.Words());
                }

                await Task.Delay(TimeSpan.FromMilliseconds(100), _time).ConfigureAwait(false);
                continue;
            }

            IpAddr remote;
            try
            {
                remote = socket.RemoteEndPoint is IPEndPoint endPoint ? IpAddr.From(endPoint.Address) : default;
            }
            catch (SocketException)
            {
                socket.Dispose();
                continue;
            }

            try
            {
                _accept(new SocketTransport(socket), remote);
            }
            catch (Exception exception)
            {
                // A bug, and one that must cost this connection only: without this loop no neighbour could ever call again.
                Log.AcceptFault(_log, remote.ToString(), exception);
                socket.Dispose();
            }
        }
    }
}
