#!/bin/sh
# Gather one program, the libraries it is linked to, and a busybox around it, under /out.
# Usage: bundle.sh PROGRAM
set -eu
program=$1
mkdir -p /out/bin /out/etc/ssl/certs /out/usr/bin /out/tmp /out/srv /out/data /out/config
chmod 1777 /out/tmp
cp /bin/busybox /out/bin/busybox
for name in $(/bin/busybox --list); do
    [ "$name" = busybox ] || ln -s busybox "/out/bin/$name"
done
cp "$program" /out/usr/bin/
for library in $(ldd "$program" 2>/dev/null | grep -o '/[^ )]*' | sort -u); do
    mkdir -p "/out$(dirname "$library")"
    cp -L "$library" "/out$library"
done
cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' > /out/etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' > /out/etc/group
printf 'hosts: files dns\n' > /out/etc/nsswitch.conf
