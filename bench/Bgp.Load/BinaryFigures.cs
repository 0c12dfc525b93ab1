using System.Diagnostics;
using System.Globalization;
using Bgp.Load.Peers;
using Bgp.Load.Scenarios;

namespace Bgp.Load;

/// <summary>
/// What the binary itself costs: its size, the time from exec to a port that accepts, resident memory idle as a node with its kernel table, and with
/// 300 mesh peers that announced ten blocks each. BIRD's beside it.
/// </summary>
internal static class BinaryFigures
{
    private const int Starts = 11;
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(10);

    internal static int Run(Settings settings)
    {
        PipitPeer pipit = new(settings.Pipit);
        BirdPeer bird = new();
        (double Start, double IdleMb) own = Start(pipit);
        (double Start, double IdleMb) other = Start(bird);
        double? loaded = Loaded(settings, pipit);
        double? loadedOther = Loaded(settings, bird);
        Console.Out.WriteLine($"| | Pipit {pipit.Version()} | BIRD {bird.Version()} |");
        Console.Out.WriteLine("| --- | --- | --- |");
        Line("size of the binary, MB", new FileInfo(settings.Pipit).Length / 1e6, new FileInfo("/usr/sbin/bird").Length / 1e6, "0.0");
        Line($"exec to listening, ms, median of {Starts} starts", own.Start * 1e3, other.Start * 1e3, "0");
        Line("resident, idle node, MB", own.IdleMb, other.IdleMb, "0.0");
        Line("resident, 300 peers × 10 blocks in the kernel, MB", loaded, loadedOther, "0.0");
        return 0;

        static void Line(string title, double? a, double? b, string format) =>
            Console.Out.WriteLine($"| {title} | {a?.ToString(format, CultureInfo.InvariantCulture) ?? "-"} | {b?.ToString(format, CultureInfo.InvariantCulture) ?? "-"} |");
    }

    private static (double Seconds, double IdleMb) Start(Peer peer)
    {
        double[] seconds = new double[Starts];
        double idle = 0;
        for (int i = 0; i < Starts; i++)
        {
            using Lab lab = new();
            string ns = lab.Namespace("node");
            Lab.Batch(ns, "addr add 10.98.0.1/24 dev lo\n");
            string[] words = ((INodePeer)peer).NodeCommand(lab, ns, "10.98.0.1", "10.98.0.2");

            // The thread enters the namespace and starts the program itself: a shell or `ip netns exec` before it would be half of the figure.
            Native.EnterNamespace(ns);
            long begin = Stopwatch.GetTimestamp();
            using Process process = Lab.StartHere(words);
            while (!Accepts())
            {
                if (Stopwatch.GetElapsedTime(begin) > s_limit)
                {
                    throw new InvalidOperationException($"{peer.Name} does not listen after {s_limit.TotalSeconds} s");
                }

                Thread.Sleep(TimeSpan.FromMicroseconds(200));
            }

            seconds[i] = Stopwatch.GetElapsedTime(begin).TotalSeconds;
            if (i == Starts - 1)
            {
                Thread.Sleep(2000);
                idle = new Meter([process]).Read().ResidentKb * 1024 / 1e6;
            }

            process.Kill();
            process.WaitForExit();
        }

        Array.Sort(seconds);
        return (seconds[Starts / 2], idle);
    }

    private static double? Loaded(Settings settings, Peer peer)
    {
        using Bench bench = new(settings, new MeshNode(), peer);
        bench.Run();
        return bench.Rows[^1].SettledMb;
    }

    private static unsafe bool Accepts()
    {
        int fd = Native.Check(Native.Socket(2, 1 | Native.CloseOnExec, 0), "socket");
        byte* endPoint = stackalloc byte[16];
        Native.WriteEndPoint(endPoint, 0x7F000001, 179);
        bool connected = Native.Connect(fd, endPoint, 16) == 0;
        _ = Native.Close(fd);
        return connected;
    }
}
