namespace Bgp.Daemon.Runtime;

/// <summary>
/// Keeps what others can cause from filling the log: <paramref name="burst"/> lines at once, then one per <paramref name="interval"/>. What is left out is counted, and
/// told with the next line. Safe from any thread.
/// </summary>
internal sealed class LogLimit(TimeProvider time, int burst, TimeSpan interval)
{
    private readonly Lock _gate = new();
    private long _since = time.GetTimestamp();
    private int _used;
    private long _skipped;

    /// <summary>Whether a line may be written now, and how many were not since the last one.</summary>
    internal bool IsDue(out long skipped)
    {
        lock (_gate)
        {
            long now = time.GetTimestamp();
            int earned = (int)Math.Min(burst, time.GetElapsedTime(_since, now) / interval);
            if (earned > 0)
            {
                _used = Math.Max(0, _used - earned);
                _since = now;
            }

            skipped = _skipped;
            if (_used == burst)
            {
                _skipped++;
                return false;
            }

            _used++;
            _skipped = 0;
            return true;
        }
    }
}
