using Bgp.Protocol;

namespace Rib;

/// <summary>
/// One walk over the Adj-RIB-Out, encoded once for all members that started it together.
/// </summary>
/// <remarks>
/// The walk has its own log. Each slice begins with a barrier, the position of the main log at which the slice was encoded; a member reads the main
/// log up to the barrier, then the slice, then the main log up to the next barrier, and so sees every prefix in the order in which it really
/// changed. The first slice has a barrier even if it is empty: there the mark of an enhanced refresh goes out. A member in its first sync skips main-log runs about prefixes that the walk has yet to reach (<see cref="LogTarget.SkipWalks"/>): the
/// walk will announce them as they are then, so a new session is sent each prefix once, and no withdrawal of what it never had.
/// </remarks>
internal class ExportWalk(int slot, UpdateLog log)
{
    /// <summary>How many first syncs may run at a time: the bits of <see cref="LogTarget.SkipWalks"/>.</summary>
    internal const int MaxSlots = 8;

    /// <summary>Slot of one that repeats the table to members which have it: it needs no bit, since they read everything else too.</summary>
    internal const int NoSlot = -1;

    /// <summary>Bit of this walk, 0 for none.</summary>
    internal readonly byte SkipBit = slot == NoSlot ? (byte)0 : (byte)(1 << slot);

    internal readonly int Slot = slot;
    internal readonly UpdateLog Log = log;

    /// <summary>The next prefix index to be encoded; the loop's own.</summary>
    internal uint Next { get; set; }

    /// <summary>Whether the last slice is encoded; the loop's own.</summary>
    internal bool Done { get; set; }

    /// <summary>Members that have not yet read to the end.</summary>
    internal int Readers;
}

/// <summary>
/// The walk that brings detached members back. Where the neighbours cannot be told with marks what is gone, it begins with withdrawals: of
/// <paramref name="gone"/> as far as nothing is announced under it by then, and of each entry that is the member's own route now and was another's before.
/// </summary>
internal sealed class ResyncWalk<TPrefix>(UpdateLog log, Withdrawals<TPrefix>.Item[]? gone) : ExportWalk(NoSlot, log)
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>What may have to be withdrawn; null where marks do that.</summary>
    internal readonly Withdrawals<TPrefix>.Item[]? Gone = gone;

    /// <summary>How far that was looked at.</summary>
    internal int NextGone { get; set; }
}
