using System.Buffers.Binary;

namespace Bgp.Protocol;

/// <summary>MP_REACH_NLRI of an UPDATE (RFC 4760 section 3), in place.</summary>
public readonly ref struct MpReachView
{
    internal MpReachView(AfiSafi family, ReadOnlySpan<byte> nextHop, ReadOnlySpan<byte> nlri)
    {
        Family = family;
        NextHop = nextHop;
        Nlri = nlri;
    }

    /// <summary>The family; <see cref="AfiSafi.None"/> when there is no such attribute, or one of a family that was not negotiated.</summary>
    public AfiSafi Family { get; }

    /// <summary>Octets of the next hop field; the length is one that the family allows.</summary>
    public ReadOnlySpan<byte> NextHop { get; }

    /// <summary>Well-formed NLRI.</summary>
    public ReadOnlySpan<byte> Nlri { get; }

    /// <summary>Whether there is anything to use.</summary>
    public bool IsPresent => Family != AfiSafi.None;
}

/// <summary>MP_UNREACH_NLRI of an UPDATE (RFC 4760 section 4), in place.</summary>
public readonly ref struct MpUnreachView
{
    internal MpUnreachView(AfiSafi family, ReadOnlySpan<byte> nlri)
    {
        Family = family;
        Nlri = nlri;
    }

    /// <summary>The family; <see cref="AfiSafi.None"/> when there is no such attribute, or one of a family that was not negotiated.</summary>
    public AfiSafi Family { get; }

    /// <summary>Well-formed NLRI; empty in an End-of-RIB.</summary>
    public ReadOnlySpan<byte> Nlri { get; }

    /// <summary>Whether there is anything to use.</summary>
    public bool IsPresent => Family != AfiSafi.None;
}

