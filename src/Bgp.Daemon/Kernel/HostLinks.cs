using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Kernel;

/// <summary>The host's links and addresses, as last reported. Guarded by <see cref="KernelSync"/>'s lock.</summary>
internal sealed class HostLinks
{
    private readonly record struct AddressKey(int Interface, IpAddr Address, int Length, IpAddr Peer);

    private readonly Dictionary<int, (string Name, bool Up, bool Carrier, uint Scan)> _links = [];
    private readonly Dictionary<AddressKey, uint> _addresses = [];

    // What the listener was told: with which name of the interface. And what may differ from that.
    private readonly Dictionary<AddressKey, string> _told = [];
    private readonly List<AddressKey> _touched = [];
    private uint _scan = 1;

    internal int LinkCount => _links.Count;

    internal int AddressCount => _addresses.Count;

    /// <summary>Changes of links, not yet published.</summary>
    internal List<LinkChange> Unpublished { get; set; } = [];

    internal List<LinkChange> Spare { get; set; } = [];

    /// <summary>One change of a link.</summary>
    internal readonly record struct LinkChange(int Index, string Name, bool Up, bool Removed);

    internal string NameOf(int index) => _links.TryGetValue(index, out (string Name, bool Up, bool Carrier, uint Scan) link) ? link.Name : "";

    /// <summary>A link was reported. True when what the kernel refused may be possible now.</summary>
    internal bool Set(int index, string name, bool up, bool carrier)
    {
        bool known = _links.TryGetValue(index, out (string Name, bool Up, bool Carrier, uint Scan) old);
        if (name.Length == 0 && known)
        {
            name = old.Name;
        }

        _links[index] = (name, up, carrier, _scan);
        bool changed = !known || old.Up != up || old.Name != name;
        if (changed)
        {
            Unpublished.Add(new LinkChange(index, name, up, false));
            if (known && old.Name != name)
            {
                _touched.AddRange(_addresses.Keys.Where(key => key.Interface == index));
            }
        }

        return changed || (carrier && !old.Carrier);
    }

    internal bool Remove(int index)
    {
        if (!_links.Remove(index, out (string Name, bool Up, bool Carrier, uint Scan) old))
        {
            return false;
        }

        Unpublished.Add(new LinkChange(index, old.Name, false, true));
        return true;
    }

    /// <summary>Gives back the room of a burst.</summary>
    internal void Trim()
    {
        Slack.Trim(_links);
        Slack.Trim(_addresses);
        Slack.Trim(_told);
        Slack.Trim(_touched);
    }

    internal bool SetAddress(int index, IpAddr address, int length, IpAddr peer)
    {
        AddressKey key = new(index, address, length, peer);
        bool added = !_addresses.ContainsKey(key);
        _addresses[key] = _scan;
        if (added)
        {
            _touched.Add(key);
        }

        return added;
    }

    internal bool RemoveAddress(int index, IpAddr address, int length, IpAddr peer)
    {
        AddressKey key = new(index, address, length, peer);
        bool removed = _addresses.Remove(key);
        if (removed)
        {
            _touched.Add(key);
        }

        return removed;
    }

    internal void BeginScan() => _scan++;

    /// <summary>Removes links that the dump did not show; their indexes are appended.</summary>
    internal void EndLinkScan(List<int> removed)
    {
        foreach ((int index, (string Name, bool Up, bool Carrier, uint Scan) link) in _links)
        {
            if (link.Scan != _scan)
            {
                removed.Add(index);
            }
        }

        foreach (int index in removed)
        {
            Remove(index);
        }
    }

    /// <summary>Removes addresses that the dump did not show.</summary>
    internal bool EndAddressScan()
    {
        List<AddressKey> gone = [];
        foreach ((AddressKey key, uint scan) in _addresses)
        {
            if (scan != _scan)
            {
                gone.Add(key);
            }
        }

        foreach (AddressKey key in gone)
        {
            _addresses.Remove(key);
        }

        _touched.AddRange(gone);
        return gone.Count > 0;
    }

    /// <summary>Appends what has changed since the last time; false when nothing has.</summary>
    internal bool TakeAddressChanges(List<InterfaceAddress> removed, List<InterfaceAddress> added)
    {
        foreach (AddressKey key in _touched)
        {
            bool present = _addresses.ContainsKey(key);
            string name = NameOf(key.Interface);
            if (_told.TryGetValue(key, out string? told) && (!present || told != name))
            {
                _told.Remove(key);
                removed.Add(new InterfaceAddress(key.Address, key.Length, key.Interface, told, key.Peer));
            }

            if (present && _told.TryAdd(key, name))
            {
                added.Add(new InterfaceAddress(key.Address, key.Length, key.Interface, name, key.Peer));
            }
        }

        _touched.Clear();
        return removed.Count + added.Count > 0;
    }

    /// <summary>All addresses.</summary>
    internal InterfaceAddress[] Addresses()
    {
        InterfaceAddress[] list = new InterfaceAddress[_addresses.Count];
        int at = 0;
        foreach (AddressKey key in _addresses.Keys)
        {
            list[at++] = new InterfaceAddress(key.Address, key.Length, key.Interface, NameOf(key.Interface), key.Peer);
        }

        return list;
    }
}
