"""What people set of a schedule: its trigger and its policies as a value, from a row or JSON and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trading.errors import BadDefinition
from trading.triggers import Trigger, parse_trigger

SCOPES = ("shared", "parameters", "account")
CATCH_UPS = ("none", "last", "all")
OVERLAPS = ("allow", "skip", "queue", "cancel")

# The columns of a schedule's row that people set, as `read_definition` takes them and `Definition.written` gives them.
COLUMNS = (
    "name", "task_name", "trigger", "scope", "condition", "exchange", "grace_seconds", "catch_up", "overlap",
    "jitter_seconds", "spread_seconds", "useful_seconds", "starts_at", "ends_at", "max_runs",
)  # fmt: skip

_AN_HOUR = 3600
_A_MOMENT = "2026-12-01T10:00+05:30"


@dataclass(frozen=True, slots=True)
class Definition:
    """When a task fires and by which policies.

    grace: after which a late firing is skipped; None: while it is useful. catch_up: which of several missed slots fire.
    overlap: what becomes of a slot whose predecessor is not over. jitter, spread: over which a slot's executions are
    laid, by chance and evenly. useful: from the slot on; None: as the task's plan says. starts_at, ends_at: aware UTC,
    slots outside (both ends belong to it) do not fire. max_runs: how many slots fire in all.
    """

    name: str
    task_name: str
    trigger: Trigger
    scope: str = "account"
    condition: str | None = None
    exchange: str = "NSE"
    grace: timedelta | None = None
    catch_up: str = "last"
    overlap: str = "allow"
    jitter: timedelta = timedelta()
    spread: timedelta = timedelta()
    useful: timedelta | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    max_runs: int | None = None

    def written(self) -> dict[str, str | int | None]:
        """Return the columns as JSON has them, times in ISO 8601 and UTC; `read_definition` reads them back."""
        return {
            "name": self.name,
            "task_name": self.task_name,
            "trigger": str(self.trigger),
            "scope": self.scope,
            "condition": self.condition,
            "exchange": self.exchange,
            "grace_seconds": _seconds(self.grace),
            "catch_up": self.catch_up,
            "overlap": self.overlap,
            "jitter_seconds": _seconds(self.jitter),
            "spread_seconds": _seconds(self.spread),
            "useful_seconds": _seconds(self.useful),
            "starts_at": _iso(self.starts_at),
            "ends_at": _iso(self.ends_at),
            "max_runs": self.max_runs,
        }


def definition_of(row: object) -> Definition:
    """Return the definition of a schedule's row: anything that has the COLUMNS as attributes."""
    return read_definition({column: getattr(row, column) for column in COLUMNS})


def read_definition(columns: Mapping[str, object]) -> Definition:
    """Return the definition of columns by name; what is missing takes its default.

    Moments are aware datetimes or ISO texts. Raises BadTrigger and BadDefinition for what has no meaning at all;
    whether a definition makes sense is `check`'s to say.
    """
    read = _Columns(columns)
    return Definition(
        read.text("name", "close sync"),
        read.text("task_name", "order_sync"),
        parse_trigger(read.text("trigger", "close+15m")),
        read.text("scope", "account", "account"),
        read.text("condition", "has_open_position") if columns.get("condition") is not None else None,
        read.text("exchange", "NSE", "NSE"),
        read.span("grace_seconds"),
        read.text("catch_up", "last", "last"),
        read.text("overlap", "allow", "allow"),
        read.span("jitter_seconds") or timedelta(),
        read.span("spread_seconds") or timedelta(),
        read.span("useful_seconds"),
        read.moment("starts_at"),
        read.moment("ends_at"),
        read.number("max_runs", 100),
    )


class _Columns:
    """Values of columns by their kind."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def text(self, field: str, example: str, default: str | None = None) -> str:
        value = self._values.get(field, default)
        if not isinstance(value, str) or not value:
            raise BadDefinition(field, value, "it must be a text", example)
        return value

    def number(self, field: str, example: int) -> int | None:
        value = self._values.get(field)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise BadDefinition(field, value, "it must be a whole number", str(example))
        return value

    def span(self, field: str) -> timedelta | None:
        seconds = self.number(field, _AN_HOUR)
        return None if seconds is None else timedelta(seconds=seconds)

    def moment(self, field: str) -> datetime | None:
        value = self._values.get(field)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError as error:
            raise BadDefinition(field, value, "it is not a moment", _A_MOMENT) from error
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise BadDefinition(field, value, "it must be a moment with a time zone", _A_MOMENT)
        return moment.astimezone(UTC)


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
