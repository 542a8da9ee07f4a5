"""`muhurat up`: the Procfile's processes in one terminal, on embedded servers that keep their data."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

from adapters.prices.registry import folder_of, open_source
from config.servers import ServerUrls
from ops.cli.greeting import greeting
from ops.cli.migrating import partition_days
from ops.doors import ROOT, Door, door_environment, forget_foreign_servers, stop_all
from ops.local import running
from ops.procfile import RELEASE, Entry, read_procfile
from ops.replay.plan import exchange_calendar
from ops.schema import make_ready

DEFAULT_PRICES = "simulated:7"

_US = Entry("muhurat", ())
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red")
_LOOK_SECONDS = 0.1
# A process that dies at once waits longer each time; one that lived a minute begins anew.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _SOUND_SECONDS = 1.0, 30.0, 60.0


class ReleaseError(Exception):
    """The Procfile's release process failed, so nothing else was started."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"the release process ended with code {code}; its last lines say why; nothing was started")


@dataclass(slots=True)
class _Place:
    """A process of the Procfile and how it has fared. due: monotonic seconds at which it may start again."""

    door: Door
    style: str
    began: float = 0.0
    pause: float = 0.0
    due: float | None = None
    readers: list[threading.Thread] = field(default_factory=list)


class Terminal:
    """One terminal that many processes write lines to, each under its name and colour."""

    def __init__(self, width: int) -> None:
        self._console, self._width = Console(), width

    def say(self, name: str, style: str, line: str) -> None:
        """Print one line."""
        head = Text(f"{name:<{self._width}} | ", style=style)
        self._console.print(head + Text.from_ansi(line), soft_wrap=True, highlight=False)

    def follow(self, place: _Place, process: subprocess.Popen[bytes]) -> None:
        """Print what a process says until its output ends, in a thread of its own."""

        output = process.stdout
        if output is None:
            return

        def read() -> None:
            with output:
                for raw in output:
                    self.say(place.door.name, place.style, raw.decode(errors="replace").rstrip("\n"))

        thread = threading.Thread(target=read, name=f"{place.door.name} output", daemon=True)
        thread.start()
        place.readers.append(thread)


def run_procfile(path: Path | None) -> None:
    """Run every process of a Procfile until Ctrl-C. path: None for the one of this code. Call it in the main thread.

    Raises ProcfileError, PriceSourceError, LocalServerError, DatabaseError, ReleaseError.
    """
    entries = read_procfile(path or ROOT / "Procfile")
    chosen = os.environ.get("MUHURAT_PRICES")
    prices = _usable(chosen or DEFAULT_PRICES)
    forget_foreign_servers()
    terminal = Terminal(max(len(entry.name) for entry in [*entries, _US]))
    with running() as servers:
        url = ServerUrls(servers.database_url, servers.redis_url).sqlalchemy
        asyncio.run(make_ready(url, *partition_days()))
        environment = door_environment(os.environ, servers, prices)
        environment.setdefault("MUHURAT_LOG", "colours" if sys.stdout.isatty() else "json")
        places = [
            _Place(Door(entry.name, entry.command, environment), _COLOURS[number % len(_COLOURS)])
            for number, entry in enumerate(entries)
        ]
        for line in greeting(url, prices, chosen=bool(chosen)):
            terminal.say(_US.name, "bold", line)
        _release([place for place in places if place.door.name == RELEASE], terminal)
        _keep_running([place for place in places if place.door.name != RELEASE], terminal)


def _usable(prices: str) -> str:
    """Return a source's spec as processes with another working folder need it. Raises PriceSourceError."""
    calendar = exchange_calendar()
    open_source(prices, [session.day for session in calendar.sessions_between(calendar.first, calendar.last)])
    folder = folder_of(prices)
    return prices if folder is None else f"folder:{folder}"


def _release(places: Sequence[_Place], terminal: Terminal) -> None:
    """Run the release process to its end."""
    try:
        for place in places:
            _start(place, terminal)
            while (code := place.door.ended()) is None:
                time.sleep(_LOOK_SECONDS)
            _drain(places)
            if code != 0:
                raise ReleaseError(code)
    finally:
        stop_all([place.door for place in places])


def _keep_running(places: Sequence[_Place], terminal: Terminal) -> None:
    try:
        for place in places:
            _start(place, terminal)
        while True:
            time.sleep(_LOOK_SECONDS)
            for place in places:
                _look(place, terminal)
    finally:
        stop_all([place.door for place in places])
        _drain(places)


def _look(place: _Place, terminal: Terminal) -> None:
    now = time.monotonic()
    if place.due is not None:
        if now >= place.due:
            _start(place, terminal)
        return
    code = place.door.ended()
    if code is None:
        return
    sound = now - place.began > _SOUND_SECONDS
    place.pause = _FIRST_PAUSE_SECONDS if sound or not place.pause else min(2 * place.pause, _LONGEST_PAUSE_SECONDS)
    place.due = now + place.pause
    terminal.say(place.door.name, "bold red", f"ended with code {code}; starts again in {place.pause:.0f} s")


def _start(place: _Place, terminal: Terminal) -> None:
    place.began, place.due = time.monotonic(), None
    process = place.door.start(subprocess.PIPE)
    terminal.follow(place, process)


def _drain(places: Sequence[_Place]) -> None:
    """Let the last lines be printed; a reader whose pipe somebody else holds open is not waited for."""
    for place in places:
        for reader in place.readers:
            reader.join(timeout=1.0)
