using System.Buffers.Binary;
using System.Numerics;

namespace Bgp.Protocol;

/// <summary>Checks the path attributes of one UPDATE after another and turns them into canonical octets. One per session; not thread safe.</summary>
/// <remarks>
/// <para>
/// One walk notes where each attribute lies, in tables indexed by type code; a bitmap of the codes seen then gives them back in ascending
/// order, which is the canonical order, so nothing is ever sorted. Each is checked by its <see cref="AttributeDescriptor"/> (RFC 7606 section 3 (c),
/// then section 7), only the strongest action is remembered (section 3 (h)), and a set is written only if the routes stand.
/// </para>
/// <para>
/// Memory: 3 KB of tables and two buffers of the size of the largest set seen, per session. In steady state nothing is allocated: asserted by a test.
/// </para>
/// </remarks>
public sealed partial class PathAttributesParser
{
    private readonly int[] _start = new int[256];
    private readonly int[] _offset = new int[256];
    private readonly int[] _length = new int[256];
    private readonly byte[] _flags = new byte[256];
    private readonly ulong[] _seen = new ulong[4];
    private readonly byte[] _nextHop = new byte[32];
    private readonly byte[] _aggregator = new byte[8];
    private byte[] _forIpv4 = [];
    private byte[] _forMp = [];

    /// <summary>Octets of the buffers that it keeps.</summary>
    public int ScratchBytes => _flags.Length + _nextHop.Length + _aggregator.Length + _forIpv4.Length + _forMp.Length + _large.Length;

    private byte[] _path = [];
    private byte[] _merged = [];
    private int _pathLength;
    private int _lastSegment;
    private bool _useMerged;
    private UpdateAction _action;
    private AttributeCode _attribute;
    private byte _subcode;
    private string? _reason;

    /// <summary>Whether the routes of the last UPDATE have been here before. They are not in error: the caller takes them as withdrawn and counts.</summary>
    public LoopKind Loop { get; private set; }

    /// <summary>Checks the attributes of <paramref name="view"/>.</summary>
    /// <param name="view">A view that <see cref="UpdateView.TryParse"/> made with the same session.</param>
    /// <param name="session">What was negotiated.</param>
    /// <param name="rules">What is configured.</param>
    /// <param name="canonicalForIpv4">The set for the prefixes in the NLRI field, with the next hop of NEXT_HOP; empty without such prefixes or when they do not
    /// stand. Valid until the next call.</param>
    /// <param name="canonicalForMp">The same for the prefixes of MP_REACH_NLRI, with its next hop.</param>
    /// <returns>The strongest action of all errors; with <see cref="UpdateAction.AttributeDiscard"/> the sets are there, without the attribute.</returns>
    public UpdateError Parse(
        in UpdateView view, NegotiatedSession session, AttributeRules rules, out ReadOnlySpan<byte> canonicalForIpv4, out ReadOnlySpan<byte> canonicalForMp)
    {
        canonicalForIpv4 = default;
        canonicalForMp = default;
        Loop = LoopKind.None;
        if (view.Attributes.IsEmpty && !view.HasReachableNlri)
        {
            return default;
        }

        _action = UpdateAction.None;
        _attribute = AttributeCode.Local;
        _subcode = 0;
        _reason = null;
        _pathLength = 0;
        _useMerged = false;
        _seen.AsSpan().Clear();
        Collect(view.Attributes);
        Check(view, session, rules);
        if (view.HasReachableNlri)
        {
            RequireMandatory(view);
        }

        int mpNextHopLength = 0;
        if (view.MpReach.IsPresent && !view.MpReach.Nlri.IsEmpty)
        {
            mpNextHopLength = ReadMpNextHop(view.MpReach.NextHop);
            if (mpNextHopLength == 0)
            {
                Note(UpdateAction.TreatAsWithdraw, AttributeCode.MpReachNlri, UpdateSubcode.OptionalAttribute, "next hop is not a host address");
            }
        }

        if (_action >= UpdateAction.TreatAsWithdraw)
        {
            return Failure(view);
        }

        if (!view.HasReachableNlri)
        {
            return Outcome();
        }

        if (Path(view.Attributes, session).Length > ushort.MaxValue)
        {
            // Only with extended messages from a neighbour with 2-octet AS numbers: no attribute can hold that many with four octets each.
            return new UpdateError(UpdateAction.TreatAsWithdraw, default, AttributeCode.AsPath, "AS_PATH is too long for 4-octet AS numbers");
        }

        Loop = FindLoop(view.Attributes, session, rules);
        if (!view.Nlri.IsEmpty)
        {
            ReadOnlySpan<byte> nextHop = Value(view.Attributes, AttributeCode.NextHop);
            canonicalForIpv4 = Emit(view.Attributes, session, nextHop, ref _forIpv4);
        }

        if (view.MpReach.IsPresent && !view.MpReach.Nlri.IsEmpty)
        {
            canonicalForMp = Emit(view.Attributes, session, _nextHop.AsSpan(0, mpNextHopLength), ref _forMp);
        }

        return Outcome();
    }

