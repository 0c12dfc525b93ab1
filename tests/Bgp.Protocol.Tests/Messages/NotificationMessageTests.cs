using System.Text;
using CsCheck;

namespace Bgp.Protocol.Tests.Messages;

/// <summary>NOTIFICATION, KEEPALIVE and ROUTE-REFRESH, both ways.</summary>
[TestFixture]
public sealed class NotificationMessageTests
{
    [Test]
    public void A_NOTIFICATION_has_the_layout_of_RFC_4271_section_4_5()
    {
        byte[] buffer = new byte[64];
        int length = NotificationMessage.Write(NotificationError.WithData(2, 1, [0, 4]), buffer);
        Assert.That(Vectors.Hex(buffer.AsSpan(0, length)), Is.EqualTo(new string('F', 32) + "0017" + "03" + "0201" + "0004"));
    }

    [Test]
    public void What_is_written_is_read_back() => Gen.Select(Gen.Byte[1, 255], Gen.Byte, Gen.Byte.Array[0, NotificationError.MaxData + 100]).Sample((code, subcode, data) =>
    {
        NotificationError error = NotificationError.WithData(code, subcode, data);
        byte[] buffer = new byte[4096];
        int length = NotificationMessage.Write(error, buffer);
        return length == 21 + Math.Min(data.Length, NotificationError.MaxData) && NotificationMessage.Parse(buffer.AsSpan(19, length - 19)) == error;
    }, iter: 500);

    [Test]
    public void Any_octets_are_a_NOTIFICATION_and_have_a_text() => Gen.Byte.Array[0, 40].Sample(static body =>
    {
        NotificationError error = NotificationMessage.Parse(body);
        string text = NotificationMessage.Text(error);
        return text.Length > 0 && !text.Any(char.IsControl) && error.Code == (body.Length < 2 ? 0 : body[0]);
    }, iter: 20_000);

    [Test]
    public void A_shutdown_text_is_cut_between_characters_at_255_octets()
    {
        foreach (string text in (string[])["a", new('a', 255), new('a', 256), new('€', 85), new('€', 86), "x" + new string('€', 85), string.Concat(Enumerable.Repeat("😀", 70))])
        {
            NotificationError cease = NotificationMessage.Cease(CeaseSubcode.AdministrativeShutdown, text);
            int length = cease.Data.Span[0];
            Assert.That(cease.Data.Length, Is.EqualTo(1 + length));
            Assert.That(length, Is.InRange(Math.Min(Encoding.UTF8.GetByteCount(text), 252), 255));
            string? read = NotificationMessage.ShutdownText(cease);
            Assert.That(text, Does.StartWith(read!), "RFC 9003 section 2");
        }
    }

    [TestCase("0602", null)]
    [TestCase("0602 00", null)]
    [TestCase("0602 03 616263", "abc")]
    [TestCase("0604 03 616263", "abc")]
    [TestCase("0603 03 616263", null, TestName = "Only shutdown and reset carry a text")]
    [TestCase("0602 04 616263", null, TestName = "A length that overruns is no text")]
    [TestCase("0602 02 616263", null, TestName = "A length that leaves octets over is no text")]
    [TestCase("0602 06 61 1B 0A 62 E280AE", null)]
    [TestCase("0602 07 61 1B 0A 62 E280AE", "a??b?", TestName = "Controls and changes of direction are not printed")]
    [TestCase("0602 03 61 C0 62", "a?b", TestName = "Octets that are not UTF-8 are not printed")]
    public void A_shutdown_text_is_read_with_care(string body, string? text) =>
        Assert.That(NotificationMessage.ShutdownText(NotificationMessage.Parse(Vectors.Hex(body))), Is.EqualTo(text));

