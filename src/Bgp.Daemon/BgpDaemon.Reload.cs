using System.Net;
using System.Net.Sockets;
using Bgp.Daemon.Config;
using Bgp.Daemon.Control;
using Bgp.Daemon.Metrics;
using Bgp.Daemon.Peers;
using Bgp.Daemon.Runtime;
using Bgp.Daemon.Tables;
using Bgp.Protocol;
using Rib;

namespace Bgp.Daemon;

/// <summary>Reload: resolved models are compared, and only what differs is touched.</summary>
/// <remarks>
/// What a dry run prints is the list of changes that the reload itself makes and then carries out, so the two cannot differ. Equal models end it at once: nothing
/// is posted, no neighbour hears a thing. The order of the rest: what may be refused (listeners), the kernel's options, own prefixes, then the peers; so a
/// neighbour that is new meets a table that knows the new pools.
/// <para>A rollback, by hand or because nobody confirmed, is a reload of the model from before. While a configuration waits to be confirmed, later reloads
/// (by a signal or by a watched file) do not confirm it: the model to go back to stays the last one that was confirmed.</para>
/// </remarks>
internal sealed partial class BgpDaemon
{
    private ConfigModel? _previous;
    private ITimer? _confirmTimer;
    private DateTimeOffset? _confirmBy;
    private ConfigWatch? _watch;

    /// <summary>When an unconfirmed configuration is rolled back, or null.</summary>
    internal DateTimeOffset? ConfirmBy => _confirmBy;

    /// <summary>Why the configuration on disk is not the running one, as the last reload saw it; empty when it is.</summary>
    internal string[] RefusedBecause { get; private set; } = [];

    /// <summary>Reads the file and applies it. An invalid one is refused whole, and the running one stays.</summary>
    internal ReloadDto Reload(string? path, bool dryRun, TimeSpan? confirm)
    {
        ConfigResult result = Load(path ?? _configPath);
        string[] warnings = [.. result.Warnings.Select(static issue => issue.ToString())];
        if (result.Model is null)
        {
            return Refused(dryRun, [.. result.Errors.Select(static issue => issue.ToString())], warnings);
        }

        return Apply(result.Model, warnings, dryRun, confirm, rollback: false);
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
        lock (_reload)
        {
            if (_previous is not { } previous)
            {
                return false;
            }

            (_confirmBy, _previous) = (null, null);
            _confirmTimer?.Dispose();
            return Apply(previous, [], dryRun: false, confirm: null, rollback: true).Accepted;
        }
    }

