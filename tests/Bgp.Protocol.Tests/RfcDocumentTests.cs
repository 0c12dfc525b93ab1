using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Bgp.Protocol.Tests;

/// <summary>RFCS.md claims nothing without a test, and no test that is not there.</summary>
[TestFixture]
public sealed partial class RfcDocumentTests
{
    private static string Root([CallerFilePath] string file = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, "..", ".."));

    private static readonly string[] s_lines = File.ReadAllLines(Path.Combine(Root(), "RFCS.md"));

    private static readonly Dictionary<string, string> s_sources = Directory.EnumerateFiles(Path.Combine(Root(), "tests"), "*.cs", SearchOption.AllDirectories)
        .Where(static file => !file.Contains("/obj/", StringComparison.Ordinal) && !file.Contains("/bin/", StringComparison.Ordinal))
        .ToDictionary(static file => file, File.ReadAllText, StringComparer.Ordinal);

    [Test]
    public void Every_test_that_is_named_exists()
    {
        List<string> missing = [];
        foreach (Match name in s_lines.SelectMany(static line => Named().Matches(line)))
        {
            string type = name.Groups["class"].Value;
            string method = name.Groups["method"].Value;
            string[] texts = [.. s_sources.Where(item => Path.GetFileName(item.Key) == type + ".cs").Select(static item => item.Value)];
            if (texts.Length == 0 || (method.Length > 0 && !texts.Any(text => Regex.IsMatch(text, $@"public void {method}\(|public async Task {method}\("))))
            {
                missing.Add(name.Value);
            }
        }

        Assert.That(missing, Is.Empty);
    }

    [Test]
    public void Every_case_that_is_named_exists()
    {
        string[] cases = [.. s_sources.Where(static item => item.Key.EndsWith("Cases.cs", StringComparison.Ordinal)).Select(static item => item.Value)];
        Assert.That(cases, Has.Length.GreaterThan(5));
        IEnumerable<string> missing = s_lines.SelectMany(static line => Cases().Matches(line)).SelectMany(static match => match.Groups["rows"].Value.Split(", "))
            .Where(row => !cases.Any(text => text.Contains($"\"{row}\"", StringComparison.Ordinal)));
        Assert.That(missing, Is.Empty);
    }

    [Test]
    public void Every_line_of_a_table_names_a_test()
    {
        int rows = 0;
        List<string> bare = [];
        foreach (string line in s_lines.TakeWhile(static line => !line.StartsWith("## What is not done", StringComparison.Ordinal)))
        {
            if (line.StartsWith('|') && !line.StartsWith("| ---", StringComparison.Ordinal) && !line.StartsWith("| section", StringComparison.Ordinal))
            {
                rows++;
                if (!Named().IsMatch(line) && !Cases().IsMatch(line))
                {
                    bare.Add(line);
                }
            }
        }

        Assert.That(bare, Is.Empty);
        Assert.That(rows, Is.GreaterThan(100));
    }

    [GeneratedRegex(@"`(?<class>[A-Z]\w*Tests)(\.(?<method>\w+))?`")]
    private static partial Regex Named();

    [GeneratedRegex(@"`(UpdateTests|SessionTests)\[(?<rows>[^\]]+)\]`")]
    private static partial Regex Cases();
}
