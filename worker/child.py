"""One worker process: an event loop, the resources of steps, and Dramatiq's worker around them.

Started by `worker.main`, which holds its lease; it ends when its parent does.
"""

import argparse
import asyncio
import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
from dramatiq import Worker
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread
from dramatiq.logging import get_logger

from adapters.prices.base import PriceSourceError
from config.logs import hide_in_text
from config.settings import Settings, read_settings, split_queues
from db.engine import make_engine
from db.transaction import Database
from db.workers import application_of
from worker.actors import declare_actors
from worker.bells.ringing import Bells
from worker.ledger import Ledger
from worker.log_writer import open_logs
from worker.promoting import Promoter
from worker.queue.broker import QueueBroker
from worker.resources import open_resources
from worker.room import Room

# Linux: the kernel tells the child when its parent is gone.
PR_SET_PDEATHSIG = 1
LEDGER_SECONDS = 8.0
REFUSED, BROKEN = 2, 1
# New objects between two collections; a step makes some thousands, nearly all freed by their count.
GC_THRESHOLD = 20_000
# How long an idle read blocks: the longest a quiet process takes to hear that it shall stop.
IDLE_MS = 500
LOOP_BOOT_SECONDS = 5.0
STOCK_THREADS = 2
# A process opens five connections at most; the fifth is its log's.
POOL_SIZE = 4

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Process:
    """What one worker process is made of, opened and closed in order."""

    def __init__(self, name: str, queues: tuple[str, ...], threads: int, settings: Settings) -> None:
        self.settings = settings
        self.loop = EventLoopThread(get_logger("worker.loop"))  # type: ignore[no-untyped-call]
        self.loop.start(timeout=LOOP_BOOT_SECONDS)
        set_event_loop_thread(self.loop)
        urls = settings.urls
        self.database = Database(make_engine(urls.sqlalchemy, POOL_SIZE, application_of(name)))
        self.bells = Bells(urls.redis)
        resources = self._run(open_resources(self.database, _prices(settings)))
        self.room = Room(threads)
        share = settings.worker.share
        self.ledger = Ledger(self.database, self.bells, name, self.loop.loop, hide_in_text, self.room, share)
        self.broker = QueueBroker(urls.redis, name, self.ledger, self.room)
        declare_actors(self.broker, resources)
        self.promoter = Promoter(self.bells)
        # Dramatiq's threads run what is not of our table: a few are enough.
        self.worker = Worker(self.broker, queues=set(queues), worker_threads=STOCK_THREADS, worker_timeout=IDLE_MS)

    def start(self) -> None:
        """Begin to take work."""
        self._run(self.broker.runner.open())
        self._run(self.promoter.open())
        self.broker.emit_after("process_boot")
        self.worker.start()

    def stop(self) -> None:
        """Finish or hand back what was taken, settle it, and close."""
        self.room.close()
        began, seconds = time.monotonic(), self.settings.worker.shutdown_seconds
        self._run(self.broker.runner.close(seconds))
        left = max(seconds - (time.monotonic() - began), 0.0)
        # Its threads have as long as the steps had; its consumers wait for nothing longer than a read.
        self.worker.stop(timeout=int(max(left, IDLE_MS / 1000 + 1) * 1000))
        self._run(self.promoter.close())
        self.ledger.close(LEDGER_SECONDS)
        self._run(self._close())
        self.loop.stop()  # type: ignore[no-untyped-call]

    async def _close(self) -> None:
        await self.bells.close()
        await self.database.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop.loop).result()


def main() -> int:
    """Run until told to stop. Returns the exit code."""
    arguments = _arguments()
    stopping = threading.Event()
    # A second TERM finds the same flag set: the platform sends several, and stopping once is enough.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    _die_with(arguments.parent)
    settings = read_settings()
    writer = open_logs(settings, f"worker {arguments.name}")
    try:
        process = Process(arguments.name, arguments.queues, arguments.threads, settings)
        if not stopping.is_set():
            _settle_memory()
            process.start()
            log.info("worker_ready", worker=arguments.name, queues=arguments.queues, threads=arguments.threads)
            stopping.wait()
        process.stop()
    except (PriceSourceError, LookupError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        _exit(REFUSED)
    except BaseException:
        log.critical("worker_broken", worker=arguments.name, exc_info=True)
        _exit(BROKEN)
    log.info("worker_stopped", worker=arguments.name)
    writer.close()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker.child")
    parser.add_argument("--name", required=True)
    parser.add_argument("--queues", required=True, type=split_queues)
    parser.add_argument("--threads", required=True, type=int)
    parser.add_argument("--parent", required=True, type=int)
    return parser.parse_args()


def _exit(code: int) -> None:
    """End at once: the event loop's thread would keep a broken process alive, leased and idle."""
    sys.stdout.flush()
    os._exit(code)


def _settle_memory() -> None:
    """Keep what was imported out of every later collection: it never becomes garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def _prices(settings: Settings) -> str:
    if settings.prices is None:
        raise PriceSourceError("MUHURAT_PRICES is not set: use simulated:SEED or folder:PATH")
    return settings.prices


def _die_with(parent: int) -> None:
    """End with the parent, also when it is killed; a parent that is gone already ends us now."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("its supervisor is gone")


if __name__ == "__main__":
    raise SystemExit(main())