    private UpdateError Outcome() => _action == UpdateAction.None ? default : new UpdateError(_action, default, _attribute, _reason);

    private UpdateError Failure(in UpdateView view)
    {
        // RFC 7606 section 5.2: attributes other than MP_UNREACH_NLRI, and nothing announced: it is not certain that the prefixes were found, so withdrawing is not enough.
        if (_action == UpdateAction.TreatAsWithdraw && (view.HasReachableNlri || IsUnreachAlone(view.Attributes)))
        {
            return new UpdateError(UpdateAction.TreatAsWithdraw, default, _attribute, _reason);
        }

        int code = (int)_attribute;
        NotificationError notification = _subcode != UpdateSubcode.MalformedAttributeList && Seen(code)
            ? NotificationError.WithData(ErrorCode.UpdateMessage, _subcode, view.Attributes[_start[code]..(_offset[code] + _length[code])])
            : new NotificationError(ErrorCode.UpdateMessage, _subcode);
        return UpdateError.Reset(notification, _reason!, _attribute);
    }

    /// <summary>Whether MP_UNREACH_NLRI is all that there is. Nothing but its flags can be wrong here, and what it withdraws has been read.</summary>
    private bool IsUnreachAlone(ReadOnlySpan<byte> attributes)
    {
        const int code = (int)AttributeCode.MpUnreachNlri;
        return Seen(code) && _start[code] == 0 && _offset[code] + _length[code] == attributes.Length;
    }

    private void Note(UpdateAction action, AttributeCode attribute, byte subcode, string reason)
    {
        if (action > _action)
        {
            (_action, _attribute, _subcode, _reason) = (action, attribute, subcode, reason);
        }
    }

    private bool Seen(int code) => (_seen[code >> 6] & (1UL << (code & 63))) != 0;

    private void Forget(int code) => _seen[code >> 6] &= ~(1UL << (code & 63));

    private ReadOnlySpan<byte> Value(ReadOnlySpan<byte> attributes, AttributeCode code) =>
        Seen((int)code) ? attributes.Slice(_offset[(int)code], _length[(int)code]) : default;

    private void Collect(ReadOnlySpan<byte> attributes)
    {
        AttributeReader reader = new(attributes);
        while (true)
        {
            int start = reader.Position;
            AttributeStep step = reader.Next(out byte flags, out byte code, out int offset, out int length);
            if (step == AttributeStep.End)
            {
                return;
            }

            if (step == AttributeStep.Overrun)
            {
                Note(UpdateAction.TreatAsWithdraw, (AttributeCode)code, UpdateSubcode.MalformedAttributeList, "attribute overruns the attributes");
                return;
            }

            if (Seen(code))
            {
                // RFC 7606 section 3 (g): the first counts. Repeated multiprotocol attributes never come this far.
                Note(UpdateAction.AttributeDiscard, (AttributeCode)code, UpdateSubcode.MalformedAttributeList, "repeated attribute");
                continue;
            }

            _seen[code >> 6] |= 1UL << (code & 63);
            _start[code] = start;
            _offset[code] = offset;
            _length[code] = length;
            _flags[code] = flags;
        }
    }

    private void Check(in UpdateView view, NegotiatedSession session, AttributeRules rules)
    {
        for (int word = 0; word < 4; word++)
        {
            for (ulong bits = _seen[word]; bits != 0; bits &= bits - 1)
            {
                int code = (word << 6) | BitOperations.TrailingZeroCount(bits);
                AttributeDescriptor? known = code == 0 ? null : AttributeDescriptor.Find((byte)code);
                if (known is null)
                {
                    CheckUnknown(code);
                }
                else
                {
                    CheckKnown(known, view, session, rules);
                }
            }
        }
    }

