namespace Bgp.Protocol;

/// <summary>
/// What a table needs of a prefix. Static abstract members make every table monomorphic per family: no boxing, no virtual call.
/// Host bits beyond the length are always zero (RFC 4271 section 4.3: their value is irrelevant), so that equality is bitwise.
/// </summary>
public interface IPrefix<TSelf> : IEquatable<TSelf>, IComparable<TSelf>
    where TSelf : unmanaged, IPrefix<TSelf>
{
    /// <summary>The family whose NLRI this is.</summary>
    static abstract AfiSafi Family { get; }

    /// <summary>32 or 128.</summary>
    static abstract int MaxLength { get; }

    /// <summary>Reads one NLRI (length octet, then just the octets needed) and moves <paramref name="source"/> past it;
    /// false, with nothing moved, when the length is over <see cref="MaxLength"/> or octets are missing.</summary>
    static abstract bool TryRead(ref ReadOnlySpan<byte> source, out TSelf prefix);

    /// <summary>From an address and a length; host bits are cleared. The address must be of the family.</summary>
    static abstract TSelf Create(IpAddr address, int length);

    /// <summary>Parses <c>address/length</c>; an address alone is a host prefix. Host bits set are an error.</summary>
    static abstract bool TryParse(string? text, out TSelf prefix);

    /// <summary>The network address.</summary>
    IpAddr Address { get; }

    /// <summary>The prefix length in bits.</summary>
    int Length { get; }

    /// <summary>Octets of the NLRI: 1 + ceil(length/8).</summary>
    int WireLength { get; }

    /// <summary>Writes the NLRI and returns <see cref="WireLength"/>. Where there is room, octets behind it are overwritten with zeros.</summary>
    int Write(Span<byte> into);

    /// <summary>A well-mixed, process-independent hash.</summary>
    ulong Hash { get; }

    /// <summary>Whether <paramref name="other"/> is this prefix or lies inside it.</summary>
    bool Contains(TSelf other);

    /// <summary>The bit at <paramref name="index"/> counted from the most significant; 0 or 1.</summary>
    int Bit(int index);
}
