using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using Bgp.Daemon.Tables;
using Bgp.Protocol;

namespace Bgp.Daemon.Peers;

/// <summary>What a connection reports. Calls come from the connection's reader or writer, one message at a time, in order.</summary>
internal interface IConnectionEvents
{
    /// <summary>A message other than UPDATE in an established session.</summary>
    void OnMessage(BgpConnection connection, MessageType type, ReadOnlySpan<byte> body);

    /// <summary>An UPDATE in an established session.</summary>
    void OnUpdate(BgpConnection connection, ReadOnlySpan<byte> body);

    /// <summary>The header of a message was wrong (RFC 4271 section 6.1).</summary>
    void OnHeaderError(BgpConnection connection, in NotificationError error);

    /// <summary>The connection is gone; nothing more comes from it.</summary>
    void OnClosed(BgpConnection connection, string reason);

    /// <summary>Reading one of its messages threw: a bug in this program, which costs this session and no other.</summary>
    void OnFault(BgpConnection connection, Exception exception);
}

/// <summary>One TCP connection with a neighbour: frames what arrives, sends what is queued. Knows nothing of sessions.</summary>
internal sealed class BgpConnection : IThreadPoolWorkItem, IDisposable
{
    private const int SmallRead = 4 * 1024;
    private const int LargeRead = 64 * 1024;

