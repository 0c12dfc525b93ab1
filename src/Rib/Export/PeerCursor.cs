namespace Rib;

/// <summary>
/// One reader's place in an <see cref="UpdateLog"/>. Attached by the writer, from then on touched by the reader alone.
/// </summary>
internal struct PeerCursor
{
    private LogSegment? _segment;
    private int _record;
    private int _offset;

    /// <summary>Whether it stands anywhere.</summary>
    internal readonly bool IsAttached => _segment is not null;

    /// <summary>Log position of the next octet.</summary>
    internal readonly long Position => _segment!.Base + _offset;

    /// <summary>The segment it stands in, or null. Safe to ask from the writer's thread.</summary>
    internal LogSegment? Segment => Volatile.Read(ref _segment);

    /// <summary>Stands at the tail of a log whose writer is calling and has published everything.</summary>
    internal void Attach(UpdateLog log)
    {
        LogSegment tail = log.AcquireTail();
        _segment = tail;
        _record = tail.Count;
        _offset = tail.Used;
    }

    /// <summary>Gives up the place and the reference.</summary>
    internal void Detach()
    {
        LogSegment? segment = _segment;
        if (segment is not null)
        {
            // In this order: see UpdateLog.Trim.
            Volatile.Write(ref _segment, null);
            Interlocked.Decrement(ref segment.References);
        }
    }

    /// <summary>
    /// Moves past what is not for this member and finds the next octets that are: the longest contiguous run below <paramref name="limit"/>,
    /// which is a position that the reader acquired from the log or from a barrier. False: the cursor stands at the limit.
    /// </summary>
    internal bool TryPeek(long limit, ushort peer, byte walkBit, out LogRecordKind kind, out ReadOnlyMemory<byte> run)
    {
        while (true)
        {
            LogSegment segment = _segment!;
            if (segment.Base + _offset >= limit)
            {
                kind = default;
                run = default;
                return false;
            }

            int count = Volatile.Read(ref segment.Count);
            if (_record == count)
            {
                // Octets below the limit exist and this segment has no more: they are in the next one, which was linked before they were published.
                LogSegment next = Volatile.Read(ref segment.Next)!;
                Interlocked.Increment(ref next.References);
                _segment = next;
                _record = 0;
                _offset = 0;
                Interlocked.Decrement(ref segment.References);
                continue;
            }

            LogRecord[] records = Volatile.Read(ref segment.Records);
            ref readonly LogRecord first = ref records[_record];
            int end = first.Offset + first.Length;
            if (!first.Target.Includes(peer, walkBit))
            {
                _record++;
                _offset = end;
                continue;
            }

            kind = first.Kind;
            if (kind == LogRecordKind.Messages)
            {
                for (int i = _record + 1; i < count; i++)
                {
                    ref readonly LogRecord more = ref records[i];
                    if (segment.Base + more.Offset >= limit || more.Kind != LogRecordKind.Messages || !more.Target.Includes(peer, walkBit))
                    {
                        break;
                    }

                    end = more.Offset + more.Length;
                }
            }

            run = segment.Data.AsMemory(_offset, end - _offset);
            return true;
        }
    }

    /// <summary>Moves over <paramref name="count"/> octets of the run that was found.</summary>
    internal void Advance(int count)
    {
        LogSegment segment = _segment!;
        _offset += count;
        int records = Volatile.Read(ref segment.Count);
        LogRecord[] array = Volatile.Read(ref segment.Records);
        while (_record < records && array[_record].Offset + array[_record].Length <= _offset)
        {
            _record++;
        }
    }
}
