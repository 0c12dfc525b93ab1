using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Bgp.Daemon.Runtime;
using Microsoft.Extensions.Logging;

namespace Bgp.Daemon.Metrics;

/// <summary>An answer of the HTTP endpoint.</summary>
internal readonly record struct HttpAnswer(int Status, string ContentType, string Body);

/// <summary>
/// GET on a handful of fixed paths, for probes and Prometheus. Hand-written because that is all there is to serve: the framework's HttpListener has
/// no limit on slow or silent clients on Linux, and a web server would be most of the binary.
/// </summary>
/// <remarks>At most 32 clients at once, 4 KB of request, 5 s each; a client over a limit is closed, the daemon is never held up.</remarks>
internal sealed class HttpEndpoint : IDisposable
{
    private const int MaxClients = 32;
    private const int MaxRequest = 4096;
    private static readonly TimeSpan s_clientTime = TimeSpan.FromSeconds(5);

    private readonly Socket _listener;
    private readonly Func<string, ValueTask<HttpAnswer>> _handler;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly SemaphoreSlim _clients = new(MaxClients);
    private readonly CancellationTokenSource _stop = new();

    /// <summary>Binds and starts; throws <see cref="SocketException"/> where the address cannot be bound.</summary>
    internal HttpEndpoint(IPEndPoint endPoint, Func<string, ValueTask<HttpAnswer>> handler, TimeProvider time, ILogger log)
    {
        (_handler, _time, _log) = (handler, time, log);
        EndPoint = endPoint;
        _listener = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            // Not ReuseAddress: the framework sets SO_REUSEADDR by itself, and with that option SO_REUSEPORT as well, with which two daemons would share the scrapes of one port.
            _listener.Bind(endPoint);
            _listener.Listen(128);
        }
        catch
        {
            _listener.Dispose();
            throw;
        }

        _ = AcceptAsync();
    }

    /// <summary>Where it listens.</summary>
    internal IPEndPoint EndPoint { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stop.Cancel();
        _listener.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await _clients.WaitAsync(_stop.Token).ConfigureAwait(false);
                Socket client = await _listener.AcceptAsync(_stop.Token).ConfigureAwait(false);
                _ = ServeAsync(client);
            }
            catch (Exception exception) when (exception is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                _clients.Release();
                await Task.Delay(TimeSpan.FromMilliseconds(100), _time).ConfigureAwait(false);
            }
        }
    }

    private async Task ServeAsync(Socket client)
    {
        try
        {
            using (client)
            using (CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token))
            {
                limit.CancelAfter(s_clientTime);
                byte[] request = new byte[MaxRequest];
                int length = 0;
                while (length < request.Length && request.AsSpan(0, length).IndexOf("\r\n\r\n"u8) < 0)
                {
                    int count = await client.ReceiveAsync(request.AsMemory(length), SocketFlags.None, limit.Token).ConfigureAwait(false);
                    if (count == 0)
                    {
                        return;
                    }

                    length += count;
                }

                HttpAnswer answer = await AnswerAsync(Encoding.ASCII.GetString(request, 0, length)).ConfigureAwait(false);
                byte[] body = Encoding.UTF8.GetBytes(answer.Body);
                string head = string.Create(
                    CultureInfo.InvariantCulture,
                    $"HTTP/1.1 {answer.Status} {Reason(answer.Status)}\r\nContent-Type: {answer.ContentType}\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n");
                byte[] reply = [.. Encoding.ASCII.GetBytes(head), .. body];
                await client.SendAsync(reply, SocketFlags.None, limit.Token).ConfigureAwait(false);
                client.Shutdown(SocketShutdown.Send);
            }
        }
        catch (Exception exception) when (exception is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // A client that left or was too slow: nothing to answer.
            return;
        }
        catch (Exception exception)
        {
            Log.Fault(_log, "the HTTP endpoint", exception);
        }
        finally
        {
            _clients.Release();
        }
    }

    private async ValueTask<HttpAnswer> AnswerAsync(string request)
    {
        int lineEnd = request.IndexOf("\r\n", StringComparison.Ordinal);
        string[] words = (lineEnd < 0 ? request : request[..lineEnd]).Split(' ');
        if (words.Length != 3 || !words[2].StartsWith("HTTP/1.", StringComparison.Ordinal))
        {
            return new HttpAnswer(400, "text/plain", "bad request\n");
        }

        if (words[0] is not ("GET" or "HEAD"))
        {
            return new HttpAnswer(405, "text/plain", "only GET\n");
        }

        int query = words[1].IndexOf('?', StringComparison.Ordinal);
        return await _handler(query < 0 ? words[1] : words[1][..query]).ConfigureAwait(false);
    }

    private static string Reason(int status) => status switch
    {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        503 => "Service Unavailable",
        _ => "Status",
    };
}
