using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using Bgp.Daemon.Config;
using Bgp.Daemon.Control;

namespace Bgp.Daemon.Cli;

/// <summary>What <c>pipit run</c> hands to the daemon.</summary>
/// <param name="ConfigPath">Configuration file.</param>
/// <param name="SocketPath">Control socket.</param>
public sealed record RunOptions(string ConfigPath, string SocketPath)
{
    /// <summary>Reads the configuration, at the start and at each reload.</summary>
    public Func<string, ConfigResult> Load { get; init; } = ConfigReader.Load;
}

/// <summary>The exit codes, as every verb uses them.</summary>
public static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Ok = 0;

    /// <summary>The answer is no: not found, rejected, invalid.</summary>
    public const int Negative = 1;

    /// <summary>The command line is wrong.</summary>
    public const int Usage = 2;

    /// <summary>No daemon.</summary>
    public const int Unreachable = 3;

    /// <summary>Not allowed.</summary>
    public const int Permission = 4;

    /// <summary>Not in time.</summary>
    public const int Timeout = 5;
}

/// <summary>The command line. One per invocation; no host, no logger: a verb is a socket and a printer.</summary>
public sealed partial class CliApp
{
    private static readonly string[] Formats = ["table", "wide", "json", "jsonl", "yaml"];
    private readonly CliOutput _output;
    private readonly Option<string> _format = new("--output", "-o") { Description = "table, wide, json, jsonl or yaml", DefaultValueFactory = _ => "table", Recursive = true, HelpName = "FORMAT" };
    private readonly Option<bool> _noHeaders = new("--no-headers") { Description = "Tables without titles", Recursive = true };
    private readonly Option<string?> _socket = new("--socket") { Description = $"Control socket (PIPIT_SOCKET, {ControlClient.DefaultPath})", Recursive = true, HelpName = "PATH" };
    private readonly RootCommand _root;

    /// <summary>The daemon, set by whoever links it in.</summary>
    public static Func<RunOptions, Task<int>>? Daemon { get; set; }

    /// <summary>Where the configuration is unless told otherwise.</summary>
    public const string DefaultConfig = "/etc/pipit/pipit.yaml";

    private CliApp(CliOutput output)
    {
        _output = output;
        _root = new RootCommand("Pipit: a BGP daemon for cluster nodes and route reflectors, and its command line");
        for (int i = _root.Options.Count - 1; i >= 0; i--)
        {
            if (_root.Options[i] is HelpOption help)
            {
                // Not those of another system: a path may begin with a slash.
                help.Aliases.Remove("/h");
                help.Aliases.Remove("/?");
            }

            if (_root.Options[i] is VersionOption)
            {
                _root.Options.RemoveAt(i);
            }
        }

        _format.CompletionSources.Add(Formats);
        _root.Options.Add(_format);
        _root.Options.Add(_noHeaders);
        _root.Options.Add(_socket);
        AddConfigVerbs();
        AddPeerVerbs();
        AddRouteVerbs();
        AddOperateVerbs();
        AddShowVerbs();
        AddImportVerb();
        AddLiveVerbs();
    }

    /// <summary>Runs a command line and gives its exit code. Never throws for any words.</summary>
    public static int Run(string[] args, TextWriter output, TextWriter error, bool isTerminal)
    {
        CliApp app = new(new CliOutput(output, error, isTerminal));
        int code = app.Invoke(args);
        try
        {
            output.Flush();
        }
        catch (IOException e)
        {
            return app.Unwritten(e);
        }

        return code;
    }

