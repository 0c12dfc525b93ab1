#!/bin/bash
# Runs inside user-mode Linux (Machine.cs boots it): four nodes on two subnets, real pings, and one line `RESULT name ok|FAIL detail` for each thing
# that DataplaneTests.cs asserts. Arguments: the repository, the binary.
set -u
. "${BASH_SOURCE[0]%/*}/common.sh"
ping_pods() { in_pod "$1" ping -n -q -c "$3" -i 0.1 -W 5 "$(pod_address "$2")"; } # from, to, count
received() { sed -n 's/.* \([0-9]*\) received.*/\1/p' <<<"$1"; }

cluster_network a b c d || { result network 1 "could not be built"; exit 1; }
for node in a b; do cluster_config "$node" "" a b c d; done
# The same prefix from two nodes, as for a service: node-a and node-b have two equal paths, both behind the router.
for node in c d; do cluster_config "$node" "{ prefix: 10.244.200.0/26, kind: blackhole }" a b c d; done
for node in a b c d; do daemon_start "$node"; done

until_true 40 has_all_routes a b c d; status=$?
result routes "$status" "$(one_line "$(ip -n pipit-node-a route show proto 12)")"
cli a wait peers-established --timeout 20s >/dev/null 2>&1
result peers $? "$(one_line "$(cli a peers 2>&1)")"

# Inside the subnet: direct, and the tunnel stays silent.
before=$(tunnel_counter a tx_packets)
output=$(ping_pods a b 5)
after=$(tunnel_counter a tx_packets)
[ "$(received "$output")" = 5 ]; result ping-direct $? "$(one_line "$output")"
[ "$before" -eq "$after" ]; result direct-leaves-the-tunnel-alone $? "tx_packets of tunl0 on node-a: $before, then $after"
line=$(ip -n pipit-node-a route show "$(node_block b)" proto 12)
[[ $line == *"via $(node_address b) dev eth0"* && $line != *tunl0* ]]; result direct-route $? "$(one_line "$line")"

# Across the router: through tunl0, counted at both ends.
sent=$(tunnel_counter a tx_packets) got=$(tunnel_counter c rx_packets)
output=$(ping_pods a c 5)
sent=$(($(tunnel_counter a tx_packets) - sent)) got=$(($(tunnel_counter c rx_packets) - got))
[ "$(received "$output")" = 5 ]; result ping-ipip $? "$(one_line "$output")"
[ "$sent" -ge 5 ] && [ "$got" -ge 5 ]; result tunnel-counters $? "node-a sent $sent packets through tunl0, node-c received $got"
line=$(ip -n pipit-node-a route show "$(node_block c)" proto 12)
[[ $line == *"via $(node_address c) dev tunl0"*onlink* ]]; result ipip-route $? "$(one_line "$line")"

# Two next hops through the tunnel.
two_hops() { [ "$(ip -n pipit-node-a route show 10.244.200.0/26 proto 12 | grep -c 'nexthop via 10\.0\.2\.[34] dev tunl0 .*onlink')" -eq 2 ]; }
until_true 15 two_hops; result ecmp-two-hops $? "$(one_line "$(ip -n pipit-node-a route show 10.244.200.0/26)")"

# Both carry: eight addresses behind the prefix, which both nodes answer for; the kernel divides by addresses.
for node in c d; do for i in 1 2 3 4 5 6 7 8; do ip -n "pipit-node-$node" addr add "10.244.200.$i/32" dev lo; done; done
got_c=$(tunnel_counter c rx_packets) got_d=$(tunnel_counter d rx_packets) answered=0
for i in 1 2 3 4 5 6 7 8; do in_pod a ping -n -q -c 1 -W 5 "10.244.200.$i" >/dev/null 2>&1 && answered=$((answered + 1)); done
got_c=$(($(tunnel_counter c rx_packets) - got_c)) got_d=$(($(tunnel_counter d rx_packets) - got_d))
[ "$answered" -eq 8 ] && [ "$got_c" -gt 0 ] && [ "$got_d" -gt 0 ]; result ecmp-both-carry $? "$answered of 8 answered, node-c got $got_c, node-d $got_d"

