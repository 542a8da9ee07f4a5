"""Turns how a step ended into what the ledger writes: status, retry decision, safe JSON, the end of the traceback.

No secret passes: whatever an error or an outcome says is read by people and kept for months.
"""

import json
import math
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from adapters.prices.base import PriceSourceError
from db.claims import Settlement
from db.errors import is_temporary
from db.executions import Execution
from worker.messages import TASKS, backoff_seconds
from worker.outcome import Outcome, Retry

# Postgres rows must stay writable whatever a step says; the end of a traceback names the error.
LONGEST_TRACEBACK = 32_000
UNSTORABLE = "unstorable_outcome"

Hide = Callable[[str], str]
"""Returns a text without the secrets in it."""


class TimedOut(Exception):  # noqa: N818 - stored as the error's type, read by people
    """A step was interrupted at its time limit."""


class Recorder:
    """Writes settlements. hide: takes secrets out of every text on its way into a row."""

    def __init__(self, hide: Hide) -> None:
        self.hide = hide

    def outcome(self, execution: Execution, outcome: Outcome, seconds: float) -> Settlement:
        """Return what to write for a step that returned."""
        if not outcome.details and not outcome.reason:
            return Settlement(execution, outcome.status, seconds, "{}")  # as most are: nothing to look through
        reason = self._clean(outcome.reason) or None
        return Settlement(execution, outcome.status, seconds, self._details(outcome.details), reason)

    def error(self, execution: Execution, error: BaseException, seconds: float) -> Settlement:
        """Return what to write for a step that raised: another attempt where the task allows one, else failed."""
        task = TASKS.get(execution.task_name)  # None of a task that this code does not have
        again = task is not None and passes_as(error) in task.again and execution.attempt < task.attempts
        return Settlement(
            execution,
            "retrying" if again else "failed",
            seconds,
            details=None,
            reason=self._clean(f"{type(error).__name__}: {error}"),
            error_type=type(error).__name__,
            error=self._clean(str(error) or type(error).__name__),
            # Cut last: half a secret is none that anybody would know to hide.
            traceback=self._clean("".join(traceback.format_exception(error)))[-LONGEST_TRACEBACK:],
            backoff_seconds=backoff_seconds(task, execution.attempt) if task is not None else 0.0,
        )

    def unstorable(self, settlement: Settlement, error: BaseException) -> Settlement:
        """Return what to write instead of an outcome that Postgres refuses for its data."""
        return Settlement(
            settlement.execution,
            "failed",
            settlement.duration_seconds,
            reason=UNSTORABLE,
            error_type=UNSTORABLE,
            error=self._clean(str(error))[:1000],
        )

    def _details(self, details: Mapping[str, Any]) -> str:
        """Return details as JSON that Postgres takes: no NaN, no infinity, no NUL, nothing unknown."""
        return json.dumps(self._plain(details), allow_nan=False)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {self._clean(str(key)): self._plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._plain(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return self._clean(str(value))

    def _clean(self, text: str | None) -> str:
        return self.hide(text or "").replace("\x00", "\N{REPLACEMENT CHARACTER}")


def is_unstorable(settlement: Settlement) -> bool:
    """Tell whether a settlement is itself the replacement of one that was refused."""
    return settlement.reason == UNSTORABLE


def passes_as(error: BaseException) -> str | None:
    """Return by which word of `PASSING` an error may pass by itself, None for one that never does."""
    if isinstance(error, Retry):
        return "asked"
    if isinstance(error, PriceSourceError):
        return "source"
    if isinstance(error, TimedOut):
        return "timeout"
    return "database" if is_temporary(error) else None