    private int Invoke(string[] args)
    {
        ParseResult parsed = _root.Parse(args is [] ? ["--help"] : args[0] == "--version" ? ["version", .. args[1..]] : args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        bool wantsHelp = parsed.Action is HelpAction;
        if (!wantsHelp && parsed.Errors.Count > 0)
        {
            return Usage(parsed);
        }

        if (!wantsHelp)
        {
            _output.Format = parsed.GetValue(_format) ?? "table";
            _output.NoHeaders = parsed.GetValue(_noHeaders);
            if (Array.IndexOf(Formats, _output.Format) < 0)
            {
                return _output.Fail(ExitCode.Usage, $"unknown format '{_output.Format}'{ConfigText.Suggest(_output.Format, Formats)} (one of {string.Join(", ", Formats)})");
            }
        }

        try
        {
            return parsed.Invoke(new InvocationConfiguration { Output = _output.Out, Error = _output.Error, EnableDefaultExceptionHandler = false });
        }
        catch (ControlException e)
        {
            return _output.Fail(e.Code, e.Message);
        }
        catch (IOException e)
        {
            return Unwritten(e);
        }
    }

    /// <summary>A reader of our pipe that has had enough (`pipit routes | head`) is no failure; a full disk is one, or a script takes half of the routes for all of them.</summary>
    private int Unwritten(IOException e)
    {
        const int BrokenPipe = 32;
        return e.HResult == BrokenPipe ? ExitCode.Ok : _output.Fail(ExitCode.Negative, $"cannot write the output: {e.Message}");
    }

    private int Usage(ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        string name = "pipit";
        for (CommandResult? at = parsed.CommandResult; at is not null && at.Command != _root; at = at.Parent as CommandResult)
        {
            name = name.Insert("pipit".Length, " " + at.Command.Name);
        }

        HashSet<string> told = [];
        foreach (string word in parsed.UnmatchedTokens)
        {
            IEnumerable<string> candidates = word.StartsWith('-')
                ? command.Options.Concat(_root.Options).SelectMany(o => o.Aliases.Append(o.Name))
                : command.Subcommands.Where(c => !c.Hidden).Select(c => c.Name);
            string what = word.StartsWith('-') ? "option" : command.Subcommands.Count > 0 ? "verb" : "word";
            if (told.Add(word))
            {
                _output.Fail(ExitCode.Usage, $"unknown {what} '{word}'{(command == _root ? "" : $" for '{name}'")}{ConfigText.Suggest(word, candidates)}");
            }
        }

        if (told.Count == 0)
        {
            foreach (string problem in parsed.Errors.Select(error => Describe(error, command, name)).Distinct())
            {
                _output.Fail(ExitCode.Usage, problem);
            }
        }

        _output.Error.WriteLine($"Try '{name} --help'.");
        return ExitCode.Usage;
    }

    private static string Describe(ParseError error, Command command, string name) => error.SymbolResult switch
    {
        OptionResult { Tokens.Count: 0 } option => $"{option.Option.Name} needs a value{(option.Option.HelpName is { } help ? $": {help}" : "")}",
        ArgumentResult { Tokens.Count: 0 } argument => $"'{name}' needs {argument.Argument.Name}{(argument.Argument.Description is { Length: > 0 } what ? $": {what}" : "")}",
        CommandResult when command.Subcommands.Any(static c => !c.Hidden) => $"'{name}' needs a verb: {string.Join(", ", command.Subcommands.Where(static c => !c.Hidden).Select(static c => c.Name))}",
        CommandResult when command.Arguments.FirstOrDefault() is { } argument => $"'{name}' needs {argument.Name}{(argument.Description is { Length: > 0 } what ? $": {what}" : "")}",
        _ => error.Message,
    };

    private Command Verb(string name, string description, params ReadOnlySpan<Symbol> symbols) => Verb(_root, name, description, symbols);

    private static Command Verb(Command parent, string name, string description, params ReadOnlySpan<Symbol> symbols)
    {
        Command command = new(name, description);
        foreach (Symbol symbol in symbols)
        {
            if (symbol is Option option)
            {
                command.Add(option);
            }
            else if (symbol is Argument argument)
            {
                command.Add(argument);
            }
        }

        parent.Add(command);
        return command;
    }

    private string SocketPath(ParseResult parsed) =>
        parsed.GetValue(_socket) is { Length: > 0 } given ? given
        : Environment.GetEnvironmentVariable("PIPIT_SOCKET") is { Length: > 0 } fromEnvironment ? fromEnvironment
        : ControlClient.DefaultPath;

    private IEnumerable<string> Ask(ParseResult parsed, RequestDto request)
    {
        using ControlClient client = new(SocketPath(parsed));
        foreach (string item in client.Ask(request))
        {
            yield return item;
        }
    }

    private string AskOne(ParseResult parsed, RequestDto request) => Ask(parsed, request).First();

    private bool TryDuration(string? text, string option, out TimeSpan value, out int code)
    {
        value = default;
        code = ExitCode.Ok;
        if (text is null || ConfigText.TryDuration(text, out value))
        {
            return true;
        }

        code = _output.Fail(ExitCode.Usage, $"{option}: '{text}' is not a duration (90s, 300ms, 5m){(text.All(char.IsAsciiDigit) ? $"; did you mean '{text}s'?" : "")}");
        return false;
    }
}
