using System.Buffers.Binary;

namespace Rib;

/// <content>The reader's side: what is to be sent next, and what was sent. No other thread touches the fields here, but through the gate.</content>
public sealed partial class GroupMember
{
    private PeerCursor _main;
    private PeerCursor _walkCursor;
    private long _barrier;
    private bool _inWalk;
    private bool _passedBarrier;
    private bool _beginDue;
    private Source _source;
    private int _partial;
    private int _controlDone;
    private ReadOnlyMemory<byte> _run;

    // What is left of the message that the last advance cut, and what it is.
    private ReadOnlyMemory<byte> _rest;
    private Source _restOf;

    private enum Source : byte
    {
        None,
        Main,
        Walk,
        BeginRefresh,
        EndRefresh,
        EndOfRib,
        Rest,
    }

    /// <summary>
    /// The next octets to be sent: whole messages, in memory that is pinned and stays valid until <see cref="Advance"/>, which must follow with any
    /// count (also when the send failed). At most <paramref name="max"/> octets, but at least one message. Empty: nothing now; <c>onData</c> follows.
    /// </summary>
    public ReadOnlyMemory<byte> NextRun(int max = int.MaxValue)
    {
        if (_source != Source.None)
        {
            return _run;
        }

        if (!Enter())
        {
            return default;
        }

        if (!TryFind())
        {
            // A full fence on each side: see the remarks.
            Interlocked.Exchange(ref _idle, 1);
            if (!TryFind())
            {
                PublishPosition();
                GroupFlow flow = _flow;
                Exit();
                if (IsDetached)
                {
                    // After leaving: the loop has to come in.
                    Volatile.Write(ref _drained, 1);
                    flow.Wake();
                }
                else if (Volatile.Read(ref _moveWanted) != 0)
                {
                    flow.Wake();
                }

                return default;
            }

            Interlocked.Exchange(ref _idle, 0);
        }

        Volatile.Write(ref _runIsOut, 1);

        if (_run.Length > max)
        {
            _run = _run[..WholeMessages(_run.Span, max)];
        }

        return _run;
    }

