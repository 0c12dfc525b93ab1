namespace Rib;

/// <summary>
/// An append-only log of encoded messages: one writer (the loop that owns the group), any number of readers, each with its own cursor.
/// </summary>
/// <remarks>
/// A position is the number of octets ever appended before it, so positions are comparable for the life of the log. The writer appends, then
/// publishes the new tail with one release store; a reader acquires the tail first and touches nothing at or beyond it, so records below the tail
/// are plain immutable data and no lock exists.
/// <para>
/// Recycling: a cursor counts as one reference on the segment in which it stands. It takes the reference on the next segment before it gives up
/// the one it leaves, and the writer frees from the oldest segment on and stops at the first that is referenced. So a segment ahead of any cursor cannot
/// be freed, although nobody references it yet, and only the writer ever touches the free list.
/// </para>
/// <para>Memory: what the slowest cursor holds back, in steps of 64 KB; <see cref="RetainedBytes"/> is for the caller to bound.</para>
/// </remarks>
internal sealed class UpdateLog
{
    private readonly SegmentPool _pool;
    private LogSegment _head;
    private LogSegment _tail;
    private long _published;

    internal UpdateLog(SegmentPool pool)
    {
        _pool = pool;
        _head = _tail = pool.Rent();
        _tail.Base = 0;
    }

    /// <summary>Position up to which readers may read.</summary>
    internal long PublishedTail => Volatile.Read(ref _published);

    /// <summary>Position of the next octet; the writer's own.</summary>
    internal long Tail => _tail.Base + _tail.Used;

    /// <summary>Octets that are still held.</summary>
    internal long RetainedBytes => Tail - _head.Base;

    /// <summary>Position of the oldest octet that is still held.</summary>
    internal long HeadPosition => _head.Base;

    /// <summary>Room for one message of up to <paramref name="length"/> octets; at least that long.</summary>
    internal Span<byte> Reserve(int length)
    {
        if (LogSegment.Size - _tail.Used < length)
        {
            LogSegment next = _pool.Rent();
            next.Base = Tail;
            Volatile.Write(ref _tail.Next, next);
            _tail = next;
        }

        return _tail.Data.AsSpan(_tail.Used);
    }

    /// <summary>Appends what was written into the reserved room.</summary>
    internal void Commit(int length, LogTarget target, LogRecordKind kind = LogRecordKind.Messages)
    {
        LogSegment tail = _tail;
        int count = tail.Count;
        if (kind == LogRecordKind.Messages && count > 0)
        {
            // A record that no reader can have seen yet may grow.
            ref LogRecord last = ref tail.Records[count - 1];
            if (last.Kind == LogRecordKind.Messages && last.Target == target && tail.Base + last.Offset >= _published)
            {
                last.Length += length;
                tail.Used += length;
                return;
            }
        }

        if (count == tail.Records.Length)
        {
            LogRecord[] longer = new LogRecord[count * 2];
            tail.Records.CopyTo(longer, 0);
            Volatile.Write(ref tail.Records, longer);
        }

        tail.Records[count] = new LogRecord { Offset = tail.Used, Length = length, Target = target, Kind = kind };
        tail.Used += length;
        Volatile.Write(ref tail.Count, count + 1);
    }

    /// <summary>Appends a control record.</summary>
    internal void AppendControl(LogRecordKind kind, long value)
    {
        BitConverter.TryWriteBytes(Reserve(sizeof(long)), value);
        Commit(sizeof(long), LogTarget.All, kind);
    }

    /// <summary>Lets readers see everything appended so far; false when there is nothing new.</summary>
    internal bool Publish()
    {
        long tail = Tail;
        if (tail == _published)
        {
            return false;
        }

        Volatile.Write(ref _published, tail);
        return true;
    }

    /// <summary>
    /// Frees the segments that every cursor has left. The <paramref name="detached"/> members are those that still send a run from a place which they give up
    /// afterwards: a segment that only they stand in leaves the log, and is theirs until then.
    /// </summary>
    internal void Trim(List<GroupMember>? detached = null)
    {
        while (_head != _tail)
        {
            // The count first: a member that leaves meanwhile forgets the segment before it gives up its reference, so it cannot be taken for one that
            // stands there still in place of another that does.
            int references = Volatile.Read(ref _head.References);
            if (references > 0 && detached is { Count: > 0 })
            {
                foreach (GroupMember member in detached)
                {
                    references -= member.StandsStillIn(_head) ? 1 : 0;
                }
            }

            if (references > 0)
            {
                return;
            }

            LogSegment freed = _head;
            _head = freed.Next!;
            if (Volatile.Read(ref freed.References) == 0)
            {
                _pool.Return(freed);
            }
            else
            {
                freed.Next = null;
            }
        }
    }

    /// <summary>What is held at or behind <paramref name="from"/>, record by record.</summary>
    internal IEnumerable<ReadOnlyMemory<byte>> Since(long from)
    {
        for (LogSegment? segment = _head; segment is not null; segment = segment.Next)
        {
            for (int i = 0; i < segment.Count; i++)
            {
                LogRecord record = segment.Records[i];
                if (record.Kind == LogRecordKind.Messages && segment.Base + record.Offset + record.Length > from)
                {
                    yield return segment.Data.AsMemory(record.Offset, record.Length);
                }
            }
        }
    }

    /// <summary>Frees everything. No cursor may be left.</summary>
    internal void Close()
    {
        Trim();
        if (_head == _tail && _tail.References == 0)
        {
            _pool.Return(_tail);
        }
    }

    /// <summary>The writer's side of <see cref="PeerCursor.Attach"/>: the tail segment, with one more reference.</summary>
    internal LogSegment AcquireTail()
    {
        Interlocked.Increment(ref _tail.References);
        return _tail;
    }
}
