using System.Buffers;

namespace Bgp.Protocol.Tests;

/// <summary>MRT table dumps, octet by octet as RFC 6396 section 4.3 lays them out.</summary>
[TestFixture]
public sealed class TableDumpTests
{
    private static string Hex(ArrayBufferWriter<byte> buffer) => Convert.ToHexString(buffer.WrittenSpan);

    [Test]
    public void The_peer_table_names_the_collector_the_view_and_both_kinds_of_address()
    {
        ArrayBufferWriter<byte> buffer = new();
        TableDump.WritePeers(buffer, 0x5F000000, 0x0A000001, "n1", [new DumpPeer(0x0A000002, IpAddr.Parse("10.0.0.2"), 64512), new DumpPeer(3, IpAddr.Parse("fd00::3"), 4200000000)]);
        Assert.That(Hex(buffer), Is.EqualTo(
            "5F000000" + "000D" + "0001" + "00000030"
            + "0A000001" + "0002" + "6E31" + "0002"
            + "02" + "0A000002" + "0A000002" + "0000FC00"
            + "03" + "00000003" + "FD000000000000000000000000000003" + "FA56EA00"));
    }

    [Test]
    public void An_IPv4_prefix_keeps_its_attributes_and_an_IPv6_next_hop_is_an_abbreviated_MP_REACH_NLRI()
    {
        // ORIGIN, AS_PATH, NEXT_HOP.
        PathAttributes v4 = PathAttributes.Decode(Convert.FromHexString("400101004002060201000000FD4003040A000002"));
        PathAttributes v6 = PathAttributes.Decode(Convert.FromHexString("400101004002060201000000FD400310FD000000000000000000000000000002"));
        ArrayBufferWriter<byte> buffer = new();
        Assert.That(TableDump.WritePrefix(buffer, 1, 7, Ipv4Prefix.Create(IpAddr.Parse("10.244.1.0"), 26), [new DumpPath(1, 0, v4)]), Is.EqualTo(1));
        Assert.That(Hex(buffer), Is.EqualTo("00000001" + "000D" + "0002" + "00000027" + "00000007" + "1A0AF40100" + "0001" + "0001" + "00000001" + "0014" + "400101004002060201000000FD4003040A000002"));
        buffer.Clear();
        Assert.That(TableDump.WritePrefix(buffer, 1, 8, Ipv6Prefix.Create(IpAddr.Parse("fd10::"), 64), [new DumpPath(1, 0, v6)]), Is.EqualTo(1));
        Assert.That(Hex(buffer), Is.EqualTo(
            "00000001" + "000D" + "0004" + "00000038" + "00000008" + "40FD10000000000000" + "0001" + "0001" + "00000001" + "0021"
            + "400101004002060201000000FD" + "800E1110FD000000000000000000000000000002"));
    }

    [Test]
    public void Paths_with_identifiers_take_the_record_type_of_RFC_8050()
    {
        PathAttributes attributes = PathAttributes.Decode(Convert.FromHexString("40010100400200" + "4003040A000002"));
        ArrayBufferWriter<byte> buffer = new();
        Assert.That(TableDump.WritePrefix(buffer, 1, 0, Ipv4Prefix.Create(IpAddr.Parse("10.0.0.0"), 8), [new DumpPath(1, 5, attributes), new DumpPath(2, 0, attributes)]), Is.EqualTo(2));
        string hex = Hex(buffer);
        Assert.That(hex[8..16], Is.EqualTo("000D0008"));
        Assert.That(hex, Does.EndWith("0002" + "0001" + "00000001" + "00000005" + "000E" + "400101004002004003040A000002" + "0002" + "00000001" + "00000000" + "000E" + "400101004002004003040A000002"));
    }
}