    private void CheckUnknown(int code)
    {
        AttributeFlags flags = (AttributeFlags)_flags[code];
        if ((flags & AttributeFlags.Optional) == 0)
        {
            if (AttributeDescriptor.IsAssignedOptional((byte)code))
            {
                Note(UpdateAction.TreatAsWithdraw, (AttributeCode)code, UpdateSubcode.AttributeFlags, "wrong attribute flags");
            }
            else
            {
                // RFC 4271 section 6.3; RFC 7606 leaves this one as it was.
                Note(UpdateAction.SessionReset, (AttributeCode)code, UpdateSubcode.UnrecognizedWellKnown, "unrecognized well-known attribute");
            }
        }
        else if ((flags & AttributeFlags.Transitive) == 0 || code == 0)
        {
            // RFC 4271 section 5: quietly ignored. Code 0 is reserved, and marks our own internal attribute.
            Forget(code);
        }
    }

    private void CheckKnown(AttributeDescriptor known, in UpdateView view, NegotiatedSession session, AttributeRules rules)
    {
        int code = (int)known.Code;
        if (known.InternalOnly && !session.IsIbgp)
        {
            // RFC 7606 sections 7.5, 7.9, 7.10: discarded from an external neighbour whatever it holds.
            Discard(known.Code, "internal attribute from an external neighbour");
            return;
        }

        if (session.As4 && known.Code is (AttributeCode.As4Path or AttributeCode.As4Aggregator))
        {
            // RFC 6793 section 4.1.
            Discard(known.Code, "AS4 attribute from a neighbour with 4-octet AS numbers");
            return;
        }

        const byte judged = (byte)(AttributeFlags.Optional | AttributeFlags.Transitive);
        if ((_flags[code] & judged) != (byte)known.Flags)
        {
            Note(UpdateAction.TreatAsWithdraw, known.Code, UpdateSubcode.AttributeFlags, "wrong attribute flags");
            return;
        }

        if (!known.AcceptsLength(_length[code]))
        {
            Malformed(known, "wrong attribute length");
            return;
        }

        ReadOnlySpan<byte> value = Value(view.Attributes, known.Code);
        switch (known.Code)
        {
            case AttributeCode.Origin:
                if (value[0] > (byte)Origin.Incomplete)
                {
                    Note(UpdateAction.TreatAsWithdraw, known.Code, UpdateSubcode.InvalidOrigin, "undefined ORIGIN value");
                }

                break;
            case AttributeCode.AsPath:
                CheckAsPath(value, view, session, rules);
                break;
            case AttributeCode.NextHop:
                // RFC 4760 section 3: beside MP_REACH_NLRI alone it is ignored.
                if (!view.Nlri.IsEmpty && !IsHost(BinaryPrimitives.ReadUInt32BigEndian(value)))
                {
                    Note(UpdateAction.TreatAsWithdraw, known.Code, UpdateSubcode.InvalidNextHop, "next hop is not a host address");
                }

                break;
            case AttributeCode.Aggregator:
                int asnLength = session.As4 ? 4 : 2;
                if (value.Length != asnLength + 4)
                {
                    Malformed(known, "wrong attribute length");
                }
                else if (IsZero(value[..asnLength]))
                {
                    // RFC 7607 section 2.
                    Malformed(known, "AS 0 in AGGREGATOR");
                }

                break;
            case AttributeCode.As4Aggregator:
                if (IsZero(value[..4]))
                {
                    Malformed(known, "AS 0 in AS4_AGGREGATOR");
                }

                break;
            case AttributeCode.As4Path:
                if (value.IsEmpty || CheckSegments(value, as4: true, allowConfederation: true, out _) is not null)
                {
                    Malformed(known, "malformed AS4_PATH");
                }

                break;
            default:
                break;
        }
    }

    private void Malformed(AttributeDescriptor known, string reason)
    {
        Note(known.OnError, known.Code, known.ErrorSubcode, reason);
        if (known.OnError == UpdateAction.AttributeDiscard)
        {
            Forget((int)known.Code);
        }
    }

