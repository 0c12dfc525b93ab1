using CsCheck;

namespace Bgp.Protocol.Tests.Nlri;

/// <summary>Prefixes and fields of them (RFC 4271 section 4.3, RFC 4760 section 5, RFC 7911 section 3).</summary>
[TestFixture]
public sealed class NlriTests
{
    private static readonly Gen<Ipv4Prefix> s_v4 = Gen.Select(Gen.UInt, Gen.Int[0, 32], static (address, length) => new Ipv4Prefix(address, length));

    private static readonly Gen<Ipv6Prefix> s_v6 = Gen.Select(Gen.ULong, Gen.ULong, Gen.Int[0, 128], static (hi, lo, length) => new Ipv6Prefix(hi, lo, length));

    [TestCase("0.0.0.0/0", "00")]
    [TestCase("10.0.0.0/8", "08 0A")]
    [TestCase("10.128.0.0/9", "09 0A80")]
    [TestCase("198.51.100.0/24", "18 C63364")]
    [TestCase("198.51.100.128/25", "19 C6336480")]
    [TestCase("198.51.100.1/32", "20 C6336401")]
    public void An_IPv4_prefix_takes_the_octets_it_needs(string text, string layout) => Both(Ipv4Prefix.Parse(text), layout);

    [TestCase("::/0", "00")]
    [TestCase("2001:db8::/32", "20 20010DB8")]
    [TestCase("2001:db8:51::/48", "30 20010DB80051")]
    [TestCase("2001:db8::1/128", "80 20010DB8000000000000000000000001")]
    [TestCase("2001:db8:0:1::/65", "41 20010DB80000000100")]
    public void An_IPv6_prefix_takes_the_octets_it_needs(string text, string layout)
    {
        string[] parts = text.Split('/');
        Both(Ipv6Prefix.Create(IpAddr.Parse(parts[0]), int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture)), layout);
    }

    [Test]
    public void A_field_is_read_back_with_and_without_path_identifiers()
    {
        Gen.Select(s_v4.Array[0, 30], Gen.UInt, Gen.Bool).Sample(static (prefixes, id, addPath) => RoundTrip(prefixes, id, addPath), iter: 3000);
        Gen.Select(s_v6.Array[0, 30], Gen.UInt, Gen.Bool).Sample(static (prefixes, id, addPath) => RoundTrip(prefixes, id, addPath), iter: 3000);
    }

    [Test]
    public void A_field_is_well_formed_exactly_when_it_reads_to_its_end()
    {
        // Small values, so that lengths are often possible.
        Gen<byte[]> fields = Gen.OneOf(Gen.Byte[0, 40], Gen.Byte).Array[0, 40];
        Gen.Select(fields, Gen.Bool).Sample(static (field, addPath) => Agrees<Ipv4Prefix>(field, addPath) && Agrees<Ipv6Prefix>(field, addPath), iter: 50_000);
    }

    [Test]
    public void Bits_beyond_the_length_do_not_count() => Gen.Select(Gen.UInt, Gen.Int[0, 32]).Sample(static (address, length) =>
    {
        byte[] octets = [(byte)length, (byte)(address >> 24), (byte)(address >> 16), (byte)(address >> 8), (byte)address];
        ReadOnlySpan<byte> field = octets.AsSpan(0, 1 + ((length + 7) / 8));
        return Ipv4Prefix.TryRead(ref field, out Ipv4Prefix prefix) && field.IsEmpty && prefix == new Ipv4Prefix(address, length)
            && prefix.Contains(new Ipv4Prefix(address, 32)) && Enumerable.Range(length, 32 - length).All(bit => prefix.Bit(bit) == 0);
    });

    [Test]
    public void A_batch_holds_what_one_by_one_gives() => Gen.Select(s_v4.Array[0, 50], Gen.Bool, Gen.Int[1, 20]).Sample(static (prefixes, addPath, size) =>
    {
        byte[] field = Write(prefixes, 7, addPath);
        NlriReader<Ipv4Prefix> reader = new(field, addPath);
        List<Ipv4Prefix> all = [];
        Ipv4Prefix[] batch = new Ipv4Prefix[size];
        uint[] ids = new uint[size];
        for (int count; (count = reader.Read(batch, ids)) > 0;)
        {
            all.AddRange(batch.AsSpan(0, count));
        }

        return all.SequenceEqual(prefixes) && reader.Rest.IsEmpty;
    });

    [TestCase("10.0.0.1/24")]
    [TestCase("10.0.0.0/33")]
    [TestCase("10.0.0/24")]
    [TestCase("010.0.0.0/8")]
    [TestCase("10.0.0.0/")]
    [TestCase("10.0.0.0/+8")]
    [TestCase("2001:db8::/32")]
    [TestCase("")]
    public void What_is_no_IPv4_prefix_is_refused(string text) => Assert.That(Ipv4Prefix.TryParse(text, out _), Is.False);

    [TestCase("2001:db8::1/64")]
    [TestCase("2001:db8::/129")]
    [TestCase("fe80::1%eth0/64")]
    [TestCase("10.0.0.0/8")]
    public void What_is_no_IPv6_prefix_is_refused(string text) => Assert.That(Ipv6Prefix.TryParse(text, out _), Is.False);

    [Test]
    public void A_prefix_is_read_back_from_its_text()
    {
        s_v4.Sample(static prefix => Ipv4Prefix.TryParse(prefix.ToString(), out Ipv4Prefix read) && read == prefix);
        s_v6.Sample(static prefix => Ipv6Prefix.TryParse(prefix.ToString(), out Ipv6Prefix read) && read == prefix);
    }

    [Test]
    public void Order_is_that_of_address_and_length()
    {
        Gen.Select(s_v4, s_v4).Sample(static (a, b) => Math.Sign(a.CompareTo(b)) == Math.Sign(a.Value != b.Value ? a.Value.CompareTo(b.Value) : a.Length.CompareTo(b.Length)) && (a == b) == (a.CompareTo(b) == 0));
        Gen.Select(s_v6, s_v6).Sample(static (a, b) => Math.Sign(a.CompareTo(b)) == -Math.Sign(b.CompareTo(a)) && (a.CompareTo(b) == 0) == a.Equals(b));
    }

    private static void Both<TPrefix>(TPrefix prefix, string layout)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        byte[] octets = Vectors.Hex(layout);
        byte[] buffer = new byte[17];
        Assert.That(prefix.WireLength, Is.EqualTo(octets.Length));
        Assert.That(Vectors.Hex(buffer.AsSpan(0, prefix.Write(buffer))), Is.EqualTo(Vectors.Hex(octets)));
        ReadOnlySpan<byte> rest = [.. octets, 0xEE];
        Assert.That(TPrefix.TryRead(ref rest, out TPrefix read));
        Assert.That(read, Is.EqualTo(prefix));
        Assert.That(rest.Length, Is.EqualTo(1), "no octet more");
        for (int length = 0; length < octets.Length; length++)
        {
            ReadOnlySpan<byte> cut = octets.AsSpan(0, length);
            Assert.That(TPrefix.TryRead(ref cut, out _), Is.False, "cut");
            Assert.That(cut.Length, Is.EqualTo(length), "nothing moved");
        }
    }

    private static byte[] Write<TPrefix>(TPrefix[] prefixes, uint id, bool addPath)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        byte[] buffer = new byte[17];
        return [.. prefixes.SelectMany(prefix => (byte[])[.. addPath ? (byte[])[(byte)(id >> 24), (byte)(id >> 16), (byte)(id >> 8), (byte)id] : [], .. buffer[..prefix.Write(buffer)]])];
    }

    private static bool RoundTrip<TPrefix>(TPrefix[] prefixes, uint id, bool addPath)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        byte[] field = Write(prefixes, id, addPath);
        NlriReader<TPrefix> reader = new(field, addPath);
        foreach (TPrefix expected in prefixes)
        {
            if (!reader.TryRead(out TPrefix prefix, out uint pathId) || !prefix.Equals(expected) || pathId != (addPath ? id : 0))
            {
                return false;
            }
        }

        return !reader.TryRead(out _, out _) && NlriField.IsWellFormed(field, TPrefix.MaxLength, addPath, out int count) && count == prefixes.Length;
    }

    private static bool Agrees<TPrefix>(byte[] field, bool addPath)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        NlriReader<TPrefix> reader = new(field, addPath);
        int read = 0;
        while (reader.TryRead(out _, out _))
        {
            read++;
        }

        bool well = NlriField.IsWellFormed(field, TPrefix.MaxLength, addPath, out int count);
        return well == reader.Rest.IsEmpty && (!well || count == read);
    }
}
