namespace Bgp.Daemon.Runtime;

/// <summary>Where a loop that may not run on its caller's thread is put.</summary>
public interface IWorkScheduler
{
    /// <summary>Runs <paramref name="work"/> soon, on some thread.</summary>
    void Queue(IThreadPoolWorkItem work);

    /// <summary>The same for what is rare enough that a closure does not matter.</summary>
    void Queue(Action action) => Queue(new ActionWork(action));
}

/// <summary>An action as work.</summary>
internal sealed class ActionWork(Action action) : IThreadPoolWorkItem
{
    /// <inheritdoc/>
    public void Execute() => action();
}

/// <summary>The process's thread pool.</summary>
public sealed class PoolScheduler : IWorkScheduler
{
    /// <summary>The one instance.</summary>
    public static PoolScheduler Instance { get; } = new();

    /// <inheritdoc/>
    public void Queue(IThreadPoolWorkItem work) => ThreadPool.UnsafeQueueUserWorkItem(work, preferLocal: false);
}

/// <summary>
/// The one concurrency primitive: many callers signal, at most one thread is inside, and the state inside needs no lock.
/// </summary>
/// <remarks>
/// A signal to an idle loop runs it on the caller's own thread ("enter or post"), so a route crosses reader, table, update group and socket
/// without a thread switch; a signal to a busy loop only leaves a mark. Loops form a DAG (reader, table, kernel or writer), so entering downstream
/// cannot come back to a loop that is already on this thread's stack; the depth is bounded all the same. After <see cref="MaxTurns"/> turns on a borrowed
/// thread the loop moves to the pool: the caller, often a socket's completion, has its own work to do.
/// </remarks>
public abstract class SerialLoop(IWorkScheduler scheduler) : IThreadPoolWorkItem
{
    private const int MaxDepth = 4;
    private const int MaxTurns = 8;

    [ThreadStatic]
    private static int s_depth;

    private int _pending;

    /// <summary>Where work goes that may not run on its caller's thread.</summary>
    public IWorkScheduler Scheduler => scheduler;

    /// <summary>One bounded piece of work. True: there is more.</summary>
    protected abstract bool Turn();

    /// <summary>Called when <see cref="Turn"/> threw: a bug. The loop goes on with the next turn.</summary>
    protected abstract void Fault(Exception exception);

    /// <summary>Says that there is work. With <paramref name="inline"/> an idle loop runs at once on this thread.</summary>
    public void Signal(bool inline = true)
    {
        if (Interlocked.Increment(ref _pending) != 1)
        {
            return;
        }

        if (inline && s_depth < MaxDepth)
        {
            Run();
        }
        else
        {
            scheduler.Queue(this);
        }
    }

    /// <inheritdoc/>
    void IThreadPoolWorkItem.Execute() => Run();

    private void Run()
    {
        s_depth++;
        try
        {
            for (int turn = 0; turn < MaxTurns; turn++)
            {
                int seen = Volatile.Read(ref _pending);
                bool more;
                try
                {
                    more = Turn();
                }
                catch (Exception exception)
                {
                    // A bug in one turn must not stop the table for every peer: it is reported, and the loop goes on.
                    Fault(exception);
                    more = true;
                }

                if (!more && Interlocked.Add(ref _pending, -seen) == 0)
                {
                    return;
                }
            }

            scheduler.Queue(this);
        }
        finally
        {
            s_depth--;
        }
    }
}
