#!/usr/bin/env bash
# Measures Pipit against BIRD, FRR, OpenBGPD and GoBGP from Debian on this machine, and prints one table.
#   bench/run.sh [--quick] [--rounds N] [--peers pipit,bird,frr,openbgpd,gobgp,null] [SCENARIO...]
#   bench/run.sh binary             size of the binary, start, idle and loaded memory
#   --pipit PATH                    this binary instead of building one
#   --only PEER                     the same as --peers PEER
#   --limit SECONDS                 when a phase is given up (100)
#   --update                        a partial run replaces what it measured in the committed results
#   --perf FILE                     perf record -g of the daemon (with one scenario, one peer, --rounds 1)
# A run of everything writes bench/results/ and docs/bench.svg. How it measures: bench/README.md.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Run as root: the measurements need network namespaces, and there is no sudo here." >&2; exit 1; }
    exec sudo -E env "PATH=$PATH" "$(readlink -f "$0")" "$@"
fi

command -v dotnet >/dev/null || { echo "The .NET 10 SDK is missing: https://learn.microsoft.com/dotnet/core/install/linux-debian" >&2; exit 1; }
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1

pipit='' everything=1 update=0 words=()
verb=run
while [ $# -gt 0 ]; do
    case "$1" in
        --pipit) pipit=$(readlink -f "$2"); shift ;;
        --quick) everything=0; words+=("$1") ;;
        --peers|--only|--limit|--perf) everything=0; words+=("$1" "$2"); shift ;;
        --update) update=1 ;;
        --rounds) words+=("$1" "$2"); shift ;;
        -h|--help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
        binary) everything=0; verb=binary ;;
        *) everything=0; words+=("$1") ;;
    esac
    shift
done

. "$here/../scripts/packages.sh"
. "$here/../scripts/cleanup.sh"
need_packages gcc zlib1g-dev iproute2 procps bird2 frr gobgpd openbgpd || exit 1

if [ -z "$pipit" ]; then
    pipit="$here/../out/pipit"
    dotnet publish "$here/../src/Bgp.Daemon" -c Release -o "$here/../out" -v quiet -clp:NoSummary || exit 1
fi
load="$here/out/bgp-load"
if [ ! -x "$load" ] || [ -n "$(find "$here/Bgp.Load" -newer "$load" \( -name '*.cs' -o -name '*.csproj' \) -not -path '*/obj/*' -print -quit)" ]; then
    dotnet publish "$here/Bgp.Load" -c Release -o "$here/out" -v quiet -clp:NoSummary || exit 1
fi

# Its own names for namespaces and files, so that nothing of another run is cleaned up.
export PIPIT_BENCH_TAG=$$
TMPDIR=$(mktemp -d /tmp/pipit-bench.XXXXXX) && chmod 755 "$TMPDIR" || exit 1
export TMPDIR
group=/proc/self/autogroup
trap 'cleanup_namespaces "^pipit-bench-$PIPIT_BENCH_TAG-"; rm -rf "$TMPDIR"; [ "$priority" -eq 0 ] || [ ! -w "$group" ] || echo 0 >"$group"' EXIT
trap 'exit 130' INT TERM
priority=0
if [ "$everything" -eq 1 ] || [ "$update" -eq 1 ]; then
    words+=(--results "$here/results" --chart "$here/../docs/bench.svg")
    # What is written down must depend as little as may be on what else the machine does.
    # Where the kernel groups tasks by session, a nice value counts inside the session alone; the session has one too.
    priority=-20
    [ ! -w "$group" ] || echo "$priority" >"$group"
fi
nice -n "$priority" "$load" "$verb" --pipit "$pipit" "${words[@]}"
