"""Runs an export where people can see it: a bar with rate and time left, or a line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ops.cli.reach import with_database
from ops.exporters.legacy import Exported, Screen, export_legacy

_QUIET_SECONDS = 2.0
_LINE_SECONDS = 5.0
# A bar need not move with every row.
_STEP = 250


def write_legacy(path: Path, user: str, actor: str, *, quiet: bool) -> Exported:
    """Run an export on the servers of the environment. Raises what it raises."""
    with _bar(quiet=quiet) as bar:
        screen = Screen(bar.begins, bar.read)
        return with_database(lambda database: export_legacy(database, path, user, actor, screen))


class _Bar:
    """How many rows of how many were read."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._task = progress, TaskID(0)
        self._rows, self._read = 1, 0
        self._began = self._said = time.monotonic()

    def begins(self, rows: int) -> None:
        """Show that so many rows will be read."""
        self._rows, self._began = max(rows, 1), time.monotonic()
        self._task = self._progress.add_task("rows", total=self._rows, rate="")

    def read(self) -> None:
        """Count a row."""
        self._read += 1
        if self._read % _STEP:
            return
        seconds = time.monotonic() - self._began
        rate = f"{self._read / seconds:,.0f} rows/s" if seconds > 0.1 else ""
        self._progress.update(self._task, completed=self._read, rate=rate)
        if self._progress.disable and seconds > _QUIET_SECONDS and time.monotonic() - self._said > _LINE_SECONDS:
            self._said = time.monotonic()
            left = max(seconds * (self._rows - self._read) / self._read, 0.0)
            line = f"{min(100 * self._read // self._rows, 100)} % read, {rate}, {left:.0f} s left"
            self._progress.console.print(line, highlight=False)


@contextmanager
def _bar(*, quiet: bool) -> Iterator[_Bar]:
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet or not sys.stderr.isatty()) as progress:
        yield _Bar(progress)
