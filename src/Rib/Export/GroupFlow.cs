namespace Rib;

/// <summary>
/// What the readers of a group share with its loop: the log, and whether the loop waits for readers to make room.
/// </summary>
internal sealed class GroupFlow(UpdateLog log, GroupLimits limits, Action? runnable)
{
    /// <summary>The group does not wait.</summary>
    internal const int Free = 0;

    /// <summary>The group waits until some reader has little left to read.</summary>
    internal const int WaitsForWindow = 1;

    /// <summary>The group waits for memory: any reader that moves on may free some.</summary>
    internal const int WaitsForMemory = 2;

    /// <summary>The main log.</summary>
    internal readonly UpdateLog Log = log;

    // Below this many octets of backlog a reader wakes a waiting group.
    private readonly long _resume = limits.Window / 2;

    private int _blocked;

    /// <summary>Set by the loop before it looks at the readers' positions one last time and gives up its turn.</summary>
    internal void Block(int reason)
    {
        // A full fence: the positions read afterwards are at least as new as the flag. A reader publishes its position, fences and then reads the
        // flag, so one of the two sees the other.
        Interlocked.Exchange(ref _blocked, reason);
    }

    /// <summary>Takes the flag back; the loop goes on by itself.</summary>
    internal void Unblock() => Volatile.Write(ref _blocked, Free);

    /// <summary>By a reader that published its position.</summary>
    internal void Moved(long backlog)
    {
        Interlocked.MemoryBarrier();
        int blocked = Volatile.Read(ref _blocked);
        if (blocked == Free || (blocked == WaitsForWindow && backlog >= _resume))
        {
            return;
        }

        if (Interlocked.Exchange(ref _blocked, Free) != Free)
        {
            runnable?.Invoke();
        }
    }

    /// <summary>Asks the loop for a turn whatever it waits for.</summary>
    internal void Wake() => runnable?.Invoke();
}
