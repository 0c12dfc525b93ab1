using System.Buffers.Binary;

namespace Bgp.Fuzz;

/// <summary>
/// Makes inputs out of sound ones. Case number n of a seed is the same on every machine, whatever ran before: a failure is named by two numbers.
/// </summary>
/// <remarks>
/// The changes are those that find faults in readers of type-length-value formats: a bit, an octet at a border (0, 1, 127, 128, 255), a 16-bit length off by a
/// little, octets put in, taken out, doubled or moved, the end cut off, a known piece put in, two inputs joined. One to eight of them at a time. No coverage guides
/// it; the seeds are many and near every branch instead, and afl-fuzz or libFuzzer can take over where that is not enough.
/// </remarks>
public sealed class Mutator(IReadOnlyList<byte[]> seeds, IReadOnlyList<byte[]> words, ulong seed, int maxLength = 5000)
{
    private static readonly byte[] s_borders = [0, 1, 2, 3, 4, 16, 24, 32, 33, 64, 127, 128, 129, 254, 255];
    private readonly byte[] _buffer = new byte[2 * maxLength];
    private ulong _state;
    private int _length;

    /// <summary>The input of a case; valid until the next call.</summary>
    public ReadOnlySpan<byte> Make(ulong number)
    {
        _state = (seed * 0x9E3779B97F4A7C15UL) ^ (number * 0xD1B54A32D192ED03UL);
        byte[] from = seeds[Below(seeds.Count)];
        _length = Math.Min(from.Length, maxLength);
        from.AsSpan(0, _length).CopyTo(_buffer);
        for (int changes = 1 + Below(Below(8) + 1); changes > 0; changes--)
        {
            Change();
        }

        return _buffer.AsSpan(0, _length);
    }

    private ulong Next()
    {
        ulong z = _state += 0x9E3779B97F4A7C15UL;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        return z ^ (z >> 31);
    }

    private int Below(int bound) => (int)(Next() % (uint)Math.Max(1, bound));

    private void Change()
    {
        int at = Below(_length + 1);
        switch (Below(13))
        {
            case 0 or 1 when at < _length:
                _buffer[at] ^= (byte)(1 << Below(8));
                break;
            case 2 or 3 when at < _length:
                _buffer[at] = s_borders[Below(s_borders.Length)];
                break;
            case 4 when at < _length:
                _buffer[at] = (byte)Next();
                break;
            case 5 when at + 2 <= _length:
                // A length is off by a little more often than by a lot.
                ushort value = BinaryPrimitives.ReadUInt16BigEndian(_buffer.AsSpan(at));
                BinaryPrimitives.WriteUInt16BigEndian(_buffer.AsSpan(at), (ushort)(value + Below(9) - 4));
                break;
            case 6 when at < _length:
                _buffer[at] += (byte)(Below(9) - 4);
                break;
            case 7:
                Insert(at, words.Count > 0 ? words[Below(words.Count)] : [(byte)Next()]);
                break;
            case 8:
                Span<byte> random = stackalloc byte[1 + Below(4)];
                foreach (ref byte octet in random)
                {
                    octet = (byte)Next();
                }

                Insert(at, random);
                break;
            case 9:
                Cut(at, 1 + Below(8));
                break;
            case 10:
                int count = Math.Min(_length - at, 1 + Below(40));
                Span<byte> copy = stackalloc byte[count];
                _buffer.AsSpan(at, count).CopyTo(copy);
                Insert(Below(_length + 1), copy);
                break;
            case 11:
                _length = at;
                break;
            case 12:
                byte[] other = seeds[Below(seeds.Count)];
                int from = Below(other.Length + 1);
                Insert(at, other.AsSpan(from, Math.Min(other.Length - from, 200)));
                break;
            default:
                break;
        }
    }

    private void Insert(int at, ReadOnlySpan<byte> octets)
    {
        if (_length + octets.Length <= maxLength)
        {
            _buffer.AsSpan(at, _length - at).CopyTo(_buffer.AsSpan(at + octets.Length));
            octets.CopyTo(_buffer.AsSpan(at));
            _length += octets.Length;
        }
    }

    private void Cut(int at, int count)
    {
        count = Math.Min(count, _length - at);
        _buffer.AsSpan(at + count, _length - at - count).CopyTo(_buffer.AsSpan(at));
        _length -= count;
    }
}
