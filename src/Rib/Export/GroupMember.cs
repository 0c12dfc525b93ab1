using System.Buffers.Binary;

namespace Rib;

/// <summary>
/// One session's side of an update group: what it reads to be sent. The reading methods belong to one thread at a time, the session's writer, and
/// may run while the group's loop appends; everything else belongs to the loop.
/// </summary>
/// <remarks>
/// The octets handed out are whole messages in the order in which they must be sent. Reading never blocks and never takes a lock. When nothing is left
/// the member turns idle, and the <c>onData</c> callback runs once, on the loop's thread, when there is something again: the reader sets the idle
/// flag and looks again, the loop publishes and then looks at the flag, so at least one of them sees the other's step. A callback may in rare cases find
/// that the reader was quicker; it must tolerate nothing to read.
/// <para>
/// A member that holds back too much is detached by the loop: it gives up its places in the logs, keeps a copy of the rest of a message that it has
/// begun to send, and nothing else. When its reader asks for more after that rest, it has drained, and the loop lets it begin anew with a walk. Places are given up
/// by whoever is inside the gate: the loop when the reader is outside, else the reader as it leaves. While the reader sends a run in place it is inside,
/// perhaps for minutes; its cursors stand still then, and the logs go on without the segments it stands in (see <see cref="UpdateLog.Trim"/>).
/// </para>
/// </remarks>
public sealed class GroupMember
{
    private const int GateInside = 1;
    private const int GateClosed = 2;
    private const int GateDetached = 4;

    private readonly GroupFlow _flow;
    private readonly ControlMessages _control;
    private readonly Action _onData;

    // Reader's own.
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

    // Shared.
    private int _gate;
    private int _idle = 1;
    private int _started;
    private ExportWalk? _walk;
    private bool _walkEnhanced;
    private long _endOfRibAt = -1;
    private int _endOfRibSent;
    private long _position;
    private long _walkPosition;
    private long _messagesSent;
    private long _octetsSent;
    private int _runIsOut;
    private int _drained;

    internal GroupMember(RibPeer peer, GroupFlow flow, ControlMessages control, Action onData)
    {
        Peer = peer;
        _flow = flow;
        _control = control;
        _onData = onData;
    }

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

    /// <summary>The neighbour.</summary>
    public RibPeer Peer { get; }

    /// <summary>Octets handed out and advanced over.</summary>
    public long OctetsSent => Volatile.Read(ref _octetsSent);

    /// <summary>Messages advanced over.</summary>
    public long MessagesSent => Volatile.Read(ref _messagesSent);

    /// <summary>Whether End-of-RIB has been handed out (RFC 4724 section 2).</summary>
    public bool EndOfRibSent => Volatile.Read(ref _endOfRibSent) != 0;

    /// <summary>
    /// Octets between this member and the tail of the log: an upper bound of what is still to be sent (some may be for other members), without what a
    /// walk has yet to encode.
    /// </summary>
    public long PendingBytes
    {
        get
        {
            if (Volatile.Read(ref _started) == 0 || IsDetached)
            {
                return 0;
            }

            ExportWalk? walk = Volatile.Read(ref _walk);
            long pending = _flow.Log.PublishedTail - Volatile.Read(ref _position);
            return walk is null ? pending : pending + Math.Max(0, walk.Log.PublishedTail - Volatile.Read(ref _walkPosition));
        }
    }

    /// <summary>Whether the group was left.</summary>
    public bool IsClosed => (Volatile.Read(ref _gate) & GateClosed) != 0;

    /// <summary>Whether it reads too slowly for the log at present, and will be brought up to date by a walk once it has sent what it began.</summary>
    public bool IsDetached => (Volatile.Read(ref _gate) & GateDetached) != 0;

    /// <summary>How often it was detached.</summary>
    public int Detachments { get; private set; }

    // The loop's own.
    internal int Slot { get; set; }

    internal bool HoldsEndOfRib { get; set; }

    internal bool EndOfRibDue { get; set; }

    internal ulong EndOfRibTicket { get; set; }

    internal bool WantsRefresh { get; set; }

    internal bool WantsEnhanced { get; set; }

    internal bool IsWaitingForWalk { get; set; }

    internal bool WakeOnPublish { get; set; }

    internal bool ReportedLagging { get; set; }

    /// <summary>Whether the neighbour understands the marks around a refresh (RFC 7313).</summary>
    internal bool TakesMarks { get; init; }

    /// <summary>Decided when it is detached: whether the walk that brings it back has marks, or withdrawals of what is gone.</summary>
    internal bool ResyncHasMarks { get; private set; }

    /// <summary>It could not keep up with the walk that was to bring it back: the next one is its own.</summary>
    internal bool WalksAlone { get; set; }

    /// <summary>Whether it reads from the logs: it is past the start, and not detached.</summary>
    internal bool IsReading => _started != 0 && !IsOut;

    /// <summary>Whether it is detached, as the loop knows it.</summary>
    internal bool IsOut { get; private set; }

    /// <summary>Whether it is detached and has nothing left to send.</summary>
    internal bool IsDrained => IsOut && Volatile.Read(ref _drained) != 0;

