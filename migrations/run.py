"""Brings a database to the code's schema: one at a time, and never by waiting long for a lock."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

# Two deploys may start together; the second waits here and finds nothing left to do.
DEPLOY_LOCK = 7_204_150_917
LOCK_TIMEOUT = "10s"
STATEMENT_TIMEOUT = "15min"


def configuration(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration without any file but this folder."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """Return the newest revision in the code. Raises alembic's error when there is more than one."""
    newest = ScriptDirectory.from_config(configuration()).get_current_head()
    return str(newest)


async def migrate(engine: AsyncEngine, revision: str = "head") -> None:
    """Move a database to a revision, up or down, holding the deploy lock."""
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": DEPLOY_LOCK})
        await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        await connection.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))
        await connection.run_sync(_move, revision)


def _move(connection: Connection, revision: str) -> None:
    config = configuration(connection)
    if revision == "base" or revision.startswith("-"):
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)
