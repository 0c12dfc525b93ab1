using Bgp.Protocol;

namespace Bgp.Daemon.Config;

internal sealed partial class ConfigResolver
{
    /// <summary>Paths per prefix that a reflector sends where no number is given.</summary>
    private const int ReflectorAddPathSend = 16;

    private PeerConfig ResolvePeer(Node peer)
    {
        string name = peer.At("name").Text("");
        return Build(peer, name, peer.At("birdName").Text(name), peer.At("address").Ip(), peer.At("interface").Text(""), peer.At("group").Text(""));
    }

    private DynamicPeerConfig ResolveDynamic(Node node)
    {
        Cidr range = node.At("range").Prefix();
        string group = node.At("group").Text("");
        return new DynamicPeerConfig
        {
            Range = range,
            Limit = node.At("limit").Int(100),
            Template = Build(null, group, group, default, "", group, range.IsV4 ? AfiSafi.Ipv4Unicast : AfiSafi.Ipv6Unicast) with { Passive = true },
        };
    }

    private void ResolveMesh(Node? mesh, List<(PeerConfig Peer, Node At)> peers)
    {
        string group = mesh.At("group").Text("");
        foreach (Node node in mesh.At("nodes").Nodes())
        {
            string name = node.At("name").Text("");
            if (name == _node.Name)
            {
                continue;
            }

            if (node.At("ipv4") is null && node.At("ipv6") is null)
            {
                sink.Warning(node, $"mesh: '{name}' has neither 'ipv4' nor 'ipv6', so there is no session with it");
            }

            foreach (string family in (ReadOnlySpan<string>)["ipv4", "ipv6"])
            {
                IpAddr address = node.At(family).Ip();
                if (!address.IsNone && address.IsV4 != (family == "ipv4"))
                {
                    sink.Error(node.At(family)!, $"mesh: '{address}' of '{name}' is an {(address.IsV4 ? "IPv4" : "IPv6")} address");
                    continue;
                }

                IpAddr own = family == "ipv4" ? _node.Ipv4 : _node.Ipv6;
                if (address.IsNone)
                {
                    continue;
                }

                if (own.IsNone)
                {
                    sink.Warning(node, $"mesh: node.{family} is not given, so there is no {family} session with '{name}'");
                    continue;
                }

                string text = address.ToString();
                PeerConfig peer = Build(
                    null, family == "ipv4" ? name : name + "-v6", "Mesh_" + text.Replace('.', '_').Replace(':', '_'), address, "", group, AfiSafi.None, node.At("asn").Asn(0));
                // Calico's rule: one side of each pair waits, and both compute the same side from the two addresses as text.
                peers.Add((peer with
                {
                    IsMesh = true,
                    Passive = peer.Passive || string.CompareOrdinal(text, own.ToString()) > 0,
                    SourceAddress = peer.SourceAddress.IsNone || peer.SourceAddress.Version != address.Version ? own : peer.SourceAddress,
                }, node));
            }
        }
    }

