namespace Rib;

/// <content>The gate between the reader and the loop: who is inside has the places in the logs, and whoever leaves carries out what the other has marked meanwhile.</content>
public sealed partial class GroupMember
{
    private const int GateInside = 1;
    private const int GateClosed = 2;
    private const int GateDetached = 4;

    private int _gate;

    /// <summary>Whether the group was left.</summary>
    public bool IsClosed => (Volatile.Read(ref _gate) & GateClosed) != 0;

    /// <summary>Whether it reads too slowly for the log at present, and will be brought up to date by a walk once it has sent what it began.</summary>
    public bool IsDetached => (Volatile.Read(ref _gate) & GateDetached) != 0;

    /// <summary>
    /// Goes over to another group's log and begins there with a walk. False when the reader is inside, or has something of the present group yet to send;
    /// then that group's loop is asked for a turn as soon as it has not.
    /// </summary>
    internal bool TryMove(GroupFlow flow, ExportWalk walk)
    {
        Interlocked.Exchange(ref _moveWanted, 1);
        if (Interlocked.CompareExchange(ref _gate, GateInside, 0) != 0)
        {
            return false;
        }

        bool empty = _partial == 0 && _walk is null && !TryFind();
        (_source, _run) = (Source.None, default);
        if (empty)
        {
            _main.Detach();
            _flow = flow;
            _main.Attach(flow.Log);
            Volatile.Write(ref _position, _main.Position);
            Volatile.Write(ref _endOfRibAt, -1);
            _moveWanted = 0;
            Start(walk, enhanced: false);
        }

        Exit();
        if (!empty)
        {
            Wake();
        }

        return empty;
    }

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
}
