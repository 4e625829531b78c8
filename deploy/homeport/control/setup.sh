#!/bin/sh
# homeport setup, the part that needs root: sh -s -- APP [PUBLIC-KEY] [offsite]
# Running it again changes nothing that is already so. All of it stands in functions: it comes on
# stdin, and nothing it calls may read the rest of it away.
set -eu

home=/opt/homeport
user=homeport

say() { printf '%s\n' "$*"; }

make_user() {
    if ! id "$user" >/dev/null 2>&1; then
        if command -v useradd >/dev/null 2>&1; then
            useradd --system --user-group --home-dir "$home" --no-create-home --shell /bin/sh "$user"
            # no password, and yet not locked: sshd without PAM lets no locked user in
            usermod -p '*' "$user"
        else
            addgroup -S "$user"
            adduser -S -D -H -h "$home" -s /bin/sh -G "$user" "$user"
            printf '%s:*\n' "$user" | chpasswd -e
        fi
        say "user $user: made"
    fi
    case " $(id -nG "$user") " in
    *" docker "*) ;;
    *)
        if command -v usermod >/dev/null 2>&1; then
            usermod -aG docker "$user"
        else
            addgroup "$user" docker
        fi
        say "group docker: $user is in it now"
        ;;
    esac
}

folder() { # PATH MODE: made if missing; only its own owner and mode are set, never what is in it
    if [ ! -d "$1" ]; then
        mkdir -p "$1"
        say "$1: made"
    fi
    chown "$user:$user" "$1"
    chmod "$2" "$1"
}

make_folders() {
    folder "$home" 755
    folder "$home/agent" 755
    folder "$home/edge" 755
    folder "$home/run" 700
    folder "/opt/$app" 755
    for part in logs releases scripts; do
        folder "/opt/$app/$part" 755
    done
    # copies of everything the app holds are nobody else's business
    folder "/opt/$app/backups" 700
    # the app's own folder: once it is there, it belongs to the image's user
    [ -d "/opt/$app/data" ] || folder "/opt/$app/data" 755
    if [ ! -e "/opt/$app/app.env" ]; then
        (umask 077 && : >"/opt/$app/app.env")
        say "/opt/$app/app.env: made, empty"
    fi
    chown "$user:$user" "/opt/$app/app.env"
    chmod 600 "/opt/$app/app.env"
}

bring_restic() {
    if ! command -v restic >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
        DEBIAN_FRONTEND=noninteractive apt-get -q update >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends restic >/dev/null
        say "restic: installed"
    fi
}

make_keys() { # the file in which a person writes the repository's password
    if [ ! -e "/opt/$app/restic.env" ]; then
        (umask 077 && : >"/opt/$app/restic.env")
        say "/opt/$app/restic.env: made, empty"
    fi
    chown "$user:$user" "/opt/$app/restic.env"
    chmod 600 "/opt/$app/restic.env"
}

authorise() {
    [ -n "$key" ] || return 0
    folder "$home/.ssh" 700
    touch "$home/.ssh/authorized_keys"
    if ! grep -qxF -- "$key" "$home/.ssh/authorized_keys"; then
        printf '%s\n' "$key" >>"$home/.ssh/authorized_keys"
        say "your key: $user lets it in now"
    fi
    chown "$user:$user" "$home/.ssh/authorized_keys"
    chmod 600 "$home/.ssh/authorized_keys"
}

make_script() { # NAME: runs what the agent that is in use then has under that name
    cat >"$home/$1.new" <<SCRIPT
#!/bin/sh
# written by homeport setup: $2
[ -e $home/agent/current/homeport/host/$1.py ] || exit 0
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec python3 -I -c "import sys; sys.path.insert(0, '$home/agent/current'); from homeport.host.$1 import main; sys.exit(main())"
SCRIPT
    chown "$user:$user" "$home/$1.new"
    chmod 755 "$home/$1.new"
    mv "$home/$1.new" "$home/$1"
}

unit() { # NAME: a unit of systemd's from stdin, written where it differs
    at=/etc/systemd/system/$1
    cat >"$at.new"
    chmod 644 "$at.new"
    if cmp -s "$at.new" "$at"; then
        rm "$at.new"
    else
        mv "$at.new" "$at"
        systemctl daemon-reload
        say "$at: written"
    fi
}

hook_systemd() {
    unit homeport-boot.service <<'UNIT'
[Unit]
Description=Homeport: bring every app back to its committed release
Wants=docker.service network-online.target
After=docker.service network-online.target

[Service]
Type=oneshot
User=homeport
ExecStart=/opt/homeport/boot
TimeoutStartSec=300

[Install]
WantedBy=multi-user.target
UNIT
    # a backup takes as long as it takes: no second one is begun while it goes on
    unit homeport-schedule.service <<'UNIT'
[Unit]
Description=Homeport: make the backups that are due
After=docker.service homeport-boot.service

[Service]
Type=oneshot
User=homeport
ExecStart=/opt/homeport/schedule
TimeoutStartSec=infinity
UNIT
    unit homeport-schedule.timer <<'UNIT'
[Unit]
Description=Homeport: look every quarter of an hour, and after a boot, which backups are due

[Timer]
OnCalendar=*:0/15
OnBootSec=2min

[Install]
WantedBy=timers.target
UNIT
    systemctl --quiet enable homeport-boot.service
    loginctl enable-linger "$user"
    systemctl --quiet enable --now homeport-schedule.timer
    hook=systemd
}

cron_line() { # LINE: added to the user's crontab where it is missing
    if ! crontab -l -u "$user" 2>/dev/null | grep -qxF "$1"; then
        {
            crontab -l -u "$user" 2>/dev/null || :
            printf '%s\n' "$1"
        } | crontab -u "$user" -
        say "crontab of $user: $1"
    fi
}

hook_cron() {
    cron_line '@reboot /opt/homeport/boot'
    cron_line '*/15 * * * * /opt/homeport/schedule'
    hook=cron
}

keep() { # FILE: what the agent reads of how it is started
    printf '%s\n' "$hook" >"$home/$1"
    chown "$user:$user" "$home/$1"
}

main() {
    app=$1
    key=${2:-}
    make_user
    make_folders
    authorise
    make_script boot 'after a boot, brings every app back to the release that was committed'
    make_script schedule 'makes the backups that are due, for every app that wants them'
    if [ "${3:-}" = offsite ]; then
        bring_restic
        make_keys
    fi
    if [ -d /run/systemd/system ]; then
        hook_systemd
    else
        hook_cron
    fi
    keep boot-hook
    keep schedule-hook
    # a power cut right after it must not leave a boot hook that is empty
    sync
    say "boot hook and schedule: $hook"
}

main "$@" </dev/null
