using Bgp.Protocol;

namespace Bgp.Daemon.Config;

/// <summary>Cross references: what one key says about another.</summary>
internal sealed class ConfigValidator(IssueSink sink, Node root, ConfigModel model)
{
    private static readonly IpAddr s_broadcast = IpAddr.V4(uint.MaxValue);
    private static readonly string[] BuiltIn = ["all", "none", "calico-export", "calico-import"];

    internal void Validate(List<(PeerConfig Peer, Node At)> peers)
    {
        Node? groups = root.At("peerGroups");
        string[] groupNames = groups is { Kind: NodeKind.Map } ? [.. groups.Pairs.Select(p => p.Key.Value)] : [];
        Node? filters = root.At("filters");
        string[] filterNames = filters is { Kind: NodeKind.Map } ? [.. filters.Pairs.Select(p => p.Key.Value), .. BuiltIn] : BuiltIn;
        Pools(out string[] poolNames);
        Originate();
        Groups(groups, groupNames, filterNames);
        for (int i = 0; i < root.At("peers").Nodes().Count; i++)
        {
            Node peer = root.At("peers").Nodes()[i];
            Reference(peer.At("group"), $"peers[{i}].group", "group", groupNames);
            Chains(peer, $"peers[{i}]", filterNames);
        }

        Reference(root.At("mesh", "group"), "mesh.group", "group", groupNames);
        for (int i = 0; i < root.At("dynamicPeers").Nodes().Count; i++)
        {
            Reference(root.At("dynamicPeers").Nodes()[i].At("group"), $"dynamicPeers[{i}].group", "group", groupNames);
        }

        Peers(peers);
        Dynamic();
        Filters(filters, poolNames);
        BirdSockets();
        Stations();
    }

    private void Stations()
    {
        HashSet<string> names = [];
        List<Node> nodes = root.At("bmp").Nodes();
        for (int i = 0; i < nodes.Count; i++)
        {
            BmpConfig station = model.Bmp[i];
            if (station.Name.Length > 0 && !names.Add(station.Name))
            {
                sink.Error(nodes[i].At("name") ?? nodes[i].At("address") ?? nodes[i], $"bmp[{i}]: duplicate station '{station.Name}'{(nodes[i].At("name") is null ? "; give it a name" : "")}");
            }

            if (station.Address.IsMulticast || station.Address.IsUnspecified || station.Address.IsLinkLocal || station.Address == s_broadcast)
            {
                sink.Error(nodes[i].At("address") ?? nodes[i], $"bmp[{i}].address: {station.Address} is not the address of a host{(station.Address.IsLinkLocal ? " without its interface" : "")}");
            }

            if (nodes[i].At("statsInterval") is { } interval && station.StatsInterval > TimeSpan.Zero && station.StatsInterval < TimeSpan.FromSeconds(1))
            {
                sink.Error(interval, $"bmp[{i}].statsInterval: at least 1s, or 0 for no statistics");
            }

            if (nodes[i].At("connectRetry") is { } retry && station.ConnectRetry < TimeSpan.FromSeconds(1))
            {
                sink.Error(retry, $"bmp[{i}].connectRetry: at least 1s");
            }

            if (nodes[i].At("policy") is { Kind: NodeKind.List } list && list.Nodes().Count == 0)
            {
                sink.Error(list, $"bmp[{i}].policy: names nothing; one or more of pre, post, locRib");
            }
        }
    }

    private void Reference(Node? node, string path, string what, string[] names)
    {
        if (node is { Kind: NodeKind.Scalar } && Array.IndexOf(names, node.Value) < 0)
        {
            sink.Error(node, $"{path}: {what} '{node.Value}' is not defined{ConfigText.Suggest(node.Value, names)}");
        }
    }

    private void Chains(Node node, string path, string[] filterNames)
    {
        foreach (string chain in (ReadOnlySpan<string>)["import", "export"])
        {
            List<Node> items = node.At(chain).Nodes();
            for (int i = 0; i < items.Count; i++)
            {
                Reference(items[i], $"{path}.{chain}[{i}]", "filter", filterNames);
            }
        }
    }

