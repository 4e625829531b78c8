#!/bin/sh
# What a lab host with a disk of its own does before its init: /opt and Docker's data lie on one
# ext4 in a file. The kernel writes nothing of it out by itself for ten minutes, so that what
# nobody synced is still missing when the power goes. Usage: disk.sh INIT [ARGUMENT...]
set -eu
store=/var/lib/homeport-lab
# a kernel makes more of them when they are asked for; a container has only those of its start
for number in $(seq 0 31); do
    [ -e "/dev/loop$number" ] || mknod -m 660 "/dev/loop$number" b 7 "$number"
done
if [ ! -e "$store/disk.img" ]; then
    truncate -s 16G "$store/new.img"
    mkfs.ext4 -q -F -m 0 -i 65536 -E lazy_itable_init=0,lazy_journal_init=0 "$store/new.img"
    mv "$store/new.img" "$store/disk.img"
fi
# after a power cut the kernel may still hold it for a moment
while [ -n "$(losetup -j "$store/disk.img")" ]; do sleep 0.05; done
mkdir -p /disk
mount -o loop,commit=600 "$store/disk.img" /disk
mkdir -p /disk/opt /disk/docker /var/lib/docker
mount --bind /disk/opt /opt
mount --bind /disk/docker /var/lib/docker
exec "$@"
