"""A worker process's inside in the test's own process: its event loop, its ledger, Dramatiq's worker around them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import datetime
from typing import TypeVar

from dramatiq import Worker
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread
from dramatiq.logging import get_logger

from config.logs import hide_in_text
from config.servers import ServerUrls
from db.engine import make_engine
from db.executions import Bell
from db.transaction import Database
from worker.actors import performer
from worker.bells.ringing import Bells
from worker.ledger import Claim, Ledger
from worker.outcome import Outcome
from worker.promoting import Promoter
from worker.queue.actor import StepActor
from worker.queue.broker import QueueBroker
from worker.room import Room
from worker.wire import message_id

Step = Callable[..., Awaitable[Outcome]]
SHARE = 8

T = TypeVar("T")


class NoResources:
    """For steps that use none."""

    async def at(self, _calendar_at: datetime | None) -> None:
        return None


async def holds_nothing(room: Room) -> bool:
    """Tell whether all room was given back: Redis and Postgres know an end before the worker's thread is told of it."""
    return room.held == 0


@contextmanager
def open_ledger(urls: ServerUrls, name: str = "w1", threads: int = 4) -> Iterator[Ledger]:
    """Open a ledger on an event loop of its own, and close it."""
    loop = EventLoopThread(get_logger("loop"))  # type: ignore[no-untyped-call]
    loop.start(timeout=5)
    set_event_loop_thread(loop)
    database, bells = Database(make_engine(urls.sqlalchemy)), Bells(urls.redis)
    ledger = Ledger(database, bells, name, loop.loop, hide_in_text, Room(threads), SHARE)
    try:
        yield ledger
    finally:
        ledger.close(5)
        for closing in (bells.close(), database.close()):
            asyncio.run_coroutine_threadsafe(closing, loop.loop).result(5)
        loop.stop()  # type: ignore[no-untyped-call]
        set_event_loop_thread(None)


@asynccontextmanager
async def beside(worker: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Open and close a worker from another thread, so that the test's own loop goes on meanwhile."""
    opened = await asyncio.to_thread(worker.__enter__)
    try:
        yield opened
    finally:
        await asyncio.to_thread(worker.__exit__, None, None, None)


@asynccontextmanager
async def read_only(bells: Bells) -> AsyncIterator[None]:
    """Let Redis refuse every write, as one does that was a master until now."""
    await bells.redis.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        await bells.redis.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]


async def claim(ledger: Ledger, *bells: Bell, alone: bool = False) -> Claim:
    """Claim executions as a consumer's thread does, by messages under their usual ids."""
    messages = [(message_id(bell), bell) for bell in bells]
    return await asyncio.to_thread(ledger.claim, "default", messages, alone=alone)


@contextmanager
def running_worker(urls: ServerUrls, step: Step, name: str = "w1", threads: int = 4) -> Iterator[Ledger]:
    """Run Dramatiq's worker with one step for the task `prices`."""
    with running_broker(urls, step, name, threads) as broker:
        yield broker.ledger


@contextmanager
def running_broker(
    urls: ServerUrls,
    step: Step,
    name: str = "w1",
    threads: int = 4,
    declare: Callable[[QueueBroker], object] = lambda _: None,
    stop_seconds: float = 5.0,
) -> Iterator[QueueBroker]:
    """Run Dramatiq's worker with one step for the task `prices`, and promote what is due.

    declare: adds actors and middleware of its own. stop_seconds: how long a step has to end when the worker does.
    """
    with open_ledger(urls, name, threads) as ledger:
        broker = QueueBroker(urls.redis, name, ledger, ledger.room)
        perform = performer(step, NoResources())  # type: ignore[arg-type]
        StepActor(perform, broker=broker, actor_name="prices", queue_name="default", limit_seconds=60.0)
        declare(broker)
        process, promoter = (
            Worker(broker, queues={"default"}, worker_threads=2, worker_timeout=200),
            Promoter(ledger.bells),
        )
        for opening in (broker.runner.open(), promoter.open()):
            asyncio.run_coroutine_threadsafe(opening, ledger.loop).result(5)
        process.start()
        try:
            yield broker
        finally:
            ledger.room.close()
            asyncio.run_coroutine_threadsafe(broker.runner.close(stop_seconds), ledger.loop).result(stop_seconds + 5)
            process.stop(timeout=5000)
            asyncio.run_coroutine_threadsafe(promoter.close(), ledger.loop).result(5)
            broker.client.close()
