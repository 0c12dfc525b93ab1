using System.Net.Sockets;
using Bgp.Daemon.Peers;
using Bgp.Protocol;

namespace Bgp.Daemon.Tests.Simulation;

/// <summary>How two nodes are connected.</summary>
internal sealed class SimLink(int a, int b)
{
    internal int A => a;

    internal int B => b;

    /// <summary>Nothing gets through; what is sent meanwhile arrives afterwards, as retransmissions would.</summary>
    internal bool IsSilent { get; set; }

    /// <summary>Whether a session over it may have been lost by what the scenario did.</summary>
    internal bool WasDisturbed { get; set; }

    internal List<SimTransport> Transports { get; } = [];
}

/// <summary>The network between the nodes: latency, small windows, odd chunks, silence, resets.</summary>
internal sealed class SimNetwork(SimWorld world, IReadOnlyList<SimNode> nodes)
{
    private readonly Dictionary<(int, int), SimLink> _links = [];
    private int _port = 32768;

    internal IReadOnlyCollection<SimLink> Links => _links.Values;

    /// <summary>Least and most milliseconds that a packet takes.</summary>
    internal (int Least, int Most) Latency { get; set; } = (0, 20);

    /// <summary>Octets that may be under way or unread in one direction.</summary>
    internal int Window { get; set; } = 16384;

    internal SimNode NodeAt(int number) => nodes[number];

    internal SimLink Link(int a, int b)
    {
        (int, int) key = (Math.Min(a, b), Math.Max(a, b));
        if (!_links.TryGetValue(key, out SimLink? link))
        {
            _links[key] = link = new SimLink(key.Item1, key.Item2);
        }

        return link;
    }

    internal long Delay() => world.Between(Latency.Least * 1000, Latency.Most * 1000) * (TimeSpan.TicksPerMillisecond / 1000);

    /// <summary>Silences a link or lets it speak again.</summary>
    internal void Silence(SimLink link, bool silent)
    {
        link.IsSilent = silent;
        if (!silent)
        {
            foreach (SimTransport transport in link.Transports.ToArray())
            {
                transport.Resume();
            }
        }
    }

    /// <summary>Breaks every connection over a link.</summary>
    internal static void Reset(SimLink link)
    {
        foreach (SimTransport transport in link.Transports.ToArray())
        {
            transport.Break();
        }
    }

    /// <summary>A node's process ends: the other ends see the end of the stream, or a reset.</summary>
    internal void Kill(SimLife life)
    {
        bool reset = world.Chance(50);
        foreach (SimLink link in _links.Values)
        {
            foreach (SimTransport transport in link.Transports.ToArray())
            {
                if (ReferenceEquals(transport.Life, life))
                {
                    transport.Die(reset);
                }
            }
        }
    }

    internal ValueTask<ITransport> ConnectAsync(SimLife life, IpAddr to, CancellationToken cancel)
    {
        TaskCompletionSource<ITransport> done = new();
        cancel.UnsafeRegister(_ => world.Ready(life, () => done.TrySetCanceled(cancel)), null);
        SimNode target = nodes.First(node => node.Address == to);
        SimLink link = Link(life.Node.Number, target.Number);
        world.At(world.Now + Delay(), null, () => Syn(life, target, link, done));
        return new ValueTask<ITransport>(done.Task);
    }

    private void Syn(SimLife life, SimNode target, SimLink link, TaskCompletionSource<ITransport> done)
    {
        if (life.IsDead || done.Task.IsCompleted)
        {
            return;
        }

        if (link.IsSilent)
        {
            world.After(TimeSpan.FromSeconds(1), null, () => Syn(life, target, link, done));
            return;
        }

        if (target.Life is not { IsListening: true } other)
        {
            world.At(world.Now + Delay(), life, () => done.TrySetException(new SocketException((int)SocketError.ConnectionRefused)));
            return;
        }

        int port = _port++;
        SimTransport near = new(world, this, link, life, life.Node.Address, port, 179);
        SimTransport far = new(world, this, link, other, target.Address, 179, port);
        near.Join(far);
        world.Ready(other, () => other.Peers.Accept(far, life.Node.Address));
        world.At(world.Now + Delay(), life, () =>
        {
            if (!done.TrySetResult(near))
            {
                near.Dispose();
            }
        });
    }
}

