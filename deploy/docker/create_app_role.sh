#!/bin/sh
# Run once by the PostgreSQL image: the role that the application uses, which owns nothing.
set -eu
export POSTGRES_APP_PASSWORD_FILE="${POSTGRES_APP_PASSWORD_FILE:-/run/secrets/postgres_app_password}"
if [ ! -r "$POSTGRES_APP_PASSWORD_FILE" ] || [ ! -s "$POSTGRES_APP_PASSWORD_FILE" ]; then
    echo "no password for agentcore_app can be read from $POSTGRES_APP_PASSWORD_FILE" >&2
    exit 1
fi
# psql reads it by itself: an argument would show in the list of processes.
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 <<'SQL'
\set password `cat "$POSTGRES_APP_PASSWORD_FILE"`
CREATE ROLE agentcore_app LOGIN PASSWORD :'password';
SQL
