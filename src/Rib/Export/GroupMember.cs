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
public sealed partial class GroupMember
{
    private GroupFlow _flow;
    private readonly ControlMessages _control;
    private readonly Action _onData;

    // Shared.
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
    private int _moveWanted;

    internal GroupMember(RibPeer peer, GroupFlow flow, ControlMessages control, Action onData)
    {
        Peer = peer;
        _flow = flow;
        _control = control;
        _onData = onData;
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

    /// <summary>Belongs to another group, before it has read anything.</summary>
    internal void Follow(GroupFlow flow) => _flow = flow;

    /// <summary>Lets End-of-RIB follow once the main log is read up to <paramref name="position"/>.</summary>
    internal void ScheduleEndOfRib(long position) => Volatile.Write(ref _endOfRibAt, position);

    /// <summary>Whether one of its cursors is in a segment that it will not leave but by giving it up.</summary>
    internal bool StandsStillIn(LogSegment segment) =>
        Volatile.Read(ref _runIsOut) != 0 && (ReferenceEquals(_main.Segment, segment) || ReferenceEquals(_walkCursor.Segment, segment));
}
