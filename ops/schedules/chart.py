"""The load of a span as a picture in the terminal: columns by queue for a day, a map of days for longer."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta

from rich.console import Group
from rich.text import Text

from ops.schedules.load import Simulation, by_bucket
from trading.calendar import exchange_day, exchange_time, ist

COLOURS = {"orders": "#4cc9f0", "strategy": "#f9c74f", "ml": "#b5179e", "default": "#90be6d"}
_OTHER = "#adb5bd"
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_HEIGHT = 14
_AXIS = 8
_LONGEST_DAY = timedelta(hours=36)
# Cold to hot; the characters tell it where there are no colours.
_HEAT = (("·", "#3d405b"), ("░", "#277da1"), ("▒", "#43aa8b"), ("▓", "#f9c74f"), ("█", "#f94144"))
_MOST_DAYS = 62
# Room for a day in quarters of an hour, and for its name.
_WIDE = 140
_DAY = timedelta(days=1)


def picture(made: Simulation, width: int, named: Mapping[date, str]) -> Group:
    """Return the picture of a simulation. width: in characters. named: days without session or with other hours."""
    if made.last - made.first <= _LONGEST_DAY:
        return Group(_title(made), *_columns(made, width), _legend(made))
    parts: list[Text] = [_title(made), *_map(made, width, named)]
    if made.peak is not None:
        begins = ist(exchange_day(made.peak[0]), time())
        day = Simulation(max(begins, made.first), min(begins + _DAY, made.last))
        day.minutes = {minute: queues for minute, queues in made.minutes.items() if day.first <= minute < day.last}
        parts += [Text(f"\nThe busiest day, {exchange_day(made.peak[0]):%a %Y-%m-%d}", style="bold")]
        parts += _columns(_trimmed(day), width)
    return Group(*parts, _legend(made))


def short(count: float) -> str:
    """Return a number as an axis bears it: 950, 12k, 1.5M."""
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def _title(made: Simulation) -> Text:
    line = Text("Executions a minute, ", style="bold")
    line.append(f"{exchange_time(made.first):%Y-%m-%d %H:%M} to {exchange_time(made.last):%Y-%m-%d %H:%M} IST")
    if made.peak is not None:
        line.append(
            f"; {made.total:,} in all, at most {made.peak[1]:,} at {exchange_time(made.peak[0]):%Y-%m-%d %H:%M}"
        )
    return line


def _trimmed(day: Simulation) -> Simulation:
    """Return a day without the hours before and after everything that happens."""
    first, last = min(day.minutes), max(day.minutes)
    hour = timedelta(hours=1)
    begins = exchange_time(first).replace(minute=0) if first - day.first > hour else exchange_time(day.first)
    ends = exchange_time(last).replace(minute=0) + hour if day.last - last > hour else exchange_time(day.last)
    cut = Simulation(begins, ends)
    cut.minutes = day.minutes
    return cut


def _columns(made: Simulation, width: int) -> list[Text]:
    buckets = by_bucket(made, max(min(width - _AXIS - 2, 160), 10))
    top = max((sum(queues.values()) for _, queues in buckets), default=0)
    if not top:
        return [Text("nothing fires", style="dim")]
    stacks = [_stack(queues, top) for _, queues in buckets]
    rows = []
    for row in reversed(range(_HEIGHT)):
        label = short(top * (row + 1) / _HEIGHT) if row in (_HEIGHT - 1, _HEIGHT // 2 - 1) else ""
        line = Text(f"{label:>{_AXIS}}┤" if label else " " * _AXIS + "│", style="dim")
        for stack in stacks:
            line.append(*_cell(stack, row * 8))
        rows.append(line)
    rows.append(Text(f"{'0':>{_AXIS}}┼" + "─" * len(stacks), style="dim"))
    rows.append(_hours([exchange_time(at) for at, _ in buckets]))
    return rows


def _stack(queues: Mapping[str, int], top: int) -> list[tuple[int, str]]:
    """Return the upper ends of a column's parts in eighths of a row, with their colours, from below."""
    found, count = [], 0
    for queue in sorted(queues, key=lambda one: -queues[one]):
        count += queues[queue]
        found.append((max(round(count * _HEIGHT * 8 / top), 1), COLOURS.get(queue, _OTHER)))
    return found


