using System.Buffers;

namespace Bgp.Protocol.Tests;

/// <summary>Octets by hand and sessions to read them with.</summary>
internal static class Vectors
{
    internal const uint OurAs = 64512;
    internal const uint TheirAs = 65010;

    /// <summary>Octets of a text in hexadecimal; blanks separate what belongs together.</summary>
    internal static byte[] Hex(string text) => Convert.FromHexString(string.Concat(text.Where(static c => !char.IsWhiteSpace(c))));

    internal static string Hex(ReadOnlySpan<byte> octets) => Convert.ToHexString(octets);

    /// <summary>A whole message around a body.</summary>
    internal static byte[] Message(MessageType type, byte[] body) =>
        [.. Enumerable.Repeat((byte)0xFF, 16), (byte)((19 + body.Length) >> 8), (byte)(19 + body.Length), (byte)type, .. body];

    /// <summary>The body of an UPDATE.</summary>
    internal static byte[] Update(byte[] withdrawn, byte[] attributes, byte[] nlri) =>
        [(byte)(withdrawn.Length >> 8), (byte)withdrawn.Length, .. withdrawn, (byte)(attributes.Length >> 8), (byte)attributes.Length, .. attributes, .. nlri];

    internal static byte[] Update(string withdrawn, string attributes, string nlri) => Update(Hex(withdrawn), Hex(attributes), Hex(nlri));

    /// <summary>A session that negotiated what is said.</summary>
    internal static NegotiatedSession Session(bool as4 = true, bool ibgp = true, bool addPath = false, bool extendedMessages = false, bool extendedNextHop = false, bool ipv4 = true, bool ipv6 = true)
    {
        List<AfiSafi> families = [];
        if (ipv4)
        {
            families.Add(AfiSafi.Ipv4Unicast);
        }

        if (ipv6)
        {
            families.Add(AfiSafi.Ipv6Unicast);
        }

        OpenMessage Open(uint asn, uint id) => OpenMessage.Create(asn, 90, id, new Capabilities
        {
            Families = families,
            As4 = as4 ? asn : null,
            RouteRefresh = true,
            EnhancedRefresh = true,
            ExtendedMessages = extendedMessages,
            ExtendedNextHop = extendedNextHop,
            AddPath = addPath ? [.. families.Select(static family => new AddPathFamily(family, AddPathMode.Both))] : [],
        });

        return NegotiatedSession.Negotiate(Open(OurAs, 0x0A000001), Open(ibgp ? OurAs : TheirAs, 0x0A000002), new LocalSessionSettings());
    }

    /// <summary>Octets as a sequence of segments cut at the positions.</summary>
    internal static ReadOnlySequence<byte> Cut(byte[] octets, params int[] at)
    {
        int[] cuts = [.. at.Where(cut => cut > 0 && cut < octets.Length).Distinct().Order(), octets.Length];
        Segment first = new(octets.AsMemory(0, cuts[0]), 0);
        Segment last = first;
        for (int i = 1; i < cuts.Length; i++)
        {
            last = last.Append(octets.AsMemory(cuts[i - 1], cuts[i] - cuts[i - 1]));
        }

        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        internal Segment(ReadOnlyMemory<byte> memory, long index) => (Memory, RunningIndex) = (memory, index);

        internal Segment Append(ReadOnlyMemory<byte> memory)
        {
            Segment next = new(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
