"""Row-level security: a user sees his rows, the system sees all, nobody else sees any."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db.base import USER_SCOPED
from db.tables import metadata
from db.transaction import Database
from tests.people import person, queued, scalar, worker


async def _fill(database: Database) -> tuple[int, int]:
    """Give two users a row in every user-scoped table, through the database's own defaults where it has them."""
    asha, bala = await person(database, "asha"), await person(database, "bala")
    async with database.transaction(None) as session:
        await session.execute(text(_SIGNAL))
        for who in (asha, bala):
            await session.execute(text(_ROWS.format(user=who.user_id, account=who.account_id)))
    for who in (asha, bala):
        await queued(database, "order_sync", who)
    return asha.user_id, bala.user_id


_SIGNAL = """
WITH f AS (INSERT INTO feature_snapshots (strategy, parameter_hash, day, version, sha256, features, left_out)
    SELECT strategy, hash, '2024-01-02', 1, 'x', '{}', '{}' FROM parameter_sets LIMIT 1 RETURNING *)
INSERT INTO signals (snapshot_id, strategy, parameter_hash, day, symbol, last_close, features)
SELECT id, strategy, parameter_hash, day, 'INFY', 1, '{}' FROM f
"""

_ROWS = """
WITH o AS (
    INSERT INTO orders (user_id, account_id, execution_id, symbol, side, order_type, variety, quantity, status, intent_key,
        tag, strategy, leg, rank, reference_price, as_of, session_day, config_version)
    VALUES ({user}, {account}, 1, 'INFY', 'buy', 'market', 'amo', 1, 'filled', 'key', 'tag', 'dip', 'entry', 1, 1, now(),
        '2024-01-03', 1) RETURNING id),
e AS (INSERT INTO order_events (user_id, order_id, event, to_status, at) SELECT {user}, id, 'planned', 'planned', now() FROM o),
f AS (INSERT INTO fills (user_id, account_id, order_id, broker_fill_id, symbol, side, quantity, price, charges, filled_at)
    SELECT {user}, {account}, id, 'f', 'INFY', 'buy', 1, 1, 0, now() FROM o),
p AS (INSERT INTO positions (user_id, account_id, symbol, quantity, entry_quantity, avg_price, realized_pnl, charges, opened_at)
    VALUES ({user}, {account}, 'INFY', 1, 1, 1, 0, 0, now()) RETURNING id),
d AS (INSERT INTO decisions (user_id, account_id, execution_id, task_name, day, symbol, leg, verdict, facts, config_version)
    VALUES ({user}, {account}, 1, 'buy_orders', '2024-01-02', 'INFY', 'entry', 'approved', '{{}}', 1)),
l AS (INSERT INTO error_logs (user_id, error_type, error_message) VALUES ({user}, 'E', 'e')),
n AS (INSERT INTO notifications (user_id, type, event, level, title, message, dedupe_key)
    VALUES ({user}, 'trading', 'order_placed', 'info', 't', 'm', 'k')),
u AS (INSERT INTO audit_logs (user_id, actor, action, resource_type) VALUES ({user}, 'asha', 'update', 'config')),
s AS (INSERT INTO service_logs (timestamp, user_id, level, module, message) VALUES (now(), {user}, 'INFO', 'm', 'm')),
y AS (INSERT INTO activity (user_id, type) VALUES ({user}, 'order')),
b AS (INSERT INTO pnldaily (user_id, account_id, date) VALUES ({user}, {account}, '2024-01-02')),
v AS (INSERT INTO portfolio_snapshots (user_id, account_id, date, total_value, invested_value, available_cash,
    unrealized_pnl, realized_pnl, open_positions_count, closed_positions_count)
    VALUES ({user}, {account}, '2024-01-02', 1, 0, 1, 0, 0, 0, 0)),
c AS (INSERT INTO pnl_calculation_audit (user_id, calculation_type, status, triggered_by)
    VALUES ({user}, 'scheduled', 'success', 'scheduled')),
x AS (INSERT INTO execution_counts (day, task_name, user_id, account_id, status, executions)
    VALUES ('2024-01-02', 'order_sync', {user}, {account}, 'success', 1)),
w AS (INSERT INTO user_signal_status (user_id, signal_id, symbol, status)
    SELECT {user}, id, symbol, 'active' FROM signals LIMIT 1),
g AS (INSERT INTO user_trading_config_versions (user_id, version, strategy, parameter_hash, config, changed_by, changed_at)
    SELECT user_id, 7, strategy, parameter_hash, '{{}}', 'asha', now() FROM user_trading_config WHERE user_id = {user}),
r AS (INSERT INTO reentries (user_id, account_id, position_id, order_id, symbol, cycle, level, rsi, day)
    SELECT {user}, {account}, p.id, o.id, 'INFY', 0, 20, 19, '2024-01-02' FROM o, p),
i AS (INSERT INTO import_batches (user_id, account_id, kind, source, sha256, state, actor)
    VALUES ({user}, {account}, 'trades-history', 's', 'x', 'done', 'asha') RETURNING id),
j AS (INSERT INTO import_records (user_id, batch_id, place, outcome, kind, reason)
    SELECT {user}, id, 'trades[0]', 'error', 'k', 'r' FROM i),
k AS (INSERT INTO tracked_symbols (user_id, account_id, tracking_id, symbol, status, started_at, system_quantity,
    tracked_quantity, pre_existing_quantity, facts)
    VALUES ({user}, {account}, 't', 'INFY', 'active', now(), 1, 1, 0, '{{}}')),
h AS (INSERT INTO halts (user_id, entries, exits, changes, tasks, reason, created_by)
    VALUES ({user}, true, false, false, false, 'r', 'asha')),
a AS (INSERT INTO execution_attempts (execution_id, scheduled_for, user_id, attempt, generation, outcome)
    VALUES (1, now(), {user}, 1, 1, 'failed'))
INSERT INTO paper_orders (account_id, user_id, tag, symbol, side, order_type, quantity, word, session_day, placed_at)
VALUES ({account}, {user}, 'tag', 'INFY', 'buy', 'market', 1, 'parked', '2024-01-03', now())
"""


