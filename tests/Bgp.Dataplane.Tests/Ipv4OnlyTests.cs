namespace Bgp.Dataplane.Tests;

/// <summary>
/// The same nodes on a kernel that was booted without IPv6 (<c>ipv6.disable=1</c>, as hardened hosts are): there is no such address family for sockets, and netlink answers requests
/// for it with something else.
/// </summary>
[TestFixture]
public sealed class Ipv4OnlyTests
{
    private Machine _machine = null!;

    [OneTimeSetUp]
    public async Task BootOnce() => _machine = await Machine.RunAsync("ipv4only.sh", 120, "ipv6.disable=1");

    [TestCase("no-ipv6", TestName = "The_kernel_has_no_IPv6")]
    [TestCase("peers", TestName = "Without_IPv6_sessions_come_up_with_BFD")]
    [TestCase("routes", TestName = "Without_IPv6_every_node_has_every_block_in_its_kernel")]
    [TestCase("ping-ipip", TestName = "Without_IPv6_pods_in_two_subnets_reach_each_other")]
    [TestCase("pod-route", TestName = "Without_IPv6_a_route_that_is_added_and_deleted_is_announced_and_withdrawn")]
    [TestCase("said-once", TestName = "Without_IPv6_the_daemon_says_once_that_it_does_not_listen_there_and_is_content")]
    public void Holds(string name) => _machine.Holds(name);
}
