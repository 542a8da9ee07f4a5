"""The suite's own look at Postgres and Redis: past the line, through faults, connecting again whenever it must."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from redis.asyncio import Redis

from worker.bells.keys import claims_key

_PAUSE_SECONDS = 0.03
_AWAY_SECONDS = 30.0
_CLAIMS = claims_key("", "").removesuffix(".")

SYSTEM = {"muhurat.scope": "system", "application_name": "chaos"}
"""Settings of a connection that sees every row."""

_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InternalClientError,  # what a connection that was ended while idle says to the next query
)


class NotReachedError(Exception):
    """A case did not come to where its fault was to strike, or to its end."""


class Eye:
    """One connection to Postgres that sees every row. One query at a time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: asyncpg.Connection | None = None

    async def rows(self, query: str, *values: object) -> list[Any]:
        """Run one statement and return its rows; while Postgres is away it is tried again.

        A statement whose answer was lost may run twice.
        """
        until = time.monotonic() + _AWAY_SECONDS
        while True:
            try:
                return list(await (await self._connected()).fetch(query, *values))
            except _AWAY:
                self.close()
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)

    async def one(self, query: str, *values: object) -> Any:
        """Return the first column of the only row."""
        [row] = await self.rows(query, *values)
        return row[0]

    def close(self) -> None:
        """Close the connection; the next query opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self.url, server_settings=SYSTEM)
        return self._connection


async def reached(what: str, condition: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Return once an awaited condition is true. Raises NotReachedError naming it after so many seconds."""
    until = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > until:
            raise NotReachedError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(_PAUSE_SECONDS)


async def claimed(redis: Redis) -> dict[str, list[str]]:
    """Return the ids that workers have claimed on Redis, by worker and queue as the key spells them."""
    found = {}
    async for key in redis.scan_iter(match=f"{_CLAIMS}*", count=1000):
        name = _text(key).removeprefix(_CLAIMS)
        found[name] = [_text(id_) for id_ in await redis.smembers(key)]
    return found


def _text(said: bytes | str) -> str:
    return said.decode() if isinstance(said, bytes) else said
