"""How a command reaches the database that the environment names, and who runs it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from config.servers import ServerUrls, SettingsError
from config.settings import read_settings
from db.engine import make_engine
from db.transaction import Database
from ops.local import running

OPERATOR = "MUHURAT_OPERATOR"

T = TypeVar("T")


def with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """Run a piece of work on the database of DATABASE_URL, or on the embedded one with MUHURAT_LOCAL=1.

    Raises SettingsError, DatabaseError and whatever the work raises.
    """
    settings = read_settings()
    if settings.servers is not None:
        return asyncio.run(_on(settings.servers, work))
    with running() as servers:
        return asyncio.run(_on(ServerUrls(servers.database_url, servers.redis_url), work))


def operator_named(name: str | None) -> str:
    """Return who runs a command that changes something. Raises SettingsError when nobody said."""
    if not name or not name.strip():
        raise SettingsError(OPERATOR, None, "say who you are with --as NAME, or set it; what changes is recorded")
    return name.strip()[:64]


async def _on(urls: ServerUrls, work: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(make_engine(urls.sqlalchemy, pool_size=2, application="muhurat command"))
    try:
        return await work(database)
    finally:
        await database.close()
