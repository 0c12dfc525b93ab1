using Bgp.Daemon.Config;
using Bgp.Daemon.Runtime;
using Rib;
using TunnelMode = Rib.TunnelMode;

namespace Bgp.Daemon;

/// <summary>What keeps routes of whole pools out of the kernel or out of their tunnel, though nothing fails: said once in the log, and in the status for as long as it lasts.</summary>
internal sealed partial class BgpDaemon
{
    private readonly Lock _problemGate = new();
    private string? _problem;

    /// <summary>The problems at present, or null.</summary>
    internal string? KernelProblem
    {
        get
        {
            if (_kernel is null || _feed is null)
            {
                return null;
            }

            ConfigModel model = _model;
            PoolDefinition[] tunnels = [.. _mapping.Pools.Where(static pool => pool is { Tunnel: TunnelMode.Ipip, InstallKernel: true, Use: PoolUse.Workload })];
            List<string> texts = [];
            foreach (IGrouping<string, PoolDefinition> device in tunnels.GroupBy(static pool => pool.Device).Where(static device => DaemonContext.InterfaceIndex(device.Key) == 0))
            {
                texts.Add($"the tunnel device {device.Key} does not exist; routes of {Names(device)} that need it are not installed");
            }

            if (model.Node.Ipv4Length == 0 && tunnels.Where(static pool => pool.When == TunnelWhen.CrossSubnet).ToArray() is { Length: > 0 } crossing
                && ConfigMapping.NodeSubnet(model, _feed.Addresses) is null)
            {
                texts.Add($"no interface holds node.ipv4 {model.Node.Ipv4}, so the node's subnet is not known; routes of {Names(crossing)} go directly, not through the tunnel");
            }

            return texts.Count == 0 ? null : string.Join("; ", texts);

            static string Names(IEnumerable<PoolDefinition> pools) => string.Join(", ", pools.Select(static pool => $"pool '{pool.Name}'"));
        }
    }

    /// <summary>Logs what has changed since the last look.</summary>
    private void LookForProblems()
    {
        lock (_problemGate)
        {
            string? now = KernelProblem;
            if (!_kernelReady.Task.IsCompleted || now == _problem)
            {
                return;
            }

            _problem = now;
            Log.KernelWarning(_log, now ?? "what kept routes of pools out is over");
        }
    }
}
