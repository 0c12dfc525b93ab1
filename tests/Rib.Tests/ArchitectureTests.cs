using System.Reflection;
using System.Runtime.CompilerServices;
using Bgp.Protocol;

namespace Rib.Tests;

/// <summary>The house's rules, so that they hold without anyone remembering them.</summary>
[TestFixture]
public sealed class ArchitectureTests
{
    private static string Root([CallerFilePath] string file = "") => System.IO.Path.GetFullPath(System.IO.Path.Combine(System.IO.Path.GetDirectoryName(file)!, "..", ".."));

    private static IEnumerable<string> Sources(string folder) =>
        Directory.EnumerateFiles(System.IO.Path.Combine(Root(), folder), "*.cs", SearchOption.AllDirectories)
            .Where(static file => !file.Contains("/obj/", StringComparison.Ordinal) && !file.Contains("/bin/", StringComparison.Ordinal));

    [Test]
    public void The_protocol_knows_only_the_framework()
    {
        IEnumerable<string?> foreign = typeof(IpAddr).Assembly.GetReferencedAssemblies().Select(static name => name.Name)
            .Where(static name => !name!.StartsWith("System.", StringComparison.Ordinal));
        Assert.That(foreign, Is.Empty);
    }

    [Test]
    public void The_tables_know_only_the_protocol()
    {
        IEnumerable<string?> foreign = typeof(AttributeTable).Assembly.GetReferencedAssemblies().Select(static name => name.Name)
            .Where(static name => !name!.StartsWith("System.", StringComparison.Ordinal) && name != "Bgp.Protocol");
        Assert.That(foreign, Is.Empty);
    }

    [TestCase("src/Bgp.Protocol")]
    [TestCase("src/Rib")]
    public void The_core_has_no_clock_socket_thread_task_or_logger(string folder)
    {
        string[] banned = ["Task.Delay", "DateTime.UtcNow", "DateTime.Now", "Stopwatch", "ILogger", "Thread.Sleep", "new Thread(", "System.Net.Sockets.Socket"];
        Assert.That(Sources(folder).SelectMany(file => File.ReadLines(file).Where(line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal))
            .Where(line => banned.Any(word => line.Contains(word, StringComparison.Ordinal))).Select(line => $"{file}: {line.Trim()}")), Is.Empty);
    }

    [Test]
    public void The_daemon_hashes_with_a_key_that_nobody_knows() =>
        Assert.That(Sources("src").Where(static file => File.ReadAllText(file).Contains("Mix.Fix(", StringComparison.Ordinal)), Is.Empty);

    [Test]
    public void No_file_is_longer_than_800_lines() =>
        Assert.That(Sources("src").Concat(Sources("tests")).Where(static file => File.ReadLines(file).Count() > 800), Is.Empty);

    [Test]
    public void A_path_is_sixteen_bytes() => Assert.That(Unsafe.SizeOf<Path>(), Is.EqualTo(16));

    [Test]
    public void Every_public_type_of_the_core_is_documented()
    {
        foreach (Assembly assembly in (Assembly[])[typeof(IpAddr).Assembly, typeof(AttributeTable).Assembly])
        {
            foreach (Type type in assembly.GetExportedTypes().Where(static type => !type.IsNested))
            {
                string name = type.Name.Split('`')[0];
                bool documented = Sources("src").Any(file => Documented(File.ReadAllText(file), name));
                Assert.That(documented, $"{type.FullName} has no summary");
            }
        }

        static bool Documented(string text, string name)
        {
            foreach (string kind in (string[])["class ", "struct ", "enum ", "interface ", "record "])
            {
                int at = text.IndexOf(kind + name, StringComparison.Ordinal);
                if (at > 0 && text.LastIndexOf("/// <summary>", at, StringComparison.Ordinal) >= 0)
                {
                    return true;
                }
            }

            return false;
        }
    }
}
