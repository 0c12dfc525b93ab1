using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Bgp.Daemon.Peers;
using Bgp.Protocol;

namespace Bgp.Interop.Tests.Conformance;

/// <summary>Whom a speaker says to be.</summary>
internal sealed record Identity(string Name, string Address, uint Asn)
{
    internal uint RouterId { get; init; } = 0x0A4D0000u | Octets.Address(Address)[3];

    /// <summary>Sends the 4-octet-AS capability.</summary>
    internal bool As4 { get; init; } = true;

    /// <summary>Both directions, both families.</summary>
    internal bool AddPath { get; init; }

    internal bool Ipv6 { get; init; } = true;

    /// <summary>Without it and without IPv6 there is still IPv6: some family must be named.</summary>
    internal bool Ipv4 { get; init; } = true;

    internal int Hold { get; init; } = 90;

    /// <summary>Whole capabilities to add.</summary>
    internal byte[] More { get; init; } = [];

    internal bool IsInternal => Asn == Dut.Asn;

    public override string ToString() => Name;

    internal byte[] OpenMessage()
    {
        byte[] capabilities = Ipv4 ? Octets.Capability(1, 0, 1, 0, 1) : [];
        if (Ipv6 || !Ipv4)
        {
            capabilities = Octets.Join(capabilities, Octets.Capability(1, 0, 2, 0, 1));
        }

        if (As4)
        {
            capabilities = Octets.Join(capabilities, Octets.Capability(65, Octets.U32(Asn)));
        }

        if (AddPath)
        {
            capabilities = Octets.Join(capabilities, Octets.Capability(69, 0, 1, 1, 3, 0, 2, 1, 3));
        }

        capabilities = Octets.Join(capabilities, More);
        return Octets.OpenMessage(4, Asn > 65535 ? 23456 : (int)Asn, Hold, RouterId, Octets.Parameter(2, capabilities));
    }
}

/// <summary>One message of the daemon.</summary>
internal sealed record Received(byte Type, byte[] Body)
{
    internal string Text => Type == Octets.Notification ? $"NOTIFICATION {Body[0]}/{Body[1]} {Convert.ToHexString(Body.AsSpan(2))}" : $"type {Type}, {Body.Length} octets";
}

/// <summary>A BGP speaker that sends what it is told, and keeps what it gets.</summary>
internal sealed class Speaker : IDisposable
{
    private readonly Socket _socket;
    private readonly Thread _reader;
    private readonly object _gate = new();
    private readonly List<Received> _messages = [];
    private readonly bool _answers;
    private bool _closed;

    private Speaker(Identity who, Socket socket, bool answers)
    {
        (Who, _socket, _answers) = (who, socket, answers);
        Routes = new RouteView(who);
        _socket.NoDelay = true;
        _reader = new Thread(ReadAll) { IsBackground = true, Name = who.Name };
        _reader.Start();
    }

    internal Identity Who { get; }

    /// <summary>Look at it through <see cref="WaitFor(Func{RouteView, bool}, int)"/> or <see cref="Find"/> only.</summary>
    private RouteView Routes { get; }

    internal bool IsClosed
    {
        get
        {
            lock (_gate)
            {
                return _closed;
            }
        }
    }

    /// <summary>Connects from the identity's address. <paramref name="answers"/>: every KEEPALIVE gets one back, which completes the handshake too.
    /// Where it is said, with another daemon or with a TCP MD5 password. With <paramref name="seconds"/>, throws when it does not answer in time.</summary>
    internal static Speaker Connect(Identity who, bool answers = false, IPEndPoint? to = null, string password = "", int seconds = 0, short ttl = 64) =>
        new(who, Dial(who.Address, ttl, to, password, seconds), answers);

