using System.Globalization;
using System.Text.Json;

namespace Bgp.Interop.Tests.Rig;

/// <summary>What a BGP message is, as far as restarts are concerned.</summary>
internal enum Said
{
    /// <summary>OPEN.</summary>
    Open,

    /// <summary>UPDATE with routes or withdrawals.</summary>
    Routes,

    /// <summary>End-of-RIB of IPv4 (RFC 4724 section 2).</summary>
    EndOfRib4,

    /// <summary>End-of-RIB of IPv6.</summary>
    EndOfRib6,

    /// <summary>NOTIFICATION.</summary>
    Notification,

    /// <summary>KEEPALIVE, ROUTE-REFRESH.</summary>
    Other,
}

/// <summary>One message on the wire, in the words of tshark.</summary>
/// <param name="Stream">The TCP connection's number in the capture.</param>
/// <param name="At">Seconds since 1970.</param>
/// <param name="From">Sender's address.</param>
/// <param name="To">Receiver's address.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Fields">All of it, in a row.</param>
internal sealed record WireMessage(int Stream, double At, string From, string To, Said Kind, string Fields);

/// <summary>A capture of all BGP sessions of an interface; tshark, which shares nothing with the daemon, says what is in it.</summary>
internal sealed class Wire
{
    private readonly string _file;

    internal Wire(Lab lab, string ns, string device) => (_file, _) = lab.Capture(ns, device, "tcp", "port", "179");

    /// <summary>The time as the capture has it.</summary>
    internal static double Now => (DateTime.UtcNow - DateTime.UnixEpoch).TotalSeconds;

    /// <summary>Everything since a point in time, in order. What was sent a moment ago may still be missing: wait for it.</summary>
    internal List<WireMessage> Since(double begin)
    {
        // A file that is being written may end within a packet: what is before it is printed all the same.
        string text = Lab.TryRun("tshark", "-r", _file, "-Y", "bgp", "-T", "json", "--no-duplicate-keys", "-J", "frame ip ipv6 tcp bgp").Output;
        List<WireMessage> messages = [];
        if (text.Trim().Length == 0)
        {
            return messages;
        }

        foreach (JsonElement packet in JsonDocument.Parse(text).RootElement.EnumerateArray())
        {
            JsonElement layers = packet.GetProperty("_source").GetProperty("layers");
            double at = double.Parse(layers.GetProperty("frame").GetProperty("frame.time_epoch").GetString()!, CultureInfo.InvariantCulture);
            if (at < begin)
            {
                continue;
            }

            bool v6 = layers.TryGetProperty("ipv6", out JsonElement ip);
            ip = v6 ? ip : layers.GetProperty("ip");
            int stream = int.Parse(layers.GetProperty("tcp").GetProperty("tcp.stream").GetString()!, CultureInfo.InvariantCulture);
            string from = ip.GetProperty(v6 ? "ipv6.src" : "ip.src").GetString()!;
            string to = ip.GetProperty(v6 ? "ipv6.dst" : "ip.dst").GetString()!;
            JsonElement bgp = layers.GetProperty("bgp");
            foreach (JsonElement message in bgp.ValueKind == JsonValueKind.Array ? bgp.EnumerateArray() : Enumerable.Repeat(bgp, 1))
            {
                messages.Add(new WireMessage(stream, at, from, to, Kind(message), message.GetRawText()));
            }
        }

        return messages;
    }

    private static Said Kind(JsonElement message) => message.GetProperty("bgp.type").GetString() switch
    {
        "1" => Said.Open,
        "2" when message.GetProperty("bgp.length").GetString() == "23" => Said.EndOfRib4,

        // The header, two lengths and MP_UNREACH_NLRI with a family alone.
        "2" when message.GetProperty("bgp.length").GetString() is "29" or "30" && message.GetRawText().Contains("\"bgp.update.path_attribute.type_code\": \"15\"", StringComparison.Ordinal) => Said.EndOfRib6,
        "2" => Said.Routes,
        "3" => Said.Notification,
        _ => Said.Other,
    };
}
