using System.Net.Sockets;

namespace Bgp.Daemon.Control;

/// <summary>Waiting for the daemon on a client's own thread, for as long as the client is there.</summary>
internal static class ClientWait
{
    /// <summary>
    /// The task's result. Where the client's sending side is closed, <paramref name="stillListens"/> decides whether it is gone; then the work is cancelled
    /// and <see cref="OperationCanceledException"/> thrown.
    /// </summary>
    internal static T For<T>(Socket socket, Task<T> task, Func<bool> stillListens, CancellationTokenSource cancel)
    {
        while (!Task.WaitAny([task], 100).Equals(0))
        {
            if (socket.Poll(0, SelectMode.SelectRead) && socket.Available == 0 && !stillListens())
            {
                cancel.Cancel();
                throw new OperationCanceledException();
            }
        }

        return task.GetAwaiter().GetResult();
    }

    /// <summary>Every item as it comes; <paramref name="flush"/> runs before each wait.</summary>
    internal static void ForEach<T>(Socket socket, IAsyncEnumerable<T> items, Action flush, Action<T> take, Func<bool> stillListens, CancellationTokenSource cancel)
    {
        IAsyncEnumerator<T> enumerator = items.GetAsyncEnumerator(cancel.Token);
        try
        {
            while (true)
            {
                ValueTask<bool> next = enumerator.MoveNextAsync();
                if (!next.IsCompleted)
                {
                    flush();
                }

                if (!(next.IsCompleted ? next.GetAwaiter().GetResult() : For(socket, next.AsTask(), stillListens, cancel)))
                {
                    break;
                }

                take(enumerator.Current);
            }
        }
        finally
        {
            cancel.Cancel();
            try
            {
                enumerator.DisposeAsync().AsTask().Wait(TimeSpan.FromSeconds(1), CancellationToken.None);
            }
            catch (Exception e) when (e is AggregateException or NotSupportedException or OperationCanceledException)
            {
                // An iterator that still runs ends on its own when it sees the cancellation.
            }
        }
    }
}
