using System.Buffers.Binary;
using CsCheck;

namespace Bgp.Protocol.Tests.Messages;

/// <summary>UPDATEs that leave: their layout, their limits, and that they are read as they were meant.</summary>
[TestFixture]
public sealed class UpdateEncoderTests
{
    private const string Canonical = "400101 00  400206 0201 0000FE4C  400304 0A090001  400504 00000064";

    private static readonly Gen<Ipv4Prefix[]> s_v4 = Gen.Select(Gen.UInt, Gen.Int[0, 32], static (address, length) => new Ipv4Prefix(address, length)).Array[1, 2000];

    private static readonly Gen<Ipv6Prefix[]> s_v6 = Gen.Select(Gen.ULong, Gen.ULong, Gen.Int[0, 128], static (hi, lo, length) => new Ipv6Prefix(hi, lo, length)).Array[1, 2000];

    [Test]
    public void An_IPv4_announcement_has_the_layout_of_RFC_4271_section_4_3()
    {
        byte[] attributes = new byte[256];
        int length = UpdateEncoder.WriteAttributes(Vectors.Hex(Canonical), as4: true, withNextHop: true, attributes);
        byte[] buffer = new byte[4096];
        UpdateWriter writer = UpdateWriter.Reach(buffer, 4096, AfiSafi.Ipv4Unicast, attributes.AsSpan(0, length), [], addPath: false);
        Assert.That(writer.TryAdd(Ipv4Prefix.Parse("198.51.100.0/24")));
        Assert.That(writer.TryAdd(Ipv4Prefix.Parse("10.0.0.0/8")));
        Assert.That(Vectors.Hex(buffer.AsSpan(0, writer.Finish())), Is.EqualTo(Vectors.Hex(Vectors.Message(MessageType.Update, Vectors.Update("", Canonical, "18 C63364 08 0A")))));
    }

    [Test]
    public void An_IPv6_announcement_has_its_prefixes_in_the_first_attribute()
    {
        byte[] attributes = new byte[256];
        int length = UpdateEncoder.WriteAttributes(Vectors.Hex(Canonical), as4: true, withNextHop: false, attributes);
        byte[] buffer = new byte[4096];
        byte[] nextHop = Vectors.Hex("20010DB8000900000000000000000001");
        UpdateWriter writer = UpdateWriter.Reach(buffer, 4096, AfiSafi.Ipv6Unicast, attributes.AsSpan(0, length), nextHop, addPath: true);
        Assert.That(writer.TryAdd(Ipv6Prefix.Parse("2001:db8:51::/48"), 7));
        Assert.That(Vectors.Hex(buffer.AsSpan(0, writer.Finish())), Is.EqualTo(Vectors.Hex(Vectors.Message(MessageType.Update, Vectors.Update(
            "", "900E0020 0002 01 10 20010DB8000900000000000000000001 00 00000007 30 20010DB80051" + "400101 00  400206 0201 0000FE4C  400504 00000064", "")))), "RFC 7606 section 5.1");
    }

    [Test]
    public void Withdrawals_and_End_of_RIBs_have_their_layout()
    {
        byte[] buffer = new byte[4096];
        UpdateWriter writer = UpdateWriter.Unreach(buffer, 4096, AfiSafi.Ipv4Unicast, addPath: false);
        Assert.That(writer.TryAdd(Ipv4Prefix.Parse("198.51.100.0/24")));
        Assert.That(Vectors.Hex(buffer.AsSpan(0, writer.Finish())), Is.EqualTo(Vectors.Hex(Vectors.Message(MessageType.Update, Vectors.Update("18 C63364", "", "")))));
        writer = UpdateWriter.Unreach(buffer, 4096, AfiSafi.Ipv6Unicast, addPath: false);
        Assert.That(writer.TryAdd(Ipv6Prefix.Parse("2001:db8:51::/48")));
        Assert.That(Vectors.Hex(buffer.AsSpan(0, writer.Finish())), Is.EqualTo(Vectors.Hex(Vectors.Message(MessageType.Update, Vectors.Update("", "900F000A 0002 01 30 20010DB80051", "")))));
        Assert.That(Vectors.Hex(buffer.AsSpan(0, UpdateEncoder.WriteEndOfRib(AfiSafi.Ipv4Unicast, buffer))), Is.EqualTo(Vectors.Hex(Vectors.Message(MessageType.Update, Vectors.Update("", "", "")))));
        Assert.That(Vectors.Hex(buffer.AsSpan(0, UpdateEncoder.WriteEndOfRib(AfiSafi.Ipv6Unicast, buffer))), Is.EqualTo(Vectors.Hex(Vectors.Message(MessageType.Update, Vectors.Update("", "800F03 000201", "")))));
        Assert.That(UpdateEncoder.WriteEndOfRib(AfiSafi.Ipv6Unicast, new byte[28]), Is.Zero);
    }

