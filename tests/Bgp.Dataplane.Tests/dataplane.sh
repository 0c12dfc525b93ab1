#!/bin/bash
# Runs inside user-mode Linux (Machine.cs boots it): four nodes on two subnets, real pings, and one line `RESULT name ok|FAIL detail` for each thing
# that DataplaneTests.cs asserts. Arguments: the repository, the binary.
set -u
root=$1 pipit=$2 state=/run/pipit-test
. "$root/scripts/cluster.sh"
mkdir -p "$state"

result() { # name, status, detail
    echo "RESULT $1 $([ "$2" -eq 0 ] && echo ok || echo FAIL) $3"
}
one_line() { tr -s '\n\t ' ' ' <<<"$*"; }
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

# One of the two goes: the other next hop stays.
one_hop() { [[ "$(ip -n pipit-node-a route show 10.244.200.0/26 proto 12)" == *"via 10.0.2.3 dev tunl0"* ]] && ! two_hops; }
cli d shutdown --hard >/dev/null 2>&1 || daemon_stop d
until_true 15 one_hop; result ecmp-shrinks $? "$(one_line "$(ip -n pipit-node-a route show 10.244.200.0/26)")"

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
