using System.Buffers.Binary;
using Bgp.Protocol;

namespace Bgp.Fuzz;

/// <summary>
/// The body of an UPDATE in a session of any kind: the first octet says which of 4-octet AS numbers, internal, ADD-PATH, extended messages, extended next hop, IPv4 and IPv6 were
/// negotiated.
/// </summary>
/// <remarks>
/// What is held against the parser is written down here a second time, slowly and in another way: where the prefixes are (<see cref="Layout"/>), what a canonical set looks like, and
/// that such a set, sent again in every way a session can ask for, comes back as it was.
/// </remarks>
internal sealed class UpdateTarget : IFuzzTarget
{
    private static readonly NegotiatedSession[] s_sessions = [.. Enumerable.Range(0, 128).Select(Session)];
    private static readonly NegotiatedSession s_inside = Session(0b1101011);
    private static readonly NegotiatedSession s_old = Session(0b1101010);
    private static readonly AttributeRules s_rules = new() { OwnAsn = 64512, RouterId = 0x0A000001, ClusterId = 0x0A0000C8 };
    private static readonly AttributeRules s_lenient = new() { AllowLocalAs = int.MaxValue };

    private readonly PathAttributesParser _parser = new();
    private readonly PathAttributesParser _second = new();
    private readonly byte[] _attributes = new byte[300_000];
    private readonly byte[] _message = new byte[70_000];

    public UpdateTarget()
    {
        // The buffers grow to their largest now, so that what is allocated later is per message.
        byte[] large = [0, 0, 0xFE, 0xF0, 0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, 10, 0, 0, 1, 0xD0, 99, 0xFE, 0xDA, .. new byte[0xFEDA], 24, 10, 1, 1];
        _ = UpdateView.TryParse(large, s_inside, out UpdateView view);
        _ = _parser.Parse(view, s_inside, s_rules, out _, out _);
    }

    public IReadOnlyList<byte[]> Seeds { get; } = BuildSeeds();

    public IReadOnlyList<byte[]> Words { get; } = FuzzTargets.HexLines("""
        40010100
        40020602010000FE4C
        400204 0201 FE4C
        4003040A090001
        80040400000032
        40050400000064
        400600
        C007080000FE4C0A000009
        C00706FE4C0A000009
        C00804FFFFFF01
        8009040A000009
        800A040A000001
        800E1C0002011020010DB8000900000000000000000001003020010DB80051
        800F0A0002013020010DB80051
        800F03000201
        C010080002FC000000012C
        C0110602 01FA56EA01
        C01208FA56EA010A000009
        C0200C0000FC000000000100000002
        C0630178
        C02300
        D0
        01010000FE4C
        02010000FE4C
        18C63364
        """);

    /// <summary>How often each action came out: inputs that never get past the first check would prove nothing.</summary>
    internal Dictionary<UpdateAction, int> Actions { get; } = Enum.GetValues<UpdateAction>().ToDictionary(static action => action, static _ => 0);

    public void Run(ReadOnlySpan<byte> input)
    {
        if (input.IsEmpty)
        {
            return;
        }

        NegotiatedSession session = s_sessions[input[0] & 0x7F];
        ReadOnlySpan<byte> body = input[1..];
        body = body[..Math.Min(body.Length, session.MaxMessageLength - 19)];
        long before = GC.GetAllocatedBytesForCurrentThread();
        UpdateError error = UpdateView.TryParse(body, session, out UpdateView view);
        CheckLayout(body, session, error, view);
        if (error.IsError)
        {
            Actions[UpdateAction.SessionReset]++;
            CheckReset(error);
            return;
        }

        error = _parser.Parse(view, session, s_rules, out ReadOnlySpan<byte> forIpv4, out ReadOnlySpan<byte> forMp);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        // Nothing, but for the data of a NOTIFICATION and the one-time growth of scratch space.
        FuzzException.Unless(allocated <= 1024 + (8L * body.Length), $"{allocated} octets allocated for {body.Length}");
        Actions[error.Action]++;
        if (error.Action == UpdateAction.SessionReset)
        {
            CheckReset(error);
            return;
        }

        bool stands = error.Action < UpdateAction.TreatAsWithdraw;
        FuzzException.Unless(stands || view.HasReachableNlri || IsUnreachAlone(view.Attributes), "RFC 7606 section 5.2: withdrawn, but nothing is announced");
        FuzzException.Unless(forIpv4.IsEmpty == (!stands || view.Nlri.IsEmpty), "the set for IPv4 prefixes");
        FuzzException.Unless(forMp.IsEmpty == (!stands || !view.MpReach.IsPresent || view.MpReach.Nlri.IsEmpty), "the set for multiprotocol prefixes");
        FuzzException.Unless(error.Action == UpdateAction.None == (error.Reason is null), "a reason");
        CheckSet(forIpv4, session, 4);
        CheckSet(forMp, session, 0);
    }

