# Sourced. User-mode Linux: a kernel with ipip that runs as an ordinary process on this machine's own (read-only) files, for hosts whose kernel has none.

# host_has_ipip: whether a namespace here can have an IPIP tunnel, a bridge and a veth pair.
host_has_ipip() {
    local name=pipit-probe-$$ ok=1
    ip netns add "$name" 2>/dev/null || return 1
    ip -n "$name" link add br type bridge 2>/dev/null && ip -n "$name" link add v0 type veth peer name v1 2>/dev/null &&
        { ip -n "$name" link show tunl0 >/dev/null 2>&1 || ip -n "$name" tunnel add tunl0 mode ipip 2>/dev/null; } && ok=0
    ip netns delete "$name"
    return "$ok"
}

# uml_script FILE COMMAND...: what the machine runs as its first process.
uml_script() {
    local file=$1; shift
    # The path of init must hold no space, so the command goes into a script.
    {
        echo '#!/bin/bash'
        printf 'exec /bin/bash %q' "$(readlink -f "${BASH_SOURCE[0]%/*}/uml-init.sh")"
        printf ' %q' "$@"
        echo
    } >"$file"
    chmod 755 "$file"
}

# uml_run SECONDS COMMAND...: boots, runs the command as root inside, prints what it prints, and returns its exit status; 124 when the time was over,
# 125 when the machine ended without a word. uml_pid is the machine's process group while it runs.
uml_run() {
    local seconds=$1 directory status; shift
    directory=$(mktemp -d /tmp/pipit-uml.XXXXXX) || return 125
    uml_script "$directory/init" "$@"
    mkfifo "$directory/console"
    TMPDIR=/tmp setsid timeout --foreground --kill-after=2 "$seconds" linux.uml mem=512M root=/dev/root rootfstype=hostfs rootflags=/ ro "init=$directory/init" \
        con=null con0=fd:0,fd:1 quiet </dev/null >"$directory/console" 2>/dev/null &
    uml_pid=$!
    uml_directory=$directory
    # In the background, so that a trap of the caller runs at once.
    uml_console "$directory/status" <"$directory/console" &
    wait $!
    wait "$uml_pid"; status=$?
    [ "$status" -eq 124 ] || status=125
    [ -s "$directory/status" ] && status=$(cat "$directory/status")
    uml_stop
    return "$status"
}

# uml_console FILE: passes on what the command prints (the kernel talks before and after it), and writes its exit status to the file.
uml_console() {
    local line on=
    while IFS= read -r line; do
        line=${line%$'\r'}
        case "$line" in
            pipit-uml-begin) on=1 ;;
            pipit-uml-exit\ *) echo "${line#* }" >"$1"; on= ;;
            *) [ -n "$on" ] && printf '%s\n' "$line" ;;
        esac
    done
    return 0
}

# uml_shell COMMAND...: the same on the caller's terminal, for commands that end in a shell.
uml_shell() {
    local saved status=125
    uml_directory=$(mktemp -d /tmp/pipit-uml.XXXXXX) || return 125
    uml_script "$uml_directory/init" "$@"
    saved=$(stty -g)
    TMPDIR=/tmp linux.uml mem=512M root=/dev/root rootfstype=hostfs rootflags=/ ro "init=$uml_directory/init" \
        con=null con0=fd:0,fd:1 quiet PIPIT_SHELL=1 2>/dev/null
    status=$?
    stty "$saved"
    uml_stop
    return "$status"
}

# uml_stop: ends the machine, whatever it does; also for traps.
uml_stop() {
    [ -n "${uml_pid:-}" ] && kill -KILL -- "-$uml_pid" 2>/dev/null
    [ -n "${uml_directory:-}" ] && rm -rf "$uml_directory"
    uml_pid= uml_directory=
    return 0
}
