"""What people see while a replay runs: a bar on a terminal, a line now and then elsewhere. Always on stderr."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from ops.replay.drive import Look
from ops.replay.plan import Plan

# Without a terminal: a line whenever another tenth is done.
_LINES = 10


class _Rate(ProgressColumn):
    """Sessions a second, once there is something to divide."""

    def render(self, task: Task) -> Text:
        """Return the rate."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed and task.fields.get("rated") else "", style="cyan")


class Screen:
    """A context manager that shows stages and the replay's progress."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[counted]}"),
            _Rate(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, what: str, done: int, total: int) -> None:
        """Show a step of the preparation."""
        self._show(what, done, total, counted=f"{done:,}/{total:,}" if total > 1 else "")

    def look(self, plan: Plan, look: Look) -> None:
        """Show how far the replay is."""
        total = len(plan.sessions)
        day = plan.sessions[max(look.sessions - 1, 0)].day
        counts = look.counts
        facts = f"{counts.executions:,} executions  {counts.orders:,} orders  {counts.fills:,} fills"
        self._show(
            "Replaying",
            look.sessions,
            total,
            counted=f"session {look.sessions} of {total}  {day}",
            facts=facts,
            rated=True,
        )

    def _show(self, what: str, done: int, total: int, counted: str, facts: str = "", rated: bool = False) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, counted="", facts="", rated=rated)
        self._progress.update(self._tasks[what], completed=done, total=total, counted=counted, facts=facts)
        if self._progress.disable:
            self._say(what, done, total, f"{what} {counted} {facts}")

    def _say(self, what: str, done: int, total: int, line: str) -> None:
        tenth = _LINES if done >= total else done * _LINES // total
        if self._said.get(what) != tenth and (total > _LINES or done == 0 or done == total > 1):
            self._said[what] = tenth
            self.console.print(line.rstrip(), highlight=False)
