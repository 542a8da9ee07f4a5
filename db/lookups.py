"""What operators look up: executions, orders, positions, accounts and users, newest first and a page at a time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import OPEN, RUNNING
from db.service_looks import heartbeat_sql, state_sql

Row = Mapping[str, Any]

# filter -> its condition. A statement holds only those that were asked for, so that each keeps its index.
_EXECUTION_FILTERS = {
    "user_id": "e.user_id = :user_id",
    "task": "e.task_name = :task",
    "status": "e.status = :status",
    "first": "e.scheduled_for >= :first",
    "last": "e.scheduled_for < :last",
    "before_slot": "(e.scheduled_for, e.id) < (:before_slot, :before)",
}
# Each part of what is open has its own index, and so has what failed.
_PARTS = {
    "failed": "e.is_failure",
    "cancelled": "e.is_failure",
    "waiting": "e.is_waiting",
    "retrying": "e.is_retrying",
    "running": RUNNING.format("e"),
    "queued": OPEN.format("e"),
}
_EXECUTIONS = """
    SELECT e.id, e.task_name, e.scheduled_for, u.email, e.account_id, e.subject, e.status, e.attempt, e.losses,
           e.duration_seconds, e.reason
    FROM service_task_execution e LEFT JOIN users u ON u.id = e.user_id
    WHERE {conditions} ORDER BY e.scheduled_for DESC, e.id DESC LIMIT :limit
"""

_ORDER_FILTERS = {
    "user_id": "o.user_id = :user_id",
    "status": "o.status = :status",
    "symbol": "o.symbol = :symbol",
    "before": "o.id < :before",
}
_ORDERS = """
    SELECT o.id, u.email, o.account_id, o.session_day, o.side, o.symbol, o.quantity, o.filled_quantity, o.order_type,
           o.price, o.avg_price, o.status, o.leg, o.reason
    FROM orders o JOIN users u ON u.id = o.user_id
    WHERE {conditions} ORDER BY o.id DESC LIMIT :limit
"""

_POSITION_FILTERS = {
    "user_id": "p.user_id = :user_id",
    "open": "(p.closed_at IS NULL) = :open",
    "symbol": "p.symbol = :symbol",
    "before": "p.id < :before",
}
_POSITIONS = """
    SELECT p.id, u.email, p.account_id, p.symbol, p.quantity, p.entry_quantity, p.avg_price, p.realized_pnl, p.charges,
           p.opened_at, p.closed_at, p.exit_reason, p.cycle,
           (SELECT string_agg(r.cycle || '/' || r.level || coalesce(' at ' || r.price, ''), ', ' ORDER BY r.id)
            FROM reentries r WHERE r.position_id = p.id) AS reentries
    FROM positions p JOIN users u ON u.id = p.user_id
    WHERE {conditions} ORDER BY p.id DESC LIMIT :limit
