using System.Diagnostics;
using System.Globalization;

namespace Bgp.Interop.Tests.Conformance;

/// <summary>
/// Random conversations from several neighbours at once: connecting, saying right and wrong things in any order, half messages, leaving in any way. The daemon lives, the other
/// neighbours keep their routes, and whoever behaves again gets a session.
/// </summary>
[TestFixture]
[NonParallelizable]
public sealed class StormTests
{
    private const string Canary = "192.0.2.0/24";

    private static readonly Identity[] s_actors =
        [Dut.Opening, Dut.OpeningInternal, Dut.OpeningWide, Dut.NoPolicy, Dut.Restarting with { More = Octets.Capability(64, 0x40, 1, 0, 1, 1, 0x80, 0, 2, 1, 0x80) }, Dut.Unknown];

    private static readonly List<byte[]> s_update = [.. AttributeCases.Build().Concat(StructureCases.Build()).Where(static item => item.Who == Dut.External).SelectMany(static item => item.Make(RouteSet.For(Dut.Opening)))];

    private static readonly List<byte[]> s_session = [.. HeaderCases.Build().Concat(MessageCases.Build()).Concat(CapabilityCases.Build()).Select(static item => item.Sent)];

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(3)]
    public void Neighbours_that_misbehave_at_random_cost_nobody_else_anything(int seed)
    {
        Speaker other = Dut.Of(Dut.External2);
        other.Send(RouteSet.For(Dut.External2).Announce(Canary));
        Dut.AwaitEverywhere(other, static view => view.Find(Canary) is not null, "the other neighbour's route");
        TimeSpan time = TimeSpan.FromSeconds(Environment.GetEnvironmentVariable("PIPIT_LONG") is { Length: > 0 } ? 600 : 2);
        Exception?[] failures = new Exception?[s_actors.Length];
        List<Thread> threads = [.. s_actors.Select((who, index) => new Thread(() =>
        {
            try
            {
                Misbehave(who, new Random((1000 * seed) + index), time);
            }
            catch (Exception exception)
            {
                failures[index] = exception;
            }
        }))];
        threads.ForEach(static thread => thread.Start());
        threads.ForEach(static thread => thread.Join());
        Assert.That(failures, Is.All.Null, string.Create(CultureInfo.InvariantCulture, $"seed {seed}\n{Dut.Tail()}"));
        Assert.That(Dut.AsClient.Find(Canary), Is.Not.Null, "the route of another neighbour is gone");
        Assert.That(Dut.Log, Does.Not.Contain("a bug"));
        foreach (Identity who in s_actors.Where(static who => who != Dut.Unknown))
        {
            using Speaker speaker = SessionTests.Reach(who with { More = [] }, Stage.Established);
            speaker.Send(Octets.NotificationMessage(6, 2));
            Assert.That(speaker.WaitForClose());
        }

        other.Send(RouteSet.For(Dut.External2).Withdraw(Canary));
        Dut.AwaitEverywhere(other, static view => view.Find(Canary) is null, "the end of the other neighbour's route");
        Dut.CheckUp();
    }

    private static void Misbehave(Identity who, Random random, TimeSpan time)
    {
        List<Speaker> open = [];
        for (Stopwatch watch = Stopwatch.StartNew(); watch.Elapsed < time;)
        {
            if (open.Count == 0 || random.Next(6) == 0)
            {
                open.Add(Speaker.Connect(who, answers: random.Next(2) == 0));
            }

            int at = random.Next(open.Count);
            Speaker speaker = open[at];
            switch (random.Next(12))
            {
                case 0 or 1 or 2:
                    speaker.Send(who.OpenMessage());
                    break;
                case 3 or 4:
                    speaker.Send(Octets.KeepaliveMessage);
                    break;
                case 5:
                    speaker.Send(who.OpenMessage(), Octets.KeepaliveMessage, RouteSet.For(who).Announce("203.0.113.0/24"));
                    break;
                case 6:
                    speaker.Send(s_update[random.Next(s_update.Count)]);
                    break;
                case 7:
                    speaker.Send(s_session[random.Next(s_session.Count)]);
                    break;
                case 8:
                    byte[] half = s_update[random.Next(s_update.Count)];
                    speaker.Send(half[..random.Next(half.Length + 1)]);
                    break;
                case 9:
                    byte[] changed = [.. who.OpenMessage()];
                    changed[random.Next(changed.Length)] ^= (byte)(1 << random.Next(8));
                    speaker.Send(changed);
                    break;
                case 10:
                    speaker.WaitForMessage(static message => message.Type == Octets.Keepalive, random.Next(20));
                    break;
                default:
                    if (random.Next(2) == 0)
                    {
                        speaker.Abort();
                    }

                    speaker.Dispose();
                    open.RemoveAt(at);
                    break;
            }

            foreach (Speaker closed in open.Where(static speaker => speaker.IsClosed).ToArray())
            {
                closed.Dispose();
                open.Remove(closed);
            }
        }

        open.ForEach(static speaker => speaker.Dispose());
    }
}
