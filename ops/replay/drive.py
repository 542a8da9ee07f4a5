"""Runs the real scheduler and the real workers over a prepared replay until its clock has come to the end."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from db.clock import ClockRepository
from db.sweeps import SweepRepository
from db.transaction import Database
from ops.doors import Door, stop_all
from ops.local_process import last_words
from ops.replay import queries
from ops.replay.plan import Plan
from ops.replay.queries import rows

QUEUES = "orders,strategy,ml,default"

_LOOK_SECONDS = 0.2
_COUNT_SECONDS = 1.0
# A settle and the readiness it brings are two commits: the end must be seen twice, and longer while rows still wait.
_QUIET_LOOKS = 2
_QUIET_LOOKS_WAITING = 15
# Nothing runs, nothing settles, the clock stands: longer than any lease, back-off or sweep of the scheduler.
STALL_SECONDS = 120.0
# A door may be killed from outside (out of memory, a test); one that ends again and again cannot be helped.
MOST_RESTARTS = 20
# One that ends by itself sooner than this was never well, as is one that names bad input.
SOUND_SECONDS = 5.0
_BAD_INPUT = 2


class DoorError(Exception):
    """A process that should run until it is told to end has ended by itself."""

    def __init__(self, name: str, code: int, log: Path) -> None:
        self.name, self.code, self.log = name, code, log
        said = last_words(log.read_bytes()) if log.exists() else "it left no log"
        super().__init__(f"the {name} ended with code {code}: {said} (all of it in {log})")


class StalledError(Exception):
    """A replay in which nothing happens any more."""

    def __init__(self, at: datetime, seconds: float, folder: Path) -> None:
        self.at, self.seconds = at, seconds
        super().__init__(
            f"the replay has stood still at {at:%Y-%m-%d %H:%M} UTC for {seconds:.0f} s; the logs in {folder} say why"
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """What there is so far. executions: those that ended."""

    executions: int = 0
    running: int = 0
    waiting: int = 0
    orders: int = 0
    fills: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """How far a replay is: market time, sessions begun, and what was counted last. over: nothing is left to do."""

    at: datetime
    sessions: int = 0
    counts: Counts = Counts()
    over: bool = False


class Watched:
    """The doors of a replay with a log file each; one that dies is started again."""

    def __init__(self, doors: Sequence[Door], logs: Path) -> None:
        self.doors, self.logs = doors, logs
        self._restarts = 0
        self._began: dict[str, float] = {}

    def log(self, door: Door) -> Path:
        """Return the file a door writes to."""
        return self.logs / f"{door.name}.log"

    def start(self, door: Door) -> None:
        """Start a door, its output added to its log."""
        self._began[door.name] = time.monotonic()
        with self.log(door).open("ab") as output:
            door.start(output)

    def keep_running(self) -> None:
        """Start dead doors again. Raises DoorError when that cannot help."""
        for door in self.doors:
            code = door.ended()
            if code is None:
                continue
            soon = code >= 0 and time.monotonic() - self._began[door.name] < SOUND_SECONDS
            if soon or code == _BAD_INPUT or self._restarts >= MOST_RESTARTS:
                raise DoorError(door.name, code, self.log(door))
            self._restarts += 1
            self.start(door)


@contextmanager
def doors_running(doors: Sequence[Door], logs: Path) -> Iterator[Watched]:
    """Run doors while the context lasts. Enter it in the main thread; at its end nothing of them runs."""
    logs.mkdir(parents=True, exist_ok=True)
    watched = Watched(doors, logs)
    for door in doors:
        watched.log(door).unlink(missing_ok=True)
    try:
        for door in doors:
            watched.start(door)
        yield watched
    finally:
        stop_all(doors)


def replay_doors(plan: Plan, environment: dict[str, str]) -> list[Door]:
    """Return the scheduler and the workers of a replay, not started."""
    size = ["--processes", str(plan.request.workers), "--threads", str(plan.request.threads)]
    return [
        Door("scheduler", ["python", "-m", "scheduler.main"], environment),
        Door("worker", ["python", "-m", "worker.main", "--queues", QUEUES, *size], environment),
    ]


async def drive(database: Database, plan: Plan, watched: Watched, tell: Callable[[Look], None]) -> None:
    """Return when market time has come to the end and nothing is left to do. tell: called after every look.

    Raises DoorError, StalledError.
    """
    look, counted, moved, quiet = Look(plan.begins_at), 0.0, time.monotonic(), 0
    while quiet < (_QUIET_LOOKS_WAITING if look.counts.waiting else _QUIET_LOOKS):
        await asyncio.sleep(_LOOK_SECONDS)
        watched.keep_running()
        now, before = time.monotonic(), look
        count = now - counted >= _COUNT_SECONDS
        look = await _look(database, plan, None if count else look.counts)
        counted = now if count else counted
        quiet = quiet + 1 if look.over else 0
        if look != before or look.counts.running:
            moved = now
        elif now - moved > STALL_SECONDS:
            raise StalledError(look.at, STALL_SECONDS, watched.logs)
        tell(look)


async def _look(database: Database, plan: Plan, counts: Counts | None) -> Look:
    """Return where the replay is. counts: None to count anew; at the end that is always done."""
    async with database.reading(None) as session:
        at = (await ClockRepository(session).read()).now
        at_end = at >= plan.ends_at
        over = at_end and not await SweepRepository(session).busy()
        if counts is None or at_end:
            counts = Counts(*(await rows(session, queries.COUNTS))[0])
    return Look(at, sum(one.opens <= at for one in plan.sessions), counts, over)
