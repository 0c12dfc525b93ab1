#!/bin/bash
# Runs inside user-mode Linux without IPv6 (Ipv4OnlyTests.cs boots it); results as in dataplane.sh. Arguments: the repository, the binary.
set -u
. "${BASH_SOURCE[0]%/*}/common.sh"

[ ! -e /proc/net/if_inet6 ] && [ ! -e /proc/sys/net/ipv6 ]; result no-ipv6 $? "$(one_line "$(cat /proc/cmdline)")"

cluster_network a b c || { result network 1 "could not be built"; exit 1; }
for node in a b c; do
    cluster_config "$node" "" a b c
    sed -i 's/timers: { connectRetry: 1s }/&, bfd: { interval: 300ms }, multihop: 5/' "$state/node-$node.yaml"
    daemon_start "$node"
done

with_bfd() {
    local node
    for node in a b c; do
        cli "$node" wait peers-established --timeout 1s >/dev/null 2>&1 && [ "$(cli "$node" peers -o json | grep -o '"state": *"up"' | wc -l)" -eq 2 ] || return 1
    done
}
until_true 40 with_bfd; result peers $? "$(one_line "$(cli a peers 2>&1)" "$(cli a peer node-b 2>&1)")"
until_true 20 has_all_routes a b c; result routes $? "$(one_line "$(ip -n pipit-node-a route show proto 12)")"
output=$(in_pod a ping -n -q -c 5 -i 0.1 -W 5 "$(pod_address c)")
[[ $output == *" 5 received"* ]]; result ping-ipip $? "$(one_line "$output")"

# A borrowed address: of a block that is not this node's.
borrowed=10.244.77.7
ip -n pipit-node-a route add "$borrowed" dev cali00000000001 scope link
until_true 10 has_route c "$borrowed"; status=$?
ip -n pipit-node-a route del "$borrowed"
gone() { ! has_route c "$borrowed"; }
until_true 10 gone && [ "$status" -eq 0 ]; result pod-route $? "$(one_line "$(ip -n pipit-node-c route show proto 12)")"

lines=$(grep -F '[::]' "$state/node-a.log")
[ "$(wc -l <<<"$lines")" -eq 1 ] && [[ $lines == *" info "*"not listening on [::]:179: this kernel has no such address family"* ]] && [[ $(cli a status) != *"Not listening"* ]]
result said-once $? "$(one_line "$lines")"

for node in a b c; do
    tail -n 15 "$state/node-$node.log" | sed "s/^/LOG node-$node /"
done
exit 0
