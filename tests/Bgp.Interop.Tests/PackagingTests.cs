using Bgp.Interop.Tests.Rig;

namespace Bgp.Interop.Tests;

/// <summary>What is shipped beside the binary.</summary>
[TestFixture]
public sealed class PackagingTests
{
    private static string Root { get; } = FindRoot();

    [Test]
    public void The_package_holds_the_binary_the_unit_the_completions_and_the_documents()
    {
        string package = Lab.Run("env", $"PIPIT_BINARY={Lab.Pipit}", Path.Combine(Root, "deploy", "build-deb.sh")).Trim();
        string path = Path.Combine(Root, package);
        try
        {
            string contents = Lab.Run("dpkg-deb", "--contents", path);
            foreach (string file in new[]
            {
                "./usr/bin/pipit\n", "./usr/lib/systemd/system/pipit.service\n", "./usr/lib/sysusers.d/pipit.conf\n", "./usr/share/man/man8/pipit.8.gz\n",
                "./usr/share/bash-completion/completions/pipit\n", "./usr/share/zsh/vendor-completions/_pipit\n", "./usr/share/fish/vendor_completions.d/pipit.fish\n",
                "./usr/share/pipit/config.schema.json\n", "./usr/share/doc/pipit/configuration.md\n", "./usr/share/doc/pipit/examples/route-reflector.yaml\n",
            })
            {
                Assert.That(contents, Does.Contain(file));
            }

            Assert.That(contents, Does.Contain("-rwxr-xr-x root/root").And.Not.Contain("/home/"));
            string version = Lab.Run(Lab.Pipit, "version").Trim().Split(' ')[1];
            Assert.That(Lab.Run("dpkg-deb", "--field", path, "Version").Trim(), Is.EqualTo(version));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Test]
    public void The_manual_page_names_every_verb_of_the_command_line()
    {
        string manual = File.ReadAllText(Path.Combine(Root, "deploy", "pipit.8"));
        Assert.Multiple(() =>
        {
            foreach (string verb in Verbs())
            {
                Assert.That(manual, Does.Match($@"\b{verb}\b"), $"deploy/pipit.8 lacks '{verb}'");
            }
        });
    }

    [Test]
    public void The_command_reference_names_every_verb_of_the_command_line()
    {
        string reference = File.ReadAllText(Path.Combine(Root, "docs", "cli.md"));
        Assert.Multiple(() =>
        {
            foreach (string verb in Verbs())
            {
                Assert.That(reference, Does.Match($@"`[^`]*\b{verb}\b[^`]*`"), $"docs/cli.md lacks '{verb}'");
            }
        });
    }

    /// <summary>The verbs, from what completion offers first.</summary>
    private static string[] Verbs()
    {
        string[] verbs = [.. Lab.Run(Lab.Pipit, "__complete", "pipit ").Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(static word => word[0] is not ('-' or '/'))];
        Assert.That(verbs, Has.Length.GreaterThan(15).And.Contain("explain").And.None.EqualTo("__complete"));
        return verbs;
    }

    private static string FindRoot()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "Bgp.sln")))
        {
            directory = Path.GetDirectoryName(directory);
        }

        return directory ?? throw new DirectoryNotFoundException("Bgp.sln is in no directory above the tests");
    }
}
