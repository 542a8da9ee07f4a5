"""Wakes the scheduler when a worker settled something, by Postgres notifications; without them it polls."""

import asyncio
from contextlib import suppress

import asyncpg
import structlog

from db.channels import MORE_UNDER_WAY
from db.claims import SETTLED_CHANNEL

log = structlog.get_logger(__name__)


class Wakeups:
    """A listening connection of its own. Losing it costs promptness, never work."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.event, self._over = asyncio.Event(), asyncio.Event()
        self._connection: asyncpg.Connection | None = None

    async def wait(self, seconds: float, at_least: float = 0.0, *, or_over: bool = False) -> bool:
        """Return at the next notification, or after so many seconds. Returns whether there was one.

        at_least: what is notified before so many seconds have passed is answered together, by one return. or_over: but
        at once when it says that nothing more is under way.
        """
        await self._listen()
        if or_over:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), at_least)
        else:
            await asyncio.sleep(at_least)
        try:
            await asyncio.wait_for(self.event.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            self.event.clear()
            self._over.clear()
        return True

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close(timeout=1)

    async def _listen(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            return
        try:
            self._connection = await asyncpg.connect(self.url, timeout=5)
            await self._connection.add_listener(SETTLED_CHANNEL, self._hear)
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            log.warning("not_listening", error=str(error), instead="polling")

    def _hear(self, *said: object) -> None:
        """Take a notification. said: connection, process, channel, payload."""
        self.event.set()
        if said[-1] != MORE_UNDER_WAY:
            self._over.set()
