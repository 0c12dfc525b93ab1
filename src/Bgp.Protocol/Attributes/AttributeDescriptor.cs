namespace Bgp.Protocol;

/// <summary>How the length of an attribute's value is judged.</summary>
public enum AttributeLengthRule : byte
{
    /// <summary>Judged with the content.</summary>
    Any,

    /// <summary>Exactly <see cref="AttributeDescriptor.LengthUnit"/> octets.</summary>
    Exactly,

    /// <summary>A multiple of <see cref="AttributeDescriptor.LengthUnit"/>, and not 0.</summary>
    NonZeroMultiple,
}

/// <summary>
/// What this speaker knows of one path attribute: the single registry that parser, encoder, builder and printer work from.
/// </summary>
/// <remarks>
/// Error classes are those of RFC 7606 section 7 for each attribute; wrong Optional or Transitive bits are treat-as-withdraw for all of them
/// (section 3 (c)), except where the whole attribute is discarded whatever it holds. Attributes without a descriptor are unknown: passed on with the
/// Partial bit when they are optional transitive, dropped when they are optional non-transitive, an error when they claim to be well-known.
/// </remarks>
public sealed class AttributeDescriptor
{
    private static readonly AttributeDescriptor?[] _byCode = Build();

    private AttributeDescriptor(AttributeCode code, string name, AttributeFlags flags)
    {
        Code = code;
        Name = name;
        Flags = flags;
    }

    /// <summary>Type code.</summary>
    public AttributeCode Code { get; }

    /// <summary>Name as in the RFC.</summary>
    public string Name { get; }

    /// <summary>Optional and Transitive bits as the RFC defines them.</summary>
    public AttributeFlags Flags { get; }

    /// <summary>How the length is judged.</summary>
    public AttributeLengthRule LengthRule { get; private init; }

    /// <summary>Octets that <see cref="LengthRule"/> speaks of.</summary>
    public int LengthUnit { get; private init; }

    /// <summary>What a malformed value leads to (RFC 7606 section 7).</summary>
    public UpdateAction OnError { get; private init; } = UpdateAction.TreatAsWithdraw;

    /// <summary>UPDATE subcode if the error must become a session reset after all (RFC 7606 section 5.2).</summary>
    public byte ErrorSubcode { get; private init; } = UpdateSubcode.AttributeLength;

    /// <summary>Has no meaning across an AS border: discarded from, and never sent to, external neighbours.</summary>
    public bool InternalOnly { get; private init; }

    /// <summary>Whether it is part of the canonical form.</summary>
    public bool IsCanonical { get; private init; } = true;

    /// <summary>The descriptor of a code, or null for an attribute that this speaker does not know.</summary>
    public static AttributeDescriptor? Find(byte code) => _byCode[code];

    /// <summary>All descriptors, by code.</summary>
    public static IEnumerable<AttributeDescriptor> All => _byCode.Where(static known => known is not null)!;

    /// <summary>
    /// Codes that IANA assigned to optional attributes which this speaker does not implement. With the Optional bit off they are not "unrecognized
    /// well-known" but known to have wrong flags.
    /// </summary>
    public static bool IsAssignedOptional(byte code) => code is (>= 11 and <= 13) or (>= 19 and <= 40) or 128 or 129 or (>= 241 and <= 243);

    private static AttributeDescriptor?[] Build()
    {
        const AttributeFlags wellKnown = AttributeFlags.Transitive;
        const AttributeFlags optional = AttributeFlags.Optional;
        const AttributeFlags optionalTransitive = AttributeFlags.Optional | AttributeFlags.Transitive;
        AttributeDescriptor?[] table = new AttributeDescriptor?[256];
        foreach (AttributeDescriptor known in (ReadOnlySpan<AttributeDescriptor>)
        [
            new(AttributeCode.Local, "LOCAL", AttributeFlags.None) { InternalOnly = true },
            new(AttributeCode.Origin, "ORIGIN", wellKnown) { LengthRule = AttributeLengthRule.Exactly, LengthUnit = 1 },
            new(AttributeCode.AsPath, "AS_PATH", wellKnown) { ErrorSubcode = UpdateSubcode.MalformedAsPath },
            new(AttributeCode.NextHop, "NEXT_HOP", wellKnown) { LengthRule = AttributeLengthRule.Exactly, LengthUnit = 4 },
            new(AttributeCode.MultiExitDisc, "MULTI_EXIT_DISC", optional) { LengthRule = AttributeLengthRule.Exactly, LengthUnit = 4 },
            new(AttributeCode.LocalPref, "LOCAL_PREF", wellKnown) { LengthRule = AttributeLengthRule.Exactly, LengthUnit = 4, InternalOnly = true },
            new(AttributeCode.AtomicAggregate, "ATOMIC_AGGREGATE", wellKnown)
            {
                LengthRule = AttributeLengthRule.Exactly,
                LengthUnit = 0,
                OnError = UpdateAction.AttributeDiscard,
            },
            new(AttributeCode.Aggregator, "AGGREGATOR", optionalTransitive) { OnError = UpdateAction.AttributeDiscard },
            new(AttributeCode.Communities, "COMMUNITIES", optionalTransitive) { LengthRule = AttributeLengthRule.NonZeroMultiple, LengthUnit = 4 },
            new(AttributeCode.OriginatorId, "ORIGINATOR_ID", optional) { LengthRule = AttributeLengthRule.Exactly, LengthUnit = 4, InternalOnly = true },
            new(AttributeCode.ClusterList, "CLUSTER_LIST", optional) { LengthRule = AttributeLengthRule.NonZeroMultiple, LengthUnit = 4, InternalOnly = true },
            new(AttributeCode.MpReachNlri, "MP_REACH_NLRI", optional) { OnError = UpdateAction.SessionReset, IsCanonical = false },
            new(AttributeCode.MpUnreachNlri, "MP_UNREACH_NLRI", optional) { OnError = UpdateAction.SessionReset, IsCanonical = false },
            new(AttributeCode.ExtendedCommunities, "EXTENDED COMMUNITIES", optionalTransitive)
            {
                LengthRule = AttributeLengthRule.NonZeroMultiple,
                LengthUnit = ExtendedCommunity.WireLength,
            },
            new(AttributeCode.As4Path, "AS4_PATH", optionalTransitive) { OnError = UpdateAction.AttributeDiscard, IsCanonical = false },
            new(AttributeCode.As4Aggregator, "AS4_AGGREGATOR", optionalTransitive)
            {
                LengthRule = AttributeLengthRule.Exactly,
                LengthUnit = 8,
                OnError = UpdateAction.AttributeDiscard,
                IsCanonical = false,
            },
            new(AttributeCode.LargeCommunities, "LARGE COMMUNITIES", optionalTransitive)
            {
                LengthRule = AttributeLengthRule.NonZeroMultiple,
                LengthUnit = LargeCommunity.WireLength,
            },
        ])
        {
            table[(byte)known.Code] = known;
        }

        return table;
    }

    /// <summary>Whether a length obeys <see cref="LengthRule"/>.</summary>
    public bool AcceptsLength(int length) => LengthRule switch
    {
        AttributeLengthRule.Exactly => length == LengthUnit,
        AttributeLengthRule.NonZeroMultiple => length != 0 && length % LengthUnit == 0,
        _ => true,
    };
}
