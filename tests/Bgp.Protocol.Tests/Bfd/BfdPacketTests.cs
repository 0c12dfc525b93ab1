using CsCheck;

namespace Bgp.Protocol.Tests.Bfd;

/// <summary>The packet's octets, and the checks of RFC 5880 section 6.8.6 that need no session.</summary>
[TestFixture]
public sealed class BfdPacketTests
{
    private static readonly BfdPacket s_up = new()
    {
        State = BfdState.Up,
        Multiplier = 3,
        MyDiscriminator = 0x01020304,
        YourDiscriminator = 0x0A0B0C0D,
        DesiredMinTx = 300_000,
        RequiredMinRx = 250_000,
    };

    [Test]
    public void A_packet_has_the_octets_of_the_RFC()
    {
        byte[] octets = Octets(s_up with { Diagnostic = BfdDiagnostic.DetectionTimeExpired, Poll = true, ControlPlaneIndependent = true });
        Assert.That(Convert.ToHexString(octets), Is.EqualTo("21E80318" + "01020304" + "0A0B0C0D" + "000493E0" + "0003D090" + "00000000"));
    }

    [Test]
    public void Every_packet_reads_back_as_it_was_written() => Check.Sample(
        from diagnostic in Gen.Int[0, 31]
        from state in Gen.Enum<BfdState>()
        from flags in Gen.Bool.Array[4]
        from multiplier in Gen.Int[1, 255]
        from numbers in Gen.UInt.Array[5]
        select new BfdPacket
        {
            Diagnostic = (BfdDiagnostic)diagnostic,
            State = state,
            Poll = flags[0],
            Final = flags[1],
            ControlPlaneIndependent = flags[2],
            Demand = flags[3],
            Multiplier = (byte)multiplier,
            MyDiscriminator = Math.Max(1, numbers[0]),
            YourDiscriminator = Math.Max(1, numbers[1]),
            DesiredMinTx = numbers[2],
            RequiredMinRx = numbers[3],
            RequiredMinEchoRx = numbers[4],
        },
        static packet => BfdPacket.TryParse(Octets(packet), out BfdPacket read) == BfdVerdict.Accepted && read == packet);

    [TestCase("", BfdVerdict.Length)]
    [TestCase("20C003180102030400000001000493E00003D090000000", BfdVerdict.Length)]
    [TestCase("00C003180102030400000001000493E00003D09000000000", BfdVerdict.Version)]
    [TestCase("40C003180102030400000001000493E00003D09000000000", BfdVerdict.Version)]
    [TestCase("20C003170102030400000001000493E00003D09000000000", BfdVerdict.Length)]
    [TestCase("20C003190102030400000001000493E00003D09000000000", BfdVerdict.Length)]
    [TestCase("20C403180102030400000001000493E00003D09000000000", BfdVerdict.Length)]
    [TestCase("20C000180102030400000001000493E00003D09000000000", BfdVerdict.Multiplier)]
    [TestCase("20C103180102030400000001000493E00003D09000000000", BfdVerdict.Multipoint)]
    [TestCase("20C003180000000000000001000493E00003D09000000000", BfdVerdict.Discriminator)]
    [TestCase("20C003180102030400000000000493E00003D09000000000", BfdVerdict.Discriminator)]
    [TestCase("208003180102030400000000000493E00003D09000000000", BfdVerdict.Discriminator)]
    [TestCase("204003180102030400000000000493E00003D09000000000", BfdVerdict.Accepted)]
    [TestCase("200003180102030400000000000493E00003D09000000000", BfdVerdict.Accepted)]
    [TestCase("20C4031A0102030400000001000493E00003D090000000000000", BfdVerdict.Authentication)]
    [TestCase("20C003180102030400000001000493E00003D09000000000FFFFFF", BfdVerdict.Accepted)]
    public void What_the_RFC_discards_is_discarded(string hexadecimal, BfdVerdict verdict) =>
        Assert.That(BfdPacket.TryParse(Convert.FromHexString(hexadecimal), out _), Is.EqualTo(verdict));

    [Test]
    public void No_octets_throw() => Check.Sample(Gen.Byte.Array[0, 80], static octets =>
    {
        BfdVerdict verdict = BfdPacket.TryParse(octets, out BfdPacket packet);
        return verdict != BfdVerdict.Accepted || (packet.Multiplier > 0 && packet.MyDiscriminator > 0);
    });

    private static byte[] Octets(in BfdPacket packet)
    {
        byte[] octets = new byte[BfdPacket.Length];
        packet.Write(octets);
        return octets;
    }
}
