using System.Buffers.Binary;
using System.Collections;
using System.Net;
using System.Net.Sockets;
using Bgp.Interop.Tests.Conformance;

namespace Bgp.Interop.Tests.Reflector;

/// <summary>
/// Thousands of BGP speakers in this process, each no more than a socket, a small buffer, and a bit per route of the whole herd.
/// </summary>
/// <remarks>
/// Client n announces the blocks n·b … n·b+b-1, each a /26 of 10.0.0.0/8 whose number is its address shifted right by six. So what was received is a
/// bit per block, and nothing else of an UPDATE needs to be looked at.
/// </remarks>
internal sealed class Herd(IPEndPoint reflector, int clients, int blocks) : IDisposable
{
    private readonly HerdClient[] _clients = new HerdClient[clients];
    private readonly List<Socket> _listeners = [];

    internal IReadOnlyList<HerdClient> Clients => _clients;

    /// <summary>Blocks that every client must know in the end: all but its own.</summary>
    internal int Others => (clients - 1) * blocks;

    /// <summary>All dial at once. The first <paramref name="both"/> of them are dialled too, on <paramref name="port"/>, from the moment before.</summary>
    internal void Dial(Func<int, IPAddress> address, int both, int port)
    {
        for (int i = 0; i < clients; i++)
        {
            _clients[i] = new HerdClient(i, address(i), clients * blocks, blocks);
        }

        for (int i = 0; i < both; i++)
        {
            Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(address(i), port));
            listener.Listen(16);
            _listeners.Add(listener);
            _ = AcceptAsync(listener, _clients[i]);
        }

        foreach (HerdClient client in _clients)
        {
            _ = client.DialAsync(reflector);
        }
    }

    public void Dispose()
    {
        _listeners.ForEach(static listener => listener.Dispose());
        Array.ForEach(_clients, static client => client?.Dispose());
    }

    private static async Task AcceptAsync(Socket listener, HerdClient client)
    {
        try
        {
            while (true)
            {
                Socket socket = await listener.AcceptAsync().ConfigureAwait(false);
                _ = client.RunAsync(socket);
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // The herd ends.
            client.Note(exception.Message);
        }
    }
}

