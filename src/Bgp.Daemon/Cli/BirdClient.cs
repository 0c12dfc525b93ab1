using System.Net.Sockets;
using System.Text;

namespace Bgp.Daemon.Cli;

/// <summary>The command line of BIRD: what this program is when it is called <c>birdc</c> or <c>birdcl</c>. Works with any daemon that speaks BIRD's protocol.</summary>
internal sealed class BirdClient
{
    private const string Usage = "[-s SOCKET] [-v] [-r] [-l] [COMMAND…]";

    /// <summary>What words may be shortened to, by the word that they follow.</summary>
    private static readonly Dictionary<string, string[]> s_grammar = new(StringComparer.Ordinal)
    {
        [""] = ["show", "configure", "enable", "disable", "restart", "reload", "restrict", "echo", "graceful", "help", "quit", "exit", "down", "debug", "dump", "eval"],
        ["show"] = ["status", "protocols", "route", "memory", "symbols", "static", "bfd", "interfaces"],
        ["bfd"] = ["sessions"],
        ["protocols"] = ["all"],
        ["interfaces"] = ["summary"],
        ["symbols"] = ["protocol", "table", "filter", "function"],
        ["route"] = ["all", "primary", "filtered", "count", "for", "protocol", "export", "noexport", "preexport", "table", "where", "stats"],
        ["configure"] = ["soft", "check", "confirm", "undo", "timeout", "status"],
        ["reload"] = ["in", "out", "all"],
        ["graceful"] = ["restart"],
    };

    private readonly Socket _socket;
    private readonly StreamReader _reader;
    private readonly TextWriter _output;
    private readonly bool _verbose;
    private int _code;

    private BirdClient(Socket socket, TextWriter output, bool verbose)
    {
        (_socket, _output, _verbose) = (socket, output, verbose);
        _reader = new StreamReader(new NetworkStream(socket, ownsSocket: false), new UTF8Encoding(false));
    }

    /// <summary>Runs a command line and gives its exit code: 0 where the last answer was no error, 1 where it was, or nobody answered.</summary>
    internal static int Run(string name, string[] args, TextReader input, TextWriter output, TextWriter error, bool isTerminal, TimeSpan? patience = null)
    {
        TimeSpan limit = patience ?? Control.ControlClient.Patience;
        bool verbose = false;
        bool restricted = false;
        string? path = null;
        int i = 0;
        for (; i < args.Length && args[i].StartsWith('-') && args[i].Length > 1; i++)
        {
            if (args[i] is "--version" or "--help")
            {
                output.WriteLine(args[i] == "--help" ? $"Usage: {name} {Usage}" : $"BIRD version v0.3.3+birdv1.6.8+pipit-{CliApp.Version}");
                output.Flush();
                return 0;
            }

            for (int j = 1; j < args[i].Length; j++)
            {
                switch (args[i][j])
                {
                    case 'v':
                        verbose = true;
                        break;
                    case 'r':
                        restricted = true;
                        break;
                    case 'l':
                        path ??= "bird.ctl";
                        break;
                    case 's' when j + 1 < args[i].Length:
                        path = args[i][(j + 1)..];
                        j = args[i].Length;
                        break;
                    case 's' when i + 1 < args.Length:
                        path = args[++i];
                        j = args[i].Length;
                        break;
                    default:
                        error.WriteLine($"Usage: {name} {Usage}");
                        return 1;
                }
            }
        }

        path ??= DefaultSocket(name);
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
        {
            SendTimeout = (int)limit.TotalMilliseconds,
            ReceiveTimeout = (int)limit.TotalMilliseconds,
        };
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            error.WriteLine($"Unable to connect to server control socket ({path}): {e.Message}");
            return 1;
        }

        BirdClient client = new(socket, output, verbose);
        try
        {
            return client.Converse(restricted, args[i..], input, isTerminal);
        }
        catch (IOException e) when (Control.ControlClient.IsSilence(e))
        {
            error.WriteLine(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"The server has said nothing for {limit.TotalSeconds:0.###} s: it is stopped, or hangs"));
            return 1;
        }
        catch (IOException)
        {
            error.WriteLine("Connection closed by server");
            return 1;
        }
        finally
        {
            output.Flush();
        }
    }

    /// <summary>A command with its shortened words written out; a word that could be several stays, and so do names.</summary>
    internal static string Expand(string command)
    {
        string[] words = command.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        string after = "";
        for (int i = 0; i < words.Length && s_grammar.TryGetValue(after, out string[]? known); i++)
        {
            string word = words[i];
            string[] matching = known.Contains(word) ? [word] : Array.FindAll(known, candidate => candidate.StartsWith(word, StringComparison.Ordinal));
            if (matching is [var only])
            {
                words[i] = only;
                after = s_grammar.ContainsKey(only) && after is "" or "show" ? only : after;
                if (after != "route" && after != only)
                {
                    break;
                }

                if (after == "route" && only is "for" or "protocol" or "export" or "noexport" or "preexport" or "table" or "where")
                {
                    // A name or a condition follows.
                    i += only == "where" ? words.Length : 1;
                }
            }
            else if (after != "route")
            {
                break;
            }
        }

        return string.Join(' ', words);
    }

    private static string DefaultSocket(string name)
    {
        string file = name.EndsWith('6') ? "bird6.ctl" : "bird.ctl";
        string calico = "/var/run/calico/" + file;
        return File.Exists(calico) ? calico : "/run/bird/" + file;
    }

    private int Converse(bool restricted, string[] words, TextReader input, bool isTerminal)
    {
        Answer();
        if (restricted)
        {
            Ask("restrict");
        }

        if (words.Length > 0)
        {
            Ask(Expand(string.Join(' ', words)));
            return _code < 8000 ? 0 : 1;
        }

        while (true)
        {
            if (isTerminal)
            {
                _output.Write("bird> ");
                _output.Flush();
            }

            string? line = input.ReadLine();
            string command = Expand(line?.Trim() ?? "quit");
            if (command is "quit" or "exit")
            {
                return 0;
            }

            if (command is "help" or "?")
            {
                _output.WriteLine(string.Join('\n', s_grammar[""].Where(static word => word is not ("down" or "debug" or "dump" or "eval"))));
            }
            else if (command.Length > 0)
            {
                Ask(command);
            }

            _output.Flush();
        }
    }

    private void Ask(string command)
    {
        byte[] octets = Encoding.UTF8.GetBytes(command.Replace('\n', ' ') + "\n");
        try
        {
            _socket.Send(octets);
        }
        catch (SocketException)
        {
            // It may have told us why it closed.
        }

        Answer();
    }

    /// <summary>Prints an answer without its framing: a code and its hyphen go, and so does the space that stands for the same code again.</summary>
    private void Answer()
    {
        while (true)
        {
            string line = _reader.ReadLine() ?? throw new IOException();
            bool coded = line.Length >= 5 && char.IsAsciiDigit(line[0]) && char.IsAsciiDigit(line[3]) && line[4] is ' ' or '-';
            bool last = coded && line[4] == ' ';
            if (coded)
            {
                _code = int.Parse(line.AsSpan(0, 4), System.Globalization.CultureInfo.InvariantCulture);
            }

            string text = coded ? line[5..] : line.StartsWith('+') ? ">>> " + line[1..] : line.Length > 0 ? line[1..] : line;
            if (_verbose)
            {
                _output.WriteLine(line);
            }
            else if (!last || text.Length > 0)
            {
                _output.WriteLine(text);
            }

            if (last)
            {
                return;
            }
        }
    }
}