    /// <summary>A connection to the daemon. One that it has refused and closed before the call is done looks like a failure to connect, and is made again.</summary>
    internal static Socket Dial(string from, short ttl = 64, IPEndPoint? to = null, string password = "", int seconds = 0)
    {
        IPEndPoint daemon = to ?? Dut.EndPoint;
        for (int attempt = 0; ; attempt++)
        {
            Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { Ttl = ttl };
            try
            {
                if (password.Length > 0)
                {
                    SocketOptions.SetMd5(socket, IpAddr.Parse(daemon.Address.ToString()), -1, password);
                }

                socket.Bind(new IPEndPoint(IPAddress.Parse(from), 0));
                if (seconds == 0)
                {
                    // Blocking: it is done with the handshake, whatever the daemon says to the connection afterwards.
                    socket.Connect(daemon);
                    return socket;
                }

                IAsyncResult connect = socket.BeginConnect(daemon, null, null);
                if (!connect.AsyncWaitHandle.WaitOne(TimeSpan.FromSeconds(seconds)))
                {
                    throw new SocketException((int)SocketError.TimedOut);
                }

                socket.EndConnect(connect);
                return socket;
            }
            catch (SocketException exception)
            {
                socket.Dispose();
                if (attempt >= 50 || exception.SocketErrorCode is not (SocketError.Shutdown or SocketError.ConnectionReset))
                {
                    throw;
                }
            }
        }
    }

    /// <summary>Takes a connection that the daemon opened.</summary>
    internal static Speaker Accept(Identity who, Socket listener, bool answers = false) => new(who, listener.Accept(), answers);

    /// <summary>A session: OPEN and KEEPALIVE both ways. A daemon that is still busy with the end of the last one is asked again.</summary>
    internal static Speaker Establish(Identity who, IPEndPoint? to = null)
    {
        for (Stopwatch watch = Stopwatch.StartNew(); ;)
        {
            Speaker speaker = Connect(who, answers: true, to);
            speaker.Send(who.OpenMessage());
            Received? answer = speaker.WaitForMessage(static message => message.Type is Octets.Keepalive or Octets.Notification, 5000);
            if (answer?.Type == Octets.Keepalive)
            {
                return speaker;
            }

            speaker.Dispose();
            if (watch.Elapsed > TimeSpan.FromSeconds(10))
            {
                throw new AssertionException($"{who.Name} gets no session: {answer?.Text ?? "no answer"}\n{Dut.Log}");
            }
        }
    }

    /// <summary>A new TCP MD5 password on the live connection.</summary>
    internal void SetPassword(string password) => SocketOptions.SetMd5(_socket, IpAddr.Parse(((IPEndPoint)_socket.RemoteEndPoint!).Address.ToString()), -1, password);

    internal void Send(params byte[][] messages)
    {
        try
        {
            _socket.Send(Octets.Join(messages));
        }
        catch (SocketException)
        {
            // The daemon has closed; what it said before is in the messages.
            MarkClosed();
        }
    }

    /// <summary>Ends the sending direction: FIN.</summary>
    internal void Finish() => _socket.Shutdown(SocketShutdown.Send);

