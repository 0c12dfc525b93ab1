using Bgp.Daemon.Bfd;
using Bgp.Protocol;

namespace Bgp.Daemon.Tests.Bfd;

/// <summary>The wheel against a sorted list.</summary>
[TestFixture]
public sealed class TimerWheelTests
{
    private static readonly BfdPeer s_owner = new("x", new BfdTarget { Remote = IpAddr.V4(1), Parameters = new BfdParameters(1, 1, 1) }, static (_, _) => { });

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(3)]
    public void Every_timer_fires_once_never_early_and_at_most_two_milliseconds_late(int seed)
    {
        Random random = new(seed);
        TimerWheel wheel = new();
        WheelTimer[] timers = [.. Enumerable.Range(0, 200).Select(static _ => new WheelTimer(s_owner, false))];
        Dictionary<WheelTimer, long> expected = [];
        List<WheelTimer> due = [];
        long now = 3_600_000_000 + random.Next(1_000_000);
        for (int step = 0; step < 20_000; step++)
        {
            WheelTimer timer = timers[random.Next(timers.Length)];
            long deadline = random.Next(20) switch
            {
                0 => long.MaxValue,
                1 => now - random.Next(10_000),
                2 => now + random.NextInt64(20_000_000),
                _ => now + random.Next(1_200_000),
            };
            wheel.Set(timer, deadline);
            expected.Remove(timer);
            if (deadline != long.MaxValue)
            {
                expected[timer] = Math.Max(deadline, now);
            }

            long look = wheel.NextLook();
            Assert.That(look, expected.Count == 0 ? Is.EqualTo(long.MaxValue) : Is.LessThanOrEqualTo(Math.Max(expected.Values.Min(), now) + 1000));
            now += random.Next(10) switch { 0 => random.NextInt64(6_000_000), 1 => 0, _ => random.Next(20_000) };
            due.Clear();
            wheel.Expire(now, due);
            foreach (WheelTimer fired in due)
            {
                Assert.That(expected.Remove(fired, out long at), "fired twice, or after it was cleared");
                Assert.That(at, Is.LessThanOrEqualTo(now), "early");
            }

            Assert.That(expected.Values.Where(at => at <= now - 2000), Is.Empty, "missed");
            Assert.That(wheel.Count, Is.EqualTo(expected.Count));
        }
    }

    [Test]
    public void After_a_look_the_next_one_is_later()
    {
        // A timer a whole turn away lies in the slot of the present millisecond: it must not keep the thread spinning.
        TimerWheel wheel = new();
        List<WheelTimer> due = [];
        long now = 5_000_500;
        wheel.Expire(now, due);
        wheel.Set(new WheelTimer(s_owner, false), now + (TimerWheel.Slots * 1000L));
        wheel.Expire(now, due);
        Assert.That(due, Is.Empty);
        Assert.That(wheel.NextLook(), Is.GreaterThan(now));
    }
}
