using Bgp.Daemon.Runtime;
using NUnit.Framework;

namespace Bgp.Daemon.Tests.Runtime;

/// <summary>When memory is given back.</summary>
[TestFixture]
public sealed class QuietCollectorTests
{
    private readonly ManualTime _time = new();
    private long _allocated;
    private int _collections;

    [SetUp]
    public void Reset() => (_allocated, _collections) = (0, 0);

    [Test]
    public void ABurstIsFollowedByOneCollectionOnceItIsOver()
    {
        using QuietCollector collector = New();
        for (int second = 0; second < 5; second++)
        {
            Pass(allocating: 20 << 20);
            Assert.That(_collections, Is.Zero, "not while it lasts");
        }

        Pass(allocating: 1000);
        Assert.That(_collections, Is.EqualTo(1));
        for (int second = 0; second < 100; second++)
        {
            Pass(allocating: 1000);
        }

        Assert.That(_collections, Is.EqualTo(1), "nothing new to collect");
    }

    [Test]
    public void AQuietDaemonIsLeftAlone()
    {
        using QuietCollector collector = New();
        for (long allocated = 0; allocated + QuietCollector.Quiet < QuietCollector.Worth; allocated += QuietCollector.Quiet / 2)
        {
            Pass(allocating: QuietCollector.Quiet / 2);
        }

        Assert.That(_collections, Is.Zero);
    }

    [Test]
    public void TheFirstCollectionDoesNotKeepTheSecondAway()
    {
        using QuietCollector collector = New();
        for (int burst = 1; burst <= 3; burst++)
        {
            Pass(allocating: QuietCollector.Worth);
            Pass(allocating: 0);
            Assert.That(_collections, Is.EqualTo(burst));
        }
    }

    [Test]
    public void TheRestOfABurstGoesWhenNothingHasHappenedForAWhile()
    {
        using QuietCollector collector = New();
        Pass(allocating: QuietCollector.Worth);
        Pass(allocating: 0);
        Assert.That(_collections, Is.EqualTo(1), "a pause");
        Pass(allocating: QuietCollector.Worth / 2);
        for (int second = 1; second < QuietCollector.Patience; second++)
        {
            Pass(allocating: 1000);
            Assert.That(_collections, Is.EqualTo(1));
        }

        Pass(allocating: 1000);
        Assert.That(_collections, Is.EqualTo(2));
        for (int second = 0; second < 100; second++)
        {
            Pass(allocating: 1000);
        }

        Assert.That(_collections, Is.EqualTo(2), "nothing new to collect");
    }

    private QuietCollector New() => new(_time, () => _allocated, () => _collections++);

    private void Pass(long allocating)
    {
        _allocated += allocating;
        _time.Tick();
    }

    /// <summary>A clock whose timers fire when they are told to.</summary>
    private sealed class ManualTime : TimeProvider
    {
        private readonly List<ManualTimer> _timers = [];

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            ManualTimer timer = new(callback, state);
            _timers.Add(timer);
            return timer;
        }

        internal void Tick() => _timers.ForEach(static timer => timer.Fire());
    }

    private sealed class ManualTimer(TimerCallback callback, object? state) : ITimer
    {
        private bool _stopped;

        public bool Change(TimeSpan dueTime, TimeSpan period) => true;

        public void Dispose() => _stopped = true;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        internal void Fire()
        {
            if (!_stopped)
            {
                callback(state);
            }
        }
    }
}
