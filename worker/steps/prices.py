"""Loads the day's bars of the whole market, says whether the day is whole, and has books read again that waited."""

from collections.abc import Sequence
from datetime import date, timedelta

from adapters.prices.base import BadRow, BarBatch, PriceSourceError
from db.bars import BarRepository
from db.executions import Execution, ServiceTaskRepository
from trading.calendar import Session
from trading.values import Symbol
from worker.messages import TASKS
from worker.outcome import Json, Outcome, Retry, done, skipped
from worker.resources import Resources

# A few shares are suspended on any day; a tenth of the market is not.
WHOLE_SHARE = 0.9
# Keeps a statement below some hundred kilobytes.
ROWS_A_STATEMENT = 5000
BAD_ROWS_NAMED = 5
# Of market time after the close. Bars that come later come after the sync that follows the close: what they filled at
# a venue that lives by them is in no book read so far.
SEEN_BY_SYNC = timedelta(minutes=20)
SYNC_USEFUL = timedelta(hours=1)


async def prices(resources: Resources, execution: Execution) -> Outcome:
    """Load bars from the last whole day on. Raises Retry when the source cannot answer."""
    day = resources.calendar.exchange_day(execution.as_of)
    market = resources.calendar.session(day)
    if market is None:
        return skipped(f"no session on {day}")
    if execution.as_of < market.closes:
        return skipped(f"the session of {day} is still open")
    before = resources.calendar.previous_session(day).day
    async with resources.database.reading(None) as session:
        last = await BarRepository(session).last_whole_day(until=before)
    try:
        batch = await resources.prices.bars(last + timedelta(days=1) if last else day, day)
    except PriceSourceError as error:
        raise Retry(str(error)) from error
    return await _store(resources, execution, batch, market, last)


async def _store(
    resources: Resources, execution: Execution, batch: BarBatch, market: Session, last: date | None
) -> Outcome:
    day, before = market.day, resources.calendar.previous_session(market.day).day
    async with resources.database.transaction(None) as session:
        tasks = ServiceTaskRepository(session)
        now = await tasks.fence(execution)
        rows = BarRepository(session)
        for start in range(0, len(batch.bars), ROWS_A_STATEMENT):
            await rows.store(batch.bars[start : start + ROWS_A_STATEMENT])
        have = await rows.count_on(day)
        expected = max(await rows.count_on(before), have + await _awaited(rows, batch.missing, last))
        whole = have > 0 and have >= WHOLE_SHARE * expected
        await rows.store_day(day, have, len(batch.missing), whole, resources.prices.name)
        if whole and execution.scheduled_for - market.closes > SEEN_BY_SYNC:
            await tasks.sync_ended(execution, TASKS["order_sync"].queue, day, now, now + SYNC_USEFUL)
    details = _details(batch, day, have)
    if whole:
        return done(**details)
    left_out = f"; left out: {_named(batch.bad_rows[0])}" if batch.bad_rows else ""
    return skipped(f"only {have} of {expected} symbols have a bar for {day} yet{left_out}", **details)


def _details(batch: BarBatch, day: date, have: int) -> dict[str, Json]:
    return {
        "day": day.isoformat(),
        "bars": len(batch.bars),
        "symbols": have,
        "missing": len(batch.missing),
        "bad_rows": len(batch.bad_rows),
        "bad_rows_named": [_named(row) for row in batch.bad_rows[:BAD_ROWS_NAMED]],
    }


def _named(row: BadRow) -> str:
    return f"{row.file}:{row.line}: {row.reason}"


async def _awaited(rows: BarRepository, missing: Sequence[Symbol], last: date | None) -> int:
    """Return how many of the missing symbols should have come: those that traded on the last whole day.

    The day before may be a partial one itself. What a source knows only from an older or a later past is not awaited;
    with no whole day yet nobody can tell those apart, and all are.
    """
    if last is None or not missing:
        return len(missing)
    return await rows.traded_on(last, missing)
