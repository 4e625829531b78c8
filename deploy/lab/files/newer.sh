#!/bin/sh
# Add Debian's newer suite to an image, as the last resort for all but the named packages.
# Usage: newer.sh SUITE PACKAGE...
set -eu
suite=$1
shift
# The image's own first source, whatever mirror it names, with the suite changed.
sed '/^$/,$d' /etc/apt/sources.list.d/debian.sources | sed "s/^Suites:.*/Suites: $suite/" \
    > "/etc/apt/sources.list.d/$suite.sources"
printf 'Package: *\nPin: release n=%s\nPin-Priority: 50\n\nPackage: %s\nPin: release n=%s\nPin-Priority: 995\n' \
    "$suite" "$*" "$suite" > "/etc/apt/preferences.d/$suite"
apt-get -q update
