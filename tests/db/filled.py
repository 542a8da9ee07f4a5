"""A database as full as one of a year, for looks at plans: a hundred accounts, and one slot that is halfway through.

Ids follow from the order of insertion: user n has the accounts n and n + 50; order n is its account's (n - 1) % 100 + 1.
"""

from datetime import UTC, date, datetime

from sqlalchemy import text

from config.servers import ServerUrls
from db.engine import make_engine
from db.partitions import PartitionRepository
from db.seeds import seed
from db.transaction import Database
from db.users import UserRepository
from migrations.run import migrate
from trading.config import DEFAULTS

NAME = "muhurat_plans"
USERS = 50
IDLE = 600
# Tuesday 2024-01-09, 16:00 IST.
SLOT = datetime(2024, 1, 9, 10, 30, tzinfo=UTC)
IN_SLOT = 100_000
ORDERS = 30_000

_OWNER = "((g - 1) % 50 + 1), ((g - 1) % 100 + 1)"
_DAY = f"(date '2023-12-01' + (g * 40 / {ORDERS})::int)"

# In the order of their foreign keys. g counts rows; each statement fills one table.
FILLINGS: tuple[str, ...] = (
    f"INSERT INTO market_clock (id, at, ends_at) VALUES (1, '{SLOT}', '{SLOT}')",
    "INSERT INTO worker_processes (name, host, pid, queues, lease_until) VALUES ('w1', 'h', 1, 'all', 'infinity')",
    "INSERT INTO worker_processes (name, host, pid, queues, lease_until) VALUES ('dead', 'h', 2, 'all', '-infinity')",
    """INSERT INTO worker_processes (name, host, pid, queues, lease_until, ended_at)
       SELECT 'old' || g, 'h', g, 'all', '-infinity', now() FROM generate_series(1, 200) g""",
    f"""INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, subject, queue, status, as_of,
            rung_at, next_attempt_at, worker, executed_at, finished_at, attempt, useful_until, waiting_for, duration_seconds,
            details)
        SELECT timestamptz '{SLOT}', 'sell_monitor', {_OWNER}, g::text, 'orders', s, timestamptz '{SLOT}',
               CASE WHEN s IN ('running', 'success') OR (s = 'queued' AND g % 3 = 0) THEN now() END,
               CASE WHEN s = 'retrying' THEN now() + g * interval '1 s' END,
               CASE WHEN s = 'running' AND g % 2 = 0 THEN 'dead' WHEN s IN ('running', 'success') THEN 'w1' END,
               now(), CASE WHEN s = 'success' THEN now() END, 1, timestamptz '{SLOT}' + interval '1 hour',
               CASE WHEN s = 'waiting' THEN '[{{"task": "order_sync", "subject": "", "account": true,
                    "after": "2024-01-09T10:00:00Z", "repeats": true}}]'::jsonb END, 0.1, '{{"seen": 1}}'::jsonb
        FROM (SELECT g, CASE WHEN g <= {IN_SLOT // 2} THEN 'success' WHEN g <= {IN_SLOT // 2} + 60 THEN 'running'
                             WHEN g <= {IN_SLOT // 2} + 200 THEN 'waiting'
                             WHEN g <= {IN_SLOT // 2} + 2200 THEN 'retrying'
                             WHEN g % 3 = 2 THEN 'skipped' ELSE 'queued' END AS s
              FROM generate_series(1, {IN_SLOT}) g) slot""",
    f"""INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, queue, status, as_of, rung_at,
            worker, executed_at, finished_at, attempt, duration_seconds, details)
        SELECT at, task, {_OWNER}, 'orders', 'success', at, now(), 'w1', now(), now(), 1, 0.1, '{{"seen": 1}}'::jsonb
        FROM generate_series(1, 100) g, unnest('{{order_sync,sell_monitor,buy_orders,eod_cleanup}}'::text[]) task,
             generate_series(timestamptz '2023-12-04 04:00Z', '2024-01-08', interval '6 hours') at""",
    """INSERT INTO execution_attempts (execution_id, scheduled_for, user_id, attempt, generation, outcome)
       SELECT g, '2024-01-02', (g - 1) % 50 + 1, 1, 1, 'failed' FROM generate_series(1, 10000) g""",
    """INSERT INTO parameter_sets (hash, strategy, parameters) SELECT 'h' || g, 'dip', '{}' FROM generate_series(1, 4) g""",
    """INSERT INTO user_trading_config_versions (user_id, version, strategy, parameter_hash, config, changed_by, changed_at)
       SELECT user_id, g, strategy, parameter_hash, config, 'asha', now()
       FROM user_trading_config_versions v, generate_series(2, 110) g""",
    "UPDATE user_trading_config SET version = 110",
    """INSERT INTO bars (symbol, day, open, high, low, close, volume)
       SELECT 'S' || s, date '2022-01-03' + g, 10, 11, 9, 10, 1000 FROM generate_series(1, 60) s, generate_series(1, 700) g""",
    """INSERT INTO price_days (day, bars, missing, whole, source)
       SELECT date '2022-01-03' + g, 60, 0, true, 'a test' FROM generate_series(1, 730) g""",
    """INSERT INTO feature_snapshots (strategy, parameter_hash, day, version, sha256, features, left_out)
       SELECT 'dip', 'h' || h, date '2023-10-01' + g, 1, 'x', '{"symbols": ["S1"], "columns": {"rsi": [20]}}', '{}'
       FROM generate_series(1, 4) h, generate_series(1, 101) g""",
    """INSERT INTO signals (snapshot_id, strategy, parameter_hash, day, symbol, last_close, features, status)
       SELECT id, strategy, parameter_hash, day, 'S' || s, 10, '{}', CASE WHEN day = '2024-01-09' THEN 'active' ELSE 'expired' END
       FROM feature_snapshots, generate_series(1, 50) s""",
    """INSERT INTO user_signal_status (user_id, signal_id, symbol, status)
       SELECT u, s.id, s.symbol, 'traded' FROM generate_series(1, 50) u, signals s WHERE s.id % 50 = 7""",
    f"""INSERT INTO orders (user_id, account_id, execution_id, symbol, side, order_type, variety, quantity, status,
            intent_key, tag, strategy, leg, rank, reference_price, as_of, session_day, config_version, filled_quantity,
            retry_until, broker_order_id, created_at)
        SELECT {_OWNER}, g, 'S' || (g / 100 % 60), CASE WHEN g % 2 = 0 THEN 'buy' ELSE 'sell' END, 'market', 'amo', 10,
               CASE WHEN g > {ORDERS} - 200 THEN 'open' WHEN g > {ORDERS} - 400 THEN 'failed' ELSE 'filled' END, 'k' || g,
               't' || g, 'dip', 'entry', 1, 10, {_DAY}, {_DAY}, 1, CASE WHEN g > {ORDERS} - 400 THEN 0 ELSE 10 END,
               CASE WHEN g > {ORDERS} - 400 THEN timestamptz '2024-01-10' END, 'b' || g, {_DAY}
        FROM generate_series(1, {ORDERS}) g""",
    f"""INSERT INTO order_events (user_id, order_id, event, to_status, at)
        SELECT (g - 1) % 50 + 1, g, 'accept', 'acked', {_DAY} FROM generate_series(1, {ORDERS}) g""",
    f"""INSERT INTO fills (user_id, account_id, order_id, broker_fill_id, symbol, side, quantity, price, charges, filled_at)
        SELECT {_OWNER}, g, 'f' || g, 'S' || (g / 100 % 60), CASE WHEN g % 2 = 0 THEN 'buy' ELSE 'sell' END, 10, 10, 1, {_DAY}
        FROM generate_series(1, {ORDERS} - 400) g""",
    f"""INSERT INTO cash_entries (user_id, account_id, kind, amount, reference, at)
        SELECT {_OWNER}, 'charges', -1, 'f' || g, {_DAY} FROM generate_series(1, {ORDERS} - 400) g""",
    f"""INSERT INTO paper_orders (account_id, user_id, tag, symbol, side, order_type, quantity, word, session_day, placed_at)
        SELECT (g - 1) % 100 + 1, (g - 1) % 50 + 1, 't' || g, 'S' || (g / 100 % 60), 'buy', 'market', 10,
               CASE WHEN g > {ORDERS} - 200 THEN 'open' ELSE 'complete' END, {_DAY}, {_DAY}
        FROM generate_series(1, {ORDERS}) g""",
    f"""INSERT INTO positions (user_id, account_id, symbol, quantity, entry_quantity, avg_price, realized_pnl, charges,
            opened_at, closed_at)
        SELECT {_OWNER}, 'S' || (g / 100 % 60), CASE WHEN g > 9500 THEN 10 ELSE 0 END, 10, 10, 0, 1,
               date '2023-12-01' + (g / 250), CASE WHEN g <= 9500 THEN timestamptz '2023-12-02' + g / 250 * interval '1 day' END
        FROM generate_series(1, 10000) g""",
    f"""INSERT INTO reentries (user_id, account_id, position_id, order_id, symbol, cycle, level, rsi, day)
        SELECT {_OWNER}, g, g, 'S1', 0, 10, 9, '2024-01-02' FROM generate_series(1, 10000) g""",
    f"""INSERT INTO decisions (user_id, account_id, execution_id, task_name, day, symbol, leg, verdict, facts, config_version)
        SELECT {_OWNER}, g, 'buy_orders', {_DAY}, 'S' || g, 'entry', 'refused', '{{}}', 1
        FROM generate_series(1, {ORDERS}) g""",
    """INSERT INTO service_logs (timestamp, user_id, level, module, message, execution_id)
       SELECT timestamptz '2023-12-04' + g * interval '100 seconds', (g - 1) % 50 + 1,
              CASE WHEN g % 100 = 0 THEN 'ERROR' ELSE 'INFO' END, 'm', 'm', g FROM generate_series(1, 30000) g""",
    """INSERT INTO error_logs (user_id, task_name, execution_id, fingerprint, error_type, error_message, resolved, occurred_at)
       SELECT (g - 1) % 50 + 1, 'submit', g, 'p' || g % 100, 'E', 'e', g % 100 > 0, now() - g * interval '1 hour'
       FROM generate_series(1, 10000) g""",
    """INSERT INTO notifications (user_id, type, event, level, title, message, dedupe_key, read, created_at)
       SELECT (g - 1) % 50 + 1, 'trading', 'order_placed', 'info', 't', 'm', 'k' || g, g % 100 > 0,
              now() - g * interval '1 hour' FROM generate_series(1, 20000) g""",
    """INSERT INTO audit_logs (user_id, actor, action, resource_type, resource_id, timestamp)
       SELECT (g - 1) % 50 + 1, 'asha', 'update', 'config', g, now() - g * interval '1 hour' FROM generate_series(1, 10000) g""",
    """INSERT INTO activity (user_id, type, ref_id, ts) SELECT (g - 1) % 50 + 1, 'order', g::text, now() - g * interval '1 hour'
       FROM generate_series(1, 10000) g""",
    """INSERT INTO pnldaily (user_id, account_id, date)
       SELECT (a - 1) % 50 + 1, a, date '2023-06-01' + g FROM generate_series(1, 100) a, generate_series(1, 200) g""",
    """INSERT INTO portfolio_snapshots (user_id, account_id, date, total_value, invested_value, available_cash,
            unrealized_pnl, realized_pnl, open_positions_count, closed_positions_count)
       SELECT user_id, account_id, date, 1, 0, 1, 0, 0, 0, 0 FROM pnldaily""",
    """INSERT INTO pnl_calculation_audit (user_id, calculation_type, status, triggered_by)
       SELECT (g - 1) % 50 + 1, 'scheduled', 'success', 'scheduled' FROM generate_series(1, 10000) g""",
    # Many more users who did nothing yet: their subscriptions alone are too many to be read whole.
    f"INSERT INTO users (email) SELECT 'more' || g || '@example.in' FROM generate_series(1, {IDLE}) g",
    f"INSERT INTO service_status (user_id, service_running) SELECT id, true FROM users WHERE id > {USERS}",
    f"INSERT INTO user_notification_preferences (user_id) SELECT id FROM users WHERE id > {USERS}",
    f"""INSERT INTO user_trading_config (user_id, parameter_hash)
        SELECT u.id, c.parameter_hash FROM users u, user_trading_config c WHERE u.id > {USERS} AND c.user_id = 1""",
    f"""INSERT INTO broker_accounts (user_id, code, name, mode, venue)
        SELECT id, email || '/paper', 'paper', 'paper', 'paper' FROM users WHERE id > {USERS}""",
    f"""INSERT INTO schedule_subscriptions (schedule_id, user_id, account_id)
        SELECT d.id, a.user_id, a.id FROM schedules d, broker_accounts a WHERE d.scope = 'account' AND a.user_id > {USERS}""",
)