/// <summary>An UPDATE cut into its parts, in place: no copy, no object.</summary>
/// <remarks>
/// The order of work is what keeps a session alive through a bad attribute (RFC 7606 sections 3 (j), 4 and 5): first the two length fields of the
/// message, which alone say where the NLRI are, whatever the attributes claim; then all four lists of prefixes, so that treat-as-withdraw knows
/// what to withdraw; and only then, in <see cref="PathAttributesParser"/>, the attributes. What fails here cannot be withdrawn and resets
/// the session. A caller handles withdrawals first and announcements after them, so that a prefix in both counts as announced (RFC 4271 section 4.3).
/// </remarks>
public readonly ref struct UpdateView
{
    private UpdateView(
        ReadOnlySpan<byte> withdrawn, ReadOnlySpan<byte> attributes, ReadOnlySpan<byte> nlri, MpReachView reach, MpUnreachView unreach, ViewFlags flags)
    {
        Withdrawn = withdrawn;
        Attributes = attributes;
        Nlri = nlri;
        MpReach = reach;
        MpUnreach = unreach;
        Flags = flags;
    }

    [Flags]
    internal enum ViewFlags : byte
    {
        None = 0,
        HasReachable = 1,
        AttributesOverrun = 2,
        LegacyEndOfRib = 4,
        MpEndOfRib = 8,
    }

    internal ViewFlags Flags { get; }

    /// <summary>IPv4 prefixes that are withdrawn. Empty when IPv4 unicast was not negotiated.</summary>
    public ReadOnlySpan<byte> Withdrawn { get; }

    /// <summary>Path attributes as received.</summary>
    public ReadOnlySpan<byte> Attributes { get; }

    /// <summary>IPv4 prefixes that are announced. Empty when IPv4 unicast was not negotiated.</summary>
    public ReadOnlySpan<byte> Nlri { get; }

    /// <summary>Announcements of the multiprotocol kind.</summary>
    public MpReachView MpReach { get; }

    /// <summary>Withdrawals of the multiprotocol kind.</summary>
    public MpUnreachView MpUnreach { get; }

    /// <summary>Whether the message announces anything at all, also of a family that is ignored (RFC 7606 section 5.2).</summary>
    public bool HasReachableNlri => (Flags & ViewFlags.HasReachable) != 0;

    /// <summary>
    /// Whether this is an End-of-RIB marker of a negotiated family (RFC 4724 section 2): an empty UPDATE for IPv4 unicast, or nothing but an
    /// MP_UNREACH_NLRI without prefixes.
    /// </summary>
    public bool IsEndOfRib(out AfiSafi family)
    {
        family = (Flags & ViewFlags.LegacyEndOfRib) != 0 ? AfiSafi.Ipv4Unicast
            : (Flags & ViewFlags.MpEndOfRib) != 0 ? MpUnreach.Family
            : AfiSafi.None;
        return family != AfiSafi.None;
    }

    /// <summary>Cuts the body of an UPDATE. The only error is a session reset; the view is then empty.</summary>
    public static UpdateError TryParse(ReadOnlySpan<byte> body, NegotiatedSession session, out UpdateView view)
    {
        view = default;
        if (!BinaryPrimitives.TryReadUInt16BigEndian(body, out ushort withdrawnLength) || body.Length < 4 + withdrawnLength)
        {
            return List("Withdrawn Routes Length exceeds the message");
        }

        ReadOnlySpan<byte> withdrawn = body.Slice(2, withdrawnLength);
        ReadOnlySpan<byte> rest = body[(2 + withdrawnLength)..];
        int attributesLength = BinaryPrimitives.ReadUInt16BigEndian(rest);
        if (rest.Length - 2 < attributesLength)
        {
            return List("Total Path Attribute Length exceeds the message");
        }

        ReadOnlySpan<byte> attributes = rest.Slice(2, attributesLength);
        ReadOnlySpan<byte> nlri = rest[(2 + attributesLength)..];
        ViewFlags flags = nlri.IsEmpty ? ViewFlags.None : ViewFlags.HasReachable;
        if (session.HasFamily(AfiSafi.Ipv4Unicast))
        {
            bool addPath = session.AddPathReceive(AfiSafi.Ipv4Unicast);
            if (!NlriField.IsWellFormed(withdrawn, Ipv4Prefix.MaxLength, addPath, out _) || !NlriField.IsWellFormed(nlri, Ipv4Prefix.MaxLength, addPath, out _))
            {
                return UpdateError.Reset(new NotificationError(ErrorCode.UpdateMessage, UpdateSubcode.InvalidNetwork), "malformed IPv4 prefix");
            }

            if (body.Length == 4)
            {
                flags |= ViewFlags.LegacyEndOfRib;
            }
        }
        else
        {
            // RFC 4760 section 8: a family that was not negotiated is not used.
            withdrawn = default;
            nlri = default;
        }

        UpdateError error = FindMultiprotocol(attributes, session, ref flags, out MpReachView reach, out MpUnreachView unreach);
        if (error.IsError)
        {
            return error;
        }

        if (unreach.IsPresent && unreach.Nlri.IsEmpty && withdrawnLength == 0 && attributesLength + 4 == body.Length
            && attributesLength == AttributeHeaderLength(attributes) + 3)
        {
            flags |= ViewFlags.MpEndOfRib;
        }

        view = new UpdateView(withdrawn, attributes, nlri, reach, unreach, flags);
        return default;
    }

    private static int AttributeHeaderLength(ReadOnlySpan<byte> attributes) => (attributes[0] & (byte)AttributeFlags.ExtendedLength) != 0 ? 4 : 3;

    private static UpdateError FindMultiprotocol(
        ReadOnlySpan<byte> attributes, NegotiatedSession session, scoped ref ViewFlags flags, out MpReachView reach, out MpUnreachView unreach)
    {
        reach = default;
        unreach = default;
        bool seenReach = false;
        bool seenUnreach = false;
        AttributeReader reader = new(attributes);
        while (true)
        {
            int start = reader.Position;
            AttributeStep step = reader.Next(out _, out byte code, out int offset, out int length);
            if (step == AttributeStep.End)
            {
                return default;
            }

            bool isReach = code == (byte)AttributeCode.MpReachNlri;
            bool isUnreach = code == (byte)AttributeCode.MpUnreachNlri;
            if (step == AttributeStep.Overrun)
            {
                flags |= ViewFlags.AttributesOverrun;

                // RFC 7606 section 3 (j): prefixes that cannot be found cannot be withdrawn either.
                return isReach || isUnreach ? Optional(attributes[start..], (AttributeCode)code, "multiprotocol attribute overruns the attributes") : default;
            }

            if (!isReach && !isUnreach)
            {
                continue;
            }

            // RFC 7606 section 3 (g).
            if (isReach ? seenReach : seenUnreach)
            {
                return List("repeated multiprotocol attribute");
            }

            ReadOnlySpan<byte> value = attributes.Slice(offset, length);
            bool sound;
            if (isReach)
            {
                seenReach = true;
                sound = TryReadReach(value, session, ref flags, out reach);
            }
            else
            {
                seenUnreach = true;
                sound = TryReadUnreach(value, session, out unreach);
            }

            if (!sound)
            {
                return Optional(attributes[start..reader.Position], (AttributeCode)code, "malformed multiprotocol attribute");
            }
        }
    }

    private static bool TryReadReach(ReadOnlySpan<byte> value, NegotiatedSession session, scoped ref ViewFlags flags, out MpReachView reach)
    {
        reach = default;
        if (value.Length < 5)
        {
            return false;
        }

        AfiSafi family = AfiSafiExtensions.Join(BinaryPrimitives.ReadUInt16BigEndian(value), value[2]);
        if (!session.HasFamily(family))
        {
            // Something is announced, though not to us: an attribute error beside it is no reason to doubt where the prefixes are.
            flags |= ViewFlags.HasReachable;
            return true;
        }

        int nextHopLength = value[3];
        if (value.Length < 5 + nextHopLength || !IsNextHopLength(family, nextHopLength, session))
        {
            return false;
        }

        // The reserved octet after the next hop is ignored (RFC 4760 section 3).
        ReadOnlySpan<byte> nlri = value[(5 + nextHopLength)..];
        if (!NlriField.IsWellFormed(nlri, MaxPrefixLength(family), session.AddPathReceive(family), out int count))
        {
            return false;
        }

        flags |= count > 0 ? ViewFlags.HasReachable : ViewFlags.None;
        reach = new MpReachView(family, value.Slice(4, nextHopLength), nlri);
        return true;
    }

    private static bool TryReadUnreach(ReadOnlySpan<byte> value, NegotiatedSession session, out MpUnreachView unreach)
    {
        unreach = default;
        if (value.Length < 3)
        {
            return false;
        }

        AfiSafi family = AfiSafiExtensions.Join(BinaryPrimitives.ReadUInt16BigEndian(value), value[2]);
        if (!session.HasFamily(family))
        {
            return true;
        }

        ReadOnlySpan<byte> nlri = value[3..];
        if (!NlriField.IsWellFormed(nlri, MaxPrefixLength(family), session.AddPathReceive(family), out _))
        {
            return false;
        }

        unreach = new MpUnreachView(family, nlri);
        return true;
    }

    private static int MaxPrefixLength(AfiSafi family) => family == AfiSafi.Ipv4Unicast ? Ipv4Prefix.MaxLength : Ipv6Prefix.MaxLength;

    // RFC 4760 section 3 and RFC 2545 section 3; RFC 8950 section 3 for IPv4 prefixes behind an IPv6 next hop.
    private static bool IsNextHopLength(AfiSafi family, int length, NegotiatedSession session) => family == AfiSafi.Ipv4Unicast
        ? length == 4 || (session.ExtendedNextHop && length is 16 or 32)
        : length is 16 or 32;

    private static UpdateError List(string reason) =>
        UpdateError.Reset(new NotificationError(ErrorCode.UpdateMessage, UpdateSubcode.MalformedAttributeList), reason);

    private static UpdateError Optional(ReadOnlySpan<byte> attribute, AttributeCode code, string reason) => UpdateError.Reset(
        NotificationError.WithData(ErrorCode.UpdateMessage, UpdateSubcode.OptionalAttribute, attribute), reason, code);
}
