using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
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

    /// <summary>Where sessions put what they must not do on the thread that they are on.</summary>
    internal IWorkScheduler Scheduler { get; init; } = PoolScheduler.Instance;

    /// <summary>What opens connections.</summary>
    internal IDialer Dialer { get; init; } = SocketDialer.Instance;

    /// <summary>What timers are jittered with.</summary>
    internal Random Random { get; init; } = Random.Shared;

    internal required AttributeTable Attributes { get; init; }

    internal required RibLoop<Ipv4Prefix> V4 { get; init; }

    internal required RibLoop<Ipv6Prefix> V6 { get; init; }

    /// <summary>BFD, or null where there is none (a simulation).</summary>
    internal Bfd.BfdService? Bfd { get; init; }

    /// <summary>BMP stations, or null where there are none (a simulation).</summary>
    internal Bmp.BmpService? Bmp { get; init; }

    /// <summary>All cluster ids that the configuration uses; replaced as a whole by a reload.</summary>
    internal IReadOnlyList<uint> ClusterIds { get; set; } = [];

    /// <summary>Until when OPENs say that we restarted (R bit, RFC 4724 section 3).</summary>
    internal DateTimeOffset RestartingUntil { get; set; }

    /// <summary>
    /// Whether forwarding went on over our start (F bit): own routes from an earlier life were found in the kernel, or there is no kernel, since then
    /// nothing is forwarded by what this daemon does.
    /// </summary>
    internal bool ForwardingPreserved { get; set; }

    /// <summary>Whether this start is still waiting for neighbours' End-of-RIB.</summary>
    internal bool Recovering { get; set; }

    internal long NextSessionId() => Interlocked.Increment(ref _lastSession);

    /// <summary>
    /// The OPEN that we send to a peer now. The R bit is in the first one after our start, and in all as long as we wait for End-of-RIB ourselves, so that a
    /// neighbour which waits too does not wait for us. The F bit tells a neighbour that may hold routes of ours whether they still forward: over the start that is
    /// what the kernel showed; later it is so, because a lost session stops nothing in the kernel.
    /// </summary>
    internal OpenMessage BuildOpen(PeerSettings peer, bool firstSession)
    {
        List<AfiSafi> families = [.. peer.Families.Select(static family => family.Family)];
        bool preserved = !firstSession || ForwardingPreserved;
        GracefulRestartCapability? restart = null;
        if (peer.GracefulRestart)
        {
            restart = new GracefulRestartCapability
            {
                RestartState = Time.GetUtcNow() < RestartingUntil && (firstSession || Recovering),
                Notification = true,
                RestartTime = peer.RestartTime,
                Families = [.. families.Select(family => new GracefulRestartFamily(family, preserved))],
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
            LongLived = peer.LongLived == 0 ? [] : [.. families.Select(family => new LongLivedFamily(family, preserved, peer.LongLived))],
            AddPath = [.. peer.Families.Where(static family => family.AddPath != AddPathMode.None).Select(static family => new AddPathFamily(family.Family, family.AddPath))],
        });
    }

    /// <summary>Index of an interface; 0 where there is none of that name.</summary>
    /// <remarks>Of our network namespace, whichever one /sys shows.</remarks>
    internal static int InterfaceIndex(string name) => (int)NativeNames.IfNameToIndex(name);

    /// <summary>Ends the time in which a peer's stale routes are kept, in both tables.</summary>
    internal void SweepNow(ushort peer)
    {
        SweepNow(peer, AfiSafi.Ipv4Unicast);
        SweepNow(peer, AfiSafi.Ipv6Unicast);
    }

    /// <summary>The same for one family.</summary>
    internal void SweepNow(ushort peer, AfiSafi family)
    {
        if (family == AfiSafi.Ipv4Unicast)
        {
            V4.PostLater(loop => loop.SweepNow(peer), peer);
        }
        else
        {
            V6.PostLater(loop => loop.SweepNow(peer), peer);
        }
    }

    /// <summary>A peer's stale routes of a family become long-lived stale.</summary>
    internal void MarkLongLived(ushort peer, AfiSafi family)
    {
        if (family == AfiSafi.Ipv4Unicast)
        {
            V4.PostLater(loop => loop.MarkLongLived(peer), peer);
        }
        else
        {
            V6.PostLater(loop => loop.MarkLongLived(peer), peer);
        }
    }
}
