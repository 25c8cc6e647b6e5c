#!/bin/sh
# pg.sh - run a program with a private PostgreSQL beside it, and stop that afterwards.
#
#   tests/lib/pg.sh PROGRAM [ARGUMENT...]
#
# The cluster lives in a fresh folder, listens on 127.0.0.1 at a free port, and does not sync to
# disk; MARUGOTO_PG_CONF may hold lines that come last in its configuration. The program finds its URL
# in MARUGOTO_TEST_PG; when that is set already the program simply runs. MARUGOTO_PG_PRELOAD may name
# a library that is loaded into the server alone, for instance one that slows its fsync.
# PostgreSQL refuses to run as root: then the account "postgres" runs it. Without PostgreSQL
# the test is skipped.
set -eu

if [ -n "${MARUGOTO_TEST_PG:-}" ]; then
    exec "$@"
fi

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1 || true)
if [ -z "$bin" ]; then
    echo "1..0 # SKIP no PostgreSQL on this machine"
    exit 0
fi

as=
if [ "$(id -u)" = 0 ]; then
    as="setpriv --reuid=postgres --regid=postgres --init-groups"
fi

folder=$(mktemp -d /tmp/marugoto-pg-XXXXXX)
[ -z "$as" ] || chown postgres "$folder"

stop() {
    $as "$bin/pg_ctl" -D "$folder/data" -m immediate -s stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

cd "$folder"
$as "$bin/initdb" -D "$folder/data" -U city -A trust -E UTF8 --locale=C.UTF-8 -N >/dev/null
cat >>"$folder/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder'
fsync = off
max_connections = 200
shared_buffers = 32MB
${MARUGOTO_PG_CONF:-}
END
preload=
if [ -n "${MARUGOTO_PG_PRELOAD:-}" ]; then
    cp "$MARUGOTO_PG_PRELOAD" "$folder/preload.so" # where that account can read it
    chmod 755 "$folder/preload.so"
    preload="env LD_PRELOAD=$folder/preload.so"
fi
started=
for try in 1 2 3 4 5; do
    port=$(awk -v seed="$$$try" 'BEGIN { srand(seed); print int(20000 + rand() * 20000) }')
    echo "port = $port" >>"$folder/data/postgresql.conf"
    if $as $preload "$bin/pg_ctl" -D "$folder/data" -s -w -t 30 -l "$folder/log" start >/dev/null; then
        started=yes
        break
    fi
done
[ -n "$started" ] || { cat "$folder/log" >&2; exit 1; }

export MARUGOTO_TEST_PG="postgres://city@127.0.0.1:$port/postgres"
cd "$OLDPWD"
"$@"