    private static void CheckReset(in UpdateError error)
    {
        FuzzException.Unless(error.Notification.Code == ErrorCode.UpdateMessage && error.Notification.Subcode is (>= 1 and <= 6) or (>= 8 and <= 11), "code of the NOTIFICATION");
        FuzzException.Unless(error.Notification.Data.Length <= NotificationError.MaxData, "data that does not fit");
        FuzzException.Unless(error.Reason is not null, "a reset without a reason");
    }

    /// <summary>Where the prefixes are, found by the lengths alone.</summary>
    private static void CheckLayout(ReadOnlySpan<byte> body, NegotiatedSession session, in UpdateError error, in UpdateView view)
    {
        int withdrawn = body.Length >= 2 ? (body[0] << 8) | body[1] : int.MaxValue;
        int attributesAt = withdrawn == int.MaxValue || 4 + withdrawn > body.Length ? -1 : 2 + withdrawn;
        int attributes = attributesAt < 0 ? 0 : (body[attributesAt] << 8) | body[attributesAt + 1];
        if (attributesAt < 0 || attributesAt + 2 + attributes > body.Length)
        {
            FuzzException.Unless(error.Notification == new NotificationError(3, 1), "RFC 4271 section 6.3: lengths beyond the message are 3/1");
            return;
        }

        ReadOnlySpan<byte> set = body.Slice(attributesAt + 2, attributes);
        bool v4 = session.HasFamily(AfiSafi.Ipv4Unicast);
        ReadOnlySpan<byte> withdrawnField = v4 ? body.Slice(2, withdrawn) : default;
        ReadOnlySpan<byte> nlri = v4 ? body[(attributesAt + 2 + attributes)..] : default;
        bool addPath = session.AddPathReceive(AfiSafi.Ipv4Unicast);
        bool sound = Count(withdrawnField, 32, addPath) >= 0 && Count(nlri, 32, addPath) >= 0;
        if (error.IsError)
        {
            FuzzException.Unless(sound || error.Notification.Subcode == UpdateSubcode.InvalidNetwork, "RFC 7606 section 5.3: 3/10");
            return;
        }

        FuzzException.Unless(sound, "prefixes that cannot be read were accepted");
        FuzzException.Unless(view.Withdrawn.SequenceEqual(withdrawnField) && view.Nlri.SequenceEqual(nlri) && view.Attributes.SequenceEqual(set), "the parts lie elsewhere");
        FuzzException.Unless(Read<Ipv4Prefix>(view.Withdrawn, addPath) == Count(withdrawnField, 32, addPath), "withdrawn prefixes");
        FuzzException.Unless(Read<Ipv4Prefix>(view.Nlri, addPath) == Count(nlri, 32, addPath), "announced prefixes");
        ReadOnlySpan<byte> reach = First(set, 14);
        if (reach.Length >= 5 && session.HasFamily(AfiSafiExtensions.Join(BinaryPrimitives.ReadUInt16BigEndian(reach), reach[2])))
        {
            FuzzException.Unless(view.MpReach.IsPresent && view.MpReach.Nlri.SequenceEqual(reach[(5 + reach[3])..]), "prefixes of MP_REACH_NLRI");
        }
        else
        {
            FuzzException.Unless(!view.MpReach.IsPresent, "MP_REACH_NLRI out of nothing");
        }

        ReadOnlySpan<byte> unreach = First(set, 15);
        bool negotiated = unreach.Length >= 3 && session.HasFamily(AfiSafiExtensions.Join(BinaryPrimitives.ReadUInt16BigEndian(unreach), unreach[2]));
        FuzzException.Unless(view.MpUnreach.IsPresent == negotiated && (!negotiated || view.MpUnreach.Nlri.SequenceEqual(unreach[3..])), "prefixes of MP_UNREACH_NLRI");
        if (view.IsEndOfRib(out _))
        {
            FuzzException.Unless(view.Nlri.IsEmpty && view.Withdrawn.IsEmpty && view.MpUnreach.Nlri.IsEmpty && !view.HasReachableNlri, "an End-of-RIB with prefixes");
        }
    }

