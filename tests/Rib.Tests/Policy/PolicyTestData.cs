using Bgp.Protocol;

namespace Rib.Tests.Policy;

/// <summary>Routes and neighbours for policy tests.</summary>
internal static class PolicyTestData
{
    internal static readonly RibPeer Self = new() { Index = 0, Name = "local", Kind = PeerKind.Local };
    internal static readonly RibPeer Ibgp = new() { Index = 1, Name = "node-b", Kind = PeerKind.Ibgp };
    internal static readonly RibPeer Ebgp = new() { Index = 2, Name = "tor", Kind = PeerKind.Ebgp };
    internal static readonly RibPeer Client = new() { Index = 3, Name = "client", Kind = PeerKind.IbgpClient };

    internal delegate void Edit(ref PathAttributesBuilder builder);

    internal static byte[] Octets(string nextHop = "10.0.0.2", LocalRouteInfo? local = null, Edit? edit = null)
    {
        Span<byte> buffer = stackalloc byte[4096];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, IpAddr.Parse(nextHop));
        if (local is LocalRouteInfo info)
        {
            builder.SetLocal(info);
        }

        edit?.Invoke(ref builder);
        return builder.Build().ToArray();
    }

    internal static PathAttributes Bgp(string nextHop = "10.0.0.2", Edit? edit = null) => PathAttributes.Decode(Octets(nextHop, null, edit));

    internal static PathAttributes FromKernel(string link = "cali123", byte protocol = 3, uint metric = 0, string? gateway = null) =>
        PathAttributes.Decode(Octets(local: new LocalRouteInfo(RouteSource.Kernel, protocol, metric, link, gateway is null ? default : IpAddr.Parse(gateway))));

    internal static PathAttributes Originated() => PathAttributes.Decode(Octets(local: new LocalRouteInfo(RouteSource.Originate, 0, 0, "", default)));
}
