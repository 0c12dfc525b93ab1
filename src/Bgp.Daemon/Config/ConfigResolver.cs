using System.Globalization;
using Bgp.Protocol;

namespace Bgp.Daemon.Config;

/// <summary>
/// Makes a model of a tree: defaults, group inheritance, the mesh. Works on trees with errors too, so that references are checked in
/// the same run; its result is then thrown away.
/// </summary>
internal sealed partial class ConfigResolver(IssueSink sink, string directory)
{
    private NodeConfig _node = new();
    private uint? _clusterId;
    private bool _isReflector;
    private Node? _groups;

    internal ConfigModel Resolve(Node root)
    {
        _node = ResolveNode(root.At("node"), root);
        _isReflector = root.Kind == NodeKind.Map && root["routeReflector"] is not null;
        _clusterId = _isReflector ? root.At("routeReflector", "clusterId").RouterId() ?? _node.RouterId : null;
        _groups = root.At("peerGroups");
        List<(PeerConfig Peer, Node At)> peers = [];
        foreach (Node peer in root.At("peers").Nodes())
        {
            peers.Add((ResolvePeer(peer), peer));
        }

        ResolveMesh(root.At("mesh"), peers);
        Node? listen = root.At("listen");
        ConfigModel model = new()
        {
            Node = _node,
            Listen = new ListenConfig
            {
                Addresses = listen.At("address").Nodes() is { Count: > 0 } addresses ? [.. addresses.Select(a => a.Ip())] : new ListenConfig().Addresses,
                Port = listen.At("port").Int(179),
                Backlog = listen.At("backlog").Int(4096),
            },
            Pools = [.. root.At("pools").Nodes().Select(ResolvePool)],
            Originate = [.. root.At("originate").Nodes().Select(ResolveOriginate)],
            Kernel = ResolveKernel(root.At("kernel")),
            Peers = [.. peers.Select(p => p.Peer)],
            DynamicPeers = [.. root.At("dynamicPeers").Nodes().Select(ResolveDynamic)],
            ClusterId = _clusterId,
            Filters = [.. root.At("filters") is { Kind: NodeKind.Map } filters ? filters.Pairs.Select(p => ResolveFilter(p.Key.Value, p.Value)) : []],
            BirdCompat = [.. root.At("birdCompat").Nodes().Select(ResolveBird)],
            Log = new LogConfig(root.At("log", "level").Text("info"), root.At("log", "format").Text("text") == "json"),
            Metrics = new MetricsConfig(root.At("metrics", "listen").Text("127.0.0.1:9179") is var end && end == "off" ? "" : end),
            Bmp = [.. root.At("bmp").Nodes().Select(ResolveBmp)],
            Watch = root.At("watch").Flag(false),
            Include = root.At("include").Texts(),
        };
        new ConfigValidator(sink, root, model).Validate(peers);
        return model;
    }

    private NodeConfig ResolveNode(Node? node, Node root)
    {
        foreach (string key in (ReadOnlySpan<string>)["name", "ipv4", "ipv6"])
        {
            if (node.At(key, "env") is { Kind: NodeKind.Scalar } variable)
            {
                string? value = Environment.GetEnvironmentVariable(variable.Value);
                if (string.IsNullOrEmpty(value))
                {
                    sink.Error(variable, $"node.{key}: the environment variable {variable.Value} is not set");
                }
                else if (key != "name" && !ConfigText.TryAddressLength(value, out _, out _))
                {
                    sink.Error(variable, $"node.{key}: '{value}' (from {variable.Value}) is not an address or address/length");
                }
            }
        }

        string name = node.At("name").Text("");
        _ = ConfigText.TryAddressLength(node.At("ipv4").Text(""), out IpAddr ipv4, out int ipv4Length);
        _ = ConfigText.TryAddressLength(node.At("ipv6").Text(""), out IpAddr ipv6, out int ipv6Length);
        if (node is { Kind: NodeKind.Map })
        {
            if (ipv4.IsV6)
            {
                sink.Error(node["ipv4"]!, $"node.ipv4: '{ipv4}' is an IPv6 address");
            }

            if (ipv6.IsV4)
            {
                sink.Error(node["ipv6"]!, $"node.ipv6: '{ipv6}' is an IPv4 address");
            }

            if (ipv4.IsV4 && ipv4Length is > 0 and < 31 && Ipv4Prefix.Create(ipv4, ipv4Length).Address == ipv4)
            {
                sink.Error(node["ipv4"]!, $"node.ipv4: {ipv4}/{ipv4Length} is the subnet; it should be this node's address in it");
            }
        }

        uint routerId = node.At("routerId").Scalar() == "hash" ? HashId(name) : node.At("routerId").RouterId() ?? (ipv4.IsV4 ? ipv4.V4Value : 0);
        if (routerId == 0 && !sink.HasErrors)
        {
            sink.Error(node ?? root, "node: without ipv4, 'routerId' is needed (an identifier, or 'hash' for one made from the name)");
        }

        return new NodeConfig
        {
            Name = name,
            Asn = node.At("asn").Asn(0),
            Ipv4 = ipv4.IsV4 ? ipv4 : default,
            Ipv4Length = ipv4.IsV4 ? ipv4Length : 0,
            Ipv6 = ipv6.IsV6 ? ipv6 : default,
            Ipv6Length = ipv6.IsV6 ? ipv6Length : 0,
            RouterId = routerId,
        };
    }

