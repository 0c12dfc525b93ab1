#!/usr/bin/env bash
# Three nodes exchange pod routes over BGP, and their pods ping each other, directly and through IPIP. Takes what it needs from Debian, builds the binary.
#   ./demo.sh           runs it and cleans up
#   ./demo.sh --keep    leaves the cluster up, for trying the commands
#   ./demo.sh --clean   removes what --keep left
#   ./demo.sh --uml     under user-mode Linux even where this kernel has ipip
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")" || exit 1

keep=0 uml=0 clean=0
for argument in "$@"; do
    case "$argument" in
        --keep) keep=1 ;;
        --uml) uml=1 ;;
        --clean) clean=1 ;;
        *) echo "usage: $0 [--keep] [--uml] | --clean" >&2; exit 2 ;;
    esac
done

if [ "$clean" -eq 0 ] && ! command -v dotnet >/dev/null; then
    cat >&2 <<'END'
The .NET 10 SDK is missing. On Debian: https://learn.microsoft.com/dotnet/core/install/linux-debian
(package dotnet-sdk-10.0 from Microsoft's feed), or the script dotnet-install.sh with --channel 10.0. Then run this again.
END
    exit 1
fi

if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Run as root: the demonstration needs network namespaces, and there is no sudo here." >&2; exit 1; }
    exec sudo -E env "PATH=$PATH" "$(readlink -f "$0")" "$@"
fi

state=/run/pipit-demo
. ./scripts/packages.sh
. ./scripts/cleanup.sh
. ./scripts/cluster.sh
. ./scripts/uml.sh
if [ "$clean" -eq 1 ]; then
    cleanup_namespaces "$cluster_namespaces"
    # ipip makes a tunl0 outside the namespaces too: where the demonstration loaded it, it goes again.
    [ -e "$state/loaded-ipip" ] && modprobe -r ipip 2>/dev/null
    rm -rf "$state"
    exit 0
fi

need_packages gcc zlib1g-dev iproute2 iputils-ping procps kmod || exit 1
# Before anything tries it: trying loads it.
[ -d /sys/module/ipip ] && had_ipip=1 || had_ipip=0
[ "$uml" -eq 1 ] || host_has_ipip || uml=2
if [ "$keep" -eq 1 ] && [ "$uml" -gt 0 ] && ! { [ -t 0 ] && [ -t 1 ]; }; then
    echo "--keep under user-mode Linux ends in a shell inside it, and this is no terminal." >&2
    exit 1
fi
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1
echo "== building the native binary (about a minute)"
dotnet publish src/Bgp.Daemon -c Release -o out -v quiet -clp:NoSummary || exit 1
pipit=$PWD/out/pipit

if [ "$uml" -eq 0 ]; then
    # The script cleans up after itself; this is for one that was killed, or interrupted at a bad moment.
    kept=0
    end() {
        [ "$kept" -eq 1 ] && return
        cleanup_namespaces "$cluster_namespaces"
        rm -rf "$state"
        [ "$had_ipip" -eq 1 ] || modprobe -r ipip 2>/dev/null
    }
    trap end EXIT
    trap 'exit 130' INT TERM HUP
    scripts/demo-cluster.sh "$pipit" "$state" "$keep"
    status=$?
    if [ "$status" -eq 0 ] && [ "$keep" -eq 1 ]; then
        [ "$had_ipip" -eq 1 ] || touch "$state/loaded-ipip"
        kept=1
        echo "Remove it with: ./demo.sh --clean"
    fi
    exit "$status"
fi

[ "$uml" -eq 1 ] || echo "== this kernel has no ipip: the cluster runs under user-mode Linux (an ordinary process, with its own kernel)"
need_packages user-mode-linux || exit 1
trap uml_stop EXIT
trap 'exit 130' INT TERM HUP
if [ "$keep" -eq 1 ]; then
    uml_shell bash -c 'PATH=${1%/*}:$PATH; bash "$2" "$1" "$3" 1; echo; echo "This is a shell inside the machine; exit ends it and everything in it."; PS1="pipit-demo# " exec bash --norc -i' \
        demo "$pipit" "$PWD/scripts/demo-cluster.sh" "$state"
    exit
fi
uml_run 120 bash "$PWD/scripts/demo-cluster.sh" "$pipit" "$state" 0
status=$?
[ "$status" -eq 124 ] && echo "user-mode Linux did not finish in time" >&2
[ "$status" -eq 125 ] && echo "user-mode Linux ended early" >&2
exit "$status"
