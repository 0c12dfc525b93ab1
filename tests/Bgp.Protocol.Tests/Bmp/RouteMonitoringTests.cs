using System.Buffers;
using System.Buffers.Binary;

namespace Bgp.Protocol.Tests;

/// <summary>Routes as Route Monitoring messages: RFC 7854 section 4.6.</summary>
[TestFixture]
public sealed class RouteMonitoringTests
{
    private const string Marker = "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF";
    private const string Origin = "40010100";
    private const string AsPath = "4002060201000000FD";
    private static readonly BmpPeer s_peer = new(BmpPeerType.GlobalInstance, BmpPeerFlags.None, IpAddr.Parse("10.0.0.2"), 64512, 0x0A000002);
    private static readonly Ipv4Prefix s_v4 = Ipv4Prefix.Create(IpAddr.Parse("10.244.1.0"), 26);
    private static readonly Ipv6Prefix s_v6 = Ipv6Prefix.Create(IpAddr.Parse("fd10::"), 64);
    private readonly ArrayBufferWriter<byte> _buffer = new();

    [SetUp]
    public void Empty() => _buffer.Clear();

    /// <summary>The UPDATE inside the only message, whose headers are checked.</summary>
    private string Update(string flags = "00")
    {
        string hex = Convert.ToHexString(_buffer.WrittenSpan);
        Assert.That(hex[..12], Is.EqualTo("03" + $"{_buffer.WrittenCount:X8}" + "00"));
        Assert.That(hex[12..96], Is.EqualTo("00" + flags + "0000000000000000" + "0000000000000000000000000A000002" + "0000FC00" + "0A000002" + "00000001" + "00000002"));
        Assert.That(hex[96..132], Is.EqualTo(Marker + $"{_buffer.WrittenCount - 48:X4}"));
        return hex[132..];
    }

    private int Reach<TPrefix>(string canonical, TPrefix prefix, bool addPath = false, BmpPeer? peer = null)
        where TPrefix : unmanaged, IPrefix<TPrefix> =>
        RouteMonitoring.Reach(_buffer, peer ?? s_peer, 1_000_002, Convert.FromHexString(canonical), [prefix], [7], addPath);

    [Test]
    public void An_IPv4_route_is_an_UPDATE_as_the_neighbour_would_send_it()
    {
        Assert.That(Reach(Origin + AsPath + "4003040A000002", s_v4), Is.EqualTo(1));
        Assert.That(Update(), Is.EqualTo("02" + "0000" + "0014" + Origin + AsPath + "4003040A000002" + "1A0AF40100"));
    }

    [Test]
    public void Routes_after_policy_have_the_L_flag()
    {
        Reach(Origin + AsPath + "4003040A000002", s_v4, peer: s_peer.PostPolicy);
        Assert.That(Update("40"), Does.EndWith("1A0AF40100"));
    }

    [Test]
    public void An_identifier_stands_before_the_prefix_where_the_OPENs_say_so()
    {
        Reach(Origin + AsPath + "4003040A000002", s_v4, addPath: true);
        Assert.That(Update(), Does.EndWith("4003040A000002" + "00000007" + "1A0AF40100"));
        _buffer.Clear();
        RouteMonitoring.Unreach(_buffer, s_peer, 1_000_002, [s_v4], [7], addPath: true);
        Assert.That(Update(), Is.EqualTo("02" + "0009" + "00000007" + "1A0AF40100" + "0000"));
    }

    [Test]
    public void An_IPv6_route_has_both_its_next_hops_and_no_interface()
    {
        Reach(Origin + AsPath + "400320" + "FD000000000000000000000000000002" + "FE800000000000070000000000000002", s_v6);
        Assert.That(Update(), Is.EqualTo(
            "02" + "0000" + "003F" + "900E002E" + "000201" + "20" + "FD000000000000000000000000000002" + "FE800000000000000000000000000002" + "00" + "40FD10000000000000" + Origin + AsPath));
    }

    [Test]
    public void An_IPv4_route_behind_an_IPv6_next_hop_is_of_the_multiprotocol_kind()
    {
        Reach(Origin + AsPath + "400310FD000000000000000000000000000002", s_v4);
        Assert.That(Update(), Is.EqualTo("02" + "0000" + "002B" + "900E001A" + "000101" + "10" + "FD000000000000000000000000000002" + "00" + "1A0AF40100" + Origin + AsPath));
    }

    [Test]
    public void A_route_of_this_host_has_the_unspecified_next_hop_and_keeps_what_only_this_host_knows()
    {
        // Attribute 0 is this program's own.
        string local = "000007" + "01" + "0C" + "00000400" + "00";
        Reach(local + Origin + "400200", s_v4);
        Assert.That(Update(), Is.EqualTo("02" + "0000" + "000E" + Origin + "400200" + "40030400000000" + "1A0AF40100"));
        _buffer.Clear();
        Reach(local + Origin + "400200", s_v6);
        Assert.That(Update(), Is.EqualTo("02" + "0000" + "0029" + "900E001E" + "000201" + "10" + "00000000000000000000000000000000" + "00" + "40FD10000000000000" + Origin + "400200"));
    }

