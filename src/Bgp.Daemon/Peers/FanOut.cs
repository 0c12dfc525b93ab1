using Bgp.Daemon.Runtime;

namespace Bgp.Daemon.Peers;

/// <summary>Something that sends when it is told that there may be something to send.</summary>
internal interface IKickable
{
    /// <summary>There may be something to send. Does not block.</summary>
    void Kick();
}

/// <summary>Lets the writers send that one turn of a table has woken. Belongs to the table's loop.</summary>
/// <remarks>
/// A few writers send at once, on the table's own thread: an idle route leaves without a thread switch. Many are a different matter. Each costs a system call
/// of several microseconds, so that 500 of them on the table's thread would make every UPDATE of every reader wait for two milliseconds, and each
/// UPDATE would be sent alone: 250,000 calls for 500 clients with one UPDATE each. So they go to lanes that run beside the table, one per core; while a
/// lane makes its round, the table applies what arrives, and the next round sends it together. No timer decides how long to gather: the round does.
/// While a table has more to do the few go to the lanes too.
/// A writer stays in one lane, so that its state stays in one core's cache.
/// </remarks>
internal sealed class FanOut
{
    /// <summary>So many writers send on the table's thread.</summary>
    internal const int InlineWriters = 32;

    private readonly Lane[] _lanes;
    private readonly List<(IKickable Writer, int Lane)> _woken = [];

    internal FanOut(IWorkScheduler scheduler, Action<Exception> onFault)
    {
        _lanes = new Lane[Math.Clamp(Environment.ProcessorCount, 1, 64)];
        for (int i = 0; i < _lanes.Length; i++)
        {
            _lanes[i] = new Lane(scheduler, onFault);
        }
    }

    /// <summary>Notes a writer that has something to send. <paramref name="key"/> says in which lane it would.</summary>
    internal void Wake(IKickable writer, int key) => _woken.Add((writer, key % _lanes.Length));

    /// <summary>The turn is over: what was noted is sent, in the lanes if the table is <paramref name="busy"/> or it is much, else here.</summary>
    internal void Flush(bool busy)
    {
        if (_woken.Count == 0)
        {
            return;
        }

        if (_woken.Count <= InlineWriters && !busy)
        {
            foreach ((IKickable writer, _) in _woken)
            {
                writer.Kick();
            }
        }
        else
        {
            for (int i = 0; i < _lanes.Length; i++)
            {
                _lanes[i].Add(_woken, i);
            }
        }

        _woken.Clear();
    }

    /// <summary>A part of the writers, one after another on one thread at a time.</summary>
    private sealed class Lane(IWorkScheduler scheduler, Action<Exception> onFault) : SerialLoop(scheduler)
    {
        private const int TurnWriters = 64;

        private readonly Lock _gate = new();
        private List<IKickable> _added = [];
        private List<IKickable> _round = [];
        private int _next;

        internal void Add(List<(IKickable Writer, int Lane)> woken, int lane)
        {
            bool any = false;
            lock (_gate)
            {
                foreach ((IKickable writer, int of) in woken)
                {
                    if (of == lane)
                    {
                        _added.Add(writer);
                        any = true;
                    }
                }
            }

            if (any)
            {
                Signal(inline: false);
            }
        }

        /// <inheritdoc/>
        protected override bool Turn()
        {
            if (_next == _round.Count)
            {
                _round.Clear();
                _next = 0;
                lock (_gate)
                {
                    (_added, _round) = (_round, _added);
                }
            }

            int end = Math.Min(_next + TurnWriters, _round.Count);
            while (_next < end)
            {
                _round[_next++].Kick();
            }

            if (_next < _round.Count)
            {
                return true;
            }

            // What was added during this turn has signalled before it ended: the signal is used up, the work is not.
            lock (_gate)
            {
                return _added.Count > 0;
            }
        }

        /// <inheritdoc/>
        protected override void Fault(Exception exception) => onFault(exception);
    }
}
