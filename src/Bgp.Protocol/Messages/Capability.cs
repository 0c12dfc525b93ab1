namespace Bgp.Protocol;

/// <summary>Capability codes (IANA "Capability Codes") that this speaker sends or reads.</summary>
public static class CapabilityCode
{
    /// <summary>Multiprotocol Extensions (RFC 4760 section 8).</summary>
    public const byte Multiprotocol = 1;

    /// <summary>Route Refresh (RFC 2918).</summary>
    public const byte RouteRefresh = 2;

    /// <summary>Extended Next Hop Encoding (RFC 8950).</summary>
    public const byte ExtendedNextHop = 5;

    /// <summary>Extended Message (RFC 8654).</summary>
    public const byte ExtendedMessage = 6;

    /// <summary>Graceful Restart (RFC 4724).</summary>
    public const byte GracefulRestart = 64;

    /// <summary>4-octet AS numbers (RFC 6793).</summary>
    public const byte FourOctetAs = 65;

    /// <summary>ADD-PATH (RFC 7911).</summary>
    public const byte AddPath = 69;

    /// <summary>Enhanced Route Refresh (RFC 7313).</summary>
    public const byte EnhancedRouteRefresh = 70;

    /// <summary>Long-Lived Graceful Restart (RFC 9494).</summary>
    public const byte LongLivedGracefulRestart = 71;
}

/// <summary>One family of a Graceful Restart capability.</summary>
/// <param name="Family">AFI and SAFI.</param>
/// <param name="ForwardingPreserved">The F bit: forwarding state survived the restart.</param>
public readonly record struct GracefulRestartFamily(AfiSafi Family, bool ForwardingPreserved);

/// <summary>The Graceful Restart capability (RFC 4724 section 3, N bit of RFC 8538 section 2).</summary>
public sealed record GracefulRestartCapability
{
    /// <summary>The largest restart time that 12 bits hold.</summary>
    public const int MaxRestartTime = 4095;

    /// <summary>The R bit: the sender has just restarted, do not wait for its End-of-RIB.</summary>
    public bool RestartState { get; init; }

    /// <summary>The N bit (RFC 8538): NOTIFICATIONs other than Hard Reset start graceful restart too.</summary>
    public bool Notification { get; init; }

    /// <summary>Seconds until the sender expects to be back, 0-4095.</summary>
    public int RestartTime { get; init; }

    /// <summary>The families whose forwarding state can survive. Empty: only End-of-RIB is supported.</summary>
    public IReadOnlyList<GracefulRestartFamily> Families { get; init; } = [];

    /// <summary>Whether the family is listed.</summary>
    public bool Covers(AfiSafi family) => Find(family, out _);

    /// <summary>Whether the family is listed with its F bit set.</summary>
    public bool ForwardingPreserved(AfiSafi family) => Find(family, out bool preserved) && preserved;

    private bool Find(AfiSafi family, out bool preserved)
    {
        for (int i = 0; i < Families.Count; i++)
        {
            if (Families[i].Family == family)
            {
                preserved = Families[i].ForwardingPreserved;
                return true;
            }
        }

        preserved = false;
        return false;
    }
}

/// <summary>One family of a Long-Lived Graceful Restart capability (RFC 9494 section 3).</summary>
/// <param name="Family">AFI and SAFI.</param>
/// <param name="ForwardingPreserved">The F bit.</param>
/// <param name="StaleTime">Seconds, 24 bits.</param>
public readonly record struct LongLivedFamily(AfiSafi Family, bool ForwardingPreserved, int StaleTime);

/// <summary>Directions of ADD-PATH (RFC 7911 section 4), as seen by the one who says it.</summary>
[Flags]
public enum AddPathMode : byte
{
    /// <summary>Neither.</summary>
    None = 0,

    /// <summary>Can receive several paths.</summary>
    Receive = 1,

    /// <summary>Would send several paths.</summary>
    Send = 2,

    /// <summary>Both directions.</summary>
    Both = 3,
}

/// <summary>One family of an ADD-PATH capability.</summary>
/// <param name="Family">AFI and SAFI.</param>
/// <param name="Mode">Directions.</param>
public readonly record struct AddPathFamily(AfiSafi Family, AddPathMode Mode);
