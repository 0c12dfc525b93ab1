namespace Rib;

/// <summary>Which kind of neighbour a route may be passed on to, by the kind of neighbour that sent it (RFC 4456 section 6).</summary>
/// <remarks>
/// <code>
/// from \ to      Ebgp   Ibgp   IbgpClient
/// Local          yes    yes    yes
/// Ebgp           yes    yes    yes
/// Ibgp           yes    no     yes (reflected)
/// IbgpClient     yes    yes    yes (both reflected)
/// </code>
/// Nothing is ever announced to this host itself. That a route does not return to the very peer that sent it is not decided here but by the
/// target of the encoded message (see <see cref="LogTarget"/>), so that the bytes stay shared.
/// </remarks>
public static class RouteReflection
{
    /// <summary>Whether a route from <paramref name="source"/> may go to <paramref name="target"/>.</summary>
    public static bool MayAdvertise(PeerKind source, PeerKind target) => target switch
    {
        PeerKind.Local => false,

        // RFC 4271 section 9.2: a route from an internal peer is not passed to internal peers; RFC 4456 section 6 excepts clients.
        PeerKind.Ibgp => source != PeerKind.Ibgp,
        _ => true,
    };

    /// <summary>
    /// Whether passing the route on is reflection, so that ORIGINATOR_ID and CLUSTER_LIST are due (RFC 4456 section 8). Routes of this host and of
    /// external peers are announced to internal peers as ever and get neither.
    /// </summary>
    public static bool IsReflection(PeerKind source, PeerKind target) => IsInternal(source) && IsInternal(target);

    private static bool IsInternal(PeerKind kind) => kind is PeerKind.Ibgp or PeerKind.IbgpClient;
}
