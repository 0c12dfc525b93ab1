using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Bgp.Load;

/// <summary>
/// Two network namespaces with a veth cable between them: the daemon at 10.99.128.1, all the speakers at the other end. Everything is gone after
/// <see cref="Dispose"/>.
/// </summary>
/// <remarks>
/// The speakers' addresses are not configured: the whole range is a local route (AnyIP). The daemon's side gets a permanent neighbour entry for each, so
/// that neither address resolution nor the kernel's limit on learned neighbours (1,024 for the machine) is part of a figure.
/// </remarks>
internal sealed class Lab : IDisposable
{
    internal const string DutAddress = "10.99.128.1";
    private const string DutMac = "02:00:00:00:80:01";
    private const string LoadMac = "02:00:00:00:00:01";
    private readonly string _tag = $"pipit-bench-{Environment.GetEnvironmentVariable("PIPIT_BENCH_TAG") ?? "0"}-{Environment.ProcessId}";
    private readonly List<string> _namespaces = [];
    private readonly List<Process> _processes = [];

    internal Lab()
    {
        Folder = Directory.CreateTempSubdirectory("pipit-bench-").FullName;
        File.SetUnixFileMode(Folder, (UnixFileMode)0b111_111_111);
    }

    /// <summary>For configurations, sockets and logs; daemons that give up root write here too.</summary>
    internal string Folder { get; }

    internal string Dut { get; private set; } = "";

    internal string Load { get; private set; } = "";

    /// <summary>The daemon's processes that were started here; their children are found by the meter.</summary>
    internal IReadOnlyList<Process> Processes => _processes;

    internal string Namespace(string name)
    {
        string full = $"{_tag}-{name}";
        Run("ip", "netns", "add", full);
        _namespaces.Add(full);
        Run("ip", "-n", full, "link", "set", "lo", "up");
        return full;
    }

    /// <summary>The cable of every scenario but the node's.</summary>
    internal void Wire(int speakers)
    {
        Dut = Namespace("dut");
        Load = Namespace("load");
        StringBuilder dut = new();
        dut.Append(CultureInfo.InvariantCulture, $"link add dut0 address {DutMac} txqueuelen 10000 type veth peer name load0 address {LoadMac} netns {Load}\n");
        dut.Append(CultureInfo.InvariantCulture, $"addr add {DutAddress}/16 dev dut0\nlink set dut0 up\n");
        for (int i = 0; i < speakers; i++)
        {
            dut.Append(CultureInfo.InvariantCulture, $"neigh add {Ip.Text(Fleet.AddressOf(i))} lladdr {LoadMac} dev dut0 nud permanent\n");
        }

        Batch(Dut, dut.ToString());
        Batch(Load, $"""
            addr add 10.99.0.1/16 dev load0
            link set load0 up
            neigh add {DutAddress} lladdr {DutMac} dev load0 nud permanent
            route add local 10.99.0.0/17 dev lo
            """);
    }

    internal static void Batch(string ns, string lines)
    {
        ProcessStartInfo start = new("ip", ["-n", ns, "-batch", "-"]) { RedirectStandardInput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        process.StandardInput.Write(lines);
        process.StandardInput.Close();
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"ip -batch: {error}");
        }
    }

    internal string WriteFile(string name, string content)
    {
        string path = Path.Combine(Folder, name);
        File.WriteAllText(path, content);
        return path;
    }

    /// <summary>Starts a daemon in a namespace; its output goes to a file of its own.</summary>
    internal Process Start(string ns, string name, params string[] words)
    {
        // The shell raises the limit for daemons with thousands of sessions and then becomes the daemon: the process id stays.
        string log = Path.Combine(Folder, name + ".log");
        ProcessStartInfo start = new("/bin/sh", ["-c", $"ulimit -Sn $(ulimit -Hn); exec ip netns exec {ns} \"$@\" >>{log} 2>&1 </dev/null", "sh", .. words]);
        Process process = Process.Start(start)!;
        _processes.Add(process);
        return process;
    }

    /// <summary>Starts a program in the calling thread's namespace, with nothing between.</summary>
    internal static Process StartHere(string[] words)
    {
        ProcessStartInfo start = new(words[0], words[1..]) { RedirectStandardInput = true, RedirectStandardError = true, RedirectStandardOutput = true };
        return Process.Start(start)!;
    }

    /// <summary>Ends what was started, at once: the figures are taken, and some daemons need minutes to free a table.</summary>
    internal void StopProcesses()
    {
        foreach (Process process in _processes)
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
                process.WaitForExit(20_000);
            }

            process.Dispose();
        }

        _processes.Clear();
    }

    internal static string Run(string command, params string[] words)
    {
        ProcessStartInfo start = new(command, words) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{command} {string.Join(' ', words)}: exit {process.ExitCode}: {error.Result}{output}");
    }

    /// <summary>The ends of the logs, for a report of what went wrong.</summary>
    internal string Logs()
    {
        StringBuilder text = new();
        foreach (string file in Directory.GetFiles(Folder, "*.log"))
        {
            string[] lines = File.ReadAllLines(file);
            text.Append(CultureInfo.InvariantCulture, $"--- {Path.GetFileName(file)}\n").AppendJoin('\n', lines.TakeLast(8)).Append('\n');
        }

        return text.ToString();
    }

    public void Dispose()
    {
        StopProcesses();
        foreach (string ns in _namespaces)
        {
            Run("ip", "netns", "delete", ns);
        }

        Directory.Delete(Folder, recursive: true);
    }
}
