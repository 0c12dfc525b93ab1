namespace Bgp.Protocol;

/// <summary>What the configuration demands of the neighbour's OPEN.</summary>
public sealed record LocalSessionSettings
{
    /// <summary>The neighbour's AS number as configured; 0 accepts any.</summary>
    public uint ExpectedPeerAsn { get; init; }

    /// <summary>Whether ADD-PATH, once offered by both, is used; for a caller that wants to turn it off without changing its OPEN.</summary>
    public bool AllowAddPath { get; init; } = true;
}

/// <summary>What two OPEN messages agree on. Immutable; a pure function of both and the settings.</summary>
public sealed class NegotiatedSession
{
    private readonly byte _families;
    private readonly byte _addPathReceive;
    private readonly byte _addPathSend;

    private NegotiatedSession(OpenMessage local, OpenMessage remote, LocalSessionSettings settings)
    {
        Local = local;
        Remote = remote;
        LocalAsn = local.EffectiveAsn;
        PeerAsn = remote.EffectiveAsn;
        // RFC 4271 section 4.2: the smaller of the two; 0 on either side turns both timers off.
        HoldTime = Math.Min(local.HoldTime, remote.HoldTime);
        As4 = local.Capabilities.As4 is not null && remote.Capabilities.As4 is not null;
        RouteRefresh = local.Capabilities.RouteRefresh && remote.Capabilities.RouteRefresh;
        EnhancedRefresh = local.Capabilities.EnhancedRefresh && remote.Capabilities.EnhancedRefresh;
        ExtendedMessages = local.Capabilities.ExtendedMessages && remote.Capabilities.ExtendedMessages;
        ExtendedNextHop = local.Capabilities.ExtendedNextHop && remote.Capabilities.ExtendedNextHop;
        foreach (AfiSafi family in (ReadOnlySpan<AfiSafi>)[AfiSafi.Ipv4Unicast, AfiSafi.Ipv6Unicast])
        {
            byte bit = Bit(family);
            if (!local.Capabilities.HasFamily(family) || !remote.Capabilities.HasFamily(family))
            {
                continue;
            }

            _families |= bit;
            if (!settings.AllowAddPath)
            {
                continue;
            }

            AddPathMode ours = local.Capabilities.AddPathFor(family);
            AddPathMode theirs = remote.Capabilities.AddPathFor(family);
            if (ours.HasFlag(AddPathMode.Receive) && theirs.HasFlag(AddPathMode.Send))
            {
                _addPathReceive |= bit;
            }

            if (ours.HasFlag(AddPathMode.Send) && theirs.HasFlag(AddPathMode.Receive))
            {
                _addPathSend |= bit;
            }
        }
    }

    /// <summary>Our OPEN.</summary>
    public OpenMessage Local { get; }

    /// <summary>The neighbour's OPEN.</summary>
    public OpenMessage Remote { get; }

    /// <summary>Seconds; 0 turns hold timer and KEEPALIVEs off.</summary>
    public ushort HoldTime { get; }

    /// <summary>AS numbers take four octets in AS_PATH and AGGREGATOR (RFC 6793 section 4).</summary>
    public bool As4 { get; }

    /// <summary>RFC 2918.</summary>
    public bool RouteRefresh { get; }

    /// <summary>RFC 7313.</summary>
    public bool EnhancedRefresh { get; }

    /// <summary>RFC 8654.</summary>
    public bool ExtendedMessages { get; }

    /// <summary>RFC 8950 for IPv4 unicast.</summary>
    public bool ExtendedNextHop { get; }

    /// <summary>4096 or 65535.</summary>
    public int MaxMessageLength => ExtendedMessages ? BgpConstants.MaxExtendedMessageLength : BgpConstants.MaxMessageLength;

    /// <summary>Our AS number on this session.</summary>
    public uint LocalAsn { get; }

    /// <summary>The neighbour's AS number.</summary>
    public uint PeerAsn { get; }

    /// <summary>Whether both are in one AS.</summary>
    public bool IsIbgp => LocalAsn == PeerAsn;

    /// <summary>Our identifier, host order.</summary>
    public uint LocalRouterId => Local.RouterId;

    /// <summary>The neighbour's identifier, host order.</summary>
    public uint PeerRouterId => Remote.RouterId;

    /// <summary>The neighbour's Graceful Restart capability, when both sides sent one.</summary>
    public GracefulRestartCapability? PeerGracefulRestart =>
        Local.Capabilities.GracefulRestart is null ? null : Remote.Capabilities.GracefulRestart;

    /// <summary>Whether NOTIFICATIONs other than Hard Reset start graceful restart (RFC 8538 section 4: both sent the N bit).</summary>
    public bool GracefulNotification =>
        Local.Capabilities.GracefulRestart is { Notification: true } && Remote.Capabilities.GracefulRestart is { Notification: true };

    /// <summary>Long-lived graceful restart families of the neighbour, when we sent that capability too (RFC 9494).</summary>
    public IReadOnlyList<LongLivedFamily> PeerLongLived => Local.Capabilities.LongLived.Count == 0 ? [] : Remote.Capabilities.LongLived;

    private static byte Bit(AfiSafi family) => family switch
    {
        AfiSafi.Ipv4Unicast => 1,
        AfiSafi.Ipv6Unicast => 2,
        _ => 0,
    };

    /// <summary>Whether routes of the family are exchanged (RFC 4760 section 8: both said so).</summary>
    public bool HasFamily(AfiSafi family) => (_families & Bit(family)) != 0;

    /// <summary>Whether no family is common to both sides: such a session exchanges nothing.</summary>
    public bool HasNoFamily => _families == 0;

    /// <summary>Whether received NLRI of the family carry path identifiers.</summary>
    public bool AddPathReceive(AfiSafi family) => (_addPathReceive & Bit(family)) != 0;

    /// <summary>Whether NLRI of the family that we send carry path identifiers.</summary>
    public bool AddPathSend(AfiSafi family) => (_addPathSend & Bit(family)) != 0;

    /// <summary>
    /// Checks the neighbour's OPEN against what is expected of it, and combines both (RFC 4271 section 6.2, RFC 6286 section 2.2).
    /// <paramref name="session"/> is only set when there is no error.
    /// </summary>
    public static NotificationError TryNegotiate(OpenMessage local, OpenMessage remote, LocalSessionSettings settings, out NegotiatedSession session)
    {
        session = null!;
        if (settings.ExpectedPeerAsn != 0 && remote.EffectiveAsn != settings.ExpectedPeerAsn)
        {
            return new NotificationError(ErrorCode.OpenMessage, OpenSubcode.BadPeerAs);
        }

        if (remote.RouterId == local.RouterId && remote.EffectiveAsn == local.EffectiveAsn)
        {
            return new NotificationError(ErrorCode.OpenMessage, OpenSubcode.BadIdentifier);
        }

        session = new NegotiatedSession(local, remote, settings);
        return default;
    }

    /// <summary>Combines both without checking the neighbour against the configuration.</summary>
    public static NegotiatedSession Negotiate(OpenMessage local, OpenMessage remote, LocalSessionSettings settings) => new(local, remote, settings);
}
