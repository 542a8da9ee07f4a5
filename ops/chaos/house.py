"""The processes of a case: a scheduler and supervised workers, started again when they end, as a platform does."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from ops.chaos.ahead import AHEAD
from ops.chaos.ground import Ground
from ops.chaos.step import GATE
from ops.doors import Door, door_environment, stop_all

PROCESSES, THREADS = 2, 4
LEASE_SECONDS = 3.0
SWEEP_SECONDS = 0.5
# Dramatiq applies it twice, and then the ledger settles what is left.
SHUTDOWN_SECONDS = 2.0
# A platform kills what it told to end after so long.
PLATFORM_SECONDS = 30.0

_SETTINGS = {
    "MUHURAT_WORKER_LEASE_SECONDS": str(LEASE_SECONDS),
    "MUHURAT_WORKER_SHUTDOWN_SECONDS": str(SHUTDOWN_SECONDS),
    "MUHURAT_SCHEDULER_SWEEP_SECONDS": str(SWEEP_SECONDS),
    "MUHURAT_SCHEDULER_POLL_SECONDS": "0.2",
    "MUHURAT_LOG_TO_DATABASE": "0",
    "MUHURAT_LOG": "json",
    "MUHURAT_LOG_LEVEL": "INFO",
}
_IDLE = (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED)
_READY = re.compile(r'"worker": "([^"]+)".*"event": "worker_ready"')
_WORKER = ["python", "-m", "ops.chaos.door", "--queues", "orders,default"]


@dataclass
class House:
    """Doors by name, with a log file each.

    ahead_seconds: how far the workers' clock is ahead. In a case, restarts: how often a door had ended and was started
    again; pids: of the worker processes when it began.
    """

    doors: dict[str, Door]
    logs: Path
    gate: Path
    ahead_seconds: float
    restarts: int = 0
    pids: tuple[int, ...] = ()

    @property
    def worker(self) -> Door:
        """The supervisor."""
        return self.doors["worker"]

    @property
    def scheduler(self) -> Door:
        """The scheduler."""
        return self.doors["scheduler"]

    def children(self) -> list[int]:
        """Return the numbers of the worker processes that live and are not stopped, in order."""
        if self.worker.pid is None or self.worker.ended() is not None:
            return []
        found = psutil.Process(self.worker.pid).children()
        return sorted(one.pid for one in found if one.status() not in _IDLE)

    def begin(self, names: Sequence[str]) -> bool:
        """Begin a case once the processes of these names have said that they take work. Tells whether they have."""
        said = (self.logs / "worker.log").read_text(encoding="utf-8", errors="replace")
        ready = {match[1] for match in _READY.finditer(said)}
        if not ready.issuperset(names):
            return False
        self.restarts, self.pids = 0, tuple(self.children())
        return True

    def survivors(self) -> list[int]:
        """Return the worker processes that were there when the case began."""
        return [pid for pid in self.children() if pid in self.pids]

    def keep_running(self) -> None:
        """Start what has ended again."""
        for name in self.doors:
            if self.doors[name].ended() is not None:
                self.restarts += 1
                self.start(name)

    def start(self, name: str) -> None:
        """Start a door, its output added to its log. Call it in the main thread."""
        with (self.logs / f"{name}.log").open("ab") as output:
            self.doors[name].start(output)

    def stop(self) -> None:
        """Kill every process."""
        stop_all(list(self.doors.values()), limit_seconds=0)


class Street:
    """The house of the next case: the last one's, with whoever was started again in it, else a new one."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.house: House | None = None

    def standing(self, ahead_seconds: float) -> House | None:
        """Return the house that may be used again, or None when a new one is needed; what stands then is gone."""
        if self.house is not None and self.house.ahead_seconds != ahead_seconds:
            self.clear()
        return self.house

    def build(self, name: str, ahead_seconds: float) -> House:
        """Start a new house. name: of its logs. Call it in the main thread."""
        logs = self.ground.folder / "logs" / name.replace("/", ".")
        gate = self.ground.folder / "gate"
        logs.mkdir(parents=True, exist_ok=True)
        environment = environment_of(self.ground) | {GATE: str(gate)}
        size = ["--processes", str(PROCESSES), "--threads", str(THREADS)]
        doors = {
            "scheduler": Door("scheduler", ["python", "-m", "scheduler.main"], environment),
            "worker": Door("worker", [*_WORKER, *size], environment | {AHEAD: str(ahead_seconds)}),
        }
        self.house = House(doors, logs, gate, ahead_seconds)
        for door in doors:
            (logs / f"{door}.log").unlink(missing_ok=True)
            self.house.start(door)
        return self.house

    def clear(self) -> None:
        """End what stands."""
        house, self.house = self.house, None
        if house is not None:
            house.stop()


@contextmanager
def street(ground: Ground) -> Iterator[Street]:
    """Yield a street; at its end nothing of it runs."""
    built = Street(ground)
    try:
        yield built
    finally:
        built.clear()


def environment_of(ground: Ground) -> dict[str, str]:
    """Return what a process of the suite is told."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT_")}
    return door_environment(kept, ground.reached, "simulated:7:5") | _SETTINGS
