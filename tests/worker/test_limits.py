"""Work past its limit is ended: the step is interrupted, and a process that does not let go of it is killed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import dramatiq
import pytest
from dramatiq import Worker
from dramatiq.middleware import TimeLimit

from config.servers import ServerUrls
from db.transaction import Database
from tests.people import queued, scalar, worker
from tests.waiting import until
from tests.worker.house import house
from tests.worker.inside import NoResources, Step, open_ledger
from worker import supervisor
from worker.actors import _runner
from worker.bells.ringing import Bells
from worker.messages import TASKS
from worker.middleware.interrupts import Interrupts
from worker.outcome import Outcome, done
from worker.queue.broker import QueueBroker

LIMIT_MS, LOOK_MS = 200, 100
HARD_SECONDS = 1.0

STATUS = "SELECT status FROM service_task_execution"
ATTEMPTS = "SELECT string_agg(outcome, ' ') FROM execution_attempts"


@contextmanager
def limited(urls: ServerUrls, step: Step) -> Iterator[None]:
    """Run Dramatiq's worker with one step for the task `prices` and a short limit."""
    with open_ledger(urls) as ledger:
        broker = QueueBroker(urls.redis, "w1", [TimeLimit(interval=LOOK_MS), Interrupts(ledger)], ledger, 2)
        run = _runner(TASKS["prices"], step, NoResources(), ledger)  # type: ignore[arg-type] # it uses none
        dramatiq.actor(actor_name="prices", queue_name="default", broker=broker, time_limit=LIMIT_MS)(run)
        broker.emit_after("process_boot")  # begins to look for limits, until this process ends
        process = Worker(broker, queues={"default"}, worker_threads=2, worker_timeout=100)
        process.start()
        try:
            yield
        finally:
            process.stop(timeout=5000)
            broker.client.close()


async def test_a_step_past_its_limit_goes_on_no_longer_and_its_end_says_so(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    ended: list[str] = []

    async def step(_: object, __: object) -> Outcome:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("interrupted")
            raise
        return done()

    async def told() -> bool:
        return await scalar(database, STATUS) == "retrying"

    await bells.ring([await queued(database, "prices")])
    with limited(urls, step):
        await until(told)
    assert ended == ["interrupted"]
    error = await scalar(database, "SELECT error_type || ': ' || error_message FROM error_logs")
    assert error == "TimedOut: interrupted at its limit of 0.2 s"


async def test_a_process_that_holds_work_past_its_hard_limit_is_killed_and_the_work_runs_again(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "HARD_LIMITS", {"prices": HARD_SECONDS})

    async def over() -> bool:
        return await scalar(database, STATUS) == "success"

    async with house(urls, database, bells, lease_seconds=2.0):
        await bells.ring([await queued(database, "prices", subject="never ends")])
        await until(over, 30)
    assert await scalar(database, ATTEMPTS) == "lost"
    assert await scalar(database, "SELECT generation FROM service_task_execution") == 2