/// <summary>One speaker, with as many connections as were opened from either end; the reflector leaves one of them.</summary>
internal sealed class HerdClient(int number, IPAddress address, int blocksInAll, int blocks) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<Connection> _connections = [];
    private readonly List<string> _notes = [];
    private int _received;
    private bool _paused;
    private readonly TaskCompletionSource _resumed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private sealed class Connection(Socket socket, int blocks)
    {
        internal Socket Socket => socket;

        internal BitArray Known { get; } = new(blocks);

        internal int Count { get; set; }

        internal bool Established { get; set; }
    }

    internal int Number => number;

    /// <summary>Octets a socket buffer may hold, 0 for the default.</summary>
    internal int ReceiveBuffer { get; set; }

    /// <summary>Connections that are open and have been confirmed.</summary>
    internal int Sessions => Count(static connection => connection.Established);

    internal int Open => Count(static _ => true);

    /// <summary>Sessions that ended.</summary>
    internal int Lost { get; private set; }

    /// <summary>Blocks known over the session there is.</summary>
    internal int Known
    {
        get
        {
            lock (_gate)
            {
                return _connections.Find(static connection => connection.Established)?.Count ?? 0;
            }
        }
    }

    /// <summary>Octets read.</summary>
    internal long Received => Volatile.Read(ref _received);

    internal string Notes
    {
        get
        {
            lock (_gate)
            {
                return string.Join("; ", _notes);
            }
        }
    }

    internal static byte[] Block(int number)
    {
        uint network = 0x0A000000u + ((uint)number << 6);
        return [26, (byte)(network >> 24), (byte)(network >> 16), (byte)(network >> 8), (byte)network];
    }

    internal async Task DialAsync(IPEndPoint reflector)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (ReceiveBuffer > 0)
            {
                socket.ReceiveBufferSize = ReceiveBuffer;
            }

            socket.Bind(new IPEndPoint(address, 0));
            await socket.ConnectAsync(reflector).ConfigureAwait(false);
        }
        catch (SocketException exception)
        {
            Note($"connect: {exception.SocketErrorCode}");
            socket.Dispose();
            return;
        }

        await RunAsync(socket).ConfigureAwait(false);
    }

    internal void Note(string text)
    {
        lock (_gate)
        {
            _notes.Add(text);
        }
    }

    /// <summary>Stops reading after the next read, as a client does that hangs; once.</summary>
    internal void Pause() => _paused = true;

    internal void Resume()
    {
        _paused = false;
        _resumed.TrySetResult();
    }

    /// <summary>Sends messages on the session there is.</summary>
    internal void Send(byte[] messages)
    {
        Socket? socket;
        lock (_gate)
        {
            socket = _connections.Find(static connection => connection.Established)?.Socket;
        }

        for (int sent = 0; socket is not null && sent < messages.Length;)
        {
            sent += socket.Send(messages.AsSpan(sent), SocketFlags.None);
        }
    }

    /// <summary>One connection, from OPEN to its end.</summary>
    internal async Task RunAsync(Socket socket)
    {
        Connection connection = new(socket, blocksInAll);
        lock (_gate)
        {
            _connections.Add(connection);
        }

        byte[] buffer = new byte[16384];
        int filled = 0;
        string end = "closed";
        try
        {
            Identity who = new("herd", address.ToString(), Dut.Asn) { RouterId = 0x0AC00000u + (uint)number, Ipv6 = false };
            await socket.SendAsync(who.OpenMessage()).ConfigureAwait(false);
            while (true)
            {
                if (_paused)
                {
                    await _resumed.Task.ConfigureAwait(false);
                }

                int count = await socket.ReceiveAsync(buffer.AsMemory(filled)).ConfigureAwait(false);
                if (count == 0)
                {
                    break;
                }

                filled += count;
                Interlocked.Add(ref _received, count);
                int at = 0;
                while (filled - at >= 19)
                {
                    int length = BinaryPrimitives.ReadUInt16BigEndian(buffer.AsSpan(at + 16));
                    if (filled - at < length)
                    {
                        break;
                    }

                    byte[]? answer = Take(connection, buffer[at + 18], buffer.AsSpan(at + 19, length - 19));
                    at += length;
                    if (answer is not null)
                    {
                        await socket.SendAsync(answer).ConfigureAwait(false);
                    }
                }

                buffer.AsSpan(at, filled - at).CopyTo(buffer);
                filled -= at;
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            end = exception.Message;
        }

        lock (_gate)
        {
            _connections.Remove(connection);
            Lost += connection.Established ? 1 : 0;
            _notes.Add(end);
        }

        socket.Dispose();
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _connections.ForEach(static connection => connection.Socket.Dispose());
        }
    }

    private byte[]? Take(Connection connection, byte type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case 1:
                return Octets.KeepaliveMessage;
            case 2:
                Apply(connection, body);
                return null;
            case 3:
                Note($"NOTIFICATION {body[0]}/{body[1]}");
                return null;
            case 4 when !connection.Established:
                lock (_gate)
                {
                    connection.Established = true;
                }

                byte[] nlri = [.. Enumerable.Range(number * blocks, blocks).SelectMany(Block)];
                byte[] attributes = Octets.Join(Octets.Attr(0x40, 1, [0]), Octets.Attr(0x40, 2, []), Octets.Attr(0x40, 3, Octets.U32(0x0B000000u + (uint)number)), Octets.Attr(0x40, 5, Octets.U32(100)));
                return Octets.Join(Octets.Update([], attributes, nlri), Octets.Update([], [], []));
            case 4:
                return Octets.KeepaliveMessage;
            default:
                return null;
        }
    }

    private void Apply(Connection connection, ReadOnlySpan<byte> body)
    {
        int withdrawn = BinaryPrimitives.ReadUInt16BigEndian(body);
        int attributes = BinaryPrimitives.ReadUInt16BigEndian(body[(2 + withdrawn)..]);
        int count = Mark(connection.Known, body.Slice(2, withdrawn), false) + Mark(connection.Known, body[(4 + withdrawn + attributes)..], true);
        lock (_gate)
        {
            connection.Count += count;
        }
    }

    private static int Mark(BitArray known, ReadOnlySpan<byte> nlri, bool value)
    {
        int changed = 0;
        for (; nlri.Length >= 5; nlri = nlri[5..])
        {
            int block = (int)((BinaryPrimitives.ReadUInt32BigEndian(nlri[1..]) - 0x0A000000u) >> 6);
            if (known[block] != value)
            {
                known[block] = value;
                changed += value ? 1 : -1;
            }
        }

        return changed;
    }

    private int Count(Predicate<Connection> which)
    {
        lock (_gate)
        {
            return _connections.Count(connection => which(connection));
        }
    }
}
