using System.Buffers.Binary;

namespace Bgp.Interop.Tests.Conformance;

/// <summary>
/// What a hostile neighbour computes: values with one hash, for the hash without a key that Pipit once had. A step was h = (h ^ word) * constant, h ^= h >> 32 (or 29), which can be undone.
/// </summary>
internal static class OneSlot
{
    private const ulong Factor = 0x9E3779B97F4A7C15UL;

    /// <summary>NLRI of /64 prefixes whose hashes have the upper 32 bits in common, which were their place in the table.</summary>
    internal static IEnumerable<byte[]> Prefixes(int count)
    {
        for (ulong i = 1; count > 0; i++)
        {
            ulong high = Undo(Undo((0x00C0FFEEUL << 32) | i)) ^ 64;
            if ((high >> 61) == 1)
            {
                // Global unicast.
                byte[] nlri = new byte[9];
                nlri[0] = 64;
                BinaryPrimitives.WriteUInt64BigEndian(nlri.AsSpan(1), high);
                count--;
                yield return nlri;
            }
        }

        static ulong Undo(ulong hash)
        {
            hash ^= (hash >> 29) ^ (hash >> 58);
            ulong inverse = Factor;
            for (int i = 0; i < 5; i++)
            {
                inverse *= 2 - (Factor * inverse);
            }

            hash *= inverse;
            return hash ^ (hash >> 32);
        }
    }
}
