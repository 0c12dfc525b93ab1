using System.Globalization;
using Bgp.Protocol;

namespace Bgp.Daemon.Config;

/// <summary>Typed values of nodes whose form <see cref="StructureCheck"/> has judged already: what is not there or not valid is the default.</summary>
internal static class NodeValues
{
    /// <summary>A path of keys, or null.</summary>
    internal static Node? At(this Node? node, params ReadOnlySpan<string> keys)
    {
        foreach (string key in keys)
        {
            node = node?[key];
        }

        return node is { Kind: NodeKind.Null } ? null : node;
    }

    internal static string? Scalar(this Node? node)
    {
        if (node is { Kind: NodeKind.Map } && node["env"] is { Kind: NodeKind.Scalar } name)
        {
            return Environment.GetEnvironmentVariable(name.Value);
        }

        return node is { Kind: NodeKind.Scalar } ? node.Value : null;
    }

    internal static string Text(this Node? node, string otherwise) => node.Scalar() ?? otherwise;

    internal static bool Flag(this Node? node, bool otherwise) => node.Scalar() switch { "true" => true, "false" => false, _ => otherwise };

    internal static long Number(this Node? node, long otherwise) =>
        long.TryParse(node.Scalar(), NumberStyles.None, CultureInfo.InvariantCulture, out long value) && value <= uint.MaxValue ? value : otherwise;

    internal static int Int(this Node? node, int otherwise) => (int)Math.Min(int.MaxValue, node.Number(otherwise));

    internal static uint? UIntOrNull(this Node? node) => node.Number(-1) is >= 0 and long value ? (uint)value : null;

    internal static TimeSpan Duration(this Node? node, TimeSpan otherwise) =>
        node.Scalar() is { } text && ConfigText.TryDuration(text, out TimeSpan value) ? value : otherwise;

    internal static uint Asn(this Node? node, uint otherwise) => node.Scalar() is { } text && ConfigText.TryAsn(text, out uint asn) ? asn : otherwise;

    internal static IpAddr Ip(this Node? node) => IpAddr.TryParse(node.Scalar(), out IpAddr ip) ? ip : default;

    internal static Cidr Prefix(this Node? node) => Cidr.TryParse(node.Scalar(), out Cidr cidr) ? cidr : default;

    internal static uint? RouterId(this Node? node) => node.Scalar() is { } text && ConfigText.TryRouterId(text, out uint id) ? id : null;

    internal static List<Node> Nodes(this Node? node) => node?.Kind switch { NodeKind.List => node.Items, NodeKind.Scalar => [node], _ => [] };

    internal static ConfigList<string> Texts(this Node? node) => [.. node.Nodes().Where(n => n.Kind == NodeKind.Scalar).Select(n => n.Value)];

    internal static ConfigList<Cidr> Prefixes(this Node? node) => [.. node.Nodes().Where(n => Cidr.TryParse(n.Scalar(), out _)).Select(n => n.Prefix())];

    internal static ConfigList<byte> Bytes(this Node? node) => [.. node.Nodes().Select(n => (byte)Math.Clamp(n.Number(0), 0, 255))];

    internal static ConfigList<uint> Communities(this Node? node)
    {
        List<uint> list = [];
        foreach (Node item in node.Nodes())
        {
            if (Community.TryParse(item.Scalar(), out uint community))
            {
                list.Add(community);
            }
        }

        return [.. list];
    }

    internal static ConfigList<LargeCommunity> LargeCommunities(this Node? node)
    {
        List<LargeCommunity> list = [];
        foreach (Node item in node.Nodes())
        {
            if (LargeCommunity.TryParse(item.Scalar(), out LargeCommunity community))
            {
                list.Add(community);
            }
        }

        return [.. list];
    }
}