/// <summary>One end of a connection.</summary>
/// <remarks>
/// Each direction is a queue of packets under way and a ring of unread octets, together bounded by the window. Packets stay in order, and take
/// any time within the network's bounds. A read gets any part of what is there, at once or later; a write takes any part of what fits. Closing with
/// unread octets resets the connection, as TCP does, and so do octets that arrive at a closed end.
/// </remarks>
internal sealed class SimTransport : ITransport
{
    private readonly SimWorld _world;
    private readonly SimNetwork _network;
    private readonly SimLink _link;
    private readonly byte[] _ring;
    private readonly Queue<(PacketKind Kind, byte[] Octets)> _arriving = new();
    private SimTransport _other = null!;
    private TaskCompletionSource<int>? _receive;
    private Memory<byte> _receiveInto;
    private TaskCompletionSource<int>? _send;
    private ReadOnlyMemory<byte> _sending;
    private long _lastArrival;
    private int _inFlight;
    private int _head;
    private int _unread;
    private int _held;
    private bool _finSent;
    private bool _fin;
    private bool _reset;
    private bool _disposed;

    private enum PacketKind
    {
        Data,
        Fin,
        Reset,
    }

    internal SimTransport(SimWorld world, SimNetwork network, SimLink link, SimLife life, IpAddr local, int localPort, int remotePort)
    {
        (_world, _network, _link, Life) = (world, network, link, life);
        (LocalAddress, LocalPort, RemotePort) = (local, localPort, remotePort);
        _ring = new byte[network.Window];
        link.Transports.Add(this);
    }

    internal SimLife Life { get; }

    /// <inheritdoc/>
    public IpAddr LocalAddress { get; }

    /// <inheritdoc/>
    public int LocalPort { get; }

    /// <inheritdoc/>
    public int RemotePort { get; }

    /// <inheritdoc/>
    public int Available => _unread;

    internal void Join(SimTransport other) => (_other, other._other) = (other, this);