async def fill(urls: ServerUrls) -> ServerUrls:
    """Make a database of that name beside the one of the other tests, full and analysed. Returns its addresses."""
    await _create(urls)
    full = ServerUrls(urls.database.replace("/muhurat?", f"/{NAME}?"), urls.redis)
    database = Database(make_engine(full.sqlalchemy, pool_size=1))
    await migrate(database.engine)
    async with database.transaction(None) as session:
        await seed(session)
        await PartitionRepository(session).make(date(2023, 12, 1), date(2024, 3, 31))
        await PartitionRepository(session).make_ahead(35)
        users = UserRepository(session)
        signed = [await users.sign_up(f"user{n}@example.in", "u", DEFAULTS, SLOT) for n in range(1, USERS + 1)]
        for one in signed:
            await users.add_paper_account(one.user_id, "second", DEFAULTS, SLOT)
        await session.execute(text("UPDATE service_status SET service_running = true"))
        connection = await session.connection()
        for statement in FILLINGS:
            await connection.exec_driver_sql(statement)  # a colon in it is no parameter
    async with database.engine.connect() as line:
        await line.execution_options(isolation_level="AUTOCOMMIT")
        await line.execute(text("VACUUM (ANALYZE)"))
    await database.close()
    return full


async def _create(urls: ServerUrls) -> None:
    engine = make_engine(urls.sqlalchemy, pool_size=1)
    async with engine.connect() as line:
        await line.execution_options(isolation_level="AUTOCOMMIT")
        await line.execute(text(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)"))
        await line.execute(text(f"CREATE DATABASE {NAME}"))
    await engine.dispose()
