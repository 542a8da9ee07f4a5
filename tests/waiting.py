"""Waiting for a condition with a limit, instead of sleeping."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_PAUSE_SECONDS = 0.02


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Return once the condition is true. Raises AssertionError naming it after the limit."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s: {condition}"
        time.sleep(_PAUSE_SECONDS)


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 10.0) -> None:
    """Return once the awaited condition is true. Raises AssertionError naming it after the limit."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, f"not within {seconds} s: {condition}"
        await asyncio.sleep(_PAUSE_SECONDS)
