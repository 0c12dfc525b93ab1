using System.Buffers;
using System.Net.Sockets;
using Rib;

namespace Bgp.Daemon.Peers;

/// <summary>
/// Sends one connection's messages: whatever the session queued first (NOTIFICATION, OPEN, KEEPALIVE), then what the update groups hold for it.
/// </summary>
/// <remarks>
/// One send at a time. <see cref="Kick"/> on an idle writer sends on the caller's thread for as long as the socket takes the octets, so an idle route leaves
/// from the table's own turn; once the socket is full, completions carry on from the pool. Runs of messages are gathered into one rented
/// buffer, or sent from the log in place where they are long: a system call per UPDATE is what makes others slow (3.7 µs each). The queue of control messages is bounded by the FSM: at most one
/// KEEPALIVE waits, and a NOTIFICATION is the last message of a connection.
/// </remarks>
internal sealed class PeerWriter(ITransport transport, TimeProvider time, Action<PeerWriter, string> onFailed) : IKickable
{
    private const int BufferSize = 64 * 1024;

    // From here on copying costs more than what a system call of its own does.
    private const int LongRunSize = 16 * 1024;

    private readonly Lock _gate = new();
    private readonly Queue<byte[]> _control = new();
    private readonly GroupMember?[] _members = new GroupMember?[2];
    private int _nextFamily;
    private int _signals;
    private long _blockedSince;
    private bool _keepaliveWaits;
    private bool _closeWhenSent;
    private bool _stopped;
    private long _messagesSent;

    /// <summary>KEEPALIVE, OPEN, NOTIFICATION and ROUTE-REFRESH messages sent.</summary>
    internal long ControlSent => Volatile.Read(ref _messagesSent);

    /// <summary>Timestamp since when one send has been waiting for the neighbour to read, or 0 (RFC 9687).</summary>
    internal long BlockedSince => Volatile.Read(ref _blockedSince);

    /// <summary>Queues a control message and sends. A KEEPALIVE behind a KEEPALIVE that still waits says nothing new and is left out.</summary>
    internal void Send(byte[] message, bool keepalive = false, bool last = false)
    {
        lock (_gate)
        {
            if (_closeWhenSent || (keepalive && _keepaliveWaits))
            {
                return;
            }

            _keepaliveWaits |= keepalive;
            if (last)
            {
                _closeWhenSent = true;
                Array.Clear(_members);
            }

            _control.Enqueue(message);
        }

        Kick();
    }

    /// <summary>What one of the session's families has to send.</summary>
    internal void SetMember(int family, GroupMember member)
    {
        lock (_gate)
        {
            if (!_closeWhenSent && !_stopped)
            {
                _members[family] = member;
            }
        }

        Kick();
    }

    /// <summary>Ends sending at once.</summary>
    internal void Stop()
    {
        lock (_gate)
        {
            _stopped = true;
            Array.Clear(_members);
            _control.Clear();
        }
    }

    /// <inheritdoc/>
    public void Kick()
    {
        if (Interlocked.Increment(ref _signals) == 1)
        {
            _ = RunAsync();
        }
    }

    private async Task RunAsync()
    {
        byte[]? buffer = null;
        try
        {
            while (true)
            {
                int seen = Volatile.Read(ref _signals);
                while (true)
                {
                    bool close = false;
                    ReadOnlyMemory<byte> octets = LongRun(out GroupMember? inPlace);
                    if (inPlace is null)
                    {
                        buffer ??= ArrayPool<byte>.Shared.Rent(BufferSize);
                        octets = buffer.AsMemory(0, Gather(buffer, out close));
                    }
                    else if (buffer is not null)
                    {
                        ArrayPool<byte>.Shared.Return(buffer);
                        buffer = null;
                    }

                    int sent = 0;
                    try
                    {
                        while (sent < octets.Length)
                        {
                            ValueTask<int> send = transport.SendAsync(octets[sent..]);
                            if (!send.IsCompleted)
                            {
                                Volatile.Write(ref _blockedSince, time.GetTimestamp());
                            }

                            sent += await send.ConfigureAwait(false);
                        }
                    }
                    finally
                    {
                        inPlace?.Advance(sent);
                    }

                    Volatile.Write(ref _blockedSince, 0);
                    if (close)
                    {
                        Stop();
                        CloseGently();
                        return;
                    }

                    if (octets.Length == 0)
                    {
                        break;
                    }
                }

                if (buffer is not null)
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                    buffer = null;
                }

                if (Interlocked.Add(ref _signals, -seen) == 0)
                {
                    return;
                }
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // _signals stays above zero: this writer never runs again.
            onFailed(this, exception is SocketException error ? error.Words() : "closed");
        }
        finally
        {
            if (buffer is not null)
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }
    }

    private int Gather(byte[] buffer, out bool close)
    {
        close = false;
        int length = 0;
        GroupMember? first;
        GroupMember? second;
        lock (_gate)
        {
            if (_stopped)
            {
                return 0;
            }

            while (_control.TryPeek(out byte[]? message))
            {
                if (length + message.Length > buffer.Length)
                {
                    return length;
                }

                message.CopyTo(buffer, length);
                length += message.Length;
                _control.Dequeue();
                _messagesSent++;
            }

            _keepaliveWaits = false;
            close = _closeWhenSent;
            (first, second) = (_members[0], _members[1]);
        }

        if (close)
        {
            return length;
        }

        if (first is not null && first.TryTake(buffer.AsSpan(length), out int taken))
        {
            length += taken;
        }

        if (second is not null && second.TryTake(buffer.AsSpan(length), out taken))
        {
            length += taken;
        }

        return length;
    }

    /// <summary>
    /// What is best sent from the log itself, when no control message waits: a long stretch, which is what neighbours hang on that read slowly. A copy for
    /// each of 5,000 of them would be 320 MB. <see cref="GroupMember.Advance"/> must follow. Families take turns.
    /// </summary>
    private ReadOnlyMemory<byte> LongRun(out GroupMember? member)
    {
        member = null;
        lock (_gate)
        {
            if (_control.Count > 0 || _closeWhenSent || _stopped)
            {
                return default;
            }

            for (int i = 0; i < _members.Length && member is null; i++)
            {
                int family = (_nextFamily + i) % _members.Length;
                if (_members[family] is { } candidate && candidate.PendingBytes >= LongRunSize)
                {
                    member = candidate;
                    _nextFamily = family + 1;
                }
            }
        }

        if (member is null)
        {
            return default;
        }

        ReadOnlyMemory<byte> run = member.NextRun(BufferSize);
        if (run.Length >= LongRunSize)
        {
            return run;
        }

        // Cut up by what is for others, or less than it seemed.
        member.Advance(0);
        member = null;
        return default;
    }

    /// <summary>
    /// Ends our direction and leaves the socket to the reader, which sees the neighbour's end: closing at once with unread input would make the kernel
    /// send RST, and the NOTIFICATION just sent would be thrown away on the other side.
    /// </summary>
    private void CloseGently()
    {
        try
        {
            transport.ShutdownSend();
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            onFailed(this, "closed");
        }
    }
}
