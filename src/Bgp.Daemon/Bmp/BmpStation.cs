using System.Net.Sockets;
using Bgp.Daemon.Config;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Bmp;

/// <summary>One configured station: connects, sends what its link holds, and begins anew after a while when that fails.</summary>
/// <remarks>
/// The router connects (RFC 7854 section 3.2); what a station sends is read and thrown away, because a station has nothing to say, and one that says more than a
/// megabyte is cut off. The pause between attempts begins at <c>connectRetry</c> and doubles up to 24 times that (30 s to 12 minutes by default, as
/// section 3.2 has it); a connection over which a whole first dump went begins it anew.
/// </remarks>
internal sealed class BmpStation : IDisposable
{
    private const int MaxBackOff = 24;
    private const int MaxHeard = 1 << 20;

    /// <summary>How long a connection has lived when its end is worth a line of its own.</summary>
    private static readonly TimeSpan s_settled = TimeSpan.FromMinutes(1);

    private readonly BmpService _service;
    private readonly CancellationTokenSource _stop = new();
    private ITransport? _transport;
    private Task _run = Task.CompletedTask;
    private BmpFeed<Ipv4Prefix>? _v4;
    private BmpFeed<Ipv6Prefix>? _v6;
    private byte[] _termination = [];
    private string _logged = "";
    private bool _lossLogged = true;
    private long _blockedSince;

    internal BmpStation(BmpConfig config, BmpService service)
    {
        (Config, _service, Limits) = (config, service, service.Limits);
        Since = service.Time.GetUtcNow();
    }

    internal BmpConfig Config { get; }

    internal BmpLimits Limits { get; }

    /// <summary>Whether it is told of neighbours, and not of the Loc-RIB alone.</summary>
    internal bool TellsPeers => (Config.Policies & (BmpPolicies.Pre | BmpPolicies.Post)) != 0;

    /// <summary>The present connection, or null. Written with the service's lock held.</summary>
    internal BmpLink? Link { get; set; }

    /// <summary>Whether there is a connection.</summary>
    internal bool IsUp => Link is not null;

    /// <summary>Whether the first dump has been handed out over the present connection.</summary>
    internal bool IsSynced => Link is not null && _v4?.IsSynced == true && _v6?.IsSynced == true;

    /// <summary>Since when it is up, or down.</summary>
    internal DateTimeOffset Since { get; private set; }

    /// <summary>What ended the latest connection or attempt; empty when nothing did.</summary>
    internal string LastError { get; private set; } = "";

    internal long MessagesSent { get; private set; }

    internal long BytesSent { get; private set; }

    /// <summary>Connections that were made.</summary>
    internal long Connections { get; private set; }

    /// <summary>Connections that were given up because the station did not read, or not fast enough.</summary>
    internal long Drops { get; private set; }

