"""Loads the day's bars of the whole market, and says whether the day is whole."""

from collections.abc import Sequence
from datetime import date, timedelta

from adapters.prices.base import BarBatch, PriceSourceError
from db.bars import BarRepository
from db.executions import Execution, ServiceTaskRepository
from trading.values import Symbol
from worker.outcome import Json, Outcome, Retry, done, skipped
from worker.resources import Resources

# A few shares are suspended on any day; a tenth of the market is not.
WHOLE_SHARE = 0.9
# Keeps a statement below some hundred kilobytes.
ROWS_A_STATEMENT = 5000
BAD_ROWS_NAMED = 5


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
    return await _store(resources, execution, batch, day, last)


async def _store(resources: Resources, execution: Execution, batch: BarBatch, day: date, last: date | None) -> Outcome:
    before = resources.calendar.previous_session(day).day
    async with resources.database.transaction(None) as session:
        await ServiceTaskRepository(session).fence(execution)
        rows = BarRepository(session)
        for start in range(0, len(batch.bars), ROWS_A_STATEMENT):
            await rows.store(batch.bars[start : start + ROWS_A_STATEMENT])
        have = await rows.count_on(day)
        expected = max(await rows.count_on(before), have + await _awaited(rows, batch.missing, last))
        whole = have > 0 and have >= WHOLE_SHARE * expected
        await rows.store_day(day, have, len(batch.missing), whole, resources.prices.name)
    details: dict[str, Json] = {
        "day": day.isoformat(),
        "bars": len(batch.bars),
        "symbols": have,
        "missing": len(batch.missing),
        "bad_rows": len(batch.bad_rows),
        "bad_rows_named": [f"{row.file}:{row.line}: {row.reason}" for row in batch.bad_rows[:BAD_ROWS_NAMED]],
    }
    if not whole:
        return skipped(f"only {have} of {expected} symbols have a bar for {day} yet", **details)
    return done(**details)


async def _awaited(rows: BarRepository, missing: Sequence[Symbol], last: date | None) -> int:
    """Return how many of the missing symbols should have come: those that traded on the last whole day.

    The day before may be a partial one itself. What a source knows only from an older or a later past is not awaited;
    with no whole day yet nobody can tell those apart, and all are.
    """
    if last is None or not missing:
        return len(missing)
    return await rows.traded_on(last, missing)