    private void Groups(Node? groups, string[] groupNames, string[] filterNames)
    {
        if (groups is not { Kind: NodeKind.Map })
        {
            return;
        }

        HashSet<string> used = [root.At("mesh", "group").Text("")];
        used.UnionWith(root.At("peers").Nodes().Concat(root.At("dynamicPeers").Nodes()).Select(p => p.At("group").Text("")));
        foreach ((Node name, Node group) in groups.Pairs)
        {
            Chains(group, $"peerGroups.{name.Value}", filterNames);
            if (!used.Contains(name.Value) && groupNames.Length > 0)
            {
                sink.Warning(name, $"group '{name.Value}' is used by no peer");
            }
        }
    }

    private void Pools(out string[] names)
    {
        List<Node> nodes = root.At("pools").Nodes();
        names = [.. nodes.Select(n => n.At("name").Text(""))];
        for (int i = 0; i < nodes.Count; i++)
        {
            Node node = nodes[i];
            PoolConfig pool = model.Pools[i];
            for (int j = 0; j < i; j++)
            {
                PoolConfig other = model.Pools[j];
                if (other.Name == pool.Name && pool.Name.Length > 0)
                {
                    sink.Error(node.At("name") ?? node, $"duplicate pool '{pool.Name}'");
                }

                if (pool.Cidr.Address.IsNone || other.Cidr.Address.IsNone)
                {
                    continue;
                }

                if (pool.Cidr == other.Cidr)
                {
                    sink.Error(node.At("cidr") ?? node, $"pool '{pool.Name}' has the cidr {pool.Cidr} of pool '{other.Name}'");
                }
                else if (pool.Cidr.Contains(other.Cidr) || other.Cidr.Contains(pool.Cidr))
                {
                    // A service's range inside a pool for load balancers is meant; most others are slips.
                    (PoolConfig inner, PoolConfig outer) = pool.Cidr.Length > other.Cidr.Length ? (pool, other) : (other, pool);
                    sink.Warning(node.At("cidr") ?? node, $"pool '{inner.Name}' {inner.Cidr} lies inside pool '{outer.Name}' {outer.Cidr}, whose settings do not hold there");
                }
            }

            int most = pool.Cidr.IsV4 ? 32 : 128;
            if (!pool.Cidr.Address.IsNone && (pool.BlockSize < pool.Cidr.Length || pool.BlockSize > most) && node.At("blockSize") is { } size)
            {
                sink.Error(size, $"pool '{pool.Name}': blockSize {pool.BlockSize} is not between the length of the cidr ({pool.Cidr.Length}) and {most}");
            }

            IpAddr own = pool.Cidr.IsV4 ? model.Node.Ipv4 : model.Node.Ipv6;
            if (own.IsNone && pool.TunnelMode == TunnelMode.Ipip)
            {
                sink.Warning(node, $"pool '{pool.Name}': the node has no address of this family, so its routes cannot be tunnelled");
            }
        }
    }

    private void Originate()
    {
        List<Node> nodes = root.At("originate").Nodes();
        Dictionary<Cidr, Node> seen = [];
        for (int i = 0; i < nodes.Count; i++)
        {
            Cidr prefix = model.Originate[i].Prefix;
            Node at = nodes[i].At("prefix") ?? nodes[i];
            if (prefix.Address.IsNone)
            {
                continue;
            }

            if (!seen.TryAdd(prefix, at))
            {
                sink.Error(at, $"originate[{i}]: duplicate prefix {prefix}; first at {seen[prefix].File}:{seen[prefix].Line}:{seen[prefix].Column}");
            }
            else if (!model.Pools.Any(p => !p.Cidr.Address.IsNone && p.Cidr.Contains(prefix)))
            {
                sink.Warning(at, $"originate[{i}]: {prefix} is outside all pools");
            }
        }
    }

