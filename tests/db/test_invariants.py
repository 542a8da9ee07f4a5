"""Each invariant finds what breaks it, and nothing in a database where all is well."""

import pytest
from sqlalchemy import text

from db.invariants import INVARIANTS, check
from db.transaction import Database
from tests.people import Person, person, queued, replay_from, worker

_ORDER = (
    "INSERT INTO orders (user_id, account_id, execution_id, symbol, side, order_type, variety, quantity, status, "
    "intent_key, tag, strategy, leg, rank, reference_price, as_of, session_day, config_version, filled_quantity, "
    "retry_until) VALUES ({user}, {account}, 1, 'INFY', '{side}', 'market', 'amo', 10, '{status}', 'k{status}', 't', 'dip', "
    "'entry', 1, 1, now(), '{day}', 1, {filled}, '2024-01-01 10:00+00');"
)
_POSITION = (
    "INSERT INTO positions (user_id, account_id, symbol, quantity, entry_quantity, avg_price, realized_pnl, charges, "
    "opened_at) VALUES ({user}, {account}, '{symbol}', 10, 10, 5, 0, 0, now());"
)
_FILL = (
    "INSERT INTO fills (user_id, account_id, order_id, broker_fill_id, symbol, side, quantity, price, charges, filled_at) "
    "SELECT {user}, {account}, max(id), 'f', 'INFY', 'buy', {quantity}, 5, 0, now() FROM orders;"
)
_OLD_FILLS = "UPDATE fills SET created_at = now() - interval '1 hour';"


def _order(side: str = "buy", status: str = "filled", day: str = "2024-01-03", filled: int = 0) -> str:
    return (
        _ORDER.replace("{side}", side)
        .replace("{status}", status)
        .replace("{day}", day)
        .replace("{filled}", str(filled))
    )


_EXECUTION = (
    "INSERT INTO service_task_execution (scheduled_for, task_name, queue, status, as_of, useful_until, created_at, "
    "executed_at, finished_at, reason) VALUES ('2024-01-01', 'prices', 'default', {values});"
)

BROKEN: dict[str, str] = {
    "one_open_position": "DROP INDEX uq_positions_open;" + 2 * _POSITION.replace("{symbol}", "INFY"),
    "sale_fits_position": _order("buy", filled=10) + _FILL.replace("{quantity}", "10") + _OLD_FILLS
    + _POSITION.replace("{symbol}", "INFY").replace("10, 10, 5", "10, 10, 5")
    + _order("sell", "open").replace("'market', 'amo', 10", "'market', 'amo', 9"),
    "fills_are_the_orders": _order(filled=10),
    "positions_are_their_fills": _POSITION.replace("{symbol}", "INFY"),
    "no_sale_without_position": _order("sell", "open"),
    "failed_orders_expire": _order(status="failed"),
    "executions_end": _EXECUTION.replace(
        "{values}", "'queued', now(), '2024-01-01', now() - interval '1 hour', NULL, NULL, NULL"
    ),
    "nothing_stays_sending": _order(status="sending"),
    "portfolio_within_its_size": "".join(_POSITION.replace("{symbol}", f"S{number}") for number in range(7)),
    "rows_stay_with_their_user": "UPDATE cash_entries SET user_id = {other} WHERE user_id = {user};",
    "orders_end_with_their_session": _order(status="open", day="2024-01-01"),
    "what_ended_says_how": _EXECUTION.replace("{values}", "'failed', now(), NULL, now(), NULL, now(), NULL"),
    "cash_is_what_was_traded": "UPDATE broker_accounts SET cash = cash + 1 WHERE id = {account};",
}  # fmt: skip


async def _people(database: Database) -> tuple[Person, Person]:
    await replay_from(database)
    return await person(database, "asha"), await person(database, "bala")


@pytest.mark.parametrize("name", BROKEN)
async def test_what_breaks_an_invariant_is_found_by_it(database: Database, name: str) -> None:
    asha, bala = await _people(database)
    statements = BROKEN[name].format(user=asha.user_id, account=asha.account_id, other=bala.user_id).split(";")
    async with database.transaction(None) as session:
        for statement in filter(None, statements):
            await session.execute(text(statement))
        found = {finding.name: finding for finding in await check(session)}
        await session.rollback()  # the schema itself forbids some of it: nothing of this may stay
    assert name in found
    assert found[name].rows
    assert found[name].sentence.count(":") == 1


async def test_a_live_service_without_a_scheduler_is_found(database: Database) -> None:
    await person(database)
    async with database.reading(None) as session:
        assert [finding.name for finding in await check(session)] == ["a_scheduler_beats"]
    async with database.transaction(None) as session:
        await session.execute(text("INSERT INTO scheduler_processes (name, host, pid) VALUES ('s', 'h', 1)"))
        assert await check(session) == []


async def test_nothing_is_found_where_all_is_well(database: Database) -> None:
    asha, _ = await _people(database)
    await worker(database)
    await queued(database, "order_sync", asha)
    async with database.reading(None) as session:
        assert await check(session) == []


def test_every_invariant_is_broken_by_a_test() -> None:
    assert {one.name for one in INVARIANTS} == {*BROKEN, "a_scheduler_beats"}
