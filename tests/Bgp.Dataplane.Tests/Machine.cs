using System.Diagnostics;
using System.Text;

namespace Bgp.Dataplane.Tests;

/// <summary>
/// User-mode Linux with a script inside that prints a line <c>RESULT name ok|FAIL detail</c> for each thing it looked at.
/// </summary>
/// <remarks>
/// The kernels of build machines often have no <c>ipip</c>; user-mode Linux has, and runs as an ordinary process. One boot serves all tests of a fixture: the script builds the topology inside and goes
/// through the whole story once. A test asserts one line, so that a report names what broke. A line that is missing (the machine hung, the script ended early) fails its test as well, with
/// everything that was printed.
/// </remarks>
internal sealed class Machine
{
    private readonly Dictionary<string, (bool Ok, string Detail)> _results = [];
    private readonly string _console;

    private Machine(string console)
    {
        _console = console;
        foreach (string line in console.Split('\n', StringSplitOptions.TrimEntries))
        {
            string[] words = line.Split(' ', 4);
            if (words is ["RESULT", _, "ok" or "FAIL", ..])
            {
                _results[words[1]] = (words[2] == "ok", words.Length > 3 ? words[3] : "");
            }
        }
    }

    /// <summary>Boots, runs a script of this folder with the repository and the binary as its arguments, and waits for the end, which is bounded.</summary>
    internal static async Task<Machine> RunAsync(string script, int seconds, string kernelArguments = "")
    {
        string root = RepositoryRoot();
        string binary = Environment.GetEnvironmentVariable("PIPIT_BINARY") is { Length: > 0 } given ? given : Path.Combine(root, "out", "pipit");
        Assert.That(binary, Does.Exist, "publish it first: dotnet publish src/Bgp.Daemon -c Release -o out");
        ProcessStartInfo start = new("/bin/bash")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // uml_run bounds the machine by itself and ends its process group; the limit here is for the case that even that fails.
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(". \"$1/scripts/uml.sh\"; trap uml_stop EXIT; uml_run \"$4\" bash \"$1/tests/Bgp.Dataplane.Tests/$3\" \"$1\" \"$2\"");
        start.ArgumentList.Add("dataplane");
        start.ArgumentList.Add(root);
        start.ArgumentList.Add(binary);
        start.ArgumentList.Add(script);
        start.ArgumentList.Add(seconds.ToString(System.Globalization.CultureInfo.InvariantCulture));
        start.Environment["UML_ARGUMENTS"] = kernelArguments;
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        StringBuilder console = new();
        DataReceivedEventHandler keep = (_, line) =>
        {
            lock (console)
            {
                console.AppendLine(line.Data);
            }
        };
        process.OutputDataReceived += keep;
        process.ErrorDataReceived += keep;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(seconds + 20));
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
        }

        lock (console)
        {
            return new Machine(console.ToString());
        }
    }

    internal void Holds(string name)
    {
        Assert.That(_results, Does.ContainKey(name), $"the machine printed no such result:\n{_console}");
        (bool ok, string detail) = _results[name];
        Assert.That(ok, Is.True, $"{detail}\n{_console}");
        TestContext.Out.WriteLine(detail);
    }

    private static string RepositoryRoot()
    {
        string? directory = TestContext.CurrentContext.TestDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "Bgp.sln")))
        {
            directory = Path.GetDirectoryName(directory);
        }
        return directory ?? throw new DirectoryNotFoundException("Bgp.sln is in no directory above the tests");
    }
}
