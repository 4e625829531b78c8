#!/bin/sh
# Wait until this boot is complete: sshd, dockerd and the edge image are there.
# Usage: ready.sh SECONDS. Exit code 1 and the missing part when it took longer.
end=$(($(date +%s) + $1))
while :; do
    missing=
    [ -e /run/homeport-lab-seeded ] || missing="$missing edge-image"
    docker info >/dev/null 2>&1 || missing="$missing dockerd"
    ss -Hltn 'sport = :22' | grep -q . || missing="$missing sshd"
    ss -Hltn 'sport = :5010' | grep -q . || missing="$missing registry-relay"
    [ -n "$missing" ] || exit 0
    if [ "$(date +%s)" -ge "$end" ]; then
        echo "not there:$missing"
        exit 1
    fi
    sleep 0.1
done
