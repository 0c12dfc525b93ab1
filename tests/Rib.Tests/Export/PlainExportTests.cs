using System.Buffers.Binary;
using Bgp.Protocol;

namespace Rib.Tests.Export;

/// <summary>The short way of rewriting a route for export against the general one, which an edit that changes nothing forces.</summary>
[TestFixture]
public sealed class PlainExportTests
{
    [Test]
    public void The_walk_writes_what_the_builder_writes(
        [Values] PeerKind source, [Values(PeerKind.Ebgp, PeerKind.Ibgp, PeerKind.IbgpClient)] PeerKind target, [Values] NextHopMode mode)
    {
        Random random = new(((int)source * 16) + ((int)target * 4) + (int)mode);
        int announced = 0;
        for (int i = 0; i < 300; i++)
        {
            byte[] received = RandomSet(random);
            byte[] plain = Export(received, source, target, mode, edit: null);
            byte[] general = Export(received, source, target, mode, new PolicyEdit());
            Assert.That(Convert.ToHexString(plain), Is.EqualTo(Convert.ToHexString(general)), Convert.ToHexString(received));
            announced += plain.Length > 0 ? 1 : 0;
        }

        if (RouteReflection.MayAdvertise(source, target))
        {
            Assert.That(announced, Is.GreaterThan(100));
        }
    }

    [TestCase(PeerKind.Ibgp, NextHopMode.Auto)]
    [TestCase(PeerKind.Ibgp, NextHopMode.Unchanged)]
    [TestCase(PeerKind.Ebgp, NextHopMode.Unchanged)]
    public void A_rule_puts_our_address_as_next_hop_whatever_the_peer_asks_for(PeerKind target, NextHopMode mode)
    {
        List<byte> set = [];
        Put(set, 0x40, 1, [0]);
        Put(set, 0x40, 2, [2, 1, 0, 0, 0xFD, 0xE9]);
        Put(set, 0x40, 3, [192, 0, 2, 9]);
        byte[] sent = Export([.. set], PeerKind.Ebgp, target, mode, new PolicyEdit { NextHopSelf = true });
        Assert.That(PathAttributes.Decode(sent[23..(23 + BinaryPrimitives.ReadUInt16BigEndian(sent.AsSpan(21)))]).NextHop, Is.EqualTo(IpAddr.V4(0xC0000201)));
    }

    [TestCase(PeerKind.Ibgp, 2, "65010 65011 65001")]
    [TestCase(PeerKind.Ebgp, 0, "65010 65011 65000 65001")]
    [TestCase(PeerKind.Ebgp, 2, "65010 65011 65000 65000 65000 65001")]
    public void AS_numbers_of_a_rule_stand_before_our_own_and_that_before_the_path_that_came(PeerKind target, int ownMore, string expected)
    {
        List<byte> set = [];
        Put(set, 0x40, 1, [0]);
        Put(set, 0x40, 2, [2, 1, 0, 0, 0xFD, 0xE9]);
        Put(set, 0x40, 3, [192, 0, 2, 9]);
        byte[] sent = Export([.. set], PeerKind.Ebgp, target, NextHopMode.Auto, new PolicyEdit { PrependAsns = [65010, 65011], Prepend = ownMore });
        AsPathReader path = new(PathAttributes.Decode(sent[23..(23 + BinaryPrimitives.ReadUInt16BigEndian(sent.AsSpan(21)))]).AsPath);
        Assert.That(path.TryNext(out byte type, out ReadOnlySpan<byte> segment), Is.True);
        List<uint> asns = [];
        for (; segment.Length > 0; segment = segment[4..])
        {
            asns.Add(BinaryPrimitives.ReadUInt32BigEndian(segment));
        }

        Assert.That((type, string.Join(' ', asns)), Is.EqualTo((AsSegment.Sequence, expected)));
    }

