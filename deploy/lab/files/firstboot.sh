#!/bin/sh
# What a fresh system does once: host keys of its own, never those of the image.
set -eu
[ -s /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -A
mkdir -p /run/sshd
