namespace Bgp.Fuzz;

/// <summary>
/// One reader of hostile octets. <see cref="Run"/> throws when something is wrong: whatever the reader threw, or a <see cref="FuzzException"/> when it
/// answered and the answer breaks a promise. Used by one thread; runs of one input after another must not depend on each other.
/// </summary>
public interface IFuzzTarget
{
    /// <summary>Sound inputs to begin with.</summary>
    IReadOnlyList<byte[]> Seeds { get; }

    /// <summary>Pieces that make sense to the reader, to be put in anywhere.</summary>
    IReadOnlyList<byte[]> Words { get; }

    /// <summary>Feeds one input and checks what comes out.</summary>
    void Run(ReadOnlySpan<byte> input);
}

/// <summary>A promise that an answer breaks.</summary>
public sealed class FuzzException : Exception
{
    public FuzzException()
    {
    }

    public FuzzException(string message)
        : base(message)
    {
    }

    public FuzzException(string message, Exception inner)
        : base(message, inner)
    {
    }

    /// <summary>Throws unless the promise holds.</summary>
    public static void Unless(bool holds, string promise)
    {
        if (!holds)
        {
            throw new FuzzException(promise);
        }
    }
}

/// <summary>All targets by name.</summary>
public static class FuzzTargets
{
    public static IReadOnlyDictionary<string, Func<IFuzzTarget>> All { get; } = new SortedDictionary<string, Func<IFuzzTarget>>(StringComparer.Ordinal)
    {
        ["config"] = static () => new ConfigTarget(),
        ["control"] = static () => new ControlTarget(),
        ["framer"] = static () => new FramerTarget(),
        ["netlink"] = static () => new NetlinkTarget(),
        ["notification"] = static () => new NotificationTarget(),
        ["open"] = static () => new OpenTarget(),
        ["refresh"] = static () => new RefreshTarget(),
        ["update"] = static () => new UpdateTarget(),
    };

    /// <summary>Octets of a text in hexadecimal.</summary>
    internal static byte[] Hex(string text) => Convert.FromHexString(string.Concat(text.Where(static c => !char.IsWhiteSpace(c))));

    internal static byte[][] HexLines(string text) => [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(Hex)];
}
