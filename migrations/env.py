"""Runs migrations as the owner's role; the URL comes from the settings, never from a file."""

import re
import sys
from collections.abc import Iterable

from alembic import context
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import OperationalError

from models import urls
from models.errors import SettingsError
from models.settings import load_settings
from models.tables import Base


def run() -> None:
    """Migrate online in one transaction."""
    try:
        settings = load_settings()
    except SettingsError as error:
        raise SystemExit(f"error: {error}") from None
    chosen = settings.database_owner_url or settings.database_url
    if urls.scheme(chosen) == urls.UNUSED:
        raise SystemExit("error: AGENTCORE_DATABASE_OWNER_URL: the migrations need one")
    engine = create_engine(context.config.attributes.get("url") or chosen.get_secret_value())
    with _connected(engine) as connection, connection.begin():
        context.configure(
            connection=connection, target_metadata=Base.metadata, compare_server_default=True
        )
        newer = _newer(context.get_context().get_current_heads())
        if newer and _is_upgrade():
            # A release that was gone back from: what it changed, this one can work with.
            print(f"the database is of a newer release ({newer}): left as it is", file=sys.stderr)
            return
        context.run_migrations()
    engine.dispose()


def _newer(heads: Iterable[str]) -> str | None:
    """Return the database's revision where it is one of ours that comes after all we know."""
    known = {revision.revision for revision in context.script.walk_revisions()}
    numbers = (head for head in heads if re.fullmatch(r"\d{4}", head))
    return next((head for head in numbers if head > max(known)), None)


def _is_upgrade() -> bool:
    """Whether this is `alembic upgrade`: the other commands fail where they cannot be done."""
    options = context.config.cmd_opts
    return options is not None and options.cmd[0].__name__ == "upgrade"


def _connected(engine: Engine) -> Connection:
    try:
        return engine.connect()
    except OperationalError as error:
        said = " ".join(str(error.orig).split())
        raise SystemExit(f"error: the database cannot be reached: {said}") from None


if context.is_offline_mode():
    raise SystemExit("migrations run online only: set AGENTCORE_DATABASE_OWNER_URL")
run()