    /// <summary>
    /// Ends the use of the run from <see cref="NextRun"/>: its first <paramref name="count"/> octets were sent. A count inside a message is
    /// allowed; the next run then begins with the rest of that message, and nothing else may be sent on the session in between.
    /// </summary>
    public void Advance(int count)
    {
        if (_source == Source.None)
        {
            return;
        }

        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)count, (uint)_run.Length, nameof(count));
        CountMessages(_run.Span, count);
        _rest = _partial > 0 ? _run.Slice(count, _partial) : default;
        _restOf = _source == Source.Rest ? _restOf : _source;
        switch (_source)
        {
            case Source.Rest:
                if (_partial == 0 && _restOf == Source.EndOfRib)
                {
                    EndOfRibIsOut();
                }

                break;
            case Source.Main:
                _main.Advance(count);
                break;
            case Source.Walk:
                _walkCursor.Advance(count);
                break;
            default:
                AdvanceControl(count);
                break;
        }

        _source = Source.None;
        _run = default;
        Volatile.Write(ref _runIsOut, 0);
        PublishPosition();
        Exit();
    }

    /// <summary>
    /// Copies as many whole messages as fit into <paramref name="into"/> and advances over them. False when there is nothing to send now
    /// (<c>onData</c> follows). <paramref name="into"/> must have room for the session's largest message.
    /// </summary>
    public bool TryTake(Span<byte> into, out int written)
    {
        written = 0;
        while (true)
        {
            int room = into.Length - written;
            ReadOnlyMemory<byte> run = written == 0 || room >= 19 ? NextRun(room) : default;
            if (run.IsEmpty)
            {
                return written > 0;
            }

            if (run.Length > room)
            {
                Advance(0);
                return written > 0;
            }

            run.Span.CopyTo(into[written..]);
            written += run.Length;
            Advance(run.Length);
        }
    }

    /// <summary>The longest part of a run that ends with a message and is not over <paramref name="max"/>, or the first message.</summary>
    private int WholeMessages(ReadOnlySpan<byte> run, int max)
    {
        int length = _partial;
        while (length < run.Length)
        {
            int message = BinaryPrimitives.ReadUInt16BigEndian(run[(length + 16)..]);
            if (length > 0 && length + message > max)
            {
                break;
            }

            length += message;
        }

        return length;
    }

    /// <summary>Counts the messages that end within the first <paramref name="count"/> octets and notes how much of a cut one is left.</summary>
    private void CountMessages(ReadOnlySpan<byte> run, int count)
    {
        int messages = 0;
        int at = _partial;
        if (at > 0 && at <= count)
        {
            messages++;
        }

        while (at < count)
        {
            at += BinaryPrimitives.ReadUInt16BigEndian(run[(at + 16)..]);
            if (at <= count)
            {
                messages++;
            }
        }

        _partial = at - count;
        Volatile.Write(ref _messagesSent, _messagesSent + messages);
        Volatile.Write(ref _octetsSent, _octetsSent + count);
    }

    private void AdvanceControl(int count)
    {
        if (count < _run.Length)
        {
            _controlDone += count;
            return;
        }

        _controlDone = 0;
        switch (_source)
        {
            case Source.BeginRefresh:
                _beginDue = false;
                break;
            case Source.EndRefresh:
                FinishWalk();
                break;
            default:
                EndOfRibIsOut();
                break;
        }
    }

    private void EndOfRibIsOut()
    {
        Volatile.Write(ref _endOfRibSent, 1);

        // A refresh has to wait for it.
        _flow.Wake();
    }

    private void PublishPosition()
    {
        if (!_main.IsAttached)
        {
            return;
        }

        long position = _main.Position;
        Volatile.Write(ref _position, position);
        long backlog = _flow.Log.PublishedTail - position;
        if (_inWalk)
        {
            long inWalk = _walkCursor.Position;
            Volatile.Write(ref _walkPosition, inWalk);
            backlog = Math.Min(backlog, _walk!.Log.PublishedTail - inWalk);
        }

        _flow.Moved(backlog);
    }

    private bool TryFind()
    {
        if (Volatile.Read(ref _started) == 0)
        {
            return false;
        }

        if (!_main.IsAttached)
        {
            // Detached.
            return _partial > 0 && Found(Source.Rest, _rest);
        }

        while (true)
        {
            // The tail is acquired before the walk is looked for: a walk is handed over before anything behind its first barrier is published.
            long tail = _flow.Log.PublishedTail;
            ExportWalk? walk = Volatile.Read(ref _walk);
            if (walk is null)
            {
                return TryFindMain(tail);
            }

            if (TryFindInWalk(walk))
            {
                return true;
            }

            if (Volatile.Read(ref _walk) is not null)
            {
                return false;
            }
        }
    }

    private bool TryFindMain(long tail)
    {
        long endOfRibAt = _endOfRibSent == 0 ? Volatile.Read(ref _endOfRibAt) : -1;
        if (endOfRibAt >= 0)
        {
            tail = Math.Min(tail, endOfRibAt);
        }

        if (_main.TryPeek(tail, Peer.Index, 0, out _, out ReadOnlyMemory<byte> run))
        {
            return Found(Source.Main, run);
        }

        return endOfRibAt >= 0 && _main.Position >= endOfRibAt && FoundControl(Source.EndOfRib, _control.EndOfRib);
    }

    private bool TryFindInWalk(ExportWalk walk)
    {
        if (!_inWalk)
        {
            _inWalk = true;
            _passedBarrier = false;
            _beginDue = _walkEnhanced;
            _barrier = _main.Position;
        }

        while (true)
        {
            if (_main.TryPeek(_barrier, Peer.Index, walk.SkipBit, out _, out ReadOnlyMemory<byte> run))
            {
                return Found(Source.Main, run);
            }

            if (_beginDue && _passedBarrier)
            {
                // Exactly where the walk began: what follows in the main log is news of after the mark, which no slice need repeat. Before the first
                // barrier the main log may also have been left inside a message.
                return FoundControl(Source.BeginRefresh, _control.BeginRefresh);
            }

            if (!_walkCursor.TryPeek(walk.Log.PublishedTail, Peer.Index, 0, out LogRecordKind kind, out run))
            {
                return false;
            }

            if (kind == LogRecordKind.Barrier)
            {
                _barrier = BitConverter.ToInt64(run.Span);
                _passedBarrier = true;
                _walkCursor.Advance(sizeof(long));
                continue;
            }

            if (kind == LogRecordKind.Messages)
            {
                return Found(Source.Walk, run);
            }

            if (_walkEnhanced)
            {
                return FoundControl(Source.EndRefresh, _control.EndRefresh);
            }

            FinishWalk();
            return false;
        }
    }

    private bool Found(Source source, ReadOnlyMemory<byte> run)
    {
        _source = source;
        _run = run;
        return true;
    }

    private bool FoundControl(Source source, byte[] message) => Found(source, message.AsMemory(_controlDone));

    private void FinishWalk()
    {
        ExportWalk walk = _walk!;
        _inWalk = false;
        _walkCursor.Detach();
        Interlocked.Exchange(ref _walk, null);
        Interlocked.Decrement(ref walk.Readers);

        // The loop frees the walk, and may have kept a refresh back until now.
        _flow.Wake();
    }
}
