"""Plays market days through the real steps by hand, in whatever order a test likes: what scheduler and workers would do."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random

from db.executions import Execution, ExecutionRow
from db.users import SignedUp
from tests.world import Step, World
from trading.calendar import Session
from worker.actors import STEPS
from worker.outcome import Outcome, Retry

Cut = Callable[[World, Execution], Step | None]
"""Chooses another step to run first in place of an execution's own; the own one follows, as after a crash."""


@dataclass(slots=True)
class Days:
    """A market that moves slot by slot; within a slot the order is the random numbers'."""

    world: World
    users: Sequence[SignedUp]
    random: Random
    parameters: Sequence[str]
    cut: Cut = lambda _world, _execution: None
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)

    async def play(self, first: date, last: date) -> None:
        """Play all sessions of a range."""
        for session in self.world.resources.calendar.sessions_between(first, last):
            await self._play(session)

    async def _play(self, session: Session) -> None:
        opens, closes = session.opens, session.closes
        before_close, loaded = closes - timedelta(minutes=5), closes + timedelta(minutes=15)
        await self._slot(opens - timedelta(minutes=40), ["order_sync"])
        await self._slot(opens - timedelta(minutes=30), ["premarket_retry"])
        await self._slot(opens, ["order_sync"])
        await self._slot(opens, ["sell_monitor"])
        await self._slot(opens + timedelta(minutes=15), ["position_monitor"])
        # A watch waits for the sync of its own minute.
        await self._slot(before_close, ["order_sync"])
        await self._slot(before_close, ["sell_monitor"])
        await self._slot(loaded, ["prices", "order_sync"])
        await self._slot(closes + timedelta(minutes=30), ["analysis"])
        await self._slot(closes + timedelta(minutes=35), ["buy_orders"])
        await self._slot(closes + timedelta(minutes=150), ["eod_cleanup"])
        await self._drain_until(closes + timedelta(hours=3))

    async def _slot(self, at: datetime, tasks: Sequence[str]) -> None:
        await self._drain_until(at)
        await self.world.set_clock(at)
        due = [execution for task in tasks for execution in await self._scheduled(task)]
        self.random.shuffle(due)
        while due or (waiting := await self._due(at)):
            if due and (not (waiting := await self._due(at)) or self.random.random() < 0.5):
                await self._run(due.pop())
            else:
                await self._run(await self.world.claim(self.random.choice(waiting)))

    async def _scheduled(self, task: str) -> list[Execution]:
        if task == "prices":
            return [await self.world.running(task)]
        if task == "analysis":
            return [await self.world.running(task, subject=f"dip:{one}") for one in self.parameters]
        return [await self.world.running(task, who) for who in self.users]

    async def _drain_until(self, at: datetime) -> None:
        """Move to each follow-up's moment before the next slot, and run what is due there."""
        while moments := [row.scheduled_for for row in await self.world.queued() if row.scheduled_for < at]:
            await self.world.set_clock(min(moments))
            while due := await self._due(min(moments)):
                await self._run(await self.world.claim(self.random.choice(due)))

    async def _due(self, at: datetime) -> list[ExecutionRow]:
        return [row for row in await self.world.queued() if row.scheduled_for <= at]

    async def _run(self, execution: Execution) -> None:
        cut = self.cut(self.world, execution)
        if cut is not None:
            try:
                await cut(self.world.resources, execution)
            except asyncio.CancelledError:
                execution = await self.world.fence_off(execution)
        for _ in range(3):
            try:
                outcome = await STEPS[execution.task_name](self.world.resources, execution)
                break
            except Retry:
                continue
        else:
            outcome = Outcome("failed")
        self.outcomes.append((execution.task_name, outcome))
        await self.world.settle(execution, outcome)


BOOK_OF_ORDERS = """
    SELECT a.code, o.symbol, o.side, o.order_type, o.variety, o.quantity, o.price, o.status, o.intent_key, o.tag, o.leg,
           o.rank, o.reference_price, o.reserved, o.session_day, o.broker_order_id, o.broker_word, o.filled_quantity,
           o.avg_price, o.change, o.reason, o.placed_at, o.filled_at, o.closed_at
    FROM orders o JOIN broker_accounts a ON a.id = o.account_id ORDER BY a.code, o.intent_key
"""
BOOK_OF_FILLS = """
    SELECT a.code, f.broker_fill_id, f.symbol, f.side, f.quantity, f.price, f.charges, f.filled_at
    FROM fills f JOIN broker_accounts a ON a.id = f.account_id ORDER BY a.code, f.broker_fill_id
"""
BOOK_OF_POSITIONS = """
    SELECT a.code, p.symbol, p.quantity, p.entry_quantity, p.avg_price, p.realized_pnl, p.charges, p.opened_at,
           p.closed_at, p.exit_price, p.exit_reason
    FROM positions p JOIN broker_accounts a ON a.id = p.account_id ORDER BY a.code, p.symbol, p.opened_at
"""
BOOK_OF_CASH = (
    "SELECT a.code, a.cash, b.cash FROM broker_accounts a JOIN paper_books b ON b.account_id = a.id ORDER BY 1"
)


async def books(world: World) -> list[list[tuple[object, ...]]]:
    """Return everything that must not depend on the order of work: orders, fills, positions and cash."""
    return [await world.rows(query) for query in (BOOK_OF_ORDERS, BOOK_OF_FILLS, BOOK_OF_POSITIONS, BOOK_OF_CASH)]
