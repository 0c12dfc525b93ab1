using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Bgp.Daemon.Runtime;

/// <summary>
/// The datagrams of sd_notify(3). Hand-written because the hosting package's integration speaks only when systemd is the direct parent
/// and knows neither the watchdog nor reloads.
/// </summary>
internal sealed class SystemdNotifier : IDisposable
{
    private readonly Socket? _socket;
    private readonly UnixDomainSocketEndPoint? _endPoint;

    internal SystemdNotifier(string? path)
    {
        if (string.IsNullOrEmpty(path) || (path[0] != '/' && path[0] != '@'))
        {
            return;
        }

        _endPoint = new UnixDomainSocketEndPoint(path[0] == '@' ? "\0" + path[1..] : path);
        _socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { Blocking = false };
    }

    /// <summary>Half of WATCHDOG_USEC, the interval at which to say that all is well; null where no watchdog was asked for.</summary>
    internal static TimeSpan? WatchdogInterval
    {
        get
        {
            string? text = Environment.GetEnvironmentVariable("WATCHDOG_USEC");
            return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long microseconds) && microseconds > 0
                ? TimeSpan.FromMicroseconds(microseconds / 2.0)
                : null;
        }
    }

    internal void Ready() => Send("READY=1");

    internal void Stopping() => Send("STOPPING=1");

    internal void Watchdog() => Send("WATCHDOG=1");

    internal void Status(string text) => Send("STATUS=" + text);

    /// <summary>Says that a reload began; <see cref="Ready"/> ends it.</summary>
    internal void Reloading() => Send(string.Create(CultureInfo.InvariantCulture, $"RELOADING=1\nMONOTONIC_USEC={Environment.TickCount64 * 1000}"));

    /// <inheritdoc/>
    public void Dispose() => _socket?.Dispose();

    private void Send(string text)
    {
        if (_socket is null)
        {
            return;
        }

        try
        {
            _socket.SendTo(Encoding.UTF8.GetBytes(text), _endPoint!);
        }
        catch (SocketException)
        {
            // The service manager is gone or busy: the daemon's work does not depend on it, and a missed datagram only ages its view.
            Failures++;
        }
    }

    /// <summary>Datagrams that the service manager did not take.</summary>
    internal int Failures { get; private set; }
}
