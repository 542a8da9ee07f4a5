"""Finished log lines on their way to the database: bounded, never in the way of who writes them."""

import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# Some seconds of a busy process; what does not fit is dropped, oldest first, and counted.
CAPACITY = 10_000
_LONGEST_MESSAGE, _LONGEST_MODULE, _LONGEST_TEXT = 1024, 128, 16_000
_COLUMNS = {"timestamp", "level", "logger", "event", "user_id", "execution_id", "task"}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line as its row holds it. at: machine time, aware. context: what has no column, JSON values."""

    at: datetime
    level: str
    module: str
    message: str
    user_id: int | None
    task: str | None
    execution_id: int | None
    context: Mapping[str, Any] | None


class LogSink:
    """Takes events of any thread and hands them out in batches. wake: set when there is something to write."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.wake = threading.Event()
        self._lines: deque[LogLine] = deque()
        self._capacity, self._dropped = capacity, 0
        self._lock = threading.Lock()

    def put(self, event: Mapping[str, Any]) -> None:
        """Take one finished, redacted event."""
        line = line_of(event)
        with self._lock:
            if len(self._lines) >= self._capacity:
                self._lines.popleft()
                self._dropped += 1
            self._lines.append(line)
        self.wake.set()

    def take(self, most: int) -> tuple[list[LogLine], int]:
        """Return the oldest lines, and how many were dropped since this was asked last."""
        with self._lock:
            lines = [self._lines.popleft() for _ in range(min(most, len(self._lines)))]
            dropped, self._dropped = self._dropped, 0
            if not self._lines:
                self.wake.clear()
        return lines, dropped

    def put_back(self, lines: Sequence[LogLine], dropped: int) -> None:
        """Return what could not be written; what does not fit any more is dropped."""
        with self._lock:
            room = self._capacity - len(self._lines)
            kept = list(lines)[-room:] if room > 0 else []
            self._lines.extendleft(reversed(kept))
            self._dropped += dropped + len(lines) - len(kept)


def line_of(event: Mapping[str, Any]) -> LogLine:
    """Return the row of an event as the processors leave it."""
    others = (key for key in event if key not in _COLUMNS and not key.startswith("_"))
    rest = {_text(key): _plain(event[key]) for key in others}
    return LogLine(
        at=_moment(event.get("timestamp")),
        level=_level(str(event.get("level", "info"))),
        module=_text(event.get("logger", ""))[:_LONGEST_MODULE],
        message=_text(event.get("event", ""))[:_LONGEST_MESSAGE],
        user_id=_number(event.get("user_id")),
        task=_text(event["task"])[:64] if event.get("task") else None,
        execution_id=_number(event.get("execution_id")),
        context=rest or None,
    )


def _level(word: str) -> str:
    known = {"warn": "WARNING", "exception": "ERROR", "notset": "INFO"}
    word = known.get(word.lower(), word.upper())
    return word if word in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"} else "INFO"


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return datetime.now(UTC)  # noqa: TID251 - a line that nobody stamped is stamped here
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _plain(value: object) -> Any:
    """Return a value that Postgres takes as JSON. A long text keeps its end: there a traceback names the error."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool | int | type(None)):
        return value
    if isinstance(value, Mapping):
        return {_text(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    return _text(value)[-_LONGEST_TEXT:]


def _text(value: object) -> str:
    """Return a text that Postgres takes: without NUL and half characters."""
    return str(value).replace("\x00", "").encode("utf-8", "replace").decode()
