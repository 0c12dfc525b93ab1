namespace Bgp.Load;

/// <summary>
/// A region of the address space in which every prefix of certain lengths has a number, so that what a receiver holds is a bitmap.
/// </summary>
/// <remarks>
/// The number is arithmetic (the length picks a row, the address a place in it), not a lookup: counting must cost a nanosecond or two per route, or
/// the generator would be the limit where 500 receivers hear each route. A row per length over a /3 is half a megabyte of bits per receiver, over the
/// /26 blocks of a /9 16 KiB.
/// </remarks>
internal sealed class PrefixSpace
{
    private readonly int[] _row = new int[33];
    private readonly uint _base;
    private readonly uint _span;

    /// <param name="regionLength">Length of the region that begins at <paramref name="start"/>.</param>
    internal PrefixSpace(uint start, int regionLength, int shortest, int longest)
    {
        _base = start;
        _span = 1u << (32 - regionLength);
        Array.Fill(_row, -1);
        int next = 0;
        for (int length = shortest; length <= longest; length++)
        {
            _row[length] = next;
            next += 1 << (length - regionLength);
        }

        Size = next;
    }

    /// <summary>32.0.0.0/3 with lengths 16 to 24: the internet profile.</summary>
    internal static PrefixSpace Internet { get; } = new(0x20000000, 3, 16, 24);

    /// <summary>The 131,072 blocks of length 26 in 10.128.0.0/9: Calico's.</summary>
    internal static PrefixSpace Blocks { get; } = new(0x0A800000, 9, 26, 26);

    /// <summary>How many prefixes have numbers.</summary>
    internal int Size { get; }

    /// <summary>Number of a prefix, or -1.</summary>
    internal int Number(uint address, int length)
    {
        uint offset = address - _base;
        return length > 32 || offset >= _span || _row[length] < 0 ? -1 : _row[length] + (int)(offset >> (32 - length));
    }

    internal static Prefix Block(int number) => new(0x0A800000 + ((uint)number << 6), 26);
}

/// <summary>An IPv4 prefix.</summary>
internal readonly record struct Prefix(uint Address, int Length)
{
    public override string ToString() => $"{Ip.Text(Address)}/{Length}";
}

/// <summary>IPv4 addresses as numbers.</summary>
internal static class Ip
{
    internal static string Text(uint address) => $"{address >> 24}.{(address >> 16) & 255}.{(address >> 8) & 255}.{address & 255}";

    internal static uint Parse(string text)
    {
        uint value = 0;
        foreach (string part in text.Split('.'))
        {
            value = (value << 8) | byte.Parse(part, System.Globalization.CultureInfo.InvariantCulture);
        }

        return value;
    }
}