    private void Discard(AttributeCode code, string reason)
    {
        Note(UpdateAction.AttributeDiscard, code, UpdateSubcode.OptionalAttribute, reason);
        Forget((int)code);
    }

    private static bool IsZero(ReadOnlySpan<byte> octets) => octets.IndexOfAnyExcept((byte)0) < 0;

    private void RequireMandatory(in UpdateView view)
    {
        if (!Seen((int)AttributeCode.Origin))
        {
            Missing(AttributeCode.Origin, "ORIGIN is missing");
        }

        if (!Seen((int)AttributeCode.AsPath))
        {
            Missing(AttributeCode.AsPath, "AS_PATH is missing");
        }

        if (!view.Nlri.IsEmpty && !Seen((int)AttributeCode.NextHop))
        {
            Missing(AttributeCode.NextHop, "NEXT_HOP is missing");
        }
    }

    private void Missing(AttributeCode code, string reason) => Note(UpdateAction.TreatAsWithdraw, code, UpdateSubcode.MissingWellKnown, reason);

    /// <summary>Not 0.0.0.0/8, multicast or class E.</summary>
    // 127/8 is a host address, if only to speakers on one host; whether it resolves is the table's question.
    private static bool IsHost(uint address) => address >> 24 is not 0 and < 224;

    private static bool IsHost(in IpAddr address) =>
        address.IsV4 ? IsHost(address.V4Value) : !(address.IsNone || address.IsUnspecified || address.IsMulticast || address.IsLoopback);

    /// <summary>
    /// Puts the next hop of MP_REACH_NLRI into <see cref="_nextHop"/>: a global address, a link-local one, or both (RFC 2545 section 3). Some speakers
    /// have no global address and send :: or the link-local one in its place. Returns the octets, 0 when there is no host address.
    /// </summary>
    private int ReadMpNextHop(ReadOnlySpan<byte> field)
    {
        if (field.Length == 4)
        {
            field.CopyTo(_nextHop);
            return IsHost(IpAddr.FromBytes(field)) ? 4 : 0;
        }

        IpAddr global = IpAddr.FromBytes(field[..16]);
        IpAddr linkLocal = field.Length == 32 ? IpAddr.FromBytes(field[16..]) : default;
        if (!linkLocal.IsLinkLocal || global.IsLinkLocal)
        {
            linkLocal = default;
        }

        if (global.IsUnspecified && linkLocal.IsLinkLocal)
        {
            (global, linkLocal) = (linkLocal, default);
        }

        if (!IsHost(global))
        {
            return 0;
        }

        int length = global.Write(_nextHop);
        return length + linkLocal.Write(_nextHop.AsSpan(length));
    }

    private LoopKind FindLoop(ReadOnlySpan<byte> attributes, NegotiatedSession session, AttributeRules rules)
    {
        ReadOnlySpan<byte> path = Path(attributes, session);
        int count = AsPath.Count(path, session.LocalAsn);
        if (rules.OwnAsn != 0 && rules.OwnAsn != session.LocalAsn)
        {
            count += AsPath.Count(path, rules.OwnAsn);
        }

        if (count > rules.AllowLocalAs)
        {
            return LoopKind.OwnAs;
        }

        // RFC 4456 section 8. From external neighbours both were discarded above.
        ReadOnlySpan<byte> originator = Value(attributes, AttributeCode.OriginatorId);
        if (rules.RouterId != 0 && !originator.IsEmpty && BinaryPrimitives.ReadUInt32BigEndian(originator) == rules.RouterId)
        {
            return LoopKind.OwnOriginatorId;
        }

        ReadOnlySpan<byte> clusters = Value(attributes, AttributeCode.ClusterList);
        if (clusters.IsEmpty)
        {
            return LoopKind.None;
        }

        if (rules.ClusterId != 0 && PathAttributes.IndexOfCommunity(clusters, rules.ClusterId) >= 0)
        {
            return LoopKind.OwnClusterId;
        }

        for (int i = 0; i < rules.OtherClusterIds.Count; i++)
        {
            if (PathAttributes.IndexOfCommunity(clusters, rules.OtherClusterIds[i]) >= 0)
            {
                return LoopKind.OwnClusterId;
            }
        }

        return LoopKind.None;
    }
}
