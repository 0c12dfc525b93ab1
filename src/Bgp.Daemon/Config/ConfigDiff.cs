namespace Bgp.Daemon.Config;

/// <summary>What a reload costs a peer, from least to most.</summary>
public enum ChangeImpact : byte
{
    /// <summary>Nothing on the wire: descriptions, names.</summary>
    None,

    /// <summary>Applied to the running session without a packet.</summary>
    Timers,

    /// <summary>Routes are evaluated again, in or out or both.</summary>
    Refresh,

    /// <summary>The session ends and begins again.</summary>
    Reset,

    /// <summary>A new peer.</summary>
    Add,

    /// <summary>The peer goes (Cease, Peer De-configured).</summary>
    Remove,

    /// <summary>Something that is not a peer changes.</summary>
    Change,
}

/// <summary>One difference.</summary>
/// <param name="Kind">peer, dynamicPeer, node, listen, pool, originate, kernel, filter, birdCompat, log, metrics, bmp, watch.</param>
/// <param name="Name">Which one, or empty.</param>
/// <param name="Impact">What it costs.</param>
/// <param name="Detail">What differs, for people.</param>
public sealed record ConfigChange(string Kind, string Name, ChangeImpact Impact, string Detail);

/// <summary>
/// Compares two resolved models. Text, order of keys, and the group that a value comes from are no difference.
/// </summary>
public static class ConfigDiff
{
    /// <summary>All differences; empty for equal models. Peers that a changed filter, pool or originated prefix concerns are listed too.</summary>
    public static IReadOnlyList<ConfigChange> Compare(ConfigModel old, ConfigModel now)
    {
        List<ConfigChange> changes = [];
        Sections(old, now, changes);

        HashSet<string> filters = [];
        Named("filter", old.Filters, now.Filters, f => f.Name, changes, filters);
        bool identity = old.Node.RouterId != now.Node.RouterId;

        // The built-in Calico filters read these.
        bool calico = !old.Pools.Equals(now.Pools) || !old.Originate.Equals(now.Originate) || old.Kernel.Guard != now.Kernel.Guard;
        bool nextHop = old.Node.Ipv4 != now.Node.Ipv4 || old.Node.Ipv6 != now.Node.Ipv6;
        Dictionary<string, PeerConfig> before = old.Peers.ToDictionary(p => p.Name, StringComparer.Ordinal);
        HashSet<string> kept = [];
        foreach (PeerConfig peer in now.Peers)
        {
            kept.Add(peer.Name);
            if (!before.TryGetValue(peer.Name, out PeerConfig? was))
            {
                changes.Add(new ConfigChange("peer", peer.Name, ChangeImpact.Add, $"{peer.Address} AS {peer.Asn}"));
            }
            else if (Peer(was, peer, filters, identity, calico, nextHop) is { } change)
            {
                changes.Add(change);
            }
        }

        foreach (PeerConfig peer in old.Peers)
        {
            if (!kept.Contains(peer.Name))
            {
                changes.Add(new ConfigChange("peer", peer.Name, ChangeImpact.Remove, $"{peer.Address} AS {peer.Asn}"));
            }
        }

        Dictionary<Cidr, DynamicPeerConfig> ranges = old.DynamicPeers.ToDictionary(d => d.Range);
        foreach (DynamicPeerConfig range in now.DynamicPeers)
        {
            string name = range.Range.ToString();
            if (!ranges.Remove(range.Range, out DynamicPeerConfig? was))
            {
                changes.Add(new ConfigChange("dynamicPeer", name, ChangeImpact.Add, range.Template.Group));
            }
            else if (Peer(was.Template, range.Template, filters, identity, calico, nextHop) is { } change)
            {
                changes.Add(change with { Kind = "dynamicPeer", Name = name });
            }
            else if (was.Limit != range.Limit)
            {
                changes.Add(new ConfigChange("dynamicPeer", name, ChangeImpact.None, "limit"));
            }
        }

        changes.AddRange(ranges.Keys.Select(r => new ConfigChange("dynamicPeer", r.ToString(), ChangeImpact.Remove, "")));
        return changes;
    }

    private static void Sections(ConfigModel old, ConfigModel now, List<ConfigChange> changes)
    {
        void Section<T>(string kind, T a, T b)
            where T : notnull
        {
            if (!a.Equals(b))
            {
                changes.Add(new ConfigChange(kind, "", ChangeImpact.Change, ""));
            }
        }

        Section("node", old.Node, now.Node);
        Section("listen", old.Listen, now.Listen);
        Section("kernel", old.Kernel, now.Kernel);
        Section("birdCompat", old.BirdCompat, now.BirdCompat);
        Section("log", old.Log, now.Log);
        Section("metrics", old.Metrics, now.Metrics);
        Section("bmp", old.Bmp, now.Bmp);
        Section("watch", old.Watch, now.Watch);
        Named("pool", old.Pools, now.Pools, p => p.Name, changes, null);
        Named("originate", old.Originate, now.Originate, o => o.Prefix.ToString(), changes, null);
    }

