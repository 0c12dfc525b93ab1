using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Bgp.Protocol;

namespace Bgp.Daemon.Config;

/// <summary>Builds <see cref="ConfigList{T}"/> from collection expressions.</summary>
public static class ConfigList
{
    /// <summary>Copies the items.</summary>
    public static ConfigList<T> Create<T>(ReadOnlySpan<T> items) => new(items.ToArray());
}

/// <summary>An immutable list that is equal to another with equal items: what records need to be comparable.</summary>
[CollectionBuilder(typeof(ConfigList), nameof(ConfigList.Create))]
public sealed class ConfigList<T> : IReadOnlyList<T>, IEquatable<ConfigList<T>>
{
    private readonly T[] _items;

    internal ConfigList(T[] items) => _items = items;

    /// <inheritdoc/>
    public int Count => _items.Length;

    /// <inheritdoc/>
    public T this[int index] => _items[index];

    /// <inheritdoc/>
    public bool Equals(ConfigList<T>? other) => other is not null && _items.AsSpan().SequenceEqual(other._items, EqualityComparer<T>.Default);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as ConfigList<T>);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        HashCode hash = default;
        foreach (T item in _items)
        {
            hash.Add(item);
        }

        return hash.ToHashCode();
    }

    /// <inheritdoc/>
    public IEnumerator<T> GetEnumerator() => ((IEnumerable<T>)_items).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => _items.GetEnumerator();

    /// <inheritdoc/>
    public override string ToString() => $"[{string.Join(", ", _items)}]";
}

/// <summary>A prefix of either family; host bits are clear.</summary>
/// <param name="Address">Network address.</param>
/// <param name="Length">Bits.</param>
public readonly record struct Cidr(IpAddr Address, int Length)
{
    /// <summary>IPv4.</summary>
    public bool IsV4 => Address.IsV4;

    /// <summary>As the tables' type; only when <see cref="IsV4"/>.</summary>
    public Ipv4Prefix ToIpv4() => Ipv4Prefix.Create(Address, Length);

    /// <summary>As the tables' type; only when not <see cref="IsV4"/>.</summary>
    public Ipv6Prefix ToIpv6() => Ipv6Prefix.Create(Address, Length);

    /// <summary>Whether <paramref name="other"/> is this prefix or inside it.</summary>
    public bool Contains(Cidr other) =>
        Address.Version == other.Address.Version && (IsV4 ? ToIpv4().Contains(other.ToIpv4()) : ToIpv6().Contains(other.ToIpv6()));

    /// <summary>Whether the address is inside.</summary>
    public bool Contains(IpAddr address) => Contains(new Cidr(address, address.ByteLength * 8));

    /// <summary>Parses <c>address/length</c> or an address; host bits set are an error.</summary>
    public static bool TryParse(string? text, out Cidr cidr)
    {
        cidr = default;
        if (Ipv4Prefix.TryParse(text, out Ipv4Prefix v4))
        {
            cidr = new Cidr(v4.Address, v4.Length);
            return true;
        }

        if (Ipv6Prefix.TryParse(text, out Ipv6Prefix v6))
        {
            cidr = new Cidr(v6.Address, v6.Length);
            return true;
        }

        return false;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Address}/{Length}");
}

/// <summary>A secret by reference. The value never appears in text: <see cref="ToString"/> is the reference.</summary>
public sealed class Secret(string reference, string? value, string? error) : IEquatable<Secret>
{
    /// <summary><c>file:PATH</c> or <c>env:NAME</c>.</summary>
    public string Reference { get; } = reference;

    /// <summary>The secret, or null when it could not be read.</summary>
    public string? Value { get; } = value;

    /// <summary>Why it could not be read, or null.</summary>
    public string? Error { get; } = error;

    /// <summary>Longest TCP MD5 key of the kernel (TCP_MD5SIG_MAXKEYLEN).</summary>
    public const int MaxBytes = 80;

