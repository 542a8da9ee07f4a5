"""Halts for tests: put in force and ended as the commands do."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from db.halts import HaltRepository
from db.transaction import Database
from tests.people import Person
from trading.halts import Halt, Scope, Stops

ORDERS = (Stops.ENTRIES, Stops.EXITS, Stops.CHANGES)

TASK = "buy_orders"
"""The task that a scope by a task names."""


def scope_of(kind: str, who: Person) -> dict[str, Any]:
    """Return the scope of a halt that concerns somebody's buys."""
    scopes: dict[str, dict[str, Any]] = {
        "everywhere": {},
        "user": {"user_id": who.user_id},
        "account": {"user_id": who.user_id, "account_id": who.account_id},
        "task": {"task_name": TASK},
        "strategy": {"strategy": "dip"},
        "all of them": {"user_id": who.user_id, "account_id": who.account_id, "task_name": TASK, "strategy": "dip"},
    }
    return scopes[kind]


async def halt(
    database: Database,
    *stops: Stops,
    until: datetime | None = None,
    user_id: int | None = None,
    account_id: int | None = None,
    task_name: str | None = None,
    strategy: str | None = None,
    symbol: str | None = None,
) -> int:
    """Put a halt in force, everywhere unless a scope is given. Returns its id."""
    scope = Scope(user_id, account_id, task_name, strategy, symbol)
    async with database.transaction(None) as session:
        row, _ = await HaltRepository(session).add(Halt(0, scope, frozenset(stops), "a test", "ravi", until))
    return int(row["id"])


async def resume(database: Database, ids: Collection[int] | None = None) -> None:
    """End halts, all unless ids are given."""
    async with database.transaction(None) as session:
        await HaltRepository(session).end(None if ids is None else list(ids), "ravi")
