"""Runs an import where people can see it: a bar with rate and time left, and a report a line a record."""

import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ops.cli.reach import with_database
from ops.importers.command import Brought, Request, Screen, run
from ops.importers.entry import Entry
from ops.importers.source import Found

# Without a terminal a line now and then; for what is over sooner, none.
_QUIET_SECONDS = 2.0
_LINE_SECONDS = 5.0
_MEGABYTE = 1_000_000
# One thread reads and prepares while another waits for Postgres: at Python's own 5 ms each answer would lie that long.
_SWITCH_SECONDS = 0.0005
# Records become some twenty objects each, none of which is in a circle: Python looks for circles after each 700 new
# ones, which costs an eighth of an import. After so many it finds the few that statements leave behind.
_COLLECT_AFTER = (100_000, 20, 20)


def bring_in(request: Request, report: Path | None, *, quiet: bool) -> list[Brought]:
    """Run an import on the servers of the environment. Raises what it raises."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    with _rare_collections(), _report(report) as lines, _bar(quiet=quiet) as bar:

        def settled(found: Found, entry: Entry) -> None:
            bar.settled()
            if lines is not None:
                lines.write(json.dumps({"source": found.label, **entry.to_json()}, ensure_ascii=False) + "\n")

        screen = Screen(bar.begins, bar.read, settled)
        return with_database(lambda database: run(database, request, screen))


@contextmanager
def _rare_collections() -> Iterator[None]:
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what is loaded by now stays, and need not be looked at again
    gc.set_threshold(*_COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class _Bar:
    """How far a source is, by its bytes or records; and how many records a second were settled."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._task = progress, TaskID(0)
        self._name, self._size, self._unit, self._records = "", 0, "", 0
        self._began = self._told_at = time.monotonic()

    def begins(self, found: Found) -> None:
        """Show that a source begins."""
        self._name, self._size, self._unit, self._records = found.label, max(found.size, 1), found.unit, 0
        self._began = self._told_at = time.monotonic()
        self._task = self._progress.add_task(found.label, total=self._size, done="", rate="")

    def read(self, done: int) -> None:
        """Show how much of it was read."""
        seconds = time.monotonic() - self._began
        rate = f"{self._records / seconds:,.0f} records/s" if seconds > 0.1 else ""
        self._progress.update(self._task, completed=done, done=self._said_of(done), rate=rate)
        if self._progress.disable and seconds > _QUIET_SECONDS and time.monotonic() - self._told_at > _LINE_SECONDS:
            self._told_at = time.monotonic()
            left = seconds * (self._size - done) / max(done, 1)
            line = f"{self._name}: {100 * done // self._size} % read, {rate}, {left:.0f} s left"
            self._progress.console.print(line, highlight=False)

    def _said_of(self, done: int) -> str:
        if self._unit == "bytes":
            return f"{done / _MEGABYTE:,.1f}/{self._size / _MEGABYTE:,.1f} MB"
        return f"{done:,}/{self._size:,} {self._unit}"

    def settled(self) -> None:
        """Count a record."""
        self._records += 1


@contextmanager
def _bar(*, quiet: bool) -> Iterator[_Bar]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[done]}"),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=quiet or not sys.stderr.isatty()) as progress:
        yield _Bar(progress)


@contextmanager
def _report(path: Path | None) -> Iterator[IO[str] | None]:
    """Yield the file of a report, written beside its place and put there whole at the end. Raises OSError."""
    if path is None:
        yield None
        return
    handle, part = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)
