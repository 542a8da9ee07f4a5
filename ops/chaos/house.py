"""The processes of a case: a scheduler and supervised workers, started again when they end, as a platform does."""

import os
from collections.abc import Iterator
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
_BOOTED = b'"event": "worker_ready"'
_WORKER = ["python", "-m", "ops.chaos.door", "--queues", "orders,default"]


@dataclass
class House:
    """Doors by name, with a log file each. restarts: how often one had ended and was started again."""

    doors: dict[str, Door]
    logs: Path
    restarts: int = 0

    @property
    def worker(self) -> Door:
        """The supervisor."""
        return self.doors["worker"]

    @property
    def scheduler(self) -> Door:
        """The scheduler."""
        return self.doors["scheduler"]

    def children(self) -> list[psutil.Process]:
        """Return the worker processes that live, oldest first."""
        if self.worker.pid is None or self.worker.ended() is not None:
            return []
        found = psutil.Process(self.worker.pid).children()
        return sorted((one for one in found if one.status() != psutil.STATUS_ZOMBIE), key=lambda one: one.create_time())

    def booted(self) -> bool:
        """Tell whether as many worker processes as there shall be have said that they take work."""
        return (self.logs / "worker.log").read_bytes().count(_BOOTED) >= PROCESSES

    def keep_running(self) -> None:
        """Start what has ended again."""
        for name in self.doors:
            if self.doors[name].ended() is not None:
                self.restarts += 1
                self.start(name)

    def start(self, name: str) -> None:
        """Start a door, its output added to its log."""
        with (self.logs / f"{name}.log").open("ab") as output:
            self.doors[name].start(output)


@contextmanager
def housed(ground: Ground, logs: Path, gate: Path, *, ahead_seconds: float = 0.0) -> Iterator[House]:
    """Run the doors of a case while the context lasts; at its end they are killed. Enter it in the main thread.

    ahead_seconds: how far the workers' clock is ahead of everybody's.
    """
    logs.mkdir(parents=True, exist_ok=True)
    environment = environment_of(ground) | {GATE: str(gate)}
    workers = environment | {AHEAD: str(ahead_seconds)}
    size = ["--processes", str(PROCESSES), "--threads", str(THREADS)]
    doors = {
        "scheduler": Door("scheduler", ["python", "-m", "scheduler.main"], environment),
        "worker": Door("worker", [*_WORKER, *size], workers),
    }
    house = House(doors, logs)
    try:
        for name in doors:
            (logs / f"{name}.log").unlink(missing_ok=True)
            house.start(name)
        yield house
    finally:
        stop_all(list(doors.values()), limit_seconds=0)


def environment_of(ground: Ground) -> dict[str, str]:
    """Return what a process of the suite is told."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT_")}
    return door_environment(kept, ground.reached, "simulated:7:5") | _SETTINGS
