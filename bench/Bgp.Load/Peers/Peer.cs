using System.Diagnostics;
using System.Globalization;

namespace Bgp.Load.Peers;

/// <summary>A session that the daemon shall accept.</summary>
/// <param name="SendOnly">The speaker announces and nobody looks at what it hears; only the null relay makes use of it.</param>
internal readonly record struct Neighbor(uint Address, uint Asn, bool SendOnly = false);

/// <summary>The daemon's part in a scenario; every daemon gets the same.</summary>
/// <param name="Reflector">All internal neighbours are route reflector clients.</param>
/// <param name="Kernel">Routes go into the kernel's main table.</param>
internal sealed record Topology(uint Asn, bool Reflector, bool Kernel, IReadOnlyList<Neighbor> Neighbors, bool NexthopObjects = false);

/// <summary>A daemon that can also be a cluster's node: learn pod routes from the kernel and announce them.</summary>
internal interface INodePeer
{
    /// <summary>Writes the configuration of the node at <paramref name="address"/>/24 with one other node; the command that runs it.</summary>
    string[] NodeCommand(Lab lab, string ns, string address, string other);
}

/// <summary>A daemon that can be put under test.</summary>
internal abstract class Peer
{
    internal abstract string Name { get; }

    /// <summary>How tables call it.</summary>
    internal abstract string Title { get; }

    /// <summary>Whether it can write routes into the kernel.</summary>
    internal virtual bool HasKernel => true;

    internal abstract string Version();

    /// <summary>Writes the configuration and starts the processes in the lab's namespace for them.</summary>
    internal abstract void Start(Lab lab, Topology topology);

    internal static Peer Of(string name, Settings settings) => name switch
    {
        "pipit" => new PipitPeer(settings.Pipit),
        "bird" => new BirdPeer(),
        "frr" => new FrrPeer(),
        "openbgpd" => new OpenBgpdPeer(),
        "gobgp" => new GoBgpPeer(),
        "null" => new NullPeer(),
        _ => throw new ArgumentException($"no such peer: {name}; there are pipit, bird, frr, openbgpd, gobgp, null"),
    };

    /// <summary>Waits until something listens on the port in the process's network namespace.</summary>
    internal static void WaitListening(Process process, int port, int seconds)
    {
        string end = $":{port:X4} 00000000:0000 0A";
        Stopwatch watch = Stopwatch.StartNew();
        while (!File.ReadAllText($"/proc/{process.Id}/net/tcp").Contains(end, StringComparison.Ordinal) && !Listens6($"/proc/{process.Id}/net/tcp6", port))
        {
            if (process.HasExited)
            {
                throw new InvalidOperationException($"the daemon ended with {process.ExitCode}");
            }

            if (watch.Elapsed.TotalSeconds > seconds)
            {
                throw new InvalidOperationException($"the daemon does not listen after {seconds} s");
            }

            Thread.Sleep(5);
        }
    }

    protected static string DebianVersion(string package) =>
        Lab.Run("dpkg-query", "-W", "-f=${Version}", package).Split('-', '+')[0];

    protected static string Join<T>(IEnumerable<T> items, Func<T, string> line) => string.Concat(items.Select(line));

    protected static string Text(uint number) => number.ToString(CultureInfo.InvariantCulture);

    private static bool Listens6(string path, int port) => File.Exists(path) && File.ReadAllText(path).Contains($":{port:X4} {new string('0', 32)}:0000 0A", StringComparison.Ordinal);
}
