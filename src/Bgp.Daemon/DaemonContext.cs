using Bgp.Daemon.Peers;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Microsoft.Extensions.Logging;
using Rib;

namespace Bgp.Daemon;

/// <summary>What sessions share: tables, clock, log, and what the daemon knows of its own restart.</summary>
internal sealed class DaemonContext
{
    private long _lastSession;

    internal required TimeProvider Time { get; init; }

    internal required ILogger Log { get; init; }

    internal required AttributeTable Attributes { get; init; }

    internal required RibLoop<Ipv4Prefix> V4 { get; init; }

    internal required RibLoop<Ipv6Prefix> V6 { get; init; }

    /// <summary>BFD, or null where there is none (a simulation).</summary>
    internal Bfd.BfdService? Bfd { get; init; }

    /// <summary>All cluster ids that the configuration uses; replaced as a whole by a reload.</summary>
    internal IReadOnlyList<uint> ClusterIds { get; set; } = [];

    /// <summary>Until when OPENs say that we restarted (R bit, RFC 4724 section 3).</summary>
    internal DateTimeOffset RestartingUntil { get; set; }

    /// <summary>Whether own routes from an earlier life were found in the kernel, so that forwarding went on (F bit).</summary>
    internal bool ForwardingPreserved { get; set; }

    internal long NextSessionId() => Interlocked.Increment(ref _lastSession);

    /// <summary>The OPEN that we send to a peer now.</summary>
    internal OpenMessage BuildOpen(PeerSettings peer)
    {
        List<AfiSafi> families = [.. peer.Families.Select(static family => family.Family)];
        GracefulRestartCapability? restart = null;
        if (peer.GracefulRestart)
        {
            bool restarting = Time.GetUtcNow() < RestartingUntil;
            restart = new GracefulRestartCapability
            {
                RestartState = restarting,
                Notification = true,
                RestartTime = peer.RestartTime,
                Families = [.. families.Select(family => new GracefulRestartFamily(family, restarting && ForwardingPreserved))],
            };
        }

        return OpenMessage.Create(peer.LocalAsn, (ushort)peer.HoldTime, peer.RouterId, new Capabilities
        {
            Families = families,
            As4 = peer.LocalAsn,
            RouteRefresh = true,
            EnhancedRefresh = true,
            ExtendedMessages = true,
            ExtendedNextHop = peer.Address.IsV6 && families.Contains(AfiSafi.Ipv4Unicast),
            GracefulRestart = restart,
            AddPath = [.. peer.Families.Where(static family => family.AddPath != AddPathMode.None).Select(static family => new AddPathFamily(family.Family, family.AddPath))],
        });
    }

    /// <summary>Index of an interface; 0 where there is none of that name.</summary>
    internal static int InterfaceIndex(string name)
    {
        try
        {
            return int.Parse(File.ReadAllText($"/sys/class/net/{System.IO.Path.GetFileName(name)}/ifindex"), System.Globalization.CultureInfo.InvariantCulture);
        }
        catch (Exception exception) when (exception is IOException or FormatException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    /// <summary>Ends the time in which a peer's stale routes are kept, in both tables.</summary>
    internal void SweepNow(ushort peer)
    {
        V4.PostLater(loop => loop.SweepNow(peer));
        V6.PostLater(loop => loop.SweepNow(peer));
    }
}
