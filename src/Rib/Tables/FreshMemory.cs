using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Rib;

/// <summary>
/// Makes pages of a large new array ours with a write each. A page that is read first is a view of the one zero page, and the write that comes after it has to
/// exchange it on every core: two faults and an interruption of whoever runs beside, where one fault does.
/// </summary>
internal static class FreshMemory
{
    private const int PageSize = 4096;

    /// <summary>Touches an array that is new, all of it: for one that fills up in no order.</summary>
    internal static void Touch<T>(T[] fresh)
        where T : unmanaged => Touch(fresh.AsSpan());

    /// <summary>The same for a part of one.</summary>
    internal static void Touch<T>(Span<T> fresh)
        where T : unmanaged
    {
        Span<byte> octets = MemoryMarshal.AsBytes(fresh);
        for (int i = 0; i < octets.Length; i += PageSize)
        {
            Volatile.Write(ref octets[i], 0);
        }
    }
}
