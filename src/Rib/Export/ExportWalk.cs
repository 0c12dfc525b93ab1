namespace Rib;

/// <summary>
/// One walk over the Adj-RIB-Out, encoded once for all members that started it together.
/// </summary>
/// <remarks>
/// The walk has its own log. Each slice begins with a barrier, the position of the main log at which the slice was encoded; a member reads the main
/// log up to the barrier, then the slice, then the main log up to the next barrier, and so sees every prefix in the order in which it really
/// changed. A member in its first sync skips main-log runs about prefixes that the walk has yet to reach (<see cref="LogTarget.SkipWalks"/>): the
/// walk will announce them as they are then, so a new session is sent each prefix once, and no withdrawal of what it never had.
/// </remarks>
internal sealed class ExportWalk(int slot, bool firstSync, UpdateLog log)
{
    /// <summary>How many walks may run at a time: the bits of <see cref="LogTarget.SkipWalks"/>.</summary>
    internal const int MaxSlots = 8;

    /// <summary>Bit of this walk, 0 for one that repeats the table to members which have it.</summary>
    internal readonly byte SkipBit = firstSync ? (byte)(1 << slot) : (byte)0;

    internal readonly int Slot = slot;
    internal readonly bool FirstSync = firstSync;
    internal readonly UpdateLog Log = log;

    /// <summary>The next prefix index to be encoded; the loop's own.</summary>
    internal uint Next { get; set; }

    /// <summary>Whether the last slice is encoded; the loop's own.</summary>
    internal bool Done { get; set; }

    /// <summary>Members that have not yet read to the end.</summary>
    internal int Readers;
}
