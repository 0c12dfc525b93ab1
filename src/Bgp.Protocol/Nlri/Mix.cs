using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

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

    /// <summary>
    /// The same for what is hashed once per UPDATE and more: a multiplication for 8 octets, where <see cref="Hash(ReadOnlySpan{byte})"/> takes three in a row. Each
    /// step can be undone, so octets of one length that differ in one word never collide.
    /// </summary>
    public static ulong HashWide(ReadOnlySpan<byte> octets)
    {
        const int word = sizeof(ulong);
        ulong hash = (ulong)octets.Length * 0x9E3779B97F4A7C15UL;
        ref byte at = ref MemoryMarshal.GetReference(octets);
        int i = 0;
        for (; i <= octets.Length - word; i += word)
        {
            hash = Step(hash, Word(ref at, i));
        }

        int left = octets.Length - i;
        if (left > 0 && i > 0)
        {
            // What is left, read with octets before it, which are shifted out.
            hash = Step(hash, Word(ref at, octets.Length - word) >> (8 * (word - left)));
        }
        else
        {
            foreach (byte octet in octets[i..])
            {
                hash = Step(hash, octet);
            }
        }

        return Hash(hash);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Step(ulong hash, ulong word)
    {
        hash = (hash ^ word) * 0xC2B2AE3D27D4EB4FUL;
        return hash ^ (hash >> 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Word(ref byte octets, int at)
    {
        ulong word = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref octets, at));
        return BitConverter.IsLittleEndian ? word : BinaryPrimitives.ReverseEndianness(word);
    }
}