    [Test]
    public void Announcements_of_any_size_are_read_as_they_were_meant()
    {
        Gen.Select(s_v4, Gen.Int[23, 5000], Gen.Bool).Sample(static (prefixes, limit, addPath) => Packs(prefixes, limit, [], addPath, reach: true), iter: 300);
        Gen.Select(s_v6, Gen.Int[23, 5000], Gen.Bool).Sample(static (prefixes, limit, addPath) => Packs(prefixes, limit, Vectors.Hex("20010DB8000900000000000000000001"), addPath, reach: true), iter: 300);
    }

    [Test]
    public void Withdrawals_of_any_size_are_read_as_they_were_meant()
    {
        Gen.Select(s_v4, Gen.Int[23, 5000], Gen.Bool).Sample(static (prefixes, limit, addPath) => Packs(prefixes, limit, [], addPath, reach: false), iter: 300);
        Gen.Select(s_v6, Gen.Int[23, 5000], Gen.Bool).Sample(static (prefixes, limit, addPath) => Packs(prefixes, limit, [1], addPath, reach: false), iter: 300);
    }

    [Test]
    public void A_message_of_65535_octets_is_filled_to_the_last()
    {
        byte[] buffer = new byte[70000];
        UpdateWriter writer = UpdateWriter.Unreach(buffer, 65535, AfiSafi.Ipv4Unicast, addPath: false);
        while (writer.TryAdd(new Ipv4Prefix((uint)writer.Count, 32)))
        {
            continue;
        }

        // 65535 - 19 - 4 octets are room for 13102 prefixes of 5 octets, and 2 are left over.
        Assert.That(writer.Count, Is.EqualTo(13102));
        Assert.That(writer.Finish(), Is.EqualTo(65533));
    }

    [Test]
    public void Attributes_that_do_not_fit_are_refused_and_not_cut()
    {
        byte[] canonical = Vectors.Hex(Canonical);
        for (int size = 0; size < canonical.Length; size++)
        {
            Assert.That(UpdateEncoder.WriteAttributes(canonical, as4: true, withNextHop: true, new byte[size]), Is.EqualTo(-1));
        }

        byte[] large = new byte[4096];
        UpdateWriter writer = UpdateWriter.Reach(large, 4096, AfiSafi.Ipv4Unicast, new byte[4096], [], addPath: false);
        Assert.That(writer.TryAdd(Ipv4Prefix.Parse("10.0.0.0/8")), Is.False);
        Assert.That(writer.Finish(), Is.Zero);
        writer = UpdateWriter.Reach(large, 4096, AfiSafi.Ipv6Unicast, new byte[4044], new byte[16], addPath: false);
        Assert.That(writer.TryAdd(Ipv6Prefix.Parse("2001:db8::/32")), Is.False);
        Assert.That(writer.Finish(), Is.Zero);
    }

    [Test]
    public void An_IPv6_next_hop_cannot_be_said_in_NEXT_HOP()
    {
        byte[] canonical = Vectors.Hex("400101 00 400200 400310 20010DB8000900000000000000000001");
        Assert.That(UpdateEncoder.WriteAttributes(canonical, as4: true, withNextHop: true, new byte[256]), Is.EqualTo(-1));
        Assert.That(UpdateEncoder.WriteAttributes(canonical, as4: true, withNextHop: false, new byte[256]), Is.EqualTo(7));
    }

