using System.Buffers.Binary;
using System.Net.Sockets;
using Bgp.Daemon.Runtime;
using Bgp.Protocol;

namespace Bgp.Daemon.Peers;

/// <summary>Whose connection it is that came in.</summary>
/// <remarks>
/// The source port of an incoming connection is any, so where several peers have one address (daemons on several ports of one host) nothing of the connection
/// says which of them opened it. BIRD gives it to the first one configured. Here its OPEN is read before it is given to anyone, since that says who speaks: the AS
/// number, and the BGP Identifier, which is known of a peer since its last session. What is left open by both is decided so that no peer gets another's connection
/// where our own attempts can tell: each of them goes to a port, and so to the right daemon. Therefore a peer that waits to be called is given the connection at
/// once, one that calls itself only when its calls have failed, and so have those of all others that it could be.
/// <para>The neighbour's OPEN comes without waiting for ours (RFC 4271 section 8.2.2); one that delays it (DelayOpenTime) is given out without after some seconds.
/// The cost is one buffer per connection and a bound on how many of them an address may have.</para>
/// </remarks>
internal sealed partial class PeerManager
{
    /// <summary>Connections of one address of which the OPEN is awaited.</summary>
    private const int MaxUnidentified = 16;

    private const int MaxOpenLength = 4096;

    private static readonly TimeSpan s_openTime = TimeSpan.FromSeconds(5);

    private readonly CancellationTokenSource _identifying = new();
    private readonly Dictionary<IpAddr, int> _unidentified = [];

    /// <summary>Choosing and giving are one step: two connections in the same moment must not get the same free peer. Taken before any session's lock, never inside.</summary>
    private readonly Lock _choice = new();

    /// <summary>A neighbour, known or not, has opened a connection.</summary>
    internal void Accept(ITransport transport, IpAddr remote)
    {
        PeerSession? session = null;
        PeerSession? evicted = null;
        DynamicRange? full = null;
        bool several = false;
        lock (_gate)
        {
            if (!_stopping)
            {
                if (!_byAddress.TryGetValue(remote, out List<PeerSession>? list))
                {
                    session = AddDynamic(remote, out evicted, out full);
                }
                else
                {
                    List<PeerSession> candidates = Candidates(list, transport);
                    session = candidates.Count > 0 ? candidates[0] : null;
                    several = candidates.Count > 1;
                }
            }
        }

        evicted?.Remove(default, "gone");
        if (several)
        {
            _ = IdentifyAsync(transport, remote);
        }
        else if (session is not null)
        {
            session.Incoming(transport);
        }
        else
        {
            if (_refusals.IsDue(out long skipped))
            {
                if (full is not null)
                {
                    Log.RangeFull(Context.Log, remote.ToString(), full.Config.Range.ToString(), full.Config.Limit, More(skipped));
                }
                else
                {
                    Log.UnknownPeer(Context.Log, remote.ToString(), More(skipped));
                }
            }

            Refusal.Send(transport, full is null ? CeaseSubcode.ConnectionRejected : CeaseSubcode.OutOfResources);
        }
    }

    private static string More(long skipped) => skipped == 0 ? "" : $" ({skipped} more like this were not logged)";

    /// <summary>Link-local peers are known by their interface too, and where peers differ in the address of ours that they talk to, it counts.</summary>
    private static List<PeerSession> Candidates(List<PeerSession> list, ITransport transport)
    {
        if (list.Count > 0 && list[0].Settings.Address.IsLinkLocal)
        {
            int scope = transport.RemoteScope;
            return list.FindAll(session => DaemonContext.InterfaceIndex(session.Settings.Interface) == scope);
        }

        if (list.Count > 1)
        {
            IpAddr local = transport.LocalAddress;
            List<PeerSession> ours = list.FindAll(session => session.Settings.SourceAddress.IsNone || session.Settings.SourceAddress == local);
            return ours.Count > 0 ? ours : list;
        }

        return list;
    }

    private async Task IdentifyAsync(ITransport transport, IpAddr remote)
    {
        lock (_choice)
        {
            int waiting = _unidentified.GetValueOrDefault(remote);
            if (waiting >= MaxUnidentified)
            {
                Refusal.Send(transport, CeaseSubcode.OutOfResources);
                return;
            }

            _unidentified[remote] = waiting + 1;
        }

        byte[] octets = new byte[MaxOpenLength];
        int length = 0;
        OpenMessage? open = null;
        bool gone = false;
        using (CancellationTokenSource limit = new(s_openTime, Context.Time))
        using (CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _identifying.Token))
        {
            try
            {
                while (!IsWhole(octets.AsSpan(0, length), out open))
                {
                    int count = await transport.ReceiveAsync(octets.AsMemory(length), both.Token).ConfigureAwait(false);
                    length += count;
                    gone = count == 0;
                    if (gone)
                    {
                        break;
                    }
                }
            }
            catch (OperationCanceledException)
            {
                // It says nothing: what it is not known to be decides.
                gone = _identifying.IsCancellationRequested;
            }
            catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
            {
                gone = true;
            }
        }

