using System.Net;
using System.Net.Sockets;
using Bgp.Daemon.Config;
using Bgp.Daemon.Runtime;
using Bgp.Protocol;

namespace Bgp.Daemon.Peers;

/// <content>
/// The listeners. An address that is not there yet (a lease, an IPv6 address that is still being probed) or that another daemon holds is tried again until it can be bound: its neighbours would
/// knock in vain for ever, and nobody would know.
/// </content>
internal sealed partial class PeerManager
{
    private static readonly TimeSpan s_listenAgain = TimeSpan.FromSeconds(1);

    private readonly Lock _listenGate = new();
    private readonly List<BgpListener> _listeners = [];

    /// <summary>Addresses that are wanted and cannot be bound, with the reason; an empty one where the kernel has no such family, which is nobody's mistake.</summary>
    private readonly Dictionary<IPEndPoint, string> _closed = [];
    private (IReadOnlyList<IpAddr> Addresses, int Port, int Backlog) _wantedListeners = ([], 0, 0);
    private ITimer? _listenTimer;

    /// <summary>What is configured and cannot be listened on at present, with the reason.</summary>
    internal string? NotListening
    {
        get
        {
            lock (_listenGate)
            {
                string[] texts = [.. _closed.Where(static item => item.Value.Length > 0).Select(static item => $"{item.Key}: {item.Value}")];
                return texts.Length == 0 ? null : string.Join("; ", texts);
            }
        }
    }