    private void Peers(List<(PeerConfig Peer, Node At)> peers)
    {
        Dictionary<string, Node> names = new(StringComparer.Ordinal);
        Dictionary<(IpAddr, string), List<PeerConfig>> addresses = [];
        Dictionary<string, string> birdNames = new(StringComparer.Ordinal);
        foreach ((PeerConfig peer, Node at) in peers)
        {
            Node nameAt = at.At("name") ?? at;
            Node addressAt = at.At("address") ?? at.At(peer.Address.IsV6 ? "ipv6" : "ipv4") ?? at;
            if (peer.Name.Length > 0 && !names.TryAdd(peer.Name, nameAt))
            {
                sink.Error(nameAt, $"duplicate peer '{peer.Name}'; first at {names[peer.Name].File}:{names[peer.Name].Line}:{names[peer.Name].Column}");
            }
            else if (peer.BirdName.Length > 0 && !birdNames.TryAdd(peer.BirdName, peer.Name))
            {
                sink.Error(at.At("birdName") ?? nameAt, $"peer '{peer.Name}' has the birdName '{peer.BirdName}' of peer '{birdNames[peer.BirdName]}'");
            }

            if (!peer.Address.IsNone)
            {
                if (addresses.TryGetValue((peer.Address, peer.Interface), out List<PeerConfig>? others))
                {
                    OneAddress(peer, others, at, addressAt);
                    others.Add(peer);
                }
                else
                {
                    addresses.Add((peer.Address, peer.Interface), [peer]);
                }

                PeerAddress(peer, addressAt);
            }

            if (peer.Asn == 0 && peer.Name.Length > 0 && at.At("asn") is null && (peer.Group.Length == 0 || root.At("peerGroups", peer.Group) is { } group && group.At("asn") is null))
            {
                sink.Error(nameAt, $"peer '{peer.Name}' has no 'asn', nor has its group");
            }

            PeerValues(peer, at);
        }
    }

    /// <summary>Several daemons of one host are told apart by their ports; what belongs to the address can only be one thing.</summary>
    private void OneAddress(PeerConfig peer, List<PeerConfig> others, Node at, Node addressAt)
    {
        Node? Place(params ReadOnlySpan<string> keys) => at.At(keys) ?? (peer.Group.Length > 0 ? root.At("peerGroups", peer.Group).At(keys) : null);

        foreach (PeerConfig other in others.Where(other => other.Name != peer.Name))
        {
            if (other.Port == peer.Port)
            {
                sink.Error(addressAt, $"peer '{peer.Name}' has the address {peer.Address} and the port {peer.Port} of peer '{other.Name}'");
                return;
            }

            // A secret that cannot be read is a warning of its own.
            if (peer.Md5?.Value != other.Md5?.Value && peer.Md5?.Error is null && other.Md5?.Error is null)
            {
                sink.Error(Place("auth", "md5") ?? addressAt, $"peer '{peer.Name}': auth.md5 is not that of peer '{other.Name}' with the same address, by which TCP knows passwords");
                return;
            }

            if (!peer.ReachableBy.IsNone && !other.ReachableBy.IsNone && peer.ReachableBy != other.ReachableBy)
            {
                sink.Error(Place("reachableBy") ?? addressAt, $"peer '{peer.Name}': reachableBy is not that of peer '{other.Name}' with the same address");
                return;
            }

            if (peer.Bfd is { } bfd && other.Bfd is { } theirs && bfd != theirs)
            {
                sink.Error(Place("bfd") ?? addressAt, $"peer '{peer.Name}': bfd is not that of peer '{other.Name}' with the same address, with which it shares the session");
                return;
            }
        }
    }

    /// <summary>Whether somebody can have the address.</summary>
    internal static bool IsHost(IpAddr address) => !address.IsMulticast && !address.IsUnspecified && address != s_broadcast;

    private void PeerAddress(PeerConfig peer, Node at)
    {
        if (peer.Address.IsLinkLocal && peer.Interface.Length == 0)
        {
            sink.Error(at, $"peer '{peer.Name}': a link-local address needs 'interface'");
        }

        if (!IsHost(peer.Address))
        {
            sink.Error(at, $"peer '{peer.Name}': {peer.Address} is not the address of a host");
        }

        if (peer.Address == model.Node.Ipv4 || peer.Address == model.Node.Ipv6)
        {
            sink.Error(at, $"peer '{peer.Name}': {peer.Address} is this node's own address");
        }

        if (!peer.SourceAddress.IsNone && peer.SourceAddress.Version != peer.Address.Version)
        {
            sink.Error(at, $"peer '{peer.Name}': sourceAddress {peer.SourceAddress} and address {peer.Address} are of different families");
        }
    }

