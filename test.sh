#!/usr/bin/env bash
# Runs every test on a fresh Debian machine: installs what is missing, builds with warnings as errors, tests, and prints one closing line.
#   ./test.sh          everything that CI runs
#   ./test.sh --fast   unit, property and simulation tests only
#   ./test.sh --long   also what takes hours
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")" || exit 1

mode=${1:-}
case "$mode" in
    ''|--fast|--long) ;;
    *) echo "usage: $0 [--fast|--long]" >&2; exit 2 ;;
esac

if ! command -v dotnet >/dev/null; then
    cat >&2 <<'EOF'
The .NET 10 SDK is missing. On Debian: https://learn.microsoft.com/dotnet/core/install/linux-debian
(package dotnet-sdk-10.0 from Microsoft's feed), or the script dotnet-install.sh with --channel 10.0. Then run this again.
EOF
    exit 1
fi

# The tests make network namespaces, write routes and listen on port 179.
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Run as root: the tests need network namespaces, and there is no sudo here." >&2; exit 1; }
    exec sudo -E env "PATH=$PATH" "$(readlink -f "$0")" "$@"
fi

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1
[ "$mode" = --long ] && export PIPIT_LONG=1

. ./scripts/packages.sh
if [ "$mode" = --fast ]; then
    need_packages gcc zlib1g-dev iproute2 || exit 1
else
    need_packages gcc zlib1g-dev iproute2 iputils-ping procps kmod tcpdump tshark bird2 frr gobgpd openbgpd bgpdump pmacct user-mode-linux || exit 1
    bird16=$(unpacked bird "$PWD/out/debian") || { echo "could not get Debian's package bird (BIRD 1.6)" >&2; exit 1; }
    export PIPIT_BIRD16="$bird16/usr/sbin"
fi

log=$(mktemp -d /tmp/pipit-test.XXXXXX)
. ./scripts/cleanup.sh
soak=
trap '[ -z "$soak" ] || kill "$soak" 2>/dev/null; cleanup_namespaces; rm -rf "$log"' EXIT
trap 'exit 130' INT TERM

failed_step=0
echo "== restore and build"
dotnet restore Bgp.sln --locked-mode -v quiet || exit 1
dotnet build Bgp.sln -c Release --no-restore -v quiet -clp:NoSummary || exit 1
echo "== format"
timeout 300 dotnet format whitespace Bgp.sln --no-restore --verify-no-changes || { echo "whitespace differs from .editorconfig: run 'dotnet format whitespace Bgp.sln'" >&2; failed_step=1; }
echo "== native binary"
dotnet publish src/Bgp.Daemon -c Release -o out -v quiet -clp:NoSummary || exit 1
export PIPIT_BINARY="$PWD/out/pipit"

passed=0 failed=0 skipped=0
run_tests() { # name of the result, project, seconds, filter
    timeout --kill-after=10 "$3" dotnet test "$2" -c Release --no-build --nologo -v quiet --filter "$4" \
        --logger "trx;LogFileName=$1.trx" --logger "console;verbosity=minimal" --results-directory "$log" </dev/null
}
count_result() { # name of the result, exit code of run_tests
    local count
    if [ ! -s "$log/$1.trx" ]; then
        echo "$1: no result (exit $2)" >&2
        failed=$((failed + 1))
        return
    fi
    count=$(grep -o '<Counters [^>]*>' "$log/$1.trx" | tail -n 1)
    passed=$((passed + $(counter passed "$count")))
    failed=$((failed + $(counter failed "$count") + $(counter error "$count") + $(counter timeout "$count") + $(counter aborted "$count")))
    skipped=$((skipped + $(counter notExecuted "$count")))
    if [ "$2" -ne 0 ] && [ "$(counter failed "$count")" -eq 0 ]; then
        echo "$1: the runner ended with $2" >&2
        failed=$((failed + 1))
    fi
}
run_project() { # project, seconds
    echo "== $(basename "$1")"
    run_tests "$(basename "$1")" "$1" "$2" 'FullyQualifiedName!~SoakTests'
    count_result "$(basename "$1")" $?
}
counter() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$2" | head -n 1 | grep . || echo 0; }

unit="tests/Bgp.Protocol.Tests tests/Rib.Tests tests/Bgp.Daemon.Tests tests/Bgp.Fuzz.Tests"
host="tests/Bgp.Interop.Tests tests/Bgp.Dataplane.Tests"
if [ "$mode" != --fast ]; then
    # Sessions with the four real daemons must stay up for ten minutes, which pass beside everything else.
    soak_seconds=${PIPIT_SOAK_SECONDS:-600}
    unset PIPIT_SOAK_SECONDS
    PIPIT_SOAK_SECONDS=$soak_seconds run_tests soak tests/Bgp.Interop.Tests $((soak_seconds + 600)) 'FullyQualifiedName~SoakTests' >"$log/soak.out" 2>&1 &
    soak=$!
fi
for project in $unit; do
    run_project "$project" "$([ "$mode" = --long ] && echo 21600 || echo 600)"
done
if [ "$mode" != --fast ]; then
    for project in $host; do
        run_project "$project" "$([ "$mode" = --long ] && echo 21600 || echo 1800)"
    done
    echo "== soak: $soak_seconds s in the background"
    wait "$soak"
    count_result soak $?
    cat "$log/soak.out"
    soak=
fi

[ "$failed_step" -ne 0 ] && failed=$((failed + 1))
[ $((passed + failed)) -eq 0 ] && failed=1
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
