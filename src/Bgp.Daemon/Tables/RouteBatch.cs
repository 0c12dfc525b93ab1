using System.Runtime.CompilerServices;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Tables;

/// <summary>One thing for a table's loop to do, in its sender's order (<see cref="WorkQueue{T}"/>).</summary>
internal abstract class RibWork<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>Index of the peer whose work this is, or <see cref="WorkQueue{T}.Everyone"/>.</summary>
    internal abstract int Sender { get; }

    /// <summary>Runs on the loop. Returns a measure of the work done, in prefixes.</summary>
    internal abstract int Execute(RibLoop<TPrefix> loop);
}

/// <summary>Anything rare enough that a closure does not matter.</summary>
internal sealed class RibAction<TPrefix>(Action<RibLoop<TPrefix>> action, int sender) : RibWork<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <inheritdoc/>
    internal override int Sender => sender;

    /// <inheritdoc/>
    internal override int Execute(RibLoop<TPrefix> loop)
    {
        action(loop);
        return 16;
    }
}

/// <summary>
/// What one or more UPDATEs of one peer change: runs of prefixes, each with one attribute set. Recycled, bounded, and the only thing that
/// crosses from a peer's reader to the table.
/// </summary>
internal sealed class RouteBatch<TPrefix> : RibWork<TPrefix>
    where TPrefix : unmanaged, IPrefix<TPrefix>
{
    /// <summary>Prefixes in a batch at most: one table turn's worth.</summary>
    internal const int MaxPrefixes = 1024;

    private const int MaxRuns = 256;

    // Far enough ahead that a line from memory is there in time, near enough that it is still there.
    private const int PrefetchWindow = 24;
    private const int PrefetchRuns = 3;

    private readonly TPrefix[] _prefixes = new TPrefix[MaxPrefixes];
    private readonly Run[] _runs = new Run[MaxRuns];
    private uint[]? _pathIds;
    private int _count;
    private int _runCount;

    /// <summary>Who it is from, and the credit to give back.</summary>
    internal InboundFamily<TPrefix>? Owner { get; set; }

    /// <summary>The session that sent it: a batch of a session that is gone is dropped.</summary>
    internal long Session { get; set; }

    /// <summary>Index of the peer.</summary>
    internal ushort Peer { get; set; }

    /// <param name="Received">The set as it came, where a monitor wants it and <paramref name="Attr"/> is another; else 0.</param>
    private record struct Run(int Start, int Count, uint Attr, PathFlags Flags, uint Received);

    /// <inheritdoc/>
    internal override int Sender => Peer;

    /// <summary>Prefixes added.</summary>
    internal int Count => _count;

    /// <summary>
    /// Adds one prefix to a run of the same attribute set; attribute id 0 is a withdrawal. False when the batch is full: post it and take another.
    /// <paramref name="startedRun"/> tells that a run began, which owns one reference to the attribute set, and to <paramref name="received"/>.
    /// </summary>
    internal bool TryAdd(in TPrefix prefix, uint pathId, uint attr, PathFlags flags, uint received, out bool startedRun)
    {
        startedRun = false;
        if (_count == MaxPrefixes)
        {
            return false;
        }

        if (_runCount == 0 || _runs[_runCount - 1].Attr != attr || _runs[_runCount - 1].Flags != flags || _runs[_runCount - 1].Received != received)
        {
            if (_runCount == MaxRuns)
            {
                return false;
            }

            _runs[_runCount++] = new Run(_count, 0, attr, flags, received);
            startedRun = true;
        }

        if (pathId != 0 && _pathIds is null)
        {
            _pathIds = new uint[MaxPrefixes];
        }

        if (_pathIds is not null)
        {
            _pathIds[_count] = pathId;
        }

        _prefixes[_count++] = prefix;
        _runs[_runCount - 1].Count++;
        return true;
    }

    /// <summary>Whether <see cref="Append"/> can add something.</summary>
    internal bool HasRoom => _count < MaxPrefixes && _runCount < MaxRuns;

    /// <summary>Where prefixes without identifiers may be written that <see cref="Append"/> adds. Only for a sender without identifiers.</summary>
    internal Span<TPrefix> Room => _prefixes.AsSpan(_count);

    /// <summary>Adds the first prefixes in <see cref="Room"/>; true tells that a run began, which owns one reference to the attribute set.</summary>
    internal bool Append(int count, uint attr)
    {
        bool begins = _runCount == 0 || _runs[_runCount - 1].Attr != attr || _runs[_runCount - 1].Flags != PathFlags.None || _runs[_runCount - 1].Received != 0;
        if (begins)
        {
            _runs[_runCount++] = new Run(_count, 0, attr, PathFlags.None, 0);
        }

        _runs[_runCount - 1].Count += count;
        _count += count;
        return begins;
    }

    /// <summary>Adds one more prefix without an identifier to the run that the last one began; false when it needs <see cref="TryAdd"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryContinue(in TPrefix prefix, uint attr, PathFlags flags, uint received)
    {
        int count = _count;
        if (_runCount == 0 || (uint)count >= (uint)_prefixes.Length || _pathIds is not null)
        {
            return false;
        }

        ref Run run = ref _runs[_runCount - 1];
        if (run.Attr != attr || run.Flags != flags || run.Received != received)
        {
            return false;
        }

        _prefixes[count] = prefix;
        _count = count + 1;
        run.Count++;
        return true;
    }

    /// <inheritdoc/>
    internal override int Execute(RibLoop<TPrefix> loop)
    {
        bool current = loop.IsCurrent(Peer, Session);
        int window = -3 * PrefetchWindow;
        for (int i = 0; i < _runCount; i++)
        {
            ref Run run = ref _runs[i];
            if (current)
            {
                PrefetchSets(loop.Attributes, i);
                for (; window < run.Start + run.Count; window += PrefetchWindow)
                {
                    Prefetch(loop.Shard, window + (3 * PrefetchWindow), 0);
                    Prefetch(loop.Shard, window + (2 * PrefetchWindow), 1);
                    Prefetch(loop.Shard, window + PrefetchWindow, 2);
                    if (run.Attr == 0)
                    {
                        Prefetch(loop.Shard, window, 3);
                    }
                }

                ReadOnlySpan<TPrefix> prefixes = _prefixes.AsSpan(run.Start, run.Count);
                ReadOnlySpan<uint> pathIds = _pathIds is null ? default : _pathIds.AsSpan(run.Start, run.Count);
                if (run.Attr == 0)
                {
                    loop.Shard.Unreach(prefixes, pathIds, Peer);
                }
                else
                {
                    loop.Shard.ReachOwned(prefixes, pathIds, Peer, run.Attr, run.Flags);
                }

                loop.Monitor?.Changed(prefixes, pathIds, Peer, run.Received);
            }
            else
            {
                Release(loop.Attributes, run.Attr);
            }

            Release(loop.Attributes, run.Received);
        }

        if (current)
        {
            loop.CheckMaxPrefixes(Peer);
        }

        int done = _count;
        InboundFamily<TPrefix>? owner = Owner;
        Recycle(loop);
        owner?.CreditBack();
        return done;
    }

    /// <summary>Drops the content, with its references, without applying it.</summary>
    internal void Discard(AttributeTable attributes)
    {
        for (int i = 0; i < _runCount; i++)
        {
            Release(attributes, _runs[i].Attr);
            Release(attributes, _runs[i].Received);
        }

        _count = _runCount = 0;
    }

    private static void Release(AttributeTable attributes, uint attr)
    {
        if (attr != 0)
        {
            attributes.Release(attr);
        }
    }

    /// <summary>The sets of the next runs were written by the reader, on another core.</summary>
    private void PrefetchSets(AttributeTable attributes, int run)
    {
        if (run + (2 * PrefetchRuns) < _runCount && _runs[run + (2 * PrefetchRuns)].Attr is not 0 and uint far)
        {
            attributes.PrefetchCount(far);
        }

        if (run + PrefetchRuns < _runCount && _runs[run + PrefetchRuns].Attr is not 0 and uint near)
        {
            attributes.PrefetchOctets(near);
        }
    }

    private void Prefetch(RibShard<TPrefix> shard, int from, int step)
    {
        int start = Math.Max(from, 0);
        int end = Math.Min(from + PrefetchWindow, _count);
        if (start < end)
        {
            shard.Prefetch(_prefixes.AsSpan(start, end - start), step);
        }
    }

    private void Recycle(RibLoop<TPrefix> loop)
    {
        _count = _runCount = 0;
        _pathIds = null;
        Owner = null;
        loop.ReturnBatch(this);
    }
}
