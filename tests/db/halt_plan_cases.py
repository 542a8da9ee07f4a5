"""Calls of the repositories of halts and of what lives on at brokers; `tests/db/plan_cases.py` tells their use."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from db.cancels import CancelRepository
from db.executions import FollowUp
from db.halts import HaltRepository
from tests.db.filled import ORDERS, SLOT
from trading.halts import Halt, Scope, Stops

USER = ACCOUNT = 25
LIVE = ORDERS - 75
_HALT = Halt(0, Scope(user_id=USER), frozenset({Stops.ENTRIES}), "results tonight", "asha")


async def _record(session: AsyncSession) -> None:
    cancels = CancelRepository(session)
    [order] = await cancels.lock([LIVE])
    await cancels.record([(order, FollowUp("submit", "orders", f"{LIVE}:9", SLOT, None))], SLOT, "asha", {"halt": 1})


async def _live(session: AsyncSession) -> None:
    for scope in (Scope(), Scope(user_id=USER), Scope(account_id=ACCOUNT, symbol="S1", task_name="submit")):
        await CancelRepository(session).live(scope, ("buy", "sell"))


OF_HALTS: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
    "CancelRepository.live": _live,
    "CancelRepository.lock": lambda s: CancelRepository(s).lock([LIVE]),
    "CancelRepository.record": _record,
    "HaltRepository.add": lambda s: HaltRepository(s).add(_HALT),
    "HaltRepository.listed": lambda s: HaltRepository(s).listed(20, user_id=USER),
    "HaltRepository.owner": lambda s: HaltRepository(s).owner(ACCOUNT),
}

OF_A_USERS_HALTS: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
    "HaltRepository.stops": lambda s: HaltRepository(s).stops(USER, ACCOUNT),
}

SMALL_OF_HALTS: dict[str, str] = {
    "HaltRepository.by_ids": "a row a halt",
    "HaltRepository.end": "a row a halt",
    "HaltRepository.expire": "a row a halt",
    "HaltRepository.share": "a lock",
}
