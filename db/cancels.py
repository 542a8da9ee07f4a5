"""Orders that live at brokers and shall end there: found by the scope of a halt, and asked for, many at a time."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import FollowUp
from db.orders import OrderRow
from trading.halts import Scope
from trading.orders import LIVE, OrderState

# Of what was not sent nothing lives: its submit meets the halt.
_UNSENT = OrderState.PLANNED
CANCELLABLE = frozenset({OrderState.ACKED, OrderState.PARKED, OrderState.OPEN, OrderState.PARTIAL})

_LIVE = text(
    f"""
    SELECT o.id, u.email, o.user_id, o.account_id, o.side, o.symbol, o.quantity, o.filled_quantity, o.status, o.variety,
           o.session_day, o.status = 'cancelling'
               OR (jsonb_exists(o.change, 'cancel') AND coalesce(o.change ->> 'accepted', '') <> 'false') AS is_ending
    FROM orders o JOIN users u ON u.id = o.user_id
    WHERE o.status IN ({", ".join(f"'{state}'" for state in sorted(LIVE))}) AND o.status <> '{_UNSENT}'
      AND o.side = ANY(CAST(:sides AS text[])) AND (CAST(:user_id AS bigint) IS NULL OR o.user_id = :user_id)
      AND (CAST(:account_id AS bigint) IS NULL OR o.account_id = :account_id)
      AND (CAST(:strategy AS text) IS NULL OR o.strategy = :strategy)
      AND (CAST(:symbol AS text) IS NULL OR :symbol IN (o.symbol, o.base_symbol))
      AND (CAST(:task_name AS text) IS NULL OR :task_name IN ('submit', CASE
               WHEN o.side = 'sell' THEN 'sell_monitor' WHEN o.retry_of IS NULL THEN 'buy_orders'
               ELSE 'premarket_retry' END))
    ORDER BY o.id
    """
)
# Everything about an account is decided under its lock; several are locked in the order of their ids.
_ACCOUNTS = text(
    """
    SELECT FROM broker_accounts a
    WHERE a.id IN (SELECT o.account_id FROM orders o WHERE o.id = ANY(CAST(:ids AS bigint[])))
    ORDER BY a.id FOR UPDATE
    """
)
_ORDERS = (
    select(OrderRow)
    .where(
        OrderRow.id.in_(bindparam("ids", expanding=True)),
        OrderRow.status.in_([state.value for state in sorted(CANCELLABLE)]),
    )
    .order_by(OrderRow.id)
    .with_for_update()
)
_SUBMITS = text(
    """
    INSERT INTO service_task_execution
        (scheduled_for, task_name, user_id, account_id, subject, queue, status, useful_until, as_of)
    SELECT f.scheduled_for, f.task_name, f.user_id, f.account_id, f.subject, f.queue, 'queued', f.useful_until, :as_of
    FROM unnest(CAST(:user_ids AS bigint[]), CAST(:account_ids AS bigint[]), CAST(:slots AS timestamptz[]),
                CAST(:tasks AS text[]), CAST(:subjects AS text[]), CAST(:queues AS text[]),
                CAST(:untils AS timestamptz[]))
         AS f(user_id, account_id, scheduled_for, task_name, subject, queue, useful_until)
    ON CONFLICT DO NOTHING
    """
)
_AUDIT = text(
    """
    INSERT INTO audit_logs (user_id, actor, action, resource_type, resource_id, changes)
    SELECT a.user_id, :actor, 'cancel', 'order', a.id, CAST(:changes AS jsonb)
    FROM unnest(CAST(:user_ids AS bigint[]), CAST(:ids AS bigint[])) AS a(user_id, id)
    """
)


class CancelRepository:
    """Queries over orders of many accounts that shall end. Needs the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def live(self, scope: Scope, sides: Collection[str]) -> list[Mapping[str, Any]]:
        """Return the orders that brokers have, or may have, oldest first, each with `is_ending`. sides: buy, sell."""
        values = {
            "sides": sorted(sides),
            "user_id": scope.user_id,
            "account_id": scope.account_id,
            "task_name": scope.task_name,
            "strategy": scope.strategy,
            "symbol": scope.symbol,
        }
        return [dict(row) for row in (await self.session.execute(_LIVE, values)).mappings()]

    async def lock(self, ids: Collection[int]) -> list[OrderRow]:
        """Lock orders, their accounts first. Returns those that can still be cancelled, oldest first."""
        await self.session.execute(_ACCOUNTS, {"ids": sorted(ids)})
        return list((await self.session.execute(_ORDERS, {"ids": sorted(ids)})).scalars())

    async def record(
        self, cancels: Sequence[tuple[OrderRow, FollowUp]], at: datetime, by: str, facts: Mapping[str, Any]
    ) -> None:
        """Queue the submits of changes that were asked for, and say who asked. facts: JSON values, for the audit."""
        orders = [order for order, _ in cancels]
        users = [order.user_id for order in orders]
        await self.session.execute(
            _SUBMITS,
            {
                "as_of": at,
                "user_ids": users,
                "account_ids": [order.account_id for order in orders],
                "slots": [one.scheduled_for for _, one in cancels],
                "tasks": [one.task_name for _, one in cancels],
                "subjects": [one.subject for _, one in cancels],
                "queues": [one.queue for _, one in cancels],
                "untils": [one.useful_until for _, one in cancels],
            },
        )
        values = {"actor": by, "user_ids": users, "ids": [order.id for order in orders], "changes": json.dumps(facts)}
        await self.session.execute(_AUDIT, values)
