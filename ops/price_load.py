"""Loads a past of daily bars into the database, in batches, each day marked whole or not."""

from datetime import date
from typing import Any

from adapters.prices.registry import open_source
from db.audit_logs import AuditLogRepository
from db.bars import BarRepository
from db.calendar import CalendarRepository
from db.transaction import Database
from worker.steps.prices import ROWS_A_STATEMENT, WHOLE_SHARE

BAD_ROWS_NAMED = 20


class NoBarsError(Exception):
    """A load that found nothing to load."""

    def __init__(self, spec: str, first: date, last: date) -> None:
        self.spec, self.first, self.last = spec, first, last
        super().__init__(f"{spec} has no bars from {first} to {last}: check what it holds, and --from and --to")


async def load(database: Database, spec: str, first: date, last: date, actor: str) -> dict[str, Any]:
    """Load what a source has of a span. Returns what was loaded. Raises PriceSourceError."""
    async with database.reading(None) as session:
        calendar = await CalendarRepository(session).load()
    first, last = max(first, calendar.first), min(last, calendar.last)
    source = open_source(spec, [one.day for one in calendar.sessions_between(first, last)])
    batch = await source.bars(first, last)
    days = sorted({bar.day for bar in batch.bars})
    done: dict[str, Any] = {
        "source": source.name,
        "bars": len(batch.bars),
        "symbols": len({bar.symbol for bar in batch.bars}),
        "first_day": days[0] if days else None,
        "last_day": days[-1] if days else None,
        "bad_rows": [f"{row.file}:{row.line}: {row.reason}" for row in batch.bad_rows[:BAD_ROWS_NAMED]],
    }
    for start in range(0, len(batch.bars), ROWS_A_STATEMENT):
        async with database.transaction(None) as session:
            await BarRepository(session).store(batch.bars[start : start + ROWS_A_STATEMENT])
    async with database.transaction(None) as session:
        if days:
            await BarRepository(session).store_days(days[0], days[-1], WHOLE_SHARE, source.name)
        changes = {name: str(value) for name, value in done.items() if name != "bad_rows"}
        await AuditLogRepository(session).record(actor, "load", "prices", changes=changes)
    return done
