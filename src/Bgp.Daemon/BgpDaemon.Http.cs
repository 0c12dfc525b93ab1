using System.Net;
using System.Net.Sockets;
using Bgp.Daemon.Metrics;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;

namespace Bgp.Daemon;

/// <summary>The endpoint of metrics and probes: it may be missing, routing goes on without it.</summary>
internal sealed partial class BgpDaemon
{
    private static readonly TimeSpan s_httpAgain = TimeSpan.FromSeconds(1);

    private readonly Lock _httpGate = new();
    private HttpEndpoint? _http;
    private ITimer? _httpTimer;
    private string? _httpProblem;

    /// <summary>Why there is no endpoint, though one is configured; null where nothing is wrong.</summary>
    internal string? HttpProblem
    {
        get
        {
            lock (_httpGate)
            {
                return _httpProblem;
            }
        }
    }

    /// <summary>
    /// Opens the endpoint of the model, then closes that of before. Where it cannot be opened, that of before stays, and it is tried again each second.
    /// </summary>
    private void OpenHttp()
    {
        lock (_httpGate)
        {
            _httpTimer?.Dispose();
            _httpTimer = null;
            string listen = _model.Metrics.Listen;
            if (_stopped || listen.Length == 0)
            {
                _http?.Dispose();
                (_http, _httpProblem) = (null, null);
                return;
            }

            IPEndPoint wanted = IPEndPoint.Parse(listen);
            if (wanted.Equals(_http?.EndPoint))
            {
                _httpProblem = null;
                return;
            }

            try
            {
                HttpEndpoint made = new(wanted, path => new MetricsPages(this).AnswerAsync(path), _time, _log);
                _http?.Dispose();
                (_http, _httpProblem) = (made, null);
            }
            catch (SocketException exception)
            {
                string problem = $"{listen}: {exception.Words()}";
                if (problem != _httpProblem)
                {
                    Log.CannotListen(_log, listen, exception.Words());
                }

                _httpProblem = problem;
                _httpTimer = _time.CreateTimer(_ => OpenHttp(), null, s_httpAgain, Timeout.InfiniteTimeSpan);
            }
        }
    }

    private void CloseHttp()
    {
        lock (_httpGate)
        {
            _httpTimer?.Dispose();
            _httpTimer = null;
            _http?.Dispose();
            _http = null;
        }
    }
}
