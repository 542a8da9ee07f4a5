"""The processes that commands run (scheduler, workers): what they are told, how they are started, watched and stopped.

A door of ours ends with the process that started it, also after kill -9 of that one (Linux).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from ops.local import Servers
from ops.local_process import Owner, as_owner
from worker.ending import PLATFORM_SECONDS

ROOT = Path(__file__).resolve().parents[1]
"""Where the rooms lie: `python -m` finds them from here, installed or not."""

# A door has as long to end what it runs as a platform gives it; then it is killed.
STOP_LIMIT_SECONDS = PLATFORM_SECONDS
_PAUSE_SECONDS = 0.02
_OURSELVES = Owner()

# Servers of the shell. libpq's PG* would complete our addresses, DYNO would forbid servers on this machine.
_FOREIGN = ("DATABASE_URL", "REDIS_URL", "DYNO", "MUHURAT_LOCAL")
_FOREIGN_PREFIX = "PG"


def without_foreign_servers(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that names no server: for commands that run on embedded ones."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _FOREIGN and not name.startswith(_FOREIGN_PREFIX)
    }


def forget_foreign_servers() -> None:
    """Take the shell's servers out of this process's own environment, before a library reads them."""
    kept = without_foreign_servers(os.environ)
    for name in set(os.environ) - set(kept):
        del os.environ[name]


def door_environment(environment: Mapping[str, str], servers: Servers, prices: str) -> dict[str, str]:
    """Return what a door is told: the embedded servers and no others, and where prices come from.

    MUHURAT_LOCAL makes the settings refuse any address of another machine.
    """
    return without_foreign_servers(environment) | {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "MUHURAT_LOCAL": "1",
        "MUHURAT_PRICES": prices,
        "PYTHONUNBUFFERED": "1",
    }


class Door:
    """One process under a name. Runs nothing until `start`, which may be called again after it ended."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """command: words; a first word `python` stands for the Python that runs us."""
        self.name = name
        self._command = [sys.executable, *command[1:]] if command[0] == "python" else list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process's number, once started."""
        return None if self._process is None else self._process.pid

    def start(self, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """Start the process in a group of its own, so that Ctrl-C reaches us first. Call it from the main thread.

        output: where stdout and stderr go.
        """
        circumstances = as_owner(_OURSELVES, ROOT, signal.SIGTERM)
        circumstances["env"] = self._environment
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **circumstances
        )
        return self._process

    def ended(self) -> int | None:
        """Return the exit code of a process that ended (negative: the signal), None while it runs or before."""
        return None if self._process is None else self._process.poll()

    def signal(self, sign: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the process, or to all of its group, the orphans too."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            if group:
                os.killpg(self._process.pid, sign)
            elif self._process.poll() is None:
                self._process.send_signal(sign)


def stop_all(doors: Sequence[Door], limit_seconds: float = STOP_LIMIT_SECONDS) -> None:
    """Ask every door to end, kill what has not after the limit or at a second Ctrl-C, and reap all."""
    started = [door for door in doors if door.pid is not None]
    try:
        for door in started:
            door.signal(signal.SIGTERM)
        until = time.monotonic() + limit_seconds
        while any(door.ended() is None for door in started) and time.monotonic() < until:
            time.sleep(_PAUSE_SECONDS)
    except KeyboardInterrupt:
        pass  # somebody is in a hurry: what follows is what they want
    finally:
        for door in started:
            door.signal(signal.SIGKILL, group=True)
        while any(door.ended() is None for door in started):
            time.sleep(_PAUSE_SECONDS)
