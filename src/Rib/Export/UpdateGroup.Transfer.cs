using Bgp.Protocol;

namespace Rib;

/// <summary>Members that come from another group, because what they are to be sent is decided otherwise from now on.</summary>
/// <remarks>
/// A member that has been handed everything of its old group holds exactly that group's Adj-RIB-Out, less its own routes. So a copy of the Adj-RIB-Out is all
/// there is to know of any number of members that come together; the walk with which they begin here announces and withdraws only what differs
/// between the copy and this group's own, by the same table as any other change. The rest is as in a first sync: the walk fills the Adj-RIB-Out of a new group, and changes of
/// prefixes that it has yet to reach are skipped.
/// <para>A member that is in the middle of something (a walk, a run, an End-of-RIB) stays where it is, with what it had, until that is done.</para>
/// <para>Cost: 8 octets a prefix for the copy, until the walk is encoded. Where a new group gets its members from one other, ADD-PATH keeps its slots, so
/// that path identifiers do not change for nothing.</para>
/// </remarks>
public sealed partial class UpdateGroup<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    // While a walk with a copy fills the Adj-RIB-Out: what its readers hold.
    private AdjRibOut? _held;

    /// <summary>
    /// Takes over those <paramref name="members"/> of another group that can come now; they are removed from the list. The others are asked for again when
    /// <c>runnable</c> of their group is called. True when any came.
    /// </summary>
    public bool TakeOver(UpdateGroup<TPrefix> from, List<GroupMember> members)
    {
        ArgumentNullException.ThrowIfNull(from);
        ArgumentNullException.ThrowIfNull(members);
        ExportWalk? walk = null;
        int before = members.Count;
        for (int i = members.Count - 1; i >= 0; i--)
        {
            GroupMember member = members[i];
            if (member.IsWaitingForWalk)
            {
                // It has been sent nothing.
                from.Release(member);
                Adopt(member);
                member.Follow(_flow);
                _waiting++;
                members.RemoveAt(i);
                continue;
            }

            walk ??= FreeSlot() is int slot and >= 0 ? new ExportWalk(slot, new UpdateLog(_pool)) { IsTransfer = true } : null;
            if (walk is null || !member.TryMove(_flow, walk))
            {
                continue;
            }

            from.Release(member);
            Adopt(member);
            if (!member.EndOfRibSent)
            {
                member.EndOfRibDue = true;
                _endOfRibDue++;
            }

            members.RemoveAt(i);
        }

        if (walk is { Readers: > 0 })
        {
            walk.Held = from._adjRibOut.Copy(entry => _attributes.AddRef(entry.Attr), _rib.Pin);
            Begin(walk);
        }
        else
        {
            walk?.Log.Close();
        }

        return members.Count < before;
    }

    private void Adopt(GroupMember member)
    {
        member.EndOfRibTicket = 0;
        Register(member);
        _wantRefresh += member.WantsRefresh ? 1 : 0;
    }

    /// <summary>Gives up the copy that a walk was made from.</summary>
    private void Forget(ExportWalk walk)
    {
        walk.Held?.Clear(entry => _attributes.Release(entry.Attr), _rib.Unpin);
        walk.Held = null;
    }

    /// <summary>What the readers of the walk hold under an index becomes what the group announces.</summary>
    private void PackDifference(uint index, AdjRibOut held)
    {
        int stride = Math.Max(held.Stride, _adjRibOut.Stride);
        for (int slot = 0; slot < stride; slot++)
        {
            AdjRibOutEntry old = slot < held.Stride ? held.Get(index, slot) : default;
            AdjRibOutEntry now = slot < _adjRibOut.Stride ? _adjRibOut.Get(index, slot) : default;
            if (old.Attr != now.Attr || old.Source != now.Source)
            {
                Pack(_rib.PrefixAt(index), index, slot, old, now);
            }
        }
    }
}
