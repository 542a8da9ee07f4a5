"""Work past its limit is ended: the step is interrupted, and a process that does not let go of it is killed."""

import asyncio

import pytest

from config.servers import ServerUrls
from db.transaction import Database
from tests.people import queued, scalar, worker
from tests.waiting import until
from tests.worker.house import house
from tests.worker.inside import running_broker
from worker import leases
from worker.bells.ringing import Bells
from worker.outcome import Outcome, done
from worker.queue.actor import StepActor
from worker.queue.broker import QueueBroker

LIMIT_SECONDS = 0.2
# Longer than a lease and what a sweep is patient for: nobody may think the process dead before.
LEASE_SECONDS, HARD_SECONDS = 1.0, 4.0

STATUS = "SELECT status FROM service_task_execution"
ATTEMPTS = "SELECT string_agg(outcome, ' ') FROM execution_attempts"
HELD_SECONDS = "SELECT extract(epoch FROM created_at - started_at)::float8 FROM execution_attempts"


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

    def limit(broker: QueueBroker) -> None:
        actor = broker.actors["prices"]
        assert isinstance(actor, StepActor)
        actor.limit_seconds = LIMIT_SECONDS

    async def told() -> bool:
        return await scalar(database, STATUS) == "retrying"

    await bells.ring([await queued(database, "prices")])
    with running_broker(urls, step, declare=limit):
        await until(told)
    assert ended == ["interrupted"]
    error = await scalar(database, "SELECT error_type || ': ' || error_message FROM error_logs")
    assert error == f"TimedOut: interrupted at its limit of {LIMIT_SECONDS} s"


@pytest.mark.parametrize("subject", ["never ends", "holds the interpreter"])
async def test_a_process_that_holds_work_past_its_hard_limit_is_killed_and_the_work_runs_again(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch, subject: str
) -> None:
    monkeypatch.setattr(leases, "HARD_LIMITS", {"prices": HARD_SECONDS})

    async def over() -> bool:
        return await scalar(database, STATUS) == "success"

    async with house(urls, database, bells, LEASE_SECONDS):
        await bells.ring([await queued(database, "prices", subject=subject)])
        await until(over, 60)
    assert await scalar(database, ATTEMPTS) == "lost"
    assert await scalar(database, "SELECT generation FROM service_task_execution") == 2
    held = await scalar(database, HELD_SECONDS)
    assert isinstance(held, float)
    assert held >= HARD_SECONDS
