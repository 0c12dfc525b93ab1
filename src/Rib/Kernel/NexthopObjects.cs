using System.Runtime.InteropServices;
using Bgp.Protocol;

namespace Rib;

/// <summary>
/// The kernel's next hop objects: a copy of all, and the life of ours.
/// </summary>
/// <remarks>
/// One object per distinct {gateway, interface, on-link} and one group per distinct set of them, for the routes of both families. An object is <i>ours</i>
/// when this process made it, or when the first dump showed it with our protocol and an id of our range; whatever else carries our number stays untouched.
/// The kernel removes every route of an object that is deleted, in all tables and without asking. So an object goes only when no mirrored route and no group refers to
/// it: references are counted by the mirrors as routes enter and leave them, not by what is desired. Ids are taken in turn, so that one that was just freed is
/// not given to other next hops while somebody may still think of it. An id that somebody else has is passed over.
/// <para>With a link (its carrier too) the kernel drops the objects through it and shrinks their groups <i>without a notification</i>: a scan finds that, and what is
/// missing in a group is put back by <see cref="Retry"/>. Cost: two hundred octets per distinct set, and a count per id; nothing per route but the id in the mirror.</para>
/// </remarks>
public sealed partial class NexthopObjects
{
    /// <summary>Ids per routing table.</summary>
    public const int RangeLength = 1 << 16;

    private const int NoEntry = 2;
    private const int Exists = 17;
    private const int Invalid = 22;
    private const int NotSupported = 95;
    private const int MaxDodges = 64;

    private sealed class Entry
    {
        internal required FibNextHops Hops;
        internal required bool V4;
        internal uint Id;
        internal Entry[] Members = [];

        // Groups of ours that have it.
        internal int Groups;
        internal int Error;
        internal int Dodges;

        // In the kernel under our protocol, perhaps with other contents.
        internal bool InKernel;
        internal bool Intact;
        internal bool Queued;

        // Found under its hops; not so for a second object with the same ones, or one with a stranger's member, that an earlier life left.
        internal bool Listed;

        // The kernel refused to make such an object, or ids have run out: its routes are written plain.
        internal bool Plain;
    }

    private sealed class Held
    {
        internal required KernelNexthop Object;
        internal FibNextHops? Hops;
        internal long HopsVersion;
        internal uint Scan;
    }

    private readonly byte _protocol;
    private readonly uint _first;
    private readonly Dictionary<uint, Held> _kernel = [];
    private readonly Dictionary<int, int> _perInterface = [];
    private readonly Dictionary<uint, int> _perMember = [];
    private readonly Dictionary<uint, int> _routes = [];
    private readonly Dictionary<FibNextHops, Entry> _v4 = [];
    private readonly Dictionary<FibNextHops, Entry> _v6 = [];
    private readonly Dictionary<uint, Entry> _own = [];
    private readonly Queue<Entry> _singles = new();
    private readonly Queue<Entry> _groups = new();
    private readonly HashSet<Entry> _idle = [];
    private readonly HashSet<Entry> _broken = [];
    private uint _cursor;
    private uint _scan = 1;
    private long _version;
    private bool _adopted;

    /// <summary>Knows nothing yet. <paramref name="protocol"/> is the number of our routes, <paramref name="table"/> decides the range of ids.</summary>
    public NexthopObjects(byte protocol, uint table, bool enabled)
    {
        (_protocol, _first, Enabled) = (protocol, FirstId(table), enabled);
    }

    /// <summary>Whether routes shall be written with objects.</summary>
    public bool Enabled { get; set; }

    /// <summary>Whether the kernel has next hop objects (Linux 5.3 and later).</summary>
    public bool Supported { get; private set; } = true;

    /// <summary>Objects that are in the kernel, of others too.</summary>
    public int Count => _kernel.Count;

    /// <summary>Objects of ours.</summary>
    public int OwnCount => _own.Count;

    /// <summary>Objects to be made or repaired.</summary>
    public int QueuedCount => _singles.Count + _groups.Count;

    /// <summary>Objects that are not as they should be, or were refused.</summary>
    public int BrokenCount => _broken.Count;

    /// <summary>Whether some may have no reference left.</summary>
    public bool HasIdle => _idle.Count > 0;