        Give(new BegunTransport(transport, octets.AsMemory(0, length)), remote, open, gone);
    }

    private void Give(BegunTransport transport, IpAddr remote, OpenMessage? open, bool gone)
    {
        string names;
        lock (_choice)
        {
            if (--_unidentified[remote] == 0)
            {
                _unidentified.Remove(remote);
            }

            if (gone)
            {
                transport.Dispose();
                return;
            }

            List<PeerSession> candidates;
            lock (_gate)
            {
                candidates = !_stopping && _byAddress.TryGetValue(remote, out List<PeerSession>? list) ? [.. Candidates(list, transport)] : [];
            }

            if (Choose(candidates, open) is { } session)
            {
                session.Incoming(transport);
                return;
            }

            names = string.Join(", ", candidates.Select(static candidate => candidate.Settings.Name));
        }

        bool due = _refusals.IsDue(out long skipped);
        if (names.Length > 0)
        {
            // Without a word: a NOTIFICATION would make BIRD end the session that our own connection has just become, and rest.
            if (due)
            {
                Log.AmbiguousPeer(Context.Log, remote.ToString(), names, More(skipped));
            }

            transport.Dispose();
            return;
        }

        if (due)
        {
            Log.UnknownPeer(Context.Log, remote.ToString(), More(skipped));
        }

        Refusal.Send(transport, CeaseSubcode.ConnectionRejected);
    }

    /// <summary>Whose it is; null where nobody's, or where it cannot be told yet.</summary>
    private static PeerSession? Choose(List<PeerSession> all, OpenMessage? open)
    {
        // With none to take it, or of a wrong AS, the first one answers as it would alone.
        List<PeerSession> candidates = Narrow(all, static session => session is { IsAdminDown: false, Settings.Unusable: null });
        if (open is { } said)
        {
            candidates = Narrow(candidates, session => session.Settings.Asn == 0 || session.Settings.Asn == said.EffectiveAsn);
            List<PeerSession> known = candidates.FindAll(session => session.KnownRouterId == said.RouterId);
            if (known.Find(static session => !session.IsConnected) is { } waiting)
            {
                return waiting;
            }

            if (known.Count > 0)
            {
                // It has restarted, of which a connected session hears this way; or the host's daemons have one identifier, and this is one that was never met.
                List<PeerSession> unmet = candidates.FindAll(static session => !session.IsConnected && session.KnownRouterId == 0);
                bool restarted = said.Capabilities.GracefulRestart is { RestartState: true } || unmet.TrueForAll(static session => !session.Settings.Passive && session.HasFailedToConnect);
                return restarted ? known[0] : unmet.Find(static session => session.Settings.Passive);
            }
        }

        if (candidates.Count < 2)
        {
            return candidates.Count == 0 ? null : candidates[0];
        }

        List<PeerSession> free = candidates.FindAll(static session => !session.IsConnected);
        return free.Find(static session => session.Settings.Passive) ?? (free.Count > 0 && free.TrueForAll(static session => session.HasFailedToConnect) ? free[0] : null);
    }

    private static List<PeerSession> Narrow(List<PeerSession> candidates, Predicate<PeerSession> condition) =>
        candidates.FindAll(condition) is { Count: > 0 } some ? some : candidates.Count > 0 ? [candidates[0]] : [];

    /// <summary>Whether enough has arrived: a whole OPEN, or something that is none, which the session will answer.</summary>
    private static bool IsWhole(ReadOnlySpan<byte> octets, out OpenMessage? open)
    {
        open = null;
        if (octets.Length < BgpConstants.HeaderLength)
        {
            return false;
        }

        int length = BinaryPrimitives.ReadUInt16BigEndian(octets[16..]);
        if (length is < BgpConstants.HeaderLength or > MaxOpenLength || octets[18] != (byte)MessageType.Open)
        {
            return true;
        }

        if (octets.Length < length)
        {
            return false;
        }

        open = OpenMessage.TryParse(octets[BgpConstants.HeaderLength..length], out OpenMessage parsed).IsError ? null : parsed;
        return true;
    }
}

/// <summary>A connection of which the first octets were read already: its reader gets them first.</summary>
internal sealed class BegunTransport(ITransport inner, ReadOnlyMemory<byte> begun) : ITransport
{
    private ReadOnlyMemory<byte> _begun = begun;

    /// <inheritdoc/>
    public IpAddr LocalAddress => inner.LocalAddress;

    /// <inheritdoc/>
    public int LocalPort => inner.LocalPort;

    /// <inheritdoc/>
    public int RemotePort => inner.RemotePort;

    /// <inheritdoc/>
    public int RemoteScope => inner.RemoteScope;

    /// <inheritdoc/>
    public int Available => inner.Available;

    /// <inheritdoc/>
    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancel = default)
    {
        if (_begun.IsEmpty)
        {
            return inner.ReceiveAsync(buffer, cancel);
        }

        int count = Math.Min(buffer.Length, _begun.Length);
        _begun[..count].CopyTo(buffer);
        _begun = count < _begun.Length ? _begun[count..] : default;
        return new ValueTask<int>(count);
    }

    /// <inheritdoc/>
    public ValueTask<int> SendAsync(ReadOnlyMemory<byte> octets) => inner.SendAsync(octets);

    /// <inheritdoc/>
    public void ShutdownSend() => inner.ShutdownSend();

    /// <inheritdoc/>
    public void Refuse(ReadOnlySpan<byte> octets) => inner.Refuse(octets);

    /// <inheritdoc/>
    public void Prepare(PeerSettings settings) => inner.Prepare(settings);

    /// <inheritdoc/>
    public void SetKey(PeerSettings settings) => inner.SetKey(settings);

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();
}
