"""A worker process whose task `prices` does what its subject says. Run by tests of processes that die or freeze."""

import asyncio
import ctypes
import os
import signal
import threading
import time

from dramatiq.worker import ConsumerThread
from sqlalchemy import text

from db.audit_logs import AuditLogRepository
from db.executions import Execution, ServiceTaskRepository
from tests.waiting import until
from worker import actors, child
from worker.outcome import Outcome, done
from worker.resources import Resources

_HOLD_SECONDS = 60
# Longer than a busy machine keeps a process from running: it was stopped by a signal.
_STOPPED_SECONDS = 1.0
_GENERATION = text("SELECT generation FROM service_task_execution WHERE id = :id")


async def _step(resources: Resources, execution: Execution) -> Outcome:
    first = execution.generation == 1
    match execution.subject:
        case "kills its worker":
            os.kill(os.getpid(), signal.SIGKILL)
        case "never ends" if first:
            await asyncio.Event().wait()
        case "holds the interpreter" if first:
            # What PyDLL calls keeps every other thread of the process from running.
            ctypes.PyDLL(None).sleep(_HOLD_SECONDS)
        case "ends its consumers" if first:
            for thread in threading.enumerate():
                if isinstance(thread, ConsumerThread):
                    thread.stop()
            await asyncio.Event().wait()
        case subject if subject.startswith("waits for an answer"):
            await asyncio.sleep(0.2)
        case "writes after it was lost":
            if first:
                await until(lambda: _lost(resources, execution), 60)
            await _write(resources, execution)
        case "is stopped while it writes":
            await _write(resources, execution, until_stopped=first)
    return done()


async def _write(resources: Resources, execution: Execution, *, until_stopped: bool = False) -> None:
    """Write a line, and keep the transaction open until the process was stopped and goes on."""
    async with resources.database.transaction(None) as session:
        await ServiceTaskRepository(session).fence(execution)
        await AuditLogRepository(session).record(f"generation {execution.generation}", "write", "line")
        await session.flush()
        while until_stopped:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            until_stopped = time.monotonic() - before < _STOPPED_SECONDS


async def _lost(resources: Resources, execution: Execution) -> bool:
    async with resources.database.reading(None) as session:
        generation: int = (await session.execute(_GENERATION, {"id": execution.id})).scalar_one()
    return generation != execution.generation


if __name__ == "__main__":
    actors.STEPS["prices"] = _step
    raise SystemExit(child.main())
