#!/bin/sh
# Of the stand-in for the official PostgreSQL image: as much of that one's entrypoint as
# docker-compose.yml asks for. Runs as the user postgres.
set -eu
data=/var/lib/postgresql/data

if [ ! -d "$data" ]; then
    # Made beside its place: one that was cut off is thrown away, and never taken for a database.
    unfinished=$data.new
    rm -rf "$unfinished"
    # shellcheck disable=SC2086 - several options in one variable, as in the official image
    initdb --pgdata "$unfinished" --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" \
        --encoding UTF8 --locale C.UTF-8 ${POSTGRES_INITDB_ARGS:-}
    echo "host all all all scram-sha-256" >>"$unfinished/pg_hba.conf"
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    export PGPASSWORD
    # On its socket alone: nobody may take it for ready.
    pg_ctl --pgdata "$unfinished" --options "-c listen_addresses=''" --wait start
    createdb --username "$POSTGRES_USER" --maintenance-db postgres "$POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sh; do
        [ -f "$script" ] || continue
        # shellcheck disable=SC1090 - whatever was mounted there
        . "$script"
    done
    pg_ctl --pgdata "$unfinished" --mode fast --wait stop
    unset PGPASSWORD
    mv "$unfinished" "$data"
fi

exec "$@" --config-file="$data/postgresql.conf" -D "$data"
