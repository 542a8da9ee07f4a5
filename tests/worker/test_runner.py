"""Claimed executions on the event loop: so many at once, within their limits, and a process that outlives what they do."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from structlog.contextvars import bind_contextvars, get_contextvars

from config.servers import ServerUrls
from db.executions import Execution
from db.transaction import Database
from tests.people import queued, scalar, worker
from tests.waiting import until
from tests.worker.inside import running_broker
from worker.bells.keys import messages_key
from worker.bells.ringing import Bells
from worker.outcome import Outcome, Retry, done
from worker.queue import runner
from worker.queue.actor import StepActor
from worker.queue.broker import QueueBroker

LIMIT_SECONDS = 0.2
# So many that after the first of them the rest are claimed ahead.
QUICK = 40

COUNT = "SELECT count(*) FROM service_task_execution WHERE status = :status"
ROW = "SELECT concat_ws(' ', status, attempt, generation) FROM service_task_execution WHERE subject = :subject"


class UnspeakableError(Exception):
    """An error that cannot be written down."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def limited(broker: QueueBroker) -> None:
    """Give the step a short limit."""
    actor = broker.actors["prices"]
    assert isinstance(actor, StepActor)
    actor.limit_seconds = LIMIT_SECONDS


def counts(database: Database, **wanted: int) -> Callable[[], Awaitable[bool]]:
    """Return a condition: so many executions have these statuses."""

    async def there() -> bool:
        return all([await scalar(database, COUNT, status=status) == count for status, count in wanted.items()])

    return there


async def test_a_step_that_swallows_its_interruption_and_returns_has_its_outcome_recorded(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)

    async def step(*_: object) -> Outcome:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return done(cleaned="up")
        raise AssertionError("it was never interrupted")

    await bells.ring([await queued(database, "prices")])
    with running_broker(urls, step, declare=limited):
        await until(counts(database, success=1))
    assert await scalar(database, "SELECT details ->> 'cleaned' FROM service_task_execution") == "up"


