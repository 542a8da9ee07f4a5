"""What a replay reads of its own database when it is over, over all users: statements only, all in system scope."""

from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

STATUSES = text("SELECT status, count(*) FROM service_task_execution GROUP BY status")

UNFINISHED = text(
    "SELECT count(*) FROM service_task_execution "
    "WHERE status IN ('waiting', 'queued', 'running', 'retrying') AND scheduled_for <= :ends_at"
)

# Slots of schedules alone: follow-ups have moments of their own.
SLOTS = text("SELECT count(DISTINCT scheduled_for) FROM service_task_execution WHERE schedule_id IS NOT NULL")

TRADES = text(
    """
    SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM fills) AS fills,
           (SELECT count(*) FROM positions) AS positions_opened,
           (SELECT count(*) FROM positions WHERE closed_at IS NOT NULL) AS positions_closed,
           (SELECT count(*) FROM ml_models) AS models_trained, (SELECT count(*) FROM error_logs) AS errors
    """
)

WORKERS = text(
    """
    SELECT coalesce(p.name, e.worker) AS name, count(e.id) AS executions
    FROM worker_processes p FULL JOIN service_task_execution e ON e.worker = p.name
    WHERE coalesce(p.name, e.worker) IS NOT NULL GROUP BY 1 ORDER BY 1
    """
)

TASKS = text(
    """
    SELECT task_name, count(*) FILTER (WHERE status = 'success') AS success,
           count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status = 'skipped') AS skipped,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_seconds) FILTER (WHERE status = 'success') AS p50,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_seconds) FILTER (WHERE status = 'success') AS p95
    FROM service_task_execution GROUP BY task_name ORDER BY task_name
    """
)

# Shares still held are worth their last close; a symbol without any bar is worth what was paid.
USERS = text(
    """
    SELECT u.id, u.name, u.email, c.rsi_period, c.ml_enabled,
           (SELECT count(*) FROM orders o WHERE o.user_id = u.id) AS orders,
           (SELECT count(*) FROM fills f WHERE f.user_id = u.id) AS fills,
           (SELECT count(*) FROM positions p WHERE p.user_id = u.id AND p.closed_at IS NULL) AS open_positions,
           (SELECT coalesce(sum(p.realized_pnl), 0) FROM positions p WHERE p.user_id = u.id) AS realised,
           (SELECT sum(d.amount) FROM cash_entries d WHERE d.user_id = u.id AND d.kind = 'deposit') AS equity_start,
           (SELECT sum(a.cash) FROM broker_accounts a WHERE a.user_id = u.id) AS cash,
           (SELECT coalesce(sum(p.quantity * coalesce(b.close, p.avg_price)), 0)
            FROM positions p LEFT JOIN LATERAL (
                SELECT close FROM bars WHERE symbol = p.symbol ORDER BY day DESC LIMIT 1) b ON true
            WHERE p.user_id = u.id AND p.closed_at IS NULL) AS holdings
    FROM users u JOIN user_trading_config c ON c.user_id = u.id ORDER BY u.id
    """
)

# The same rupees in every symbol at the last close before the period, held to its last close.
BUY_AND_HOLD = text(
    """
    SELECT avg(l.close / f.close - 1)::float8 FROM (SELECT symbol, close FROM bars WHERE day = :before) f
    JOIN (SELECT DISTINCT ON (symbol) symbol, close FROM bars WHERE day BETWEEN :first AND :last
          ORDER BY symbol, day DESC) l USING (symbol)
    """
)

LAST_DAY_BEFORE = text("SELECT max(day) FROM bars WHERE day < :first")

ERRORS = text(
    "SELECT task_name, error_type, error_message, count(*) AS times FROM error_logs "
    "GROUP BY task_name, error_type, error_message ORDER BY max(occurred_at) DESC LIMIT :limit"
)

ORDER_FACTS = text(
    """
    SELECT a.code, o.session_day, o.symbol, o.side, o.leg, o.order_type, o.quantity, o.price, o.status,
           o.filled_quantity, o.avg_price
    FROM orders o JOIN broker_accounts a ON a.id = o.account_id
    """
)

FILL_FACTS = text(
    """
    SELECT a.code, f.filled_at, f.symbol, f.side, f.quantity, f.price, f.charges
    FROM fills f JOIN broker_accounts a ON a.id = f.account_id
    """
)

CASH_BY_MOMENT = text("SELECT at, sum(amount) AS amount FROM cash_entries GROUP BY at ORDER BY at")

CLOSES = text(
    "SELECT day, symbol, close FROM bars WHERE day BETWEEN :first AND :last "
    "AND symbol IN (SELECT symbol FROM fills) ORDER BY day"
)

# As the bar moves: cheap enough for once a second.
COUNTS = text(
    """
    SELECT (SELECT count(*) FROM service_task_execution WHERE status IN ('success', 'failed', 'skipped')) AS executions,
           (SELECT count(*) FROM service_task_execution WHERE status = 'running') AS running,
           (SELECT count(*) FROM service_task_execution WHERE status = 'waiting') AS waiting,
           (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM fills) AS fills
    """
)


async def rows(session: AsyncSession, statement: TextClause, **values: Any) -> list[Any]:
    """Return the rows of a statement."""
    return list((await session.execute(statement, values)).all())
