#!/usr/bin/env bash
# Builds out/pipit_VERSION_ARCH.deb from out/pipit, which is published first unless PIPIT_BINARY names one. Needs dpkg-deb.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
binary=${PIPIT_BINARY:-}
if [ -z "$binary" ]; then
    dotnet publish src/Bgp.Daemon -c Release -o out -v quiet -clp:NoSummary
    binary=$PWD/out/pipit
fi
version=$("$binary" version | sed 's/^pipit //')
architecture=$(dpkg --print-architecture)
mkdir -p out
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

put() { install -D -m "$1" "$2" "$root/$3"; }
put 755 "$binary" usr/bin/pipit
put 644 deploy/pipit.service usr/lib/systemd/system/pipit.service
put 644 deploy/pipit.sysusers usr/lib/sysusers.d/pipit.conf
put 644 deploy/pipit.8 usr/share/man/man8/pipit.8
gzip -9n "$root/usr/share/man/man8/pipit.8"
put 644 conf/config.schema.json usr/share/pipit/config.schema.json
for file in *.md docs/*.md LICENSE; do put 644 "$file" "usr/share/doc/pipit/$(basename "$file")"; done
for file in conf/*.yaml; do put 644 "$file" "usr/share/doc/pipit/examples/$(basename "$file")"; done
mkdir -p "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d" "$root/etc/pipit"
"$binary" completion bash >"$root/usr/share/bash-completion/completions/pipit"
"$binary" completion zsh >"$root/usr/share/zsh/vendor-completions/_pipit"
"$binary" completion fish >"$root/usr/share/fish/vendor_completions.d/pipit.fish"

mkdir "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<END
Package: pipit
Version: $version
Architecture: $architecture
Maintainer: The Pipit authors <pipit@localhost>
Section: net
Priority: optional
Depends: libc6 (>= 2.36)
Recommends: systemd
Installed-Size: $(du -sk "$root" | cut -f1)
Description: BGP routing daemon for cluster nodes and route reflectors
 Learns pod routes from the kernel, exchanges them over BGP, and installs what
 it learns, directly or through IPIP. Takes BIRD's place in Calico clusters.
END
# The service is neither enabled nor started: there is no configuration yet.
cat >"$root/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    command -v systemd-sysusers >/dev/null && systemd-sysusers pipit.conf || true
    [ -d /run/systemd/system ] && systemctl daemon-reload || true
fi
END
chmod 755 "$root/DEBIAN/postinst"
package=out/pipit_${version}_${architecture}.deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