    [Test]
    public void A_withdrawal_has_no_attributes()
    {
        RouteMonitoring.Unreach(_buffer, s_peer, 1_000_002, [s_v4], [], addPath: false);
        Assert.That(Update(), Is.EqualTo("02" + "0005" + "1A0AF40100" + "0000"));
        _buffer.Clear();
        RouteMonitoring.Unreach(_buffer, s_peer, 1_000_002, [s_v6], [], addPath: false);
        Assert.That(Update(), Is.EqualTo("02" + "0000" + "0010" + "900F000C" + "000201" + "40FD10000000000000"));
    }

    [TestCase(AfiSafi.Ipv4Unicast, "02" + "0000" + "0000")]
    [TestCase(AfiSafi.Ipv6Unicast, "02" + "0000" + "0006" + "800F03000201")]
    public void The_end_of_a_dump_is_an_End_of_RIB(AfiSafi family, string expected)
    {
        RouteMonitoring.EndOfRib(_buffer, s_peer, 1_000_002, family);
        Assert.That(Update(), Is.EqualTo(expected));
    }

    [Test]
    public void Prefixes_go_into_as_few_messages_as_hold_them_and_none_is_longer_than_4096_octets()
    {
        Ipv4Prefix[] prefixes = [.. Enumerable.Range(0, 2500).Select(static i => Ipv4Prefix.Create(IpAddr.V4(0x0A000000u + ((uint)i << 8)), 24))];
        byte[] canonical = Convert.FromHexString(Origin + AsPath + "4003040A000002");
        int messages = RouteMonitoring.Reach(_buffer, s_peer, 0, canonical, prefixes, [], addPath: false);
        Assert.That(messages, Is.EqualTo(3));
        Assert.That(Read<Ipv4Prefix>(reach: true), Is.EqualTo(prefixes));
        _buffer.Clear();
        Assert.That(RouteMonitoring.Unreach(_buffer, s_peer, 0, prefixes, [], addPath: false), Is.EqualTo(3));
        Assert.That(Read<Ipv4Prefix>(reach: false), Is.EqualTo(prefixes));
    }

    [Test]
    public void A_set_of_attributes_that_needs_more_than_4096_octets_gets_them()
    {
        byte[] communities = new byte[8000];
        byte[] canonical = [.. Convert.FromHexString(Origin + AsPath + "4003040A000002"), 0xD0, 8, 8000 >> 8, 8000 & 0xFF, .. communities];
        Assert.That(RouteMonitoring.Reach(_buffer, s_peer, 0, canonical, [s_v4], [], addPath: false), Is.EqualTo(1));
        Assert.That(Read<Ipv4Prefix>(reach: true), Is.EqualTo(new[] { s_v4 }));
    }

    [Test]
    public void What_no_message_can_say_is_withdrawn()
    {
        byte[] communities = new byte[65_000];
        byte[] canonical = [.. Convert.FromHexString(Origin + AsPath + "4003040A000002"), 0xD0, 8, 65_000 >> 8, 65_000 & 0xFF, .. communities, 0xD0, 32, 600 >> 8, 600 & 0xFF, .. new byte[600]];
        Assert.That(RouteMonitoring.Reach(_buffer, s_peer, 0, canonical, [s_v4], [], addPath: false), Is.EqualTo(1));
        Assert.That(Read<Ipv4Prefix>(reach: false), Is.EqualTo(new[] { s_v4 }));
    }

    /// <summary>All prefixes that are announced or withdrawn, as another reader finds them.</summary>
    private List<TPrefix> Read<TPrefix>(bool reach)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        OpenMessage open = OpenMessage.Create(1, 90, 1, new Capabilities { Families = [TPrefix.Family], As4 = 1, ExtendedMessages = true });
        NegotiatedSession session = NegotiatedSession.Negotiate(open, open, new LocalSessionSettings());
        List<TPrefix> prefixes = [];
        for (ReadOnlySpan<byte> rest = _buffer.WrittenSpan; !rest.IsEmpty;)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(rest[1..]);
            ReadOnlySpan<byte> update = rest[48..length];
            rest = rest[length..];
            Assert.That(BinaryPrimitives.ReadUInt16BigEndian(update[16..]), Is.EqualTo(update.Length));
            Assert.That(update.Length, Is.LessThanOrEqualTo(_buffer.WrittenCount > 60_000 || !rest.IsEmpty || prefixes.Count > 0 ? 4096 : 65_535));
            UpdateError error = UpdateView.TryParse(update[19..], session, out UpdateView view);
            Assert.That(error.IsError, Is.False);
            NlriReader<TPrefix> reader = new(reach ? view.Nlri : view.Withdrawn, addPath: false);
            while (reader.TryRead(out TPrefix prefix, out _))
            {
                prefixes.Add(prefix);
            }
        }

        return prefixes;
    }
}
