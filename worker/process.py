"""What a worker process is made of, beside Dramatiq's worker: an event loop, the means of steps, the queue's broker."""

import asyncio
import os
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import wait
from typing import Any, TypeVar

from dramatiq import Worker
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread
from dramatiq.logging import get_logger

from adapters.prices.base import PriceSourceError
from config.logs import hide_in_text
from config.settings import Settings
from db.engine import make_engine
from db.transaction import Database
from db.workers import application_of
from worker.actors import declare_actors
from worker.bells.ringing import Bells
from worker.ending import CLOSE_SECONDS, HEAR_SECONDS, SETTLE_SECONDS, THREADS_SECONDS
from worker.ledger import Ledger
from worker.promoting import Promoter
from worker.queue.broker import QueueBroker
from worker.resources import open_resources
from worker.room import Room
from worker.watchdog import Watchdog

LOOP_BOOT_SECONDS = 5.0
# A process opens five connections at most; the fifth is its log's.
POOL_SIZE = 4

T = TypeVar("T")


class Process:
    """Made, opened, stopped and closed in this order, around the life of Dramatiq's worker.

    name: under which it claims; somebody holds a lease under it. places: executions at once.
    """

    def __init__(self, name: str, places: int, settings: Settings) -> None:
        """Raises PriceSourceError, LookupError: not with these settings."""
        self.settings, urls = settings, settings.urls
        self.loop = EventLoopThread(get_logger("worker.loop"))  # type: ignore[no-untyped-call]
        # A step that never awaits may hold it: that keeps no process from ending.
        self.loop.daemon = True
        self.loop.start(timeout=LOOP_BOOT_SECONDS)
        set_event_loop_thread(self.loop)
        self.database = Database(make_engine(urls.sqlalchemy, POOL_SIZE, application_of(name)))
        self.bells = Bells(urls.redis)
        resources = self._run(open_resources(self.database, _prices(settings)))
        self.room, share = Room(places), settings.worker.share
        record = Database(self.database.engine, planned_once=True)
        self.ledger = Ledger(record, self.bells, name, self.loop.loop, hide_in_text, self.room, share)
        self.broker = QueueBroker(urls.redis, name, self.ledger, self.room)
        declare_actors(self.broker, resources)
        self.promoter = Promoter(self.bells)
        self.watchdog: Watchdog | None = None

    def open(self) -> None:
        """Be ready for what the worker's consumers claim."""
        self._run(self.broker.runner.open())
        self._run(self.promoter.open())

    def watch(self, worker: Worker) -> None:
        """Look after everything that must not end while the started worker takes work."""

        def threads() -> list[threading.Thread]:
            return [self.loop, *worker.consumers.values(), *worker.workers]

        self.watchdog = Watchdog(self.loop.loop, threads, self._is_busy, os.getppid())
        self.watchdog.start()

    def stop(self, worker: Worker) -> float:
        """Take nothing more, hand back what has not begun, and give what runs its time.

        Returns how many seconds the worker's own threads have left.
        """
        until = time.monotonic() + self.settings.worker.shutdown_seconds
        if self.watchdog is not None:
            self.watchdog.close()
        self.room.close()
        for consumer in worker.consumers.values():
            consumer.stop()  # now: one that waits for a Redis that stands still has this time for it
        left = max(until - time.monotonic(), 0.0)
        closing = asyncio.run_coroutine_threadsafe(self.broker.runner.close(left), self.loop.loop)
        wait([closing], left + HEAR_SECONDS)  # no longer: the loop may be held
        return max(until - time.monotonic(), THREADS_SECONDS)

    def close(self) -> None:
        """Settle what ended, give back the rest, and close; once the worker has stopped."""
        self.ledger.close(SETTLE_SECONDS)
        asyncio.run_coroutine_threadsafe(self._close(), self.loop.loop)
        self.loop.join(CLOSE_SECONDS)

    async def _close(self) -> None:
        try:
            await self.promoter.close()
            await self.bells.close()
            await self.database.close()
        finally:
            self.loop.loop.stop()

    def _is_busy(self) -> bool:
        return bool(self.ledger.held or self.ledger.settler.left)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop.loop).result()


def _prices(settings: Settings) -> str:
    if settings.prices is None:
        raise PriceSourceError("MUHURAT_PRICES is not set: use simulated:SEED or folder:PATH")
    return settings.prices
