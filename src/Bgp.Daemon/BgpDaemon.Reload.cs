using Bgp.Daemon.Config;
using Bgp.Daemon.Control;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;

namespace Bgp.Daemon;

/// <summary>Reload: resolved models are compared, and only what differs is touched.</summary>
internal sealed partial class BgpDaemon
{
    private ConfigModel? _previous;
    private ITimer? _confirmTimer;
    private DateTimeOffset? _confirmBy;

    /// <summary>When an unconfirmed configuration is rolled back, or null.</summary>
    internal DateTimeOffset? ConfirmBy => _confirmBy;

    /// <summary>Reads the file and applies it. An invalid one is refused whole, and the running one stays.</summary>
    internal ReloadDto Reload(string? path, bool dryRun, TimeSpan? confirm)
    {
        ConfigResult result = ConfigReader.Load(path ?? _configPath);
        if (result.Model is null)
        {
            string[] errors = [.. result.Errors.Select(static issue => issue.ToString())];
            if (!dryRun)
            {
                Log.ReloadRefused(_log, string.Join("; ", errors));
            }

            return new ReloadDto { Errors = errors, Warnings = [.. result.Warnings.Select(static issue => issue.ToString())] };
        }

        return Apply(result.Model, [.. result.Warnings.Select(static issue => issue.ToString())], dryRun, confirm);
    }

    /// <summary>Keeps an unconfirmed configuration. False when there is none.</summary>
    internal bool Confirm()
    {
        lock (_reload)
        {
            if (_confirmBy is null)
            {
                return false;
            }

            (_confirmBy, _previous) = (null, null);
            _confirmTimer?.Dispose();
            return true;
        }
    }

    /// <summary>Back to the configuration before the last reload. False when there is none.</summary>
    internal bool Rollback()
    {
        ConfigModel? previous;
        lock (_reload)
        {
            previous = _previous;
            (_confirmBy, _previous) = (null, null);
            _confirmTimer?.Dispose();
        }

        return previous is not null && Apply(previous, [], dryRun: false, confirm: null).Accepted;
    }

    private ReloadDto Apply(ConfigModel model, IReadOnlyList<string> warnings, bool dryRun, TimeSpan? confirm)
    {
        lock (_reload)
        {
            List<string> fixedParts = [];
            Fixed(fixedParts, "node", _model.Node == model.Node);
            Fixed(fixedParts, "listen", _model.Listen == model.Listen);
            Fixed(fixedParts, "kernel", _model.Kernel == model.Kernel);
            Fixed(fixedParts, "routeReflector", _model.ClusterId == model.ClusterId);
            Fixed(fixedParts, "metrics", _model.Metrics == model.Metrics);
            if (fixedParts.Count > 0)
            {
                string text = $"{string.Join(", ", fixedParts)}: cannot change while running; restart the daemon (kernel routes stay, neighbours keep forwarding)";
                return new ReloadDto { Errors = [text], Warnings = warnings };
            }

            ConfigMapping mapping = new(model);
            List<ChangeDto> changes = [];
            if (!_model.Pools.Equals(model.Pools))
            {
                changes.Add(new ChangeDto("pools", "pools", "none", "kernel routes and exports follow the new pools"));
            }

            foreach (OriginateConfig item in model.Originate.Where(item => !_model.Originate.Contains(item)))
            {
                changes.Add(new ChangeDto("originate", item.Prefix.ToString(), "none", "announced"));
            }

            foreach (OriginateConfig item in _model.Originate.Where(item => !model.Originate.Any(other => other.Prefix == item.Prefix)))
            {
                changes.Add(new ChangeDto("originate", item.Prefix.ToString(), "none", "withdrawn"));
            }

            List<PeerSettings> wanted = PeerSettings(mapping, model);
            if (dryRun)
            {
                changes.AddRange(Preview(wanted));
                return new ReloadDto { Accepted = true, Warnings = warnings, Changes = changes, ConfigHash = model.Hash };
            }

            if (!changes.Exists(static change => change.Kind == "pools"))
            {
                _mapping = mapping;
            }
            else
            {
                _mapping = mapping;
                _feed?.Learning = mapping.Learning();
                Rib.FibOptions fib = mapping.Fib(ConfigMapping.NodeSubnet(model, _feed?.Addresses ?? []));
                _context.V4.Post(loop => ReplacePolicy(loop, fib));
                _context.V6.Post(loop => ReplacePolicy(loop, fib));
            }

            _context.ClusterIds = ClusterIds(model);
            Originate(_model.Originate, model.Originate);
            foreach (ChangedPeer change in _peers.Apply(wanted, DynamicSettings(mapping, model), start: true))
            {
                changes.Add(new ChangeDto("peer", change.Name, change.Impact, change.Detail));
            }

            if (_logger is not null)
            {
                _logger.Level = DaemonHost.Level(model.Log.Level);
            }

            _previous = confirm is null ? _previous : _model;
            _model = model;
            _loadedAt = _time.GetUtcNow();
            if (confirm is { } time)
            {
                _confirmBy = _loadedAt + time;
                _confirmTimer?.Dispose();
                _confirmTimer = _time.CreateTimer(_ => Rollback(), null, time, Timeout.InfiniteTimeSpan);
            }

            Log.Reloaded(_log, changes.Count == 0 ? "nothing changed" : string.Join(", ", changes.Select(static change => $"{change.Kind} {change.Name}: {change.Impact}")));
            Events.Publish(_loadedAt, "config", null, $"{changes.Count} changes");
            return new ReloadDto { Accepted = true, Warnings = warnings, Changes = changes, ConfigHash = model.Hash, ConfirmWithinSeconds = confirm?.TotalSeconds };
        }
    }

    private static void Fixed(List<string> names, string name, bool same)
    {
        if (!same)
        {
            names.Add(name);
        }
    }

    private IEnumerable<ChangeDto> Preview(List<PeerSettings> wanted)
    {
        Dictionary<string, PeerSession> known = _peers.All.ToDictionary(static session => session.Settings.Name, StringComparer.Ordinal);
        foreach (PeerSettings settings in wanted)
        {
            if (!known.Remove(settings.Name, out PeerSession? session))
            {
                yield return new ChangeDto("peer", settings.Name, "add", "new");
            }
            else if (session.Settings != settings)
            {
                yield return new ChangeDto("peer", settings.Name, "reset", "settings changed");
            }
        }

        foreach (string name in known.Keys.Where(name => _model.Peers.Any(peer => peer.Name == name)))
        {
            yield return new ChangeDto("peer", name, "remove", "removed from the configuration");
        }
    }
}
