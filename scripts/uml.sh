# Sourced. User-mode Linux: a kernel with ipip that runs as an ordinary process on this machine's own (read-only) files, for hosts whose kernel has none.

# host_has_ipip: whether a namespace here can have an IPIP tunnel, a bridge and a veth pair.
host_has_ipip() {
    local name=pipit-probe-$$ ok=1
    ip netns add "$name" 2>/dev/null || return 1
    ip -n "$name" link add br0 type bridge 2>/dev/null && ip -n "$name" link add v0 type veth peer name v1 2>/dev/null &&
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

# uml_run SECONDS COMMAND...: boots (with UML_ARGUMENTS for the kernel), runs the command as root inside, prints what it prints, and returns its exit status; 124 when the time
# was over, 125 when the machine ended without a word. uml_pid is the machine's first process while it runs.
uml_run() {
    local seconds=$1 directory status; shift
    directory=$(mktemp -d /tmp/pipit-uml.XXXXXX) || return 125
    uml_script "$directory/init" "$@"
    mkfifo "$directory/console"
    TMPDIR=/tmp linux.uml mem=512M root=/dev/root rootfstype=hostfs rootflags=/ ro "init=$directory/init" \
        con=null con0=fd:0,fd:1 quiet ${UML_ARGUMENTS:-} </dev/null >"$directory/console" 2>/dev/null &
    uml_pid=$!
    uml_directory=$directory
    # In the background, so that a trap of the caller runs at once.
    uml_console "$seconds" "$directory/status" <"$directory/console" &
    wait $!
    status=$(cat "$directory/status" 2>/dev/null)
    uml_stop
    return "${status:-125}"
}

# uml_console SECONDS FILE: passes on what the command prints (the kernel talks before and after it), and writes its exit status to the file.
uml_console() {
    local line on= end=$((SECONDS + $1))
    while [ "$SECONDS" -lt "$end" ]; do
        IFS= read -r -t $((end - SECONDS)) line
        case $? in
            0) ;;
            1) return 0 ;; # the machine has closed its console
            *) break ;;
        esac
        line=${line%$'\r'}
        case "$line" in
            pipit-uml-begin) on=1 ;;
            pipit-uml-exit\ *) echo "${line#* }" >"$2"; return 0 ;;
            *) [ -n "$on" ] && printf '%s\n' "$line" ;;
        esac
    done
    echo 124 >"$2"
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
    if [ -n "${uml_pid:-}" ]; then
        # It makes itself the leader of a group in its first moments: by process and by group.
        kill -KILL -- "-$uml_pid" "$uml_pid" 2>/dev/null
        wait "$uml_pid" 2>/dev/null
    fi
    [ -n "${uml_directory:-}" ] && rm -rf "$uml_directory"
    uml_pid= uml_directory=
    return 0
}