# When the tunnel is used, changed by reload under a ping to either subnet: every route is as the table says, in its place, and no packet is lost.
for node in a b c d; do ip -n pipit-router route add "$(node_block "$node")" via "$(node_address "$node")"; done
path() { one_line "$(ip -n pipit-node-a route show "$(node_block "$1")" proto 12)"; } # node: node-a's route to its block
paths() { # a pattern for the way to node-b, one for node-c
    # shellcheck disable=SC2053
    [[ $(path b) == $1 && $(path c) == $2 ]]
}
b_direct="* via $(node_address b) dev eth0 " c_direct="* via 10.0.1.254 dev eth0 "
b_tunnel="* via $(node_address b) dev tunl0 onlink " c_tunnel="* via $(node_address c) dev tunl0 onlink "
reload() { # node, sed expression for its configuration
    sed -i "$2" "$state/node-$1.yaml"
    cli "$1" reload --wait >/dev/null 2>&1
}
switch() { # name, tunnel, pattern for node-b, pattern for node-c
    local node status=0
    for node in a b c d; do reload "$node" "s/tunnel: {[^}]*}/tunnel: { $2 }/" || status=1; done
    [ "$status" -eq 0 ] && until_true 5 paths "$3" "$4"; result "$1" $? "$(path b)/ $(path c)"
}
ip -n pipit-node-a monitor route >"$state/monitor" 2>&1 &
monitor=$!
for node in b c; do
    # Not through in_pod: $! would be the function's shell.
    ip netns exec pipit-pod-a stdbuf -oL ping -n -i 0.05 "$(pod_address "$node")" >"$state/ping-$node" 2>&1 &
    eval "ping_$node=\$!"
done
switch always-tunnels-to-all "mode: ipip, when: always, device: tunl0" "$b_tunnel" "$c_tunnel"
two_hops; result always-keeps-both-hops $? "$(one_line "$(ip -n pipit-node-a route show 10.244.200.0/26)")"
switch never-tunnels-to-none "mode: none" "$b_direct" "$c_direct"
switch always-again "mode: ipip, when: always, device: tunl0" "$b_tunnel" "$c_tunnel"
switch cross-subnet-again "mode: ipip, when: crossSubnet, device: tunl0" "$b_direct" "$c_tunnel"

# The node's subnet, as configured: a peer falls out of it. As the interface has it: the other subnet falls into it (the router answers for it).
reload a 's,ipv4: 10\.0\.1\.1/24 },ipv4: 10.0.1.1/31 },' && until_true 5 paths "$b_tunnel" "$c_tunnel"; result narrower-subnet $? "$(path b)/ $(path c)"
reload a 's,ipv4: 10\.0\.1\.1/31 },ipv4: 10.0.1.1 },' && until_true 5 paths "$b_direct" "$c_tunnel"; result subnet-of-the-interface $? "$(path b)/ $(path c)"
ip netns exec pipit-router sysctl -qw net.ipv4.conf.lan1.proxy_arp=1 net.ipv4.neigh.lan1.proxy_delay=0
ip -n pipit-node-a addr add 10.0.1.1/16 dev eth0 && ip -n pipit-node-a addr del 10.0.1.1/24 dev eth0
until_true 5 paths "$b_direct" "* via $(node_address c) dev eth0 "; result wider-interface $? "$(path b)/ $(path c)"
ip -n pipit-node-a addr add 10.0.1.1/24 dev eth0 && ip -n pipit-node-a addr del 10.0.1.1/16 dev eth0
until_true 5 paths "$b_direct" "$c_tunnel"; result narrower-interface $? "$(path b)/ $(path c)"

# The same ways by next hop objects, one of them a group of two tunnel hops; and back.
objects() { ip -n pipit-node-a nexthop show proto 12; }
by_object() { [[ $(path b) == *"nhid "* && $(path c) == *"nhid "* && $(ip -n pipit-node-a route show 10.244.200.0/26 proto 12) == *"nhid "* ]] && two_hops; }
plainly() { [[ $(path b)$(path c) != *nhid* ]] && two_hops && [ -z "$(objects)" ]; }
reload a '$ a kernel: { nexthopObjects: true }' && until_true 5 by_object && paths "$b_direct" "$c_tunnel"; result objects-carry-the-same-hops $? "$(path b)/ $(path c)/ $(one_line "$(objects)")"
switch objects-always "mode: ipip, when: always, device: tunl0" "$b_tunnel" "$c_tunnel"
by_object; result objects-keep-both-hops $? "$(one_line "$(ip -n pipit-node-a route show 10.244.200.0/26)$(objects)")"
before=$(tunnel_counter a tx_packets)
output=$(ping_pods a c 5)
[ "$(received "$output")" = 5 ] && [ $(($(tunnel_counter a tx_packets) - before)) -ge 5 ]; result objects-ping-ipip $? "$(one_line "$output")"
switch objects-cross-subnet "mode: ipip, when: crossSubnet, device: tunl0" "$b_direct" "$c_tunnel"
reload a '/^kernel:/d' && until_true 5 plainly && paths "$b_direct" "$c_tunnel"; result objects-go-when-switched-off $? "$(path b)/ $(path c)/ $(one_line "$(objects)")"
kill "$monitor"
for node in b c; do
    pid=ping_$node
    kill "${!pid}"; wait "${!pid}" 2>/dev/null
    # Every sequence number up to the last one that was answered.
    answered=$(grep -c 'icmp_seq=' "$state/ping-$node") last=$(sed -n 's/.*icmp_seq=\([0-9]*\).*/\1/p' "$state/ping-$node" | sort -n | tail -n 1)
    [ "$answered" -ge 20 ] && [ "$answered" -eq "$last" ]; result "switching-loses-no-packet-to-$node" $? "$answered answers to $last packets"
