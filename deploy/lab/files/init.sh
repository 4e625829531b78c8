#!/bin/sh
# The init of the flavour without systemd. /run is a tmpfs, so every start is a boot: no stale
# pid file or socket of a killed daemon, and cron runs its @reboot lines.
set -u
home=/usr/local/lib/homeport-lab
mkdir -p /run/lock
sh "$home/firstboot.sh"
/usr/sbin/sshd
dockerd >>/var/log/dockerd.log 2>&1 &
/usr/sbin/cron
sh "$home/relay.sh" &
sh "$home/seed.sh" >>/var/log/homeport-lab-seed.log 2>&1 &
trap 'kill $(cat /run/docker.pid 2>/dev/null) 2>/dev/null; exit 0' TERM INT
while :; do
    sleep 3600 &
    wait $!
done
