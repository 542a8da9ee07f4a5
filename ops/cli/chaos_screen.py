"""What people see while `muhurat chaos` runs: the case that is played, and one line for each that failed. On stderr."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ops.chaos.cases import Case
from ops.chaos.play import Result


class ChaosScreen:
    """A context manager that shows how far a run is."""

    def __init__(self, total: int) -> None:
        self.console = Console(stderr=True)
        self._total, self._done = total, 0
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
            TimeElapsedColumn(), console=self.console, transient=True, disable=not self.console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task("Starting", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begins(self, number: int, case: Case) -> None:
        """Show the case that is played next."""
        self._progress.update(self._task, description=case.name, completed=number)

    def ended(self, result: Result) -> None:
        """Tell of a case that failed; without a terminal, of every one."""
        self._progress.advance(self._task)
        self._done += 1
        if self._progress.disable:
            how = "ok" if result.holds else "FAILED"
            line = f"{self._done}/{self._total} {result.case}: {how}, {result.seconds:.0f} s"
            self.console.print(line, highlight=False, soft_wrap=True)
        for said in [] if result.holds else result.violations or ["the fault did not strike"]:
            line = f"{result.case}: {said} (logs in {result.logs}, from {result.at})"
            self.console.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
