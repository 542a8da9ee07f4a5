"""Keeps worker processes alive: starts them, speaks for them, replaces the dead one, kills the one that hangs."""

import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from db.transaction import Database
from worker.bells.ringing import Bells
from worker.ending import LAST_WORD_SECONDS, REAP_SECONDS, REFUSED, STOP_SECONDS
from worker.heartbeats import Heartbeats
from worker.leases import Leases

log = structlog.get_logger(__name__)

CHILD = "worker.child"
# A child that dies sooner than this was never well: its place is filled again only after a pause that grows.
SOUND_SECONDS = 5.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0


class ChildRefused(Exception):  # noqa: N818 - read by people
    """A worker process cannot start with these settings; it has said why."""


@dataclass(slots=True)
class Child:
    """A running worker process."""

    name: str
    process: asyncio.subprocess.Process

    @property
    def works(self) -> bool:
        """Whether it lives and is not stopped by a signal: else it cannot work, and its lease runs out."""
        return self.process.returncode is None and not _is_stopped(self.process.pid)


class Supervisor:
    """One place for each process, refilled for as long as the supervisor runs. No error of one ends another."""

    def __init__(
        self,
        database: Database,
        bells: Bells,
        queues: tuple[str, ...],
        threads: int,
        lease_seconds: float,
        child: str = CHILD,
    ) -> None:
        """child: the module that each process runs."""
        self.queues, self.threads, self.child = queues, threads, child
        self.leases = Leases(database, queues, lease_seconds)
        self.heartbeats = Heartbeats(bells, queues)
        self.children: dict[str, Child] = {}
        self.stopping = asyncio.Event()
        self._started = 0
        self._was_well = self._refused = False

    async def run(self, processes: int) -> None:
        """Keep so many processes until `stopping` is set, then end them. Raises ChildRefused if none was ever well."""
        places = [asyncio.create_task(self._keep_place()) for _ in range(processes)]
        speaking = [asyncio.create_task(self._keep_leases()), asyncio.create_task(self._keep_heartbeats())]
        try:
            await self.stopping.wait()
            for child in list(self.children.values()):
                _ask_to_stop(child)
            await asyncio.wait(places, timeout=STOP_SECONDS)
        finally:
            self.stopping.set()
            self._kill(list(self.children), "it did not stop in time")
            await asyncio.wait(places, timeout=REAP_SECONDS)
            await within(LAST_WORD_SECONDS, self._say_last(places, speaking))
        if self._refused:
            raise ChildRefused("a worker process refused its settings: its message stands above")

    async def _keep_place(self) -> None:
        pause = 0.0
        while not self.stopping.is_set():
            began = time.monotonic()
            code = await self._live_one_life()
            is_well = time.monotonic() - began > SOUND_SECONDS
            self._was_well |= is_well
            if self.stopping.is_set():
                return
            if code == REFUSED and not self._was_well:
                self._refused = True
                self.stopping.set()
                return
            pause = 0.0 if is_well else min(max(2 * pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            await self._pause(pause)

    async def _live_one_life(self) -> int | None:
        """Start a process and wait for its end. Returns its code, None if there was none to be had."""
        try:
            child = await self._start()
        except Exception:  # no process, no memory, no file: one day there will be
            log.exception("worker_not_started")
            return None
        code = await child.process.wait()
        del self.children[child.name]
        self.leases.end(child.name)
        self.heartbeats.end(child.name)
        if not self.stopping.is_set():
            log.error("worker_died", worker=child.name, code=code)
        return code

    async def _start(self) -> Child:
        self._started += 1
        # Containers give the same host and pid again: the name must be new all the same.
        name = f"{socket.gethostname()}-{os.getpid()}-{self._started}-{secrets.token_hex(3)}"
        arguments = ["--name", name, "--queues", ",".join(self.queues), "--threads", str(self.threads)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self.child, *arguments, "--parent", str(os.getpid())
        )
        child = self.children[name] = Child(name, process)
        self.leases.begin(name, process.pid)
        if self.stopping.is_set():
            _ask_to_stop(child)  # it was not there yet when the others were asked
        return child

    async def _keep_leases(self) -> None:
        while True:
            found = await self.leases.turn(self._working())
            self._kill(found.hanging, "past its hard limit")
            self._kill(found.lost, "its work was given to others")
            await _event_or_timeout(self.leases.changed, self.leases.every_seconds)

    async def _keep_heartbeats(self) -> None:
        while True:
            await self.heartbeats.turn(self._working())
            await asyncio.sleep(self.leases.every_seconds)

    def _working(self) -> list[str]:
        return [child.name for child in self.children.values() if child.works]

    def _kill(self, names: Iterable[str], reason: str) -> None:
        for name in names:
            child = self.children.get(name)
            if child is not None and child.process.returncode is None:
                log.error("worker_killed", worker=name, reason=reason)
                _send(child, signal.SIGKILL)

    async def _say_last(self, *given_up: list[asyncio.Task[None]]) -> None:
        """Write at once who ended."""
        tasks = [task for group in given_up for task in group]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.gather(self.leases.close(), self.heartbeats.turn(()))

    async def _pause(self, seconds: float) -> None:
        await _event_or_timeout(self.stopping, seconds)


async def within(seconds: float, work: Coroutine[object, object, object]) -> None:
    """Do a work for so long at most. Then it is given up, and not waited for."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task], timeout=seconds)
    task.cancel()


async def _event_or_timeout(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _ask_to_stop(child: Child) -> None:
    if child.process.returncode is None:
        _send(child, signal.SIGTERM)
        _send(child, signal.SIGCONT)  # one that is stopped would not hear of it


def _send(child: Child, number: signal.Signals) -> None:
    # Not asyncio's way: it looks first whether the process lives, and so takes its exit code from who waits for it.
    with suppress(ProcessLookupError):
        os.kill(child.process.pid, number)


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] in ("T", "t")
    except OSError:
        return False