    /// <summary>The first of the ids that are ours for a routing table: 0x50000000, then 65,536 for each table number modulo 4096.</summary>
    public static uint FirstId(uint table) => 0x5000_0000 | ((table & 0xFFF) << 16);

    /// <summary>The kernel has none: routes are written with their own next hops.</summary>
    public void MarkUnsupported() => Supported = false;

    /// <summary>How a route is written, and with which id where that is known.</summary>
    public NexthopUse Look(bool v4, FibNextHops hops, out uint id)
    {
        ArgumentNullException.ThrowIfNull(hops);
        id = 0;
        if (!Enabled || !Supported || hops.Hops.IsEmpty)
        {
            return NexthopUse.Plain;
        }

        hops = Canonical(hops);
        if (SetsOf(v4, hops).TryGetValue(hops, out Entry? entry))
        {
            id = entry.Id;
            return entry.Plain ? NexthopUse.Plain : entry.InKernel ? NexthopUse.Ready : NexthopUse.Missing;
        }

        // An object needs its interface: the kernel would have to find it for each route.
        foreach (FibNextHop hop in hops.Hops)
        {
            if (hop.Interface == 0)
            {
                return NexthopUse.Plain;
            }
        }

        return NexthopUse.Missing;
    }

    /// <summary>Whether the object is as it should be; <paramref name="error"/>: errno of its last refusal.</summary>
    public bool IsIntact(bool v4, FibNextHops hops, out int error)
    {
        ArgumentNullException.ThrowIfNull(hops);
        hops = Canonical(hops);
        bool known = SetsOf(v4, hops).TryGetValue(hops, out Entry? entry);
        error = known ? entry!.Error : 0;
        return known && entry!.InKernel && entry.Intact;
    }

    /// <summary>Queues what has to be made before a route with these hops can be written.</summary>
    public void Want(bool v4, FibNextHops hops)
    {
        ArgumentNullException.ThrowIfNull(hops);
        Queue(Get(v4, Canonical(hops)));
    }

    /// <summary>A mirrored route that refers to an object came (+1) or went (-1).</summary>
    public void CountRoute(uint id, int sign)
    {
        Add(_routes, id, sign);
        if (sign < 0 && !_routes.ContainsKey(id) && _own.TryGetValue(id, out Entry? entry))
        {
            _idle.Add(entry);
        }
    }

    /// <summary>Mirrored routes that refer to an object.</summary>
    public int RoutesOf(uint id) => _routes.GetValueOrDefault(id);

    /// <summary>Objects of anybody through the interface.</summary>
    public int CountThrough(int networkInterface) => _perInterface.GetValueOrDefault(networkInterface);

    /// <summary>Queues what others damaged or the kernel refused, and routes still use: links or addresses have changed.</summary>
    public void Retry()
    {
        foreach (Entry entry in _broken)
        {
            if (entry.Listed && IsUsed(entry.Id))
            {
                Queue(entry);
            }
        }
    }

    /// <summary>Lets those of an earlier life go that no route refers to.</summary>
    public void Prune()
    {
        foreach (Entry entry in _own.Values)
        {
            if (!IsUsed(entry.Id))
            {
                _idle.Add(entry);
            }
        }
    }

    /// <summary>Takes objects to be made: single ones first, and groups only when no single one waits. The caller answers each with
    /// <see cref="Complete"/> before it takes more.</summary>
    public int TakeOps(Span<NexthopOp> into)
    {
        int count = 0;
        while (count < into.Length && _singles.TryDequeue(out Entry? single))
        {
            single.Queued = false;
            if (Gives(single, out into[count]))
            {
                count++;
            }
        }

        while (count == 0 && into.Length > 0 && _groups.Count > 0)
        {
            while (count < into.Length && _groups.TryDequeue(out Entry? group))
            {
                group.Queued = false;
                if (Gives(group, out into[count]))
                {
                    count++;
                }
            }
        }

        return count;
    }

