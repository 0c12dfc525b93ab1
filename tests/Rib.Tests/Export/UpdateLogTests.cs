using System.Buffers.Binary;
using Bgp.Protocol;

namespace Rib.Tests.Export;

/// <summary>The log that members read, and the packer that fills it.</summary>
[TestFixture]
public sealed class UpdateLogTests
{
    [Test]
    public void A_cursor_sees_every_octet_that_is_for_it_in_order_and_nothing_else([Range(1, 20)] int seed)
    {
        Random random = new(seed);
        UpdateLog log = new(new SegmentPool());
        PeerCursor cursor = default;
        cursor.Attach(log);
        List<byte> expected = [];
        List<byte> seen = [];
        for (int i = 0; i < 400; i++)
        {
            int length = 19 + random.Next(3000);
            Span<byte> room = log.Reserve(length)[..length];
            random.NextBytes(room);
            LogTarget target = random.Next(3) switch { 0 => LogTarget.All, 1 => LogTarget.AllExcept((ushort)random.Next(3)), _ => LogTarget.Only((ushort)random.Next(3)) };
            if (target.Includes(1, 0))
            {
                expected.AddRange(room);
            }

            log.Commit(length, target);
            if (random.Next(3) == 0)
            {
                log.Publish();
            }

            while (random.Next(4) != 0 && cursor.TryPeek(log.PublishedTail, 1, 0, out _, out ReadOnlyMemory<byte> run))
            {
                int count = random.Next(run.Length + 1);
                seen.AddRange(run.Span[..count]);
                cursor.Advance(count);
            }

            log.Trim();
        }

        log.Publish();
        while (cursor.TryPeek(log.PublishedTail, 1, 0, out _, out ReadOnlyMemory<byte> run))
        {
            seen.AddRange(run.Span);
            cursor.Advance(run.Length);
        }

        Assert.That(seen, Is.EqualTo(expected));
        log.Trim();
        Assert.That(log.RetainedBytes, Is.LessThanOrEqualTo(LogSegment.Size), "what everybody has read is freed");
        cursor.Detach();
    }

    [Test]
    public void What_is_not_published_is_not_seen()
    {
        UpdateLog log = new(new SegmentPool());
        PeerCursor cursor = default;
        cursor.Attach(log);
        log.Reserve(20);
        log.Commit(20, LogTarget.All);
        Assert.That(cursor.TryPeek(log.PublishedTail, 1, 0, out _, out _), Is.False);
        log.Publish();
        Assert.That(cursor.TryPeek(log.PublishedTail, 1, 0, out _, out ReadOnlyMemory<byte> run));
        Assert.That(run.Length, Is.EqualTo(20));
    }

    [TestCase(4096, false)]
    [TestCase(4096, true)]
    [TestCase(65535, false)]
    public void Withdrawals_come_first_and_messages_are_as_full_as_they_may_be(int limit, bool addPath)
    {
        AttributeTable attributes = new();
        UpdatePacker<Ipv4Prefix> packer = new(Key(AfiSafi.Ipv4Unicast, limit, addPath), attributes);
        uint set = attributes.Intern(new RouteSpec { NextHop = 0xC0000201, LocalPref = 100 }.Stored());
        for (int i = 0; i < 5000; i++)
        {
            packer.Add(new Ipv4Prefix(0x0A000000u + ((uint)i << 8), 24), 1, i % 2 == 0 ? set : 0, LogTarget.All);
        }

        List<byte[]> messages = Flush(packer);
        Assert.That(messages.Select(static message => message.Length), Is.All.LessThanOrEqualTo(limit));
        bool[] withdraws = [.. messages.Select(static message => message[19] + message[20] > 0)];
        int first = Array.IndexOf(withdraws, false);
        Assert.That(withdraws[first..], Is.All.False, "withdrawals first");
        int nlri = addPath ? 8 : 4;
        int perWithdrawal = (limit - 23) / nlri;
        Assert.That(first, Is.EqualTo((2500 + perWithdrawal - 1) / perWithdrawal));
        foreach (byte[] message in (byte[][])[.. messages.Take(first - 1), .. messages.Skip(first).SkipLast(1)])
        {
            Assert.That(limit - message.Length, Is.LessThan(nlri), "room for one more was left");
        }
    }

    [Test]
    public void The_multiprotocol_attribute_stands_first()
    {
        AttributeTable attributes = new();
        UpdatePacker<Ipv6Prefix> packer = new(Key(AfiSafi.Ipv6Unicast, 4096, false), attributes);
        byte[] buffer = new byte[4096];
        PathAttributesBuilder builder = PathAttributesBuilder.Originate(buffer, Origin.Igp, IpAddr.Parse("fd00::1"));
        builder.SetLocalPref(100);
        uint set = attributes.Intern(builder.Build());
        packer.Add(Ipv6Prefix.Parse("fd10::/64"), 0, set, LogTarget.All);
        packer.Add(Ipv6Prefix.Parse("fd11::/64"), 0, 0, LogTarget.All);
        List<byte[]> messages = Flush(packer);
        Assert.That(messages.Select(static message => message[24]), Is.EqualTo(new[] { (byte)AttributeCode.MpUnreachNlri, (byte)AttributeCode.MpReachNlri }), "RFC 7606 section 5.1");
    }

    [Test]
    public void Prefixes_of_one_set_and_target_share_messages_and_others_do_not()
    {
        AttributeTable attributes = new();
        UpdatePacker<Ipv4Prefix> packer = new(Key(AfiSafi.Ipv4Unicast, 4096, false), attributes);
        uint[] sets = [.. Enumerable.Range(0, 3).Select(index => attributes.Intern(new RouteSpec { NextHop = 0xC0000201, LocalPref = (uint)index }.Stored()))];
        for (int i = 0; i < 300; i++)
        {
            packer.Add(new Ipv4Prefix(0x0A000000u + ((uint)i << 8), 24), 0, sets[i % 3], i % 2 == 0 ? LogTarget.All : LogTarget.AllExcept(7));
        }

        Assert.That(Flush(packer), Has.Count.EqualTo(6));
    }

    private static UpdateGroupKey Key(AfiSafi family, int limit, bool addPath) =>
        new() { Family = family, Kind = PeerKind.IbgpClient, LocalAsn = 64512, Policy = "", MaxMessageLength = limit, AddPathLimit = addPath ? 4 : 0 };

    private static List<byte[]> Flush<TPrefix>(UpdatePacker<TPrefix> packer)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        UpdateLog log = new(new SegmentPool());
        packer.Flush(log);
        log.Publish();
        List<byte[]> messages = [];
        foreach (ReadOnlyMemory<byte> record in log.Since(0))
        {
            ReadOnlyMemory<byte> rest = record;
            while (!rest.IsEmpty)
            {
                int length = BinaryPrimitives.ReadUInt16BigEndian(rest.Span[16..]);
                messages.Add(rest[..length].ToArray());
                rest = rest[length..];
            }
        }

        return messages;
    }
}
