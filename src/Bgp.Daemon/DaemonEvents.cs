using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Bgp.Daemon.Control;

namespace Bgp.Daemon;

/// <summary>Events for those who watch. Each watcher has a bounded queue; a slow one loses the oldest, and nobody waits for it.</summary>
internal sealed class EventHub
{
    private const int Capacity = 1024;
    private const int MaxWatchers = 64;

    private readonly Lock _gate = new();
    private readonly List<Channel<EventDto>> _watchers = [];

    internal void Publish(DateTimeOffset at, string type, string? peer, string message, string? level = null)
    {
        lock (_gate)
        {
            if (_watchers.Count == 0)
            {
                return;
            }

            EventDto item = new(at, at.ToUnixTimeMilliseconds() / 1000.0, type, peer, message, level);
            foreach (Channel<EventDto> watcher in _watchers)
            {
                watcher.Writer.TryWrite(item);
            }
        }
    }

    internal async IAsyncEnumerable<EventDto> WatchAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        Channel<EventDto> channel = Channel.CreateBounded<EventDto>(new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.DropOldest });
        lock (_gate)
        {
            if (_watchers.Count >= MaxWatchers)
            {
                yield break;
            }

            _watchers.Add(channel);
        }

        try
        {
            await foreach (EventDto item in channel.Reader.ReadAllAsync(cancel).ConfigureAwait(false))
            {
                yield return item;
            }
        }
        finally
        {
            lock (_gate)
            {
                _watchers.Remove(channel);
            }
        }
    }
}

/// <summary>A counter that can be waited on: something about the peers changed.</summary>
internal sealed class ChangeSignal
{
    private TaskCompletionSource _next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes at the next change. Take it before looking at the state.</summary>
    internal Task Next => Volatile.Read(ref _next).Task;

    internal void Bump() => Interlocked.Exchange(ref _next, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
}
