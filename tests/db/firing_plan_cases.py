"""Calls of what fires schedules, for a look at the plans of their statements."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from db.fan_outs import FanOutRepository, Slot
from db.firings import FiringRepository
from tests.db.filled import SLOT

_AT = datetime(2024, 1, 9, 11, tzinfo=UTC)
_DUE = SLOT + timedelta(hours=1)
_SLOT = Slot(9, "order_sync", "orders", _DUE, date(2024, 1, 9), _DUE, _AT, None)
_CONDITIONS = (None, "has_live_order", "has_failed_order", "has_open_position")


async def _make(session: AsyncSession) -> None:
    """Fan out under each condition and policy that is a statement of its own."""
    crowd, few = FanOutRepository(session, 8), FanOutRepository(session, 2)
    for condition in _CONDITIONS:
        await crowd.make([replace(_SLOT, condition=condition)], 50)
    await crowd.make([replace(_SLOT, scope="parameters"), replace(_SLOT, scope="shared")], 50)
    await crowd.make([replace(_SLOT, scope="shared", condition="prices_missing")], 50)
    await few.make([replace(_SLOT, overlap="cancel", jitter_seconds=60, spread_seconds=60)], 50)


OF_FIRINGS: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
    "FanOutRepository.make": _make,
    "FiringRepository.take": lambda s: FiringRepository(s, "s1").take(50, 10.0),
}

SMALL_OF_FIRINGS: dict[str, str] = {
    "FiringRepository.drop": "a row a piece under way",
    "FiringRepository.due": "a row a schedule",
    "FiringRepository.over": "a row a schedule",
    "FiringRepository.put_off": "a row a schedule",
    "FiringRepository.settle": "a row a schedule",
    "FiringRepository.take_over": "a row a piece under way",
}
