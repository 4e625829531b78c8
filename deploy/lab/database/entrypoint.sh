#!/bin/sh
# As the official image begins: an empty folder becomes a cluster with POSTGRES_USER,
# POSTGRES_PASSWORD and POSTGRES_DB; then the server runs as the user postgres.
set -eu
if [ "$(id -u)" = 0 ]; then
    chown postgres:postgres "$PGDATA"
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups sh "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?}"
    user=${POSTGRES_USER:-postgres}
    database=${POSTGRES_DB:-$user}
    printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/password
    # shellcheck disable=SC2086  # several words in one variable, as the official image takes them
    initdb --username="$user" --pwfile=/tmp/password --auth-local=trust --auth-host=trust \
        ${POSTGRES_INITDB_ARGS:-}
    rm /tmp/password
    printf 'host all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=''" start
    if [ "$database" != postgres ]; then
        printf 'CREATE DATABASE :"name";\n' \
            | psql -X -v ON_ERROR_STOP=1 -v name="$database" -U "$user" -d postgres
    fi
    pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@" -c 'listen_addresses=*'