    [Test]
    public void The_internal_attribute_never_leaves()
    {
        byte[] buffer = new byte[512];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, IpAddr.V4(0x0A090001));
        builder.SetLocal(new LocalRouteInfo(RouteSource.Kernel, 3, 0, "eth0", default));
        byte[] wire = new byte[512];
        foreach (bool as4 in (bool[])[true, false])
        {
            int length = UpdateEncoder.WriteAttributes(builder.Build(), as4, withNextHop: true, wire);
            Assert.That(Vectors.Hex(wire.AsSpan(0, length)), Is.EqualTo("40010100" + "400200" + "4003040A090001"));
        }
    }

    /// <summary>Fills messages with the prefixes; each obeys the limit, and together they say what was meant. Encoded prefixes make the same messages.</summary>
    private static bool Packs<TPrefix>(TPrefix[] prefixes, int limit, byte[] mpNextHop, bool addPath, bool reach)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        NegotiatedSession session = Vectors.Session(addPath: addPath, extendedMessages: true);
        byte[] attributes = new byte[256];
        int length = UpdateEncoder.WriteAttributes(Vectors.Hex(Canonical), as4: true, withNextHop: mpNextHop.Length == 0, attributes);
        byte[] buffer = new byte[6000];
        List<TPrefix> said = [];
        int next = 0;
        while (next < prefixes.Length)
        {
            UpdateWriter writer = reach
                ? UpdateWriter.Reach(buffer, limit, TPrefix.Family, attributes.AsSpan(0, length), mpNextHop, addPath)
                : UpdateWriter.Unreach(buffer, limit, TPrefix.Family, addPath);
            int before = next;
            byte[] encoded = Encode(prefixes, next, addPath);
            while (next < prefixes.Length && writer.TryAdd(prefixes[next], (uint)next))
            {
                next++;
            }

            int size = writer.Finish();
            byte[] again = new byte[6000];
            UpdateWriter other = reach
                ? UpdateWriter.Reach(again, limit, TPrefix.Family, attributes.AsSpan(0, length), mpNextHop, addPath)
                : UpdateWriter.Unreach(again, limit, TPrefix.Family, addPath);
            int added = other.AddEncoded(encoded);
            if (other.Finish() != size || !again.AsSpan(0, size).SequenceEqual(buffer.AsSpan(0, size)) || added != Encode(prefixes[..next], before, addPath).Length)
            {
                return false;
            }

            if (before == next)
            {
                // Not even one fits: the limit is below attributes and one prefix.
                return size == 0 && limit < 19 + 4 + (reach ? length : 0) + 25 + mpNextHop.Length + 21;
            }

            if (size > limit || UpdateView.TryParse(buffer.AsSpan(19, size - 19), session, out UpdateView view).IsError)
            {
                return false;
            }

            ReadOnlySpan<byte> field = (TPrefix.Family == AfiSafi.Ipv4Unicast, reach) switch
            {
                (true, true) => view.Nlri,
                (true, false) => view.Withdrawn,
                (false, true) => view.MpReach.Nlri,
                _ => view.MpUnreach.Nlri,
            };
            NlriReader<TPrefix> reader = new(field, addPath);
            while (reader.TryRead(out TPrefix prefix, out uint id))
            {
                if (addPath && id != said.Count)
                {
                    return false;
                }

                said.Add(prefix);
            }
        }

        return said.SequenceEqual(prefixes);
    }

    private static byte[] Encode<TPrefix>(TPrefix[] prefixes, int from, bool addPath)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        byte[] octets = new byte[prefixes.Length * 21];
        int length = 0;
        for (int i = from; i < prefixes.Length; i++)
        {
            if (addPath)
            {
                BinaryPrimitives.WriteUInt32BigEndian(octets.AsSpan(length), (uint)i);
                length += 4;
            }

            length += prefixes[i].Write(octets.AsSpan(length));
        }

        return octets[..length];
    }
}
