"""What people set of a schedule: its trigger and its policies as a value, from columns and back, and what must hold."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from trading.calendar import Calendar, exchange_time
from trading.definition_columns import AN_HOUR, Columns
from trading.errors import BadDefinition
from trading.scheduled_tasks import SCHEDULED, Acting, Scheduled
from trading.trigger_checks import ever_fires, misplaced, shortest_gap
from trading.triggers import Once, Trigger, parse_trigger

SCOPES = ("shared", "parameters", "account")
CATCH_UPS = ("none", "last", "all")
OVERLAPS = ("allow", "skip", "queue", "cancel")
CONDITIONS = ("has_open_position", "has_live_order", "has_failed_order", "prices_missing")
_MADE = {"shared": "once for all", "parameters": "for each set of parameters", "account": "for each account"}
_OF_ACCOUNTS = frozenset(CONDITIONS) - {"prices_missing"}

# The columns of a schedule's row that people set, as `read_definition` takes them and `Definition.written` gives them.
COLUMNS = (
    "name", "task_name", "trigger", "scope", "condition", "exchange", "grace_seconds", "catch_up", "overlap",
    "jitter_seconds", "spread_seconds", "useful_seconds", "starts_at", "ends_at", "max_runs",
)  # fmt: skip

LONGEST_NAME = 64
LONGEST_TRIGGER = 255
# What was missed of a faster trigger is thousands of slots after an hour, and each would run.
FASTEST_CAUGHT_UP = timedelta(minutes=1)


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
    read = Columns(columns)
    return Definition(
        read.text("name", "close sync"),
        read.text("task_name", "order_sync"),
        parse_trigger(read.text("trigger", "close+15m")),
        read.text("scope", "account", "account"),
        read.text_or_none("condition", "has_open_position"),
        read.text("exchange", "NSE", "NSE"),
        read.span("grace_seconds"),
        read.text("catch_up", "last", "last"),
        read.text("overlap", "allow", "allow"),
        read.span("jitter_seconds") or timedelta(),
        read.span("spread_seconds") or timedelta(),
        read.span("useful_seconds"),
        read.moment("starts_at"),
        read.moment("ends_at"),
        read.number("max_runs", "100"),
    )


def check(
    definition: Definition, calendar: Calendar, now: datetime, tasks: Mapping[str, Scheduled] = SCHEDULED
) -> None:
    """Refuse a definition that makes no sense. Raises BadDefinition naming column, value and a valid example.

    calendar: of its exchange. now: market now, aware. tasks: what a schedule may fire, by name.
    """
    _check_words(definition, calendar, tasks)
    _check_numbers(definition)
    _check_window(definition)
    _check_firing(definition, calendar, now)
    acting = tasks[definition.task_name].acting
    if acting is not None:
        _check_acting(definition, acting, calendar, now)


def _check_words(one: Definition, calendar: Calendar, tasks: Mapping[str, Scheduled]) -> None:
    if len(one.name) > LONGEST_NAME or not one.name.isprintable() or one.name != one.name.strip():
        raise BadDefinition("name", one.name, f"it must be {LONGEST_NAME} printable characters at most", "close sync")
    # An example of the same scope, where there is one, needs no other change.
    _among("task_name", one.task_name, sorted(tasks, key=lambda name: (tasks[name].scope != one.scope, name)))
    _among("exchange", one.exchange, [calendar.exchange])
    scope = tasks[one.task_name].scope
    if one.scope != scope:
        raise BadDefinition("scope", one.scope, f"{one.task_name} is made {_MADE[scope]}", scope)
    _among("catch_up", one.catch_up, CATCH_UPS)
    _among("overlap", one.overlap, OVERLAPS)
    if one.condition is not None:
        _among("condition", one.condition, CONDITIONS)
        if one.condition in _OF_ACCOUNTS and one.scope != "account":
            raise BadDefinition("condition", one.condition, f"scope {one.scope} has no account", "prices_missing")


def _among(field: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        (example,) = get_close_matches(value, known, n=1) or [next(iter(known))]
        raise BadDefinition(field, value, f"it must be one of {', '.join(sorted(known))}", example)


def _check_numbers(one: Definition) -> None:
    spans = {"grace_seconds": one.grace, "jitter_seconds": one.jitter, "spread_seconds": one.spread}
    for field, span in spans.items():
        if span is not None and span < timedelta():
            raise BadDefinition(field, _seconds(span), "it must not be below zero", "60")
    if one.useful is not None and one.useful <= timedelta():
        raise BadDefinition("useful_seconds", _seconds(one.useful), "it must be above zero", AN_HOUR)
    if one.useful is not None and one.jitter + one.spread > one.useful:
        field, span = ("spread_seconds", one.spread) if one.spread else ("jitter_seconds", one.jitter)
        raise BadDefinition(
            field, _seconds(span), f"the last would begin after its use of {_seconds(one.useful)} s ends", "0"
        )
    if one.max_runs is not None and one.max_runs < 1:
        raise BadDefinition("max_runs", one.max_runs, "it must be above zero", "100")


def _check_window(one: Definition) -> None:
    if one.starts_at is not None and one.ends_at is not None and one.ends_at <= one.starts_at:
        problem = f"it must lie after starts_at {one.starts_at.isoformat()}"
        example = (one.starts_at + timedelta(days=30)).isoformat()
        raise BadDefinition("ends_at", one.ends_at.isoformat(), problem, example)


def _check_firing(one: Definition, calendar: Calendar, now: datetime) -> None:
    text = str(one.trigger)
    if len(text) > LONGEST_TRIGGER:
        raise BadDefinition("trigger", text, f"it is longer than {LONGEST_TRIGGER} characters", "close+15m")
    if isinstance(one.trigger, Once) and one.trigger.at <= now:
        tomorrow = Once(exchange_time(now + timedelta(days=1)).replace(microsecond=0))
        raise BadDefinition("trigger", text, f"it is over: now it is {now.isoformat()}", str(tomorrow))
    if not isinstance(one.trigger, Once) and text != "on request" and not ever_fires(one.trigger, calendar, now):
        raise BadDefinition("trigger", text, "it never fires", "close+15m")
    gap = shortest_gap(one.trigger, calendar, now)
    if gap is None:
        return
    for field, span in (("jitter_seconds", one.jitter), ("spread_seconds", one.spread + one.jitter)):
        if span > gap:
            problem = f"the last of a slot would begin after the next slot, {_seconds(gap)} s later"
            raise BadDefinition(field, _seconds(span), problem, str(_seconds(gap / 2)))
    if one.catch_up == "all" and gap < FASTEST_CAUGHT_UP:
        raise BadDefinition("catch_up", one.catch_up, f"'{text}' fires every {_seconds(gap)} s", "last")


def _check_acting(one: Definition, acting: Acting, calendar: Calendar, now: datetime) -> None:
    moment = misplaced(one.trigger, acting, calendar, now)
    if moment is not None:
        shown = f"{exchange_time(moment):%a %Y-%m-%d %H:%M} IST"
        problem = f"{one.task_name} can only act {acting.said}, and it would fire at {shown}"
        raise BadDefinition("trigger", str(one.trigger), problem, acting.example)


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