async def test_a_user_never_sees_another_users_rows_in_any_table(database: Database) -> None:
    asha, bala = await _fill(database)
    for table, owner in sorted(USER_SCOPED.items()):
        async with database.reading(asha) as session:
            owners = set((await session.execute(text(f"SELECT DISTINCT {owner} FROM {table}"))).scalars())
        assert owners == {asha}, table
        assert bala not in owners


async def test_a_user_can_neither_change_nor_plant_another_users_rows(database: Database) -> None:
    asha, bala = await _fill(database)
    for table, owner in sorted(USER_SCOPED.items()):
        async with database.transaction(asha) as session:
            changed = await session.execute(
                text(f"UPDATE {table} SET {owner} = {owner} WHERE {owner} = :id"), {"id": bala}
            )
        assert changed.rowcount == 0, table  # type: ignore[attr-defined]
    with pytest.raises(DBAPIError, match="row-level security"):
        async with database.transaction(asha) as session:
            await session.execute(
                text("INSERT INTO error_logs (user_id, error_type, error_message) VALUES (:id, 'E', 'e')"), {"id": bala}
            )


async def test_without_a_scope_nothing_is_visible_and_a_scope_ends_with_its_transaction(database: Database) -> None:
    await _fill(database)
    async with database.reading(None) as session:
        assert (await session.execute(text("SELECT count(*) FROM users"))).scalar_one() == 2
    async with database.engine.connect() as connection:
        for table in sorted(USER_SCOPED):
            assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0, table


async def test_a_partition_read_directly_hides_other_users_too(database: Database) -> None:
    asha, _ = await _fill(database)
    for partition in ("service_task_execution_p20240101", "decisions_p20240101"):
        async with database.reading(asha) as session:
            seen = await session.execute(text(f"SELECT DISTINCT user_id FROM {partition}"))
        assert set(seen.scalars()) == {asha}, partition


async def test_every_table_with_a_user_is_protected_and_enforced_for_its_owner(database: Database) -> None:
    with_user = {name for name, table in metadata.tables.items() if "user_id" in table.columns} | {"users"}
    assert with_user == set(USER_SCOPED)
    unprotected = await scalar(
        database,
        "SELECT count(*) FROM pg_class WHERE (relname = ANY(:names) OR relispartition) "
        "AND relkind IN ('r', 'p') AND NOT (relrowsecurity AND relforcerowsecurity)",
        names=sorted(USER_SCOPED),
    )
    assert unprotected == 0


async def test_the_role_of_the_tests_is_no_superuser(database: Database) -> None:
    await worker(database)
    assert await scalar(database, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user") is False
