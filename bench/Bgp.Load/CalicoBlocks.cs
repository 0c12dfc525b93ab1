namespace Bgp.Load;

/// <summary>What a cluster's nodes announce: /26 blocks, empty AS path, LOCAL_PREF 100, next hop the node itself.</summary>
internal static class CalicoBlocks
{
    /// <summary>Blocks <paramref name="first"/> on, at most <paramref name="perMessage"/> in one UPDATE.</summary>
    /// <param name="med">Another value makes another set of attributes: a change that must be passed on.</param>
    internal static UpdateStream Announce(uint nextHop, int first, int count, int perMessage = int.MaxValue, uint med = 0)
    {
        Span<byte> attributes = stackalloc byte[64];
        AttributeWriter writer = new(attributes);
        writer.Origin(0);
        writer.AsPath([]);
        writer.NextHop(nextHop);
        if (med != 0)
        {
            writer.Med(med);
        }

        writer.LocalPref(100);
        Prefix[] blocks = Range(first, count);
        UpdateStream stream = new();
        for (int i = 0; i < count; i += Math.Min(perMessage, count))
        {
            stream.Announce(attributes[..writer.Length], blocks.AsSpan(i, Math.Min(perMessage, count - i)));
        }

        return stream;
    }

    internal static UpdateStream Withdraw(int first, int count)
    {
        UpdateStream stream = new();
        stream.Withdraw(Range(first, count));
        return stream;
    }

    internal static Prefix[] Range(int first, int count) => [.. Enumerable.Range(first, count).Select(PrefixSpace.Block)];
}
