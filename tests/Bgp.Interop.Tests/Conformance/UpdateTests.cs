namespace Bgp.Interop.Tests.Conformance;

/// <summary>
/// Malformed and borderline UPDATEs against a running daemon, from each sort of neighbour: what RFC 7606 and the attribute's own RFC demand, as observers see it.
/// Before each case the prefix is announced soundly, so that a route which should have gone but stayed is found.
/// </summary>
[TestFixture]
[NonParallelizable]
public sealed class UpdateTests
{
    /// <summary>The community that marks the earlier route.</summary>
    private const string Earlier = "FDE80001";

    private static readonly List<UpdateCase> s_cases = [.. AttributeCases.Build(), .. UnknownAttributeCases.Build(), .. StructureCases.Build()];

    public static IEnumerable<TestCaseData> Cases => s_cases.Select(static (item, index) => new TestCaseData(index).SetArgDisplayNames(item.ToString()));

    /// <summary>Routes of a case that failed must not disturb the next.</summary>
    [TearDown]
    public void Forget() => ForgetAfterFailure();

    [TestCaseSource(nameof(Cases))]
    public void An_update_has_the_consequence_that_the_standards_name(int index) => Judge(s_cases[index]);

    internal static void ForgetAfterFailure()
    {
        if (TestContext.CurrentContext.Result.Outcome.Status == NUnit.Framework.Interfaces.TestStatus.Failed)
        {
            Dut.EndSessions();
        }
    }

    internal static void Judge(UpdateCase item)
    {
        Speaker speaker = Dut.Of(item.Who);
        foreach (string target in item.Targets)
        {
            speaker.Send(RouteSet.For(item.Who).Set(8, Octets.Attr(0xC0, 8, Octets.Hex(Earlier))).Announce(target));
        }

        // The earlier route has to be there, not only on its way: one that is replaced before anybody saw it proves nothing.
        Dut.AwaitEverywhere(speaker, view => Array.TrueForAll(item.Targets, target => view.Find(target)?[8] == Earlier), "the earlier route");
        byte[][] messages = item.Make(RouteSet.For(item.Who));
        string hex = string.Join(' ', messages.Select(static message => message.Length is > 18 and <= 400 ? Convert.ToHexString(message.AsSpan(19)) : $"({message.Length} octets)"));
        foreach (byte[] message in messages)
        {
            speaker.Send(message);
        }

        if (item.Outcome == Outcome.Reset)
        {
            Received? notification = speaker.WaitForNotification();
            Assert.That(notification, Is.Not.Null, () => $"no NOTIFICATION after {hex}: {speaker.Messages()}\n{Dut.Tail()}");
            Assert.Multiple(() =>
            {
                Assert.That(notification!.Body[0], Is.EqualTo(item.Code), $"{notification.Text} after {hex}");
                Assert.That(item.Subcodes, Is.Empty.Or.Contains(notification.Body[1]), $"{notification.Text} after {hex}");
            });
            Assert.That(speaker.WaitForClose(), "the connection stays open after the NOTIFICATION");
            speaker = Dut.Of(item.Who);

            // The table looks for the old session's routes in slices, between which the new one's may pass.
            foreach (string target in item.Targets)
            {
                Dut.AsClient.WaitFor(view => view.Find(target) is null);
                Dut.FromOutside.WaitFor(view => item.InsideOnly || view.Find(target) is null);
            }
        }

        Dut.Settle(speaker);
        foreach (string target in item.Targets)
        {
            Route? client = Dut.AsClient.Find(target);
            Route? outside = Dut.FromOutside.Find(target);
            string Seen() => $"{target} after {hex}: inside {client?.ToString() ?? "none"}, outside {outside?.ToString() ?? "none"}\n{Dut.Tail()}";
            switch (item.Outcome)
            {
                case Outcome.Kept:
                    Assert.That(client is not null && outside is not null, () => "no route: " + Seen());
                    Assert.That(client![8], Is.Not.EqualTo(Earlier), () => "the earlier route: " + Seen());
                    Assert.That(outside![8], Is.Not.EqualTo(Earlier), () => "the earlier route: " + Seen());
                    item.Check?.Invoke(client, outside);
                    break;
                case Outcome.Withdrawn or Outcome.Reset:
                    Assert.That(client is null && (outside is null || item.InsideOnly), () => "a route is left: " + Seen());
                    break;
                case Outcome.Unchanged:
                    Assert.That(client?[8], Is.EqualTo(Earlier), Seen);
                    break;
            }
        }

        speaker.Send([.. item.Targets.Select(target => RouteSet.For(item.Who).Withdraw(target))]);
        Dut.AwaitEverywhere(speaker, view => Array.TrueForAll(item.Targets, target => view.Find(target) is null), "the final withdrawal");
        Dut.CheckUp();
    }
}

/// <summary>The same for <see cref="FinePrintCases"/>; a fixture of their own, because the adapter runs the whole assembly where more than 2,000 tests are selected.</summary>
[TestFixture]
[NonParallelizable]
public sealed class FinePrintTests
{
    private static readonly List<UpdateCase> s_cases = FinePrintCases.Build();

    public static IEnumerable<TestCaseData> Cases => s_cases.Select(static (item, index) => new TestCaseData(index).SetArgDisplayNames(item.ToString()));

    [TearDown]
    public void Forget() => UpdateTests.ForgetAfterFailure();

    [TestCaseSource(nameof(Cases))]
    public void An_update_has_the_consequence_that_the_fine_print_names(int index) => UpdateTests.Judge(s_cases[index]);
}