    /// <summary>Takes objects of ours without any reference, to be deleted. Only while no route that was given an id is under way.</summary>
    public int TakeIdle(Span<NexthopOp> into)
    {
        int count = 0;
        foreach (Entry entry in _idle.ToArray())
        {
            if (count == into.Length)
            {
                break;
            }

            _idle.Remove(entry);
            if (entry.Queued || entry.Groups > 0 || IsUsed(entry.Id))
            {
                continue;
            }

            if (entry.InKernel)
            {
                into[count++] = new NexthopOp(NexthopOpKind.Delete, _kernel[entry.Id].Object);
            }
            else
            {
                Forget(entry);
            }
        }

        return count;
    }

    /// <summary>The kernel's answer to a request: 0 or errno.</summary>
    public void Complete(in NexthopOp op, int error)
    {
        if (!_own.TryGetValue(op.Object.Id, out Entry? entry))
        {
            return;
        }

        if (op.Kind == NexthopOpKind.Delete)
        {
            if (error is 0 or NoEntry)
            {
                Drop(entry.Id);
                Forget(entry);
            }

            // Else it stays, and the next prune tries again.
            return;
        }

        switch (error)
        {
            case 0:
                Put(op.Object);
                (entry.Error, entry.Dodges) = (0, 0);
                Reconcile(entry);

                // Nothing refers to it before its first route is written; if none ever is, it must go.
                _idle.Add(entry);
                return;
            case Exists when op.Kind == NexthopOpKind.Create && entry.Dodges++ < MaxDodges && TakeId(out uint id):
                Rename(entry, id);
                Queue(entry);
                return;
            case NoEntry when op.Kind == NexthopOpKind.Replace:
                Drop(entry.Id);
                Reconcile(entry);
                Queue(entry);
                return;
            case NotSupported when op.Kind == NexthopOpKind.Create && op.Object.Group.Length == 0:
                Supported = false;
                break;
            case Invalid or NotSupported when op.Kind == NexthopOpKind.Create:
                entry.Plain = true;
                break;
            default:
                break;
        }

        entry.Error = error;
        _broken.Add(entry);
        _idle.Add(entry);
    }

    private static void Add<TKey>(Dictionary<TKey, int> counts, TKey key, int sign)
        where TKey : notnull
    {
        ref int count = ref CollectionsMarshal.GetValueRefOrAddDefault(counts, key, out _);
        count += sign;
        if (count == 0)
        {
            counts.Remove(key);
        }
    }

    // The weight of a next hop alone means nothing.
    private static FibNextHops Canonical(FibNextHops hops) =>
        hops.Hops.Length == 1 && hops.Hops[0].Weight != 1 ? new FibNextHops([hops.Hops[0] with { Weight = 1 }]) : hops;

    // IPv4 routes through IPv6 gateways (RFC 8950) share the objects of IPv6 routes. Hops are sorted, those without a gateway and IPv4 first.
    private Dictionary<FibNextHops, Entry> SetsOf(bool v4, FibNextHops hops) => v4 && HasV4(hops) ? _v4 : _v6;

    private static bool HasV4(FibNextHops hops)
    {
        foreach (FibNextHop hop in hops.Hops)
        {
            if (hop.Gateway.IsNone || hop.Gateway.IsV4)
            {
                return true;
            }
        }

        return hops.Hops.IsEmpty;
    }

    private bool IsUsed(uint id) => _routes.ContainsKey(id) || _perMember.ContainsKey(id);

    private bool List(Entry entry, bool listed)
    {
        entry.Listed = listed && SetsOf(entry.V4, entry.Hops).TryAdd(entry.Hops, entry);
        _own.Add(entry.Id, entry);
        return entry.Listed;
    }

    private Entry Get(bool v4, FibNextHops hops)
    {
        if (SetsOf(v4, hops).TryGetValue(hops, out Entry? known))
        {
            return known;
        }

        Entry entry = new() { Hops = hops, V4 = v4 && HasV4(hops) };
        if (TakeId(out uint id))
        {
            entry.Id = id;
            List(entry, true);
            Join(entry);
        }
        else
        {
            // Bounded by what routes there are, and forgotten when nothing is pending any more.
            entry.Plain = true;
            entry.Listed = true;
            SetsOf(v4, hops).Add(hops, entry);
            _idle.Add(entry);
        }

        return entry;
    }

    private void Join(Entry group)
    {
        if (group.Hops.Hops.Length < 2)
        {
            return;
        }

        group.Members = new Entry[group.Hops.Hops.Length];
        for (int i = 0; i < group.Members.Length; i++)
        {
            Entry member = Get(group.V4, new FibNextHops([group.Hops.Hops[i] with { Weight = 1 }]));
            group.Members[i] = member;
            member.Groups++;
        }
    }

