namespace Bgp.Daemon.Runtime;

/// <summary>Gives memory back when a burst is over.</summary>
/// <remarks>
/// The routes themselves are a few hundred arrays that the collector has no reason to look at, and in the steady state nothing is allocated, so after a full table has
/// arrived no collection comes by itself, and the arrays that were outgrown on the way (a sixth of everything) stay. So: when much was allocated since the last
/// time, and hardly anything during one interval, one full collection runs. There are few objects, so it takes some milliseconds, and at a time when
/// nothing happens. What is left of a burst that paused in between is less than that: it is collected when nothing at all has happened for a while.
/// </remarks>
internal sealed class QuietCollector : IDisposable
{
    /// <summary>How often it looks.</summary>
    internal static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>So much must have been allocated for a collection to be worth it.</summary>
    internal const long Worth = 16 << 20;

    /// <summary>Less than this within one interval is quiet.</summary>
    internal const long Quiet = 256 << 10;

    /// <summary>Less than this within one interval is silence.</summary>
    internal const long Silent = 32 << 10;

    /// <summary>After so many silent intervals less is worth a collection.</summary>
    internal const int Patience = 10;

    /// <summary>That less.</summary>
    internal const long WorthInSilence = 1 << 20;

    private readonly Func<long> _allocated;
    private readonly Action _collect;
    private readonly ITimer _timer;
    private long _collectedAt;
    private long _last;
    private int _silence;

    /// <summary>Watches this process.</summary>
    internal QuietCollector(TimeProvider time)
        : this(time, static () => GC.GetTotalAllocatedBytes(), static () => GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true))
    {
    }

    internal QuietCollector(TimeProvider time, Func<long> allocated, Action collect)
    {
        (_allocated, _collect) = (allocated, collect);
        _last = _collectedAt = allocated();
        _timer = time.CreateTimer(_ => Look(), null, Interval, Interval);
    }

    /// <inheritdoc/>
    public void Dispose() => _timer.Dispose();

    private void Look()
    {
        long now = _allocated();
        bool quiet = now - _last < Quiet;
        _silence = now - _last < Silent ? Math.Min(_silence + 1, Patience) : 0;
        _last = now;
        if (quiet && now - _collectedAt >= (_silence == Patience ? WorthInSilence : Worth))
        {
            _collect();
            _last = _collectedAt = _allocated();
        }
    }
}
