using Bgp.Daemon.Kernel.Netlink;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Kernel;

/// <summary>
/// Sends route requests over a socket of its own, many per datagram, and matches the answers.
/// </summary>
/// <remarks>
/// The kernel handles a request datagram inside send(2), so all answers are in the receive buffer when it returns: nothing here waits. Only
/// the last message asks for an acknowledgement; the others answer only when they fail, and are matched by sequence number.
/// Not thread-safe: <see cref="KernelSync"/> lets one batch be under way at a time.
/// </remarks>
internal sealed class KernelInstaller : IDisposable
{
    /// <summary>Requests per datagram.</summary>
    internal const int BatchLimit = 512;

    private readonly NetlinkSocket _socket;
    private readonly uint _table;
    private readonly byte _protocol;
    private readonly byte[] _request = new byte[256 * 1024];
    private readonly byte[] _answer = new byte[32 * 1024];
    private uint _sequence = 1;

    internal KernelInstaller(uint table, byte protocol)
    {
        _socket = new NetlinkSocket(4 << 20, []);
        (_table, _protocol) = (table, protocol);
    }

    /// <summary>What echoes of our requests carry as nlmsg_pid.</summary>
    internal uint PortId => _socket.PortId;

    /// <summary>Datagrams sent.</summary>
    internal long Batches { get; private set; }

    /// <summary>Sends all requests; <paramref name="results"/> gets 0 or errno for each. False when answers were lost: the table must be scanned.</summary>
    internal bool Execute<TPrefix>(ReadOnlySpan<FibOp<TPrefix>> ops, Span<int> results)
        where TPrefix : unmanaged, IPrefix<TPrefix> => Execute(ops, results, new RouteRequests<TPrefix>(_table, _protocol));

    /// <summary>The same for next hop objects.</summary>
    internal bool Execute(ReadOnlySpan<NexthopOp> ops, Span<int> results) => Execute(ops, results, default(NexthopRequests));

    private bool Execute<TOp, TRequests>(ReadOnlySpan<TOp> ops, Span<int> results, TRequests requests)
        where TRequests : struct, IRequests<TOp>
    {
        bool complete = true;
        int done = 0;
        while (done < ops.Length)
        {
            NetlinkWriter writer = new(_request);
            uint first = _sequence;
            int count = 0;
            while (done + count < ops.Length && count < BatchLimit && writer.Length + requests.Length(ops[done + count]) <= _request.Length)
            {
                requests.Write(ref writer, ops[done + count], _sequence++);
                count++;
            }

            if (count == 0)
            {
                // More hops than a request can carry: policy's maxPaths is far below.
                results[done++] = Errno.Inval;
                continue;
            }

            complete &= Exchange(ref writer, first, results.Slice(done, count));
            done += count;
        }

        return complete;
    }

    /// <summary>Whether the kernel has a next hop object under the id; true also when it does not say.</summary>
    internal bool HasNexthop(uint id)
    {
        NetlinkWriter writer = new(_request);
        uint sequence = _sequence++;
        NexthopCodec.WriteGet(ref writer, id, sequence);
        if (_socket.Send(writer.Written) != 0)
        {
            return true;
        }

        int length;
        while ((length = _socket.Receive(_answer, wait: false)) > 0)
        {
            NetlinkReader reader = new(_answer.AsSpan(0, length));
            while (reader.TryRead(out NetlinkMessage message))
            {
                if (message.Sequence == sequence)
                {
                    return message.Type != Rt.NlmsgError || message.Error != Errno.Noent;
                }
            }
        }

        return true;
    }

    public void Dispose() => _socket.Dispose();

    private bool Exchange(ref NetlinkWriter writer, uint first, Span<int> results)
    {
        writer.AddFlags(Rt.FlagAck);
        results.Clear();
        Batches++;
        int error = _socket.Send(writer.Written);
        if (error == 0)
        {
            return ReadAnswers(first, results);
        }

        results.Fill(error);
        return false;
    }

    private bool ReadAnswers(uint first, Span<int> results)
    {
        while (true)
        {
            int length = _socket.Receive(_answer, wait: false);
            if (length <= 0)
            {
                // The acknowledgement never came: answers overran the buffer. What has no answer may or may not have been done.
                results[^1] = results[^1] == 0 ? Errno.Nobufs : results[^1];
                return false;
            }

            NetlinkReader reader = new(_answer.AsSpan(0, length));
            while (reader.TryRead(out NetlinkMessage message))
            {
                uint index = message.Sequence - first;
                if (message.Type != Rt.NlmsgError || index >= (uint)results.Length)
                {
                    continue;
                }

                results[(int)index] = message.Error;
                if (index == (uint)results.Length - 1)
                {
                    return true;
                }
            }
        }
    }

    /// <summary>How one kind of request is written.</summary>
    private interface IRequests<TOp>
    {
        /// <summary>Octets that the request may need.</summary>
        int Length(in TOp op);

        void Write(ref NetlinkWriter writer, in TOp op, uint sequence);
    }

    private readonly struct RouteRequests<TPrefix>(uint table, byte protocol) : IRequests<FibOp<TPrefix>>
        where TPrefix : unmanaged, IPrefix<TPrefix>
    {
        public int Length(in FibOp<TPrefix> op) => RouteCodec.RequestLength(op.Route.NextHops is null ? 0 : op.Route.NextHops.Hops.Length);

        public void Write(ref NetlinkWriter writer, in FibOp<TPrefix> op, uint sequence) => RouteCodec.Write(ref writer, op, sequence, table, protocol);
    }

    private readonly struct NexthopRequests : IRequests<NexthopOp>
    {
        public int Length(in NexthopOp op) => NexthopCodec.RequestLength(op.Object.Group.Length);

        public void Write(ref NetlinkWriter writer, in NexthopOp op, uint sequence) => NexthopCodec.Write(ref writer, op, sequence);
    }
}
