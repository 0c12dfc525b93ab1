using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Bgp.Protocol;

/// <summary>
/// The 64-bit hash of everything that a neighbour chooses: prefixes, next hops, communities, sets of path attributes. Keyed at random per process.
/// </summary>
/// <remarks>
/// With a hash that can be computed elsewhere a neighbour would announce prefixes, or attribute sets, that all fall on one slot, and each of them would cost a walk over all others, in
/// loops and under locks that serve every peer. So no difference between two values may cancel out whatever the key is: several words are added up as products of their halves, each half
/// with a secret of its own added first (NH of UMAC: Black, Halevi, Krawczyk, Krovetz, Rogaway 1999; two values of one length have equal sums under one key in 2^32), and one word is multiplied
/// by secrets, with its octets reversed in between, because a difference in the highest bit passes a multiplication as it is; three times, because words in a row times one factor come
/// to lie in steps, which for some factors leave two thirds of a table empty.
/// <para>Why not the framework's HashCode: it has 32 bits, and a simulation that hashes with it would not replay (<see cref="Fix"/>). Why no 128-bit products: without
/// BMI2, which the binary does not ask for, each is four multiplications and costs twice what this does.</para>
/// </remarks>
public static class Mix
{
    private const int Word = sizeof(ulong);

    /// <summary>Octets that are added up with secrets of their own before the sum is mixed: most sets are shorter.</summary>
    private const int Block = 256;

    private static ulong s_start;
    private static ulong s_first;
    private static ulong s_second;
    private static ulong s_third;
    private static Secrets s_words;

    /// <summary>Mixes one word. A permutation: different words, different hashes; all bits of the word reach all bits of the hash.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Hash(ulong value)
    {
        value = BinaryPrimitives.ReverseEndianness((value ^ s_start) * s_first) * s_second;
        value = (value ^ (value >> 32)) * s_third;
        return value ^ (value >> 32);
    }

    /// <summary>Mixes two words and a small number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Hash(ulong first, ulong second, byte third = 0)
    {
        ref ulong secrets = ref s_words[0];
        return Hash(Product(first, secrets) + Product(second, Unsafe.Add(ref secrets, 1)) + third);
    }

    /// <summary>Mixes octets.</summary>
    public static ulong Hash(ReadOnlySpan<byte> octets)
    {
        ref byte at = ref MemoryMarshal.GetReference(octets);
        ref ulong secrets = ref s_words[0];
        ulong sum = (ulong)octets.Length;
        int block = 0;
        for (; octets.Length - block > Block; block += Block)
        {
            for (int i = 0; i < Block; i += Word)
            {
                sum += Product(Read(ref at, block + i), Unsafe.AddByteOffset(ref secrets, i));
            }

            // The next block has the same secrets: what came before must not be a mere term of the sum.
            sum = Hash(sum);
        }

        int from = block;
        for (; from <= octets.Length - Word; from += Word)
        {
            sum += Product(Read(ref at, from), Unsafe.AddByteOffset(ref secrets, from - block));
        }

        int left = octets.Length - from;
        if (left > 0)
        {
            ulong tail = 0;
            if (octets.Length >= Word)
            {
                // What is left, read with octets before it, which are shifted out.
                tail = Read(ref at, octets.Length - Word) >> (8 * (Word - left));
            }
            else
            {
                foreach (byte octet in octets)
                {
                    tail = (tail << 8) | octet;
                }
            }

            sum += Product(tail, Unsafe.AddByteOffset(ref secrets, from - block));
        }

        return Hash(sum);
    }

    /// <summary>
    /// Takes the key from a number, so that what depends on the order of a hash table happens again the same way: for simulations and benchmarks, before anything was hashed.
    /// </summary>
    public static void Fix(ulong seed)
    {
        Span<ulong> secrets = stackalloc ulong[4 + Secrets.Length];
        foreach (ref ulong secret in secrets)
        {
            // SplitMix64 (Steele, Lea, Flood 2014).
            seed += 0x9E3779B97F4A7C15UL;
            ulong mixed = (seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9UL;
            mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBUL;
            secret = mixed ^ (mixed >> 31);
        }

        Set(secrets);
    }

    /// <summary>A new key from the system's secure source of random numbers.</summary>
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255:The 'ModuleInitializer' attribute should not be used in libraries", Justification = "The key must be there before the first hash, and looking whether it is, each time, would cost more than the hash.")]
    internal static void Randomize()
    {
        Span<ulong> secrets = stackalloc ulong[4 + Secrets.Length];
        for (int i = 0; i < secrets.Length; i++)
        {
            // Not RandomNumberGenerator: it would map OpenSSL into every node's daemon. A Guid has 122 secure random bits; the six others, in octets 7 and 8, meet random ones of the other half.
#pragma warning disable RS0030 // Banned because a simulation would not replay: it takes its key from Fix.
            UInt128 random = Unsafe.BitCast<Guid, UInt128>(Guid.NewGuid());
#pragma warning restore RS0030
            secrets[i] = (ulong)random ^ (ulong)(random >> 64);
        }

        Set(secrets);
    }

    private static void Set(ReadOnlySpan<ulong> secrets)
    {
        s_start = secrets[0];
        s_first = secrets[1] | 1;
        s_second = secrets[2] | 1;
        s_third = secrets[3] | 1;
        secrets[4..].CopyTo(s_words);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Product(ulong word, ulong secret) => (ulong)((uint)word + (uint)secret) * ((uint)(word >> 32) + (uint)(secret >> 32));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Read(ref byte octets, int at)
    {
        ulong word = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref octets, at));
        return BitConverter.IsLittleEndian ? word : BinaryPrimitives.ReverseEndianness(word);
    }

    /// <summary>One secret for each word of a block.</summary>
    [InlineArray(Length)]
    private struct Secrets
    {
        internal const int Length = Block / Word;
        private ulong _first;
    }
}
