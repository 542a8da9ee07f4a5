"""The one engine of a process, and what it says when the database is not there or not ours."""

from typing import Any

from asyncpg import PostgresError
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from db.connection import EnteringConnection

# A connection that idles inside a transaction holds locks of the money path: the server ends it.
IDLE_IN_TRANSACTION_MS = 60_000
CONNECT_SECONDS = 5
POOL_SECONDS = 30.0
# No statement of ours takes this long; a connection that went silent is given up.
COMMAND_SECONDS = 60.0
# Every statement of ours, prepared once a connection.
PREPARED_STATEMENTS = 500


class DatabaseError(Exception):
    """The database cannot be used: unreachable, behind the code, or connected as a role that bypasses row security."""


def make_engine(
    url: str,
    pool_size: int = 5,
    application: str = "muhurat",
    command_seconds: float | None = COMMAND_SECONDS,
    pool_seconds: float = POOL_SECONDS,
) -> AsyncEngine:
    """Return an engine for a `postgresql+asyncpg://` URL.

    pool_size: connections kept, none beyond. command_seconds: the longest a statement may take; None is no limit.
    pool_seconds: the longest that one is waited for.
    """
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_seconds,
        pool_pre_ping=False,
        connect_args={
            "connection_class": EnteringConnection,
            "timeout": CONNECT_SECONDS,
            "command_timeout": command_seconds,
            "prepared_statement_cache_size": PREPARED_STATEMENTS,
            "server_settings": {
                "application_name": application,
                "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
                # Compiling a statement takes longer than any of ours.
                "jit": "off",
            },
        },
    )
    event.listen(engine.sync_engine, "checkin", _enter_no_more)
    return engine


def _enter_no_more(pooled: Any, _: object) -> None:
    """What a transaction without a statement was to begin with is not for who has its connection next."""
    if pooled is not None:
        pooled.driver_connection.entry = ""


async def check_database(engine: AsyncEngine, head: str) -> None:
    """Refuse a database that is unreachable, not at the code's revision, or seen through row security.

    head: the newest revision in the code. Raises DatabaseError.
    """
    await check_role(engine)
    async with engine.connect() as connection:
        known = await connection.scalar(text("SELECT to_regclass('alembic_version')::text"))
        revision = None
        if known is not None:
            revision = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    if revision != head:
        raise DatabaseError(f"the schema is at {revision or 'nothing'}, the code at {head}: run 'muhurat migrate'.")


async def check_role(engine: AsyncEngine) -> None:
    """Refuse a database that is unreachable, and a role that sees through row security. Raises DatabaseError."""
    query = text("SELECT rolname, rolsuper OR rolbypassrls AS over FROM pg_roles WHERE rolname = current_user")
    try:
        async with engine.connect() as connection:
            role = (await connection.execute(query)).one()
    except (OSError, DBAPIError, PostgresError) as error:
        where = engine.url.render_as_string(hide_password=True)
        raise DatabaseError(f"cannot reach Postgres at {where}: {error}. Check DATABASE_URL and the server.") from error
    if role.over:
        raise DatabaseError(
            f"role {role.rolname!r} bypasses row security, so users would see each other's rows. "
            "Connect as a role without SUPERUSER and BYPASSRLS."
        )
