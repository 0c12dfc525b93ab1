using System.Globalization;
using Bgp.Daemon.Runtime;
using Microsoft.Extensions.Logging;

namespace Bgp.Daemon.Tests.Simulation;

/// <summary>Something that work belongs to and that can die: work of the dead is not done.</summary>
internal class SimOwner(string name)
{
    internal string Name { get; } = name;

    internal bool IsDead { get; set; }
}

/// <summary>Thrown when a run shows that the program is wrong.</summary>
internal sealed class SimulationFailure(string message) : Exception(message);

/// <summary>
/// The world in which speakers run: one thread, a virtual clock, and a generator that decides what happens next.
/// </summary>
/// <remarks>
/// All work that is ready at one instant lies in one bag, and the generator draws from it, as a thread pool would without promising any order. Only when the bag is
/// empty does the clock move, to the next timer or arriving packet; so a timer fires exactly when it is due. Everything that the speakers do comes
/// through here: their scheduler, their clock, their connections. What runs on any other thread is an error: it would escape from the seed. Every step
/// is mixed into <see cref="Hash"/>, so that two runs of one seed can be shown to be the same run.
/// </remarks>
internal sealed class SimWorld
{
    private const long MaxSteps = 5_000_000;

    private readonly Random _random;
    private readonly List<(SimOwner? Owner, IThreadPoolWorkItem Work)> _ready = [];
    private readonly PriorityQueue<(SimOwner? Owner, IThreadPoolWorkItem Work), (long At, int Tie)> _later = new();
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private readonly List<string>? _trace;
    private long _steps;

    /// <param name="trace">Whether what happens is also written down in words (<see cref="Trace"/>).</param>
    internal SimWorld(int seed, bool trace)
    {
        _random = new Random(seed);
        _trace = trace ? [] : null;
    }

    /// <summary>100 ns ticks since the beginning.</summary>
    internal long Now { get; private set; }

    /// <summary>A digest of everything that has happened, in order.</summary>
    internal ulong Hash { get; private set; } = 14695981039346656037;

    internal long Steps => _steps;

    internal bool IsTracing => _trace is not null;

    internal IReadOnlyList<string> Trace => _trace ?? [];

    /// <summary>What a speaker reported as a bug in itself, or what was seen to be wrong; the run ends with it.</summary>
    internal string? Failure { get; private set; }

    internal int Next(int limit)
    {
        CheckThread();
        return _random.Next(limit);
    }

    internal int Between(int from, int through) => from + Next(through - from + 1);

    internal bool Chance(int percent) => Next(100) < percent;

    internal T Pick<T>(IReadOnlyList<T> items) => items[Next(items.Count)];

    internal void Fail(string why)
    {
        Failure ??= why;
        Say("world", () => "FAILED: " + why);
    }

    /// <summary>Does work soon.</summary>
    internal void Ready(SimOwner? owner, IThreadPoolWorkItem work)
    {
        CheckThread();
        _ready.Add((owner, work));
    }

    internal void Ready(SimOwner? owner, Action work) => Ready(owner, new ActionWork(work));

    /// <summary>Does work at a time.</summary>
    internal void At(long time, SimOwner? owner, Action work)
    {
        CheckThread();
        _later.Enqueue((owner, new ActionWork(work)), (Math.Max(time, Now), _random.Next()));
    }

    internal void After(TimeSpan delay, SimOwner? owner, Action work) => At(Now + delay.Ticks, owner, work);

    /// <summary>Lets that much time pass.</summary>
    internal void Run(TimeSpan time)
    {
        long end = Now + time.Ticks;
        while (true)
        {
            while (_ready.Count > 0)
            {
                int at = _random.Next(_ready.Count);
                (SimOwner? owner, IThreadPoolWorkItem work) = _ready[at];
                _ready[at] = _ready[^1];
                _ready.RemoveAt(_ready.Count - 1);
                Step(owner, work);
            }

            if (!_later.TryPeek(out _, out (long At, int Tie) next) || next.At > end)
            {
                Now = end;
                return;
            }

            Now = next.At;
            while (_later.TryPeek(out _, out next) && next.At == Now)
            {
                _ready.Add(_later.Dequeue());
            }
        }
    }

