using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Kernel;

/// <summary>The daemon's one door to the kernel's routing table: learns from it and keeps in it what the RIB wants.</summary>
public sealed class KernelSync : IDisposable
{
    /// <summary>Opens nothing yet.</summary>
    public KernelSync(KernelSyncOptions options, IKernelEvents events, TimeProvider time) => _ = (options, events, time);

    /// <summary>Opens the sockets in the calling thread's network namespace and starts the threads.</summary>
    public void Start()
    {
    }

    /// <summary>Wanted IPv4 routes, null for no longer wanted. Thread-safe; small batches are in the kernel on return.</summary>
    public void SetDesired(ReadOnlySpan<(Ipv4Prefix Prefix, FibRoute? Route)> changes)
    {
    }

    /// <summary>Wanted IPv6 routes, null for no longer wanted.</summary>
    public void SetDesired(ReadOnlySpan<(Ipv6Prefix Prefix, FibRoute? Route)> changes)
    {
    }

    /// <summary>Removes routes of our protocol that nobody wants.</summary>
    public void Prune()
    {
    }

    /// <summary>Removes every route of ours, wanted or not, and forgets what is desired. Returns when done.</summary>
    public void RemoveAllOwn()
    {
    }

    /// <summary>Counters.</summary>
    public KernelSyncStatistics Statistics => default;

    /// <summary>Routes of ours that were found in the table at the start.</summary>
    public int Adopted => 0;

    /// <summary>Desired and installed routes that differ, or all when <paramref name="onlyDifferences"/> is false, at most <paramref name="limit"/>.</summary>
    public IReadOnlyList<FibListing<Ipv4Prefix>> ListV4(bool onlyDifferences, int limit = int.MaxValue) => [];

    /// <inheritdoc cref="ListV4"/>
    public IReadOnlyList<FibListing<Ipv6Prefix>> ListV6(bool onlyDifferences, int limit = int.MaxValue) => [];

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
