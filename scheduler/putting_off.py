"""Schedules that cannot be fired: each is let alone for a while; why is said once in the log, and kept for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy.exc import DataError, IntegrityError

from db.firings import FiringRepository
from scheduler.slots import said

# After this it is tried again, by whoever comes first: a row may be mended by hand, or its calendar come.
AGAIN_SECONDS = 10.0

# What the database says to rows it cannot have: a moment that no partition holds, a number too great.
REFUSALS = (IntegrityError, DataError)

log = structlog.get_logger(__name__)


class RefusedError(Exception):
    """The database refuses the rows of one of these schedules, and nothing was made of any."""

    def __init__(self, rows: Sequence[Any], cause: IntegrityError | DataError) -> None:
        self.rows, self.cause = rows, cause
        super().__init__(f"of {len(rows)} schedules one cannot be made: {_said(cause)}")


async def put_off(firings: FiringRepository, bad: Mapping[int, tuple[Any, Exception]]) -> None:
    """Let schedules alone that cannot be fired. bad: by id the row and what happened."""
    if not bad:
        return
    new = await firings.put_off({id_: _said(error) for id_, (_, error) in bad.items()}, AGAIN_SECONDS)
    for id_ in sorted(new):
        row, error = bad[id_]
        log.error("schedule_failed", schedule=row.name, task=row.task_name, schedule_id=id_, error=_said(error))


def _said(error: Exception) -> str:
    if isinstance(error, REFUSALS):
        first, *_ = str(error.orig).splitlines() or [""]
        return f"the database refuses what it would make: {first.rpartition(': ')[2]}"
    return said(error)
