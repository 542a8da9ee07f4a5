"""How a command reaches the database that the environment names, and who runs it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from config.environment import servers_here
from config.servers import ServerUrls, SettingsError
from db.engine import DatabaseError, make_engine
from db.transaction import Database

OPERATOR = "MUHURAT_OPERATOR"

T = TypeVar("T")


def with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """Run a piece of work on the database, as `with_servers` does."""
    return with_servers(lambda database, _: work(database))


def with_servers(work: Callable[[Database, ServerUrls], Awaitable[T]]) -> T:
    """Run a piece of work on the servers of the environment: DATABASE_URL and REDIS_URL, or with MUHURAT_LOCAL=1 ours.

    Ours are those of a running `muhurat up` of this folder, if there is one. Raises SettingsError, DatabaseError and
    whatever the work raises.
    """
    named = servers_here()
    if named is not None:
        return asyncio.run(_on(named, work))
    from ops.local import at_hand

    with at_hand() as servers:
        return asyncio.run(_on(ServerUrls(servers.database_url, servers.redis_url), work))


def reading(look: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """Run a look at everything, in one transaction that writes nothing."""

    async def work(database: Database) -> T:
        async with database.reading(None) as session:
            return await look(session)

    return with_database(work)


def changing(name: str | None, change: Callable[[AsyncSession, str], Awaitable[T]]) -> T:
    """Run a change in one transaction, under the name of who makes it. Raises SettingsError without a name."""
    actor = operator_named(name)

    async def work(database: Database) -> T:
        async with database.transaction(None) as session:
            return await change(session, actor)

    return with_database(work)


def operator_named(name: str | None) -> str:
    """Return who runs a command that changes something. Raises SettingsError when nobody said."""
    if not name or not name.strip():
        raise SettingsError(OPERATOR, None, "say who you are with --as NAME, or set it; what changes is recorded")
    return name.strip()[:64]


async def _on(urls: ServerUrls, work: Callable[[Database, ServerUrls], Awaitable[T]]) -> T:
    database = Database(make_engine(urls.sqlalchemy, pool_size=2, application="muhurat command"))
    try:
        return await work(database, urls)
    except socket.gaierror as error:  # asyncpg's; it does not say whose address was asked for
        host = database.engine.url.host
        raise DatabaseError(
            f"the host {host!r} of DATABASE_URL has no address: correct its name, or check this machine's network"
        ) from error
    finally:
        await database.close()
