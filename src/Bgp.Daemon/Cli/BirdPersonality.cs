using System.Globalization;
using Bgp.Daemon.Config;
using Bgp.Daemon.Control;
using Bgp.Daemon.Import;

namespace Bgp.Daemon.Cli;

/// <summary>The daemon with BIRD's command line: what this program is when it is called <c>bird</c> or <c>bird6</c>.</summary>
/// <remarks>
/// The configuration is a file of BIRD 1.6 of the shape that Calico renders, imported at each start and each SIGHUP. <c>bird</c> and <c>bird6</c> are then two
/// processes as they are with BIRD, each with its own family's sessions, routes and socket. With <c>-s</c> given twice, the second being for IPv6, one process
/// serves both: bird6.cfg beside the given file is imported too.
/// </remarks>
internal sealed class BirdPersonality
{
    private const string Usage = "[-c CONFIG] [-s SOCKET [-s SOCKET6]] [-P PIDFILE] [-g GROUP] [-u USER] [-d] [-f] [-l] [-p] [-R]";

    private string _config = "/etc/bird/bird.conf";
    private readonly List<string> _sockets = [];
    private string _pidFile = "";
    private string _group = "";
    private string _user = "";
    private bool _foreground;
    private bool _check;

    private BirdPersonality(bool isSix) => IsSix = isSix;

    private bool IsSix { get; }

    /// <summary>Runs a command line and gives its exit code.</summary>
    internal static int Run(string name, string[] args, TextWriter output, TextWriter error, Func<RunOptions, Task<int>> daemon)
    {
        BirdPersonality bird = new(name.EndsWith('6'));
        if (bird.IsSix)
        {
            bird._config = "/etc/bird/bird6.conf";
        }

        if (args is ["--version"])
        {
            error.WriteLine($"BIRD version v0.3.3+birdv1.6.8+pipit-{CliApp.Version}");
            return 0;
        }

        if (args is ["--help"] or ["-h"])
        {
            output.WriteLine($"Usage: {name} {Usage}");
            output.Flush();
            return 0;
        }

        if (!bird.Parse(args))
        {
            error.WriteLine($"Usage: {name} {Usage}");
            return 1;
        }

        return bird.Start(name, error, daemon);
    }

    /// <summary>As getopt does: flags may stand together, and an argument beside its flag or after it.</summary>
    private bool Parse(string[] args)
    {
        for (int i = 0; i < args.Length; i++)
        {
            if (args[i].Length < 2 || args[i][0] != '-')
            {
                return false;
            }

            for (int j = 1; j < args[i].Length; j++)
            {
                char flag = args[i][j];
                if ("csPguD".Contains(flag, StringComparison.Ordinal))
                {
                    string value = args[i][(j + 1)..];
                    if (value.Length == 0 && ++i >= args.Length)
                    {
                        return false;
                    }

                    Set(flag, value.Length > 0 ? value : args[i]);
                    break;
                }

                switch (flag)
                {
                    case 'd' or 'f':
                        _foreground = true;
                        break;
                    case 'p':
                        _check = true;
                        break;
                    case 'l':
                        _config = IsSix ? "bird6.conf" : "bird.conf";
                        _sockets.Add(IsSix ? "bird6.ctl" : "bird.ctl");
                        break;
                    case 'R':
                        // Routes of an earlier life are always adopted, and neighbours asked to keep theirs.
                        break;
                    default:
                        return false;
                }
            }
        }

        return _sockets.Count <= 2;
    }

    private void Set(char flag, string value)
    {
        switch (flag)
        {
            case 'c':
                _config = value;
                break;
            case 's':
                _sockets.Add(value);
                break;
            case 'P':
                _pidFile = value;
                break;
            case 'g':
                _group = value;
                break;
            case 'u':
                _user = value;
                break;
            default:
                // -D FILE: the log is on stderr, whoever starts us keeps it.
                _foreground = true;
                break;
        }
    }

    private int Start(string name, TextWriter error, Func<RunOptions, Task<int>> daemon)
    {
        if (_sockets.Count == 0)
        {
            _sockets.Add(IsSix ? "/run/bird/bird6.ctl" : "/run/bird/bird.ctl");
        }

        if (_check)
        {
            ConfigResult result = Load(_config);
            foreach (ConfigIssue issue in result.Issues)
            {
                error.WriteLine(issue);
            }

            return result.Model is null ? 1 : 0;
        }

        if (!_foreground)
        {
            error.WriteLine($"{name}: this daemon stays in the foreground; say so with -d or -f");
            return 1;
        }

        if (_user.Length > 0 && _user != Environment.UserName)
        {
            error.WriteLine($"{name}: -u {_user}: the user cannot be changed here; start it as that user, with CAP_NET_ADMIN, CAP_NET_BIND_SERVICE and CAP_NET_RAW");
            return 1;
        }

        if (_pidFile.Length > 0)
        {
            try
            {
                File.WriteAllText(_pidFile, Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                error.WriteLine($"{name}: cannot write {_pidFile}: {e.Message}");
                return 1;
            }
        }

        string control = Environment.GetEnvironmentVariable("PIPIT_SOCKET") is { Length: > 0 } set ? set
            : IsSix ? ControlClient.DefaultPath.Replace("control.", "control6.", StringComparison.Ordinal) : ControlClient.DefaultPath;
        try
        {
            return daemon(new RunOptions(_config, control) { Load = Load }).GetAwaiter().GetResult();
        }
        finally
        {
            if (_pidFile.Length > 0)
            {
                File.Delete(_pidFile);
            }
        }
    }

    /// <summary>Imports the file, and for a second socket the IPv6 one beside it. A file in YAML is taken as it is.</summary>
    private ConfigResult Load(string path)
    {
        if (path.EndsWith(".yaml", StringComparison.Ordinal) || path.EndsWith(".yml", StringComparison.Ordinal))
        {
            return ConfigReader.Load(path);
        }

        List<string> files = [path];
        List<(string Path, int Family)> sockets = [(_sockets[0], IsSix ? 6 : 4)];
        if (_sockets.Count == 2)
        {
            files.Add(Path.Combine(Path.GetDirectoryName(path) ?? "", Path.GetFileName(path).Replace("bird", "bird6", StringComparison.Ordinal)));
            sockets.Add((_sockets[1], 6));
        }

        // Two processes on one host: the second must not want the first one's port.
        return BirdImport.Load(files, new BirdImportOptions { Sockets = sockets, SocketGroup = _group, Metrics = IsSix ? "off" : null });
    }
}