    /// <summary>Reads a file (relative to <paramref name="directory"/>), dropping one trailing newline. Never throws.</summary>
    public static Secret FromFile(string path, string directory)
    {
        string reference = "file:" + path;
        try
        {
            using FileStream stream = new(Path.Combine(directory, path), FileMode.Open, FileAccess.Read);
            byte[] buffer = new byte[4096];
            int length = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
            return Check(reference, Encoding.UTF8.GetString(buffer, 0, length));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            string why = e is FileNotFoundException or DirectoryNotFoundException ? "no such file" : e is UnauthorizedAccessException ? "permission denied" : e.Message;
            return new Secret(reference, null, $"cannot read secret {reference}: {why}");
        }
    }

    /// <summary>Reads an environment variable.</summary>
    public static Secret FromEnvironment(string name)
    {
        string reference = "env:" + name;
        string? value = Environment.GetEnvironmentVariable(name);
        return value is null ? new Secret(reference, null, $"cannot read secret {reference}: the variable is not set") : Check(reference, value);
    }

    /// <summary>A value that another configuration language holds in its text; <paramref name="reference"/> names it in messages.</summary>
    internal static Secret FromText(string reference, string value) => Check(reference, value);

    private static Secret Check(string reference, string value)
    {
        if (value.EndsWith('\n'))
        {
            value = value.EndsWith("\r\n", StringComparison.Ordinal) ? value[..^2] : value[..^1];
        }

        if (value.Length == 0)
        {
            return new Secret(reference, null, $"secret {reference} is empty");
        }

        return Encoding.UTF8.GetByteCount(value) > MaxBytes
            ? new Secret(reference, null, $"secret {reference} is longer than {MaxBytes} octets")
            : new Secret(reference, value, null);
    }

    /// <inheritdoc/>
    public bool Equals(Secret? other) => other is not null && Reference == other.Reference && Value == other.Value;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Secret);

    /// <inheritdoc/>
    public override int GetHashCode() => Reference.GetHashCode(StringComparison.Ordinal);

    /// <inheritdoc/>
    public override string ToString() => Reference;
}

internal static class ConfigHash
{
    internal static string Of(ConfigModel model)
    {
        // A record prints all its members, lists print their items and secrets their reference: equal text is equal content.
        StringBuilder text = new();
        text.Append(model.Node).Append(model.Listen).Append(model.Pools).Append(model.Originate).Append(model.Kernel).Append(model.Peers)
            .Append(model.DynamicPeers).Append(model.ClusterId).Append(model.Filters).Append(model.BirdCompat).Append(model.Log)
            .Append(model.Metrics).Append(model.Bmp).Append(model.Watch);

        // Tells versions of a configuration apart and guards nothing; a cryptographic hash would map OpenSSL into every node's daemon, 3.5 MB of its memory.
        ulong hash = 0xCBF29CE484222325UL;
        foreach (byte octet in Encoding.UTF8.GetBytes(text.ToString()))
        {
            // FNV-1a: the same in every process, which Mix is not.
            hash = (hash ^ octet) * 0x100000001B3UL;
        }

        return (hash >> 16).ToString("x12", CultureInfo.InvariantCulture);
    }
}

/// <summary>The textual forms that the configuration knows. None of them guesses: what is not exactly the form is refused.</summary>
public static class ConfigText
{
    /// <summary><c>90s</c>, <c>300ms</c>, <c>5m</c>, <c>2h</c>, <c>1d</c>; at most 49 days.</summary>
    public static bool TryDuration(string text, out TimeSpan value)
    {
        value = default;
        int digits = 0;
        while (digits < text.Length && char.IsAsciiDigit(text[digits]))
        {
            digits++;
        }

        long unit = text[digits..] switch { "ms" => 1, "s" => 1000, "m" => 60_000, "h" => 3_600_000, "d" => 86_400_000, _ => 0 };
        if (unit == 0 || digits is 0 or > 10)
        {
            return text == "0";
        }

        long ms = long.Parse(text.AsSpan(0, digits), CultureInfo.InvariantCulture) * unit;
        value = TimeSpan.FromMilliseconds(ms);
        return ms <= 49L * 86_400_000;
    }

