"""Changes that wait until a firing under way is over."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncSession

from db.schedule_edits import FiringError
from ops.cli.reach import changing

T = TypeVar("T")

# A firing of a million accounts is over within half a minute.
PATIENCE_SECONDS, PAUSE_SECONDS = 30.0, 0.3


def patiently(as_: str | None, change: Callable[[AsyncSession, str, bool], Awaitable[T]]) -> T:
    """Run a change in one transaction, again and again while it raises FiringError, for half a minute.

    change: is told whether it may still wait. Raises typer.BadParameter when it will not do without.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        may_wait = time.monotonic() < until

        async def work(session: AsyncSession, actor: str, may_wait: bool = may_wait) -> T:
            return await change(session, actor, may_wait)

        try:
            return changing(as_, work)
        except FiringError as error:
            if not may_wait:
                raise typer.BadParameter(str(error)) from error
            with Console(stderr=True).status(f"{error.name} is being fired"):
                time.sleep(PAUSE_SECONDS)
