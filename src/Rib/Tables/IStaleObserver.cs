using Bgp.Protocol;

namespace Rib;

/// <summary>Told of what a table's sweeps remove.</summary>
public interface IStaleObserver<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>A stale path is about to be removed.</summary>
    /// <param name="prefix">Its prefix.</param>
    /// <param name="pathId">Its ADD-PATH identifier, 0 for none.</param>
    /// <param name="path">The path.</param>
    void StaleRemoved(in TPrefix prefix, uint pathId, in Path path);
}
