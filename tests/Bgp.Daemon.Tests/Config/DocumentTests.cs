using Bgp.Daemon.Config;

namespace Bgp.Daemon.Tests.Config;

[TestFixture]
public sealed class DocumentTests
{
    private static IEnumerable<string> Names(ConfigKey key) =>
        key.Keys.SelectMany(k => Names(k).Prepend(k.Name)).Concat(key.Item is { } item ? Names(item) : []);

    [Test]
    public void The_reference_names_every_key()
    {
        string text = File.ReadAllText(ExampleTests.Conf("../docs/configuration.md"));
        Assert.That(Names(ConfigKeys.Root).Distinct().Where(n => !text.Contains(n, StringComparison.Ordinal)), Is.Empty);
    }
}
