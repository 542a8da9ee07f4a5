"""A worker process of the bench: the real one, in which the task `notify` is one of the steps below.

STEP chooses which: `noop` (the default) does nothing, `io` waits 100 ms as for a network, `told` writes down when it
began, on the clock that all processes of a machine share, and then waits 100 ms if its subject asks for that. With
`plain` there is a plain Dramatiq actor of that name besides, which does nothing.
"""

import asyncio
import os
import time
from typing import Any

import dramatiq

from db.executions import Execution
from worker import actors, child
from worker.messages import TASKS
from worker.outcome import Outcome, done
from worker.resources import Resources

TASK = "notify"
STEP = "MUHURAT_BENCH_STEP"
NOOP, IO, TOLD, PLAIN = "noop", "io", "told", "plain"
IO_SECONDS = 0.1
# The beginning of a subject whose execution takes as long as one that waits for a network.
SLOW = "slow"


async def _noop(_resources: Resources, _execution: Execution) -> Outcome:
    return done()


async def _io(_resources: Resources, _execution: Execution) -> Outcome:
    await asyncio.sleep(IO_SECONDS)
    return done()


async def _told(_resources: Resources, execution: Execution) -> Outcome:
    began = time.monotonic()
    if execution.subject.startswith(SLOW):
        await asyncio.sleep(IO_SECONDS)
    return done(began=began)


_STEPS = {NOOP: _noop, IO: _io, TOLD: _told, PLAIN: _noop}


def _plain(_number: int) -> None:
    """Do nothing."""


def _declare(broker: Any, resources: Any) -> None:
    actors.declare_actors(broker, resources)
    dramatiq.actor(actor_name=PLAIN, queue_name=TASKS[TASK].queue, broker=broker)(_plain)


def main() -> int:
    """Run a worker process with the chosen step. Returns its exit code."""
    step = os.environ.get(STEP, NOOP)
    actors.STEPS[TASK] = _STEPS[step]
    if step == PLAIN:
        child.declare_actors = _declare  # type: ignore[attr-defined]
    return child.main()


if __name__ == "__main__":
    raise SystemExit(main())
