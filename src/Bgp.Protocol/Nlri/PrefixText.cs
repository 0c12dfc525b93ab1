using System.Globalization;

namespace Bgp.Protocol;

/// <summary>The textual form of prefixes.</summary>
internal static class PrefixText
{
    /// <summary>Splits <c>address/length</c>; an address alone has <paramref name="maxLength"/>.</summary>
    internal static bool TrySplit(string? text, int maxLength, out IpAddr address, out int length)
    {
        address = default;
        length = maxLength;
        if (text is null)
        {
            return false;
        }

        int slash = text.IndexOf('/', StringComparison.Ordinal);
        if (slash < 0)
        {
            return IpAddr.TryParse(text, out address) && address.ByteLength * 8 == maxLength;
        }

        return IpAddr.TryParse(text[..slash], out address)
            && int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out length)
            && length <= maxLength
            && address.ByteLength * 8 == maxLength;
    }
}
