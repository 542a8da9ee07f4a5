"""Calls of the repositories of the ledger and the sweep; `tests/db/plan_cases.py` says how they are used."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from db.claims import LedgerRepository, Settlement
from db.executions import Bell, Execution
from db.gauges import GaugeRepository
from db.hand_backs import HandBackRepository
from db.healings import HealingRepository
from db.losses import LossRepository
from db.rings import RingRepository, Walk
from db.shares import Place, ShareRepository
from db.sweeps import SweepRepository
from tests.db.filled import IN_SLOT, SLOT

# The second one's executions wait for room.
USER, BEHIND = 25, 50
RUNNING, QUEUED = IN_SLOT // 2 + 25, IN_SLOT - 75
_AT = datetime(2024, 1, 9, 11, tzinfo=UTC)
_OWN = Execution(SLOT, RUNNING, 1, "sell_monitor", USER, USER, str(RUNNING), SLOT, None, 1, SLOT, 1)
_BELLS = [Bell("sell_monitor", "orders", SLOT, QUEUED + 100 * n, 1) for n in range(-20, 0)]
_FAILURE = Settlement(_OWN, "retrying", 0.1, None, "r", "E", "e", "t", 1.0)


_WALKS = (Walk(), Walk(USER, "orders", QUEUED), Walk(None))


async def _rung(session: AsyncSession) -> None:
    """Look at pages from the beginning, a middle and the end."""
    for walk in _WALKS:
        await RingRepository(session).rung(walk, 0, 5000)


async def _unrung(session: AsyncSession) -> None:
    for walk in _WALKS:
        await RingRepository(session).unrung(walk, 5000)


OF_QUEUE: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
    "GaugeRepository.read": lambda s: GaugeRepository(s).read({"sell_monitor": 180.0}),
    "HandBackRepository.hand_back": lambda s: HandBackRepository(s).hand_back(_BELLS, "w1"),
    "HandBackRepository.interrupt": lambda s: HandBackRepository(s).interrupt([_OWN], "w1"),
    "HealingRepository.record": lambda s: HealingRepository(s).record({"late": (1, None)}),
    "HealingRepository.since": lambda s: HealingRepository(s).since(_AT, 20),
    "LedgerRepository.claim": lambda s: LedgerRepository(s).claim(_BELLS, "w1"),
    "LedgerRepository.notify": lambda s: LedgerRepository(s).notify(),
    "LedgerRepository.saw": lambda s: LedgerRepository(s).saw([USER]),
    "LedgerRepository.settle": lambda s: LedgerRepository(s).settle([_FAILURE], "w1"),
    "LedgerRepository.standings": lambda s: LedgerRepository(s).standings(_BELLS),
    "LossRepository.take_back": lambda s: LossRepository(s).take_back(["dead"]),
    "RingRepository.renew": lambda s: RingRepository(s).renew(_BELLS),
    "RingRepository.retries": lambda s: RingRepository(s).retries((SLOT, 0), 500),
    "RingRepository.rung": _rung,
    "RingRepository.stuck": lambda s: RingRepository(s).stuck(_BELLS),
    "RingRepository.unrung": _unrung,
    "ShareRepository.hold": lambda s: ShareRepository(s, 8).hold([USER, BEHIND], [USER]),
    "ShareRepository.ring_held": lambda s: ShareRepository(s, 10_000).ring_held([USER, BEHIND], ["orders", "ml"]),
    "ShareRepository.ring_due": lambda s: ShareRepository(s, 10_000).ring_due(Place(), 100),
    "ShareRepository.ring_free": lambda s: ShareRepository(s, 10_000).ring_free({(BEHIND, "orders")}),
    "ShareRepository.ring_next": lambda s: ShareRepository(s, 10_000).ring_next([USER, BEHIND], ["orders", "ml"]),
    "ShareRepository.ring_shared": lambda s: ShareRepository(s, 8).ring_shared(500),
    "SweepRepository.busy": lambda s: SweepRepository(s).busy(),
    "SweepRepository.end_late": lambda s: SweepRepository(s).end_late(_BELLS),
    "SweepRepository.give_up": lambda s: SweepRepository(s).give_up(),
    "SweepRepository.make_ready": lambda s: SweepRepository(s).make_ready(500),
    "SweepRepository.make_syncs": lambda s: SweepRepository(s).make_syncs(),
    "SweepRepository.outlook": lambda s: SweepRepository(s).outlook(),
    "SweepRepository.waiting": lambda s: SweepRepository(s).waiting(0, 100),
}

SMALL_OF_QUEUE: dict[str, str] = {
    "LossRepository.ended": "a row a process of the last weeks",
    "LossRepository.living": "a row a process of the last weeks",
    "SweepRepository.hold_clock": "one row",
}
