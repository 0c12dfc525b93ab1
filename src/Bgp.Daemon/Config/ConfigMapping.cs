using Bgp.Daemon.Kernel;
using Bgp.Daemon.Peers;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Config;

/// <summary>From the configuration's model to what the core works with: the core knows nothing of YAML.</summary>
internal sealed class ConfigMapping
{
    private readonly ConfigModel _model;
    private readonly Dictionary<string, PolicySet> _policies = new(StringComparer.Ordinal);

    internal ConfigMapping(ConfigModel model)
    {
        _model = model;
        Pools = [.. model.Pools.Select(Pool)];
        Originate = [.. model.Originate.Select(static item => new OriginatedPrefix(ToCidr(item.Prefix), (global::Rib.OriginateKind)item.Kind))];
        Scope = new PolicyScope
        {
            Filters = model.Filters.ToDictionary(static filter => filter.Name, Filter, StringComparer.Ordinal),
            Pools = Pools,
            Originate = Originate,
            Guard = model.Kernel.Guard,
            RouteReflector = model.ClusterId is not null,
            NormalMetricV4 = model.Kernel.NormalMetricV4,
            NormalMetricV6 = model.Kernel.NormalMetricV6,
        };
    }

    internal IReadOnlyList<PoolDefinition> Pools { get; }

    internal IReadOnlyList<OriginatedPrefix> Originate { get; }

    internal PolicyScope Scope { get; }

    internal FibOptions Fib(Cidr? nodeSubnet) => new()
    {
        Pools = Pools,
        Originate = Originate,
        NodeSubnet = nodeSubnet is { } subnet ? ToCidr(subnet) : null,
        ExcludeNextHops = [.. _model.Kernel.ExcludeNextHops.Select(ToCidr)],
        InstallDefault = _model.Kernel.InstallDefault,
        Ecmp = _model.Kernel.Ecmp,
        MaxPaths = _model.Kernel.MaxPaths,
        MetricMode = (global::Rib.KernelMetricMode)_model.Kernel.MetricMode,
        Metric = _model.Kernel.Metric,
    };

    internal KernelLearningOptions Learning() => new()
    {
        Enabled = _model.Kernel.LearnEnabled,
        OwnProtocol = _model.Kernel.Protocol,
        Interfaces = [.. _model.Kernel.LearnInterfaces],
        ExcludeInterfaces = [.. _model.Kernel.LearnExcludeInterfaces],
        ExcludeProtocols = [.. _model.Kernel.LearnExcludeProtocols.Select(static protocol => (int)protocol)],
        DirectExcludeInterfaces = [.. _model.Kernel.DirectExcludeInterfaces],
        ExportedPools = [.. _model.Pools.Where(static pool => pool.Export).Select(static pool => (pool.Cidr.Address, pool.Cidr.Length))],
    };

    /// <summary>The subnet by which <c>crossSubnet</c> decides: as configured with the address, else that of the interface that holds it.</summary>
    internal static Cidr? NodeSubnet(ConfigModel model, IEnumerable<InterfaceAddress> addresses)
    {
        if (model.Node.Ipv4.IsNone)
        {
            return null;
        }

        int length = model.Node.Ipv4Length;
        if (length == 0)
        {
            length = addresses.FirstOrDefault(item => item.Address == model.Node.Ipv4).PrefixLength;
        }

        return length == 0 ? null : new Cidr(Ipv4Prefix.Create(model.Node.Ipv4, length).Address, length);
    }

    /// <summary>The metric of a route that has none, where metrics make LOCAL_PREF; else 0.</summary>
    internal static uint NormalMetric(ConfigModel model, bool v6) =>
        model.Kernel.MetricMode != KernelMetricMode.LocalPref ? 0 : v6 ? model.Kernel.NormalMetricV6 : model.Kernel.NormalMetricV4;

