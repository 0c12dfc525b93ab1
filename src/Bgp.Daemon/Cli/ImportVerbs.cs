using System.CommandLine;
using Bgp.Daemon.Config;
using Bgp.Daemon.Import;

namespace Bgp.Daemon.Cli;

public sealed partial class CliApp
{
    private void AddImportVerb()
    {
        Argument<string[]> files = new("FILE") { Description = "bird.cfg and bird6.cfg; what they include is read too", Arity = ArgumentArity.OneOrMore };
        Option<string?> name = new("--name") { Description = "Name of the node; that of this host if not given", HelpName = "NAME" };
        Option<string?> secrets = new("--secrets") { Description = "Folder that passwords are written to, one file per peer", HelpName = "DIR" };
        Command import = new("import", "Translates another daemon's configuration");
        Verb(import, "bird", "BIRD 1.6, of the shape that Calico renders, to YAML on stdout", files, name, secrets).SetAction(parsed =>
            ImportBird(parsed.GetValue(files)!, parsed.GetValue(name), parsed.GetValue(secrets)));
        _root.Add(import);
    }

    private int ImportBird(string[] files, string? name, string? secrets)
    {
        BirdImportOptions options = new();
        BirdImportResult result = BirdImport.Run(files, options with { NodeName = name ?? options.NodeName, SecretsFolder = secrets ?? options.SecretsFolder });
        foreach (ConfigIssue issue in result.Issues)
        {
            _output.Error.WriteLine(issue);
        }

        if (result.Yaml is null)
        {
            return ExitCode.Negative;
        }

        foreach ((string peer, string password) in result.Passwords)
        {
            if (secrets is null)
            {
                _output.Error.WriteLine($"warning: the password of {peer} is not in the output; put it into {Path.Combine(options.SecretsFolder, peer + ".md5")}, or give --secrets DIR");
                continue;
            }

            try
            {
                Directory.CreateDirectory(secrets);
                string path = Path.Combine(secrets, Path.GetFileName(peer) + ".md5");
#pragma warning disable CA1416 // Linux only, like all of this program.
                using FileStream stream = new(path, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
#pragma warning restore CA1416
                stream.Write(System.Text.Encoding.UTF8.GetBytes(password + "\n"));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return _output.Fail(ExitCode.Negative, $"cannot write the password of {peer}: {e.Message}");
            }
        }

        _output.Out.Write(result.Yaml);
        return ExitCode.Ok;
    }
}