    /// <summary>The first four octets of SHA-256 of the name, big-endian; stable over versions, and 0 becomes 1.</summary>
    private static uint HashId(string name)
    {
        byte[] hash = System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(name));
        return Math.Max(1, System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(hash));
    }

    private static PoolConfig ResolvePool(Node node)
    {
        Cidr cidr = node.At("cidr").Prefix();
        return new PoolConfig
        {
            Name = node.At("name").Text(""),
            Cidr = cidr,
            BlockSize = node.At("blockSize").Int(cidr.IsV4 ? 26 : 122),
            TunnelMode = node.At("tunnel", "mode").Scalar() switch
            {
                "ipip" when cidr.IsV4 => TunnelMode.Ipip,
                "vxlan" => TunnelMode.Vxlan,
                _ => TunnelMode.None,
            },
            CrossSubnet = node.At("tunnel", "when").Scalar() == "crossSubnet",
            TunnelDevice = node.At("tunnel", "device").Text("tunl0"),
            Export = node.At("export").Flag(true),
            InstallKernel = node.At("installKernel").Flag(true),
            IsService = node.At("use").Scalar() == "service",
        };
    }

    private static OriginateConfig ResolveOriginate(Node node) => new()
    {
        Prefix = node.At("prefix").Prefix(),
        Kind = node.At("kind").Scalar() switch { "unreachable" => OriginateKind.Unreachable, "none" => OriginateKind.None, _ => OriginateKind.Blackhole },
        Communities = node.At("communities").Communities(),
    };

    private static KernelConfig ResolveKernel(Node? node)
    {
        KernelConfig d = new();
        string metric = node.At("metric").Text("none");
        uint NormalMetric(string family) => (node.At("normalMetric") is { Kind: NodeKind.Map } map ? map.At(family) : node.At("normalMetric")).UIntOrNull() ?? d.NormalMetricV4;
        bool fixedMetric = uint.TryParse(metric, NumberStyles.None, CultureInfo.InvariantCulture, out uint value);
        return new KernelConfig
        {
            Enabled = node.At("enabled").Flag(true),
            Families = node.At("families").Texts() is { Count: > 0 } families ? families : d.Families,
            Table = node.At("table").UIntOrNull() ?? KernelConfig.MainTable,
            Protocol = (byte)node.At("protocol").Int(12),
            MetricMode = fixedMetric ? KernelMetricMode.Fixed : metric == "localPref" ? KernelMetricMode.LocalPref : KernelMetricMode.None,
            Metric = fixedMetric ? value : 0,
            NormalMetricV4 = NormalMetric("ipv4"),
            NormalMetricV6 = NormalMetric("ipv6"),
            Ecmp = node.At("ecmp").Flag(true),
            MaxPaths = node.At("maxPaths").Int(16),
            Persist = node.At("persist").Flag(true),
            StaleTime = node.At("staleTime").Duration(d.StaleTime),
            InstallDefault = node.At("installDefault").Flag(false),
            ExcludeNextHops = node.At("excludeNextHops").Prefixes(),
            NexthopObjects = node.At("nexthopObjects").Flag(false),
            LearnEnabled = node.At("learn", "enabled").Flag(true),
            LearnInterfaces = node.At("learn", "interfaces").Texts(),
            LearnExcludeInterfaces = node.At("learn", "excludeInterfaces").Texts(),
            LearnExcludeProtocols = node.At("learn", "excludeProtocols").Bytes(),
            Guard = node.At("learn", "guard").Flag(true),
            DirectExcludeInterfaces = node.At("direct", "excludeInterfaces") is { } globs ? globs.Texts() : d.DirectExcludeInterfaces,
        };
    }

    private static BirdCompatConfig ResolveBird(Node node)
    {
        int mode = 0;
        foreach (char c in node.At("mode").Text("0660"))
        {
            mode = (mode << 3) | ((c - '0') & 7);
        }

        return new BirdCompatConfig(
            node.At("path").Text(""), node.At("dialect").Scalar() == "bird1" ? 1 : 2, node.At("family").Scalar() switch { "ipv4" => 4, "ipv6" => 6, _ => 0 },
            mode & 0xFFF, node.At("group").Text(""), node.At("readOnly").Flag(false));
    }

    private static BmpConfig ResolveBmp(Node node)
    {
        BmpPolicies policies = BmpPolicies.None;
        foreach (string word in node.At("policy").Texts())
        {
            policies |= BmpPolicyWords.Parse(word);
        }

        return new BmpConfig(
            node.At("name").Text(node.At("address").Text("")),
            node.At("address").Ip(),
            node.At("port").Int(BmpMessage.DefaultPort),
            policies == BmpPolicies.None ? BmpPolicies.Pre : policies,
            node.At("statsInterval").Duration(TimeSpan.FromMinutes(1)),
            node.At("connectRetry").Duration(TimeSpan.FromSeconds(30)));
    }

    private static FilterVerdict Verdict(Node? node, FilterVerdict otherwise) =>
        node.Scalar() switch { "accept" => FilterVerdict.Accept, "reject" => FilterVerdict.Reject, "next" => FilterVerdict.Next, _ => otherwise };

    private static FilterConfig ResolveFilter(string name, Node node) => new(
        name,
        [.. node.At("rules").Nodes().Select(r => new FilterRuleConfig(ResolveMatch(r.At("match")), ResolveSet(r.At("set")), Verdict(r.At("action"), FilterVerdict.Next)))],
        Verdict(node.At("default"), FilterVerdict.Next));

    private static FilterMatchConfig ResolveMatch(Node? node)
    {
        int? from = null;
        int? to = null;
        if (node.At("prefixLength").Scalar() is { } range && ConfigText.TryRange(range, 128, out int low, out int high))
        {
            (from, to) = (low, high);
        }

        int? metricFrom = null;
        int? metricTo = null;
        if (node.At("kernelMetric").Scalar() is { } metrics && ConfigText.TryRange(metrics, int.MaxValue, out low, out high))
        {
            (metricFrom, metricTo) = (low, high);
        }

        return new FilterMatchConfig
        {
            Prefix = node.At("prefix").Prefixes(),
            PrefixExact = node.At("prefixExact").Prefixes(),
            NotPrefix = node.At("notPrefix").Prefixes(),
            NotPrefixExact = node.At("notPrefixExact").Prefixes(),
            MinLength = from,
            MaxLength = to,
            MinMetric = metricFrom,
            MaxMetric = metricTo,
            Pool = node.At("pool").Texts(),
            Source = node.At("source").Texts(),
            KernelProtocol = node.At("kernelProtocol").Bytes(),
            Interface = node.At("interface").Texts(),
            Community = node.At("community").Communities(),
            LargeCommunity = node.At("largeCommunity").LargeCommunities(),
            AsPath = node.At("asPath").Scalar(),
            AsPathPrefix = [.. node.At("asPathPrefix").Nodes().Select(n => n.Asn(0))],
            LocalPref = node.At("localPref").UIntOrNull(),
            NextHop = node.At("nextHop").Prefixes(),
            PeerType = node.At("peerType").Scalar(),
        };
    }

    private static FilterSetConfig ResolveSet(Node? node) => new()
    {
        LocalPref = node.At("localPref").UIntOrNull(),
        Med = node.At("med").UIntOrNull(),
        AddCommunities = node.At("addCommunities").Communities(),
        RemoveCommunities = node.At("removeCommunities").Communities(),
        AddLargeCommunities = node.At("addLargeCommunities").LargeCommunities(),
        Prepend = node.At("prepend") is { Kind: NodeKind.Scalar } count ? count.Int(0) : 0,
        PrependAsns = node.At("prepend") is { Kind: NodeKind.List } asns ? [.. asns.Nodes().Select(static n => n.Asn(0))] : [],
        NextHop = node.At("nextHop").Ip(),
        NextHopSelf = node.At("nextHop").Scalar() == "self",
        KernelMetric = node.At("kernelMetric").UIntOrNull(),
        Preference = (byte?)node.At("preference").UIntOrNull(),
    };
}
