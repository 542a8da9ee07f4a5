"""A report counts what is in the rows, and its JSON has the agreed shape."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.bars import BarRepository
from db.orders import OrderRow
from db.positions import FillRow, PositionRow
from db.transaction import Database
from ops.local import Servers
from ops.replay.plan import Plan, Request, exchange_calendar
from ops.replay.report import Report, report_of
from tests import database as databases
from tests.people import Person, person, queued, worker
from trading.bars import Bar
from trading.values import Symbol

KEYS = {
    "sessions", "users", "slots", "executions", "unfinished", "orders", "fills", "positions_opened", "positions_closed",
    "models_trained", "equity", "workers", "digest", "seconds",
}  # fmt: skip
STATUSES = {"waiting", "queued", "running", "retrying", "success", "failed", "skipped", "cancelled"}
FIRST, LAST = date(2024, 1, 2), date(2024, 1, 3)
OPEN = datetime(2024, 1, 3, 3, 45, tzinfo=UTC)


@pytest.fixture
def urls(servers: Servers) -> ServerUrls:
    addresses = ServerUrls(servers.database_url, servers.redis_url)
    databases.prepare(addresses)
    return addresses


@pytest.fixture
async def database(urls: ServerUrls) -> AsyncIterator[Database]:
    async with databases.emptied(urls) as empty:
        yield empty


def plan() -> Plan:
    sessions = exchange_calendar().sessions_between(FIRST, LAST)
    return Plan(Request(), "simulated:7", "simulated (seed 7)", sessions, (), (), ())


async def report(database: Database) -> Report:
    return await report_of(database, plan(), 1.5)


async def store_closes(database: Database, closes: dict[date, int]) -> None:
    bars = [
        Bar(Symbol("INFY"), day, Decimal(close), Decimal(close), Decimal(close), Decimal(close), 1)
        for day, close in closes.items()
    ]
    async with database.transaction(None) as session:
        await BarRepository(session).store(bars)


async def buy(database: Database, who: Person, price: str = "100", intent: str = "one") -> None:
    """Store an order that filled ten shares and holds them."""
    paid = Decimal(price)
    async with database.transaction(None) as session:
        order = OrderRow(
            user_id=who.user_id, account_id=who.account_id, execution_id=1, symbol="INFY", side="buy",
            order_type="market", variety="amo", quantity=10, status="filled", intent_key=intent, tag=intent,
            strategy="dip", leg="entry", rank=1, reference_price=paid, as_of=OPEN, session_day=LAST,
            config_version=1, filled_quantity=10, avg_price=paid,
        )  # fmt: skip
        session.add(order)
        await session.flush()
        session.add(
            FillRow(
                user_id=who.user_id, account_id=who.account_id, order_id=order.id, broker_fill_id=intent,
                symbol="INFY", side="buy", quantity=10, price=paid, charges=Decimal(1), filled_at=OPEN,
            )
        )  # fmt: skip
        session.add(
            PositionRow(
                user_id=who.user_id, account_id=who.account_id, symbol="INFY", quantity=10, entry_quantity=10,
                avg_price=paid, realized_pnl=Decimal(-1), charges=Decimal(1), opened_at=OPEN,
            )
        )  # fmt: skip
        await session.execute(
            text("UPDATE broker_accounts SET cash = cash - :paid WHERE id = :id"),
            {"paid": 10 * paid + 1, "id": who.account_id},
        )


async def test_an_empty_replay_has_every_key_and_only_those(database: Database) -> None:
    summary = json.loads(json.dumps((await report(database)).summary))
    assert summary.keys() == KEYS
    assert summary["executions"] == dict.fromkeys(STATUSES, 0)
    assert (summary["sessions"], summary["users"], summary["unfinished"], summary["seconds"]) == (2, 0, 0, 1.5)


async def test_executions_are_counted_by_status_and_by_worker(database: Database) -> None:
    name = await worker(database)
    await worker(database, "idle")
    await queued(database, "prices")
    await queued(database, "analysis")
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_task_execution SET status = 'success', worker = :name, duration_seconds = 2, "
                 "schedule_id = 1 WHERE task_name = 'prices'"),
            {"name": name},
        )  # fmt: skip
    made = await report(database)
    assert made.summary["executions"] == dict.fromkeys(STATUSES, 0) | {"success": 1, "queued": 1}
    assert (made.summary["unfinished"], made.summary["slots"]) == (1, 1)
    assert made.summary["workers"] == [{"name": "idle", "executions": 0}, {"name": name, "executions": 1}]
    assert [(line.task, line.success, line.p50) for line in made.tasks] == [("analysis", 0, None), ("prices", 1, 2.0)]


async def test_what_becomes_due_after_the_end_is_not_unfinished(database: Database) -> None:
    await queued(database, "order_sync", at=datetime(2024, 1, 4, tzinfo=UTC))
    assert (await report(database)).summary["unfinished"] == 0


async def test_shares_held_count_at_their_last_close(database: Database) -> None:
    who = await person(database)
    await store_closes(database, {date(2024, 1, 1): 100, FIRST: 104, LAST: 110})
    await buy(database, who)
    made = await report(database)
    assert made.summary["equity"] == {"start": 1_000_000.0, "end": 1_000_099.0}
    (user,) = made.users
    assert (user.orders, user.fills, user.open_positions, user.realised) == (1, 1, 1, Decimal("-1.00"))
    assert user.return_pct == pytest.approx(0.0099)
    assert made.buy_and_hold_pct == pytest.approx(10)


async def test_a_changed_price_changes_the_digest_and_new_ids_do_not(database: Database, urls: ServerUrls) -> None:
    await buy(database, await person(database))
    first = (await report(database)).summary["digest"]
    assert (await report(database)).summary["digest"] == first
    async with databases.emptied(urls) as again:
        await person(again, "somebody else first")
        await buy(again, await person(again), intent="two")
        assert (await report(again)).summary["digest"] == first
    async with databases.emptied(urls) as again:
        await buy(again, await person(again), "100.05")
        assert (await report(again)).summary["digest"] != first


async def test_errors_are_counted_and_the_newest_are_named(database: Database) -> None:
    async with database.transaction(None) as session:
        await session.execute(
            text("INSERT INTO error_logs (task_name, error_type, error_message) VALUES ('prices', 'Retry', 'no answer'), "
                 "('prices', 'Retry', 'no answer')")
        )  # fmt: skip
    made = await report(database)
    assert made.error_count == 2
    assert [(error.task, error.kind, error.message, error.times) for error in made.errors] == [
        ("prices", "Retry", "no answer", 2)
    ]