    /// <summary>1-4294967295, or <c>1.10</c> (RFC 5396 asdot).</summary>
    public static bool TryAsn(string text, out uint asn)
    {
        asn = 0;
        int dot = text.IndexOf('.', StringComparison.Ordinal);
        if (dot < 0)
        {
            return uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out asn) && asn != 0;
        }

        if (!ushort.TryParse(text.AsSpan(0, dot), NumberStyles.None, CultureInfo.InvariantCulture, out ushort high)
            || !ushort.TryParse(text.AsSpan(dot + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort low))
        {
            return false;
        }

        asn = ((uint)high << 16) | low;
        return asn != 0;
    }

    /// <summary>Dotted quad or number; never 0 (RFC 6286).</summary>
    public static bool TryRouterId(string text, out uint id)
    {
        id = 0;
        if (IpAddr.TryParse(text, out IpAddr address))
        {
            id = address.V4Value;
            return address.IsV4 && id != 0;
        }

        return uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out id) && id != 0;
    }

    /// <summary>An address, or address/length where the host bits may be set; length 0 where none is written.</summary>
    public static bool TryAddressLength(string text, out IpAddr address, out int length)
    {
        length = 0;
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        if (slash < 0)
        {
            return IpAddr.TryParse(text, out address);
        }

        return IpAddr.TryParse(text[..slash], out address)
            && int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out length)
            && length >= 1 && length <= address.ByteLength * 8;
    }

    /// <summary><c>N</c> or <c>N-M</c>, 0-128.</summary>
    public static bool TryRange(string text, int most, out int from, out int to)
    {
        to = 0;
        int dash = text.IndexOf('-', StringComparison.Ordinal);
        string first = dash < 0 ? text : text[..dash];
        string last = dash < 0 ? text : text[(dash + 1)..];
        return int.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out from)
            && int.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out to)
            && from <= to && to <= most;
    }

    /// <summary>The candidate nearest to a mistyped word, or null when none is near enough.</summary>
    public static string? Nearest(string word, IEnumerable<string> candidates)
    {
        string? best = null;
        string? longer = null;
        int limit = Math.Max(1, Math.Min(3, (word.Length + 1) / 3)) + 1;
        foreach (string candidate in candidates)
        {
            int distance = Distance(word, candidate, limit);
            if (string.Equals(word, candidate, StringComparison.OrdinalIgnoreCase))
            {
                distance = 0;
            }
            else if (word.Length > 2 && candidate.StartsWith(word, StringComparison.OrdinalIgnoreCase))
            {
                longer ??= candidate;
            }

            // A word that shares no letter with what was typed is no guess, however short both are.
            if (distance < limit && distance < Math.Max(1, Math.Max(word.Length, candidate.Length) - word.Count(static c => c == '-')))
            {
                limit = distance;
                best = candidate;
            }
        }

        return best ?? longer;
    }

    /// <summary>As a clause for a message: <c>; did you mean 'x'?</c>, or nothing.</summary>
    public static string Suggest(string word, IEnumerable<string> candidates) =>
        Nearest(word, candidates) is { } near ? $"; did you mean '{near}'?" : "";

    [SuppressMessage("Performance", "CA1814", Justification = "small and square")]
    private static int Distance(string a, string b, int limit)
    {
        // Optimal string alignment: a swapped pair of letters is one mistake. Words here are short, and long ones are not looked at.
        if (Math.Abs(a.Length - b.Length) >= limit || a.Length > 64 || b.Length > 64)
        {
            return limit;
        }

        int[,] d = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
        {
            d[i, 0] = i;
        }

        for (int j = 0; j <= b.Length; j++)
        {
            d[0, j] = j;
        }

        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                int cost = a[i - 1] == b[j - 1] ? 0 : 1;
                d[i, j] = Math.Min(Math.Min(d[i - 1, j] + 1, d[i, j - 1] + 1), d[i - 1, j - 1] + cost);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                {
                    d[i, j] = Math.Min(d[i, j], d[i - 2, j - 2] + 1);
                }
            }
        }

        return d[a.Length, b.Length];
    }
}
