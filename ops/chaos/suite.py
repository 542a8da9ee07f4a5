"""Runs cases one after another on servers of the suite's own."""

import asyncio
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from ops.bench.report import versions_of
from ops.chaos.cases import Case
from ops.chaos.ground import prepared
from ops.chaos.house import Street, street
from ops.chaos.play import Result
from ops.chaos.report import told
from ops.local import FOLDER

PLACE = FOLDER / "chaos"

_PACKAGES = ("dramatiq", "redis", "sqlalchemy", "asyncpg")


def run(
    cases: Sequence[Case], seed: int, before: Callable[[int, Case], None], after: Callable[[Result], None]
) -> dict[str, Any]:
    """Play cases and return the report. Call it in the main thread.

    before, after: told of every case. Raises LocalServerError, DatabaseError.
    """
    began = time.monotonic()
    results = []
    with prepared(PLACE) as ground, street(ground) as houses:
        versions = asyncio.run(versions_of(ground.servers, *_PACKAGES))
        for number, case in enumerate(cases):
            before(number, case)
            results.append(played(houses, case, seed))
            after(results[-1])
    return told(results, seed, time.monotonic() - began, versions)


def played(houses: Street, case: Case, seed: int) -> Result:
    """Play one case: the same for the same seed, as far as processes let it be."""
    return case.play(houses, Random(f"{seed} {case.name}"))  # noqa: S311 - no secret