    internal PeerSettings Peer(PeerConfig peer)
    {
        ConfigModel model = _model;
        return new PeerSettings
        {
            Name = peer.Name,
            Address = peer.Address,
            Port = peer.Port,
            Interface = peer.Interface,
            Asn = peer.Asn,
            LocalAsn = peer.LocalAsn,
            RouterId = model.Node.RouterId,
            Passive = peer.Passive,
            SourceAddress = peer.SourceAddress,
            Ttl = peer.TtlSecurity > 0 ? 255 : peer.Multihop,
            MinTtl = peer.TtlSecurity > 0 ? 256 - peer.TtlSecurity : 0,
            Md5 = peer.Md5?.Value ?? "",
            Bfd = Bfd(peer),
            HoldTime = (int)peer.Hold.TotalSeconds,
            Times = new SessionTimes
            {
                ConnectRetry = Seconds(peer.ConnectRetry),
                IdleHold = Seconds(peer.IdleHold),
                MaxIdleHold = Math.Max(30, Seconds(peer.IdleHold)),
                Keepalive = (int)peer.Keepalive.TotalSeconds,
            },
            GracefulRestart = peer.GracefulRestart,
            RestartTime = (int)peer.RestartTime.TotalSeconds,
            LongLived = peer.GracefulRestart ? (int)Math.Min(peer.LongLived.TotalSeconds, 0xFFFFFF) : 0,
            IsClient = peer.RouteReflectorClient,
            ClusterId = peer.ClusterId,
            NextHop = (NextHopMode)peer.NextHop,
            AllowLocalAs = peer.AllowLocalAs,
            EnforceFirstAs = peer.EnforceFirstAs,
            NodeIpv4 = model.Node.Ipv4,
            NodeIpv6 = model.Node.Ipv6,
            NormalMetricV4 = NormalMetric(model, v6: false),
            NormalMetricV6 = NormalMetric(model, v6: true),
            Disabled = peer.Disabled,
            Unusable = peer.Md5 is { Value: null } secret ? $"password {secret.Reference}: {secret.Error}" : null,
            Description = peer.Description,
            BirdName = peer.BirdName,
            Group = peer.Group,
            Families = new EquatableList<FamilySettings>(peer.Families.Select(static family => new FamilySettings
            {
                Family = family.Family,
                AddPath = (family.AddPathReceive ? AddPathMode.Receive : 0) | (family.AddPathSend > 0 ? AddPathMode.Send : 0),
                AddPathLimit = family.AddPathSend,
                MaxPrefixes = family.MaxPrefixes,
                MaxPrefixesTearsDown = family.MaxPrefixesTearsDown,
            })),
            Policies = Policies(peer),
        };
    }

    /// <summary>
    /// One hop where BGP is configured so too: our packets may not travel farther, or the neighbour must not be farther away (ttlSecurity), or it is
    /// link-local. Else the session is multihop, as in BIRD; GTSM's limit then holds for its packets too.
    /// </summary>
    private static BfdSettings? Bfd(PeerConfig peer)
    {
        if (peer.Bfd is not { } bfd)
        {
            return null;
        }

        bool multihop = !peer.Address.IsLinkLocal && (peer.TtlSecurity > 1 || (peer.TtlSecurity == 0 && peer.Multihop > 1));
        uint interval = (uint)Math.Clamp(bfd.Interval.TotalMicroseconds, 10_000, uint.MaxValue);
        return new BfdSettings(new BfdParameters(interval, interval, (byte)Math.Clamp(bfd.Multiplier, 1, 255)), multihop, !multihop ? 255 : peer.TtlSecurity > 0 ? 256 - peer.TtlSecurity : 1);
    }

    private static int Seconds(TimeSpan time) => Math.Max(1, (int)time.TotalSeconds);

    private static global::Rib.Cidr ToCidr(Cidr cidr) => new(cidr.Address, cidr.Length);

    private static PoolDefinition Pool(PoolConfig pool) => new()
    {
        Name = pool.Name,
        Prefix = ToCidr(pool.Cidr),
        Tunnel = (global::Rib.TunnelMode)pool.TunnelMode,
        When = pool.CrossSubnet ? TunnelWhen.CrossSubnet : TunnelWhen.Always,
        Device = pool.TunnelDevice,
        Export = pool.Export,
        InstallKernel = pool.InstallKernel,
        Use = pool.IsService ? PoolUse.Service : PoolUse.Workload,
    };