    private static bool IsUnreachAlone(ReadOnlySpan<byte> set) =>
        set.Length >= 4 && set[1] == 15 && set.Length == ((set[0] & 0x10) != 0 ? 4 + BinaryPrimitives.ReadUInt16BigEndian(set[2..]) : 3 + set[2]);

    /// <summary>Value of the first attribute of a code; empty where there is none before the walk breaks off.</summary>
    private static ReadOnlySpan<byte> First(ReadOnlySpan<byte> set, byte code)
    {
        for (int at = 0; at + 3 <= set.Length;)
        {
            bool wide = (set[at] & 0x10) != 0;
            if (wide && at + 4 > set.Length)
            {
                return default;
            }

            int length = wide ? (set[at + 2] << 8) | set[at + 3] : set[at + 2];
            int value = at + (wide ? 4 : 3);
            if (value + length > set.Length)
            {
                return default;
            }

            if (set[at + 1] == code)
            {
                return set.Slice(value, length);
            }

            at = value + length;
        }

        return default;
    }

    /// <summary>How many prefixes a field holds; -1 when it is no field.</summary>
    private static int Count(ReadOnlySpan<byte> field, int maxLength, bool addPath)
    {
        int count = 0;
        while (!field.IsEmpty)
        {
            int head = addPath ? 5 : 1;
            if (field.Length < head || field[head - 1] > maxLength || field.Length < head + ((field[head - 1] + 7) / 8))
            {
                return -1;
            }

            field = field[(head + ((field[head - 1] + 7) / 8))..];
            count++;
        }

        return count;
    }

    private static int Read<TPrefix>(ReadOnlySpan<byte> field, bool addPath)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        NlriReader<TPrefix> reader = new(field, addPath);
        int count = 0;
        while (reader.TryRead(out _, out _))
        {
            count++;
        }

