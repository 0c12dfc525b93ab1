namespace Bgp.Dataplane.Tests;

/// <summary>Four nodes on two subnets under user-mode Linux, with real pings through IPIP.</summary>
[TestFixture]
public sealed class DataplaneTests
{
    private Machine _machine = null!;

    [OneTimeSetUp]
    public async Task BootOnce() => _machine = await Machine.RunAsync("dataplane.sh", 240);

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
    public void Holds(string name) => _machine.Holds(name);
}
