namespace Rib;

/// <summary>How much an update group holds for readers that lag, in octets of encoded messages where not said otherwise.</summary>
/// <remarks>
/// The memory of a group is at most <see cref="Log"/>, what one turn adds to it, and one segment of 64 KB for each detached member whose send is under way;
/// it does not grow with the number of slow members or with the time that they are slow. <see cref="Behind"/> is where replaying the log stops being
/// cheaper than reading the table again: a full internet table is about 30 MB of messages, a cluster's is less than one.
/// </remarks>
public sealed record GroupLimits
{
    /// <summary>The fastest reader may be this far behind before the group stops encoding and lets changes coalesce instead.</summary>
    public long Window { get; init; } = 1 << 20;

    /// <summary>A member is detached when it is this far behind the fastest, in the group's log or in the walk that it reads.</summary>
    public long Behind { get; init; } = 8 << 20;

    /// <summary>What all logs of the group hold together; over it, those who hold most are detached.</summary>
    public long Log { get; init; } = 64 << 20;

    /// <summary>
    /// Withdrawals that are remembered, each once, for detached members which have to be told of them; over it, those members are reported through
    /// <see cref="UpdateGroup{TPrefix}.Lagging"/>. Neighbours with enhanced route refresh need none.
    /// </summary>
    public int Withdrawals { get; init; } = 1 << 20;

    /// <summary>Walks under way beside the first syncs.</summary>
    public int Walks { get; init; } = 16;
}
