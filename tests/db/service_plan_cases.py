"""Calls of the repository that looks at services; `tests/db/plan_cases.py` says how they are used."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from db.service_looks import ServiceLookRepository

USER = 25

OF_SERVICES: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
    "ServiceLookRepository.accounts": lambda s: ServiceLookRepository(s).accounts(USER),
    "ServiceLookRepository.in_flight": lambda s: ServiceLookRepository(s).in_flight(USER, 50),
    "ServiceLookRepository.last_execution": lambda s: ServiceLookRepository(s).last_execution(USER, ["eod_cleanup"]),
    "ServiceLookRepository.live_orders": lambda s: ServiceLookRepository(s).live_orders(USER, 50),
    "ServiceLookRepository.one": lambda s: ServiceLookRepository(s).one(USER),
    "ServiceLookRepository.page": lambda s: ServiceLookRepository(s).page(50),
    "ServiceLookRepository.user": lambda s: ServiceLookRepository(s).user(USER),
}

SMALL_OF_SERVICES: dict[str, str] = {
    "ServiceLookRepository.processes": "a row a process of the last weeks",
    "ServiceStatusRepository.hold_switches": "a lock",
}
