using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Bgp.Daemon.Control;

namespace Bgp.Daemon.Kernel;

/// <summary>Finds a BIRD that writes to the same routing table: one that answers on a usual control socket and lives in this network namespace.</summary>
internal static class BirdProbe
{
    private static readonly string[] s_sockets =
    [
        "/run/bird/bird.ctl", "/run/bird/bird6.ctl", "/run/bird.ctl", "/run/bird6.ctl", "/var/run/calico/bird.ctl", "/var/run/calico/bird6.ctl",
        "/usr/local/var/run/bird.ctl",
    ];

    /// <summary>Its name and socket; null when there is none.</summary>
    internal static string? Find() => Find(s_sockets);

    internal static string? Find(IEnumerable<string> sockets)
    {
        foreach (string path in sockets)
        {
            if (File.Exists(path) && Greeting(path) is { } greeting)
            {
                return $"{greeting} ({path})";
            }
        }

        return null;
    }

    private static string? Greeting(string path)
    {
        try
        {
            using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 500, SendTimeout = 500 };
            socket.Connect(new UnixDomainSocketEndPoint(path));
            if (!PeerCredentials.TryGet(socket, out int pid, out _, out _) || pid == Environment.ProcessId || !SameNamespace(pid))
            {
                return null;
            }

            // "0001 BIRD 2.0.12 ready."
            byte[] answer = new byte[128];
            string text = Encoding.ASCII.GetString(answer, 0, socket.Receive(answer));
            return text.StartsWith("0001 BIRD", StringComparison.Ordinal) ? text[5..].Split('\n')[0].Replace(" ready.", "", StringComparison.Ordinal).Trim() : null;
        }
        catch (SocketException)
        {
            // A socket that nobody listens on any more, or does not answer: no BIRD.
            return null;
        }
    }

    private static bool SameNamespace(int pid) =>
        Namespace("self") is { } ours && Namespace(pid.ToString(CultureInfo.InvariantCulture)) is { } theirs && ours == theirs;

    private static string? Namespace(string process)
    {
        try
        {
            return new FileInfo($"/proc/{process}/ns/net").LinkTarget;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
