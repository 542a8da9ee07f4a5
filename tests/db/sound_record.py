"""A small record in which everything agrees, written in SQL: what a test of invariants breaks in one place.

Market time is a Wednesday's 10:30 IST. Asha holds ten shares of INFY and offers them; TCS she has sold again.
"""

from datetime import UTC, datetime

from sqlalchemy import text

from db.transaction import Database
from tests.people import Person, person, replay_from

NOW = datetime(2024, 1, 3, 5, 0, tzinfo=UTC)
PAID = "-1000 - 5 - 1000 - 2 + 1050 - 2"

_ORDER = (
    "INSERT INTO orders (user_id, account_id, execution_id, symbol, side, order_type, variety, quantity, status, intent_key, "
    "tag, strategy, leg, rank, reference_price, as_of, session_day, config_version, filled_quantity, broker_order_id) "
    "VALUES ({user}, {account}, 1, '{symbol}', '{side}', 'market', 'amo', {quantity}, '{status}', 'k{tag}', '{tag}', 'dip', "
    "'{leg}', 1, 100, '{day}', '{day}', 1, {filled}, {broker})"
)
_AT_VENUE = (
    "INSERT INTO paper_orders (account_id, user_id, tag, symbol, side, order_type, quantity, word, session_day, placed_at, "
    "filled_quantity) VALUES ({account}, {user}, '{tag}', '{symbol}', '{side}', 'market', {quantity}, '{word}', '{day}', "
    "'{day}', {filled})"
)
_FILL = (
    "INSERT INTO fills (user_id, account_id, order_id, broker_fill_id, symbol, side, quantity, price, charges, filled_at) "
    "SELECT user_id, account_id, id, 'f' || tag, symbol, side, quantity, {price}, {charges}, '{day} 03:45Z' FROM orders "
    "WHERE tag = '{tag}'"
)
_PAID = (
    "INSERT INTO cash_entries (user_id, account_id, kind, amount, reference, at) SELECT user_id, account_id, kind, amount, "
    "broker_fill_id, filled_at FROM fills CROSS JOIN LATERAL (VALUES (side, CASE side WHEN 'buy' THEN -1 ELSE 1 END * "
    "fill_value), ('charges', -charges)) v(kind, amount)"
)
_POSITIONS = (
    "INSERT INTO positions (user_id, account_id, symbol, quantity, entry_quantity, avg_price, realized_pnl, charges, "
    "opened_at, closed_at) VALUES ({user}, {account}, 'INFY', 10, 10, 100, -5, 5, '2024-01-02 03:45Z', NULL), "
    "({user}, {account}, 'TCS', 0, 5, 200, 46, 4, '2023-12-28 03:45Z', '2024-01-02 03:45Z')"
)
_EXECUTIONS = (
    "INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, subject, queue, status, as_of, "
    "attempt, worker, executed_at, finished_at, duration_seconds, details, reason) VALUES "
    "('2024-01-02', 'order_sync', {user}, {account}, '', 'orders', 'success', '2024-01-02', 1, 'w', now(), now(), 1, "
    "'{{\"orders\": 1}}', NULL), "
    "('2024-01-02', 'submit', {user}, {account}, '9:1', 'orders', 'failed', '2024-01-02', 1, 'w', now(), now(), 1, NULL, 'r')"
)
_ATTEMPT = (
    "INSERT INTO execution_attempts (execution_id, scheduled_for, user_id, attempt, generation, outcome) "
    "SELECT id, scheduled_for, user_id, 1, 1, 'failed' FROM service_task_execution WHERE status = 'failed'"
)

# tag, symbol, side, quantity, session, leg, price, charges; None: it rests at the venue.
_TRADES = (
    ("T1", "INFY", "buy", 10, "2024-01-02", "entry", 100, 5),
    ("T2", "INFY", "sell", 10, "2024-01-03", "exit", None, None),
    ("T3", "TCS", "buy", 5, "2023-12-28", "entry", 200, 2),
    ("T4", "TCS", "sell", 5, "2024-01-02", "exit", 210, 2),
)


def order(who: Person, tag: str, status: str, day: str = "2024-01-02", symbol: str = "INFY", side: str = "buy") -> str:
    """Return the insert of an order of one share that no broker has."""
    return _ORDER.format(
        user=who.user_id, account=who.account_id, symbol=symbol, side=side, quantity=1, status=status, tag=tag,
        leg="entry", day=day, filled=0, broker="NULL",
    )  # fmt: skip


async def sound_record(database: Database) -> tuple[Person, Person]:
    """Write the record. Returns whose it is, and somebody else."""
    await replay_from(database, NOW)
    asha, bala = await person(database, "asha"), await person(database, "bala")
    who = {"user": asha.user_id, "account": asha.account_id}
    async with database.transaction(None) as session:
        connection = await session.connection()
        for tag, symbol, side, quantity, day, leg, price, charges in _TRADES:
            done = price is not None
            filled, status, word = (quantity, "filled", "complete") if done else (0, "open", "open")
            values = {"tag": tag, "symbol": symbol, "side": side, "quantity": quantity, "day": day, "filled": filled}
            await connection.exec_driver_sql(_ORDER.format(**who, **values, leg=leg, status=status, broker=f"'P{tag}'"))
            await connection.exec_driver_sql(_AT_VENUE.format(**who, **values, word=word))
            if done:
                await connection.exec_driver_sql(_FILL.format(price=price, charges=charges, day=day, tag=tag))
        rest = (_PAID, _POSITIONS.format(**who), _EXECUTIONS.format(**who), _ATTEMPT)
        for statement in rest:
            await connection.exec_driver_sql(statement)
        for table, key in (("broker_accounts", "id"), ("paper_books", "account_id")):
            await session.execute(text(f"UPDATE {table} SET cash = cash {PAID} WHERE {key} = :account"), who)
    return asha, bala
