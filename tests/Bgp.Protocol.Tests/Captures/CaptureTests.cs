using System.Buffers;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Bgp.Protocol.Tests.Captures;

/// <summary>
/// What BIRD 2.0.12, FRR 8.4.4, GoBGP 3.10.0 and OpenBGPD 7.7 really sent, recorded from sessions with each: one line per message, and before it what the
/// daemon was configured to say. Their octets and not ours, so that a fault which encoder and parser share cannot hide.
/// </summary>
[TestFixture]
public sealed class CaptureTests
{
    /// <summary>What the recording side offered: everything.</summary>
    private static readonly OpenMessage s_all = OpenMessage.Create(64512, 90, 0x0A010001, new Capabilities
    {
        Families = [AfiSafi.Ipv4Unicast, AfiSafi.Ipv6Unicast],
        As4 = 64512,
        RouteRefresh = true,
        EnhancedRefresh = true,
        ExtendedMessages = true,
        GracefulRestart = new GracefulRestartCapability { Notification = true, RestartTime = 120 },
        AddPath = [new(AfiSafi.Ipv4Unicast, AddPathMode.Receive), new(AfiSafi.Ipv6Unicast, AddPathMode.Receive)],
        ExtendedNextHop = true,
    });

    /// <summary>Or nothing but the families, with 2-octet AS numbers.</summary>
    private static readonly OpenMessage s_old = OpenMessage.Create(65100, 90, 0x0A010001, new Capabilities { Families = [AfiSafi.Ipv4Unicast, AfiSafi.Ipv6Unicast] });

    [TestCase("bird")]
    [TestCase("bird-to-old")]
    [TestCase("frr")]
    [TestCase("gobgp")]
    [TestCase("openbgpd")]
    public void What_others_send_is_understood(string name)
    {
        List<(string Meaning, byte[] Octets)> messages = Read(name);
        OpenMessage ours = name == "bird-to-old" ? s_old : s_all;
        NegotiatedSession? session = null;
        StringBuilder seen = new();
        PathAttributesParser parser = new();
        foreach ((string meaning, byte[] octets) in messages)
        {
            ReadOnlySequence<byte> stream = new(octets);
            Assert.That(MessageFramer.TryReadMessage(ref stream, session?.MaxMessageLength ?? 4096, out MessageType type, out ReadOnlySequence<byte> sequence, out _));
            byte[] body = sequence.ToArray();
            switch (type)
            {
                case MessageType.Open:
                    Assert.That(OpenMessage.TryParse(body, out OpenMessage open).ToString(), Is.EqualTo("none"));
                    session = NegotiatedSession.Negotiate(ours, open, new LocalSessionSettings());
                    seen.AppendLine(CultureInfo.InvariantCulture, $"# OPEN AS {open.EffectiveAsn} hold {open.HoldTime} id {IpAddr.V4(open.RouterId)}{Text(open.Capabilities)}");
                    byte[] buffer = new byte[4096];
                    int length = open.Write(buffer);
                    Assert.That(OpenMessage.TryParse(buffer.AsSpan(19, length - 19), out OpenMessage again).IsError, Is.False);
                    Assert.That(Text(again.Capabilities), Is.EqualTo(Text(open.Capabilities)), "and written again says the same");
                    break;
                case MessageType.Update:
                    seen.AppendLine("# UPDATE" + Text(body, session!, parser));
                    break;
                case MessageType.RouteRefresh:
                    Assert.That(RouteRefreshMessage.TryParse(body, enhanced: true, out RouteRefreshMessage refresh).IsError, Is.False);
                    seen.AppendLine(CultureInfo.InvariantCulture, $"# ROUTE-REFRESH {refresh.Family.Name()} {refresh.Subtype}");
                    break;
                default:
                    seen.AppendLine(CultureInfo.InvariantCulture, $"# {type}");
                    break;
            }

            seen.AppendLine(Convert.ToHexStringLower(octets));
        }

        Assert.That(seen.ToString(), Is.EqualTo(string.Concat(messages.Select(static item => $"{item.Meaning}\n{Convert.ToHexStringLower(item.Octets)}\n"))), seen.ToString());
    }

