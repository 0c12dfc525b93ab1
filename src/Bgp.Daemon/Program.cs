using System.Text;
using Bgp.Daemon;
using Bgp.Daemon.Cli;

// The seam for other names: argv[0] `bird`, `bird6`, `birdcl`, `birdc` will take their own parsers here, before this one sees the words.
CliApp.Daemon = DaemonHost.RunAsync;
using StreamWriter output = new(Console.OpenStandardOutput(), new UTF8Encoding(false), 16 << 10);
using StreamWriter error = new(Console.OpenStandardError(), new UTF8Encoding(false), 256) { AutoFlush = true };
return CliApp.Run(args, output, error, !Console.IsOutputRedirected);
