using System.CommandLine;
using System.Text.Json;
using Bgp.Daemon.Config;
using Bgp.Daemon.Control;

namespace Bgp.Daemon.Cli;

public sealed partial class CliApp
{
    private void AddConfigVerbs()
    {
        Option<string> config = new("--config", "-c") { Description = "Configuration file", DefaultValueFactory = _ => DefaultConfig, HelpName = "FILE" };
        Verb("run", "The daemon, in the foreground, with its log on stderr", config).SetAction(parsed => RunDaemon(parsed, parsed.GetValue(config)!));

        Argument<string> file = new("FILE") { Description = "Configuration file", DefaultValueFactory = _ => DefaultConfig };
        Verb("check", "Validates a configuration: every error at once", file).SetAction(parsed => Check(parsed.GetValue(file)!));

        Verb("schema", "JSON schema of the configuration").SetAction(_ =>
        {
            _output.Out.Write(ConfigSchema.Text());
            return ExitCode.Ok;
        });

        Option<bool> dry = new("--dry-run") { Description = "Only say what would happen" };
        Option<bool> wait = new("--wait") { Description = "Return when the new configuration is in force" };
        Option<string?> confirm = new("--confirm") { Description = "Roll back unless 'pipit confirm' comes in time", HelpName = "60s" };
        Option<string?> reason = new("--reason") { Description = "For the log", HelpName = "TEXT" };
        Verb("reload", "Reads the configuration again", dry, wait, confirm, reason).SetAction(parsed =>
        {
            if (!TryDuration(parsed.GetValue(confirm), "--confirm", out TimeSpan within, out int code))
            {
                return code;
            }

            if (parsed.GetValue(confirm) is { } time && !ControlConnection.MayConfirmWithin(within.TotalSeconds))
            {
                return _output.Fail(ExitCode.Usage, $"--confirm: '{time}' is not more than 0 and less than a day");
            }

            bool isDry = parsed.GetValue(dry);
            return Reload(parsed, new RequestDto
            {
                Verb = "reload",
                Flag = isDry,
                Wait = parsed.GetValue(wait),
                Seconds = parsed.GetValue(confirm) is null ? null : within.TotalSeconds,
                Reason = parsed.GetValue(reason),
            });
        });
        Verb("confirm", "Keeps a configuration loaded with reload --confirm").SetAction(parsed => Command(parsed, new RequestDto { Verb = "confirm" }));
        Verb("rollback", "Back to the configuration before the last reload").SetAction(parsed => Command(parsed, new RequestDto { Verb = "rollback" }));

        Argument<string?> other = new("FILE") { Description = "Configuration file; the daemon's own if not given", Arity = ArgumentArity.ZeroOrOne };
        Verb("diff", "What a reload would change", other).SetAction(parsed =>
            Reload(parsed, new RequestDto { Verb = "diff", File = parsed.GetValue(other) is { Length: > 0 } f ? Path.GetFullPath(f) : null }));
    }

    private int RunDaemon(ParseResult parsed, string config)
    {
        if (Daemon is not { } daemon)
        {
            return _output.Fail(ExitCode.Negative, "this build has no daemon in it");
        }

        return daemon(new RunOptions(config, SocketPath(parsed))).GetAwaiter().GetResult();
    }

    private int Check(string file)
    {
        ConfigResult result = ConfigReader.Load(file);
        foreach (ConfigIssue issue in result.Issues)
        {
            _output.Error.WriteLine(issue);
        }

        if (!_output.IsTable)
        {
            _output.Single(JsonSerializer.Serialize(
                new ReloadDto
                {
                    Accepted = result.Model is not null,
                    Errors = [.. result.Errors.Select(static issue => issue.ToString())],
                    Warnings = [.. result.Warnings.Select(static issue => issue.ToString())],
                    ConfigHash = result.Model?.Hash,
                },
                ControlJson.Default.ReloadDto));
        }

        if (result.Model is not { } model)
        {
            return ExitCode.Negative;
        }

        if (_output.IsTable)
        {
            _output.Out.WriteLine($"{file}: ok, {model.Peers.Count} peers, {model.DynamicPeers.Count} dynamic ranges, hash {model.Hash}");
        }

        return ExitCode.Ok;
    }

    private int Reload(ParseResult parsed, RequestDto request)
    {
        string json = AskOne(parsed, request);
        ReloadDto outcome = JsonSerializer.Deserialize(json, ControlJson.Default.ReloadDto)!;
        foreach (string line in outcome.Errors.Concat(outcome.Warnings))
        {
            _output.Error.WriteLine(CliOutput.Clean(line));
        }

        if (!_output.IsTable)
        {
            _output.Single(json);
        }
        else if (outcome.Accepted)
        {
            TablePrinter table = new(_output, "KIND", "NAME", "IMPACT", "DETAIL");
            foreach (ChangeDto change in outcome.Changes)
            {
                table.Row(change.Kind, change.Name, change.Impact, change.Detail);
            }

            if (outcome.Changes.Count == 0)
            {
                _output.Out.WriteLine("no changes");
            }
            else
            {
                table.Write();
            }

            if (outcome.ConfirmWithinSeconds is { } seconds)
            {
                _output.Out.WriteLine($"rolled back in {CliOutput.Age(seconds)} unless 'pipit confirm'");
            }
        }

        return outcome.Accepted ? ExitCode.Ok : _output.Fail(ExitCode.Negative, "the configuration is refused; the running one stays");
    }
}