    /// <summary>How long the neighbour may take over our last message and its end of the connection.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    private static readonly PipeOptions s_pipeOptions = new(
        readerScheduler: PipeScheduler.Inline,
        writerScheduler: PipeScheduler.Inline,
        pauseWriterThreshold: 0,
        resumeWriterThreshold: 0,
        minimumSegmentSize: SmallRead,
        useSynchronizationContext: false);

    private readonly ITransport _transport;
    private readonly IConnectionEvents _events;
    private readonly TimeProvider _time;
    private readonly Pipe _pipe = new(s_pipeOptions);
    private readonly TaskCompletionSource _closing = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private byte[] _scratch = [];
    private int _closed;
    private ITimer? _patience;
    private long _lastReceived;
    private bool _paused;
    private int _want = SmallRead;

    internal BgpConnection(ITransport transport, bool incoming, IConnectionEvents events, TimeProvider time)
    {
        (_transport, Incoming, _events, _time) = (transport, incoming, events, time);
        _lastReceived = time.GetTimestamp();
        Writer = new PeerWriter(transport, time, (_, reason) => Close(reason));
    }

    /// <summary>Whether the neighbour opened it.</summary>
    internal bool Incoming { get; }

    /// <summary>The sending side.</summary>
    internal PeerWriter Writer { get; }

    /// <summary>Largest message that may arrive (RFC 8654: changes only after both OPENs).</summary>
    internal int MaxMessageLength { get; set; } = 4096;

    /// <summary>The families' inbound channels once the session is established; the reader waits for them when the table is behind.</summary>
    internal InboundFamily[] Inbound { get; set; } = [];

    /// <summary>Timestamp of the last complete message.</summary>
    internal long LastReceived => Volatile.Read(ref _lastReceived);

    /// <summary>Whether reading waits for the table, or octets wait to be read: the neighbour is alive, whatever the hold timer says.</summary>
    internal bool HasUnreadInput
    {
        get
        {
            try
            {
                return Volatile.Read(ref _paused) || (_closed == 0 && _transport.Available > 0);
            }
            catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
            {
                return false;
            }
        }
    }

    /// <summary>Completes when the connection is gone and the session has been told.</summary>
    internal Task Closed => _closing.Task;

    /// <summary>Octets of its buffers, about: one read, and a message that did not lie in one piece.</summary>
    internal long BufferBytes => Volatile.Read(ref _want) + _scratch.Length;

    /// <summary>Our address on this connection.</summary>
    internal IpAddr LocalAddress { get; private set; }

    /// <summary>Our port on this connection.</summary>
    internal int LocalPort { get; private set; }

    /// <summary>The neighbour's port.</summary>
    internal int RemotePort { get; private set; }

    /// <summary>Changes options of the live connection. Null when it took them (or is closed already), else what the system said.</summary>
    internal string? Configure(Action<ITransport> change)
    {
        try
        {
            if (_closed == 0)
            {
                change(_transport);
            }

            return null;
        }
        catch (SocketException exception)
        {
            return exception.Words();
        }
        catch (ObjectDisposedException)
        {
            return null;
        }
    }

    /// <summary>Starts reading.</summary>
    public void Execute()
    {
        (LocalAddress, LocalPort, RemotePort) = (_transport.LocalAddress, _transport.LocalPort, _transport.RemotePort);
        _ = ReadAsync();
    }

    /// <summary>Ends the connection at once; <see cref="IConnectionEvents.OnClosed"/> follows exactly once.</summary>
    internal void Close(string reason)
    {
        if (Interlocked.Exchange(ref _closed, 1) == 0)
        {
            Volatile.Read(ref _patience)?.Dispose();
            Writer.Stop();
            _transport.Dispose();
            _events.OnClosed(this, reason);
            _closing.SetResult();
        }
    }

    /// <summary>
    /// Sends the last message. The writer ends our direction behind it, and the neighbour is to end its own. One that does not, or does not even read, would
    /// keep a descriptor and buffers of ours for as long as it likes.
    /// </summary>
    internal void End(byte[] last)
    {
        Ended = true;
        Writer.Send(last, last: true);
        ITimer patience = _time.CreateTimer(static state => ((BgpConnection)state!).Close("the neighbour does not close"), this, s_patience, Timeout.InfiniteTimeSpan);
        Volatile.Write(ref _patience, patience);
        if (Volatile.Read(ref _closed) != 0)
        {
            patience.Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Close("disposed");

    private async Task ReadAsync()
    {
        string reason = "connection closed by the peer";
        try
        {
            while (_closed == 0)
            {
                Memory<byte> memory = _pipe.Writer.GetMemory(_want);
                int count = await _transport.ReceiveAsync(memory).ConfigureAwait(false);
                if (count == 0)
                {
                    break;
                }

                // A neighbour in full flow gets large reads; three hundred idle ones must not hold 64 KB each.
                _want = count == memory.Length ? Math.Min(memory.Length * 4, LargeRead) : Math.Max(SmallRead, _want / 2);
                _pipe.Writer.Advance(count);
                await _pipe.Writer.FlushAsync().ConfigureAwait(false);
                if (!_pipe.Reader.TryRead(out ReadResult result))
                {
                    continue;
                }

                ReadOnlySequence<byte> buffer = result.Buffer;
                bool goOn = Frame(ref buffer);
                _pipe.Reader.AdvanceTo(buffer.Start, buffer.End);
                foreach (InboundFamily family in Inbound)
                {
                    family.Flush();
                }

                if (!goOn)
                {
                    await DrainAsync().ConfigureAwait(false);
                    break;
                }

                foreach (InboundFamily family in Inbound)
                {
                    if (family.MustWait)
                    {
                        Volatile.Write(ref _paused, true);
                        await family.WaitAsync().ConfigureAwait(false);
                        Volatile.Write(ref _paused, false);
                    }
                }
            }
        }
        catch (SocketException exception)
        {
            reason = exception.Words();
        }
        catch (ObjectDisposedException)
        {
            reason = "closed";
        }
        catch (Exception exception)
        {
            _events.OnFault(this, exception);
            reason = "internal error";
        }

        Close(reason);
        _pipe.Writer.Complete();
        _pipe.Reader.Complete();
    }

    /// <summary>Handles every complete message. False: the session has ended, nothing more is to be understood.</summary>
    private bool Frame(ref ReadOnlySequence<byte> buffer)
    {
        // All of them have just arrived.
        long now = _time.GetTimestamp();
        while (_closed == 0 && !Ended)
        {
            FrameFirst(ref buffer, now);
            if (_closed != 0 || Ended)
            {
                return false;
            }

            // What is left is less than a message, or one that lies in two pieces, or wrong.
            if (!MessageFramer.TryReadMessage(ref buffer, MaxMessageLength, out MessageType type, out ReadOnlySequence<byte> body, out NotificationError error))
            {
                if (error.IsError)
                {
                    _events.OnHeaderError(this, error);
                    return false;
                }

                return true;
            }

            Handle(type, body.IsSingleSegment ? body.FirstSpan : Copy(body), now);
        }

        return false;
    }

    /// <summary>Handles the messages that lie in one piece in the first segment.</summary>
    private void FrameFirst(ref ReadOnlySequence<byte> buffer, long now)
    {
        ReadOnlySpan<byte> first = buffer.FirstSpan;
        ReadOnlySpan<byte> rest = first;
        while (_closed == 0 && !Ended && MessageFramer.TryReadMessage(ref rest, MaxMessageLength, out MessageType type, out ReadOnlySpan<byte> body))
        {
            Handle(type, body, now);
        }

        buffer = buffer.Slice(first.Length - rest.Length);
    }

    private void Handle(MessageType type, ReadOnlySpan<byte> body, long now)
    {
        Volatile.Write(ref _lastReceived, now);
        if (type == MessageType.Update && Inbound.Length > 0)
        {
            _events.OnUpdate(this, body);
        }
        else
        {
            _events.OnMessage(this, type, body);
        }
    }

    /// <summary>Whether the session layer is done with this connection and only its last message is on the way out.</summary>
    internal bool Ended { get; set; }

    /// <summary>Reads and forgets for a moment, so that our last NOTIFICATION is not overtaken by a reset.</summary>
    private async Task DrainAsync()
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(2), _time);
        byte[] sink = ArrayPool<byte>.Shared.Rent(SmallRead);
        try
        {
            int total = 0;
            int count;
            do
            {
                count = await _transport.ReceiveAsync(sink.AsMemory(), limit.Token).ConfigureAwait(false);
                total += count;
            }
            while (count > 0 && total < 1 << 20);
        }
        catch (OperationCanceledException)
        {
            // Long enough.
            Ended = true;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(sink);
        }
    }

    private ReadOnlySpan<byte> Copy(in ReadOnlySequence<byte> body)
    {
        int length = (int)body.Length;
        if (_scratch.Length < length)
        {
            _scratch = new byte[length <= 4096 ? 4096 : 65536];
        }

        body.CopyTo(_scratch);
        return _scratch.AsSpan(0, length);
    }
}
