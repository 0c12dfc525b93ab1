using Bgp.Daemon.Config;
using Bgp.Daemon.Control.Bird;
using Bgp.Daemon.Runtime;

namespace Bgp.Daemon;

/// <summary>The BIRD-compatible sockets, as configured under <c>birdCompat</c>.</summary>
internal sealed partial class BgpDaemon
{
    private readonly Dictionary<BirdCompatConfig, BirdServer> _bird = [];

    /// <summary>Opens what is new, closes what is gone. A socket that cannot be bound is a warning: routing does not depend on it.</summary>
    private void ApplyBirdSockets(ConfigModel model)
    {
        foreach (BirdCompatConfig gone in _bird.Keys.Where(item => !model.BirdCompat.Contains(item)).ToArray())
        {
            _bird[gone].Dispose();
            _bird.Remove(gone);
        }

        foreach (BirdCompatConfig item in model.BirdCompat)
        {
            if (_bird.ContainsKey(item))
            {
                continue;
            }

            try
            {
                _bird.Add(item, new BirdServer(
                    new BirdServerOptions
                    {
                        Path = item.Path,
                        Mode = item.Mode,
                        Group = item.Group,
                        Dialect = item.Dialect,
                        Family = item.Family,
                        ReadOnly = item.ReadOnly,
                        Version = Cli.CliApp.Version,
                        ConfigPath = _configPath,
                        Time = _time,
                        Log = text => Log.ConfigWarning(_log, text),
                    },
                    Queries!));
            }
            catch (IOException exception)
            {
                Log.ConfigWarning(_log, $"birdCompat: {exception.Message}");
            }
        }
    }

    private void CloseBirdSockets()
    {
        foreach (BirdServer server in _bird.Values)
        {
            server.Dispose();
        }

        _bird.Clear();
    }
}