    private void PeerValues(PeerConfig peer, Node at)
    {
        Node? Place(params ReadOnlySpan<string> keys) => at.At(keys) ?? (peer.Group.Length > 0 ? root.At("peerGroups", peer.Group).At(keys) : null);

        if (peer.Hold != TimeSpan.Zero && (peer.Hold < TimeSpan.FromSeconds(3) || peer.Hold > TimeSpan.FromSeconds(65535)))
        {
            sink.Error(Place("timers", "hold") ?? at, $"timers.hold: {peer.Hold.TotalSeconds} s; it is 0 or 3-65535 s (RFC 4271 section 4.2)");
        }

        if (peer.Keepalive > peer.Hold && peer.Hold != TimeSpan.Zero)
        {
            sink.Error(Place("timers", "keepalive") ?? at, "timers.keepalive is longer than timers.hold");
        }

        if (peer.RestartTime > TimeSpan.FromSeconds(4095))
        {
            sink.Error(Place("gracefulRestart", "restartTime") ?? at, "gracefulRestart.restartTime: at most 4095 s (RFC 4724 section 3)");
        }

        if (!peer.ReachableBy.IsNone && (peer.ReachableBy.Version != peer.Address.Version || peer.ReachableBy == peer.Address || peer.Address.IsLinkLocal))
        {
            sink.Error(Place("reachableBy") ?? at, $"peer '{peer.Name}': reachableBy is another address of the family of {peer.Address}, which is not link-local");
        }

        if (peer.Bfd is { } bfd && (bfd.Interval < TimeSpan.FromMilliseconds(10) || bfd.Interval > TimeSpan.FromSeconds(60)))
        {
            sink.Error(Place("bfd", "interval") ?? at, $"bfd.interval: {bfd.Interval.TotalMilliseconds} ms; it is 10 ms to 60 s");
        }

        if (peer.TtlSecurity > 0 && Place("multihop") is { } multihop)
        {
            sink.Error(multihop, $"peer '{peer.Name}': 'multihop' and 'ttlSecurity' exclude each other");
        }

        if (peer.RouteReflectorClient && !peer.IsIbgp)
        {
            sink.Error(Place("routeReflectorClient") ?? at, $"peer '{peer.Name}': only an iBGP peer can be a route reflector client");
        }

        if (!peer.IsIbgp && peer.Asn != 0 && !peer.Disabled && (peer.Import.Count == 0 || peer.Export.Count == 0))
        {
            string what = peer.Import.Count > 0 ? "export" : peer.Export.Count > 0 ? "import" : "import and export";
            sink.Warning(at, $"peer '{peer.Name}' is eBGP without {what} filters: nothing passes there (RFC 8212)");
        }
    }

    private void Dynamic()
    {
        for (int i = 0; i < model.DynamicPeers.Count; i++)
        {
            DynamicPeerConfig dynamic = model.DynamicPeers[i];
            Node entry = root.At("dynamicPeers").Nodes()[i];
            Node at = entry.At("range") ?? entry;
            PeerValues(dynamic.Template, entry);
            for (int j = 0; j < i && !dynamic.Range.Address.IsNone; j++)
            {
                Cidr other = model.DynamicPeers[j].Range;
                if (!other.Address.IsNone && other == dynamic.Range)
                {
                    sink.Error(at, $"dynamicPeers[{i}]: duplicate range {other}");
                }
            }
        }
    }

    private void Filters(Node? filters, string[] poolNames)
    {
        if (filters is not { Kind: NodeKind.Map })
        {
            return;
        }

        foreach ((Node name, Node filter) in filters.Pairs)
        {
            if (Array.IndexOf(BuiltIn, name.Value) >= 0)
            {
                sink.Error(name, $"filter '{name.Value}' is built in and cannot be redefined");
            }

            List<Node> rules = filter.At("rules").Nodes();
            for (int i = 0; i < rules.Count; i++)
            {
                foreach (Node pool in rules[i].At("match", "pool").Nodes())
                {
                    Reference(pool, $"filters.{name.Value}.rules[{i}].match.pool", "pool", poolNames);
                }
            }
        }
    }

    private void BirdSockets()
    {
        HashSet<string> paths = [];
        foreach (Node socket in root.At("birdCompat").Nodes())
        {
            if (socket.At("path") is { Kind: NodeKind.Scalar } path && !paths.Add(path.Value))
            {
                sink.Error(path, $"duplicate birdCompat path '{path.Value}'");
            }

            if (socket.At("mode") is { Kind: NodeKind.Scalar } mode && (mode.Value.Length is < 3 or > 4 || mode.Value.Any(c => c is < '0' or > '7')))
            {
                sink.Error(mode, $"birdCompat: mode '{mode.Value}' is not octal permission bits such as \"0660\"");
            }
        }
    }
}
