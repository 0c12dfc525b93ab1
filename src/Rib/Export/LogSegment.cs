namespace Rib;

/// <summary>What a log record holds.</summary>
internal enum LogRecordKind : byte
{
    /// <summary>Whole BGP messages.</summary>
    Messages,

    /// <summary>8 octets, host order: the main log must be read up to this position before the walk goes on.</summary>
    Barrier,

    /// <summary>8 octets, unused: the walk is over.</summary>
    End,
}

/// <summary>A run of octets in a segment with one target.</summary>
internal struct LogRecord
{
    internal int Offset;
    internal int Length;
    internal LogTarget Target;
    internal LogRecordKind Kind;
}

/// <summary>
/// 64 KB of encoded messages on the pinned heap, with the records that say for whom they are. Segments form a list in log order.
/// </summary>
internal sealed class LogSegment
{
    internal const int Size = 65536;

    /// <summary>The messages. Pinned, so that sends need no pinning of their own. 64 KB hold one message of any legal length (RFC 8654).</summary>
    internal readonly byte[] Data = GC.AllocateUninitializedArray<byte>(Size, pinned: true);

    /// <summary>Records, replaced by a longer copy when full. Those below the published tail never change.</summary>
    internal LogRecord[] Records = new LogRecord[16];

    /// <summary>Records in use. Written after the record itself.</summary>
    internal int Count;

    /// <summary>Octets in use; the writer's own.</summary>
    internal int Used;

    /// <summary>Log position of <see cref="Data"/>[0].</summary>
    internal long Base;

    /// <summary>The segment that follows. Once set, this segment gets no more records.</summary>
    internal LogSegment? Next;

    /// <summary>Cursors that stand in this segment.</summary>
    internal int References;
}

/// <summary>Free segments of one loop. Used by the loop's thread alone.</summary>
public sealed class SegmentPool
{
    private readonly LogSegment[] _free;
    private int _count;

    /// <summary>A pool that keeps up to <paramref name="keep"/> free segments of 64 KB and leaves the rest to the collector.</summary>
    public SegmentPool(int keep = 16) => _free = new LogSegment[keep];

    internal LogSegment Rent()
    {
        if (_count == 0)
        {
            return new LogSegment();
        }

        LogSegment segment = _free[--_count];
        _free[_count] = null!;
        return segment;
    }

    internal void Return(LogSegment segment)
    {
        // Also of one that goes to the collector: it must not keep the rest of the log alive.
        segment.Next = null;
        if (_count == _free.Length)
        {
            return;
        }

        segment.Count = 0;
        segment.Used = 0;
        segment.References = 0;
        _free[_count++] = segment;
    }
}
