"""The ladders of re-entries as rows: read with the day's RSI, written back, and climbed with an order's transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRow
from db.orders import OrderRow
from db.positions import PositionRow
from db.reentries import ReentryRepository, ReentryRow, Rung
from trading.reentry import Ladder, observe, taken_at_entry
from trading.strategies.base import Candidate, Held, price_of
from trading.values import Symbol

Features = Mapping[str, float | None]


async def held_shares(
    session: AsyncSession,
    account: AccountRow,
    positions: Sequence[PositionRow],
    shares: Mapping[Symbol, Features],
    day: date,
) -> list[Held]:
    """Return the positions whose share the day showed, and store what its RSI does to their ladders.

    shares: the day's features by symbol; a position without is left as it was. Rungs whose order bought nothing are
    given back first.
    """
    reentries = ReentryRepository(session, account.user_id, account.id)
    ids = [position.id for position in positions]
    await reentries.give_back(ids)
    rungs: dict[int, list[ReentryRow]] = defaultdict(list)
    for rung in await reentries.of(ids):
        rungs[rung.position_id].append(rung)
    held: list[Held] = []
    for position in positions:
        symbol = Symbol(position.symbol)
        features = shares.get(symbol)
        close = features.get("close") if features is not None else None
        if features is None or close is None:
            continue
        ladder = _observed(position, rungs[position.id], features.get("rsi"), day)
        held.append(Held(Candidate(symbol, day, price_of(close), features), ladder))
    return held


def rungs_of(orders: Sequence[OrderRow]) -> list[Rung]:
    """Return the rungs that re-entry orders take: their position, level and cycle stand in the order."""
    rungs: list[Rung] = []
    for order in orders:
        if order.entry_type != "reentry" or order.position_id is None:
            continue
        told = order.order_metadata or {}
        place = (int(told["cycle"]), int(told["level"]), float(told["rsi"]))
        rungs.append(Rung(order.position_id, order.id, order.symbol, *place, order.session_day))
    return rungs


def _observed(position: PositionRow, rungs: Sequence[ReentryRow], rsi: float | None, day: date) -> Ladder | None:
    """Return a position's ladder after the day, and store it. None: the entry's RSI is not known."""
    if rsi is None:
        return None
    newest = max((rung.day for rung in rungs), default=None)
    taken = taken_levels(position, rungs)
    ladder = observe(Ladder(position.cycle, position.reset_ready, taken, newest, position.last_rsi_day), rsi, day)
    if position.last_rsi_day is None or position.last_rsi_day < day:
        position.cycle, position.reset_ready = ladder.cycle, ladder.reset_ready
        position.last_rsi, position.last_rsi_day = rsi, day
    return None if position.entry_rsi is None else ladder


def taken_levels(position: PositionRow, rungs: Sequence[ReentryRow]) -> frozenset[int]:
    """Return the levels of the present cycle that are taken; the first cycle begins with the entry's own."""
    bought = frozenset(rung.level for rung in rungs if rung.cycle == position.cycle)
    if position.cycle > 0 or position.entry_rsi is None:
        return bought
    return bought | taken_at_entry(position.entry_rsi)