    internal ExportWalk? Walk => Volatile.Read(ref _walk);

    internal long Position => Volatile.Read(ref _position);

    internal long WalkPosition => Volatile.Read(ref _walkPosition);

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
                Exit();
                if (IsDetached)
                {
                    // After leaving: the loop has to come in.
                    Volatile.Write(ref _drained, 1);
                    _flow.Wake();
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

    /// <summary>The loop's call after it published: runs <c>onData</c> when the reader is idle.</summary>
    internal void Wake()
    {
        if (Volatile.Read(ref _idle) != 0 && Interlocked.Exchange(ref _idle, 0) != 0)
        {
            _onData();
        }
    }

    /// <summary>Begins to read, in a walk, from the tail of the main log on. The loop's call, everything published.</summary>
    internal void Start(ExportWalk walk, bool enhanced)
    {
        walk.Readers++;
        _walkEnhanced = enhanced;
        if (_started == 0)
        {
            _main.Attach(_flow.Log);
            _position = _main.Position;
        }

        // The reader does not touch these while it sees no walk.
        _walkCursor.Attach(walk.Log);
        Volatile.Write(ref _walkPosition, 0);
        Volatile.Write(ref _walk, walk);
        Volatile.Write(ref _started, 1);
    }

    /// <summary>Lets End-of-RIB follow once the main log is read up to <paramref name="position"/>.</summary>
    internal void ScheduleEndOfRib(long position) => Volatile.Write(ref _endOfRibAt, position);

    /// <summary>Ends reading. When the reader is inside, it gives up its places itself as it leaves.</summary>
    internal void Close()
    {
        if ((Interlocked.Or(ref _gate, GateClosed) & GateInside) == 0)
        {
            Release();
        }
    }

    /// <summary>Takes the places in the logs away, at once or as soon as the reader leaves. The loop's call.</summary>
    internal void Detach()
    {
        IsOut = true;
        Detachments++;
        ResyncHasMarks = TakesMarks && EndOfRibSent;
        Volatile.Write(ref _drained, 0);
        while (true)
        {
            int gate = Volatile.Read(ref _gate);
            if ((gate & GateInside) != 0)
            {
                if (Interlocked.CompareExchange(ref _gate, gate | GateDetached, gate) == gate)
                {
                    return;
                }
            }
            else if (Interlocked.CompareExchange(ref _gate, gate | GateDetached | GateInside, gate) == gate)
            {
                Exit();
                Wake();
                return;
            }
        }
    }

    /// <summary>Begins to read again after <see cref="Detach"/>. False when the reader is inside: it asks for another turn as it leaves.</summary>
    internal bool TryResume(ExportWalk walk)
    {
        if (Interlocked.CompareExchange(ref _gate, GateDetached | GateInside, GateDetached) != GateDetached)
        {
            return false;
        }

        _main.Attach(_flow.Log);
        Volatile.Write(ref _position, _main.Position);
        IsOut = false;
        Start(walk, ResyncHasMarks);
        Interlocked.Exchange(ref _gate, 0);
        return true;
    }

    /// <summary>Whether one of its cursors is in a segment that it will not leave but by giving it up.</summary>
    internal bool StandsStillIn(LogSegment segment) =>
        Volatile.Read(ref _runIsOut) != 0 && (ReferenceEquals(_main.Segment, segment) || ReferenceEquals(_walkCursor.Segment, segment));

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

    private bool Enter()
    {
        if (TryEnter())
        {
            return true;
        }

        // The group was left, or the loop is inside for a moment; then it calls onData afterwards if it finds the reader idle.
        Interlocked.Exchange(ref _idle, 1);
        if (!TryEnter())
        {
            return false;
        }

        Interlocked.Exchange(ref _idle, 0);
        return true;
    }

    private bool TryEnter()
    {
        while (true)
        {
            int gate = Volatile.Read(ref _gate);
            if ((gate & (GateInside | GateClosed)) != 0)
            {
                return false;
            }

            if (Interlocked.CompareExchange(ref _gate, gate | GateInside, gate) == gate)
            {
                return true;
            }
        }
    }

    private void Exit()
    {
        while (true)
        {
            int gate = Volatile.Read(ref _gate);
            if ((gate & GateClosed) != 0)
            {
                Release();
            }
            else if ((gate & GateDetached) != 0)
            {
                GiveUpPlaces();
            }

            // Fails when the loop has left another mark meanwhile.
            if (Interlocked.CompareExchange(ref _gate, gate & ~GateInside, gate) == gate)
            {
                return;
            }
        }
    }

    private void Release()
    {
        GiveUpPlaces();

        // The place may have been what the group waited for.
        _flow.Moved(0);
    }

    private void GiveUpPlaces()
    {
        if (!_main.IsAttached)
        {
            return;
        }

        if (_partial > 0)
        {
            _rest = _rest.ToArray();
        }

        _main.Detach();
        ExportWalk? walk = _walk;
        if (walk is not null)
        {
            _walkCursor.Detach();
            Volatile.Write(ref _walk, null);
            Interlocked.Decrement(ref walk.Readers);
        }

        (_inWalk, _beginDue, _controlDone) = (false, false, 0);
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