    /// <summary>Ends with RST.</summary>
    internal void Abort()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Dispose();
    }

    internal Route? Find(string prefix)
    {
        lock (_gate)
        {
            return Routes.Find(prefix);
        }
    }

    internal List<string> TakeComplaints()
    {
        lock (_gate)
        {
            List<string> complaints = [.. Routes.Complaints];
            Routes.Complaints.Clear();
            return complaints;
        }
    }

    /// <summary>The first message that fits, of all that came; null when the time is over or the connection closed without.</summary>
    internal Received? WaitForMessage(Func<Received, bool> fits, int milliseconds = 5000)
    {
        Received? found = null;
        Wait(() => (found = _messages.Find(message => fits(message))) is not null, milliseconds);
        return found;
    }

    internal Received? WaitForNotification(int milliseconds = 5000) => WaitForMessage(static message => message.Type == Octets.Notification, milliseconds);

    internal bool WaitForClose(int milliseconds = 5000)
    {
        Wait(() => _closed, milliseconds);
        return IsClosed;
    }

    /// <summary>Waits until the routes fit. False: not in time, or closed before.</summary>
    internal bool WaitFor(Func<RouteView, bool> fits, int milliseconds = 5000) => Wait(() => fits(Routes), milliseconds);

    internal int Count(byte type)
    {
        lock (_gate)
        {
            return _messages.Count(message => message.Type == type);
        }
    }

    /// <summary>Waits until so many messages of a type have come.</summary>
    internal bool WaitForCount(byte type, int count, int milliseconds) => Wait(() => _messages.Count(message => message.Type == type) >= count, milliseconds);

    /// <summary>Bodies of all messages of a type, in hexadecimal.</summary>
    internal List<string> Bodies(byte type)
    {
        lock (_gate)
        {
            return [.. _messages.Where(message => message.Type == type).Select(static message => Convert.ToHexString(message.Body))];
        }
    }

    /// <summary>How often a prefix was announced.</summary>
    internal int Times(string prefix)
    {
        lock (_gate)
        {
            return Routes.Times(prefix);
        }
    }

    /// <summary>How often a prefix that was known was withdrawn.</summary>
    internal int Withdrawals(string prefix)
    {
        lock (_gate)
        {
            return Routes.Withdrawals(prefix);
        }
    }

    /// <summary>Families whose End-of-RIB came.</summary>
    internal List<string> EndOfRibs
    {
        get
        {
            lock (_gate)
            {
                return [.. Routes.EndOfRibs];
            }
        }
    }

    internal int CountAll()
    {
        lock (_gate)
        {
            return _messages.Count;
        }
    }

    /// <summary>All messages, for a failure's text.</summary>
    internal string Messages()
    {
        lock (_gate)
        {
            return string.Join(", ", _messages.TakeLast(5).Select(static message => message.Text)) + (_closed ? ", closed" : "");
        }
    }

    public void Dispose()
    {
        _socket.Dispose();
        _reader.Join(2000);
    }

    private bool Wait(Func<bool> condition, int milliseconds)
    {
        long until = Environment.TickCount64 + milliseconds;
        lock (_gate)
        {
            while (!condition())
            {
                long left = until - Environment.TickCount64;
                if (_closed || left <= 0)
                {
                    return false;
                }

                Monitor.Wait(_gate, (int)left);
            }

            return true;
        }
    }

    private void MarkClosed()
    {
        lock (_gate)
        {
            _closed = true;
            Monitor.PulseAll(_gate);
        }
    }

    private void ReadAll()
    {
        byte[] buffer = new byte[1 << 17];
        int filled = 0;
        try
        {
            while (true)
            {
                int count = _socket.Receive(buffer, filled, buffer.Length - filled, SocketFlags.None);
                if (count == 0)
                {
                    break;
                }

                filled += count;
                int at = 0;
                while (filled - at >= 19)
                {
                    int length = Octets.ReadU16(buffer.AsSpan(at + 16));
                    if (filled - at < length)
                    {
                        break;
                    }

                    Take(new Received(buffer[at + 18], buffer[(at + 19)..(at + length)]), length);
                    at += length;
                }

                buffer.AsSpan(at, filled - at).CopyTo(buffer);
                filled -= at;
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // Reset, or closed here: the end all the same.
            filled = 0;
        }

        MarkClosed();
    }

    private void Take(Received message, int length)
    {
        if (_answers && message.Type == Octets.Keepalive)
        {
            // Before anybody learns of it and sends more: the handshake's KEEPALIVE must be the first.
            Send(Octets.KeepaliveMessage);
        }

        lock (_gate)
        {
            if (length > 4096 && !Who.More.AsSpan().StartsWith((ReadOnlySpan<byte>)[6, 0]))
            {
                Routes.Complaints.Add($"{Who.Name}: a message of {length} octets");
            }

            if (message.Type == Octets.UpdateType)
            {
                Routes.Apply(message.Body);
            }

            _messages.Add(message);
            Monitor.PulseAll(_gate);
        }
    }
}