    /// <summary>
    /// Listens on exactly these addresses: new listeners open before those that are not wanted any more close, and others stay as they are. An address that
    /// cannot be bound is reported and tried again each second; where none can be, nothing changes and <paramref name="refused"/> says why. True when at least one listens.
    /// </summary>
    internal bool Listen(IReadOnlyList<IpAddr> addresses, int port, int backlog, out string refused)
    {
        refused = "";
        lock (_listenGate)
        {
            List<BgpListener> wanted = [];
            List<BgpListener> opened = [];
            Dictionary<IPEndPoint, string> closed = [];
            foreach (IpAddr address in addresses)
            {
                IPEndPoint endPoint = SocketOptions.EndPoint(address, port);
                if (_listeners.Find(listener => listener.EndPoint.Equals(endPoint)) is { } known)
                {
                    wanted.Add(known);
                    continue;
                }

                try
                {
                    // One that overlaps with another of ours (the unspecified address and one of the host's) may be bound beside it for the moment of the change.
                    List<BgpListener> overlapping = _listeners.FindAll(listener => listener.EndPoint.Port == port && listener.IsV6 == address.IsV6);
                    overlapping.ForEach(static listener => listener.Share(true));
                    BgpListener made = new(address, port, backlog, shared: overlapping.Count > 0, Accept, Context.Time, Context.Log);
                    opened.Add(made);
                    wanted.Add(made);
                }
                catch (SocketException exception)
                {
                    closed[endPoint] = exception.SocketErrorCode == SocketError.AddressFamilyNotSupported ? "" : exception.Words();
                }
            }

            List<BgpListener> before = [.. _listeners];
            lock (_gate)
            {
                if (_stopping)
                {
                    opened.ForEach(static listener => listener.Dispose());
                    return true;
                }
            }

            _listeners.Clear();
            _listeners.AddRange(wanted);

            // Passwords before the first packet can come.
            SetKeys();
            foreach (BgpListener listener in opened)
            {
                try
                {
                    listener.Start();
                }
                catch (SocketException exception)
                {
                    // Another socket was bound at the same moment, and listened first.
                    closed[listener.EndPoint] = exception.Words();
                    wanted.Remove(listener);
                    listener.Dispose();
                }
            }

            _listeners.Clear();
            _listeners.AddRange(wanted.Count == 0 ? before : wanted);

            if (wanted.Count == 0)
            {
                before.ForEach(static listener => listener.Share(false));
                refused = string.Join("; ", closed.Select(static item => $"{item.Key}: {(item.Value.Length > 0 ? item.Value : "this kernel has no such address family")}"));
                return false;
            }

            List<BgpListener> old = before.FindAll(listener => !wanted.Contains(listener));
            old.ForEach(static listener => listener.Dispose());
            wanted.ForEach(static listener => listener.Share(false));
            wanted.ForEach(listener => listener.SetBacklog(backlog));

            SayClosed(closed);
            _wantedListeners = (addresses, port, backlog);
            _closed.Clear();
            foreach ((IPEndPoint endPoint, string reason) in closed)
            {
                _closed[endPoint] = reason;
            }

            _listenTimer ??= Context.Time.CreateTimer(_ => ListenAgain(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            _listenTimer.Change(_closed.Values.Any(static reason => reason.Length > 0) ? s_listenAgain : Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            return true;
        }
    }

    // Once for each reason, however often it is tried.
    private void SayClosed(Dictionary<IPEndPoint, string> closed)
    {
        foreach ((IPEndPoint endPoint, string reason) in closed.Where(item => _closed.GetValueOrDefault(item.Key) != item.Value))
        {
            if (reason.Length == 0)
            {
                Log.NoSuchFamily(Context.Log, endPoint.ToString());
            }
            else
            {
                Log.CannotListen(Context.Log, endPoint.ToString(), reason);
            }
        }
    }

    private void ListenAgain()
    {
        lock (_listenGate)
        {
            if (!_stopping)
            {
                Listen(_wantedListeners.Addresses, _wantedListeners.Port, _wantedListeners.Backlog, out _);
            }
        }
    }

    /// <summary>The passwords of all peers and ranges, on every listener.</summary>
    private void SetKeys()
    {
        lock (_listenGate)
        {
            Dictionary<IpAddr, (string Key, string Name)> wanted = [];
            foreach (PeerSession session in All)
            {
                PeerSettings settings = session.Settings;
                if (settings.Md5.Length > 0 && !session.IsDynamic)
                {
                    wanted[settings.Address] = (settings.Md5, settings.Name);
                }
            }

            foreach (BgpListener listener in _listeners)
            {
                foreach ((IpAddr address, (string key, string name)) in wanted)
                {
                    if (address.IsV6 == listener.IsV6 && listener.Keys.GetValueOrDefault(address) != key)
                    {
                        TrySetKey(listener, address, -1, key, name);
                        listener.Keys[address] = key;
                    }
                }

                foreach (IpAddr address in listener.Keys.Keys.Where(address => !wanted.ContainsKey(address)).ToArray())
                {
                    TrySetKey(listener, address, -1, "", "");
                    listener.Keys.Remove(address);
                }

                foreach (Cidr range in _rangeKeys.Where(range => range.Address.IsV6 == listener.IsV6 && !_dynamic.Exists(item => item.HasKey && item.Config.Range == range)))
                {
                    TrySetKey(listener, range.Address, range.Length, "", range.ToString());
                }

                foreach (DynamicRange item in _dynamic.Where(item => item.HasKey && item.Config.Range.Address.IsV6 == listener.IsV6))
                {
                    TrySetKey(listener, item.Config.Range.Address, item.Config.Range.Length, item.Template.Md5, item.Template.Name);
                }
            }

            _rangeKeys.Clear();
            _rangeKeys.UnionWith(_dynamic.Where(static item => item.HasKey).Select(static item => item.Config.Range));
        }
    }

    private void TrySetKey(BgpListener listener, IpAddr address, int prefixLength, string key, string name)
    {
        try
        {
            listener.SetMd5(address, prefixLength, key);
        }
        catch (SocketException) when (key.Length == 0)
        {
            // There was no key to remove.
            return;
        }
        catch (SocketException exception)
        {
            Log.PeerUnusable(Context.Log, name, $"the listener refuses its password: {exception.Words()}");
        }
    }

    private void CloseListeners()
    {
        lock (_listenGate)
        {
            _listenTimer?.Dispose();
            _listenTimer = null;
            _listeners.ForEach(static listener => listener.Dispose());
        }
    }
}