    /// <summary>Lets time pass until something is so; false when it is not within the limit.</summary>
    internal bool RunUntil(Func<bool> condition, TimeSpan limit)
    {
        long end = Now + limit.Ticks;
        while (!condition())
        {
            if (Now >= end)
            {
                return false;
            }

            Run(TimeSpan.FromSeconds(1));
        }

        return true;
    }

    /// <summary>Mixes something that happened into the digest.</summary>
    internal void Mix(ulong value)
    {
        CheckThread();
        Hash = (Hash ^ value) * 1099511628211;
        Hash ^= Hash >> 29;
    }

    /// <summary>Writes down what happened, where somebody wants to read it.</summary>
    internal void Say(string who, Func<string> what) =>
        _trace?.Add(string.Create(CultureInfo.InvariantCulture, $"{(double)Now / TimeSpan.TicksPerSecond,12:F6} {who,-6} {what()}"));

    internal void CheckThread()
    {
        if (Environment.CurrentManagedThreadId != _thread)
        {
            Failure ??= "something ran outside of the simulation, at " + Environment.StackTrace;
            throw new SimulationFailure(Failure);
        }
    }

    private void Step(SimOwner? owner, IThreadPoolWorkItem work)
    {
        if (owner is { IsDead: true })
        {
            return;
        }

        if (++_steps > MaxSteps)
        {
            throw new SimulationFailure($"no end: {MaxSteps} steps");
        }

        Mix((ulong)Now);
        work.Execute();
        if (Failure is not null)
        {
            throw new SimulationFailure(Failure);
        }
    }
}

/// <summary>One speaker's scheduler: its work goes into the world's bag.</summary>
internal sealed class SimScheduler(SimWorld world, SimOwner owner) : IWorkScheduler
{
    /// <inheritdoc/>
    public void Queue(IThreadPoolWorkItem work) => world.Ready(owner, work);
}

/// <summary>One speaker's clock. Its timers fire exactly when they are due, in no particular order among equals, and die with the speaker.</summary>
internal sealed class SimTime(SimWorld world, SimOwner owner) : TimeProvider
{
    private static readonly DateTimeOffset s_epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <inheritdoc/>
    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => s_epoch.AddTicks(world.Now);

    /// <inheritdoc/>
    public override long GetTimestamp()
    {
        world.CheckThread();

        // Never 0: that is "no timestamp" to some.
        return world.Now + TimeSpan.TicksPerDay;
    }

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => new Timer(world, owner, callback, state, dueTime, period);

    private sealed class Timer : ITimer
    {
        private readonly SimWorld _world;
        private readonly SimOwner _owner;
        private readonly TimerCallback _callback;
        private readonly object? _state;
        private TimeSpan _period;
        private long _generation;

        internal Timer(SimWorld world, SimOwner owner, TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            (_world, _owner, _callback, _state) = (world, owner, callback, state);
            Change(dueTime, period);
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            long generation = ++_generation;
            _period = period;
            if (dueTime >= TimeSpan.Zero)
            {
                // As a real timer would: in whole milliseconds, never early.
                long ticks = (dueTime.Ticks + TimeSpan.TicksPerMillisecond - 1) / TimeSpan.TicksPerMillisecond * TimeSpan.TicksPerMillisecond;
                _world.At(_world.Now + ticks, _owner, () => Fire(generation));
            }

            return true;
        }

        public void Dispose() => _generation++;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        private void Fire(long generation)
        {
            if (generation != _generation)
            {
                return;
            }

            if (_period > TimeSpan.Zero)
            {
                Change(_period, _period);
            }

            _callback(_state);
        }
    }
}

/// <summary>One speaker's log: part of the digest; a fault of the speaker fails the run.</summary>
internal sealed class SimLog(SimWorld world, SimOwner owner) : ILogger
{
    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => logLevel >= (world.IsTracing ? LogLevel.Trace : LogLevel.Information);

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (logLevel >= LogLevel.Information)
        {
            world.Mix((ulong)(uint)eventId.Id);
        }

        world.Say(owner.Name, () => formatter(state, exception));
        if (exception is not null)
        {
            world.Fail($"{owner.Name}: {formatter(state, exception)}: {exception}");
        }
    }
}
