using System.Diagnostics;
using System.Globalization;

namespace Bgp.Load;

/// <summary>What a daemon's processes have used, all of them summed.</summary>
/// <param name="Cpu">User and system time, seconds; the kernel counts in hundredths.</param>
/// <param name="ResidentKb">VmRSS.</param>
/// <param name="PeakKb">VmHWM: the highest since the start.</param>
internal readonly record struct Usage(double Cpu, long ResidentKb, long PeakKb);

/// <summary>Reads /proc for the processes of a daemon and their children.</summary>
internal sealed class Meter(IReadOnlyList<Process> roots)
{
    private const double TicksPerSecond = 100;

    internal Usage Read()
    {
        Usage sum = default;
        foreach (int pid in Pids())
        {
            sum = Add(sum, pid);
        }

        return sum;
    }

    /// <summary>User and system time of this process.</summary>
    internal static double OwnCpu() => Environment.CpuUsage.TotalTime.TotalSeconds;

    /// <summary>Seconds that all cores of the machine were busy, since it started.</summary>
    internal static double MachineCpu()
    {
        // cpu user nice system idle iowait irq softirq steal …
        string[] fields = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries);
        long busy = 0;
        for (int i = 1; i <= 8; i++)
        {
            busy += i is 4 or 5 ? 0 : long.Parse(fields[i], CultureInfo.InvariantCulture);
        }

        return busy / TicksPerSecond;
    }

    /// <summary>The daemon's processes: those started, and what they started.</summary>
    internal List<int> Pids()
    {
        List<int> pids = [.. roots.Select(static process => process.Id)];
        for (int i = 0; i < pids.Count; i++)
        {
            string children = ReadText($"/proc/{pids[i]}/task/{pids[i]}/children");
            pids.AddRange(children.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(static word => int.Parse(word, CultureInfo.InvariantCulture)));
        }

        return pids;
    }

    private static Usage Add(Usage sum, int pid)
    {
        string stat = ReadText($"/proc/{pid}/stat");
        int name = stat.LastIndexOf(')');
        if (name < 0)
        {
            return sum;
        }

        // Fields 14 and 15 of proc(5); the first after the name is field 3.
        string[] fields = stat[(name + 2)..].Split(' ');
        double cpu = (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / TicksPerSecond;
        string status = ReadText($"/proc/{pid}/status");
        return new Usage(sum.Cpu + cpu, sum.ResidentKb + Field(status, "VmRSS:"), sum.PeakKb + Field(status, "VmHWM:"));
    }

    private static long Field(string status, string name)
    {
        int at = status.IndexOf(name, StringComparison.Ordinal);
        return at < 0 ? 0 : long.Parse(status[(at + name.Length)..].TrimStart().Split(' ')[0], CultureInfo.InvariantCulture);
    }

    private static string ReadText(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException or IOException)
        {
            return ""; // the process has ended
        }
    }
}