        return reader.Rest.IsEmpty ? count : -1;
    }

    private void CheckSet(ReadOnlySpan<byte> canonical, NegotiatedSession session, int nextHopLength)
    {
        if (canonical.IsEmpty)
        {
            return;
        }

        CheckCanonical(canonical, session.IsIbgp, nextHopLength);
        PathAttributes set = PathAttributes.Decode(canonical);
        FuzzException.Unless(set.Canonical.SequenceEqual(canonical) && set.Hash == PathAttributes.HashOf(canonical), "decoded differently");
        FuzzException.Unless(set.AsPathLength >= 0 && set.AsPathText() is not null && !set.NextHop.IsNone, "path and next hop");
        SendAgain(canonical, set);
        SendToOld(canonical, set);
        Edit(canonical, session);
    }

    /// <summary>What <see cref="PathAttributes"/> promises of its octets.</summary>
    private static void CheckCanonical(ReadOnlySpan<byte> canonical, bool ibgp, int nextHopLength)
    {
        int last = -1;
        bool origin = false, path = false, hop = false;
        for (int at = 0; at < canonical.Length;)
        {
            byte flags = canonical[at];
            byte code = canonical[at + 1];
            bool wide = (flags & 0x10) != 0;
            int length = wide ? (canonical[at + 2] << 8) | canonical[at + 3] : canonical[at + 2];
            ReadOnlySpan<byte> value = canonical.Slice(at + (wide ? 4 : 3), length);
            at += (wide ? 4 : 3) + length;
            FuzzException.Unless(code > last, "codes do not ascend");
            last = code;
            FuzzException.Unless((flags & 0x0F) == 0 && wide == (length > 255), "flags are not normal");
            FuzzException.Unless(code is not (0 or 14 or 15 or 17 or 18), $"attribute {code} is not part of a set");
            FuzzException.Unless(ibgp || code is not (5 or 9 or 10), $"attribute {code} from outside");
            AttributeDescriptor? known = AttributeDescriptor.Find(code);
            FuzzException.Unless(known is null ? (flags & 0xE0) == 0xE0 : (flags & 0xC0) == (byte)known.Flags && known.AcceptsLength(length) | code == 3, $"attribute {code}: flags or length");
            switch (code)
            {
                case 1:
                    origin = value[0] <= 2;
                    break;
                case 2:
                    path = true;
                    AsPathReader reader = new(value);
                    while (reader.TryNext(out byte type, out ReadOnlySpan<byte> asns))
                    {
                        FuzzException.Unless(type is 1 or 2 && !asns.IsEmpty, "a segment that is none");
                    }

                    FuzzException.Unless(reader.Rest.IsEmpty && AsPath.Count(value, 0) == 0, "AS_PATH");
                    break;
                case 3:
                    hop = nextHopLength == 0 ? length is 4 or 16 or 32 : length == nextHopLength;
                    break;
                case 7:
                    FuzzException.Unless(length == 8, "AGGREGATOR");
                    break;
            }
        }

        FuzzException.Unless(origin && path && hop, "a mandatory attribute is missing");
    }

    /// <summary>To an internal neighbour: every set comes back as it was.</summary>
    private void SendAgain(ReadOnlySpan<byte> canonical, PathAttributes set)
    {
        bool v4 = set.NextHopOctets.Length == 4;
        int length = UpdateEncoder.WriteAttributes(canonical, as4: true, withNextHop: v4, _attributes);
        FuzzException.Unless(length >= 0, "a set that cannot be written");
        UpdateWriter writer = v4
            ? UpdateWriter.Reach(_message, 65535, AfiSafi.Ipv4Unicast, _attributes.AsSpan(0, length), [], addPath: false)
            : UpdateWriter.Reach(_message, 65535, AfiSafi.Ipv6Unicast, _attributes.AsSpan(0, length), set.NextHopOctets, addPath: false);
        bool fits = v4 ? writer.TryAdd(new Ipv4Prefix(0xC6336400, 24)) : writer.TryAdd(new Ipv6Prefix(0x20010DB800510000, 0, 48));
        if (!fits)
        {
            FuzzException.Unless(length > 65000 && writer.Finish() == 0, "does not fit");
            return;
        }

        int size = writer.Finish();
        UpdateError error = UpdateView.TryParse(_message.AsSpan(19, size - 19), s_inside, out UpdateView view);
        FuzzException.Unless(!error.IsError, $"what was written is not read: {error}");
        error = _second.Parse(view, s_inside, s_lenient, out ReadOnlySpan<byte> forIpv4, out ReadOnlySpan<byte> forMp);
        FuzzException.Unless(!error.IsError, $"what was written is in error: {error}");
        FuzzException.Unless((v4 ? forIpv4 : forMp).SequenceEqual(canonical), "what was written comes back changed");
    }

    /// <summary>To a neighbour with 2-octet AS numbers: the path means the same when it comes back.</summary>
    private void SendToOld(ReadOnlySpan<byte> canonical, PathAttributes set)
    {
        int length = UpdateEncoder.WriteAttributes(canonical, as4: false, withNextHop: set.NextHopOctets.Length == 4, _attributes);
        if (length < 0 || length > 60_000 || set.NextHopOctets.Length != 4)
        {
            return;
        }

        UpdateWriter writer = UpdateWriter.Reach(_message, 65535, AfiSafi.Ipv4Unicast, _attributes.AsSpan(0, length), [], addPath: false);
        FuzzException.Unless(writer.TryAdd(new Ipv4Prefix(0xC6336400, 24)), "does not fit");
        UpdateError error = UpdateView.TryParse(_message.AsSpan(19, writer.Finish() - 19), s_old, out UpdateView view);
        FuzzException.Unless(!error.IsError, $"what was written is not read: {error}");
        error = _second.Parse(view, s_old, s_lenient, out ReadOnlySpan<byte> again, out _);
        FuzzException.Unless(!error.IsError, $"what was written is in error: {error}");
        PathAttributes read = PathAttributes.Decode(again);
        FuzzException.Unless(read.AsPathText() == set.AsPathText(), "another path after 2-octet AS numbers");
        FuzzException.Unless(read.ValueOf(AttributeCode.Aggregator).SequenceEqual(set.ValueOf(AttributeCode.Aggregator)), "another AGGREGATOR after 2-octet AS numbers");
    }

    /// <summary>What is done to a set on its way to an external neighbour leaves a set.</summary>
    private void Edit(ReadOnlySpan<byte> canonical, NegotiatedSession session)
    {
        PathAttributesBuilder builder = new(canonical, _attributes.AsSpan(0, canonical.Length + PathAttributesBuilder.Headroom));
        builder.PrependAs(4200000001, 3);
        builder.SetOriginatorIdIfAbsent(1);
        builder.PrependClusterId(2);
        builder.AddCommunity(Community.NoExport);
        builder.RemoveCommunity(0xFFFFFF02);
        builder.StripForEbgp();
        if (!builder.Failed)
        {
            CheckCanonical(builder.Build(), ibgp: false, nextHopLength: 0);
            FuzzException.Unless(AsPath.FirstAs(builder.ValueOf(AttributeCode.AsPath)) == 4200000001, "our AS in front");
        }
        else
        {
            FuzzException.Unless(canonical.Length > 60_000 || session.MaxMessageLength > 4096, "an edit of a short set that fails");
        }
    }

    private static NegotiatedSession Session(int bits)
    {
        bool as4 = (bits & 1) != 0, ibgp = (bits & 2) != 0, addPath = (bits & 4) != 0, extended = (bits & 8) != 0, nextHop = (bits & 16) != 0, v4 = (bits & 32) != 0, v6 = (bits & 64) != 0;
        List<AfiSafi> families = [];
        if (v4)
        {
            families.Add(AfiSafi.Ipv4Unicast);
        }

        families.Add(v6 ? AfiSafi.Ipv6Unicast : AfiSafiExtensions.Join(25, 70));
        OpenMessage Open(uint asn, uint id) => OpenMessage.Create(asn, 90, id, new Capabilities
        {
            Families = families,
            As4 = as4 ? asn : null,
            ExtendedMessages = extended,
            ExtendedNextHop = nextHop,
            AddPath = addPath ? [.. families.Select(static family => new AddPathFamily(family, AddPathMode.Both))] : [],
        });

        return NegotiatedSession.Negotiate(Open(64512, 0x0A000001), Open(ibgp ? 64512u : 65010u, 0x0A000002), new LocalSessionSettings());
    }

    /// <summary>Sound UPDATEs for every kind of session, with every attribute somewhere.</summary>
    private static List<byte[]> BuildSeeds()
    {
        string[] more =
        [
            "", "80040400000032", "400600 C007080000FE4C0A000009", "C00706FE4C0A000009", "C00808FC0000C8FFFFFF01", "8009040A000009 800A080A0000010A000002", "C010080002FC000000012C",
            "C0110602 01FA56EA01 C01208FA56EA010A000009", "C0200C0000FC000000000100000002", "C06303ABCDEF", "806301FF", "C02304 0000FDF2", "C0280A00000000000000000000", "D063012C" + new string('A', 600),
            "C02018" + "0000FC000000000100000002" + "0000FC000000000100000002",
        ];
        List<byte[]> seeds = [];
        for (int bits = 0; bits < 128; bits++)
        {
            bool as4 = (bits & 1) != 0, ibgp = (bits & 2) != 0, addPath = (bits & 4) != 0;
            string first = ibgp ? "FE4C" : "FDF2";
            string path = (bits % 5) switch
            {
                0 => as4 ? $"40020602010000{first}" : $"4002040201{first}",
                1 => as4 ? $"40020E02030000{first}FA56EA010000FC01" : $"40020802 03{first}5BA0FC01",
                2 => as4 ? $"40020E0201 0000{first} 0101 0000FC05".Replace("40020E", "40020C", StringComparison.Ordinal) : $"40020802 01{first} 0101 FC05",
                3 when ibgp => "400200",
                _ => as4 ? $"5002000602010000{first}" : $"500200040201{first}",
            };
            string id = addPath ? "00000001" : "";
            string set = "40010100" + path + "4003040A090001" + (ibgp ? "40050400000064" : "") + more[bits % more.Length];
            string nlri4 = id + "18C63364" + id + "080A";
            string nlri6 = id + "3020010DB80051";
            int reach = 3 + 1 + 16 + 1 + FuzzTargets.Hex(nlri6).Length;
            string reach6 = $"800E{reach:X2}0002011020010DB800090000000000000000000100{nlri6}";
            string unreach6 = $"800F{3 + FuzzTargets.Hex(nlri6).Length:X2}000201{nlri6}";
            seeds.Add(Update(bits, "", set, nlri4));
            seeds.Add(Update(bits, "", reach6 + set, ""));
            seeds.Add(Update(bits, nlri4, "", ""));
            seeds.Add(Update(bits, "", unreach6, ""));
            seeds.Add(Update(bits, nlri4, reach6 + unreach6 + set, nlri4));
        }

        seeds.Add(Update(0x7F, "", "", ""));
        seeds.Add(Update(0x7F, "", "800F03000201", ""));
        return seeds;
    }

    private static byte[] Update(int bits, string withdrawn, string attributes, string nlri)
    {
        byte[] one = FuzzTargets.Hex(withdrawn), two = FuzzTargets.Hex(attributes), three = FuzzTargets.Hex(nlri);
        return [(byte)bits, (byte)(one.Length >> 8), (byte)one.Length, .. one, (byte)(two.Length >> 8), (byte)two.Length, .. two, .. three];
    }
}
