"""The queue under Dramatiq's own command: `dramatiq worker.stock [module ...]`, for its options and for stock actors.

Each process holds its own lease, for there is no supervisor: nobody speaks for one whose interpreter is held,
Dramatiq's master ends all of them when one ends, and a step past its hard limit takes them all with it. `-t` is how
many executions run at once, MUHURAT_WORKER_SHUTDOWN_SECONDS how long they have at the end; the option
`--worker-shutdown-timeout` is for stock actors. Modules that are named behind it find this broker by
`dramatiq.get_broker`.
"""

import asyncio
import os
import secrets
import socket
import threading
from concurrent.futures import Future
from multiprocessing.util import Finalize

import dramatiq
import structlog
from dramatiq import Broker, Worker
from dramatiq.asyncio import EventLoopThread
from dramatiq.logging import get_logger
from dramatiq.middleware import Middleware

from config.settings import Settings, read_settings
from db import tables  # noqa: F401 - read now, and not while the first lease is due
from db.engine import make_engine
from db.transaction import Database
from worker.bells.ringing import Bells
from worker.ending import BROKEN, LAST_WORD_SECONDS, LOG_SECONDS, die_with
from worker.heartbeats import Heartbeats
from worker.leases import Leases
from worker.log_writer import LogWriter, open_logs
from worker.process import LOOP_BOOT_SECONDS, Process

log = structlog.get_logger(__name__)

POOL_SIZE = 3


class OwnLease:
    """Keeps the lease and the heartbeat of this very process, on a loop and connections of its own."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name, self.settings = name, settings
        self._loop = EventLoopThread(get_logger("worker.lease"))  # type: ignore[no-untyped-call]
        self._loop.daemon = True
        self._keeping: Future[None] | None = None
        self._told = threading.Event()

    def begin(self, queues: list[str]) -> None:
        """Begin to hold the lease. queues: that the process serves."""
        self._loop.start(timeout=LOOP_BOOT_SECONDS)
        self._keeping = asyncio.run_coroutine_threadsafe(self._keep(queues), self._loop.loop)

    def end(self) -> None:
        """End the lease, for nothing of this process goes on. It may be called again, and before `begin`."""
        if self._keeping is not None:
            self._keeping.cancel()
            self._told.wait(LAST_WORD_SECONDS)

    async def _keep(self, queues: list[str]) -> None:
        urls = self.settings.urls
        database, bells = Database(make_engine(urls.sqlalchemy, POOL_SIZE, "worker lease")), Bells(urls.redis)
        leases, heartbeats = Leases(database, queues, self.settings.worker.lease_seconds), Heartbeats(bells, queues)
        leases.begin(self.name, os.getpid())
        try:
            while True:
                found, _ = await asyncio.gather(leases.turn([self.name]), heartbeats.turn([self.name]))
                if found.lost or found.hanging:
                    log.critical("process_broken", worker=self.name, lost=bool(found.lost), hanging=bool(found.hanging))
                    os._exit(BROKEN)
                await asyncio.sleep(leases.every_seconds)
        finally:
            leases.end(self.name)
            heartbeats.end(self.name)
            await asyncio.gather(leases.close(), heartbeats.turn(()))
            self._told.set()
            await bells.close()
            await database.close()


class Life(Middleware):
    """Opens, stops and closes the process around the life of the worker that Dramatiq's command makes."""

    def __init__(self, process: Process, lease: OwnLease, logs: LogWriter) -> None:
        self.process, self.lease, self.logs = process, lease, logs

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Take on as many executions as the worker has threads, and begin the lease."""
        self.process.room.places = self.process.broker.runner.places = worker.worker_threads
        die_with(os.getppid())
        self.lease.begin(sorted(worker.consumer_whitelist or broker.get_declared_queues()))
        # At a second TERM Dramatiq's command ends at once, and with it whatever runs.
        Finalize(None, self.lease.end, exitpriority=1)
        self.process.open()

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Look after its threads."""
        self.process.watch(worker)
        log.info("worker_ready", worker=self.lease.name, threads=worker.worker_threads)

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Hand back, and let end what runs."""
        self.process.stop(worker)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Settle, and end the lease."""
        self.process.close()
        self.lease.end()
        log.info("worker_stopped", worker=self.lease.name)
        self.logs.close(LOG_SECONDS)


def _make_broker() -> Broker:
    settings = read_settings()
    name = f"{socket.gethostname()}-{os.getpid()}-stock-{secrets.token_hex(3)}"
    logs = open_logs(settings, f"worker {name}")
    process = Process(name, settings.worker.threads, settings)
    process.broker.add_middleware(Life(process, OwnLease(name, settings), logs))
    dramatiq.set_broker(process.broker)
    return process.broker


broker = _make_broker()