done
! grep -q '^Deleted 10\.244\.' "$state/monitor"; result switching-deletes-no-route $? "$(one_line "$(grep -c . "$state/monitor") changes, $(grep '^Deleted' "$state/monitor")")"

# One of the two goes: the other next hop stays.
one_hop() { [[ "$(ip -n pipit-node-a route show 10.244.200.0/26 proto 12)" == *"via 10.0.2.3 dev tunl0"* ]] && ! two_hops; }
cli d shutdown --hard >/dev/null 2>&1 || daemon_stop d
until_true 15 one_hop; result ecmp-shrinks $? "$(one_line "$(ip -n pipit-node-a route show 10.244.200.0/26)")"

# It comes back without its tunnel device: what needs it waits and is named, what does not is there; and when the device comes, so do the routes.
ip -n pipit-node-d link set tunl0 down && ip -n pipit-node-d link set tunl0 name away
daemon_start d
until_true 20 cli d wait peers-established --timeout 1s
until_true 10 has_route d "$(node_block c)"; status=$?
line=$(cli d fib --diff 2>&1)
[ "$status" -eq 0 ] && ! has_route d "$(node_block a)" && [[ $line == *"$(node_block a)"*"tunnel device does not exist"* ]]; result missing-tunnel-is-named $? "$(one_line "$line")"
ip -n pipit-node-d link set away name tunl0 && ip -n pipit-node-d link set tunl0 up mtu 1480
through_tunnel() { [[ "$(ip -n pipit-node-d route show "$(node_block a)" proto 12)" == *"via $(node_address a) dev tunl0"*onlink* ]]; }
until_true 5 through_tunnel; result tunnel-that-appears-is-used $? "$(one_line "$(ip -n pipit-node-d route show "$(node_block a)")$(cli d fib --diff 2>&1)")"
output=$(ping_pods d a 3)
[ "$(received "$output")" = 3 ]; result ping-through-it $? "$(one_line "$output")"

# A daemon that stops as for an upgrade, and one that is killed: nothing is lost on the way, in both directions.
restart() { # name, how
    local status before output
    before=$(ip -n pipit-node-c route show proto 12 | sort)
    in_pod a ping -n -q -c 100 -i 0.1 -W 5 "$(pod_address c)" >"$state/ping" 2>&1 &
    local ping=$!
    sleep 0.5
    if [ "$2" = stop ]; then daemon_stop c; else kill -KILL "$(cat "$state/node-c.pid")"; until_true 5 process_gone "$(cat "$state/node-c.pid")"; fi
    status=$?
    sleep 2
    [ "$before" = "$(ip -n pipit-node-c route show proto 12 | sort)" ]; result "$1-keeps-kernel-routes" $? "$(one_line "$(ip -n pipit-node-c route show proto 12)")"
    has_route a "$(node_block c)"; result "$1-peers-keep-its-routes" $? "$(one_line "$(ip -n pipit-node-a route show "$(node_block c)")")"
    daemon_start c
    cli_ready() { cli c wait peers-established --peer node-a --timeout 1s; }
    until_true 30 cli_ready; result "$1-peers-come-back" $? "$(one_line "$(cli c peers 2>&1)")"
    wait "$ping"
    output=$(cat "$state/ping")
    [ "$status" -eq 0 ] && [ "$(received "$output")" = 100 ]; result "$1-loses-no-packet" $? "$(one_line "$output")"
}
restart stop stop
restart kill kill

for node in a b c d; do
    [ -s "$state/node-$node.log" ] && tail -n 15 "$state/node-$node.log" | sed "s/^/LOG node-$node /"
done
exit 0
