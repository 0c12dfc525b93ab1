# Sourced. cleanup_namespaces: ends what still runs in network namespaces that a test left behind (their names start with pipit-, or match the
# expression given), and removes them.
cleanup_namespaces() {
    local name pid pattern=${1:-^pipit-}
    command -v ip >/dev/null || return 0
    for name in $(ip netns list 2>/dev/null | awk -v pattern="$pattern" '$1 ~ pattern { print $1 }'); do
        for pid in $(ip netns pids "$name" 2>/dev/null); do
            kill -9 "$pid" 2>/dev/null
        done
        ip netns delete "$name" 2>/dev/null
    done
    return 0
}