    [TestCase(0u, 0u, 100u)]
    [TestCase(0u, 700u, 100u)]
    [TestCase(1024u, 0u, 2147482623u)]
    [TestCase(5000u, 0u, 2147478647u)]
    [TestCase(5000u, 700u, 2147482947u)]
    public void A_route_of_this_host_leaves_with_what_its_metric_or_the_normal_one_leaves(uint normalMetric, uint metric, uint expected)
    {
        byte[] buffer = new byte[1024];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, default);
        builder.SetLocal(new LocalRouteInfo(RouteSource.Kernel, 3, metric, "cali1", default));
        byte[] sent = Export(builder.Build().ToArray(), PeerKind.Local, PeerKind.Ibgp, NextHopMode.Auto, edit: null, normalMetric);
        Assert.That(PathAttributes.Decode(sent[23..(23 + BinaryPrimitives.ReadUInt16BigEndian(sent.AsSpan(21)))]).LocalPref, Is.EqualTo(expected));
    }

    [TestCase(0u, 4000000000u, 100ul)]
    [TestCase(1024u, 2147482623u, 100ul)]
    [TestCase(1024u, 2147482624u, 200ul)]
    [TestCase(5000u, 2147478647u, 100ul)]
    [TestCase(5000u, 2147478648u, 200ul)]
    [TestCase(80u, 2147482624u, 100ul)]
    public void A_path_is_as_good_as_an_own_prefix_above_what_the_normal_metric_leaves(uint normalMetric, uint localPref, ulong expected)
    {
        byte[] buffer = new byte[1024];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, IpAddr.V4(1));
        builder.SetLocalPref(localPref);
        Assert.That(RankKey.Compute(PathAttributes.Decode(builder.Build().ToArray()), RankKey.ElevatedAbove(normalMetric)) >> 51, Is.EqualTo(expected));
    }

    private static byte[] Export(byte[] received, PeerKind source, PeerKind target, NextHopMode mode, PolicyEdit? edit, uint normalMetric = 0)
    {
        AttributeTable attributes = new();
        RibShard<Ipv4Prefix> shard = new(attributes, new AlwaysResolved(static _ => false), new RibOptions());
        shard.SetPeer(new RibPeer { Index = 1, Name = "source", Kind = source, Asn = 65001, LocalAsn = 65000, RouterId = 0x0A000001 });
        UpdateGroupKey key = new()
        {
            Family = AfiSafi.Ipv4Unicast,
            Kind = target,
            LocalAsn = 65000,
            Policy = "test",
            ClusterId = 0x01020304,
            NextHopMode = mode,
            NormalMetric = normalMetric,
            Self = IpAddr.V4(0xC0000201),
        };
        UpdateGroup<Ipv4Prefix> group = new(key, shard, attributes, new Accepting(edit));
        GroupMember member = group.Join(new RibPeer { Index = 2, Name = "target", Kind = target, Asn = 65002, LocalAsn = 65000 }, static () => { });
        uint id = attributes.Intern(received);
        shard.Reach([new Ipv4Prefix(0x0A010000, 16)], [], 1, id, PathFlags.None);
        attributes.Release(id);
        while (group.Turn(16))
        {
        }

        byte[] buffer = new byte[65536];
        Assert.That(member.TryTake(buffer, out int written));
        Assert.That(written, Is.GreaterThanOrEqualTo(23));

        // The last message is End-of-RIB.
        return buffer[..(written - 23)];
    }

    /// <summary>A canonical set with whatever a neighbour may send, in ascending order.</summary>
    private static byte[] RandomSet(Random random)
    {
        List<byte> set = [];
        Put(set, 0x40, 1, [(byte)random.Next(3)]);
        Put(set, 0x40, 2, RandomPath(random));
        byte[] nextHop = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(nextHop, 0xC6336400u + (uint)random.Next(200));
        Put(set, 0x40, 3, nextHop);
        Maybe(random, 3, () => Put(set, 0x80, 4, Octets(random, 4)));
        Maybe(random, 2, () => Put(set, 0x40, 5, Octets(random, 4)));
        Maybe(random, 8, () => Put(set, 0x40, 6, []));
        Maybe(random, 8, () => Put(set, 0xC0, 7, Octets(random, 8)));
        Maybe(random, 2, () => Put(set, (byte)(random.Next(4) == 0 ? 0xE0 : 0xC0), 8, Communities(random)));
        Maybe(random, 3, () => Put(set, 0x80, 9, Octets(random, 4)));
        Maybe(random, 3, () => Put(set, 0x80, 10, Octets(random, 4 * random.Next(1, 80))));
        Maybe(random, 3, () => Put(set, 0xC0, 16, Octets(random, 8 * random.Next(1, 4))));
        Maybe(random, 5, () => Put(set, 0xC0, 32, Octets(random, 12 * random.Next(1, 30))));
        Maybe(random, 5, () => Put(set, 0xC0, 35, Octets(random, random.Next(0, 300))));
        Maybe(random, 5, () => Put(set, 0xE0, 200, Octets(random, random.Next(0, 300))));
        return [.. set];
    }

    private static byte[] RandomPath(Random random)
    {
        List<byte> path = [];
        for (int segments = random.Next(4); segments > 0; segments--)
        {
            int count = random.Next(5) == 0 ? random.Next(60, 256) : random.Next(1, 6);
            path.Add((byte)(random.Next(3) == 0 ? AsSegment.Set : AsSegment.Sequence));
            path.Add((byte)count);
            path.AddRange(Octets(random, 4 * count));
        }

        return [.. path];
    }

    private static byte[] Communities(Random random)
    {
        byte[] value = Octets(random, 4 * random.Next(1, 5));
        if (random.Next(6) == 0)
        {
            uint[] known = [Community.NoExport, Community.NoAdvertise, Community.NoExportSubconfed];
            BinaryPrimitives.WriteUInt32BigEndian(value, known[random.Next(known.Length)]);
        }

        return value;
    }

    private static byte[] Octets(Random random, int length)
    {
        byte[] octets = new byte[length];
        random.NextBytes(octets);
        return octets;
    }

    private static void Maybe(Random random, int one, Action then)
    {
        if (random.Next(one) == 0)
        {
            then();
        }
    }

    private static void Put(List<byte> set, byte flags, byte code, ReadOnlySpan<byte> value)
    {
        set.Add((byte)(flags | (value.Length > 255 ? 0x10 : 0)));
        set.Add(code);
        if (value.Length > 255)
        {
            set.Add((byte)(value.Length >> 8));
        }

        set.Add((byte)value.Length);
        set.AddRange(value);
    }

    private sealed class Accepting(PolicyEdit? edit) : IRoutePolicy<Ipv4Prefix>
    {
        public string ContentKey => "test";

        public bool AcceptsAll => edit is null;

        public PolicyResult Evaluate(in Ipv4Prefix prefix, PathAttributes attributes, in PolicyContext context) => new(true, edit, "test");
    }
}
