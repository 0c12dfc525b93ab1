namespace Rib;

/// <summary>What a table's consumers ask of it.</summary>
public sealed record RibOptions
{
    /// <summary>Some consumer installs several equal paths: a change among them is a change of the selection.</summary>
    public bool Multipath { get; init; }

    /// <summary>Some consumer sends paths beside the best (ADD-PATH): every change of an eligible path is a change of the selection.</summary>
    public bool AllPaths { get; init; }

    /// <summary>A path with more LOCAL_PREF is as good as a configured one: see <see cref="RankKey.ElevatedAbove"/>.</summary>
    public uint ElevatedAbove { get; init; } = uint.MaxValue;
}
