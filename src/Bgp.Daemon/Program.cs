using System.Text;
using Bgp.Daemon;
using Bgp.Daemon.Cli;

// One program with several names. The first argument as the kernel has it, because the runtime's may be the path of an assembly.
string name = Path.GetFileName(Encoding.UTF8.GetString(File.ReadAllBytes("/proc/self/cmdline").AsSpan() is var line && line.IndexOf((byte)0) is >= 0 and var end ? line[..end] : line));
CliApp.Daemon = DaemonHost.RunAsync;
using StreamWriter output = new(Console.OpenStandardOutput(), new UTF8Encoding(false), 16 << 10);
using StreamWriter error = new(Console.OpenStandardError(), new UTF8Encoding(false), 256) { AutoFlush = true };
return name switch
{
    "bird" or "bird6" => BirdPersonality.Run(name, args, output, error, DaemonHost.RunAsync),
    "birdc" or "birdcl" or "birdc6" or "birdcl6" => BirdClient.Run(name, args, Console.In, output, error, !Console.IsInputRedirected),
    _ => CliApp.Run(args, output, error, !Console.IsOutputRedirected),
};
