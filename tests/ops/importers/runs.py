"""Imports on a real database, and what it has of a user before and after them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text

from db.base import USER_SCOPED
from db.import_batches import ImportBatchRepository
from db.invariants import EVERYTHING, check
from db.transaction import Database
from ops.importers.command import Brought, Request, Screen, run, verify_batch
from ops.importers.rollback import roll_back_batch
from ops.importers.verify import Measure
from tests.ops.importers.old_files import NOW
from tests.people import Person, person, replay_from

# What an import tells of itself; everything else of a user's is what it must leave alone.
_OF_IMPORTS = {"audit_logs", "import_batches", "import_records"}
TABLES = sorted(set(USER_SCOPED) - _OF_IMPORTS)
# What is another each time the same is brought in.
_NEW_EACH_TIME = [
    "id",
    "order_id",
    "position_id",
    "sell_order_id",
    "import_batch_id",
    "created_at",
    "updated_at",
    "reference",
    "at",
]


async def somebody(database: Database, name: str = "asha") -> Person:
    """Sign a user up in the evening of the 15th of January 2024."""
    await replay_from(database, NOW, days=10)
    return await person(database, name)


async def bring(
    database: Database, path: Path | str, kind: str = "trades-history", screen: Screen | None = None, **changes: Any
) -> Brought:
    """Bring one source in and hold every invariant of the database against what it made."""
    [brought] = await bring_all(database, path, kind, screen, **changes)
    return brought


async def bring_all(
    database: Database, path: Path | str, kind: str = "all", screen: Screen | None = None, **changes: Any
) -> list[Brought]:
    """Bring every source below a folder in."""
    request = Request(kind=kind, path=path, **{"user": "asha@example.org", "actor": "ravi", **changes})
    brought = await run(database, request, screen or Screen())
    await sound(database)
    return brought


async def sound(database: Database) -> None:
    """Hold every invariant against the database."""
    async with database.reading(None) as session:
        assert [(one.name, one.rows) for one in await check(session, EVERYTHING)] == []


async def dump(database: Database) -> Mapping[str, Sequence[str]]:
    """Return every row of every table that a user sees, as its text."""
    async with database.reading(None) as session:
        return {
            table: list((await session.execute(text(f"SELECT t::text FROM {table} t ORDER BY 1"))).scalars())
            for table in TABLES
        }


async def essence(database: Database) -> Mapping[str, Sequence[str]]:
    """Return what `dump` does without ids and the moments when rows were written."""
    statement = "SELECT (to_jsonb(t) - CAST(:left AS text[]))::text FROM {} t ORDER BY 1"
    async with database.reading(None) as session:
        return {
            table: list((await session.execute(text(statement.format(table)), {"left": _NEW_EACH_TIME})).scalars())
            for table in TABLES
        }


async def rows(database: Database, query: str, **values: object) -> list[tuple[Any, ...]]:
    """Return rows, seen as the system."""
    async with database.reading(None) as session:
        return [tuple(row) for row in await session.execute(text(query), values)]


async def records(database: Database, batch_id: int) -> list[tuple[str, str, str]]:
    """Return place, outcome and kind of what was not simply imported."""
    async with database.reading(None) as session:
        found = await ImportBatchRepository(session).records(batch_id, 1000)
    return sorted((row["place"], row["outcome"], row["kind"]) for row in found)


async def measures(database: Database, batch_id: int) -> dict[str, Measure]:
    """Return the sums of a batch by their names."""
    async with database.reading(None) as session:
        return {one.name: one for one in await verify_batch(session, batch_id)}


async def taken_back(database: Database, batch_id: int) -> int:
    """Take a batch back."""
    async with database.transaction(None) as session:
        return await roll_back_batch(session, batch_id, "ravi")


async def sell_live(database: Database, symbol: str, *, done: bool = True) -> None:
    """Sell a position as trading does: an order of ours, and once it is done its fill and the end of the position."""
    order = """
        INSERT INTO orders (user_id, account_id, symbol, side, order_type, variety, quantity, status, intent_key, tag,
            strategy, leg, rank, reference_price, as_of, session_day, config_version, position_id, placed_at,
            broker_order_id, filled_quantity, avg_price, filled_at)
        SELECT user_id, account_id, symbol, 'sell', 'limit', 'regular', quantity, :status, 'live:' || symbol, 'LIVE' || symbol,
            'dip', 'exit', 0, avg_price, market_now(), '2024-01-16', 1, id, market_now(), 'LIVE' || symbol,
            CASE WHEN :done THEN quantity ELSE 0 END, CASE WHEN :done THEN avg_price END,
            CASE WHEN :done THEN market_now() END
        FROM positions WHERE symbol = :symbol AND closed_at IS NULL
    """
    fill = """
        INSERT INTO fills (user_id, account_id, order_id, broker_fill_id, symbol, side, quantity, price, charges, filled_at)
        SELECT user_id, account_id, id, tag || '1', symbol, side, quantity, avg_price, 0, filled_at FROM orders
        WHERE intent_key = 'live:' || :symbol
    """
    close = """
        UPDATE positions p SET quantity = 0, closed_at = o.filled_at, exit_price = o.avg_price, sell_order_id = o.id
        FROM orders o WHERE o.position_id = p.id AND o.intent_key = 'live:' || :symbol
    """
    async with database.transaction(None) as session:
        await session.execute(text(order), {"symbol": symbol, "done": done, "status": "filled" if done else "open"})
        for statement in (fill, close) if done else ():
            await session.execute(text(statement), {"symbol": symbol})
