namespace Bgp.Protocol.Tests;

/// <summary>Messages of the BGP Monitoring Protocol, octet by octet as RFC 7854 section 4 and RFC 9069 section 5 lay them out.</summary>
[TestFixture]
public sealed class BmpMessageTests
{
    private const ulong Time = 0x5F000000UL * 1_000_000 + 0x000A1B2C;
    private const string TimeHex = "5F000000" + "000A1B2C";
    private static readonly BmpPeer s_v4 = new(BmpPeerType.GlobalInstance, BmpPeerFlags.None, IpAddr.Parse("10.0.0.2"), 4200000000, 0x0A000002);
    private static readonly BmpPeer s_v6 = new(BmpPeerType.GlobalInstance, BmpPeerFlags.None, IpAddr.Parse("fe80::2").WithScope(7), 64512, 2);
    private static readonly BmpPeer s_locRib = new(BmpPeerType.LocRib, BmpPeerFlags.None, default, 64512, 0x0A000001);
    private const string V4Hex = "00" + "00" + "0000000000000000" + "0000000000000000000000000A000002" + "FA56EA00" + "0A000002" + TimeHex;
    private const string V6Hex = "00" + "80" + "0000000000000000" + "FE800000000000000000000000000002" + "0000FC00" + "00000002" + TimeHex;
    private const string LocRibHex = "03" + "00" + "0000000000000000" + "00000000000000000000000000000000" + "0000FC00" + "0A000001" + TimeHex;

    private static string Hex(byte[] buffer, int length) => Convert.ToHexString(buffer, 0, length);

    [Test]
    public void Initiation_names_the_router_and_describes_it()
    {
        byte[] buffer = new byte[100];
        Assert.That(Hex(buffer, BmpMessage.WriteInitiation(buffer, "n1", "Pipit")), Is.EqualTo("03" + "00000015" + "04" + "0001" + "0005" + "5069706974" + "0002" + "0002" + "6E31"));
    }

    [Test]
    public void Termination_says_the_reason_and_a_text()
    {
        byte[] buffer = new byte[100];
        Assert.That(Hex(buffer, BmpMessage.WriteTermination(buffer, BmpTerminationReason.PermanentlyClosed, "bye")),
            Is.EqualTo("03" + "00000013" + "05" + "0001" + "0002" + "0004" + "0000" + "0003" + "627965"));
        Assert.That(Hex(buffer, BmpMessage.WriteTermination(buffer, BmpTerminationReason.AdministrativelyClosed, "")), Is.EqualTo("03" + "0000000C" + "05" + "0001" + "0002" + "0000"));
    }

    [Test]
    public void Peer_Up_holds_addresses_ports_and_both_OPENs_as_they_are()
    {
        byte[] buffer = new byte[200];
        int length = BmpMessage.WritePeerUp(buffer, s_v4, Time, IpAddr.Parse("10.0.0.1"), 179, 40000, [0xAA, 0xBB], [0xCC]);
        Assert.That(Hex(buffer, length), Is.EqualTo("03" + "00000047" + "03" + V4Hex + "0000000000000000000000000A000001" + "00B3" + "9C40" + "AABB" + "CC"));
    }

    [Test]
    public void An_IPv6_peer_has_the_V_flag_and_its_interface_stays_here()
    {
        byte[] buffer = new byte[200];
        int length = BmpMessage.WritePeerUp(buffer, s_v6, Time, IpAddr.Parse("fe80::1").WithScope(7), 1, 2, [], []);
        Assert.That(Hex(buffer, length), Is.EqualTo("03" + "00000044" + "03" + V6Hex + "FE800000000000000000000000000001" + "0001" + "0002"));
    }