async def test_while_an_interrupted_step_goes_on_nobody_begins_it_again(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    bell = await queued(database, "prices", subject="stubborn")
    go, interrupted = threading.Event(), threading.Event()
    begun: list[int] = []

    async def step(_: object, execution: Execution) -> Outcome:
        if execution.subject == "other":
            return done()
        begun.append(execution.attempt)
        working = asyncio.ensure_future(asyncio.to_thread(go.wait, 20))
        while not working.done():
            try:
                await asyncio.shield(working)
            except asyncio.CancelledError:
                interrupted.set()
        return done()

    async def is_interrupted() -> bool:
        return interrupted.is_set()

    await bells.ring([bell])
    with running_broker(urls, step, declare=limited):
        try:
            await until(is_interrupted)
            await bells.redis.delete(messages_key("default"))
            await bells.ring([bell, await queued(database, "prices", subject="other")])
            await until(counts(database, success=1))
            assert await scalar(database, ROW, subject="stubborn") == "running 1 1"
        finally:
            go.set()
        await until(counts(database, success=2))
    assert begun == [1]


async def test_a_step_whose_interruption_was_forgotten_is_interrupted_again(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "AGAIN_SECONDS", 0.3)
    await worker(database)

    async def step(*_: object) -> Outcome:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    await bells.ring([await queued(database, "prices")])
    with running_broker(urls, step, declare=limited):
        await until(counts(database, retrying=1))
    assert await scalar(database, "SELECT error_type FROM error_logs") == "TimedOut"


async def test_an_error_while_an_interrupted_step_cleans_up_is_its_end(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)

    async def step(*_: object) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError("while it cleaned up")

    await bells.ring([await queued(database, "prices")])
    with running_broker(urls, step, declare=limited):
        await until(counts(database, failed=1))
    assert await scalar(database, "SELECT error_type FROM error_logs") == "ZeroDivisionError"


async def _awaits_what_was_cancelled() -> None:
    other = asyncio.ensure_future(asyncio.Event().wait())
    other.cancel()
    await other


@pytest.mark.parametrize(
    ("end", "recorded"),
    [
        (SystemExit(3), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (asyncio.CancelledError(), "CancelledError"),
        (None, "CancelledError"),
        (UnspeakableError(), "RuntimeError"),
        (BaseExceptionGroup("many", [SystemExit(1), ValueError("x")]), "BaseExceptionGroup"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_whatever_a_step_raises_ends_it_failed_and_the_process_goes_on(
    database: Database, urls: ServerUrls, bells: Bells, end: BaseException | None, recorded: str
) -> None:
    await worker(database)
    rung = [await queued(database, "prices", subject=subject) for subject in ("bad", "good")]

    async def step(_: object, execution: Execution) -> Outcome:
        if execution.subject == "good":
            return done()
        if end is None:
            await _awaits_what_was_cancelled()
        assert end is not None
        raise end

    async def has_room() -> bool:
        return broker.room.held == 0

    with running_broker(urls, step, threads=1) as broker:
        await bells.ring(rung[:1])
        await until(counts(database, failed=1))
        await bells.ring(rung[1:])
        await until(counts(database, success=1))
        await until(has_room)
        assert not broker.ledger.held
    assert await scalar(database, "SELECT error_type FROM error_logs") == recorded


async def test_what_is_returned_and_is_no_outcome_ends_failed(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)

    async def step(*_: object) -> Outcome:
        return None  # type: ignore[return-value]

    await bells.ring([await queued(database, "prices")])
    with running_broker(urls, step) as broker:
        await until(counts(database, failed=1))
        assert not broker.ledger.held


async def test_sixty_four_steps_wait_for_answers_at_once_in_one_process(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    all_there = asyncio.Barrier(64)

    async def step(*_: object) -> Outcome:
        await all_there.wait()
        return done()

    await bells.ring([await queued(database, "prices", subject=str(number)) for number in range(64)])
    with running_broker(urls, step, threads=64):
        await until(counts(database, success=64))


async def test_an_execution_begins_with_no_ids_of_the_one_that_made_room_for_it(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    seen: list[object] = []

    async def step(_: object, execution: Execution) -> Outcome:
        seen.append(get_contextvars())
        bind_contextvars(order_id=execution.id)
        return done()

    await bells.ring([await queued(database, "prices", subject=str(number)) for number in range(QUICK)])
    with running_broker(urls, step, threads=1):
        await until(counts(database, success=QUICK))
    assert seen == [{}] * QUICK


async def test_of_quick_ones_a_process_holds_many_and_gives_back_what_turns_out_to_stand_behind_long_ones(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    await worker(database, "w2")
    go = threading.Event()

    async def step(_: object, execution: Execution) -> Outcome:
        if execution.subject.startswith("long"):
            await asyncio.to_thread(go.wait, 30)
        return done()

    async def many_are_held() -> bool:
        return first.room.held > 40

    async def four_are_left() -> bool:
        return first.room.held == 4

    async def both_are_full() -> bool:
        return (first.room.held, second.room.held) == (4, 4)

    quick = [await queued(database, "prices", subject=f"quick {number}") for number in range(40)]
    long = [await queued(database, "prices", subject=f"long {number}") for number in range(60)]
    with running_broker(urls, step) as first:
        try:
            await bells.ring(quick)
            await until(counts(database, success=40))
            await bells.ring(long)
            await until(many_are_held)
            await until(four_are_left)
            await until(counts(database, running=4, queued=56))
            assert (
                await scalar(database, "SELECT max(attempt) FROM service_task_execution WHERE status = 'queued'") == 0
            )
            with running_broker(urls, step, "w2") as second:
                await bells.ring([replace(bell, generation=2) for bell in long])
                await until(both_are_full)
                await until(counts(database, running=8, queued=52))
                assert await scalar(database, "SELECT max(generation) FROM service_task_execution") == 2
                go.set()
                await until(counts(database, success=100))
        finally:
            go.set()
    assert await scalar(database, "SELECT max(attempt) FROM service_task_execution") == 1
    assert await scalar(database, "SELECT count(*) FROM execution_attempts") == 0


async def test_nothing_stands_claimed_behind_a_long_one_while_another_process_is_idle(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    await worker(database, "w2")
    go = threading.Event()

    async def step(*_: object) -> Outcome:
        await asyncio.to_thread(go.wait, 30)
        return done()

    async def all_have_begun() -> bool:
        return len(first.runner.running) + len(second.runner.running) == 8

    await bells.ring([await queued(database, "prices", subject=str(number)) for number in range(12)])
    with running_broker(urls, step) as first, running_broker(urls, step, "w2") as second:
        try:
            await until(all_have_begun)
            assert (first.room.held, second.room.held) == (4, 4)
            assert not first.runner.line
            assert not second.runner.line
        finally:
            go.set()
        await until(counts(database, success=12))


async def test_a_step_that_does_not_end_with_its_process_is_interrupted_and_costs_no_attempt(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    rung = [await queued(database, "prices", subject=subject) for subject in ("ends", "never ends")]
    ending = threading.Event()

    async def step(_: object, execution: Execution) -> Outcome:
        if execution.subject == "ends":
            await asyncio.to_thread(ending.wait, 10)
            return done()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def both_have_begun() -> bool:
        return len(broker.runner.running) == 2

    await bells.ring(rung)
    with running_broker(urls, step, stop_seconds=1.0) as broker:
        await until(both_have_begun)
        threading.Timer(0.2, ending.set).start()
    assert await scalar(database, ROW, subject="ends") == "success 1 1"
    assert await scalar(database, ROW, subject="never ends") == "queued 0 2"
    assert await scalar(database, "SELECT string_agg(outcome, ' ') FROM execution_attempts") == "interrupted"


async def test_an_interruption_by_a_limit_costs_an_attempt_as_any_failure_does(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)

    async def step(_: object, execution: Execution) -> Outcome:
        if execution.attempt == 1:
            await asyncio.Event().wait()
        raise Retry("away")

    await bells.ring([await queued(database, "prices", subject="slow")])
    with running_broker(urls, step, declare=limited):
        await until(counts(database, retrying=1))
    assert await scalar(database, ROW, subject="slow") == "retrying 1 2"
    assert str(await scalar(database, "SELECT error FROM execution_attempts")).startswith("interrupted at its limit")
