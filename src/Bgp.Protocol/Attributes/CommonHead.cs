using System.Runtime.CompilerServices;

namespace Bgp.Protocol;

/// <summary>
/// How nearly every set of an IPv4 route begins: ORIGIN, an AS_PATH of less than 256 octets, a NEXT_HOP of four. Three attributes at known places, for those who
/// would walk them for every set; what is not like this takes the walk.
/// </summary>
/// <param name="PathLength">Octets of the value of AS_PATH.</param>
public readonly record struct CommonHead(int PathLength)
{
    private const int Header = 3;
    private const int OriginLength = Header + 1;
    private const int NextHopLength = Header + 4;

    /// <summary>Where AS_PATH begins, with its header.</summary>
    public const int Path = OriginLength;

    /// <summary>Where the value of AS_PATH begins.</summary>
    public const int PathValue = OriginLength + Header;

    /// <summary>Where NEXT_HOP begins, with its header.</summary>
    public int NextHop => PathValue + PathLength;

    /// <summary>Where the value of NEXT_HOP begins.</summary>
    public int NextHopValue => NextHop + Header;

    /// <summary>Where the attribute behind NEXT_HOP begins, if there is one.</summary>
    public int End => NextHop + NextHopLength;

    /// <summary>Looks whether canonical octets begin like this.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead(ReadOnlySpan<byte> canonical, out CommonHead head)
    {
        head = default;
        if (canonical.Length < PathValue + NextHopLength
            || canonical[1] != (byte)AttributeCode.Origin || canonical[2] != 1 || canonical[Path + 1] != (byte)AttributeCode.AsPath
            || ((canonical[0] | canonical[Path]) & (byte)AttributeFlags.ExtendedLength) != 0)
        {
            return false;
        }

        head = new CommonHead(canonical[Path + 2]);
        return canonical.Length >= head.End
            && canonical[head.NextHop + 1] == (byte)AttributeCode.NextHop && canonical[head.NextHop + 2] == 4
            && (canonical[head.NextHop] & (byte)AttributeFlags.ExtendedLength) == 0;
    }
}