"""

_USERS = text(
    f"""
    SELECT u.id, u.email, u.name, u.role, u.is_active, s.service_running, {state_sql("s", "u.id")} AS service,
           {heartbeat_sql("s")} AS last_heartbeat, s.last_task_execution, s.error_count, s.last_error,
           c.version AS config_version,
           (SELECT count(*) FROM broker_accounts a WHERE a.user_id = u.id) AS accounts
    FROM users u LEFT JOIN service_status s ON s.user_id = u.id LEFT JOIN user_trading_config c ON c.user_id = u.id
    WHERE u.id > :after ORDER BY u.id LIMIT :limit
    """
)

_USER_ID = text("SELECT id FROM users WHERE lower(email) = lower(:who) OR id::text = :who")

_EXECUTION = text(
    "SELECT e.*, u.email FROM service_task_execution e LEFT JOIN users u ON u.id = e.user_id WHERE e.id = :id"
)
_ATTEMPTS = text(
    "SELECT attempt, generation, outcome, worker, started_at, error, created_at FROM execution_attempts "
    "WHERE execution_id = :id ORDER BY id"
)
_ERRORS = text(
    "SELECT id, error_type, error_message, right(traceback, 2000) AS traceback, resolved, occurred_at FROM error_logs "
    "WHERE execution_id = :id AND occurred_at >= :since ORDER BY id"
)
# A follow-up is made soon after its maker: looked for among the next ids, which their index finds without the table.
_CHILDREN = text(
    "SELECT id, task_name, subject, status FROM service_task_execution "
    "WHERE parent_id = :id AND id > :id AND id <= :id + 100000 AND scheduled_for >= :slot ORDER BY id LIMIT 100"
)
_LINES = text(
    "SELECT timestamp, level, module, message FROM service_logs WHERE execution_id = :id AND timestamp >= :since "
    "ORDER BY timestamp, id LIMIT 200"
)
_ORDERS_OF = text(
    "SELECT id, side, symbol, quantity, status FROM orders WHERE execution_id = :id ORDER BY id LIMIT 100"
)

_ORDER = text("SELECT o.*, u.email FROM orders o JOIN users u ON u.id = o.user_id WHERE o.id = :id")
_EVENTS = text("SELECT event, from_status, to_status, facts, at FROM order_events WHERE order_id = :id ORDER BY id")
_FILLS = text("SELECT broker_fill_id, quantity, price, charges, filled_at FROM fills WHERE order_id = :id ORDER BY id")
_DECISION = text(
    "SELECT d.verdict, d.code, d.facts FROM decisions d JOIN orders o ON o.id = :id "
    "WHERE d.account_id = o.account_id AND d.user_id = o.user_id AND d.symbol = o.symbol AND d.leg = o.leg "
    "AND d.execution_id = o.execution_id AND d.day <= o.session_day AND d.day >= o.session_day - 30 LIMIT 1"
)


class LookupRepository:
    """Reads across users, for operators. Needs the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def user_id(self, who: str) -> int | None:
        """Return the id of a user named by e-mail or id, if there is one."""
        found: int | None = (await self.session.execute(_USER_ID, {"who": who.strip()})).scalar_one_or_none()
        return found

    async def users(self, limit: int, after: int = 0) -> list[Row]:
        """Return users by id, with their service."""
        return await self._all(_USERS, limit=limit, after=after)

    async def executions(self, limit: int, **wanted: object) -> list[Row]:
        """Return executions, newest slot first. wanted: user_id, task, status, first, last, before_slot with before."""
        part = _PARTS.get(str(wanted.get("status")), "true")
        return await self._page(_EXECUTIONS.replace("WHERE", f"WHERE {part} AND"), _EXECUTION_FILTERS, limit, wanted)

    async def orders(self, limit: int, **wanted: object) -> list[Row]:
        """Return orders, newest first. wanted: user_id, status, symbol, before (an id)."""
        return await self._page(_ORDERS, _ORDER_FILTERS, limit, wanted)

    async def positions(self, limit: int, **wanted: object) -> list[Row]:
        """Return positions, newest first. wanted: user_id, open, symbol, before (an id)."""
        return await self._page(_POSITIONS, _POSITION_FILTERS, limit, wanted)

    async def execution(self, execution_id: int) -> dict[str, object] | None:
        """Return an execution with all that refers to it: attempts, errors, follow-ups, orders, log lines."""
        found = await self._all(_EXECUTION, id=execution_id)
        if not found:
            return None
        since: datetime = found[0]["created_at"]
        about: dict[str, Sequence[Row]] = {
            "attempts": await self._all(_ATTEMPTS, id=execution_id),
            "errors": await self._all(_ERRORS, id=execution_id, since=since),
            "follow_ups": await self._all(_CHILDREN, id=execution_id, slot=found[0]["scheduled_for"]),
            "orders": await self._all(_ORDERS_OF, id=execution_id),
            "log": await self._all(_LINES, id=execution_id, since=since),
        }
        return {**found[0], **about}

    async def order(self, order_id: int) -> dict[str, object] | None:
        """Return an order with its steps, its fills and the decision it came from."""
        found = await self._all(_ORDER, id=order_id)
        if not found:
            return None
        decisions = await self._all(_DECISION, id=order_id)
        return {
            **found[0],
            "decision": decisions[0] if decisions else None,
            "events": await self._all(_EVENTS, id=order_id),
            "fills": await self._all(_FILLS, id=order_id),
        }

    async def _page(
        self, query: str, filters: Mapping[str, str], limit: int, wanted: Mapping[str, object]
    ) -> list[Row]:
        asked = {name: value for name, value in wanted.items() if value is not None}
        conditions = " AND ".join(filters[name] for name in asked if name in filters) or "true"
        return await self._all(text(query.format(conditions=conditions)), limit=limit, **asked)

    async def _all(self, query: Any, **values: object) -> list[Row]:
        return [dict(row) for row in (await self.session.execute(query, values)).mappings()]