    [Test]
    public void A_Loc_RIB_is_a_peer_of_type_3_without_address_and_with_the_name_of_its_table()
    {
        byte[] buffer = new byte[200];
        int length = BmpMessage.WritePeerUp(buffer, s_locRib, Time, default, 0, 0, [0xAA], [0xAA]);
        Assert.That(Hex(buffer, length), Is.EqualTo(
            "03" + "00000050" + "03" + LocRibHex + "00000000000000000000000000000000" + "0000" + "0000" + "AA" + "AA" + "0003" + "0006" + "676C6F62616C"));
        length = BmpMessage.WritePeerDown(buffer, s_locRib, Time, BmpPeerDownReason.LocalSystemClosed, []);
        Assert.That(Hex(buffer, length), Is.EqualTo("03" + "0000003B" + "02" + LocRibHex + "06" + "0003" + "0006" + "676C6F62616C"));
    }

    [TestCase(BmpPeerDownReason.LocalNotification, "AABB", "01AABB")]
    [TestCase(BmpPeerDownReason.LocalNoNotification, "0002", "020002")]
    [TestCase(BmpPeerDownReason.RemoteNotification, "AABB", "03AABB")]
    [TestCase(BmpPeerDownReason.RemoteNoNotification, "", "04")]
    [TestCase(BmpPeerDownReason.Deconfigured, "", "05")]
    public void Peer_Down_says_who_ended_the_session_and_with_what(BmpPeerDownReason reason, string data, string expected)
    {
        byte[] buffer = new byte[200];
        int length = BmpMessage.WritePeerDown(buffer, s_v4, Time, reason, Convert.FromHexString(data));
        Assert.That(Hex(buffer, length), Is.EqualTo("03" + $"{48 + (expected.Length / 2):X8}" + "02" + V4Hex + expected));
    }

    [Test]
    public void Statistics_have_32_bits_where_they_count_and_64_where_they_measure()
    {
        byte[] buffer = new byte[200];
        int length = BmpMessage.WriteStatistics(
            buffer, s_v4, Time,
            [
                new BmpStatistic(BmpStatisticType.RejectedPrefixes, 0x1_0000_0005),
                new BmpStatistic(BmpStatisticType.AdjRibIn, 0x1_0000_0005),
                new BmpStatistic(BmpStatisticType.FamilyAdjRibIn, 9, AfiSafi.Ipv6Unicast),
            ]);
        Assert.That(Hex(buffer, length), Is.EqualTo(
            "03" + "00000057" + "01" + V4Hex + "00000003" + "0000" + "0004" + "00000005" + "0007" + "0008" + "0000000100000005" + "0009" + "000B" + "000201" + "0000000000000009"));
    }

    [Test]
    public void What_does_not_fit_is_not_written_at_all()
    {
        byte[] buffer = new byte[60];
        Assert.Multiple(() =>
        {
            Assert.That(BmpMessage.WriteInitiation(buffer, new string('n', 60), ""), Is.Zero);
            Assert.That(BmpMessage.WriteTermination(buffer, BmpTerminationReason.Unspecified, new string('n', 60)), Is.Zero);
            Assert.That(BmpMessage.WritePeerUp(buffer, s_v4, 0, default, 0, 0, [], []), Is.Zero);
            Assert.That(BmpMessage.WritePeerDown(buffer, s_v4, 0, BmpPeerDownReason.LocalNotification, new byte[12]), Is.Zero);
            Assert.That(BmpMessage.WriteStatistics(buffer, s_v4, 0, [new BmpStatistic(BmpStatisticType.AdjRibIn, 1)]), Is.Zero);
        });
    }

    [Test]
    public void A_text_that_is_too_long_for_its_length_is_cut_between_characters()
    {
        byte[] buffer = new byte[70_000];
        int length = BmpMessage.WriteInitiation(buffer, "a" + new string('é', 40_000), "");
        Assert.That(length, Is.EqualTo(6 + 4 + 4 + 65_535));
        length = BmpMessage.WriteInitiation(buffer, new string('é', 40_000), "");
        Assert.That(length, Is.EqualTo(6 + 4 + 4 + 65_534));
    }
}
