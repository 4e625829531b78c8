#!/bin/sh
# Give the host's Docker the edge image under the official name, once it answers.
set -eu
for _ in $(seq 300); do
    if docker info >/dev/null 2>&1; then break; fi
    sleep 0.1
done
if ! docker image inspect caddy:2.11.4 >/dev/null 2>&1; then
    docker load -q -i /usr/local/lib/homeport-lab/edge.tar
    docker tag homeport-lab/caddy:2.11.4 caddy:2.11.4
    docker image rm homeport-lab/caddy:2.11.4
fi
touch /run/homeport-lab-seeded
