"""Each invariant finds what breaks it and is the only one that does; nothing is found where all is well."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.invariants import EVERYTHING, INVARIANTS, Finding, Span, check
from db.transaction import Database
from tests.db.sound_record import order, sound_record
from tests.people import Person, person, worker

_EXECUTION = (
    "INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, queue, status, as_of, useful_until, "
    "created_at, executed_at) VALUES ('2024-01-01', 'prices', {user}, {account}, 'default', "
)
_POSITION = (
    "INSERT INTO positions (user_id, account_id, symbol, quantity, entry_quantity, avg_price, realized_pnl, charges, "
    "opened_at) VALUES ({user}, {account}, 'INFY-EQ', 1, 1, 5, 0, 0, '2024-01-02')"
)
_STRANGER = (
    "INSERT INTO paper_orders (account_id, user_id, tag, symbol, side, order_type, quantity, word, session_day, placed_at) "
    "VALUES ({account}, {user}, 'T9', 'INFY', 'buy', 'market', 1, 'open', '2024-01-03', now())"
)
_T2 = "WHERE tag = 'T2'"

_FILL_ASTRAY = """DELETE FROM positions WHERE symbol = 'TCS';
    UPDATE fills SET user_id = {other} WHERE broker_fill_id = 'fT4'"""

# Name -> ways to break it, each of one or more statements.
BROKEN: dict[str, tuple[str, ...]] = {
    "sale_fits_position": (f"UPDATE orders SET quantity = 9 {_T2}",),
    "what_is_closed_has_no_orders": (
        f"UPDATE orders SET symbol = 'WIPRO' {_T2}",
        f"UPDATE orders SET symbol = 'WIPRO', side = 'buy', entry_type = 'reentry' {_T2}",
    ),
    "fills_are_the_orders": (
        "UPDATE orders SET filled_quantity = 9 WHERE tag = 'T1'; UPDATE paper_orders SET filled_quantity = 9 WHERE tag = 'T1'",
    ),
    "positions_are_their_fills": (
        "UPDATE positions SET realized_pnl = realized_pnl + 1 WHERE symbol = 'INFY'",
        "UPDATE positions SET quantity = 11 WHERE symbol = 'INFY'; UPDATE orders SET quantity = 11 WHERE tag = 'T2'",
        "UPDATE positions SET charges = 5 WHERE symbol = 'TCS'",
    ),
    "fills_have_a_position": ("DELETE FROM positions WHERE symbol = 'TCS'",),
    "failed_orders_expire": (
        f"UPDATE orders SET status = 'failed', retry_until = '2024-01-02' {_T2}",
        f"UPDATE orders SET status = 'failed' {_T2}",
    ),
    "nothing_stays_unanswered": (
        f"UPDATE orders SET status = 'sending', broker_order_id = NULL {_T2}",
        f"UPDATE orders SET status = 'planned', broker_order_id = NULL {_T2}",
    ),
    "orders_end_with_their_session": (f"UPDATE orders SET session_day = '2024-01-02' {_T2}",),
    "an_intent_is_ordered_once": ("{denied}",),
    "portfolio_within_its_size": (
        "UPDATE user_trading_config_versions SET config = jsonb_set(config, '{{max_portfolio_size}}', '0')",
    ),
    "fills_are_paid": (
        "UPDATE cash_entries SET amount = amount + CASE kind WHEN 'buy' THEN 1 ELSE -1 END WHERE reference = 'fT1'",
        "UPDATE cash_entries SET reference = 'other' WHERE reference = 'fT1' AND kind = 'charges'",
    ),
    "cash_is_what_was_traded": ("UPDATE broker_accounts SET cash = cash + 1 WHERE id = {account}",),
    "the_paper_venue_agrees": (
        "UPDATE paper_orders SET quantity = 11 WHERE tag = 'T1'",
        "DELETE FROM paper_orders WHERE tag = 'T1'",
        _STRANGER,
    ),
    "the_paper_venue_has_the_same_cash": (
        f"UPDATE orders SET status = 'cancelled' {_T2}; UPDATE paper_books SET cash = cash + 1 WHERE user_id = {{user}}",
    ),
    "executions_end": (
        _EXECUTION + "'queued', '2024-01-01', '2024-01-01', now() - interval '1 hour', NULL)",
        _EXECUTION + "'waiting', '2024-01-01', '2024-01-01', now() - interval '1 hour', NULL)",
    ),
    "what_runs_is_held": (
        _EXECUTION + "'running', '2024-01-01', NULL, now(), now() - interval '1 minute'); "
        "UPDATE service_task_execution SET rung_at = now() WHERE status = 'running'",
    ),
    "what_ended_says_how": (
        "UPDATE service_task_execution SET finished_at = NULL WHERE status = 'success'",
        "UPDATE service_task_execution SET details = NULL WHERE status = 'success'",
        "UPDATE service_task_execution SET reason = NULL WHERE status = 'failed'",
    ),
    "attempts_are_told": ("DELETE FROM execution_attempts",),
    "what_is_unique_stays_so": (
        "DROP INDEX uq_positions_open",
        "ALTER TABLE service_task_execution DROP CONSTRAINT uq_service_task_execution_identity",
    ),
    "rows_stay_with_their_user": (
        f"ALTER TABLE orders DROP CONSTRAINT fk_orders_owner; UPDATE orders SET user_id = {{other}} {_T2}",
        _FILL_ASTRAY,
        "UPDATE cash_entries SET user_id = {other} WHERE kind = 'deposit' AND user_id = {user}",
        "UPDATE schedule_subscriptions SET user_id = {other} WHERE user_id = {user}",
        "UPDATE paper_books SET user_id = {other} WHERE user_id = {user}",
        _EXECUTION.replace("{user}", "{other}") + "'queued', '2024-01-01', NULL, now(), NULL)",
    ),
    "one_open_position": (_POSITION,),
}  # fmt: skip
# What cannot be broken without another one.
FOLLOWS = {
    (_POSITION): {"positions_are_their_fills"},
    BROKEN["rows_stay_with_their_user"][1]: {"fills_have_a_position"},
}
# These hold of the wall clock alone and have tests of their own.
LIVE = {"a_scheduler_beats", "a_worker_lives", "schedules_fire"}


async def found_after(
    database: Database, change: str, asha: Person, bala: Person, span: Span = EVERYTHING
) -> dict[str, Finding]:
    """Return what is found after a change that is taken back again: the schema itself forbids some of it."""
    values = {"user": asha.user_id, "account": asha.account_id, "other": bala.user_id}
    statements = change.format(**values, denied=order(asha, "T9", "denied"))
    async with database.transaction(None) as session:
        await _run(session, statements)
        found = {finding.name: finding for finding in await check(session, span)}
        await session.rollback()
    return found


async def _run(session: AsyncSession, statements: str) -> None:
    connection = await session.connection()
    for statement in statements.split(";"):
        await connection.exec_driver_sql(statement)


async def test_what_breaks_an_invariant_is_found_by_it_alone(database: Database) -> None:
    asha, bala = await sound_record(database)
    for name, changes in BROKEN.items():
        for change in changes:
            found = await found_after(database, change, asha, bala)
            assert set(found) == {name} | FOLLOWS.get(change, set()), change
            assert found[name].count >= len(found[name].rows) > 0, name
            assert found[name].sentence.count(":") == 1, "what it means: the cure"


async def test_a_fill_and_a_reentry_of_another_account_than_their_orders_are_found(database: Database) -> None:
    asha, bala = await sound_record(database)
    level = (
        "INSERT INTO reentries (user_id, account_id, position_id, order_id, symbol, cycle, level, rsi, day) SELECT user_id, "
        "{account}, (SELECT min(id) FROM positions), id, symbol, 0, 20, 15, session_day FROM orders WHERE tag = 'T1'"
    )
    for change in ("UPDATE fills SET account_id = {account} WHERE broker_fill_id = 'fT1'", level):
        found = await found_after(database, change.format(account=bala.account_id), asha, bala)
        assert "rows_stay_with_their_user" in found, change
    assert await found_after(database, level.format(account=asha.account_id), asha, bala) == {}


async def test_nothing_is_found_where_all_is_well(database: Database) -> None:
    await sound_record(database)
    async with database.reading(None) as session:
        assert await check(session) == []
        assert await check(session, EVERYTHING) == []


async def test_what_just_moved_is_on_its_way_and_no_finding(database: Database) -> None:
    asha, bala = await sound_record(database)
    moved = (
        "; INSERT INTO order_events (user_id, order_id, event, to_status, at) "
        "SELECT user_id, id, 'fill', status, timestamptz '2024-01-03 04:59Z' FROM orders WHERE tag = 'T2'"
    )
    for name in ("sale_fits_position", "what_is_closed_has_no_orders", "nothing_stays_unanswered"):
        assert await found_after(database, BROKEN[name][0] + moved, asha, bala) == {}, name


async def test_an_order_that_somebody_is_about_to_send_is_no_finding(database: Database) -> None:
    asha, bala = await sound_record(database)
    about = (
        "; INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, subject, queue, status, as_of) "
        "SELECT now(), 'submit', user_id, account_id, id || ':1', 'orders', 'queued', now() FROM orders WHERE tag = 'T2'"
    )
    assert await found_after(database, BROKEN["nothing_stays_unanswered"][0] + about, asha, bala) == {}


async def test_history_is_looked_at_only_as_far_back_as_asked(database: Database) -> None:
    asha, bala = await sound_record(database)
    old = "UPDATE orders SET filled_quantity = 4 WHERE tag = 'T3'; UPDATE paper_orders SET filled_quantity = 4 WHERE tag = 'T3'"
    assert await found_after(database, old, asha, bala, Span(days=3, executions=10)) == {}
    assert set(await found_after(database, old, asha, bala)) == {"fills_are_the_orders"}


async def test_a_finding_counts_all_rows_and_names_ten(database: Database) -> None:
    asha, bala = await sound_record(database)
    many = "; ".join(order(asha, f"X{number}", "failed", symbol=f"S{number}") for number in range(12))
    found = await found_after(database, many, asha, bala)
    assert (found["failed_orders_expire"].count, len(found["failed_orders_expire"].rows)) == (12, 10)


async def test_a_live_service_needs_a_scheduler_a_worker_and_schedules_that_fire(database: Database) -> None:
    await person(database)
    late = "UPDATE schedules SET next_due_at = now() - interval '5 min' WHERE name = 'prices'"
    async with database.transaction(None) as session:
        await session.execute(text(late))
    async with database.reading(None) as session:
        assert {finding.name for finding in await check(session)} == LIVE
    await worker(database)
    async with database.transaction(None) as session:
        await session.execute(text("INSERT INTO scheduler_processes (name, host, pid) VALUES ('s', 'h', 1)"))
        await session.execute(text("UPDATE schedules SET next_due_at = now()"))
        assert await check(session) == []


async def test_a_stopped_service_needs_nobody(database: Database) -> None:
    await person(database)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_status SET service_running = false"))
        assert await check(session) == []


def test_every_invariant_is_broken_by_a_test() -> None:
    assert {one.name for one in INVARIANTS} == {*BROKEN, *LIVE}