    private static List<(string Meaning, byte[] Octets)> Read(string name, [CallerFilePath] string file = "")
    {
        List<(string Meaning, byte[] Octets)> messages = [];
        string meaning = "";
        foreach (string line in File.ReadLines(Path.Combine(Path.GetDirectoryName(file)!, name + ".hex")))
        {
            if (line.StartsWith('#'))
            {
                meaning = line;
            }
            else
            {
                messages.Add((meaning, Convert.FromHexString(line)));
            }
        }

        return messages;
    }

    private static string Text(Capabilities capabilities)
    {
        string restart = capabilities.GracefulRestart is { } gr ? $", graceful restart {gr.RestartTime}{(gr.RestartState ? " R" : "")}{(gr.Notification ? " N" : "")} [{string.Join(' ', gr.Families.Select(static item => item.Family.Name() + (item.ForwardingPreserved ? "!" : "")))}]" : "";
        return $", {string.Join(' ', capabilities.Families.Select(static family => family.Name()))}{(capabilities.As4 is { } asn ? $", AS4 {asn}" : "")}{(capabilities.RouteRefresh ? ", refresh" : "")}"
            + $"{(capabilities.EnhancedRefresh ? ", enhanced refresh" : "")}{(capabilities.ExtendedMessages ? ", extended messages" : "")}{(capabilities.ExtendedNextHop ? ", extended next hop" : "")}{restart}"
            + $"{(capabilities.LongLived.Count > 0 ? $", long-lived [{string.Join(' ', capabilities.LongLived.Select(static item => $"{item.Family.Name()} {item.StaleTime}"))}]" : "")}"
            + $"{(capabilities.AddPath.Count > 0 ? $", ADD-PATH [{string.Join(' ', capabilities.AddPath.Select(static item => $"{item.Family.Name()} {item.Mode}"))}]" : "")}";
    }

    private static string Text(byte[] body, NegotiatedSession session, PathAttributesParser parser)
    {
        Assert.That(UpdateView.TryParse(body, session, out UpdateView view).ToString(), Is.EqualTo("none"));
        if (view.IsEndOfRib(out AfiSafi ended))
        {
            return $" End-of-RIB {ended.Name()}";
        }

        UpdateError error = parser.Parse(view, session, new AttributeRules(), out ReadOnlySpan<byte> forIpv4, out ReadOnlySpan<byte> forMp);
        Assert.That(error.ToString(), Is.EqualTo("none"));
        StringBuilder text = new();
        text.Append(Prefixes<Ipv4Prefix>(view.Nlri, session));
        text.Append(view.MpReach.Family == AfiSafi.Ipv6Unicast ? Prefixes<Ipv6Prefix>(view.MpReach.Nlri, session) : Prefixes<Ipv4Prefix>(view.MpReach.Nlri, session));
        PathAttributes set = PathAttributes.Decode(forIpv4.IsEmpty ? forMp : forIpv4);
        text.Append(CultureInfo.InvariantCulture, $" {set.Origin} path [{set.AsPathText()}] next hop {set.NextHop}");
        text.Append(set.Med is { } med ? $" MED {med}" : "").Append(set.LocalPref is { } preference ? $" local pref {preference}" : "");
        text.Append(set.Has(AttributeCode.AtomicAggregate) ? " atomic" : "");
        text.Append(set.Has(AttributeCode.Aggregator) ? $" aggregator {Convert.ToHexStringLower(set.ValueOf(AttributeCode.Aggregator))}" : "");
        foreach (string community in set.CommunityTexts().Concat(set.ExtendedCommunityTexts()).Concat(set.LargeCommunityTexts()))
        {
            text.Append(' ').Append(community);
        }

        return text.ToString();
    }

    private static string Prefixes<TPrefix>(ReadOnlySpan<byte> field, NegotiatedSession session)
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        StringBuilder text = new();
        bool addPath = session.AddPathReceive(TPrefix.Family);
        NlriReader<TPrefix> reader = new(field, addPath);
        while (reader.TryRead(out TPrefix prefix, out uint id))
        {
            text.Append(CultureInfo.InvariantCulture, $" {prefix}{(addPath ? $"#{id}" : "")}");
        }

        return text.ToString();
    }
}
