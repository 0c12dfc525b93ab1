using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Bgp.Daemon.Control;

namespace Bgp.Daemon.Cli;

/// <summary>What runs for as long as one looks at it, and what writes a file.</summary>
public sealed partial class CliApp
{
    private void AddLiveVerbs()
    {
        Verb("top", "The daemon and its peers on the whole screen, every second").SetAction(Top);

        Argument<string> file = new("FILE") { Description = "Where to; '-' for standard output" };
        Command dump = Verb("dump", "Writes the tables to a file");
        Verb(dump, "mrt", "All routes as an MRT table dump (RFC 6396)", file).SetAction(parsed => DumpMrt(parsed, parsed.GetValue(file)!));
    }

    private int Top(ParseResult parsed)
    {
        if (!_output.IsTerminal || !_output.IsTable)
        {
            return _output.Fail(ExitCode.Usage, "top needs a terminal; for scripts: 'pipit peers -w -o jsonl' or 'pipit events -f -o jsonl'");
        }

        Dictionary<string, long> before = [];
        long seen = 0;
        while (true)
        {
            StatusDto status = JsonSerializer.Deserialize(AskOne(parsed, new RequestDto { Verb = "status" }), ControlJson.Default.StatusDto)!;
            List<PeerDto> peers = [.. Ask(parsed, new RequestDto { Verb = "peers" }).Select(static json => JsonSerializer.Deserialize(json, ControlJson.Default.PeerDto)!)];
            long now = Stopwatch.GetTimestamp();
            double seconds = seen == 0 ? 0 : Stopwatch.GetElapsedTime(seen, now).TotalSeconds;
            int height = Console.WindowHeight;
            _output.Out.Write("\e[H\e[2J");
            _output.Out.WriteLine(CliOutput.Clean(string.Create(
                CultureInfo.InvariantCulture,
                $"{status.Name}  AS {status.Asn}  up {CliOutput.Age(status.UptimeSeconds)}  peers {status.PeersEstablished}/{status.PeersTotal}  prefixes {status.Prefixes}  paths {status.Paths}  kernel: {status.Kernel}")));
            _output.Out.WriteLine();

            // What is wrong comes first, then what changes most; what does not fit is counted.
            TablePrinter table = new(_output, "PEER", "STATE", "UPTIME", "RECEIVED", "CHANGE/s", "ADVERTISED", "LAST ERROR");
            List<(PeerDto Peer, long Received, double Rate)> rows = [.. peers.Select(peer =>
            {
                long received = peer.Families.Values.Sum(static counts => (long)counts.Received);
                double rate = seconds > 0 && before.TryGetValue(peer.Name, out long old) ? (received - old) / seconds : 0;
                before[peer.Name] = received;
                return (peer, received, rate);
            })];
            foreach ((PeerDto peer, long received, double rate) in rows
                .OrderBy(static row => row.Peer.State is "established" or "adminDown").ThenByDescending(static row => Math.Abs(row.Rate)).Take(Math.Max(1, height - 5)))
            {
                table.Row(
                    peer.Name, StateText(peer.State), CliOutput.Age(peer.UptimeSeconds), received.ToString(CultureInfo.InvariantCulture),
                    rate.ToString("+0;-0;0", CultureInfo.InvariantCulture), peer.Families.Values.Sum(static counts => (long)counts.Advertised).ToString(CultureInfo.InvariantCulture), peer.LastError);
            }

            table.Write();
            if (peers.Count > height - 5)
            {
                _output.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"… and {peers.Count - Math.Max(1, height - 5)} more"));
            }

            _output.Out.Flush();
            seen = now;
            Thread.Sleep(1000);
        }
    }

    private int DumpMrt(ParseResult parsed, string file)
    {
        IEnumerable<string> items = Ask(parsed, new RequestDto { Verb = "mrt" });
        if (file == "-")
        {
            using Stream output = Console.OpenStandardOutput();
            Write(items, output);
            return ExitCode.Ok;
        }

        // Whole or not at all: a reader never finds half a dump under the name. A pipe or a device (/dev/stdout, /dev/null) is written to, never replaced by a file.
        string part = file + ".part";
        long length;
        try
        {
            if (File.Exists(file) && !FileKind.IsRegular(file))
            {
                using FileStream device = new(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
                length = Write(items, device);
            }
            else
            {
                using (FileStream stream = new(part, FileMode.Create, FileAccess.Write))
                {
                    length = Write(items, stream);
                }

                File.Move(part, file, overwrite: true);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return _output.Fail(ExitCode.Negative, $"cannot write {file}: {exception.Message}");
        }

        if (_output.IsTable)
        {
            _output.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{file}: {length} octets"));
        }

        return ExitCode.Ok;

        static long Write(IEnumerable<string> items, Stream into)
        {
            long written = 0;
            foreach (string json in items)
            {
                byte[] records = JsonSerializer.Deserialize(json, ControlJson.Default.MrtDto)!.Records;
                into.Write(records);
                written += records.Length;
            }

            return written;
        }
    }
}

/// <summary>What the framework does not tell of a file.</summary>
internal static partial class FileKind
{
    /// <summary>Whether it is a plain file, which may be replaced by another; asked without opening it, since that waits where it is a pipe.</summary>
    internal static bool IsRegular(string path)
    {
        const int CurrentDirectory = -100;
        const uint TypeMask = 1;
        const int ModeOffset = 28;
        Span<byte> status = stackalloc byte[256];
        return statx(CurrentDirectory, path, 0, TypeMask, status) == 0 && (BitConverter.ToUInt16(status[ModeOffset..]) & 0xF000) == 0x8000;
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int statx(int directory, string path, int flags, uint mask, Span<byte> status);
}
