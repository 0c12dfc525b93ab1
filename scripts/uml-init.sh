#!/bin/bash
# Process 1 of the virtual machine that uml.sh boots: what a test needs of a system, then the command, then the end.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C PIPIT_INSIDE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
# The machine's files are read-only and may have no /lib/modules: modprobe finds its own through a tree on the tmpfs.
mkdir -p /run/uml/lib/modules
ln -s "/usr/lib/uml/modules/$(uname -r)" /run/uml/lib/modules/
modprobe -d /run/uml -a ipip veth bridge
ip link set lo up
if [ -n "${PIPIT_SHELL:-}" ]; then
    # A controlling terminal, for job control and Ctrl-C in the shell.
    TERM=linux setsid --ctty --wait "$@" </dev/console >/dev/console 2>&1
    poweroff -f
fi
echo pipit-uml-begin
"$@" </dev/null
echo "pipit-uml-exit $?"
poweroff -f
