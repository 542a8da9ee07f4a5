"""One account at the paper venue with an order or a position, for the tests of the steps that work on them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from adapters.brokers.base import Broker, Capabilities, Change, Complete, Failed, Placement, PlaceOutcome
from db.accounts import AccountRow
from db.executions import Execution
from db.orders import OrderRepository
from db.users import SignedUp
from tests.world import World
from worker.actors import STEPS
from worker.outcome import Outcome
from worker.resources import Resources

EVE, DAY, NEXT = date(2024, 3, 4), date(2024, 3, 5), date(2024, 3, 6)

Answer = Callable[[], Awaitable[PlaceOutcome | Complete | Failed | None]]


@dataclass(slots=True)
class Scripted:
    """A broker before the real one. before, after: answer in its place before or after it did its work; None lets it."""

    broker: Broker
    capabilities: Capabilities
    before: Answer | None = None
    after: Answer | None = None

    async def place(self, user_id: int, account_id: int, placement: Placement, at: datetime) -> PlaceOutcome:
        return await self._around(lambda: self.broker.place(user_id, account_id, placement, at))  # type: ignore[return-value] # a test's answer fits its call

    async def change(self, user_id: int, account_id: int, tag: str, change: Change, at: datetime) -> PlaceOutcome:
        return await self._around(lambda: self.broker.change(user_id, account_id, tag, change, at))  # type: ignore[return-value] # the same

    async def cancel(self, user_id: int, account_id: int, tag: str, at: datetime) -> PlaceOutcome:
        return await self._around(lambda: self.broker.cancel(user_id, account_id, tag, at))  # type: ignore[return-value] # the same

    async def book(self, user_id: int, account_id: int, since: date, at: datetime) -> Complete | Failed:
        return await self._around(lambda: self.broker.book(user_id, account_id, since, at))  # type: ignore[return-value] # the same

    async def _around(
        self, call: Callable[[], Awaitable[PlaceOutcome | Complete | Failed]]
    ) -> PlaceOutcome | Complete | Failed:
        if self.before is not None and (answer := await self.before()) is not None:
            return answer
        real = await call()
        if self.after is not None and (answer := await self.after()) is not None:
            return answer
        return real


@dataclass(slots=True)
class ScriptedResources(Resources):
    """Resources whose broker is the real one behind a script."""

    before: Answer | None = None
    after: Answer | None = None
    capabilities: Capabilities | None = None

    def broker(self, account: AccountRow) -> Broker:
        real = Resources.broker(self, account)
        return Scripted(real, self.capabilities or real.capabilities, self.before, self.after)


async def killed() -> PlaceOutcome | None:
    """End the worker at this point."""
    raise asyncio.CancelledError


@dataclass(slots=True)
class Desk:
    """A world with one user, its account, and short words for what tests do."""

    world: World
    who: SignedUp

    def opens(self, day: date, minutes: float = 0) -> datetime:
        session = self.world.resources.calendar.session(day)
        assert session is not None
        return session.opens + timedelta(minutes=minutes)

    def closes(self, day: date, minutes: float = 0) -> datetime:
        session = self.world.resources.calendar.session(day)
        assert session is not None
        return session.closes + timedelta(minutes=minutes)

    async def planned(self, symbol: str = "AAA", quantity: int = 10, **changes: object) -> int:
        """Plan an after-market buy for DAY. Returns its id."""
        order: dict[str, object] = {
            "execution_id": 1,
            "symbol": symbol,
            "side": "buy",
            "order_type": "market",
            "variety": "amo",
            "quantity": quantity,
            "price": None,
            "status": "planned",
            "intent_key": f"dip:{EVE}:{symbol}:buy:entry",
            "tag": f"TAG{symbol}",
            "strategy": "dip",
            "leg": "entry",
            "rank": 1,
            "reference_price": Decimal(100),
            "reserved": Decimal(1100),
            "as_of": self.closes(EVE),
            "session_day": DAY,
            "config_version": 1,
        }
        async with self.world.database.transaction(self.who.user_id) as session:
            orders = OrderRepository(session, self.who.user_id, self.who.account_id)
            (made,) = await orders.plan([{**order, **changes}], self.closes(EVE))
            return made.id

    async def offered(self, limit: str) -> int:
        """Plan the exit of what is held, for NEXT. Returns its id."""
        return await self.planned(
            side="sell",
            variety="regular",
            session_day=NEXT,
            order_type="limit",
            price=Decimal(limit),
            leg="exit",
            tag="SELLAAA",
            intent_key=f"dip:{NEXT}:AAA:sell:exit",
            reserved=Decimal(0),
        )

    async def run(
        self,
        task: str,
        subject: str = "",
        before: Answer | None = None,
        after: Answer | None = None,
        capabilities: Capabilities | None = None,
    ) -> Outcome:
        """Run a step once under an execution of its own, then settle it."""
        execution = await self.world.running(task, self.who, subject)
        return await self.run_as(execution, before, after, capabilities)

    async def run_as(
        self,
        execution: Execution,
        before: Answer | None = None,
        after: Answer | None = None,
        capabilities: Capabilities | None = None,
    ) -> Outcome:
        """Run a step under an execution. before, after, capabilities: the broker's script."""
        own = self.world.resources
        resources = ScriptedResources(
            own.database, own.calendar, own.prices, own.history, own.estimators, before, after, capabilities
        )
        outcome = await STEPS[execution.task_name](resources, execution)
        await self.world.settle(execution, outcome)
        return outcome

    async def follow_ups(self) -> list[tuple[str, str, datetime]]:
        """Return what is queued for the account: task, subject, when it is due."""
        queued = [row for row in await self.world.queued() if row.account_id is not None]
        return [(row.task_name, row.subject, row.scheduled_for) for row in queued]

    async def order(self, columns: str = "status") -> tuple[object, ...]:
        """Return columns of the only order."""
        return await self.world.row(f"SELECT {columns} FROM orders")

    async def sent(self, symbol: str = "AAA") -> int:
        """Plan and submit a buy on the evening before DAY, and forget the follow-ups. Returns its id."""
        await self.world.set_clock(self.closes(EVE, 35))
        id_ = await self.planned(symbol)
        await self.run("submit", f"{id_}:1")
        await self.world.change("DELETE FROM service_task_execution WHERE status = 'queued'")
        return id_

    async def held(self, symbol: str = "AAA") -> int:
        """Own a share bought at DAY's open; it is NEXT before the open. Returns its order's id."""
        id_ = await self.sent(symbol)
        await self.world.set_clock(self.opens(DAY))
        await self.run("order_sync")
        await self.world.set_clock(self.opens(NEXT, -15))
        return id_
