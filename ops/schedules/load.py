"""How many executions a span of schedules makes, minute by minute and queue by queue, from counts alone. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from db.schedule_looks import Load
from trading.calendar import Calendar
from trading.definitions import Definition
from trading.firings import firings

MINUTE = timedelta(minutes=1)
# Of how many parts the sum of jitter and spread is reckoned; its error is far below an execution in a thousand.
_STEPS = 64


@dataclass(frozen=True, slots=True)
class Loaded:
    """A schedule, the queue of its task, and how many executions a slot makes by what is subscribed now.

    held: slots of this span, the end excluded, do not fire: the next is planned for its end.
    """

    definition: Definition
    queue: str
    loads: Sequence[Load]
    runs: int = 0
    held: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """What one schedule adds. executions: an upper bound for one that has a condition on days to come."""

    schedule: str
    queue: str
    slots: int
    executions: int
    condition: str | None


@dataclass(slots=True)
class Simulation:
    """Executions by queue for each minute that has any, in order. Minutes are aware UTC, market time."""

    first: datetime
    last: datetime
    minutes: dict[datetime, Counter[str]] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All executions."""
        return sum(line.executions for line in self.lines)

    @property
    def peak(self) -> tuple[datetime, int] | None:
        """The minute with the most executions, the first of several, and how many; None without any."""
        if not self.minutes:
            return None
        minute = max(self.minutes, key=lambda one: (self.minutes[one].total(), -one.timestamp()))
        return minute, self.minutes[minute].total()

    def add(self, other: "Simulation") -> None:
        """Take in the slots of more schedules of the same span."""
        self.lines += other.lines
        for minute, queues in other.minutes.items():
            self.minutes.setdefault(minute, Counter()).update(queues)
        self.minutes = dict(sorted(self.minutes.items()))

    def queues(self) -> dict[str, int]:
        """Return the executions of each queue that has any."""
        totals: Counter[str] = Counter()
        for line in self.lines:
            totals[line.queue] += line.executions
        return {queue: count for queue, count in totals.most_common() if count}


def simulate(
    schedules: Iterable[Loaded], calendar: Calendar, first: datetime, last: datetime, daily_bars: bool = False
) -> Simulation:
    """Return what the slots in [first, last) make.

    Schedules of one task that have a slot at the same moment make one execution for whoever subscribes to both: there
    the largest of them counts.
    """
    made = Simulation(first, last)
    found: dict[datetime, Counter[str]] = {}
    taken: dict[tuple[str, datetime], int] = {}
    tick = timedelta(microseconds=1)
    for one in schedules:
        slots = total = 0
        shares = _shares(one.definition.spread, one.definition.jitter)
        for firing in firings(one.definition, calendar, first - tick, last - tick, daily_bars, runs=one.runs):
            is_held = one.held is not None and one.held[0] <= firing.slot < one.held[1]
            if firing.outcome != "fires" or is_held:
                continue
            count = sum(load.executions for load in one.loads if load.since is None or load.since <= firing.slot)
            key = (one.definition.task_name, firing.slot)
            count = max(count - taken.get(key, 0), 0)
            taken[key] = taken.get(key, 0) + count
            slots, total = slots + 1, total + count
            for minute, some in _laid(firing.slot, count, shares):
                found.setdefault(minute, Counter())[one.queue] += some
        made.lines.append(Line(one.definition.name, one.queue, slots, total, one.definition.condition))
    made.minutes = dict(sorted(found.items()))
    return made


def by_bucket(made: Simulation, buckets: int) -> list[tuple[datetime, Mapping[str, int]]]:
    """Return the busiest minute of each of so many equal parts of the span; an empty one where nothing happens."""
    width = (made.last - made.first) / buckets
    found: list[tuple[datetime, Mapping[str, int]]] = [(made.first + number * width, {}) for number in range(buckets)]
    for minute, queues in made.minutes.items():
        number = min(int((max(minute, made.first) - made.first) / width), buckets - 1)
        if queues.total() > sum(found[number][1].values()):
            found[number] = (found[number][0], queues)
    return found


def floor_minute(at: datetime) -> datetime:
    """Return the minute a moment lies in."""
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def _laid(slot: datetime, count: int, shares: "Shares") -> Iterator[tuple[datetime, int]]:
    """Yield how many of a slot's executions are due in each minute; together they are all of them."""
    if not count:
        return
    minute, laid = floor_minute(slot), 0
    while laid < count:
        minute += MINUTE
        until = round(count * shares.before(minute - slot))
        if until > laid:
            yield minute - MINUTE, until - laid
            laid = until


@dataclass(frozen=True, slots=True)
class Shares:
    """Which part of a slot's executions is due before so long after it."""

    spread: float
    jitter: float

    def before(self, span: timedelta) -> float:
        """Return the part, from 0 to 1."""
        seconds = span.total_seconds()
        wide, narrow = max(self.spread, self.jitter), min(self.spread, self.jitter)
        if not wide or seconds >= wide + narrow:
            return 1.0
        if not narrow:
            return seconds / wide
        parts = (seconds - (step + 0.5) * narrow / _STEPS for step in range(_STEPS))
        return sum(min(max(part / wide, 0.0), 1.0) for part in parts) / _STEPS


def _shares(spread: timedelta, jitter: timedelta) -> Shares:
    return Shares(spread.total_seconds(), jitter.total_seconds())
