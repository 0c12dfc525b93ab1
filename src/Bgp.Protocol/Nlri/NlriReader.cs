using System.Buffers.Binary;

namespace Bgp.Protocol;

/// <summary>
/// Reads the prefixes of one NLRI field, with path identifiers where ADD-PATH was negotiated (RFC 7911 section 3). A field that came out of an
/// <see cref="UpdateView"/> is known to be well formed; on anything else reading stops at the first prefix that is not.
/// </summary>
public ref struct NlriReader<TPrefix>(ReadOnlySpan<byte> field, bool addPath)
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    private ReadOnlySpan<byte> _rest = field;

    /// <summary>Octets that were not read.</summary>
    public readonly ReadOnlySpan<byte> Rest => _rest;

    /// <summary>Next prefix; the path identifier is 0 without ADD-PATH.</summary>
    public bool TryRead(out TPrefix prefix, out uint pathId)
    {
        ReadOnlySpan<byte> rest = _rest;
        pathId = 0;
        if (addPath)
        {
            if (!BinaryPrimitives.TryReadUInt32BigEndian(rest, out pathId))
            {
                prefix = default;
                return false;
            }

            rest = rest[4..];
        }

        if (!TPrefix.TryRead(ref rest, out prefix))
        {
            return false;
        }

        _rest = rest;
        return true;
    }

    /// <summary>Fills a batch and returns how many prefixes were read; 0 at the end. <paramref name="pathIds"/> is only filled with ADD-PATH.</summary>
    public int Read(Span<TPrefix> prefixes, Span<uint> pathIds)
    {
        int count = 0;
        if (addPath)
        {
            int limit = Math.Min(prefixes.Length, pathIds.Length);
            while (count < limit && TryRead(out prefixes[count], out pathIds[count]))
            {
                count++;
            }

            return count;
        }

        ReadOnlySpan<byte> rest = _rest;
        while (count < prefixes.Length && TPrefix.TryRead(ref rest, out prefixes[count]))
        {
            count++;
        }

        _rest = rest;
        return count;
    }
}

/// <summary>Checks whole NLRI fields without building prefixes.</summary>
public static class NlriField
{
    /// <summary>Whether the field consists of whole prefixes of at most <paramref name="maxLength"/> bits; <paramref name="count"/> says how many.</summary>
    public static bool IsWellFormed(ReadOnlySpan<byte> field, int maxLength, bool addPath, out int count)
    {
        count = 0;
        int position = 0;
        int head = addPath ? 4 : 0;
        while (position < field.Length)
        {
            position += head;
            if (position >= field.Length)
            {
                return false;
            }

            int length = field[position];
            if (length > maxLength)
            {
                return false;
            }

            position += 1 + ((length + 7) >> 3);
            count++;
        }

        return position == field.Length;
    }
}
