using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Bgp.Protocol;

/// <summary>
/// Fixed-seed 64-bit mixing. The framework's HashCode is seeded per process, so a simulation that hashes with it would not replay.
/// </summary>
public static class Mix
{
    /// <summary>Mixes one word so that every input bit reaches the low bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Hash(ulong value)
    {
        value = (value ^ (value >> 32)) * 0x9E3779B97F4A7C15UL;
        return value ^ (value >> 29);
    }

    /// <summary>Mixes two words.</summary>
    public static ulong Hash(ulong first, ulong second) => Hash(Hash(first) ^ BitOperations.RotateLeft(second, 23) ^ (second * 0xC2B2AE3D27D4EB4FUL));

    /// <summary>Mixes octets; equal octets, equal hash, in every process.</summary>
    public static ulong Hash(ReadOnlySpan<byte> octets)
    {
        ulong hash = (ulong)octets.Length;
        while (octets.Length >= 8)
        {
            hash = Hash(hash, BinaryPrimitives.ReadUInt64LittleEndian(octets));
            octets = octets[8..];
        }

        ulong tail = 0;
        for (int i = 0; i < octets.Length; i++)
        {
            tail |= (ulong)octets[i] << (8 * i);
        }

        return Hash(hash, tail);
    }
}
