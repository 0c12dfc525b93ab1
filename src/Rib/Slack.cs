namespace Rib;

/// <summary>When a container gives back the room of a burst.</summary>
/// <remarks>
/// The collections of the runtime keep the room of their largest day: forty thousand interfaces that came and went leave megabytes in every table that knew them.
/// A container that holds less than an eighth of what it has room for is made to fit twice its content. Growing doubles, so between two of these at least
/// three quarters of the content have gone, and a removal costs a constant on average. Small containers are left alone.
/// </remarks>
public static class Slack
{
    /// <summary>Room for fewer items than this is kept.</summary>
    public const int Kept = 1024;

    /// <summary>Whether a container should shrink.</summary>
    public static bool IsLarge(int count, int capacity) => capacity > Kept && count < capacity / 8;

    /// <summary>What a container that shrinks should have room for.</summary>
    public static int Fitting(int count) => Math.Max(Kept / 2, 2 * count);

    /// <summary>To be called after removals.</summary>
    public static void Trim<TKey, TValue>(Dictionary<TKey, TValue> items)
        where TKey : notnull
    {
        ArgumentNullException.ThrowIfNull(items);
        if (IsLarge(items.Count, items.Capacity))
        {
            items.TrimExcess(Fitting(items.Count));
        }
    }

    /// <inheritdoc cref="Trim{TKey, TValue}(Dictionary{TKey, TValue})"/>
    public static void Trim<T>(HashSet<T> items)
    {
        ArgumentNullException.ThrowIfNull(items);
        if (IsLarge(items.Count, items.Capacity))
        {
            items.TrimExcess(Fitting(items.Count));
        }
    }

    /// <summary>To be called where a list has been emptied that is filled again and again.</summary>
    public static void Trim<T>(List<T> items)
    {
        ArgumentNullException.ThrowIfNull(items);
        if (items.Count == 0 && items.Capacity > 16 * Kept)
        {
            items.Capacity = 0;
        }
    }
}
