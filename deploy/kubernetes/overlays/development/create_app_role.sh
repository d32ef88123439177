#!/bin/sh
# Run once by the PostgreSQL image: the role that the application uses, which owns nothing.
set -eu
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 \
    --set password="$(cat /run/secrets/postgres_app_password)" <<'SQL'
CREATE ROLE agentcore_app LOGIN PASSWORD :'password';
SQL
