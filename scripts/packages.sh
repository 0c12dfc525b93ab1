# Sourced by demo.sh, test.sh and bench/run.sh. need_packages NAME...: installs Debian packages that are missing, starting none of their services.
need_packages() {
    local missing=() name policy=/usr/sbin/policy-rc.d made=0 status
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ "${#missing[@]}" -eq 0 ] && return 0
    echo "== installing: ${missing[*]}"
    if [ ! -e "$policy" ]; then
        # A routing daemon started by its package would fight over the host's own routes.
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=1
    fi
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } </dev/null >/tmp/pipit-apt.log 2>&1
    status=$?
    [ "$made" -eq 1 ] && rm -f "$policy"
    if [ "$status" -ne 0 ]; then
        echo "could not install ${missing[*]}:" >&2
        tail -n 20 /tmp/pipit-apt.log >&2
    fi
    return "$status"
}

# unpacked NAME DIRECTORY: prints where the files of a Debian package are, unpacked and not installed: for one that conflicts with another that is needed
# too (BIRD 1.6 beside BIRD 2).
unpacked() {
    local name=$1 directory=$2
    if [ ! -d "$directory/$name" ]; then
        mkdir -p "$directory/$name.part" || return 1
        (
            cd "$directory/$name.part" || exit 1
            apt-get download -qq -o APT::Sandbox::User=root "$name" || { apt-get update -qq && apt-get download -qq -o APT::Sandbox::User=root "$name"; }
        ) </dev/null >/tmp/pipit-apt.log 2>&1 || { tail -n 5 /tmp/pipit-apt.log >&2; return 1; }
        dpkg-deb -x "$directory/$name.part/$name"_*.deb "$directory/$name.part" || return 1
        mv "$directory/$name.part" "$directory/$name" || return 1
    fi
    echo "$directory/$name"
}
