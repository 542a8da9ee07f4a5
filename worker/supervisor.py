"""Keeps worker processes alive: starts them, holds their leases, replaces the dead one, kills the one that hangs."""

import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from db.transaction import Database
from db.workers import WorkerRepository
from worker.messages import HARD_LIMIT_FACTOR, TASKS

log = structlog.get_logger(__name__)

CHILD = "worker.child"
# A lease outlives this many missed renewals.
RENEWALS_A_LEASE = 5
HARD_LIMITS = {task.name: task.limit_seconds * HARD_LIMIT_FACTOR for task in TASKS.values()}
# A child that dies sooner than this was never well: its place is filled again only after a pause that grows.
SOUND_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 30.0
# Dramatiq may take its shutdown timeout twice; the platform kills at 30 s.
STOP_SECONDS = 27.0


# A child's exit code that says: not with these settings. Starting it again would not help.
REFUSED = 2


class ChildRefused(Exception):  # noqa: N818 - read by people
    """A worker process cannot start with these settings; it has said why."""


@dataclass(slots=True)
class Child:
    """A running worker process."""

    name: str
    process: asyncio.subprocess.Process
    began: float


class Supervisor:
    """One place for each process; a place is refilled for as long as the supervisor runs."""

    def __init__(
        self, database: Database, queues: tuple[str, ...], threads: int, lease_seconds: float, child: str = CHILD
    ) -> None:
        """child: the module that each process runs."""
        self.database, self.queues, self.threads, self.lease_seconds = database, queues, threads, lease_seconds
        self.child = child
        self.children: dict[str, Child] = {}
        self.stopping = asyncio.Event()
        self._started = 0

    async def run(self, processes: int) -> None:
        """Keep so many processes until `stopping` is set, then end them."""
        async with asyncio.TaskGroup() as group:
            places = [group.create_task(self._keep_place()) for _ in range(processes)]
            leases = group.create_task(self._keep_leases())
            await self.stopping.wait()
            await self._stop_children()
            for place in places:
                await place
            leases.cancel()

    async def _keep_place(self) -> None:
        pause = 0.0
        while not self.stopping.is_set():
            child = await self._start()
            code = await child.process.wait()
            del self.children[child.name]
            await self._release(child)
            if self.stopping.is_set():
                return
            if code == REFUSED:
                raise ChildRefused("a worker process refused its settings: its message stands above")
            well = time.monotonic() - child.began > SOUND_SECONDS
            pause = 0.0 if well else min(max(2 * pause, 0.5), LONGEST_PAUSE_SECONDS)
            log.error("worker_died", worker=child.name, code=code, pause_seconds=pause)
            await self._pause(pause)

    async def _start(self) -> Child:
        self._started += 1
        # Containers give the same host and pid again: the name must be new all the same.
        name = f"{socket.gethostname()}-{os.getpid()}-{self._started}-{secrets.token_hex(3)}"
        arguments = ["--name", name, "--queues", ",".join(self.queues), "--threads", str(self.threads)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self.child, *arguments, "--parent", str(os.getpid())
        )
        child = self.children[name] = Child(name, process, time.monotonic())
        await self._register(child)
        if self.stopping.is_set():
            self._ask_to_stop(child)  # it was not there yet when the others were asked
        return child

    async def _register(self, child: Child) -> None:
        """Give the child its first lease; until it has one it claims nothing."""
        while child.process.returncode is None:
            try:
                async with self.database.transaction(None) as session:
                    host, queues = socket.gethostname(), ",".join(self.queues)
                    workers = WorkerRepository(session)
                    await workers.register(child.name, host, child.process.pid, queues, self.lease_seconds)
                return
            except (DBAPIError, OSError) as error:
                log.warning("postgres_away", doing="register a worker", error=str(error))
                await self._pause(1.0)

    async def _release(self, child: Child) -> None:
        """End the lease of a process known to be gone, so that its work is back at once and not after the lease."""
        try:
            async with self.database.transaction(None) as session:
                await WorkerRepository(session).expire(child.name)
        except (DBAPIError, OSError) as error:
            log.warning("postgres_away", doing="release a worker", error=str(error))

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self.lease_seconds / RENEWALS_A_LEASE)
            names = [child.name for child in self.children.values() if not _is_stopped(child.process.pid)]
            if not names:
                continue
            try:
                async with self.database.transaction(None) as session:
                    workers = WorkerRepository(session)
                    renewed = await workers.renew(names, self.lease_seconds)
                    hanging = await workers.overdue(names, HARD_LIMITS)
            except (DBAPIError, OSError) as error:
                log.warning("postgres_away", doing="renew leases", error=str(error))
                continue
            self._kill(hanging, "past its hard limit")
            self._kill([name for name in names if name not in renewed], "its work was given to others")

    def _kill(self, names: list[str], reason: str) -> None:
        for name in names:
            child = self.children.get(name)
            if child is not None and child.process.returncode is None and time.monotonic() - child.began > 1.0:
                log.error("worker_killed", worker=name, reason=reason)
                child.process.kill()

    async def _stop_children(self) -> None:
        for child in list(self.children.values()):
            self._ask_to_stop(child)
        waiting = [child.process.wait() for child in list(self.children.values())]
        try:
            await asyncio.wait_for(asyncio.gather(*waiting), STOP_SECONDS)
        except TimeoutError:
            for child in list(self.children.values()):
                log.warning("worker_killed", worker=child.name, reason="it did not stop in time")
                child.process.kill()

    def _ask_to_stop(self, child: Child) -> None:
        if child.process.returncode is None:
            child.process.send_signal(signal.SIGTERM)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return


def _is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped by a signal: it cannot work, so its lease runs out."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] in ("T", "t")
    except OSError:
        return False
