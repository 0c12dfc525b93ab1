using System.Runtime.InteropServices;
using Bgp.Protocol;

namespace Rib;

/// <content>The copy of the kernel's objects, and what an earlier life left among them.</content>
public sealed partial class NexthopObjects
{
    /// <summary>The next hops that routes of an object have; null when it is not known. For a kernel that reports the id alone (nexthop_compat_mode 0).</summary>
    public FibNextHops? HopsOf(uint id)
    {
        if (!_kernel.TryGetValue(id, out Held? held))
        {
            return null;
        }

        if (held.Hops is null || held.HopsVersion != _version)
        {
            List<FibNextHop> hops = [];
            foreach (NexthopMember member in held.Object.Group)
            {
                if (_kernel.TryGetValue(member.Id, out Held? part) && !part.Object.Blackhole)
                {
                    hops.Add(part.Object.Hop with { Weight = member.Weight });
                }
            }

            if (held.Object.Group.Length == 0 && !held.Object.Blackhole)
            {
                hops.Add(held.Object.Hop);
            }

            held.Hops = new FibNextHops(CollectionsMarshal.AsSpan(hops));
            held.HopsVersion = _version;
        }

        return held.Hops;
    }

    /// <summary>An object was made or changed by somebody. True when mirrored routes go through it and may be other ones now.</summary>
    public bool Apply(KernelNexthop reported)
    {
        ArgumentNullException.ThrowIfNull(reported);
        bool changed = Put(reported);
        if (changed && _own.TryGetValue(reported.Id, out Entry? entry))
        {
            Reconcile(entry);
        }

        return changed && IsUsed(reported.Id);
    }

    /// <summary>An object is gone. True when mirrored routes went with it, whether it was known or not: a scan may have been ahead of the reports of object and routes.</summary>
    public bool Remove(uint id)
    {
        bool used = IsUsed(id);
        if (Drop(id) && _own.TryGetValue(id, out Entry? entry))
        {
            Reconcile(entry);
        }

        return used;
    }

    /// <summary>Begins a scan.</summary>
    public void BeginScan() => _scan++;

    /// <summary>An object of a dump.</summary>
    public void Seen(KernelNexthop found)
    {
        ArgumentNullException.ThrowIfNull(found);
        Put(found);
        _kernel[found.Id].Scan = _scan;
    }

    /// <summary>Ends a complete scan: what was not seen is gone. The first one adopts what an earlier life left.</summary>
    public void EndScan()
    {
        List<uint> gone = [];
        foreach ((uint id, Held held) in _kernel)
        {
            if (held.Scan != _scan)
            {
                gone.Add(id);
            }
        }

        foreach (uint id in gone)
        {
            Drop(id);
        }

        if (!_adopted)
        {
            _adopted = true;
            Adopt();
        }

        foreach (Entry entry in _own.Values)
        {
            Compare(entry);
        }

        // Only now: what a group lacks is known.
        foreach (Entry entry in _own.Values)
        {
            Reconcile(entry);
        }
    }

    // Copies of the kernel's objects.
    private bool Put(KernelNexthop reported)
    {
        if (_kernel.TryGetValue(reported.Id, out Held? held))
        {
            if (held.Object.Same(reported) && held.Object.Protocol == reported.Protocol)
            {
                return false;
            }

            Tally(held.Object, -1);
            held.Object = reported;
        }
        else
        {
            _kernel.Add(reported.Id, held = new Held { Object = reported });
        }

        held.Scan = _scan;
        _version++;
        Tally(reported, 1);
        return true;
    }

    private bool Drop(uint id)
    {
        if (!_kernel.Remove(id, out Held? held))
        {
            return false;
        }

        _version++;
        Tally(held.Object, -1);
        return true;
    }

    private void Tally(KernelNexthop counted, int sign)
    {
        if (counted.Group.Length == 0)
        {
            Add(_perInterface, counted.Hop.Interface, sign);
        }

        foreach (NexthopMember member in counted.Group)
        {
            Add(_perMember, member.Id, sign);
            if (sign < 0 && !IsUsed(member.Id) && _own.TryGetValue(member.Id, out Entry? entry))
            {
                _idle.Add(entry);
            }
        }
    }

    // What an earlier life left: found again under its hops, so that its routes need not be written anew.
    private void Adopt()
    {
        List<KernelNexthop> groups = [];
        foreach (Held held in _kernel.Values)
        {
            KernelNexthop found = held.Object;
            if (found.Protocol != _protocol || found.Id - _first >= RangeLength || _own.ContainsKey(found.Id))
            {
                continue;
            }

            if (found.Group.Length > 0)
            {
                groups.Add(found);
            }
            else
            {
                Entry entry = new() { Hops = new FibNextHops([found.Hop]), V4 = found.IsV4, Id = found.Id };
                List(entry, found.Plain && !found.Blackhole);
            }
        }

        foreach (KernelNexthop found in groups)
        {
            List<FibNextHop> hops = [];
            bool known = found.Plain;
            bool v4 = false;
            foreach (NexthopMember member in found.Group)
            {
                if (_own.TryGetValue(member.Id, out Entry? part) && part is { Listed: true, Members.Length: 0 })
                {
                    hops.Add(part.Hops.Hops[0] with { Weight = member.Weight });
                    v4 |= part.V4;
                }
                else
                {
                    known = false;
                }
            }

            Entry entry = new() { Hops = new FibNextHops(CollectionsMarshal.AsSpan(hops)), V4 = v4, Id = found.Id };
            if (known && List(entry, true))
            {
                Join(entry);
            }
            else if (!known)
            {
                List(entry, false);
            }
        }
    }
}
