using System.Diagnostics;

namespace Bgp.Interop.Tests.Conformance;

/// <summary>
/// Headers, OPENs, capabilities, NOTIFICATIONs, refreshes and messages out of place against a running daemon: the exact NOTIFICATION, or a session that is established. After every
/// case the daemon lives, and a route of another neighbour is still where it was.
/// </summary>
[TestFixture]
[NonParallelizable]
public sealed class SessionTests
{
    private const string Canary = "192.0.2.0/24";

    private static readonly List<SessionCase> s_cases = [.. HeaderCases.Build(), .. OpenCases.Build(), .. CapabilityCases.Build(), .. MessageCases.Build(), .. CombinedCases.Build()];

    public static IEnumerable<TestCaseData> Cases => s_cases.Select(static (item, index) => new TestCaseData(index).SetArgDisplayNames(item.ToString()));

    [OneTimeSetUp]
    public void Announce()
    {
        Speaker other = Dut.Of(Dut.External2);
        other.Send(RouteSet.For(Dut.External2).Announce(Canary));
        Dut.AwaitEverywhere(other, static view => view.Find(Canary) is not null, "the other neighbour's route");
    }

    [OneTimeTearDown]
    public void Withdraw()
    {
        Speaker other = Dut.Of(Dut.External2);
        other.Send(RouteSet.For(Dut.External2).Withdraw(Canary));
        Dut.AwaitEverywhere(other, static view => view.Find(Canary) is null, "the end of the other neighbour's route");
    }

    [TestCaseSource(nameof(Cases))]
    public void A_message_has_the_consequence_that_the_standards_name(int index)
    {
        SessionCase item = s_cases[index];
        using Speaker speaker = Reach(item.Who, item.At);
        speaker.Send(item.Sent);
        string Hex() => item.Sent.Length <= 300 ? Convert.ToHexString(item.Sent) : $"({item.Sent.Length} octets)";
        switch (item.Verdict)
        {
            case Verdict.Notified:
                Received? notification = speaker.WaitForNotification();
                Assert.That(notification, Is.Not.Null, () => $"no NOTIFICATION after {Hex()}: {speaker.Messages()}\n{Dut.Tail()}");
                Assert.Multiple(() =>
                {
                    Assert.That(notification!.Body[0], Is.EqualTo(item.Code), $"{notification.Text} after {Hex()}");
                    Assert.That(item.Subcodes, Does.Contain(notification.Body[1]), $"{notification.Text} after {Hex()}");
                    if (item.Data is not null)
                    {
                        Assert.That(Convert.ToHexString(notification.Body.AsSpan(2)), Is.EqualTo(item.Data), $"data of the NOTIFICATION after {Hex()}");
                    }
                });
                break;
            case Verdict.Silent:
                break;
            case Verdict.Lives:
                if (item.At == Stage.OpenSent)
                {
                    Assert.That(speaker.WaitForMessage(static message => message.Type is Octets.Keepalive or Octets.Notification)?.Type, Is.EqualTo(Octets.Keepalive), () => $"{speaker.Messages()} after {Hex()}");
                    speaker.Send(Octets.KeepaliveMessage);
                    speaker.WaitFor(view => item.Families.All(view.EndOfRibs.Contains));
                    Assert.That(speaker.EndOfRibs, Is.EquivalentTo(item.Families), () => $"families of the session after {Hex()}: {speaker.Messages()}");
                }

                // A second OPEN is answered in a way that shows the state.
                speaker.Send(item.Who.OpenMessage());
                Assert.That(speaker.WaitForNotification()?.Text, Is.EqualTo("NOTIFICATION 5/3 01"), () => $"{speaker.Messages()} after {Hex()}\n{Dut.Tail()}");
                break;
        }

        Assert.That(speaker.WaitForClose(), () => $"the connection stays open after {Hex()}: {speaker.Messages()}\n{Dut.Tail()}");
        Assert.That(speaker.Count(Octets.Notification), Is.EqualTo(item.Verdict == Verdict.Silent ? 0 : 1), () => $"NOTIFICATIONs after {Hex()}: {speaker.Messages()}");
        Assert.That(Dut.AsClient.Find(Canary), Is.Not.Null, "the route of another neighbour is gone");
        Dut.CheckUp();
    }

    /// <summary>A connection on which the daemon is in the state. One that is refused because the daemon still ends the last one is made again.</summary>
    internal static Speaker Reach(Identity who, Stage at)
    {
        for (Stopwatch watch = Stopwatch.StartNew(); ;)
        {
            Speaker speaker = Speaker.Connect(who);
            Received? first = speaker.WaitForMessage(static _ => true);
            if (first?.Type != Octets.Open)
            {
                speaker.Dispose();
                Assert.That(watch.Elapsed.TotalSeconds, Is.LessThan(10), $"{who.Name} gets no OPEN: {first?.Text ?? "nothing"}\n{Dut.Tail()}");
                continue;
            }

            if (at >= Stage.OpenConfirm)
            {
                speaker.Send(who.OpenMessage());
                Received? answer = speaker.WaitForMessage(static message => message.Type is Octets.Keepalive or Octets.Notification);
                if (answer?.Text == "NOTIFICATION 6/7 " && watch.Elapsed.TotalSeconds < 10)
                {
                    // The daemon has yet to see that the last one, of an earlier test, is closed.
                    speaker.Dispose();
                    continue;
                }

                Assert.That(answer?.Type, Is.EqualTo(Octets.Keepalive), speaker.Messages());
            }

            if (at == Stage.Established)
            {
                speaker.Send(Octets.KeepaliveMessage);
                Assert.That(speaker.WaitFor(view => view.EndOfRibs.Contains("4") && (!who.Ipv6 || view.EndOfRibs.Contains("6"))), speaker.Messages());
            }

            return speaker;
        }
    }
}
