using System.Buffers;
using Bgp.Protocol;

namespace Bgp.Daemon.Bmp;

/// <summary>Bounds of what one connection to a station may hold and how long it may take.</summary>
internal sealed record BmpLimits
{
    /// <summary>Octets queued from which on the tables hand out no more routes: they wait until half of it is sent.</summary>
    internal int Room { get; init; } = 1 << 20;

    /// <summary>Octets queued at which the connection is given up: routes cannot get there, only peers that come and go while nothing is read.</summary>
    internal int Most { get; init; } = 8 << 20;

    /// <summary>Changes of one family that may wait to be described; with more the connection is given up, and the station starts anew.</summary>
    internal int Changes { get; init; } = 128 * 1024;

    /// <summary>Marks that one turn of a table tells. As many as a turn makes, so that a station that reads keeps up with a flood.</summary>
    internal int TurnMarks { get; init; } = 8192;

    /// <summary>Prefixes that one turn of a dump tells: what it delays a route by.</summary>
    internal int TurnPrefixes { get; init; } = 1024;

    /// <summary>How long a station may read nothing while something waits for it.</summary>
    internal TimeSpan Silence { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How long a connection may take to be made, and the last octets to leave.</summary>
    internal TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>A BGP session as stations are told of it.</summary>
/// <param name="Index">Index of the peer; 0 is the Loc-RIB.</param>
/// <param name="Id">The session, as the tables know it.</param>
/// <param name="Peer">Its per-peer header.</param>
/// <param name="Negotiated">What its OPENs agree on; null for the Loc-RIB.</param>
/// <param name="PeerUp">The whole Peer Up message.</param>
/// <param name="Statistics">The numbers of its Statistics Report.</param>
internal sealed record BmpSession(
    ushort Index, long Id, BmpPeer Peer, NegotiatedSession? Negotiated, ReadOnlyMemory<byte> PeerUp, Func<BmpStatistic[]> Statistics)
{
    internal bool AddPath(AfiSafi family) => Negotiated?.AddPathReceive(family) == true;
}

/// <summary>
/// One connection to a station without its socket: what waits to be sent, and which sessions the station knows.
/// </summary>
/// <remarks>
/// Both tables, the sessions and the timer for statistics write, one sender reads. This is where their order is decided: a session's routes are taken between
/// its Peer Up and its Peer Down and dropped outside of them, so a table that has not yet heard of a lost session says nothing that the station would have to
/// take for the next one. Nobody who writes ever waits. Routes are only asked for while there is room, so a station that does not read costs
/// <see cref="BmpLimits.Room"/> and the marks of what has changed (<see cref="BmpFeed{TPrefix}"/>).
/// </remarks>
internal sealed class BmpLink : IDisposable
{
    private const int ChunkSize = 64 * 1024;

    private readonly Lock _gate = new();
    private readonly Queue<Chunk> _chunks = new();
    private readonly SemaphoreSlim _data = new(0);
    private BmpSession?[] _sessions = new BmpSession?[16];
    private Chunk? _open;
    private long _queued;
    private bool _roomWanted;
    private bool _ended;
    private bool _disposed;

    internal BmpLink(BmpLimits limits) => Limits = limits;

    /// <summary>Octets of whole messages, and how many.</summary>
    internal sealed class Chunk
    {
        internal required byte[] Buffer { get; init; }

        internal int Length { get; set; }

        internal int Messages { get; set; }

        internal ReadOnlyMemory<byte> Octets => Buffer.AsMemory(0, Length);
    }

    internal BmpLimits Limits { get; }

    /// <summary>Called, on the sender's thread, when a table that had to wait may go on.</summary>
    internal Action? OnRoom { get; set; }

    /// <summary>Why the connection has to be given up, or null.</summary>
    internal string? Failure { get; private set; }

    /// <summary>Whether that is because the station did not read fast enough.</summary>
    internal bool FellBehind { get; private set; }

    /// <summary>Octets that wait to be sent.</summary>
    internal long Queued => Volatile.Read(ref _queued);

    /// <summary>Whether there is room for what may as well be left out.</summary>
    internal bool HasRoom => Queued < Limits.Room;

    /// <summary>Whether the tables may hand out more. Where they may not, <see cref="OnRoom"/> follows.</summary>
    internal bool TakeRoom()
    {
        lock (_gate)
        {
            bool room = _queued < Limits.Room && !_ended && !_disposed;
            _roomWanted |= !room;
            return room;
        }
    }

    /// <summary>The first messages: they are as long as there are peers.</summary>
    internal void Begin(ReadOnlySpan<byte> initiation, IEnumerable<BmpSession> sessions)
    {
        lock (_gate)
        {
            Append(initiation, 1);
            foreach (BmpSession session in sessions)
            {
                SessionAt(session.Index) = session;
                Append(session.PeerUp.Span, 1);
            }
        }

        Signal();
    }

    /// <summary>A session came up.</summary>
    internal void PeerUp(BmpSession session)
    {
        lock (_gate)
        {
            SessionAt(session.Index) = session;
            AppendBounded(session.PeerUp.Span, 1);
        }

        Signal();
    }

    /// <summary>A session is over: nothing more of it is taken.</summary>
    internal void PeerDown(ushort peer, ReadOnlySpan<byte> message)
    {
        lock (_gate)
        {
            SessionAt(peer) = null;
            AppendBounded(message, 1);
        }

        Signal();
    }

    /// <summary>The session that the station knows of a peer, or null.</summary>
    internal BmpSession? SessionOf(ushort peer)
    {
        lock (_gate)
        {
            return peer < _sessions.Length ? _sessions[peer] : null;
        }
    }

    /// <summary>All sessions that the station knows.</summary>
    internal BmpSession[] Sessions()
    {
        lock (_gate)
        {
            return [.. _sessions.OfType<BmpSession>()];
        }
    }

    /// <summary>Messages about a session; left out where the station was told meanwhile that it is over.</summary>
    internal void Append(BmpSession session, ReadOnlySpan<byte> octets, int messages)
    {
        lock (_gate)
        {
            if (_sessions[session.Index] != session)
            {
                return;
            }

            AppendBounded(octets, messages);
        }

        Signal();
    }

    /// <summary>The last message: nothing is taken after it, and the sender stops behind it.</summary>
    internal void End(ReadOnlySpan<byte> termination)
    {
        lock (_gate)
        {
            if (!_ended)
            {
                Append(termination, 1);
                _ended = true;
            }
        }

        Signal();
    }

    /// <summary>The connection is over, or (<paramref name="behind"/>) the station cannot be kept up to date over it. The first reason counts.</summary>
    internal void Fail(string reason, bool behind = false)
    {
        lock (_gate)
        {
            FellBehind |= behind && Failure is null;
            Failure ??= reason;
            _ended = true;
        }

        Signal();
    }

    /// <summary>Waits until there is something to send or the end has come.</summary>
    internal Task WaitAsync() => _data.WaitAsync();

    /// <summary>What is to be sent next. False: nothing at present, or (<paramref name="ended"/>) ever again.</summary>
    internal bool TryTake(out Chunk? chunk, out bool ended)
    {
        lock (_gate)
        {
            ended = Failure is not null;
            if (!ended && _chunks.TryDequeue(out chunk))
            {
                if (chunk == _open)
                {
                    _open = null;
                }

                return true;
            }

            chunk = null;
            ended |= _ended;
            return false;
        }
    }

    /// <summary>A chunk was sent.</summary>
    internal void Sent(Chunk chunk)
    {
        bool room;
        lock (_gate)
        {
            _queued -= chunk.Length;
            room = _roomWanted && _queued <= Limits.Room / 2;
            _roomWanted &= !room;
        }

        ArrayPool<byte>.Shared.Return(chunk.Buffer);
        if (room)
        {
            OnRoom?.Invoke();
        }
    }

    /// <summary>Gives up what waits. Whoever still writes is not heard.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            (_ended, _disposed, _open) = (true, true, null);
            while (_chunks.TryDequeue(out Chunk? chunk))
            {
                ArrayPool<byte>.Shared.Return(chunk.Buffer);
            }

            _queued = 0;
        }
    }

    private ref BmpSession? SessionAt(ushort peer)
    {
        if (peer >= _sessions.Length)
        {
            Array.Resize(ref _sessions, Math.Max(peer + 1, _sessions.Length * 2));
        }

        return ref _sessions[peer];
    }

    private void AppendBounded(ReadOnlySpan<byte> octets, int messages)
    {
        if (_queued + octets.Length > Limits.Most)
        {
            FellBehind |= Failure is null;
            Failure ??= "reads too slowly: peers come and go faster";
            _ended = true;
            return;
        }

        Append(octets, messages);
    }

    private void Append(ReadOnlySpan<byte> octets, int messages)
    {
        if (_ended)
        {
            return;
        }

        _queued += octets.Length;
        if (_open is null || _open.Buffer.Length - _open.Length < octets.Length)
        {
            _open = new Chunk { Buffer = ArrayPool<byte>.Shared.Rent(Math.Max(ChunkSize, octets.Length)) };
            _chunks.Enqueue(_open);
        }

        octets.CopyTo(_open.Buffer.AsSpan(_open.Length));
        _open.Length += octets.Length;
        _open.Messages += messages;
    }

    private void Signal()
    {
        if (_data.CurrentCount == 0)
        {
            _data.Release();
        }
    }
}
