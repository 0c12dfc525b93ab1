using Bgp.Daemon.Config;
using Bgp.Protocol;

namespace Bgp.Daemon.Peers;

/// <summary>What the difference between two settings of a peer costs it, and which parts have to follow.</summary>
/// <param name="Impact">None, Timers, Refresh or Reset.</param>
/// <param name="Detail">The configuration's keys that differ, for people.</param>
/// <param name="Import">Routes from the neighbour have to be evaluated again.</param>
/// <param name="Export">What the neighbour is sent has to be computed again.</param>
/// <param name="Needs">
/// Routes that were dropped on arrival may be wanted now (or the other way round): the neighbour must be asked for them, and one that cannot be asked needs
/// a new session.
/// </param>
/// <remarks>
/// One function serves <c>--dry-run</c>, <c>diff</c> and the reload itself, so that what is said and what is done cannot differ. It works by exclusion:
/// whatever is not known to be applicable to a running session is in the OPEN or in the socket's addresses, and means a new session.
/// </remarks>
internal readonly record struct PeerChange(ChangeImpact Impact, string Detail, bool Import, bool Export, bool Needs)
{
    /// <summary>The difference; null when there is none.</summary>
    internal static PeerChange? Between(PeerSettings was, PeerSettings now)
    {
        if (was == now)
        {
            return null;
        }

        List<string> details = [];
        ChangeImpact impact = ChangeImpact.None;
        bool Note(bool differs, string what, ChangeImpact cost)
        {
            if (differs)
            {
                details.Add(what);
                impact = cost > impact ? cost : impact;
            }

            return differs;
        }

        Note(was.Description != now.Description, "description", ChangeImpact.None);
        Note(was.BirdName != now.BirdName, "birdName", ChangeImpact.None);
        Note(was.Group != now.Group, "group", ChangeImpact.None);
        Note(was.Times.ConnectRetry != now.Times.ConnectRetry, "timers.connectRetry", ChangeImpact.Timers);
        Note(was.Times.IdleHold != now.Times.IdleHold || was.Times.MaxIdleHold != now.Times.MaxIdleHold, "timers.idleHold", ChangeImpact.Timers);
        Note(was.Times.Keepalive != now.Times.Keepalive && was.HoldTime == now.HoldTime, "timers.keepalive", ChangeImpact.Timers);
        Note(was.Passive != now.Passive, "passive", ChangeImpact.Timers);
        Note(was.Ttl != now.Ttl || was.MinTtl != now.MinTtl, "multihop or ttlSecurity", ChangeImpact.Timers);
        Note(was.Md5 != now.Md5, "auth.md5", ChangeImpact.Timers);

        Note(was.Bfd != now.Bfd, "bfd", ChangeImpact.Timers);

        // The neighbour hears of these with the next OPEN; nothing that it knows is wrong until then, so that is no reason to lose a session.
        Note(was.RestartTime != now.RestartTime, "gracefulRestart.restartTime", ChangeImpact.Timers);
        Note(was.LongLived != now.LongLived && (was.LongLived == 0) == (now.LongLived == 0), "gracefulRestart.longLived", ChangeImpact.Timers);

        bool limits = Limits(was.Families, now.Families, out EquatableList<FamilySettings> families);
        Note(limits, "maxPrefixes", ChangeImpact.Timers);
        bool import = Note(was.Policies.ImportKey != now.Policies.ImportKey, "import", ChangeImpact.Refresh);
        bool export = Note(was.Policies.ExportKey != now.Policies.ExportKey, "export", ChangeImpact.Refresh);
        export |= Note(was.NextHop != now.NextHop, "nextHop", ChangeImpact.Refresh);
        export |= Note(was.NodeIpv4 != now.NodeIpv4 || was.NodeIpv6 != now.NodeIpv6, "the node's addresses", ChangeImpact.Refresh);
        export |= Note(was.NormalMetricV4 != now.NormalMetricV4 || was.NormalMetricV6 != now.NormalMetricV6, "kernel.metric or normalMetric", ChangeImpact.Refresh);
        bool needs = Note(was.AllowLocalAs != now.AllowLocalAs, "allowLocalAs", ChangeImpact.Refresh);
        needs |= Note(was.EnforceFirstAs != now.EnforceFirstAs, "enforceFirstAs", ChangeImpact.Refresh);
        Note(was.ClusterId != now.ClusterId, "clusterId", ChangeImpact.Reset);
        Note(was.RouterId != now.RouterId, "the router id", ChangeImpact.Reset);
        Note(was.Disabled != now.Disabled, now.Disabled ? "disabled" : "enabled", ChangeImpact.Reset);
        Note(was.Unusable != now.Unusable, now.Unusable ?? "auth.md5 is readable", ChangeImpact.Reset);
        Note(was.Address != now.Address || was.Interface != now.Interface, "address", ChangeImpact.Reset);
        Note(was.Asn != now.Asn, "asn", ChangeImpact.Reset);
        Note(was.LocalAsn != now.LocalAsn, "localAsn", ChangeImpact.Reset);
        Note(was.HoldTime != now.HoldTime, "timers.hold", ChangeImpact.Reset);
        Note(was.Port != now.Port, "port", ChangeImpact.Reset);
        Note(was.SourceAddress != now.SourceAddress, "sourceAddress", ChangeImpact.Reset);
        Note(was.IsClient != now.IsClient, "routeReflectorClient", ChangeImpact.Reset);
        Note(was.GracefulRestart != now.GracefulRestart, "gracefulRestart.enabled", ChangeImpact.Reset);
        Note((was.LongLived == 0) != (now.LongLived == 0), "gracefulRestart.longLived", ChangeImpact.Reset);
        Note(!families.Equals(now.Families), "families", ChangeImpact.Reset);
        PeerSettings rest = was with
        {
            Description = now.Description,
            BirdName = now.BirdName,
            Group = now.Group,
            Times = now.Times,
            Passive = now.Passive,
            Ttl = now.Ttl,
            MinTtl = now.MinTtl,
            Md5 = now.Md5,
            Bfd = now.Bfd,
            RestartTime = now.RestartTime,
            Port = now.Port,
            SourceAddress = now.SourceAddress,
            IsClient = now.IsClient,
            GracefulRestart = now.GracefulRestart,
            LongLived = now.LongLived,
            Families = now.Families,
            Policies = now.Policies,
            NextHop = now.NextHop,
            NodeIpv4 = now.NodeIpv4,
            NodeIpv6 = now.NodeIpv6,
            NormalMetricV4 = now.NormalMetricV4,
            NormalMetricV6 = now.NormalMetricV6,
            AllowLocalAs = now.AllowLocalAs,
            EnforceFirstAs = now.EnforceFirstAs,
            ClusterId = now.ClusterId,
            RouterId = now.RouterId,
            Disabled = now.Disabled,
            Unusable = now.Unusable,
            Address = now.Address,
            Interface = now.Interface,
            Asn = now.Asn,
            LocalAsn = now.LocalAsn,
            HoldTime = now.HoldTime,
        };
        Note(rest != now, "session settings", ChangeImpact.Reset);
        return new PeerChange(impact, string.Join(", ", details), import, export, needs);
    }

    /// <summary>Whether only limits on prefixes differ; <paramref name="families"/> is the old list with the new limits.</summary>
    private static bool Limits(EquatableList<FamilySettings> was, EquatableList<FamilySettings> now, out EquatableList<FamilySettings> families)
    {
        families = new EquatableList<FamilySettings>(was.Select(old => now.Find(item => item.Family == old.Family) is { } match
            ? old with { MaxPrefixes = match.MaxPrefixes, MaxPrefixesTearsDown = match.MaxPrefixesTearsDown }
            : old));
        return !families.Equals(was);
    }
}
