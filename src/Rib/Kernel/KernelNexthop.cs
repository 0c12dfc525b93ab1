namespace Rib;

/// <summary>One member of a group.</summary>
/// <param name="Id">The member's id.</param>
/// <param name="Weight">1-256.</param>
public readonly record struct NexthopMember(uint Id, int Weight);

/// <summary>A next hop object as the kernel reports or is asked to make it.</summary>
/// <param name="Id">NHA_ID.</param>
/// <param name="Protocol">nh_protocol: who made it.</param>
/// <param name="IsV4">nh_family is AF_INET; of no meaning for a group.</param>
/// <param name="Hop">Gateway and interface; its weight is 1.</param>
/// <param name="Plain">Nothing else belongs to it: no encapsulation, not for bridges, no resilient group.</param>
/// <param name="Blackhole">NHA_BLACKHOLE.</param>
/// <param name="Group">NHA_GROUP; empty for a single next hop.</param>
public sealed record KernelNexthop(uint Id, byte Protocol, bool IsV4, FibNextHop Hop, bool Plain, bool Blackhole, NexthopMember[] Group)
{
    /// <summary>Whether packets go the same ways through both.</summary>
    public bool Same(KernelNexthop other)
    {
        ArgumentNullException.ThrowIfNull(other);
        bool family = Group.Length > 0 || (IsV4 == other.IsV4 && Hop == other.Hop);
        return family && Plain == other.Plain && Blackhole == other.Blackhole && Group.AsSpan().SequenceEqual(other.Group);
    }
}

/// <summary>What is asked of the kernel.</summary>
public enum NexthopOpKind : byte
{
    /// <summary>RTM_NEWNEXTHOP with CREATE and EXCL: fails when anybody has the id.</summary>
    Create,

    /// <summary>RTM_NEWNEXTHOP with REPLACE: the object is ours, and others changed what is in it.</summary>
    Replace,

    /// <summary>RTM_DELNEXTHOP of an object of ours that no route and no group refers to.</summary>
    Delete,
}

/// <summary>One request.</summary>
public readonly record struct NexthopOp(NexthopOpKind Kind, KernelNexthop Object);

/// <summary>How a route with these next hops is written.</summary>
public enum NexthopUse : byte
{
    /// <summary>With its own next hops.</summary>
    Plain,

    /// <summary>By the id of an object that is in the kernel.</summary>
    Ready,

    /// <summary>By the id of an object that must be made first.</summary>
    Missing,
}
