"""A bar for work that goes row by row, with rate and time left; a line now and then where there is no terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

# For what is over sooner, no line.
_QUIET_SECONDS = 2.0
_LINE_SECONDS = 5.0
# A bar need not move with every row.
_STEP = 250


class RowsBar:
    """How many rows of how many are done. done_word: what is done to them, as `read`."""

    def __init__(self, progress: Progress, done_word: str) -> None:
        self._progress, self._word, self._task = progress, done_word, TaskID(0)
        self._rows, self._done = 0, 0
        self._began = self._said = time.monotonic()

    def begins(self, rows: int) -> None:
        """Show that so many rows are to be done."""
        self._rows, self._began = max(rows, 1), time.monotonic()
        self._task = self._progress.add_task("rows", total=self._rows, rate="")

    def one(self) -> None:
        """Count a row."""
        self._done += 1
        if self._done % _STEP == 0:
            self._show()

    def reached(self, done: int, rows: int) -> None:
        """Show that so many of so many are done."""
        if not self._rows:
            self.begins(rows)
        self._done = done
        self._show()

    def _show(self) -> None:
        seconds = time.monotonic() - self._began
        rate = f"{self._done / seconds:,.0f} rows/s" if seconds > 0.1 else ""
        self._progress.update(self._task, completed=self._done, rate=rate)
        if self._progress.disable and seconds > _QUIET_SECONDS and time.monotonic() - self._said > _LINE_SECONDS:
            self._said = time.monotonic()
            left = max(seconds * (self._rows - self._done) / max(self._done, 1), 0.0)
            line = f"{min(100 * self._done // self._rows, 100)} % {self._word}, {rate}, {left:.0f} s left"
            self._progress.console.print(line, highlight=False)


@contextmanager
def rows_bar(done_word: str, *, quiet: bool) -> Iterator[RowsBar]:
    """Show a bar on stderr while it lasts. quiet: show none."""
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet or not sys.stderr.isatty()) as progress:
        yield RowsBar(progress, done_word)
