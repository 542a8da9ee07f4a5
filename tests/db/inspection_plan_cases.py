"""Calls of the repositories that look into the queues and act on them; `tests/db/plan_cases.py` says how they are used."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from db.inspections import InspectionRepository
from db.interventions import Act, Again, Change, InterventionRepository
from db.waits import WaitRepository
from tests.db.filled import IN_SLOT, SLOT

USER, RUNNING, QUEUED = 25, IN_SLOT // 2 + 25, IN_SLOT - 75
_KEYS = [(SLOT, QUEUED + 100 * n) for n in range(-20, 0)]


async def _queued(session: AsyncSession) -> None:
    """Select what is queued: of all, of one user, by each filter."""
    for wanted in ({}, {"user_id": USER}, {"task": "nosuch", "queue": "orders", "error": "x", "older_seconds": 9.0}):
        async for _ in InspectionRepository(session).queued(**wanted):
            break


async def _pages(session: AsyncSession) -> None:
    look = InspectionRepository(session)
    await look.backlog(20, queue="orders")
    await look.backlog(20, user_id=USER, queue="orders", after=9, newer_seconds=9.0)


async def _messages(session: AsyncSession) -> None:
    look = InspectionRepository(session)
    for kind in ("waiting", "dead"):
        await look.messages(kind, 500, (SLOT, 0), user_id=USER)
        await look.messages(kind, 500, (SLOT, 0), user_id=USER, task="notify", queue="orders")


async def _change(session: AsyncSession) -> None:
    interventions = InterventionRepository(session)
    held = await interventions.hold(_KEYS)
    await interventions.change([Change(one, "retrying", "default", 1, 9.0) for one in held.values()], "asha")


async def _again(session: AsyncSession) -> None:
    interventions = InterventionRepository(session)
    held = (await interventions.hold(_KEYS)).values()
    families = await interventions.families([(one, number % 2 == 0) for number, one in enumerate(held)])
    wanted = [Again(one, "again:9", families[one.id].scheduled_for, is_rung=True) for one in held]
    await interventions.again(wanted)


async def _of_task(session: AsyncSession) -> None:
    waits = WaitRepository(session)
    await waits.of_task("sell_monitor", USER, None, None)
    await waits.of_task("sell_monitor", USER, None, SLOT)
    await waits.of_task("analysis", None, "dip:h1", None)


OF_INSPECTIONS: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
    "InspectionRepository.acts": lambda s: InspectionRepository(s).acts(RUNNING),
    "InspectionRepository.backlog": _pages,
    "InspectionRepository.backlog and what is rung": _queued,
    "InspectionRepository.messages": _messages,
    "InspectionRepository.of_ids": lambda s: InspectionRepository(s).of_ids([RUNNING, QUEUED]),
    "InspectionRepository.of_keys": lambda s: InspectionRepository(s).of_keys(_KEYS),
    "InspectionRepository.queues": lambda s: InspectionRepository(s).queues(None),
    "InspectionRepository.queues of a user": lambda s: InspectionRepository(s).queues(USER),
    "InspectionRepository.running": lambda s: InspectionRepository(s).running("w1", 20),
    "InspectionRepository.running of a user": lambda s: InspectionRepository(s).running("w1", 20, USER),
    "InspectionRepository.workers": lambda s: InspectionRepository(s).workers(3600.0),
    "InterventionRepository.again": _again,
    "InterventionRepository.audit": lambda s: InterventionRepository(s).audit("asha", "run", [Act(RUNNING, USER, {})]),
    "InterventionRepository.change": _change,
    "InterventionRepository.families": _again,
    "InterventionRepository.hold": lambda s: InterventionRepository(s).hold(_KEYS),
    "InterventionRepository.there": lambda s: InterventionRepository(s).there(_KEYS),
    "WaitRepository.execution": lambda s: WaitRepository(s).execution(RUNNING),
    "WaitRepository.needs": lambda s: WaitRepository(s).needs(SLOT, IN_SLOT // 2 + 100),
    "WaitRepository.of_task": _of_task,
    "WaitRepository.schedules": lambda s: WaitRepository(s).schedules("sell_monitor", USER),
    "WaitRepository.share": lambda s: WaitRepository(s).share(USER, "orders", QUEUED),
    "WaitRepository.user": lambda s: WaitRepository(s).user(USER),
}

# Of these, every statement reads tables that stay small.
SMALL_OF_INSPECTIONS: dict[str, str] = {
    "InspectionRepository.known_workers": "a row a process of the last weeks",
    "WaitRepository.clock": "one row, and a row a process",
    "WaitRepository.workers": "a row a process of the last weeks",
}
