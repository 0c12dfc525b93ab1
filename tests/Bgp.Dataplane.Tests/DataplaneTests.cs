using System.Diagnostics;
using System.Text;

namespace Bgp.Dataplane.Tests;

/// <summary>
/// Four nodes on two subnets under user-mode Linux, with real pings through IPIP.
/// </summary>
/// <remarks>
/// The kernels of build machines often have no <c>ipip</c>; user-mode Linux has, and runs as an ordinary process. One boot serves every test:
/// <c>dataplane.sh</c> builds the topology inside, goes through the whole story once and prints a line <c>RESULT name ok|FAIL detail</c> for each
/// thing it looked at. A test here asserts one such line, so that a report names what broke. A line that is missing (the machine hung, the script
/// ended early) fails its test as well, with everything that was printed.
/// </remarks>
[TestFixture]
public sealed class DataplaneTests
{
    private static readonly TimeSpan BootLimit = TimeSpan.FromSeconds(260);
    private readonly Dictionary<string, (bool Ok, string Detail)> _results = [];
    private string _console = "";

    [OneTimeSetUp]
    public async Task BootOnce()
    {
        string root = RepositoryRoot();
        string binary = Environment.GetEnvironmentVariable("PIPIT_BINARY") is { Length: > 0 } given ? given : Path.Combine(root, "out", "pipit");
        Assert.That(binary, Does.Exist, "publish it first: dotnet publish src/Bgp.Daemon -c Release -o out");
        ProcessStartInfo start = new("/bin/bash")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // uml_run bounds the machine by itself and ends its process group; the limit here is for the case that even that fails.
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(". \"$1/scripts/uml.sh\"; trap uml_stop EXIT; uml_run 240 bash \"$1/tests/Bgp.Dataplane.Tests/dataplane.sh\" \"$1\" \"$2\"");
        start.ArgumentList.Add("dataplane");
        start.ArgumentList.Add(root);
        start.ArgumentList.Add(binary);
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        StringBuilder console = new();
        DataReceivedEventHandler keep = (_, line) =>
        {
            lock (console)
            {
                console.AppendLine(line.Data);
            }
        };
        process.OutputDataReceived += keep;
        process.ErrorDataReceived += keep;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        using CancellationTokenSource limit = new(BootLimit);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
        }
        lock (console)
        {
            _console = console.ToString();
        }
        foreach (string line in _console.Split('\n', StringSplitOptions.TrimEntries))
        {
            string[] words = line.Split(' ', 4);
            if (words is ["RESULT", _, "ok" or "FAIL", ..])
            {
                _results[words[1]] = (words[2] == "ok", words.Length > 3 ? words[3] : "");
            }
        }
    }

    [TestCase("peers", TestName = "Every_session_of_the_mesh_is_established")]
    [TestCase("routes", TestName = "Every_node_has_every_block_in_its_kernel")]
    [TestCase("direct-route", TestName = "CrossSubnet_writes_a_direct_route_inside_the_subnet")]
    [TestCase("ping-direct", TestName = "Pods_inside_the_subnet_reach_each_other")]
    [TestCase("direct-leaves-the-tunnel-alone", TestName = "CrossSubnet_leaves_the_tunnel_alone_inside_the_subnet")]
    [TestCase("ipip-route", TestName = "CrossSubnet_writes_a_tunnel_route_to_another_subnet")]
    [TestCase("ping-ipip", TestName = "Pods_in_two_subnets_reach_each_other_through_ipip")]
    [TestCase("tunnel-counters", TestName = "The_tunnel_counts_every_packet_at_both_ends")]
    [TestCase("ecmp-two-hops", TestName = "Two_next_hops_through_the_tunnel_are_two_hops_in_the_kernel")]
    [TestCase("ecmp-both-carry", TestName = "Both_next_hops_through_the_tunnel_carry_packets")]
    [TestCase("always-tunnels-to-all", TestName = "Always_tunnels_inside_the_subnet_too")]
    [TestCase("always-keeps-both-hops", TestName = "Always_keeps_both_next_hops_of_a_multipath_route")]
    [TestCase("never-tunnels-to-none", TestName = "Without_a_tunnel_every_route_goes_where_the_next_hop_resolves_to")]
    [TestCase("always-again", TestName = "From_none_to_always_while_it_runs")]
    [TestCase("cross-subnet-again", TestName = "From_always_to_crossSubnet_while_it_runs")]
    [TestCase("narrower-subnet", TestName = "A_peer_that_falls_out_of_the_configured_subnet_is_reached_through_the_tunnel")]
    [TestCase("subnet-of-the-interface", TestName = "Without_a_length_the_interface_says_the_subnet")]
    [TestCase("wider-interface", TestName = "A_wider_mask_on_the_interface_makes_a_peer_direct")]
    [TestCase("narrower-interface", TestName = "A_narrower_mask_on_the_interface_takes_it_into_the_tunnel_again")]
    [TestCase("objects-carry-the-same-hops", TestName = "Next_hop_objects_carry_the_same_hops_as_plain_routes")]
    [TestCase("objects-always", TestName = "Next_hop_objects_follow_a_change_of_the_tunnel_mode")]
    [TestCase("objects-keep-both-hops", TestName = "A_group_of_objects_keeps_both_tunnel_hops")]
    [TestCase("objects-ping-ipip", TestName = "Pods_in_two_subnets_reach_each_other_by_next_hop_objects_through_ipip")]
    [TestCase("objects-cross-subnet", TestName = "Next_hop_objects_follow_the_change_back")]
    [TestCase("objects-go-when-switched-off", TestName = "Without_nexthopObjects_the_routes_are_plain_again_and_no_object_is_left")]
    [TestCase("switching-loses-no-packet-to-b", TestName = "Switching_loses_no_packet_inside_the_subnet")]
    [TestCase("switching-loses-no-packet-to-c", TestName = "Switching_loses_no_packet_to_another_subnet")]
    [TestCase("switching-deletes-no-route", TestName = "Switching_replaces_routes_and_deletes_none")]
    [TestCase("missing-tunnel-is-named", TestName = "Routes_that_need_a_missing_tunnel_wait_and_are_named")]
    [TestCase("tunnel-that-appears-is-used", TestName = "A_tunnel_that_appears_is_used_at_once")]
    [TestCase("ping-through-it", TestName = "Pods_reach_each_other_through_a_tunnel_that_appeared")]
    [TestCase("ecmp-shrinks", TestName = "A_next_hop_that_is_shut_down_for_good_leaves_the_multipath_route")]
    [TestCase("stop-keeps-kernel-routes", TestName = "A_daemon_that_is_terminated_leaves_its_kernel_routes")]
    [TestCase("stop-peers-keep-its-routes", TestName = "Peers_keep_the_routes_of_a_daemon_that_is_terminated")]
    [TestCase("stop-peers-come-back", TestName = "Sessions_come_back_after_a_restart")]
    [TestCase("stop-loses-no-packet", TestName = "A_restart_loses_no_packet")]
    [TestCase("kill-keeps-kernel-routes", TestName = "A_daemon_that_is_killed_leaves_its_kernel_routes")]
    [TestCase("kill-peers-keep-its-routes", TestName = "Peers_keep_the_routes_of_a_daemon_that_is_killed")]
    [TestCase("kill-peers-come-back", TestName = "Sessions_come_back_after_a_kill")]
    [TestCase("kill-loses-no-packet", TestName = "A_kill_and_restart_loses_no_packet")]
    public void Holds(string name)
    {
        Assert.That(_results, Does.ContainKey(name), $"the machine printed no such result:\n{_console}");
        (bool ok, string detail) = _results[name];
        Assert.That(ok, Is.True, $"{detail}\n{_console}");
        TestContext.Out.WriteLine(detail);
    }

    private static string RepositoryRoot()
    {
        string? directory = TestContext.CurrentContext.TestDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "Bgp.sln")))
        {
            directory = Path.GetDirectoryName(directory);
        }
        return directory ?? throw new DirectoryNotFoundException("Bgp.sln is in no directory above the tests");
    }
}
