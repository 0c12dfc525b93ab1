using System.Diagnostics;
using System.Text.Json;

namespace Bgp.Interop.Tests.Rig;

/// <summary>
/// One test's network: namespaces, links, processes, files; all of it gone after <see cref="Dispose"/>, also when the test failed.
/// </summary>
internal sealed class Lab : IDisposable
{
    private static int s_next;
    private readonly string _tag = $"pipit-{Environment.ProcessId}-{Interlocked.Increment(ref s_next)}";
    private readonly List<string> _namespaces = [];
    private readonly List<Background> _processes = [];

    internal Lab() => Folder = Directory.CreateTempSubdirectory("pipit-lab-").FullName;

    /// <summary>For configurations, sockets and logs.</summary>
    internal string Folder { get; }

    /// <summary>The binary under test: PIPIT_BINARY, or the daemon's own build output beside this test's.</summary>
    internal static string Pipit { get; } = Environment.GetEnvironmentVariable("PIPIT_BINARY") is { Length: > 0 } set ? set : Path.Combine(AppContext.BaseDirectory, "pipit");

    internal string Namespace(string name)
    {
        string full = $"{_tag}-{name}";
        Run("ip", "netns", "add", full);
        _namespaces.Add(full);
        Run("ip", "-n", full, "link", "set", "lo", "up");
        return full;
    }

    /// <summary>A cable between two namespaces, with addresses.</summary>
    internal static void Link(string a, string deviceA, string[] addressesA, string b, string deviceB, string[] addressesB)
    {
        Run("ip", "-n", a, "link", "add", deviceA, "type", "veth", "peer", "name", deviceB, "netns", b);
        Address(a, deviceA, addressesA);
        Address(b, deviceB, addressesB);
        Run("ip", "-n", a, "link", "set", deviceA, "up");
        Run("ip", "-n", b, "link", "set", deviceB, "up");
    }

    internal static void Address(string ns, string device, params string[] addresses)
    {
        foreach (string address in addresses)
        {
            // nodad: an IPv6 address that is still being probed cannot be bound to.
            string[] words = address.Contains(':', StringComparison.Ordinal) ? ["ip", "-n", ns, "addr", "add", address, "dev", device, "nodad"] : ["ip", "-n", ns, "addr", "add", address, "dev", device];
            Run(words[0], words[1..]);
        }
    }

    internal string File(string name, string content)
    {
        string path = Path.Combine(Folder, name);
        System.IO.File.WriteAllText(path, content);
        return path;
    }

    internal Background Start(string ns, string name, params string[] words)
    {
        Background process = new(Path.Combine(Folder, name + ".log"), ["ip", "netns", "exec", ns, .. words]);
        _processes.Add(process);
        return process;
    }

    /// <summary>
    /// Captures what passes a device into a file, and returns once tcpdump listens. Packets stand in it as soon as tcpdump gets to run, not when it is their receiver's turn:
    /// what a test wants to see in it, it has to wait for.
    /// </summary>
    internal (string File, Background Tcpdump) Capture(string ns, string device, params string[] filter)
    {
        string file = Path.Combine(Folder, $"{ns}-{device}.pcap");

        // Without --immediate-mode the kernel hands packets over in blocks, up to a second late. With it each packet waits in a place of the full length: the usual two megabytes
        // are 32 of them, and what comes while tcpdump does not get to run is lost. These are a thousand.
        Background tcpdump = Start(ns, "tcpdump", ["tcpdump", "-i", device, "--immediate-mode", "-B", "65536", "-s", "65535", "-U", "-Z", "root", "-w", file, .. filter]);
        Eventually(() => System.IO.File.Exists(file) && new FileInfo(file).Length > 0, "tcpdump listens", 20, Logs);
        return (file, tcpdump);
    }

    /// <summary>
    /// Prints what the kernel reports of routes into NAME.log, and returns once it listens. It lags behind the kernel: what a test wants to see in the log, it has to wait for, and
    /// what it wants not to see, behind something that it has waited for.
    /// </summary>
    internal Background Monitor(string ns, string name, params string[] options)
    {
        Background monitor = Start(ns, name, ["ip", .. options, "monitor", "route"]);
        string pid = monitor.Pid.ToString(System.Globalization.CultureInfo.InvariantCulture);

        // Columns: socket, protocol, port (the first socket of a process has its id), multicast groups.
        Eventually(
            () => System.IO.File.ReadLines($"/proc/{pid}/net/netlink").Select(static line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                .Any(columns => columns[1] == "0" && columns[2] == pid && columns[3] != "00000000"),
            "the monitor listens", 20, Logs);
        return monitor;
    }

    /// <summary>Runs a command to its end; throws with its output when it fails.</summary>
    internal static string Run(string command, params string[] words)
    {
        (int code, string output, string error) = TryRun(command, words);
        return code == 0 ? output : throw new InvalidOperationException($"{command} {string.Join(' ', words)}: exit {code}: {error}{output}");
    }

    internal static (int Code, string Output, string Error) TryRun(string command, params string[] words)
    {
        ProcessStartInfo start = new(command, words) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> error = process.StandardError.ReadToEndAsync();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(Environment.GetEnvironmentVariable("PIPIT_LONG") is { Length: > 0 } ? 3_600_000 : 120_000))
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
        }

