#!/bin/sh
# homeport setup, the part that needs root: sh -s -- APP [PUBLIC-KEY]
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
    for part in backups logs releases scripts; do
        folder "/opt/$app/$part" 755
    done
    # the app's own folder: once it is there, it belongs to the image's user
    [ -d "/opt/$app/data" ] || folder "/opt/$app/data" 755
    if [ ! -e "/opt/$app/app.env" ]; then
        (umask 077 && : >"/opt/$app/app.env")
        say "/opt/$app/app.env: made, empty"
    fi
    chown "$user:$user" "/opt/$app/app.env"
    chmod 600 "/opt/$app/app.env"
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

make_boot_script() {
    cat >"$home/boot.new" <<'BOOT'
#!/bin/sh
# written by homeport setup: after a boot, brings every app back to the release that was committed
[ -e /opt/homeport/agent/current ] || exit 0
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec python3 -I -c "import sys; sys.path.insert(0, '/opt/homeport/agent/current'); from homeport.host.boot import main; sys.exit(main())"
BOOT
    chown "$user:$user" "$home/boot.new"
    chmod 755 "$home/boot.new"
    mv "$home/boot.new" "$home/boot"
}

hook_systemd() {
    unit=/etc/systemd/system/homeport-boot.service
    cat >"$unit.new" <<'UNIT'
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
    chmod 644 "$unit.new"
    if cmp -s "$unit.new" "$unit"; then
        rm "$unit.new"
    else
        mv "$unit.new" "$unit"
        systemctl daemon-reload
        say "$unit: written"
    fi
    systemctl --quiet enable homeport-boot.service
    loginctl enable-linger "$user"
    hook=systemd
}

hook_cron() {
    line='@reboot /opt/homeport/boot'
    if ! crontab -l -u "$user" 2>/dev/null | grep -qxF "$line"; then
        {
            crontab -l -u "$user" 2>/dev/null || :
            printf '%s\n' "$line"
        } | crontab -u "$user" -
        say "crontab of $user: $line"
    fi
    hook=cron
}

main() {
    app=$1
    key=${2:-}
    make_user
    make_folders
    authorise
    make_boot_script
    if [ -d /run/systemd/system ]; then
        hook_systemd
    else
        hook_cron
    fi
    printf '%s\n' "$hook" >"$home/boot-hook"
    chown "$user:$user" "$home/boot-hook"
    say "boot hook: $hook"
}

main "$@" </dev/null