    private static void Named<T>(string kind, ConfigList<T> old, ConfigList<T> now, Func<T, string> name, List<ConfigChange> changes, HashSet<string>? touched)
        where T : notnull
    {
        Dictionary<string, T> before = old.ToDictionary(name, StringComparer.Ordinal);
        foreach (T item in now)
        {
            bool had = before.Remove(name(item), out T? was);
            if (!had || !was!.Equals(item))
            {
                changes.Add(new ConfigChange(kind, name(item), had ? ChangeImpact.Change : ChangeImpact.Add, ""));
                touched?.Add(name(item));
            }
        }

        foreach (string gone in before.Keys)
        {
            changes.Add(new ConfigChange(kind, gone, ChangeImpact.Remove, ""));
            touched?.Add(gone);
        }
    }

    private static ConfigChange? Peer(PeerConfig was, PeerConfig now, HashSet<string> filters, bool identity, bool calico, bool nextHop)
    {
        List<string> details = [];
        ChangeImpact impact = ChangeImpact.None;
        void Note(bool differs, string what, ChangeImpact cost)
        {
            if (differs)
            {
                details.Add(what);
                impact = cost > impact ? cost : impact;
            }
        }

        Note(was.Description != now.Description, "description", ChangeImpact.None);
        Note(was.BirdName != now.BirdName, "birdName", ChangeImpact.None);
        Note(was.Group != now.Group, "group", ChangeImpact.None);
        Note(was.ConnectRetry != now.ConnectRetry, "timers.connectRetry", ChangeImpact.Timers);
        Note(was.IdleHold != now.IdleHold, "timers.idleHold", ChangeImpact.Timers);
        Note(was.Keepalive != now.Keepalive && was.Hold == now.Hold, "timers.keepalive", ChangeImpact.Timers);
        Note(was.Bfd != now.Bfd, "bfd", ChangeImpact.Timers);
        Note(!was.Import.Equals(now.Import), "import", ChangeImpact.Refresh);
        Note(!was.Export.Equals(now.Export), "export", ChangeImpact.Refresh);
        Note(was.NextHop != now.NextHop, "nextHop", ChangeImpact.Refresh);
        Note(was.AllowLocalAs != now.AllowLocalAs, "allowLocalAs", ChangeImpact.Refresh);
        Note(was.EnforceFirstAs != now.EnforceFirstAs, "enforceFirstAs", ChangeImpact.Refresh);
        Note(now.Import.Concat(now.Export).Any(filters.Contains), "a filter it uses", ChangeImpact.Refresh);
        Note(calico && now.Import.Concat(now.Export).Any(f => f is not ("all" or "none")), "pools or originated prefixes", ChangeImpact.Refresh);
        Note(nextHop && now.NextHop != NextHopRule.Unchanged, "the node's addresses", ChangeImpact.Refresh);
        Note(identity, "the router id", ChangeImpact.Reset);
        Note(was.Md5 != now.Md5 && !(was.Md5?.Equals(now.Md5) ?? false), "auth.md5", ChangeImpact.Reset);
        Note(was.Disabled != now.Disabled, now.Disabled ? "disabled" : "enabled", ChangeImpact.Reset);
        Note(was.Address != now.Address || was.Interface != now.Interface, "address", ChangeImpact.Reset);
        Note(was.Hold != now.Hold, "timers.hold", ChangeImpact.Reset);

        // Whatever is not named above is in the OPEN, or in the socket.
        PeerConfig rest = was with
        {
            Description = now.Description,
            BirdName = now.BirdName,
            Group = now.Group,
            ConnectRetry = now.ConnectRetry,
            IdleHold = now.IdleHold,
            Keepalive = now.Keepalive,
            Bfd = now.Bfd,
            Import = now.Import,
            Export = now.Export,
            ExplicitExport = now.ExplicitExport,
            NextHop = now.NextHop,
            AllowLocalAs = now.AllowLocalAs,
            EnforceFirstAs = now.EnforceFirstAs,
            Md5 = now.Md5,
            Disabled = now.Disabled,
            Address = now.Address,
            Interface = now.Interface,
            Hold = now.Hold,
            IsMesh = now.IsMesh,
        };
        Note(!rest.Equals(now), "session settings", ChangeImpact.Reset);
        return details.Count == 0 ? null : new ConfigChange("peer", now.Name, impact, string.Join(", ", details));
    }
}
