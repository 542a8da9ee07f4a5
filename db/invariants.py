"""Statements that must return no row, whatever crashed: run by tests, every night and by `muhurat doctor`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from trading.orders import LIVE

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))
_ROWS_NAMED = 5


@dataclass(frozen=True, slots=True)
class Invariant:
    """One statement. sentence: what it means that it returned rows, and what to do."""

    name: str
    sentence: str
    query: str


@dataclass(frozen=True, slots=True)
class Finding:
    """An invariant that does not hold, with some of the rows that say so."""

    name: str
    sentence: str
    rows: Sequence[Mapping[str, Any]]


INVARIANTS: tuple[Invariant, ...] = (
    Invariant(
        "one_open_position",
        "an account holds one symbol in two open positions: look at their fills before anything is sold",
        "SELECT account_id, symbol, count(*) FROM positions WHERE closed_at IS NULL GROUP BY 1, 2 HAVING count(*) > 1",
    ),
    Invariant(
        "sale_fits_position",
        "more or fewer shares are on offer than are held: the next order sync or sell monitor must resize the sale",
        f"""
        SELECT o.account_id, o.symbol, o.id AS order_id, o.quantity - o.filled_quantity AS offered, p.quantity AS held
        FROM orders o LEFT JOIN positions p
             ON p.account_id = o.account_id AND p.symbol = o.symbol AND p.closed_at IS NULL
        WHERE o.side = 'sell' AND o.status IN ({_LIVE}) AND o.change IS NULL
          AND o.quantity - o.filled_quantity IS DISTINCT FROM p.quantity
          AND NOT EXISTS (SELECT FROM order_events v
                          WHERE v.order_id = o.id AND v.created_at > now() - interval '10 min')
          AND NOT EXISTS (SELECT FROM fills f WHERE f.account_id = o.account_id AND f.symbol = o.symbol
                          AND f.user_id = o.user_id AND f.created_at > now() - interval '10 min')""",
    ),
    Invariant(
        "fills_are_the_orders",
        "an order says another filled quantity than its fills, or more than it asked for: read the broker's book",
        """
        SELECT o.id AS order_id, o.quantity, o.filled_quantity, coalesce(sum(f.quantity), 0) AS fills
        FROM orders o LEFT JOIN fills f ON f.order_id = o.id
        GROUP BY o.id HAVING o.filled_quantity <> coalesce(sum(f.quantity), 0) OR o.filled_quantity > o.quantity""",
    ),
    Invariant(
        "positions_are_their_fills",
        "a position is not the sum of its fills: a fill is missing or was booked to another symbol",
        """
        SELECT account_id, symbol, f.held, p.quantity, f.earned, p.realized_pnl FROM
            (SELECT account_id, symbol, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) AS held,
                    sum(CASE side WHEN 'buy' THEN quantity ELSE 0 END) AS bought, sum(charges) AS charges,
                    sum(CASE side WHEN 'buy' THEN -1 ELSE 1 END * quantity * price - charges) AS earned
             FROM fills GROUP BY 1, 2) f
        FULL JOIN
            (SELECT account_id, symbol, sum(quantity) AS quantity, sum(entry_quantity) AS bought,
                    sum(charges) AS charges, sum(realized_pnl) AS realized_pnl, sum(quantity * avg_price) AS cost
             FROM positions GROUP BY 1, 2) p USING (account_id, symbol)
        WHERE f.held IS DISTINCT FROM p.quantity OR f.bought IS DISTINCT FROM p.bought
           OR f.charges IS DISTINCT FROM p.charges OR abs(f.earned + p.cost - p.realized_pnl) > 0.05""",
    ),
    Invariant(
        "no_sale_without_position",
        "shares are on offer that no open position holds: cancel the sale",
        f"""
        SELECT o.account_id, o.symbol, o.id AS order_id, o.status FROM orders o
        WHERE o.side = 'sell' AND o.status IN ({_LIVE}) AND NOT EXISTS (
            SELECT FROM positions p WHERE p.account_id = o.account_id AND p.symbol = o.symbol AND p.closed_at IS NULL)
          AND NOT EXISTS (SELECT FROM order_events v
                          WHERE v.order_id = o.id AND v.created_at > now() - interval '10 min')""",
    ),
    Invariant(
        "failed_orders_expire",
        "an order that may not be tried any more still waits for it: the evening clean-up of its account did not run",
        """
        SELECT id AS order_id, account_id, symbol, retry_until FROM orders
        WHERE status = 'failed' AND (retry_until IS NULL OR retry_until < market_now() - interval '12 hours')""",
    ),
    Invariant(
        "executions_end",
        "an execution is past its deadline or its time limit and not over: is a scheduler running?",
        """
        SELECT id, task_name, account_id, status, useful_until, executed_at FROM service_task_execution
        WHERE (status IN ('waiting', 'queued', 'retrying') AND useful_until < market_now() - interval '30 min'
               AND created_at < now() - interval '10 min')
           OR (status = 'running' AND executed_at < now() - interval '2 hours')""",
    ),
    Invariant(
        "a_scheduler_beats",
        "services are switched on and no scheduler has been seen for two minutes: start one",
        """
        SELECT count(*) AS services FROM service_status
        WHERE service_running AND NOT EXISTS (SELECT FROM market_clock) AND NOT EXISTS (
            SELECT FROM scheduler_processes WHERE stopped_at IS NULL AND seen_at > now() - interval '2 min')
        HAVING count(*) > 0""",
    ),
    Invariant(
        "nothing_stays_sending",
        "a request to a broker has had no answer for minutes and nobody looks for it: run a reconcile",
        """
        SELECT o.id AS order_id, o.account_id, o.symbol, o.status FROM orders o
        WHERE o.status = 'sending' AND o.broker_order_id IS NULL
          AND NOT EXISTS (SELECT FROM order_events v
                          WHERE v.order_id = o.id AND v.created_at > now() - interval '2 min')
          AND NOT EXISTS (SELECT FROM service_task_execution e
                          WHERE e.status IN ('queued', 'running', 'retrying') AND e.user_id = o.user_id
                            AND e.account_id = o.account_id AND e.task_name IN ('submit', 'reconcile')
                            AND e.subject LIKE o.id || ':%')""",
    ),
    Invariant(
        "portfolio_within_its_size",
        "an account holds and buys more symbols than its user ever allowed: stop its purchases, look at the decisions",
        f"""
        SELECT s.account_id, count(*) AS symbols, max(v.most) AS most FROM (
            SELECT account_id, user_id, symbol FROM positions WHERE closed_at IS NULL
            UNION SELECT account_id, user_id, symbol FROM orders WHERE side = 'buy' AND status IN ({_LIVE})) s
        JOIN (SELECT user_id, max((config ->> 'max_portfolio_size')::int) AS most
              FROM user_trading_config_versions GROUP BY 1) v USING (user_id)
        GROUP BY 1 HAVING count(*) > max(v.most)""",
    ),
    Invariant(
        "rows_stay_with_their_user",
        "a row names one user and an account of another: nothing of ours writes that, so look who did",
        "SELECT r.kind, r.id, r.user_id, r.account_id FROM ("
        + " UNION ALL ".join(
            f"SELECT '{table}' AS kind, id, user_id, account_id FROM {table}"
            for table in ("orders", "fills", "positions", "reentries", "cash_entries", "schedule_subscriptions")
        )
        + ") r JOIN broker_accounts a ON a.id = r.account_id WHERE r.user_id <> a.user_id",
    ),
    Invariant(
        "orders_end_with_their_session",
        "an order of an earlier session is not final: the broker's book was not read to its end",
        f"""
        SELECT id AS order_id, account_id, symbol, status, session_day FROM orders
        WHERE status IN ({_LIVE}) AND session_day < (market_now() AT TIME ZONE 'Asia/Kolkata')::date""",
    ),
    Invariant(
        "what_ended_says_how",
        "an execution is over without an end, a reason, or what it did: the ledger did not settle it",
        """
        SELECT id, task_name, status FROM service_task_execution
        WHERE (status IN ('success', 'failed', 'skipped') AND finished_at IS NULL)
           OR (status IN ('failed', 'skipped') AND reason IS NULL)
           OR (status = 'success' AND (worker IS NULL OR attempt < 1 OR duration_seconds <= 0 OR details IS NULL
               OR details IN ('{}', 'null') OR executed_at IS NULL OR finished_at < executed_at))""",
    ),
    Invariant(
        "cash_is_what_was_traded",
        "an account's cash is not what was deposited and traded: find the booking that is missing",
        """
        SELECT a.id AS account_id, a.cash, e.entries, e.deposits, t.traded FROM broker_accounts a
        JOIN (SELECT account_id, sum(amount) AS entries, sum(amount) FILTER (WHERE kind = 'deposit') AS deposits
              FROM cash_entries GROUP BY 1) e ON e.account_id = a.id
        LEFT JOIN (SELECT account_id, sum(CASE side WHEN 'buy' THEN -1 ELSE 1 END * round(quantity * price, 2)
                          - charges) AS traded FROM fills GROUP BY 1) t ON t.account_id = a.id
        WHERE a.cash <> e.entries OR a.cash <> e.deposits + coalesce(t.traded, 0)""",
    ),
)


async def check(session: AsyncSession) -> list[Finding]:
    """Return the invariants that do not hold; none when all do. Needs the system scope."""
    found = []
    for one in INVARIANTS:
        rows = (await session.execute(text(f"{one.query} LIMIT {_ROWS_NAMED}"))).mappings().all()
        if rows:
            found.append(Finding(one.name, one.sentence, [dict(row) for row in rows]))
    return found