    private static FilterAction Action(FilterVerdict verdict) => verdict switch
    {
        FilterVerdict.Accept => FilterAction.Accept,
        FilterVerdict.Reject => FilterAction.Reject,
        _ => FilterAction.Next,
    };

    private static FilterDefinition Filter(FilterConfig filter) => new()
    {
        Name = filter.Name,
        Rules = [.. filter.Rules.Select(static rule => new FilterRule(Match(rule.Match), Edit(rule.Set), Action(rule.Action)))],
        Default = Action(filter.Default),
    };

    private static FilterMatch Match(FilterMatchConfig match) => new()
    {
        Prefix = [.. match.Prefix.Select(ToCidr)],
        PrefixExact = [.. match.PrefixExact.Select(ToCidr)],
        NotPrefix = [.. match.NotPrefix.Select(ToCidr)],
        NotPrefixExact = [.. match.NotPrefixExact.Select(ToCidr)],
        PrefixLength = match.MinLength is null && match.MaxLength is null ? null : (match.MinLength ?? 0, match.MaxLength ?? 128),
        KernelMetric = match is { MinMetric: { } least, MaxMetric: { } most } ? ((uint)least, (uint)most) : null,
        Pool = [.. match.Pool],
        Source = [.. match.Source.Select(static source => source switch { "kernel" => RouteSource.Kernel, "originate" => RouteSource.Originate, _ => RouteSource.Bgp })],
        KernelProtocol = [.. match.KernelProtocol],
        Interface = [.. match.Interface],
        Community = [.. match.Community],
        LargeCommunity = [.. match.LargeCommunity],
        AsPath = match.AsPath,
        AsPathPrefix = [.. match.AsPathPrefix],
        LocalPref = match.LocalPref,
        NextHop = [.. match.NextHop.Select(ToCidr)],
        PeerType = match.PeerType?.ToLowerInvariant() switch { "ibgp" => FilterPeerType.Ibgp, "ebgp" => FilterPeerType.Ebgp, _ => FilterPeerType.Any },
    };

    private static PolicyEdit? Edit(FilterSetConfig set) => set == new FilterSetConfig() ? null : new PolicyEdit
    {
        LocalPref = set.LocalPref,
        Med = set.Med,
        AddCommunities = [.. set.AddCommunities],
        RemoveCommunities = [.. set.RemoveCommunities],
        AddLargeCommunities = [.. set.AddLargeCommunities.Select(static item => (item.Global, item.Data1, item.Data2))],
        Prepend = set.Prepend,
        PrependAsns = [.. set.PrependAsns],
        NextHop = set.NextHop,
        NextHopSelf = set.NextHopSelf,
        KernelMetric = set.KernelMetric,
        Preference = set.Preference,
    };

    /// <summary>Peers with the same chains share the compiled policies: a thousand clients compile once.</summary>
    private PolicySet Policies(PeerConfig peer)
    {
        bool ebgp = !peer.IsIbgp;
        string key = $"{ebgp}|{peer.ExplicitExport}|{string.Join(',', peer.Import)}|{string.Join(',', peer.Export)}";
        if (_policies.TryGetValue(key, out PolicySet? known))
        {
            return known;
        }

        string[] import = [.. peer.Import];
        string[]? export = peer.ExplicitExport ? [.. peer.Export] : null;
        PolicySet made = new(
            new FilterPolicy<Ipv4Prefix>(import, PolicyDirection.Import, ebgp, Scope),
            new FilterPolicy<Ipv4Prefix>(export, PolicyDirection.Export, ebgp, Scope),
            new FilterPolicy<Ipv6Prefix>(import, PolicyDirection.Import, ebgp, Scope),
            new FilterPolicy<Ipv6Prefix>(export, PolicyDirection.Export, ebgp, Scope));
        _policies.Add(key, made);
        return made;
    }
}
