"""Runs migrations as the owner's role; the URL comes from the settings, never from a file."""

from alembic import context
from sqlalchemy import create_engine

from models.errors import SettingsError
from models.settings import load_settings
from models.tables import Base


def run() -> None:
    """Migrate online in one transaction."""
    try:
        settings = load_settings()
    except SettingsError as error:
        raise SystemExit(f"error: {error}") from None
    url = (
        context.config.attributes.get("url")
        or (settings.database_owner_url or settings.database_url).get_secret_value()
    )
    engine = create_engine(url)
    with engine.begin() as connection:
        context.configure(
            connection=connection, target_metadata=Base.metadata, compare_server_default=True
        )
        context.run_migrations()
    engine.dispose()


if context.is_offline_mode():
    raise SystemExit("migrations run online only: set AGENTCORE_DATABASE_OWNER_URL")
run()