def _cell(stack: Sequence[tuple[int, str]], base: int) -> tuple[str, str]:
    """Return the character of a cell and its style: a part block of the lower colour on the upper one."""
    over = [(end, colour) for end, colour in stack if end > base]
    if not over:
        return " ", ""
    end, colour = over[0]
    if end >= base + 8:
        return "█", colour
    upper = over[1][1] if len(over) > 1 else None
    return _EIGHTHS[end - base], f"{colour} on {upper}" if upper else colour


def _hours(moments: Sequence[datetime]) -> Text:
    """Return the axis of time: clock times, as many as there is room for, at equal distances."""
    line = [" "] * (len(moments) + len("00:00"))
    begun = [number for number, at in enumerate(moments) if number and at.hour != moments[number - 1].hour]
    wide = (begun[-1] - begun[0]) / (len(begun) - 1) if len(begun) > 1 else len(moments)
    every = next((hours for hours in (1, 2, 3, 6, 12) if hours * wide >= len("00:00") + 2), 24)
    for number in begun:
        if moments[number].hour % every == 0:
            line[number : number + len("00:00")] = f"{moments[number]:%H:00}"
    line[: len("00:00")] = f"{moments[0]:%H:%M}" if begun and begun[0] > len("00:00") else line[: len("00:00")]
    return Text(" " * (_AXIS + 1) + "".join(line).rstrip(), style="dim")


def _map(made: Simulation, width: int, named: Mapping[date, str]) -> list[Text]:
    """Return a line a day: how busy each part of it is, on a scale of ratios, and its sum."""
    by_day: dict[date, dict[datetime, int]] = {}
    for minute, queues in made.minutes.items():
        by_day.setdefault(exchange_day(minute), {})[minute] = queues.total()
    columns = 48 if width < _WIDE else 96
    top = made.peak[1] if made.peak is not None else 0
    first, last = exchange_day(made.first), exchange_day(made.last - timedelta(microseconds=1))
    days = [first + number * _DAY for number in range((last - first).days + 1)]
    lines = [Text(" " * 15 + "".join(f"{hour:02d}".ljust(columns // 8) for hour in range(0, 24, 3)), style="dim")]
    for day in days[:_MOST_DAYS]:
        line = Text(f"{day:%a %Y-%m-%d} ", style="" if by_day.get(day) else "dim")
        begins = ist(day, time())
        cells = [0] * columns
        for minute, count in by_day.get(day, {}).items():
            number = int((minute - begins) / _DAY * columns)
            cells[number] = max(cells[number], count)
        for cell in cells:
            line.append(*_warmth(cell, top))
        total = sum(by_day.get(day, {}).values())
        line.append(f" {short(total):>6}" if total else " " * 7)
        if day in named:
            line.append(f" {named[day]}", style="italic yellow")
        lines.append(line)
    if len(days) > _MOST_DAYS:
        lines.append(Text(f"and {len(days) - _MOST_DAYS} more days, all of them with --json", style="dim"))
    return lines


def _warmth(count: int, top: int) -> tuple[str, str]:
    if not count:
        return " ", ""
    # Each step is another order of magnitude below the peak.
    steps = len(_HEAT) - 1
    while steps > 0 and count * 10 ** (len(_HEAT) - 1 - steps) < top / 2:
        steps -= 1
    return _HEAT[steps]


def _legend(made: Simulation) -> Text:
    line = Text(" " * (_AXIS + 1))
    for queue, count in made.queues().items():
        line.append("■ ", style=COLOURS.get(queue, _OTHER))
        line.append(f"{queue} {count:,}   ")
    return line
