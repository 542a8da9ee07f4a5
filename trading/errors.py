"""The errors of the pure core.

TradingError
├── CalendarUncovered   refuse: nothing is known of the day, so nothing is traded on it
│   └── HoursUnknown    refuse: the day is known, the hours of one of its phases are not
├── CalendarMissing     stop: an exchange without a calendar
├── BadCalendar         stop: a calendar file that cannot be used
├── BadTrigger          stop: a schedule text that cannot be read
├── BadDefinition       stop: a schedule's setting that cannot be
├── IllegalTransition   stop: an event an order in that state cannot have
└── Oversold            reconcile: a sale of more shares than the position holds
"""

# ruff: noqa: N818 - a name says what happened; the tree says that it is an error

from datetime import date

from trading.values import Quantity, Symbol


class TradingError(Exception):
    """Any error of the pure core."""


class CalendarUncovered(TradingError):
    """A day the calendar knows nothing of. Unknown is not closed, and not open."""

    def __init__(self, day: date, first: date, last: date) -> None:
        self.day, self.first, self.last = day, first, last
        super().__init__(f"no calendar for {day}: it covers {first} to {last}; load the exchange's list of that year")


class HoursUnknown(CalendarUncovered):
    """A phase of a day whose hours the calendar does not know."""

    def __init__(self, phase: str, day: date, first: date, last: date) -> None:
        super().__init__(day, first, last)
        self.phase = phase
        example = "# hours: amo all 15:45-08:57 from 2015-01-01 source the broker"
        self.args = (f"no hours of {phase} for {day}: import a calendar file that has a line like '{example}'",)


class CalendarMissing(TradingError):
    """An exchange whose calendar nobody has loaded."""

    def __init__(self, exchange: str) -> None:
        self.exchange = exchange
        super().__init__(f"no calendar of {exchange} is loaded: run `muhurat calendar import` with a file of it")


class BadCalendar(TradingError):
    """A line of a calendar file that cannot be used. line: 1 is the first of the file, 0 the file as a whole."""

    def __init__(self, line: int, problem: str, cure: str) -> None:
        self.line, self.problem, self.cure = line, problem, cure
        where = f"line {line}: " if line else ""
        super().__init__(f"calendar: {where}{problem}; {cure}")


class BadTrigger(TradingError):
    """A trigger text that cannot be read. position: the character it stops at, from 0."""

    def __init__(self, text: str, position: int, problem: str, example: str) -> None:
        self.text, self.position, self.problem, self.example = text, position, problem, example
        super().__init__(f"trigger {text!r}, character {position + 1}: {problem}; write it like {example!r}")


class BadDefinition(TradingError):
    """A setting of a schedule that cannot be. field: the column it is stored in."""

    def __init__(self, field: str, value: object, problem: str, example: str) -> None:
        self.field, self.value, self.problem, self.example = field, value, problem, example
        super().__init__(f"{field} {str(value)!r}: {problem}; write it like {example!r}")


class IllegalTransition(TradingError):
    """An event that an order in this state cannot have."""

    def __init__(self, state: str, event: str) -> None:
        self.state, self.event = state, event
        super().__init__(f"an order that is {state} has no event {event}; read the broker's book before changing it")


class Oversold(TradingError):
    """A sale of more shares than the position holds."""

    def __init__(self, symbol: Symbol, held: Quantity, sold: Quantity) -> None:
        self.symbol, self.held, self.sold = symbol, held, sold
        super().__init__(f"{symbol}: sold {sold} of {held} held; find the fill that is missing or counted twice")