    /// <summary>Connects as a station wants it: nothing is bound, and a station that is switched off is noticed.</summary>
    internal static async ValueTask<ITransport> DialAsync(IpAddr address, int port, CancellationToken cancel)
    {
        Socket socket = new(address.IsV6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 60);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 10);
            SocketOptions.SetUserTimeout(socket, 90_000);
            await socket.ConnectAsync(SocketOptions.EndPoint(address, port), cancel).ConfigureAwait(false);
            return new SocketTransport(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    internal void Start() => _run = Task.Run(RunAsync);

    /// <summary>Ends the connection with a Termination. Returns when it was sent, or after a second.</summary>
    internal async Task StopAsync(BmpTerminationReason reason, string text)
    {
        Volatile.Write(ref _termination, Termination(reason, text));
        await _stop.CancelAsync().ConfigureAwait(false);
        Link?.End(_termination);
        try
        {
            await _run.WaitAsync(TimeSpan.FromSeconds(1), _service.Time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // It does not read; the Termination is lost with the connection.
            _transport?.Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stop.Cancel();
        Link?.Fail("stopped");
        _transport?.Dispose();
    }

    private static byte[] Termination(BmpTerminationReason reason, string text)
    {
        byte[] message = new byte[256];
        return message[..BmpMessage.WriteTermination(message, reason, text)];
    }

    private async Task RunAsync()
    {
        int factor = 1;
        while (true)
        {
            string reason = await TryAsync().ConfigureAwait(false);
            bool whole = IsSynced;
            Close();
            if (_stop.IsCancellationRequested)
            {
                return;
            }

            // Not all routers at once, when a station that many of them have comes back.
            factor = whole ? 1 : factor;
            TimeSpan pause = Config.ConnectRetry * factor * (1 + (Random.Shared.NextDouble() / 4));
            factor = Math.Min(factor * 2, MaxBackOff);
            Lost(reason);
            try
            {
                await Task.Delay(pause, _service.Time, _stop.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    /// <summary>One connection from beginning to end; why it ended.</summary>
    private async Task<string> TryAsync()
    {
        try
        {
            using CancellationTokenSource patience = new(Limits.Patience, _service.Time);
            using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, _stop.Token);
            using ITransport transport = await _service.Dial(Config.Address, Config.Port, either.Token).ConfigureAwait(false);
            _transport = transport;
            return await TalkAsync(transport).ConfigureAwait(false);
        }
        catch (SocketException exception)
        {
            return "cannot connect: " + exception.Words();
        }
        catch (OperationCanceledException)
        {
            return "cannot connect: no answer";
        }
        catch (Exception exception)
        {
            Log.Fault(_service.Logger, $"BMP station {Config.Name}", exception);
            return "internal error";
        }
        finally
        {
            _transport = null;
        }
    }

    /// <summary>Sends until the connection ends; why it did.</summary>
    private async Task<string> TalkAsync(ITransport transport)
    {
        BmpLink link = _service.Open(this);
        if (_stop.IsCancellationRequested)
        {
            // Stopped while it connected: what would have ended it came too early to meet it.
            link.End(Volatile.Read(ref _termination));
        }

        link.OnRoom = () =>
        {
            _service.V4.Signal(inline: false);
            _service.V6.Signal(inline: false);
        };
        _v4 = Follow(_service.V4, link);
        _v6 = Follow(_service.V6, link);
        Connections++;
        Since = _service.Time.GetUtcNow();
        LastError = "";
        if (_lossLogged)
        {
            _lossLogged = false;
            Log.BmpUp(_service.Logger, Config.Name, SocketOptions.EndPoint(Config.Address, Config.Port).ToString());
        }

        using CancellationTokenSource over = new();
        Task listening = ListenAsync(transport, link);
        Task reporting = ReportAsync(link, over.Token);
        string reason;
        using (_service.Time.CreateTimer(_ => CheckSilence(transport, link), null, Limits.Silence / 4, Limits.Silence / 4))
        {
            reason = await SendAsync(transport, link).ConfigureAwait(false);
        }

        await over.CancelAsync().ConfigureAwait(false);
        await reporting.ConfigureAwait(false);
        if (link.Failure is null)
        {
            // The station closes its side when it has read the end; one that does not is not waited for.
            await Task.WhenAny(listening, Task.Delay(TimeSpan.FromMilliseconds(500), _service.Time)).ConfigureAwait(false);
        }

        transport.Dispose();
        await listening.ConfigureAwait(false);
        return reason;
    }

    private BmpFeed<TPrefix> Follow<TPrefix>(RibLoop<TPrefix> loop, BmpLink link)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        BmpFeed<TPrefix> feed = new(loop, link, Config.Policies, _service.Time);
        loop.PostLater(table => table.Monitor?.Add(feed), RibPeer.Local);
        return feed;
    }

    private async Task<string> SendAsync(ITransport transport, BmpLink link)
    {
        try
        {
            while (true)
            {
                if (!link.TryTake(out BmpLink.Chunk? chunk, out bool ended))
                {
                    if (ended)
                    {
                        break;
                    }

                    await link.WaitAsync().ConfigureAwait(false);
                    continue;
                }

                for (int sent = 0; sent < chunk!.Length;)
                {
                    Volatile.Write(ref _blockedSince, Math.Max(1, _service.Time.GetTimestamp()));
                    int count = await transport.SendAsync(chunk.Octets[sent..]).ConfigureAwait(false);
                    sent += count;
                    BytesSent += count;
                }

                Volatile.Write(ref _blockedSince, 0);
                MessagesSent += chunk.Messages;
                link.Sent(chunk);
            }

            if (link.Failure is null)
            {
                transport.ShutdownSend();
            }

            return link.Failure ?? "closed";
        }
        catch (SocketException exception)
        {
            return link.Failure ?? exception.Words();
        }
        catch (ObjectDisposedException)
        {
            return link.Failure ?? "closed";
        }
        finally
        {
            Volatile.Write(ref _blockedSince, 0);
        }
    }

    /// <summary>Reads and throws away, to notice the end.</summary>
    private static async Task ListenAsync(ITransport transport, BmpLink link)
    {
        byte[] sink = new byte[512];
        int heard = 0;
        string reason = "closed by the station";
        try
        {
            int count;
            while ((count = await transport.ReceiveAsync(sink).ConfigureAwait(false)) > 0)
            {
                heard += count;
                if (heard > MaxHeard)
                {
                    reason = "the station sends";
                    break;
                }
            }
        }
        catch (SocketException exception)
        {
            reason = exception.Words();
        }
        catch (ObjectDisposedException)
        {
            // By the sender, which knows why.
            return;
        }

        link.Fail(reason);
        transport.Dispose();
    }

    /// <summary>Statistics, every so often. They are left out while the station is behind: the next ones say the same and more.</summary>
    private async Task ReportAsync(BmpLink link, CancellationToken cancel)
    {
        if (Config.StatsInterval <= TimeSpan.Zero)
        {
            return;
        }

        try
        {
            using PeriodicTimer timer = new(Config.StatsInterval, _service.Time);
            while (await timer.WaitForNextTickAsync(cancel).ConfigureAwait(false))
            {
                if (link.HasRoom)
                {
                    await BmpStatistics.ReportAsync(_service, link, cancel).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The connection is over.
        }
    }

    private void CheckSilence(ITransport transport, BmpLink link)
    {
        long since = Volatile.Read(ref _blockedSince);
        if (since != 0 && _service.Time.GetElapsedTime(since) >= Limits.Silence)
        {
            link.Fail("does not read", behind: true);
        }

        if (link.Failure is not null)
        {
            // The sender may be waiting for the station to read.
            transport.Dispose();
        }
    }

    /// <summary>The tables stop to follow.</summary>
    private void Close()
    {
        if (Link is not { } link)
        {
            return;
        }

        Drops += link.FellBehind ? 1 : 0;
        if (_service.Time.GetUtcNow() - Since > s_settled)
        {
            // What is lost now is news, whatever was the matter before.
            _logged = "";
        }

        _service.Forget(this);
        link.Dispose();
        _service.V4.PostLater(loop => loop.Monitor?.Remove(link), RibPeer.Local);
        _service.V6.PostLater(loop => loop.Monitor?.Remove(link), RibPeer.Local);
        Since = _service.Time.GetUtcNow();
    }

    /// <summary>Once for each reason: a station that is off for a week is not news every twelve minutes.</summary>
    private void Lost(string reason)
    {
        LastError = reason;
        if (reason != _logged)
        {
            (_logged, _lossLogged) = (reason, true);
            Log.BmpDown(_service.Logger, Config.Name, reason);
        }
    }
}
