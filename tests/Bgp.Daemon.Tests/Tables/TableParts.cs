using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using NUnit.Framework;
using Rib;

namespace Bgp.Daemon.Tests.Tables;

/// <summary>Work runs when the test says so, on its thread.</summary>
internal sealed class QueueScheduler : IWorkScheduler
{
    private readonly Queue<IThreadPoolWorkItem> _items = new(64);

    /// <summary>Ever queued.</summary>
    internal int Count { get; private set; }

    /// <summary>Waiting.</summary>
    internal int Queued => _items.Count;

    public void Queue(IThreadPoolWorkItem work)
    {
        Count++;
        _items.Enqueue(work);
    }

    internal void Drain()
    {
        while (_items.TryDequeue(out IThreadPoolWorkItem? work))
        {
            work.Execute();
        }
    }
}

/// <summary>A session that no table has a reason to end.</summary>
internal sealed class StrictSession : IRibSession
{
    public void MaxPrefixesExceeded(AfiSafi family, int limit, int count, bool tearDown) => Assert.Fail("no limit is set");

    public void Lagging(AfiSafi family) => Assert.Fail("nobody lags");
}

/// <summary>Everything passes.</summary>
internal sealed class AcceptAllPolicy : IRoutePolicy<Ipv4Prefix>
{
    public string ContentKey => "all";

    public bool AcceptsAll => true;

    public PolicyResult Evaluate(in Ipv4Prefix prefix, PathAttributes attributes, in PolicyContext context) => new(true, null, "all");
}
