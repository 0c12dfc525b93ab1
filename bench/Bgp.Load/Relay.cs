using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Bgp.Load;

/// <summary>
/// The null device under test: it speaks the handshake, and then copies what each sender sends to every receiver, unread. Its figures are the ceiling of the
/// method: what the generator, the kernel's TCP and the machine cost when the daemon costs nothing.
/// </summary>
/// <remarks>
/// One append-only log of whole messages and a cursor per session: a receiver is sent the log as it is, but for the ranges that came from itself. Messages
/// are cut at their headers alone, since two senders' streams may only be mixed at message boundaries.
/// </remarks>
internal sealed unsafe class Relay
{
    private const long LogSize = 16L << 30;
    private const int ReadSize = 1 << 20;
    private readonly byte* _log = Native.Reserve(LogSize);
    private readonly byte* _scratch = (byte*)NativeMemory.Alloc(ReadSize + 65536);
    private readonly byte[] _handshake;
    private readonly List<Link?> _links = [];
    private readonly int _epoll = Native.Check(Native.EpollCreate(Native.CloseOnExec), "epoll_create1");
    private readonly HashSet<uint> _sendersOnly;
    private long _end;

    private Relay(uint asn, uint address, HashSet<uint> sendersOnly)
    {
        _handshake = [.. Messages.MakeOpen(asn, address), .. Messages.MakeKeepalive()];
        _sendersOnly = sendersOnly;
    }

    /// <summary>Serves until it is killed. Sessions from the addresses in <paramref name="sendersOnly"/> hear nothing.</summary>
    internal static void Serve(uint asn, uint address, int port, HashSet<uint> sendersOnly) => new Relay(asn, address, sendersOnly).Loop(address, port);

    private void Loop(uint address, int port)
    {
        int listener = Native.Check(Native.Socket(2, 1 | Native.NonBlock | Native.CloseOnExec, 0), "socket");
        Native.SetInt(listener, Native.SolSocket, Native.SoReuseAddr, 1);
        byte* endPoint = stackalloc byte[16];
        Native.WriteEndPoint(endPoint, address, port);
        Native.Check(Native.Bind(listener, endPoint, 16), "bind");
        Native.Check(Native.Listen(listener, 4096), "listen");
        Native.EpollAdd(_epoll, listener, -1);
        byte* events = stackalloc byte[256 * Native.EventSize];
        while (true)
        {
            int count = Native.EpollWait(_epoll, events, 256, -1);
            for (int i = 0; i < count; i++)
            {
                byte* entry = events + i * Native.EventSize;
                int data = (int)*(long*)(entry + Native.EventData);
                if (data < 0)
                {
                    Accept(listener);
                }
                else if (_links[data] is { } link)
                {
                    OnEvent(link, *(uint*)entry);
                }
            }

            foreach (Link? link in _links)
            {
                if (link is { Open: true, Writable: true, Hears: true })
                {
                    Feed(link);
                }
            }
        }
    }

    private void Accept(int listener)
    {
        byte* endPoint = stackalloc byte[16];
        uint length = 16;
        int fd;
        while ((fd = Native.Accept(listener, endPoint, &length, Native.NonBlock | Native.CloseOnExec)) >= 0)
        {
            Native.SetInt(fd, Native.IpProtoTcp, Native.TcpNoDelay, 1);
            uint from = BinaryPrimitives.ReadUInt32BigEndian(new ReadOnlySpan<byte>(endPoint + 4, 4));
            Link link = new(fd, _links.Count, !_sendersOnly.Contains(from));
            _links.Add(link);
            Native.EpollAdd(_epoll, fd, link.Index);
            length = 16;
        }
    }

    private void OnEvent(Link link, uint events)
    {
        link.Writable |= (events & Native.EpollOut) != 0;
        if ((events & ~Native.EpollOut) == 0)
        {
            return;
        }

        while (true)
        {
            link.Carried.CopyTo(new Span<byte>(_scratch, link.Carried.Length));
            nint got = Native.Receive(link.Fd, _scratch + link.Carried.Length, ReadSize, 0);
            if (got <= 0)
            {
                if (got == 0 || Native.Errno != Native.Again)
                {
                    _ = Native.Close(link.Fd);
                    _links[link.Index] = null;
                }

                return;
            }

            Take(link, _scratch, link.Carried.Length + (int)got);
            if (got < ReadSize)
            {
                return;
            }
        }
    }

    private void Take(Link link, byte* buffer, int length)
    {
        int at = 0;
        int copied = 0;
        while (length - at >= Messages.Header)
        {
            int size = buffer[at + 16] << 8 | buffer[at + 17];
            if (length - at < size)
            {
                break;
            }

            if (buffer[at + 18] != Messages.Update)
            {
                Append(link, buffer + copied, at - copied);
                copied = at + size;
                if (buffer[at + 18] == Messages.Open)
                {
                    fixed (byte* hello = _handshake)
                    {
                        _ = Native.Send(link.Fd, hello, (nuint)_handshake.Length, Native.MsgNoSignal);
                    }

                    link.Open = true;
                    link.Cursor = _end;
                }
            }

            at += size;
        }

        Append(link, buffer + copied, at - copied);
        link.Carried = new ReadOnlySpan<byte>(buffer + at, length - at).ToArray();
    }

    private void Append(Link link, byte* messages, int length)
    {
        if (length == 0)
        {
            return;
        }

        if (_end + length > LogSize)
        {
            throw new InvalidOperationException("the relay's log is full");
        }

        Buffer.MemoryCopy(messages, _log + _end, length, length);
        link.Own.Enqueue((_end, _end + length));
        _end += length;
    }

    private void Feed(Link link)
    {
        while (link.Cursor < _end)
        {
            long stop = _end;
            while (link.Own.TryPeek(out (long Start, long End) own))
            {
                if (own.End <= link.Cursor)
                {
                    link.Own.Dequeue();
                }
                else if (own.Start <= link.Cursor)
                {
                    link.Cursor = own.End;
                }
                else
                {
                    stop = own.Start;
                    break;
                }
            }

            if (link.Cursor >= _end)
            {
                return;
            }

            nint sent = Native.Send(link.Fd, _log + link.Cursor, (nuint)Math.Min(stop - link.Cursor, 1 << 20), Native.MsgNoSignal);
            if (sent < 0)
            {
                link.Writable = false;
                return;
            }

            link.Cursor += sent;
        }
    }

    private sealed class Link(int fd, int index, bool hears)
    {
        internal int Fd => fd;

        internal int Index => index;

        internal bool Hears => hears;

        internal bool Open { get; set; }

        internal bool Writable { get; set; }

        internal long Cursor { get; set; }

        internal Queue<(long Start, long End)> Own { get; } = new();

        internal byte[] Carried { get; set; } = [];
    }
}
