using System.Net;
using System.Net.Sockets;
using Bgp.Daemon.Config;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bgp.Daemon.Tests.Runtime;

/// <summary>What is asked for, or written, while the daemon starts.</summary>
[TestFixture]
public sealed class StartTests
{
    private string _folder = "";
    private string _file = "";
    private int _port;

    [SetUp]
    public void Prepare()
    {
        _folder = Directory.CreateTempSubdirectory("pipit-start-").FullName;
        _file = Path.Combine(_folder, "pipit.yaml");
        using Socket probe = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        probe.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _port = ((IPEndPoint)probe.LocalEndPoint!).Port;
    }

    [TearDown]
    public void Clean() => Directory.Delete(_folder, recursive: true);

    [Test]
    public async Task Nobody_is_taken_for_established_before_the_peers_are_there()
    {
        using BgpDaemon daemon = Configured("peers: [ { name: a, address: 127.0.0.9, asn: 65001, disabled: true } ]");
        Task<bool> early = new DaemonQueries(daemon).WaitPeersEstablishedAsync(null, TimeSpan.FromSeconds(30), default);
        Assert.That(early.IsCompleted, Is.False);
        await daemon.StartAsync(Path.Combine(_folder, "pipit.sock"), default).ConfigureAwait(false);
        Assert.That(await early.ConfigureAwait(false), Is.True, "there is none to be waited for");
        await daemon.StopAsync(hard: false).ConfigureAwait(false);
    }

    [TestCase("originate: [ { prefix: 10.70.2.0/24, kind: none } ]", 1)]
    [TestCase("nonsense: 1", 0)]
    public async Task A_watched_file_that_is_written_while_the_daemon_starts_is_read_again(string written, int originated)
    {
        using BgpDaemon daemon = Configured("watch: true");
        File.AppendAllText(_file, "\n" + written + "\n");
        await daemon.StartAsync(Path.Combine(_folder, "pipit.sock"), default).ConfigureAwait(false);
        Assert.That(daemon.Model.Originate, Has.Count.EqualTo(originated));
        Assert.That(daemon.RefusedBecause, Has.Length.EqualTo(1 - originated));
        await daemon.StopAsync(hard: false).ConfigureAwait(false);
    }

    private BgpDaemon Configured(string more)
    {
        File.WriteAllText(_file, $$"""
            version: 1
            node: { name: us, asn: 65000, ipv4: 10.255.0.1 }
            listen: { address: 127.0.0.1, port: {{_port}} }
            kernel: { enabled: false }
            metrics: { listen: "off" }
            {{more}}
            """);
        return new BgpDaemon(_file, ConfigReader.Load(_file).Model!, TimeProvider.System, NullLogger.Instance, null);
    }
}
