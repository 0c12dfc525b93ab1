namespace Bgp.Daemon.Tables;

/// <summary>
/// Work from many senders: each sender's in its order, the senders in turn, so that one that always has work waiting delays another by one item and not by
/// all that it has queued. Work of <see cref="Everyone"/> comes after all that was added before it and before all that is added after it.
/// Every operation takes constant time; nothing is allocated once the queue has been as full as it gets. Not safe from several threads.
/// </summary>
internal sealed class WorkQueue<T>
    where T : class
{
    /// <summary>The sender of work that is in order with everything.</summary>
    internal const int Everyone = -1;

    // Rounds are worked off one after the other. In all but the newest there is a barrier: what ends the round, once its lanes are empty.
    private readonly Queue<Round> _rounds = new();
    private readonly Stack<Round> _freeRounds = new();
    private readonly Stack<Lane> _freeLanes = new();
    private Lane?[] _lanes = new Lane?[16];
    private Round _newest = new();

    internal WorkQueue() => _rounds.Enqueue(_newest);

    /// <summary>Items that wait.</summary>
    internal int Count { get; private set; }

    /// <summary>Adds work of a sender: a small number, not negative, or <see cref="Everyone"/>.</summary>
    internal void Enqueue(T work, int sender)
    {
        Count++;
        if (_newest.Barrier is not null)
        {
            _newest = _freeRounds.TryPop(out Round? free) ? free : new Round();
            _rounds.Enqueue(_newest);
        }

        if (sender == Everyone)
        {
            _newest.Barrier = work;
            return;
        }

        if (sender >= _lanes.Length)
        {
            Array.Resize(ref _lanes, Math.Max(sender + 1, _lanes.Length * 2));
        }

        if (_lanes[sender] is not { } lane || lane.Round != _newest)
        {
            lane = _freeLanes.TryPop(out Lane? free) ? free : new Lane();
            (lane.Sender, lane.Round) = (sender, _newest);
            _lanes[sender] = lane;
            _newest.Lanes.Enqueue(lane);
        }

        lane.Work.Enqueue(work);
    }

    /// <summary>Takes what is next, if anything waits.</summary>
    internal bool TryDequeue([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out T? work)
    {
        Round round = _rounds.Peek();
        if (round.Lanes.TryDequeue(out Lane? lane))
        {
            Count--;
            work = lane.Work.Dequeue();
            if (lane.Work.Count > 0)
            {
                round.Lanes.Enqueue(lane);
                return true;
            }

            if (_lanes[lane.Sender] == lane)
            {
                _lanes[lane.Sender] = null;
            }

            lane.Round = null;
            _freeLanes.Push(lane);
            return true;
        }

        work = round.Barrier;
        if (work is null)
        {
            return false;
        }

        Count--;
        round.Barrier = null;
        if (round != _newest)
        {
            _freeRounds.Push(_rounds.Dequeue());
        }

        return true;
    }

    private sealed class Round
    {
        /// <summary>Those with work, the next one first.</summary>
        internal Queue<Lane> Lanes { get; } = new();

        internal T? Barrier { get; set; }
    }

    private sealed class Lane
    {
        internal int Sender { get; set; }

        internal Round? Round { get; set; }

        internal Queue<T> Work { get; } = new();
    }
}