    private PeerConfig Build(
        Node? peer, string name, string birdName, IpAddr address, string @interface, string groupName, AfiSafi transport = AfiSafi.None, uint meshAsn = 0)
    {
        Node? group = groupName.Length > 0 ? _groups.At(groupName) : null;

        // Peer over group over default, key by key; maps (timers, families.ipv4.addPath …) merge, scalars and lists replace.
        Node? Value(params ReadOnlySpan<string> keys) => peer.At(keys) ?? group.At(keys);

        uint localAsn = Value("localAsn").Asn(_node.Asn);
        uint asn = meshAsn != 0 ? meshAsn : Value("asn").Asn(name.Length > 0 && peer is null && transport == AfiSafi.None ? _node.Asn : 0);
        bool ibgp = asn == localAsn;
        TimeSpan hold = Value("timers", "hold").Duration(TimeSpan.FromSeconds(90));
        bool explicitExport = Value("export") is not null;
        if (transport == AfiSafi.None)
        {
            transport = address.IsV6 ? AfiSafi.Ipv6Unicast : AfiSafi.Ipv4Unicast;
        }

        return new PeerConfig
        {
            Name = name,
            BirdName = birdName,
            Group = groupName,
            Description = Value("description").Text(""),
            Address = address,
            Interface = @interface,
            Port = Value("port").Int(179),
            Asn = asn,
            LocalAsn = localAsn,
            Passive = Value("passive").Flag(false),
            SourceAddress = Value("sourceAddress").Ip(),
            Multihop = Value("multihop").Int(ibgp ? 64 : 1),
            TtlSecurity = Value("ttlSecurity").Int(0),
            NextHop = Value("nextHop").Scalar() switch { "self" => NextHopRule.Self, "unchanged" => NextHopRule.Unchanged, _ => NextHopRule.Auto },
            RouteReflectorClient = Value("routeReflectorClient").Flag(false),
            ClusterId = Value("clusterId").RouterId() ?? _clusterId ?? _node.RouterId,
            AllowLocalAs = Value("allowLocalAs").Int(0),
            EnforceFirstAs = Value("enforceFirstAs").Flag(true),
            ReachableBy = Value("reachableBy").Ip(),
            Hold = hold,
            Keepalive = Value("timers", "keepalive").Duration(hold / 3),
            ConnectRetry = Value("timers", "connectRetry").Duration(TimeSpan.FromSeconds(5)),
            IdleHold = Value("timers", "idleHold").Duration(TimeSpan.FromSeconds(5)),
            GracefulRestart = Value("gracefulRestart", "enabled").Flag(true),
            RestartTime = Value("gracefulRestart", "restartTime").Duration(TimeSpan.FromSeconds(120)),
            LongLived = Value("gracefulRestart", "longLived").Duration(TimeSpan.Zero),
            Families = Families(peer, group, transport, Value),
            Md5 = ReadSecret(Value("auth", "md5")),
            Import = Value("import") is { } import ? import.Texts() : ibgp ? ["all"] : [],
            Export = Value("export") is { } export ? export.Texts() : !ibgp ? [] : _isReflector ? ["all"] : ["calico-export"],
            ExplicitExport = explicitExport,
            Bfd = Value("bfd") is { Kind: NodeKind.Map }
                ? new BfdConfig(Value("bfd", "interval").Duration(TimeSpan.FromMilliseconds(300)), Value("bfd", "multiplier").Int(3))
                : null,
            Disabled = Value("disabled").Flag(false),
        };
    }

    private delegate Node? Lookup(params ReadOnlySpan<string> keys);

    private ConfigList<FamilyConfig> Families(Node? peer, Node? group, AfiSafi transport, Lookup value)
    {
        // A key without a value (`ipv6:`) is a family too, so presence is asked of the pairs and not of At.
        Node? own = peer?["families"] ?? group?["families"];
        List<FamilyConfig> families = [];
        foreach (AfiSafi family in (ReadOnlySpan<AfiSafi>)[AfiSafi.Ipv4Unicast, AfiSafi.Ipv6Unicast])
        {
            string name = family.Name();
            bool present = own is { Kind: NodeKind.Map, Pairs.Count: > 0 } ? own[name] is not null : family == transport;
            if (!present)
            {
                continue;
            }

            families.Add(new FamilyConfig
            {
                Family = family,
                AddPathReceive = value("families", name, "addPath", "receive").Flag(_isReflector),
                AddPathSend = value("families", name, "addPath", "send").Scalar() switch
                {
                    "true" => ReflectorAddPathSend,
                    "false" => 0,
                    null => _isReflector ? ReflectorAddPathSend : 0,
                    _ => value("families", name, "addPath", "send").Int(0),
                },
                MaxPrefixes = value("families", name, "maxPrefixes", "count").Int(0),
                MaxPrefixesTearsDown = value("families", name, "maxPrefixes", "action").Scalar() == "restart",
            });
        }

        return [.. families];
    }

    private Secret? ReadSecret(Node? node)
    {
        if (node is not { Kind: NodeKind.Map })
        {
            return null;
        }

        Secret? secret = node["file"] is { Kind: NodeKind.Scalar } file ? Secret.FromFile(file.Value, directory)
            : node["env"] is { Kind: NodeKind.Scalar } env ? Secret.FromEnvironment(env.Value)
            : null;
        if (secret?.Error is { } error)
        {
            sink.Warning(node, error + "; the peers that need it stay down");
        }

        return secret;
    }
}