    /// <summary>Whether the last reload is in force everywhere; false when it is not within ten seconds, because of neighbours that do not read.</summary>
    internal async Task<bool> InForceAsync(CancellationToken cancel)
    {
        try
        {
            await Task.WhenAll(_context.V4.SettleAsync(), _context.V6.SettleAsync()).WaitAsync(TimeSpan.FromSeconds(10), _time, cancel).ConfigureAwait(false);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private ReloadDto Refused(bool dryRun, string[] errors, IReadOnlyList<string> warnings)
    {
        if (!dryRun)
        {
            RefusedBecause = errors;
            string text = string.Join("; ", errors);
            Log.ReloadRefused(_log, text);
            Events.Publish(_time.GetUtcNow(), "config", null, "refused: " + text);
        }

        return new ReloadDto { Errors = errors, Warnings = warnings };
    }

    /// <summary>What cannot change while the process runs: what own kernel routes are known by.</summary>
    private static string[] Fixed(ConfigModel old, ConfigModel now)
    {
        List<string> errors = [];
        void Same<T>(string key, T a, T b)
        {
            if (!Equals(a, b))
            {
                errors.Add($"{key}: cannot change while running ({a} to {b}); restart the daemon (kernel routes stay, neighbours keep forwarding)");
            }
        }

        Same("kernel.enabled", old.Kernel.Enabled, now.Kernel.Enabled);
        Same("kernel.table", old.Kernel.Table, now.Kernel.Table);
        Same("kernel.protocol", old.Kernel.Protocol, now.Kernel.Protocol);
        Same("kernel.families", old.Kernel.Families, now.Kernel.Families);
        return [.. errors];
    }

    private ReloadDto Apply(ConfigModel model, IReadOnlyList<string> warnings, bool dryRun, TimeSpan? confirm, bool rollback)
    {
        lock (_reload)
        {
            string[] errors = Fixed(_model, model);
            if (errors.Length > 0)
            {
                return Refused(dryRun, errors, warnings);
            }

            ConfigModel old = _model;
            bool same = old.Equals(model);
            ConfigMapping mapping = same ? _mapping : new ConfigMapping(model);
            List<ConfigChange> changes = same ? [] : ConfigDiff.Compare(old, _mapping, model, mapping, _peers.Judge);
            ReloadDto answer = new()
            {
                Accepted = true,
                Warnings = warnings,
                Changes = [.. changes.Select(static change => new ChangeDto(change.Kind, change.Name, change.Impact.ToString().ToLowerInvariant(), change.Detail))],
                ConfigHash = model.Hash,
                ConfirmWithinSeconds = same ? null : confirm?.TotalSeconds,
            };
            if (dryRun)
            {
                return answer;
            }

            RefusedBecause = [];
            if (same)
            {
                _loadedAt = _time.GetUtcNow();
                Log.Reloaded(_log, "nothing changed");
                return answer;
            }

            if (old.Listen != model.Listen && !_peers.Listen(model.Listen.Addresses, model.Listen.Port, model.Listen.Backlog, out string refused))
            {
                return Refused(dryRun, [$"listen: no address can be bound: {refused}"], warnings);
            }

            (_model, _mapping) = (model, mapping);
            _context.ClusterIds = ClusterIds(model);
            ApplyNode(old, model);
            ApplyKernel(old);
            LookForProblems();
            Originate(old.Originate, model.Originate);
            ReachPeers(old.Peers, model.Peers);
            if (changes.Exists(static change => change.Kind is "peer" or "dynamicPeer"))
            {
                _peers.Apply(PeerSettings(mapping, model), DynamicSettings(mapping, model), start: true);
            }

            ApplyOutside(old, model);
            ApplyBirdSockets(model);
            ApplyStations();
            _loadedAt = _time.GetUtcNow();
            if (!rollback && _confirmBy is null && changes.Count > 0)
            {
                _previous = old;
            }

            if (confirm is { } time)
            {
                _previous ??= old;
                DateTimeOffset by = _loadedAt + time;
                _confirmBy = by;
                _confirmTimer?.Dispose();
                _confirmTimer = _time.CreateTimer(_ => Unconfirmed(by), null, time, Timeout.InfiniteTimeSpan);
            }

            string text = changes.Count == 0 ? "nothing changed" : string.Join(", ", changes.Take(20).Select(static change => $"{change.Kind}{(change.Name.Length > 0 ? " " : "")}{change.Name}: {change.Impact}")) + (changes.Count > 20 ? $" and {changes.Count - 20} more" : "");
            Log.Reloaded(_log, rollback ? $"rolled back; {text}" : text);
            Events.Publish(_loadedAt, "config", null, $"{changes.Count} changes");
            return answer;
        }
    }

    private void Unconfirmed(DateTimeOffset by)
    {
        lock (_reload)
        {
            // Which wait the timer belongs to, not the time: timer and clock may differ by a millisecond.
            if (_confirmBy == by)
            {
                Rollback();
            }
        }
    }

    /// <summary>Identity: sessions follow through their settings; here is what the tables know of this host.</summary>
    private void ApplyNode(ConfigModel old, ConfigModel model)
    {
        if (old.Node.Asn != model.Node.Asn || old.Node.RouterId != model.Node.RouterId)
        {
            RibPeer local = Local(model);
            _context.V4.Post(loop => loop.Shard.SetPeer(local));
            _context.V6.Post(loop => loop.Shard.SetPeer(local));
        }

        if (_kernel is null && (old.Node.Ipv4 != model.Node.Ipv4 || old.Node.Ipv6 != model.Node.Ipv6))
        {
            IpAddr[] changed = [old.Node.Ipv4, old.Node.Ipv6, model.Node.Ipv4, model.Node.Ipv6];
            _ownAddresses = [model.Node.Ipv4, model.Node.Ipv6];
            _context.V4.Post(loop => loop.Shard.NextHopsChanged(changed));
            _context.V6.Post(loop => loop.Shard.NextHopsChanged(changed));
        }
    }

    private void ApplyKernel(ConfigModel old)
    {
        // Also without a kernel: a reflector's ADD-PATH is one of them.
        if (TableOptions(_model, v6: false) is { } v4 && v4 != TableOptions(old, v6: false))
        {
            _context.V4.Post(loop => loop.Shard.ChangeOptions(v4));
        }

        if (TableOptions(_model, v6: true) is { } v6 && v6 != TableOptions(old, v6: true))
        {
            _context.V6.Post(loop => loop.Shard.ChangeOptions(v6));
        }

        if (_kernel is null || _feed is null)
        {
            return;
        }

        FibOptions fib = _mapping.Fib(ConfigMapping.NodeSubnet(_model, _feed.Addresses));
        int paths = MaxPaths(_model);
        KernelConfig was = old.Kernel;
        KernelConfig now = _model.Kernel;
        bool forwarding = !old.Pools.Equals(_model.Pools) || !old.Originate.Equals(_model.Originate) || old.Node.Ipv4 != _model.Node.Ipv4 || old.Node.Ipv4Length != _model.Node.Ipv4Length
            || !was.ExcludeNextHops.Equals(now.ExcludeNextHops) || was.InstallDefault != now.InstallDefault || was.Ecmp != now.Ecmp || was.MaxPaths != now.MaxPaths
            || was.MetricMode != now.MetricMode || was.Metric != now.Metric;
        if (forwarding)
        {
            _context.V4.Post(loop => ReplacePolicy(loop, fib, paths));
            _context.V6.Post(loop => ReplacePolicy(loop, fib, paths));
        }

        _kernel.SetNexthopObjects(now.NexthopObjects);
        if (was.LearnEnabled != now.LearnEnabled || !was.LearnInterfaces.Equals(now.LearnInterfaces) || !was.LearnExcludeInterfaces.Equals(now.LearnExcludeInterfaces)
            || !was.LearnExcludeProtocols.Equals(now.LearnExcludeProtocols) || !was.DirectExcludeInterfaces.Equals(now.DirectExcludeInterfaces) || !old.Pools.Equals(_model.Pools))
        {
            _feed.Learning = _mapping.Learning();
            _kernel.Replay();
        }
    }

    /// <summary>Everything that is neither routes nor sessions.</summary>
    private void ApplyOutside(ConfigModel old, ConfigModel model)
    {
        if (_logger is not null && old.Log != model.Log)
        {
            (_logger.Level, _logger.Json) = (DaemonHost.Level(model.Log.Level), model.Log.Json);
        }

        if (old.Metrics != model.Metrics)
        {
            OpenHttp();
        }

        Watch();
    }

    /// <summary>Watches the files of the running model where it asks for that.</summary>
    private void Watch()
    {
        if (!_model.Watch)
        {
            _watch?.Dispose();
            _watch = null;
            return;
        }

        _watch ??= new ConfigWatch(_time, () => Reload(null, dryRun: false, confirm: null));
        _watch.Follow(ConfigWatch.FilesOf(_model, _configPath));
    }
}