    [Test]
    public void A_Hard_Reset_wraps_another_NOTIFICATION()
    {
        NotificationError inner = NotificationMessage.Cease(CeaseSubcode.AdministrativeShutdown, "bye");
        NotificationError hard = NotificationMessage.HardReset(inner);
        Assert.That(Vectors.Hex(hard.Data.Span), Is.EqualTo("0602" + "03" + "627965"), "RFC 8538 section 3.1");
        Assert.That(NotificationMessage.IsHardReset(hard, out NotificationError read));
        Assert.That(read, Is.EqualTo(inner));
        Assert.That(NotificationMessage.Text(hard), Is.EqualTo("Cease/Hard Reset (Cease/Administrative Shutdown: \"bye\")"));
        NotificationError nested = NotificationMessage.HardReset(NotificationMessage.HardReset(inner));
        Assert.That(NotificationMessage.Text(nested), Is.EqualTo("Cease/Hard Reset (Cease/Hard Reset)"), "one level is opened");
        NotificationError large = NotificationMessage.HardReset(NotificationError.WithData(3, 1, new byte[NotificationError.MaxData]));
        Assert.That(large.Data.Length, Is.EqualTo(NotificationError.MaxData));
    }

    [Test]
    public void A_KEEPALIVE_is_19_octets()
    {
        byte[] buffer = new byte[19];
        Assert.That(KeepAliveMessage.Write(buffer), Is.EqualTo(19));
        Assert.That(Vectors.Hex(buffer), Is.EqualTo(new string('F', 32) + "001304"));
    }

    [Test]
    public void A_ROUTE_REFRESH_has_the_layout_of_RFC_2918_section_3()
    {
        byte[] buffer = new byte[23];
        Assert.That(new RouteRefreshMessage(AfiSafi.Ipv6Unicast, RouteRefreshSubtype.BeginOfRefresh).Write(buffer), Is.EqualTo(23));
        Assert.That(Vectors.Hex(buffer), Is.EqualTo(new string('F', 32) + "0017" + "05" + "0002" + "01" + "01"));
        Assert.That(new RouteRefreshMessage(AfiSafi.Ipv6Unicast, RouteRefreshSubtype.Request).Write(new byte[22]), Is.Zero);
    }

    [Test]
    public void A_ROUTE_REFRESH_is_read_back() => Gen.Select(Gen.UShort, Gen.Byte, Gen.Byte).Sample(static (afi, subtype, safi) =>
    {
        RouteRefreshMessage message = new(AfiSafiExtensions.Join(afi, safi), (RouteRefreshSubtype)subtype);
        byte[] buffer = new byte[23];
        message.Write(buffer);
        bool enhanced = !RouteRefreshMessage.TryParse(buffer.AsSpan(19), enhanced: true, out RouteRefreshMessage with).IsError && with == message;
        bool plain = !RouteRefreshMessage.TryParse(buffer.AsSpan(19), enhanced: false, out RouteRefreshMessage without).IsError && without == message with { Subtype = RouteRefreshSubtype.Request };
        return enhanced && plain;
    }, iter: 2000);

    [TestCase("", true, 7, 1)]
    [TestCase("000100", true, 7, 1)]
    [TestCase("0001000101", true, 7, 1)]
    [TestCase("0001020101", true, 7, 1)]
    [TestCase("0001030101", true, 0, 0, TestName = "An unknown subtype is ignored whatever its length")]
    [TestCase("000100", false, 1, 2)]
    [TestCase("0001000101", false, 1, 2)]
    [TestCase("0001030101", false, 1, 2, TestName = "Without enhanced refresh the subtype is a reserved octet")]
    public void A_ROUTE_REFRESH_of_wrong_length_is_answered(string body, bool enhanced, byte code, byte subcode)
    {
        byte[] octets = Vectors.Hex(body);
        byte[] data = code switch
        {
            7 => Vectors.Message(MessageType.RouteRefresh, octets),
            1 => [0, (byte)(19 + octets.Length)],
            _ => [],
        };
        NotificationError expected = code == 0 ? default : NotificationError.WithData(code, subcode, data);
        Assert.That(RouteRefreshMessage.TryParse(octets, enhanced, out _), Is.EqualTo(expected));
    }
}