    /// <inheritdoc/>
    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancel = default)
    {
        _world.CheckThread();
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_receive is not null)
        {
            throw new SimulationFailure("two receives at once");
        }

        if (_reset)
        {
            throw new SocketException((int)SocketError.ConnectionReset);
        }

        if (_unread > 0 && !Life.IsStalled && _world.Chance(50))
        {
            return new ValueTask<int>(Take(buffer));
        }

        TaskCompletionSource<int> receive = new();
        (_receive, _receiveInto) = (receive, buffer);
        if (cancel.CanBeCanceled)
        {
            cancel.UnsafeRegister(
                _ => _world.Ready(Life, () =>
                {
                    if (ReferenceEquals(_receive, receive))
                    {
                        _receive = null;
                        receive.TrySetCanceled(cancel);
                    }
                }),
                null);
        }

        Pump();
        return new ValueTask<int>(receive.Task);
    }

    /// <inheritdoc/>
    public ValueTask<int> SendAsync(ReadOnlyMemory<byte> octets)
    {
        _world.CheckThread();
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_send is not null)
        {
            throw new SimulationFailure("two sends at once");
        }

        if (_reset || _finSent)
        {
            throw new SocketException((int)(_reset ? SocketError.ConnectionReset : SocketError.Shutdown));
        }

        int room = Room;
        if (room > 0 && !_world.Chance(20))
        {
            return new ValueTask<int>(Put(octets, room));
        }

        _send = new TaskCompletionSource<int>();
        _sending = octets;
        if (room > 0)
        {
            _world.Ready(Life, TrySend);
        }

        return new ValueTask<int>(_send.Task);
    }

    /// <inheritdoc/>
    public void ShutdownSend()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_reset)
        {
            throw new SocketException((int)SocketError.NotConnected);
        }

        SendFin();
    }

    /// <inheritdoc/>
    public void Refuse(ReadOnlySpan<byte> octets)
    {
        if (Room >= octets.Length && !_reset && !_disposed)
        {
            Packet(PacketKind.Data, octets.ToArray());
            _other._inFlight += octets.Length;
        }

        Dispose();
    }

    /// <inheritdoc/>
    public void Prepare(PeerSettings settings)
    {
        if (_reset)
        {
            throw new SocketException((int)SocketError.ConnectionReset);
        }
    }

    /// <inheritdoc/>
    public void SetKey(PeerSettings settings) => Prepare(settings);

    /// <inheritdoc/>
    public void Dispose()
    {
        _world.CheckThread();
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        if (!_reset && _unread > 0)
        {
            Packet(PacketKind.Reset, []);
        }
        else if (!_reset)
        {
            SendFin();
        }

        _link.Transports.Remove(this);
        Fail(SocketError.OperationAborted);
    }

    /// <summary>The link speaks again.</summary>
    internal void Resume()
    {
        for (int held = _held; held > 0; held--)
        {
            _world.At(_world.Now + _network.Delay(), Life, Arrive);
        }

        _held = 0;
        if (_send is not null)
        {
            _world.Ready(Life, TrySend);
        }
    }

    /// <summary>The node reads again, or what it waits for may have happened.</summary>
    internal void Pump()
    {
        if (_receive is not null && (_unread > 0 || _fin || _reset))
        {
            _world.Ready(Life, TryReceive);
        }
    }

    /// <summary>Somebody between the two ends breaks the connection.</summary>
    internal void Break()
    {
        _reset = true;
        _unread = 0;
        _arriving.Clear();
        _inFlight = 0;
        Fail(SocketError.ConnectionReset);
    }

    /// <summary>The process at this end is gone.</summary>
    internal void Die(bool reset)
    {
        if (!_disposed && !_reset)
        {
            Packet(reset || _unread > 0 ? PacketKind.Reset : PacketKind.Fin, []);
        }

        _disposed = true;
        _link.Transports.Remove(this);
    }

    private int Room => _network.Window - _other._inFlight - _other._unread;

    private int Put(ReadOnlyMemory<byte> octets, int room)
    {
        int count = Math.Min(octets.Length, room);
        if (count > 1 && _world.Chance(10))
        {
            count = _world.Between(1, count);
        }

        // A stream knows no messages: what is written at once may arrive in pieces.
        int first = count > 1 && _world.Chance(30) ? _world.Between(1, count) : count;
        Packet(PacketKind.Data, octets[..first].ToArray());
        if (first < count)
        {
            Packet(PacketKind.Data, octets[first..count].ToArray());
        }

        _other._inFlight += count;
        return count;
    }

    private void SendFin()
    {
        if (!_finSent)
        {
            _finSent = true;
            Packet(PacketKind.Fin, []);
        }
    }

    private void Packet(PacketKind kind, byte[] octets)
    {
        _other._arriving.Enqueue((kind, octets));
        _other._lastArrival = Math.Max(_other._lastArrival, _world.Now + _network.Delay());
        _world.At(_other._lastArrival, _other.Life, _other.Arrive);
    }

    private void Arrive()
    {
        if (_link.IsSilent)
        {
            _held++;
            return;
        }

        if (_reset || !_arriving.TryDequeue(out (PacketKind Kind, byte[] Octets) packet))
        {
            return;
        }

        _world.Mix(((ulong)packet.Octets.Length << 8) | (ulong)packet.Kind);
        switch (packet.Kind)
        {
            case PacketKind.Data:
                _inFlight -= packet.Octets.Length;
                if (_disposed)
                {
                    if (!_reset)
                    {
                        _reset = true;
                        Packet(PacketKind.Reset, []);
                    }

                    return;
                }

                for (int i = 0; i < packet.Octets.Length; i++)
                {
                    _ring[(_head + _unread++) % _ring.Length] = packet.Octets[i];
                }

                break;
            case PacketKind.Fin:
                _fin = true;
                break;
            case PacketKind.Reset:
                _reset = true;
                _unread = 0;
                if (_send is not null)
                {
                    _world.Ready(Life, TrySend);
                }

                break;
        }

        Pump();
    }

    private int Take(Memory<byte> into)
    {
        int count = Math.Min(into.Length, _unread);
        if (count > 1 && _world.Chance(20))
        {
            count = _world.Between(1, count);
        }

        Span<byte> target = into.Span;
        ulong digest = 0;
        for (int i = 0; i < count; i++)
        {
            target[i] = _ring[_head];
            digest = (digest * 31) + target[i];
            _head = (_head + 1) % _ring.Length;
        }

        _unread -= count;
        _world.Mix(digest);
        if (_other._send is not null && !_link.IsSilent)
        {
            _world.At(_world.Now + _network.Delay(), _other.Life, _other.TrySend);
        }

        return count;
    }

    private void TryReceive()
    {
        if (_receive is not { } receive)
        {
            return;
        }

        if (_disposed || _reset)
        {
            _receive = null;
            receive.TrySetException(new SocketException((int)(_disposed ? SocketError.OperationAborted : SocketError.ConnectionReset)));
        }
        else if (_unread > 0)
        {
            if (!Life.IsStalled)
            {
                _receive = null;
                receive.TrySetResult(Take(_receiveInto));
            }
        }
        else if (_fin)
        {
            _receive = null;
            receive.TrySetResult(0);
        }
    }

    private void TrySend()
    {
        if (_send is not { } send)
        {
            return;
        }

        if (_disposed || _reset)
        {
            _send = null;
            send.TrySetException(new SocketException((int)(_disposed ? SocketError.OperationAborted : SocketError.ConnectionReset)));
        }
        else if (Room is var room and > 0)
        {
            _send = null;
            send.TrySetResult(Put(_sending, room));
        }
    }

    private void Fail(SocketError error)
    {
        if (_receive is { } receive)
        {
            _receive = null;
            _world.Ready(Life, () => receive.TrySetException(new SocketException((int)error)));
        }

        if (_send is { } send)
        {
            _send = null;
            _world.Ready(Life, () => send.TrySetException(new SocketException((int)error)));
        }
    }
}
