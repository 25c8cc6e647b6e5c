#!/bin/sh
# pg.sh - run a program with a private PostgreSQL beside it, and stop that afterwards.
#
#   tests/lib/pg.sh PROGRAM [ARGUMENT...]
#
# The cluster lives in a fresh folder, listens on 127.0.0.1 at a free port, and does not sync to
# disk. The program finds it in MARUGOTO_TEST_PG (a URL) and MARUGOTO_TEST_PG_DATA (the folder, for
# tests that stop it); a MARUGOTO_TEST_PG that is set already is used as it is. PostgreSQL refuses
# to run as root: then the account "postgres" runs it. Without PostgreSQL the test is skipped.
set -eu

if [ -n "${MARUGOTO_TEST_PG:-}" ]; then
    exec "$@"
fi

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1 || true)
if [ -z "$bin" ]; then
    echo "1..0 # SKIP no PostgreSQL on this machine"
    exit 0
fi

folder=$(mktemp -d /tmp/marugoto-pg-XXXXXX)
as=
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    as="setpriv --reuid=postgres --regid=postgres --init-groups"
fi

stop() {
    $as "$bin/pg_ctl" -D "$folder/data" -m immediate -s stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

cd "$folder"
$as "$bin/initdb" -D "$folder/data" -U city -A trust -E UTF8 --locale=C.UTF-8 -N >/dev/null
started=
for try in 1 2 3 4 5; do
    port=$(awk -v seed="$$$try" 'BEGIN { srand(seed); print int(20000 + rand() * 20000) }')
    if $as "$bin/pg_ctl" -D "$folder/data" -s -w -t 30 -l "$folder/log" -o "-p $port \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder -c fsync=off \
        -c max_connections=60 -c shared_buffers=32MB" start >/dev/null; then
        started=yes
        break
    fi
done
[ -n "$started" ] || { cat "$folder/log" >&2; exit 1; }

export MARUGOTO_TEST_PG="postgres://city@127.0.0.1:$port/postgres"
export MARUGOTO_TEST_PG_DATA="$folder/data"
cd "$OLDPWD"
"$@"