    private void Queue(Entry entry)
    {
        if (entry.Plain || !entry.Listed || (entry.InKernel && entry.Intact))
        {
            return;
        }

        foreach (Entry member in entry.Members)
        {
            Queue(member);
        }

        if (!entry.Queued)
        {
            entry.Queued = true;
            (entry.Members.Length == 0 ? _singles : _groups).Enqueue(entry);
        }
    }

    // What to send for an entry whose turn has come; a group whose member could not be made fails as that did.
    private bool Gives(Entry entry, out NexthopOp op)
    {
        op = default;
        if (entry.InKernel && entry.Intact)
        {
            _idle.Add(entry);
            return false;
        }

        foreach (Entry member in entry.Members)
        {
            if (!member.InKernel)
            {
                entry.Error = member.Error;
                entry.Plain = member.Plain;
                _broken.Add(entry);
                _idle.Add(entry);
                return false;
            }
        }

        op = new NexthopOp(entry.InKernel ? NexthopOpKind.Replace : NexthopOpKind.Create, Wanted(entry));
        return true;
    }

    private KernelNexthop Wanted(Entry entry)
    {
        FibNextHop hop = entry.Hops.Hops[0] with { Weight = 1 };
        if (entry.Members.Length == 0)
        {
            bool v4 = hop.Gateway.IsNone ? entry.V4 : hop.Gateway.IsV4;
            return new KernelNexthop(entry.Id, _protocol, v4, hop, true, false, []);
        }

        NexthopMember[] members = new NexthopMember[entry.Members.Length];
        for (int i = 0; i < members.Length; i++)
        {
            members[i] = new NexthopMember(entry.Members[i].Id, Math.Clamp(entry.Hops.Hops[i].Weight, 1, 256));
        }

        return new KernelNexthop(entry.Id, _protocol, false, default, true, false, members);
    }

    // Compares what should be there with the copy.
    private void Compare(Entry entry)
    {
        entry.InKernel = _kernel.TryGetValue(entry.Id, out Held? held) && held.Object.Protocol == _protocol;
        entry.Intact = entry.InKernel && (!entry.Listed || Fits(entry, held!.Object));
    }

    private void Reconcile(Entry entry)
    {
        Compare(entry);
        if (entry.Intact)
        {
            _broken.Remove(entry);
            return;
        }

        _broken.Add(entry);
        if (!entry.InKernel && !IsUsed(entry.Id))
        {
            _idle.Add(entry);
        }
        else if (entry.InKernel)
        {
            Queue(entry);
        }
    }

    private bool Fits(Entry entry, KernelNexthop held)
    {
        KernelNexthop wanted = Wanted(entry);
        if (wanted.Group.Length != held.Group.Length)
        {
            return false;
        }

        if (wanted.Group.Length == 0)
        {
            return wanted.Same(held);
        }

        // The order of members does not matter.
        foreach (NexthopMember member in wanted.Group)
        {
            if (Array.IndexOf(held.Group, member) < 0)
            {
                return false;
            }
        }

        return held.Plain;
    }

    private bool TakeId(out uint id)
    {
        for (int i = 0; i < RangeLength && _own.Count < RangeLength; i++)
        {
            id = _first + _cursor;
            _cursor = (_cursor + 1) % RangeLength;
            if (!_kernel.ContainsKey(id) && !_own.ContainsKey(id))
            {
                return true;
            }
        }

        id = 0;
        return false;
    }

    private void Rename(Entry entry, uint id)
    {
        _own.Remove(entry.Id);
        entry.Id = id;
        _own.Add(id, entry);
    }

    private void Forget(Entry entry)
    {
        _own.Remove(entry.Id);
        _broken.Remove(entry);
        if (entry.Listed)
        {
            SetsOf(entry.V4, entry.Hops).Remove(entry.Hops);
        }

        foreach (Entry member in entry.Members)
        {
            member.Groups--;
            if (member.Groups == 0 && !IsUsed(member.Id))
            {
                _idle.Add(member);
            }
        }

        entry.InKernel = false;
    }
}
