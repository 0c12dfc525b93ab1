using Bgp.Daemon.Runtime;
using Microsoft.Extensions.Time.Testing;
using NUnit.Framework;

namespace Bgp.Daemon.Tests.Runtime;

/// <summary>How much others can write into the log.</summary>
[TestFixture]
public sealed class LogLimitTests
{
    [Test]
    public void ABurstIsLoggedThenOnePerIntervalAndTheNextLineSaysHowManyWereNot()
    {
        FakeTimeProvider time = new();
        LogLimit limit = new(time, 3, TimeSpan.FromSeconds(10));
        int logged = Enumerable.Range(0, 100).Count(_ => limit.IsDue(out long _));
        Assert.That(logged, Is.EqualTo(3));

        time.Advance(TimeSpan.FromSeconds(9));
        Assert.That(limit.IsDue(out _), Is.False);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.That(limit.IsDue(out long skipped), Is.True);
        Assert.That(skipped, Is.EqualTo(98));
        Assert.That(limit.IsDue(out _), Is.False, "one interval earns one line");

        time.Advance(TimeSpan.FromDays(400));
        Assert.That(Enumerable.Range(0, 100).Count(_ => limit.IsDue(out long _)), Is.EqualTo(3), "a long silence earns a burst and no more");
    }
}
