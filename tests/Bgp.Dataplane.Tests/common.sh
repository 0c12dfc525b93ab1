# Sourced by the scripts that run inside user-mode Linux: where the nodes are kept, and one line `RESULT name ok|FAIL detail` for each thing that a test asserts (Machine.cs).
# Arguments of such a script: the repository, the binary.
root=$1 pipit=$2 state=/run/pipit-test
. "$root/scripts/cluster.sh"
mkdir -p "$state"

result() { # name, status, detail
    echo "RESULT $1 $([ "$2" -eq 0 ] && echo ok || echo FAIL) $3"
}
one_line() { tr -s '\n\t ' ' ' <<<"$*"; }
