namespace Bgp.Protocol;

/// <summary>ORIGIN values (RFC 4271 section 4.3).</summary>
public enum Origin : byte
{
    /// <summary>Interior.</summary>
    Igp = 0,

    /// <summary>Learned via EGP.</summary>
    Egp = 1,

    /// <summary>Anything else.</summary>
    Incomplete = 2,
}

/// <summary>
/// One set of path attributes, immutable, interned by its canonical octets.
/// </summary>
/// <remarks>
/// The canonical form is the wire form (flags, code, length, value) with attributes in ascending code, flags normalised (Partial kept, Extended
/// Length exactly when the value is over 255 octets), AS_PATH and AGGREGATOR with 4-octet AS numbers, NEXT_HOP always included (4 octets, or 16 or
/// 32 for IPv6: global, then link-local), MP_REACH_NLRI, MP_UNREACH_NLRI, AS4_PATH and AS4_AGGREGATOR never. A route that was not learned over BGP starts with the internal attribute
/// of code 0, which holds its <see cref="LocalRouteInfo"/> and never leaves this host. So for an iBGP neighbour most of an UPDATE is one block copy.
/// </remarks>
public sealed partial class PathAttributes
{
}
