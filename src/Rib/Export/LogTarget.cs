namespace Rib;

/// <summary>
/// Which members of a group one run of encoded messages is for: all, all but one, or only one. This is the whole of split horizon: a member skips
/// what is not for it, so no per-member table and no per-member encoding exists.
/// </summary>
/// <param name="Kind">How <paramref name="Peer"/> is meant.</param>
/// <param name="SkipWalks">Bit per walk slot: members in the first-sync walk of that slot skip the run, because their walk has not reached these
/// prefixes and will announce them itself.</param>
/// <param name="Peer">Peer index.</param>
public readonly record struct LogTarget(LogTargetKind Kind, byte SkipWalks, ushort Peer)
{
    /// <summary>Everyone.</summary>
    public static LogTarget All => default;

    /// <summary>Everyone but one.</summary>
    public static LogTarget AllExcept(ushort peer) => new(LogTargetKind.AllExcept, 0, peer);

    /// <summary>One alone.</summary>
    public static LogTarget Only(ushort peer) => new(LogTargetKind.Only, 0, peer);

    /// <summary>Whether a member takes the run; <paramref name="walkBit"/> is the bit of the first-sync walk it is in, or 0.</summary>
    public bool Includes(ushort peer, byte walkBit)
    {
        if ((SkipWalks & walkBit) != 0)
        {
            return false;
        }

        return Kind switch
        {
            LogTargetKind.All => true,
            LogTargetKind.AllExcept => peer != Peer,
            _ => peer == Peer,
        };
    }
}

/// <summary>Meaning of <see cref="LogTarget.Peer"/>.</summary>
public enum LogTargetKind : byte
{
    /// <summary>Every member; the peer is unused.</summary>
    All,

    /// <summary>Every member but the peer.</summary>
    AllExcept,

    /// <summary>The peer alone.</summary>
    Only,
}
