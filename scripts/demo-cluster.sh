#!/bin/bash
# The demonstration itself: demo.sh runs it on this machine, or inside user-mode Linux where the kernel has no ipip.
# usage: demo-cluster.sh BINARY STATE KEEP(0|1)      exit status 0 only when every step was right
set -u
here=$(dirname "$(readlink -f "$0")")
pipit=$1 state=$2 keep=$3 nodes="a b c" wrong=0
. "$here/cluster.sh"
. "$here/cleanup.sh"

clean() { cleanup_namespaces "$cluster_namespaces"; rm -rf "$state"; }
trap '[ "$keep" = 1 ] && [ "$wrong" -eq 0 ] || clean' EXIT
trap 'wrong=1; exit 130' INT TERM HUP

heading() { printf '\n== %s\n' "$*"; }
ok() { printf '   ok     %s\n' "$*"; }
bad() { printf '   WRONG  %s\n' "$*"; wrong=1; }
give_up() { bad "$*"; for node in $nodes; do echo "-- log of node-$node"; tail -n 20 "$state/node-$node.log"; done; exit 1; }

kernel_routes() { # node: `ip route` as a table
    ip -n "pipit-node-$1" route | awk '
        function row(a, b, c, d, e) { printf "   %-20s %-11s %-16s %-6s %s\n", a, b, c, d, e }
        BEGIN { row("DESTINATION", "VIA", "DEVICE", "PROTO", "") }
        {
            kind = ""; via = dev = "-"; proto = "boot"; note = ""
            if ($1 ~ /^(blackhole|unreachable|prohibit)$/) { kind = $1; to = $2 } else to = $1
            for (i = 1; i <= NF; i++) {
                if ($i == "via") via = $(i + 1)
                if ($i == "dev") dev = $(i + 1)
                if ($i == "proto") proto = $(i + 1)
                if ($i == "onlink") note = "onlink"
            }
            if (kind != "") note = kind
            if (proto == "boot" && dev ~ /^cali/) note = "pod, written by the agent"
            row(to, via, dev, proto, note)
        }'
}

# ping_path FROM TO WANTED(direct|ipip): pings pod to pod, and says from the tunnel counters and the kernel which way it went.
ping_path() {
    local from=$1 to=$2 sent got output line count took=mixed
    line=$(path_of "$from" "$(pod_address "$to")")
    sent=$(tunnel_counter "$from" tx_packets) got=$(tunnel_counter "$to" rx_packets)
    output=$(in_pod "$from" ping -n -q -c 3 -i 0.2 -W 5 "$(pod_address "$to")")
    sent=$(($(tunnel_counter "$from" tx_packets) - sent)) got=$(($(tunnel_counter "$to" rx_packets) - got))
    count=$(sed -n 's/.* \([0-9]*\) received.*/\1/p' <<<"$output")
    echo "   pod-$from ($(pod_address "$from")) -> pod-$to ($(pod_address "$to"))"
    echo "   ip route get:   $(sed 's/ uid.*//; s/ *$//' <<<"$line")"
    echo "   ping:           $(sed -n 's/^\([0-9]* packets.*\), time.*/\1/p' <<<"$output"), $(sed -n 's/^rtt [^=]*= /min\/avg\/max\/mdev /p' <<<"$output")"
    echo "   tunl0 counters: node-$from sent $sent packets, node-$to received $got"
    [ "$sent" -eq 0 ] && [ "$got" -eq 0 ] && [[ $line == *"dev eth0"* ]] && took=direct
    [ "$sent" -ge 3 ] && [ "$got" -ge 3 ] && [[ $line == *"dev tunl0"* ]] && took=ipip
    if [ "${count:-0}" -eq 3 ] && [ "$took" = "$3" ]; then ok "every answer came, path taken: $took"; else bad "${count:-0} of 3 answers, path taken: $took, wanted: $3"; fi
}

clean
mkdir -p "$state" || exit 1
heading "The cluster: node-a and node-b on 10.0.1.0/24, node-c behind a router on 10.0.2.0/24, one pod on each"
cluster_network $nodes || { bad "the namespaces could not be made"; exit 1; }
for node in $nodes; do
    cluster_config "$node" "" $nodes
    daemon_start "$node"
    echo "   node-$node $(node_address "$node")   block $(node_block "$node")   pod-$node $(pod_address "$node")"
done
until_true 30 has_all_routes $nodes || give_up "the nodes did not learn each other's blocks"
for node in $nodes; do
    cli "$node" wait peers-established --timeout 15s >/dev/null || give_up "node-$node: not every session is established"
done
ok "every session is established, every block is in every kernel"

for node in $nodes; do
    heading "node-$node: pipit peers"
    cli "$node" peers | sed 's/^/   /'
    heading "node-$node: pipit routes"
    cli "$node" routes | sed 's/^/   /'
    heading "node-$node: ip route (proto bird is Pipit's)"
    kernel_routes "$node"
done

heading "Ping inside one subnet: direct"
ping_path a b direct
heading "Ping across the router: through IPIP"
ping_path a c ipip
ping_path c b ipip

heading "node-c's daemon stops (SIGTERM) and starts again, under a ping every 100 ms"
in_pod a ping -n -q -c 50 -i 0.1 -W 5 "$(pod_address c)" >"$state/ping" &
ping=$!
sleep 0.5
if daemon_stop c; then ok "the daemon of node-c has ended"; else bad "the daemon of node-c does not end"; fi
sleep 1
if has_route c "$(node_block a)" && has_route c "$(node_block b)"; then ok "node-c's kernel keeps its routes"; else bad "node-c's kernel lost routes"; fi
if has_route a "$(node_block c)" && has_route b "$(node_block c)"; then ok "node-a and node-b keep theirs to it"; else bad "a neighbour lost the route to node-c"; fi
cli a peers | sed 's/^/   /'
daemon_start c
until_true 15 test -S "$state/node-c.sock"
until_true 30 cli c wait peers-established --timeout 5s && ok "started again, its sessions are established" || bad "its sessions do not come back"
wait "$ping"
summary=$(sed -n 's/^\([0-9]* packets.*\), time.*/\1/p' "$state/ping")
if [[ $summary == "50 packets transmitted, 50 received,"* ]]; then ok "forwarding went on: $summary"; else bad "forwarding was interrupted: $summary"; fi
cli c peers | sed 's/^/   /'

if [ "$wrong" -eq 0 ]; then heading "Everything was right."; else heading "Something was WRONG, see above."; fi
[ "$wrong" -eq 0 ] && [ "$keep" = 1 ] && cat <<END

The cluster stays. Try:
   $pipit --socket $state/node-a.sock peers
   $pipit --socket $state/node-a.sock explain 10.244.3.0/26
   ip netns exec pipit-node-a ip route
   ip netns exec pipit-pod-a ping 10.244.3.2
   tail -f $state/node-a.log
END
exit "$wrong"
