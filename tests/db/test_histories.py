"""A user's own past: newest first, page by page without a gap, and nobody else's."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from db.histories import HistoryRepository, Place
from db.transaction import Database
from tests.people import MORNING, Person, person

_FILLED = (
    "WITH o AS (INSERT INTO orders (user_id, account_id, symbol, side, order_type, variety, quantity, filled_quantity, "
    "status, intent_key, tag, strategy, leg, rank, reference_price, as_of, session_day, config_version, created_at) "
    "SELECT :user_id, :account_id, 'S' || g, 'buy', 'market', 'amo', 1, 1, 'filled', 'k' || g, 't' || g, 'dip', 'entry', "
    "1, 1, :at, '2024-01-03', 1, :at FROM generate_series(1, 3) g RETURNING id) "
    "INSERT INTO fills (user_id, account_id, order_id, broker_fill_id, symbol, side, quantity, price, filled_at) "
    "SELECT :user_id, :account_id, id, 'f' || id, 'S', 'buy', 1, 1, :at FROM o"
)
_RUN = (
    "INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, subject, queue, status, as_of) "
    "SELECT :at, CASE g WHEN 1 THEN 'buy_orders' ELSE 'order_sync' END, :user_id, :account_id, g::text, 'orders', "
    "'success', :at FROM generate_series(1, 3) g"
)
_BROKEN = (
    "INSERT INTO error_logs (user_id, error_type, error_message, traceback, resolved, occurred_at) "
    "SELECT :user_id, 'E', 'e' || g, 'the whole of it', g = 1, :at FROM generate_series(1, 3) g"
)

Page = Callable[[HistoryRepository, int, Place | None], Awaitable[list[Any]]]
PAGES: dict[str, tuple[str, Page]] = {
    "executions": ("scheduled_for", lambda h, limit, before: h.executions(MORNING, limit, before)),
    "orders": ("created_at", lambda h, limit, before: h.orders(limit, before)),
    "fills": ("filled_at", lambda h, limit, before: h.fills(limit, before)),
    "errors": ("occurred_at", lambda h, limit, before: h.errors(limit, before)),
}


@pytest.fixture
async def people(database: Database) -> tuple[Person, Person]:
    """Two users with the same past, all of it at one moment."""
    both = await person(database, "asha"), await person(database, "bala")
    for one in both:
        await _live(database, one)
    return both


async def _live(database: Database, one: Person) -> None:
    async with database.transaction(None) as session:
        for statement in (_FILLED, _RUN, _BROKEN):
            values = {"user_id": one.user_id, "account_id": one.account_id, "at": MORNING}
            await session.execute(text(statement), {name: values[name] for name in values if f":{name}" in statement})


@pytest.mark.parametrize("kind", PAGES)
async def test_pages_join_without_a_gap_or_a_double_even_within_one_moment(
    database: Database, people: tuple[Person, Person], kind: str
) -> None:
    moment, page = PAGES[kind]
    found: list[int] = []
    before: Place | None = None
    # The system's scope sees everybody's rows: the statement itself keeps to the user.
    async with database.reading(None) as session:
        history = HistoryRepository(session, people[0].user_id)
        while rows := await page(history, 2, before):
            found += [row["id"] for row in rows]
            before = (rows[-1][moment], rows[-1]["id"])
    assert (len(found), found) == (3, sorted(found, reverse=True))


async def test_executions_are_those_of_a_task_from_a_slot_on(database: Database, people: tuple[Person, Person]) -> None:
    async with database.reading(people[0].user_id) as session:
        history = HistoryRepository(session, people[0].user_id)
        assert [row["task_name"] for row in await history.executions(MORNING, 9, task="buy_orders")] == ["buy_orders"]
        assert await history.executions(MORNING + timedelta(seconds=1), 9) == []


async def test_an_error_is_shown_to_its_user_alone(database: Database, people: tuple[Person, Person]) -> None:
    asha, bala = people
    async with database.reading(None) as session:
        history = HistoryRepository(session, asha.user_id)
        rows = await history.errors(9, unresolved=True)
        assert [row["error_message"] for row in rows] == ["e3", "e2"]
        shown = await history.error(rows[0]["id"])
        assert shown is not None
        assert shown["traceback"] == "the whole of it"
        assert await HistoryRepository(session, bala.user_id).error(rows[0]["id"]) is None
