using Bgp.Daemon.Peers;

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
/// <param name="Kind">peer, dynamicPeer, node, listen, pool, originate, kernel, routeReflector, filter, birdCompat, log, metrics, bmp, watch.</param>
/// <param name="Name">Which one, or empty.</param>
/// <param name="Impact">What it costs.</param>
/// <param name="Detail">What differs, for people.</param>
public sealed record ConfigChange(string Kind, string Name, ChangeImpact Impact, string Detail);

/// <summary>
/// Compares two resolved models. Text, order of keys, and the group that a value comes from are no difference.
/// </summary>
public static class ConfigDiff
{
    /// <summary>
    /// All differences; empty for equal models. Peers that a changed filter, pool or originated prefix concerns are listed too: what counts is the
    /// settings that the configuration resolves to, compiled filters included (see <see cref="PeerChange"/>).
    /// </summary>
    public static IReadOnlyList<ConfigChange> Compare(ConfigModel old, ConfigModel now)
    {
        ArgumentNullException.ThrowIfNull(old);
        ArgumentNullException.ThrowIfNull(now);
        return old.Equals(now) ? [] : Compare(old, new ConfigMapping(old), now, new ConfigMapping(now), static (_, change) => change);
    }

    /// <summary>
    /// The same with what is known already: mappings, and (<paramref name="judge"/>) what a change costs the session that there is, which may be more.
    /// </summary>
    internal static List<ConfigChange> Compare(
        ConfigModel old, ConfigMapping oldMapping, ConfigModel now, ConfigMapping mapping, Func<string, PeerChange, PeerChange> judge)
    {
        List<ConfigChange> changes = [];
        Sections(old, now, changes);
        Named("filter", old.Filters, now.Filters, f => f.Name, changes);
        Dictionary<string, PeerConfig> before = old.Peers.ToDictionary(p => p.Name, StringComparer.Ordinal);
        foreach (PeerConfig peer in now.Peers)
        {
            if (!before.Remove(peer.Name, out PeerConfig? was))
            {
                changes.Add(new ConfigChange("peer", peer.Name, ChangeImpact.Add, $"{peer.Address} AS {peer.Asn}"));
            }
            else if (PeerChange.Between(oldMapping.Peer(was), mapping.Peer(peer)) is { } change)
            {
                change = judge(peer.Name, change);
                changes.Add(new ConfigChange("peer", peer.Name, change.Impact, change.Detail));
            }
        }

        changes.AddRange(old.Peers.Where(peer => before.ContainsKey(peer.Name)).Select(static peer => new ConfigChange("peer", peer.Name, ChangeImpact.Remove, $"{peer.Address} AS {peer.Asn}")));
        Dictionary<Cidr, DynamicPeerConfig> ranges = old.DynamicPeers.ToDictionary(d => d.Range);
        foreach (DynamicPeerConfig range in now.DynamicPeers)
        {
            string name = range.Range.ToString();
            if (!ranges.Remove(range.Range, out DynamicPeerConfig? was))
            {
                changes.Add(new ConfigChange("dynamicPeer", name, ChangeImpact.Add, range.Template.Group));
            }
            else if (PeerChange.Between(oldMapping.Peer(was.Template), mapping.Peer(range.Template)) is { } change)
            {
                changes.Add(new ConfigChange("dynamicPeer", name, change.Impact, change.Detail));
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
                changes.Add(new ConfigChange(kind, "", ChangeImpact.Change, ConfigDetail.Between(a, b)));
            }
        }

        Section("node", old.Node, now.Node);
        Section("listen", old.Listen, now.Listen);
        Section("kernel", old.Kernel, now.Kernel);
        Section("routeReflector", old.ClusterId ?? 0, now.ClusterId ?? 0);
        Section("birdCompat", old.BirdCompat, now.BirdCompat);
        Section("log", old.Log, now.Log);
        Section("metrics", old.Metrics, now.Metrics);
        Section("watch", old.Watch, now.Watch);
        Named("pool", old.Pools, now.Pools, p => p.Name, changes);
        Named("bmp", old.Bmp, now.Bmp, b => b.Name, changes);
        Named("originate", old.Originate, now.Originate, o => o.Prefix.ToString(), changes);
    }

    private static void Named<T>(string kind, ConfigList<T> old, ConfigList<T> now, Func<T, string> name, List<ConfigChange> changes)
        where T : notnull
    {
        Dictionary<string, T> before = old.ToDictionary(name, StringComparer.Ordinal);
        foreach (T item in now)
        {
            bool had = before.Remove(name(item), out T? was);
            if (!had || !was!.Equals(item))
            {
                changes.Add(new ConfigChange(kind, name(item), had ? ChangeImpact.Change : ChangeImpact.Add, had ? ConfigDetail.Between(was!, item) : ""));
            }
        }

        foreach (string gone in before.Keys)
        {
            changes.Add(new ConfigChange(kind, gone, ChangeImpact.Remove, ""));
        }
    }
}
