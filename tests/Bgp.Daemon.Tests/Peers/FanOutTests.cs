using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tests.Tables;
using NUnit.Framework;

namespace Bgp.Daemon.Tests.Peers;

/// <summary>Which thread the writers of a turn send on, and that none is forgotten.</summary>
[TestFixture]
public sealed class FanOutTests
{
    private readonly QueueScheduler _scheduler = new();

    [Test]
    public void FewWritersSendOnTheCallersThread()
    {
        FanOut fanOut = NewFanOut();
        Sender[] senders = Senders(FanOut.InlineWriters);
        Wake(fanOut, senders);
        fanOut.Flush(busy: false);
        Assert.That(_scheduler.Queued, Is.Zero);
        Assert.That(senders, Has.All.Property(nameof(Sender.Kicks)).EqualTo(1));
    }

    [Test]
    public void ABusyCallerLetsFewSendBesideItToo()
    {
        FanOut fanOut = NewFanOut();
        Sender[] senders = Senders(2);
        Wake(fanOut, senders);
        fanOut.Flush(busy: true);
        Assert.That(senders, Has.All.Property(nameof(Sender.Kicks)).Zero);
        _scheduler.Drain();
        Assert.That(senders, Has.All.Property(nameof(Sender.Kicks)).EqualTo(1));
    }

    [Test]
    public void ManyWritersSendBesideTheCallerOnceEach()
    {
        FanOut fanOut = NewFanOut();
        Sender[] senders = Senders(1000);
        Wake(fanOut, senders);
        fanOut.Flush(busy: false);
        Assert.That(senders, Has.All.Property(nameof(Sender.Kicks)).Zero);
        _scheduler.Drain();
        Assert.That(senders, Has.All.Property(nameof(Sender.Kicks)).EqualTo(1));
        fanOut.Flush(busy: false);
        _scheduler.Drain();
        Assert.That(senders, Has.All.Property(nameof(Sender.Kicks)).EqualTo(1));
    }

    // The signal of what is added during a lane's last turn has been counted by then: the lane must look again before it rests.
    [TestCase(40)]
    [TestCase(64)]
    [TestCase(65)]
    [TestCase(127)]
    [TestCase(300)]
    [TestCase(2000)]
    public void WritersWokenDuringARoundSendInTheNext(int count)
    {
        FanOut fanOut = NewFanOut();
        Sender[] late = Senders(FanOut.InlineWriters + 1);
        for (int trigger = 0; trigger < count; trigger += 7)
        {
            Array.ForEach(late, static sender => sender.Kicks = 0);
            Sender[] senders = Senders(count);
            senders[trigger].OnKick = () =>
            {
                Wake(fanOut, late);
                fanOut.Flush(busy: false);
            };
            Wake(fanOut, senders);
            fanOut.Flush(busy: false);
            _scheduler.Drain();
            Assert.That(senders, Has.All.Property(nameof(Sender.Kicks)).EqualTo(1), $"trigger {trigger}");
            Assert.That(late, Has.All.Property(nameof(Sender.Kicks)).EqualTo(1), $"trigger {trigger}");
        }
    }

    private FanOut NewFanOut() => new(_scheduler, static exception => Assert.Fail(exception.ToString()));

    private static Sender[] Senders(int count) => [.. Enumerable.Range(0, count).Select(static _ => new Sender())];

    private static void Wake(FanOut fanOut, Sender[] senders)
    {
        for (int i = 0; i < senders.Length; i++)
        {
            fanOut.Wake(senders[i], i);
        }
    }

    private sealed class Sender : IKickable
    {
        public int Kicks { get; set; }

        public Action? OnKick { get; set; }

        public void Kick()
        {
            Kicks++;
            OnKick?.Invoke();
        }
    }
}
