"""Who may do what in the embedded database: an owner for migrations, a lesser role to run as."""

from __future__ import annotations

import psycopg
from psycopg import sql

from deploy.local.secrets import SecretStore

ADMIN = "postgres"
OWNER = "agentcore_owner"
APP = "agentcore_app"
DATABASE = "agentcore"


def ensure_roles(admin_url: str, secrets: SecretStore) -> None:
    """Make the roles and the database where they are missing.

    The app role may connect and nothing else; the migrations grant it what it needs on tables.
    Raises `psycopg.OperationalError` when the server cannot be reached as its superuser.
    """
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for role in (OWNER, APP):
            _ensure_role(connection, role, secrets)
        name = sql.Identifier(DATABASE)
        if not _exists(connection, "pg_database", "datname", DATABASE):
            make = sql.SQL("CREATE DATABASE {} OWNER {}")
            connection.execute(make.format(name, sql.Identifier(OWNER)))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
        connection.execute(grant.format(name, sql.Identifier(APP)))


def _ensure_role(
    connection: psycopg.Connection[tuple[object, ...]], role: str, secrets: SecretStore
) -> None:
    if _exists(connection, "pg_roles", "rolname", role):
        return
    # Hashed here: the server's log never sees the password, whatever is set to be logged.
    hashed = connection.pgconn.encrypt_password(
        secrets.get(role).encode(), role.encode(), b"scram-sha-256"
    ).decode()
    make = sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}")
    connection.execute(make.format(sql.Identifier(role), sql.Literal(hashed)))


def _exists(
    connection: psycopg.Connection[tuple[object, ...]], table: str, column: str, value: str
) -> bool:
    query = sql.SQL("SELECT 1 FROM {} WHERE {} = %s")
    found = connection.execute(
        query.format(sql.Identifier(table), sql.Identifier(column)), (value,)
    )
    return found.fetchone() is not None