        return (process.ExitCode, output.Result, error.Result);
    }

    /// <summary>Waits for a condition, looking often; fails with what was seen last.</summary>
    internal static void Eventually(Func<bool> condition, string what, int seconds = 20, Func<string>? seen = null)
    {
        Stopwatch watch = Stopwatch.StartNew();
        using ManualResetEventSlim never = new();
        while (!condition())
        {
            if (watch.Elapsed > TimeSpan.FromSeconds(seconds))
            {
                Assert.Fail($"not within {seconds} s: {what}{(seen is null ? "" : "\n" + seen())}");
            }

            never.Wait(20);
        }
    }

    /// <summary>Waits until somebody listens on a port of this namespace. A daemon answers on its control socket a moment earlier.</summary>
    internal static void Listens(int port, Func<string> seen) => Eventually(
        () => System.IO.File.ReadLines("/proc/net/tcp").Select(static line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Any(columns => columns[3] == "0A" && columns[1].EndsWith($":{port:X4}", StringComparison.Ordinal)),
        "the daemon listens", 30, seen);

    internal static string Routes(string ns, bool v6 = false) => Run("ip", "-n", ns, v6 ? "-6" : "-4", "route", "show");

    /// <summary>Logs of all processes, for a failure's message.</summary>
    internal string Logs() => string.Join('\n', Directory.EnumerateFiles(Folder, "*.log").Select(static file => $"--- {Path.GetFileName(file)}\n{System.IO.File.ReadAllText(file)}"));

    public void Dispose()
    {
        foreach (Background process in _processes)
        {
            process.Dispose();
        }

        foreach (string ns in _namespaces)
        {
            TryRun("ip", "netns", "delete", ns);
        }

        Directory.Delete(Folder, recursive: true);
    }
}

/// <summary>A process that runs until it is told to end.</summary>
internal sealed class Background : IDisposable
{
    private readonly Process _process;
    private readonly StreamWriter _log;
    private readonly Lock _gate = new();
    private bool _disposed;

    internal Background(string log, string[] words)
    {
        _log = new StreamWriter(log, append: true) { AutoFlush = true };

        // A shell that runs the tests in the background has them ignore SIGINT, and so would all that they start.
        _process = new Process { StartInfo = new ProcessStartInfo("env", ["--default-signal=INT,QUIT", .. words]) { RedirectStandardOutput = true, RedirectStandardError = true } };
        _process.OutputDataReceived += (_, line) => Note(line.Data);
        _process.ErrorDataReceived += (_, line) => Note(line.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    internal bool HasExited => _process.HasExited;

    internal int Pid => _process.Id;

    internal void Signal(int number)
    {
        Lab.Run("kill", $"-{number}", _process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture));
    }

    /// <summary>SIGTERM, and the exit code.</summary>
    internal int Terminate()
    {
        Signal(15);
        Assert.That(_process.WaitForExit(15_000), "did not end on SIGTERM");
        return _process.ExitCode;
    }

    /// <summary>SIGINT, and waits for the end.</summary>
    internal void Interrupt()
    {
        Signal(2);
        Assert.That(_process.WaitForExit(15_000), "did not end on SIGINT");

        // Also until everything that it printed is in the log.
        _process.WaitForExit();
    }

    internal void Kill()
    {
        _process.Kill();
        _process.WaitForExit(5_000);
    }

    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit(5_000);
        }

        _process.Dispose();
        lock (_gate)
        {
            _log.Dispose();
        }
    }

    private void Note(string? line)
    {
        lock (_gate)
        {
            if (line is not null && _log.BaseStream is { CanWrite: true })
            {
                _log.WriteLine(line);
            }
        }
    }
}

/// <summary>A Pipit daemon in a namespace, with its CLI.</summary>
internal sealed class PipitNode(Lab lab, string ns, string name, string config)
{
    private readonly string _socket = Path.Combine(lab.Folder, name + ".sock");
    private readonly string _config = lab.File(name + ".yaml", config);

    internal string Namespace => ns;

    internal Background? Process { get; private set; }

    internal PipitNode Start(params string[] environment)
    {
        string[] words = environment.Length == 0 ? [Lab.Pipit] : ["env", .. environment, Lab.Pipit];
        Process = lab.Start(ns, name, [.. words, "run", "--config", _config, "--socket", _socket]);
        return this;
    }

    internal void Configure(string config) => File.WriteAllText(_config, config);

    internal (int Code, string Output, string Error) Cli(params string[] words) => Lab.TryRun(Lab.Pipit, ["--socket", _socket, .. words]);

    internal JsonElement Json(params string[] words)
    {
        (int code, string output, string error) = Cli([.. words, "-o", "json"]);
        return code is 0 or 1 && output.Length > 0 ? JsonDocument.Parse(output).RootElement : throw new InvalidOperationException($"{string.Join(' ', words)}: exit {code}: {error}");
    }

    internal void WaitEstablished(int seconds = 30)
    {
        Lab.Eventually(() => Cli("status").Code == 0, $"{name} answers", 15, lab.Logs);
        (int code, _, string error) = Cli("wait", "peers-established", "--timeout", $"{seconds}s");
        Assert.That(code, Is.Zero, error + lab.Logs());
    }

    internal JsonElement? Route(string prefix)
    {
        (int code, string output, _) = Cli("routes", prefix, "-o", "json");
        return code == 0 && JsonDocument.Parse(output).RootElement is { ValueKind: JsonValueKind.Array } rows && rows.GetArrayLength() > 0 ? rows[0] : null;
    }
}
