# Sourced by demo.sh and by the data plane tests. A small cluster in network namespaces, wired as Calico wires one:
#
#   pod-a - node-a --\                          /-- node-c - pod-c
#                     10.0.1.0/24 - router - 10.0.2.0/24
#   pod-b - node-b --/                          \-- node-d - pod-d     (node-d only where the caller asks for it)
#
# Each node has its daemon, tunl0, a block 10.244.N.0/26 and one pod 10.244.N.2: a namespace behind a cali* veth with proxy ARP, and
# the route that Calico's agent writes for it. The pool asks for IPIP between subnets only.
# The caller sets: pipit (the binary), state (a directory for configurations, sockets, logs and pids).

cluster_namespaces='^pipit-(router|(node|pod)-[a-d])$'
node_number() { case "$1" in a) echo 1 ;; b) echo 2 ;; c) echo 3 ;; d) echo 4 ;; esac; }
node_subnet() { case "$1" in a|b) echo 1 ;; *) echo 2 ;; esac; }
node_address() { echo "10.0.$(node_subnet "$1").$(node_number "$1")"; }
node_block() { echo "10.244.$(node_number "$1").0/26"; }
pod_address() { echo "10.244.$(node_number "$1").2"; }
in_node() { local node=$1; shift; ip netns exec "pipit-node-$node" "$@"; }
in_pod() { local node=$1; shift; ip netns exec "pipit-pod-$node" "$@"; }
cli() { local node=$1; shift; "$pipit" --socket "$state/node-$node.sock" "$@"; }

# until_true SECONDS COMMAND...: polls, since a virtual machine's first start may be slow; fails when the time is over.
until_true() {
    local end=$((SECONDS + $1)); shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

cluster_network() { # node...
    local node n link
    ip netns add pipit-router || return 1
    ip -n pipit-router link set lo up
    for n in 1 2; do
        ip -n pipit-router link add "lan$n" type bridge forward_delay 0 || return 1
        ip -n pipit-router addr add "10.0.$n.254/24" dev "lan$n"
        ip -n pipit-router link set "lan$n" up
    done
    ip netns exec pipit-router sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
    for node in "$@"; do
        n=$(node_number "$node") link=cali$(printf '%011x' "$n")
        ip netns add "pipit-node-$node" && ip netns add "pipit-pod-$node" || return 1
        ip -n "pipit-node-$node" link set lo up
        ip -n "pipit-pod-$node" link set lo up
        in_node "$node" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0

        ip link add eth0 netns "pipit-node-$node" type veth peer name "node-$node" netns pipit-router || return 1
        ip -n pipit-router link set "node-$node" master "lan$(node_subnet "$node")" up
        ip -n "pipit-node-$node" addr add "$(node_address "$node")/24" dev eth0
        ip -n "pipit-node-$node" link set eth0 up
        ip -n "pipit-node-$node" route add default via "10.0.$(node_subnet "$node").254"

        # It exists already where the kernel makes a fallback tunnel in every namespace.
        ip -n "pipit-node-$node" link show tunl0 >/dev/null 2>&1 || ip -n "pipit-node-$node" tunnel add tunl0 mode ipip || return 1
        ip -n "pipit-node-$node" addr add "10.244.$n.1/32" dev tunl0
        ip -n "pipit-node-$node" link set tunl0 up mtu 1480

        ip link add eth0 netns "pipit-pod-$node" type veth peer name "$link" netns "pipit-node-$node" || return 1
        ip -n "pipit-node-$node" link set "$link" up
        in_node "$node" sysctl -qw "net.ipv4.conf.$link.proxy_arp=1" "net.ipv4.neigh.$link.proxy_delay=0"
        ip -n "pipit-pod-$node" addr add "$(pod_address "$node")/32" dev eth0
        ip -n "pipit-pod-$node" link set eth0 up
        ip -n "pipit-pod-$node" route add 169.254.1.1 dev eth0 scope link
        ip -n "pipit-pod-$node" route add default via 169.254.1.1 dev eth0
        ip -n "pipit-node-$node" route add "$(pod_address "$node")" dev "$link" scope link proto 3 || return 1
    done
}

# cluster_config NODE EXTRA NODES...: EXTRA is a line for `originate:`, or empty.
cluster_config() {
    local node=$1 extra=$2 other; shift 2
    {
        echo "version: 1"
        echo "node: { name: node-$node, asn: 64512, ipv4: $(node_address "$node")/24 }"
        echo "pools:"
        echo "  - { name: pods, cidr: 10.244.0.0/16, blockSize: 26, tunnel: { mode: ipip, when: crossSubnet, device: tunl0 } }"
        echo "originate:"
        echo "  - { prefix: $(node_block "$node"), kind: blackhole }"
        [ -z "$extra" ] || echo "  - $extra"
        echo "peerGroups:"
        echo "  mesh: { asn: 64512, nextHop: self, timers: { connectRetry: 1s } }"
        echo "mesh:"
        echo "  group: mesh"
        echo "  nodes:"
        for other in "$@"; do
            echo "    - { name: node-$other, ipv4: $(node_address "$other") }"
        done
    } >"$state/node-$node.yaml"
}

daemon_start() {
    # Not through in_node: $! would be the function's shell, not the daemon.
    ip netns exec "pipit-node-$1" "$pipit" run --config "$state/node-$1.yaml" --socket "$state/node-$1.sock" </dev/null >>"$state/node-$1.log" 2>&1 &
    echo $! >"$state/node-$1.pid"
    # The shell must not report the end of a job that is stopped on purpose.
    disown
}

# daemon_stop NODE: SIGTERM, and waits until the process is gone.
daemon_stop() {
    local pid
    pid=$(cat "$state/node-$1.pid") || return 1
    kill -TERM "$pid" || return 1
    until_true 15 process_gone "$pid"
}
process_gone() { ! kill -0 "$1"; }

has_route() { [ -n "$(ip -n "pipit-node-$1" route show "$2" proto 12)" ]; } # node, prefix
has_all_routes() { # nodes...
    local node other
    for node in "$@"; do
        for other in "$@"; do
            has_route "$node" "$(node_block "$other")" || return 1
        done
    done
}
tunnel_counter() { in_node "$1" cat "/sys/class/net/tunl0/statistics/$2"; } # node, tx_packets | rx_packets
# path_of NODE ADDRESS: the line `… via X dev Y …` by which the node forwards to it.
path_of() { ip -n "pipit-node-$1" route get "$2" | head -n 1; }
