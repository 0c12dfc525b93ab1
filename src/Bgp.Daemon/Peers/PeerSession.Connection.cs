using System.Net.Sockets;
using Bgp.Daemon.Bmp;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon.Peers;

/// <summary>The session's side towards sockets and messages.</summary>
internal sealed partial class PeerSession
{
    private static readonly byte[] s_keepalive = KeepAliveMessage.Octets.ToArray();

    void IConnectionEvents.OnMessage(BgpConnection connection, MessageType type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case MessageType.Open:
                NotificationError error = OpenMessage.TryParse(body, out OpenMessage open);
                byte[] octets = error.IsError ? [] : WholeMessage(type, body);
                Enter(() => OpenArrived(connection, error, open, octets));
                break;
            case MessageType.Notification:
                NotificationError received = NotificationMessage.Parse(body);
                byte[] message = WholeMessage(type, body);
                Enter(() =>
                {
                    if (Established?.Connection == connection)
                    {
                        _end ??= new BmpPeerEnd(BmpPeerDownReason.RemoteNotification, message);
                    }

                    NotificationArrived(connection, received);
                });
                break;
            case MessageType.KeepAlive:
                // In an established session the time of arrival is all there is to a KEEPALIVE, and the connection has noted it.
                if (Established?.Connection != connection)
                {
                    Enter(() => StepConnection(connection, new SessionEvent(SessionEventKind.KeepaliveReceived)));
                }

                break;
            case MessageType.Update when Established?.Connection == connection:
                // A session without a family, which has no channel to the tables: nothing is taken from its UPDATEs, but they are checked.
                ((IConnectionEvents)this).OnUpdate(connection, body);
                break;
            case MessageType.RouteRefresh when Established is { } session && session.Connection == connection:
                NotificationError refused = RouteRefreshMessage.TryParse(body, session.Negotiated.EnhancedRefresh, out RouteRefreshMessage refresh);
                if (refused.IsError)
                {
                    Enter(() => MessageFailed(connection, refused));
                }
                else
                {
                    session.RefreshArrived(refresh);
                }

                break;
            default:
                EarlyMessage(connection, type, body);
                break;
        }
    }

    /// <summary>
    /// A message that belongs to an established session, before there is one: either it is what the connection waited for (see <see cref="PeerFsm.Confirmed"/>), and is read as
    /// the session's first, or it is an error.
    /// </summary>
    private void EarlyMessage(BgpConnection connection, MessageType type, ReadOnlySpan<byte> body)
    {
        bool confirmed = false;

        // The end of the other connection may have confirmed this one between the look of the caller and the lock: then the message is the session's first just as well. A step
        // of the state machine would take it as an UPDATE that has been read, and its routes would be lost.
        Enter(() => confirmed = Established?.Connection == connection || (SideOf(connection) is { } side && _fsm.Confirmed(side, _actions)));
        IConnectionEvents events = this;
        if (!confirmed)
        {
            Enter(() => StepConnection(connection, new SessionEvent(SessionEventKind.UpdateReceived) { Message = type }));
        }
        else if (type == MessageType.Update)
        {
            events.OnUpdate(connection, body);
        }
        else if (Established?.Connection == connection)
        {
            events.OnMessage(connection, type, body);
        }
    }

    void IConnectionEvents.OnUpdate(BgpConnection connection, ReadOnlySpan<byte> body)
    {
        if (Established is not { } session || session.Connection != connection)
        {
            return;
        }

        UpdateError error = session.UpdateArrived(body);
        if (!error.IsError)
        {
            return;
        }

        if (_updateErrors.IsDue(out _))
        {
            Log.UpdateError(_context.Log, Settings.Name, error.Attribute, error.Reason ?? "malformed", error.Action);
        }

        if (error.Action == UpdateAction.SessionReset)
        {
            Enter(() =>
            {
                SetDownReason("sent " + NotificationMessage.Text(error.Notification) + (error.Reason is null ? "" : $" ({error.Reason})"), Loss.Notified);
                StepConnection(connection, new SessionEvent(SessionEventKind.UpdateError) { Error = error.Notification });
            });
        }
    }

    void IConnectionEvents.OnHeaderError(BgpConnection connection, in NotificationError error)
    {
        NotificationError copy = error;
        Enter(() => MessageFailed(connection, copy));
    }

    void IConnectionEvents.OnClosed(BgpConnection connection, string reason) => Enter(() =>
    {
        if (SideOf(connection) is not { } side)
        {
            return;
        }

        // RFC 4724 section 4.2: only the loss of the TCP connection (or, with RFC 8538, more) lets a neighbour count as restarting.
        SetDownReason(reason, Loss.Connection);
        connection.Ended = true;
        _fsm.Step(side, new SessionEvent(SessionEventKind.TcpFailed), _actions);
    });

    void IConnectionEvents.OnFault(BgpConnection connection, Exception exception)
    {
        Log.ReaderFault(_context.Log, Settings.Name, exception);
        Enter(() => MessageFailed(connection, NotificationMessage.Cease(CeaseSubcode.OutOfResources)));
    }

    private static byte[] Encode(OpenMessage open)
    {
        Span<byte> buffer = stackalloc byte[4096];
        return buffer[..open.Write(buffer)].ToArray();
    }

    private static byte[] Encode(in NotificationError error)
    {
        Span<byte> buffer = stackalloc byte[4096];
        return buffer[..NotificationMessage.Write(error, buffer)].ToArray();
    }

    private static byte[] RefreshMessage(AfiSafi family)
    {
        Span<byte> buffer = stackalloc byte[BgpConstants.RouteRefreshLength];
        return buffer[..new RouteRefreshMessage(family, RouteRefreshSubtype.Request).Write(buffer)].ToArray();
    }

    private void MessageFailed(BgpConnection connection, NotificationError error)
    {
        SetDownReason("sent " + NotificationMessage.Text(error), Loss.Notified);
        StepConnection(connection, new SessionEvent(SessionEventKind.MessageError) { Error = error });
    }

    /// <summary>A message as it was on the wire.</summary>
    private static byte[] WholeMessage(MessageType type, ReadOnlySpan<byte> body)
    {
        byte[] message = new byte[BgpConstants.HeaderLength + body.Length];
        WireWriter writer = new(message);
        writer.BeginMessage(type);
        writer.WriteBytes(body);
        writer.EndMessage();
        return message;
    }

    private void OpenArrived(BgpConnection connection, NotificationError error, OpenMessage open, byte[] octets)
    {
        if (SideOf(connection) is not { } side)
        {
            return;
        }

        if (_fsm.StateOf(side) != SessionState.OpenSent || _opensSent[(int)side] is not { } sent)
        {
            StepConnection(connection, new SessionEvent(SessionEventKind.OpenReceived));
            return;
        }

        if (!error.IsError)
        {
            error = NegotiatedSession.TryNegotiate(sent.Message, open, new LocalSessionSettings { ExpectedPeerAsn = Settings.Asn }, out NegotiatedSession negotiated);
            if (!error.IsError)
            {
                _opensReceived[(int)side] = new WireOpen(open, octets);
                KnownRouterId = connection.Incoming ? KnownRouterId : open.RouterId;

                // RFC 8654 section 4: from the moment both capabilities were seen.
                connection.MaxMessageLength = negotiated.MaxMessageLength;
                bool restart = negotiated.PeerGracefulRestart is not null;
                _fsm.Open(side, open.RouterId, open.EffectiveAsn, negotiated.HoldTime, restart, _actions);
                return;
            }
        }

        MessageFailed(connection, error);
    }

    private void NotificationArrived(BgpConnection connection, NotificationError error)
    {
        SetDownReason("received " + NotificationMessage.Text(error), NotificationMessage.IsHardReset(error, out _) ? Loss.Final : Loss.Notified);
        StepConnection(connection, new SessionEvent(SessionEventKind.NotificationReceived));
    }

    /// <summary>Carries out what <see cref="PeerFsm.Accept"/> decided; the new connection takes its place just before it is to send OPEN.</summary>
    private void CarryOutUntilOpen(ITransport transport)
    {
        for (int i = 0; i < _actions.Count; i++)
        {
            PeerAction action = _actions[i];
            if (action is { Side: ConnectionSide.Incoming, Action.Kind: SessionActionKind.SendOpen })
            {
                Attach(transport, ConnectionSide.Incoming);
            }

            CarryOut(action);
        }

        _actions.Clear();
    }

    private void Attach(ITransport transport, ConnectionSide side)
    {
        BgpConnection connection = new(transport, side == ConnectionSide.Incoming, this, _context.Time);
        try
        {
            if (side == ConnectionSide.Incoming)
            {
                transport.Prepare(Settings);
            }
        }
        catch (SocketException)
        {
            // The neighbour is gone already: the first read reports it.
            LastError = "incoming connection lost";
        }

        _connections[(int)side] = connection;

        // Never on this thread: the reader's events must find the lock free, so that they are done when they return.
        _context.Scheduler.Queue(connection);
    }

    private async Task ConnectAsync(CancellationToken cancel)
    {
        PeerSettings settings = Settings;
        ITransport? transport = null;
        string? failure = null;
        try
        {
            int scope = settings.Interface.Length > 0 ? DaemonContext.InterfaceIndex(settings.Interface) : 0;
            transport = await _context.Dialer.ConnectAsync(settings, scope, cancel).ConfigureAwait(false);
        }
        catch (SocketException exception)
        {
            failure = exception.Words();
        }
        catch (OperationCanceledException)
        {
            failure = "cancelled";
        }
        catch (Exception exception) when (exception is ObjectDisposedException or ArgumentException)
        {
            failure = exception.Message;
        }

        Enter(() =>
        {
            if (cancel.IsCancellationRequested || _disposed)
            {
                transport?.Dispose();
                return;
            }

            _connecting = null;
            if (failure is null)
            {
                Attach(transport!, ConnectionSide.Outgoing);
                _fsm.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.TcpConnected), _actions);
                return;
            }

            LastError = "connect: " + failure;
            if (failure != _connectFailure)
            {
                // Once for each reason: a neighbour that is off for a week is not news every five seconds.
                Log.ConnectFailed(_context.Log, settings.Name, failure);
                _connectFailure = failure;
            }
            else
            {
                Log.ConnectFailedAgain(_context.Log, settings.Name, failure);
            }

            _fsm.Step(ConnectionSide.Outgoing, new SessionEvent(SessionEventKind.TcpFailed), _actions);
        });
    }
}

/// <summary>Ends a connection that is not wanted with a Cease, so that the other side's log says why.</summary>
internal static class Refusal
{
    internal static void Send(ITransport transport, byte subcode)
    {
        Span<byte> buffer = stackalloc byte[64];
        int length = NotificationMessage.Write(new NotificationError(ErrorCode.Cease, subcode), buffer);
        transport.Refuse(buffer[..length]);
    }
}
